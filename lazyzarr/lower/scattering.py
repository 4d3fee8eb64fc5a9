"""References into a grid: the last step to an `AlignedManifest`.

Owns the arithmetic from the boxes of fragments to the numbers of chunks. Refuses conditions: what it is given has been
judged (`lazyzarr.lower.alignment`) or chosen (`lazyzarr.lower.choosing`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from lazyzarr.errors import ViewLimitError
from lazyzarr.ir.layout import VALUE_WISE, Json, NamedConfig
from lazyzarr.lower.aligned import MISSING, AlignedManifest
from lazyzarr.lower.chunk_facts import Facts, References
from lazyzarr.lower.fragments import MAX_CHUNKS
from lazyzarr.lower.grids import repeated_cells
from lazyzarr.lower.lifting import stored_type
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import ranges

Lengths = tuple[int | tuple[int, ...], ...]


class Grid:
    """Chunk lengths along each axis of a view, and where chunks begin.

    Raises
    ------
    ViewLimitError
        There are more than `MAX_CHUNKS` chunks.
    """

    def __init__(self, shape: Sequence[int], lengths: Lengths) -> None:
        self.extents, self.lengths = tuple(shape), lengths
        self.shape = tuple(-(-n // c) if isinstance(c, int) else len(c) for n, c in zip(shape, lengths, strict=True))
        if len(self) > MAX_CHUNKS:
            raise ViewLimitError("chunks", len(self), MAX_CHUNKS, remedy="take a smaller part of the view")
        self.edges = [None if isinstance(one, int) else np.cumsum([0, *one], dtype=np.int64) for one in lengths]

    def __len__(self) -> int:
        return math.prod(self.shape)

    def position(self, axis: int, cells: np.ndarray) -> np.ndarray:
        """Number along an axis of the chunks that have these cells."""
        edges, length = self.edges[axis], self.lengths[axis]
        if edges is not None:
            return np.searchsorted(edges, cells, side="right") - 1
        assert isinstance(length, int)
        return cells // length

    def span(self, axis: int, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First cell and stored length of chunks along an axis."""
        edges, length = self.edges[axis], self.lengths[axis]
        if edges is not None:
            return edges[position], np.asarray(length, np.int64)[position]
        assert isinstance(length, int)
        return position * length, np.full_like(position, length)


def scattered(
    facts: Facts,
    lengths: Lengths,
    codecs: tuple[NamedConfig, ...],
    fill_value: Json,
    *,
    parts: Iterable[tuple[References, np.ndarray | None]] | None = None,
    **carried: Any,
) -> AlignedManifest:
    """The manifest of all references, or of the rows (None: all) of some parts of them.

    Blocks are let go of as they are used up, so that the columns are never there twice.
    """
    schema = facts.lowered.schema
    grid = Grid(schema.shape, lengths)
    n = len(grid)
    state = np.full(n, MISSING, np.int8)
    offset, length, number = (np.zeros(n, np.int64) for _ in range(3))
    origin = np.full(n, -1, np.int32)
    for part, keep in _popped(facts) if parts is None else parts:
        at, rows = positions(part, grid, slice(None) if keep is None else keep)
        state[at], origin[at] = part.state[rows], part.origin[rows]
        offset[at], length[at], number[at] = part.offset[rows], part.length[rows], part.number[rows]
    return AlignedManifest(
        shape=schema.shape,
        data_type=schema.data_type,
        fill_value=fill_value,
        chunk_lengths=lengths,
        codecs=codecs,
        state=state,
        offset=offset,
        length=length,
        origin=origin,
        number=number,
        origins=tuple(facts.places),
        memory=tuple(facts.memory),
        fill_candidates=_stored_fills(facts.lowered, codecs),
        **carried,
    )


def positions(
    part: References, grid: Grid, rows: slice | np.ndarray = slice(None)
) -> tuple[np.ndarray, slice | np.ndarray]:
    """Numbers in the grid that references of a block go to, and the reference for each."""
    at = np.zeros(len(part.first[rows]), np.int64)
    for axis, chunks in enumerate(grid.shape):
        first = part.first[rows, axis].astype(np.int64)
        if part.repeats is not None and part.gap is not None:
            repeats, gap = part.repeats[rows, axis], part.gap[rows, axis]
            if (repeats > 1).any():
                row, _ = ranges(np.zeros_like(repeats), repeats)
                first = repeated_cells(np.stack([first, repeats, gap], axis=1))
                at = at[row]
                rows = row if isinstance(rows, slice) else rows[row]
        at = at * chunks + grid.position(axis, first)
    return at, rows


def _popped(facts: Facts) -> Iterable[tuple[References, None]]:
    while facts.references:
        yield facts.references.pop(), None


def _stored_fills(lowered: Lowered, codecs: tuple[NamedConfig, ...]) -> tuple[Json, ...]:
    """Fill values of layouts below the decodes."""
    decodes = [codec for codec in codecs if codec.name in VALUE_WISE]
    if not decodes:
        return ()
    below = stored_type(lowered.schema.data_type, decodes)
    values = [layout.fill_value for layout in lowered.layouts if layout.data_type == below]
    return tuple({msgspec.json.encode(value): value for value in values}.values())
