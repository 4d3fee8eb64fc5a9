"""Whether the stored arrays of a graph and the columns of its tables are well formed.

Owns what an array may name together, and the columns, types and lengths of every kind of table. Refuses to look at
values of columns, which `lazyzarr.ir.validate.row_bounds` bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lazyzarr.algebra.grid import chunk_count
from lazyzarr.ir.boxes import column_problems
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, StoredArray
from lazyzarr.ir.nodes import Boxes, Take, Tiles, of_kind
from lazyzarr.ir.origins import problems_of
from lazyzarr.ir.placing import tiles_rank
from lazyzarr.ir.row_values import COLUMNS, columns_of
from lazyzarr.ir.tables import Table, place_of

REF_COLUMNS = {
    "offset": "u8",
    "length": "u8",
    "state": "u1",
    "layout": "i4",
    "place": "i4",
    "origin": "i4",
    "number": "i8",
}
"""Columns of a table of chunk references; the first two are required."""
TEXT_COLUMNS = ("url", "etag", "digest")
"""Columns of UTF-8 bytes; each has a column ``<name>_end`` with the end of each row."""
_TILE_NUMBERS = {"layout": "i4", "size": "i8", "mtime_ns": "i8", "inode": "i8", "refs_first": "i8"} | dict.fromkeys(
    COLUMNS, "f8"
)
ONLY_TILES = "takes numbers from rows of a tile table; only tiles have one"
_NOTHING_NAMED = (None, None, None, (), ())


class Problem(NamedTuple):
    """One thing that is wrong."""

    reason: str
    where: str
    text: str


def array_problems(graph: Graph) -> Iterator[Problem]:
    """What is wrong with the stored arrays, all that they name being there."""
    marked = {index for index, layout in enumerate(graph.layouts) if columns_of(layout)}
    for position, array in enumerate(graph.arrays):
        layout = graph.layouts[array.layout]
        where = f"arrays[{position}]"
        for index in (array.layout, *array.variants):
            if index in marked:
                yield Problem("codec-invalid", where, f"layout {index} {ONLY_TILES}")
        if is_plain(array) and len(layout.chunk_shape) == len(array.shape) and min(array.shape, default=0) >= 0:
            continue  # nearly all of very many
        if any(length < 0 for length in array.shape):
            yield Problem("graph-shape", f"{where}.shape", "the array has a negative length")
            continue
        for index in (array.layout, *array.variants):
            if len(graph.layouts[index].chunk_shape) != len(array.shape):
                yield Problem("graph-shape", where, f"layout {index} has another rank than the array")
        if any(not _alike(graph.layouts[index], layout) for index in array.variants):
            yield Problem(
                "graph-type", f"{where}.variants", "a variant has another type or chunk shape than the layout"
            )
        if array.origins is not None:
            yield from _from_origins(array, graph, chunk_count(array.shape, layout.chunk_shape), where)
        elif (array.location is None) == (array.values is None) or (
            array.values is not None and array.refs is not None
        ):
            yield Problem(
                "document-member", where, "an array has either a location or values, and refs beside a location"
            )
        elif array.values is not None:
            yield from _values(array, layout, graph.tables[array.values], array.values)
        elif array.refs is not None and len(layout.chunk_shape) == len(array.shape):
            yield from _refs(array, graph.tables[array.refs], chunk_count(array.shape, layout.chunk_shape), where)
        elif array.variants or array.places or array.inline is not None:
            yield Problem("document-member", where, "variants, places and inline have no meaning without refs")
        if array.inline is not None:
            inline = graph.tables[array.inline]
            yield from _columns(inline, {"bytes": "u1"}, ("bytes",), array.inline)


def is_plain(array: StoredArray) -> bool:
    """Whether all that the array names is a location and a layout."""
    return array.location is not None and (
        (array.refs, array.values, array.inline, array.variants, array.places) == _NOTHING_NAMED
    )


def _from_origins(array: StoredArray, graph: Graph, chunks: int, where: str) -> Iterator[Problem]:
    """An array whose chunks come from the rows of a table."""
    if array.refs is None or array.location is not None or array.values is not None or array.places or array.stamp:
        yield Problem(
            "document-member", where, "an array with origins has refs, and no location, values, places or stamp"
        )
        return
    refs = graph.tables[array.refs]
    yield from _refs(array, refs, chunks, where)
    if "origin" not in refs:
        yield Problem("table-invalid", place_of(array.refs), "the column origin is missing")
    assert array.origins is not None
    for column, text in problems_of(graph.tables[array.origins]):
        yield Problem("table-invalid", place_of(array.origins, column), text)


def _alike(left: Layout, right: Layout) -> bool:
    return left.data_type == right.data_type and left.chunk_shape == right.chunk_shape


def _values(array: StoredArray, layout: Layout, table: Table, name: str) -> Iterator[Problem]:
    if set(table.columns) != {"values"}:
        yield Problem("table-invalid", place_of(name), "a table of values has the one column values")
        return
    column = table["values"]
    shape = array.shape or (1,)  # a column has rows, so one cell stands for rank 0
    if column.shape != shape or column.dtype != to_numpy(layout.data_type):
        yield Problem(
            "table-invalid",
            place_of(name, "values"),
            f"the column values is {column.dtype} {list(column.shape)}, the array is "
            f"{to_numpy(layout.data_type)} {list(shape)}",
        )


def _refs(array: StoredArray, table: Table, chunks: int, where: str) -> Iterator[Problem]:
    if array.refs_first < 0 or array.refs_first + chunks > table.rows:
        yield Problem(
            "table-invalid",
            where,
            f"the array has {chunks} chunks from row {array.refs_first} on, the table of references {table.rows} rows",
        )


def table_problems(graph: Graph) -> Iterator[Problem]:
    """Columns of each table against what the table is used for."""
    reference = {array.refs for array in graph.arrays if array.refs is not None}
    reference |= {node.refs for _, node in of_kind(graph.nodes, Tiles) if node.refs is not None}
    for name in sorted(reference):
        yield from _columns(graph.tables[name], REF_COLUMNS, ("offset", "length"), name)
    for name in dict.fromkeys(node.indices for _, node in of_kind(graph.nodes, Take)):
        yield from _columns(graph.tables[name], {"indices": "i8"}, ("indices",), name)
    for _, node in of_kind(graph.nodes, Boxes):
        for column, text in column_problems(graph.tables[node.table], len(node.shape)):
            yield Problem("table-invalid", place_of(node.table, column), text)
    seen: set[tuple[object, ...]] = set()
    for position, node in of_kind(graph.nodes, Tiles):
        where = f"nodes[{position}]"
        use = (node.table, len(node.shape), node.new_axis, node.refs is None)
        if use not in seen:
            seen.add(use)
            yield from _tile_table(graph, node, where)
        for index in node.layouts:
            layout = graph.layouts[index]
            if layout.data_type != node.data_type or len(layout.chunk_shape) != tiles_rank(node):
                text = f"layout {index} has another type or rank than the tiles"
                yield Problem("graph-type", where, text)
            missing = [name for name in columns_of(layout) if name not in graph.tables[node.table]]
            if missing:
                text = f"layout {index} takes numbers from the columns {', '.join(missing)}, which are not there"
                yield Problem("table-invalid", place_of(node.table), text)


def _columns(table: Table, known: dict[str, str], required: tuple[str, ...], table_name: str) -> Iterator[Problem]:
    rows = {column.shape[:1] for column in table.columns.values()}
    for name in required:
        if name not in table:
            yield Problem("table-invalid", place_of(table_name), f"the column {name} is missing")
    for name, column in table.columns.items():
        if name not in known:
            yield Problem("table-invalid", place_of(table_name), f"the column {name} is not known")
        elif column.dtype != np.dtype(known[name]) or len(column.shape) != 1:
            yield Problem(
                "table-invalid",
                place_of(table_name, table.within.get(name, name)),
                f"the column is {column.dtype} of rank {len(column.shape)}, not {np.dtype(known[name])} of rank 1",
            )
    if len(rows) > 1:
        yield Problem("table-invalid", place_of(table_name), "the columns have different lengths")


def _tile_table(graph: Graph, node: Tiles, where: str) -> Iterator[Problem]:
    table = graph.tables[node.table]
    rank = len(node.shape)
    if node.new_axis is not None and not 0 <= node.new_axis < rank:
        yield Problem("graph-shape", where, f"new axis {node.new_axis} is outside the rank {rank}")
    wide = {"origin": rank, "shape": tiles_rank(node)}
    texts = [
        name
        for name in TEXT_COLUMNS
        if (name in table or f"{name}_end" in table) and table.within.get(name) is None  # fields have no ends
    ]
    numbers = {**_TILE_NUMBERS, **{f"{name}_end": "i8" for name in texts}}
    blobs = {*texts, *(() if "url" in table.within else ("url",))}
    flat = Table(
        {k: c for k, c in table.columns.items() if k not in wide and k not in TEXT_COLUMNS},
        name=table.name,
        records=table.records,
    )
    url = () if "url" in table.within else ("url_end",)
    required = ("layout", *url, *(f"{name}_end" for name in texts), *(("refs_first",) if node.refs else ()))
    yield from _columns(flat, numbers, tuple(dict.fromkeys(required)), node.table)
    for name, width in wide.items():
        if name not in table:
            yield Problem("table-invalid", place_of(node.table), f"the column {name} is missing")
        elif table[name].shape[1:] != (width,) or table[name].dtype != np.dtype("i8"):
            text = f"the column {name} is not int64 (rows, {width})"
            yield Problem("table-invalid", place_of(node.table, table.within.get(name, name)), text)
        elif "layout" in table and table[name].shape[:1] != table["layout"].shape:
            yield Problem("table-invalid", place_of(node.table), f"the column {name} has another length than layout")
    for name in sorted(blobs):
        if name not in table:
            yield Problem("table-invalid", place_of(node.table), f"the column {name} is missing")
        elif table[name].dtype != np.dtype("u1") or len(table[name].shape) != 1:
            yield Problem("table-invalid", place_of(node.table, name), "the text column is not uint8 of rank 1")
