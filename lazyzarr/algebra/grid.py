"""Regular chunk grids in integers: how many chunks, which chunk, which number.

Owns the arithmetic between cells and chunks. Refuses to know where a chunk is stored.
"""

from __future__ import annotations

import math

import numpy as np


def grid_shape(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks along each axis; an empty axis has none.

    Examples
    --------
    >>> grid_shape((10, 0), (4, 5))
    (3, 0)
    """
    return tuple(-(-n // c) for n, c in zip(shape, chunk_shape, strict=True))


def chunk_count(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> int:
    """Chunks of the whole grid; 1 for rank 0."""
    return math.prod(grid_shape(shape, chunk_shape))


def chunk_numbers(chunks: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Number in C order of each chunk (m, q) in grids of the given shapes (m, q) or (q,).

    Examples
    --------
    >>> chunk_numbers(np.array([[1, 2]]), np.array([3, 4]))
    array([6])
    """
    number = np.zeros(len(chunks), np.int64)
    for axis in range(chunks.shape[1]):
        number = number * shapes[..., axis] + chunks[:, axis]
    return number
