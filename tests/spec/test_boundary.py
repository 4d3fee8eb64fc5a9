"""Theorem 5 of the boundary: the condition on a slice and the class of the view agree, for every slice of small arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz

LENGTHS = [(n, c) for n in (1, 4, 5, 6) for c in (1, 2, 3, 4) if c <= n]


def flat(first: int, step: int, count: int, chunk: int) -> bool:
    """The condition of the theorem; the view ends where the axis does."""
    if chunk == 1 or count == 0:
        return True
    return step == 1 and first % chunk == 0


@pytest.mark.parametrize(("length", "chunk"), LENGTHS)
def test_a_slice_is_flat_exactly_by_the_condition(length: int, chunk: int, tmp_path: Path) -> None:
    # compressed, so that no bytes can be cut (M-032)
    zarr.create_array(tmp_path / "a", data=np.arange(1, length + 1), chunks=(chunk,), fill_value=0)
    view = lz.open(tmp_path / "a")
    seen = set()
    for first in range(length):
        for step in (-2, -1, 1, 2, 3):
            for stop in range(-1, length + 1):
                cells = list(range(first, stop, step))
                if len(cells) < 2:
                    continue
                key = slice(first, None if stop < 0 else stop, step)
                expected = flat(first, step, len(cells), chunk)
                assert (view[key].flatness == "L0") == expected, key
                seen.add(expected)
    assert chunk == 1 or length == 1 or False in seen


@pytest.mark.parametrize(("length", "chunk"), LENGTHS)
def test_an_integer_is_flat_exactly_in_chunks_of_one_cell(length: int, chunk: int, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=np.ones((length, 2)), chunks=(chunk, 2), fill_value=0)
    view = lz.open(tmp_path / "a")
    assert {view[k].flatness == "L0" for k in range(length)} == {chunk == 1}


@pytest.mark.parametrize(("length", "chunk"), LENGTHS)
def test_a_concat_is_flat_exactly_where_chunks_fit_end_to_end(length: int, chunk: int, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=np.ones(length), chunks=(chunk,), fill_value=0)
    view = lz.open(tmp_path / "a")
    assert (lz.concat([view, view]).flatness == "L0") == (length % chunk == 0)
    assert view.T.flatness == "L0"
