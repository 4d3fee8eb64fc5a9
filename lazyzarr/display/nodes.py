"""How one node of a graph reads in one line.

Owns the words for the parameters of each node kind. Reads the structs only: a table that is kept in storage is
never loaded for the sake of a line. Refuses layout, which is `lazyzarr.display.tables`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lazyzarr.display import spelling
from lazyzarr.display.tables import columns
from lazyzarr.ir import extensions
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import (
    Boxes,
    Broadcast,
    Concat,
    Decode,
    Extension,
    Fill,
    Index,
    Node,
    Overlay,
    Recode,
    Source,
    Stack,
    Take,
    Tiles,
    Transpose,
    inputs_of,
    name_of,
)
from lazyzarr.ir.schema import infer


def parameters(node: Node, graph: Graph) -> str:
    """What a node does, in a few words.

    Examples
    --------
    >>> parameters(Transpose(0, (1, 0)), Graph(()))
    'axes (1, 0)'
    """
    match node:
        case Source():
            array = graph.arrays[node.array]
            return f"{spelling.place(array)}  {spelling.layout(graph.layouts[array.layout])}"
        case Fill():
            return f"value {spelling.value(node.value, node.data_type)}"
        case Tiles():
            rows = graph.tables[node.table].rows
            along = f", each one cell of axis {node.new_axis}" if node.new_axis is not None else ""
            layouts = f"  {spelling.layout(graph.layouts[node.layouts[0]])}" if len(node.layouts) == 1 else ""
            kinds = f", {spelling.many(len(node.layouts), 'layout')}" if len(node.layouts) > 1 else ""
            return f"{spelling.many(rows, 'array')}{along}{kinds}{layouts}"
        case Boxes():
            rows = spelling.many(graph.tables[node.table].rows, "box")
            constants = f", {spelling.many(len(node.constants), 'constant')}" if node.constants else ""
            return f"{rows} of {spelling.many(len(node.arrays), 'array')}{constants}"
        case Index():
            lengths = infer(graph)[node.input].shape
            return f"[{', '.join(map(spelling.key, node.axes, lengths))}]"
        case Take():
            count = graph.tables[node.indices]["indices"].shape[0]
            return f"axis {node.axis}, {spelling.many(count, 'index') if count == 1 else f'{count:,} indices'}"
        case Transpose():
            return f"axes {node.axes}"
        case Broadcast():
            return f"input axes become {node.axes}"
        case Concat():
            return f"axis {node.axis}"
        case Stack():
            return f"new axis {node.axis}"
        case Overlay():
            steps = ", interleaved" if node.steps else ""
            rule = "" if node.overlap == "error" else f", {node.overlap} on top"
            return (
                f"{spelling.many(len(node.inputs), 'box')} on constant {spelling.value(node.fill_value)}{rule}{steps}"
            )
        case Recode():
            return spelling.layout(graph.layouts[node.layout])
        case Decode():
            return spelling.decoding(node.codecs)
        case Extension():
            return extensions.described(node.kind)


def label(node: Node, graph: Graph) -> str:
    """Name and parameters of a node."""
    return f"{name_of(node)} {parameters(node, graph)}"


def node_row(graph: Graph, position: int) -> list[str]:
    """Cells of a node's line: position, kind, inputs, shape and type, parameters."""
    node = graph.nodes[position]
    schema = infer(graph)[position]
    return [
        str(position),
        name_of(node).ljust(8),
        spelling.numbers(inputs_of(node)),
        f"{spelling.shape(schema.shape)} {spelling.data_type(schema.data_type)}",
        parameters(node, graph),
    ]


def node_lines(graph: Graph, positions: Sequence[int]) -> list[str]:
    """Lines of some nodes, in columns."""
    return columns([node_row(graph, k) for k in positions], right=[0])
