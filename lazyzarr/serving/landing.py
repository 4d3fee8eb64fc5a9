"""The page of a server: what is served, a picture of its blocks, and how to open it with other software.

Owns the snippets. Refuses to show where the data are: pictures are of the boxes alone, and sources have numbers.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

import msgspec

from lazyzarr.display import html as parts
from lazyzarr.display import page, spelling
from lazyzarr.display.blocks import picture
from lazyzarr.display.flat import is_small
from lazyzarr.display.page import Section
from lazyzarr.group import Group
from lazyzarr.ir.graph import Graph
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.view import View

_PICTURES = 12
"""Arrays of a group that are drawn; the others are in the table."""


def landing(views: View | Group, url: str) -> str:
    """The page of what is served at a URL.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> text = landing(lz.full((2, 3), 1, dtype="int8"), "http://127.0.0.1:8000")
    >>> "zarr.open_array(" in text, "TensorStore" in text
    (True, True)
    """
    found = dict(_views(views, ""))
    rows = [
        (
            name or "/",
            str(view.dtype),
            spelling.shape(view.shape),
            ", ".join(str(d) for d in view.dims or ()),
            view.flatness,
        )
        for name, view in found.items()
    ]
    drawn = [(name, view) for name, view in found.items() if is_small(view.ir) and view.size][:_PICTURES]
    sections = [
        Section("Arrays", "", page.table(("name", "type", "shape", "dimensions", "class"), rows, wraps=(0,))),
        Section("Open it", "Any Zarr v3 reader; no lazyzarr is needed to read.", _snippets(views, found, url)),
    ]
    if drawn:
        pictures = "".join(f"<h3>{html.escape(name or '/')}</h3>{_picture(view)}" for name, view in drawn)
        sections.append(Section("Blocks", "Which cells come from the same stored array.", pictures))
    lead = "A view is joined, cut and turned from stored arrays as it is read. This server gives it as plain Zarr."
    figures = {"arrays": f"{len(found):,}", "cells": f"{sum(view.size for view in found.values()):,}"}
    return page.page("Views of arrays, served as Zarr", lead, figures, sections)


def _views(found: View | Group, path: str) -> Iterator[tuple[str, View]]:
    if isinstance(found, View):
        yield path, found
        return
    for name in found:
        yield from _views(found[name], f"{path}/{name}" if path else name)


def _picture(view: View) -> str:
    graph = view.ir
    arrays = [
        array if array.location is None else msgspec.structs.replace(array, location=f"https://source/{k}/array")
        for k, array in enumerate(graph.arrays)
    ]
    hidden = Graph(graph.nodes, layouts=graph.layouts, arrays=arrays, tables=graph.tables)
    lowered = lower(hidden)
    found = picture(lowered, fragments(lowered), view.dims)
    return f'<div style="max-width:540px">{found.svg}{parts.legend(found)}</div>'


def _snippets(views: View | Group, found: dict[str, View], url: str) -> str:
    first = next(iter(found), "")
    below = f"{url}/{first}" if first else url
    opened = f'zarr.open_array("{url}", mode="r")' if isinstance(views, View) else f'zarr.open_group("{url}", mode="r")'
    texts = {
        "zarr-python": f"import zarr  # with fsspec[http]\n\nopened = {opened}\nprint(opened.info)",
        "xarray": f'import xarray as xr\n\ndataset = xr.open_zarr("{url}")',
        "zarrita.js": (
            'import * as zarr from "zarrita";\n\n'
            f'const store = new zarr.FetchStore("{below}");\n'
            'const array = await zarr.open.v3(store, { kind: "array" });\n'
            "const cells = await zarr.get(array);"
        ),
        "TensorStore": (
            "import tensorstore as ts\n\n"
            f'spec = {{"driver": "zarr3", "kvstore": "{below}/"}}\n'
            "array = ts.open(spec).result()"
        ),
        "neuroglancer": f"zarr3://{below}",
    }
    if isinstance(views, View):
        del texts["xarray"]
    return "".join(f"<h3>{html.escape(name)}</h3>{page.listing(text)}" for name, text in texts.items())
