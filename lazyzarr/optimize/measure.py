"""The measure that every rewrite lowers: why optimization ends.

A node is weighed as the tree it stands for, bottom up, in three numbers compared in this order:

1. ``crossings``: pairs of an operation (a node with one input) and a join (concat, stack, overlay) below it.
   The normal form has joins outside, so every pair is an index, gather, transpose, ... that has yet to go in.
2. ``size``: nodes, of which gathers and joins count 2.
3. ``disorder``: pairs of operations where the lower one belongs further out, in the order
   ``recode < decode < index < take < transpose < broadcast`` from the source outwards; where both have yet to go
   into a join, ``index < decode``, since an index may leave few inputs to decode.

Going through a join turns one operation into several, but takes one crossing away and adds none: above and below
them the same joins stand as before. Where operations pass each other, crossings and size stay and one disorder
goes. Everything else takes nodes away, joins among them, after which operations may stand in another order.

What lowers the measure of a part lowers that of the whole graph. The crossings of the nodes around it grow with the
joins in it, so a rewrite may not add any; their size does not depend on it; their disorder depends on the operations
in it, so a rewrite that is only for order must keep them. Sharing does not matter to any of this, and trees are added
up, never multiplied: the numbers are small unless sharing is deep, and a tree of more than `TOO_LARGE` nodes is no
longer weighed.

Refuses to judge how fast a graph is read: this is about ending, not about cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from lazyzarr.ir.nodes import (
    Boxes,
    Broadcast,
    Decode,
    Fill,
    Index,
    Node,
    Recode,
    Source,
    Take,
    Tiles,
    Transpose,
)

ORDER: tuple[type[Node], ...] = (Recode, Decode, Index, Take, Transpose, Broadcast)
"""Operations from the source outwards, as the normal form has them."""
ORDER_ABOVE_JOINS: tuple[type[Node], ...] = (Recode, Index, Decode, Take, Transpose, Broadcast)
"""Operations from the join outwards that they have yet to go into."""
LEAVES: tuple[type[Node], ...] = (Source, Fill, Tiles, Boxes)

TOO_LARGE = 1 << 128
"""Nodes of a tree beyond which it is not weighed: deep sharing would make the numbers as long as the graph."""

_RANK: dict[type[Node], int] = {kind: rank for rank, kind in enumerate(ORDER)}
_FURTHER_OUT = [tuple(range(rank + 1, len(ORDER))) for rank in range(len(ORDER))]
_FURTHER_OUT_ABOVE_JOINS = [
    tuple(_RANK[outer] for outer in ORDER_ABOVE_JOINS[ORDER_ABOVE_JOINS.index(kind) + 1 :]) for kind in ORDER
]


class Weight(Struct, frozen=True, gc=False):
    """The measure of a node with what is needed to weigh the nodes above it."""

    crossings: int
    size: int
    disorder: int
    joins: int
    """Joins in the tree."""
    operations: tuple[int, ...]
    """Operations of each kind in the tree that have no join below them, in `ORDER`."""
    above_joins: tuple[int, ...]
    """Operations of each kind in the tree that have a join below them, in `ORDER`."""

    @property
    def measure(self) -> tuple[int, int, int]:
        """What is compared."""
        return self.crossings, self.size, self.disorder


_NONE = (0,) * len(ORDER)
_LEAF = Weight(0, 1, 0, 0, _NONE, _NONE)
_HUGE = Weight(0, TOO_LARGE, 0, TOO_LARGE, _NONE, _NONE)


def weigh(node: Node, inputs: Iterable[Weight]) -> Weight:
    """Weight of a node from those of its inputs.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Concat
    >>> leaf = weigh(Fill((4,), "int8", 0), [])
    >>> joined = weigh(Concat((0, 0), 0), [leaf, leaf])
    >>> weigh(Transpose(1, (0,)), [joined]).measure
    (1, 5, 0)
    """
    if isinstance(node, LEAVES):
        return _LEAF
    rank = _RANK.get(type(node))
    if rank is not None:
        (below,) = inputs
        return _operation(rank, below)
    # wide joins have many inputs of few different weights
    return _join(Counter(inputs))


def _join(inputs: Counter[Weight]) -> Weight:
    shares = inputs.items()
    size = 2 + sum(weight.size * times for weight, times in shares)
    if size >= TOO_LARGE:
        return _HUGE
    return Weight(
        crossings=sum(weight.crossings * times for weight, times in shares),
        size=size,
        disorder=sum(weight.disorder * times for weight, times in shares),
        joins=1 + sum(weight.joins * times for weight, times in shares),
        operations=tuple(sum(weight.operations[k] * times for weight, times in shares) for k in range(len(ORDER))),
        above_joins=tuple(sum(weight.above_joins[k] * times for weight, times in shares) for k in range(len(ORDER))),
    )


@lru_cache(maxsize=1 << 12)
def _operation(rank: int, below: Weight) -> Weight:
    size = below.size + (2 if ORDER[rank] is Take else 1)
    if size >= TOO_LARGE:
        return _HUGE
    passing = sum(below.operations[k] for k in _FURTHER_OUT[rank])
    passing += sum(below.above_joins[k] for k in _FURTHER_OUT_ABOVE_JOINS[rank])
    return Weight(
        crossings=below.crossings + below.joins,
        size=size,
        disorder=below.disorder + passing,
        joins=below.joins,
        operations=below.operations if below.joins else _one_more(below.operations, rank),
        above_joins=_one_more(below.above_joins, rank) if below.joins else below.above_joins,
    )


def _one_more(counts: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (*counts[:rank], counts[rank] + 1, *counts[rank + 1 :])


def is_lower(after: Weight, before: Weight) -> bool:
    """Whether a rewrite brought the measure down, and that of every graph around it.

    Examples
    --------
    >>> one = weigh(Transpose(0, (0,)), [_LEAF])
    >>> is_lower(_LEAF, one), is_lower(one, one)
    (True, False)
    """
    if before.size >= TOO_LARGE:
        return True
    if after.joins > before.joins:
        return False
    if after.measure[:2] < before.measure[:2]:
        return True
    same_kinds = (after.operations, after.above_joins) == (before.operations, before.above_joins)
    return same_kinds and after.measure < before.measure
