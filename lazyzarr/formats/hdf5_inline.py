"""Cells of HDF5 datasets that have no byte ranges of their own, read at import.

Owns compact storage, which lies inside an object header, and variable-length text, which lies in heaps. Refuses more
than `INLINE_BYTES` of either.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from h5py import h5s

from lazyzarr.errors import UnsupportedFeature
from lazyzarr.formats.hdf5_attributes import text
from lazyzarr.formats.hdf5_facts import Facts

INLINE_BYTES = 1 << 20
"""Variables without byte ranges of their own are read into memory up to this size [bytes]."""
_BATCH = 256


def values_of(obj: Any, facts: Facts, shape: tuple[int, ...]) -> np.ndarray:
    """All cells, converted by libhdf5; text is padded with empty text where `shape` is larger than the dataset.

    Raises
    ------
    UnsupportedFeature
        The cells are more than fit in memory by `INLINE_BYTES`.
    """
    cell, memory = facts.cell, facts.memory
    cells = math.prod(shape)
    if cells * cell.memory.itemsize > INLINE_BYTES:
        raise _too_big(cells * cell.memory.itemsize)
    if cell.heap:
        stored = facts.shape or ()
        out = np.zeros(shape, np.dtypes.StringDType())
        out[tuple(slice(n) for n in stored)] = np.array(_texts(obj, memory, stored), out.dtype).reshape(stored)
        return out
    raw = np.empty((facts.shape or ()), memory)
    if cells:
        obj.read(h5s.ALL, h5s.ALL, raw)
    return raw.reshape(shape).astype(cell.memory)


def _texts(obj: Any, memory: np.dtype[Any], shape: tuple[int, ...]) -> list[str]:
    found: list[str] = []
    total = 0
    for batch in _batches(obj, memory, shape):
        total += sum(map(len, batch))
        if total > INLINE_BYTES:
            raise _too_big(total)
        found.extend(map(text, batch))
    return found


def _batches(obj: Any, memory: np.dtype[Any], shape: tuple[int, ...]) -> Iterator[list[bytes]]:
    """Cells in C order, few at a time: many cells may share one long heap object."""
    if not shape:
        part = np.empty(1, memory)
        obj.read(h5s.ALL, h5s.ALL, part)
        yield part.tolist()
        return
    space = obj.get_space()
    for first in range(0, math.prod(shape), _BATCH):
        numbers = np.arange(first, min(first + _BATCH, math.prod(shape)))
        part = np.empty(len(numbers), memory)
        space.select_elements(np.stack(np.unravel_index(numbers, shape), axis=-1).astype(np.uint64))
        obj.read(h5s.create_simple(part.shape), space, part)
        yield part.tolist()


def _too_big(nbytes: int) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"its cells take {nbytes} bytes or more and have no byte ranges to refer to; only up to {INLINE_BYTES} bytes are"
        " kept in memory; copy the variable into a Zarr array",
        reason="source-unsupported",
    )
