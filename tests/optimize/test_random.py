"""On random graphs the optimizer keeps the meaning, ends, and has nothing left to do."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lazyzarr.interpret import interpret
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.nodes import Concat, Fill, Overlay, Stack, Take
from lazyzarr.ir.schema import infer
from lazyzarr.ir.tables import Table
from lazyzarr.ir.validate import validate
from lazyzarr.optimize import RULES, Step, apply_rule, is_normal, optimize
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS, many


@many()
@given(graphs())
def test_the_meaning_stays(drawn: Drawn) -> None:
    made = optimize(drawn.graph)
    assert same_cells(interpret(made, drawn.truth), interpret(drawn.graph, drawn.truth))
    GRAPHS["interpret(optimized) == interpret"] += 1


@given(graphs())
def test_the_result_is_valid_and_normal(drawn: Drawn) -> None:
    made = optimize(drawn.graph)
    schema = validate(made)[-1]
    before = infer(drawn.graph)[-1]
    assert (schema.shape, schema.data_type) == (before.shape, before.data_type)
    assert is_normal(made)
    assert optimize(made) is made
    assert is_normal(drawn.graph) == (made is drawn.graph)


@given(graphs())
def test_shared_joins_are_left_alone_where_none_is_small(drawn: Drawn) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lazyzarr.optimize.site.SMALL", 0)
        made = optimize(drawn.graph)
        validate(made)
        assert is_normal(made)
    assert same_cells(interpret(made, drawn.truth), interpret(drawn.graph, drawn.truth))


@given(graphs())
def test_every_step_lowers_the_measure_and_names_its_rule(drawn: Drawn) -> None:
    names = {rule.name for rule in RULES}
    steps: list[Step] = []
    optimize(drawn.graph, observer=steps.append)
    for step in steps:
        assert step.rule in names
        assert step.measure_after < step.measure_before
        assert 0 < len(step.before) + len(step.after) < 4000


@given(graphs(depth=3))
def test_each_rule_alone_keeps_the_meaning(drawn: Drawn) -> None:
    expected = interpret(drawn.graph, drawn.truth)
    for rule in RULES:
        made = apply_rule(drawn.graph, rule)
        if made is not None:
            validate(made)
            assert same_cells(interpret(made, drawn.truth), expected)


def surrounded(graph: Graph, order: list[int]) -> Graph:
    """The view stacked with constants, padded, gathered, lengthened: what is rare where nothing is drawn for it."""
    schema = infer(graph)[-1]
    builder = GraphBuilder()
    view = builder.graph_of(graph)
    other = builder.node(Fill(schema.shape, schema.data_type, schema.fill_value))
    top = builder.node(Stack((view, other, other, other), 0))
    shape = (4, *schema.shape)
    if schema.shape:
        shape = (*shape[:-1], shape[-1] + 1)
        top = builder.node(Overlay((top,), ((0,) * len(shape),), shape, schema.fill_value))
    top = builder.node(Take(top, 0, builder.table(Table({"indices": np.array(order)}))))
    edge = builder.node(Fill(shape, schema.data_type, schema.fill_value))
    return builder.build(builder.node(Concat((top, edge, edge), 0)))


@cache
def fired() -> Counter[str]:
    """Rule -> how often it fires on many graphs."""
    counts: Counter[str] = Counter()

    @settings(max_examples=2_000, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(graphs(), st.permutations(range(4)))
    def collect(drawn: Drawn, order: list[int]) -> None:
        optimize(drawn.graph, observer=lambda step: counts.update([step.rule]))
        optimize(surrounded(drawn.graph, order), observer=lambda step: counts.update([step.rule]))

    collect()
    return counts


def test_every_rule_fires() -> None:
    assert {rule.name for rule in RULES} == set(fired())
