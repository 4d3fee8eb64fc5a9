"""Joining one by one costs what joining at once does: nested concats are one node, shared ones stay shared."""

from __future__ import annotations

import numpy as np
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.document.limits import graph_depth
from lazyzarr.interpret import interpret
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nesting import unnested
from lazyzarr.ir.nodes import Concat, Fill, Node, Transpose, inputs_of
from lazyzarr.ir.schema import infer
from lazyzarr.ir.validate import validate
from lazyzarr.lower.lowering import lower
from lazyzarr.view import View


def edges(graph: Graph) -> int:
    return sum(len(inputs_of(node)) for node in graph.nodes)


def stored(first: int, count: int = 3) -> View:
    values = np.arange(first, first + count, dtype="int32")
    return lz.open(zarr.create_array({}, data=values, chunks=(2,)))


def appended(parts: list[View], count: int) -> View:
    view = parts[0]
    for k in range(1, count):
        view = lz.concat([view, parts[k % len(parts)]])
    return view


def test_two_thousand_appends_are_one_node() -> None:
    parts = [stored(0), stored(10), stored(20)]
    view = appended(parts, 2_000)
    at_once = lz.concat([parts[k % 3] for k in range(31)])
    assert len(view.ir.nodes) == len(at_once.ir.nodes) == 4
    assert edges(view.ir) == 2_000
    assert graph_depth(view.ir.nodes) == 2
    expected = np.resize(np.concatenate([np.arange(a, a + 3) for a in (0, 10, 20)]), 6_000)
    for cell in (0, 4, 3_001, 5_999):
        assert view[cell].read() == expected[cell]
    np.testing.assert_array_equal(view[2_990:3_010].read(), expected[2_990:3_010])
    assert len(lower(view[2_990:3_010].ir).placements) == 8


def test_prepending_and_joining_in_pairs_are_one_node_too() -> None:
    parts = [stored(10 * k) for k in range(16)]
    before = parts[0]
    for part in parts[1:]:
        before = lz.concat([part, before])
    pairs = parts
    while len(pairs) > 1:
        pairs = [lz.concat(pair) for pair in zip(pairs[::2], pairs[1::2], strict=True)]
    assert [len(view.ir.nodes) for view in (before, pairs[0])] == [17, 17]
    np.testing.assert_array_equal(before.read(), np.concatenate([part.read() for part in parts[::-1]]))
    np.testing.assert_array_equal(pairs[0].read(), np.concatenate([part.read() for part in parts]))


def test_doubling_stays_small() -> None:
    view = stored(0)
    for _ in range(40):
        view = lz.concat([view, view])
    assert view.shape == (3 * 2**40,)
    assert (len(view.ir.nodes), edges(view.ir)) == (41, 80)
    assert view[3 * 2**39 + 1].read() == 1


def test_a_join_that_is_used_again_stays_one() -> None:
    month = appended([stored(0), stored(10)], 10)
    view = lz.concat([lz.concat([month, stored(20)]), month])
    kinds = [len(node.inputs) for node in view.ir.nodes if isinstance(node, Concat)]
    assert kinds == [10, 3]
    np.testing.assert_array_equal(view.read(), np.concatenate([month.read(), [20, 21, 22], month.read()]))


def test_other_axes_are_left() -> None:
    one, two = lz.full((2, 3), 1, dtype="int8"), lz.full((2, 3), 2, dtype="int8")
    view = lz.concat([lz.concat([one, two], 1), lz.concat([two, one], 1)], 0)
    assert [node.axis for node in view.ir.nodes if isinstance(node, Concat)] == [1, 1, 0]


@st.composite
def joins(draw: st.DrawFn) -> Graph:
    """Concats of concats along two axes, some of them shared, some equal once they are flat."""
    nodes: list[Node] = [Fill((1, 2), "int8", k) for k in range(3)]
    for _ in range(draw(st.integers(1, 8))):
        shapes = [schema.shape for schema in infer(Graph(nodes))]
        if draw(st.integers(0, 4)) == 0:
            nodes.append(Transpose(draw(st.integers(0, len(nodes) - 1)), (1, 0)))
            continue
        axis = draw(st.integers(0, 1))
        first = draw(st.integers(0, len(nodes) - 1))
        fitting = [k for k, shape in enumerate(shapes) if shape[1 - axis] == shapes[first][1 - axis]]
        others = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=2))
        if max(sum(shapes[k][axis] for k in (first, *others)), shapes[first][1 - axis]) <= 40:
            nodes.append(Concat((first, *others), axis))
    return Graph(nodes)


@given(joins())
@settings(max_examples=150)
def test_nested_and_flat_mean_the_same(graph: Graph) -> None:
    from_builder = View(None, graph=graph)
    linked = lz.concat([from_builder, from_builder]).ir  # leaves out what the view does not need
    made = unnested(linked)
    validate(made)
    assert edges(made) <= edges(linked)
    assert unnested(made) == made or len(made.nodes) < len(linked.nodes)
    cells = lambda array, layout: np.zeros(array.shape)  # noqa: E731
    np.testing.assert_array_equal(interpret(made, cells), interpret(linked, cells))
    np.testing.assert_array_equal(interpret(made, cells)[: infer(graph)[-1].shape[0]], interpret(graph, cells))
