"""What a document may cost: `Limits`, and the exact costs compared with them.

Owns the limits a reader sets on a document that it did not write, and counting, with exact integers, before anything
in proportion to the count is made. Refuses to guess: a cost over its limit is an error that names the limit, the
value and how to raise it; nothing is cut short.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from lazyzarr.errors import LazyZarrError, ViewLimitError
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout
from lazyzarr.ir.nodes import (
    Broadcast,
    Concat,
    Decode,
    Fill,
    Index,
    Node,
    Overlay,
    Recode,
    Take,
    Tiles,
    Transpose,
    inputs_of,
)

_SINGLE = (Index, Take, Transpose, Broadcast, Recode, Decode)
"""Node kinds with exactly one input."""


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of a document; raised only by whoever opens it.

    Examples
    --------
    >>> Limits(nodes=10).nodes, Limits().rank
    (10, 32)
    """

    document_bytes: int = 64 << 20
    """Length of the text of a document [bytes]."""
    json_depth: int = 64
    """Arrays and objects inside each other."""
    json_values: int = 4_000_000
    """Values in the text: what a parser has to make."""
    integer_digits: int = 20
    """Digits of one integer; 20 are enough for 64 bits."""
    nodes: int = 100_000
    edges: int = 1_000_000
    """Inputs of all nodes together."""
    graph_depth: int = 256
    """Nodes on the longest way, counted as `graph_depth` does."""
    rank: int = 32
    inline_bytes: int = 1 << 20
    """One in-memory array kept beside the document [bytes]."""
    inline_total: int = 16 << 20
    """All in-memory arrays kept beside the document [bytes]."""
    codecs: int = 16
    """Codecs of one chain."""
    url_characters: int = 2048
    nested_views: int = 8
    """Documents that are opened because a document names them, inside each other."""
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
    limits.check("nodes", len(graph.nodes), where="nodes")
    limits.check("edges", sum(len(inputs_of(node)) for node in graph.nodes), where="nodes")
    limits.check("graph_depth", graph_depth(graph.nodes), where="nodes")
    for where, rank in _ranks(graph):
        limits.check("rank", rank, where=where)
    for position, layout in enumerate(graph.layouts):
        limits.check("codecs", len(layout.codecs), where=f"layouts[{position}].codecs")
        limits.check("chunk_bytes", chunk_bytes(layout), where=f"layouts[{position}].chunk_shape")
    for position, node in enumerate(graph.nodes):
        if isinstance(node, Decode):
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

    A run of nodes with one input each counts as one, and so does a run of concats along one axis of which each is
    used once: such runs are one node in canonical form, so appending again and again is not deep.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Transpose
    >>> graph_depth([Fill((1, 1), "int8", 0), *(Transpose(k, (1, 0)) for k in range(9))])
    2
    """
    uses = [0] * len(nodes)
    for node in nodes:
        for input in inputs_of(node):
            if 0 <= input < len(nodes):
                uses[input] += 1
    depth: list[int] = []
    for position, node in enumerate(nodes):
        below = (k for k in inputs_of(node) if 0 <= k < position)
        depth.append(max((depth[k] + (not _one_run(node, nodes[k], uses[k])) for k in below), default=1))
    return max(depth, default=0)


def chunk_bytes(layout: Layout) -> int:
    """Length of one decoded chunk; variable-length types count as pointers [bytes]."""
    return math.prod(max(n, 1) for n in layout.chunk_shape) * _item_bytes((layout,), 0)


def _one_run(node: Node, below: Node, uses: int) -> bool:
    if isinstance(node, Concat) and isinstance(below, Concat):
        return node.axis == below.axis and uses == 1
    return isinstance(node, _SINGLE) and isinstance(below, _SINGLE)


def _item_bytes(layouts: Sequence[Layout], position: int) -> int:
    """Bytes per cell; 1 for a type or a position that validation is about to refuse."""
    if not 0 <= position < len(layouts):
        return 1
    try:
        return max(to_numpy(layouts[position].data_type).itemsize, 1)
    except LazyZarrError:
        return 1


def _ranks(graph: Graph) -> Iterator[tuple[str, int]]:
    for position, layout in enumerate(graph.layouts):
        yield f"layouts[{position}].chunk_shape", len(layout.chunk_shape)
    for position, array in enumerate(graph.arrays):
        yield f"arrays[{position}].shape", len(array.shape)
    for position, node in enumerate(graph.nodes):
        if isinstance(node, Fill | Tiles | Broadcast | Overlay):
            yield f"nodes[{position}].shape", len(node.shape)
    # A stack adds one axis to its inputs, so its rank is known only where the shapes are; `check_rank` is for those.


def check_rank(shapes: Sequence[tuple[int, ...]], limits: Limits) -> None:
    """Compare the ranks of all nodes with the limit.

    Raises
    ------
    ViewLimitError
        For the first node of too high a rank.
    """
    for position, shape in enumerate(shapes):
        limits.check("rank", len(shape), where=f"nodes[{position}]")
