"""Laws of joins: nested concats are one, and inputs that no cell of the view comes from are left out.

Owns the rules whose outer node is a concat, a stack or an overlay. Refuses to unfold an input that others use, too:
a concat of a concat of a concat of the same twice is short only as long as it is shared.
"""

from __future__ import annotations

import numpy as np

from lazyzarr.algebra.boxes import overlapping_pairs
from lazyzarr.ir.nodes import Broadcast, Concat, Fill, Overlay, Stack
from lazyzarr.optimize.making import constant, same_constant, with_entry
from lazyzarr.optimize.rule import rule
from lazyzarr.optimize.site import Site

COMPARED = 4096
"""Inputs of an overlay among which hidden ones are looked for; lowering finds those of larger ones, on columns."""


@rule(Concat, outermost=True)
def concat_of_concat(site: Site, node: Concat) -> int | None:
    """concat(.., concat(x0, x1, .., a), .., a) = concat(.., x0, x1, .., a), where nobody else uses the inner one"""
    flat: list[int] = []
    waiting = list(reversed(node.inputs))
    nested = False
    while waiting:
        x = waiting.pop()
        inner = site.node(x)
        if isinstance(inner, Concat) and inner.axis == node.axis and site.owned(x):
            waiting.extend(reversed(inner.inputs))
            nested = True
        else:
            flat.append(x)
    return site.make(Concat(tuple(flat), node.axis)) if nested else None


@rule(Concat)
def concat_of_empty(site: Site, node: Concat) -> int | None:
    """concat(.., x of length 0, .., a) = concat(.., a)"""
    solid = tuple(x for x in node.inputs if site.schema(x).shape[node.axis])
    if len(solid) == len(node.inputs) or len(node.inputs) == 1:
        return None
    return site.make(Concat(solid or node.inputs[:1], node.axis))


@rule(Concat)
def concat_of_one(site: Site, node: Concat) -> int | None:
    """concat(x, a) = x"""
    return node.inputs[0] if len(node.inputs) == 1 else None


@rule(Concat)
def concat_of_fills(site: Site, node: Concat) -> int | None:
    """concat(.., fill(n, c), fill(m, c), .., a) = concat(.., fill(n + m, c), .., a)"""
    if sum(isinstance(site.node(x), Fill) for x in node.inputs) < 2:
        return None
    merged: list[int | Fill] = []
    for x in node.inputs:
        new = site.node(x)
        if not isinstance(new, Fill):
            merged.append(x)
            continue
        last = merged[-1] if merged else None
        if isinstance(last, Fill) and same_constant(last.value, new.value):
            length = last.shape[node.axis] + new.shape[node.axis]
            merged[-1] = Fill(with_entry(last.shape, node.axis, length), last.data_type, last.value)
        else:
            merged.append(new)
    if len(merged) == len(node.inputs):
        return None
    return site.make(Concat(tuple(site.make(x) if isinstance(x, Fill) else x for x in merged), node.axis))


@rule(Stack)
def stack_of_one(site: Site, node: Stack) -> int | None:
    """stack(x, a) = broadcast(x) with a new axis a, where x has no joins, which stay outside"""
    x, *others = node.inputs
    if others or site.weight(x).joins:
        return None
    shape = site.schema().shape
    return site.make(Broadcast(x, shape, tuple(k for k in range(len(shape)) if k != node.axis)))


@rule(Stack)
def stack_of_fills(site: Site, node: Stack) -> int | None:
    """stack(fill(c), fill(c), ..) = fill(c)"""
    first = site.node(node.inputs[0])
    if not isinstance(first, Fill):
        return None
    for x in node.inputs:
        other = site.node(x)
        if not isinstance(other, Fill) or not same_constant(first.value, other.value):
            return None
    return constant(site, site.schema())


@rule(Overlay)
def overlay_of_hidden(site: Site, node: Overlay) -> int | None:
    """overlay(.., x, ..) = overlay(..), where x is empty or its box lies in that of one input above it"""
    starts, stops = site.boxes(site.here)
    hidden = (stops <= starts).any(axis=1)
    if node.overlap != "error" and node.steps is None and len(node.inputs) <= COMPARED:
        for left, right in overlapping_pairs(starts, stops):
            above, below = (left, right) if node.overlap == "first" else (right, left)
            inside = ((starts[above] <= starts[below]) & (stops[below] <= stops[above])).all(axis=1)
            hidden[below[inside]] = True
    if not hidden.any():
        return None
    seen = np.flatnonzero(~hidden).tolist()
    if not seen:
        return constant(site, site.schema())
    inputs, origins = tuple(node.inputs[k] for k in seen), tuple(node.origins[k] for k in seen)
    steps = node.steps and tuple(node.steps[k] for k in seen)
    return site.make(Overlay(inputs, origins, node.shape, node.fill_value, node.overlap, steps))


@rule(Overlay)
def overlay_of_one(site: Site, node: Overlay) -> int | None:
    """overlay(x at 0) = x, where x is as large as the overlay"""
    x, *others = node.inputs
    return None if others or site.schema(x).shape != node.shape else x


RULES = (
    *(concat_of_concat, concat_of_empty, concat_of_one, concat_of_fills),
    *(stack_of_one, stack_of_fills, overlay_of_hidden, overlay_of_one),
)
