"""Placements to manifest rows: which window of which chunk fills which box of the view.

1. Every placement is cut at the chunk borders of its source, one axis at a time, for all placements at once.
2. A row is one chunk's share of one placement: chunk, window in the chunk, box of the view (M2: a window
   never reaches beyond the chunk's logical extent).
3. Gathered axes are cut where neighbouring cells fall into different chunks.
Refuses to know where chunks are stored: that is `lazyzarr.lower.locate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lazyzarr.errors import ViewLimitError
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import AFFINE, UNFED, Placements, ranges, rows

MAX_FRAGMENTS = 50_000_000
"""Fragments that are made at once."""
MAX_CHUNKS = 400_000_000
"""Chunks of a manifest, 29 bytes each in memory; more fragments are not looked at either."""
BLOCK = 1 << 15
"""Fragments of a block: enough that a pass over one costs columns and not calls."""


@dataclass(frozen=True, slots=True)
class Fragments:
    """m fragments of chunks of sources of rank up to q in a view of rank r.

    Cell ``j`` along source axis ``a`` is ``start + step * u`` of the chunk and goes to view cell
    ``into_first + into_step * w`` of the view axis ``axis[a]``; ``u = w = j`` on an affine axis, members of
    the pools from ``pool`` on, on a gathered one, as in `Placements`.
    """

    source: np.ndarray
    """int64 (m,): number in the `SourceSpace`."""
    layout: np.ndarray
    """int32 (m,): position in ``layouts``."""
    chunk: np.ndarray
    """int64 (m, q): coordinates in the chunk grid of the source."""
    start: np.ndarray
    step: np.ndarray
    count: np.ndarray
    """int64 (m, q) [cells of the chunk]."""
    axis: np.ndarray
    """int16 (m, q): the view axis that feeds each chunk axis, or `UNFED`."""
    pool: np.ndarray
    into_first: np.ndarray
    into_step: np.ndarray
    into_count: np.ndarray
    """int64 (m, r) [cells of the view]."""
    pool_from: np.ndarray
    pool_into: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    def rows(self, keep: np.ndarray) -> Fragments:
        """The fragments at these positions."""
        return replace(self, **{name: getattr(self, name)[keep] for name in ROWS})

    @property
    def nbytes(self) -> int:
        """Memory of the columns [bytes]."""
        return sum(getattr(self, name).nbytes for name in self.__slots__)

    @property
    def cells(self) -> np.ndarray:
        """int64 (m,): cells of the view that each fragment fills."""
        return self.into_count.prod(axis=1)


ROWS = (
    *("source", "layout", "chunk", "start", "step", "count", "axis", "pool"),
    *("into_first", "into_step", "into_count"),
)
"""Columns with a row for each fragment."""


def fragments(lowered: Lowered) -> Fragments:
    """The fragments of all placements of sources, in the order of the placements.

    Within a placement the chunks follow each other in the order in which the view meets them, last axis
    fastest.
    """
    placed = _of_sources(lowered.placements)
    return _cut(placed, _chunk_shapes(lowered, placed))


def cut_along(lowered: Lowered, axis: int) -> Fragments:
    """Placements of sources cut at the chunk borders of one source axis alone: what lies along it, without the product.

    The columns of the other axes are those of whole placements.
    """
    placed = _of_sources(lowered.placements)
    cut = _Cut(placed, _chunk_shapes(lowered, placed))
    cut.along(axis)
    return cut.fragments()


def blocks(lowered: Lowered, most: int = BLOCK) -> Iterator[Fragments]:
    """The same fragments, about so many at once, so that passes over 10^8 of them need memory for few.

    A placement with more fragments is divided at chunk borders, along the axis with the most chunks.

    Raises
    ------
    ViewLimitError
        There are more than `MAX_CHUNKS`.
    """
    placed = _of_sources(lowered.placements)
    chunk_shape = _chunk_shapes(lowered, placed)
    weight = _chunks_along(placed, chunk_shape).prod(axis=1, dtype=np.float64)
    if weight.sum() > MAX_CHUNKS:
        raise ViewLimitError("chunks", int(weight.sum()), MAX_CHUNKS, remedy="take a smaller part of the view")
    start = 0
    while start < len(placed):
        held = np.cumsum(weight[start : start + most])
        stop = start + max(int(np.searchsorted(held, most, side="right")), 1)
        part = rows(placed, np.arange(start, stop))
        if stop - start == 1 and weight[start] > most:
            waiting = [part]
            while waiting:
                piece = waiting.pop()
                along = _chunks_along(piece, chunk_shape[start : start + 1])[0]
                if along.prod(dtype=np.float64) <= most or along.max() < 2:
                    yield _cut(piece, chunk_shape[start : start + 1])
                else:
                    waiting.extend(_halves(piece, chunk_shape[start], int(np.argmax(along))))
        else:
            yield _cut(part, chunk_shape[start:stop])
        start = stop


def _of_sources(placed: Placements) -> Placements:
    stored = placed.source >= 0
    return placed if stored.all() else rows(placed, np.flatnonzero(stored))


def _cut(placed: Placements, chunk_shape: np.ndarray) -> Fragments:
    cut = _Cut(placed, chunk_shape)
    for axis in range(placed.first.shape[1]):
        cut.along(axis)
    return cut.fragments()


def _chunks_along(placed: Placements, chunk_shape: np.ndarray) -> np.ndarray:
    """int64 (p, q): chunks that each placement meets along each axis; cells where it gathers."""
    last = placed.first + placed.step * (placed.count - 1)
    along = np.abs(last // chunk_shape - placed.first // chunk_shape) + 1
    return np.where(placed.pool == AFFINE, along, placed.count)


def _halves(placed: Placements, chunk_shape: np.ndarray, axis: int) -> list[Placements]:
    """One placement as two, divided along a source axis near the middle, between cells of different chunks."""
    count, step, first = (int(getattr(placed, name)[0, axis]) for name in ("count", "step", "first"))
    pool, length = int(placed.pool[0, axis]), int(chunk_shape[axis])
    if pool == AFFINE:
        low, high = first // length, (first + step * (count - 1)) // length
        middle = (low + high + (step > 0)) // 2  # the first chunk of the second half
        near = middle * length if step > 0 else middle * length + length - 1
        at = -((first - near) // step)
    else:
        chunk = (first + step * placed.pool_from[pool : pool + count]) // length
        borders = np.flatnonzero(np.diff(chunk)) + 1
        at = int(borders[len(borders) // 2]) if len(borders) else count // 2
    at = min(max(at, 1), count - 1)
    return [_part(placed, axis, 0, at), _part(placed, axis, at, count)]


def _part(placed: Placements, axis: int, low: int, high: int) -> Placements:
    columns = {name: getattr(placed, name).copy() for name in ("first", "count", "pool", "into_first", "into_count")}
    to = int(placed.axis[0, axis])
    columns["count"][0, axis] = columns["into_count"][0, to] = high - low
    if placed.pool[0, axis] == AFFINE:
        columns["first"][0, axis] += placed.step[0, axis] * low
        columns["into_first"][0, to] += placed.into_step[0, to] * low
    else:
        columns["pool"][0, axis] += low
    return replace(placed, **columns)


_COLUMNS = (
    *("source", "layout", "first", "step", "count", "axis", "pool"),
    *("into_first", "into_step", "into_count"),
)


def _chunk_shapes(lowered: Lowered, placed: Placements) -> np.ndarray:
    """int64 (p, q): chunk shape of the source of each placement; 1 on axes it does not have."""
    q = placed.first.shape[1]
    shapes = np.ones((len(lowered.layouts), q), np.int64)
    for number in np.unique(placed.layout).tolist():
        lengths = lowered.layouts[number].chunk_shape
        shapes[number, : len(lengths)] = lengths
    return shapes[placed.layout]


class _Cut:
    """Rows that are cut at chunk borders axis by axis."""

    def __init__(self, placed: Placements, chunk_shape: np.ndarray) -> None:
        self.columns = {name: getattr(placed, name) for name in _COLUMNS}
        self.columns["chunk_shape"] = chunk_shape
        self.columns["chunk"] = np.zeros_like(placed.first)
        self.pool_from, self.pool_into = placed.pool_from, placed.pool_into

    def along(self, axis: int) -> None:
        """Cut every row at the borders of one source axis."""
        c = self.columns
        pooled = c["pool"][:, axis] != AFFINE
        low = c["first"][:, axis] // c["chunk_shape"][:, axis]
        high = (c["first"][:, axis] + c["step"][:, axis] * (c["count"][:, axis] - 1)) // c["chunk_shape"][:, axis]
        if not pooled.any() and (low == high).all():
            c["chunk"] = c["chunk"].copy()
            c["chunk"][:, axis] = low
            c["first"] = c["first"].copy()
            c["first"][:, axis] -= low * c["chunk_shape"][:, axis]
            return
        parts = []
        if not pooled.all():
            parts.append(self._affine(axis, np.flatnonzero(~pooled), low, high))
        if pooled.any():
            parts.append(self._gathered(axis, np.flatnonzero(pooled)))
        self.columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _affine(self, axis: int, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
        c = self.columns
        chunks = np.abs(high[at] - low[at]) + 1
        total = float(chunks.sum(dtype=np.float64))
        if total > MAX_FRAGMENTS:
            raise ViewLimitError("fragments", int(total), MAX_FRAGMENTS, remedy="take a smaller part of the view")
        row, number = ranges(np.zeros_like(chunks), chunks)
        row = at[row]
        chunk = low[row] + np.where(high[row] >= low[row], number, -number)
        first, step, length = c["first"][row, axis], c["step"][row, axis], c["chunk_shape"][row, axis]
        border = chunk * length
        begin, end = border, border + length - 1
        forward = step > 0
        # positions j whose cell first + step * j lies in [begin, end], by ceil-division in either direction
        if (step == 1).all():  # no division: this is where the time goes for 10^6 fragments
            j_first, j_stop = begin - first, end - first + 1
        else:
            near, far = np.where(forward, begin, end), np.where(forward, end, begin)
            j_first, j_stop = -((first - near) // step), (far - first) // step + 1
        j_first, j_stop = np.maximum(j_first, 0), np.minimum(j_stop, c["count"][row, axis])
        keep = j_stop > j_first
        if not keep.all():
            row, chunk, border, j_first, j_stop = row[keep], chunk[keep], border[keep], j_first[keep], j_stop[keep]
        part = {name: value[row] for name, value in c.items()}
        count = j_stop - j_first
        part["first"][:, axis] += part["step"][:, axis] * j_first - border
        part["count"][:, axis] = count
        part["chunk"][:, axis] = chunk
        self._move(part, axis, j_first, count)
        return part

    def _gathered(self, axis: int, at: np.ndarray) -> dict[str, np.ndarray]:
        c = self.columns
        row, member = ranges(c["pool"][at, axis], c["count"][at, axis])
        row = at[row]
        chunk = (c["first"][row, axis] + c["step"][row, axis] * self.pool_from[member]) // c["chunk_shape"][row, axis]
        begins = np.flatnonzero(np.r_[True, (np.diff(row) != 0) | (np.diff(chunk) != 0)])
        count = np.diff(np.r_[begins, len(row)])
        part = {name: value[row[begins]] for name, value in c.items()}
        part["first"][:, axis] -= chunk[begins] * part["chunk_shape"][:, axis]
        part["count"][:, axis] = count
        part["chunk"][:, axis] = chunk[begins]
        part["pool"][:, axis] = member[begins]
        feeding = part["axis"][:, axis]
        part["into_count"][np.arange(len(begins)), feeding] = count
        return part

    @staticmethod
    def _move(part: dict[str, np.ndarray], axis: int, j_first: np.ndarray, count: np.ndarray) -> None:
        """The box of the view shrinks with the window."""
        to = part["axis"][:, axis]
        if len(to) and to[0] != UNFED and (to == to[0]).all():
            part["into_first"][:, to[0]] += part["into_step"][:, to[0]] * j_first
            part["into_count"][:, to[0]] = count
            return
        fed = np.flatnonzero(to != UNFED)
        to = to[fed]
        part["into_first"][fed, to] += part["into_step"][fed, to] * j_first[fed]
        part["into_count"][fed, to] = count[fed]

    def fragments(self) -> Fragments:
        c = self.columns
        return Fragments(
            source=c["source"],
            layout=c["layout"],
            chunk=c["chunk"],
            start=c["first"],
            step=c["step"],
            count=c["count"],
            axis=c["axis"],
            pool=c["pool"],
            into_first=c["into_first"],
            into_step=c["into_step"],
            into_count=c["into_count"],
            pool_from=self.pool_from,
            pool_into=self.pool_into,
        )


def window_of(found: Fragments, row: int) -> tuple[list[slice | np.ndarray], list[slice | np.ndarray]]:
    """Keys of one fragment: into the decoded chunk (by chunk axis) and into the view (by view axis).

    Entries are slices on affine axes and int64 arrays on gathered ones.
    """
    chunk_key: list[slice | np.ndarray] = []
    view_key: list[slice | np.ndarray] = [
        slice(first, first + step * (count - 1) + 1, step)
        for first, step, count in zip(
            found.into_first[row].tolist(), found.into_step[row].tolist(), found.into_count[row].tolist(), strict=True
        )
    ]
    columns = (found.start[row], found.step[row], found.count[row], found.axis[row], found.pool[row])
    for start, step, count, axis, pool in zip(*(column.tolist() for column in columns), strict=True):
        if pool == AFFINE:
            stop = start + step * (count - 1) + (1 if step > 0 else -1)
            chunk_key.append(slice(start, stop if stop >= 0 else None, step))
            continue
        members = slice(pool, pool + count)
        chunk_key.append(start + step * found.pool_from[members])
        first, stride = int(found.into_first[row, axis]), int(found.into_step[row, axis])
        view_key[axis] = first + stride * found.pool_into[members]
    return chunk_key, view_key


def is_whole(found: Fragments, shape: Sequence[int] | np.ndarray) -> np.ndarray:
    """bool (m,): the fragment is its whole stored chunk of this shape (m, q), in stored order."""
    window = (found.start == 0) & (found.step == 1) & (found.count == shape) & (found.pool == AFFINE)
    return window.all(axis=1)
