"""Chunk grids against counting, and chunk numbers against NumPy's own C order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.algebra.grid import chunk_count, chunk_numbers, grid_shape

AXES = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=4)


@given(AXES)
def test_grid_shape_counts_the_chunks_that_hold_a_cell(axes: list[tuple[int, int]]) -> None:
    shape, chunks = tuple(n for n, _ in axes), tuple(c for _, c in axes)
    assert grid_shape(shape, chunks) == tuple(len({cell // c for cell in range(n)}) for n, c in axes)


@given(AXES)
def test_chunk_count_is_the_number_of_grid_points(axes: list[tuple[int, int]]) -> None:
    shape, chunks = tuple(n for n, _ in axes), tuple(c for _, c in axes)
    assert chunk_count(shape, chunks) == len(list(np.ndindex(*grid_shape(shape, chunks))))


def test_rank_zero_has_one_chunk_with_number_zero() -> None:
    assert chunk_count((), ()) == 1
    assert chunk_numbers(np.zeros((2, 0), np.int64), np.zeros(0, np.int64)).tolist() == [0, 0]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_chunk_numbers_are_ravelled_positions(shape: list[int], data: st.DataObject) -> None:
    points = data.draw(st.lists(st.tuples(*(st.integers(0, n - 1) for n in shape)), max_size=8))
    chunks = np.array(points, np.int64).reshape(len(points), len(shape))
    expected = [int(np.ravel_multi_index(p, shape)) for p in points]
    assert chunk_numbers(chunks, np.array(shape)).tolist() == expected


@st.composite
def points_in_grids(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Chunk positions, one per row, each in a grid of its own."""
    rank, rows = draw(st.integers(0, 3)), draw(st.integers(1, 5))
    shapes = [[draw(st.integers(1, 6)) for _ in range(rank)] for _ in range(rows)]
    points = [[draw(st.integers(0, n - 1)) for n in shape] for shape in shapes]
    return np.array(points, np.int64).reshape(rows, rank), np.array(shapes, np.int64).reshape(rows, rank)


@given(points_in_grids())
def test_chunk_numbers_take_one_grid_per_row(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    points, shapes = drawn
    expected = [int(np.ravel_multi_index(p, s)) if len(s) else 0 for p, s in zip(points, shapes, strict=True)]
    assert chunk_numbers(points, shapes).tolist() == expected


def test_chunk_numbers_stay_exact_beyond_32_bits() -> None:
    found = chunk_numbers(np.array([[2**20, 2**20]]), np.array([2**21, 2**21]))
    assert found.tolist() == [2**20 * 2**21 + 2**20]
