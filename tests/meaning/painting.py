"""The slowest painter: placements and fragments written cell by cell as their docstrings define them.

Owns nothing of the library but the meaning of its columns, so that lowering is checked by something else than
the reader. Counts how often each cell is written, for M1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lazyzarr.ir import fill
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import AFFINE, UNFED, Placements


@dataclass(frozen=True)
class Painted:
    """A view painted from its placements or fragments."""

    cells: np.ndarray
    from_sources: np.ndarray
    """int: how often each cell was written from a source."""
    from_constants: np.ndarray
    """int: how often each cell was written from a constant."""


def paint(lowered: Lowered, values: Callable[..., np.ndarray]) -> Painted:
    """The view, from placements and whole sources."""
    placed = lowered.placements
    done = _blank(lowered)
    _constants(lowered, done)
    numbers = sorted({int(n) for n in placed.source if n >= 0})
    arrays = dict(zip(numbers, lowered.sources.arrays(np.array(numbers, np.int64)), strict=True))
    for row in np.flatnonzero(placed.source >= 0):
        array = arrays[int(placed.source[row])]
        source = values(array, lowered.layouts[placed.layout[row]])
        cells = [_cells(placed, placed.first, row, axis) for axis in range(len(array.shape))]
        _put(done, placed, int(row), source[np.ix_(*cells)] if cells else source)
    return done


def paint_fragments(lowered: Lowered, found: Fragments, values: Callable[..., np.ndarray]) -> Painted:
    """The view, from fragments; asserts M2, that no window reaches beyond the cells of its source."""
    done = _blank(lowered)
    _constants(lowered, done)
    numbers = sorted({int(n) for n in found.source})
    arrays = dict(zip(numbers, lowered.sources.arrays(np.array(numbers, np.int64)), strict=True))
    for row in range(len(found)):
        array = arrays[int(found.source[row])]
        layout = lowered.layouts[found.layout[row]]
        cells = []
        for axis, (length, chunk_length) in enumerate(zip(array.shape, layout.chunk_shape, strict=True)):
            inside = _cells(found, found.start, row, axis)
            assert ((inside >= 0) & (inside < chunk_length)).all()
            absolute = int(found.chunk[row, axis]) * chunk_length + inside
            assert ((absolute >= 0) & (absolute < length)).all()
            cells.append(absolute)
        source = values(array, layout)
        _put(done, found, row, source[np.ix_(*cells)] if cells else source)
    return done


def _blank(lowered: Lowered) -> Painted:
    shape = lowered.schema.shape
    out = fill.full(shape, fill.zero(lowered.schema.data_type), lowered.schema.data_type)
    return Painted(out, np.zeros(shape, int), np.zeros(shape, int))


def _constants(lowered: Lowered, done: Painted) -> None:
    placed = lowered.placements
    rows = np.flatnonzero(placed.source < 0)
    for row in rows[np.argsort(placed.order[rows], kind="stable")]:
        constant = lowered.constants[-1 - placed.source[row]]
        assert constant.data_type == lowered.schema.data_type
        key = np.ix_(*_view_cells(placed, int(row))) if lowered.schema.shape else (...,)
        done.cells[key] = fill.full((), constant.value, constant.data_type)
        done.from_constants[key] += 1


def _cells(table: Placements | Fragments, first: np.ndarray, row: int, axis: int) -> np.ndarray:
    """Cells along one source axis, in the order of the table."""
    steps = np.arange(table.count[row, axis])
    if table.pool[row, axis] != AFFINE:
        steps = table.pool_from[table.pool[row, axis] + steps]
    return first[row, axis] + table.step[row, axis] * steps


def _view_cells(table: Placements | Fragments, row: int) -> list[np.ndarray]:
    """Cells along each view axis that one row fills."""
    found = []
    for axis in range(table.into_count.shape[1]):
        steps = np.arange(table.into_count[row, axis])
        feeding = np.flatnonzero((table.axis[row] == axis) & (table.pool[row] != AFFINE))
        if len(feeding):
            assert len(feeding) == 1
            assert table.count[row, feeding[0]] == len(steps)
            steps = table.pool_into[table.pool[row, feeding[0]] + steps]
        found.append(table.into_first[row, axis] + table.into_step[row, axis] * steps)
    return found


def _put(done: Painted, table: Placements | Fragments, row: int, piece: np.ndarray) -> None:
    """Write the cells of one row, axes in the order of the view, repeated where nothing feeds an axis."""
    rank = done.cells.ndim
    axes = table.axis[row, : piece.ndim]
    unfed = tuple(int(a) for a in np.flatnonzero(axes == UNFED))
    assert all(piece.shape[a] == 1 for a in unfed)
    fed = [int(a) for a in axes if a != UNFED]
    assert len(set(fed)) == len(fed)
    piece = piece.reshape([n for a, n in enumerate(piece.shape) if a not in unfed]).transpose(np.argsort(fed))
    piece = piece.reshape([table.into_count[row, a] if a in fed else 1 for a in range(rank)])
    key = np.ix_(*_view_cells(table, row)) if rank else (...,)
    done.cells[key] = np.broadcast_to(piece, done.cells[key].shape)
    done.from_sources[key] += 1
