"""Specifications through stock TensorStore: what they ask for, how long they are, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import tensorstore
import zarr

import lazyzarr as lz
from lazyzarr.formats.tensorstore_arrays import MAX_CELLS
from lazyzarr.formats.tensorstore_layers import MAX_INDICES
from tests.servers import RangeServer
from tests.strategies.cells import same_cells


def array(place: Path, values: np.ndarray, **settings: Any) -> lz.View:
    """A view of a new array."""
    settings = {"chunks": tuple(max(1, n // 2) for n in values.shape)} | settings
    zarr.create_array(str(place), data=values, **settings)
    return lz.open(place)


def opened(spec: dict[str, Any]) -> Any:
    """The specification as somebody else gets it."""
    return tensorstore.open(json.loads(json.dumps(spec))).result()


def check(view: lz.View, layers: int | None = None) -> dict[str, Any]:
    """The specification, read by TensorStore as the view reads."""
    spec = lz.formats.tensorstore.spec(view)
    found = np.asarray(opened(spec).read().result())
    assert same_cells(found, view.read())
    if layers is not None:
        assert len(spec["layers"]) == layers
    return spec


def test_opening_asks_a_server_for_nothing(tmp_path: Path) -> None:
    first = array(tmp_path / "a b.zarr", np.arange(24).reshape(4, 6))
    files = {f"/a%20b.zarr/{p.relative_to(tmp_path / 'a b.zarr')}": p for p in (tmp_path / "a b.zarr").rglob("*")}
    with RangeServer({key: p.read_bytes() for key, p in files.items() if p.is_file()}) as server:
        view = lz.open(f"{server.url}/a b.zarr")
        spec = lz.formats.tensorstore.spec(lz.concat([view[:2], view[::-1]], axis=0)[1:])
        server.log.clear()
        store = opened(spec)
        assert store.shape == (5, 6)
        assert not server.log
        assert np.array_equal(store[0].read().result(), first[1].read())
        assert all("/a%20b.zarr/c/" in line for line in server.lines())


def test_opening_needs_no_source(tmp_path: Path) -> None:
    view = array(tmp_path / "a.zarr", np.arange(12.0).reshape(3, 4))
    spec = lz.formats.tensorstore.spec(lz.stack([view, view.flip(1)], axis=2))
    expected = np.stack([view.read(), view.read()[:, ::-1]], axis=2)
    shutil.move(tmp_path / "a.zarr", tmp_path / "elsewhere")
    store = opened(spec)
    assert store.shape == (3, 4, 2)
    assert store.dtype.name == "float64"
    shutil.move(tmp_path / "elsewhere", tmp_path / "a.zarr")
    assert np.array_equal(store.read().result(), expected)


def test_selecting_stays_in_the_transform(tmp_path: Path) -> None:
    view = array(tmp_path / "a.zarr", np.arange(60).reshape(3, 4, 5))
    for selected in (view[1], view[::-1, 3:0:-2].T, view[None, 2, ..., 1], view.take([2, 0, 0], axis=2)):
        assert check(selected)["driver"] == "zarr3"
    assert check(lz.broadcast_to(view[:1, None], (6, 3, 4, 5))[::2])["driver"] == "zarr3"


def test_one_source_with_two_layouts(tmp_path: Path) -> None:
    values = np.arange(8, dtype="i4")
    view = array(tmp_path / "a.zarr", values, compressors=None)
    other = view.recode(codecs=[{"name": "bytes", "configuration": {"endian": "big"}}])
    check(lz.concat([view, other], axis=0), layers=2)


def test_interleaves_have_a_layer_for_each_input(tmp_path: Path) -> None:
    views = [array(tmp_path / f"{k}.zarr", np.arange(200) + 1000 * k) for k in range(3)]
    check(lz.interleave(views, axis=0), layers=3)
    check(lz.interleave(views, axis=0)[5:-7:2], layers=3)
    check(lz.concat(views, axis=0).take([599, 0, 250, 1, 0, 598], axis=0), layers=3)


def test_overlays_keep_their_order(tmp_path: Path) -> None:
    a = array(tmp_path / "a.zarr", np.arange(16).reshape(4, 4))
    b = array(tmp_path / "b.zarr", np.arange(16).reshape(4, 4) + 100)
    for rule in ("first", "last"):
        check(lz.overlay((7, 7), [(a, (0, 0)), (b, (2, 1))], fill_value=-1, overlap=rule))


@pytest.mark.parametrize("dtype", ["bool", "uint64", "float16", "complex128", "float32"])
def test_constants_and_cells_in_memory(dtype: str) -> None:
    check(lz.full((2, 3), np.ones((), dtype)[()], dtype=dtype))
    check(lz.full((0, 3), np.ones((), dtype)[()], dtype=dtype))
    if dtype != "complex128":
        check(lz.concat([lz.open(np.ones((2, 3), dtype)), lz.full((1, 3), 0, dtype=dtype)], axis=0)[::-1])


def test_numbers_that_json_lacks(tmp_path: Path) -> None:
    payload = np.array(0x7FF8000000000123, "u8").view("f8")[()]
    check(lz.full((3,), payload, dtype="float64"))
    check(lz.open(np.array([np.nan, np.inf, -np.inf, -0.0, 1e300])))
    check(lz.open(np.array([2**63 - 1, -(2**63)])))
    check(lz.full((2,), complex(-0.0, np.inf), dtype="complex64"))
    with pytest.raises(lz.SaveUnsupported) as caught:
        lz.formats.tensorstore.spec(lz.open(np.array([payload, 1.0])))
    assert caught.value.where == "an array in memory"


@pytest.mark.parametrize(("stored", "target"), [("int16", "float32"), ("uint8", "int64"), ("float32", "float64")])
def test_casts_that_keep_every_value(tmp_path: Path, stored: str, target: str) -> None:
    view = array(tmp_path / "a.zarr", np.arange(6).astype(stored), fill_value=7)
    assert check(view.astype(target))["driver"] == "cast"
    check(lz.concat([view.astype(target), lz.full(2, 1, dtype=target)], axis=0))


@pytest.mark.parametrize("compressor", ["zlib", "bz2", "zstd", "blosc", None])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_version_2(tmp_path: Path, compressor: str | None, order: str) -> None:
    made = None if compressor is None else numcodecs.get_codec({"id": compressor})
    stored = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(5, 4), chunks=(2, 3), dtype=">i2", zarr_format=2, compressors=made, order=order
    )
    stored[:4] = np.arange(16).reshape(4, 4)
    check(lz.open(tmp_path / "a.zarr").T[::-1])


def test_shards(tmp_path: Path) -> None:
    check(array(tmp_path / "a.zarr", np.arange(96).reshape(8, 12), chunks=(2, 3), shards=(4, 6))[1::3].T)


def test_names_of_axes_become_labels(tmp_path: Path) -> None:
    view = array(tmp_path / "a.zarr", np.arange(12).reshape(3, 4)).rename_dims(["y", "x"])
    assert opened(check(lz.concat([view, view], axis=1))).domain.labels == ("y", "x")
    assert opened(check(view.T)).domain.labels == ("x", "y")
    twice = view.rename_dims(["y", "y"])
    report = lz.formats.tensorstore.write(twice, tmp_path / "spec.json")
    assert any("two are the same" in what for what in report.lost)


def test_the_report_says_what_is_lost(tmp_path: Path) -> None:
    view = array(tmp_path / "a.zarr", np.arange(4), attributes={"units": "m"})
    joined = lz.concat([view, lz.open(np.arange(2)).with_attrs(view.attrs)], axis=0)
    report = lz.formats.tensorstore.write(joined, tmp_path / "spec.json")
    assert (report.format, report.arrays, report.chunks, report.inline) == ("tensorstore", 2, 0, 1)
    text = "; ".join(report.lost)
    assert "pins of 1 arrays" in text
    assert "units" in text
    assert "missing objects" in text
    assert json.loads((tmp_path / "spec.json").read_bytes()) == lz.formats.tensorstore.spec(joined)
    with pytest.raises(lz.SaveConflict):
        lz.formats.tensorstore.write(joined, tmp_path / "spec.json")
    lz.formats.tensorstore.write(view, tmp_path / "spec.json", overwrite=True)


def test_every_problem_is_told_with_its_source(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(4)
    stored = array(tmp_path / "a.zarr", np.arange(4))
    unpacked = array(tmp_path / "b.zarr", np.arange(4)).unpack(scale_factor=0.5, dtype="float64")
    rounded = stored.astype("float64", rounding="nearest-even")
    byte_ranges = lz.open(tmp_path / "a.h5", "x").astype("float64", rounding="nearest-even")
    view = lz.concat([unpacked, rounded, byte_ranges, byte_ranges[::-1]], axis=0)
    with pytest.raises(lz.SaveUnsupported) as caught:
        lz.formats.tensorstore.spec(view)
    lines = str(caught.value).split("\n  - ")[1:]
    assert caught.value.reason == "save-unsupported"
    assert len(lines) == 3
    for place, word in (("b.zarr", "lazyzarr.unpack"), ("a.zarr and 1 more", "rounds"), ("a.h5", "byte ranges")):
        assert any(place in line and word in line for line in lines)


@pytest.mark.parametrize("dtype", ["datetime64[s]", "U3", "S4", "i4,f8"])
def test_types_that_tensorstore_lacks(tmp_path: Path, dtype: str) -> None:
    for view in (lz.full((2,), np.zeros((), dtype)[()], dtype=dtype), lz.open(np.zeros(2, dtype))):
        with pytest.raises(lz.SaveUnsupported) as caught:
            lz.formats.tensorstore.spec(view)
        assert caught.value.reason == "save-unsupported"


def test_codecs_that_tensorstore_lacks(tmp_path: Path) -> None:
    for number, settings in enumerate(
        (
            {"zarr_format": 2, "compressors": numcodecs.LZ4()},
            {"zarr_format": 2, "filters": [numcodecs.Delta("i8")]},
            {"zarr_format": 2, "filters": [numcodecs.Shuffle(8)]},
        )
    ):
        with pytest.raises(lz.SaveUnsupported):
            lz.formats.tensorstore.spec(array(tmp_path / f"{number}.zarr", np.arange(4), **settings))


def test_places_that_tensorstore_lacks() -> None:
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=np.arange(4))
    with pytest.raises(lz.SaveUnsupported) as caught:
        lz.formats.tensorstore.spec(lz.open(stored))
    assert "store://" in str(caught.value)


def test_specifications_have_a_limit() -> None:
    cells = np.arange(MAX_INDICES + 1)
    with pytest.raises(lz.ViewLimitError) as caught:
        lz.formats.tensorstore.spec(lz.open(np.arange(4)).take(cells * cells % 4, axis=0))
    assert caught.value.reason == "limit-exceeded"
    with pytest.raises(lz.ViewLimitError):
        lz.formats.tensorstore.spec(lz.open(np.zeros(MAX_CELLS + 1, "u1")))
    half = lz.open(np.zeros(MAX_CELLS // 2 + 1, "u1"))
    with pytest.raises(lz.ViewLimitError):
        lz.formats.tensorstore.spec(lz.concat([half[:9], lz.full(1, 0, dtype="u1"), half[9:]], axis=0))
