"""Remote objects as files: reading at any position, in few requests, of one and the same object throughout.

Owns `RangedFile`, which keeps blocks of an object and fetches runs of those it lacks, and `Cursor`, the file object
on top of it for libraries that want one. The size and the tag of the first answer hold for every later one, whatever
the session says about stamps: structures read from two states of an object describe neither.

Refuses to write, and local files: their descriptors do this better. A file that failed to answer keeps failing for
the cursor that asked, so that a caller that swallows the error cannot go on with half of a file.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Buffer

from lazyzarr.access.remote import Span, astray
from lazyzarr.access.session import Session
from lazyzarr.access.stamps import compare
from lazyzarr.errors import LazyZarrError, SourceProtocolError
from lazyzarr.ir.layout import Stamp

BLOCK = 1 << 16
"""Objects are kept in blocks of this size [bytes]."""
FIRST = 1 << 18
"""What the first request for an object asks for; most metadata of most files is there [bytes]."""
AHEAD = 1 << 20
"""What is fetched at most beyond what was asked for, where reading goes on in order [bytes]."""
KEPT = 1 << 25
"""Blocks kept for all files of one family [bytes]."""


class _Blocks:
    """The blocks read last, up to `KEPT` bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def get(self, url: str, numbers: range) -> dict[int, bytes]:
        """Those of some blocks of an object that are there."""
        found: dict[int, bytes] = {}
        with self._lock:
            for number in numbers:
                block = self._held.get((url, number))
                if block is not None:
                    self._held.move_to_end((url, number))
                    found[number] = block
        return found

    def put(self, url: str, blocks: dict[int, bytes]) -> None:
        with self._lock:
            self._held.update(((url, number), block) for number, block in blocks.items())
            while len(self._held) * BLOCK > KEPT:
                self._held.popitem(last=False)


class RangedFile:
    """One remote object, read at any position; safe to use from several threads.

    Parameters
    ----------
    session
        Through which it is read.
    url
        Location of the object.
    grant
        Name of the grant under which it is read; ``""`` for the caller's own.
    beside
        Name of the grant under which the objects are read that this one names; see `sibling`.

    Examples
    --------
    >>> import fsspec
    >>> fsspec.filesystem("memory").pipe("/doc/a.bin", b"0123456789")
    >>> session = Session()
    >>> file = RangedFile(session, "memory:///doc/a.bin")
    >>> bytes(file.read_at(3, 4)), bytes(file.read_at(3, 8)), file.stamp.size
    (b'456', b'89', 10)
    """

    def __init__(self, session: Session, url: str, *, grant: str = "", beside: str = "") -> None:
        self.session = session
        self.url = url
        self.grant = grant
        self.beside = beside
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._blocks = _Blocks()
        self._family: dict[str, RangedFile] = {url: self}
        self._next = 0
        self._ahead = 1

    def sibling(self, url: str) -> RangedFile:
        """Another object that this one names, read under the grant `beside`; always the same for a location.

        All siblings share the memory for blocks.
        """
        with self._lock:
            found = self._family.get(url)
            if found is None:
                found = RangedFile(self.session, url, grant=self.beside, beside=self.beside)
                found._blocks, found._family, found._lock = self._blocks, self._family, self._lock
                self._family[url] = found
            return found

    @property
    def stamp(self) -> Stamp:
        """Size and entity tag of the object as its first answer said; asking costs that first request."""
        return self._stamp if self._stamp is not None else self._begun()

    def read_at(self, size: int, offset: int) -> memoryview:
        """``size`` bytes from ``offset`` on, fewer where the object ends [bytes].

        Raises
        ------
        SourceChanged
            The object is no longer the one of the first answer.
        LazyZarrError
            As `Session.read`.
        """
        end = min(offset + size, self.stamp.size or 0)
        if offset >= end:
            return memoryview(b"")
        numbers = range(offset // BLOCK, -(-end // BLOCK))
        found = self._blocks.get(self.url, numbers)
        lacking = [number for number in numbers if number not in found]
        if lacking:
            found.update(self._fetched(range(lacking[0], lacking[-1] + 1)))
        first = numbers.start * BLOCK
        if len(numbers) == 1:
            return memoryview(found[numbers.start])[offset - first : end - first]
        return memoryview(b"".join(found[number] for number in numbers))[offset - first : end - first]

    def _begun(self) -> Stamp:
        """Send the first request."""
        try:
            data, stamp = self.session._fetch(self.url, self.grant, Span(0, FIRST, short=True), None)
        except SourceProtocolError as error:
            # Some storage refuses every range of an object that has no bytes.
            if error.reason != "chunk-length" or (stamp := self.session.stat(self.url, grant=self.grant)).size != 0:
                raise
            data = b""
        if stamp.size is None:
            told = self.session.stat(self.url, grant=self.grant)
            compare(self.url, stamp, told)
            stamp = Stamp(told.size, etag=stamp.etag or told.etag)
        if stamp.size is None:
            raise astray(self.url, "the storage does not say how long the object is")
        stamp = Stamp(stamp.size, etag=stamp.etag)
        with self._lock:
            if self._stamp is None:
                self._stamp = stamp
                self._keep(0, data)
                self._next = FIRST // BLOCK
        compare(self.url, self._stamp, stamp)
        return self._stamp

    def _fetched(self, numbers: range) -> dict[int, bytes]:
        """Blocks from storage, and those behind them where the last fetch ended just before."""
        size = self.stamp.size or 0
        self._ahead = min(self._ahead * 2, AHEAD // BLOCK) if numbers.start == self._next else 1
        stop = min(max(numbers.stop, numbers.start + self._ahead), -(-size // BLOCK))
        start = numbers.start * BLOCK
        span = Span(start, min(stop * BLOCK, size) - start)
        data = self.session._fetch(self.url, self.grant, span, self.stamp).data
        self._next = stop
        return self._keep(numbers.start, data)

    def _keep(self, number: int, data: Buffer) -> dict[int, bytes]:
        view = memoryview(data)
        cuts = range(0, len(view), BLOCK)
        blocks = {number + k: bytes(view[at : at + BLOCK]) for k, at in enumerate(cuts)}
        self._blocks.put(self.url, blocks)
        return blocks


class Cursor(io.RawIOBase):
    """A `RangedFile` with a position, for libraries that read file objects."""

    def __init__(self, file: RangedFile) -> None:
        super().__init__()
        self._file = file
        self._at = 0
        self.failure: LazyZarrError | None = None
        """What the storage failed with; every read after it fails alike."""

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position counted from the start, from here, or from the end."""
        start = (0, self._at, self._file.stamp.size or 0)[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """The position [bytes]."""
        return self._at

    def read_at(self, size: int, offset: int) -> memoryview:
        """As `RangedFile.read_at`."""
        if self.failure is not None:
            raise self.failure
        try:
            return self._file.read_at(size, offset)
        except LazyZarrError as error:
            self.failure = error
            raise

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer, or as much of it as the object has bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read_at(len(view), self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
