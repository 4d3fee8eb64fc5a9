"""How many requests, bytes and decoded chunks a read costs: adjacent chunks are one request, each chunk is decoded once."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from tests.economics.watching import watched
from tests.faults.trees import objects_of
from tests.servers import RangeServer

DATA = np.arange(600, dtype="i4").reshape(60, 10)
ROW = DATA[0].nbytes


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    """Sixty chunks of one row side by side, plain and compressed."""
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("plain", data=DATA, chunks=(1, 10))
        file.create_dataset("packed", data=DATA, chunks=(1, 10), compression="gzip")
        file.create_dataset("whole", data=DATA)
    return path


def cost(view: lz.View) -> tuple[int, int, int]:
    """Requests, bytes and decodes of one read, which has to give the right values."""
    session, counts = view.reader.session.counts, view.reader.counts
    session.reset()
    counts.reset()
    view.read()
    return session.requests, session.bytes, counts.decodes


@pytest.mark.parametrize("name", ["plain", "packed"])
def test_adjacent_chunks_of_one_file_are_one_request(hdf5: Path, name: str) -> None:
    view = lz.open(hdf5, name)
    np.testing.assert_array_equal(view.read(), DATA, strict=True)
    assert cost(view)[::2] == (1, 60)
    assert cost(view[20:50].T)[::2] == (1, 30)
    assert cost(view[20:22])[::2] == (1, 2)
    requests, moved, decodes = cost(view[7:8])
    assert (requests, decodes) == (1, 1)
    assert moved <= ROW + 60
    assert cost(lz.concat([view[:20], view[40:]]))[::2] == (2, 40)


@pytest.mark.parametrize("name", ["plain", "packed"])
def test_adjacent_chunks_behind_a_saved_view_are_one_request(hdf5: Path, tmp_path: Path, name: str) -> None:
    lz.save(lz.open(hdf5, name), tmp_path / "view.zarr")
    with RangeServer(objects_of(tmp_path)) as server:
        view = lz.open(f"{server.url}/view.zarr")
        server.clear()
        np.testing.assert_array_equal(view.read(), DATA, strict=True)
        assert server.lines() == ["GET /data.h5"]
        assert server.log[0].headers["Range"].startswith("bytes=")
        server.clear()
        # a gap of one short chunk is read in vain rather than asked for twice
        np.testing.assert_array_equal(view[::2].read(), DATA[::2], strict=True)
        assert server.lines() == ["GET /data.h5"]


def test_references_in_tables_beside_the_document_are_read_when_needed(hdf5: Path, tmp_path: Path) -> None:
    view = lz.open(hdf5, "plain")
    lz.save(lz.concat([view] * 40), tmp_path / "view.zarr")
    with RangeServer(objects_of(tmp_path)) as server:
        again = lz.open(f"{server.url}/view.zarr")
        server.clear()
        np.testing.assert_array_equal(again[60 * 17 + 5].read(), DATA[5], strict=True)
        lines = server.lines()
        assert lines[-1] == "GET /data.h5"
        assert all("/tables/" in line for line in lines[:-1])
        assert len(lines) < 20
        server.clear()
        again[60 * 18 + 6].read()
        assert server.lines() == ["GET /data.h5"]


def test_cells_that_are_stored_as_they_are_move_only_themselves(hdf5: Path, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "raw.zarr", data=DATA, chunks=(30, 10), compressors=None)
    for view in (lz.open(hdf5, "whole"), lz.open(tmp_path / "raw.zarr")):
        assert cost(view[31, 4])[:2] == (1, 4)
        assert cost(view[31])[:2] == (1, ROW)
        assert cost(view[31:34, 2:5])[:2] == (1, 3 * ROW)
        assert cost(view[31, 8:2:-2])[:2] == (1, 5 * 4)
        assert view[31, 4].read() == DATA[31, 4]
        np.testing.assert_array_equal(view[31:34, 2:5].read(), DATA[31:34, 2:5])
    lz.save(lz.open(hdf5, "whole")[::-1].T, tmp_path / "view.zarr")
    with RangeServer(objects_of(tmp_path)) as server:
        view = lz.open(f"{server.url}/view.zarr")
        server.clear()
        assert view[4, 59 - 31].read() == DATA[31, 4]
        assert view.reader.session.counts.bytes <= (tmp_path / "view.zarr" / "zarr.json").stat().st_size + 4
        assert server.lines() == ["GET /data.h5"]


@pytest.fixture
def array(tmp_path: Path) -> lz.View:
    zarr.create_array(tmp_path / "a.zarr", data=DATA, chunks=(4, 10))
    return lz.open(tmp_path / "a.zarr")


def test_each_chunk_is_decoded_once_for_all_its_fragments(array: lz.View) -> None:
    chunks = 15
    for view in (
        lz.concat([array, array]),
        lz.stack([array, array[::-1]]),
        array.oindex[[5, 4, 5, 0, 59] * 20, :],
        array.oindex[list(range(60)) * 2, [9, 0, 9]],
        lz.broadcast_to(array, (3, 60, 10)),
        lz.interleave([array, array]),
        lz.overlay((90, 10), [(array, (0, 0)), (array, (30, 0))], overlap="last"),
        np.roll(array, 7, axis=0),
    ):
        requests, _, decodes = cost(view)
        assert requests == decodes
        assert decodes <= chunks
    assert cost(array.oindex[[5, 4, 5, 0, 59] * 20, :])[2] == 3


def test_an_array_that_is_named_often_in_a_table_is_read_once(array: lz.View) -> None:
    assert cost(lz.concat([array] * 40))[2] == 15


def test_each_chunk_is_decoded_once_in_small_reads_too(array: lz.View) -> None:
    for view in (lz.concat([array[:4], array[:4]]), lz.stack([array[0], array[3]]), array.oindex[[0, 3], :]):
        assert cost(view)[2] == 1


def test_the_same_array_opened_twice_is_read_once(array: lz.View, tmp_path: Path) -> None:
    again = lz.open(tmp_path / "a.zarr")
    assert cost(lz.concat([array, again]))[2] == 15


def test_a_hidden_source_is_not_read(array: lz.View, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "b.zarr", data=DATA, chunks=(4, 10))
    hidden = lz.open(tmp_path / "b.zarr")
    view = lz.overlay((60, 10), [(hidden, (0, 0)), (array, (0, 0))], overlap="last")
    with watched(tmp_path / "b.zarr") as touched:
        np.testing.assert_array_equal(view.read(), DATA)
    assert touched == []


def test_points_read_each_chunk_once(array: lz.View) -> None:
    array.reader.counts.reset()
    rows, columns = [0, 3, 2, 59, 1], [0, 9, 9, 1, 1]
    np.testing.assert_array_equal(array.vindex[rows, columns], DATA[rows, columns])
    assert array.reader.counts.decodes == 2


SHARDED = np.arange(64 * 64, dtype="u2").reshape(64, 64)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "s.zarr", data=SHARDED, chunks=(8, 8), shards=(32, 32))
    return tmp_path / "s.zarr"


def test_of_a_shard_only_the_index_and_the_inner_chunks_are_read(sharded: Path) -> None:
    view = lz.open(sharded)
    size = (sharded / "c" / "0" / "0").stat().st_size
    index = 16 * 16 + 4
    requests, moved, decodes = cost(view[5, 6])
    assert view[5, 6].read() == SHARDED[5, 6]
    assert decodes == 1
    assert requests <= 3
    assert index < moved < index + size // 8
    requests, moved, decodes = cost(view[5])
    assert decodes == 8
    assert moved < 2 * (index + size // 3)
    np.testing.assert_array_equal(view[5].read(), SHARDED[5])
    # the whole shard is one request when most of it is needed
    assert cost(view[:32, :32])[:2] == (1, size)


def test_the_same_over_http(sharded: Path) -> None:
    with RangeServer(objects_of(sharded.parent)) as server:
        view = lz.open(f"{server.url}/s.zarr")
        view[0, 0].read()
        server.clear()
        assert view[5, 6].read() == SHARDED[5, 6]
        lines = server.lines()
        assert lines.count("GET /s.zarr/c/0/0") == 2
        assert set(lines) <= {"GET /s.zarr/c/0/0", "HEAD /s.zarr/c/0/0"}
        assert all("Range" in request.headers for request in server.log if request.method == "GET")


def test_inner_chunks_that_nearly_touch_are_one_request(sharded: Path) -> None:
    with RangeServer(objects_of(sharded.parent)) as server:
        view = lz.open(f"{server.url}/s.zarr")[5, :32]
        view.read()
        server.clear()
        view.read()
        assert server.lines().count("GET /s.zarr/c/0/0") == 2


def test_reading_into_an_array_and_overwriting_nothing_else(array: lz.View) -> None:
    out = np.full((62, 12), -1, "i4")
    assert array.read(out=out[1:-1, 1:-1]) is not None
    np.testing.assert_array_equal(out[1:-1, 1:-1], DATA)
    out[1:-1, 1:-1] = -1
    assert (out == -1).all()
