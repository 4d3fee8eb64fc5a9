"""Random graphs that have reshapes between the nodes of the specification."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import strategies as st

from lazyzarr.ir.extensions import written
from lazyzarr.ir.nodes import Extension
from tests.extensions.example import module
from tests.strategies.graphs import MAX_DEPTH, SHAPES, Drawn, Shape, _Drawing
from tests.strategies.stored import pool

MOST_PARTS = 24
"""Of one reshape; more say nothing new and take long."""
PLAIN = st.sampled_from(["int16", "float32", "uint8", "float64"])


@st.composite
def reshaped(draw: st.DrawFn) -> Drawn:
    """A graph with reshapes anywhere, also above and below each other."""
    drawing = _Reshaping(draw, pool())
    levels = draw(st.integers(1, MAX_DEPTH))
    root = drawing.node(draw(SHAPES), draw(PLAIN), levels)
    return Drawn(drawing.builder.build(root), drawing.truth, frozenset(drawing.kinds))


class _Reshaping(_Drawing):
    def _inner_kinds(self, shape: Shape, dtype: str) -> list[Callable[[Shape, str, int], int]]:
        found = super()._inner_kinds(shape, dtype)
        return [*found, *[self._reshape] * len(found)]

    def _reshape(self, shape: Shape, dtype: str, depth: int) -> int:
        example = module()
        old = self.draw(shapes_of(math.prod(shape)))
        if example.parts(old, shape) > MOST_PARTS:
            old = shape
        below = self.node(old, dtype, depth - 1)
        kind = example.Reshape(shape)
        self.kinds.add("reshape" if old != shape else "reshape of nothing")
        return self.builder.node(Extension((below,), written(kind)))


@st.composite
def shapes_of(draw: st.DrawFn, cells: int) -> Shape:
    """A shape of so many cells, of rank 4 at most."""
    if not cells:
        return tuple(draw(st.permutations([0, *draw(st.lists(st.integers(0, 4), max_size=2))])))
    found: list[int] = []
    while cells > 1 and len(found) < 3:
        found.append(draw(st.sampled_from([n for n in range(2, cells + 1) if cells % n == 0])))
        cells //= found[-1]
    if cells > 1:
        found.append(cells)
    if len(found) < 4 and draw(st.booleans()):
        found.insert(draw(st.integers(0, len(found))), 1)
    return tuple(found)
