"""Arrays on grids of unequal chunks, as joins of arrays on regular ones.

1. Along each axis neighbouring chunks of one length are a run; where runs meet, the array is cut.
2. Each piece is a stored array of its own, whose references name chunks by their number in the whole grid.
Owns the cutting and the joining, so that all that is below a view has one chunk shape per array. Refuses grids that
would need more than `MOST_PIECES` pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from lazyzarr.errors import ViewLimitError
from lazyzarr.formats.referenced import Columns, Keyed, Referenced
from lazyzarr.ir.layout import Layout, StoredArray
from lazyzarr.ir.nodes import Concat, Fill
from lazyzarr.ir.origins import origin_columns
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View

MOST_PIECES = 10_000


class Run(NamedTuple):
    """Neighbouring chunks of one length along an axis."""

    chunk: int
    """Number of the first."""
    chunks: int
    length: int
    """Of each chunk [cells]."""
    cells: int
    """Of all of them, without what is beyond the array."""


def runs(lengths: Sequence[int], extent: int) -> list[Run]:
    """The runs of an axis of so many cells.

    Examples
    --------
    >>> runs([30, 30, 5, 30], 90)
    [Run(chunk=0, chunks=2, length=30, cells=60), Run(chunk=2, chunks=1, length=5, cells=5), Run(chunk=3, chunks=1, length=30, cells=25)]
    """
    edges = np.asarray(lengths, np.int64)
    stops = np.minimum(np.cumsum(edges), extent)
    inside = int(np.searchsorted(stops, extent)) + 1 if extent else 0
    begins = np.flatnonzero(np.diff(edges[:inside], prepend=-1))
    ends = np.r_[begins[1:], inside] if len(begins) else begins
    before = np.r_[0, stops]
    columns = (begins, ends - begins, edges[begins], before[ends] - before[begins])
    return [Run(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def pieced(found: Referenced | Keyed, reader: Reader, stored: Callable[[Referenced], View]) -> View:
    """The view of an array with ``lengths``; ``stored`` makes one of an array of references on a regular grid.

    Raises
    ------
    ViewLimitError
        There are more pieces than nodes are made for.
    """
    assert found.lengths is not None
    along = [runs(one, n) for one, n in zip(found.lengths, found.shape, strict=True)]
    count = math.prod(map(len, along))
    if count > MOST_PIECES:
        raise ViewLimitError(
            "pieces of a rectilinear grid", count, MOST_PIECES, where=found.name, remedy="write it on a regular grid"
        )
    if not count:
        return View(Fill(found.shape, found.layout.data_type, found.layout.fill_value), reader=reader)
    grid = tuple(map(len, found.lengths))

    def piece(part: tuple[Run, ...]) -> View:
        shape = tuple(run.cells for run in part)
        layout = msgspec.structs.replace(found.layout, chunk_shape=tuple(run.length for run in part))
        rows = _rows(part, grid)
        if isinstance(found, Keyed):
            return _keyed(found, shape, layout, rows, grid, reader)
        return stored(_referenced(found, shape, layout, rows))

    def join(axis: int, part: tuple[Run, ...]) -> View:
        if axis == len(along):
            return piece(part)
        inputs = [join(axis + 1, (*part, run)) for run in along[axis]]
        return inputs[0] if len(inputs) == 1 else View(Concat(tuple(range(len(inputs))), axis), inputs, reader=reader)

    return join(0, ())


def _rows(part: Sequence[Run], grid: Sequence[int]) -> np.ndarray:
    """int64 (n,): numbers in the whole grid of the chunks of a piece, in C order."""
    rows = np.zeros(1, np.int64)
    for run, length in zip(part, grid, strict=True):
        rows = (rows[:, None] * length + np.arange(run.chunk, run.chunk + run.chunks)).reshape(-1)
    return rows


def _referenced(found: Referenced, shape: tuple[int, ...], layout: Layout, rows: np.ndarray) -> Referenced:
    columns: Columns = {name: np.asarray(column)[rows] for name, column in found.columns.items()}
    inline = {at: found.inline[row] for at, row in enumerate(rows.tolist()) if row in found.inline}
    return Referenced(found.name, shape, layout, columns, found.urls, found.stamps, inline=inline)


def _keyed(
    found: Keyed, shape: tuple[int, ...], layout: Layout, rows: np.ndarray, grid: tuple[int, ...], reader: Reader
) -> View:
    origins = Table(origin_columns([found.location], [found.stamp], [0], [grid]))
    zeros = np.zeros(len(rows), np.uint64)
    refs = Table({"offset": zeros, "length": zeros, "origin": np.zeros(len(rows), np.int32), "number": rows})
    array = StoredArray(layout=0, shape=shape, refs=refs.name, origins=origins.name)
    return source(array, [layout], reader=reader, tables={refs.name: refs, origins.name: origins})
