"""Appending to what is saved: to views, and to groups of views and arrays.

Owns `append`, and what appending to a group means: all members change in one step, the directory being exchanged for
one with links to what stays. Refuses to leave members of a group that shared a length with different ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from lazyzarr.access.url import child
from lazyzarr.display.flat import advised_grid
from lazyzarr.document.decode import decode, generation_of
from lazyzarr.document.groups import ArrayMember, ViewMember, add_array, add_view, encode_member, regrown
from lazyzarr.document.plain_array import Content, encode_chunk
from lazyzarr.document.tables import FOLDER
from lazyzarr.errors import CombineError, SaveUnsupported
from lazyzarr.fitting import fitting, views_of
from lazyzarr.formats.zarr import read_array_metadata
from lazyzarr.growing import append_views, axis_of, grown, opened_views
from lazyzarr.ir.array_metadata import to_text
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.layout import Json, StoredArray
from lazyzarr.leaves import source
from lazyzarr.members import disagreements, is_view, lengths_of, members_of
from lazyzarr.opening import inline
from lazyzarr.places import Outdated, Place, repeated
from lazyzarr.read import Reader
from lazyzarr.view import View


def append(
    target: Any,
    more: Any,
    *,
    axis: int | str = 0,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Append to a saved view, or to members of a saved group, along an axis.

    Costs what is added costs: nothing that is stored is written again but the document, which stays small, and
    readers see the old view or the new one. Everything `lazyzarr.concat` asks of its inputs is asked here. Two
    processes that append at once both succeed, one after the other.

    Parameters
    ----------
    target
        Where the view or the group is saved: a path, a URL, or a Zarr store. Groups: local paths only.
    more
        A view, anything that `lazyzarr.open` takes, or a list of them. For a group a mapping from names of members.
        Members that are real arrays (coordinates) get the values: of NumPy arrays as they are, of views read. An array
        keeps its chunks; its last one is written anew if it is not full.
    axis
        Number or dimension name.
    storage_options
        ``{prefix: options}`` for remote places; never stored.

    Raises
    ------
    CombineError
        Listing every mismatch. Input 0 is what is saved.
    SourceMissing
        There is nothing to append to.
    SaveConflict
        Others change the same view all the time.
    SaveUnsupported, SaveError
        As `lazyzarr.save`. What was saved is as it was.

    Examples
    --------
    >>> import tempfile, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lz.save(lz.full((2,), 7, dtype="int8"), f"{folder}/v.zarr")
    ...     append(f"{folder}/v.zarr", lz.full((1,), 8, dtype="int8"))
    ...     lz.open(f"{folder}/v.zarr").read().tolist()
    [7, 7, 8]
    """
    place = Place(target, storage_options)
    if isinstance(more, Mapping):
        members = dict(_flat(more))
        append_members(place, members, dict.fromkeys(members, axis), storage_options)
    else:
        append_views(place, opened_views(more, storage_options), axis)


type Derived = Callable[[Mapping[str, View]], Mapping[str, View | np.ndarray]]
"""Members, by path below the group, that are made anew of the views that have grown."""


class _Grown(NamedTuple):
    """A member of a group after appending."""

    files: dict[str, Content]
    """By path below the group."""
    nodes: dict[str, Mapping[str, Json]]
    """Metadata of its nodes, for the consolidated metadata."""
    view: View | None = None
    gone: tuple[str, ...] = ()
    """Directories below the group that it has no more."""


