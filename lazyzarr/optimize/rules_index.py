"""Laws of basic selection: an index goes inwards through everything but sources, and their decodes.

Owns the rules whose outer node is an index. Each says what ``f(x)[s]`` is with the index inside ``f``. Going
through a join leaves out the inputs that the index does not meet. Refuses to look at values.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

import msgspec
import numpy as np

from lazyzarr.algebra.span import Span, canonical, compose, within
from lazyzarr.ir.nodes import Broadcast, Concat, Decode, Fill, Index, Overlay, Stack, Take, Transpose
from lazyzarr.optimize.making import (
    broadcasted,
    constant,
    indexed,
    keeps_all,
    kept_before,
    transposed,
    with_entry,
    without,
)
from lazyzarr.optimize.rule import rule
from lazyzarr.optimize.site import Site


@rule(Index)
def index_of_everything(site: Site, node: Index) -> int | None:
    """x[:, :, ..] = x"""
    return node.input if keeps_all(node.axes, site.schema(node.input).shape) else None


@rule(Index)
def index_of_nothing(site: Site, node: Index) -> int | None:
    """x[0:0] = fill of that shape"""
    return constant(site, site.schema()) if 0 in site.schema().shape else None


@rule(Index, Index)
def index_of_index(site: Site, node: Index, inner: Index) -> int | None:
    """x[s][t] = x[s after t]"""
    keys = iter(node.axes)
    axes: list[Span | int] = []
    for outer in inner.axes:
        if isinstance(outer, int):
            axes.append(outer)
            continue
        key = next(keys)
        axes.append(outer.start + outer.step * key if isinstance(key, int) else compose(outer, key))
    return indexed(site, inner.input, tuple(axes))


@rule(Index, Fill)
def index_of_fill(site: Site, node: Index, inner: Fill) -> int | None:
    """fill(shape)[s] = fill(shape of s)"""
    return constant(site, site.schema())


@rule(Index, Decode)
def index_of_decode(site: Site, node: Index, inner: Decode) -> int | None:
    """decode(x)[s] = decode(x[s]), where x has joins: the index may leave few inputs to decode"""
    if not site.weight(inner.input).joins:
        return None
    return site.make(msgspec.structs.replace(inner, input=indexed(site, inner.input, node.axes)))


@rule(Index, Take)
def index_of_take(site: Site, node: Index, inner: Take) -> int | None:
    """take(x, t, a)[s] = take(x[s but for axis a], t[s of axis a], a)"""
    key = node.axes[inner.axis]
    indices = site.indices(inner)
    if isinstance(key, int):
        return indexed(site, inner.input, with_entry(node.axes, inner.axis, int(indices[key])))
    length = site.schema(inner.input).shape[inner.axis]
    rest = indexed(site, inner.input, with_entry(node.axes, inner.axis, canonical(0, 1, length)))
    picked = indices[key.start + key.step * np.arange(key.count)]
    return site.make(Take(rest, kept_before(node.axes, inner.axis), site.table(picked)))


@rule(Index, Transpose)
def index_of_transpose(site: Site, node: Index, inner: Transpose) -> int | None:
    """transpose(x, p)[s] = transpose(x[s in the order of x], p of the axes kept)"""
    keys = dict(zip(inner.axes, node.axes, strict=True))
    axes = tuple(keys[axis] for axis in range(len(keys)))
    order = tuple(kept_before(axes, axis) for axis in inner.axes if isinstance(keys[axis], Span))
    return transposed(site, indexed(site, inner.input, axes), order)


@rule(Index, Broadcast)
def index_of_broadcast(site: Site, node: Index, inner: Broadcast) -> int | None:
    """broadcast(x, shape)[s] = broadcast(x[s of the axes of x], shape of s)"""
    axes: list[Span | int] = []
    for axis, length in zip(inner.axes, site.schema(inner.input).shape, strict=True):
        key = node.axes[axis]
        if length != inner.shape[axis]:
            key = Span(0, 1, 1) if isinstance(key, Span) else 0
        axes.append(key)
    to = tuple(kept_before(node.axes, axis) for axis in inner.axes if isinstance(node.axes[axis], Span))
    return broadcasted(site, indexed(site, inner.input, tuple(axes)), site.schema().shape, to)


@rule(Index, Concat)
def index_of_concat(site: Site, node: Index, inner: Concat) -> int | None:
    """concat(x0, x1, ..)[s] = concat(x0[s0], x1[s1], ..) of the inputs that s meets"""
    axis, key, ends = inner.axis, node.axes[inner.axis], site.ends(node.input)
    if isinstance(key, int):
        number = bisect.bisect_right(ends, key)
        start = ends[number - 1] if number else 0
        return indexed(site, inner.inputs[number], with_entry(node.axes, axis, key - start))
    parts = _parts(key, ends)
    if not parts or (len(parts) > 1 and not _may_split(site, node, inner, len(parts))):
        return None
    inputs = tuple(indexed(site, inner.inputs[k], with_entry(node.axes, axis, span)) for k, span in parts)
    return inputs[0] if len(inputs) == 1 else site.make(Concat(inputs, kept_before(node.axes, axis)))


@rule(Index, Stack)
def index_of_stack(site: Site, node: Index, inner: Stack) -> int | None:
    """stack(x0, x1, ..)[s] = stack(x0[s'], x1[s'], ..) of the inputs that s picks"""
    key, rest = node.axes[inner.axis], without(node.axes, inner.axis)
    if isinstance(key, int):
        return indexed(site, inner.inputs[key], rest)
    if not key.count or (key.count > 1 and not _may_split(site, node, inner, key.count)):
        return None
    picked = (inner.inputs[key.start + key.step * k] for k in range(key.count))
    return site.make(Stack(tuple(indexed(site, x, rest) for x in picked), kept_before(node.axes, inner.axis)))


@rule(Index, Overlay)
def index_of_overlay(site: Site, node: Index, inner: Overlay) -> int | None:
    """overlay(x0 at o0, x1 at o1, ..)[s] = overlay(x0[s0] at o0', ..) of the inputs that s meets"""
    rank = len(inner.shape)
    met = [(k, seen) for k in _near(site, node) if (seen := _seen(site, node, inner, k)) is not None]
    if not met:
        return constant(site, site.schema())
    if len(met) > 1 and not site.may_copy(node.input):
        return None
    inputs = tuple(indexed(site, inner.inputs[k], tuple(cells for _, _, cells in seen)) for k, seen in met)
    kept = [axis for axis in range(rank) if isinstance(node.axes[axis], Span)]
    origins = tuple(tuple(seen[axis][0] for axis in kept) for _, seen in met)
    steps = tuple(tuple(seen[axis][1] for axis in kept) for _, seen in met)
    plain = all(step == 1 for each in steps for step in each)
    shape = site.schema().shape
    return site.make(Overlay(inputs, origins, shape, inner.fill_value, inner.overlap, None if plain else steps))


def _parts(key: Span, ends: Sequence[int]) -> list[tuple[int, Span]]:
    """The inputs of a concat that a span meets, in the order in which it does, and its cells in each.

    Examples
    --------
    >>> _parts(Span(6, -2, 4), [3, 3, 8])
    [(2, Span(start=3, step=-2, count=2)), (0, Span(start=2, step=-2, count=2))]
    """
    parts: list[tuple[int, Span]] = []
    done = 0
    while done < key.count:
        cell = key.start + key.step * done
        number = bisect.bisect_right(ends, cell)
        start = ends[number - 1] if number else 0
        count = within(key, start, ends[number]).count
        parts.append((number, canonical(cell - start, key.step, count)))
        done += count
    return parts


def _may_split(site: Site, node: Index, inner: Concat | Stack, parts: int) -> bool:
    """Whether an index that meets several inputs of a join may have a join of its own.

    Always where the join is used once or small. A larger one may be cut to a shorter one, cell by cell in order, if
    all its users together would not have more than twice its inputs: the cuts of nested joins are then few. An index
    of other axes, too, would make as many nodes as there are ways down through nested joins.
    """
    if site.may_copy(node.input):
        return True
    key, rest = node.axes[inner.axis], without(node.axes, inner.axis)
    if not isinstance(key, Span) or abs(key.step) != 1 or parts * site.users(node.input) > 2 * len(inner.inputs):
        return False
    return keeps_all(rest, without(site.schema(node.input).shape, inner.axis))


def _near(site: Site, node: Index) -> list[int]:
    """Inputs of an overlay whose boxes meet the bounding box of an index."""
    starts, stops = site.boxes(node.input)
    spans = [key if isinstance(key, Span) else Span(key, 1, 1) for key in node.axes]
    low = np.array([min(span.start, span.last) for span in spans], np.int64)
    high = np.array([max(span.start, span.last) for span in spans], np.int64)
    return np.flatnonzero(((starts <= high) & (stops > low) & (stops > starts)).all(axis=1)).tolist()


def _seen(site: Site, node: Index, inner: Overlay, number: int) -> list[tuple[int, int, Span | int]] | None:
    """For each axis (first cell, step) in the selection and the cells of one input; None: it is not seen."""
    found: list[tuple[int, int, Span | int]] = []
    shape = site.schema(inner.inputs[number]).shape
    steps = inner.steps[number] if inner.steps else (1,) * len(shape)
    for key, origin, step, count in zip(node.axes, inner.origins[number], steps, shape, strict=True):
        span = key if isinstance(key, Span) else Span(key, 1, 1)
        where = _common(span, origin, step, count)
        if where is None:
            return None
        first, stride, cells = where
        found.append((first, stride, cells if isinstance(key, Span) else cells.start))
    return found


def _common(span: Span, origin: int, step: int, count: int) -> tuple[int, int, Span] | None:
    """Where a span meets the comb ``origin, origin + step, ..``: (first, step) in the span, and cells of the comb.

    Examples
    --------
    >>> _common(Span(9, -3, 4), 1, 2, 5)   # 9 6 3 0 meets 1 3 5 7 9 at its cells 0 and 2
    (0, 2, Span(start=4, step=-3, count=2))
    """
    inside = within(span, origin, origin + step * (count - 1) + 1)
    common = math.gcd(span.step, step)
    if not inside.count or (origin - span.start) % common:
        return None
    period = step // common
    # span.start + span.step * t = origin + step * j has solutions t of one residue class
    residue = (origin - span.start) // common * pow(span.step // common, -1, period) % period if period > 1 else 0
    first = inside.start + (residue - inside.start) % period
    met = canonical(first, period, -((first - inside.start - inside.count) // period))
    if not met.count:
        return None
    cells = canonical((span.start + span.step * first - origin) // step, span.step // common, met.count)
    return first, met.step, cells


RULES = (
    *(index_of_everything, index_of_nothing, index_of_index, index_of_fill, index_of_decode, index_of_take),
    *(index_of_transpose, index_of_broadcast, index_of_concat, index_of_stack, index_of_overlay),
)
