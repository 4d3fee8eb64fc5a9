"""A store over views answers as a store of the same arrays would, and raises where it cannot."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.storage import LocalStore

import lazyzarr as lz
from lazyzarr.errors import LazyZarrError, SaveUnsupported, SourceChanged, SourceMissing
from lazyzarr.interpret import interpret
from lazyzarr.served import ServedArray
from lazyzarr.view import View
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS

FUSED = {"codec_pipeline.path": "zarr.core.codec_pipeline.FusedCodecPipeline"}
RANGES = [
    None,
    *(RangeByteRequest(a, b) for a, b in ((0, 4), (3, 9), (7, 7))),
    *(OffsetByteRequest(k) for k in (0, 5)),
    *(SuffixByteRequest(k) for k in (1, 8, 10_000)),
]
NUMBERS = np.arange(84, dtype="i4").reshape(7, 12)


def stored(place: Path, **settings: Any) -> Path:
    settings = {"chunks": (2, 5), "fill_value": 3, **settings}
    array = zarr.create_array(place, shape=NUMBERS.shape, dtype="i4", **settings)
    array[:, :10] = NUMBERS[:, :10]  # the chunks behind are absent
    array.attrs["units"] = "m"
    return place


def keys(store: Any, prefix: str) -> list[str]:
    async def collect() -> list[str]:
        return sorted([key async for key in store.list_prefix(prefix)])

    return asyncio.run(collect())


def names(store: Any, prefix: str) -> list[str]:
    async def collect() -> list[str]:
        return sorted([name async for name in store.list_dir(prefix)])

    return asyncio.run(collect())


def value(store: Any, key: str, part: Any = None) -> bytes | None:
    found = asyncio.run(store.get(key, default_buffer_prototype(), part))
    return None if found is None else found.to_bytes()


@settings(max_examples=60)
@given(graphs())
def test_zarr_reads_the_meaning(drawn: Drawn) -> None:
    expected = interpret(drawn.graph, drawn.truth)
    view = View(None, graph=drawn.graph)
    with zarr.config.set(FUSED):
        found = np.asarray(zarr.open_array(lz.store(view), mode="r")[...])
    assert found.shape == expected.shape
    # text of zarr-python is as long as its longest cell where it is one cell, or of a type of its own
    assert same_cells(found.astype(expected.dtype) if expected.dtype.kind in "TOSUV" else found, expected)
    GRAPHS["zarr over a store of the view == interpret"] += 1


@pytest.mark.parametrize("settings", [{}, {"compressors": None}, {"shards": (4, 10)}], ids=["zstd", "raw", "sharded"])
def test_stored_bytes_are_passed_on(tmp_path: Path, settings: dict[str, Any]) -> None:
    place = stored(tmp_path / "a.zarr", **settings)
    view = lz.open(place)
    assert ServedArray(view).passed_on
    ours, theirs = lz.store(view), LocalStore(place, read_only=True)
    for key in keys(theirs, "c"):
        for part in RANGES:
            assert value(ours, key, part) == value(theirs, key, part), (key, part)
    assert value(ours, "c/0/7") is value(theirs, "c/0/7") is None
    array = zarr.open_array(theirs, mode="r")
    found = zarr.open_array(ours, mode="r")
    assert (found.chunks, found.shards, found.fill_value, dict(found.attrs)) == (
        array.chunks,
        array.shards,
        3,
        {"units": "m"},
    )
    assert np.array_equal(found[...], array[...])
    assert np.array_equal(found[1:6:2, 3], array[1:6:2, 3])


def test_a_chunk_costs_one_request(tmp_path: Path) -> None:
    view = lz.concat([lz.open(stored(tmp_path / "a.zarr"))[:6], lz.open(stored(tmp_path / "b.zarr"))])
    store = lz.store(view)
    counts = view.reader.session.counts
    counts.reset()
    zarr.open_array(store, mode="r")
    assert counts.requests == 0
    first = value(store, "c/3/1")
    assert first == (tmp_path / "b.zarr/c/0/1").read_bytes()
    assert (counts.requests, counts.bytes) == (1, len(first))
    assert view.reader.counts.decodes == 0


def test_what_is_not_flat_is_decoded(tmp_path: Path) -> None:
    view = lz.open(stored(tmp_path / "a.zarr"))[1:, ::-1]
    store = lz.store(view)
    assert not ServedArray(view).passed_on
    assert np.array_equal(zarr.open_array(store, mode="r")[...], view.read())
    whole = value(store, "c/0/0")
    assert whole is not None
    for part in RANGES[1:]:
        assert part is not None
        match part:
            case RangeByteRequest(a, b):
                expected = whole[a:b]
            case OffsetByteRequest(a):
                expected = whole[a:]
            case SuffixByteRequest(n):
                expected = whole[-n:]
        assert value(store, "c/0/0", part) == expected


def test_unpacked_values_are_decoded_though_the_chunks_are_whole(tmp_path: Path) -> None:
    """A chain with a codec of ours would be read by nobody else."""
    view = lz.open(stored(tmp_path / "a.zarr")).unpack(scale_factor=0.5, fill_values=[3])
    assert view.flatness == "L0"
    found = zarr.open_array(lz.store(view), mode="r")[...]
    assert np.array_equal(found, view.read(), equal_nan=True)
    assert np.isnan(found[:, 10:]).all()


def test_keys_are_those_of_a_group(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "g.zarr", attributes={"title": "t"}).create_group("deep")
    stored(tmp_path / "g.zarr/a")
    stored(tmp_path / "g.zarr/deep/b")
    ours, theirs = lz.store(lz.open(tmp_path / "g.zarr")), LocalStore(tmp_path / "g.zarr", read_only=True)
    # a store of views lists every chunk of the grid: whether a file is there is asked for when it is read
    absent = {f"{name}/c/{k}/2" for name in ("a", "deep/b") for k in range(4)}
    assert set(keys(ours, "")) - absent == set(keys(theirs, ""))
    assert names(ours, "") == ["a", "deep", "zarr.json"]
    assert names(ours, "deep") == names(theirs, "deep")
    assert names(ours, "a/c") == names(theirs, "a/c")
    assert names(ours, "a/c/0") == ["0", "1", "2"]
    assert names(ours, "a/c/9") == names(ours, "nowhere") == []
    group = zarr.open_group(ours, mode="r")
    assert group.attrs["title"] == "t"
    assert group.metadata.consolidated_metadata is not None
    assert np.array_equal(group["deep/b"][...], zarr.open_array(tmp_path / "g.zarr/deep/b")[...])


@pytest.mark.parametrize(
    "key",
    [
        "",
        "c",
        "c/0",
        "c/0/0/0",
        "c/00/0",
        "c/-1/0",
        "c/4/0",
        "c/0/x",
        "c/0/0/",
        "c/0/" + "9" * 5000,
        "d/0/0",
        "zarr.json/c/0/0",
        ".zarray",
    ],
)
def test_other_keys_have_no_value(tmp_path: Path, key: str) -> None:
    store = lz.store(lz.open(stored(tmp_path / "a.zarr")))
    assert value(store, key) is None
    assert not asyncio.run(store.exists(key))


def test_an_array_of_rank_0(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "s.zarr", shape=(), dtype="f8")[...] = 2.5
    store = lz.store(lz.open(tmp_path / "s.zarr"))
    assert zarr.open_array(store, mode="r")[()] == 2.5
    assert keys(store, "") == ["c", "zarr.json"]


def test_xarray_reads_it(tmp_path: Path) -> None:
    views = {
        "sst": lz.open(stored(tmp_path / "a.zarr")).rename_dims(["y", "x"])[1:6],
        "y": lz.open(np.arange(5.0)).rename_dims(["y"]),
    }
    found = xr.open_zarr(lz.store(views), consolidated=True, mask_and_scale=False)
    assert found["sst"].dims == ("y", "x")
    assert found["sst"].attrs["units"] == "m"
    assert np.array_equal(found["sst"].sel(y=[0, 4]), views["sst"].read()[[0, 4]])


@pytest.mark.parametrize("pipeline", [{}, FUSED], ids=["default", "fused"])
def test_a_source_that_is_gone_or_changed_is_never_fill(tmp_path: Path, pipeline: dict[str, str]) -> None:
    place = stored(tmp_path / "a.zarr")
    array = zarr.open_array(lz.store(lz.open(place)), mode="r")
    with zarr.config.set(pipeline):
        assert (array[:, 10:] == 3).all()
        document = (place / "zarr.json").read_bytes()
        (place / "zarr.json").write_bytes(document.replace(b'"m"', b'"s"'))
        with pytest.raises(SourceChanged):
            array[...]
        shutil.rmtree(place)
        with pytest.raises(SourceMissing):
            array[...]


def test_nothing_can_be_written(tmp_path: Path) -> None:
    store = lz.store(lz.open(stored(tmp_path / "a.zarr")))
    assert store.read_only
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(store, mode="r")[0, 0] = 1
    for work in (lambda: store.set_sync("c/0/0", None), lambda: store.delete_sync("c/0/0")):
        with pytest.raises(ValueError, match="read-only"):
            work()
    with pytest.raises(NotImplementedError, match="with_read_only is not implemented"):
        store.with_read_only(False)
    with pytest.raises(SaveUnsupported):
        type(store)(lz.open(tmp_path / "a.zarr"), read_only=False)
    assert store.with_read_only(True) == store
    assert issubclass(SaveUnsupported, LazyZarrError)
