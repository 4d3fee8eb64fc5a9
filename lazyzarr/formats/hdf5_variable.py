"""What one HDF5 dataset is: storage form, layout, packing.

Owns the choice among chunked, contiguous, compact, external and virtual storage, and when a chunk index is read.
Refuses datasets without a dataspace.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
import os
from functools import partial
from typing import Any

from h5py import h5d, h5f, h5o

from lazyzarr.access.url import shown
from lazyzarr.errors import LazyZarrError, SourceChanged, SourceMissing, UnsupportedFeature
from lazyzarr.formats import hdf5_attributes as attributes
from lazyzarr.formats import hdf5_chunks as chunks
from lazyzarr.formats.hdf5_dimensions import Axes, Found, scale_name
from lazyzarr.formats.hdf5_facts import Facts, facts_of
from lazyzarr.formats.hdf5_file import DAMAGE, File, Packing, Trail, opened
from lazyzarr.formats.hdf5_headers import header
from lazyzarr.formats.hdf5_inline import values_of
from lazyzarr.formats.hdf5_links import resolve
from lazyzarr.formats.hdf5_model import Allow, ChunkIndex, Hdf5Array, Hdf5Item, Hdf5Later, Hdf5Refused, Hdf5Virtual
from lazyzarr.formats.hdf5_places import Place
from lazyzarr.formats.hdf5_virtual import virtual_shape, virtual_source
from lazyzarr.formats.packing import packing_of
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.layout import Json, Stamp

_DEFAULT_FILLS = {
    "i1": -127,
    "u1": 255,
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
    "f4": 9.9692099683868690e36,
    "f8": 9.9692099683868690e36,
}
"""What NetCDF fills with, by type."""
EAGER_CHUNKS = 4096
"""A chunk index up to this size is read while the file is open; a larger one when it is first used."""


def found(file: File, obj: Any, name: str, path: str, address: int | None = None) -> Found:
    """A dataset as the walk keeps it until the dimensions of the file are known."""
    if not isinstance(obj, h5d.DatasetID):
        raise SourceMissing(f"{path} of {shown(file.url)} is asked for; it is no dataset; name one")
    place = h5o.get_info(obj).addr if address is None else address
    head = header(file.headers, place) if file.headers is not None else None
    own = attributes.Attributes(obj, head.attributes if head is not None else None)
    facts = facts_of(obj, head)
    shape, unlimited = facts.shape, facts.unlimited
    if facts.storage == h5d.VIRTUAL:
        shape = virtual_shape(file, obj, facts.plist)
        unlimited = (False,) * len(shape)
    compact = head.compact if head is not None else None
    return Found(name, path, obj, own, facts, shape, unlimited, scale_name(own), compact)


def describe(file: File, one: Found, axes: Axes | None) -> Hdf5Item:
    """The importable form of a dataset, or its refusal."""
    try:
        return _describe(file, one, axes)
    except SourceChanged:
        raise
    except LazyZarrError as error:
        stored = None
        if error.reason == "packing-ambiguous" and file.packing == "auto":
            stored = partial(_described_again, file.place, "raw", file.allow, file.trail, one.path, axes)
        return Hdf5Refused(one.variable, error.reason, f"variable {one.path}: {error}", stored)
    except DAMAGE as error:
        text = f"variable {one.path} of {shown(file.url)} cannot be parsed; libhdf5 says: {error}; check it with h5dump"
        return Hdf5Refused(one.variable, "source-format", text)


def _describe(file: File, one: Found, axes: Axes | None) -> Hdf5Item:
    if one.shape is None:
        raise UnsupportedFeature(
            "its dataspace is null; there are no cells; drop the variable", reason="source-unsupported"
        )
    facts, cell = one.facts, one.facts.cell
    shape, padded = _shape(one, axes)
    shape += cell.inner_shape
    own = one.attributes.data()
    decode, values = packing_of(own, cell.memory, file.packing)
    common: dict[str, Any] = {
        "name": one.variable,
        "path": one.path,
        "shape": shape,
        "location": file.url,
        "stamp": file.stamp,
        "attributes": attributes.plain(values),
        "dimension_names": axes.names if axes is not None and not cell.inner_shape else None,
        "decode": decode,
        "packed": None if len(values) == len(own) else attributes.plain(own),
    }
    if padded is not None:
        common["padded"] = padded
    if facts.storage == h5d.CHUNKED and not cell.heap:
        common["grant"] = file.place.grant
        return _chunked(file, one, common)
    if facts.storage == h5d.VIRTUAL:
        mappings, missing = virtual_source(file, facts.plist)
        return Hdf5Virtual(
            **common, data_type=cell.data_type, fill_value=facts.fill_value, mappings=mappings, missing=missing
        )
    external = facts.storage == h5d.CONTIGUOUS and facts.plist.get_external_count() > 0
    if cell.heap and external:
        raise UnsupportedFeature(
            "its texts are pointed to from external raw files, which libhdf5 would open without asking; copy the"
            " variable into a file of its own",
            reason="source-unsupported",
        )
    compact = one.compact if facts.storage == h5d.COMPACT else None
    if compact is not None and compact[1] != math.prod(shape) * cell.element_nbytes:
        compact = None
    if cell.heap or (facts.storage == h5d.COMPACT and compact is None):
        layout = facts.unfiltered(tuple(max(1, n) for n in shape))
        return Hdf5Array(**common, layout=layout, values=values_of(one.obj, file, facts, shape))
    if external:
        segments, places = _segments(file, facts.plist)
        chunk, columns = chunks.external(segments, shape, cell.element_nbytes)
        common["urls"] = tuple(place.url for place in places)
        common["url_stamps"] = tuple(place.stamp() for place in places)
        common["grant"] = places[0].grant
    else:
        common["grant"] = file.place.grant
        begin = one.obj.get_offset() if compact is None else compact[0]
        chunk, columns = chunks.contiguous(begin, shape, cell.element_nbytes)
    layout = facts.unfiltered(chunk)
    return Hdf5Array(**common, layout=layout, load=partial(_same, ChunkIndex((layout,), columns)))


def _shape(one: Found, axes: Axes | None) -> tuple[tuple[int, ...], tuple[tuple[int, ...], Json] | None]:
    """Shape of what is stored; that of the variable and the value beyond, where the variable is longer.

    NetCDF reads a variable that is shorter than its unlimited dimension as padded with its fill value; where the dataset
    has none, with the default of NetCDF, and not with HDF5's zero. Chunks that are filled when they are made have the
    fill value of the dataset beyond its end, so that the variable is as if it were stored in its whole length.
    """
    shape, facts = one.shape or (), one.facts
    if axes is None or axes.lengths == shape:
        return shape, None
    if facts.cell.heap:
        return axes.lengths, None  # texts are read here, and there are none
    filled = facts.storage == h5d.CHUNKED and facts.plist.get_fill_time() != h5d.FILL_TIME_NEVER
    if facts.filled is not None:
        return (axes.lengths, None) if filled else (shape, (axes.lengths, facts.fill_value))
    memory = facts.cell.memory
    value = None if facts.cell.inner_shape else _DEFAULT_FILLS.get(memory.str[1:])
    if value is None or memory.kind not in "iuf":
        return (axes.lengths, None) if filled else (shape, (axes.lengths + facts.cell.inner_shape, facts.fill_value))
    return shape, (axes.lengths, fill.to_json(memory.type(value), from_numpy(memory.newbyteorder("="))))


def _chunked(file: File, one: Found, common: dict[str, Any]) -> Hdf5Array:
    facts = one.facts
    grid = tuple([-(-n // c) for n, c in zip(common["shape"], facts.chunk, strict=False)])
    count = math.prod(grid)
    if count <= EAGER_CHUNKS:
        load = partial(_index, chunks.stored(one.obj) if count else [], grid, facts)
    else:
        load = partial(_index_later, file.place, file.stamp, one.path, grid, facts)
    return Hdf5Array(**common, layout=facts.main, load=load)


def describe_later(file: File, one: Found, axes: Axes | None) -> Hdf5Later:
    """A dataset of a file that will be opened again to describe it."""
    return Hdf5Later(
        one.variable, partial(_described_again, file.place, file.packing, file.allow, file.trail, one.path, axes)
    )


def _described_again(
    place: Place, packing: Packing, allow: Allow | None, trail: Trail, inner: str, axes: Axes | None
) -> Hdf5Item:
    with opened(place, packing, allow, trail=trail) as file:
        return describe(file, found(file, resolve(file, inner), inner.rpartition("/")[2], inner), axes)


def _index(stored: list[Any], grid: tuple[int, ...], facts: Facts) -> ChunkIndex:
    columns, masks = chunks.chunked(stored, grid, facts.chunk, facts.plain_edges)
    return ChunkIndex((facts.main, *(facts.masked(mask) for mask in masks[1:])), columns)


def _index_later(place: Place, stamp: Stamp, inner: str, grid: tuple[int, ...], facts: Facts) -> ChunkIndex:
    with opened(place, "raw", None) as again:
        if again.stamp != stamp:
            raise SourceChanged(
                f"{shown(place.url)} is not the file that was imported; its stamp changed; import it again"
            )
        return _index(chunks.stored(h5o.open(again.fid, inner.encode())), grid, facts)


def _same(index: ChunkIndex) -> ChunkIndex:
    return index


def _segments(file: File, plist: Any) -> tuple[list[tuple[int, int, int]], list[Place]]:
    segments: list[tuple[int, int, int]] = []
    places: dict[str, Place] = {}
    for number in range(plist.get_external_count()):
        name, offset, nbytes = plist.get_external(number)
        place = file.beside(os.fsdecode(name))
        places.setdefault(place.url, place)
        segments.append((list(places).index(place.url), offset, nbytes if nbytes != h5f.UNLIMITED else 1 << 62))
    return segments, list(places.values())
