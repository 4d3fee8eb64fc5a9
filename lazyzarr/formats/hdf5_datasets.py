"""Which dataset of its file a stored array is, found by comparing where the chunks are.

A view keeps byte ranges of chunks, not names of datasets. So the file is opened again, and a dataset is the one if its
shape, its layouts and the place of every chunk are those of the array: then, and only then, it has the same cells.
Owns that comparison. Refuses to choose: where no dataset is the one, or several could be because none of their chunks
is written, it says so.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from h5py import h5d, h5o

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown, to_path
from lazyzarr.errors import SourceError
from lazyzarr.formats import hdf5_attributes as attributes
from lazyzarr.formats.hdf5_dimensions import Found
from lazyzarr.formats.hdf5_facts import facts_of
from lazyzarr.formats.hdf5_file import File, opened
from lazyzarr.formats.hdf5_headers import header
from lazyzarr.formats.hdf5_model import Hdf5Array
from lazyzarr.formats.hdf5_places import LocalPlace
from lazyzarr.formats.hdf5_variable import describe
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, StoredArray

_RANGE = 1


@dataclass(frozen=True)
class Dataset:
    """A dataset of a file."""

    path: str
    """Of the file, on this machine."""
    name: bytes
    """Of the dataset inside the file."""
    encoding: bytes
    """Its HDF5 type, encoded."""
    shape: tuple[int, ...]
    layout: Layout
    attributes: dict[str, Any]
    """Numbers with the type that the file has."""


def datasets_of(graph: Graph, arrays: Sequence[StoredArray], session: Session) -> list[Dataset | str]:
    """The dataset of each array, or in words what the array is instead.

    Raises
    ------
    SourceMissing, SourceChanged, AccessDenied
        A file is gone, is not the one that was referenced, or may not be read.
    """
    answers: dict[int, Dataset | str] = {}
    by_file: dict[tuple[str, str], list[int]] = {}
    for number, array in enumerate(arrays):
        what = _no_dataset(array)
        if what:
            answers[number] = what
        else:
            by_file.setdefault((array.location or "", array.grant), []).append(number)
    for (url, grant), numbers in by_file.items():
        stamp = arrays[numbers[0]].stamp
        if stamp is None:
            session.stat(url, grant=grant)
        for one in {arrays[number].stamp for number in numbers} - {None}:
            assert one is not None
            session.verify(url, one, grant=grant)
        try:
            with opened(LocalPlace(to_path(url), url), "raw", None) as file:
                found = _matches(file, graph, [arrays[number] for number in numbers])
        except SourceError as error:
            if error.reason != "source-format":
                raise
            found = ["is not an HDF5 file"] * len(numbers)
        answers.update(zip(numbers, found, strict=True))
    return [answers[number] for number in range(len(arrays))]


def _no_dataset(array: StoredArray) -> str:
    """What an array is that can be no dataset of a local file; empty where it may be one."""
    if array.values is not None:
        return "is in memory, as small and variable-length data of a file is, too"
    if array.origins is not None or array.inline is not None or array.places:
        return "has chunks from several places"
    if array.refs is None:
        return "is a Zarr array"
    if not (array.location or "").startswith("file://"):
        return "is not on a local disk"
    return ""


def _matches(file: File, graph: Graph, arrays: Sequence[StoredArray]) -> list[Dataset | str]:
    shapes = {array.shape for array in arrays}
    found: list[list[Dataset]] = [[] for _ in arrays]
    for name, address in _named(file):
        obj = h5o.open(file.fid, name)
        head = header(file.headers, address) if file.headers is not None else None
        facts = facts_of(obj, head)
        if facts.storage not in (h5d.CHUNKED, h5d.CONTIGUOUS) or facts.shape not in shapes:
            continue
        own = attributes.Attributes(obj, head.attributes if head is not None else None)
        path = "/" + attributes.text(name)
        leaf = path.rpartition("/")[2]
        item = describe(file, Found(leaf, path, obj, own, facts, facts.shape, facts.unlimited, None), None)
        if not isinstance(item, Hdf5Array) or item.values is not None or item.urls:
            continue
        mine = [k for k, array in enumerate(arrays) if _is(graph, array, item)]
        if mine:
            one = Dataset(to_path(file.url), name, facts.encoding, item.shape, item.layout, own.data())
            for k in mine:
                found[k].append(one)
    return [_only(candidates) for candidates in found]


def _named(file: File) -> list[tuple[bytes, int]]:
    """Names and addresses of all datasets of a file, each once; links to other files are not followed."""
    names: list[tuple[bytes, int]] = []

    def visit(name: bytes, info: Any) -> None:
        if info.type == h5o.TYPE_DATASET:
            names.append((name, info.addr))

    h5o.visit(file.fid, visit, info=True)
    return names


def _only(candidates: list[Dataset]) -> Dataset | str:
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        return "has chunks that are not those of any dataset of the file"
    names = ", ".join(attributes.text(one.name) for one in candidates[:4])
    return f"may be any of {names}, of which no chunk is written"


def _is(graph: Graph, array: StoredArray, item: Hdf5Array) -> bool:
    """Whether the chunks of an array are those of a dataset, each at its place and with its filters."""
    layout = graph.layouts[array.layout]
    if array.shape != item.shape or layout.chunk_shape != item.layout.chunk_shape:
        return False
    assert array.refs is not None
    count = math.prod(-(-n // c) for n, c in zip(array.shape, layout.chunk_shape, strict=True))
    rows = slice(array.refs_first, array.refs_first + count)
    table, theirs = graph.tables[array.refs], item.refs()
    zeros = np.zeros(count, np.int64)
    ours = {name: np.asarray(table[name][rows]) for name in ("offset", "length", "state", "layout") if name in table}
    state, their_state = (columns.get("state", zeros + _RANGE) for columns in (ours, theirs))
    if not np.array_equal(state, their_state):
        return False
    there = state == _RANGE
    if not all(np.array_equal(ours[name][there], theirs[name][there]) for name in ("offset", "length")):
        return False
    kinds = np.stack([np.where(there, columns.get("layout", zeros), 0) for columns in (ours, theirs)], axis=1)
    layouts = [layout, *(graph.layouts[number] for number in array.variants)]
    pairs = [(0, 0), *np.unique(kinds, axis=0).tolist()]
    return all(alike(layouts[a], item.layouts[b]) for a, b in pairs)


def alike(ours: Layout, theirs: Layout) -> bool:
    """Whether two layouts read the same bits; integers may have the other sign, as ``_Unsigned`` says."""
    if ours == theirs:
        return True
    if ours.chunk_shape != theirs.chunk_shape or ours.codecs != theirs.codecs:
        return False
    left, right = to_numpy(ours.data_type), to_numpy(theirs.data_type)
    if {left.kind, right.kind} != {"i", "u"} or left.itemsize != right.itemsize:
        return False
    bits = [np.asarray(fill.from_json(one.fill_value, one.data_type)).tobytes() for one in (ours, theirs)]
    return bits[0] == bits[1]


def described(array: StoredArray) -> str:
    """How an array is named in an error."""
    return shown(array.location) if array.location else f"an array of shape {array.shape}"
