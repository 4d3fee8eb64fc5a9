"""References to chunks, as files of references have them: from keys and entries to columns.

1. The keys of a hierarchy are sorted into groups, arrays and the chunks of each array.
2. The entries of one array become columns: offset, length, state, and which location; bytes kept in the file itself
   are put end to end.
Owns what kerchunk files and ``manifest.json`` have in common. Refuses keys that are no chunk keys of their array
(they would read as missing chunks), entries of a wrong form, and grids too large for columns. Opens nothing.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from lazyzarr.errors import LazyZarrError, SourceProtocolError, UnsupportedFeature, ViewLimitError
from lazyzarr.formats.zarr import ZarrArrayInfo, read_array_metadata
from lazyzarr.ir.chunk_keys import separator
from lazyzarr.ir.layout import NamedConfig

MAX_CHUNKS = 50_000_000
"""Chunks of one array, referenced or not, for which columns are made."""
METADATA = (".zarray", ".zgroup", ".zattrs", "zarr.json")
"""Last parts of the keys of metadata documents."""
ABSENT, PART, WHOLE, INLINE = range(4)
"""Values of the column ``state``."""
_NUMBERS = re.compile(r"(?:0|[1-9][0-9]{0,17})(?: (?:0|[1-9][0-9]{0,17}))*")


@dataclass(frozen=True)
class Entries:
    """What a file says of some chunks of one array, one row each."""

    row: np.ndarray
    """int64 (n,): number of the chunk in the grid, in C order."""
    state: np.ndarray
    """uint8 (n,): `PART`, `WHOLE` or `INLINE`."""
    url: np.ndarray
    """int64 (n,): number of the location in ``urls``, without meaning for `INLINE`."""
    offset: np.ndarray
    length: np.ndarray
    """int64 (n,) [bytes]; of `INLINE` rows in ``inline``."""
    urls: tuple[str, ...]
    """Locations, each once, as the file has them."""
    inline: bytes = b""


@dataclass(frozen=True)
class ReferencedArray:
    """One array of a file of references."""

    info: ZarrArrayInfo
    fill_attribute: Any
    """What stands for ``_FillValue`` where the metadata have it: the fill value of version 2; None: nothing does."""
    entries: Entries

    def columns(self) -> dict[str, np.ndarray]:
        """Columns of a table of references, one row per chunk of the grid; ``place`` counts from `Entries.urls`."""
        found, count = self.entries, math.prod(grid_of(self.info))
        columns: dict[str, np.ndarray] = {"offset": np.zeros(count, np.uint64), "length": np.zeros(count, np.uint64)}
        columns["offset"][found.row], columns["length"][found.row] = found.offset, found.length
        if len(found.row) != count or (found.state != PART).any():
            columns["state"] = np.zeros(count, np.uint8)
            columns["state"][found.row] = found.state
        if len(found.urls) > 1:
            columns["place"] = np.zeros(count, np.int32)
            columns["place"][found.row] = np.where(found.state == INLINE, 0, found.url)
        return columns


@dataclass
class ReferencedGroup:
    """A group of a file of references; arrays are worked out when they are asked for."""

    attributes: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, ReferencedGroup] = field(default_factory=dict)
    arrays: dict[str, Callable[[], ReferencedArray]] = field(default_factory=dict)

    def below(self, path: str) -> ReferencedGroup:
        """The group at a path, made where it is not there yet."""
        group = self
        for name in path.split("/") if path else ():
            group = group.groups.setdefault(name, ReferencedGroup())
        return group


def grid_of(info: ZarrArrayInfo) -> tuple[int, ...]:
    """Chunks along each axis.

    Raises
    ------
    ViewLimitError
        There are more chunks than columns are made for.
    """
    grid = info.grid
    if math.prod(grid) > MAX_CHUNKS:
        raise ViewLimitError(
            "chunks", math.prod(grid), MAX_CHUNKS, remedy="reference an array with fewer, larger chunks"
        )
    return grid


def described(metadata: Any, attributes: Any) -> tuple[ZarrArrayInfo, Any]:
    """An array from its metadata documents, of either version, and what stands for ``_FillValue``."""
    info = read_array_metadata(metadata, attributes if attributes is not None else {}, uneven=True)
    fill: Any = None
    if metadata.get("zarr_format") == 2 and metadata.get("fill_value") is not None:
        fill = info.layout.fill_value
    return info, fill


def rows_of(keys: Sequence[str], encoding: NamedConfig, grid: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Number of the chunk of each key, and whether it is inside the grid; shrinking an array leaves others behind.

    Raises
    ------
    SourceProtocolError
        A key is no chunk key of this encoding.

    Examples
    --------
    >>> rows_of(["0.1", "2.0"], NamedConfig("v2"), (2, 3))
    (array([1, 6]), array([ True, False]))
    """
    if not keys:
        return np.zeros(0, np.int64), np.zeros(0, bool)
    mark, rank = separator(encoding), len(grid)
    names = keys
    if encoding.name == "default":
        start = f"c{mark}" if rank else "c"
        names = [key[len(start) :] if key.startswith(start) else "no" for key in keys]
        names = ["0" if not rank and not name else name for name in names]
    if not rank:
        if set(names) != {"0"}:
            raise _no_key(next(k for k, name in zip(keys, names, strict=True) if name != "0"), encoding)
        return np.zeros(len(keys), np.int64), np.ones(len(keys), bool)
    other = "." if mark == "/" else "/"
    text = " ".join(names)
    parts = {name.count(mark) for name in names}
    text = text.replace(mark, " ")
    if parts != {rank - 1} or other in text or not _NUMBERS.fullmatch(text):
        shape = re.compile(r"(0|[1-9][0-9]{0,17})" + (re.escape(mark) + r"(0|[1-9][0-9]{0,17})") * (rank - 1))
        raise _no_key(next(k for k, name in zip(keys, names, strict=True) if not shape.fullmatch(name)), encoding)
    coords = np.array(text.split(" "), np.int64).reshape(-1, rank)
    inside = (coords < np.array(grid, np.int64)).all(axis=1)
    rows = np.zeros(len(keys), np.int64)
    for axis, length in enumerate(grid):
        rows = rows * length + np.where(inside, coords[:, axis], 0)
    return np.where(inside, rows, math.prod(grid)), inside


