"""Random graphs: a class of L0 or L1 means that the flat manifest is there and is what the graph means."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from lazyzarr.errors import NotFlat
from lazyzarr.interpret import interpret
from lazyzarr.ir.nodes import name_of
from lazyzarr.lower.alignment import align
from lazyzarr.lower.flatness import flatness
from lazyzarr.lower.lowering import lower
from tests.flat.reading import read_flat
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS, many

NAMED = re.compile(r"node (\d+) \((\w+)")


def assert_flat_or_refused(drawn: Drawn) -> None:
    lowered = lower(drawn.graph)
    level = flatness(lowered).level
    if level not in ("L0", "L1"):
        with pytest.raises(NotFlat) as refused:
            align(lowered)
        assert refused.value.reason == "not-flat"
        assert len(refused.value.problems) == len(flatness(lowered).problems)
        for problem in flatness(lowered).problems:
            assert problem.nodes, problem
            for number, kind in NAMED.findall(" ".join(problem.nodes)):
                assert name_of(drawn.graph.nodes[int(number)]) == kind
        GRAPHS["refused with every problem"] += 1
        return
    manifest = align(lowered)
    assert manifest.is_regular == (level == "L0")
    assert same_cells(read_flat(manifest), interpret(drawn.graph, drawn.truth))
    GRAPHS[f"flat of class {level} == interpret"] += 1


@many()
@given(graphs())
def test_flat_exactly_when_the_class_says_so(drawn: Drawn) -> None:
    assert_flat_or_refused(drawn)


@many()
@given(graphs(depth=1))
def test_small_graphs_are_flat_more_often(drawn: Drawn) -> None:
    assert_flat_or_refused(drawn)
