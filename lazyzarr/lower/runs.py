"""Gathered fragments as runs of neighbouring cells: the form a manifest has.

Owns the split of gathered axes into maximal runs. Refuses to be used for reading: a random gather has as many runs
as cells, and a reader copies all cells of a chunk at once instead.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lazyzarr.lower.fragments import ROWS, Fragments
from lazyzarr.lower.placements import AFFINE, ranges


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
    row, member = ranges(found.pool[pooled, axis], found.count[pooled, axis])
    row = pooled[row]
    cell, into = found.pool_from[member], found.pool_into[member]
    new = np.ones(len(row), bool)
    new[1:] = (np.diff(row) != 0) | (np.diff(cell) != 1) | (np.diff(into) != 1)
    begins = np.flatnonzero(new)
    count = np.diff(np.r_[begins, len(row)])
    runs = found.rows(row[begins])
    at, to = np.arange(len(begins)), runs.axis[:, axis]
    runs.start[:, axis] += runs.step[:, axis] * cell[begins]
    runs.step[:, axis] = np.where(count > 1, runs.step[:, axis], 1)
    runs.count[:, axis] = count
    runs.pool[:, axis] = AFFINE
    runs.into_first[at, to] += runs.into_step[at, to] * into[begins]
    runs.into_count[at, to] = count
    rest = found.rows(np.flatnonzero(found.pool[:, axis] == AFFINE))
    return replace(found, **{name: np.concatenate([getattr(rest, name), getattr(runs, name)]) for name in ROWS})
