"""Index transforms of views: index, take, transpose and broadcast nodes.

Owns domains that begin anywhere: a view begins at 0. Refuses points that are no outer product, which a graph has no node
for, and diagonals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lazyzarr.errors import UnsupportedFeature
from lazyzarr.formats.index_transforms import Output, Transform, bad, unsupported
from lazyzarr.formats.ndsel import transform_of
from lazyzarr.ir import fill
from lazyzarr.ir.nodes import Fill

if TYPE_CHECKING:
    from lazyzarr.view import View


class Placed(NamedTuple):
    """A view, and the cell at which its domain begins."""

    view: View
    origin: tuple[int, ...]


def select(view: View, message: Mapping[str, Any]) -> View:
    """The cells that an ndsel message selects: a selection as JSON, which other programs read, too.

    Parameters
    ----------
    message
        Of kind point, box, slice, points or transform (https://github.com/d-v-b/ndsel, draft 1.0-draft.2). Cells are
        counted from 0, never from the end. The result begins at 0, as every view does.

    Raises
    ------
    SelectionError
        ``index-syntax``: the message breaks the draft, whose own code is in the attribute `code`, or has another rank;
        ``index-bounds``: it leads outside of the view.
    UnsupportedFeature
        It selects points that are no outer product; `View.vindex` reads such.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> v = lz.open(np.arange(6).reshape(2, 3))
    >>> v.select({"kind": "slice", "start": [0, 2], "stop": [2, -1], "step": [1, -2]}).read().tolist()
    [[2, 0], [5, 3]]
    """
    return transformed(Placed(view, (0,) * view.ndim), transform_of(message)).view


def transformed(base: Placed, transform: Transform) -> Placed:
    """The cells that a transform reads.

    Raises
    ------
    SelectionError
        ``index-syntax``: it is not a transform of such an array; ``index-bounds``: it leads outside of it.
    UnsupportedFeature
        It reads points that are no outer product, or a diagonal.
    """
    view, origin = base
    output = transform.output
    if output is None:
        if transform.low and len(transform.low) != view.ndim:
            raise bad(f"it has rank {len(transform.low)}, and what it is of has {view.ndim}")
        output = tuple(Output(0, 1, axis) for axis in range(view.ndim))
    rank = len(transform.low) if transform.low or transform.output is not None else view.ndim
    if len(output) != view.ndim:
        raise bad(f"it has {len(output)} output maps, and what it is of has rank {view.ndim}")
    low, stop = _domain(transform, rank, output, origin, view.shape)
    lengths = [high - first for first, high in zip(low, stop, strict=True)]
    if any(n < 0 for n in lengths) or math.prod(max(n, 1) for n in lengths) >= 2**62:
        raise bad(f"its domain is {low} to {stop}")
    if 0 in lengths:
        nothing = Fill(tuple(lengths), view.data_type, fill.zero(view.data_type))
        dims = [label or None for label in transform.labels] or None
        return Placed(type(view)(nothing, reader=view.reader, dims=dims, attrs=view.attrs), low)
    fed: list[int] = []
    for axis in reversed(range(view.ndim)):
        one = output[axis]
        cells, dimension = _cells(one, low, lengths)
        cells = cells - origin[axis] if isinstance(cells, np.ndarray) else cells
        view, dimension = _selected(view, axis, cells, dimension, one, low, lengths, origin[axis])
        if dimension is not None:
            if dimension in fed:
                raise UnsupportedFeature(
                    "index transform that reads a diagonal, or points; a view has an outer product of cells; read them with "
                    "view.vindex",
                    reason="source-unsupported",
                )
            fed.insert(0, dimension)
    view = view.transpose(*np.argsort(fed).tolist()) if len(fed) > 1 else view
    new = [axis for axis in range(rank) if axis not in fed]
    view = view.expand_dims(new) if new else view
    view = view.broadcast_to(tuple(lengths)) if view.shape != tuple(lengths) else view
    if any(transform.labels):
        view = view.rename_dims([label or None for label in transform.labels])
    return Placed(view, low)


def _domain(
    transform: Transform, rank: int, output: Sequence[Output], origin: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the domain begins and stops; bounds that are not said are as far as the source goes."""
    low, stop = list(transform.low or (None,) * rank), list(transform.stop or (None,) * rank)
    for axis in range(rank):
        if low[axis] is not None and stop[axis] is not None:
            continue
        number = next((k for k, one in enumerate(output) if one.dimension == axis), None)
        if number is None or abs(output[number].stride) != 1:
            raise unsupported("one that leaves open where its domain ends")
        one = output[number]
        ends = sorted((cell - one.offset) * one.stride for cell in (origin[number], origin[number] + shape[number] - 1))
        low[axis] = ends[0] if low[axis] is None else low[axis]
        stop[axis] = ends[1] + 1 if stop[axis] is None else stop[axis]
    return tuple(n for n in low if n is not None), tuple(n for n in stop if n is not None)


def _cells(one: Output, low: Sequence[int], lengths: Sequence[int]) -> tuple[np.ndarray | None, int | None]:
    """The cells of an index array, and the axis it runs along."""
    if one.index is None:
        return None, one.dimension
    if any(have not in (1, n) for have, n in zip(one.index.shape, lengths, strict=True)):
        raise bad(f"an index_array has shape {one.index.shape}, and the domain {tuple(lengths)}")
    along = [axis for axis, n in enumerate(one.index.shape) if n > 1]
    if len(along) > 1:
        raise unsupported("an index_array along more than one axis")
    reach = int(np.abs(one.index).max(initial=0)) * abs(one.stride) + abs(one.offset)
    if reach >= 2**62 or int(one.index.min(initial=0)) <= -(2**62):
        raise bad("an index_array leads outside of what it is of", bounds=True)
    return one.offset + one.stride * one.index.ravel(), along[0] if along else None


def _selected(
    view: View,
    axis: int,
    cells: np.ndarray | None,
    dimension: int | None,
    one: Output,
    low: Sequence[int],
    lengths: Sequence[int],
    origin: int,
) -> tuple[View, int | None]:
    """The view with one axis read as an output map says."""
    length = view.shape[axis]
    before = (slice(None),) * axis
    if cells is not None:
        _check_inside(int(cells.min()), int(cells.max()), length)
        return (view.take(cells, axis) if dimension is not None else view[(*before, int(cells[0]))]), dimension
    if dimension is None:
        _check_inside(one.offset - origin, one.offset - origin, length)
        return view[(*before, one.offset - origin)], None
    first = one.offset + one.stride * low[dimension] - origin
    last = first + one.stride * (lengths[dimension] - 1)
    _check_inside(min(first, last), max(first, last), length)
    stop = last + (1 if one.stride > 0 else -1)
    return view[(*before, slice(first, stop if stop >= 0 else None, one.stride))], dimension


def _check_inside(low: int, high: int, length: int) -> None:
    if low < 0 or high >= length:
        raise bad(f"it reads cells {low} to {high} of an axis of {length}", bounds=True)
