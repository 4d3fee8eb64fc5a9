"""Long chains, wide joins and deep sharing: the optimizer is close to linear in each and recursive in none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lazyzarr.algebra.span import Span, whole
from lazyzarr.interpret import interpret
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Broadcast, Concat, Decode, Fill, Index, Node, Overlay, Source, Take, Transpose
from lazyzarr.ir.schema import infer
from lazyzarr.ir.tables import Table
from lazyzarr.optimize import Step, is_normal, optimize

LAYOUT = Layout("int16", 0, (4, 6), (NamedConfig("bytes", {"endian": "little"}),))


def sources(builder: GraphBuilder, count: int) -> tuple[int, ...]:
    """Stored arrays of shape (4, 6)."""
    layout = builder.layout(LAYOUT)
    arrays = (StoredArray(layout, (4, 6), location=f"file:///data/{k}.zarr") for k in range(count))
    return tuple(builder.node(Source(builder.array(array))) for array in arrays)


def cells(array: StoredArray, layout: Layout) -> np.ndarray:
    """Every array counts on from its number times 24."""
    assert array.location is not None
    number = int(array.location.split("/")[-1].removesuffix(".zarr"))
    return (np.arange(24) + 24 * number).astype("int16").reshape(4, 6)


def optimized(graph: Graph) -> Graph:
    """The optimized graph, which means the same."""
    made = optimize(graph)
    assert is_normal(made)
    np.testing.assert_array_equal(interpret(made, cells), interpret(graph, cells))
    return made


def chain(nodes: Sequence[Node], count: int = 1) -> Graph:
    """Nodes one upon the other, above a concat of sources."""
    builder = GraphBuilder()
    top = builder.node(Concat(sources(builder, count), 0))
    for node in nodes:
        top = builder.adopt(node, [top], Graph(()))
    return builder.build(top)


def test_a_chain_of_transposes() -> None:
    nodes = [Transpose(0, (1, 0)), Transpose(0, (0, 1))] * 1501
    made = optimized(chain(nodes))
    assert [type(node) for node in made.nodes] == [Source, Transpose]


def test_a_chain_of_selections_of_a_wide_concat() -> None:
    nodes: list[Node] = [Index(0, (Span(1, 1, n), whole(6))) for n in range(2399, 19, -1)]
    made = optimized(chain(nodes, 600))
    assert len(made.nodes) < 15


def test_a_chain_of_all_kinds() -> None:
    wide = Decode(0, (NamedConfig("cast_value", {"data_type": "int16"}),), "int32", 0)
    again = Decode(0, (NamedConfig("cast_value", {"data_type": "int32"}),), "int32", 0)
    steps: list[Node] = [
        Transpose(0, (1, 0)),
        Index(0, (Span(5, -1, 6), Span(7, -1, 8))),
        Broadcast(0, (1, 6, 8), (1, 2)),
        Index(0, (0, whole(6), whole(8))),
        Transpose(0, (1, 0)),
    ]
    made = optimized(chain([wide, *steps * 250, again, *steps * 250], 2))
    assert len(made.nodes) < 10


def test_concats_joined_one_by_one() -> None:
    builder = GraphBuilder()
    first, *rest = sources(builder, 3000)
    top = first
    for source in rest:
        top = builder.node(Concat((top, source), 0))
    made = optimized(builder.build(top))
    assert len(made.nodes) == 3001
    assert made.root == Concat(tuple(range(3000)), 0)


def test_a_window_that_rolls_on() -> None:
    builder = GraphBuilder()
    first, *rest = sources(builder, 1000)
    top = first
    for source in rest:
        top = builder.node(Concat((builder.node(Index(top, (Span(1, 1, 3), whole(6)))), source), 0))
        top = builder.node(Index(top, (Span(0, 1, 4), whole(6))))
    made = optimized(builder.build(top))
    assert len(made.nodes) < 12


def test_joins_along_alternating_axes() -> None:
    builder = GraphBuilder()
    top = builder.node(Fill((1, 1), "int16", 0))
    shape = [1, 1]
    for k in range(2000):
        axis = k % 2
        edge = [1 if a == axis else n for a, n in enumerate(shape)]
        top = builder.node(Concat((top, builder.node(Fill(tuple(edge), "int16", k % 1000))), axis))
        shape[axis] += 1
    top = builder.node(Index(top, (Span(0, 1, 3), shape[1] - 1)))
    graph = builder.build(top)
    made = optimize(graph)
    assert is_normal(made)
    assert len(made.nodes) < 12


def doubled(depth: int, axis: int = 0) -> tuple[GraphBuilder, int]:
    """A concat of the same twice, of the same twice, ..."""
    builder = GraphBuilder()
    (top,) = sources(builder, 1)
    for _ in range(depth):
        top = builder.node(Concat((top, top), axis))
    return builder, top


@pytest.mark.parametrize(
    "top",
    [
        Transpose(0, (1, 0)),
        Decode(0, (NamedConfig("cast_value", {"data_type": "int16"}),), "int32", 0),
        Broadcast(0, (2, 4 * 2**40, 6), (1, 2)),
        Index(0, (Span(1, 1, 4 * 2**40 - 2), whole(6))),
        Index(0, (Span(4 * 2**40 - 1, -1, 4 * 2**40), Span(1, 2, 2))),
        Index(0, (Span(0, 3, 2**40), whole(6))),
        Index(0, (Span(5, 2**20 + 7, 2**20), 3)),
        Index(0, (2**40 + 12345, 3)),
    ],
)
def test_deep_sharing_does_not_unfold(top: Node) -> None:
    builder, shared = doubled(40)
    graph = builder.build(builder.adopt(top, [shared], Graph(())))
    made = optimize(graph)
    assert is_normal(made)
    assert len(made.nodes) < 4 * len(graph.nodes)


def test_sharing_of_different_cuts_does_not_unfold() -> None:
    builder = GraphBuilder()
    (top,) = sources(builder, 1)
    wide = 2**21
    top = builder.node(Broadcast(builder.node(Index(top, (whole(4), 0))), (4, wide), (0,)))
    length = 4
    for k in range(20):
        width = wide - 2**k
        parts = [builder.node(Index(top, (whole(length), Span(at, 1, width)))) for at in (0, 2**k)]
        top, wide, length = builder.node(Concat(tuple(parts), 0)), width, 2 * length
    graph = builder.build(builder.node(Index(top, (whole(length), 0))))
    made = optimize(graph)
    assert is_normal(made)
    assert len(made.nodes) < 2 * len(graph.nodes) + 1024


def test_overlays_deep_enough_to_be_too_large_to_weigh() -> None:
    builder = GraphBuilder()
    (top,) = sources(builder, 1)
    for _ in range(300):
        top = builder.node(Overlay((top, top), ((0, 0), (1, 0)), (5, 6), 0, "last"))
        top = builder.node(Index(top, (Span(0, 1, 4), whole(6))))
    graph = builder.build(builder.node(Transpose(top, (1, 0))))
    assert len(optimized(graph).nodes) < 2000


@pytest.mark.parametrize(
    ("top", "most"),
    [
        (Index(0, (5 * 4000 + 3, 3)), 2),
        (Index(0, (Span(20_002, 1, 8), whole(6))), 9),
        (Take(0, 0, Table({"indices": np.array([40_003, 40_001, 40_001])}).name), 2),
        (Index(0, (whole(80_000), Span(3, 1, 2))), 40_001),
        (Transpose(0, (1, 0)), 40_001),
    ],
)
def test_wide_concats(top: Node, most: int) -> None:
    builder = GraphBuilder()
    builder.table(Table({"indices": np.array([40_003, 40_001, 40_001])}))
    joined = builder.node(Concat(sources(builder, 20_000), 0))
    graph = builder.build(builder.adopt(top, [joined], builder.build(joined)))
    made = optimize(graph)
    assert len(made.nodes) <= most
    assert infer(made)[-1].shape == infer(graph)[-1].shape


def test_a_selection_of_a_decoded_concat_leaves_few_inputs_to_decode() -> None:
    cast = Decode(0, (NamedConfig("cast_value", {"data_type": "int16"}),), "int32", 0)
    graph = chain([cast, Transpose(0, (1, 0)), Index(0, (whole(6), Span(3997, 1, 6)))], 2000)
    steps: list[Step] = []
    made = optimize(graph, observer=steps.append)
    assert len(steps) < 20
    assert len(made.nodes) == 9
    optimized(graph)


def test_a_shared_wide_concat_is_cut_where_that_is_cheap() -> None:
    """Rolled: both halves are concats of their own, and those are one."""
    builder = GraphBuilder()
    joined = builder.node(Concat(sources(builder, 2000), 0))
    parts = [builder.node(Index(joined, (Span(at, 1, n), whole(6)))) for at, n in ((5, 7995), (0, 5))]
    made = optimized(builder.build(builder.node(Concat(tuple(parts), 0))))
    assert len(made.nodes) == 2000 + 3
    assert isinstance(made.root, Concat)
    assert len(made.root.inputs) == 2001
