"""Axis-aligned boxes of cells: which overlap, and what of each is seen.

Owns overlap tests and the subtraction of boxes. Boxes are rows of int64 arrays ``starts`` (n, r) and
``stops`` (n, r), half open; combs have a step per axis as well. Refuses to know what is inside a box.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lazyzarr.algebra.span import Span, canonical, compose, meet, without

_PAIRS_AT_ONCE = 1 << 20
_ROUNDS = 8
"""How often boxes are parted along each axis."""
COMB_PAIR = 64
"""What comparing two combs of different steps costs, in comparisons of boxes."""


def overlapping_pairs(starts: np.ndarray, stops: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs ``i < j`` of boxes with a common cell, in blocks.

    The boxes are parted where nothing reaches across (`_parts`), then swept along the axis on which fewest pairs
    touch, so n tiles of a lattice cost about n comparisons and not n^2.

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
    order, reach = _sweep(starts, stops)
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


def pairs_compared(starts: np.ndarray, counts: np.ndarray, steps: np.ndarray) -> int:
    """What `any_overlap` and `visible` cost, in pairs of boxes; a pair of combs of different steps counts `COMB_PAIR`.

    Examples
    --------
    >>> steps = np.ones((1000, 1), np.int64)
    >>> pairs_compared(np.arange(1000)[:, None], steps, steps), pairs_compared(0 * steps, steps, steps)
    (0, 499500)
    """
    low, high, boxes = _bounds(starts, counts, steps)
    solid = (high > low).all(axis=1)
    low, high = low[solid], high[solid]
    if not low.shape[1]:
        return len(low) * (len(low) - 1) // 2
    pairs = int(_sweep(low, high)[1].sum()) if len(low) > 1 else 0
    return pairs if boxes else pairs * COMB_PAIR


def _bounds(starts: np.ndarray, counts: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Boxes around combs, and whether they are the combs. Combs of one step per axis are boxes of (remainder,
    quotient), so that the many combs of an interleave make no pair.
    """
    boxes = not len(steps) or bool((steps == steps[0]).all())
    if len(steps) and boxes and (steps[0] != 1).any():
        starts = np.concatenate([starts % steps, starts // steps], axis=1)
        counts = np.concatenate([np.minimum(counts, 1), counts], axis=1)
        steps = np.ones_like(starts)
    return starts, starts + np.where(counts > 0, steps * (counts - 1) + 1, 0), boxes


def _meeting_bounds(
    starts: np.ndarray, counts: np.ndarray, steps: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of combs whose bounds meet."""
    return overlapping_pairs(*_bounds(starts, counts, steps)[:2])


def _sweep(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order of boxes, at least two of at least one axis, and with how many of the next ones each is to be compared."""
    parts = _parts(starts, stops)
    best: tuple[np.ndarray, np.ndarray] | None = None
    for axis in range(starts.shape[1]):
        order = np.lexsort((starts[:, axis], parts))
        # numbers in place of positions, far apart where the part is another one
        values = np.sort(np.concatenate([starts[:, axis], stops[:, axis]]))
        low, high = (
            np.searchsorted(values, ends[order, axis]) + parts[order] * len(values) for ends in (starts, stops)
        )
        reach = _reach(low, high)
        if best is None or reach.sum() < best[1].sum():
            best = order, reach
    assert best is not None
    return best


def _parts(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Numbers of parts of a set of boxes; boxes of different parts share no cell.

    A part is cut, along one axis after the other, wherever no box of it reaches across. It is left as it is after a
    few rounds: parts that are too large cost pairs, never an answer.
    """
    part = np.zeros(len(starts), np.int64)
    count, idle, axis, rank = 1, 0, 0, starts.shape[1]
    for _ in range(_ROUNDS * rank):
        order = np.lexsort((starts[:, axis], part))
        low, high, old = starts[order, axis], stops[order, axis], part[order]
        values = np.sort(high)
        # within a part the furthest end so far, as a number that grows from part to part
        furthest = np.maximum.accumulate(np.searchsorted(values, high) + old * len(values))
        apart = np.searchsorted(values, low, side="right") + old * len(values) > np.append(-1, furthest[:-1])
        part[order] = np.cumsum(apart) - 1
        found = int(np.count_nonzero(apart))
        idle, count, axis = (idle + 1 if found == count else 0), found, (axis + 1) % rank
        if idle >= rank or count == len(starts):
            break
    return part


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
