"""What went wrong with a local file, in our words.

Owns the errors that the operating system's turn into. Refuses to open anything, and to call something missing that
is only in the way: nobody said that the object under that name is absent.
"""

from __future__ import annotations

import errno
import os
import stat

from lazyzarr.access.url import shown
from lazyzarr.errors import (
    LazyZarrError,
    SourceDenied,
    SourceMissing,
    SourceProtocolError,
    SourceUnavailable,
)

_REFUSED = (errno.EACCES, errno.EPERM)
_EXHAUSTED = (errno.EMFILE, errno.ENFILE)
_NOT_REGULAR = (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP)
_MALFORMED = (errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)


def failure(url: str, error: OSError) -> LazyZarrError:
    """Our error for an error of the operating system."""
    place, text = shown(url), os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return SourceMissing(
            "the file cannot be read because it is not there; a missing source is never read as fill; "
            "restore it, or build the view again without it",
            where=place,
        )
    if error.errno in _REFUSED:
        return SourceDenied(
            f"the file cannot be read ({text}); this process has no permission; change its mode or the user",
            where=place,
        )
    if error.errno in _EXHAUSTED:
        return SourceUnavailable(
            f"the file cannot be opened ({text}); the process holds as many files as it may; "
            "close some, or raise the limit (ulimit -n)",
            where=place,
        )
    if error.errno in _NOT_REGULAR:
        return SourceProtocolError(
            f"the file cannot be read ({text}); it is a socket or a device; name a regular file",
            reason="source-format",
            where=place,
        )
    if error.errno in _MALFORMED:
        return SourceProtocolError(
            f"the file cannot be read ({text}); its path leads nowhere; correct it",
            where=place,
        )
    return SourceUnavailable(
        f"the file cannot be read ({text}); the storage failed; try again later",
        where=place,
    )


def beyond(url: str, offset: int, length: int, size: int | None) -> SourceProtocolError:
    """The error for a range that the object does not have."""
    has = "fewer bytes" if size is None else f"{size} bytes"
    return SourceProtocolError(
        f"bytes {offset} to {offset + length} were asked for, the object has {has}; it is truncated or the "
        "reference is wrong; restore the object, or build the view again",
        reason="chunk-length",
        where=shown(url),
    )


def not_regular(url: str, info: os.stat_result) -> LazyZarrError:
    """The error for a directory, a FIFO, a socket or a device."""
    if stat.S_ISDIR(info.st_mode):
        return SourceMissing(
            "the location cannot be read because it is a directory; there is no object under that name; "
            "name a file, or the Zarr node in the directory",
            # it is in the way of the object: nobody said that the object is absent
            reason="source-format",
            where=shown(url),
        )
    return SourceProtocolError(
        "the file cannot be read because it is a FIFO, a socket or a device; only regular files have a length that "
        "can be checked; name a regular file",
        reason="source-format",
        where=shown(url),
    )
