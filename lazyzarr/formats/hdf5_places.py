"""Where an HDF5 file is: on this machine or behind a session; and opening it there.

Owns `LocalPlace` and `RemotePlace`, which libhdf5 opens through its own driver and through a file object, and what
they say about the file: its stamp, its bytes, whether it is still the same. Refuses what is not a regular file, and a
local path that a remote file names: it means nothing beside a URL.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from h5py import h5f, h5fd, h5p

from lazyzarr.access.ranged_file import Cursor, RangedFile
from lazyzarr.access.url import join, parent, shown
from lazyzarr.errors import AccessDenied, LazyZarrError, SourceDenied, SourceError, SourceMissing
from lazyzarr.ir.layout import Stamp

Read = Callable[[int, int], Any]
"""Bytes of a file: given how many and from where, those, or fewer at its end."""


class Handle(NamedTuple):
    """An open file."""

    fid: Any
    read: Read
    stamp: Stamp
    now: Callable[[], Stamp]
    """What the file is now, as far as that is known without asking storage again."""
    failure: Callable[[], LazyZarrError | None]
    """What storage failed with while libhdf5 was reading."""


@dataclass(frozen=True)
class LocalPlace:
    """A file on this machine."""

    path: str
    url: str
    """Where readers of what is imported will find it."""
    grant = ""
    """The grant under which its chunks are read."""
    later = False
    """Whether each variable is described when it is asked for, not when the file is walked."""

    def open(self) -> Handle:
        """The file, open.

        Raises
        ------
        SourceMissing, SourceDenied, SourceError
            It is not there, not readable, or not HDF5.
        """
        fid = self._opened()
        handle = fid.get_vfd_handle()

        def now() -> Stamp:
            return _stamp(os.fstat(handle))

        return Handle(fid, partial(os.pread, handle), now(), now, _nothing)

    def stamp(self) -> Stamp:
        """The stamp of a file that is referenced without being parsed."""
        try:
            return _stamp(os.stat(self.path))
        except FileNotFoundError:
            raise SourceMissing(f"{self.url} is referenced; it is not there; restore it") from None

    def named(self, name: str) -> tuple[LocalPlace, bool]:
        """Another file that this one names, and whether it is below its directory."""
        folder = os.path.dirname(os.path.abspath(self.path))
        path = os.path.normpath(os.path.join(folder, name))
        relative = os.path.relpath(path, folder).replace(os.sep, "/")
        url = "file://" + quote(path) if os.path.isabs(name) else _join(self.url, relative)
        return LocalPlace(path, url), relative != ".." and not relative.startswith("../")

    def _opened(self) -> Any:
        url = self.url
        try:
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise SourceError(
                    f"{url} is asked for; it is not a regular file; name an HDF5 file", reason="source-format"
                )
            return h5f.open(os.fsencode(self.path), h5f.ACC_RDONLY)
        except SourceError:
            raise
        except (FileNotFoundError, NotADirectoryError):
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
            raise _damaged(url, error) from None


@dataclass(frozen=True)
class RemotePlace:
    """A file behind a session."""

    file: RangedFile
    later = True

    @property
    def url(self) -> str:
        """Its location."""
        return self.file.url

    @property
    def grant(self) -> str:
        """The grant under which it is read."""
        return self.file.grant

    def open(self) -> Handle:
        """The file, open; what was read of it before is not read again.

        Raises
        ------
        SourceError
            It is not HDF5, or cut off.
        LazyZarrError
            As `lazyzarr.access.session.Session.read`.
        """
        cursor = Cursor(self.file)
        stamp = self.file.stamp
        access = h5p.create(h5p.FILE_ACCESS)
        try:
            # Closing the file closes all that was opened in it: nothing may read through the cursor later.
            access.set_fclose_degree(h5f.CLOSE_STRONG)
            access.set_fileobj_driver(h5fd.fileobj_driver, cursor)
            fid = h5f.open(shown(self.url).encode(), h5f.ACC_RDONLY, access)
        except LazyZarrError:
            raise
        except OSError as error:
            if cursor.failure is not None:
                raise cursor.failure from error
            raise _damaged(shown(self.url), error) from None
        finally:
            # A list that outlives the interpreter would call back into it.
            del access
        return Handle(fid, cursor.read_at, stamp, lambda: stamp, lambda: cursor.failure)

    def stamp(self) -> Stamp:
        """The stamp of a file that is referenced without being parsed."""
        return self.file.session.stat(self.url, grant=self.grant)

    def named(self, name: str) -> tuple[RemotePlace, bool]:
        """Another file that this one names, relative to its URL, and whether it is below its directory.

        Raises
        ------
        AccessDenied
            The name is an absolute path.
        ViewSchemaError
            The name makes no acceptable location.
        """
        if name.startswith("/"):
            raise AccessDenied(
                f"{shown(self.url)} names the file {name!r} of the machine where it was written; a remote file reaches "
                "no local one; open that file by itself, or copy both to where the name leads",
                where=shown(self.url),
            )
        url = join(self.url, quote(posixpath.normpath(name), safe="/"))
        return RemotePlace(self.file.sibling(url)), url.startswith(parent(self.url))


Place = LocalPlace | RemotePlace


def place_of(where: str | RangedFile, url: str) -> Place:
    """The place of a path or a remote file."""
    return LocalPlace(where, url) if isinstance(where, str) else RemotePlace(where)


def _nothing() -> LazyZarrError | None:
    return None


def _damaged(url: str, error: OSError) -> SourceError:
    return SourceError(
        f"{url} is asked for; it is not an HDF5 file or is damaged: {error}; check it with h5dump",
        reason="source-format",
    )


def _join(url: str, relative: str) -> str:
    scheme, colon, rest = url.partition("://")
    return scheme + colon + posixpath.normpath(posixpath.join(posixpath.dirname(rest), quote(relative)))


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino)
