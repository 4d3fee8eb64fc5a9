"""Offsets of byte ranges, stored as the gaps between ranges that follow each other: the column ``gap``.

Owns both directions of G-045. Chunks that were appended to their files one after the other have gaps of 0 or nearly so,
which take next to nothing, where offsets take two to three bytes a chunk; where offsets are regular or anywhere, they
are stored as they are. Gaps begin anew in every chunk of the
column, so that no chunk needs another one to be understood. Refuses to decide what an offset means: a range that lies
nowhere is refused where it is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.codecs.registry import SHARDING
from lazyzarr.document.columns import LazyColumn
from lazyzarr.document.plain_array import layout_of
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.tables import Column

Array = np.ndarray[Any, np.dtype[Any]]
GAP = "gap"
WORTH = 1 / 8
"""What gaps have to save, or offsets are stored, which need nobody's arithmetic [bytes per row]."""
LEAST = 256
"""And that in a chunk [bytes]."""
OFFSET, LENGTH = "offset", "length"
WHOSE = ("origin", "place")
"""The first of these columns that a table has says which rows are of one object; without any, all are."""


def gaps_of(offset: Array, length: Array, whose: Array | None) -> Array:
    """Distances int64 (n,) of ranges from the end of the one before of the same object, or from 0 [bytes].

    Parameters
    ----------
    offset, length
        Of n ranges, uint64 [bytes]; sums are taken modulo 2^64, so every offset has a gap.
    whose
        Objects of the ranges, integers (n,); None: all are of one.

    Examples
    --------
    >>> offset, length = np.array([8, 12, 100], "u8"), np.array([4, 8, 1], "u8")
    >>> gaps_of(offset, length, None), gaps_of(offset, length, np.array([0, 0, 1]))
    (array([ 8,  0, 80]), array([  8,   0, 100]))
    """
    order, first = _order(len(offset), whose)
    begin = offset if order is None else offset[order]
    end = begin + (length if order is None else length[order])
    gap = begin.copy()
    gap[1:] -= np.where(first[1:], np.uint64(0), end[:-1])
    return _back(gap, order).view(np.int64)


def offsets_of(gap: Array, length: Array, whose: Array | None) -> Array:
    """Offsets uint64 (n,) of ranges [bytes]: the inverse of `gaps_of`.

    Examples
    --------
    >>> offsets_of(np.array([8, 0, 80]), np.array([4, 8, 1], "u8"), None)
    array([  8,  12, 100], dtype=uint64)
    """
    order, first = _order(len(gap), whose)
    end = gap.view(np.uint64) + length
    if order is not None:
        end = end[order]
    begins = np.flatnonzero(first)
    if len(begins) > 1:  # each object takes back what those before it add up to
        end[begins[1:]] -= np.add.reduceat(end, begins)[:-1]
    np.cumsum(end, out=end)
    end = _back(end, order)
    end -= length
    return end


class Gaps:
    """The column ``gap`` of a table that has offsets, made for the rows of one chunk at a time.

    Parameters
    ----------
    table
        Columns with `OFFSET`, `LENGTH` and maybe one of `WHOSE`.
    rows
        Length of the chunks of the column; slices of it begin and end with them.
    """

    def __init__(self, table: dict[str, Column], rows: int) -> None:
        self.rows = rows
        self.shape = table[OFFSET].shape
        self.dtype: np.dtype[Any] = np.dtype(np.int64)
        self._columns = [table[OFFSET], table[LENGTH], *([table[whose]] if (whose := whose_of(table)) else ())]

    def __getitem__(self, key: Any, /) -> Array:
        start, stop, _ = key.indices(self.shape[0])
        found = [self._one(slice(k, min(k + self.rows, stop))) for k in range(start, stop, self.rows)]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _one(self, rows: slice) -> Array:
        offset, length, *whose = (np.asarray(column[rows]) for column in self._columns)
        return gaps_of(offset, length, whose[0] if whose else None)


