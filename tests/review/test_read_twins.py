"""The two ways to read, the scalar one and the columnar one, give the same cells of every random graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.interpret import interpret
from lazyzarr.ir.schema import infer
from lazyzarr.lower.lowering import lower
from lazyzarr.read import Reader, small
from tests.strategies.cells import DTYPES, same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS

READER = Reader()
MOST = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def _everything_is_small() -> object:
    """Lift the limits of the scalar way, so that it takes every read that it has a line for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "MOST_CHUNKS", MOST)
        patch.setattr(small, "MOST_BRANCHES", MOST)
        yield


@given(graphs())
def test_both_ways_read_the_meaning(drawn: Drawn) -> None:
    expected = interpret(drawn.graph, drawn.truth)
    assert same_cells(READER.read_lowered(lower(drawn.graph)), expected)
    found = small.read_small(drawn.graph, READER.session, READER.counts, None)
    if found is not None:
        assert same_cells(found, expected)
        GRAPHS["scalar read == interpret"] += 1


@given(graphs(), st.data())
def test_points_are_the_cells_of_the_meaning(drawn: Drawn, data: st.DataObject) -> None:
    """``vindex`` over every kind of node, with points that repeat and lie in any order."""
    expected = interpret(drawn.graph, drawn.truth)
    if not expected.size:
        return
    number = data.draw(st.integers(1, 6))
    axes = [data.draw(st.lists(st.integers(-n, n - 1), min_size=number, max_size=number)) for n in expected.shape]
    key = tuple(np.array(axis) for axis in axes)
    found = READER.read_points(drawn.graph, key)
    assert found.dtype == expected.dtype
    assert same_cells(found, expected[(*key, ...)])
    GRAPHS["points == interpret"] += 1


@given(graphs(dtypes=tuple(name for name, dtype in DTYPES.items() if dtype.kind not in "TO")), st.data())
def test_the_columnar_way_fills_any_buffer(drawn: Drawn, data: st.DataObject) -> None:
    """Buffers whose axes are reordered and strided, as ``out.T`` and ``out[::2]``."""
    expected = interpret(drawn.graph, drawn.truth)
    order = data.draw(st.permutations(range(expected.ndim)))
    steps = [data.draw(st.sampled_from([1, 2])) for _ in order]
    lengths = [expected.shape[axis] * step for axis, step in zip(order, steps, strict=True)]
    around = np.zeros(lengths, expected.dtype)
    out = around[(*(slice(0, None, step) for step in steps), ...)].transpose(np.argsort(order))
    assert out.shape == infer(drawn.graph)[-1].shape
    READER.read_lowered(lower(drawn.graph), out=out)
    assert same_cells(out, expected)
