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

import msgspec
import numpy as np

from lazyzarr.algebra.boxes import any_overlap
from lazyzarr.algebra.span import Span, is_canonical
from lazyzarr.errors import LazyZarrError, UnsupportedFeature, ViewError, ViewSchemaError
from lazyzarr.ir import extensions, fill
from lazyzarr.ir.boxes import all_rows, constant_problem, row_problems
from lazyzarr.ir.data_type import from_json, to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import VALUE_WISE, Layout, NamedConfig
from lazyzarr.ir.nodes import (
    Boxes,
    Decode,
    Extension,
    Index,
    Node,
    Overlay,
    Recode,
    Source,
    Take,
    Tiles,
    inputs_of,
    of_kind,
)
from lazyzarr.ir.origins import FILE
from lazyzarr.ir.placing import combs_of, tile_combs
from lazyzarr.ir.row_values import columns_of, numbers_of, numbers_problem, problem_of, sample
from lazyzarr.ir.schema import Schema, infer
from lazyzarr.ir.tables import place_of
from lazyzarr.ir.validate_stored import ONLY_TILES, TEXT_COLUMNS, Problem, array_problems, is_plain, table_problems

_MOST_SHOWN = 20
_NAMING = frozenset((Source, Recode, Tiles, Boxes, Take))
"""Node kinds that name something beside nodes."""
_UNSUPPORTED = ("codec-unknown", "graph-node")
CHUNK_KEYS = ("default", "v2")
"""Chunk key encodings that are known."""
METADATA_KEYS = ("zarr.json", ".zarray")
"""Keys of the metadata document of a Zarr array."""


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
    _raise([*array_problems(graph), *table_problems(graph), *_nodes(graph), *_extensions(graph)])
    schemas = infer(graph)
    if weigh is not None:
        weigh(schemas)
    _raise([*_fit(graph, schemas)])
    return schemas


def row_bounds(graph: Graph, schemas: tuple[Schema, ...]) -> dict[tuple[str, str], range]:
    """The numbers that the values of (table, column) are among: the fewest of all uses."""
    held: dict[tuple[str, str], range] = {}

    def bound(table: str, column: str, stop: int, lowest: int = 0) -> None:
        known = held.get((table, column))
        held[table, column] = range(lowest, stop) if known is None else range(lowest, min(stop, known.stop))

    for _, node in of_kind(graph.nodes, Take):
        bound(node.indices, "indices", schemas[node.input].shape[node.axis])
    for _, node in of_kind(graph.nodes, Tiles):
        bound(node.table, "layout", len(node.layouts))
        bound(node.table, "origin", 1 + max(node.shape, default=0))
        if node.refs is not None:
            bound(node.table, "refs_first", graph.tables[node.refs].rows + 1)
            if "state" in graph.tables[node.refs]:
                bound(node.refs, "state", 3)
    for name in [name for name, column in held if column == "origin"]:
        held[name, "shape"] = held[name, "origin"]
        for text in TEXT_COLUMNS:
            if f"{text}_end" in graph.tables[name]:
                bound(name, f"{text}_end", graph.tables[name][text].shape[0] + 1)
    for array in graph.arrays:
        if array.refs is not None:
            table = graph.tables[array.refs]
            states = 3 if array.inline is None else 4
            stops = (("state", states), ("layout", len(array.variants) + 1), ("place", len(array.places) + 1))
            for name, stop in stops:
                if name in table:
                    bound(array.refs, name, stop)
            if array.origins is not None and "origin" in table:
                bound(array.refs, "origin", graph.tables[array.origins].rows, lowest=-1)
        if array.origins is not None:
            bound(array.origins, "layout", len(array.variants) + 1, lowest=FILE)
            bound(array.origins, "url_end", graph.tables[array.origins]["url"].shape[0] + 1)
    return held


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
        if 0 <= array.layout < len(graph.layouts) and is_plain(array):
            continue
        where = f"arrays[{position}]"
        layouts = [("layout", array.layout), *(("variants", index) for index in array.variants)]
        for member, index in layouts:
            if not 0 <= index < len(graph.layouts):
                yield Problem("graph-reference", f"{where}.{member}", f"layout {index} is not there")
        for member in ("refs", "values", "inline", "origins"):
            name = getattr(array, member)
            if name is not None and name not in graph.tables:
                yield Problem("graph-reference", f"{where}.{member}", f"table {name!r} is not there")


