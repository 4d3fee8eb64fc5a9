"""One open HDF5 file: its handle, its stamp, and what it may reach beside itself.

Owns opening and closing, the check that the file did not change while it was parsed, and the rule for files named
inside a file: below its own directory unless the caller says otherwise. Refuses to go on where storage failed while
libhdf5 was reading: what was found then is not what the file holds.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import struct
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from lazyzarr.access.url import parent, shown
from lazyzarr.errors import AccessDenied, LazyZarrError, SourceChanged, SourceError
from lazyzarr.formats.hdf5_headers import Reader, reader
from lazyzarr.formats.hdf5_model import Allow
from lazyzarr.formats.hdf5_places import Handle, Place, Read
from lazyzarr.ir.layout import Stamp

Packing = Literal["auto", "raw"]
Trail = tuple[tuple[str, str], ...]


DAMAGE = (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, struct.error)
"""What h5py and NumPy raise on files that are not as the format says."""


@dataclass(frozen=True)
class File:
    """An open file and the words of the caller about it."""

    fid: Any
    read: Read
    place: Place
    stamp: Stamp
    packing: Packing
    allow: Allow | None
    trail: Trail
    """Links between files that led here."""
    headers: Reader | None
    """How to read object headers; None where libhdf5 has to be asked."""

    @property
    def url(self) -> str:
        """Where readers of what is imported will find it."""
        return self.place.url

    def beside(self, name: str) -> Place:
        """Another file that this file names, if it may be used.

        Raises
        ------
        AccessDenied
            The caller's rule, or by default the directory of this file, leaves it out.
        """
        place, inside = self.place.named(name)
        if self.allow(place.url) if self.allow is not None else inside:
            return place
        raise AccessDenied(
            f"{shown(self.url)} names another file, {place.url}, that may not be used; only files below its own "
            f'directory may; pass allow=["{parent(place.url)}"]',
            where=place.url,
        )


@contextmanager
def opened(place: Place, packing: Packing, allow: Allow | None, *, trail: Trail = ()) -> Generator[File]:
    """A file open for parsing; leaving the block checks that it is still the file that was opened."""
    handle = place.open()
    url = shown(place.url)
    try:
        yield File(handle.fid, handle.read, place, handle.stamp, packing, allow, trail, reader(handle.read))
        _raise_failure(handle)
        if handle.now() != handle.stamp:
            raise SourceChanged(f"{url} was parsed; it changed meanwhile; import it again when its writer is done")
    except LazyZarrError:
        _raise_failure(handle)
        raise
    except Exception as error:
        # libhdf5 tries one thing after another, so a failure of storage may come out as any other.
        _raise_failure(handle)
        if not isinstance(error, DAMAGE):
            raise
        raise SourceError(
            f"{url} is parsed; its structure is damaged: {error!r}; check it with h5dump", reason="source-format"
        ) from error
    finally:
        handle.fid.close()


def _raise_failure(handle: Handle) -> None:
    failure = handle.failure()
    if failure is not None:
        raise failure
