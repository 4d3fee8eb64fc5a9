"""Where a view may be cut so that no stored chunk is cut: the blocks that readers work in side by side.

1. Along each axis the boxes of the view that stored chunks fill are joined where they overlap; what is left are pieces
   that no cut divides.
2. Neighbouring pieces are put together until a block has a sensible size.
3. Where pieces have grown beyond any sensible size (chunks that lie across each other, one chunk repeated over an axis),
   they are cut again: then some chunks are decoded for more than one block.
Owns the choice of blocks. Refuses to read, and to know who asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lazyzarr.lower.fragments import cut_along
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.lower.placements import AFFINE
from lazyzarr.lower.runs import as_runs

if TYPE_CHECKING:
    from lazyzarr.view import View

SENSIBLE = 16 << 20
"""Blocks are put together up to this size [bytes of cells]."""
MOST = 128 << 20
"""A block that no single stored chunk makes larger is at most this large [bytes of cells]."""
TEXT_BYTES = 32
"""What one cell of text, or of bytes of any length, is taken for."""

_NONE = np.zeros(0, np.int64)

Chunks = tuple[tuple[int, ...], ...]
"""Lengths of all blocks along each axis."""


def item_bytes(dtype: np.dtype) -> int:
    """Memory of one cell [bytes]; of text a guess.

    Examples
    --------
    >>> item_bytes(np.dtype("f4")), item_bytes(np.dtypes.StringDType())
    (4, 32)
    """
    return TEXT_BYTES if dtype.kind in "TO" else max(dtype.itemsize, 1)


def aligned_chunks(view: View, *, sensible: int = SENSIBLE, most: int = MOST) -> Chunks:
    """Blocks of a view in which every stored chunk is decoded once.

    Parameters
    ----------
    sensible
        Blocks are put together up to this size [bytes of cells].
    most
        Where single chunks are smaller, no block is larger [bytes of cells].

    Examples
    --------
    >>> import zarr, lazyzarr as lz
    >>> v = lz.open(zarr.zeros((4, 6), chunks=(2, 6)))
    >>> aligned_chunks(lz.concat([v[:3], v]), sensible=1)
    ((2, 1, 2, 2), (6,))
    """
    lowered, item = lower(view.ir), item_bytes(view.dtype)
    sensible, most = max(sensible // item, 1), max(most // item, 1)
    if (lowered.placements.pool == AFFINE).all():
        whole = grouped(axes_of(lowered, whole=True), sensible=sensible, most=most)
        if math.prod(max(lengths) for lengths in whole) <= sensible:  # then there is nothing to cut inside a source
            return whole
    return grouped(axes_of(lowered), sensible=sensible, most=most)


@dataclass(slots=True)
class Axis:
    """What the stored chunks say about one axis of a view."""

    extent: int
    """Cells of the axis."""
    begins: np.ndarray
    ends: np.ndarray
    """int64 (k,): boxes that follow a chunk along this axis [cells]."""
    repeated: np.ndarray
    """int64 (m, 2): begins and ends of boxes over which a chunk is repeated [cells]."""

    @property
    def is_free(self) -> bool:
        """Whether nothing is stored along the axis, so that it may be cut anywhere."""
        return not len(self.begins) and not len(self.repeated)

    @property
    def longest(self) -> int:
        """Cells of the longest box that follows a chunk."""
        return int((self.ends - self.begins).max(initial=1))

    def pieces(self) -> np.ndarray:
        """Edges of the pieces that no cut divides."""
        begins, ends = np.r_[self.begins, self.repeated[:, 0]], np.r_[self.ends, self.repeated[:, 1]]
        order = np.argsort(begins, kind="stable")
        begins, reach = begins[order], np.maximum.accumulate(ends[order])
        apart = begins[1:] >= reach[:-1]
        return np.unique(np.r_[0, begins[:1], begins[1:][apart], reach[:-1][apart], reach[-1:], self.extent])

    def small_pieces(self) -> np.ndarray:
        """Edges of all boxes that follow a chunk."""
        return np.unique(np.r_[0, self.begins, self.ends, self.extent])


def axes_of(lowered: Lowered, *, whole: bool = False) -> list[Axis]:
    """The axes of a lowered view, from its placements and the chunk borders along each; ``whole``: without borders."""
    placed = lowered.placements
    stored = placed.source >= 0
    fed: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in lowered.schema.shape]
    for axis in range(placed.first.shape[1]):
        found = placed if whole else as_runs(cut_along(lowered, axis))
        for number in range(len(fed)):
            rows = np.flatnonzero((found.axis[:, axis] == number) & (found.source >= 0))
            first, count, step = (
                column[rows, number] for column in (found.into_first, found.into_count, found.into_step)
            )
            fed[number].append((first, first + step * (count - 1) + 1))
    axes: list[Axis] = []
    for number, extent in enumerate(lowered.schema.shape):
        rows = np.flatnonzero(stored & ~(placed.axis == number).any(axis=1))
        first, count, step = (
            column[rows, number] for column in (placed.into_first, placed.into_count, placed.into_step)
        )
        repeated = np.unique(np.stack([first, first + step * (count - 1) + 1], axis=1), axis=0)
        begins, ends = (
            (np.concatenate([_NONE, *parts]) for parts in zip(*fed[number], strict=True))
            if fed[number]
            else (_NONE, _NONE)
        )
        axes.append(Axis(extent, begins, ends, repeated))
    return axes


def grouped(axes: Sequence[Axis], *, sensible: int, most: int) -> Chunks:
    """Pieces of all axes put together, and cut again where they are too large; sizes in cells."""
    edges = [axis.pieces() for axis in axes]
    longest = [1 if axis.is_free else _longest(found) for axis, found in zip(axes, edges, strict=True)]
    for number, axis in enumerate(axes):
        limit = max(most // (math.prod(longest) // longest[number]), axis.longest)
        if longest[number] > limit:
            edges[number] = together(axis.small_pieces(), limit) if len(axis.begins) else even(axis.extent, limit)
            longest[number] = _longest(edges[number])
    for number, axis in reversed(list(enumerate(axes))):
        allowed = max(sensible // (math.prod(longest) // longest[number]), longest[number])
        edges[number] = even(axis.extent, allowed) if axis.is_free else together(edges[number], allowed)
        longest[number] = _longest(edges[number])
    return tuple(tuple(np.diff(found).tolist()) or (0,) for found in edges)


def _longest(edges: np.ndarray) -> int:
    return int(np.diff(edges).max(initial=1))


def together(edges: np.ndarray, most: int) -> np.ndarray:
    """Those edges that stay when neighbouring pieces are put together as long as they are no more than `most`.

    Examples
    --------
    >>> together(np.array([0, 2, 4, 5, 10, 11]), 4).tolist()
    [0, 4, 5, 10, 11]
    """
    if len(edges) < 2 or int(np.diff(edges).min()) * 2 > most:
        return edges
    kept = [0]
    while kept[-1] < len(edges) - 1:
        at = kept[-1]
        reach = int(np.searchsorted(edges, edges[at] + most, side="right")) - 1
        kept.append(max(reach, at + 1))
    return edges[kept]


def even(extent: int, length: int) -> np.ndarray:
    """Edges of pieces of one length, the last perhaps shorter.

    Examples
    --------
    >>> even(7, 3).tolist(), even(0, 3).tolist()
    ([0, 3, 6, 7], [0])
    """
    return np.unique(np.r_[np.arange(0, extent, length), extent])
