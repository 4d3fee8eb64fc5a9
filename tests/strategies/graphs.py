"""Random graphs of every node kind over the pool of stored arrays.

Drawn from the view down: a shape is drawn first and each node is given inputs of the shapes it needs, so nothing
is drawn and thrown away. Leaves have the shapes they have; `_Drawing.fitted` cuts, repeats or pads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from lazyzarr.algebra.span import Span, canonical
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.layout import NamedConfig
from lazyzarr.ir.nodes import Broadcast, Concat, Fill, Index, Overlay, Stack, Take, Transpose
from lazyzarr.ir.schema import infer
from lazyzarr.ir.tables import Table
from tests.strategies.cells import DTYPES, PLAIN
from tests.strategies.decoding import decode, fill_json, unpack
from tests.strategies.leaves import Leaves
from tests.strategies.stored import Pool, pool
from tests.strategies.truth import Truth

Shape = tuple[int, ...]

MAX_RANK = 5
MAX_DEPTH = 5
MAX_NODES = 40

SHAPES = st.one_of(
    st.sampled_from([(6, 5), (13,), (4, 3, 5), (), (2, 3, 2, 4), (2, 1, 3, 2, 2)]),
    st.lists(st.integers(0, 7), max_size=4).map(tuple),
)

CASTS: dict[str, tuple[str, ...]] = {
    "float64": ("float32", "int16", "uint8"),
    "float32": ("int16", "uint8"),
    "int64": ("int16", "uint8"),
    "int16": ("uint8",),
}
"""Type -> types whose every value it has."""

UNPACKED = ("float32", "float64")
PACKINGS = ((0.1, 273.15, [-9999]), (0.02, None, []), (None, -4.0, [7, 0]), (2.0, 0.5, [255]))
"""Scale factor, offset, fill values."""


@dataclass(frozen=True)
class Drawn:
    """A graph with the cells of its stored arrays."""

    graph: Graph
    truth: Truth
    kinds: frozenset[str]
    """What was drawn, node kinds and special cases, by name."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis prints a failing graph: node by node."""
        lines = [f"{k}: {node}" for k, node in enumerate(self.graph.nodes)]
        shapes = [
            f"array {k}: {a.shape} of {self.graph.layouts[a.layout].chunk_shape}"
            for k, a in enumerate(self.graph.arrays)
        ]
        tables = [f"table {name}: {dict(t.columns)}" for name, t in self.graph.tables.items() if t.rows < 9]
        printer.text("\n".join(("Drawn(", *lines, *shapes, *tables, ")")))


@st.composite
def graphs(
    draw: st.DrawFn,
    *,
    dtypes: tuple[str, ...] | None = None,
    depth: int = MAX_DEPTH,
    arrays: Callable[[], Pool] = pool,
) -> Drawn:
    """A graph of any kinds of nodes over arrays of one data type (others below decodes)."""
    names = st.sampled_from(PLAIN) | st.sampled_from(sorted(DTYPES)) if dtypes is None else st.sampled_from(dtypes)
    drawing = _Drawing(draw, arrays())
    levels = draw(st.sampled_from([min(k, depth) for k in (0, 1, 2, 3, 4, 5, 4, 5)]))
    root = drawing.node(draw(SHAPES), draw(names), levels)
    return Drawn(drawing.builder.build(root), drawing.truth, frozenset(drawing.kinds))


