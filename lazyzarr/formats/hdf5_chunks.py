"""Where the bytes of an HDF5 dataset are, as columns.

Owns the chunk index: chunked storage (any index structure; filter masks), contiguous storage and external raw
data files. Never-written chunks have state 0 and read as the dataset's own fill value. Refuses external
segments that do not fall on borders of cells that a regular grid can have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lazyzarr.errors import SourceProtocolError, UnsupportedFeature, ViewLimitError
from lazyzarr.formats.contiguous import contiguous as cut_evenly
from lazyzarr.formats.hdf5_model import Columns

CONTIGUOUS_CHUNK = 64 << 20
"""Contiguous storage is cut into chunks of about this size where an axis divides evenly [bytes]."""
MAX_CHUNKS = 50_000_000
"""Chunks of one variable, written or not, for which columns are made."""


def stored(dsid: Any) -> list[Any]:
    """What libhdf5 knows of each stored chunk: corner cell, filter mask, place, size; in no particular order."""
    found: list[Any] = []
    dsid.chunk_iter(found.append)
    return found


def chunked(
    found: list[Any],
    grid: Sequence[int],
    chunk: Sequence[int],
    plain_edges: tuple[tuple[int, ...], int] | None = None,
) -> tuple[Columns, list[int]]:
    """Columns of a chunked dataset of `grid` chunks, and the filter masks that the column ``layout`` points into.

    Mask 0 always is the first. Chunks outside the current extent, which shrinking can leave behind, are dropped.
    `plain_edges` is ``(shape, mask)`` where chunks that reach beyond `shape` have that mask, whatever is stored.
    """
    count = math.prod(grid)
    if count > MAX_CHUNKS:
        raise ViewLimitError("chunks", count, MAX_CHUNKS)
    offsets = np.zeros(count, np.uint64)
    lengths = np.zeros(count, np.uint64)
    if not found:
        return {"offset": offsets, "length": lengths, "state": np.zeros(count, np.uint8)}, [0]
    corners, masks, places, sizes = zip(*found, strict=True)
    coords = np.array(corners, np.int64) // np.array(chunk, np.int64)
    row, inside = _rows(coords, grid)
    place, size, mask = (np.array(column, np.uint64)[inside] for column in (places, sizes, masks))
    if plain_edges is not None:
        beyond = ((coords[inside] + 1) * np.array(chunk, np.int64) > np.array(plain_edges[0], np.int64)).any(axis=1)
        mask = np.where(beyond, np.uint64(plain_edges[1]), mask)
    offsets[row], lengths[row] = place, size
    columns: dict[str, np.ndarray] = {"offset": offsets, "length": lengths}
    if len(row) != count:
        columns["state"] = np.zeros(count, np.uint8)
        columns["state"][row] = 1
    if not mask.any():
        return columns, [0]
    kinds = [0, *(int(one) for one in np.unique(mask) if one)]
    layout = np.zeros(count, np.int32)
    layout[row] = np.searchsorted(np.array(kinds, np.uint64), mask)
    columns["layout"] = layout
    return columns, kinds


def _rows(coords: np.ndarray, grid: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    inside = (coords < np.array(grid, np.int64)).all(axis=1)
    row = np.zeros(int(inside.sum()), np.int64)
    for axis, length in enumerate(grid):
        row = row * length + coords[inside, axis]
    return row, inside


def contiguous(offset: int | None, shape: Sequence[int], cell: int) -> tuple[tuple[int, ...], Columns]:
    """Chunk shape and columns of contiguous storage; `offset` is None where it was never allocated."""
    chunk, columns = cut_evenly(offset or 0, shape, cell, piece=CONTIGUOUS_CHUNK)
    if offset is None:
        zeros = np.zeros_like(columns["offset"])
        return chunk, {"offset": zeros, "length": zeros.copy(), "state": zeros.astype(np.uint8)}
    return chunk, columns


def external(
    segments: Sequence[tuple[int, int, int]], shape: Sequence[int], cell: int
) -> tuple[tuple[int, ...], Columns]:
    """Chunk shape and columns of a dataset spread over segments ``(file, offset, nbytes)`` of raw files.

    The chunk is the largest box of which each lies inside one segment.

    Raises
    ------
    UnsupportedFeature
        A border between segments cuts through a cell, or into a part that no regular grid has.
    SourceProtocolError
        The segments together are shorter than the dataset.
    """
    total = math.prod(shape) * cell
    starts = np.concatenate([[0], np.cumsum([nbytes for _, _, nbytes in segments])])
    if starts[-1] < total:
        raise SourceProtocolError(
            f"external storage holds {int(starts[-1])} bytes of a dataset of {total}; restore the raw files",
            reason="chunk-length",
        )
    if total == 0:
        empty = np.zeros(0, np.uint64)
        return tuple(max(1, n) for n in shape), {"offset": empty, "length": empty, "url": np.zeros(0, np.int32)}
    cuts = [int(start) for start in starts[1:-1] if start < total]
    unit = math.gcd(total, *cuts)
    chunk = _box(shape, cell, unit)
    if chunk is None:
        raise UnsupportedFeature(
            f"external storage is cut at bytes {cuts[:4]} of a dataset of shape {tuple(shape)}; the cuts are not"
            " borders of a regular chunk grid; copy the variable into contiguous or chunked storage",
            reason="source-unsupported",
        )
    length = math.prod(chunk) * cell
    begin = np.arange(total // length, dtype=np.int64) * length
    segment = np.searchsorted(starts, begin, side="right") - 1
    table = np.array([[file, offset] for file, offset, _ in segments], np.int64)
    return chunk, {
        "offset": (table[segment, 1] + begin - starts[segment]).astype(np.uint64),
        "length": np.full(len(begin), length, np.uint64),
        "url": table[segment, 0].astype(np.int32),
    }


def _box(shape: Sequence[int], cell: int, unit: int) -> tuple[int, ...] | None:
    """The largest box of whole trailing axes and a divisor of one axis, whose bytes divide `unit`."""
    if unit % cell:
        return None
    cells = unit // cell
    chunk = [1] * len(shape)
    for axis in range(len(shape) - 1, -1, -1):
        chunk[axis] = math.gcd(shape[axis], cells)
        if chunk[axis] != shape[axis]:
            break
        cells //= shape[axis]
    return tuple(chunk)
