"""Very many stored arrays as one leaf: joins of plain sources become a table.

Owns the change from a join of `Source` nodes (each with at most one value-wise decode above it) to one `Tiles`
node, so that a view of 10^5 files has a graph of one node and columns beside it. Refuses anything else than
whole stored arrays; the join then stays a join.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, StoredArray
from lazyzarr.ir.nodes import Decode, Source, Tiles
from lazyzarr.ir.tables import Column, Table
from lazyzarr.ir.tiles import tile_columns
from lazyzarr.read import Reader
from lazyzarr.view import View

MANY = 32
"""From this number of inputs on a join is kept as a table."""


def tiled(inputs: Sequence[View], axis: int, *, new_axis: int | None) -> View | None:
    """The join of views along an axis as one leaf, or None where an input is not a whole stored array.

    Parameters
    ----------
    inputs
        Views that fit.
    axis
        The joined axis of the result.
    new_axis
        The same axis for a stack, None for a concat.
    """
    leaves: list[StoredArray] = []
    layouts: dict[bytes, int] = {}
    kept: list[Layout] = []
    layout_of: list[int] = []
    refs: list[Table] = []
    memo: dict[tuple[Any, ...], int] = {}
    for view in inputs:
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
                layout = msgspec.structs.replace(
                    layout,
                    data_type=decode.data_type,
                    fill_value=decode.fill_value,
                    codecs=(*decode.codecs, *layout.codecs),
                )
            text = msgspec.json.encode(layout)
            number = layouts.setdefault(text, len(layouts))
            if number == len(kept):
                kept.append(layout)
            memo[key] = number
        leaves.append(stored)
        layout_of.append(number)
    if refs and len(refs) != len(leaves):
        return None
    shape = inputs[0].shape if new_axis is None else (*inputs[0].shape[:axis], len(inputs), *inputs[0].shape[axis:])
    lengths = [1] * len(inputs) if new_axis is not None else [view.shape[axis] for view in inputs]
    origins = np.zeros((len(inputs), len(shape)), np.int64)
    origins[:, axis] = np.cumsum([0, *lengths[:-1]])
    shape = (*shape[:axis], sum(lengths), *shape[axis + 1 :])
    columns = tile_columns(leaves, origins, np.array(layout_of, np.int32))
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
        data_type=inputs[0].data_type,
        fill_value=inputs[0].schema.fill_value,
        layouts=tuple(range(len(kept))),
        new_axis=new_axis,
        refs=None if joined is None else joined.name,
    )
    own = Graph((), layouts=kept, tables=tables)
    return View(node, own=own, reader=Reader.joined([view.reader for view in inputs]))


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
