"""Cells of HDF5 datasets that have no byte ranges of their own, read at import.

Owns variable-length text, which lies in heaps, and compact storage inside object headers that are not read directly.
Refuses more than `INLINE_BYTES` of either.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from h5py import h5d, h5s

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import UnsupportedFeature
from lazyzarr.formats import hdf5_chunks as chunks
from lazyzarr.formats.hdf5_attributes import text
from lazyzarr.formats.hdf5_facts import Facts
from lazyzarr.formats.hdf5_file import File
from lazyzarr.formats.hdf5_filters import chain
from lazyzarr.formats.hdf5_types import CellType
from lazyzarr.ir import fill
from lazyzarr.ir.layout import Layout, NamedConfig

INLINE_BYTES = 1 << 20
"""Variables without byte ranges of their own are read into memory up to this size [bytes]."""


def values_of(obj: Any, file: File, facts: Facts, shape: tuple[int, ...]) -> np.ndarray:
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
        out[tuple(slice(n) for n in stored)] = np.array(_texts(obj, file, facts, stored), out.dtype).reshape(stored)
        return out
    raw = np.empty((facts.shape or ()), memory)
    if cells:
        obj.read(h5s.ALL, h5s.ALL, raw)
    return raw.reshape(shape).astype(cell.memory)


def _texts(obj: Any, file: File, facts: Facts, shape: tuple[int, ...]) -> list[str]:
    total = sum(int(lengths.sum(dtype=np.uint64)) for lengths in _lengths(obj, file, facts, shape))
    if total > INLINE_BYTES:
        raise _too_big(total)
    cells = np.empty(shape, facts.memory)
    if cells.size:
        obj.read(h5s.ALL, h5s.ALL, cells)
    return [text(one) for one in cells.ravel().tolist()]


def _lengths(obj: Any, file: File, facts: Facts, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Lengths of the texts, from the pointers in storage: libhdf5 would allocate whatever a damaged one says."""
    if facts.storage == h5d.CHUNKED:
        chunk, filters = facts.chunk, facts.filters
        grid = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
        columns, masks = chunks.chunked(chunks.stored(obj), grid, chunk, facts.plain_edges)
    elif facts.storage == h5d.CONTIGUOUS:
        filters, masks = (), [0]
        chunk, columns = chunks.contiguous(obj.get_offset(), shape, facts.cell.nbytes)
    else:
        return
    pointer = CellType(
        NamedConfig("raw_bytes", {"length_bytes": facts.cell.nbytes}), np.dtype("V16"), facts.cell.nbytes
    )
    blank = fill.zero(pointer.data_type)
    chains = [compile_chain(Layout(pointer.data_type, blank, chunk, chain(pointer, filters, mask))) for mask in masks]
    kinds = columns.get("layout", np.zeros(len(columns["offset"]), np.int32))
    for place, nbytes, kind in zip(columns["offset"].tolist(), columns["length"].tolist(), kinds.tolist(), strict=True):
        if nbytes:
            raw = file.read(nbytes, place)
            yield chains[kind].decode(raw).view(np.dtype("<u4,<u8,<u4"))["f0"]


def _too_big(nbytes: int) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"its cells take {nbytes} bytes or more and have no byte ranges to refer to; only up to {INLINE_BYTES} bytes are"
        " kept in memory; copy the variable into a Zarr array",
        reason="source-unsupported",
    )
