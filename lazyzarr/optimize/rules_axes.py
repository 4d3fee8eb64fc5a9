"""Laws of transposes and broadcasts: axes are renumbered and repeated as late as possible, but inside joins.

Owns the rules whose outer node is a transpose or a broadcast. Refuses to copy a large join that others use, too.
"""

from __future__ import annotations

from lazyzarr.ir.nodes import Broadcast, Concat, Fill, Overlay, Stack, Transpose
from lazyzarr.optimize.making import broadcasted, constant, transposed, with_entry, without
from lazyzarr.optimize.rule import rule
from lazyzarr.optimize.site import Site


@rule(Transpose)
def transpose_of_nothing(site: Site, node: Transpose) -> int | None:
    """transpose(x, (0, 1, ..)) = x"""
    return node.input if node.axes == tuple(range(len(node.axes))) else None


@rule(Transpose, Transpose)
def transpose_of_transpose(site: Site, node: Transpose, inner: Transpose) -> int | None:
    """transpose(transpose(x, p), q) = transpose(x, p[q])"""
    return transposed(site, inner.input, tuple(inner.axes[axis] for axis in node.axes))


@rule(Transpose, Fill)
def transpose_of_fill(site: Site, node: Transpose, inner: Fill) -> int | None:
    """transpose(fill(shape), p) = fill(shape[p])"""
    return constant(site, site.schema())


@rule(Transpose, Broadcast)
def transpose_of_broadcast(site: Site, node: Transpose, inner: Broadcast) -> int | None:
    """transpose(broadcast(x, shape), p) = broadcast(transpose(x, p of the axes of x), shape[p])"""
    order = tuple(inner.axes.index(axis) for axis in node.axes if axis in inner.axes)
    to = tuple(k for k, axis in enumerate(node.axes) if axis in inner.axes)
    return site.make(Broadcast(transposed(site, inner.input, order), site.schema().shape, to))


@rule(Transpose, Concat)
def transpose_of_concat(site: Site, node: Transpose, inner: Concat) -> int | None:
    """transpose(concat(x0, x1, .., a), p) = concat(transpose(x0, p), .., where p has a)"""
    if not site.may_copy(node.input):
        return None
    inputs = tuple(transposed(site, x, node.axes) for x in inner.inputs)
    return site.make(Concat(inputs, node.axes.index(inner.axis)))


@rule(Transpose, Stack)
def transpose_of_stack(site: Site, node: Transpose, inner: Stack) -> int | None:
    """transpose(stack(x0, x1, .., a), p) = stack(transpose(x0, p without a), .., where p has a)"""
    if not site.may_copy(node.input):
        return None
    rest = tuple(axis - (axis > inner.axis) for axis in node.axes if axis != inner.axis)
    inputs = tuple(transposed(site, x, rest) for x in inner.inputs)
    return site.make(Stack(inputs, node.axes.index(inner.axis)))


@rule(Transpose, Overlay)
def transpose_of_overlay(site: Site, node: Transpose, inner: Overlay) -> int | None:
    """transpose(overlay(x0 at o0, ..), p) = overlay(transpose(x0, p) at o0[p], ..)"""
    if not site.may_copy(node.input):
        return None
    inputs = tuple(transposed(site, x, node.axes) for x in inner.inputs)
    origins = tuple(tuple(origin[axis] for axis in node.axes) for origin in inner.origins)
    steps = inner.steps and tuple(tuple(step[axis] for axis in node.axes) for step in inner.steps)
    return site.make(Overlay(inputs, origins, site.schema().shape, inner.fill_value, inner.overlap, steps))


@rule(Broadcast)
def broadcast_of_nothing(site: Site, node: Broadcast) -> int | None:
    """broadcast(x, shape of x) = x"""
    return node.input if node.shape == site.schema(node.input).shape else None


@rule(Broadcast, Broadcast)
def broadcast_of_broadcast(site: Site, node: Broadcast, inner: Broadcast) -> int | None:
    """broadcast(broadcast(x, shape), shape') = broadcast(x, shape')"""
    return site.make(Broadcast(inner.input, node.shape, tuple(node.axes[axis] for axis in inner.axes)))


@rule(Broadcast, Fill)
def broadcast_of_fill(site: Site, node: Broadcast, inner: Fill) -> int | None:
    """broadcast(fill, shape) = fill(shape)"""
    return constant(site, site.schema())


@rule(Broadcast, Concat)
def broadcast_of_concat(site: Site, node: Broadcast, inner: Concat) -> int | None:
    """broadcast(concat(x0, x1, .., a), shape) = concat(broadcast(x0), .., where a is), if a is not repeated"""
    to = node.axes[inner.axis]
    if site.ends(node.input)[-1] != node.shape[to] or not site.may_copy(node.input):
        return None
    lengths = (site.schema(x).shape[inner.axis] for x in inner.inputs)
    shapes = (with_entry(node.shape, to, length) for length in lengths)
    inputs = tuple(broadcasted(site, x, shape, node.axes) for x, shape in zip(inner.inputs, shapes, strict=True))
    return site.make(Concat(inputs, to))


@rule(Broadcast, Stack)
def broadcast_of_stack(site: Site, node: Broadcast, inner: Stack) -> int | None:
    """broadcast(stack(x0, x1, .., a), shape) = stack(broadcast(x0), .., where a is); of one repeated x: broadcast(x)"""
    to, axes = node.axes[inner.axis], without(node.axes, inner.axis)
    if len(inner.inputs) != node.shape[to]:
        return site.make(Broadcast(inner.inputs[0], node.shape, axes))
    if not site.may_copy(node.input):
        return None
    shape = without(node.shape, to)
    left = tuple(axis - (axis > to) for axis in axes)
    return site.make(Stack(tuple(broadcasted(site, x, shape, left) for x in inner.inputs), to))


@rule(Broadcast, Overlay)
def broadcast_of_overlay(site: Site, node: Broadcast, inner: Overlay) -> int | None:
    """broadcast(overlay(x0 at o0, ..), shape) = overlay(broadcast(x0) at o0, 0 on new axes, ..), if no xi is empty"""
    starts, stops = site.boxes(node.input)
    if bool((stops == starts).any()) or not site.may_copy(node.input):
        return None
    rank = len(node.shape)
    kept = {to: axis for axis, to in enumerate(node.axes) if inner.shape[axis] == node.shape[to]}
    inputs: list[int] = []
    for x in inner.inputs:
        shape = site.schema(x).shape
        wide = tuple(shape[kept[to]] if to in kept else node.shape[to] for to in range(rank))
        inputs.append(broadcasted(site, x, wide, node.axes))
    origins = tuple(tuple(o[kept[to]] if to in kept else 0 for to in range(rank)) for o in inner.origins)
    steps = inner.steps and tuple(tuple(s[kept[to]] if to in kept else 1 for to in range(rank)) for s in inner.steps)
    return site.make(Overlay(tuple(inputs), origins, node.shape, inner.fill_value, inner.overlap, steps))


RULES = (
    *(transpose_of_nothing, transpose_of_transpose, transpose_of_fill, transpose_of_broadcast),
    *(transpose_of_concat, transpose_of_stack, transpose_of_overlay),
    *(broadcast_of_nothing, broadcast_of_broadcast, broadcast_of_fill),
    *(broadcast_of_concat, broadcast_of_stack, broadcast_of_overlay),
)
