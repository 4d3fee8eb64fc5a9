"""Plain Zarr v3 arrays as files: the child arrays that tables and real arrays of a group are stored in.

Owns the choice of chunks and codecs, and the encoding of one chunk at a time; their metadata are
`lazyzarr.ir.array_metadata`. Only core codecs are
written, so that any Zarr v3 reader reads them. Refuses to write anywhere: files are names with a way to get their
bytes, and `lazyzarr.document.publish` puts them in place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import SaveUnsupported, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.layout import Layout, NamedConfig
from lazyzarr.ir.tables import Column

Array = np.ndarray[Any, np.dtype[Any]]
Content = bytes | Callable[[], bytes]
"""The bytes of a file, or how to make them when it is written."""
Files = Iterator[tuple[str, Content]]
"""Files of a node: path below it, and content."""
CHUNK_BYTES = 8 << 20
"""Longest chunk of a real array [bytes in memory]."""
_LEVEL = 5


def layout_of(sample: Array, chunk_shape: tuple[int, ...]) -> Layout:
    """A layout with whichever of the core compressors makes a sample smallest.

    Sorted integers, such as offsets, shrink 30 times better behind a shuffle (65,536 offsets at a constant distance:
    1.7 kB against 65 kB with zstd alone), text and constants are a little smaller without.

    Parameters
    ----------
    sample
        The first chunk, or a part of it.
    chunk_shape
        Cells per chunk.

    Raises
    ------
    SaveUnsupported
        The type of the sample has no Zarr v3 form.
    """
    try:
        data_type = from_numpy(sample.dtype)
    except ViewSchemaError as error:
        raise SaveUnsupported(str(error)) from error
    found = [Layout(data_type, fill.zero(data_type), chunk_shape, chain) for chain in _chains(sample.dtype)]
    part = _padded(sample, chunk_shape)
    return min(found, key=lambda layout: len(compile_chain(layout).encode(part))) if part.size else found[-1]


def chunk_files(array: Array | Column, layout: Layout) -> Files:
    """Every chunk of an array under its key; chunks are cut and encoded when their content is asked for."""
    grid = [range(-(-n // c)) for n, c in zip(array.shape, layout.chunk_shape, strict=True)]
    for place in itertools.product(*grid):
        yield "/".join(("c", *map(str, place))), partial(encode_chunk, array, layout, place)


def encode_chunk(array: Array | Column, layout: Layout, place: tuple[int, ...]) -> bytes:
    """The bytes of one chunk, padded with the fill value where it reaches over the end."""
    key = tuple(slice(k * c, (k + 1) * c) for k, c in zip(place, layout.chunk_shape, strict=True))
    cells = np.asarray(array[key[0] if len(key) == 1 else key])
    return compile_chain(layout).encode(_padded(cells, layout.chunk_shape, layout.fill_value))


def chunk_shape_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Chunks of at most `CHUNK_BYTES` that are whole on the last axes and cut on the first ones.

    Examples
    --------
    >>> chunk_shape_of((1000, 721, 1440), np.dtype("f4"))
    (2, 721, 1440)
    """
    item = 16 if dtype.kind in "TO" else max(dtype.itemsize, 1)
    chunks = [max(n, 1) for n in shape]
    for axis in range(len(chunks)):
        excess = math.prod(chunks) * item / CHUNK_BYTES
        if excess <= 1:
            break
        chunks[axis] = max(1, int(chunks[axis] / excess))
    return tuple(chunks)


def _padded(cells: Array, chunk_shape: tuple[int, ...], value: Any = None) -> Array:
    if cells.shape == chunk_shape:
        return np.ascontiguousarray(cells).reshape(chunk_shape)
    data_type = from_numpy(cells.dtype)
    out = fill.full(chunk_shape, fill.zero(data_type) if value is None else value, data_type)
    out[tuple(slice(n) for n in cells.shape)] = cells
    return out


def plain_chain(dtype: np.dtype[Any]) -> tuple[NamedConfig, ...]:
    """The core codec that turns cells of a type into bytes, without compression."""
    return _chains(dtype)[0][:1]


def compressed_chain(dtype: np.dtype[Any]) -> tuple[NamedConfig, ...]:
    """The core codecs that turn cells of a type into bytes and compress them, whatever they are."""
    return _chains(dtype)[0]


def _chains(dtype: np.dtype[Any]) -> list[tuple[NamedConfig, ...]]:
    zstd = NamedConfig("zstd", {"level": _LEVEL, "checksum": False})
    if dtype.kind == "T":
        return [(NamedConfig("vlen-utf8"), zstd)]
    if dtype.kind == "O":
        return [(NamedConfig("vlen-bytes"), zstd)]
    serial = NamedConfig("bytes", {"endian": "little"}) if dtype.itemsize > 1 else NamedConfig("bytes")
    chains = [(serial, zstd)]
    if 1 < dtype.itemsize <= 255:
        chains += [(serial, _blosc(dtype.itemsize, shuffle)) for shuffle in ("shuffle", "bitshuffle")]
    return chains


def _blosc(itemsize: int, shuffle: str) -> NamedConfig:
    settings = {"cname": "zstd", "clevel": _LEVEL, "shuffle": shuffle, "typesize": itemsize, "blocksize": 0}
    return NamedConfig("blosc", settings)
