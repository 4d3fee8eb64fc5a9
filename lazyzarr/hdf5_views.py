"""Views of HDF5 and NetCDF-4 files: what the importer describes, as nodes.

Owns the step from imported variables to views: chunk references become a table, packing a decode node, virtual
datasets an overlay of other variables. Refuses variables by name, one at a time: the rest of the file stays
usable.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import msgspec
import numpy as np

from lazyzarr.access.ranged_file import RangedFile
from lazyzarr.access.url import shown, to_path
from lazyzarr.algebra.span import Span, canonical
from lazyzarr.casting import decoded_fill
from lazyzarr.errors import (
    AccessDenied,
    LazyZarrError,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceProtocolError,
    SourceUnavailable,
    UnsupportedFeature,
)
from lazyzarr.formats.hdf5 import import_array, import_file
from lazyzarr.formats.hdf5_model import (
    Allow,
    Hdf5Array,
    Hdf5Group,
    Hdf5Item,
    Hdf5Later,
    Hdf5Mapping,
    Hdf5Refused,
    Hdf5Virtual,
)
from lazyzarr.formats.packing import Packing
from lazyzarr.group import Group, Opener, in_both_forms
from lazyzarr.ir.data_type import DataType, from_json
from lazyzarr.ir.layout import Json, Place, StoredArray
from lazyzarr.ir.nodes import Decode, Fill, Overlay
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import same_bits, source, unpacked, with_bits_as
from lazyzarr.read import Reader
from lazyzarr.view import View

_ERRORS: dict[str, type[LazyZarrError]] = {
    kind.default_reason: kind
    for kind in (AccessDenied, SourceMissing, SourceDenied, SourceChanged, SourceUnavailable, SourceProtocolError)
}
"""What a refusal is raised as, by its reason; the others are features that have no form here."""


class _File:
    """How the variables of one file are opened."""

    def __init__(
        self,
        where: str | RangedFile,
        packing: Packing,
        missing: Literal["error", "fill"],
        reader: Reader,
        allow: Allow,
    ) -> None:
        self.where = where
        self.allow = allow
        self.packing: Packing = packing
        self.missing = missing
        self.reader = reader

    def group(self, found: Hdf5Group, raw: bool = False) -> Group:
        members: dict[str, Opener] = {
            name: partial(self.later if isinstance(item, Hdf5Later) else self.item, item, raw)
            for name, item in found.arrays.items()
        }
        members |= {name: partial(self.group, inner, raw) for name, inner in found.groups.items()}
        made = Group(members, attrs=found.attributes, place=found.name or "/")
        return in_both_forms(made, partial(self.group, found, True))

    def later(self, found: Hdf5Later, raw: bool) -> View | Group:
        item = found.load()
        return self.group(item, raw) if isinstance(item, Hdf5Group) else self.item(item, raw)

    def item(self, found: Hdf5Item, raw: bool = False) -> View:
        if raw and isinstance(found, Hdf5Refused) and found.stored is not None:
            found = found.stored()
        if isinstance(found, Hdf5Refused):
            raise _ERRORS.get(found.reason, UnsupportedFeature)(found.message, reason=found.reason, where=found.name)
        if isinstance(found, Hdf5Array):
            view = self.stored(found)
        else:
            view = self.virtual(found, found.data_type if raw else _bits(found))
        attrs = found.attributes if not raw or found.packed is None else found.packed
        if not raw and found.decode is not None:
            view = unpacked(view, found.decode)
        if isinstance(found, Hdf5Array) and found.padded is not None:
            view = _padded(view, *found.padded, found.layout.data_type)
        return view._same(dims=found.dimension_names, attrs=attrs)

    def source(self, mapping: Hdf5Mapping) -> Hdf5Item:
        """The variable that a mapping names; that its file may be used was found when the mapping was imported."""
        url = mapping.url
        where = to_path(url) if isinstance(self.where, str) else self.where.sibling(url)
        return import_array(where, url, mapping.dataset, packing="raw", allow_external=self.allow)

    def stored(self, found: Hdf5Array) -> View:
        if found.values is not None:
            table = Table({"values": found.values if found.values.ndim else found.values.reshape(1)})
            array = StoredArray(layout=0, shape=found.shape, values=table.name)
            return source(array, [found.layout], reader=self.reader, tables={table.name: table})
        columns = dict(found.refs())
        if "url" in columns:
            columns["place"] = columns.pop("url") + 1
        table = Table(columns)
        layouts = found.layouts
        places = zip(found.urls, found.url_stamps or [None] * len(found.urls), strict=True)
        array = StoredArray(
            layout=0,
            shape=found.shape,
            location=found.location,
            refs=table.name,
            stamp=found.stamp,
            variants=tuple(range(1, len(layouts))),
            places=tuple(Place(url, stamp) for url, stamp in places),
            grant=found.grant,
        )
        return source(array, layouts, reader=self.reader, tables={table.name: table})

    def virtual(self, found: Hdf5Virtual, data_type: DataType) -> View:
        """A virtual dataset whose bits are of a type: its own, or that of ``_Unsigned``."""
        if found.missing and self.missing == "error":
            raise SourceMissing(
                f"virtual dataset {found.name!r} of {shown(found.location)} has {len(found.missing)} sources that are "
                f"not there, such as {shown(found.missing[0])}; HDF5 reads fill values there; "
                'restore them, or open with missing="fill" to read fill values, too'
            )
        filled = found.fill_value
        if data_type != found.data_type:
            filled = same_bits(filled, found.data_type, data_type)
        pieces: list[View] = []
        placed: list[Hdf5Mapping] = []
        opened: dict[tuple[str, str], View] = {}
        for mapping in found.mappings:
            key = (mapping.url, mapping.dataset)
            if key not in opened:
                opened[key] = self.piece(self.source(mapping), found.data_type, data_type)
            piece = _cut(opened[key], mapping)
            if piece.data_type != data_type:
                raise UnsupportedFeature(
                    f"virtual dataset {found.name!r} of {shown(found.location)} has type {found.data_type}, its source "
                    f"{mapping.dataset!r} of {shown(mapping.url)} has {piece.data_type}; HDF5 would convert silently; "
                    "join the sources with lazyzarr and say how to cast",
                    reason="graph-type",
                )
            pieces.append(piece)
            placed.append(mapping)
        if not pieces:
            return View(Fill(found.shape, data_type, filled), reader=self.reader)
        node = Overlay(
            inputs=tuple(range(len(pieces))),
            origins=tuple(tuple(start for start, _, _ in m.view) for m in placed),
            shape=found.shape,
            fill_value=filled,
            overlap="last",
            steps=tuple(tuple(step if n > 1 else 1 for _, step, n in m.view) for m in placed),
        )
        return View(node, pieces, reader=Reader.joined([piece.reader for piece in pieces]))

    def piece(self, item: Hdf5Item, stored: DataType, data_type: DataType) -> View:
        """A source of a virtual dataset of the type `stored`, whose bits are read as of `data_type`."""
        if data_type != stored and not isinstance(item, Hdf5Refused):
            if isinstance(item, Hdf5Virtual) and item.data_type == stored:
                return self.virtual(item, data_type)
            if isinstance(item, Hdf5Array) and item.layout.data_type == stored:
                return with_bits_as(self.stored(item), data_type)
        return self.item(item)


def _padded(view: View, shape: tuple[int, ...], value: Json, stored: DataType) -> View:
    """A variable in its whole length; ``value`` is one of the stored type."""
    node = view._node
    if isinstance(node, Decode):
        below = view._inputs[0].schema
        if below.data_type != stored:
            value = same_bits(value, stored, below.data_type)
        value = decoded_fill(msgspec.structs.replace(below, fill_value=value), node.codecs, node.data_type)
    overlay = Overlay(inputs=(0,), origins=((0,) * len(shape),), shape=shape, fill_value=value)
    return View(overlay, [view], reader=view.reader)


def _bits(found: Hdf5Virtual) -> DataType:
    """The type that the bits of a virtual dataset are to be read as."""
    return found.data_type if found.decode is None else from_json(found.decode["stored_type"])


def open_hdf5(
    where: str | RangedFile,
    url: str,
    variable: str | None,
    *,
    packing: Packing,
    missing: Literal["error", "fill"],
    reader: Reader,
    allow: Allow,
) -> View | Group:
    """The group of a file, or the view of one variable.

    Parameters
    ----------
    where, url
        Path of a local file, or the remote file; and its location.
    allow
        Which other files, by location, the file may name.

    Raises
    ------
    SourceMissing
        The file or the variable is not there.
    UnsupportedFeature
        The variable uses something that has no decoder here.
    """
    file = _File(where, packing, missing, reader, allow)
    if variable is None:
        return file.group(import_file(where, url, packing=packing, allow_external=allow))
    return file.item(import_array(where, url, variable, packing=packing, allow_external=allow))


def _cut(view: View, mapping: Hdf5Mapping) -> View:
    """The box of a source, with axes in the order of the virtual dataset."""
    axes: list[Span | int] = [
        start if axis < 0 else canonical(start, step, count)
        for (start, step, count), axis in zip(mapping.source, mapping.axes, strict=True)
    ]
    piece = view._indexed(axes)
    running = [axis for axis in mapping.axes if axis >= 0]
    piece = piece.transpose(tuple(int(k) for k in np.argsort(running)))
    new = [axis for axis in range(len(mapping.view)) if axis not in running]
    return piece.expand_dims(tuple(new)) if new else piece
