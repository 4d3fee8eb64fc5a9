"""Every rule of the optimizer on random graphs: what it returns means what it was given.

The laws themselves, both sides written as programs, are in ``tests/optimize``; here nobody chose the graphs.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings

from lazyzarr.interpret import interpret
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.nodes import Concat, Decode, Fill, Index, Overlay, Stack, Take
from lazyzarr.ir.schema import infer
from lazyzarr.ir.validate import validate
from lazyzarr.lower.fragments import Fragments, fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.optimize import RULES, Step, apply_rule, is_normal, optimize
from tests.meaning.painting import paint
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS, many

DRAWS = 3_000
JOINS = Concat | Stack | Overlay


@many()
@given(graphs())
def test_optimized_graphs_mean_the_same(drawn: Drawn) -> None:
    optimized = optimize(drawn.graph)
    expected = interpret(drawn.graph, drawn.truth)
    validate(optimized)
    assert same_cells(interpret(optimized, drawn.truth), expected)
    assert same_cells(paint(lower(optimized), drawn.truth).cells, expected)
    GRAPHS["optimized == interpret"] += 1


@given(graphs())
def test_optimizing_twice_is_optimizing_once(drawn: Drawn) -> None:
    optimized = optimize(drawn.graph)
    assert is_normal(optimized)
    assert optimize(optimized) is optimized


@given(graphs())
def test_each_step_lowers_the_measure(drawn: Drawn) -> None:
    steps: list[Step] = []
    optimized = optimize(drawn.graph, observer=steps.append)
    assert all(step.measure_after < step.measure_before for step in steps)
    assert {step.rule for step in steps} <= {rule.name for rule in RULES}
    assert (optimized is drawn.graph) == (not steps)


@given(graphs())
def test_one_rule_alone_keeps_the_meaning(drawn: Drawn) -> None:
    expected = interpret(drawn.graph, drawn.truth)
    before = infer(drawn.graph)[-1]
    for rule in RULES:
        once = apply_rule(drawn.graph, rule)
        if once is None:
            continue
        validate(once)
        after = infer(once)[-1]
        assert (before.shape, before.data_type) == (after.shape, after.data_type), rule.name
        assert same_cells(interpret(once, drawn.truth), expected), rule.name
        GRAPHS["one rule alone == interpret"] += 1


@given(graphs())
def test_the_normal_form_has_decodes_at_the_sources_and_joins_outside(drawn: Drawn) -> None:
    graph = optimize(drawn.graph)
    for node in graph.nodes:
        if isinstance(node, Decode):
            assert not isinstance(graph.nodes[node.input], JOINS | Index | Take | Decode)
        if isinstance(node, Index):
            assert not isinstance(graph.nodes[node.input], JOINS | Index | Take)


@given(graphs())
def test_optimizing_asks_for_no_further_cell(drawn: Drawn) -> None:
    before = fragments(lower(drawn.graph))
    after = fragments(lower(optimize(drawn.graph)))
    assert after.cells.sum() <= before.cells.sum()
    assert _chunks(after) <= _chunks(before)


def _chunks(found: Fragments) -> int:
    return len({(s, tuple(c)) for s, c in zip(found.source.tolist(), found.chunk.tolist(), strict=True)})


@cache
def fired() -> Counter[str]:
    """Rule -> in how many of the draws it fired."""
    counts: Counter[str] = Counter()

    @settings(max_examples=DRAWS, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(graphs(depth=3))
    def collect(drawn: Drawn) -> None:
        steps: list[Step] = []
        optimize(drawn.graph, observer=steps.append)
        counts.update({step.rule for step in steps})

    collect()
    return counts


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_random_graphs_fire_every_rule(name: str) -> None:
    assert fired()[name] >= 2


def test_chains_and_sharing_do_not_blow_up() -> None:
    """``concat(x, x)`` twenty times over is twenty nodes, before and after."""
    optimized = optimize(_doubled(20))
    assert len(optimized.nodes) <= 21
    assert infer(optimized)[-1].shape == (2**20,)


def _doubled(times: int) -> Graph:
    build = GraphBuilder()
    at = build.node(Fill((1,), "int8", 3))
    for _ in range(times):
        at = build.node(Concat((at, at), 0))
    return build.build(at)
