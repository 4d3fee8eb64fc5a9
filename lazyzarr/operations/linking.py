"""Linked views to one flat graph.

Owns the order of nodes: depth first, every shared view once, joins made one by one as one join; and where a view
comes from, for messages. Refuses recursion: chains of thousands of operations are flat loops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazyzarr.access.url import shown
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.nesting import unnested
from lazyzarr.ir.nodes import Index

if TYPE_CHECKING:
    from lazyzarr.described import Described


def flat_graph(view: Described) -> Graph:
    """The graph whose last node is the view."""
    if isinstance(view._node, Index):
        return view._inputs[0].ir.then(view._node, view._schema)
    build = GraphBuilder()
    at: dict[int, int] = {}
    stack: list[Described] = [view]
    while stack:
        current = stack[-1]
        if id(current) in at:
            stack.pop()
            continue
        if current._graph is not None:
            at[id(current)] = build.graph_of(current._graph)
            continue
        waiting = [child for child in current._inputs if id(child) not in at]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        assert current._node is not None
        at[id(current)] = build.adopt(current._node, [at[id(child)] for child in current._inputs], current._own)
    return unnested(build.build(at[id(view)]))


def place_of(view: Described) -> str:
    """Where the cells come from: the location of the first stored array, or ""."""
    while view._inputs:
        view = view._inputs[0]
    arrays = view._own.arrays or (view._graph.arrays if view._graph is not None else ())
    return shown(arrays[0].location or "") if arrays else ""
