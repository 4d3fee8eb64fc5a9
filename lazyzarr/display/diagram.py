"""Picture of a graph: nodes from the leaves on the left to the view on the right, as SVG.

1. The graph is walked from the view inwards; of a wide join the first inputs are drawn and the others counted.
2. A node stands one column left of the leftmost of its users, in the middle of its inputs.
Refuses to draw more than `MOST_NODES`; what is left out stands in the picture as a count.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from lazyzarr.display import spelling
from lazyzarr.display.nodes import parameters
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Boxes, Decode, Fill, Recode, Source, Tiles, inputs_of, name_of
from lazyzarr.ir.schema import infer

MOST_NODES = 48
MOST_INPUTS = 5
_WIDTH, _HEIGHT = 194, 56
_GAP_X, _GAP_Y = 30, 16
_LETTERS = 25
_SHRINKS = 1500
"""Pictures narrower than this shrink to the page; wider ones scroll."""
_FITTED = 'style="max-width:100%;height:auto" '
_COLOURS = {
    "leaf": "#86b6dc",
    "value": "#f2b872",
    "index": "#93cda0",
    "join": "#bda9dc",
}


@dataclass(slots=True)
class _Drawing:
    """What is drawn: positions of nodes, and for each how many of its inputs are only counted."""

    shown: list[int] = field(default_factory=list)
    children: dict[int, list[int]] = field(default_factory=dict)
    counted: dict[int, int] = field(default_factory=dict)


def diagram(graph: Graph) -> str:
    """The nodes of a graph and how they feed each other.

    Examples
    --------
    >>> diagram(Graph([Fill((2,), "int8", 0)])).count("<rect")
    1
    """
    drawing = _walk(graph)
    column = _columns(drawing)
    at = _places(drawing, column)
    deepest = max(column.values())
    right = {position: deepest - column[position] for position in drawing.shown}
    corners = {p: (right[p] * (_WIDTH + _GAP_X) + 1.0, at[p] * (_HEIGHT + _GAP_Y) + 1.0) for p in drawing.shown}
    width = (deepest + 1) * (_WIDTH + _GAP_X) - _GAP_X + 2
    height = max(y for _, y in corners.values()) + _HEIGHT + (18 if drawing.counted else 2)
    edges = [_edge(corners[child], corners[user]) for user, children in drawing.children.items() for child in children]
    nodes = [_node(graph, p, corners[p], drawing.counted.get(p, 0)) for p in drawing.shown]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
        f'viewBox="0 0 {width} {height:.0f}" role="img" aria-label="graph of the view" {_FITTED * (width < _SHRINKS)}'
        f'font-family="system-ui, sans-serif" font-size="11">{"".join(edges)}{"".join(nodes)}</svg>'
    )


def _walk(graph: Graph) -> _Drawing:
    """Nodes near the view first, so that what is left out is far from it."""
    drawing = _Drawing()
    root = len(graph.nodes) - 1
    seen = {root}
    queue = [root]
    for position in queue:
        drawing.shown.append(position)
        inputs = list(dict.fromkeys(inputs_of(graph.nodes[position])))
        known = [child for child in inputs if child in seen]
        fresh = [child for child in inputs if child not in seen]
        room = max(min(MOST_NODES - len(seen), MOST_INPUTS - len(known)), 0)
        taken = fresh[:room]
        seen.update(taken)
        queue.extend(taken)
        drawing.children[position] = [child for child in inputs if child in seen]
        if len(taken) < len(fresh):
            drawing.counted[position] = len(fresh) - len(taken)
    return drawing


def _columns(drawing: _Drawing) -> dict[int, int]:
    """Column of each node, counted from the view: one beyond the farthest of its users."""
    column = dict.fromkeys(drawing.shown, 0)
    for position in sorted(drawing.shown, reverse=True):
        for child in drawing.children[position]:
            column[child] = max(column[child], column[position] + 1)
    return column


def _places(drawing: _Drawing, column: dict[int, int]) -> dict[int, float]:
    """Height of each node [rows]: leaves below one another, the others in the middle of their inputs."""
    at: dict[int, float] = {}
    taken: dict[int, list[float]] = {}
    row = 0
    stack = [(drawing.shown[0], False)]
    while stack:
        position, ready = stack.pop()
        if position in at:
            continue
        children = drawing.children[position]
        if not ready:
            stack.append((position, True))
            stack.extend((child, False) for child in reversed(children))
            continue
        if children:
            wanted = (at[children[0]] + at[children[-1]]) / 2
        else:
            wanted, row = float(row), row + 1
        used = taken.setdefault(column[position], [])
        while any(abs(wanted - other) < 1 for other in used):
            wanted += 0.5
        used.append(wanted)
        row = max(row, int(wanted) + 1 if not children else row)
        at[position] = wanted
    return at


def _edge(start: tuple[float, float], stop: tuple[float, float]) -> str:
    x, y = start[0] + _WIDTH, start[1] + _HEIGHT / 2
    to_x, to_y = stop[0], stop[1] + _HEIGHT / 2
    bend = (to_x - x) / 2
    return (
        f'<path d="M{x:.0f} {y:.1f}C{x + bend:.0f} {y:.1f} {to_x - bend:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}" '
        'fill="none" stroke="currentColor" stroke-opacity="0.45" stroke-width="1.3"/>'
    )


def _node(graph: Graph, position: int, corner: tuple[float, float], counted: int) -> str:
    node = graph.nodes[position]
    schema = infer(graph)[position]
    x, y = corner
    says = parameters(node, graph)
    # the end of a file name tells it from others, the beginning of anything else
    said = says if len(says) <= _LETTERS else says[: _LETTERS - 1] + "…"
    if isinstance(node, Source):
        said = spelling.printable(spelling.place(graph.arrays[node.array]).rpartition("/")[2], _LETTERS)
    kind = f"{spelling.shape(schema.shape)} {spelling.data_type(schema.data_type)}"
    colour = _COLOURS[_family(graph, position)]
    lines = (
        f'<text x="{x + 12:.0f}" y="{y + 18:.1f}" fill="currentColor" font-weight="600" font-size="12">'
        f'{name_of(node)}</text><text x="{x + _WIDTH - 8:.0f}" y="{y + 18:.1f}" fill="currentColor" '
        f'fill-opacity="0.5" text-anchor="end">{position}</text>'
        f'<text x="{x + 12:.0f}" y="{y + 33:.1f}" fill="currentColor" fill-opacity="0.85">'
        f"{html.escape(said)}</text>"
        f'<text x="{x + 12:.0f}" y="{y + 47:.1f}" fill="currentColor" fill-opacity="0.6">'
        f"{html.escape(spelling.printable(kind, _LETTERS))}</text>"
    )
    more = (
        f'<text x="{x:.0f}" y="{y + _HEIGHT + 13:.1f}" fill="currentColor" fill-opacity="0.7">'
        f"and {spelling.many(counted, 'more input')}</text>"
        if counted
        else ""
    )
    return (
        f"<g><title>{html.escape(f'{position} {name_of(node)} {says} {kind}')}</title>"
        f'<path d="M{x + 5:.0f} {y:.1f}v{_HEIGHT}" stroke="{colour}" stroke-width="8"/>'
        f'<rect x="{x:.0f}" y="{y:.1f}" width="{_WIDTH}" height="{_HEIGHT}" rx="3" fill="{colour}" fill-opacity="0.13" '
        f'stroke="{colour}"/>{lines}{more}</g>'
    )


def _family(graph: Graph, position: int) -> str:
    node = graph.nodes[position]
    if isinstance(node, Source | Fill | Tiles | Boxes):
        return "leaf"
    if isinstance(node, Decode | Recode):
        return "value"
    return "join" if len(inputs_of(node)) > 1 else "index"
