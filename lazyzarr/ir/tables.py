"""Columns beside a graph: `Table`, and the names of the columns that nodes and arrays refer to.

Owns the identity of a table (the digest of its content) and of text columns (one blob of UTF-8 with the end
of each row). Columns are NumPy arrays or anything that indexes like one; a table read from a document loads
its rows only when they are asked for. Refuses to know what the rows mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from lazyzarr.errors import ViewSchemaError

NOTHING: Mapping[str, Any] = {}


class Column(Protocol):
    """What a column must offer: the part of the NumPy array interface that planning uses."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of the cells."""
        ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Records(Protocol):
    """What a table must offer whose rows are records."""

    @property
    def name(self) -> str:
        """Of the stored column."""
        ...

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns that are fields of it."""
        ...

    def row(self, number: int, /) -> Mapping[str, Any]:
        """Python values of one row, tuples of those of columns with two axes; texts as bytes."""
        ...


class Table:
    """Named columns with an identity.

    Parameters
    ----------
    columns
        Name to column.
    name
        Identity of the table; by default the digest of the columns, which must then be NumPy arrays.
    resolve
        Makes a location of a text column absolute; absent: it is.
    grant
        Which access grant of the reader the locations are looked up in.
    records
        Columns that are fields of one that is stored, as a reader of the table has them.

    Examples
    --------
    >>> Table({"indices": np.array([3, 1])}).rows
    2
    """

    __slots__ = ("columns", "grant", "memo", "name", "records", "resolve")

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        name: str = "",
        resolve: Callable[[str], str] | None = None,
        grant: str = "",
        records: Records | None = None,
    ) -> None:
        self.columns = dict(columns)
        self.records = records
        self.resolve = resolve
        self.grant = grant
        self.memo: dict[str, Any] = {}
        """What readers of the table have worked out about it; derived, never stored."""
        self.name = name or digest(self.columns)

    @property
    def rows(self) -> int:
        """Length of the columns; the bytes of a text column, which has its own ``_end``, are not rows."""
        found = self.memo.get("rows")
        if found is None:
            first = next(c for name, c in self.columns.items() if f"{name}_end" not in self.columns)
            found = self.memo["rows"] = first.shape[0]
        return found

    @property
    def in_memory(self) -> bool:
        """Whether no column has to be loaded from where it is stored."""
        found = self.memo.get("in memory")
        if found is None:
            found = self.memo["in memory"] = all(isinstance(column, np.ndarray) for column in self.columns.values())
        return found

    @property
    def within(self) -> Mapping[str, str]:
        """Columns that are fields of another one: name to the name of that."""
        return {} if self.records is None else dict.fromkeys(self.records.columns, self.records.name)

    def __getitem__(self, column: str) -> Column:
        return self.columns[column]

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, rows={self.rows}, columns={list(self.columns)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.columns, self.name, self.resolve, self.grant, self.records)

    def number(self, column: str, row: int) -> int:
        """One row of a column of integers."""
        held = self.record(row)
        return held[column] if column in held else int(self.columns[column][row])

    def numbers(self, column: str, row: int) -> Sequence[int]:
        """One row of a column of integers that has two axes."""
        held = self.record(row)
        return held[column] if column in held else np.asarray(self.columns[column][row]).tolist()

    def record(self, row: int) -> Mapping[str, Any]:
        """What the record of one row holds, as `Records.row`; nothing where rows are no records."""
        return NOTHING if self.records is None else self.records.row(row)

    def text(self, column: str, row: int) -> str:
        """One row of a text column.

        Raises
        ------
        ViewSchemaError
            ``table-invalid``: the bytes are not UTF-8.

        Examples
        --------
        >>> ends, blob = pack_text(["ab", "", "c"])
        >>> Table({"url": blob, "url_end": ends}).text("url", 2)
        'c'
        """
        held = self.record(row)
        if column in held:
            return self._decoded(column, [held[column]])[0]
        return self.texts(column, slice(row, row + 1))[0]

    def texts(self, column: str, rows: slice | np.ndarray) -> list[str]:
        """Some rows of a text column, a slice of step 1 or int64 (n,). Raises as `text`."""
        cells = self.columns[column]
        if cells.dtype.kind == "S":
            return self._decoded(column, np.asarray(cells[rows]).tolist())
        ends = self.columns[f"{column}_end"]
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(ends.shape[0])
            return self._decoded(column, _neighbours(ends, cells, start, stop))
        return self._decoded(column, [_neighbours(ends, cells, row, row + 1)[0] for row in rows.tolist()])

    def _decoded(self, column: str, texts: list[bytes]) -> list[str]:
        try:
            return [text.decode() for text in texts]
        except UnicodeDecodeError as error:
            raise ViewSchemaError(
                f"a text is not UTF-8 ({error.reason}); save the view again",
                reason="table-invalid",
                where=place_of(self.name, self.within.get(column, column)),
            ) from None


def _neighbours(ends: Column, blob: Column, start: int, stop: int) -> list[bytes]:
    """Texts of rows side by side, cut out of one range of the bytes."""
    bounds = np.asarray(ends[max(start - 1, 0) : stop]).tolist()
    if start == 0:
        bounds.insert(0, 0)
    raw = bytes(np.asarray(blob[bounds[0] : bounds[-1]])) if stop > start else b""
    return [raw[a - bounds[0] : b - bounds[0]] for a, b in pairwise(bounds)]


def _restore(
    columns: Mapping[str, Column],
    name: str,
    resolve: Callable[[str], str] | None,
    grant: str,
    records: Records | None,
) -> Table:
    return Table(columns, name=name, resolve=resolve, grant=grant, records=records)


def place_of(table: str, column: str = "") -> str:
    """Where a table of a graph, or one of its columns, is in the JSON of the graph.

    Examples
    --------
    >>> place_of("rows"), place_of("rows", "origin")
    ('tables.rows', 'tables.rows.columns.origin')
    """
    return f"tables.{table}.columns.{column}" if column else f"tables.{table}"


def digest(columns: Mapping[str, Column]) -> str:
    """Name of a table by its content: equal columns have equal names."""
    total = hashlib.sha256()
    for key in sorted(columns):
        array = np.asarray(columns[key])
        total.update(f"{key}|{array.dtype.str}|{array.shape}|".encode())
        if array.dtype.kind in "TO":
            for item in array.reshape(-1):
                raw = item.encode() if isinstance(item, str) else bytes(item)
                total.update(len(raw).to_bytes(8, "little") + raw)
        else:
            total.update(np.ascontiguousarray(array).tobytes())
    return "t" + total.hexdigest()[:24]


def pack_text(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Text column as (end of each row int64 (n,), UTF-8 bytes uint8).

    Examples
    --------
    >>> ends, blob = pack_text(["ab", "", "c"])
    >>> ends.tolist(), bytes(blob)
    ([2, 2, 3], b'abc')
    """
    raw = [text.encode() for text in texts]
    ends = np.cumsum([len(r) for r in raw], dtype=np.int64) if raw else np.zeros(0, np.int64)
    return ends, np.frombuffer(b"".join(raw), np.uint8)
