"""Gathered fragments as runs of neighbouring cells: the form a manifest has.

Owns the split of gathered axes into maximal runs. Refuses to be used for reading: a random gather has as many runs
as cells, and a reader copies all cells of a chunk at once instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.placements import AFFINE, ranges

_POOLS = ("pool_from", "pool_into")


def as_runs(found: Fragments) -> Fragments:
    """Fragments without gathered axes: each gathered one becomes a fragment per run of neighbouring cells.

    A run ends where the next cell of the view does not come from the next cell of the chunk.
    """
    for axis in range(found.pool.shape[1]):
        if (found.pool[:, axis] != AFFINE).any():
            found = _split(found, axis)
    return found


def _split(found: Fragments, axis: int) -> Fragments:
    pooled = np.flatnonzero(found.pool[:, axis] != AFFINE)
    lengths = found.count[pooled, axis]
    row, member = ranges(found.pool[pooled, axis], lengths)
    cell, into = found.pool_from[member], found.pool_into[member]
    if (cell[1:] == cell[:-1]).any():  # a cell that is taken twice stands between its neighbours
        # `into` counts within a table of indices that is in memory: the two fit one number
        order = np.argsort(row * (into.max() + 1) + into)
        cell, into = cell[order], into[order]
    new = np.ones(len(member), bool)
    np.logical_or(cell[1:] - cell[:-1] != 1, into[1:] - into[:-1] != 1, out=new[1:])
    first = np.cumsum(lengths) - lengths
    new[first] = True
    begins = np.flatnonzero(new)
    count = np.diff(np.r_[begins, len(member)])
    runs_of = np.add.reduceat(new, first, dtype=np.int64)
    # repeating neighbours is several times as fast as picking rows one by one
    runs = _changed(found, lambda column: np.repeat(column[pooled], runs_of, axis=0))
    at, to = np.arange(len(begins)), runs.axis[:, axis]
    runs.start[:, axis] += runs.step[:, axis] * cell[begins]
    runs.step[:, axis] = np.where(count > 1, runs.step[:, axis], 1)
    runs.count[:, axis] = count
    runs.pool[:, axis] = AFFINE
    runs.into_first[at, to] += runs.into_step[at, to] * into[begins]
    runs.into_count[at, to] = count
    if len(pooled) == len(found):
        return runs
    rest = np.flatnonzero(found.pool[:, axis] == AFFINE)
    columns = {name: np.concatenate([getattr(found, name)[rest], getattr(runs, name)]) for name in _COLUMNS}
    return replace(found, **columns)


_COLUMNS = [field.name for field in fields(Fragments) if field.name not in _POOLS]


def _changed(found: Fragments, change: Callable[[np.ndarray], np.ndarray]) -> Fragments:
    return replace(found, **{name: change(getattr(found, name)) for name in _COLUMNS})
