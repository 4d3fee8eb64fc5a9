"""Joins of many views, and what a join says of views that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
import zarr.storage

import lazyzarr as lz
from lazyzarr.algebra.boxes import any_overlap, visible
from lazyzarr.errors import CombineError, ShapeError
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.lower.lowering import lower
from lazyzarr.read import Reader
from lazyzarr.view import View


@pytest.fixture
def stored(tmp_path: Path) -> View:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(6, 4), chunks=(2, 3), dtype="i4")
    array[...] = np.arange(24).reshape(6, 4)
    view = lz.open(tmp_path / "a.zarr")
    assert isinstance(view, View)
    return view


def test_joining_one_by_one_is_as_deep_as_one_likes(stored: View) -> None:
    joined = stored
    for _ in range(1500):
        joined = lz.concat([joined, stored])
    assert joined[6 * 700 + 5, 2].read() == 22
    assert joined[::-6].read()[:, 0].tolist() == [20] * 1501


def test_doubling_a_constant_is_not_read_cell_by_cell() -> None:
    joined = lz.full(1, 3, dtype="int8")
    for _ in range(12):
        joined = lz.concat([joined, joined])
    assert joined.read().sum() == 3 << 12


def test_a_join_says_which_dimension_names_differ_where_the_first_has_none() -> None:
    plain = lz.full(2, 1, dtype="int8")
    with pytest.raises(CombineError):
        lz.concat([plain, plain.rename_dims(["x"]), plain.rename_dims(["y"])])


@pytest.mark.parametrize("types", [("bool", "int8"), ("float32", "complex64"), ("U2", "U5")])
def test_promotion_without_a_cast_is_one_report(types: tuple[str, str]) -> None:
    with pytest.raises(CombineError):
        lz.concat([lz.open(np.zeros(2, name)) for name in types], promote=True)


def test_an_interleave_of_many_makes_no_pairs(stored: View) -> None:
    count = 600
    joined = lz.interleave([stored] * count)
    assert (joined.read() == np.repeat(np.arange(24).reshape(6, 4), count, axis=0)).all()
    starts = np.arange(count)[:, None]
    counts, steps = np.full((count, 1), 5), np.full((count, 1), count)
    assert any_overlap(starts, counts, steps) is None
    assert any_overlap(np.r_[starts, [[2]]], np.r_[counts, [[9]]], np.r_[steps, [[count]]]) == (2, count)
    assert visible(starts, counts, steps, np.arange(count)) == {}


@pytest.mark.parametrize("overlap", ["first", "last"])
def test_what_is_not_asked_for_is_not_resolved(stored: View, overlap: str) -> None:
    """A cell of a mosaic costs the boxes that hold it, and reads as it does in the whole."""
    placed = [(stored, (4 * i, 3 * j)) for i in range(12) for j in range(12)]
    mosaic = lz.overlay((60, 50), placed, overlap=overlap, fill_value=-1)  # type: ignore[arg-type]
    whole = mosaic.read()
    for key in [(0, 0), (5, 3), (59, 49), (49, 36), (50, 0), (20, 37)]:
        assert mosaic[key].read() == whole[key]
        assert len(lower(mosaic[key].ir).placements) <= 2
    window = (slice(40, 60), slice(-1, 30, -2))
    assert (mosaic[window].read() == whole[window]).all()


def test_cells_are_counted_in_integers() -> None:
    one = lz.full(2, 1, dtype="int8")
    for wrong in (
        lambda: lz.pad(one, 1.7),
        lambda: lz.overlay((4.5,), [(one, (1,))]),  # type: ignore[arg-type]
        lambda: lz.overlay((4,), [(one, (1.5,))]),  # type: ignore[arg-type]
    ):
        with pytest.raises(ShapeError):
            wrong()
    assert lz.pad(one, np.int8(1)).shape == (4,)
    assert lz.pad(lz.full((), 1, dtype="int8"), 0).shape == ()


def test_views_of_many_stores_are_joined(tmp_path: Path) -> None:
    """Each view knows a store that no other knows."""
    views = []
    for number in range(40):
        array = zarr.create_array(zarr.storage.MemoryStore(), shape=(2,), chunks=(2,), dtype="i2")
        array[:] = number
        views.append(lz.open(array))
    assert lz.concat(views).read().tolist() == np.repeat(np.arange(40), 2).tolist()
    assert lz.concat(views[:3]).read().tolist() == [0, 0, 1, 1, 2, 2]


def test_arrays_that_begin_inside_a_table_of_references(tmp_path: Path) -> None:
    values = np.arange(80, dtype=np.int16)
    (tmp_path / "a.bin").write_bytes(values.tobytes())
    table = Table({"offset": np.arange(0, 160, 2).astype(np.uint64), "length": np.full(80, 2, np.uint64)})
    layout = Layout("int16", 0, (1,), (NamedConfig("bytes", {"endian": "little"}),))
    parts = [
        source(
            StoredArray(0, (2,), (tmp_path / "a.bin").as_uri(), refs=table.name, refs_first=row),
            [layout],
            reader=Reader(),
            tables={table.name: table},
        )
        for row in range(0, 80, 2)
    ]
    joined = lz.concat(parts[::-1])
    assert [type(node).__name__ for node in joined.ir.nodes] == ["Tiles"]
    expected = values.reshape(40, 2)[::-1]
    np.testing.assert_array_equal(joined.read(), expected.reshape(-1), strict=True)
    np.testing.assert_array_equal(lz.stack(parts[::-1]).read(), expected, strict=True)
    assert joined.flatten().offset.tolist() == (expected.reshape(-1) * 2).tolist()
