"""Columns beside a graph: `Table`, and the names of the columns that nodes and arrays refer to.

Owns the identity of a table (the digest of its content) and of text columns (one blob of UTF-8 with the end
of each row). Columns are NumPy arrays or anything that indexes like one; a table read from a document loads
its rows only when they are asked for. Refuses to know what the rows mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np


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

    Examples
    --------
    >>> Table({"indices": np.array([3, 1])}).rows
    2
    """

    __slots__ = ("columns", "grant", "memo", "name", "resolve")

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        name: str = "",
        resolve: Callable[[str], str] | None = None,
        grant: str = "",
    ) -> None:
        self.columns = dict(columns)
        self.resolve = resolve
        self.grant = grant
        self.memo: dict[str, Any] = {}
        """What readers of the table have worked out about it; derived, never stored."""
        self.name = name or digest(self.columns)

    @property
    def rows(self) -> int:
        """Length of the columns; the bytes of a text column, which has its own ``_end``, are not rows."""
        return next(c for name, c in self.columns.items() if f"{name}_end" not in self.columns).shape[0]

    @property
    def in_memory(self) -> bool:
        """Whether no column has to be loaded from where it is stored."""
        return all(isinstance(column, np.ndarray) for column in self.columns.values())

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
        return _restore, (self.columns, self.name, self.resolve, self.grant)


def _restore(columns: Mapping[str, Column], name: str, resolve: Callable[[str], str] | None, grant: str) -> Table:
    return Table(columns, name=name, resolve=resolve, grant=grant)


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


def text_at(ends: Column, blob: Column, row: int) -> str:
    """Row ``row`` of a text column.

    Examples
    --------
    >>> text_at(*pack_text(["ab", "", "c"]), 2)
    'c'
    """
    bounds = np.asarray(ends[max(row - 1, 0) : row + 1])
    start, stop = (0, int(bounds[0])) if row == 0 else (int(bounds[0]), int(bounds[1]))
    return bytes(np.asarray(blob[start:stop])).decode()
