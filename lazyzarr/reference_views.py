"""Views of referenced arrays: what importers of files and foreign manifests describe, as nodes.

Owns the step from references to views: columns become a table, objects places, packing a decode node, and chunks
that are inside a manifest arrays kept with the view. Refuses arrays by name, one at a time: the rest stays usable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from lazyzarr.casting import cast_codec, decoded_fill
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import LazyZarrError, UnsupportedFeature, ViewLimitError
from lazyzarr.formats.referenced import Keyed, Member, Referenced, ReferencedGroup, Unreadable
from lazyzarr.group import Group, in_both_forms
from lazyzarr.ir import data_type as types
from lazyzarr.ir import fill
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json, Layout, NamedConfig, Place, StoredArray
from lazyzarr.ir.nodes import Concat, Decode, Fill, Overlay
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.uneven import pieced
from lazyzarr.view import View

MOST_INLINE = 4096
"""Chunks inside a manifest beside chunks that are not, in one array."""
INLINE_BYTES = 64 << 20
"""Cells of one array that are kept in memory because its manifest has them [bytes]."""
_PACKED = NamedConfig("bytes", {"endian": "little"})


def group_view(found: ReferencedGroup, reader: Reader, grant: str = "") -> Group:
    """The group, whose members become views when they are used."""
    made = Group(
        {name: partial(member_view, one, reader, grant) for name, one in found.members.items()},
        attrs=found.attributes,
        place=found.name,
    )
    if found.stored is not None:
        stored = found.stored
        return in_both_forms(made, lambda: group_view(stored(), reader, grant))
    return in_both_forms(made, partial(_stored_group, found, reader, grant) if _says_both(found) else None)


def _says_both(found: ReferencedGroup) -> bool:
    """Whether every array can be had as it is stored, too."""
    return all(
        isinstance(one, Referenced) and (one.decode is None or one.packed is not None) for one in found.members.values()
    )


def _stored_group(found: ReferencedGroup, reader: Reader, grant: str) -> Group:
    members = {name: _as_stored(one) for name, one in found.members.items() if isinstance(one, Referenced)}
    return group_view(ReferencedGroup(found.name, found.attributes, members), reader, grant)


def _as_stored(found: Referenced) -> Referenced:
    attributes = found.attributes if found.packed is None else found.packed
    return replace(found, attributes=attributes, decode=None, cast=None, packed=None)


def member_view(found: Member | Callable[[], Member], reader: Reader, grant: str = "") -> View | Group:
    """The view or group of one member.

    Raises
    ------
    UnsupportedFeature
        The array uses something that has no plan here.
    """
    if not isinstance(found, Referenced | Keyed | Unreadable | ReferencedGroup):
        found = found()
    if isinstance(found, ReferencedGroup):
        return group_view(found, reader, grant)
    if isinstance(found, Unreadable):
        raise refusal(found)
    if isinstance(found, Keyed):
        return keyed_view(found, reader)
    return array_view(found, reader, grant)


def refusal(found: Unreadable) -> LazyZarrError:
    """The error for an array that cannot be used."""
    return UnsupportedFeature(found.message, reason=found.reason, where=found.name)


def array_view(found: Referenced, reader: Reader, grant: str = "") -> View:
    """The view of one array; ``grant`` names what the document that had the references may reach.

    Raises
    ------
    AccessDenied
        A reference leads to a place outside the grant.
    """
    if grant:
        allowed = reader.session.grants[grant]
        for url in found.urls:
            allowed.check(url)
    if found.lengths is None:
        view = _stored(found, reader, grant)
    else:
        view = pieced(found, reader, lambda one: _stored(one, reader, grant))
    if found.tail is not None:
        view = View(Concat((0, 1), 0), (view, _stored(found.tail, reader, grant)), reader=reader)
    return _finished(view, found)


def _finished(view: View, found: Referenced | Keyed) -> View:
    view = view._same(dims=found.dimension_names, attrs=found.attributes)
    cast = found.cast if isinstance(found, Referenced) else None
    return view if found.decode is None else unpacked(view, found.decode, cast)


def keyed_view(found: Keyed, reader: Reader) -> View:
    """The view of an array under chunk keys."""
    if found.lengths is not None:
        return _finished(pieced(found, reader, lambda one: _stored(one, reader, "")), found)
    array = StoredArray(layout=0, shape=found.shape, location=found.location, stamp=found.stamp)
    return _finished(source(array, [found.layout], reader=reader), found)


def unpacked(view: View, configuration: dict[str, Json], cast: str | None = None) -> View:
    """The view with its cells unpacked by ``lazyzarr.unpack``, and cast to a type where one is named."""
    target = types.from_json(configuration["data_type"])
    codecs = (NamedConfig("lazyzarr.unpack", configuration),)
    if cast is not None:
        codecs = (cast_codec(target, cast, "nearest-even", None), *codecs)
        target = cast
    value = decoded_fill(view.schema, codecs, target)
    return View(
        Decode(0, codecs, target, value), (view,), own=Graph(()), reader=view.reader, dims=view.dims, attrs=view.attrs
    )


def _stored(found: Referenced, reader: Reader, grant: str) -> View:
    if found.inline:
        return _with_inline(found, reader, grant)
    if not found.urls:
        fill_value = found.layout.fill_value
        return View(Fill(found.shape, found.layout.data_type, fill_value), reader=reader)
    columns = dict(found.columns)
    if "url" in columns:
        columns["place"] = columns.pop("url")
    table = Table(columns)
    array = StoredArray(
        layout=0,
        shape=found.shape,
        location=found.urls[0],
        refs=table.name,
        stamp=found.stamps[0],
        places=tuple(Place(url, stamp) for url, stamp in zip(found.urls[1:], found.stamps[1:], strict=True)),
        grant=grant,
    )
    return source(array, [found.layout], reader=reader, tables={table.name: table})


def _with_inline(found: Referenced, reader: Reader, grant: str) -> View:
    """Chunks that are inside the manifest are decoded now, and laid over the others."""
    referenced = bool(np.any(found.columns["state"])) if "state" in found.columns else True
    if not referenced:
        return _in_memory(_whole(found), found.layout, reader)
    if len(found.inline) > MOST_INLINE:
        raise ViewLimitError(
            "inline chunks beside references",
            len(found.inline),
            MOST_INLINE,
            where=found.name,
            remedy="write the manifest with fewer chunks inside it",
        )
    below = _stored(_without_inline(found), reader, grant)
    rows = sorted(found.inline)
    pieces = [_in_memory(_decoded(found, row), found.layout, reader) for row in rows]
    node = Overlay(
        inputs=tuple(range(len(pieces) + 1)),
        origins=((0,) * len(found.shape), *(_corner(found, row) for row in rows)),
        shape=found.shape,
        fill_value=found.layout.fill_value,
        overlap="last",
    )
    return View(node, [below, *pieces], reader=reader)


def _without_inline(found: Referenced) -> Referenced:
    return Referenced(found.name, found.shape, found.layout, found.columns, found.urls, found.stamps)


def _whole(found: Referenced) -> np.ndarray:
    nbytes = math.prod(found.shape) * types.to_numpy(found.layout.data_type).itemsize
    if nbytes > INLINE_BYTES:
        raise ViewLimitError(
            "inline bytes", nbytes, INLINE_BYTES, where=found.name, remedy="write its chunks into objects of their own"
        )
    out = fill.full(found.shape, found.layout.fill_value, found.layout.data_type)
    for row in found.inline:
        corner = _corner(found, row)
        cells = _decoded(found, row)
        out[tuple(slice(at, at + n) for at, n in zip(corner, cells.shape, strict=True))] = cells
    return out


def _corner(found: Referenced, row: int) -> tuple[int, ...]:
    chunk = found.layout.chunk_shape
    grid = tuple(-(-n // c) for n, c in zip(found.shape, chunk, strict=True))
    at = np.unravel_index(row, grid) if grid else ()
    return tuple(int(k) * c for k, c in zip(at, chunk, strict=True))


def _decoded(found: Referenced, row: int) -> np.ndarray:
    """The cells of one chunk inside the manifest, without what is beyond the array."""
    cells = compile_chain(found.layout).decode(memoryview(found.inline[row]))
    corner = _corner(found, row)
    inside = tuple(slice(0, n - at) for at, n in zip(corner, found.shape, strict=True))
    return np.asarray(cells)[inside]


def _in_memory(cells: np.ndarray, layout: Layout, reader: Reader) -> View:
    held = np.array(cells, order="C", copy=True)
    held.flags.writeable = False
    table = Table({"values": held if held.ndim else held.reshape(1)})
    codecs = layout.codecs if held.dtype.kind in "TO" else (_PACKED,)
    own = Layout(layout.data_type, layout.fill_value, tuple(max(n, 1) for n in held.shape), _serial(held, codecs))
    tables: Mapping[str, Table] = {table.name: table}
    return source(StoredArray(layout=0, shape=held.shape, values=table.name), [own], reader=reader, tables=tables)


def _serial(cells: np.ndarray, codecs: tuple[NamedConfig, ...]) -> tuple[NamedConfig, ...]:
    if cells.dtype.kind == "T":
        return (NamedConfig("vlen-utf8"),)
    return (NamedConfig("vlen-bytes"),) if cells.dtype.kind == "O" else codecs
