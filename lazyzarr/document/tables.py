"""Tables of a view in storage: small ones inside the document, others as child arrays beside it.

Owns both forms and both directions. Child arrays are plain Zarr v3 arrays below ``tables/<folder>/``, the folder
named by content, so a stored table never changes and may be shared by versions of a document. Refuses columns whose
stored form does not fit what the document says about them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from lazyzarr.access.session import Session
from lazyzarr.access.url import child
from lazyzarr.codecs.chain import codec_from_json
from lazyzarr.codecs.registry import SHARDING
from lazyzarr.document.columns import ChunkCache, LazyColumn
from lazyzarr.document.gaps import with_gaps, with_offsets
from lazyzarr.document.limits import Limits, chunk_bytes, longest_chain
from lazyzarr.document.locations import Resolver, document_url, stored, stored_all
from lazyzarr.document.plain_array import Content, chunk_files, encode_chunk, layout_of
from lazyzarr.document.records import RECORD, fill_of_records, layout_of_records, with_fields, with_records
from lazyzarr.document.wire import WireColumn, WireTable, member_path
from lazyzarr.errors import LazyZarrError, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.array_metadata import array_metadata, to_text
from lazyzarr.ir.data_type import from_numpy, to_numpy
from lazyzarr.ir.layout import Layout
from lazyzarr.ir.tables import Column, Table, digest, pack_text
from lazyzarr.ir.validate_stored import TEXT_COLUMNS

INLINE_ROWS = 256
"""Rows of all tables of a document that are kept inside it."""
INLINE_BYTES = 1 << 16
"""Longest table kept inside a document [bytes in memory]."""
CHUNK_ROWS = 1 << 14
"""Rows per chunk of a child array."""
TEXT_BYTES = 1 << 18
"""Bytes per chunk of a text column."""
HOME = "home"
"""In the memo of a table that is stored: the group of its view, and its form there."""
FOLDER = "tables"
"""Name of the group of tables in the group of a view."""

Array = np.ndarray[Any, np.dtype[Any]]


class TableFiles(Struct, frozen=True):
    """A table as child arrays: an immutable folder."""

    folder: str
    metadata: Mapping[str, Mapping[str, Any]]
    """Column name -> its ``zarr.json``."""
    files: tuple[tuple[str, Content], ...]
    """Path below the folder -> content, the ``zarr.json`` of the folder included."""


def weight(table: Table) -> int:
    """Rows that a table counts against `INLINE_ROWS`; cells for a table of values."""
    return table.rows if "values" not in table else math.prod(table["values"].shape)


def is_small(table: Table) -> bool:
    """Whether a table may be kept inside the document."""
    sizes = (math.prod(column.shape) * max(column.dtype.itemsize, 1) for column in table.columns.values())
    return weight(table) <= INLINE_ROWS and sum(sizes) <= INLINE_BYTES


def with_stored_locations(table: Table, base: str) -> Table:
    """The table with its column of locations as the document at ``base`` has it."""
    if isinstance(table.resolve, Resolver) and table.resolve.base == base:
        return table
    texts = table.texts("url", slice(None))
    absolute = [table.resolve(text) for text in texts] if table.resolve else texts
    columns = dict(table.columns)
    columns["url_end"], columns["url"] = pack_text(stored_all(absolute, base))
    return Table(columns, name=table.name, grant=table.grant)


def encode_inline(table: Table) -> WireTable:
    """A table as part of the document."""
    columns: dict[str, WireColumn] = {}
    for name, column in table.columns.items():
        if name in TEXT_COLUMNS:
            texts = table.texts(name, slice(None))
            columns[name] = WireColumn("string", (len(texts),), data=list(texts))
        elif name.removesuffix("_end") not in TEXT_COLUMNS:
            array = np.asarray(column)
            data_type = from_numpy(array.dtype)
            cells = [fill.to_json(cell, data_type) for cell in array.reshape(-1)]
            columns[name] = WireColumn(data_type, array.shape, data=cells)
    return WireTable(columns)


def encode_stored(table: Table) -> tuple[WireTable, TableFiles]:
    """A table as child arrays; large columns are read, and encoded, chunk by chunk."""
    total = hashlib.sha256()
    columns: dict[str, WireColumn] = {}
    documents: dict[str, dict[str, Any]] = {}
    files: list[tuple[str, Content]] = [("zarr.json", group_text())]
    stored_columns = with_gaps(with_records(table), CHUNK_ROWS)
    for name in sorted(stored_columns):
        column = stored_columns[name]
        layout = layout_of_records(column) if name == RECORD else _column_layout(name, column)
        document = array_metadata(column.shape, layout, _dimensions(name, len(column.shape)))
        if name == RECORD:
            document["fill_value"] = fill_of_records(column.dtype)
        total.update(f"{name}|".encode() + msgspec.json.encode(document, order="deterministic"))
        for block in _blocks(column, layout):
            total.update(block)
        columns[name] = WireColumn(layout.data_type, column.shape, chunk_shape=layout.chunk_shape, codecs=layout.codecs)
        documents[name] = document
        files.append((f"{name}/zarr.json", to_text(document)))
        files.extend((f"{name}/{key}", content) for key, content in chunk_files(column, layout))
    folder = "t" + total.hexdigest()[:24]
    return WireTable(columns, folder=folder), TableFiles(folder, documents, tuple(files))


def shared(table: Table, base: str) -> WireTable | None:
    """A stored table as another document names it where it is; None if it is stored nowhere.

    ``base`` is the location of the ``zarr.json`` of that document.
    """
    if HOME not in table.memo:
        return None
    home, wire = table.memo[HOME]
    own = document_url(home) == base
    return WireTable(wire.columns, wire.folder, None if own else stored(home, base))


def group_text(attributes: Mapping[str, Any] | None = None) -> bytes:
    """The ``zarr.json`` of an ordinary group."""
    return to_text({"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})})


class TableReader(Struct, frozen=True):
    """What is needed to make tables of a document usable."""

    view: str
    """Location of the group of the view."""
    resolver: Resolver
    session: Session
    grant: str
    cache: ChunkCache
    limits: Limits
    check: Callable[[str], None]
    """Refuses locations that the document may not reach."""

    def table(self, wire: WireTable, where: str, *, located: bool) -> Table:
        """A table of a document; ``located`` tables have a column of locations.

        Raises
        ------
        ViewSchemaError
            ``table-invalid`` for a column that is not what it says, and what its codecs and types raise.
        AccessDenied, ViewLimitError
            For locations inside the document, and for chunks over the limit.
        """
        if not wire.columns:
            raise _invalid(where, "the table has no columns")
        if wire.folder is None:
            if wire.beside is not None:
                raise _invalid(where, "the table is inside the document and belongs to another one")
            return self._inline(wire, where, located)
        home, resolver = self.view, self.resolver
        if wire.beside is not None:
            (home,) = self._located([wire.beside], f"{where}.beside")
            resolver = Resolver(document_url(home))
        lazy = {
            name: self._lazy(home, wire.folder, name, wire.columns[name], _column_place(where, name))
            for name in wire.columns
        }
        columns, fields = with_fields(with_offsets(lazy, where), where)
        # The name says where the table is, not what it holds: nothing a document claims makes two tables one.
        place = f"{self.view}|{wire.folder}|{self.grant}".encode() + msgspec.json.encode(wire, order="deterministic")
        made = Table(
            columns,
            name="t" + hashlib.sha256(place).hexdigest()[:24],
            resolve=resolver if located else None,
            grant=self.grant,
            records=fields,
        )
        made.memo[HOME] = (home, WireTable(wire.columns, wire.folder))
        return made

    def _inline(self, wire: WireTable, where: str, located: bool) -> Table:
        columns: dict[str, Column] = {}
        for name, column in wire.columns.items():
            here = _column_place(where, name)
            if column.data is None or column.chunk_shape is not None or column.codecs is not None:
                raise _invalid(here, "the column of a table without folder has data, and neither chunks nor codecs")
            if name in TEXT_COLUMNS:
                texts = _text_cells(column, here)
                if name == "url" and located:
                    texts = self._located(texts, here)
                columns[f"{name}_end"], columns[name] = pack_text(texts)
            else:
                columns[name] = _cells(column, here)
        name = digest(columns)
        if located and self.grant:
            name = "t" + hashlib.sha256(f"{name}|{self.grant}".encode()).hexdigest()[:24]
        return Table(columns, name=name, grant=self.grant if located else "")

    def _located(self, texts: list[str], where: str) -> list[str]:
        """Locations that are named at one place of the document, as URLs that it may reach."""
        try:
            urls = [self.resolver(text) for text in texts]
            for url in urls:
                self.check(url)
        except LazyZarrError as error:
            error.where = where
            raise
        return urls

    def _lazy(self, home: str, folder: str, name: str, column: WireColumn, where: str) -> LazyColumn:
        if column.data is not None or column.chunk_shape is None or column.codecs is None:
            raise _invalid(where, "the column of a table with folder has chunks and codecs, and no data")
        ragged = len(column.chunk_shape) != len(column.shape) or any(
            c != max(n, 1) for c, n in zip(column.chunk_shape[1:], column.shape[1:], strict=True)
        )
        if ragged or 0 in column.chunk_shape:
            raise _invalid(where, "the chunks of a column do not divide its first axis only")
        self.limits.check("rank", len(column.shape), where=where)
        if math.prod(column.shape) >= 2**63:
            raise _invalid(where, "the column has more than 2^63 - 1 cells")
        try:
            layout = Layout(column.data_type, fill.zero(column.data_type), column.chunk_shape, column.codecs)
            self.limits.check("codecs", longest_chain(column.codecs))
            self.limits.check("table_chunk_bytes", chunk_bytes(layout))
            lazy = LazyColumn(
                child(home, f"{FOLDER}/{folder}/{name}"),
                shape=column.shape,
                layout=layout,
                session=self.session,
                grant=self.grant,
                cache=self.cache,
            )
            _check_shards(layout, where)
            return lazy
        except LazyZarrError as error:
            error.where = error.where or where
            raise


def _check_shards(layout: Layout, where: str) -> None:
    """Refuse shards in which missing rows could not be told from fill values, or that cut more than rows."""
    for codec in layout.codecs:
        if codec.name != SHARDING:
            continue
        inner = codec.configuration
        if len(layout.codecs) > 1 or any(codec_from_json(one).name == SHARDING for one in inner["codecs"]):
            raise _invalid(where, "the shards of a column have other codecs beside them, or shards in them")
        if tuple(inner["chunk_shape"][1:]) != layout.chunk_shape[1:]:
            raise _invalid(where, "the shards of a column do not divide its first axis only")


def _column_place(table: str, name: str) -> str:
    return f"{table}.columns{member_path(name)}"


def _cells(column: WireColumn, where: str) -> Array:
    data = column.data or []
    if len(data) != math.prod(column.shape):
        raise _invalid(where, f"the column has {len(data)} cells, its shape has {math.prod(column.shape)}")
    try:
        dtype = to_numpy(column.data_type)
        out = np.empty(len(data), dtype)
        for position, cell in enumerate(data):
            out[position] = fill.from_json(cell, column.data_type)
    except LazyZarrError as error:
        error.where = error.where or where
        raise
    return out.reshape(column.shape)


def _text_cells(column: WireColumn, where: str) -> list[str]:
    texts = [text for text in column.data or () if isinstance(text, str)]
    if column.data_type != "string" or column.shape != (len(texts),) or len(texts) != len(column.data or ()):
        raise _invalid(where, "the text column is not a list of strings, one per row")
    return texts


def _column_layout(name: str, column: Column) -> Layout:
    if name == "values":
        chunk_shape = tuple(max(n, 1) for n in column.shape)
    else:
        longest = TEXT_BYTES if name in (*TEXT_COLUMNS, "bytes") else CHUNK_ROWS
        chunk_shape = (max(min(column.shape[0], longest), 1), *(max(n, 1) for n in column.shape[1:]))
    sample = np.asarray(column[: chunk_shape[0]]) if column.shape else np.asarray(column)
    return layout_of(sample, chunk_shape)


def _blocks(column: Column, layout: Layout) -> Iterator[bytes]:
    if column.dtype.kind in "TO":
        yield from (
            encode_chunk(column, layout, (k, *(0,) * (len(column.shape) - 1))) for k in _numbers(column, layout)
        )
    elif not column.shape:
        yield np.asarray(column).tobytes()
    else:
        size = layout.chunk_shape[0]
        for number in _numbers(column, layout):
            yield np.ascontiguousarray(column[number * size : (number + 1) * size]).tobytes()


def _numbers(column: Column, layout: Layout) -> range:
    return range(-(-column.shape[0] // layout.chunk_shape[0])) if column.shape else range(1)


def _dimensions(name: str, rank: int) -> tuple[str, ...]:
    """Dimension names that no user has, and that columns share only where they have one length."""
    first = "lazyzarr_row" if name not in (*TEXT_COLUMNS, "values") else f"lazyzarr_{name}"
    return (first, *(f"lazyzarr_{name}_{axis}" for axis in range(1, rank)))[:rank]


def _invalid(where: str, what: str) -> ViewSchemaError:
    return ViewSchemaError(f"{what}; save the view again", reason="table-invalid", where=where)