def entries_of(keys: Sequence[str], values: Sequence[Any], info: ZarrArrayInfo) -> Entries:
    """The entries of an array in kerchunk form: ``[url]``, ``[url, offset, length]``, text, ``base64:`` text or bytes.

    Raises
    ------
    SourceProtocolError
        A key or an entry is not of these forms.
    """
    rows, inside = rows_of(keys, info.layout.chunk_keys, grid_of(info))
    if not inside.all():
        kept = np.flatnonzero(inside).tolist()
        keys, values, rows = [keys[k] for k in kept], [values[k] for k in kept], rows[inside]
    states = np.array([_state(key, value) for key, value in zip(keys, values, strict=True)], np.uint8)
    url = np.zeros(len(keys), np.int64)
    offset, length = np.zeros((2, len(keys)), np.int64)
    numbers: dict[str, int] = {}
    pieces: list[bytes] = []
    at = 0
    located = np.flatnonzero(states != INLINE)
    url[located] = [numbers.setdefault(values[k][0], len(numbers)) for k in located.tolist()]
    part = np.flatnonzero(states == PART)
    offset[part] = [values[k][1] for k in part.tolist()]
    length[part] = [values[k][2] for k in part.tolist()]
    for k in np.flatnonzero(states == INLINE).tolist():
        piece = inline_bytes(values[k], keys[k])
        pieces.append(piece)
        offset[k], length[k] = at, len(piece)
        at += len(piece)
    return Entries(rows, states, url, offset, length, tuple(numbers), b"".join(pieces))


