"""How flat a view is, and why not flatter: the classes L0 to L4.

L0: one codec chain, type and fill, every fragment a whole chunk, a regular grid. L1: the same on a rectilinear grid.
L2: some fragment is a proper part of its stored chunk. L3: fragments differ in chain, axis order, stored type or fill
constant. L4: a chunk of the output draws on several fragments, because a grid of all cuts would have far more chunks
than there are fragments. Refuses conditions of its own: a view is of class L0 or L1 if and only if
`lazyzarr.lower.alignment.align` gives its plain array, since both ask the same judge.
"""

from __future__ import annotations

from dataclasses import dataclass

from lazyzarr.lower.alignment import judge
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.problems import Problem


@dataclass(frozen=True, slots=True)
class Flatness:
    """The class of a view with its reasons."""

    level: str
    problems: tuple[Problem, ...]
    chunk_shape: tuple[int, ...] | None
    """Of the regular grid of the view on which each stored chunk is read once, where there is one."""


def flatness(lowered: Lowered) -> Flatness:
    """Class of a lowered view; the most severe of its problems decides.

    Examples
    --------
    >>> from lazyzarr.ir.graph import Graph
    >>> from lazyzarr.ir.nodes import Fill
    >>> from lazyzarr.lower.lowering import lower
    >>> flatness(lower(Graph([Fill((2, 3), "int8", 0)]))).level
    'L0'
    """
    found = judge(lowered)
    return Flatness(found.level, found.problems, found.read_shape)
