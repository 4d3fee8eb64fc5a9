"""Placements and fragments of random graphs, painted naively, are what the graphs mean (M1, M2)."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from lazyzarr.interpret import interpret
from lazyzarr.lower.fragments import fragments, window_of
from lazyzarr.lower.lowering import lower
from lazyzarr.lower.placements import AFFINE
from tests.meaning.painting import Painted, paint, paint_fragments
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS, many


def assert_disjoint_and_covering(painted: Painted) -> None:
    """M1: no cell comes from two sources, and every cell comes from somewhere."""
    assert painted.from_sources.max(initial=0) <= 1
    assert (painted.from_sources + painted.from_constants > 0).all()


@many()
@given(graphs())
def test_placements_paint_the_meaning(drawn: Drawn) -> None:
    lowered = lower(drawn.graph)
    painted = paint(lowered, drawn.truth)
    expected = interpret(drawn.graph, drawn.truth)
    assert_disjoint_and_covering(painted)
    assert same_cells(painted.cells, expected)
    GRAPHS["placements painted == interpret"] += 1


@many()
@given(graphs())
def test_fragments_paint_the_meaning(drawn: Drawn) -> None:
    lowered = lower(drawn.graph)
    found = fragments(lowered)
    painted = paint_fragments(lowered, found, drawn.truth)
    expected = interpret(drawn.graph, drawn.truth)
    assert_disjoint_and_covering(painted)
    assert same_cells(painted.cells, expected)
    assert found.cells.sum() == painted.from_sources.sum()
    GRAPHS["fragments painted == interpret"] += 1


@given(graphs())
def test_columns_of_placements_are_well_formed(drawn: Drawn) -> None:
    lowered = lower(drawn.graph)
    placed = lowered.placements
    assert (placed.into_step > 0).all()
    assert (placed.into_count > 0).all()
    assert (placed.count[placed.axis < 0] == 1).all()
    assert (placed.layout[placed.source >= 0] >= 0).all()
    rows, axes = np.nonzero(placed.axis >= 0)
    assert (placed.count[rows, axes] == placed.into_count[rows, placed.axis[rows, axes]]).all()
    for row, axis in zip(*np.nonzero(placed.pool != AFFINE), strict=True):
        start = placed.pool[row, axis]
        members = placed.pool_from[start : start + placed.count[row, axis]]
        assert (np.diff(members) >= 0).all()


@given(graphs())
def test_windows_are_the_keys_of_fragments(drawn: Drawn) -> None:
    """`window_of` selects as many cells from the chunk as it fills in the view."""
    lowered = lower(drawn.graph)
    found = fragments(lowered)
    view = np.zeros(lowered.schema.shape, np.int8)
    for row in range(len(found)):
        rank = len(lowered.layouts[found.layout[row]].chunk_shape)
        chunk_key, view_key = window_of(found, row)
        chunk = np.zeros(lowered.layouts[found.layout[row]].chunk_shape, np.int8)
        taken = chunk
        for axis, key in enumerate(chunk_key[:rank]):
            taken = taken[(slice(None),) * axis + (key,)]
        assert taken.shape == tuple(found.count[row, :rank])
        lengths = [len(np.arange(n)[key]) for n, key in zip(view.shape, view_key, strict=True)]
        assert lengths == found.into_count[row].tolist()
