"""Placements: which box of which source fills which box of the view, in columns.

Owns the columnar table and the moves of it that never look at a value: shift, reorder, clip, gather. Each
works on whole columns. Refuses to know about chunks (`lazyzarr.lower.fragments`) and nodes
(`lazyzarr.lower.lowering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

import numpy as np

AFFINE = -1
"""In ``pool``: the axis is an arithmetic progression."""
UNFED = -1
"""In ``axis``: this axis of the source is held at one cell, no axis of the view runs along it."""


@dataclass(frozen=True, slots=True)
class Placements:
    """p placements of sources of rank up to q in a view of rank r.

    Cell ``j`` along source axis ``a`` (fed by view axis ``axis[a]``) is ``first + step * u`` and goes to view
    cell ``into_first + into_step * w``, where ``u = w = j`` on an affine axis and ``u = pool_from[pool + j]``,
    ``w = pool_into[pool + j]`` on a gathered one. View axes that no source axis feeds repeat the cell.
    """

    source: np.ndarray
    """int64 (p,): number in the `SourceSpace`; ``-1 - k``: constant k."""
    layout: np.ndarray
    """int32 (p,): position in ``layouts``; -1 for constants."""
    first: np.ndarray
    step: np.ndarray
    count: np.ndarray
    """int64 (p, q) [cells of the source]."""
    axis: np.ndarray
    """int16 (p, q): the view axis that feeds each source axis, or `UNFED`."""
    pool: np.ndarray
    """int64 (p, q): start in the pools, or `AFFINE`."""
    into_first: np.ndarray
    into_step: np.ndarray
    into_count: np.ndarray
    """int64 (p, r) [cells of the view]; steps are positive."""
    order: np.ndarray
    """int32 (p,): constants are painted in this order, before all sources; sources are disjoint."""
    pool_from: np.ndarray
    pool_into: np.ndarray
    """int64 (k,): cells of gathered axes; within one placement ``pool_from`` ascends."""

    def __len__(self) -> int:
        return len(self.source)

    @property
    def nbytes(self) -> int:
        """Memory of the columns [bytes]."""
        return sum(getattr(self, name).nbytes for name in self.__slots__)


_ROWS = (
    *("source", "layout", "first", "step", "count", "axis", "pool"),
    *("into_first", "into_step", "into_count", "order"),
)
NO_POOL = np.zeros(0, np.int64)
"""Pools of placements that gather along no axis."""


def whole(source: np.ndarray, layout: np.ndarray, shape: np.ndarray, *, origin: np.ndarray | None = None) -> Placements:
    """Sources (p,) of the given shapes (p, q), each placed whole at its origin (p, q)."""
    p, q = shape.shape
    ones = np.ones((p, q), np.int64)
    placed = Placements(
        source=np.asarray(source, np.int64),
        layout=np.asarray(layout, np.int32),
        first=np.zeros((p, q), np.int64),
        step=ones,
        count=shape,
        axis=np.broadcast_to(np.arange(q, dtype=np.int16), (p, q)).copy(),
        pool=np.full((p, q), AFFINE, np.int64),
        into_first=np.zeros((p, q), np.int64) if origin is None else origin,
        into_step=ones,
        into_count=shape,
        order=np.zeros(p, np.int32),
        pool_from=NO_POOL,
        pool_into=NO_POOL,
    )
    return without_empty(placed)


def one(source: int, layout: int, shape: tuple[int, ...]) -> Placements:
    """As `whole`, for one source and quicker: joins are mostly of arrays that are alike."""
    columns = _columns_of(layout, shape)
    return Placements(**{**columns, "source": columns["source"] + source})


@lru_cache(maxsize=64)
def _columns_of(layout: int, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Columns of source 0, of this layout and shape; they are shared, so none can be written to."""
    placed = whole(np.zeros(1, np.int64), np.array([layout]), np.array([shape], np.int64).reshape(1, len(shape)))
    columns = {name: getattr(placed, name) for name in _ROWS}
    for column in columns.values():
        column.flags.writeable = False
    return {**columns, "pool_from": NO_POOL, "pool_into": NO_POOL}


@lru_cache(maxsize=64)
def nothing(rank: int) -> Placements:
    """No placement, in a view of this rank."""
    return rows(whole(NO_POOL[:1], NO_POOL[:1], np.zeros((0, rank), np.int64)), NO_POOL)


def constant(number: int, shape: Sequence[int]) -> Placements:
    """Constant ``number`` over the whole view."""
    r = len(shape)
    empty = np.zeros((1, 0), np.int64)
    lengths = np.array([shape], np.int64).reshape(1, r)
    placed = Placements(
        source=np.array([-1 - number], np.int64),
        layout=np.array([-1], np.int32),
        first=empty,
        step=empty,
        count=empty,
        axis=np.zeros((1, 0), np.int16),
        pool=empty,
        into_first=np.zeros((1, r), np.int64),
        into_step=np.ones((1, r), np.int64),
        into_count=lengths,
        order=np.zeros(1, np.int32),
        pool_from=NO_POOL,
        pool_into=NO_POOL,
    )
    return without_empty(placed)


def rows(placed: Placements, keep: np.ndarray) -> Placements:
    """The placements of a mask or of positions."""
    return replace(placed, **{name: getattr(placed, name)[keep] for name in _ROWS})


