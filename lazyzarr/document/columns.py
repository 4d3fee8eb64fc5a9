"""Columns that stay in storage until their rows are asked for: `LazyColumn`.

Owns reading the chunks of a column that is a child array of a view, or the inner chunks of its shards, a small cache
of them decoded, and the check of values against the bounds that the graph sets for them. Refuses missing chunks: a
table is whole, and an absent chunk is an error, never fill.
"""

from __future__ import annotations

import operator
import threading
import weakref
from collections import OrderedDict
from collections.abc import Buffer, Sequence
from itertools import groupby
from typing import Any, NamedTuple, cast

import numpy as np

from lazyzarr.access.held_files import HeldFile
from lazyzarr.access.session import Session
from lazyzarr.access.url import child
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.codecs.sharding import MISSING
from lazyzarr.errors import SelectionError, SourceMissing, ViewSchemaError
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.layout import Layout

Array = np.ndarray[Any, np.dtype[Any]]
CACHE_BYTES = 32 << 20


class ChunkCache:
    """Decoded chunks of the columns of one document, by location and number, the least recently used forgotten first.

    Thread-safe.

    Examples
    --------
    >>> cache = ChunkCache(16)
    >>> cache.put(("a", 0), np.zeros(2)), cache.put(("b", 0), np.zeros(1)), cache.get(("a", 0)) is None
    (None, None, True)
    """

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self.most_bytes = most_bytes
        self._held: OrderedDict[tuple[str, int], Array] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int]) -> Array | None:
        """The chunk under a key, if it is still held."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def put(self, key: tuple[str, int], chunk: Array) -> None:
        """Hold a chunk, and let others go."""
        with self._lock:
            before = self._held.pop(key, None)
            self._bytes += chunk.nbytes - (0 if before is None else before.nbytes)
            self._held[key] = chunk
            while self._bytes > self.most_bytes and len(self._held) > 1:
                _, gone = self._held.popitem(last=False)
                self._bytes -= gone.nbytes

    def __reduce__(self) -> tuple[object, ...]:
        return ChunkCache, (self.most_bytes,)


class Bounds(NamedTuple):
    """What values a column may have."""

    lowest: int
    stop: int
    where: str
    """Place in the document that is named when a value is outside."""

    def check(self, values: Array) -> None:
        """Return if all values are within.

        Raises
        ------
        ViewSchemaError
            ``table-invalid``, with the place.
        """
        if not values.size:
            return
        low, high = values.min(), values.max()
        if low < self.lowest or high >= self.stop:
            raise ViewSchemaError(
                f"the column has values {low}..{high}; the graph takes {self.lowest}..{self.stop - 1}; "
                "save the view again",
                reason="table-invalid",
                where=self.where,
            )


class LazyColumn:
    """A column of a stored table; chunks are loaded when rows of them are asked for.

    Parameters
    ----------
    url
        Location of the child array.
    shape
        Of the whole column; chunks divide the first axis only.
    layout
        Data type, chunk shape and codecs of the child array.
    session, grant
        Who reads, and under which grant.
    cache
        Shared by the columns of a document.
    """

    __slots__ = (
        *("_cache", "_chain", "_files", "_front", "_grant", "_last", "_layout"),
        *("_session", "_shard", "_size", "_tail", "_url"),
        *("bounds", "dtype", "shape"),
    )

    def __init__(
        self,
        url: str,
        *,
        shape: tuple[int, ...],
        layout: Layout,
        session: Session,
        grant: str = "",
        cache: ChunkCache | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self.shape = shape
        self.dtype: np.dtype[Any] = to_numpy(layout.data_type)
        self.bounds = bounds
        self._url, self._layout, self._session, self._grant = url, layout, session, grant
        self._cache = ChunkCache() if cache is None else cache
        self._chain = compile_chain(layout)
        self._shard = 1 if self._chain.sharding is None else self._chain.sharding.grid[0]
        """How many chunks, as they are read and numbered here, are in one stored object."""
        self._size = (layout.chunk_shape[0] if layout.chunk_shape else 1) // self._shard
        """Rows of one."""
        self._files: dict[int, weakref.ref[HeldFile]] = {}
        """Shards that are open."""
        self._front, self._tail = child(url, "c"), "/0" * (len(shape) - 1)
        self._last: tuple[int, weakref.ref[Array]] | None = None
        """The chunk used last, found without a look at the cache as long as that holds it."""

    def __getitem__(self, key: Any, /) -> Any:
        # one row, or neighbours, of a point read: nine of these make one stored array
        if type(key) is int:
            row = self._row(key)
            number, at = divmod(row, self._size)
            return self._chunk(number)[at]
        if type(key) is slice:
            return self._slice(key)
        if key is Ellipsis or (isinstance(key, tuple) and not key):
            return self.__array__()[key]
        if isinstance(key, tuple):
            parts = cast(tuple[Any, ...], key)
            rows = self[parts[0]]
            behind = parts[1:] if isinstance(parts[0], int) else (slice(None), *parts[1:])
            return rows[behind] if len(parts) > 1 else rows
        if isinstance(key, np.ndarray):
            return self._gather(cast(Array, key).astype(np.int64, copy=False))
        return self[operator.index(key)]

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self._slice(slice(None)) if self.shape else self._chunk(0).reshape(())
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self._url, self.shape, self._layout, self._session, self._grant, self._cache, self.bounds)

    def __repr__(self) -> str:
        return f"LazyColumn({self._url!r}, shape={self.shape}, dtype={self.dtype})"

    def _row(self, row: int) -> int:
        length = self.shape[0] if self.shape else 0
        if not -length <= row < length:
            raise SelectionError(
                f"row {row} is asked for; the column has {length}; ask for one of them", reason="index-bounds"
            )
        return row % length

    def _slice(self, key: slice) -> Array:
        start, stop, step = key.indices(self.shape[0])
        if step != 1:
            return self._gather(np.arange(start, stop, step))
        size = self._size
        if stop <= start:
            return np.empty((0, *self.shape[1:]), self.dtype)
        first, last = start // size, (stop - 1) // size
        if first == last:
            return self._chunk(first)[start - first * size : stop - first * size]
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self._load_ahead(range(first, last + 1))
        for number in range(first, last + 1):
            low, high = max(start, number * size), min(stop, (number + 1) * size)
            out[low - start : high - start] = self._chunk(number)[low - number * size : high - number * size]
        return out

    def _gather(self, rows: Array) -> Array:
        length = self.shape[0]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        if not len(rows):
            return out
        self._row(int(rows.min()))
        self._row(int(rows.max()))
        rows = np.where(rows < 0, rows + length, rows)
        size = self._size
        numbers = rows // size
        first, last = int(numbers.min()), int(numbers.max())
        if first == last:
            return self._chunk(first)[rows - first * size]
        found = np.unique(numbers).tolist()
        self._load_ahead(found)
        for number in found:
            here = numbers == number
            out[here] = self._chunk(number)[rows[here] - number * size]
        return out

    def _chunk(self, number: int) -> Array:
        last = self._last
        if last is not None and last[0] == number and (held := last[1]()) is not None:
            return held
        key = (self._url, number)
        found = self._cache.get(key)
        if found is None:
            if 0 in self.shape[1:]:
                return np.empty((self._size, *self.shape[1:]), self.dtype)
            found = self._load(number)
            self._keep(number, found)
        self._last = (number, weakref.ref(found))
        return found

    def _keep(self, number: int, chunk: Array) -> None:
        if self.bounds is not None:
            self.bounds.check(chunk)
        if chunk.flags.writeable:
            chunk.flags.writeable = False
        self._cache.put((self._url, number), chunk)

    @property
    def in_shards(self) -> bool:
        """Whether stored objects hold several chunks."""
        return self._chain.sharding is not None

    def _load(self, number: int) -> Array:
        """A chunk from storage, without what it has beyond the end of the column."""
        if self.in_shards:
            return self._load_inner(number // self._shard, (number,))[0]
        found = self._chain.decode(memoryview(self._session.read(self._object(number), grant=self._grant)))
        return found[: self.shape[0] - number * self._size] if self.shape else found

    def _load_ahead(self, numbers: Sequence[int]) -> None:
        """Read the chunks, ascending, that are not held and are in one object with another one, at one request each."""
        if self._shard == 1:
            return
        for shard, group in groupby(numbers, lambda number: number // self._shard):
            absent = [number for number in group if self._cache.get((self._url, number)) is None]
            if len(absent) > 1:
                for number, chunk in zip(absent, self._load_inner(shard, absent), strict=True):
                    self._keep(number, chunk)

    def _load_inner(self, shard: int, numbers: Sequence[int]) -> list[Array]:
        """Inner chunks of a shard, ascending, with one request for all that is between the first and the last byte."""
        sharding = self._chain.sharding
        assert sharding is not None
        url = self._object(shard)
        held = self._ranges(shard, url)
        ranges = [held[number - shard * self._shard].tolist() for number in numbers]
        first, stop = min(ranges)[0], max(map(sum, ranges))
        if first < 0:
            number = next(number for number, (at, _) in zip(numbers, ranges, strict=True) if at < 0)
            raise SourceMissing(
                f"the chunk of the rows from {number * self._size} on is not in its shard {url}; a table is whole; "
                "save the view again",
            )
        data = memoryview(self._read(shard, url, first, stop - first))
        return [
            sharding.chain.decode(data[at - first : at - first + length])[: self.shape[0] - number * self._size]
            for number, (at, length) in zip(numbers, ranges, strict=True)
        ]

    def _ranges(self, shard: int, url: str) -> Array:
        """Offsets and lengths int64 (k, 2) [bytes] of the inner chunks of a shard, -1 where there is none."""
        key = (self._url, ~shard)
        found = self._cache.get(key)
        if found is None:
            sharding = self._chain.sharding
            assert sharding is not None
            nbytes = None if sharding.index_first else self._session.stat(url, grant=self._grant).size or 0
            at, length = (0, sharding.index_nbytes) if nbytes is None else sharding.index_range(nbytes)
            index = memoryview(self._read(shard, url, at, length))
            pairs = np.stack(sharding.parse_index(index, nbytes), axis=-1).reshape(-1, 2)
            found = np.where(pairs == MISSING, -1, pairs.astype(np.int64))
            self._cache.put(key, found)
        return found

    def _read(self, shard: int, url: str, offset: int, length: int) -> Buffer:
        """A part of a shard."""
        known = self._files.get(shard)
        file = None if known is None else known()
        if file is None:
            file = HeldFile.open(self._session, url, self._grant)
            if file is None:
                return self._session.read(url, grant=self._grant, offset=offset, length=length)
            self._files[shard] = weakref.ref(file)
        return file.read(offset, length)

    def _object(self, number: int) -> str:
        """Location of a stored chunk."""
        return f"{self._front}/{number}{self._tail}" if self.shape else self._front


def _restore(
    url: str,
    shape: tuple[int, ...],
    layout: Layout,
    session: Session,
    grant: str,
    cache: ChunkCache,
    bounds: Bounds | None,
) -> LazyColumn:
    return LazyColumn(url, shape=shape, layout=layout, session=session, grant=grant, cache=cache, bounds=bounds)
