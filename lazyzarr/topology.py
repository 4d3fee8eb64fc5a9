"""A graph as a `networkx.DiGraph`, for algorithms over graphs and for drawing.

Owns the one conversion. Refuses to be imported by anything that must start fast: networkx takes 0.1 s.
"""

from __future__ import annotations

import networkx

from lazyzarr.display.nodes import label
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import inputs_of, name_of
from lazyzarr.ir.schema import infer


def digraph(graph: Graph) -> networkx.DiGraph[int]:
    """Nodes are positions with ``op``, ``shape``, ``data_type`` and ``label``; edges go from input to user.

    A node that is several inputs of one user has one edge, whose ``position`` lists all the slots.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Concat, Fill
    >>> g = digraph(Graph([Fill((2,), "int8", 0), Concat((0, 0), 0)]))
    >>> g.nodes[1]["shape"], g.edges[0, 1]["position"]
    ((4,), [0, 1])
    """
    found: networkx.DiGraph[int] = networkx.DiGraph()
    for position, (node, schema) in enumerate(zip(graph.nodes, infer(graph), strict=True)):
        found.add_node(
            position, op=name_of(node), shape=schema.shape, data_type=schema.data_type, label=label(node, graph)
        )
        slots: dict[int, list[int]] = {}
        for slot, child in enumerate(inputs_of(node)):
            slots.setdefault(child, []).append(slot)
        for child, taken in slots.items():
            found.add_edge(child, position, position=taken)
    return found
