"""Boxes of files on a common ground: which overlap, which reach outside, and whether they cover it.

Owns these questions, answered on whole columns. Refuses to place anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from lazyzarr.algebra.boxes import overlapping_pairs

MOST_CELLS = 20_000_000
"""Cells between cuts up to which it is worked out whether boxes cover their ground."""


def covered(starts: np.ndarray, counts: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether boxes cover every cell; False also where that is too much work to know.

    Parameters
    ----------
    starts, counts
        First cells and lengths (boxes, axes).

    Examples
    --------
    >>> covered(np.array([[0], [2]]), np.array([[3], [3]]), [5]), covered(np.array([[0], [3]]), np.array([[2], [2]]), [5])
    (True, False)
    """
    stops = starts + counts
    cuts = [np.unique(np.concatenate([starts[:, a], stops[:, a], [0, n]])) for a, n in enumerate(shape)]
    lengths = [len(cut) for cut in cuts]
    if np.prod(lengths, dtype=np.float64) > MOST_CELLS:
        return False
    # how many boxes cover a piece: the sums of what begins and ends at the corners of the boxes
    pieces = np.zeros(lengths, np.int64)
    for corner in itertools.product((0, 1), repeat=len(shape)):
        at = tuple(np.searchsorted(cuts[a], (stops if far else starts)[:, a]) for a, far in enumerate(corner))
        np.add.at(pieces, at, (-1) ** sum(corner))
    for axis in range(len(shape)):
        pieces = np.cumsum(pieces, axis=axis)
    inside = tuple(slice(0, int(np.searchsorted(cuts[a], n))) for a, n in enumerate(shape))
    return bool((pieces[inside] > 0).all())


def overlaps(starts: np.ndarray, counts: np.ndarray) -> list[tuple[int, int]]:
    """All pairs of boxes with a common cell.

    Examples
    --------
    >>> overlaps(np.array([[0], [2], [9]]), np.array([[3], [3], [1]]))
    [(0, 1)]
    """
    found: list[tuple[int, int]] = []
    for left, right in overlapping_pairs(starts, starts + counts):
        found += zip(left.tolist(), right.tolist(), strict=True)
    return sorted(found)
