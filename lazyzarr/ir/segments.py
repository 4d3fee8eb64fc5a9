"""Joins that grow: neighbouring parts of a concat put together as tables, so that there are never many of them.

1. A part is a segment if it is a whole stored array, a constant, or a tile table whose tiles are slabs along the axis;
   constants and the cells between slabs are the background of a table, which has one.
2. New parts are added one by one. What is smaller than its successor joins it, and so do eight of one size: after n
   parts there are about 8 log8 n segments, and each row was written about log8 n times.
3. Parts that are no segments (cut, turned) stay as they are.
Refuses to look at segments that were there before and are larger than what is added: their tables are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec
import numpy as np

from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.layout import Json, Layout, StoredArray, text_of, with_decodes
from lazyzarr.ir.nodes import Broadcast, Concat, Decode, Fill, Source, Tiles, inputs_of
from lazyzarr.ir.row_values import folded, row_layouts
from lazyzarr.ir.schema import infer
from lazyzarr.ir.tables import Column, Table
from lazyzarr.ir.tiles import tile_arrays, tile_columns

MANY = 8
"""So many neighbouring segments of one size become one."""
MOST_ROWS = 1 << 16
"""No segment of more arrays is made of smaller ones."""
MOST_REFS = 1 << 20
"""Nor one of more chunk references."""
_REFS = frozenset(("offset", "length", "state"))


class Segment(NamedTuple):
    """A part of a concat that may be put together with its neighbours."""

    rows: int
    """Stored arrays."""
    refs: int
    """Chunk references of all of them."""
    kind: tuple[object, ...] | None
    """Only segments of one kind fit into one table; None: a constant, which fits into any."""


class _Rows(NamedTuple):
    """The stored arrays of a segment."""

    arrays: list[StoredArray]
    starts: list[int]
    """First cell of the joined axis that each fills."""
    extent: int
    """Cells of the joined axis."""
    layouts: list[Layout]
    """Of each array, with the value-wise decodes above it."""
    gap: str | None = None
    """What cells that no array fills read as, as JSON text; None where there are none."""


def settled(graph: Graph, old: int) -> Graph:
    """The same view with parts of the concat that is its root put together.

    Parameters
    ----------
    graph
        Its last node is a concat.
    old
        The first so many inputs of it were settled before; at least 0.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> graph = Graph([Fill((1,), "int8", 0), Fill((1,), "int8", 1), Concat((0, 1), 0)])
    >>> settled(graph, 1) == graph
    True
    """
    root = graph.root
    assert isinstance(root, Concat)
    segments = _kinds([_segment(graph, position, root.axis) for position in root.inputs])
    while True:
        groups = plan(segments, old)
        rows: dict[int, _Rows] = {}
        unfit: int | None = None
        for group in groups:
            gap: str | None = None
            for number in group if len(group) > 1 else ():
                found = _rows(graph, root.inputs[number], root.axis)
                if found is None or (None not in (gap, found.gap) and gap != found.gap):
                    unfit = number
                    break
                rows[number], gap = found, found.gap or gap
        if unfit is None:
            return _joined(graph, root, groups, rows)
        segments[unfit] = None


def _kinds(segments: Sequence[Segment | None]) -> list[Segment | None]:
    """Segments, constants among them of the kind of what they are next to."""
    done = list(segments)
    for order in (range(len(done)), reversed(range(len(done)))):
        near: tuple[object, ...] | None = None
        for number in order:
            one = done[number]
            if one is not None and one.kind is None:
                done[number] = one._replace(kind=near)
            near = None if one is None else near if one.kind is None else one.kind
    return done


def plan(segments: Sequence[Segment | None], old: int) -> list[list[int]]:
    """Which neighbours become one: numbers of the segments of each part of the result, in order.

    Examples
    --------
    >>> one = Segment(1, 0, ())
    >>> plan([one] * 7, 6)
    [[0], [1], [2], [3], [4], [5], [6]]
    >>> plan([one] * 8, 7)
    [[0, 1, 2, 3, 4, 5, 6, 7]]
    """
    groups = [[number] for number in range(old)]
    sizes = list(segments[:old])
    for number in range(old, len(segments)):
        groups.append([number])
        sizes.append(segments[number])
        while (count := _absorbed(sizes)) > 1:
            last = [size for size in sizes[-count:] if size is not None]
            sizes[-count:] = [Segment(sum(s.rows for s in last), sum(s.refs for s in last), last[0].kind)]
            groups[-count:] = [[each for group in groups[-count:] for each in group]]
    return groups


def _absorbed(sizes: Sequence[Segment | None]) -> int:
    """How many of the last segments become one."""
    last = sizes[-1]
    if last is None:
        return 1
    rows, refs, tier = 0, 0, _tier(last.rows)
    count, smaller = 0, 1
    for size in reversed(sizes):
        if size is None or size.kind != last.kind or _tier(size.rows) > tier:
            break
        rows, refs = rows + size.rows, refs + size.refs
        if rows > MOST_ROWS or refs > MOST_REFS:
            break
        count += 1
        if count > 1 and smaller == count - 1 and _tier(size.rows) < tier:
            smaller = count
    return smaller if smaller > 1 else count if count >= MANY else 1


def _tier(rows: int) -> int:
    return (rows.bit_length() - 1) // (MANY.bit_length() - 1)


def _segment(graph: Graph, position: int, axis: int) -> Segment | None:
    node = graph.nodes[position]
    if isinstance(node, Fill):
        return Segment(1, 0, None)
    if isinstance(node, Tiles):
        table = graph.tables[node.table]
        refs = None if node.refs is None else graph.tables[node.refs]
        if node.new_axis not in (None, axis) or (refs is not None and not set(refs.columns) <= _REFS):
            return None
        rank = len(node.shape) - (node.new_axis is not None)
        return Segment(table.rows, 0 if refs is None else refs.rows, (node.new_axis, rank, _columns(refs)))
    leaf = _leaf(graph, position, axis)
    if leaf is None:
        return None
    array, _, new_axis = leaf
    refs = None if array.refs is None else graph.tables[array.refs]
    plain = array.values is None and not array.variants and not array.places and 0 not in array.shape and array.shape
    if not plain or (refs is not None and not set(refs.columns) <= _REFS):
        return None
    return Segment(1, 0 if refs is None else refs.rows, (new_axis, len(array.shape), _columns(refs)))


def _columns(refs: Table | None) -> frozenset[str] | None:
    return None if refs is None else frozenset(refs.columns)


def _leaf(graph: Graph, position: int, axis: int) -> tuple[StoredArray, Layout, int | None] | None:
    """A whole stored array with its decodes, and the new axis along which it is one cell; None for other nodes."""
    node = graph.nodes[position]
    new_axis = None
    if isinstance(node, Broadcast):
        below = infer(graph)[node.input].shape
        if node.shape != (*below[:axis], 1, *below[axis:]) or axis in node.axes:
            return None
        new_axis, node = axis, graph.nodes[node.input]
    decode = None
    if isinstance(node, Decode):
        decode, node = node, graph.nodes[node.input]
    if not isinstance(node, Source):
        return None
    array = graph.arrays[node.array]
    layout = graph.layouts[array.layout]
    if decode is not None:
        layout = with_decodes(layout, decode.codecs, decode.data_type, decode.fill_value)
    return array, layout, new_axis


def _rows(graph: Graph, position: int, axis: int) -> _Rows | None:
    """The arrays of a segment; None where its tiles are no slabs along the axis."""
    node = graph.nodes[position]
    if isinstance(node, Fill):
        return _Rows([], [], node.shape[axis], [], _text(node.value))
    if not isinstance(node, Tiles):
        leaf = _leaf(graph, position, axis)
        assert leaf is not None
        array, layout, new_axis = leaf
        return _Rows([array], [0], array.shape[axis] if new_axis is None else 1, [layout])
    table = graph.tables[node.table]
    origin, shape = np.asarray(table["origin"]), np.asarray(table["shape"])
    filled = _slabs(node, origin, shape, axis)
    if filled is None:
        return None
    rows = np.arange(table.rows)
    distinct, which = row_layouts(graph, node, rows)
    gap = None if filled == node.shape[axis] else _text(node.fill_value)
    layouts = [distinct[number] for number in which.tolist()]
    return _Rows(tile_arrays(graph, node, rows), origin[:, axis].tolist(), node.shape[axis], layouts, gap)


def _slabs(node: Tiles, origin: np.ndarray, shape: np.ndarray, axis: int) -> int | None:
    """How many cells of an axis the tiles fill; None where they are no whole slabs, one behind the other along it."""
    full = shape if node.new_axis is None else np.insert(shape, node.new_axis, 1, axis=1)
    others = [k for k in range(len(node.shape)) if k != axis]
    whole = (full[:, others] == np.array(node.shape, np.int64)[others]).all()
    starts, lengths = origin[:, axis], full[:, axis]
    return int(lengths.sum()) if whole and (starts[1:] >= (starts + lengths)[:-1]).all() else None


def follow_each_other(node: Tiles, origin: np.ndarray, shape: np.ndarray, axis: int) -> bool:
    """Whether the tiles of a node are whole slabs, one behind the other along an axis of the view."""
    full = shape if node.new_axis is None else np.insert(shape, node.new_axis, 1, axis=1)
    lengths = full[:, axis]
    starts = np.zeros_like(origin)
    starts[:, axis] = np.cumsum(lengths) - lengths
    others = [k for k in range(len(node.shape)) if k != axis]
    whole = (full[:, others] == np.array(node.shape, np.int64)[others]).all() and lengths.sum() == node.shape[axis]
    return bool(whole and (origin == starts).all())


def _text(value: Json) -> str:
    return msgspec.json.encode(value).decode()  # not the value: -0.0 is another constant than 0.0


def _joined(graph: Graph, root: Concat, groups: Sequence[Sequence[int]], rows: dict[int, _Rows]) -> Graph:
    if not rows:
        return graph
    build = GraphBuilder()
    position: list[int] = []
    for node in graph.nodes[:-1]:
        position.append(build.adopt(node, [position[i] for i in inputs_of(node)], graph))
    parts: list[int] = []
    for group in groups:
        if len(group) == 1:
            parts.append(position[root.inputs[group[0]]])
        else:
            node, own = _leaf_of(graph, root, root.inputs[group[0]], [rows[number] for number in group])
            parts.append(build.leaf(node, own))
    return build.build(parts[0] if len(parts) == 1 else build.node(Concat(tuple(parts), root.axis)))


def _leaf_of(graph: Graph, root: Concat, first: int, rows: Sequence[_Rows]) -> tuple[Tiles | Fill, Graph]:
    """One leaf for neighbouring segments, and a graph that has what it names."""
    schema = infer(graph)[first]
    arrays = [array for part in rows for array in part.arrays]
    befores = accumulate((part.extent for part in rows), initial=0)
    starts = [before + start for before, part in zip(befores, rows, strict=False) for start in part.starts]
    shape = (*schema.shape[: root.axis], sum(part.extent for part in rows), *schema.shape[root.axis + 1 :])
    gap = next((part.gap for part in rows if part.gap is not None), None)
    value = schema.fill_value if gap is None else msgspec.json.decode(gap)
    if not arrays:
        return Fill(shape, schema.data_type, value), Graph(())
    kept: dict[bytes, int] = {}
    layouts: list[Layout] = []
    numbers: list[int] = []
    for layout in (layout for part in rows for layout in part.layouts):
        number = kept.setdefault(text_of(layout), len(layouts))
        if number == len(layouts):
            layouts.append(layout)
        numbers.append(number)
    origins = np.zeros((len(arrays), len(schema.shape)), np.int64)
    origins[:, root.axis] = starts
    layouts, of_row, held = folded(layouts, np.array(numbers, np.int32))
    columns = tile_columns(arrays, origins, of_row) | held
    refs = _refs(graph, arrays, columns)
    table = Table(columns)
    tables = {table.name: table} | ({} if refs is None else {refs.name: refs})
    rank = len(arrays[0].shape)
    node = Tiles(
        table=table.name,
        shape=shape,
        data_type=schema.data_type,
        fill_value=value,
        layouts=tuple(range(len(layouts))),
        new_axis=None if rank == len(schema.shape) else root.axis,
        refs=None if refs is None else refs.name,
    )
    return node, Graph((), layouts=layouts, tables=tables)


def _refs(graph: Graph, arrays: Sequence[StoredArray], columns: dict[str, Column]) -> Table | None:
    """The chunk references of all arrays; ``columns`` gets the first row of each."""
    names = dict.fromkeys(array.refs for array in arrays if array.refs is not None)
    if not names:
        return None
    tables = [graph.tables[name] for name in names]
    ends = np.cumsum([table.rows for table in tables], dtype=np.int64)
    first = dict(zip(names, [0, *ends[:-1].tolist()], strict=True))
    starts = [first[array.refs] + array.refs_first for array in arrays if array.refs is not None]
    columns["refs_first"] = np.array(starts, np.int64)
    return Table(
        {name: np.concatenate([np.asarray(table[name]) for table in tables]) for name in sorted(tables[0].columns)}
    )
