"""Arrays on rectilinear grids: read as zarr-python reads them, saved, sliced and flattened again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.uneven import runs

LENGTHS: dict[str, Any] = {
    "one axis": ((12,), [[5, 5, 2]]),
    "first and last differ": ((11,), [[2, 3, 3, 3]]),
    "longer than the array": ((10,), [[4, 4, 5]]),
    "a chunk beyond the array": ((8,), [[3, 5, 4]]),
    "two axes": ((9, 7), [[4, 4, 1], [2, 5]]),
    "one regular": ((9, 8), [[4, 4, 1], [4, 4]]),
    "years": ((366 + 365, 2), [[366, 365], [2]]),
}


def rectilinear(place: Path, shape: tuple[int, ...], lengths: list[list[int]], **options: Any) -> np.ndarray:
    """Write an array, which may end before its chunks do; its cells."""
    whole = tuple(map(sum, lengths))
    cells = np.arange(int(np.prod(whole)), dtype="i4").reshape(whole)
    with zarr.config.set({"array.rectilinear_chunks": True}):
        array = zarr.create_array(place, shape=whole, chunks=lengths, dtype="i4", fill_value=-1, **options)
        array[...] = cells
    document = json.loads((place / "zarr.json").read_text())
    (place / "zarr.json").write_text(json.dumps({**document, "shape": shape}))
    return cells[tuple(map(slice, shape))]


@pytest.mark.parametrize("what", LENGTHS)
@pytest.mark.parametrize("compressors", [None, "auto"])
def test_cells_are_those_of_zarr(what: str, compressors: Any, tmp_path: Path) -> None:
    shape, lengths = LENGTHS[what]
    cells = rectilinear(tmp_path / "a.zarr", shape, lengths, compressors=compressors)
    view = lz.open(tmp_path / "a.zarr")
    np.testing.assert_array_equal(view.read(), cells, strict=True)
    turned = view[::-1].T
    np.testing.assert_array_equal(turned.read(), cells[::-1].T, strict=True)
    lz.save(view[1:], tmp_path / "v.zarr")
    again = lz.open(tmp_path / "v.zarr")
    np.testing.assert_array_equal(again.read(), cells[1:], strict=True)
    np.testing.assert_array_equal(again[..., 1].read(), cells[1:][..., 1], strict=True)


def test_flat_again(tmp_path: Path) -> None:
    cells = rectilinear(tmp_path / "a.zarr", (731, 2), [[366, 365], [2]])
    view = lz.open(tmp_path / "a.zarr")
    flat = view.flatten()
    assert flat.chunk_lengths == ((366, 365), 2)
    assert [url.rsplit("/", 3)[1:] for url in flat.urls()] == [["c", "0", "0"], ["c", "1", "0"]]
    with zarr.config.set({"array.rectilinear_chunks": True}):
        np.testing.assert_array_equal(zarr.open_array(lz.store(view, rectilinear=True), mode="r")[:], cells)


def test_a_chunk_is_fill_where_the_array_is_there(tmp_path: Path) -> None:
    cells = rectilinear(tmp_path / "a.zarr", (9, 7), [[4, 4, 1], [2, 5]])
    (tmp_path / "a.zarr" / "c" / "1" / "1").unlink()
    cells[4:8, 2:] = -1
    view = lz.open(tmp_path / "a.zarr")
    np.testing.assert_array_equal(view.read(), cells)
    (tmp_path / "a.zarr" / "zarr.json").unlink()
    with pytest.raises(lz.SourceMissing):
        view[5, 3].read()


def test_one_chunk_is_read_for_one_cell(tmp_path: Path) -> None:
    rectilinear(tmp_path / "a.zarr", (9, 7), [[4, 4, 1], [2, 5]], compressors=None)
    view = lz.open(tmp_path / "a.zarr")
    view.reader.session.counts.reset()
    assert view[8, 6].read() == 62
    assert view.reader.session.counts.bytes == 4


def test_sources_that_changed_are_noticed(tmp_path: Path) -> None:
    rectilinear(tmp_path / "a.zarr", (11,), [[2, 3, 3, 3]])
    view = lz.open(tmp_path / "a.zarr")
    with zarr.config.set({"array.rectilinear_chunks": True}):
        zarr.open_array(tmp_path / "a.zarr", mode="r+").attrs["x"] = 1
    with pytest.raises(lz.SourceChanged):
        view.read()


@pytest.mark.parametrize("lengths", [[[4, 4]], [[0, 10]], [[5, -5, 10]], [[[5, 0], 10]], [["5", 5]], [[[5, 1, 1], 5]]])
def test_grids_that_lie(lengths: Any, tmp_path: Path) -> None:
    rectilinear(tmp_path / "a.zarr", (10,), [[4, 4, 2]])
    place = tmp_path / "a.zarr" / "zarr.json"
    document = json.loads(place.read_text())
    document["chunk_grid"]["configuration"]["chunk_shapes"] = lengths
    place.write_text(json.dumps(document))
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(tmp_path / "a.zarr")
    assert caught.value.reason == "source-format"


def test_too_many_pieces_are_refused(tmp_path: Path) -> None:
    with zarr.config.set({"array.rectilinear_chunks": True}):
        zarr.create_array(tmp_path / "a.zarr", shape=(450, 300), chunks=[[1, 2] * 150, [1, 2] * 100], dtype="i4")
    with pytest.raises(lz.ViewLimitError):
        lz.open(tmp_path / "a.zarr")


def test_runs_of_no_cells() -> None:
    assert runs([], 0) == []
    assert runs([3, 4], 0) == []
