"""Gathers of gathers, and points: the cost is that of the cells, and NumPy's meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.errors import SelectionError
from lazyzarr.lower.lowering import lower
from lazyzarr.view import View


@pytest.fixture
def joined(tmp_path: Path) -> tuple[View, np.ndarray]:
    cells = np.arange(90).reshape(30, 3)
    array = zarr.create_array(tmp_path / "a.zarr", shape=(30, 3), chunks=(7, 2), dtype="i4")
    array[...] = cells
    view = lz.open(tmp_path / "a.zarr")
    assert isinstance(view, View)
    return lz.concat([view[k : k + 10] for k in range(20)]), np.concatenate([cells[k : k + 10] for k in range(20)])


def test_a_gather_of_a_gather_holds_each_cell_once(joined: tuple[View, np.ndarray]) -> None:
    view, cells = joined
    random = np.random.default_rng(0)
    one, other = random.integers(0, 200, 500), random.integers(0, 500, 500)
    twice = view.take(one, 0).take(other, 0)
    assert len(lower(twice.ir).placements.pool_from) <= 2 * 500
    assert (twice.read() == cells[one][other]).all()


def test_points_of_a_gather(joined: tuple[View, np.ndarray]) -> None:
    view, cells = joined
    random = np.random.default_rng(0)
    rows, columns = random.integers(0, 200, 500), random.integers(0, 3, 40)
    key = (random.integers(-500, 500, (9, 5)), random.integers(0, 40, 5))
    padded = lz.pad(view.oindex[rows, columns], 1, value=-5)
    expected = np.pad(cells[rows][:, columns], 1, constant_values=-5)
    assert (padded.vindex[key] == expected[key]).all()


def test_points_on_constants_of_every_kind() -> None:
    nested = lz.pad(lz.full((2, 2), 1, dtype="int8"), 1, value=2)
    assert nested.vindex[[0, 1, 3], [0, 2, 1]].tolist() == [2, 1, 2]
    held = lz.open(np.array([b"ab", b""], object))
    assert lz.pad(held, 1).vindex[[0, 1, 3]].tolist() == [b"", b"ab", b""]


@pytest.mark.parametrize(
    ("key", "reason"),
    [(np.array([2**64 - 1], np.uint64), "index-bounds"), (2**70, None), (True, None), (np.array(True), None)],
)
def test_what_is_no_coordinate(key: object, reason: str | None) -> None:
    with pytest.raises(SelectionError) as raised:
        lz.open(np.arange(4)).vindex[key]
    assert reason in (None, raised.value.reason)
