"""Small programs for laws: arrays in memory, joined and cut with the spelling of NumPy, as graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from lazyzarr.algebra.selection import basic, gather_indices
from lazyzarr.codecs.values import decode_values
from lazyzarr.interpret import interpret
from lazyzarr.ir import fill
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import (
    Broadcast,
    Concat,
    Decode,
    Fill,
    Index,
    Node,
    OverlapRule,
    Overlay,
    Source,
    Stack,
    Take,
    Transpose,
)
from lazyzarr.ir.schema import infer
from lazyzarr.ir.tables import Table
from lazyzarr.optimize import Step, apply_rule, optimize
from lazyzarr.optimize.site import Site

CAST = NamedConfig("cast_value", {"data_type": "int16"})
"""Decodes int16 to a wider type."""


class Program:
    """A view written down step by step."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def shape(self) -> tuple[int, ...]:
        return infer(self.graph)[-1].shape

    def __getitem__(self, key: Any) -> Program:
        return _over(Index(0, basic(key, self.shape).axes), self)

    def take(self, indices: Sequence[int], axis: int) -> Program:
        table = Table({"indices": gather_indices(indices, self.shape[axis], axis=axis)})
        return _over(Take(0, axis, table.name), self, tables=[table])

    def transpose(self, *axes: int) -> Program:
        return _over(Transpose(0, axes), self)

    @property
    def T(self) -> Program:
        return self.transpose(*reversed(range(len(self.shape))))

    def broadcast(self, shape: Sequence[int], axes: Sequence[int] | None = None) -> Program:
        """To a shape; ``axes`` says which axis each becomes, by default the last ones."""
        first = len(shape) - len(self.shape)
        return _over(Broadcast(0, tuple(shape), tuple(range(first, len(shape)) if axes is None else axes)), self)

    def decode(self, *codecs: NamedConfig, data_type: str = "float32") -> Program:
        """With codecs in encoding order, by default a cast."""
        codecs = codecs or (CAST,)
        stored = infer(self.graph)[-1]
        cell = decode_values(fill.full((1,), stored.fill_value, stored.data_type), codecs, data_type)
        return _over(Decode(0, codecs, data_type, fill.to_json(cell[0], data_type)), self)

    def cells(self) -> np.ndarray:
        """What the program means."""
        return interpret(self.graph, values_of(self.graph))


def stored(*shape: int, first: int = 0, data_type: str = "int16", fill_value: Any = 0) -> Program:
    """An array in memory that counts up from ``first``."""
    cells = (np.arange(int(np.prod(shape))) + first).reshape(shape).astype(data_type)
    builder = GraphBuilder()
    codec = NamedConfig("bytes", {"endian": "little"})
    layout = builder.layout(Layout(data_type, fill_value, tuple(max(n, 1) for n in shape), (codec,)))
    table = builder.table(Table({"values": cells}))
    return Program(builder.build(builder.node(Source(builder.array(StoredArray(layout, shape, values=table))))))


def full(shape: Sequence[int], value: Any, data_type: str = "int16") -> Program:
    return Program(Graph([Fill(tuple(shape), data_type, value)]))


def concat(inputs: Sequence[Program], axis: int = 0) -> Program:
    return _over(Concat(tuple(range(len(inputs))), axis), *inputs)


def stack(inputs: Sequence[Program], axis: int = 0) -> Program:
    return _over(Stack(tuple(range(len(inputs))), axis), *inputs)


def overlay(
    shape: Sequence[int],
    placed: Sequence[tuple[Program, Sequence[int]]],
    *,
    value: Any = -1,
    overlap: OverlapRule = "error",
    steps: Sequence[Sequence[int]] | None = None,
) -> Program:
    origins = tuple(tuple(origin) for _, origin in placed)
    combs = None if steps is None else tuple(tuple(step) for step in steps)
    node = Overlay(tuple(range(len(placed))), origins, tuple(shape), value, overlap, combs)
    return _over(node, *(program for program, _ in placed))


def values_of(graph: Graph) -> Any:
    """The ``values`` of `interpret` for arrays in memory."""

    def values(array: StoredArray, layout: Layout) -> np.ndarray:
        assert array.values is not None
        return np.asarray(graph.tables[array.values]["values"])

    return values


def written_alike(graph: Graph) -> Graph:
    """The graph with its nodes in the order in which the optimizer writes them."""
    return Site(graph).build()


def assert_rewrites(rule: str, left: Program, right: Program) -> None:
    """One rule alone makes the right side of the left one, and both mean the same."""
    made = apply_rule(left.graph, rule)
    assert made is not None, f"{rule} declines"
    assert made == written_alike(right.graph), f"{made.nodes} is not {written_alike(right.graph).nodes}"
    assert infer(made)[-1].shape == left.shape
    np.testing.assert_array_equal(left.cells(), right.cells(), strict=True)


def assert_declines(rule: str, program: Program) -> None:
    """A rule alone does not apply anywhere in a program, and the optimizer keeps its meaning."""
    assert apply_rule(program.graph, rule) is None
    assert_same_meaning(program)


def assert_same_meaning(program: Program) -> Graph:
    """The optimized graph of a program means the same and is optimal; gives that graph."""
    steps: list[Step] = []
    made = optimize(program.graph, observer=steps.append)
    assert all(step.measure_after < step.measure_before for step in steps)
    assert optimize(made) is made
    np.testing.assert_array_equal(interpret(made, values_of(made)), program.cells(), strict=True)
    return made


def _over(node: Node, *inputs: Program, tables: Sequence[Table] = ()) -> Program:
    builder = GraphBuilder()
    positions = tuple(builder.graph_of(program.graph) for program in inputs)
    for table in tables:
        builder.table(table)
    if isinstance(node, Concat | Stack | Overlay):
        return Program(builder.build(builder.node(msgspec.structs.replace(node, inputs=positions))))
    assert not isinstance(node, Fill | Source)
    return Program(builder.build(builder.node(msgspec.structs.replace(node, input=positions[0]))))
