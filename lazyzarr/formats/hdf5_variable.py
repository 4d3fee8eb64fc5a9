"""What one HDF5 dataset is: storage form, layout, packing.

Owns the choice among chunked, contiguous, compact, external and virtual storage, and the fill value. Refuses
datasets without a dataspace, and cells in heaps beyond the inline limit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
from h5py import h5d, h5f, h5o, h5s

from lazyzarr.codecs.values import cf_unpack
from lazyzarr.errors import LazyZarrError, SourceChanged, SourceMissing, UnsupportedFeature
from lazyzarr.formats import hdf5_attributes as attributes
from lazyzarr.formats import hdf5_chunks as chunks
from lazyzarr.formats.hdf5_dimensions import Axes, Found, scale_name
from lazyzarr.formats.hdf5_file import File, opened, stamp_of
from lazyzarr.formats.hdf5_filters import Filter, chain
from lazyzarr.formats.hdf5_model import ChunkIndex, Columns, Hdf5Array, Hdf5Item, Hdf5Refused, Hdf5Virtual
from lazyzarr.formats.hdf5_types import CellType, cell_type
from lazyzarr.formats.hdf5_virtual import virtual_shape, virtual_source
from lazyzarr.ir import fill
from lazyzarr.ir.layout import Json, Layout

EAGER_CHUNKS = 4096
"""A chunk index up to this size is read while the file is open; a larger one when it is first used."""
INLINE_BYTES = 1 << 20
"""Variables without byte ranges of their own are read into memory up to this size [bytes]."""
_BATCH = 256


def found(file: File, obj: Any, name: str, path: str) -> Found:
    """A dataset as the walk keeps it until the dimensions of the file are known."""
    keys = attributes.names(obj)
    plist = obj.get_create_plist()
    if plist.get_layout() == h5d.VIRTUAL:  # asking for its dataspace would open the sources
        shape = virtual_shape(file, obj, plist)
        unlimited = (False,) * len(shape)
    else:
        space = obj.get_space()
        shape = None if space.get_simple_extent_type() == h5s.NULL else space.get_simple_extent_dims()
        limits = space.get_simple_extent_dims(True) if shape else ()
        unlimited = tuple([limit == h5s.UNLIMITED for limit in limits])
    return Found(name, path, obj, keys, plist, shape, unlimited, scale_name(obj, keys))


def describe(file: File, one: Found, axes: Axes | None) -> Hdf5Item:
    """The importable form of a dataset, or its refusal."""
    try:
        return _describe(file, one, axes)
    except SourceChanged:
        raise
    except LazyZarrError as error:
        return Hdf5Refused(one.variable, error.reason, f"variable {one.path}: {error}")
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        text = f"variable {one.path} of {file.url} cannot be parsed; libhdf5 says: {error}; check it with h5dump"
        return Hdf5Refused(one.variable, "source-format", text)


def _describe(file: File, one: Found, axes: Axes | None) -> Hdf5Item:
    if one.shape is None:
        raise UnsupportedFeature("its dataspace is null; there are no cells; drop the variable", reason="source-unsupported")
    tid = one.obj.get_type()
    encoding = tid.encode()
    cell = cell_type(encoding)
    shape = _shape(one, axes) + cell.inner_shape
    values = attributes.read_all(one.obj, one.keys)
    decode, values = _packing(file, cell, values)
    common = {
        "name": one.variable,
        "path": one.path,
        "shape": shape,
        "location": file.url,
        "stamp": file.stamp,
        "attributes": attributes.plain(values),
        "dimension_names": axes.names if axes is not None and not cell.inner_shape else None,
        "decode": decode,
    }
    storage = one.plist.get_layout()
    filled = _fill(one.plist, cell, tid.dtype)
    if storage == h5d.VIRTUAL:
        source = virtual_source(file, one.plist)
        return Hdf5Virtual(
            **common, data_type=cell.data_type, fill_value=_fill_json(encoding, filled), mappings=source[0],
            missing=source[1],
        )  # fmt: skip
    if cell.heap or storage == h5d.COMPACT:
        layout = _layout(encoding, filled, tuple(max(1, n) for n in shape), (), 0)
        return Hdf5Array(**common, layout=layout, values=_values(one.obj, cell, tid.dtype, shape))
    if storage == h5d.CHUNKED:
        return _chunked(file, one, encoding, cell, filled, common)
    if one.plist.get_external_count():
        segments, paths, urls = _segments(file, one.plist)
        chunk, columns = chunks.external(segments, shape, cell.element_nbytes)
        common["urls"] = tuple(urls)
        common["url_stamps"] = tuple(stamp_of(path, url) for path, url in zip(paths, urls, strict=True))
    else:
        chunk, columns = chunks.contiguous(one.obj.get_offset(), shape, cell.element_nbytes)
    layout = _layout(encoding, filled, chunk, (), 0)
    return Hdf5Array(**common, layout=layout, load=partial(_same, ChunkIndex((layout,), columns)))


def _shape(one: Found, axes: Axes | None) -> tuple[int, ...]:
    """Shape of the variable; NetCDF reads a variable that is shorter than its unlimited dimension as padded.

    The cells of the last chunks beyond the dataset are fill values too, unless the writer switched filling off.
    """
    shape = one.shape or ()
    if axes is None or axes.lengths == shape:
        return shape
    if one.plist.get_layout() == h5d.CHUNKED and one.plist.get_fill_time() == h5d.FILL_TIME_NEVER:
        chunk = one.plist.get_chunk()
        if any(n != length and n % c for n, length, c in zip(shape, axes.lengths, chunk, strict=True)):
            raise UnsupportedFeature(
                f"it has shape {shape} on dimensions of length {axes.lengths}, and was written without filling; its"
                " missing cells are undefined; write them",
                reason="source-unsupported",
            )
    return axes.lengths


def _chunked(
    file: File, one: Found, encoding: bytes, cell: CellType, filled: bytes | None, common: dict[str, Any]
) -> Hdf5Array:
    own = one.plist.get_chunk()
    filters = _filters(one.plist)
    build = partial(_layout, encoding, filled, own + cell.inner_shape, filters)
    grid = tuple([-(-n // c) for n, c in zip(common["shape"], own, strict=False)])
    count = math.prod(grid)
    if count <= EAGER_CHUNKS:
        load = partial(_index, chunks.stored(one.obj) if count else [], grid, own, build)
    else:
        load = partial(_index_later, file, one.path, grid, own, build)
    return Hdf5Array(**common, layout=build(0), load=load)


def _index(
    stored: list[Any], grid: tuple[int, ...], chunk: tuple[int, ...], build: Callable[[int], Layout]
) -> ChunkIndex:
    columns, masks = chunks.chunked(stored, grid, chunk)
    return ChunkIndex(tuple(build(mask) for mask in masks), columns)


def _index_later(
    file: File, path: str, grid: tuple[int, ...], chunk: tuple[int, ...], build: Callable[[int], Layout]
) -> ChunkIndex:
    with opened(file.path, file.url, file.packing, file.allow) as again:
        if again.stamp != file.stamp:
            raise SourceChanged(f"{file.url} is not the file that was imported; its stamp changed; import it again")
        return _index(chunks.stored(h5o.open(again.fid, path.encode())), grid, chunk, build)


def _same(index: ChunkIndex) -> ChunkIndex:
    return index


def _filters(plist: Any) -> tuple[Filter, ...]:
    return tuple(
        Filter(number, values, attributes.text(name))
        for number, _, values, name in map(plist.get_filter, range(plist.get_nfilters()))
    )


@lru_cache(maxsize=4096)
def _layout(
    encoding: bytes, filled: bytes | None, chunk: tuple[int, ...], filters: tuple[Filter, ...], mask: int
) -> Layout:
    """Variables repeat few layouts; sharing them keeps the import of many files short and the result small."""
    cell = cell_type(encoding)
    return Layout(cell.data_type, _fill_json(encoding, filled), chunk, chain(cell, filters, mask))


def _packing(file: File, cell: CellType, values: dict[str, Any]) -> tuple[dict[str, Json] | None, dict[str, Any]]:
    if file.packing == "raw" or cell.memory.kind not in "iuf":
        return None, values
    return cf_unpack(values, cell.data_type)


def _fill(plist: Any, cell: CellType, memory: np.dtype[Any]) -> bytes | None:
    """The user's fill value as native bytes; None where HDF5's default, zero, applies."""
    if cell.heap or plist.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED:
        return None
    if cell.inner_shape:
        raise UnsupportedFeature(
            "its array type has a fill value of its own; cells of several values have no single fill; rewrite the"
            " variable with one more axis instead",
            reason="source-unsupported",
        )
    value = np.empty((), memory)
    plist.get_fill_value(value)
    return value.astype(cell.memory).tobytes()


@lru_cache(maxsize=1024)
def _fill_json(encoding: bytes, filled: bytes | None) -> Json:
    cell = cell_type(encoding)
    if filled is None:
        return fill.zero(cell.data_type)
    return fill.to_json(np.frombuffer(filled, cell.memory)[0], cell.data_type)


def _values(obj: Any, cell: CellType, memory: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """All cells of a small dataset, converted by libhdf5."""
    cells = math.prod(shape)
    if cells * cell.memory.itemsize > INLINE_BYTES:
        raise _too_big(cells * cell.memory.itemsize)
    raw = np.empty(shape, memory)
    if cells and not cell.heap:
        obj.read(h5s.ALL, h5s.ALL, raw)
    if not cell.heap:
        return raw.astype(cell.memory)
    texts: list[str] = []
    total = 0
    for batch in _heap_batches(obj, memory, cells):
        for value in batch:
            total += len(value)
            texts.append(attributes.text(value))
        if total > INLINE_BYTES:
            raise _too_big(total)
    return np.array(texts, np.dtypes.StringDType()).reshape(shape)


def _heap_batches(obj: Any, memory: np.dtype[Any], cells: int) -> Iterator[np.ndarray]:
    """Cells in C order, few at a time: many cells may share one long heap object."""
    shape = obj.shape
    for first in range(0, cells, _BATCH):
        points = np.stack(np.unravel_index(np.arange(first, min(first + _BATCH, cells)), shape), axis=-1) if shape else None
        part = np.empty(min(_BATCH, cells - first), memory)
        if points is None:
            obj.read(h5s.ALL, h5s.ALL, part)
        else:
            space = obj.get_space()
            space.select_elements(points.astype(np.uint64))
            obj.read(h5s.create_simple(part.shape), space, part)
        yield part


def _too_big(nbytes: int) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"its {nbytes} bytes or more are variable-length text, which has no byte ranges to refer to; only up to"
        f" {INLINE_BYTES} bytes are kept in memory; copy the variable into a Zarr array",
        reason="source-unsupported",
    )


def _segments(file: File, plist: Any) -> tuple[list[tuple[int, int, int]], list[str], list[str]]:
    segments: list[tuple[int, int, int]] = []
    paths: list[str] = []
    urls: list[str] = []
    for number in range(plist.get_external_count()):
        name, offset, nbytes = plist.get_external(number)
        path, url = file.beside(os.fsdecode(name))
        if url not in urls:
            paths.append(path)
            urls.append(url)
        segments.append((urls.index(url), offset, nbytes if nbytes != h5f.UNLIMITED else 1 << 62))
    return segments, paths, urls
