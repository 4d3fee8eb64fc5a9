"""The repr of a view in a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from lazyzarr.display.text import view_text
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.schema import Schema


def view_html(
    graph: Graph, schema: Schema, dims: Sequence[str | None] | None, attrs: Mapping[str, Any]
) -> str:
    """Table and picture of a view."""
    return f"<pre>{html.escape(view_text(graph, schema, dims))}</pre>"
