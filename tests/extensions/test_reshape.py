"""A kind that lives outside the package is as good as one inside: all ways to its values agree, and its theorem holds."""

from __future__ import annotations

import math
import pickle

import hypothesis
import numpy as np
import zarr
from hypothesis import given
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.access.session import Session
from lazyzarr.document.decode import decode
from lazyzarr.document.encode import encode
from lazyzarr.interpret import interpret
from lazyzarr.ir.nodes import Extension, of_kind
from lazyzarr.lower.expanding import expanded
from lazyzarr.lower.lowering import lower
from lazyzarr.optimize.engine import optimize
from lazyzarr.read import Reader
from tests.document.samples import VIEW
from tests.extensions.drawing import reshaped, shapes_of
from tests.extensions.example import KIND, module
from tests.meaning.painting import paint
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn
from tests.strategies.tally import GRAPHS, many

READER = Reader()


@many()
@given(reshaped())
def test_all_ways_to_the_values_agree(drawn: Drawn) -> None:
    meaning = interpret(drawn.graph, drawn.truth)
    better = optimize(drawn.graph)
    assert same_cells(interpret(better, drawn.truth), meaning)
    assert same_cells(interpret(expanded(better), drawn.truth), meaning)
    assert same_cells(paint(lower(drawn.graph), drawn.truth).cells, meaning)
    assert same_cells(paint(lower(better), drawn.truth).cells, meaning)
    assert same_cells(READER.read(drawn.graph), meaning)
    assert same_cells(READER.read(better), meaning)
    GRAPHS["with reshapes: interpret == optimized == lowered == read"] += 1


@given(reshaped())
def test_documents_round_trip(drawn: Drawn) -> None:
    view = encode(drawn.graph, base_url=VIEW)
    opened = decode(view.document, url=VIEW, session=Session())
    kinds = [node.kind for _, node in of_kind(drawn.graph.nodes, Extension)]
    assert [node.kind for _, node in of_kind(opened.graph.nodes, Extension)] == kinds
    assert (f'"{KIND}"' in view.document.decode().split('"schema"')[0]) == bool(kinds)
    assert view.tables or opened.graph == drawn.graph


def test_the_strategy_draws_reshapes_that_change_something() -> None:
    found: list[str] = []

    @hypothesis.settings(max_examples=100)
    @given(reshaped())
    def look(drawn: Drawn) -> None:
        found.extend(drawn.kinds)

    look()
    assert found.count("reshape") > 20


@st.composite
def stored_reshapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Shape, chunk shape and new shape; half of the chunks are such as the condition asks for."""
    cells = draw(st.sampled_from([1, 4, 6, 8, 12, 24, 30, 36, 49, 60]))
    old, new = draw(shapes_of(cells)), draw(shapes_of(cells))
    if draw(st.booleans()):
        chunks = tuple(draw(st.integers(1, n + 1)) for n in old)
    else:
        inner = [1 if draw(st.integers(0, 3)) else n for n in old[:-1]]
        last = [draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0])) for n in old[-1:]]
        chunks = (*inner, *last)
    return old, chunks, new


@many()
@given(stored_reshapes())
def test_the_condition_of_flatness_is_exact(
    drawn: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
) -> None:
    shape, chunks, new = drawn
    stored = zarr.create_array({}, shape=shape, chunks=chunks, dtype="int16")
    view = lz.extensions.apply(module().Reshape(new), lz.open(stored))
    assert (view.flatness == "L0") == module().is_flat(shape, chunks, new)


def test_a_flat_reshape_is_a_manifest_of_the_same_chunks() -> None:
    stored = zarr.create_array({}, shape=(4, 6), chunks=(1, 3), dtype="int16")
    stored[...] = cells = np.arange(24, dtype="int16").reshape(4, 6)
    view = lz.extensions.apply(module().Reshape((8, 3)), lz.open(stored))
    assert view.flatness == "L0"
    flat = view.flatten()
    assert flat.chunk_shape == (1, 3)
    served = zarr.open_array(lz.store(view), mode="r")
    assert served.chunks == (1, 3)
    assert served[...].tolist() == cells.reshape(8, 3).tolist()


def test_selections_of_a_reshape_read_only_the_chunks_below_them() -> None:
    stored = zarr.create_array({}, shape=(40, 6), chunks=(1, 6), dtype="int16", compressors=None)
    stored[...] = cells = np.arange(240, dtype="int16").reshape(40, 6)
    view = lz.extensions.apply(module().Reshape((240,)), lz.open(stored))
    part = view[13:17]
    assert part.read().tolist() == cells.reshape(-1)[13:17].tolist()
    assert len(lower(part.ir).placements) == 1
    assert expanded(part.ir) is not part.ir
    assert expanded(view[1:][2:].ir).schemas is None or view.size == 240


def test_views_with_a_reshape_are_pickled_and_explained() -> None:
    view = lz.extensions.apply(module().Reshape((2, 3)), lz.open(np.arange(6)), dims=("y", "x"))
    again = pickle.loads(pickle.dumps(view))
    assert again.read().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert again.dims == ("y", "x")
    assert "example.reshape to (2, 3)" in view.explain()
    for stage in ("optimized", "placements", "plan"):
        assert view.explain(stage)
    assert "example.reshape" in str(view.explain("optimized"))


def test_parts_are_those_that_are_made() -> None:
    example = module()
    for old, new in (
        ((4, 6, 5), (24, 5)),
        ((24, 5), (4, 6, 5)),
        ((4, 6), (6, 4)),
        ((2, 3, 4), (24,)),
        ((24,), (2, 3, 4)),
    ):
        view = lz.extensions.apply(example.Reshape(new), lz.open(np.arange(math.prod(old)).reshape(old)))
        leaves = [node for node in expanded(view.ir).nodes if type(node).__name__ == "Index"]
        assert len(leaves) <= 2 * example.parts(old, new)
