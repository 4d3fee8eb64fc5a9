"""Shards: chunks that hold inner chunks and an index of them.

Owns the geometry of `sharding_indexed`, the reading of its index, and the byte ranges of inner chunks. Codecs in
front of sharding are moved into the inner chain (they work cell by cell, or permute axes), so everything here is
in the frame of decoded cells, and a missing inner chunk is the layout's fill value. Refuses index entries that
overlap or reach outside the shard.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from lazyzarr.codecs.stages import Array, Bytes, Cells, Serializer, Size, malformed, too_large, wrong_length

MISSING = np.uint64(2**64 - 1)
"""Offset and length of an inner chunk that is not there."""


class Inner(Protocol):
    """What a shard needs of the chain of its inner chunks."""

    @property
    def encoded(self) -> Size:
        """Length of an encoded inner chunk [bytes]."""
        ...

    def decode(self, data: Bytes) -> Array:
        """Cells of an inner chunk."""
        ...

    def encode(self, array: Array) -> Bytes:
        """Bytes of an inner chunk."""
        ...


class Sharding[Chain: Inner]:
    """How the chunks of one layout are divided into inner chunks.

    Attributes
    ----------
    grid
        Inner chunks per shard and axis of the decoded cells.
    chunk_shape
        Cells of an inner chunk, per axis of the decoded cells.
    chain
        The codec chain of an inner chunk, from its bytes to decoded cells.
    fill
        What a missing inner chunk reads as: an array without axes, of the decoded type.
    index_nbytes
        Length of the index [bytes].
    index_first
        Whether the index is at the start of the shard; else at the end.
    """

    __slots__ = (
        "_axes",
        "_index",
        "_stored_grid",
        "chain",
        "chunk_shape",
        "fill",
        "grid",
        "index_first",
        "index_nbytes",
    )

    def __init__(
        self,
        cells: Cells,
        chunk_shape: tuple[int, ...],
        chain: Chain,
        index: Inner,
        fill: Array,
        axes: tuple[int, ...],
        *,
        index_first: bool,
    ) -> None:
        self.grid = tuple(n // c for n, c in zip(cells.shape, chunk_shape, strict=True))
        self.chunk_shape, self.chain, self.fill, self.index_first = (chunk_shape, chain, fill, index_first)
        self.index_nbytes = index.encoded.limit
        self._index, self._axes = index, axes

    def index_range(self, nbytes: int) -> tuple[int, int]:
        """Offset and length [bytes] of the index in a shard of `nbytes`.

        Raises
        ------
        ChunkDecodeError
            ``chunk-length``: the shard is shorter than its index.
        """
        if nbytes < self.index_nbytes:
            raise wrong_length("sharding_indexed", nbytes, self.index_nbytes)
        return (0 if self.index_first else nbytes - self.index_nbytes), self.index_nbytes

    def parse_index(self, data: Bytes, nbytes: int | None = None) -> tuple[Array, Array]:
        """Offsets and lengths [bytes], each of shape `grid`; both are `MISSING` where there is no inner chunk.

        Parameters
        ----------
        data
            The bytes of the index.
        nbytes
            Length of the shard, to check the entries against. Without it only overlaps are found.

        Raises
        ------
        ChunkDecodeError
            Entries overlap, or reach outside the shard or into its index.
        """
        table = self._index.decode(data).reshape(-1, 2)
        offsets, lengths = table[:, 0], table[:, 1]
        absent = offsets == MISSING
        if (absent != (lengths == MISSING)).any():
            raise malformed("sharding_indexed", "an entry of the index is half missing")
        first, size = offsets[~absent], lengths[~absent]
        low = self.index_nbytes if self.index_first else 0
        high = 2**63 if nbytes is None else nbytes - (0 if self.index_first else self.index_nbytes)
        if first.size:
            if (first < low).any() or (first > high).any() or (size > np.uint64(max(high, 0)) - first).any():
                raise malformed("sharding_indexed", f"an entry of the index reaches outside bytes {low} to {high}")
            held = size > 0
            order = np.argsort(first[held])
            starts, ends = first[held][order], (first + size)[held][order]
            if (starts[1:] < ends[:-1]).any():
                raise malformed("sharding_indexed", "entries of the index overlap")
        stored_grid = tuple(self.grid[axis] for axis in self._axes)
        back = tuple(self._axes.index(axis) for axis in range(len(self._axes)))
        return offsets.reshape(stored_grid).transpose(back), lengths.reshape(stored_grid).transpose(back)

    def locate(self, index: tuple[Array, Array], coordinates: Array) -> tuple[Array, Array, Array]:
        """Offsets, lengths [bytes] and presence of the inner chunks at `coordinates`, shape ``(k, rank)``.

        Where `presence` is false the inner chunk reads as `fill`, and offset and length are 0.
        """
        at = tuple(np.asarray(coordinates).T)
        offsets, lengths = index[0][at], index[1][at]
        if not at:  # without axes there is one inner chunk
            offsets, lengths = (np.full(len(coordinates), part) for part in (offsets, lengths))
        present = offsets != MISSING
        return np.where(present, offsets, 0), np.where(present, lengths, 0), present

    def decode(self, data: Bytes) -> Array:
        """All cells of a shard."""
        view = memoryview(data)
        at, length = self.index_range(len(view))
        offsets, lengths = self.parse_index(view[at : at + length], len(view))
        shape = tuple(n * c for n, c in zip(self.grid, self.chunk_shape, strict=True))
        out = np.empty(shape, self.fill.dtype)
        if (offsets == MISSING).any():
            out[...] = self.fill
        for place in np.argwhere(offsets != MISSING).tolist():
            first, size = int(offsets[*place]), int(lengths[*place])
            window = tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, self.chunk_shape, strict=True))
            out[window] = self.chain.decode(view[first : first + size])
        return out

    def encode(self, array: Array) -> bytes:
        """A shard of an array; inner chunks equal to the fill value are left out."""
        parts: list[bytes] = []
        grid = tuple(self.grid[axis] for axis in self._axes)
        table = np.full((*grid, 2), MISSING, np.uint64)
        at = self.index_nbytes if self.index_first else 0
        fill = self.fill.tobytes() if self.fill.dtype.kind not in "TO" else None
        for place in np.ndindex(*grid):
            decoded = tuple(place[self._axes.index(axis)] for axis in range(len(grid)))
            window = tuple(slice(i * c, (i + 1) * c) for i, c in zip(decoded, self.chunk_shape, strict=True))
            block = array[(..., *window)]  # an array also where there is no axis
            if fill is not None and block.tobytes() == fill * math.prod(self.chunk_shape):
                continue
            part = bytes(self.chain.encode(block))
            table[place] = at, len(part)
            at += len(part)
            parts.append(part)
        index = bytes(self._index.encode(table))
        return b"".join([index, *parts] if self.index_first else [*parts, index])

    def serializer(self) -> Serializer:
        """The codec as a stage of a chain."""
        inner = self.chain.encoded
        limit = math.prod(self.grid) * inner.limit + self.index_nbytes
        if limit >= 2**63:
            raise too_large("sharding_indexed", limit, 2**63)
        return Serializer(self.decode, self.encode, Size(limit, exact=False))


def cells_of(fill: Any, dtype: np.dtype[Any]) -> Array:
    """One fill value as an array without axes."""
    out = np.empty((), dtype)
    out[()] = fill
    return out
