"""Joining views: concat, stack, block, overlay, interleave, pad, broadcast.

Owns the node that each join becomes. Which inputs fit together is `lazyzarr.fitting`. Refuses to compute on values.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from lazyzarr import casting
from lazyzarr.algebra.boxes import any_overlap
from lazyzarr.algebra.selection import normalize_axis
from lazyzarr.errors import CombineError, ShapeError
from lazyzarr.fitting import fitting, shared_attrs, shared_dims, views_of
from lazyzarr.ir.nodes import Concat, OverlapRule, Overlay, Stack
from lazyzarr.leaves import full
from lazyzarr.read import Reader
from lazyzarr.tiling import MANY, placed_boxes, tiled
from lazyzarr.view import View


def concat(views: Sequence[View], axis: SupportsIndex = 0, *, promote: bool = False) -> View:
    """Join views along an existing axis, as ``np.concatenate``.

    Parameters
    ----------
    views
        At least one; equal in shape but for the joined axis, in type, in dimension names and in the
        attributes of `lazyzarr.fitting.MEANING`. Codecs, chunk shapes, byte orders, packing and fill values may differ.
    axis
        The axis to join along.
    promote
        Convert all to the type NumPy promotes to, if that keeps every value of every input.

    Raises
    ------
    CombineError
        Listing every mismatch of every input.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> concat([lz.full(2, 1, dtype="int8"), lz.full(1, 2, dtype="int8")]).read().tolist()
    [1, 1, 2]
    """
    inputs = views_of("concat", views)
    number = normalize_axis(axis, inputs[0].ndim)
    inputs = fitting("concat", inputs, number, promote)
    if len(inputs) == 1:
        return inputs[0]
    reader, dims, attrs = Reader.joined([v.reader for v in inputs]), shared_dims(inputs), shared_attrs(inputs)
    if len(inputs) >= MANY:
        many = tiled(inputs, number, new_axis=None)
        if many is not None:
            return many._same(dims=dims, attrs=attrs)
    return View(Concat(tuple(range(len(inputs))), number), inputs, reader=reader, dims=dims, attrs=attrs)


def stack(views: Sequence[View], axis: SupportsIndex = 0, *, promote: bool = False) -> View:
    """Join views along a new axis, as ``np.stack``.

    Raises
    ------
    CombineError
        Listing every mismatch of every input.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> stack([lz.full(2, 1, dtype="int8"), lz.full(2, 2, dtype="int8")], axis=1).read().tolist()
    [[1, 2], [1, 2]]
    """
    inputs = views_of("stack", views)
    number = normalize_axis(axis, inputs[0].ndim + 1)
    inputs = fitting("stack", inputs, None, promote)
    dims = shared_dims(inputs)
    if dims is not None:
        dims = (*dims[:number], None, *dims[number:])
    attrs = shared_attrs(inputs)
    if len(inputs) >= MANY:
        many = tiled(inputs, number, new_axis=number)
        if many is not None:
            return many._same(dims=dims, attrs=attrs)
    reader = Reader.joined([v.reader for v in inputs])
    return View(Stack(tuple(range(len(inputs))), number), inputs, reader=reader, dims=dims, attrs=attrs)


def block(views: Any) -> View:
    """Assemble nested lists of views, innermost along the last axis, as ``np.block``.

    Raises
    ------
    CombineError
        When the lists are not nested equally deep, or views do not fit.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> one = lz.full((1, 1), 1, dtype="int8")
    >>> block([[one, one], [one, one]]).shape
    (2, 2)
    """
    depth = _depth(views, ())
    rank = max(_ranks(views), default=0)
    rank = max(rank, depth)

    def join(part: Any, level: int) -> View:
        if isinstance(part, View):
            return part.expand_dims(tuple(range(rank - part.ndim))) if part.ndim < rank else part
        return concat([join(inner, level + 1) for inner in part], rank - depth + level)

    return join(views, 0)


def overlay(
    shape: Sequence[int],
    placed: Sequence[tuple[View, Sequence[int]]],
    *,
    fill_value: Any = None,
    overlap: OverlapRule = "error",
    dtype: Any = None,
) -> View:
    """Place views as boxes on a constant background.

    Parameters
    ----------
    shape
        Of the result.
    placed
        (view, origin): the cell of the result that receives the first cell of the view.
    fill_value
        Of cells outside every box; by default the fill value of the first view.
    overlap
        "error": boxes must not overlap; "first" or "last": which of the list is seen.
    dtype
        Only for an empty list of views.

    Raises
    ------
    CombineError
        Listing every box that reaches outside, every mismatch, and an overlap that was not allowed.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> one = lz.full(2, 1, dtype="int8")
    >>> overlay((5,), [(one, (3,))], fill_value=0).read().tolist()
    [0, 0, 0, 1, 1]
    """
    lengths = _whole("overlay", shape)
    if overlap not in ("error", "first", "last"):
        raise CombineError("overlay", [f'overlap is {overlap!r}; it is "error", "first" or "last"'])
    if not placed:
        return full(lengths, 0 if fill_value is None else fill_value, dtype=dtype)
    inputs = views_of("overlay", [view for view, _ in placed])
    origins = [_whole("overlay", origin) for _, origin in placed]
    return _overlay("overlay", lengths, inputs, origins, None, fill_value, overlap)


def interleave(views: Sequence[View], axis: SupportsIndex = 0) -> View:
    """Take cells of the views in turn along an axis: cell ``i`` of view ``k`` becomes cell ``i * len(views) + k``.

    Raises
    ------
    CombineError
        Listing every mismatch; earlier views may be one cell longer than later ones.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> interleave([lz.full(2, 1, dtype="int8"), lz.full(2, 2, dtype="int8")]).read().tolist()
    [1, 2, 1, 2]
    """
    inputs = views_of("interleave", views)
    rank = inputs[0].ndim
    number = normalize_axis(axis, rank)
    inputs = fitting("interleave", inputs, number, False)
    lengths = [view.shape[number] for view in inputs]
    total = sum(lengths)
    wrong = [k for k, n in enumerate(lengths) if n != len(range(k, total, len(inputs)))]
    if wrong:
        raise CombineError(
            "interleave",
            [
                f"input {k} has length {lengths[k]} on axis {number}; in turn it would have "
                f"{len(range(k, total, len(inputs)))} of the {total} cells; cut the inputs to one length"
                for k in wrong
            ],
        )
    shape = (*inputs[0].shape[:number], total, *inputs[0].shape[number + 1 :])
    origins = [tuple(k if a == number else 0 for a in range(rank)) for k in range(len(inputs))]
    step = tuple(len(inputs) if a == number else 1 for a in range(rank))
    return _overlay("interleave", shape, inputs, origins, [step] * len(inputs), None, "error")


def pad(view: View, width: Any, *, value: Any = None) -> View:
    """Surround a view with a constant, as ``np.pad(..., mode="constant")``.

    Parameters
    ----------
    width
        One (before, after) for each axis, one pair for all, or one number for all.
    value
        The constant; by default the fill value of the view.

    Raises
    ------
    ShapeError
        For negative widths or another number of pairs than axes.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> pad(lz.full(2, 1, dtype="int8"), (1, 2), value=0).read().tolist()
    [0, 1, 1, 0, 0]
    """
    try:
        given = np.asarray(width)
        pairs = np.broadcast_to(given.astype(np.int64, casting="same_kind"), (view.ndim, 2)).tolist()
    except (ValueError, TypeError):
        raise ShapeError(
            f"pad of {width!r}; the view has rank {view.ndim}; give a (before, after) for each axis"
        ) from None
    if any(n < 0 for pair in pairs for n in pair):
        raise ShapeError(f"pad of {width!r}; widths are at least 0; slice to cut")
    if not any(n for pair in pairs for n in pair):
        return view
    shape = tuple(before + n + after for n, (before, after) in zip(view.shape, pairs, strict=True))
    return _overlay("pad", shape, [view], [tuple(before for before, _ in pairs)], None, value, "error")


def broadcast_to(view: View, shape: Sequence[int] | int) -> View:
    """Repeat a view to a shape, as ``np.broadcast_to``; no cell is stored twice.

    Raises
    ------
    ShapeError
        When NumPy could not broadcast.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> broadcast_to(lz.full(2, 1, dtype="int8"), (3, 2)).shape
    (3, 2)
    """
    return view.broadcast_to(shape)


def _overlay(
    what: str,
    shape: tuple[int, ...],
    inputs: Sequence[View],
    origins: Sequence[tuple[int, ...]],
    steps: Sequence[tuple[int, ...]] | None,
    fill_value: Any,
    overlap: OverlapRule,
) -> View:
    inputs = fitting(what, inputs, "any", False)
    rank = len(shape)
    problems: list[str] = []
    for number, (view, origin) in enumerate(zip(inputs, origins, strict=True)):
        step = steps[number] if steps else (1,) * rank
        if view.ndim != rank or len(origin) != rank:
            problems.append(f"input {number} has rank {view.ndim} and origin {origin}; the result has rank {rank}")
        elif any(
            o < 0 or (n and o + s * (n - 1) >= length)
            for o, s, n, length in zip(origin, step, view.shape, shape, strict=True)
        ):
            problems.append(
                f"input {number} of shape {view.shape} at {origin} reaches outside {shape}; cut it or enlarge the result"
            )
    if problems:
        raise CombineError(what, problems)
    starts = np.array(origins, np.int64).reshape(len(inputs), rank)
    if overlap == "error":
        counts = np.array([view.shape for view in inputs], np.int64).reshape(len(inputs), rank)
        ones = np.ones_like(starts) if steps is None else np.array(steps, np.int64).reshape(len(inputs), rank)
        pair = any_overlap(starts, counts, ones)
        if pair is not None:
            i, j = pair
            raise CombineError(
                what,
                [
                    f"input {i} at {origins[i]} of shape {inputs[i].shape} and input {j} at {origins[j]} of shape "
                    f'{inputs[j].shape} overlap; say overlap="first" or "last", or move them'
                ],
                reason="overlap",
            )
    data_type = inputs[0].data_type
    value = inputs[0].schema.fill_value if fill_value is None else casting.exact_fill(fill_value, data_type)
    if overlap == "error" and steps is None and len(inputs) >= MANY:
        many = placed_boxes(inputs, starts, shape, new_axis=None, background=value)
        if many is not None:
            return many._same(dims=shared_dims(inputs), attrs=shared_attrs(inputs))
    node = Overlay(
        tuple(range(len(inputs))), tuple(origins), shape, value, overlap, None if steps is None else tuple(steps)
    )
    reader = Reader.joined([v.reader for v in inputs])
    return View(node, inputs, reader=reader, dims=shared_dims(inputs), attrs=shared_attrs(inputs))


def _whole(what: str, numbers: Sequence[Any]) -> tuple[int, ...]:
    """Integers as they are; a length of 2.5 cells is a mistake and not 2."""
    try:
        return tuple(operator.index(number) for number in numbers)
    except TypeError:
        raise ShapeError(f"{what} with {tuple(numbers)}; cells are counted in integers; give integers") from None


def _depth(part: Any, path: tuple[int, ...]) -> int:
    if isinstance(part, View):
        return 0
    if not isinstance(part, list | tuple) or not part:
        raise CombineError("block", [f"element {list(path)} is {type(part).__name__}; give nested lists of views"])
    depths = [_depth(inner, (*path, k)) for k, inner in enumerate(part)]
    if len(set(depths)) > 1:
        raise CombineError(
            "block", [f"lists at {list(path)} are nested {min(depths)} and {max(depths)} deep; nest alike"]
        )
    return 1 + depths[0]


def _ranks(part: Any) -> list[int]:
    return [part.ndim] if isinstance(part, View) else [rank for inner in part for rank in _ranks(inner)]


__all__ = ["block", "broadcast_to", "concat", "interleave", "overlay", "pad", "stack"]
