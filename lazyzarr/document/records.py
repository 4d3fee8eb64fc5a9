"""Rows of tile tables as records: the stored column ``record``, whose fields are the other columns.

Owns both directions of G-048: which columns become fields, and columns that are fields again. One cell of a view
needs one row of its table; as columns that row lies in as many chunks as there are columns, as a record in one, which
is small. Refuses to put texts into records that are long, or that zeros at the end would change: they stay beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from lazyzarr.document.columns import Bounds, LazyColumn
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.layout import Layout, NamedConfig
from lazyzarr.ir.row_values import COLUMNS
from lazyzarr.ir.tables import Column, Table, pack_text

Array = np.ndarray[Any, np.dtype[Any]]
RECORD = "record"
WIDTH = 255
"""Longest record that is written [bytes]: what a shuffle can take."""
CHUNK_ROWS = 1 << 8
"""Rows of a chunk inside a shard."""
SHARD_ROWS = 1 << 16
WIDE = {"origin": "i8", "shape": "i8"}
"""Columns of rank 2 that may be fields."""
NUMBERS = {
    "layout": "i4",
    **dict.fromkeys(("refs_first", "size", "mtime_ns", "inode"), "i8"),
    **dict.fromkeys(COLUMNS, "f8"),
}
"""Columns of rank 1 that may be fields."""
TEXTS = ("url", "etag")
_ROWS_KEPT = 256
_LEAST = ("origin", "shape", "layout", "url")
"""Columns that tile tables have, and no others all of."""


class Records:
    """The column ``record`` of a table on its way into storage, made for the rows that are asked for.

    Parameters
    ----------
    table
        A tile table.
    """

    def __init__(self, table: Table) -> None:
        self.shape = (table.rows,)
        self._table = table
        columns = table.columns
        fields: list[tuple[str, Any]] = []
        for name, kind in WIDE.items():
            fields += [(f"{name}.{k}", f"<{kind}") for k in range(columns[name].shape[1])]
        fields += [(name, f"<{kind}") for name, kind in NUMBERS.items() if name in columns]
        self.holds = {*WIDE, *NUMBERS} & columns.keys()
        left = WIDTH - np.dtype(fields).itemsize
        for name in TEXTS if left >= 0 else ():
            length = _longest(table, name) if name in columns else 0
            if 0 < length <= left:
                fields.append((name, f"S{length}"))
                self.holds |= {name}
                left -= length
        self.dtype: np.dtype[Any] = np.dtype(fields)

    def __getitem__(self, key: Any, /) -> Array:
        start, stop, _ = key.indices(self.shape[0])
        out = np.empty(max(stop - start, 0), self.dtype)
        names = self.dtype.names or ()
        for name in self.holds:
            if name in TEXTS:
                out[name] = [text.encode() for text in self._table.texts(name, slice(start, stop))]
            elif name in names:
                out[name] = np.asarray(self._table[name][start:stop])
            else:
                for k, cells in enumerate(np.asarray(self._table[name][start:stop]).T):
                    out[f"{name}.{k}"] = cells
        return out


def with_records(table: Table) -> dict[str, Column]:
    """The columns of a table as they are stored: with records if it is one of tiles."""
    columns = dict(table.columns)
    if any(name not in columns for name in _LEAST):
        return columns
    records = Records(table)
    if records.dtype.itemsize > WIDTH:
        records.holds.clear()
    for name in TEXTS:
        if name in table.within and name not in records.holds:
            columns[f"{name}_end"], columns[name] = pack_text(table.texts(name, slice(None)))
    gone = {part for name in records.holds for part in (name, f"{name}_end")}
    kept = {name: column for name, column in columns.items() if name not in gone}
    return kept | {RECORD: records} if records.holds else kept


def layout_of_records(column: Column) -> Layout:
    """Chunks in shards, and codecs of the column ``record``; its fill value is the record of no row."""
    dtype, rows = column.dtype, column.shape[0]
    data_type = from_numpy(dtype)
    nothing = np.zeros((), dtype)
    nothing["layout"] = -1  # a chunk that equals the fill value would be left out
    # a quarter larger than zstd makes them, and decoded in a quarter of the time
    settings = {"cname": "lz4", "clevel": 9, "shuffle": "shuffle", "typesize": dtype.itemsize, "blocksize": 0}
    chain = (NamedConfig("bytes", {"endian": "little"}), NamedConfig("blosc", settings))
    if rows <= CHUNK_ROWS:
        return Layout(data_type, fill.to_json(nothing, data_type), (max(rows, 1),), chain)
    index = (NamedConfig("bytes", {"endian": "little"}), NamedConfig("crc32c"))
    shard = NamedConfig(
        "sharding_indexed",
        {
            "chunk_shape": [CHUNK_ROWS],
            "codecs": [_plain(one) for one in chain],
            "index_codecs": [_plain(one) for one in index],
            "index_location": "start",
        },
    )
    length = min(-(-rows // CHUNK_ROWS) * CHUNK_ROWS, SHARD_ROWS)
    return Layout(data_type, fill.to_json(nothing, data_type), (length,), (shard,))


def fill_of_records(dtype: np.dtype[Any]) -> dict[str, int | str]:
    """The fill value of the column ``record`` as its ``zarr.json`` has it: cell by cell, as zarr-python writes it."""
    names = dtype.names or ()
    return {name: "" if dtype[name].kind == "S" else -1 if name == "layout" else 0 for name in names}


class Fields:
    """The column ``record`` of a stored table, and what its fields are.

    Attributes
    ----------
    columns
        Name to column, for each column that fields hold.
    """

    name = RECORD

    def __init__(self, record: LazyColumn, where: str) -> None:
        self.record = record
        grouped = _grouped(record.dtype, where) if len(record.shape) == 1 else None
        if grouped is None:
            raise _wrong("the column is not one of records of one axis", where)
        self.dtype = grouped
        self.columns = {name: FieldColumn(self, name) for name in grouped.names or ()}
        self.bounds: dict[str, Bounds] = {}
        """What values columns may have."""
        self._kept: dict[int, dict[str, Any]] = {}
        self._parts: list[tuple[str, int | slice]] = []
        """Where in a record the cells of each column are."""
        at = 0
        for name in self.columns:
            width = self.columns[name].shape[1:]
            self._parts.append((name, slice(at, at + width[0]) if width else at))
            at += width[0] if width else 1

    def rows(self, key: slice | Array) -> Array:
        """Some records, with the cells of a wide column in one field."""
        return self.record[key].view(self.dtype)

    def row(self, number: int) -> dict[str, Any]:
        """The numbers of one row, those of wide columns in a tuple, and its texts as bytes; all within their bounds."""
        found = self._kept.get(number)
        if found is None:
            cells = self.record[number].item()
            found = {name: cells[at] for name, at in self._parts}
            for name, bounds in self.bounds.items():
                value = found[name]
                for cell in value if type(value) is tuple else (value,):
                    if not bounds.lowest <= cell < bounds.stop:
                        bounds.check(np.asarray(cell))
            if len(self._kept) >= _ROWS_KEPT:
                self._kept.clear()  # another thread may do so at any time, too
            self._kept[number] = found
        return found


class FieldColumn:
    """A column of a stored table that is a field of its records, or several side by side."""

    __slots__ = ("_fields", "_name", "dtype", "shape")

    def __init__(self, fields: Fields, name: str) -> None:
        self._fields, self._name = fields, name
        dtype = fields.dtype[name]
        self.dtype: np.dtype[Any] = dtype.base
        self.shape: tuple[int, ...] = (*fields.record.shape, *dtype.shape)

    @property
    def bounds(self) -> Bounds | None:
        """What values the column may have."""
        return self._fields.bounds.get(self._name)

    @bounds.setter
    def bounds(self, bounds: Bounds) -> None:
        self._fields.bounds[self._name] = bounds

    def __getitem__(self, key: Any, /) -> Any:
        first, *rest = cast(tuple[Any, ...], key or (...,)) if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            return np.asarray(self)[(..., *rest)]
        if isinstance(first, (slice, np.ndarray)):
            found = self._rows(cast("slice | Array", first))
            return found[(slice(None), *rest)] if rest else found
        row = range(self.shape[0])[first]
        found = self._rows(slice(row, row + 1))[0]
        return found[tuple(rest)] if rest else found

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = self._rows(slice(None))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"FieldColumn({self._name!r} of {self._fields.record!r})"

    def _rows(self, key: slice | Array) -> Array:
        found, bounds = self._fields.rows(key)[self._name], self.bounds
        if bounds is not None:
            bounds.check(found)
        return found


def with_fields(columns: Mapping[str, Column], where: str) -> tuple[dict[str, Column], Fields | None]:
    """The columns of a stored table without records, and the fields that took their place.

    Raises
    ------
    ViewSchemaError
        ``table-invalid``: fields that are not columns of tiles, or that are there twice.
    """
    record = columns.get(RECORD)
    if not isinstance(record, LazyColumn):
        return dict(columns), None
    fields = Fields(record, where)
    rest = {name: column for name, column in columns.items() if name != RECORD}
    twice = sorted({part for name in fields.columns for part in (name, f"{name}_end")} & rest.keys())
    if twice:
        raise _wrong(f"the table has {', '.join(twice)} as columns, too", where)
    return {**rest, **fields.columns}, fields


def _grouped(dtype: np.dtype[Any], where: str) -> np.dtype[Any] | None:
    """The type of records with a field for each column, wide ones having an axis."""
    found: list[Any] = []
    widths: dict[str, int] = {}
    for name in dtype.names or ():
        column, dot, number = name.rpartition(".")
        one = dtype[name]
        if not dot:
            if one != NUMBERS.get(name) and (name not in TEXTS or one.kind != "S" or not one.itemsize):
                raise _wrong(f"the field {name[:80]!r} of type {one} is no column of rank 1 of tiles", where)
            found.append((name, one))
            continue
        if one != WIDE.get(column) or number != str(widths.get(column, 0)):
            raise _wrong(
                f"the field {name[:80]!r} of type {one} is no cell of a column of tiles, or not the next", where
            )
        if widths.get(column) and found[-1][0] != column:
            raise _wrong(f"the fields of {column} are not side by side", where)
        if column not in widths:
            found.append((column, WIDE[column], (1,)))
        widths[column] = widths.get(column, 0) + 1
        found[-1] = (column, WIDE[column], (widths[column],))
    return np.dtype(found) if found else None


def _longest(table: Table, name: str) -> int:
    """Length of the longest text of a column [bytes]; over any limit if zeros at the end would change one."""
    cells = table[name]
    if cells.dtype.kind == "S":
        return cells.dtype.itemsize
    if not np.asarray(cells).all():
        return WIDTH + 1
    ends = np.asarray(table[f"{name}_end"])
    return int(np.diff(ends, prepend=0).max(initial=0))


def _plain(codec: NamedConfig) -> dict[str, Any]:
    return {"name": codec.name, **({"configuration": dict(codec.configuration)} if codec.configuration else {})}


def _wrong(what: str, where: str) -> ViewSchemaError:
    return ViewSchemaError(f"{what}; save the view again", reason="table-invalid", where=f"{where}.columns.{RECORD}")
