"""Axis-aligned boxes of cells: which overlap, and what of each is seen.

Owns overlap tests and the subtraction of boxes. Boxes are rows of int64 arrays ``starts`` (n, r) and
``stops`` (n, r), half open; combs have a step per axis as well. Refuses to know what is inside a box.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lazyzarr.algebra.span import Span, canonical, compose, meet, without

_PAIRS_AT_ONCE = 1 << 20


def overlapping_pairs(starts: np.ndarray, stops: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs ``i < j`` of boxes with a common cell, in blocks.

    The boxes are swept along the axis on which fewest pairs touch, so n tiles of a lattice cost far less
    than n^2 comparisons.

    Examples
    --------
    >>> [(i.tolist(), j.tolist()) for i, j in overlapping_pairs(np.array([[0], [4], [3]]), np.array([[4], [9], [5]]))]
    [([0, 1], [2, 2])]
    """
    solid = np.flatnonzero((stops > starts).all(axis=1))
    if len(solid) < 2:
        return
    starts, stops = starts[solid], stops[solid]
    if starts.shape[1] == 0:
        first, second = np.triu_indices(len(solid), 1)
        yield solid[first], solid[second]
        return
    orders = [np.argsort(starts[:, axis], kind="stable") for axis in range(starts.shape[1])]
    reaches = [_reach(starts[order, axis], stops[order, axis]) for axis, order in enumerate(orders)]
    axis = int(np.argmin([reach.sum() for reach in reaches]))
    order, reach = orders[axis], reaches[axis]
    row = 0
    while row < len(order):
        stop = max(row + 1, int(np.searchsorted(np.cumsum(reach[row:]), _PAIRS_AT_ONCE)) + row)
        left = np.repeat(np.arange(row, stop), reach[row:stop])
        within = np.arange(len(left)) - np.repeat(np.cumsum(reach[row:stop]) - reach[row:stop], reach[row:stop])
        i, j = order[left], order[left + 1 + within]
        hit = ((starts[i] < stops[j]) & (starts[j] < stops[i])).all(axis=1)
        if hit.any():
            i, j = solid[i[hit]], solid[j[hit]]
            yield np.minimum(i, j), np.maximum(i, j)
        row = stop


def _meeting_bounds(
    starts: np.ndarray, counts: np.ndarray, steps: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of combs whose bounds meet. Combs of one step per axis are boxes of (remainder, quotient), so that the
    many combs of an interleave make no pair.
    """
    if len(steps) and (steps == steps[0]).all() and (steps[0] != 1).any():
        starts = np.concatenate([starts % steps, starts // steps], axis=1)
        counts = np.concatenate([np.minimum(counts, 1), counts], axis=1)
        steps = np.ones_like(starts)
    return overlapping_pairs(starts, starts + np.where(counts > 0, steps * (counts - 1) + 1, 0))


def any_overlap(starts: np.ndarray, counts: np.ndarray, steps: np.ndarray) -> tuple[int, int] | None:
    """The first found pair of combs with a common cell, or None.

    A comb has the cells ``start + step * k``, ``k < count``, on each axis; two share a cell exactly when
    their progressions meet on every axis.

    Examples
    --------
    >>> any_overlap(np.array([[0], [1]]), np.array([[3], [3]]), np.array([[2], [2]])) is None
    True
    """
    for left, right in _meeting_bounds(starts, counts, steps):
        plain = (steps[left] == 1).all(axis=1) & (steps[right] == 1).all(axis=1)
        if plain.any():
            at = int(np.argmax(plain))
            return int(left[at]), int(right[at])
        for i, j in zip(left.tolist(), right.tolist(), strict=True):
            combs = (_comb(starts[k], counts[k], steps[k]) for k in (i, j))
            if all(meet(one, other).count for one, other in zip(*combs, strict=True)):
                return i, j
    return None


def visible(
    starts: np.ndarray, counts: np.ndarray, steps: np.ndarray, rank_of: np.ndarray
) -> dict[int, list[tuple[Span, ...]]]:
    """For each comb that is partly or wholly covered, the disjoint combs of cells that remain seen.

    Parameters
    ----------
    starts, counts, steps
        int64 (n, r), as in `any_overlap`.
    rank_of
        int64 (n,): of two combs, the one with the higher rank is seen.

    Returns
    -------
    dict
        Only combs that lose cells appear; those seen whole do not.
    """
    above: dict[int, list[int]] = {}
    for left, right in _meeting_bounds(starts, counts, steps):
        upper = np.where(rank_of[left] > rank_of[right], left, right)
        lower = left + right - upper
        for low, high in zip(lower.tolist(), upper.tolist(), strict=True):
            above.setdefault(low, []).append(high)
    seen: dict[int, list[tuple[Span, ...]]] = {}
    for low, covers in above.items():
        whole_comb = _comb(starts[low], counts[low], steps[low])
        pieces = [whole_comb]
        for high in covers:
            hole = _comb(starts[high], counts[high], steps[high])
            pieces = [rest for piece in pieces for rest in subtract(piece, hole)]
        if pieces != [whole_comb]:
            seen[low] = pieces
    return seen


def subtract(comb: tuple[Span, ...], hole: tuple[Span, ...]) -> list[tuple[Span, ...]]:
    """The cells of a comb that are not cells of another, as disjoint combs.

    Examples
    --------
    >>> subtract((Span(0, 1, 9),), (Span(3, 1, 2),))
    [(Span(start=0, step=1, count=3),), (Span(start=5, step=1, count=4),)]
    """
    meets = [meet(span, other) for span, other in zip(comb, hole, strict=True)]
    if not all(positions.count for positions in meets):
        return [comb]
    rest: list[tuple[Span, ...]] = []
    inside = list(comb)
    for axis, positions in enumerate(meets):
        for outside in without(comb[axis], positions):
            rest.append((*inside[:axis], compose(comb[axis], outside), *comb[axis + 1 :]))
        inside[axis] = compose(comb[axis], positions)
    return rest


def _comb(start: np.ndarray, count: np.ndarray, step: np.ndarray) -> tuple[Span, ...]:
    return tuple(canonical(*axis) for axis in zip(start.tolist(), step.tolist(), count.tolist(), strict=True))


def _reach(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """For each interval, sorted by start, how many later ones begin before it ends."""
    return np.maximum(np.searchsorted(starts, stops, side="left") - np.arange(len(starts)) - 1, 0)
