"""Selecting cells of placements: spans by ceil-division on whole columns, gathers by one sort.

Owns the clipping of placements to a selection of the view. `clipped_slowly` is the scalar twin that states
the meaning of `clipped`. Refuses Python loops over rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lazyzarr.algebra.span import Span
from lazyzarr.lower.placements import AFFINE, Placements, dropped, joined, ranges, rows, without_empty


def selected(placed: Placements, axes: Sequence[Span | int], shape: Sequence[int]) -> Placements:
    """Placements of ``view[axes]``: a span for each axis of the view of this shape, or one cell.

    Axes with one cell given as an integer are dropped.
    """
    for axis, (key, length) in enumerate(zip(axes, shape, strict=True)):
        span = Span(key, 1, 1) if isinstance(key, int) else key
        if span.start == 0 and span.step == 1 and span.count == length:
            continue
        placed = clipped(placed, axis, span)
    for axis in reversed(range(len(axes))):
        if isinstance(axes[axis], int):
            placed = dropped(placed, axis)
    return placed


def clipped(placed: Placements, axis: int, span: Span) -> Placements:
    """Placements of the view with only the cells of a span kept along one axis."""
    if span.count == 0 or not len(placed):
        return rows(placed, np.zeros(0, np.int64))
    if len(placed.pool_from):
        pooled = ((placed.axis == axis) & (placed.pool != AFFINE)).any(axis=1)
        if pooled.any():
            gathered = _clipped_pool(rows(placed, pooled), axis, span)
            if pooled.all():
                return gathered
            return joined([_clipped_affine(rows(placed, ~pooled), axis, span), gathered])
    return _clipped_affine(placed, axis, span)


def clipped_slowly(first: int, step: int, count: int, span: Span) -> list[tuple[int, int]]:
    """(position in the placement, cell of the selection) of each cell kept: the meaning of `clipped`.

    Examples
    --------
    >>> clipped_slowly(2, 2, 4, Span(8, -3, 3))   # cells 2 4 6 8 against 8 5 2
    [(0, 2), (3, 0)]
    """
    at = {span.start + span.step * t: t for t in range(span.count)}
    return [(j, at[first + step * j]) for j in range(count) if first + step * j in at]


def gathered(placed: Placements, axis: int, indices: np.ndarray) -> Placements:
    """Placements of ``take(view, indices, axis)``."""
    if not len(placed) or not len(indices):
        return rows(placed, np.zeros(0, np.int64))
    order = np.argsort(indices, kind="stable")
    cells = indices[order]
    fed = placed.axis == axis
    running = fed.any(axis=1)
    pooled = (fed & (placed.pool != AFFINE)).any(axis=1)
    parts: list[Placements] = []
    dense = placed.into_step[:, axis] == 1
    for kept, gather in ((running & ~pooled & dense, _gathered_dense), (running & ~pooled & ~dense, _gathered_comb)):
        if kept.any():
            parts.append(gather(rows(placed, kept), axis, cells, order))
    if not running.all():
        parts.append(_gathered_unfed(rows(placed, ~running), axis, cells, order))
    if pooled.any():
        parts.append(_gathered_pool(rows(placed, pooled), axis, cells, order))
    return without_empty(joined(parts))


def _clipped_affine(placed: Placements, axis: int, span: Span) -> Placements:
    into_first, into_step = placed.into_first[:, axis], placed.into_step[:, axis]
    position, stride, count = _positions(into_first, into_step, placed.into_count[:, axis], span)
    cell = into_first + into_step * position
    to = (cell - span.start) // span.step
    to_step = into_step * stride // span.step
    if span.step < 0:  # keep the steps in the view positive: walk the source the other way
        position, to = position + stride * (count - 1), to + to_step * (count - 1)
        stride, to_step = -stride, -to_step
    many = count > 1
    columns = {name: getattr(placed, name).copy() for name in ("into_first", "into_step", "into_count")}
    columns["into_first"][:, axis] = to
    columns["into_step"][:, axis] = np.where(many, to_step, 1)
    columns["into_count"][:, axis] = count
    fed = placed.axis == axis
    if fed.any():
        columns["first"] = np.where(fed, placed.first + placed.step * position[:, None], placed.first)
        columns["step"] = np.where(fed, np.where(many[:, None], placed.step * stride[:, None], 1), placed.step)
        columns["count"] = np.where(fed, count[:, None], placed.count)
    keep = count > 0
    clipped_rows = replace(placed, **columns)
    return clipped_rows if keep.all() else rows(clipped_rows, keep)


def _positions(
    first: np.ndarray, step: np.ndarray, count: np.ndarray, span: Span
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First position, stride and number of the positions ``j`` whose cell ``first + step * j`` is in the span."""
    stride = abs(span.step)
    low, high = min(span.start, span.last), max(span.start, span.last)
    begin = np.maximum(-((first - low) // step), 0)
    stop = np.minimum((high - first) // step + 1, count)
    if stride == 1:
        return begin, np.ones_like(begin), np.maximum(stop - begin, 0)
    jump = np.empty_like(begin)
    meets = np.ones(len(begin), bool)
    for unique in np.unique(step).tolist():  # one residue system for each distinct step, few in practice
        at = step == unique
        common = math.gcd(unique, stride)
        period = stride // common
        gap = low - first[at]
        inverse = pow(unique // common, -1, period) if period > 1 else 0
        residue = gap // common * inverse % period
        begin[at] += (residue - begin[at]) % period
        jump[at] = period
        meets[at] = gap % common == 0
    return begin, jump, np.where(meets, np.maximum(-((begin - stop) // jump), 0), 0)


def _clipped_pool(placed: Placements, axis: int, span: Span) -> Placements:
    column = np.argmax(placed.axis == axis, axis=1)
    at = np.arange(len(placed))
    row, member = ranges(placed.pool[at, column], placed.into_count[:, axis])
    cell = placed.into_first[row, axis] + placed.into_step[row, axis] * placed.pool_into[member]
    low, high = min(span.start, span.last), max(span.start, span.last)
    keep = (cell >= low) & (cell <= high) & ((cell - span.start) % span.step == 0)
    into = (cell[keep] - span.start) // span.step
    return _repooled(placed, axis, row[keep], placed.pool_from[member[keep]], into)


def _repooled(
    placed: Placements, axis: int, row: np.ndarray, pool_from: np.ndarray, pool_into: np.ndarray
) -> Placements:
    """Placements whose gathered axis has new members; ``row`` ascends and names the placement of each."""
    column = np.argmax(placed.axis == axis, axis=1)
    at = np.arange(len(placed))
    counts = np.bincount(row, minlength=len(placed))
    pool, count = placed.pool.copy(), placed.count.copy()
    pool[at, column] = len(placed.pool_from) + np.cumsum(counts) - counts
    count[at, column] = counts
    into = {name: getattr(placed, name).copy() for name in ("into_first", "into_step", "into_count")}
    into["into_first"][:, axis] = 0
    into["into_step"][:, axis] = 1
    into["into_count"][:, axis] = counts
    return without_empty(
        replace(
            placed,
            pool=pool,
            count=count,
            pool_from=np.concatenate([placed.pool_from, pool_from]),
            pool_into=np.concatenate([placed.pool_into, pool_into]),
            **into,
        )
    )


def _gathered_dense(placed: Placements, axis: int, cells: np.ndarray, order: np.ndarray) -> Placements:
    """Steps of 1: all placements share one pool, each a range of it."""
    column = np.argmax(placed.axis == axis, axis=1)
    at = np.arange(len(placed))
    first = placed.into_first[:, axis]
    low = np.searchsorted(cells, first)
    counts = np.searchsorted(cells, first + placed.into_count[:, axis]) - low
    columns = {name: getattr(placed, name).copy() for name in ("first", "pool", "count")}
    columns["first"][at, column] -= placed.step[at, column] * first
    columns["pool"][at, column] = len(placed.pool_from) + low
    columns["count"][at, column] = counts
    into = {name: getattr(placed, name).copy() for name in ("into_first", "into_step", "into_count")}
    into["into_first"][:, axis] = 0
    into["into_step"][:, axis] = 1
    into["into_count"][:, axis] = counts
    return replace(
        placed,
        pool_from=np.concatenate([placed.pool_from, cells]),
        pool_into=np.concatenate([placed.pool_into, order]),
        **columns,
        **into,
    )


def _gathered_comb(placed: Placements, axis: int, cells: np.ndarray, order: np.ndarray) -> Placements:
    first, step = placed.into_first[:, axis], placed.into_step[:, axis]
    low = np.searchsorted(cells, first)
    high = np.searchsorted(cells, first + step * (placed.into_count[:, axis] - 1), side="right")
    row, member = ranges(low, high - low)
    gap = cells[member] - first[row]
    on = gap % step[row] == 0
    return _repooled(placed, axis, row[on], gap[on] // step[row[on]], order[member[on]])


def _gathered_pool(placed: Placements, axis: int, cells: np.ndarray, order: np.ndarray) -> Placements:
    column = np.argmax(placed.axis == axis, axis=1)
    row, held = ranges(placed.pool[np.arange(len(placed)), column], placed.into_count[:, axis])
    cell = placed.into_first[row, axis] + placed.into_step[row, axis] * placed.pool_into[held]
    low, high = np.searchsorted(cells, cell), np.searchsorted(cells, cell, side="right")
    source, member = ranges(low, high - low)
    return _repooled(placed, axis, row[source], placed.pool_from[held[source]], order[member])


def _gathered_unfed(placed: Placements, axis: int, cells: np.ndarray, order: np.ndarray) -> Placements:
    """No source axis runs here: the cells of the result fall into runs, each a placement of its own."""
    first, step = placed.into_first[:, axis], placed.into_step[:, axis]
    low = np.searchsorted(cells, first)
    high = np.searchsorted(cells, first + step * (placed.into_count[:, axis] - 1), side="right")
    row, member = ranges(low, high - low)
    on = (cells[member] - first[row]) % step[row] == 0
    row, into = row[on], order[member[on]]
    ranked = np.lexsort((into, row))
    row, into = row[ranked], into[ranked]
    if not len(row):
        return rows(placed, np.zeros(0, np.int64))
    begins = np.flatnonzero(np.r_[True, (np.diff(row) != 0) | (np.diff(into) != 1)])
    runs = rows(placed, row[begins])
    columns = {name: getattr(runs, name).copy() for name in ("into_first", "into_step", "into_count")}
    columns["into_first"][:, axis] = into[begins]
    columns["into_step"][:, axis] = 1
    columns["into_count"][:, axis] = np.diff(np.r_[begins, len(row)])
    return replace(runs, **columns)
