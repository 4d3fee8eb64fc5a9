"""Pointwise reads: the cells at given coordinates, each stored chunk decoded once.

Owns the way from points of the view to points of chunks. The result is values, not a view: pairing coordinates is
no separable index map. Refuses slices beside the coordinates; take those first.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from lazyzarr.errors import SelectionError
from lazyzarr.ir import fill
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import AFFINE, UNFED, Placements


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

    def window_bounds(self, fragment: int, rank: int) -> tuple[list[int], list[int]]:
        """Lowest and highest cell used on each axis of the chunk."""
        cells = self._cells[self._first[fragment] : self._first[fragment + 1], :rank]
        return cells.min(axis=0).tolist(), cells.max(axis=0).tolist()

    def cells(self, fragment: int) -> int:
        """Number of points that a fragment fills."""
        return self._first[fragment + 1] - self._first[fragment]

    def direct(self, fragment: int, shape: tuple[int, ...]) -> None:
        """Points are never one run of bytes on both sides."""

    def runs(self, fragments: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """No chunk goes to the output whole."""
        return np.full(len(fragments), -1, np.int64)

    def whole(self, fragments: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Whether every chunk is used from its first to its last cell: it is not assumed."""
        return np.zeros(len(fragments), bool)


def point_fragments(lowered: Lowered, points: np.ndarray, out: np.ndarray) -> tuple[Fragments, PointPlacer]:
    """Fragments, one per chunk touched, and the placer of the points (n, r) into the flat ``out`` (n,).

    Points on constants are written at once.
    """
    placed = lowered.placements
    row, point = _matched(placed, points)
    constant = placed.source[row] < 0
    order = np.argsort(placed.order[row[constant]], kind="stable")
    for at, number in zip(row[constant][order].tolist(), point[constant][order].tolist(), strict=True):
        value = lowered.constants[-1 - int(placed.source[at])]
        out[number] = fill.from_json(value.value, value.data_type)
    row, point = row[~constant], point[~constant]

    q = placed.first.shape[1]
    cells = np.zeros((len(row), q), np.int64)
    for axis in range(q):
        cells[:, axis] = _source_cells(placed, row, points[point], axis)
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


def _matched(placed: Placements, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(placement, point) pairs: every placement that covers each point."""
    rank = points.shape[1]
    last = _last_cells(placed)
    axis = max(range(rank), key=lambda k: len(np.unique(placed.into_first[:, k])), default=0)
    order = np.argsort(points[:, axis], kind="stable") if rank else np.arange(len(points))
    along = points[order, axis] if rank else np.zeros(len(points), np.int64)
    rows: list[np.ndarray] = []
    found: list[np.ndarray] = []
    for row in range(len(placed)):
        low = int(np.searchsorted(along, placed.into_first[row, axis])) if rank else 0
        high = int(np.searchsorted(along, last[row, axis], side="right")) if rank else len(points)
        if low >= high:
            continue
        candidates = order[low:high]
        gap = points[candidates] - placed.into_first[row]
        on = ((gap >= 0) & (points[candidates] <= last[row]) & (gap % placed.into_step[row] == 0)).all(axis=1)
        for source_axis in np.flatnonzero(placed.pool[row] != AFFINE).tolist():
            into = int(placed.axis[row, source_axis])
            on &= np.isin(gap[:, into] // placed.into_step[row, into], _pool(placed, row, source_axis)[1])
        rows.append(np.full(int(on.sum()), row))
        found.append(candidates[on])
    if not rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(rows), np.concatenate(found)


def _last_cells(placed: Placements) -> np.ndarray:
    """int64 (p, r): the last cell of the view that each placement can fill."""
    last = placed.into_first + placed.into_step * (placed.into_count - 1)
    for row, axis in np.argwhere(placed.pool != AFFINE).tolist():
        into = int(placed.axis[row, axis])
        furthest = int(_pool(placed, row, axis)[1].max())
        last[row, into] = placed.into_first[row, into] + placed.into_step[row, into] * furthest
    return last


def _source_cells(placed: Placements, row: np.ndarray, points: np.ndarray, axis: int) -> np.ndarray:
    fed = placed.axis[row, axis]
    into = np.maximum(fed, 0)
    at = np.arange(len(row))
    if not points.shape[1]:
        return placed.first[row, axis]
    step = (points[at, into] - placed.into_first[row, into]) // placed.into_step[row, into]
    step = np.where(fed == UNFED, 0, step)
    for gathered in np.unique(row[placed.pool[row, axis] != AFFINE]).tolist():
        mine = row == gathered
        pool_from, pool_into = _pool(placed, gathered, axis)
        order = np.argsort(pool_into)
        step[mine] = pool_from[order[np.searchsorted(pool_into[order], step[mine])]]
    return placed.first[row, axis] + placed.step[row, axis] * step


def _pool(placed: Placements, row: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    start = int(placed.pool[row, axis])
    members = slice(start, start + int(placed.count[row, axis]))
    return placed.pool_from[members], placed.pool_into[members]


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
    return array.astype(np.int64)
