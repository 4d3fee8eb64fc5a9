"""The engine distrusts its rules, shows each step, and weighs what the laws change."""

from __future__ import annotations

import pytest

from lazyzarr.algebra.span import Span
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import NamedConfig
from lazyzarr.ir.nodes import Broadcast, Concat, Decode, Fill, Index, Node, Transpose
from lazyzarr.optimize import RULES, Step, apply_rule, is_normal, optimize
from lazyzarr.optimize.engine import RuleError
from lazyzarr.optimize.measure import TOO_LARGE, Weight, is_lower, weigh
from lazyzarr.optimize.rule import Rule, rule
from lazyzarr.optimize.site import Site
from tests.optimize.programs import Program, concat, overlay, stored

a, b = stored(4, 6), stored(4, 6, first=100)


@rule(Transpose)
def of_another_shape(site: Site, node: Transpose) -> int | None:
    """transpose(x) = x"""
    return node.input


@rule(Transpose)
def of_another_type(site: Site, node: Transpose) -> int | None:
    """transpose(x) = 0"""
    return site.make(Fill(site.schema().shape, "float64", 0.0))


@rule(Transpose)
def for_ever(site: Site, node: Transpose) -> int | None:
    """transpose(x) = broadcast(transpose(x))"""
    shape = site.schema().shape
    return site.make(Broadcast(site.here, shape, tuple(range(len(shape)))))


@rule(Transpose)
def of_nodes_that_do_not_fit(site: Site, node: Transpose) -> int | None:
    """transpose(x) = concat(x, transpose(x))"""
    return site.make(Concat((node.input, site.here), 0))


@pytest.mark.parametrize("broken", [of_another_shape, of_another_type, for_ever, of_nodes_that_do_not_fit])
def test_a_broken_rule_is_named(broken: Rule) -> None:
    with pytest.raises(RuleError, match=broken.name):
        apply_rule(a.T.graph, broken)


def test_an_observer_sees_each_step() -> None:
    steps: list[Step] = []
    made = optimize(concat([a, b])[4:, 2].graph, observer=steps.append)
    assert made == optimize(b[:, 2].graph)
    (step,) = steps
    assert step.rule == "index_of_concat"
    assert step.before == "index(concat(source 0, source 1, axis=0), [4:8, 2])"
    assert step.after == "index(source 1, [0:4, 2])"
    assert step.measure_after < step.measure_before


def test_a_graph_in_normal_form_is_returned_itself() -> None:
    graph = concat([a[1:].T, b[1:].T]).graph
    assert is_normal(graph)
    assert optimize(graph) is graph


def test_a_rule_is_found_by_name() -> None:
    graph = a.T.T.graph
    (law,) = [known for known in RULES if known.name == "transpose_of_transpose"]
    assert apply_rule(graph, law) == apply_rule(graph, law.name) == a.graph
    assert apply_rule(graph, "concat_of_one") is None


def test_apply_rule_fires_once_and_nearest_the_view() -> None:
    left = concat([a, b.T.T]).T.T
    made = apply_rule(left.graph, "transpose_of_transpose")
    assert made is not None
    assert made == concat([a, b.T.T]).graph


def test_the_normal_form_has_the_joins_outside() -> None:
    below = concat([a, overlay((5, 6), [(b, (1, 0))])], 0)
    view = below.decode()[1:8:2].T.broadcast((2, 6, 4)).take([0, 5, 5, 1], 1)
    kinds = [type(node).__name__ for node in optimize(view.graph).nodes]
    assert kinds[-1] == "Concat"
    assert order(optimize(view.graph))


def order(graph: Graph) -> bool:
    """Whether kinds never stand below one that belongs further in."""
    rank = {name: k for k, names in enumerate(NORMAL) for name in names}
    inner: list[int] = []
    for node in graph.nodes:
        mine = rank[type(node).__name__]
        highest = max((inner[i] for i in inputs(node)), default=0)
        if mine < highest:
            return False
        inner.append(max(mine, highest))
    return True


NORMAL = (
    *(("Source", "Tiles", "Fill"), ("Recode",), ("Decode",), ("Index", "Take")),
    *(("Transpose", "Broadcast"), ("Concat", "Stack", "Overlay")),
)


def inputs(node: Node) -> tuple[int, ...]:
    found = getattr(node, "inputs", None)
    return found if found is not None else (node.input,) if hasattr(node, "input") else ()


def test_the_measure_of_a_tree_too_large_to_weigh() -> None:
    weight = weigh(Fill((2,), "int8", 0), [])
    for _ in range(200):
        weight = weigh(Concat((0, 0), 0), [weight, weight])
    assert weight.size == TOO_LARGE
    assert weigh(Transpose(0, (0,)), [weight]).size == TOO_LARGE
    assert is_lower(weight, weight)


def test_a_rewrite_may_not_bring_more_joins() -> None:
    none = (0,) * 6
    before = Weight(crossings=4, size=9, disorder=0, joins=1, operations=none, above_joins=none)
    assert is_lower(Weight(3, 20, 5, 1, none, none), before)
    assert not is_lower(Weight(3, 8, 0, 2, none, none), before)
    assert not is_lower(before, before)


def test_a_rewrite_for_order_keeps_the_operations() -> None:
    before = Weight(0, 3, 1, 0, operations=(0, 0, 1, 0, 1, 0), above_joins=(0,) * 6)
    assert is_lower(Weight(0, 3, 0, 0, (0, 0, 1, 0, 1, 0), (0,) * 6), before)
    assert not is_lower(Weight(0, 3, 0, 0, (0, 0, 1, 0, 0, 1), (0,) * 6), before)


def test_sharing_that_ends_lets_a_rule_fire() -> None:
    """The transpose meets a large join used twice; of the other use only one input is left in the end."""
    joined = concat([stored(2, 3, first=k) for k in range(700)])
    view = concat([joined.T, joined[2:4].T], 1)
    rules: list[str] = []
    made = optimize(view.graph, observer=lambda step: rules.append(step.rule))
    assert is_normal(made)
    assert order(made)
    assert rules.index("index_of_concat") < rules.index("transpose_of_concat")


def test_programs_are_what_numpy_says() -> None:
    cells = a.cells()
    assert (Program(optimize(a[1:, ::-1].T.graph)).cells() == cells[1:, ::-1].T).all()


def test_a_constant_without_a_decoded_value_is_left_alone() -> None:
    cast = NamedConfig("cast_value", {"data_type": "float32"})
    view = Graph([Fill((2,), "float32", "NaN"), Decode(0, (cast,), "int16", 0), Index(1, (Span(0, 1, 1),))])
    assert apply_rule(view, "decode_of_fill") is None
    joined = Graph(
        [Fill((2,), "float32", "NaN"), Fill((2,), "float32", 1.0), Concat((0, 1), 0), Decode(2, (cast,), "int16", 0)]
    )
    assert optimize(joined) is joined
