"""Placements of a view as pairs of boxes that a mapping of an HDF5 virtual dataset can say.

A mapping takes the cells of a box of a dataset in C order and puts them into a box of the view in C order; boxes have
positive steps. So gathers become one box for each run of neighbours, what is repeated along an axis one for each time,
and what is read backwards along an axis one for each cell of it. Owns this, in columns, and the words for what no number
of mappings should have to say: axes in another order, and more than a reader should have to look at. Refuses to know
files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lazyzarr.lower.fragments import ROWS, Fragments
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.naming import Test, gathering, turning
from lazyzarr.lower.naming import backwards as backwards_by
from lazyzarr.lower.placements import AFFINE, UNFED, ranges
from lazyzarr.lower.runs import as_runs

MAX_MAPPINGS = 1 << 17
"""Mappings of one virtual dataset; libhdf5 looks at all of them in each read."""

MAX_BACKWARDS = 10_000
"""Mappings that may be made of those that read backwards."""

Why = Callable[[str, str, np.ndarray, Test], None]
"""What is wrong, what to do, which sources (numbers of the `SourceSpace`) have it, and which nodes may be the cause."""


def boxes_of(lowered: Lowered, problem: Why) -> Fragments:
    """The boxes of the stored cells of a view; columns as those of fragments, without chunks.

    Parameters
    ----------
    problem
        Told of everything that has no form.
    """
    placed = lowered.placements
    stored = np.flatnonzero(placed.source >= 0)
    columns = {name: getattr(placed, name)[stored] for name in ROWS if name not in ("start", "chunk")}
    first = placed.first[stored]
    found = Fragments(
        **columns, start=first, chunk=np.zeros_like(first), pool_from=placed.pool_from, pool_into=placed.pool_into
    )
    length = np.where(found.pool != AFFINE, found.count, 1).prod(axis=1, dtype=np.float64)
    fed = _fed(found)
    again = np.where(fed, 1, found.into_count).prod(axis=1, dtype=np.float64)
    many = length * again > MAX_MAPPINGS
    if many.any():
        _too_many(found.source[many], problem)
        return _rows(found, np.zeros(0, np.int64))
    found = as_runs(found)
    if (np.where(_fed(found), 1, found.into_count).prod(axis=1, dtype=np.float64)).sum() > MAX_MAPPINGS:
        _too_many(np.unique(found.source), problem)
        return _rows(found, np.zeros(0, np.int64))
    found = _forwards(found, problem)
    _orders(found, problem)
    return _repeated(found)


def _too_many(sources: np.ndarray, problem: Why) -> None:
    what = f"takes more than {MAX_MAPPINGS:,} mappings, one for each run of neighbouring cells and each repetition"
    problem(what, "write a smaller part, or gather and repeat after opening", np.unique(sources), gathering)


def _fed(found: Fragments) -> np.ndarray:
    """bool (m, r): an axis of the source runs along this axis of the view."""
    fed = np.zeros(found.into_count.shape, bool)
    rows, axes = np.nonzero(found.axis != UNFED)
    fed[rows, found.axis[rows, axes]] = True
    return fed


def _forwards(found: Fragments, problem: Why) -> Fragments:
    """Boxes without negative steps: one for each cell along the axes that have them."""
    backwards = (found.axis != UNFED) & (found.count > 1) & (found.step < 0)
    rows = backwards.any(axis=1)
    if not rows.any():
        return found
    made = int(np.where(backwards, found.count, 1)[rows].prod(axis=1, dtype=np.float64).sum())
    if made > MAX_BACKWARDS:
        what = (
            f"is read backwards, which takes {made:,} mappings, one for each cell along the axis; more than "
            f"{MAX_BACKWARDS:,} are not written"
        )
        problem(what, "flip it after opening, or write a smaller part", np.unique(found.source[rows]), backwards_by)
        return _rows(found, np.flatnonzero(~rows))
    for axis in range(found.count.shape[1]):
        row, member = ranges(np.zeros(len(found), np.int64), np.where(backwards[:, axis], found.count[:, axis], 1))
        found, backwards = _rows(found, row), backwards[row]
        at = np.flatnonzero(backwards[:, axis])
        to = found.axis[at, axis]
        found.start[at, axis] += found.step[at, axis] * member[at]
        found.into_first[at, to] += found.into_step[at, to] * member[at]
        found.count[at, axis] = found.step[at, axis] = 1
        found.into_count[at, to] = 1
    return found


def _orders(found: Fragments, problem: Why) -> None:
    long = (found.axis != UNFED) & (found.count > 1)
    last = np.full(len(found), -1, np.int64)
    turned = np.zeros(len(found), bool)
    for axis in range(found.axis.shape[1]):
        to = found.axis[:, axis].astype(np.int64)
        turned |= long[:, axis] & (to < last)
        last = np.where(long[:, axis], to, last)
    if turned.any():
        problem("has its axes in another order", "transpose it after opening", np.unique(found.source[turned]), turning)


def _repeated(found: Fragments) -> Fragments:
    for axis in range(found.into_count.shape[1]):
        times = np.where(_fed(found)[:, axis], 1, found.into_count[:, axis])
        if (times > 1).any():
            row, member = ranges(np.zeros(len(found), np.int64), times)
            again = times[row] > 1
            found = _rows(found, row)
            found.into_first[:, axis] += np.where(again, found.into_step[:, axis] * member, 0)
            found.into_count[:, axis] = np.where(again, 1, found.into_count[:, axis])
    return found


def _rows(found: Fragments, rows: np.ndarray) -> Fragments:
    """A copy of some rows."""
    return replace(found, **{name: getattr(found, name)[rows] for name in ROWS})
