"""Reading kerchunk Parquet: a folder with ``.zmetadata`` and files of references, so many chunks each.

Owns the layout of the folder and the columns ``path``, ``offset``, ``size`` and ``raw``. Files of references are read
when their array is asked for; one that is not there holds no reference, as its writers leave it out. Refuses files with
more rows than the folder says. Needs the extra ``kerchunk``; opens nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from lazyzarr.errors import ViewLimitError
from lazyzarr.formats.references import (
    INLINE,
    PART,
    WHOLE,
    Entries,
    ReferencedArray,
    ReferencedGroup,
    bad,
    described,
    grid_of,
    hierarchy,
    inline_bytes,
    named,
)
from lazyzarr.formats.zarr import ZarrArrayInfo

MAX_FILE_BYTES = 256 << 20
"""Columns of one file of references, decompressed [bytes]."""
_COLUMNS = ("path", "offset", "size", "raw")
Read = Callable[[str], bytes | None]
"""Content of a file of the folder by its key; None where the storage says that there is none."""


def read_folder(consolidated: Mapping[str, Any], read: Read) -> tuple[ReferencedGroup, ReferencedArray | None]:
    """The root group of a folder, and the root array where there is one.

    Parameters
    ----------
    consolidated
        The parsed ``.zmetadata``.
    read
        Gives the files of references.

    Raises
    ------
    SourceProtocolError
        The folder is not of the form.
    """
    metadata, size = consolidated.get("metadata"), consolidated.get("record_size")
    if not isinstance(metadata, dict) or type(size) is not int or not 0 < size < 2**31:
        raise bad(".zmetadata has no metadata, or no record_size that is a whole number above 0")
    documents = cast("dict[str, Any]", metadata)
    root, whole = hierarchy(documents, _document)
    for path in _arrays(root, ""):
        group = root.below(path.rpartition("/")[0])
        main = documents.get(f"{path}/.zarray", documents.get(f"{path}/zarr.json"))
        group.arrays[path.rpartition("/")[2]] = _loader(main, documents.get(f"{path}/.zattrs"), path, size, read)
    if whole is not None:
        raise bad("the root of the folder is an array; arrays have a folder of their own")
    return root, None


def _arrays(group: ReferencedGroup, above: str) -> list[str]:
    found = [above + name for name in group.arrays]
    for name, inner in group.groups.items():
        found += _arrays(inner, f"{above}{name}/")
    return found


def _document(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise bad(f"the metadata {key[:200]!r} are no JSON object")
    return cast("dict[str, Any]", value)


def _loader(metadata: Any, attributes: Any, path: str, size: int, read: Read) -> Callable[[], ReferencedArray]:
    def load() -> ReferencedArray:
        info, fill = described(metadata, attributes)
        return ReferencedArray(info, fill, _entries(info, path, size, read))

    return lambda: named(load, path)


def _entries(info: ZarrArrayInfo, path: str, size: int, read: Read) -> Entries:
    count = math.prod(grid_of(info))
    parts: list[Entries] = []
    numbers: dict[str, int] = {}
    at = 0
    for record in range(-(-count // size)):
        content = read(f"{path}/refs.{record}.parq")
        if content is None:
            continue
        first = record * size
        part = _record(content, f"{path}/refs.{record}.parq", first, min(size, count - first), size, numbers, at)
        at += len(part.inline)
        parts.append(part)
    columns = (np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, np.int64)]) for name in _FIELDS)
    row, state, url, offset, length = columns
    inline = b"".join(part.inline for part in parts)
    return Entries(row, state.astype(np.uint8), url, offset, length, tuple(numbers), inline)


_FIELDS = ("row", "state", "url", "offset", "length")


def _record(content: bytes, key: str, first: int, count: int, size: int, numbers: dict[str, int], at: int) -> Entries:
    """The references of one file; `numbers` gets the locations met, `at` is where inline bytes go on."""
    table = _table(content, key, size)
    n = min(table.num_rows, count)
    path = _text_column(table, "path", key).slice(0, n)
    raw = _column(table, "raw", pa.large_binary(), key).slice(0, n)
    offset, length = (_whole_numbers(table, name, key)[:n] for name in ("offset", "size"))
    if (offset < 0).any() or (length < 0).any() or (offset > np.iinfo(np.int64).max - length).any():
        raise bad(f"{key!r} has bytes at negative places, or beyond 2^63")
    held = np.asarray(raw.is_valid())
    known = np.asarray(path.is_valid()) & ~held
    url = np.zeros(n, np.int64)
    coded = path.dictionary_encode()
    names = [numbers.setdefault(name, len(numbers)) for name in _used(coded, known)]
    codes = np.asarray(pc.fill_null(coded.indices, 0)).astype(np.int64)
    if names:
        order = np.full(len(coded.dictionary), -1, np.int64)
        order[np.unique(codes[known])] = names
        url[known] = order[codes[known]]
    state = np.zeros(n, np.uint8)
    state[known] = np.where((offset == 0) & (length == 0), WHOLE, PART)[known]
    state[held] = INLINE
    pieces = [inline_bytes(piece, key) for piece in raw.filter(held).to_pylist()]
    sizes = np.array([len(piece) for piece in pieces], np.int64)
    offset[held], length[held] = at + np.cumsum(sizes) - sizes, sizes
    rows = np.flatnonzero(state)
    return Entries(first + rows, state[rows], url[rows], offset[rows], length[rows], (), b"".join(pieces))


def _used(coded: Any, known: np.ndarray) -> list[str]:
    codes = np.asarray(pc.fill_null(coded.indices, 0))
    return coded.dictionary.take(pa.array(np.unique(codes[known]))).to_pylist()


def _table(content: bytes, key: str, size: int) -> Any:
    try:
        file = parquet.ParquetFile(pa.BufferReader(content))
        rows = file.metadata.num_rows
        groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
        nbytes = sum(group.total_byte_size for group in groups)
        if rows > size or sum(group.num_rows for group in groups) != rows:
            raise bad(f"{key!r} has {rows} rows; the folder has at most {size} in a file")
        if nbytes > MAX_FILE_BYTES:
            raise ViewLimitError("bytes of a file of references", nbytes, MAX_FILE_BYTES, remedy="write smaller files")
        names = [name for name in _COLUMNS if name in file.schema_arrow.names]
        return file.read(columns=names, use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        if type(error).__module__.startswith("lazyzarr"):
            raise
        raise bad(f"{key!r} is not Parquet ({str(error).splitlines()[0][:200]})") from error


def _column(table: Any, name: str, kind: Any, key: str) -> Any:
    """A column as one array of a type; nulls where the file has no such column."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows, kind)
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        return pa.chunked_array(column.cast(kind).chunks, kind).combine_chunks()
    except pa.ArrowException as error:
        raise bad(f"the column {name!r} of {key!r} is {column.type}") from error


def _text_column(table: Any, name: str, key: str) -> Any:
    found = _column(table, name, pa.large_string(), key)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _whole_numbers(table: Any, name: str, key: str) -> np.ndarray:
    found = _column(table, name, pa.int64(), key)
    return np.array(pc.fill_null(found, 0), np.int64)
