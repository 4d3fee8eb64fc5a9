"""What a document may cost: `Limits`, and the exact costs compared with them.

Owns the limits a reader sets on a document that it did not write, and counting, with exact integers, before anything
in proportion to the count is made. Refuses to guess: a cost over its limit is an error that names the limit, the
value and how to raise it; nothing is cut short.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from msgspec import Struct

from lazyzarr.algebra.boxes import pairs_compared
from lazyzarr.errors import LazyZarrError, ViewLimitError
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig
from lazyzarr.ir.nodes import (
    Boxes,
    Broadcast,
    Concat,
    Decode,
    Fill,
    Index,
    Node,
    Overlay,
    Recode,
    Tiles,
    Transpose,
    inputs_of,
    of_kind,
)
from lazyzarr.ir.placing import combs_of, tile_combs
from lazyzarr.ir.schema import MAX_CELLS

_FUSED = frozenset((Index, Transpose, Broadcast, Recode))
"""Node kinds with one input of which a run is one or two nodes in canonical form."""
_SHAPED = frozenset((Fill, Tiles, Boxes, Broadcast, Overlay))
"""Node kinds that say their own shape."""


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of a document; raised only by whoever opens it.

    Examples
    --------
    >>> Limits(nodes=10).nodes, Limits().rank
    (10, 32)
    """

    document_bytes: int = 32 << 20
    """Length of the text of a document [bytes]."""
    json_depth: int = 64
    """Arrays and objects inside each other."""
    json_values: int = 1_000_000
    """Values in the text: what a parser has to make."""
    integer_digits: int = 20
    """Digits of one integer; 20 are enough for 64 bits."""
    nodes: int = 50_000
    edges: int = 250_000
    """Inputs of all nodes together."""
    arrays: int = 30_000
    """Stored arrays named one by one, and the further places of their chunks."""
    columns: int = 5_000
    """Columns of all tables together."""
    inline_cells: int = 100_000
    """Cells of all tables that are inside the document."""
    box_pairs: int = 4_000_000
    """Pairs of boxes of one overlay that are compared to know which overlap; combs of different steps count more."""
    graph_depth: int = 256
    """Nodes on the longest way, counted as `graph_depth` does."""
    rank: int = 32
    inline_bytes: int = 1 << 20
    """One in-memory array kept beside the document [bytes]."""
    inline_total: int = 16 << 20
    """All in-memory arrays kept beside the document [bytes]."""
    codecs: int = 16
    """Codecs of one chain."""
    layout_codecs: int = 20_000
    """Codecs of all chains of layouts together, those inside shards included."""
    url_characters: int = 2048
    extensions: int = 8
    """Node kinds of other packages; 0 forbids them all, installed or not."""
    chunk_bytes: int = 2 << 30
    """One decoded chunk of a source [bytes]."""
    table_chunk_bytes: int = 32 << 20
    """One decoded chunk of a table [bytes]."""

    def check(self, which: str, value: int, *, where: str | None = None) -> None:
        """Return if a cost is within its limit.

        Raises
        ------
        ViewLimitError
            Naming the limit, the value and how to raise it.

        Examples
        --------
        >>> Limits(nodes=10).check("nodes", 10)
        """
        limit: int = getattr(self, which)
        if value > limit:
            raise ViewLimitError(which, value, limit, where=where)


