"""Distinct values of long columns of integers, by one sort of plain numbers or by counting.

Owns what stands for ``np.unique`` where rows are counted in millions: comparing whole rows (``axis=0``) sorts them as
raw bytes and takes twenty times as long. Refuses everything but integers.
"""

from __future__ import annotations

import numpy as np

_MOST_COUNTED = 1 << 20


def distinct(values: np.ndarray) -> np.ndarray:
    """The distinct values of a column, ascending, as `np.unique`.

    Examples
    --------
    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    ordered = np.sort(values)
    return ordered[_new(ordered)]


def numbers(values: np.ndarray) -> list[int]:
    """The distinct values, ascending, of a column of small numbers that are at least 0.

    Examples
    --------
    >>> numbers(np.array([3, 1, 3]))
    [1, 3]
    """
    return np.flatnonzero(np.bincount(values)).tolist()


def intervals(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct intervals, by start and then by stop; no start is below 0 and no stop below its start.

    Examples
    --------
    >>> starts, stops = intervals(np.array([4, 0, 4]), np.array([6, 4, 6]))
    >>> starts.tolist(), stops.tolist()
    ([0, 4], [4, 6])
    """
    lengths = stops - starts
    wide = int(lengths.max(initial=0)) + 1
    if (int(starts.max(initial=0)) + 1) * wide < 1 << 63:  # both fit one number
        key = distinct(starts * wide + lengths)
        return key // wide, key // wide + key % wide
    order = np.lexsort((stops, starts))
    starts, stops = starts[order], stops[order]
    kept = _new(starts) | _new(stops)
    return starts[kept], stops[kept]


def count_of_rows(rows: np.ndarray) -> int:
    """How many rows (m, q) of small integers are distinct.

    Examples
    --------
    >>> count_of_rows(np.array([[0, 1], [1, 0], [0, 1]]))
    2
    """
    if not len(rows) or (rows == rows[0]).all():
        return min(len(rows), 1)
    code, codes = np.zeros(len(rows), np.int64), 1
    for column in rows.T:
        low = int(column.min())
        span = int(column.max()) - low + 1
        if codes * span > _MOST_COUNTED:
            found, code = np.unique(code, return_inverse=True)
            codes = len(found)
        code, codes = code * span + (column - low), codes * span
    return len(distinct(code))


def _new(ordered: np.ndarray) -> np.ndarray:
    """Which values differ from the one before."""
    new = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new
