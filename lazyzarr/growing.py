"""A saved view that grows: what is there, joined with what is added, as a member to save.

1. What is there is opened without reading a source or a table; what is added has to fit as in a concat.
2. Tables that are there keep their names, so nobody writes them again; small new ones go into the document, and are put
   together in a table beside it when they have become many.
3. The new document is put in place on condition that nobody else replaced the old one; if somebody did, everything is
   done again on top of that.
Refuses to change a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lazyzarr.algebra.selection import normalize_axis
from lazyzarr.document.decode import OpenedView, decode
from lazyzarr.document.groups import ViewMember, encode_member
from lazyzarr.errors import AxisError, CombineError, SaveUnsupported
from lazyzarr.fitting import fitting, views_of
from lazyzarr.group import Group
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.nodes import Concat, Tiles, inputs_of
from lazyzarr.ir.segments import settled
from lazyzarr.members import is_view
from lazyzarr.opening import Opening
from lazyzarr.places import Place, repeated
from lazyzarr.read import Reader
from lazyzarr.saving import check_savable
from lazyzarr.view import View

ROWS_APART = 64
"""From this number of rows on a new table is put beside the document, which is written anew at each append."""


def opened_views(more: Any, storage_options: Mapping[str, Mapping[str, Any]] | None) -> list[View]:
    """What is to be appended, as views that a document may reference."""
    opening = Opening(storage_options=storage_options)
    places = list(more) if isinstance(more, list | tuple) else [more]
    views: list[View] = []
    wrong: list[str] = []
    for number, place in enumerate(places):
        found = opening.open(place)
        if isinstance(found, Group):
            wrong.append(
                f"what is added, number {number}, is a group of {', '.join(list(found)[:8])}; name an array of it with "
                "lz.open(place, variable)"
            )
        else:
            views.append(found)
    if wrong or not places:
        raise CombineError("append", wrong or ["nothing is to be appended; give at least one view"])
    for view in views:
        check_savable(view)
    return views


def append_views(place: Place, views: list[View], axis: int | str) -> None:
    """Append views to a saved view."""

    def change(text: bytes) -> None:
        opened = decode(text, url=place.url, session=place.session)
        member = grown(opened, views, axis, place)
        place.put(encode_member(member, place.url), expected=opened.generation, sweep=False)

    if not is_view(place.document()):
        raise SaveUnsupported(
            "append to something else than a saved view; views are appended to saved views, and "
            "mappings {name: view} to saved groups; give a mapping, or the path of a view",
            where=place.url,
        )
    repeated(place, change)


def grown(opened: OpenedView, views: list[View], axis: int | str, place: Place) -> ViewMember:
    """A saved view with others joined to it, its tables by the names that they have there.

    Raises
    ------
    CombineError
        Listing every mismatch; input 0 is the saved view.
    """
    saved = View(None, graph=opened.graph, dims=opened.dims, attrs=opened.attributes, reader=Reader(place.session))
    number = axis_of(saved, axis)
    inputs = fitting("append", views_of("append", [saved, *views]), number)
    graph = joined(opened.graph, [view.ir for view in views], number)
    dims = next((view.dims for view in inputs if view.dims is not None), None)
    return member_of(graph, opened, dims)


def member_of(graph: Graph, opened: OpenedView, dims: tuple[str | None, ...] | None) -> ViewMember:
    """Another graph in the place of the one of a saved view."""
    present = {name: wire for name, wire in opened.stored.items() if name in graph.tables}
    tiles = [node for node in graph.nodes if isinstance(node, Tiles)]
    named = {name for node in tiles for name in (node.table, node.refs) if name is not None}
    apart = {name for name in named if graph.tables[name].rows >= ROWS_APART}
    return ViewMember(graph, dims, opened.attributes, opened.grid, present, apart)


def joined(graph: Graph, others: Iterable[Graph], axis: int) -> Graph:
    """The concat of graphs as one flat concat, few tables being made of many small parts."""
    build = GraphBuilder()
    parts = _parts(build, graph, axis)
    old = len(parts)
    for other in others:
        parts += _parts(build, other, axis)
    return settled(build.build(build.node(Concat(tuple(parts), axis))), old)


def _parts(build: GraphBuilder, graph: Graph, axis: int) -> list[int]:
    """Positions of what a graph joins along the axis; of its view if it does not."""
    root = graph.root
    flat = isinstance(root, Concat) and root.axis == axis
    position: list[int] = []
    for node in graph.nodes[:-1] if flat else graph.nodes:
        position.append(build.adopt(node, [position[i] for i in inputs_of(node)], graph))
    return [position[i] for i in inputs_of(root)] if flat else position[-1:]


def axis_of(view: View, axis: int | str) -> int:
    """The number of an axis given by number or by dimension name."""
    if not isinstance(axis, str):
        return normalize_axis(axis, view.ndim)
    if axis in (view.dims or ()):
        return (view.dims or ()).index(axis)
    raise AxisError(
        f"axis {axis!r}; the dimensions are {', '.join(map(str, view.dims or ())) or 'not named'}; give one of them "
        "or a number",
        reason="axis-bounds",
    )
