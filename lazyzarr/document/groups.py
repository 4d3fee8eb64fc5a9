"""Groups that hold views and real arrays side by side: all their files, and consolidated metadata.

Owns the layout of a saved group: every view is a child group, every real array an ordinary Zarr v3 array in chunks of
at most 8 MiB, and the ``zarr.json`` of the group has the metadata of all nodes below it, as zarr-python consolidates
it. Refuses names that are no single path segment, and arrays without a Zarr type.

Copies of view documents in consolidated metadata are for other readers, which see groups there; a view is always
opened from its own ``zarr.json``, which is the only one that a later save of that view changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from lazyzarr.access.url import child
from lazyzarr.document.encode import EncodedView, encode, group_document, json_attributes
from lazyzarr.document.limits import Limits
from lazyzarr.document.plain_array import Content, chunk_files, chunk_shape_of, layout_of
from lazyzarr.document.tables import FOLDER
from lazyzarr.document.wire import CONVENTION, CONVENTIONS, WireTable
from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.array_metadata import array_metadata, to_text
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json

_NAME = re.compile(r"(?!\.|__)[^/\\\x00-\x1f]{1,255}")
_RESERVED = ("zarr.json", FOLDER)


class ViewMember(Struct, frozen=True):
    """A view in a group."""

    graph: Graph
    dims: tuple[str | None, ...] | None = None
    attributes: Mapping[str, Any] = {}
    grid: tuple[int, ...] | None = None
    present: Mapping[str, WireTable] = {}
    apart: Collection[str] = ()
    manifest: Graph | None = None
    share: bool = False
    """All four as `lazyzarr.document.encode.encode` has them."""


class ArrayMember(Struct, frozen=True):
    """A real array in a group."""

    array: np.ndarray[Any, np.dtype[Any]]
    dims: Sequence[str | None] | None = None
    """By default the name of the array if it has one axis, else ``<name>_<axis>``: xarray opens no array without."""
    attributes: Mapping[str, Any] = {}


class GroupMember(Struct, frozen=True):
    """A group in a group."""

    members: Mapping[str, Member]
    attributes: Mapping[str, Any] = {}


type Member = ViewMember | ArrayMember | GroupMember


def encode_group(group: GroupMember, *, base_url: str, limits: Limits | None = None) -> dict[str, Content]:
    """Every file of a group, by its path below it; the ``zarr.json`` of the group comes last.

    Parameters
    ----------
    group
        What to store.
    base_url
        Location of the group; those of its views are below.
    limits
        What readers of the views accept.

    Raises
    ------
    SaveUnsupported
        A name or an array has no stored form; or as `lazyzarr.document.encode.encode`.

    Examples
    --------
    >>> group = GroupMember({"time": ArrayMember(np.arange(3))}, {"title": "t"})
    >>> sorted(encode_group(group, base_url="file:///d/g.zarr"))
    ['time/c/0', 'time/zarr.json', 'zarr.json']
    """
    files: dict[str, Content] = {}
    nodes: dict[str, Mapping[str, Json]] = {}
    _add_group(group, "", base_url, files, nodes, limits)
    root = dict(nodes.pop(""))
    below = {name: dict(nodes[name]) for name in sorted(nodes)}
    for document in below.values():
        if document["node_type"] == "group":
            document["consolidated_metadata"] = consolidated({})
    root["consolidated_metadata"] = consolidated(below)
    files["zarr.json"] = to_text(root)
    return files


def encode_member(member: ViewMember, url: str, limits: Limits | None = None) -> EncodedView:
    """The files of a view that will be at a location."""
    return encode(
        member.graph,
        base_url=url,
        dims=member.dims,
        attributes=member.attributes,
        grid=member.grid,
        limits=limits,
        present=member.present,
        apart=member.apart,
        manifest=member.manifest,
        share=member.share,
    )


def regrown(root: bytes, nodes: Mapping[str, Mapping[str, Json]], gone: Collection[str] = ()) -> bytes:
    """The ``zarr.json`` of a saved group in which the nodes below at some paths are those.

    Parameters
    ----------
    gone
        Paths of nodes that are there no more, with all below them.
    """
    document = msgspec.json.decode(root)
    below: Any = {**document.get("consolidated_metadata", consolidated({}))["metadata"]}
    for path in gone:
        below = {name: node for name, node in below.items() if name != path and not name.startswith(f"{path}/")}
    for name, node in nodes.items():
        below[name] = {**node, "consolidated_metadata": consolidated({})} if node["node_type"] == "group" else node
    document["consolidated_metadata"] = consolidated({name: below[name] for name in sorted(below)})
    return to_text(document)


def consolidated(nodes: Mapping[str, Json]) -> dict[str, Json]:
    """The metadata of all nodes below a group, as zarr-python writes them."""
    return {"kind": "inline", "must_understand": False, "metadata": nodes}


def check_name(name: str) -> None:
    """Return if a member of a group may have the name.

    Raises
    ------
    SaveUnsupported
        It may not.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise SaveUnsupported(
            f"save: {name!r} is the name of a member; names are single path segments, begin with neither '.' nor "
            f"'__', and are none of {', '.join(_RESERVED)}; rename it"
        )


