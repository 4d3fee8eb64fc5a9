"""Laws of gathers: a take goes inwards through views that are no index and no decode.

Owns the rules whose outer node is a take. Each says what gathering cells of ``f(x)`` along one axis is with the
gather inside ``f``. Refuses to scatter a gather over the inputs of a concat: that is lowering's, on columns.
"""

from __future__ import annotations

import bisect

import msgspec
import numpy as np

from lazyzarr.algebra.span import canonical
from lazyzarr.ir.nodes import Broadcast, Concat, Fill, Overlay, Stack, Take, Transpose
from lazyzarr.optimize.making import broadcasted, constant, indexed, with_entry
from lazyzarr.optimize.rule import rule
from lazyzarr.optimize.site import Site


@rule(Take)
def take_of_nothing(site: Site, node: Take) -> int | None:
    """take(x, []) = fill of that shape"""
    return constant(site, site.schema()) if 0 in site.schema().shape else None


@rule(Take)
def take_in_steps(site: Site, node: Take) -> int | None:
    """take(x, [start, start + step, ..], a) = x[start::step along a]"""
    indices = site.indices(node)
    steps = np.diff(indices)
    if not len(indices) or (len(steps) and (steps[0] == 0 or (steps != steps[0]).any())):
        return None
    shape = site.schema(node.input).shape
    span = canonical(int(indices[0]), int(steps[0]) if len(steps) else 1, len(indices))
    whole = tuple(canonical(0, 1, length) for length in shape)
    return indexed(site, node.input, with_entry(whole, node.axis, span))


@rule(Take, Take)
def take_of_take(site: Site, node: Take, inner: Take) -> int | None:
    """take(take(x, t, a), u, a) = take(x, t[u], a), also with takes along other axes between them"""
    between: list[Take] = []
    below = inner
    while below.axis != node.axis:
        between.append(below)
        deeper = site.node(below.input)
        if not isinstance(deeper, Take):
            return None
        below = deeper
    fused = site.make(Take(below.input, node.axis, site.table(site.indices(below)[site.indices(node)])))
    for other in reversed(between):
        fused = site.make(msgspec.structs.replace(other, input=fused))
    return fused


@rule(Take, Fill)
def take_of_fill(site: Site, node: Take, inner: Fill) -> int | None:
    """take(fill(shape), t, a) = fill(shape with len(t) along a)"""
    return constant(site, site.schema())


@rule(Take, Transpose)
def take_of_transpose(site: Site, node: Take, inner: Transpose) -> int | None:
    """take(transpose(x, p), t, a) = transpose(take(x, t, p[a]), p)"""
    taken = site.make(Take(inner.input, inner.axes[node.axis], node.indices))
    return site.make(Transpose(taken, inner.axes))


@rule(Take, Broadcast)
def take_of_broadcast(site: Site, node: Take, inner: Broadcast) -> int | None:
    """take(broadcast(x), t, a) = broadcast(take(x, t, axis of x)), or broadcast(x) to len(t) where a is repeated"""
    shape = site.schema().shape
    if node.axis not in inner.axes:
        return site.make(Broadcast(inner.input, shape, inner.axes))
    axis = inner.axes.index(node.axis)
    if site.schema(inner.input).shape[axis] == 1:
        return broadcasted(site, inner.input, shape, inner.axes)
    taken = site.make(Take(inner.input, axis, node.indices))
    return site.make(Broadcast(taken, shape, inner.axes))


@rule(Take, Concat)
def take_across_concat(site: Site, node: Take, inner: Concat) -> int | None:
    """take(concat(x0, x1, .., b), t, a) = concat(take(x0, t, a), take(x1, t, a), .., b), for a not b"""
    if node.axis == inner.axis or not site.may_copy(node.input):
        return None
    taken = tuple(site.make(Take(x, node.axis, node.indices)) for x in inner.inputs)
    return site.make(Concat(taken, inner.axis))


@rule(Take, Concat)
def take_along_concat(site: Site, node: Take, inner: Concat) -> int | None:
    """take(concat(x0, x1, .., a), t, a) = take(xi, t - start of xi, a), where all of t is in one xi"""
    indices, ends = site.indices(node), site.ends(node.input)
    if node.axis != inner.axis or not len(indices):
        return None
    number = bisect.bisect_right(ends, int(indices.min()))
    if int(indices.max()) >= ends[number]:
        return None
    start = ends[number - 1] if number else 0
    return site.make(Take(inner.inputs[number], node.axis, site.table(indices - start)))


@rule(Take, Stack)
def take_across_stack(site: Site, node: Take, inner: Stack) -> int | None:
    """take(stack(x0, x1, .., b), t, a) = stack(take(x0, t, a'), take(x1, t, a'), .., b), for a not b"""
    if node.axis == inner.axis or not site.may_copy(node.input):
        return None
    axis = node.axis - (node.axis > inner.axis)
    return site.make(Stack(tuple(site.make(Take(x, axis, node.indices)) for x in inner.inputs), inner.axis))


@rule(Take, Stack)
def take_along_stack(site: Site, node: Take, inner: Stack) -> int | None:
    """take(stack(x0, x1, .., a), t, a) = stack(xi for i in t, a), where no i is there twice"""
    if node.axis != inner.axis or not site.may_copy(node.input):
        return None
    indices = site.indices(node).tolist()
    if not indices or len(set(indices)) < len(indices):
        return None
    return site.make(Stack(tuple(inner.inputs[k] for k in indices), inner.axis))


@rule(Take, Overlay)
def take_across_overlay(site: Site, node: Take, inner: Overlay) -> int | None:
    """take(overlay(x0 at o0, ..), t, a) = overlay(take(x0, t, a) at o0, ..), where all xi are as long as the view in a"""
    axis, length = node.axis, inner.shape[node.axis]
    if any(site.schema(x).shape[axis] != length for x in inner.inputs) or not site.may_copy(node.input):
        return None
    taken = tuple(site.make(Take(x, axis, node.indices)) for x in inner.inputs)
    origins = tuple(with_entry(origin, axis, 0) for origin in inner.origins)
    steps = inner.steps and tuple(with_entry(step, axis, 1) for step in inner.steps)
    return site.make(Overlay(taken, origins, site.schema().shape, inner.fill_value, inner.overlap, steps))


RULES = (
    *(take_of_nothing, take_in_steps, take_of_take, take_of_fill, take_of_transpose, take_of_broadcast),
    *(take_across_concat, take_along_concat, take_across_stack, take_along_stack),
    take_across_overlay,
)
