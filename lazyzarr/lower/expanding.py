"""Nodes of other packages become nodes of the specification: `expanded`, before anything is lowered.

Owns the substitution and its checks: what a kind rewrites itself to has the schema that it promised, uses built-in
nodes only, brings no stored array of its own, and is counted. Refuses to optimize: what comes out is as good as any
other graph, and everything after it need not know where it came from.
"""

from __future__ import annotations

from collections.abc import Mapping

from lazyzarr.algebra.span import canonical
from lazyzarr.errors import ViewLimitError
from lazyzarr.ir import extensions
from lazyzarr.ir.extensions import ExtensionError
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Extension, Index, Node, Recode, Source, Tiles, inputs_of, of_kind, with_inputs
from lazyzarr.ir.schema import Schema, infer
from lazyzarr.ir.tables import Table

MAX_NODES = 250_000
"""Nodes of a graph after all kinds of other packages are expanded."""

STAND_IN = "input"
"""Grant of the arrays that stand for inputs; the location of one is the number of its input."""


def expanded(graph: Graph) -> Graph:
    """A graph of the same meaning in nodes of the specification; the same object if it is one already.

    Raises
    ------
    ExtensionError
        A kind does not keep what it promised.
    ViewLimitError
        The graph would have more than `MAX_NODES` nodes.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> plain = Graph([Fill((2,), "int8", 0)])
    >>> expanded(plain) is plain
    True
    """
    selections: list[Graph] = []
    below = graph.memo.get("below")
    while "expanded" not in graph.memo and isinstance(below, Graph):
        selections.append(graph)
        graph, below = below, below.memo.get("below")
    if "expanded" not in graph.memo:
        made = _expanded(graph)
        graph.memo["expanded"] = None if made is graph else made  # a graph that held itself would be freed late
    kept = graph.memo["expanded"]
    found = kept if isinstance(kept, Graph) else graph
    for selection in reversed(selections):
        root = selection.nodes[-1]
        assert isinstance(root, Index)
        found = selection if found is selection.memo["below"] else found.then(root)
    return found


def _expanded(graph: Graph) -> Graph:
    if next(of_kind(graph.nodes, Extension), None) is None:
        return graph
    schemas = infer(graph)
    nodes: list[Node] = []
    tables = dict(graph.tables)
    at: list[int] = []
    for position, node in enumerate(graph.nodes):
        inputs = tuple(at[k] for k in inputs_of(node))
        if not isinstance(node, Extension):
            at.append(len(nodes))
            nodes.append(with_inputs(node, inputs))
            continue
        made = _expansion(node, [schemas[k] for k in node.inputs], schemas[position])
        if len(nodes) + len(made.nodes) > MAX_NODES:
            remedy = "take a smaller part of what the node is of"
            raise ViewLimitError(
                "nodes", len(nodes) + len(made.nodes), MAX_NODES, where=f"nodes[{position}]", remedy=remedy
            )
        _adopt_tables(tables, made.tables)
        at.append(_substituted(nodes, made, inputs))
    if at[-1] != len(nodes) - 1:  # the view is the last node; a kind may have rewritten itself to its input
        nodes.append(Index(at[-1], tuple(canonical(0, 1, n) for n in schemas[-1].shape)))
    return Graph(nodes, layouts=graph.layouts, arrays=graph.arrays, tables=tables)


def _expansion(node: Extension, inputs: list[Schema], schema: Schema) -> Graph:
    """What a kind rewrites itself to, its inputs being sources, and of the schema that it promised."""
    kind = extensions.parsed(node.kind)
    with extensions.promised(kind, "rewrite"):
        made = kind.expansion(inputs)
        found = infer(made)[-1]
    if found.shape != schema.shape or found.data_type != schema.data_type:
        raise ExtensionError(
            f"the node kind {kind.kind!r} rewrites itself to shape {found.shape} and type {found.data_type}; its schema "
            f"says {schema.shape} and {schema.data_type}; tell its authors"
        )
    foreign = next((part for part in made.nodes if isinstance(part, Tiles | Recode | Extension)), None)
    if foreign is not None or any(array.grant != STAND_IN for array in made.arrays):
        what = "a stored array of its own" if foreign is None else f"a node {type(foreign).__name__.lower()}"
        raise ExtensionError(
            f"the node kind {kind.kind!r} rewrites itself to a graph with {what}; "
            "that is made of its inputs, constants, selections, joins and decodes only; tell its authors"
        )
    return made


def _substituted(nodes: list[Node], made: Graph, inputs: tuple[int, ...]) -> int:
    """Position of the root of an expansion, its sources being the inputs."""
    inner: list[int] = []
    for part in made.nodes:
        if isinstance(part, Source):
            inner.append(inputs[int(str(made.arrays[part.array].location))])
            continue
        inner.append(len(nodes))
        nodes.append(with_inputs(part, tuple(inner[k] for k in inputs_of(part))))
    return inner[-1]


def _adopt_tables(tables: dict[str, Table], more: Mapping[str, Table]) -> None:
    for name, table in more.items():
        tables.setdefault(name, table)
