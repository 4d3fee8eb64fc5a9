"""Very many stored arrays as one leaf: joins of plain sources become a table.

Owns the change from a join of `Source` nodes (each with at most one value-wise decode above it) and of constants of one
value to one `Tiles` node, so that a view of 10^5 files, some of which may be missing, has a graph of one node and columns
beside it. Refuses anything else than whole stored arrays; the join then stays a join.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json, Layout, StoredArray, with_decodes
from lazyzarr.ir.nodes import Decode, Fill, Source, Tiles
from lazyzarr.ir.row_values import folded
from lazyzarr.ir.tables import Column, Table
from lazyzarr.ir.tiles import tile_columns
from lazyzarr.read import Reader
from lazyzarr.view import View

MANY = 32
"""From this number of inputs on a join is kept as a table."""


def tiled(inputs: Sequence[View], axis: int, *, new_axis: int | None) -> View | None:
    """The join of views along an axis as one leaf, or None where an input is neither stored whole nor constant.

    Parameters
    ----------
    inputs
        Views that fit.
    axis
        The joined axis of the result.
    new_axis
        The same axis for a stack, None for a concat.
    """
    shape = inputs[0].shape if new_axis is None else (*inputs[0].shape[:axis], len(inputs), *inputs[0].shape[axis:])
    lengths = [1] * len(inputs) if new_axis is not None else [view.shape[axis] for view in inputs]
    origins = np.zeros((len(inputs), len(shape)), np.int64)
    origins[:, axis] = np.cumsum([0, *lengths[:-1]])
    shape = (*shape[:axis], sum(lengths), *shape[axis + 1 :])
    return placed_boxes(inputs, origins, shape, new_axis=new_axis)


def placed_boxes(
    inputs: Sequence[View],
    origins: np.ndarray,
    shape: tuple[int, ...],
    *,
    new_axis: int | None,
    background: Json = None,
) -> View | None:
    """Views as disjoint boxes of one leaf, or None where an input is neither stored whole nor constant.

    Constant inputs are no rows: their cells are the background, so they all have to be one constant, bit by bit.

    Parameters
    ----------
    inputs
        Views of one type, at least one.
    origins
        int64 (n, r): the cell of the result that receives the first cell of each.
    shape
        Of the result.
    new_axis
        An axis of the result that the inputs do not have; each fills one cell of it.
    background
        What cells outside every box read as, in Zarr v3 JSON form; None where there are none.
    """
    rows: list[int] = []
    leaves: list[StoredArray] = []
    layouts: dict[bytes, int] = {}
    kept: list[Layout] = []
    layout_of: list[int] = []
    refs: list[Table] = []
    memo: dict[tuple[Any, ...], int] = {}
    constant = None if background is None else msgspec.json.encode(background)
    for row, view in enumerate(inputs):
        if isinstance(view._node, Fill):
            value = msgspec.json.encode(view._node.value)  # as text: -0.0 is another constant than 0.0
            if value != (constant or value):
                return None
            background, constant = view._node.value, value
            continue
        found = _leaf(view)
        if found is None:
            return None
        source, decode = found
        stored = source._own.arrays[0]
        if (
            stored.values is not None
            or stored.inline
            or stored.origins
            or stored.variants
            or stored.places
            or stored.grant
        ):
            return None
        if 0 in stored.shape or not stored.shape:
            return None
        layout = source._own.layouts[stored.layout]
        if stored.refs is not None:
            refs.append(source._own.tables[stored.refs])
        key = (id(layout), id(decode))
        number = memo.get(key)
        if number is None:
            if decode is not None:
                layout = with_decodes(layout, decode.codecs, decode.data_type, decode.fill_value)
            text = msgspec.json.encode(layout)
            number = layouts.setdefault(text, len(layouts))
            if number == len(kept):
                kept.append(layout)
            memo[key] = number
        rows.append(row)
        leaves.append(stored)
        layout_of.append(number)
    first = inputs[0].schema
    value = first.fill_value if background is None else background
    reader = Reader.joined([inputs[row].reader for row in rows])
    if not leaves:
        return View(Fill(shape, first.data_type, value), reader=reader)
    if refs and len(refs) != len(leaves):
        return None
    places = origins[rows]
    if (order := np.lexsort(places.T[::-1])).tolist() != list(range(len(rows))):
        places, layout_of = places[order], [layout_of[k] for k in order.tolist()]
        leaves = [leaves[k] for k in order.tolist()]
        refs = [refs[k] for k in order.tolist()] if refs else refs
    kept, numbers, held = folded(kept, np.array(layout_of, np.int32))
    columns = tile_columns(leaves, places, numbers) | held
    joined = _joined_refs(refs, leaves, columns)
    if refs and joined is None:
        return None
    table = Table(columns)
    tables = {table.name: table}
    if joined is not None:
        tables[joined.name] = joined
    node = Tiles(
        table=table.name,
        shape=shape,
        data_type=first.data_type,
        fill_value=value,
        layouts=tuple(range(len(kept))),
        new_axis=new_axis,
        refs=None if joined is None else joined.name,
    )
    return View(node, own=Graph((), layouts=kept, tables=tables), reader=reader)


def _leaf(view: View) -> tuple[View, Decode | None] | None:
    node = view._node
    if isinstance(node, Source):
        return view, None
    if isinstance(node, Decode) and isinstance(view._inputs[0]._node, Source):
        return view._inputs[0], node
    return None


def _joined_refs(refs: Sequence[Table], arrays: Sequence[StoredArray], columns: dict[str, Column]) -> Table | None:
    """One reference table for all arrays; ``columns`` gets the first row of each."""
    if not refs:
        return None
    names = set(refs[0].columns)
    if any(set(table.columns) != names for table in refs) or not names <= {"offset", "length", "state"}:
        return None
    distinct = {table.name: table for table in refs}
    ends = np.cumsum([table.rows for table in distinct.values()], dtype=np.int64)
    first = dict(zip(distinct, [0, *ends[:-1].tolist()], strict=True))
    columns["refs_first"] = np.array(
        [first[table.name] + array.refs_first for table, array in zip(refs, arrays, strict=True)], np.int64
    )
    return Table(
        {name: np.concatenate([np.asarray(table[name]) for table in distinct.values()]) for name in sorted(names)}
    )
