"""The beginning of an object, read in growing pieces: `Prefix`.

Owns reading a header of unknown length with few requests, from any location a session reads. Refuses headers longer
than a limit, and to read beyond the end.
"""

from __future__ import annotations

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.errors import SourceChanged, ViewLimitError
from lazyzarr.formats.referenced import malformed

FIRST = 1 << 16
"""Bytes of the first request."""
MOST = 64 << 20
"""Longest header accepted [bytes]."""


class Prefix:
    """Bytes of an object by position, fetched from the start on as they are needed.

    Examples
    --------
    >>> from lazyzarr.access.url import from_user
    >>> bytes(Prefix(Session(), from_user(__file__), "Python").bytes(0, 3))
    b'\"\"\"'
    """

    def __init__(self, session: Session, url: str, kind: str) -> None:
        self._session = session
        self._url = url
        self._kind = kind
        self._data = b""
        self.stamp = session.stat(url)
        self.size = self.stamp.size or 0
        """Length of the object [bytes]."""

    def bytes(self, offset: int, length: int) -> memoryview:
        """The bytes from ``offset`` on, near the start.

        Raises
        ------
        SourceProtocolError
            ``source-format``: the object ends before.
        ViewLimitError
            They are beyond the longest header.
        """
        end = offset + length
        if offset < 0 or length < 0 or end > self.size:
            raise self.malformed(f"its header refers to bytes {offset} to {end} of {self.size}")
        if end > len(self._data):
            if end > MOST:
                raise ViewLimitError(
                    "header bytes", end, MOST, where=shown(self._url), remedy="such a file is not read; copy the data"
                )
            upto = min(self.size, max(FIRST, 2 * len(self._data), end))
            have = len(self._data)
            more = self._session.read(self._url, offset=have, length=upto - have, stamp=self.stamp)
            self._data += bytes(more)
        return memoryview(self._data)[offset:end]

    def at(self, offset: int, length: int) -> memoryview:
        """Bytes anywhere in the object, in a request of their own where they are not near the start."""
        if offset + length <= max(len(self._data), min(FIRST, self.size)):
            return self.bytes(offset, length)
        if offset < 0 or length < 0 or offset + length > self.size:
            raise self.malformed(f"its header refers to bytes {offset} to {offset + length} of {self.size}")
        if length > MOST:
            raise ViewLimitError(
                "header bytes", length, MOST, where=shown(self._url), remedy="such a file is not read; copy the data"
            )
        return memoryview(self._session.read(self._url, offset=offset, length=length, stamp=self.stamp)).cast("B")

    def finish(self) -> None:
        """Return if the object is still the one that was read.

        Raises
        ------
        SourceChanged
            It was written to while it was read.
        """
        if self._session.stat(self._url) != self.stamp:
            raise SourceChanged(
                f"{shown(self._url)} was written to while it was opened; its references are not known; open it again"
            )

    def malformed(self, what: str) -> Exception:
        """The error for this object."""
        return malformed(self._kind, shown(self._url), what)