def _named_positions(node: Node, graph: Graph) -> Iterator[tuple[str, int, int]]:
    if isinstance(node, Source):
        yield "array", node.array, len(graph.arrays)
    elif isinstance(node, Recode):
        yield "layout", node.layout, len(graph.layouts)
    elif isinstance(node, Tiles):
        for index in node.layouts:
            yield "layouts", index, len(graph.layouts)
    elif isinstance(node, Boxes):
        for index in node.arrays:
            yield "arrays", index, len(graph.arrays)


def _named_tables(node: Node) -> Iterator[tuple[str, str]]:
    if isinstance(node, Take):
        yield "indices", node.indices
    elif isinstance(node, Tiles):
        yield "table", node.table
        if node.refs is not None:
            yield "refs", node.refs
    elif isinstance(node, Boxes):
        yield "table", node.table


def _layouts(graph: Graph) -> Iterator[Problem]:
    for position, layout in enumerate(graph.layouts):
        where = f"layouts[{position}]"
        yield from _caught(where, sample(layout))
        wrong = problem_of(layout)
        if wrong is not None:
            yield Problem("codec-invalid", f"{where}.codecs", wrong)
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
        if columns_of(graph.layouts[node.layout]):
            yield Problem("codec-invalid", where, f"layout {node.layout} {ONLY_TILES}")
        shape = graph.layouts[node.layout].chunk_shape
        if any(graph.layouts[index].chunk_shape != shape for index in chosen):
            yield Problem("graph-shape", where, "the chunk shape of a recode is not that of the source")
    for position, node in of_kind(graph.nodes, Decode):
        where = f"nodes[{position}].codecs"
        if not node.codecs:
            yield Problem("codec-invalid", where, "a decode has at least one codec; this one has none")
        for codec in node.codecs:
            if codec.name not in VALUE_WISE:
                text = f"codec {codec.name[:64]!r} is not value-wise; a decode has no other"
                yield Problem("codec-invalid", where, text)


def _extensions(graph: Graph) -> Iterator[Problem]:
    """Parameters of nodes of other packages are read as strictly as our own."""
    for position, node in of_kind(graph.nodes, Extension):
        where = f"nodes[{position}].kind"
        try:
            extensions.parsed(node.kind, where)
        except ViewError as error:
            yield Problem(error.reason, error.where or where, error.args[0])


def _fit(graph: Graph, schemas: tuple[Schema, ...]) -> Iterator[Problem]:
    """What needs the schemas: types that decodes take, boxes that are disjoint, rows in memory."""
    for position, node in of_kind(graph.nodes, Decode):
        yield from _decoded_type(node.codecs[-1], schemas[node.input], f"nodes[{position}]")
    for position, node in of_kind(graph.nodes, Recode):
        yield from _recoded_values(graph, node, schemas[node.input], f"nodes[{position}]")
    for position, node in of_kind(graph.nodes, Overlay):
        if node.overlap == "error" and len(node.inputs) > 1:
            yield from _disjoint(*combs_of(node, [schemas[k].shape for k in node.inputs]), f"nodes[{position}]")
    for position, node in of_kind(graph.nodes, Boxes):
        yield from _boxes(graph, node, f"nodes[{position}]")
    reach: dict[tuple[str, int | None], list[int]] = {}
    numbered: set[tuple[str, tuple[int, ...]]] = set()
    for position, node in of_kind(graph.nodes, Tiles):
        if graph.tables[node.table].in_memory:
            use = node.table, node.new_axis
            if use not in reach:
                reach[use] = yield from _tile_rows(graph, node, f"nodes[{position}]")
            if any(map(operator.gt, reach[use], node.shape)):
                yield Problem("graph-shape", f"nodes[{position}]", "a tile reaches outside the view")
            if (node.table, node.layouts) not in numbered:
                numbered.add((node.table, node.layouts))
                yield from _tile_numbers(graph, node)
    for (name, column), held in row_bounds(graph, schemas).items():
        values = graph.tables[name][column]
        if (
            isinstance(values, np.ndarray)
            and values.size
            and not held.start <= values.min() <= values.max() < held.stop
        ):
            yield Problem("table-invalid", place_of(name, column), f"a value is outside {held.start}..{held.stop - 1}")


