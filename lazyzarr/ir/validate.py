"""Whether a graph is a valid one: every invariant, checked without opening anything.

Owns the invariants: order of nodes (I1), reachability (I2), no two equal nodes (I3), canonical spans (I4),
inference (I5); that what a node names is there; that layouts, stored arrays and tables are well formed; that boxes
declared disjoint are. Everything found at one level is reported together.

Refuses to read rows of a table that is not in memory: their values are checked when they are read, by the bounds
of `row_bounds`; to know which codecs can be decoded, and in what order, which compiling a chain tells; and to know
limits, which are the reader's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from lazyzarr.algebra.boxes import any_overlap
from lazyzarr.algebra.grid import chunk_count
from lazyzarr.algebra.span import Span, is_canonical
from lazyzarr.errors import LazyZarrError, UnsupportedFeature, ViewError, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_json, to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Decode, Index, Node, Overlay, Recode, Source, Take, Tiles, inputs_of, of_kind
from lazyzarr.ir.placing import combs_of, tile_combs, tiles_rank
from lazyzarr.ir.schema import Schema, infer
from lazyzarr.ir.tables import Table

_MOST_SHOWN = 20
_NAMING = frozenset((Source, Recode, Tiles, Take))
"""Node kinds that name something beside nodes."""
_NOTHING_NAMED = (None, None, None, (), ())
_UNSUPPORTED = ("codec-unknown",)
CHUNK_KEYS = ("default", "v2")
"""Chunk key encodings that are known."""
METADATA_KEYS = ("zarr.json", ".zarray")
"""Keys of the metadata document of a Zarr array."""
REF_COLUMNS = {"offset": "u8", "length": "u8", "state": "u1", "layout": "i4", "place": "i4"}
"""Columns of a table of chunk references; the first two are required."""
VALUE_CODECS = ("lazyzarr.unpack", "cast_value", "scale_offset")
"""Codecs that work cell by cell; the only ones of a decode node."""
TEXT_COLUMNS = ("url", "etag", "digest")
"""Columns of UTF-8 bytes; each has a column ``<name>_end`` with the end of each row."""
_TILE_NUMBERS = {"layout": "i4", "size": "i8", "mtime_ns": "i8", "inode": "i8", "refs_first": "i8"}


class Problem(NamedTuple):
    """One thing that is wrong."""

    reason: str
    where: str
    text: str


def validate(graph: Graph, weigh: Callable[[tuple[Schema, ...]], None] | None = None) -> tuple[Schema, ...]:
    """Schemas of all nodes of a graph that keeps every invariant.

    Parameters
    ----------
    graph
        Any graph, as a document or a program gave it.
    weigh
        Called with the schemas, before what may cost more than reading them; it may refuse.

    Raises
    ------
    ViewError
        `UnsupportedFeature` or `ViewSchemaError`; the reason and the place are those of the first problem, the text
        lists all that were found.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> validate(Graph([Fill((2,), "int8", 0)]))[-1].shape
    (2,)
    """
    _raise([*_structure(graph), *_layouts(graph)])
    _raise([*_arrays(graph), *_tables(graph), *_nodes(graph)])
    schemas = infer(graph)
    if weigh is not None:
        weigh(schemas)
    _raise([*_fit(graph, schemas)])
    return schemas


def row_bounds(graph: Graph, schemas: tuple[Schema, ...]) -> dict[tuple[str, str], int]:
    """The numbers below which the values of (table, column) are, none being below 0: the least of all uses."""
    below: dict[tuple[str, str], int] = {}

    def bound(table: str, column: str, stop: int) -> None:
        below[table, column] = min(stop, below.get((table, column), stop))

    for _, node in of_kind(graph.nodes, Take):
        bound(node.indices, "indices", schemas[node.input].shape[node.axis])
    for _, node in of_kind(graph.nodes, Tiles):
        bound(node.table, "layout", len(node.layouts))
        bound(node.table, "origin", 1 + max(node.shape, default=0))
        if node.refs is not None:
            bound(node.table, "refs_first", graph.tables[node.refs].rows + 1)
            if "state" in graph.tables[node.refs]:
                bound(node.refs, "state", 3)
    for name in [name for name, column in below if column == "origin"]:
        below[name, "shape"] = below[name, "origin"]
        for text in TEXT_COLUMNS:
            if text in graph.tables[name]:
                bound(name, f"{text}_end", graph.tables[name][text].shape[0] + 1)
    for array in graph.arrays:
        if array.refs is not None:
            table = graph.tables[array.refs]
            states = 3 if array.inline is None else 4
            stops = (("state", states), ("layout", len(array.variants) + 1), ("place", len(array.places) + 1))
            for name, stop in stops:
                if name in table:
                    bound(array.refs, name, stop)
    return below


def _raise(problems: list[Problem]) -> None:
    if not problems:
        return
    kind: type[ViewError] = ViewSchemaError
    first = next((p for p in problems if p.reason in _UNSUPPORTED), problems[0])
    if first.reason in _UNSUPPORTED:
        kind = UnsupportedFeature
    if len(problems) == 1:
        raise kind(first.text, reason=first.reason, where=first.where)
    lines = [f"{p.where}: {p.text}" for p in problems[:_MOST_SHOWN]]
    if len(problems) > _MOST_SHOWN:
        lines.append(f"and {len(problems) - _MOST_SHOWN} more")
    raise kind(
        "\n  - ".join((f"the graph has {len(problems)} problems; correct them:", *lines)),
        reason=first.reason,
        where=first.where,
    )


def _structure(graph: Graph) -> Iterator[Problem]:
    """I1, I2, I3, and that all that is named is there."""
    if not graph.nodes:
        yield Problem("graph-empty", "nodes", "the graph has no nodes; the last node is the view")
        return
    used = bytearray(len(graph.nodes))
    used[-1] = 1
    seen: dict[bytes, int] = {}
    encode = msgspec.json.Encoder(order="deterministic").encode
    for position, node in enumerate(graph.nodes):
        for input in inputs_of(node):
            if not 0 <= input < position:
                text = f"input {input} is not before node {position}; inputs come first"
                yield Problem("graph-order", f"nodes[{position}]", text)
            else:
                used[input] = 1
        first = seen.setdefault(encode(node), position)
        if first != position:
            text = f"the node equals node {first}; name that one twice instead"
            yield Problem("graph-duplicate", f"nodes[{position}]", text)
        if type(node) not in _NAMING:
            continue
        for member, index, length in _named_positions(node, graph):
            if not 0 <= index < length:
                yield Problem("graph-reference", f"nodes[{position}].{member}", f"{member} {index} is not there")
        for member, name in _named_tables(node):
            if name not in graph.tables:
                yield Problem("graph-reference", f"nodes[{position}].{member}", f"table {name!r} is not there")
    for position in np.flatnonzero(np.frombuffer(used, np.uint8) == 0).tolist():
        yield Problem("graph-unreachable", f"nodes[{position}]", "no node on the way to the view uses this one")
    for position, array in enumerate(graph.arrays):
        if 0 <= array.layout < len(graph.layouts) and _is_plain(array):
            continue
        where = f"arrays[{position}]"
        for index in (array.layout, *array.variants):
            if not 0 <= index < len(graph.layouts):
                yield Problem("graph-reference", where, f"layout {index} is not there")
        for name in (array.refs, array.values, array.inline):
            if name is not None and name not in graph.tables:
                yield Problem("graph-reference", where, f"table {name!r} is not there")


def _named_positions(node: Node, graph: Graph) -> Iterator[tuple[str, int, int]]:
    if isinstance(node, Source):
        yield "array", node.array, len(graph.arrays)
    elif isinstance(node, Recode):
        yield "layout", node.layout, len(graph.layouts)
    elif isinstance(node, Tiles):
        for index in node.layouts:
            yield "layouts", index, len(graph.layouts)


def _named_tables(node: Node) -> Iterator[tuple[str, str]]:
    if isinstance(node, Take):
        yield "indices", node.indices
    elif isinstance(node, Tiles):
        yield "table", node.table
        if node.refs is not None:
            yield "refs", node.refs


def _layouts(graph: Graph) -> Iterator[Problem]:
    for position, layout in enumerate(graph.layouts):
        where = f"layouts[{position}]"
        yield from _caught(where, layout)
        if any(length < 1 for length in layout.chunk_shape):
            yield Problem("graph-shape", f"{where}.chunk_shape", "a chunk has a length below 1")
        if layout.metadata not in METADATA_KEYS:
            yield Problem(
                "document-member", f"{where}.metadata", f"no Zarr array has its metadata at {layout.metadata!r}"
            )
        if layout.chunk_keys.name not in CHUNK_KEYS:
            yield Problem(
                "codec-unknown", f"{where}.chunk_keys", f"chunk keys {layout.chunk_keys.name!r} are not known"
            )
        elif layout.chunk_keys.configuration.get("separator", "/") not in ("/", ".") or set(
            layout.chunk_keys.configuration
        ) - {"separator"}:
            yield Problem("codec-invalid", f"{where}.chunk_keys", 'the separator of chunk keys is not "/" or "."')


def _caught(where: str, layout: Layout) -> Iterator[Problem]:
    try:
        to_numpy(layout.data_type)
        fill.from_json(layout.fill_value, layout.data_type)
    except LazyZarrError as error:
        yield Problem(error.reason, where, str(error))


def _arrays(graph: Graph) -> Iterator[Problem]:
    for position, array in enumerate(graph.arrays):
        layout = graph.layouts[array.layout]
        if _is_plain(array) and len(layout.chunk_shape) == len(array.shape) and min(array.shape, default=0) >= 0:
            continue  # nearly all of very many
        where = f"arrays[{position}]"
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
        if (array.location is None) == (array.values is None) or (array.values is not None and array.refs is not None):
            yield Problem(
                "document-member", where, "an array has either a location or values, and refs beside a location"
            )
        elif array.values is not None:
            yield from _values(array, layout, graph.tables[array.values], f"tables.{array.values}")
        elif array.refs is not None and len(layout.chunk_shape) == len(array.shape):
            yield from _refs(array, graph.tables[array.refs], chunk_count(array.shape, layout.chunk_shape), where)
        elif array.variants or array.places or array.inline is not None:
            yield Problem("document-member", where, "variants, places and inline have no meaning without refs")
        if array.inline is not None:
            inline = graph.tables[array.inline]
            where = f"tables.{array.inline}"
            yield from _columns(inline, {"bytes": "u1"}, ("bytes",), where)


def _is_plain(array: StoredArray) -> bool:
    """Whether all that the array names is a location and a layout."""
    return array.location is not None and (
        (array.refs, array.values, array.inline, array.variants, array.places) == _NOTHING_NAMED
    )


def _alike(left: Layout, right: Layout) -> bool:
    return left.data_type == right.data_type and left.chunk_shape == right.chunk_shape


def _values(array: StoredArray, layout: Layout, table: Table, where: str) -> Iterator[Problem]:
    if set(table.columns) != {"values"}:
        yield Problem("table-invalid", where, "a table of values has the one column values")
        return
    column = table["values"]
    shape = array.shape or (1,)  # a column has rows, so one cell stands for rank 0
    if column.shape != shape or column.dtype != to_numpy(layout.data_type):
        yield Problem(
            "table-invalid",
            where,
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


def _tables(graph: Graph) -> Iterator[Problem]:
    """Columns of each table against what the table is used for."""
    reference = {array.refs for array in graph.arrays if array.refs is not None}
    reference |= {node.refs for _, node in of_kind(graph.nodes, Tiles) if node.refs is not None}
    for name in sorted(reference):
        yield from _columns(graph.tables[name], REF_COLUMNS, ("offset", "length"), f"tables.{name}")
    for name in dict.fromkeys(node.indices for _, node in of_kind(graph.nodes, Take)):
        yield from _columns(graph.tables[name], {"indices": "i8"}, ("indices",), f"tables.{name}")
    seen: set[tuple[object, ...]] = set()
    for _, node in of_kind(graph.nodes, Tiles):
        use = (node.table, len(node.shape), node.new_axis, node.refs is None)
        if use not in seen:
            seen.add(use)
            yield from _tile_table(graph, node)
        for index in node.layouts:
            layout = graph.layouts[index]
            if layout.data_type != node.data_type or len(layout.chunk_shape) != tiles_rank(node):
                text = f"layout {index} has another type or rank than the tiles"
                yield Problem("graph-type", f"tables.{node.table}", text)


def _columns(table: Table, known: dict[str, str], required: tuple[str, ...], where: str) -> Iterator[Problem]:
    rows = {column.shape[:1] for column in table.columns.values()}
    for name in required:
        if name not in table:
            yield Problem("table-invalid", where, f"the column {name} is missing")
    for name, column in table.columns.items():
        if name not in known:
            yield Problem("table-invalid", f"{where}.{name}", "the column is not known")
        elif column.dtype != np.dtype(known[name]) or len(column.shape) != 1:
            yield Problem(
                "table-invalid",
                f"{where}.{name}",
                f"the column is {column.dtype} of rank {len(column.shape)}, not {np.dtype(known[name])} of rank 1",
            )
    if len(rows) > 1:
        yield Problem("table-invalid", where, "the columns have different lengths")


def _tile_table(graph: Graph, node: Tiles) -> Iterator[Problem]:
    table, where = graph.tables[node.table], f"tables.{node.table}"
    rank = len(node.shape)
    if node.new_axis is not None and not 0 <= node.new_axis < rank:
        yield Problem("graph-shape", where, f"new axis {node.new_axis} is outside the rank {rank}")
    wide = {"origin": rank, "shape": tiles_rank(node)}
    texts = [name for name in TEXT_COLUMNS if name in table or f"{name}_end" in table]
    numbers = {**_TILE_NUMBERS, **{f"{name}_end": "i8" for name in texts}}
    blobs = {"url", *texts}
    flat = Table({k: c for k, c in table.columns.items() if k not in wide and k not in blobs}, name=table.name)
    required = ("layout", "url_end", *(f"{name}_end" for name in texts), *(("refs_first",) if node.refs else ()))
    yield from _columns(flat, numbers, tuple(dict.fromkeys(required)), where)
    for name, width in wide.items():
        if name not in table or table[name].shape[1:] != (width,) or table[name].dtype != np.dtype("i8"):
            yield Problem("table-invalid", f"{where}.{name}", f"the column is not int64 (rows, {width})")
        elif "layout" in table and table[name].shape[:1] != table["layout"].shape:
            yield Problem("table-invalid", f"{where}.{name}", "the column has another length than layout")
    for name in sorted(blobs):
        if name not in table or table[name].dtype != np.dtype("u1") or len(table[name].shape) != 1:
            yield Problem("table-invalid", f"{where}.{name}", "the text column is not uint8 of rank 1")


def _nodes(graph: Graph) -> Iterator[Problem]:
    """I4, and what inference takes for granted."""
    for position, node in of_kind(graph.nodes, Index):
        for axis, key in enumerate(node.axes):
            if isinstance(key, Span) and not is_canonical(key):
                where = f"nodes[{position}].axes[{axis}]"
                yield Problem("graph-canonical", where, f"{key} is not in its one spelling")
    for position, node in of_kind(graph.nodes, Recode):
        where = f"nodes[{position}]"
        below = graph.nodes[node.input]
        if not isinstance(below, Source | Tiles):
            yield Problem("graph-type", where, "a recode is right above a source or tiles; this one is not")
            continue
        chosen = (graph.arrays[below.array].layout,) if isinstance(below, Source) else below.layouts
        shape = graph.layouts[node.layout].chunk_shape
        if any(graph.layouts[index].chunk_shape != shape for index in chosen):
            yield Problem("graph-shape", where, "the chunk shape of a recode is not that of the source")
    for position, node in of_kind(graph.nodes, Decode):
        where = f"nodes[{position}].codecs"
        if not node.codecs:
            yield Problem("codec-invalid", where, "a decode has at least one codec; this one has none")
        for number, codec in enumerate(node.codecs):
            if codec.name not in VALUE_CODECS:
                text = f"codec {codec.name[:64]!r} is not value-wise; a decode has no other"
                yield Problem("codec-invalid", f"{where}[{number}]", text)


def _fit(graph: Graph, schemas: tuple[Schema, ...]) -> Iterator[Problem]:
    """What needs the schemas: types that decodes take, boxes that are disjoint, rows in memory."""
    for position, node in of_kind(graph.nodes, Decode):
        yield from _decoded_type(node.codecs[-1], schemas[node.input], f"nodes[{position}]")
    for position, node in of_kind(graph.nodes, Overlay):
        if node.overlap == "error" and len(node.inputs) > 1:
            yield from _disjoint(*combs_of(node, [schemas[k].shape for k in node.inputs]), f"nodes[{position}]")
    reach: dict[tuple[str, int | None], list[int]] = {}
    for position, node in of_kind(graph.nodes, Tiles):
        if graph.tables[node.table].in_memory:
            use = node.table, node.new_axis
            if use not in reach:
                reach[use] = yield from _tile_rows(graph, node, f"nodes[{position}]")
            if any(map(operator.gt, reach[use], node.shape)):
                yield Problem("graph-shape", f"nodes[{position}]", "a tile reaches outside the view")
    for (name, column), stop in row_bounds(graph, schemas).items():
        values = graph.tables[name][column]
        if isinstance(values, np.ndarray) and values.size and not 0 <= values.min() <= values.max() < stop:
            yield Problem("table-invalid", f"tables.{name}.{column}", f"a value is outside 0..{stop - 1}")


def _decoded_type(codec: NamedConfig, input: Schema, where: str) -> Iterator[Problem]:
    """The codec nearest to the stored side names the type that it takes."""
    member = {"cast_value": "data_type", "lazyzarr.unpack": "stored_type"}.get(codec.name)
    if member is None:
        return
    try:
        stored = to_numpy(from_json(codec.configuration.get(member)))
    except LazyZarrError as error:
        yield Problem(error.reason, f"{where}.codecs", str(error))
        return
    if stored != to_numpy(input.data_type):
        yield Problem("graph-type", where, f"the decode takes {stored}, its input is {input.data_type}")


def _tile_rows(graph: Graph, node: Tiles, where: str) -> Generator[Problem, None, list[int]]:
    """Problems of the rows of a table in memory, whatever view they are part of; how far they reach on each axis."""
    table = graph.tables[node.table]
    origin, shape, _ = tile_combs(graph, node)
    if (shape < 0).any() or (origin < 0).any():
        yield Problem("graph-shape", where, "a tile reaches outside the view")
        return []
    order = np.lexsort(origin.T[::-1]) if origin.shape[1] else np.arange(len(origin))
    if (np.diff(order) < 0).any():
        yield Problem("graph-canonical", where, "the tiles are not sorted by origin")
    for name in TEXT_COLUMNS:
        if name in table and (np.diff(np.asarray(table[f"{name}_end"])) < 0).any():
            yield Problem("table-invalid", f"tables.{node.table}.{name}_end", "the ends of a text column fall")
    ends = origin.astype(np.uint64) + shape.astype(np.uint64)  # a sum of two int64 may wrap
    if (ends < 2**63).all():
        yield from _disjoint(origin, shape, np.ones_like(origin), where)
    return ends.max(axis=0, initial=0).tolist()


def _disjoint(starts: np.ndarray, counts: np.ndarray, steps: np.ndarray, where: str) -> Iterator[Problem]:
    pair = any_overlap(starts, counts, steps)
    if pair is not None:
        yield Problem("overlap", where, f"boxes {pair[0]} and {pair[1]} overlap; the view was declared without overlap")
