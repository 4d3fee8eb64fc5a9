"""The class and the grid of very many sources or gathered cells: found on whole columns, the same as found one by one."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.display.flat import advised_grid, flatness_of, is_small
from lazyzarr.leaves import source
from lazyzarr.lower.distinct import count_of_rows, distinct, intervals, numbers
from lazyzarr.lower.tile_grid import grid_of_tiles
from lazyzarr.view import View


def many(shapes: list[tuple[int, ...]], chunks: tuple[int, ...]) -> list[View]:
    """Views of arrays of some shapes that are all at places where there is nothing."""
    first = lz.open(zarr.create_array({}, shape=tuple(2 * n for n in chunks), chunks=chunks, dtype="int16"))
    (stored,) = first.sources()
    arrays = (
        msgspec.structs.replace(stored, location=f"file:///nowhere/{k}.zarr", shape=shape, stamp=None)
        for k, shape in enumerate(shapes)
    )
    return [source(array, first.ir.layouts, reader=first.reader) for array in arrays]


@pytest.mark.parametrize("count", [100_000])
def test_a_saved_view_of_many_arrays_has_its_grid(tmp_path: Path, count: int) -> None:
    view = lz.concat(many([(6, 4)] * count, (2, 4)))
    assert not is_small(view.ir)
    lz.save(view, tmp_path / "view.zarr")
    document = json.loads((tmp_path / "view.zarr" / "zarr.json").read_text())["attributes"]["lazyzarr"]
    assert document["grid"]["configuration"] == {"chunk_shape": [2, 4]}
    assert "flatness" not in view.ir.memo  # nothing was cut into chunks
    # a selection of the tiles is no longer tiles alone, but still few enough chunks to look at
    assert advised_grid(view[2:].ir) == (2, 4)


@given(
    chunks=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    lengths=st.lists(st.sampled_from([2, 4, 4, 4, 8, 3]), min_size=1, max_size=3),
    width=st.integers(1, 6),
    last=st.integers(1, 9),
    along=st.sampled_from(["rows", "columns", "stack"]),
)
@settings(max_examples=120)
def test_the_grid_of_tiles_is_that_of_their_chunks(
    chunks: tuple[int, int], lengths: list[int], width: int, last: int, along: str
) -> None:
    every = [*lengths * 40, last] if along != "stack" else [last] * 40
    shapes = [(width, n) if along == "columns" else (n, width) for n in every]
    views = many(shapes, chunks)
    view = lz.stack(views, 1) if along == "stack" else lz.concat(views, 1 if along == "columns" else 0)
    assert len(view.ir.nodes) == 1
    assert grid_of_tiles(view.ir) == flatness_of(view.ir).chunk_shape


def test_chunks_taken_twice_are_whole() -> None:
    stored = lz.open(zarr.create_array({}, shape=(12,), chunks=(4,), dtype="int16"))
    view = stored.take([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3], axis=0)
    assert (view.flatness, view.chunks) == ("L0", (4,))


def test_a_gather_has_one_fragment_for_each_run() -> None:
    stored = lz.open(zarr.create_array({}, shape=(20_000, 30), chunks=(100, 30), dtype="int16"))
    cells = np.random.default_rng(5).integers(0, 20_000, 50_000)
    view = stored.take(cells, axis=0)
    runs = 1 + int(((np.diff(cells) != 1) | (np.diff(cells // 100) != 0)).sum())
    problems = flatness_of(view.ir).problems
    assert view.flatness == "L2"
    assert [p.count for p in problems if p.level == "L2"] == [runs]
    assert any(f"{runs} of {runs} fragments are only part of a chunk" in p.what for p in problems)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1),
    st.sampled_from([0, 1 << 20, 1 << 40]),
)
def test_distinct_is_what_numpy_says(pairs: list[tuple[int, int]], offset: int) -> None:
    starts, lengths = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    starts, stops = starts + offset, starts + offset + lengths * (offset + 1)
    expected = np.unique(np.stack([starts, stops], axis=1), axis=0)
    np.testing.assert_array_equal(np.stack(intervals(starts, stops), axis=1), expected)
    np.testing.assert_array_equal(distinct(starts), np.unique(starts))
    assert numbers(lengths) == np.unique(lengths).tolist()
    assert count_of_rows(np.array(pairs, np.int16)) == len(np.unique(np.array(pairs), axis=0))


@given(st.lists(st.lists(st.integers(-1, 30), min_size=12, max_size=12), max_size=30))
def test_rows_of_many_axes_are_counted(rows: list[list[int]]) -> None:
    table = np.array(rows, np.int16).reshape(-1, 12)
    assert count_of_rows(table) == len(np.unique(table, axis=0))