def _recoded_values(graph: Graph, node: Recode, input: Schema, where: str) -> Iterator[Problem]:
    """Cells that are kept with a graph are no bytes: they have the type that the value-wise codecs take."""
    below = graph.nodes[node.input]
    if not isinstance(below, Source) or graph.arrays[below.array].values is None:
        return
    layout = graph.layouts[node.layout]
    decodes = [codec for codec in layout.codecs if codec.name in VALUE_WISE]
    if decodes:
        yield from _decoded_type(decodes[-1], input, where)
    elif to_numpy(layout.data_type) != to_numpy(input.data_type):
        yield Problem("graph-type", where, f"a recode to {layout.data_type}; the cells are {input.data_type}")


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
        if f"{name}_end" in table and (np.diff(np.asarray(table[f"{name}_end"])) < 0).any():
            yield Problem("table-invalid", place_of(node.table, name), "the ends of a text column fall")
    ends = origin.astype(np.uint64) + shape.astype(np.uint64)  # a sum of two int64 may wrap
    if (ends < 2**63).all():
        yield from _disjoint(origin, shape, np.ones_like(origin), where)
    return ends.max(axis=0, initial=0).tolist()


def _tile_numbers(graph: Graph, node: Tiles) -> Iterator[Problem]:
    """Numbers of rows that are none of the type in which they are applied."""
    table = graph.tables[node.table]
    held = numbers_of(table)
    for number, index in enumerate(node.layouts) if held else ():
        mine = np.asarray(table["layout"]) == number
        wrong = numbers_problem(graph.layouts[index], {name: np.asarray(held[name])[mine] for name in held})
        if wrong is not None:
            yield Problem("table-invalid", place_of(node.table, wrong[0]), wrong[1])


def _boxes(graph: Graph, node: Boxes, where: str) -> Iterator[Problem]:
    """Types of the arrays, constants, and rows that are in memory."""
    for number in node.arrays:
        if graph.layouts[graph.arrays[number].layout].data_type != node.data_type:
            yield Problem("graph-type", where, f"array {number} has another type than the boxes")
    for number, constant in enumerate(node.constants):
        wrong = constant_problem(node, constant)
        if wrong is not None:
            yield Problem("graph-shape", f"{where}.constants[{number}]", wrong)
    table = graph.tables[node.table]
    if not table.in_memory:
        return
    rows = all_rows(table)
    found = row_problems(node, rows, [graph.arrays[k].shape for k in node.arrays])
    if found is not None:
        reason, column, text = found
        yield Problem(reason, place_of(node.table, column) if column else where, text)
    elif (np.diff(np.lexsort(rows["origin"].T[::-1])) < 0).any() if node.shape else False:
        yield Problem("graph-canonical", where, "the boxes are not sorted by origin")


def _disjoint(starts: np.ndarray, counts: np.ndarray, steps: np.ndarray, where: str) -> Iterator[Problem]:
    pair = any_overlap(starts, counts, steps)
    if pair is not None:
        yield Problem("overlap", where, f"boxes {pair[0]} and {pair[1]} overlap; the view was declared without overlap")
