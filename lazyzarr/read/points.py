"""Pointwise reads: the cells at given coordinates, each stored chunk decoded once.

Owns the way from points of the view to points of chunks. The result is values, not a view: pairing coordinates is
no separable index map. Refuses slices beside the coordinates; take those first.
"""

from __future__ import annotations

import operator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from lazyzarr.errors import SelectionError
from lazyzarr.ir import fill
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import AFFINE, UNFED, Placements, ranges

_PAIRS_AT_ONCE = 1 << 20


def coordinates(key: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Coordinates (n, r) that a pointwise key names, and the shape of the result, as NumPy broadcasts them.

    Raises
    ------
    SelectionError
        ``index-bounds`` for a coordinate outside its axis, ``index-syntax`` for anything but integers.

    Examples
    --------
    >>> coordinates(([0, -1], 2), (3, 4))[0].tolist()
    [[0, 2], [2, 2]]
    """
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) == 1 and np.asarray(parts[0]).dtype.kind == "b":
        mask = np.asarray(parts[0])
        if not mask.ndim:
            raise SelectionError("vindex has a single boolean; a mask needs one value per cell")
        if mask.shape != shape:
            raise SelectionError(
                f"mask has shape {mask.shape}; the view has {shape}; give one value per cell", reason="index-bounds"
            )
        parts = np.nonzero(mask)
    if len(parts) != len(shape):
        raise SelectionError(f"vindex has {len(parts)} coordinates; the view has rank {len(shape)}; give one per axis")
    arrays = [_integers(part, axis) for axis, part in enumerate(parts)]
    try:
        arrays = list(np.broadcast_arrays(*arrays)) if arrays else []
    except ValueError:
        raise SelectionError(
            f"vindex has coordinates of shapes {[a.shape for a in arrays]}; they do not broadcast; give equal shapes"
        ) from None
    result = arrays[0].shape if arrays else ()
    points = np.stack([a.reshape(-1) for a in arrays], axis=1) if arrays else np.zeros((1, 0), np.int64)
    lengths = np.array(shape, np.int64)
    outside = (points < -lengths) | (points >= lengths)
    if outside.any():
        row, axis = np.argwhere(outside)[0].tolist()
        raise SelectionError(
            f"index {int(points[row, axis])} of axis {axis} is out of bounds; the axis has length {shape[axis]}",
            reason="index-bounds",
        )
    return np.where(points < 0, points + lengths, points), result


class PointPlacer:
    """Copies cells of chunks to points of a flat output; the same duties as `lazyzarr.read.place.Placer`."""

    def __init__(self, out: np.ndarray, cells: np.ndarray, to: np.ndarray, first: np.ndarray) -> None:
        self.out = out
        self._cells, self._to = cells, to
        self._first = first.tolist()

    def put(self, fragment: int, chunk: np.ndarray, origin: Any = None) -> None:
        """Copy the points that lie in a chunk."""
        rows = slice(self._first[fragment], self._first[fragment + 1])
        cells = self._cells[rows, : chunk.ndim]
        if origin is not None:
            cells = cells - np.asarray(origin)
        self.out[self._to[rows]] = chunk[tuple(cells.T)] if chunk.ndim else chunk[()]

    def fill(self, fragment: int, value: Any) -> None:
        """Fill the points that lie in a chunk that is stored nowhere."""
        rows = self._to[self._first[fragment] : self._first[fragment + 1]]
        if self.out.dtype.kind == "O":
            for row in rows.tolist():
                self.out[row] = value
        else:
            self.out[rows] = value

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """int64 (m, q) each: the lowest and the highest cell used of every fragment."""
        first = self._first[:-1]
        return np.minimum.reduceat(self._cells, first), np.maximum.reduceat(self._cells, first)

    def cells(self, fragment: int) -> int:
        """Number of points that a fragment fills."""
        return self._first[fragment + 1] - self._first[fragment]

    def direct(self, fragment: int, shape: tuple[int, ...]) -> None:
        """Points are never one run of bytes on both sides."""

    def blocks(self, fragments: np.ndarray, lengths: np.ndarray, origin: np.ndarray | int = 0) -> np.ndarray:
        """No chunk goes to the output whole."""
        return np.zeros(len(fragments), bool)

    def runs(self, fragments: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Nor is it one run of it."""
        return np.full(len(fragments), -1, np.int64)

    def strips(self, fragments: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Nor lies it beside another."""
        return np.arange(1, len(fragments) + 1)

    def put_block(self, fragment: int, chunk: np.ndarray) -> None:
        """Copy the points that lie in a chunk."""
        self.put(fragment, chunk)

    def put_strip(self, first: int, last: int, chunks: np.ndarray) -> None:
        """Copy the points that lie in neighbouring chunks."""
        for fragment, chunk in enumerate(chunks, first):
            self.put(fragment, chunk)

    def whole(self, fragments: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Whether every chunk is used from its first to its last cell: it is not assumed."""
        return np.zeros(len(fragments), bool)


def point_fragments(lowered: Lowered, points: np.ndarray, out: np.ndarray) -> tuple[Fragments, PointPlacer]:
    """Fragments, one per chunk touched, and the placer of the points (n, r) into the flat ``out`` (n,).

    Points on constants are written at once.
    """
    placed = lowered.placements
    gathered = _gathered(placed)
    row, point = _matched(placed, gathered, points)
    constant = placed.source[row] < 0
    _write_constants(lowered, row[constant], point[constant], out)
    row, point = row[~constant], point[~constant]

    q = placed.first.shape[1]
    cells = np.zeros((len(row), q), np.int64)
    for axis in range(q):
        position = _positions(placed, row, points[point], axis)
        if axis in gathered:
            position = gathered[axis].cells(row, position)
        cells[:, axis] = placed.first[row, axis] + placed.step[row, axis] * position
    lengths = np.ones((len(lowered.layouts), q), np.int64)
    for number in np.unique(placed.layout[row]).tolist():
        shape = lowered.layouts[number].chunk_shape
        lengths[number, : len(shape)] = shape
    extent = lengths[placed.layout[row]]
    chunk = cells // extent
    keys = (*chunk.T[::-1], placed.layout[row], placed.source[row])
    ranked = np.lexsort(keys) if len(row) else np.zeros(0, np.int64)
    row, point, chunk, cells = row[ranked], point[ranked], chunk[ranked], (cells - chunk * extent)[ranked]
    new = np.ones(len(row), bool)
    new[1:] = (
        (placed.source[row][1:] != placed.source[row][:-1])
        | (placed.layout[row][1:] != placed.layout[row][:-1])
        | (chunk[1:] != chunk[:-1]).any(axis=1)
    )
    begins = np.flatnonzero(new)
    m = len(begins)
    zeros, none = np.zeros((m, q), np.int64), np.zeros(0, np.int64)
    found = Fragments(
        source=placed.source[row[begins]],
        layout=placed.layout[row[begins]],
        chunk=chunk[begins],
        start=zeros,
        step=zeros + 1,
        count=zeros + 1,
        axis=np.full((m, q), UNFED, np.int16),
        pool=np.full((m, q), AFFINE, np.int64),
        into_first=np.zeros((m, 0), np.int64),
        into_step=np.zeros((m, 0), np.int64),
        into_count=np.zeros((m, 0), np.int64),
        pool_from=none,
        pool_into=none,
    )
    return found, PointPlacer(out, cells, point, np.r_[begins, len(row)])


def _write_constants(lowered: Lowered, row: np.ndarray, point: np.ndarray, out: np.ndarray) -> None:
    """Points on constants, in painting order."""
    placed = lowered.placements
    used = np.unique(row)
    for at in used[np.argsort(placed.order[used], kind="stable")].tolist():
        constant = lowered.constants[-1 - int(placed.source[at])]
        here = point[row == at]
        out[here] = fill.full(here.shape, constant.value, constant.data_type)


def _matched(placed: Placements, gathered: dict[int, _Members], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(placement, point) pairs: every placement that covers each point."""
    rank = points.shape[1]
    if not rank:
        return tuple(np.indices((len(placed), len(points))).reshape(2, -1))  # type: ignore[return-value]
    last = _last_cells(placed, gathered)
    every = [_intervals(placed, gathered, last, axis) for axis in range(rank)]
    # points are sorted along the axis that tells most apart: few candidates for each interval
    axis = max(range(rank), key=lambda k: len(np.unique(every[k][1])))
    rows, first, final = every[axis]
    order = np.argsort(points[:, axis], kind="stable")
    along = points[order, axis]
    low = np.searchsorted(along, first)
    counts = np.maximum(np.searchsorted(along, final, side="right") - low, 0)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for block in _blocks(counts):
        row, member = ranges(low[block], counts[block])
        row, point = rows[row + block.start], order[member]
        gap = points[point] - placed.into_first[row]
        on = ((gap >= 0) & (points[point] <= last[row]) & (gap % placed.into_step[row] == 0)).all(axis=1)
        row, point = row[on], point[on]
        for source_axis, members in gathered.items():
            held = members.covers(row, _positions(placed, row, points[point], source_axis))
            row, point = row[held], point[held]
        found.append((row, point))
    return np.concatenate([r for r, _ in found]), np.concatenate([p for _, p in found])


def _intervals(
    placed: Placements, gathered: dict[int, _Members], last: np.ndarray, axis: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(placement, first cell, last cell) along a view axis: one interval of a placement, one of each gathered cell."""
    whole = np.ones(len(placed), bool)
    rows: list[np.ndarray] = []
    cells: list[np.ndarray] = []
    for source_axis, members in gathered.items():
        here = placed.axis[members.of, source_axis] == axis
        row = members.of[here]
        rows.append(row)
        cells.append(placed.into_first[row, axis] + placed.into_step[row, axis] * members.into[here])
        whole[row] = False
    rest = np.flatnonzero(whole)
    return (
        np.concatenate([rest, *rows]),
        np.concatenate([placed.into_first[rest, axis], *cells]),
        np.concatenate([last[rest, axis], *cells]),
    )


def _blocks(counts: np.ndarray) -> list[slice]:
    """Neighbouring intervals with about `_PAIRS_AT_ONCE` candidates together."""
    number = np.cumsum(counts) // _PAIRS_AT_ONCE
    cuts = np.flatnonzero(np.diff(number)) + 1
    return [slice(a, b) for a, b in pairwise([0, *cuts.tolist(), len(counts)])]


class _Members:
    """Cells of the gathered placements along one source axis, found by placement and position in the view."""

    def __init__(self, placed: Placements, axis: int) -> None:
        self.rows = np.flatnonzero(placed.pool[:, axis] != AFFINE)
        number, member = ranges(placed.pool[self.rows, axis], placed.count[self.rows, axis])
        self.of, self.into = self.rows[number], placed.pool_into[member]
        self.furthest = np.maximum.reduceat(self.into, np.flatnonzero(np.diff(number, prepend=-1)))
        self._pooled = np.zeros(len(placed), bool)
        self._pooled[self.rows] = True
        self._values, rank = np.unique(self.into, return_inverse=True)
        key = self._key(self.of, rank)
        order = np.argsort(key)
        self._keys, self._from = key[order], placed.pool_from[member[order]]

    def covers(self, row: np.ndarray, position: np.ndarray) -> np.ndarray:
        """bool (n,): whether the placement has a cell at the position; affine ones do."""
        at = np.minimum(np.searchsorted(self._values, position), len(self._values) - 1)
        return ~self._pooled[row] | (
            (self._values[at] == position) & (self._keys[self._find(row, at)] == self._key(row, at))
        )

    def cells(self, row: np.ndarray, position: np.ndarray) -> np.ndarray:
        """int64 (n,): the member that fills the position; the position itself in affine placements."""
        at = np.minimum(np.searchsorted(self._values, position), len(self._values) - 1)
        return np.where(self._pooled[row], self._from[self._find(row, at)], position)

    def _key(self, row: np.ndarray, at: np.ndarray) -> np.ndarray:
        return row * len(self._values) + at

    def _find(self, row: np.ndarray, at: np.ndarray) -> np.ndarray:
        return np.minimum(np.searchsorted(self._keys, self._key(row, at)), len(self._keys) - 1)


def _gathered(placed: Placements) -> dict[int, _Members]:
    """By source axis."""
    return {k: _Members(placed, k) for k in range(placed.pool.shape[1]) if (placed.pool[:, k] != AFFINE).any()}


def _last_cells(placed: Placements, gathered: dict[int, _Members]) -> np.ndarray:
    """int64 (p, r): the last cell of the view that each placement can fill."""
    last = placed.into_first + placed.into_step * (placed.into_count - 1)
    for axis, members in gathered.items():
        rows = members.rows
        into = placed.axis[rows, axis]
        last[rows, into] = placed.into_first[rows, into] + placed.into_step[rows, into] * members.furthest
    return last


def _positions(placed: Placements, row: np.ndarray, points: np.ndarray, axis: int) -> np.ndarray:
    """int64 (n,): where along the view axis that feeds a source axis each point lies in its placement."""
    fed = placed.axis[row, axis]
    if not points.shape[1]:
        return np.zeros(len(row), np.int64)
    into = np.maximum(fed, 0)
    at = np.arange(len(row))
    position = (points[at, into] - placed.into_first[row, into]) // placed.into_step[row, into]
    return np.where(fed == UNFED, 0, position)


def _integers(part: Any, axis: int) -> np.ndarray:
    array = np.asarray(part)
    if not array.ndim and array.dtype.kind != "b":
        try:
            return np.asarray(operator.index(part), np.int64)
        except (TypeError, OverflowError):
            pass
    if array.size and array.dtype.kind not in "iu":
        raise SelectionError(
            f"coordinate of axis {axis} is {array.dtype}; vindex takes integers for every axis; slice the view first"
        )
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise SelectionError(
            f"index {int(array.max())} of axis {axis} is out of bounds; no axis is that long", reason="index-bounds"
        )
    return array.astype(np.int64)
