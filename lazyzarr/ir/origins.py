"""Tables of origins: the files and arrays that the chunks of one array come from, each once.

Owns their columns: ``url``; the stamps that tiles have, too; ``layout`` int32, -1 for a file that holds byte ranges,
else the layout (0) or variant (k) of the array that says how chunks are keyed below ``url``; ``grid`` int64 (k, g), the
chunks of such an array along each axis, 0 on axes that it does not have. Refuses to know what the chunks are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Stamp, StoredArray
from lazyzarr.ir.tables import Column, Table
from lazyzarr.ir.tiles import located_rows, stamp_columns, tile_stamp

FILE = -1
"""In the column ``layout``: an object that holds byte ranges."""
NUMBERS = {"layout": "i4", "size": "i8", "mtime_ns": "i8", "inode": "i8"}
TEXTS = ("url", "etag", "digest")


def origin_columns(
    urls: Sequence[str], stamps: Sequence[Stamp | None], layouts: Sequence[int], grids: Sequence[Sequence[int]]
) -> dict[str, Column]:
    """Columns of a table of origins."""
    wide = max(map(len, grids), default=0)
    columns = stamp_columns(urls, stamps)
    columns["layout"] = np.array(layouts, np.int32)
    columns["grid"] = np.array([[*grid, *(0,) * (wide - len(grid))] for grid in grids], np.int64).reshape(
        len(grids), wide
    )
    return columns


def origins_at(table: Table, rows: np.ndarray, array: StoredArray, chunk_shape: Sequence[int]) -> list[StoredArray]:
    """The arrays that some rows (n,), ascending, stand for: files with the references of ``array``, or keyed arrays.

    A keyed array is as large as its grid of chunks; the cells of the last ones that it does not have are not asked for.
    """
    layouts = np.asarray(table["layout"][rows]).tolist()
    grids = np.asarray(table["grid"][rows]).tolist()
    return [
        _stands_for(array, url, stamp, layout, grid, chunk_shape, table.grant)
        for (url, stamp), layout, grid in zip(located_rows(table, rows), layouts, grids, strict=True)
    ]


def origin_at(
    table: Table, row: int, array: StoredArray, chunk_shape: Sequence[int]
) -> tuple[StoredArray, list[int] | None, Callable[[], Stamp | None] | None]:
    """As `origins_at`, for one row and quicker.

    Returns
    -------
    array
        What the row stands for; where only a changed local file needs the digest of the stamp, without that.
    grid
        Chunks of a keyed array along each axis that it has; None for a file of byte ranges.
    whole
        Loads the stamp with its digest, where it is without.
    """
    layout = int(table["layout"][row])
    text = table.text("url", row)
    url = table.resolve(text) if table.resolve else text
    if layout == FILE:
        return _stands_for(array, url, tile_stamp(table, row), layout, (), chunk_shape, table.grant), None, None
    grid = np.asarray(table["grid"][row]).tolist()
    whole = None
    stamp = tile_stamp(table, row, digest=False)
    if "digest" in table:
        if table.in_memory or stamp is None or stamp.mtime_ns is None or not url.startswith("file://"):
            stamp = tile_stamp(table, row)
        else:
            whole = partial(tile_stamp, table, row)
    one = _stands_for(array, url, stamp, layout, grid, chunk_shape, table.grant)
    return one, [n for n in grid if n], whole


def _stands_for(
    array: StoredArray,
    url: str,
    stamp: Stamp | None,
    layout: int,
    grid: Sequence[int],
    chunk_shape: Sequence[int],
    grant: str,
) -> StoredArray:
    if layout == FILE:
        return StoredArray(array.layout, array.shape, url, array.refs, array.refs_first, stamp=stamp, grant=grant)
    shape = tuple(n * c for n, c in zip(grid, chunk_shape, strict=False) if n)
    return StoredArray((array.layout, *array.variants)[layout], shape, url, stamp=stamp, grant=grant)


def all_origins(graph: Graph, array: StoredArray) -> list[StoredArray]:
    """What every row of the table of an array stands for, in order."""
    assert array.origins is not None
    table = graph.tables[array.origins]
    return origins_at(table, np.arange(table.rows), array, graph.layouts[array.layout].chunk_shape)


def problems_of(table: Table) -> Iterator[tuple[str, str]]:
    """What is wrong with a table: (column or ``""``, text)."""
    texts = [name for name in TEXTS if name in table or f"{name}_end" in table or name == "url"]
    known = {**NUMBERS, **{f"{name}_end": "i8" for name in texts}}
    rows: set[int] = set()
    for name in ("layout", "grid", *(f"{name}_end" for name in texts), *texts):
        if name not in table:
            yield "", f"the column {name} is missing"
    for name, column in table.columns.items():
        if name in texts:
            if column.dtype != np.dtype("u1") or len(column.shape) != 1:
                yield name, "the text column is not uint8 of rank 1"
            continue
        if name == "grid":
            right = column.dtype == np.dtype("i8") and len(column.shape) == 2
        else:
            right = name in known and column.dtype == np.dtype(known[name]) and len(column.shape) == 1
        if not right:
            known_name = name == "grid" or name in known
            text = f"the column {name} is not one of a table of origins, or not of its type ({column.dtype})"
            yield name if known_name else "", text
        rows.add(column.shape[0] if column.shape else -1)
    if len(rows) > 1:
        yield "", "the columns have different lengths"