class OffsetColumn(LazyColumn):
    """The column ``offset`` of a stored table that has gaps: a chunk of it needs the rows of that chunk only."""

    __slots__ = ("_length", "_whose")

    def __init__(self, gap: LazyColumn, length: Column, whose: Column | None) -> None:
        super().__init__(
            gap._url,
            shape=gap.shape,
            layout=gap._layout,
            session=gap._session,
            grant=gap._grant,
            cache=gap._cache,
            bounds=gap.bounds,
        )
        self.dtype = np.dtype(np.uint64)
        self._length, self._whose = length, whose

    def __reduce__(self) -> tuple[object, ...]:
        gap = LazyColumn(
            self._url,
            shape=self.shape,
            layout=self._layout,
            session=self._session,
            grant=self._grant,
            cache=self._cache,
            bounds=self.bounds,
        )
        return OffsetColumn, (gap, self._length, self._whose)

    def _load(self, number: int) -> Array:
        gap = super()._load(number)
        first = number * self._layout.chunk_shape[0]
        rows = slice(first, first + len(gap))
        whose = None if self._whose is None else np.asarray(self._whose[rows])
        return offsets_of(gap, np.asarray(self._length[rows]), whose)


def with_gaps(columns: dict[str, Column], rows: int) -> dict[str, Column]:
    """The columns of a table as they are stored, in chunks of at most so many rows: with gaps if that saves enough.

    The first chunk decides.
    """
    if OFFSET not in columns or LENGTH not in columns:
        return columns
    rows = max(min(columns[OFFSET].shape[0], rows), 1)
    found = {name: column for name, column in columns.items() if name != OFFSET}
    found[GAP] = Gaps(columns, rows)
    less, more = (_size(np.asarray(column[:rows])) for column in (found[GAP], columns[OFFSET]))
    return found if more - less > max(WORTH * rows, LEAST) else columns


def with_offsets(columns: dict[str, LazyColumn], where: str) -> dict[str, LazyColumn]:
    """The columns of a stored table with offsets, whichever way they are stored.

    Raises
    ------
    ViewSchemaError
        ``table-invalid``: gaps without what they are gaps between.
    """
    if GAP not in columns:
        return columns
    gap, length, name = columns[GAP], columns.get(LENGTH), whose_of(columns)
    whose = None if name is None else columns[name]
    for column, dtype in ((GAP, np.int64), (LENGTH, np.uint64), *(() if name is None else ((name, np.int32),))):
        held = columns.get(column)
        if held is not None and (held.dtype != dtype or len(held.shape) != 1):
            raise ViewSchemaError(
                f"the column is {held.dtype} of rank {len(held.shape)}, not {np.dtype(dtype)} of rank 1; "
                "save the view again",
                reason="table-invalid",
                where=f"{where}.columns.{column}",
            )
    if (
        OFFSET in columns
        or length is None
        or any(one is not None and one.shape != gap.shape for one in (length, whose))
    ):
        raise ViewSchemaError(
            "the table has the column gap, and not beside it one length, and at most one object, for each row; "
            "gaps are between ranges that are known; save the view again",
            reason="table-invalid",
            where=where,
        )
    if any(codec.name == SHARDING for codec in gap._layout.codecs):
        raise ViewSchemaError(
            "gaps begin anew in every chunk, and shards have chunks in chunks; save the view again",
            reason="table-invalid",
            where=f"{where}.columns.{GAP}",
        )
    found = {name: column for name, column in columns.items() if name != GAP}
    found[OFFSET] = OffsetColumn(gap, length, whose)
    return found


def whose_of(columns: dict[str, Any]) -> str | None:
    """The column that says which rows are of one object.

    Examples
    --------
    >>> whose_of({"gap": None, "place": None}), whose_of({})
    ('place', None)
    """
    return next((name for name in WHOSE if name in columns), None)


def _order(count: int, whose: Array | None) -> tuple[Array | None, Array]:
    """The order in which the rows of each object are together (None: they are), and which of them begin one."""
    first = np.zeros(count, bool)
    first[:1] = True
    if whose is None:
        return None, first
    order = None
    if (whose[1:] < whose[:-1]).any():
        order = np.argsort(whose, kind="stable")
        whose = whose[order]
    first[1:] = whose[1:] != whose[:-1]
    return order, first


def _back(values: Array, order: Array | None) -> Array:
    if order is None:
        return values
    out = np.empty_like(values)
    out[order] = values
    return out


def _size(sample: Array) -> int:
    return len(compile_chain(layout_of(sample, sample.shape)).encode(sample)) if sample.size else 0
