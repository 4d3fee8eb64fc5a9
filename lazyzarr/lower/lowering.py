"""Graph to placements: one function per node kind, columns in, columns out.

1. `lower` walks the nodes forward; each function turns the placements of the inputs into those of the node.
2. Leaves of very many arrays are narrowed to what their users ask for before a row is made.
3. Overlays are resolved where they stand: what is hidden never reaches a placement.
Refuses to look at values, and loops over nodes and inputs but never over rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from lazyzarr.algebra.boxes import visible
from lazyzarr.algebra.span import Span
from lazyzarr.codecs.values import decoded_value
from lazyzarr.errors import ViewLimitError
from lazyzarr.ir.data_type import DataType
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json, Layout, with_decodes
from lazyzarr.ir.nodes import (
    Boxes,
    Broadcast,
    Concat,
    Decode,
    Extension,
    Fill,
    Index,
    Node,
    Overlay,
    Recode,
    Source,
    Stack,
    Take,
    Tiles,
    Transpose,
    inputs_of,
)
from lazyzarr.ir.row_values import row_layouts, varies
from lazyzarr.ir.schema import Schema, infer
from lazyzarr.lower import placements as table
from lazyzarr.lower.expanding import expanded
from lazyzarr.lower.needs import Box, needs
from lazyzarr.lower.placements import AFFINE, Placements
from lazyzarr.lower.selecting import clipped, gathered, selected
from lazyzarr.lower.sources import SourceSpace

MAX_PLACEMENTS = 5_000_000
"""Placements of one node."""


class Constant(msgspec.Struct, frozen=True):
    """A value that is stored nowhere."""

    data_type: DataType
    value: Json


@dataclass(frozen=True, slots=True)
class Lowered:
    """Placements of a whole graph with what they refer to."""

    placements: Placements
    layouts: tuple[Layout, ...]
    constants: tuple[Constant, ...]
    sources: SourceSpace
    schema: Schema
    graph: Graph
    """The graph as it was given, whose nodes people know."""


def lower(graph: Graph) -> Lowered:
    """The placements of the view of a graph.

    Constants first, in painting order; the boxes of sources are disjoint and, with the constants, cover the
    domain (M1).

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill, Concat
    >>> len(lower(Graph([Fill((2,), "int8", 0), Fill((2,), "int8", 1), Concat((0, 1), 0)])).placements)
    2
    """
    given, graph = graph, expanded(graph)
    schemas = infer(graph)
    lowering = _Lowering(graph, schemas)
    uses = [0] * len(graph.nodes)
    for node in graph.nodes:
        for child in inputs_of(node):
            uses[child] += 1
    found: list[Placements | None] = []
    for position, node in enumerate(graph.nodes):
        inputs = [found[i] for i in inputs_of(node)]
        assert all(part is not None for part in inputs)
        _check_count(node, inputs)  # type: ignore[arg-type]
        found.append(lowering.asked_for(position, lowering.node(position, node, inputs)))  # type: ignore[arg-type]
        for child in inputs_of(node):
            uses[child] -= 1
            if not uses[child]:
                found[child] = None  # nobody needs these columns any more
    placed = found[-1]
    assert placed is not None
    return Lowered(placed, tuple(lowering.layouts), tuple(lowering.constants), lowering.sources, schemas[-1], given)


class _Lowering:
    """State of one lowering: layouts and constants made on the way."""

    def __init__(self, graph: Graph, schemas: tuple[Schema, ...]) -> None:
        self.graph = graph
        self.schemas = schemas
        self.sources = SourceSpace(graph)
        self.layouts = list(graph.layouts)
        self.constants: list[Constant] = []
        self.needed = needs(graph, schemas)

    def node(self, position: int, node: Node, inputs: list[Placements]) -> Placements:
        """Placements of one node; none where the view uses no cell of it."""
        needed = self.needed[position]
        if needed is None:
            return table.nothing(len(self.schemas[position].shape))
        shapes = [self.schemas[i].shape for i in inputs_of(node)]
        match node:
            case Source():
                array = self.graph.arrays[node.array]
                return table.one(node.array, array.layout, array.shape)
            case Fill():
                return self._constant(node.shape, node.data_type, node.value)
            case Tiles():
                return self._tiles(position, node, needed)
            case Boxes():
                return self._boxes(position, node, needed)
            case Index():
                return selected(inputs[0], node.axes, shapes[0])
            case Take():
                indices = np.asarray(self.graph.tables[node.indices]["indices"], np.int64)
                return gathered(inputs[0], node.axis, indices)
            case Transpose():
                return table.reordered(inputs[0], node.axes)
            case Broadcast():
                return table.widened(inputs[0], shapes[0], node.shape, node.axes)
            case Concat():
                stops = np.cumsum([shape[node.axis] for shape in shapes])
                first, last = np.searchsorted(stops, [needed[node.axis][0], needed[node.axis][1] - 1], side="right")
                return _side_by_side(inputs, range(first, last + 1), np.r_[0, stops], node)
            case Stack():
                return _side_by_side(inputs, range(*needed[node.axis]), np.arange(len(inputs)), node)
            case Overlay():
                return self._overlay(position, node, inputs, shapes, needed)
            case Recode():
                return self._recode(node, inputs[0])
            case Decode():
                return self._decode(node, inputs[0], self.schemas[node.input].data_type)
            case Extension():
                raise AssertionError("kinds of other packages are expanded before")

    def asked_for(self, position: int, placed: Placements) -> Placements:
        """Only the placements that meet the box that the users of a node ask for: what is joined stays small."""
        box = self.needed[position]
        if box is None or len(placed) < 2 or not box:
            return placed
        low, high = np.array(box, np.int64).T
        if not low.any() and (high == self.schemas[position].shape).all():
            return placed
        # the pools of gathered axes hold positions in the view in any order, so those axes do not tell
        last = placed.into_first + placed.into_step * (placed.into_count - 1)
        meets = (placed.into_first < high) & (last >= low)
        rows, axes = np.nonzero(placed.pool != AFFINE)
        meets[rows, placed.axis[rows, axes]] = True
        keep = meets.all(axis=1)
        return placed if keep.all() else table.rows(placed, keep)

    def _constant(self, shape: Sequence[int], data_type: DataType, value: Json) -> Placements:
        self.constants.append(Constant(data_type, value))
        return table.constant(len(self.constants) - 1, shape)

    def _tiles(self, position: int, node: Tiles, needed: Box) -> Placements:
        placed = self.sources.tiles(position, needed)
        if varies(self.graph, node):
            layouts, which = row_layouts(self.graph, node, self.sources.rows(position, placed.source))
            placed = replace(placed, layout=(len(self.layouts) + which).astype(np.int32))
            self.layouts += layouts
        return self._on_background(placed, node, needed)

    def _boxes(self, position: int, node: Boxes, needed: Box) -> Placements:
        placed = self.sources.boxes(position, needed)
        for constant in reversed(node.constants):
            below = self._constant(constant.count, node.data_type, constant.value)
            placed = _over(table.shifted(below, constant.origin, constant.stride), placed)
        return self._on_background(placed, node, needed)

    def _on_background(self, placed: Placements, node: Tiles | Boxes, needed: Box) -> Placements:
        """What is placed, and the fill value behind it unless sources fill all that is asked for."""
        own = placed.source >= 0
        combs = (placed.into_first[own], placed.into_count[own], placed.into_step[own])
        if _cells_in(needed, *combs).sum() == math.prod(high - low for low, high in needed):
            return placed if own.all() else table.rows(placed, own)
        return _over(self._constant(node.shape, node.data_type, node.fill_value), placed)

    def _overlay(
        self, position: int, node: Overlay, inputs: list[Placements], shapes: list[tuple[int, ...]], needed: Box
    ) -> Placements:
        rank = len(node.shape)
        steps = node.steps or ((1,) * rank,) * len(inputs)
        combs = tuple(
            np.array(columns, np.int64).reshape(len(inputs), rank) for columns in (node.origins, shapes, steps)
        )
        seen = _cells_in(needed, *combs)
        used = np.flatnonzero(seen)  # what lies elsewhere neither shows nor hides anything that is asked for
        parts = [table.shifted(inputs[k], node.origins[k], steps[k]) for k in used.tolist()]
        if node.overlap != "error":
            ranks = used if node.overlap == "last" else -used
            for number, pieces in visible(combs[0][used], combs[1][used], combs[2][used], ranks).items():
                parts[number] = table.joined([table.nothing(rank), *(_cut(parts[number], piece) for piece in pieces)])
                seen[used[number]] = sum(_cells_in(needed, *_columns(piece)).item() for piece in pieces)
        placed = table.joined([table.nothing(rank), *parts])
        if seen.sum() == math.prod(high - low for low, high in needed):
            return placed
        return _over(self._constant(node.shape, self.schemas[position].data_type, node.fill_value), placed)

    def _recode(self, node: Recode, placed: Placements) -> Placements:
        layout = np.where(placed.layout >= 0, node.layout, -1).astype(np.int32)
        data_type, value = self.layouts[node.layout].data_type, self.layouts[node.layout].fill_value
        return self._with_constants(replace(placed, layout=layout), lambda _: Constant(data_type, value))

    def _decode(self, node: Decode, placed: Placements, stored: DataType) -> Placements:
        used = np.unique(placed.layout[placed.layout >= 0])
        to = np.full(len(self.layouts) + 1, -1, np.int32)
        for old in used.tolist():
            layout = self.layouts[old]
            value = decoded_value(layout.fill_value, stored, node.codecs, node.data_type)
            to[old] = len(self.layouts)
            self.layouts.append(with_decodes(layout, node.codecs, node.data_type, value))
        placed = replace(placed, layout=to[placed.layout])

        def decoded(constant: Constant) -> Constant:
            return Constant(node.data_type, decoded_value(constant.value, stored, node.codecs, node.data_type))

        return self._with_constants(placed, decoded)

    def _with_constants(self, placed: Placements, change: Callable[[Constant], Constant]) -> Placements:
        used = np.unique(placed.source[placed.source < 0])
        if not len(used):
            return placed
        source = placed.source.copy()
        for old in used.tolist():
            self.constants.append(change(self.constants[-1 - old]))
            source[placed.source == old] = -len(self.constants)
        return replace(placed, source=source)


def _side_by_side(inputs: Sequence[Placements], numbers: range, starts: np.ndarray, node: Concat | Stack) -> Placements:
    """Some inputs of a join in order, each from its start on; the others have no cell that is asked for."""
    parts = [inputs[k] for k in numbers]
    to = np.repeat(starts[numbers.start : numbers.stop], [len(part) for part in parts])
    placed = table.joined(parts)
    return table.inserted(placed, node.axis, to) if isinstance(node, Stack) else table.moved(placed, node.axis, to)


def _check_count(node: Node, inputs: list[Placements]) -> None:
    """Sharing makes few nodes mean very many placements, which are counted before they are made."""
    if len(inputs) > 1 and (count := sum(map(len, inputs))) > MAX_PLACEMENTS:
        what = f"{type(node).__name__.lower()} of {len(inputs)} inputs"
        raise ViewLimitError("placements", count, MAX_PLACEMENTS, where=what, remedy="take a smaller part of the view")


def _over(background: Placements, placed: Placements) -> Placements:
    """A constant behind everything: painted before all constants that stand on it."""
    return table.joined([background, replace(placed, order=placed.order + 1)])


def _cells_in(box: Box, starts: np.ndarray, counts: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """int64 (n,): how many cells of each comb lie in a box."""
    low, high = np.array(box, np.int64).reshape(len(box), 2).T
    first = np.maximum(-((starts - low) // steps), 0)
    stop = np.minimum(-((starts - high) // steps), counts)
    return np.maximum(stop - first, 0).prod(axis=1)


def _columns(comb: tuple[Span, ...]) -> tuple[np.ndarray, ...]:
    """Start, count and step of a comb, (1, r) each."""
    return tuple(np.array([[getattr(span, name) for span in comb]], np.int64) for name in ("start", "count", "step"))


def _cut(placed: Placements, comb: tuple[Span, ...]) -> Placements:
    """Only the cells of a comb; they stay where they are in the view."""
    for axis, span in enumerate(comb):
        placed = clipped(placed, axis, span)
    return table.shifted(placed, [span.start for span in comb], [span.step for span in comb])
