"""Cells that lie one after the other in a file, as columns of chunk references.

Owns the cutting of contiguous storage into chunks, so that a part of a large variable is read without the rest.
Refuses pieces of unequal length: they would be no regular grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

PIECE = 4 << 20
"""About how long a chunk is, unless a format says otherwise [bytes]."""
_MOST_PIECES = 1 << 16


def contiguous(
    begin: int, shape: Sequence[int], cell: int, *, piece: int = PIECE
) -> tuple[tuple[int, ...], dict[str, np.ndarray]]:
    """Chunk shape and columns of cells in C order: the first axis is cut where a divisor of it gives small pieces.

    Parameters
    ----------
    begin, cell
        Where the first cell is, and how long one is [bytes].
    piece
        About how long a chunk may be [bytes].

    Examples
    --------
    >>> chunk, columns = contiguous(100, (4, 1 << 20), 4)
    >>> chunk, columns["offset"].tolist()
    ((1, 1048576), [100, 4194404, 8388708, 12583012])
    """
    pieces = 1
    wanted = -(-math.prod(shape) * cell // piece)
    if shape and wanted > 1:
        pieces = next((k for k in range(wanted, min(shape[0], _MOST_PIECES) + 1) if shape[0] % k == 0), 1)
    chunk = tuple(max(1, n) for n in shape)
    if pieces > 1:
        chunk = (shape[0] // pieces, *chunk[1:])
    count = pieces if math.prod(shape) else 0
    length = math.prod(chunk) * cell
    offsets = np.uint64(begin) + np.arange(count, dtype=np.uint64) * np.uint64(length)
    return chunk, {"offset": offsets, "length": np.full(count, length, np.uint64)}