def check_costs(graph: Graph, limits: Limits) -> None:
    """Compare every cost of a graph with its limit; the graph need not be valid.

    Raises
    ------
    ViewLimitError
        For the first cost over its limit.
    """
    constants = sum(len(node.constants) for _, node in of_kind(graph.nodes, Boxes))
    limits.check("nodes", len(graph.nodes) + constants, where="nodes")
    limits.check("edges", sum(map(len, map(inputs_of, graph.nodes))), where="nodes")
    limits.check("graph_depth", graph_depth(graph.nodes), where="nodes")
    _check_ranks(graph, limits)
    limits.check("layout_codecs", sum(map(_codecs_of, graph.layouts)), where="layouts")
    for position, layout in enumerate(graph.layouts):
        limits.check("codecs", longest_chain(layout.codecs), where=f"layouts[{position}].codecs")
        limits.check("chunk_bytes", chunk_bytes(layout), where=f"layouts[{position}].chunk_shape")
    for position, node in of_kind(graph.nodes, Decode):
        if len(node.codecs) > limits.codecs:
            limits.check("codecs", len(node.codecs), where=f"nodes[{position}].codecs")
    kept = {array.values: (array, position) for position, array in enumerate(graph.arrays) if array.values is not None}
    total = 0
    for array, position in kept.values():
        size = math.prod(array.shape) * _item_bytes(graph.layouts, array.layout)
        limits.check("inline_bytes", size, where=f"arrays[{position}]")
        total += size
    inline = {array.inline: position for position, array in enumerate(graph.arrays) if array.inline in graph.tables}
    for name, position in inline.items():
        size = sum(math.prod(column.shape) for column in graph.tables[name or ""].columns.values())
        limits.check("inline_bytes", size, where=f"arrays[{position}]")
        total += size
    limits.check("inline_total", total, where="arrays")


def graph_depth(nodes: Sequence[Node]) -> int:
    """Nodes on the longest way from a leaf to the view, not counting what a canonical graph does not have.

    A run of indices, transposes, broadcasts and recodes counts as one, and so does a run of concats along one axis of
    which each is used once: such runs are one node in canonical form, so appending again and again is not deep.
    Takes and decodes count each: every one adds to the work of every chunk.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Transpose
    >>> graph_depth([Fill((1, 1), "int8", 0), *(Transpose(k, (1, 0)) for k in range(9))])
    2
    """
    inputs = [inputs_of(node) for node in nodes]
    uses = Counter(itertools.chain.from_iterable(inputs))
    depth: list[int] = []
    for position, node in enumerate(nodes):
        below = inputs[position]
        if len(below) > 1:
            if min(below) < 0 or max(below) >= position:
                below = tuple(k for k in below if 0 <= k < position)
            most = max(map(depth.__getitem__, below), default=0)
            # one more than the deepest input, unless all inputs that are so deep are of one run with the node
            runs = (_one_run(node, nodes[k], uses[k]) for k in below if depth[k] == most)
            depth.append(most if most and all(runs) else most + 1)
        elif below and 0 <= below[0] < position:
            depth.append(depth[below[0]] + (not _one_run(node, nodes[below[0]], uses[below[0]])))
        else:
            depth.append(1)
    return max(depth, default=0)


def chunk_bytes(layout: Layout) -> int:
    """Length of one decoded chunk; variable-length types count as pointers [bytes]."""
    return math.prod(max(n, 1) for n in layout.chunk_shape) * _item_bytes((layout,), 0)


def _one_run(node: Node, below: Node, uses: int) -> bool:
    if type(node) is Concat:
        return type(below) is Concat and node.axis == below.axis and uses == 1
    return type(node) in _FUSED and type(below) in _FUSED


def _item_bytes(layouts: Sequence[Layout], position: int) -> int:
    """Bytes per cell; 1 for a type or a position that validation is about to refuse."""
    if not 0 <= position < len(layouts):
        return 1
    try:
        return max(to_numpy(layouts[position].data_type).itemsize, 1)
    except LazyZarrError:
        return 1


def _check_ranks(graph: Graph, limits: Limits) -> None:
    """A stack adds one axis to its inputs, so its rank is known only where the shapes are; `check_shapes` is for those."""
    shaped = (node if type(node) in _SHAPED else None for node in graph.nodes)
    shapes: Iterable[tuple[str, Iterable[tuple[int, ...]]]] = (
        ("layouts[{}].chunk_shape", (layout.chunk_shape for layout in graph.layouts)),
        ("arrays[{}].shape", (array.shape for array in graph.arrays)),
        ("nodes[{}].shape", (() if node is None else node.shape for node in shaped)),  # type: ignore[union-attr]
    )
    for where, found in shapes:
        for position, shape in enumerate(found):
            if len(shape) > limits.rank:
                limits.check("rank", len(shape), where=where.format(position))


