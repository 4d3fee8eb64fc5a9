"""Axis-aligned boxes of cells: which overlap, and what of each is seen.

Owns overlap tests and the subtraction of boxes. Boxes are rows of int64 arrays ``starts`` (n, r) and
``stops`` (n, r), half open; combs have a step per axis as well. Refuses to know what is inside a box.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

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


def any_overlap(starts: np.ndarray, counts: np.ndarray, steps: np.ndarray) -> tuple[int, int] | None:
    """The first found pair of combs with a common cell, or None.

    A comb has the cells ``start + step * k``, ``k < count``, on each axis; two share a cell exactly when
    their progressions meet on every axis.

    Examples
    --------
    >>> any_overlap(np.array([[0], [1]]), np.array([[3], [3]]), np.array([[2], [2]])) is None
    True
    """
    stops = starts + np.where(counts > 0, steps * (counts - 1) + 1, 0)
    for left, right in overlapping_pairs(starts, stops):
        plain = (steps[left] == 1).all(axis=1) & (steps[right] == 1).all(axis=1)
        if plain.any():
            at = int(np.argmax(plain))
            return int(left[at]), int(right[at])
        for i, j in zip(left.tolist(), right.tolist(), strict=True):
            axes = zip(starts[i], steps[i], counts[i], starts[j], steps[j], counts[j], strict=True)
            if all(_meet(*(int(v) for v in axis)) for axis in axes):
                return i, j
    return None


def visible(
    starts: np.ndarray, stops: np.ndarray, rank_of: np.ndarray
) -> dict[int, list[tuple[np.ndarray, np.ndarray]]]:
    """For each box that is partly or wholly covered, the disjoint boxes that remain seen.

    Parameters
    ----------
    starts, stops
        int64 (n, r).
    rank_of
        int64 (n,): of two boxes, the one with the higher rank is seen.

    Returns
    -------
    dict
        Only boxes that lose cells appear; those seen whole do not.
    """
    above: dict[int, list[int]] = {}
    for left, right in overlapping_pairs(starts, stops):
        upper = np.where(rank_of[left] > rank_of[right], left, right)
        lower = left + right - upper
        for low, high in zip(lower.tolist(), upper.tolist(), strict=True):
            above.setdefault(low, []).append(high)
    seen: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for low, covers in above.items():
        pieces = [(starts[low], stops[low])]
        for high in covers:
            pieces = [rest for piece in pieces for rest in subtract(piece, (starts[high], stops[high]))]
        seen[low] = pieces
    return seen


def subtract(
    box: tuple[np.ndarray, np.ndarray], hole: tuple[np.ndarray, np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The box without the hole as at most 2r disjoint boxes.

    Examples
    --------
    >>> one = np.array
    >>> [(a.tolist(), b.tolist()) for a, b in subtract((one([0]), one([9])), (one([3]), one([5])))]
    [([0], [3]), ([5], [9])]
    """
    start, stop = box
    low, high = np.maximum(start, hole[0]), np.minimum(stop, hole[1])
    if (low >= high).any():
        return [box]
    rest: list[tuple[np.ndarray, np.ndarray]] = []
    start, stop = start.copy(), stop.copy()
    for axis in range(len(start)):
        for begin, end in ((start[axis], low[axis]), (high[axis], stop[axis])):
            if begin < end:
                piece = (start.copy(), stop.copy())
                piece[0][axis], piece[1][axis] = begin, end
                rest.append(piece)
        start[axis], stop[axis] = low[axis], high[axis]
    return rest


def _reach(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """For each interval, sorted by start, how many later ones begin before it ends."""
    return np.maximum(np.searchsorted(starts, stops, side="left") - np.arange(len(starts)) - 1, 0)


def _meet(a: int, da: int, na: int, b: int, db: int, nb: int) -> bool:
    """Whether two progressions share a cell (Chinese remainder theorem)."""
    if na == 0 or nb == 0:
        return False
    common = math.gcd(da, db)
    if (b - a) % common:
        return False
    period = da // common * db
    step = db // common
    k = (b - a) // common * pow(da // common, -1, step) % step if step > 1 else 0
    cell = a + da * k
    low, high = max(a, b), min(a + da * (na - 1), b + db * (nb - 1))
    cell += -(-(low - cell) // period) * period
    return low <= cell <= high