class _Drawing:
    """State of one graph being drawn."""

    def __init__(self, draw: st.DrawFn, arrays: Pool) -> None:
        self.draw = draw
        self.builder = GraphBuilder()
        self.truth = Truth()
        self.leaves = Leaves(draw, self.builder, self.truth, arrays)
        self.made: list[tuple[int, Shape, str]] = []
        self.kinds: set[str] = set()
        self.budget = MAX_NODES

    def node(self, shape: Shape, dtype: str, depth: int) -> int:
        """Position of a node of this shape and type."""
        self.budget -= 1
        choices: list[Callable[[Shape, str, int], int]] = [self._source]
        if depth > 0 and self.budget > 0:
            choices += self._inner_kinds(shape, dtype) * 2
        else:
            choices += self._leaf_kinds(dtype)
        position = self._pick(choices)(shape, dtype, depth)
        self.made.append((position, shape, dtype))
        return position

    def _inner_kinds(self, shape: Shape, dtype: str) -> list[Callable[[Shape, str, int], int]]:
        found = [self._index, self._broadcast, self._overlay, self._tiles]
        if self.made:
            found.append(self._again)
        if shape:
            found += [self._concat, self._take]
        if len(shape) > 1:
            found.append(self._transpose)
        if any(1 <= n <= 3 for n in shape):
            found.append(self._stack)
        if dtype in CASTS or dtype in UNPACKED:
            found.append(self._decode)
        return found

    def _leaf_kinds(self, dtype: str) -> list[Callable[[Shape, str, int], int]]:
        return [self._source, self._fill, self._tiles, self._boxes, *(self._recode,) * 2]  # which has the most cases

    # leaves

    def _source(self, shape: Shape, dtype: str, depth: int) -> int:
        return self.fitted(*self.leaves.source(dtype), shape, dtype)

    def _fill(self, shape: Shape, dtype: str, depth: int) -> int:
        return self.builder.node(self._constant(shape, dtype))

    def _tiles(self, shape: Shape, dtype: str, depth: int) -> int:
        return self.fitted(*self.leaves.tiles(dtype, self.kinds), shape, dtype)

    def _boxes(self, shape: Shape, dtype: str, depth: int) -> int:
        return self.fitted(*self.leaves.boxes(dtype, self.kinds), shape, dtype)

    def _recode(self, shape: Shape, dtype: str, depth: int) -> int:
        return self.fitted(*self.leaves.recode(dtype, self.kinds), shape, dtype)

    def _again(self, shape: Shape, dtype: str, depth: int) -> int:
        """A node that others use too, where one of this type is there."""
        same = [(position, have) for position, have, name in self.made if name == dtype]
        if not same:
            return self._source(shape, dtype, depth)
        return self.fitted(*self._pick(same), shape, dtype)

    # inner nodes

    def _index(self, shape: Shape, dtype: str, depth: int) -> int:
        axes: list[Span | int] = []
        lengths: list[int] = []
        for count in shape:
            stride = self._int(1, 3) if count > 1 else 1
            length = max((count - 1) * stride + 1, 0) + self._int(0, 2) if count else self._int(0, 3)
            lengths.append(length)
            axes.append(self._span(length, count))
        for _ in range(self._int(0, min(2, MAX_RANK - len(shape)))):
            at, length = self._int(0, len(axes)), self._int(1, 3)
            lengths.insert(at, length)
            axes.insert(at, self._int(0, length - 1))
        return self.builder.node(Index(self.node(tuple(lengths), dtype, depth - 1), tuple(axes)))

    def _take(self, shape: Shape, dtype: str, depth: int) -> int:
        axis = self._int(0, len(shape) - 1)
        if 3 <= shape[axis] <= 4 and self._int(0, 2) == 2:  # inputs of a stack in another order
            length = shape[axis] + self._int(0, 1)
            child = self._stacked(_with(shape, axis, length), axis, dtype, depth - 1)
            return self._taken(child, axis, length, shape[axis], distinct=True)
        length = self._int(1, shape[axis] + 2)
        child = self.node(_with(shape, axis, length), dtype, depth - 1)
        return self._taken(child, axis, length, shape[axis])

    def _transpose(self, shape: Shape, dtype: str, depth: int) -> int:
        axes = tuple(self.draw(st.permutations(range(len(shape)))))
        source = [0] * len(shape)
        for new, old in enumerate(axes):
            source[old] = shape[new]
        return self.builder.node(Transpose(self.node(tuple(source), dtype, depth - 1), axes))

    def _broadcast(self, shape: Shape, dtype: str, depth: int) -> int:
        kept = tuple(axis for axis in range(len(shape)) if self._int(0, 3))
        lengths = tuple(shape[axis] if self._int(0, 2) else 1 for axis in kept)
        return self.builder.node(Broadcast(self.node(lengths, dtype, depth - 1), shape, kept))

    def _concat(self, shape: Shape, dtype: str, depth: int) -> int:
        axis = self._int(0, len(shape) - 1)
        cuts = sorted(self._int(0, shape[axis]) for _ in range(self._int(0, 3)))
        ends = [0, *cuts, shape[axis]]
        parts = [self.node(_with(shape, axis, high - low), dtype, depth - 1) for low, high in pairwise(ends)]
        return self.builder.node(Concat(tuple(parts), axis))

    def _stack(self, shape: Shape, dtype: str, depth: int) -> int:
        return self._stacked(shape, self._pick([k for k, n in enumerate(shape) if 1 <= n <= 3]), dtype, depth)

    def _stacked(self, shape: Shape, axis: int, dtype: str, depth: int) -> int:
        rest = shape[:axis] + shape[axis + 1 :]
        if self._int(0, 3) == 3:
            parts = (self.node(rest, dtype, depth - 1),) * shape[axis]
        else:
            parts = tuple(self.node(rest, dtype, depth - 1) for _ in range(shape[axis]))
        return self.builder.node(Stack(parts, axis))

    def _overlay(self, shape: Shape, dtype: str, depth: int) -> int:
        rule = self._pick(["error", "first", "last"])
        boxes = self._disjoint(shape) if rule == "error" else [self._comb(shape) for _ in range(self._int(1, 3))]
        parts = tuple(self.node(counts, dtype, depth - 1) for _, counts, _ in boxes)
        steps = tuple(step for _, _, step in boxes)
        plain = all(s == 1 for step in steps for s in step)
        self.kinds.add(f"overlay-{rule}" + ("" if plain else "-steps"))
        if rule != "error" and _meet(boxes):
            self.kinds.add(f"overlap-{rule}")
        return self.builder.node(
            Overlay(
                parts,
                tuple(origin for origin, _, _ in boxes),
                shape,
                self._pick(fill_json(dtype)),
                rule,  # type: ignore[arg-type]
                None if plain else steps,
            )
        )

    def _decode(self, shape: Shape, dtype: str, depth: int) -> int:
        pick = self._pick([*(("cast", n) for n in CASTS.get(dtype, ())), *(("unpack", n) for n in ("int16", "uint8"))])
        kind, name = pick if dtype in UNPACKED or pick[0] == "cast" else ("cast", CASTS[dtype][0])
        child = self.node(shape, name, depth - 1)
        stored = from_numpy(DTYPES[name])
        below = infer(self.builder.build(child))[-1].fill_value
        codec = NamedConfig("cast_value", {"data_type": stored})
        if kind == "unpack":
            codec = unpack(name, dtype, *self._pick(PACKINGS))
        return self.builder.node(decode(child, codec, stored, from_numpy(DTYPES[dtype]), below))

    # pieces

    def fitted(self, position: int, have: Shape, want: Shape, dtype: str) -> int:
        """Position of a node of the wanted shape that shows a node of another shape."""
        solid = [axis for axis, n in enumerate(have) if n]
        if len(have) - len(want) > len(solid):
            return self.builder.node(self._constant(want, dtype))
        drop = (
            set(self.draw(st.permutations(solid))[: max(len(have) - len(want), 0)]) if len(have) > len(want) else set()
        )
        kept = [n for axis, n in enumerate(have) if axis not in drop]
        places = (
            sorted(self.draw(st.permutations(range(len(want))))[: len(kept)])
            if len(kept) < len(want)
            else range(len(want))
        )
        wanted = [want[place] for place in places]
        lengths = iter(zip(kept, wanted, strict=True))
        axes: list[Span | int] = []
        for axis, length in enumerate(have):
            if axis in drop:
                axes.append(self._int(0, length - 1))
                continue
            count = min(next(lengths))
            axes.append(self._span(length, count))
        if any(isinstance(a, int) or a != canonical(0, 1, n) for a, n in zip(axes, have, strict=True)):
            position = self.builder.node(Index(position, tuple(axes)))
        got = [min(pair) for pair in zip(kept, wanted, strict=True)]
        full = tuple(1 if n == 1 else n for n in got)
        target = list(want)
        for place, n in zip(places, full, strict=True):
            if n != 1:
                target[place] = n
        if tuple(target) != full:
            position = self.builder.node(Broadcast(position, tuple(target), tuple(places)))
        return self._lengthened(position, tuple(target), want, dtype)

    def _lengthened(self, position: int, have: Shape, want: Shape, dtype: str) -> int:
        """A node padded, or gathered with repeats, to axes that are longer."""
        for axis, (n, wanted) in enumerate(zip(have, want, strict=True)):
            if n == wanted:
                continue
            how = self._int(0, 2 if n else 1)
            missing = wanted - n
            if how == 2:
                position = self._taken(position, axis, n, wanted)
            elif how == 1:
                pad = self.builder.node(self._constant(_with(have, axis, missing), dtype))
                position = self.builder.node(Concat(self._pick([(position, pad), (pad, position)]), axis))
            else:
                origin = tuple(self._int(0, missing) if k == axis else 0 for k in range(len(have)))
                shape = _with(have, axis, wanted)
                position = self.builder.node(Overlay((position,), (origin,), shape, self._pick(fill_json(dtype))))
            have = _with(have, axis, wanted)
        return position

    def _taken(self, position: int, axis: int, length: int, count: int, *, distinct: bool = False) -> int:
        how = 2 if distinct else self._int(0, 2)
        if how == 2 and count <= length:
            indices = self.draw(st.permutations(range(length)))[:count]
        else:
            indices = self.draw(st.lists(st.integers(0, length - 1), min_size=count, max_size=count))
        if how == 1:
            indices.sort()
        table = Table({"indices": np.array(indices, np.int64)})
        return self.builder.node(Take(position, axis, self.builder.table(table)))

    def _span(self, length: int, count: int) -> Span:
        """``count`` cells of an axis, walked either way."""
        if count < 2:
            return canonical(self._int(0, length - 1) if count else 0, 1, count)
        step = self._int(1, (length - 1) // (count - 1))
        start = self._int(0, length - 1 - step * (count - 1))
        if self._int(0, 1):
            return canonical(start, step, count)
        return canonical(start + step * (count - 1), -step, count)

    def _comb(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        """(origin, counts, steps) of a box or comb of cells anywhere in a shape."""
        axes = []
        for length in shape:
            step = self._pick([1, 1, 1, 2, 3])
            origin = self._int(0, max(length - 1, 0))
            most = -(-(length - origin) // step)
            axes.append((origin, self._int(min(most, 1), most), step))
        return _columns(axes)

    def _disjoint(self, shape: Shape) -> list[tuple[Shape, Shape, Shape]]:
        """Boxes or combs that share no cell."""
        if not shape:
            return [((), (), ())]
        axis, count = self._int(0, len(shape) - 1), self._int(1, 3)
        found = []
        comb = self._int(0, 1) and shape[axis] >= count
        cuts = sorted(self._int(0, shape[axis]) for _ in range(2 * count))
        for k in range(count):
            origin, counts, steps = self._comb(shape)
            if comb:
                along = (k, self._int(0, -(-(shape[axis] - k) // count)), count)
            else:
                along = (cuts[2 * k], cuts[2 * k + 1] - cuts[2 * k], 1)
            parts = [_with(old, axis, new) for old, new in zip((origin, counts, steps), along, strict=True)]
            found.append((parts[0], parts[1], parts[2]))
        return found

    def _chosen(self, members: Sequence[int], count: int) -> list[int]:
        """Some of the members, ascending."""
        if count in (0, len(members)):
            return list(members)[:count]
        return sorted(self.draw(st.permutations(members))[:count])

    def _constant(self, shape: Shape, dtype: str) -> Fill:
        return Fill(shape, from_numpy(DTYPES[dtype]), self._pick(fill_json(dtype)))

    def _int(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, max(high, low)))

    def _pick[T](self, choices: list[T] | tuple[T, ...]) -> T:
        return choices[self._int(0, len(choices) - 1)]


def _with(shape: Shape, axis: int, length: int) -> Shape:
    return (*shape[:axis], length, *shape[axis + 1 :])


def _columns(axes: list[tuple[int, int, int]]) -> tuple[Shape, Shape, Shape]:
    return tuple(a[0] for a in axes), tuple(a[1] for a in axes), tuple(a[2] for a in axes)


def _meet(boxes: list[tuple[Shape, Shape, Shape]]) -> bool:
    """Whether two combs share a cell, by writing the cells down."""
    cells = [set(np.ndindex(*()) if not o else _cells(o, c, s)) for o, c, s in boxes]
    return any(a & b for k, a in enumerate(cells) for b in cells[k + 1 :])


def _cells(origin: Shape, counts: Shape, steps: Shape) -> list[Shape]:
    return [tuple(o + k * s for o, k, s in zip(origin, at, steps, strict=True)) for at in np.ndindex(*counts)]
