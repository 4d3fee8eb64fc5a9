"""Nodes that may turn out to be nothing: makers that return the input where the node would change nothing.

Owns the spelling of "no change" for each kind, so that rules need not ask. Refuses to rewrite what is below.
"""

from __future__ import annotations

import msgspec

from lazyzarr.algebra.span import Span
from lazyzarr.ir.layout import Json
from lazyzarr.ir.nodes import Broadcast, Fill, Index, Transpose
from lazyzarr.ir.schema import Schema
from lazyzarr.optimize.site import Site

AxisKeys = tuple[Span | int, ...]


def indexed(site: Site, x: int, axes: AxisKeys) -> int:
    """Position of ``x[axes]``."""
    return x if keeps_all(axes, site.schema(x).shape) else site.make(Index(x, axes))


def transposed(site: Site, x: int, axes: tuple[int, ...]) -> int:
    """Position of ``transpose(x, axes)``."""
    return x if axes == tuple(range(len(axes))) else site.make(Transpose(x, axes))


def broadcasted(site: Site, x: int, shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """Position of ``broadcast(x, shape)`` where axis ``i`` of ``x`` becomes ``axes[i]``."""
    return x if shape == site.schema(x).shape else site.make(Broadcast(x, shape, axes))


def constant(site: Site, schema: Schema) -> int:
    """Position of a view of this schema that is its fill value everywhere."""
    return site.make(Fill(schema.shape, schema.data_type, schema.fill_value))


def keeps_all(axes: AxisKeys, shape: tuple[int, ...]) -> bool:
    """Whether an index keeps every cell of every axis, in order."""
    return all(
        isinstance(key, Span) and key.count == length and key.step == 1 for key, length in zip(axes, shape, strict=True)
    )


def without[T](items: tuple[T, ...], axis: int) -> tuple[T, ...]:
    """A tuple without the entry of one axis."""
    return (*items[:axis], *items[axis + 1 :])


def with_entry[T](items: tuple[T, ...], axis: int, entry: T) -> tuple[T, ...]:
    """A tuple with the entry of one axis replaced."""
    return (*items[:axis], entry, *items[axis + 1 :])


def kept_before(axes: AxisKeys, axis: int) -> int:
    """Where an axis is once an index has dropped axes before it."""
    return sum(isinstance(key, Span) for key in axes[:axis])


def same_constant(left: Json, right: Json) -> bool:
    """Whether two fill values are written the same, so that -0.0 is not 0.0 and NaN is NaN."""
    return msgspec.json.encode(left) == msgspec.json.encode(right)