def check_shapes(graph: Graph, shapes: Sequence[tuple[int, ...]], limits: Limits) -> None:
    """Compare with the limits what only the shapes of all nodes tell: their ranks, and pairs of boxes.

    Rows of tables that are not in memory are left out: they are compared when they are read.

    Raises
    ------
    ViewLimitError
        For the first node over a limit.
    """
    for position, shape in enumerate(shapes):
        if len(shape) > limits.rank:
            limits.check("rank", len(shape), where=f"nodes[{position}]")
    for position, node in of_kind(graph.nodes, Overlay):
        if len(node.inputs) > 1:
            combs = combs_of(node, [shapes[k] for k in node.inputs])
            limits.check("box_pairs", pairs_compared(*combs), where=f"nodes[{position}]")
    for position, node in of_kind(graph.nodes, Boxes):
        table = graph.tables[node.table]
        if table.in_memory and table.rows <= limits.inline_cells:
            combs = (np.asarray(table[name]) for name in ("origin", "count", "stride"))
            limits.check("box_pairs", _comb_pairs(*combs), where=f"nodes[{position}]")
    weighed: set[tuple[str, int | None]] = set()
    for position, node in of_kind(graph.nodes, Tiles):
        table = graph.tables[node.table]
        if (node.table, node.new_axis) in weighed or table.rows > limits.inline_cells or not table.in_memory:
            continue
        weighed.add((node.table, node.new_axis))
        limits.check("box_pairs", _comb_pairs(*tile_combs(graph, node)), where=f"nodes[{position}]")


def _comb_pairs(starts: np.ndarray, counts: np.ndarray, steps: np.ndarray) -> int:
    """Rows that are no boxes are refused by validation without comparing pairs."""
    sound = (starts >= 0).all() and (counts >= 0).all() and (steps >= 1).all()
    sound = sound and (starts <= MAX_CELLS).all() and (counts <= (MAX_CELLS - starts) // np.maximum(steps, 1)).all()
    return pairs_compared(starts, counts, steps) if sound else 0


def longest_chain(codecs: Sequence[NamedConfig]) -> int:
    """Codecs of the longest of a chain and those inside its shards.

    Examples
    --------
    >>> longest_chain([NamedConfig("sharding_indexed", {"codecs": [{"name": "bytes"}, {"name": "crc32c"}]})])
    2
    """
    return max(len(codecs), *(_longest_inside(codec.configuration) for codec in codecs), 0)


def _longest_inside(configuration: Mapping[str, Any]) -> int:
    longest = 0
    for inner in _chains_inside(configuration):
        longest = max(longest, len(inner), *map(_longest_inside, _configurations(inner)), 0)
    return longest


def _codecs_of(layout: Layout) -> int:
    return len(layout.codecs) + sum(_inner_codecs(codec.configuration) for codec in layout.codecs)


def _inner_codecs(configuration: Mapping[str, Any]) -> int:
    """Codecs inside a codec; text is no deeper than `Limits.json_depth`."""
    return sum(len(inner) + sum(map(_inner_codecs, _configurations(inner))) for inner in _chains_inside(configuration))


def _chains_inside(configuration: Mapping[str, Any]) -> Iterator[list[Any]]:
    for member in ("codecs", "index_codecs"):
        inner = configuration.get(member)
        if isinstance(inner, list):
            yield cast(list[Any], inner)


def _configurations(codecs: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    for codec in codecs:
        own = cast(dict[str, Any], codec).get("configuration") if isinstance(codec, dict) else None
        if isinstance(own, dict):
            yield cast(dict[str, Any], own)
