"""The repr of a view in a notebook: what it is as a table, where its cells come from as a picture.

Owns the fragment of HTML: inline style, nothing from outside, legible on light and dark ground, every text
escaped. Refuses to touch storage and to draw more than a glance may cost; it then says so.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lazyzarr.display import spelling
from lazyzarr.display.blocks import Picture, picture
from lazyzarr.display.flat import glance, is_small
from lazyzarr.display.nodes import node_lines
from lazyzarr.display.text import chosen
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Source, Tiles
from lazyzarr.ir.schema import Schema
from lazyzarr.lower.flatness import Flatness
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower

MOST_ATTRIBUTES = 30
_SOFT = "opacity:.72"
_RULE = "1px solid rgba(128,128,128,.35)"


def view_html(graph: Graph, schema: Schema, dims: Sequence[str | None] | None, attrs: Mapping[str, Any]) -> str:
    """Table and picture of a view.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> from lazyzarr.ir.schema import infer
    >>> g = Graph([Fill((2, 3), "int8", 0)])
    >>> view_html(g, infer(g)[-1], None, {"long_name": "<b>"}).count("&lt;b&gt;")
    1
    """
    known = glance(graph)
    parts = [
        '<div class="lazyzarr-view" style="font-family:system-ui,sans-serif;font-size:13px;line-height:1.45">',
        _heading(schema, dims, known),
        '<div style="display:flex;flex-wrap:wrap;gap:28px;align-items:flex-start;margin:10px 0">',
        facts(graph, schema, known),
        blocks(graph, dims),
        "</div>",
        _attributes(attrs),
        _nodes(graph),
        _problems(known),
        "</div>",
    ]
    return "".join(parts)


def facts(graph: Graph, schema: Schema, known: Flatness | None) -> str:
    """What a view is, as a table of two columns."""
    stored = sum(isinstance(node, Source) for node in graph.nodes)
    tiles = sum(graph.tables[node.table].rows for node in graph.nodes if isinstance(node, Tiles))
    rows = [
        ("shape", spelling.shape(schema.shape)),
        ("type", spelling.data_type(schema.data_type)),
        ("fill value", spelling.value(schema.fill_value, schema.data_type)),
        ("size when read", spelling.size(math.prod(schema.shape) * to_numpy(schema.data_type).itemsize)),
        ("chunks", spelling.shape(known.chunk_shape) if known and known.chunk_shape else ""),
        ("class", _class(known)),
        ("stored arrays", f"{stored + tiles:,}"),
        ("nodes", f"{len(graph.nodes):,}"),
    ]
    lines = "".join(
        f'<tr><td style="text-align:left;padding:3px 18px 3px 0;{_SOFT}">{name}</td>'
        f'<td style="text-align:left;padding:3px 0;font-variant-numeric:tabular-nums">{html.escape(value)}</td></tr>'
        for name, value in rows
        if value
    )
    return f'<table style="border-collapse:collapse;border:0;margin:0">{lines}</table>'


def blocks(graph: Graph, dims: Sequence[str | None] | None) -> str:
    """The picture with its legend and notes, or why there is none."""
    if not is_small(graph):
        return (
            f'<p style="max-width:360px;margin:0;{_SOFT}">The blocks are not drawn: the view joins so many arrays, or '
            "its tables are so far from here, that a glance would cost real work. "
            '<code>view.explain("placements")</code> lists them.</p>'
        )
    lowered = lower(graph)
    found = picture(lowered, fragments(lowered), dims)
    return f'<div style="max-width:540px">{found.svg}{legend(found)}</div>'


def legend(found: Picture) -> str:
    """Colours with their sources, then the notes of a picture."""
    items = "".join(
        f'<span style="display:inline-flex;align-items:center;margin:0 16px 3px 0">{_swatch(colour)}'
        f"{html.escape(name)}</span>"
        for colour, name in found.legend
    )
    more = f"<span>and {spelling.many(found.hidden, 'more source')}</span>" if found.hidden else ""
    notes = "; ".join(found.notes)
    said = f'<div style="margin-top:4px;{_SOFT}">{html.escape(notes)}</div>' if notes else ""
    return f'<div style="font-size:12px;padding-left:58px">{items}{more}{said}</div>'


def _heading(schema: Schema, dims: Sequence[str | None] | None, known: Flatness | None) -> str:
    badge = (
        f'<span style="border:{_RULE};border-radius:9px;padding:0 8px;font-size:12px">{known.level}</span>'
        if known
        else ""
    )
    return (
        f'<div style="border-bottom:{_RULE};padding-bottom:5px;display:flex;gap:12px;align-items:baseline">'
        f"<strong>lazyzarr.View</strong><span>{html.escape(spelling.shape(schema.shape, dims))}</span>"
        f"<span>{html.escape(spelling.data_type(schema.data_type))}</span>{badge}</div>"
    )


def _class(known: Flatness | None) -> str:
    return known.level if known else "not worked out here; ask view.flatness"


def _swatch(colour: str) -> str:
    ground = colour or "repeating-linear-gradient(45deg,#8a8a8a 0 2px,#dcdcdc 2px 5px)"
    style = f"display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px;background:{ground}"
    return f'<span style="{style}"></span>'


def _attributes(attrs: Mapping[str, Any]) -> str:
    if not attrs:
        return ""
    shown = list(attrs.items())[:MOST_ATTRIBUTES]
    rows = "".join(_attribute(spelling.printable(str(name), 48), spelling.printable(str(v), 160)) for name, v in shown)
    more = f"<p>and {len(attrs) - len(shown):,} more</p>" if len(attrs) > len(shown) else ""
    return _folded(
        f"{spelling.many(len(attrs), 'attribute')}", f'<table style="border-collapse:collapse">{rows}</table>{more}'
    )


def _attribute(name: str, value: str) -> str:
    return (
        f'<tr><td style="text-align:left;padding:2px 18px 2px 0;{_SOFT}">{html.escape(name)}</td>'
        f'<td style="text-align:left;padding:2px 0">{html.escape(value)}</td></tr>'
    )


def _nodes(graph: Graph) -> str:
    shown, hidden = chosen(graph)
    lines = node_lines(graph, shown)
    if hidden:
        lines.append(f"... and {spelling.many(hidden, 'more node')}")
    text = html.escape("\n".join(lines))
    return _folded(
        spelling.many(len(graph.nodes), "node"),
        f'<pre style="margin:4px 0;font-size:12px;overflow-x:auto">{text}</pre>',
    )


def _problems(known: Flatness | None) -> str:
    if known is None or not known.problems:
        return ""
    items = "".join(f"<li>{html.escape(spelling.printable(str(problem)))}</li>" for problem in known.problems)
    return _folded(f"why {known.level} and not L0", f'<ul style="margin:4px 0;padding-left:20px">{items}</ul>')


def _folded(title: str, inside: str) -> str:
    summary = f'<summary style="cursor:pointer">{html.escape(title)}</summary>'
    return f'<details style="margin:3px 0">{summary}{inside}</details>'
