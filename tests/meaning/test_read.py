"""Reading random graphs from real stores gives what the graphs mean; what is read is what was planned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.interpret import interpret
from lazyzarr.ir import fill
from lazyzarr.ir.graph import GraphBuilder
from lazyzarr.ir.nodes import Source
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.read import Reader
from tests.strategies.cells import DTYPES, same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.stored import Stored, pool
from tests.strategies.tally import GRAPHS, many

READER = Reader()
KEPT = [name for name, dtype in DTYPES.items() if dtype.kind not in "TO"]
"""Types whose cells lie in the array itself, so that a buffer can be given."""


@many()
@given(graphs())
def test_reading_is_the_meaning(drawn: Drawn) -> None:
    found = READER.read(drawn.graph)
    assert same_cells(found, interpret(drawn.graph, drawn.truth))
    GRAPHS["read == interpret"] += 1


@pytest.mark.parametrize("stored", pool().arrays, ids=lambda s: f"{s.number}-{s.dtype}-{s.family}-{s.placing}")
def test_every_stored_array_reads_as_zarr_python_reads_it(stored: Stored) -> None:
    assert same_cells(READER.read(alone(stored)), stored.cells)


@given(graphs(dtypes=tuple(KEPT)), st.data())
def test_a_buffer_is_filled_and_nothing_beside_it(drawn: Drawn, data: st.DataObject) -> None:
    """``out`` may be any strided part of something larger; the cells around it stay."""
    expected = interpret(drawn.graph, drawn.truth)
    steps = [data.draw(st.sampled_from([1, 1, 2, -1])) for _ in expected.shape]
    around = np.zeros([n * abs(s) + 2 for n, s in zip(expected.shape, steps, strict=True)], expected.dtype)
    around.view(np.uint8).fill(0xA5) if around.ndim else None
    before = around.copy()
    key = tuple(
        slice(1, 1 + n * s, s) if s > 0 else slice(n, 0, -1) for n, s in zip(expected.shape, steps, strict=True)
    )
    out = around[(*key, ...)]
    assert out.shape == expected.shape
    assert READER.read(drawn.graph, out=out) is out
    assert same_cells(out, expected)
    before[(*key, ...)] = expected
    assert before.tobytes() == around.tobytes()
    GRAPHS["read into a buffer == interpret"] += 1


@given(graphs())
def test_each_chunk_is_decoded_at_most_once_and_only_if_asked_for(drawn: Drawn) -> None:
    """Inner chunks of shards are decoded one by one, so shards are left out here."""
    if any(stored.family.startswith("sharded") for stored in drawn.truth.of.values()):
        return
    lowered = lower(drawn.graph)
    found = fragments(lowered)
    asked = {
        (source, tuple(chunk), layout)
        for source, chunk, layout in zip(*(c.tolist() for c in (found.source, found.chunk, found.layout)), strict=True)
    }
    reader = Reader()
    reader.read(drawn.graph)
    assert reader.counts.decodes <= len(asked)


def alone(stored: Stored) -> object:
    """The graph of one array, whole."""
    build = GraphBuilder()
    for table in stored.tables:
        build.table(table)
    build.layout(stored.layout)
    for layout in stored.variants:
        build.layout(layout)
    return build.build(build.node(Source(build.array(stored.array))))


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_missing_chunks_are_the_fill_of_their_own_source(dtype: str) -> None:
    """Trap 2: two sources with different fills, chunks missing in both."""
    missing = [s for s in pool().by_dtype[dtype] if s.missing]
    assert missing
    for stored in missing:
        value = fill.full((), stored.layout.fill_value, stored.layout.data_type)
        found = READER.read(alone(stored))
        holes = found[~stored.present]
        assert same_cells(holes, np.broadcast_to(value, holes.shape).copy())
