"""Views as dask arrays: values, blocks, names, and how much is read."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.blocks import aligned_chunks, axes_of
from lazyzarr.lower.lowering import lower
from tests.strategies.programs import programs

CELLS = np.arange(20 * 30).reshape(20, 30)


@pytest.fixture
def stored(tmp_path: Path) -> lz.View:
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(3, 7), dimension_names=("y", "x"))
    return lz.open(tmp_path / "a.zarr")


def computed(array: Any) -> np.ndarray:
    return array.compute(scheduler="synchronous")


@settings(max_examples=120)
@given(programs(), st.data())
def test_values_of_random_views(program: Any, data: st.DataObject) -> None:
    view = program.view
    expected = view.read()
    for chunks in (None, tuple(data.draw(st.integers(1, max(n, 1))) for n in view.shape)):
        found = computed(view.to_dask(chunks))
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@settings(max_examples=120)
@given(programs())
def test_no_block_border_lies_inside_a_chunk_that_fits(program: Any) -> None:
    """The blocks of the quick look at whole sources are blocks of the look at every chunk, only larger."""
    view = program.view
    borders = [set(np.cumsum((0, *lengths)).tolist()) for lengths in aligned_chunks(view)]
    for axis, cut in zip(axes_of(lower(view.ir)), borders, strict=True):
        if not axis.is_free:
            assert cut <= set(axis.pieces().tolist()) | {0}


def test_each_stored_chunk_is_requested_once(stored: lz.View) -> None:
    for view in (stored, stored[1:, ::-1].T, lz.concat([stored[:4], stored[7:]]), stored[:, 5:-3]):
        blocks = aligned_chunks(view, sensible=1)
        assert len(blocks[0]) * len(blocks[1]) > 20
        decodes = view.reader.counts.decodes
        computed(view.to_dask(blocks))
        by_blocks = view.reader.counts.decodes - decodes
        view.read()
        assert by_blocks == view.reader.counts.decodes - decodes - by_blocks


def test_blocks_follow_uneven_grids(stored: lz.View) -> None:
    view = lz.concat([stored[:4], stored])
    assert aligned_chunks(view, sensible=1)[0] == (3, 1, 3, 3, 3, 3, 3, 3, 2)
    assert aligned_chunks(view, sensible=6 * 30 * 8)[0] == (4, 6, 6, 6, 2)
    assert view.to_dask().chunks == ((24,), (30,))


def test_blocks_where_chunks_lie_across_each_other(tmp_path: Path) -> None:
    for name, chunks in (("a", (4, 30)), ("b", (6, 30))):
        zarr.create_array(tmp_path / name, data=CELLS, chunks=chunks)
    view = lz.concat([lz.open(tmp_path / name) for name in "ab"], axis=1)
    assert aligned_chunks(view, sensible=1) == ((12, 8), (30, 30))
    item = 8
    rows, columns = aligned_chunks(view, sensible=1, most=6 * 30 * item)
    assert max(rows) <= 6
    assert columns == (30, 30)
    assert sum(rows) == 20


def test_what_is_stored_nowhere_is_cut_by_size() -> None:
    assert lz.full((10**6, 10), 1.0, dtype="f8").to_dask().npartitions == 5
    assert lz.full((0, 3), 1).to_dask().chunks == ((0,), (3,))
    assert lz.full((), 3, dtype="i4").to_dask().compute() == 3
    wide = lz.broadcast_to(lz.open(np.arange(10.0)), (10**8, 10)).to_dask()
    assert max(wide.chunks[0]) * 80 <= 128 << 20


def test_the_view_is_in_the_graph_once(stored: lz.View) -> None:
    array = lz.concat([stored] * 50).to_dask((1, 30))
    graph = array.__dask_graph__()
    assert array.npartitions == 1000
    whole, one = (len(pickle.dumps(part)) for part in (graph, stored))
    assert whole < one + 20_000
    assert len(graph.layers) == 2


NAME = """
import sys, lazyzarr as lz
v = lz.open(sys.argv[1])
print(lz.concat([v[2:], v]).to_dask().name, lz.concat([v[2:], v]).to_dask((5, 5)).name)
"""


def test_names_are_the_same_in_every_process(stored: lz.View, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", NAME, str(tmp_path / "a.zarr")]
    found = {subprocess.run(arguments, check=True, capture_output=True, text=True).stdout for _ in range(2)}
    assert len(found) == 1
    (text,) = found
    view = lz.concat([stored[2:], stored])
    assert text.split() == [view.to_dask().name, view.to_dask((5, 5)).name]
    assert len({*text.split(), stored.to_dask().name, dask.base.tokenize(view)}) == 4


def test_a_selection_behind_a_block_reads_its_part_only(stored: lz.View) -> None:
    array = stored.to_dask(-1)
    decodes = stored.reader.counts.decodes
    np.testing.assert_array_equal(computed(array[4]), CELLS[4])
    assert stored.reader.counts.decodes - decodes == 5
    np.testing.assert_array_equal(computed(array[[3, 1]][:, 5:9]), CELLS[[3, 1]][:, 5:9])
    np.testing.assert_array_equal(computed(array[None, 2:9, ..., 4]), CELLS[None, 2:9, ..., 4])


def test_chunks_by_name_and_as_dask_has_them(stored: lz.View) -> None:
    assert stored.to_dask({"y": 5}).chunks == ((5,) * 4, (30,))
    assert stored.to_dask({0: -1, "x": (10, 20)}).chunks == ((20,), (10, 20))
    assert stored.to_dask("auto").chunks == ((20,), (30,))
    assert stored.to_dask(7).chunks == ((7, 7, 6), (7, 7, 7, 7, 2))
    assert isinstance(stored.to_dask((None, 15)), da.Array)


@pytest.mark.parametrize("chunks", [(3,), (3, 3, 3), ((3, 3), 30), {"z": 3}, {2: 3}, object()])
def test_chunks_that_do_not_fit(stored: lz.View, chunks: Any) -> None:
    with pytest.raises(lz.ShapeError) as caught:
        stored.to_dask(chunks)
    assert caught.value.reason == "shape-mismatch"


def test_text_and_times(tmp_path: Path) -> None:
    for cells in (np.array(["a", "bb", ""] * 4, np.dtypes.StringDType()), np.arange(12).astype("M8[s]")):
        found = lz.open(cells).to_dask(5)
        assert found.dtype == cells.dtype
        np.testing.assert_array_equal(computed(found), cells)


def test_without_dask(stored: lz.View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(lz.ExtraMissing) as caught:
        stored.to_dask()
    assert caught.value.reason == "extra-missing"
    assert "lazyzarr[dask]" in str(caught.value)