def inline_bytes(value: str | bytes, key: str) -> bytes:
    """The bytes that an entry holds itself.

    Examples
    --------
    >>> inline_bytes("base64:AAE=", "x/0"), inline_bytes("abc", "x/0")
    (b'\\x00\\x01', b'abc')
    """
    if isinstance(value, str):
        value = value.encode()
    if not value.startswith(b"base64:"):
        return value
    try:
        return base64.b64decode(value[7:], validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad(f"the entry {key[:200]!r} is not base64 ({error})") from error


def _state(key: str, value: Any) -> int:
    if isinstance(value, str | bytes):
        return INLINE
    if isinstance(value, list) and value:
        entry = cast("list[Any]", value)
        if entry[0] is None:
            raise UnsupportedFeature(
                f"references: the entry {key[:200]!r} names no location; which file is meant was to be said by whoever "
                "opens it; write the location into the file",
                reason="source-unsupported",
            )
        if isinstance(entry[0], str) and len(entry) == 1:
            return WHOLE
        if isinstance(entry[0], str) and len(entry) == 3 and type(entry[1]) is int and type(entry[2]) is int:
            if entry[1] >= 0 and entry[2] >= 0 and entry[1] + entry[2] < 2**63:
                return PART
            raise bad(f"the entry {key[:200]!r} has bytes {entry[1]} + {entry[2]}; both are at least 0 and below 2^63")
    raise bad(f"the entry {key[:200]!r} is {str(value)[:100]!r}; entries are [url], [url, offset, length] or text")


def hierarchy(
    entries: Mapping[str, Any], parse: Callable[[str, Any], dict[str, Any]]
) -> tuple[ReferencedGroup, ReferencedArray | None]:
    """Groups and arrays by the keys of their metadata, and the root itself where that is an array.

    Parameters
    ----------
    entries
        Keys as in a Zarr store, with the entries of metadata and of chunks.
    parse
        Makes a metadata document of the entry under a key.
    """
    documents: dict[str, dict[str, Any]] = {}
    chunks: list[str] = []
    for key in entries:
        above, _, last = key.rpartition("/")
        if last in METADATA:
            documents.setdefault(above, {})[last] = entries[key]
        elif not last.startswith(".z"):
            chunks.append(key)
    root = ReferencedGroup()
    own: dict[str, list[str]] = {}
    for path in sorted(documents):
        _check_path(path)
        found = {last: parse(f"{path}/{last}".lstrip("/"), value) for last, value in documents[path].items()}
        metadata = found.get(".zarray") or found.get("zarr.json")
        if metadata is not None and (".zarray" in found or metadata.get("node_type") == "array"):
            own[path] = []
            if path:
                group = root.below(path.rpartition("/")[0])
                load = _loader(metadata, found.get(".zattrs"), path, own[path], entries)
                group.arrays[path.rpartition("/")[2]] = load
            continue
        attributes = found.get(".zattrs", (metadata or {}).get("attributes") or {})
        if not isinstance(attributes, dict):
            raise bad(f"the attributes of the group {path!r} are no JSON object")
        root.below(path).attributes.update(attributes)
    _check_nodes(documents, own)
    _share_out(chunks, own)
    if "" not in own:
        return root, None
    found = {last: parse(last, value) for last, value in documents[""].items()}
    metadata = found.get(".zarray") or found["zarr.json"]
    return root, _loader(metadata, found.get(".zattrs"), "", own[""], entries)()


def _check_nodes(documents: Iterable[str], own: Mapping[str, list[str]]) -> None:
    """Arrays have chunks below them and no nodes: it could not be told which of both a key is of."""
    for path in documents:
        above = path
        while above:
            above = above.rpartition("/")[0]
            if above in own:
                raise bad(f"the node {path[:200]!r} stands below the array {above[:200]!r}")


def _share_out(chunks: Iterable[str], own: Mapping[str, list[str]]) -> None:
    """Give each chunk key to the nearest array above it; keys below no array belong to nothing."""
    nearest: dict[str, str | None] = {}
    for key in chunks:
        directory = key.rpartition("/")[0]
        if directory not in nearest:
            above: str | None = directory
            while above is not None and above not in own:
                above = above.rpartition("/")[0] if above else None
            nearest[directory] = above
        array = nearest[directory]
        if array is not None:
            own[array].append(key)


def _loader(
    metadata: dict[str, Any],
    attributes: dict[str, Any] | None,
    path: str,
    keys: list[str],
    entries: Mapping[str, Any],
) -> Callable[[], ReferencedArray]:
    def load() -> ReferencedArray:
        info, fill = described(metadata, attributes)
        cut = len(path) + 1 if path else 0
        found = entries_of([key[cut:] for key in keys], [entries[key] for key in keys], info)
        return ReferencedArray(info, fill, found)

    return lambda: named(load, path)


def named(load: Callable[[], ReferencedArray], path: str) -> ReferencedArray:
    """What `load` gives; its errors name the array."""
    try:
        return load()
    except LazyZarrError as error:
        error.where = error.where or f"array {path!r}"
        raise


def _check_path(path: str) -> None:
    if path and any(name in ("", ".", "..") for name in path.split("/")):
        raise bad(f"the path {path[:200]!r} has an empty or a dot segment")


def _no_key(key: str, encoding: NamedConfig) -> SourceProtocolError:
    return bad(
        f"{key[:200]!r} stands below an array and is no chunk key of the encoding {encoding.name!r} with separator "
        f"{separator(encoding)!r}; it would be taken for a missing chunk"
    )


def bad(what: str) -> SourceProtocolError:
    """The error for a file of references that says something impossible."""
    return SourceProtocolError(f"references: {what}; make the file again", reason="source-format")