def _add_group(
    group: GroupMember,
    path: str,
    url: str,
    files: dict[str, Content],
    nodes: dict[str, Mapping[str, Json]],
    limits: Limits | None,
) -> None:
    document = group_document(group.attributes)
    others: Any = document["attributes"].get(CONVENTIONS, [])
    document["attributes"][CONVENTIONS] = [*others, CONVENTION]
    nodes[path] = document
    if path:
        files[f"{path}/zarr.json"] = to_text(document)
    for name, member in group.members.items():
        check_name(name)
        below = f"{path}/{name}" if path else name
        location = child(url, name)
        if isinstance(member, GroupMember):
            _add_group(member, below, location, files, nodes, limits)
        elif isinstance(member, ViewMember):
            add_view(encode_member(member, location, limits), below, files, nodes)
        else:
            add_array(member, name, below, files, nodes)


def add_view(view: EncodedView, path: str, files: dict[str, Content], nodes: dict[str, Mapping[str, Json]]) -> None:
    """Add the files and the nodes of a view at a path."""
    files.update((f"{path}/{name}", content) for name, content in view.files().items())
    nodes[path] = msgspec.json.decode(view.document)
    if view.tables:
        nodes[f"{path}/{FOLDER}"] = group_document({})
    for table in view.tables:
        nodes[f"{path}/{FOLDER}/{table.folder}"] = group_document({})
        for column, document in table.metadata.items():
            nodes[f"{path}/{FOLDER}/{table.folder}/{column}"] = document


def add_array(
    member: ArrayMember, name: str, path: str, files: dict[str, Content], nodes: dict[str, Mapping[str, Json]]
) -> None:
    """Add the files and the node of a real array at a path; ``name`` is the last part of it."""
    array = member.array
    rank = array.ndim
    dims = member.dims
    if dims is None:
        dims = (name,) if rank == 1 else tuple(f"{name}_{axis}" for axis in range(rank))
    if len(dims) != rank:
        raise SaveUnsupported(f"save: array {name!r} has {len(dims)} dimension names and rank {rank}; name each axis")
    if array.dtype.kind == "O" and not all(isinstance(cell, bytes) for cell in array.reshape(-1)):
        raise SaveUnsupported(
            f"save: array {name!r} has objects in it; only bytes have a Zarr type; convert it (text: numpy's StringDType)"
        )
    chunk_shape = chunk_shape_of(array.shape, array.dtype)
    layout = layout_of(array[tuple(slice(n) for n in chunk_shape)], chunk_shape)
    document = array_metadata(array.shape, layout, dims, json_attributes(member.attributes))
    files[f"{path}/zarr.json"] = to_text(document)
    files.update((f"{path}/{key}", content) for key, content in chunk_files(array, layout))
    nodes[path] = document
