"""Concats of concats as one node, when a graph is made from views that were joined one by one.

Owns the flattening: a concat whose only user is a concat along the same axis goes into it, so that 2,000 appends make
one node of 2,001 inputs and not a chain as deep. Refuses to unfold what has several users: ``v = concat([v, v])``
forty times is forty nodes because each is shared, and 2^40 inputs without.
"""

from __future__ import annotations

import msgspec

from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.nodes import Concat, Node, inputs_of


def unnested(graph: Graph) -> Graph:
    """The graph with every concat in the concat around it that is its one user; the same object if there is none.

    Every edge of the result was one of the graph, so it is never larger; the work is linear in the edges.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> nodes = [Fill((2,), "int8", 0), Fill((2,), "int8", 1), Concat((0, 1), 0), Concat((2, 0), 0)]
    >>> unnested(Graph(nodes)).nodes[-1]
    Concat(inputs=(0, 1, 0), axis=0)
    >>> len(unnested(Graph([*nodes[:3], Concat((2, 2), 0)])).nodes)
    4
    """
    taken_in = _taken_in(graph)
    if not any(taken_in):
        return graph
    build = GraphBuilder()
    position: dict[int, int] = {}
    for old, node in enumerate(graph.nodes):
        if taken_in[old]:
            continue
        inputs = list(inputs_of(node))
        if isinstance(node, Concat):
            inputs = _leaves(graph, inputs, taken_in)
            node = msgspec.structs.replace(node, inputs=tuple(inputs))
        position[old] = build.adopt(node, [position[k] for k in inputs], graph)
    return build.build(position[len(graph.nodes) - 1])


def _taken_in(graph: Graph) -> list[bool]:
    """Which nodes are concats that are one input of one concat along the same axis, and of nothing else."""
    uses = [0] * len(graph.nodes)
    around: list[Node] = list(graph.nodes)
    for node in graph.nodes:
        for child in inputs_of(node):
            uses[child] += 1
            around[child] = node
    return [
        uses[k] == 1 and isinstance(node, Concat) and isinstance(user, Concat) and user.axis == node.axis
        for k, (node, user) in enumerate(zip(graph.nodes, around, strict=True))
    ]


def _leaves(graph: Graph, inputs: list[int], taken_in: list[bool]) -> list[int]:
    """Inputs in order, those that are taken in replaced by their own inputs, however deep."""
    flat: list[int] = []
    waiting = inputs[::-1]
    while waiting:
        child = waiting.pop()
        if taken_in[child]:
            waiting.extend(reversed(inputs_of(graph.nodes[child])))
        else:
            flat.append(child)
    return flat
