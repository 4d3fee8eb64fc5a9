"""Rows of tile tables as records: what is stored, what of it is read, and that it means what columns mean."""

from __future__ import annotations

import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.access import held_files
from lazyzarr.document.records import RECORD, SHARD_ROWS, Records, with_records
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_array, tile_arrays, tile_columns
from lazyzarr.view import View
from tests.economics.watching import watched

LITTLE = NamedConfig("bytes", {"endian": "little"})
NUMBERS = st.none() | st.integers(0, 2**62)


def tiles(arrays: list[StoredArray], **more: Any) -> View:
    """Arrays of one cell each, in a line."""
    origins = np.arange(len(arrays))[:, None]
    table = Table(tile_columns(arrays, origins, np.zeros(len(arrays), np.int32)) | more)
    node = Tiles(table.name, (len(arrays),), "int16", 0, (0,))
    return View(node, own=Graph((), layouts=[Layout("int16", 0, (1,), (LITTLE,))], tables={table.name: table}))


def the_table(view: View) -> Table:
    (table,) = view.ir.tables.values()
    return table


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40), min_size=1),
    st.lists(st.tuples(NUMBERS, NUMBERS, st.none() | st.text("abc\0", max_size=3)), min_size=1, max_size=5),
    st.integers(1, 700),
)
def test_columns_and_records_hold_the_same(names: list[str], stamps: list[Any], rows: int) -> None:
    urls = [f"file:///{names[k % len(names)]}" for k in range(rows)]
    pins = [Stamp(size=a, mtime_ns=b, etag=c or None) for a, b, c in (stamps[k % len(stamps)] for k in range(rows))]
    arrays = [StoredArray(0, (1,), location=url, stamp=pin) for url, pin in zip(urls, pins, strict=True)]
    table = Table(tile_columns(arrays, np.arange(rows)[:, None], np.zeros(rows, np.int32)))
    stored = with_records(table)
    assert RECORD in stored
    cells = np.asarray(stored[RECORD][0:rows])
    held = {name: cells[name] for name in cells.dtype.names or ()}
    assert held["origin.0"].tolist() == list(range(rows))
    for name in ("size", "mtime_ns"):
        if name in table:
            assert held[name].tolist() == np.asarray(table[name]).tolist()
    for name in ("url", "etag"):
        if name in held:
            assert [text.decode() for text in held[name].tolist()] == table.texts(name, slice(None))
        elif name in table:
            assert {name, f"{name}_end"} <= stored.keys()
    assert not held.keys() & stored.keys()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A view of 600 arrays of which three differ."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in (("a", 3), ("b", 5)):
            zarr.create_array(tmp_path / f"{name}.zarr", data=np.array([value], "int16"), compressors=None)
    one, two = (lz.open(tmp_path / f"{name}.zarr").sources()[0] for name in "ab")
    places = [two if k in {0, 255, 599} else one for k in range(600)]
    arrays = [StoredArray(0, (1,), location=place.location, stamp=place.stamp) for place in places]
    lz.save(tiles(arrays), tmp_path / "view.zarr")
    return tmp_path / "view.zarr"


def record_of(saved: Path) -> Path:
    return next((saved / "tables").rglob("record/zarr.json")).parent


def test_a_saved_view_reads_as_its_arrays(saved: Path) -> None:
    view = lz.open(saved)
    expected = np.full(600, 3, "int16")
    expected[[0, 255, 599]] = 5
    np.testing.assert_array_equal(view.read(), expected)
    np.testing.assert_array_equal(view[::-7].read(), expected[::-7])
    assert [int(view[k].read()) for k in (0, 1, 254, 255, 256, 598, 599)] == [5, 3, 3, 5, 3, 3, 5]
    document = msgspec.json.decode((saved / "zarr.json").read_bytes())["attributes"]["lazyzarr"]
    assert document["requires"] == ["records", "tiles"]


