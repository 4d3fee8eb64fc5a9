"""What an observer of the optimizer sees: `Step`, and nodes as short text.

Owns the text of a node with its inputs, one level deep. Refuses to print graphs: texts stay small however large
the graph is.
"""

from __future__ import annotations

from msgspec import Struct

from lazyzarr.algebra.span import Span, slice_text
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
from lazyzarr.optimize.site import Site

_DEPTH = 3
_WIDTH = 3


class Step(Struct, frozen=True):
    """One rewrite."""

    rule: str
    position: int
    """Of the node that was rewritten; nodes made on the way have positions behind those of the graph."""
    before: str
    after: str
    measure_before: tuple[int, int, int]
    measure_after: tuple[int, int, int]


def phrase(site: Site, position: int, depth: int = _DEPTH) -> str:
    """A node as text, with a few inputs of a few levels.

    Examples
    --------
    >>> from lazyzarr.ir.graph import Graph
    >>> nodes = [Fill((4,), "int8", 7), Concat((0, 0), 0), Index(1, (Span(2, 3, 2),))]
    >>> phrase(Site(Graph(nodes)), 2)
    'index(concat(fill(7), fill(7), axis=0), [2:6:3])'
    """
    node = site.node(position)
    inputs = inputs_of(node)
    if not depth:
        return f"{name_of(node)}(..)" if inputs else _said(node)
    shown = [phrase(site, x, depth - 1) for x in inputs[:_WIDTH]]
    if len(inputs) > _WIDTH:
        shown.append(f".. {len(inputs)} in all")
    if not inputs:
        return _said(node)
    return f"{name_of(node)}({', '.join((*shown, _said(node)))})"


def _said(node: Node) -> str:
    """What a node says beside its inputs."""
    match node:
        case Source():
            return f"source {node.array}"
        case Fill():
            return f"fill({node.value})"
        case Tiles():
            return f"tiles {node.table}"
        case Boxes():
            return f"boxes {node.table}"
        case Index():
            return f"[{', '.join(_key(key) for key in node.axes)}]"
        case Take():
            return f"{node.indices}, axis={node.axis}"
        case Transpose():
            return f"{node.axes}"
        case Broadcast():
            return f"{node.shape}, axes={node.axes}"
        case Concat() | Stack():
            return f"axis={node.axis}"
        case Overlay():
            return f"at {list(node.origins[:_WIDTH])}, {node.overlap}"
        case Recode():
            return f"layout={node.layout}"
        case Decode():
            return f"{[codec.name for codec in node.codecs]}"
        case Extension():
            return f"{node.kind.name} {node.kind.configuration}"


def _key(key: Span | int) -> str:
    """The slice, or the one cell."""
    return str(key) if isinstance(key, int) else slice_text(key.start, key.step, key.count)