def joined(parts: Sequence[Placements]) -> Placements:
    """All placements of views of equal rank, in order; source ranks are padded to the largest."""
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    q = max(part.first.shape[1] for part in parts)
    columns: dict[str, np.ndarray] = {}
    for name in _ROWS:
        values = [getattr(part, name) for part in parts]
        if name == "pool":
            starts = accumulate((len(part.pool_from) for part in parts), initial=0)
            values = [
                np.where(value == AFFINE, AFFINE, value + start) if start else value
                for value, start in zip(values, starts, strict=False)
            ]
        if name in _PAD:
            values = [_padded(value, q, _PAD[name]) for value in values]
        columns[name] = np.concatenate(values)
    return Placements(
        **columns,
        pool_from=np.concatenate([part.pool_from for part in parts]),
        pool_into=np.concatenate([part.pool_into for part in parts]),
    )


def moved(placed: Placements, axis: int, cells: np.ndarray) -> Placements:
    """Each placed further along one axis by its number of cells (p,)."""
    into_first = placed.into_first.copy()
    into_first[:, axis] += cells
    return replace(placed, into_first=into_first)


def shifted(placed: Placements, origin: Sequence[int], steps: Sequence[int] | None = None) -> Placements:
    """Placed in a larger view: cell ``w`` goes to ``origin + steps * w``."""
    first = np.asarray(origin, np.int64)
    if steps is None or all(step == 1 for step in steps):
        return replace(placed, into_first=placed.into_first + first)
    step = np.asarray(steps, np.int64)
    return replace(placed, into_first=first + placed.into_first * step, into_step=placed.into_step * step)


def reordered(placed: Placements, axes: Sequence[int]) -> Placements:
    """Axis ``k`` of the new view is axis ``axes[k]`` of the old."""
    order = list(axes)
    to = np.empty(len(order) + 1, np.int16)
    to[order] = np.arange(len(order))
    to[UNFED] = UNFED
    return replace(
        placed,
        axis=to[placed.axis],
        into_first=placed.into_first[:, order],
        into_step=placed.into_step[:, order],
        into_count=placed.into_count[:, order],
    )


def widened(placed: Placements, old_shape: Sequence[int], shape: Sequence[int], axes: Sequence[int]) -> Placements:
    """Broadcast: old axis ``i`` becomes ``axes[i]``; axes of length 1 and new ones are repeated."""
    p, r = len(placed), len(shape)
    into_first = np.zeros((p, r), np.int64)
    into_step = np.ones((p, r), np.int64)
    into_count = np.broadcast_to(np.asarray(shape, np.int64), (p, r)).copy()
    to = np.full(len(axes) + 1, UNFED, np.int16)
    result = placed
    for old, new in enumerate(axes):
        if old_shape[old] != shape[new]:
            result = held(result, old)
            continue
        to[old] = new
        into_first[:, new] = placed.into_first[:, old]
        into_step[:, new] = placed.into_step[:, old]
        into_count[:, new] = placed.into_count[:, old]
    kept = replace(result, axis=to[result.axis], into_first=into_first, into_step=into_step, into_count=into_count)
    return without_empty(kept)


def inserted(placed: Placements, axis: int, cell: np.ndarray) -> Placements:
    """Each placed at its one cell (p,) of a new view axis."""
    return replace(
        placed,
        axis=np.where(placed.axis >= axis, placed.axis + 1, placed.axis).astype(np.int16),
        into_first=np.insert(placed.into_first, axis, cell, axis=1),
        into_step=np.insert(placed.into_step, axis, 1, axis=1),
        into_count=np.insert(placed.into_count, axis, 1, axis=1),
    )


def dropped(placed: Placements, axis: int) -> Placements:
    """Without a view axis of length 1."""
    fixed = held(placed, axis)
    return replace(
        fixed,
        axis=np.where(fixed.axis > axis, fixed.axis - 1, fixed.axis).astype(np.int16),
        into_first=np.delete(fixed.into_first, axis, axis=1),
        into_step=np.delete(fixed.into_step, axis, axis=1),
        into_count=np.delete(fixed.into_count, axis, axis=1),
    )


def ranges(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers and members of many ranges ``start, start + 1, ...`` laid end to end.

    Examples
    --------
    >>> rows_, members = ranges(np.array([5, 0]), np.array([2, 3]))
    >>> rows_.tolist(), members.tolist()
    ([0, 0, 1, 1, 1], [5, 6, 0, 1, 2])
    """
    row = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return row, np.arange(len(row)) - np.repeat(before - starts, counts)


def without_empty(placed: Placements) -> Placements:
    """Only placements that have a cell."""
    if placed.into_count.shape[1] == 0:
        return placed
    solid = (placed.into_count > 0).all(axis=1)
    return placed if solid.all() else rows(placed, solid)


def held(placed: Placements, axis: int) -> Placements:
    """A view axis with one cell no longer runs along the source axis that fed it."""
    fed = placed.axis == axis
    if not fed.any():
        return placed
    first, step, pool = placed.first, placed.step, placed.pool
    pooled = fed & (pool != AFFINE)
    if pooled.any():
        first, pool = first.copy(), pool.copy()
        first[pooled] += step[pooled] * placed.pool_from[pool[pooled]]
        pool[pooled] = AFFINE
    return replace(
        placed,
        first=first,
        step=np.where(fed, 1, step),
        count=np.where(fed, 1, placed.count),
        pool=pool,
        axis=np.where(fed, UNFED, placed.axis).astype(np.int16),
    )


def _padded(value: np.ndarray, q: int, filler: int) -> np.ndarray:
    missing = q - value.shape[1]
    if not missing:
        return value
    return np.pad(value, ((0, 0), (0, missing)), constant_values=filler)


_PAD = {"first": 0, "step": 1, "count": 1, "axis": UNFED, "pool": AFFINE}
"""How a source of lower rank reads on the axes that it does not have."""