def test_one_cell_reads_the_index_of_a_shard_and_one_chunk(saved: Path) -> None:
    view = lz.open(saved)
    record = the_table(view).columns["origin"]
    view[255].read()
    counts = view.reader.session.counts
    before = counts.requests
    view[599].read()
    assert counts.requests - before <= 3  # a chunk of records, the metadata of the array, its chunk
    assert len(record.shape) == 2


def test_a_shard_is_opened_once_for_its_index_and_all_its_chunks(saved: Path) -> None:
    view = lz.open(saved)
    with watched(record_of(saved)) as touched:
        values = [int(view[k].read()) for k in (0, 599, 255, 300)]
    assert values == [5, 5, 5, 3]
    assert touched == [f"open {record_of(saved) / 'c' / '0'}"]
    counts = view.reader.session.counts
    assert counts.requests == 1 + 4 + 4  # the document; index and three chunks of records; four chunks


def test_files_that_were_closed_are_opened_again(saved: Path) -> None:
    view = lz.open(saved)
    assert int(view[0].read()) == 5
    held_files._kept.clear()
    assert int(view[300].read()) == 3
    view = lz.open(saved)
    assert int(view[0].read()) == 5
    shutil.rmtree(saved)
    assert int(view[300].read()) == 3
    assert pickle.loads(pickle.dumps(view)).shape == (600,)
    held_files._kept.clear()
    fresh = pickle.loads(pickle.dumps(view))
    with pytest.raises(lz.SourceMissing):
        fresh[300].read()


def test_the_child_array_is_one_that_zarr_reads(saved: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr-python warns of types without a specification of their own
        array = zarr.open_array(record_of(saved), mode="r")
        rows = np.asarray(array[:])
    table = the_table(lz.open(saved))
    assert rows["origin.0"].tolist() == list(range(600))
    assert [text.decode() for text in rows["url"].tolist()] == table.texts("url", slice(None))
    assert array.shards[0] <= SHARD_ROWS


def test_single_rows_are_those_of_many(saved: Path) -> None:
    view = lz.open(saved)
    graph, node = view.ir, view.ir.nodes[0]
    assert isinstance(node, Tiles)
    rows = np.array([0, 3, 255, 256, 599])
    assert tile_arrays(graph, node, rows) == [tile_array(graph, node, row) for row in rows.tolist()]
    np.testing.assert_array_equal(the_table(view)["origin"][rows], rows[:, None])
    assert the_table(view)["origin"][-1].tolist() == [599]
    assert the_table(view)["origin"][5, 0] == 5


def test_saved_again_and_pickled_it_is_the_same(saved: Path, tmp_path: Path) -> None:
    view = lz.open(saved)
    expected = view.read()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(view)).read(), expected)
    lz.save(view, tmp_path / "deeper" / "again.zarr")
    np.testing.assert_array_equal(lz.open(tmp_path / "deeper" / "again.zarr", allow=[tmp_path]).read(), expected)
    shutil.move(saved, tmp_path / "moved.zarr")
    np.testing.assert_array_equal(lz.open(tmp_path / "moved.zarr").read(), expected)


def test_values_out_of_bounds_are_refused_where_they_are_read(saved: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.open_array(record_of(saved), mode="r+")
        rows = np.asarray(array[:])
        rows["layout"][300] = 7
        array[:] = rows
    view = lz.open(saved)
    assert int(view[2].read()) == 3
    for key in (300, slice(290, 310)):
        with pytest.raises(ViewSchemaError) as caught:
            view[key].read()
        assert caught.value.reason == "table-invalid"
        assert (caught.value.where or "").endswith("columns.record")


def test_long_texts_stay_beside(tmp_path: Path) -> None:
    arrays = [StoredArray(0, (1,), location=f"file:///{'d' * 300}/{k}.zarr") for k in range(300)]
    view = tiles(arrays)
    stored = with_records(the_table(view))
    assert {RECORD, "url", "url_end"} == stored.keys()
    assert Records(the_table(view)).dtype.names == ("origin.0", "shape.0", "layout")
    lz.save(view, tmp_path / "view.zarr")
    again = the_table(lz.open(tmp_path / "view.zarr"))
    assert again.text("url", 299) != again.text("url", 298)
