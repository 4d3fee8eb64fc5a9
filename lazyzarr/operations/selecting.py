"""Selecting cells of a view: keys in one spelling to index, take, transpose and broadcast nodes.

Owns the order of these nodes and the composition of basic selections. Refuses keys: they are resolved by
`lazyzarr.algebra.selection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lazyzarr.algebra.selection import Selection, gather_indices, normalize_axis
from lazyzarr.algebra.span import Span, compose, whole
from lazyzarr.errors import SelectionError
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Index, Take
from lazyzarr.ir.tables import Table
from lazyzarr.operations import axes as axis_operations

if TYPE_CHECKING:
    from lazyzarr.view import View


def selected(view: View, selection: Selection) -> View:
    """The view of a resolved key."""
    view = indexed(view, selection.axes)
    for axis, indices in selection.gathers:
        table = Table({"indices": indices.astype(np.int64)})
        own = Graph((), tables={table.name: table})
        view = view._derived(Take(0, axis, table.name), own=own, dims=view.dims)
    if selection.order is not None:
        view = axis_operations.transpose(view, selection.order)
    return axis_operations.expand_dims(view, selection.new_axes) if selection.new_axes else view


def indexed(view: View, axes: Sequence[Span | int]) -> View:
    """Basic selection: the composition of two is one node."""
    if all(isinstance(a, Span) and a == whole(n) for a, n in zip(axes, view.shape, strict=True)):
        return view
    dims = None if view.dims is None else [d for d, a in zip(view.dims, axes, strict=True) if isinstance(a, Span)]
    if isinstance(view._node, Index):
        rest = iter(axes)
        composed = tuple(a if isinstance(a, int) else _composed(a, next(rest)) for a in view._node.axes)
        return view._inputs[0]._derived(Index(0, composed), dims=dims, attrs=view.attrs)
    return view._derived(Index(0, tuple(axes)), dims=dims)


def take(view: View, indices: Any, axis: int | None) -> View:
    """Cells at some indices of one axis."""
    if axis is None:
        if view.ndim != 1:
            raise SelectionError(
                f"take without axis flattens; the view has rank {view.ndim}; give axis=, or read it first"
            )
        axis = 0
    number = normalize_axis(axis, view.ndim)
    if np.ndim(indices) == 0:
        return view[(slice(None),) * number + (indices,)]
    found = gather_indices(indices, view.shape[number], axis=number)
    return selected(view, Selection(tuple(whole(n) for n in view.shape), ((number, found),), None, ()))


def _composed(outer: Span, inner: Span | int) -> Span | int:
    return outer.start + outer.step * inner if isinstance(inner, int) else compose(outer, inner)
