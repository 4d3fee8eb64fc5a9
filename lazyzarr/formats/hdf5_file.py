"""One open HDF5 file: its handle, its stamp, and what it may reach beside itself.

Owns opening and closing, the check that the file did not change while it was parsed, and the rule for files named
inside a file: below its own directory unless the caller says otherwise. Refuses what is not a regular file.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import posixpath
import stat
import struct
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from h5py import h5f

from lazyzarr.errors import AccessDenied, LazyZarrError, SourceChanged, SourceDenied, SourceError, SourceMissing
from lazyzarr.formats.hdf5_headers import Reader, reader
from lazyzarr.formats.hdf5_model import Allow
from lazyzarr.ir.layout import Stamp

Packing = Literal["auto", "raw"]


DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, struct.error)
"""What h5py and NumPy raise on files that are not as the format says."""


@dataclass(frozen=True)
class File:
    """An open file and the words of the caller about it."""

    fid: Any
    path: str
    url: str
    stamp: Stamp
    packing: Packing
    allow: Allow | None
    trail: tuple[tuple[str, str], ...]
    """Links between files that led here."""
    headers: Reader | None
    """How to read object headers; None where libhdf5 has to be asked."""

    def beside(self, name: str) -> tuple[str, str]:
        """Path and URL of another file that this file names, if it may be used.

        Raises
        ------
        AccessDenied
            The caller's rule, or by default the directory of this file, leaves it out.
        """
        folder = os.path.dirname(os.path.abspath(self.path))
        path = os.path.normpath(os.path.join(folder, name))
        relative = os.path.relpath(path, folder).replace(os.sep, "/")
        if os.path.isabs(name):
            url = "file://" + quote(path)
        else:
            url = _join(self.url, relative)
        inside = relative != ".." and not relative.startswith("../")
        if self.allow(url) if self.allow is not None else inside:
            return path, url
        raise AccessDenied(
            f"{self.url} names another file, {url}, that may not be used; only files below its own directory may;"
            f' pass allow=["{posixpath.dirname(url)}/"]',
            where=url,
        )


@contextmanager
def opened(
    path: str, url: str, packing: Packing, allow: Allow | None, *, trail: tuple[tuple[str, str], ...] = ()
) -> Generator[File]:
    """A file open for parsing; leaving the block checks that it is still the file that was opened."""
    fid = _open(path, url)
    try:
        handle = fid.get_vfd_handle()
        stamp = _stamp(os.fstat(handle))
        yield File(fid, path, url, stamp, packing, allow, trail, reader(handle))
        if _stamp(os.fstat(handle)) != stamp:
            raise SourceChanged(f"{url} was parsed; it changed meanwhile; import it again when its writer is done")
    except LazyZarrError:
        raise
    except DAMAGE as error:
        raise SourceError(
            f"{url} is parsed; its structure is damaged: {error!r}; check it with h5dump", reason="source-format"
        ) from error
    finally:
        fid.close()


def stamp_of(path: str, url: str) -> Stamp:
    """The stamp of a file that is referenced without being parsed."""
    try:
        return _stamp(os.stat(path))
    except FileNotFoundError:
        raise SourceMissing(f"{url} is referenced; it is not there; restore it") from None


def _join(url: str, relative: str) -> str:
    scheme, colon, rest = url.partition("://")
    return scheme + colon + posixpath.normpath(posixpath.join(posixpath.dirname(rest), quote(relative)))


def _open(path: str, url: str) -> Any:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise SourceError(
                f"{url} is asked for; it is not a regular file; name an HDF5 file", reason="source-format"
            )
        return h5f.open(os.fsencode(path), h5f.ACC_RDONLY)
    except SourceError:
        raise
    except FileNotFoundError:
        raise SourceMissing(f"{url} is asked for; there is no such file; check the path") from None
    except PermissionError:
        raise SourceDenied(
            f"{url} is asked for; this process may not read it; check its mode", reason="source-denied"
        ) from None
    except BlockingIOError:
        raise SourceError(
            f"{url} is asked for; another process holds it open for writing; close it there first"
        ) from None
    except OSError as error:
        raise SourceError(
            f"{url} is asked for; it is not an HDF5 file or is damaged: {error}; check it with h5dump",
            reason="source-format",
        ) from None


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino)