def _flat(more: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in more.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{above}{name}/")
        else:
            yield f"{above}{name}", item


def append_members(
    place: Place,
    more: Mapping[str, Any],
    axes: Mapping[str, int | str],
    options: Mapping[str, Mapping[str, Any]] | None,
    *,
    derived: Derived | None = None,
    lengths: Mapping[str, int] | None = None,
) -> None:
    """Append to members of a group in one step, each along an axis of its own; names are paths below the group.

    Parameters
    ----------
    lengths
        Cells along the first axis that members have to have, lest something is appended twice.
    derived
        Makes the new form of members that are no longer forms of the old one. Their tables are written where the group
        does not have them.
    """
    place.finish()
    if is_view(place.document()):
        raise SaveUnsupported("append of a mapping to a view; a view takes views; give one", where=place.url)
    added = {name: item if _is_values(item) else opened_views(item, options) for name, item in more.items()}

    def change(root: bytes) -> None:
        texts, problems = members_of(place, root)
        expected = {"zarr.json": generation_of(root)}
        for name, length in (lengths or {}).items():
            if name in texts and lengths_of(texts[name]).shape[0] != length:
                raise Outdated(
                    "append to a group that somebody else has appended to meanwhile; look again at what is there",
                    where=place.url,
                )
        done: dict[str, _Grown] = {}
        for name, item in added.items():
            if name not in texts:
                has = ", ".join(sorted(texts)[:20]) or "no members"
                problems.append(f"{name} is not in the group, which has {has}; save it there first")
                continue
            expected[f"{name}/zarr.json"] = generation_of(texts[name])
            try:
                one = _view if is_view(texts[name]) else _array
                done[name] = one(place, name, texts[name], item, axes[name])
            except CombineError as error:
                problems += [f"{name}: {problem}" for problem in error.problems]
        grown_views = {name: member.view for name, member in done.items() if member.view is not None}
        for name, item in ({} if derived is None or problems else derived(grown_views)).items():
            expected[f"{name}/zarr.json"] = generation_of(texts[name])
            one = _array_anew if isinstance(item, np.ndarray) else _view_anew
            done[name] = one(place, name, texts[name], item)
        if not problems:
            before = {name: lengths_of(text) for name, text in texts.items()}
            after = {name: lengths_of(msgspec.json.encode(member.nodes[name])) for name, member in done.items()}
            problems = disagreements(before, before | after)
        if problems:
            raise CombineError("append", problems)
        files = {path: content for member in done.values() for path, content in member.files.items()}
        gone = [path for member in done.values() for path in member.gone]
        nodes = {path: node for member in done.values() for path, node in member.nodes.items()}
        files["zarr.json"] = regrown(root, nodes, gone)
        place.change(files, expected=expected, gone=gone, hides=derived is not None)

    repeated(place, change)


def _is_values(item: Any) -> bool:
    return isinstance(item, np.ndarray | np.generic | int | float) or (
        isinstance(item, list) and all(isinstance(each, int | float | str | np.generic) for each in item)
    )


def _view(place: Place, name: str, text: bytes, item: Any, axis: int | str) -> _Grown:
    url = child(place.url, name)
    opened = decode(text, url=url, session=place.session)
    views = [inline(np.asarray(item), Reader(place.session))] if _is_values(item) else item
    member = grown(opened, views, axis, place)
    files: dict[str, Content] = {}
    nodes: dict[str, Mapping[str, Json]] = {}
    add_view(encode_member(member, url), name, files, nodes)
    view = View(None, graph=member.graph, dims=member.dims, attrs=member.attributes, reader=Reader(place.session))
    return _Grown(files, nodes, view)


def _view_anew(place: Place, name: str, text: bytes, item: Any) -> _Grown:
    """Another view in the place of one, which keeps the tables that both have."""
    url = child(place.url, name)
    opened = decode(text, url=url, session=place.session)
    graph = item.ir
    present = {table: wire for table, wire in opened.stored.items() if table in graph.tables}
    grid = advised_grid(graph)
    encoded = encode_member(ViewMember(graph, item.dims, opened.attributes, grid, present, share=True), url)
    kept = {wire.folder for wire in present.values()} | {table.folder for table in encoded.tables}
    gone = [wire.folder for wire in opened.stored.values() if wire.beside is None and wire.folder not in kept]
    files: dict[str, Content] = {}
    nodes: dict[str, Mapping[str, Json]] = {}
    add_view(encoded, name, files, nodes)
    return _Grown(files, nodes, gone=tuple(f"{name}/{FOLDER}/{folder}" for folder in gone))


def _array_anew(place: Place, name: str, text: bytes, item: Any) -> _Grown:
    """Other values in the place of an array."""
    info = read_array_metadata(text)
    files: dict[str, Content] = {}
    nodes: dict[str, Mapping[str, Json]] = {}
    member = ArrayMember(item, info.dimension_names, info.attributes)
    add_array(member, name.rpartition("/")[2], name, files, nodes)
    return _Grown(files, nodes, gone=(f"{name}/c",))


def _array(place: Place, name: str, text: bytes, item: Any, axis: int | str) -> _Grown:
    """A real array with values behind its last ones."""
    info = read_array_metadata(text)
    reader = Reader(place.session)
    stored = StoredArray(layout=0, shape=info.shape, location=child(place.url, name))
    saved = source(stored, [info.layout], reader=reader, dims=info.dimension_names, attrs=info.attributes)
    # a NumPy array has no units; it is in those of the array that it goes to
    views = [inline(np.asarray(item), reader).with_attrs(info.attributes)] if _is_values(item) else item
    number = axis_of(saved, axis)
    views = fitting("append", views_of("append", [saved, *views]), number)[1:]
    length, chunk = info.shape[number], info.layout.chunk_shape[number]
    first = length // chunk
    begun = saved[(slice(None),) * number + (slice(first * chunk, None),)]
    values = np.concatenate([view.read() for view in (begun, *views)], axis=number)
    files: dict[str, Content] = {}
    for at in itertools.product(
        *(range(-(-n // c)) for n, c in zip(values.shape, info.layout.chunk_shape, strict=True))
    ):
        coords = np.array([at], np.int64)
        coords[0, number] += first
        key = chunk_keys(info.layout.chunk_keys, coords, f"{name}/")[0]
        files[key] = encode_chunk(values, info.layout, at)
    document = msgspec.json.decode(text)
    document["shape"][number] = first * chunk + values.shape[number]
    files[f"{name}/zarr.json"] = to_text(document)
    return _Grown(files, {name: document})
