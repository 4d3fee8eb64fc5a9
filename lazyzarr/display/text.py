"""The repr of a view in a terminal: a header, then its nodes in short form.

Owns the bound: a dozen lines and little work, whatever the size of the graph. Refuses to touch storage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lazyzarr.display import spelling
from lazyzarr.display.flat import glance
from lazyzarr.display.nodes import node_lines
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Source
from lazyzarr.ir.schema import Schema

MOST_SOURCES = 4
MOST_NODES = 10
MOST_COLUMNS = 160


def header(graph: Graph, schema: Schema, dims: Sequence[str | None] | None) -> str:
    """Shape, type, class if it is known or cheap, and size of the values."""
    known = glance(graph)
    parts = [
        f"lazyzarr.View {spelling.shape(schema.shape, dims)} {spelling.data_type(schema.data_type)}",
        *([known.level] if known else []),
        spelling.size(math.prod(schema.shape) * to_numpy(schema.data_type).itemsize),
    ]
    return f"<{'  '.join(parts)}>"


def view_text(graph: Graph, schema: Schema, dims: Sequence[str | None] | None) -> str:
    """Header and node list of a view.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> from lazyzarr.ir.schema import infer
    >>> g = Graph([Fill((2, 3), "int8", 0)])
    >>> print(view_text(g, infer(g)[-1], ("y", "x")))
    <lazyzarr.View (y: 2, x: 3) int8  L0  6 B>
      0  fill      (2, 3) int8  value 0
    """
    shown, hidden = chosen(graph)
    lines = [line if len(line) <= MOST_COLUMNS else line[: MOST_COLUMNS - 1] + "…" for line in node_lines(graph, shown)]
    if hidden:
        left = sum(isinstance(node, Source) for node in graph.nodes)
        left -= sum(isinstance(graph.nodes[k], Source) for k in shown)
        also = f", {left:,} of them sources" if left else ""
        lines.append(f"... and {spelling.many(hidden, 'more node')}{also}")
    return "\n".join([header(graph, schema, dims), *("  " + line for line in lines)])


def chosen(graph: Graph) -> tuple[list[int], int]:
    """Positions that are shown, and how many are not: the first sources and the nodes nearest to the view."""
    total = len(graph.nodes)
    if total <= MOST_NODES:
        return list(range(total)), 0
    sources: list[int] = []
    for position, node in enumerate(graph.nodes):
        if isinstance(node, Source):
            sources.append(position)
            if len(sources) == MOST_SOURCES:
                break
    last = range(max(total - (MOST_NODES - len(sources)), 0), total)
    shown = sorted({*sources, *last})
    return shown, total - len(shown)
