"""Rows of a `Tiles` node as stored arrays: the only place that knows the columns of a tile table.

Owns the columns of tile tables, forwards (`tile_array`) and backwards (`tile_columns`). Refuses to load more
rows than asked for: a view of very many arrays is opened without reading their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Stamp, StoredArray
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Column, Table, pack_text

NONE = -1
"""In integer columns of stamps: the stamp does not have this field."""
_STAMP_NUMBERS = ("size", "mtime_ns", "inode")
_STAMP_TEXTS = ("etag", "digest")
"""The digest last."""


def tile_columns(arrays: Sequence[StoredArray], origins: np.ndarray, layouts: np.ndarray) -> dict[str, Column]:
    """Columns of a tile table.

    Parameters
    ----------
    arrays
        The stored arrays, n of them, of rank q, sorted by origin.
    origins
        int64 (n, r): cell of the view that receives the first cell of each.
    layouts
        int32 (n,): positions in ``Tiles.layouts``.
    """
    rank = len(arrays[0].shape)
    columns: dict[str, Column] = {
        "origin": np.ascontiguousarray(origins, np.int64),
        "shape": np.array([a.shape for a in arrays], np.int64).reshape(len(arrays), rank),
        "layout": np.asarray(layouts, np.int32),
    }
    return columns | stamp_columns([a.location or "" for a in arrays], [a.stamp for a in arrays])


def stamp_columns(urls: Sequence[str], pins: Sequence[Stamp | None]) -> dict[str, Column]:
    """Columns of locations and of what is known of the objects there."""
    columns: dict[str, Column] = {}
    columns["url_end"], columns["url"] = pack_text(urls)
    stamps = [stamp or Stamp() for stamp in pins]
    for field in _STAMP_NUMBERS:
        values = [getattr(s, field) for s in stamps]
        if any(v is not None for v in values):
            columns[field] = np.array([NONE if v is None else v for v in values], np.int64)
    for field in _STAMP_TEXTS:
        values = [getattr(s, field) for s in stamps]
        if any(v is not None for v in values):
            columns[f"{field}_end"], columns[field] = pack_text([v or "" for v in values])
    return columns


def tile_arrays(graph: Graph, node: Tiles, rows: np.ndarray) -> list[StoredArray]:
    """The stored arrays of some rows (n,), ascending; columns are read once for all."""
    if not len(rows):
        return []
    table = graph.tables[node.table]
    key = _key(rows)
    layouts = np.asarray(table["layout"][key]).tolist()
    shapes = np.asarray(table["shape"][key]).tolist()
    urls = table.texts("url", key)
    refs = np.asarray(table["refs_first"][key]).tolist() if node.refs else [0] * len(rows)
    stamps = _stamps(table, key)
    return [
        StoredArray(
            layout=node.layouts[layout],
            shape=tuple(shape),
            location=table.resolve(url) if table.resolve else url,
            refs=node.refs,
            refs_first=row,
            stamp=stamp,
            grant=table.grant,
        )
        for layout, shape, url, row, stamp in zip(layouts, shapes, urls, refs, stamps, strict=True)
    ]


def located_rows(table: Table, rows: np.ndarray) -> list[tuple[str, Stamp | None]]:
    """Absolute locations and stamps of some rows (n,), ascending."""
    key = _key(rows)
    urls = table.texts("url", key)
    absolute = [table.resolve(url) for url in urls] if table.resolve else urls
    return list(zip(absolute, _stamps(table, key), strict=True))


def tile_array(graph: Graph, node: Tiles, row: int, *, digest: bool = True) -> StoredArray:
    """The stored array of one row; without ``digest`` that of its stamp is not loaded, see `tile_stamp`."""
    table = graph.tables[node.table]
    url = table.text("url", row)
    return StoredArray(
        layout=node.layouts[table.number("layout", row)],
        shape=tuple(table.numbers("shape", row)),
        location=table.resolve(url) if table.resolve else url,
        refs=node.refs,
        refs_first=table.number("refs_first", row) if node.refs else 0,
        stamp=tile_stamp(table, row, digest=digest),
        grant=table.grant,
    )


def tile_stamp(table: Table, row: int, *, digest: bool = True) -> Stamp | None:
    """The stamp of one row."""
    columns = table.columns
    found: dict[str, Any] = {}
    for field in _STAMP_NUMBERS:
        if field in columns and (value := table.number(field, row)) != NONE:
            found[field] = value
    for field in _STAMP_TEXTS if digest else _STAMP_TEXTS[:1]:
        if field in columns and (text := table.text(field, row)):
            found[field] = text
    return Stamp(**found) if found else None


def tile_box(graph: Graph, node: Tiles, row: int) -> tuple[slice, ...]:
    """The box of the view that the array of a row fills."""
    table = graph.tables[node.table]
    origin, shape = table.numbers("origin", row), [*table.numbers("shape", row)]
    if node.new_axis is not None:
        shape.insert(node.new_axis, 1)
    return tuple(slice(o, o + n) for o, n in zip(origin, shape, strict=True))


def _key(rows: np.ndarray) -> slice | np.ndarray:
    """Rows, ascending, as a slice where they are neighbours: of a stored column that is one range."""
    if len(rows) and int(rows[-1]) - int(rows[0]) + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _stamps(table: Table, key: slice | np.ndarray) -> list[Stamp | None]:
    found: dict[str, list[Any]] = {}
    for field in _STAMP_NUMBERS:
        if field in table:
            values = np.asarray(table[field][key]).tolist()
            found[field] = [None if value == NONE else value for value in values]
    for field in _STAMP_TEXTS:
        if field in table:
            found[field] = [text or None for text in table.texts(field, key)]
    if not found:
        return [None] * len(np.asarray(table["layout"][key]))
    stamps = [Stamp(**dict(zip(found, values, strict=True))) for values in zip(*found.values(), strict=True)]
    return [None if stamp == Stamp() else stamp for stamp in stamps]
