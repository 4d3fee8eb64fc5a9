"""What a rule is: a law of the algebra, read from left to right.

Owns the struct `Rule` and the decorator `rule`. Each law is one function whose docstring is the equation; it gets
the `Site`, the node it is tried at and, where the law names one, the input of that node, and returns the position
of what the node equals, or None where the law says nothing. Refuses to fire by itself: the engine does, and checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from msgspec import Struct

from lazyzarr.ir.nodes import Node
from lazyzarr.optimize.site import Site


class Rule(Struct, frozen=True):
    """A law, with the kinds of node it is about."""

    name: str
    equation: str
    """Left side = right side."""
    outer: type[Node]
    """Kind of the node that is rewritten."""
    inner: tuple[type[Node], ...]
    """Kinds of its input; empty: any, the law does not look at it."""
    law: Callable[..., int | None]
    outermost: bool
    """Whether the engine waits for the outermost of nested nodes of this kind, to rewrite all at once."""

    def matches(self, site: Site, position: int) -> bool:
        """Whether the node at a position, and its input, are of the kinds of this law."""
        if type(site.node(position)) is not self.outer:
            return False
        return not self.inner or type(site.node(site.inputs(position)[0])) in self.inner

    def rewrite(self, site: Site, position: int) -> int | None:
        """Position of what the node at a matching position equals, or None."""
        site.here = position
        node = site.node(position)
        if not self.inner:
            return self.law(site, node)
        return self.law(site, node, site.node(site.inputs(position)[0]))


@overload
def rule[A: Node](outer: type[A], *, outermost: bool = False) -> Callable[[Callable[[Site, A], int | None]], Rule]: ...


@overload
def rule[A: Node, B: Node](
    outer: type[A], first: type[B], /, *inner: type[B], outermost: bool = False
) -> Callable[[Callable[[Site, A, B], int | None]], Rule]: ...


def rule(outer: type[Node], *inner: type[Node], outermost: bool = False) -> Callable[[Callable[..., int | None]], Rule]:
    """Make a law of a function ``(site, node, input of the node) -> position or None``.

    Without kinds of an input the function is ``(site, node) -> position or None``. The parameters are fields of
    `Rule`.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Transpose
    >>> @rule(Transpose)
    ... def transpose_of_nothing(site, node):
    ...     '''transpose(x, (0, 1, ..)) = x'''
    ...     return node.input if node.axes == tuple(range(len(node.axes))) else None
    >>> transpose_of_nothing.name, transpose_of_nothing.equation
    ('transpose_of_nothing', 'transpose(x, (0, 1, ..)) = x')
    """

    def law(function: Callable[..., int | None]) -> Rule:
        equation = (function.__doc__ or "").strip().splitlines()[0]
        return Rule(function.__name__, equation, outer, inner, function, outermost)

    return law
