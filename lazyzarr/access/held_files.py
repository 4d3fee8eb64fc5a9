"""Local files whose content never changes, kept open from one read to the next: shards of stored tables.

Owns `HeldFile` and how many there are. Each point of a view of very many arrays reads a few hundred bytes of such a
file, and opening it costs more than that. What was checked when the file was opened is the descriptor that is read,
whatever is under its name by then. Refuses files that may change, which are opened and checked for each read, and more
than `MOST` open files in a process: the one opened first is closed, once nobody reads it any more.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Self

from lazyzarr.access.counts import Counts
from lazyzarr.access.local import LocalFiles
from lazyzarr.access.local_errors import beyond, failure
from lazyzarr.access.session import Session

MOST = min(64, max(os.sysconf("SC_OPEN_MAX") // 8, 1))
"""An eighth of the files that a process may have open when it starts, and no more than 64."""
_kept: deque[HeldFile] = deque(maxlen=MOST)
"""What keeps them open; others have weak references."""


class HeldFile:
    """An open file that never changes; made by `open`, safe to use from several threads and after a fork."""

    __slots__ = ("__weakref__", "_counts", "_fd", "_size", "_url")

    def __init__(self, fd: int, size: int, url: str, counts: Counts) -> None:
        self._fd, self._size, self._url, self._counts = fd, size, url, counts

    @classmethod
    def open(cls, session: Session, url: str, grant: str) -> Self | None:
        """The file at a location, and keep it open for some time; None where only the session knows how to read it.

        Raises
        ------
        LazyZarrError
            As `Session.read`.

        Examples
        --------
        >>> from lazyzarr.access.url import from_user
        >>> file = HeldFile.open(Session(), from_user(__file__), "")
        >>> file.read(0, 3), HeldFile.open(Session(), "s3://bucket/c/0", "") is None
        (b'\"\"\"', True)
        """
        granted = session.grants.get(grant) if grant else None
        if url[:7] != "file://" or (grant and granted is None):
            return None
        made = cls(*LocalFiles(session.counts).opened(url, granted), url, session.counts)
        _kept.append(made)
        return made

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a range.

        Raises
        ------
        SourceProtocolError
            ``chunk-length``: the file does not have these bytes.
        LazyZarrError
            As `Session.read`.
        """
        if offset < 0 or length < 0 or offset + length > self._size:
            raise beyond(self._url, offset, length, self._size)
        try:
            data = os.pread(self._fd, length, offset)
        except OSError as error:
            raise failure(self._url, error) from error
        if len(data) != length:
            raise beyond(self._url, offset, length, os.fstat(self._fd).st_size)
        self._counts.add(self._url, requests=1, moved=length)
        return data

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # modules may be gone when a process ends
        close(self._fd)
