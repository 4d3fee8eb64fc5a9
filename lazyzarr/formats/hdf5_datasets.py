"""Which dataset of its file a stored array is, found by comparing where the chunks are.

A view keeps byte ranges of chunks, not names of datasets. So the file is opened again, and a dataset is the one if its
shape, its layouts and the place of every chunk, in the file or in raw files beside it, are those of the array: then, and
only then, it has the same cells. Owns that comparison. Refuses to choose: where no dataset is the one, or several could be because none of their chunks
is written, it says so.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from h5py import h5d, h5o

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown, to_path
from lazyzarr.codecs.values import decode_values
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
from lazyzarr.ir.layout import VALUE_WISE, Layout, StoredArray
from lazyzarr.ir.row_values import columns_of
from lazyzarr.lower.lifting import stored_type

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
    loose: tuple[str, ...] = ()
    """Names of raw files, as the dataset has them, that are relative: libhdf5 does not look for them beside the file."""


class NoDataset(NamedTuple):
    """What an array is instead of a dataset of a local file, in words, and what to do."""

    what: str
    remedy: str


_COPY = "sources of a virtual dataset are datasets of other HDF5 files; write a copy"
_STORED = (h5d.CHUNKED, h5d.CONTIGUOUS, h5d.COMPACT)


def datasets_of(graph: Graph, arrays: Sequence[StoredArray], session: Session) -> list[Dataset | NoDataset]:
    """The dataset of each array, or what the array is instead.

    Raises
    ------
    SourceMissing, SourceChanged, AccessDenied
        A file is gone, is not the one that was referenced, or may not be read.
    """
    answers: dict[int, Dataset | NoDataset] = {}
    by_file: dict[tuple[str, str], list[int]] = {}
    for number, array in enumerate(arrays):
        none = _no_dataset(array)
        if none is not None:
            answers[number] = none
        else:
            by_file.setdefault((array.location or "", array.grant), []).append(number)
    for (url, grant), numbers in by_file.items():
        stamp = arrays[numbers[0]].stamp
        if stamp is None:
            session.stat(url, grant=grant)
        for one in {arrays[number].stamp for number in numbers} - {None}:
            assert one is not None
            session.verify(url, one, grant=grant)
        for place in {place for number in numbers for place in arrays[number].places}:
            if place.stamp is not None:
                session.verify(place.location, place.stamp, grant=grant)
        try:
            with opened(LocalPlace(to_path(url), url), "raw", None) as file:
                found = _matches(file, graph, [arrays[number] for number in numbers])
        except SourceError as error:
            if error.reason != "source-format":
                raise
            found = [NoDataset("is not an HDF5 file", _COPY)] * len(numbers)
        answers.update(zip(numbers, found, strict=True))
    return [answers[number] for number in range(len(arrays))]


def _no_dataset(array: StoredArray) -> NoDataset | None:
    """What an array is that can be no dataset of a local file; None where it may be one."""
    if array.values is not None:
        return NoDataset("is in memory, as variable-length text of a file is, too", _COPY)
    if array.origins is not None or array.inline is not None:
        return NoDataset("has chunks from several places", _COPY)
    if array.refs is None:
        return NoDataset("is a Zarr array", _COPY)
    if not (array.location or "").startswith("file://"):
        remedy = (
            "libhdf5 opens the sources of a virtual dataset as local files; download it and open it there, or write "
            "kerchunk or Icechunk references"
        )
        return NoDataset("is not on a local disk", remedy)
    return None


def _matches(file: File, graph: Graph, arrays: Sequence[StoredArray]) -> list[Dataset | NoDataset]:
    shapes = {array.shape for array in arrays}
    found: list[list[Dataset]] = [[] for _ in arrays]
    for name, address in _named(file):
        obj = h5o.open(file.fid, name)
        head = header(file.headers, address) if file.headers is not None else None
        facts = facts_of(obj, head)
        if facts.storage not in _STORED or facts.shape not in shapes:
            continue
        own = attributes.Attributes(obj, head.attributes if head is not None else None)
        path = "/" + attributes.text(name)
        leaf = path.rpartition("/")[2]
        compact = head.compact if head is not None else None
        item = describe(file, Found(leaf, path, obj, own, facts, facts.shape, facts.unlimited, None, compact), None)
        if not isinstance(item, Hdf5Array) or item.values is not None:
            continue
        mine = [k for k, array in enumerate(arrays) if _is(graph, array, item)]
        if mine:
            loose = _relative(facts.plist) if item.urls else ()
            one = Dataset(to_path(file.url), name, facts.encoding, item.shape, item.layout, own.data(), loose)
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


def _relative(plist: Any) -> tuple[str, ...]:
    names = (os.fsdecode(plist.get_external(number)[0]) for number in range(plist.get_external_count()))
    return tuple(dict.fromkeys(name for name in names if not os.path.isabs(name)))


def _only(candidates: list[Dataset]) -> Dataset | NoDataset:
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        return NoDataset("has chunks that are not those of any dataset of the file", _COPY)
    names = ", ".join(attributes.text(one.name) for one in candidates[:4])
    return NoDataset(f"may be any of {names}, of which no chunk is written", _COPY)


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
    names = ("offset", "length", "state", "layout", "place")
    ours = {name: np.asarray(table[name][rows]) for name in names if name in table}
    state, their_state = (columns.get("state", zeros + _RANGE) for columns in (ours, theirs))
    if not np.array_equal(state, their_state):
        return False
    there = state == _RANGE
    if not all(np.array_equal(ours[name][there], theirs[name][there]) for name in ("offset", "length")):
        return False
    if array.places or item.urls:
        files, their_files = _urls(array, ours, zeros), _their_urls(item, zeros)
        if not np.array_equal(files[there], their_files[there]):
            return False
    kinds = np.stack([np.where(there, columns.get("layout", zeros), 0) for columns in (ours, theirs)], axis=1)
    layouts = [layout, *(graph.layouts[number] for number in array.variants)]
    pairs = [(0, 0), *np.unique(kinds, axis=0).tolist()]
    return all(alike(layouts[a], item.layouts[b]) for a, b in pairs)


def _urls(array: StoredArray, columns: Mapping[str, np.ndarray], zeros: np.ndarray) -> np.ndarray:
    """Location of the file that each chunk of an array is in."""
    return np.array([array.location, *(place.location for place in array.places)])[columns.get("place", zeros)]


def _their_urls(item: Hdf5Array, zeros: np.ndarray) -> np.ndarray:
    columns = item.refs()
    return np.array(item.urls)[columns["url"]] if item.urls else np.array([item.location])[zeros]


def alike(ours: Layout, theirs: Layout) -> bool:
    """Whether two layouts read the same bits; integers may have the other sign, as ``_Unsigned`` says.

    A layout of ours may have the decodes of a table of very many arrays in front.
    """
    ours = below_decodes(ours, theirs)
    if ours == theirs:
        return True
    if ours.chunk_shape != theirs.chunk_shape or ours.codecs != theirs.codecs:
        return False
    left, right = to_numpy(ours.data_type), to_numpy(theirs.data_type)
    if {left.kind, right.kind} != {"i", "u"} or left.itemsize != right.itemsize:
        return False
    bits = [np.asarray(fill.from_json(one.fill_value, one.data_type)).tobytes() for one in (ours, theirs)]
    return bits[0] == bits[1]


def below_decodes(ours: Layout, theirs: Layout) -> Layout:
    """A layout of ours without the decodes in front, and with the fill value of the dataset if that decodes to ours."""
    count = next((number for number, codec in enumerate(ours.codecs) if codec.name not in VALUE_WISE), 0)
    decodes, data_type = ours.codecs[:count], stored_type(ours.data_type, ours.codecs[:count])
    if not count or to_numpy(data_type).itemsize != to_numpy(theirs.data_type).itemsize:
        return ours
    cell = np.asarray(fill.from_json(theirs.fill_value, theirs.data_type)).reshape(1).view(to_numpy(data_type))
    # with numbers from rows each array has decodes of its own, and no virtual dataset has all of them
    if not columns_of(ours):
        decoded = fill.to_json(decode_values(cell, decodes, ours.data_type)[0], ours.data_type)
        if not fill.same(decoded, ours.fill_value, ours.data_type):
            return ours
    value = fill.to_json(cell[0], data_type)
    return msgspec.structs.replace(ours, data_type=data_type, fill_value=value, codecs=ours.codecs[count:])


def described(array: StoredArray) -> str:
    """How an array is named in an error."""
    return shown(array.location) if array.location else f"an array of shape {array.shape}"
