"""kerchunk JSON: what it says is what is read, compared with NumPy and with xarray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.ir.layout import StoredArray
from tests.formats.reference_files import Maker, absolute, base64_text, foreign_dataset


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def _same(view: Any, values: np.ndarray) -> None:
    found = view.read()
    assert found.dtype == values.dtype
    assert found.shape == values.shape
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("version", [None, 1])
@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (2, 3)},
        {"chunks": (3, 4), "order": "F"},
        {"chunks": (2, 3), "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"chunks": (2, 3), "zarr_format": 3},
        {"chunks": (2, 3), "zarr_format": 3, "chunk_key_encoding": {"name": "default", "separator": "."}},
    ],
)
def test_grids_orders_and_separators(maker: Maker, options: dict[str, Any], version: int | None) -> None:
    values = maker.array("x", np.arange(35, dtype="int32").reshape(5, 7), **options)
    group = lz.open(maker.json(version=version))
    _same(group["x"], values)
    _same(group["x"][::-2, 1:6], values[::-2, 1:6])
    assert lz.open(maker.json(version=version), "x").shape == (5, 7)


def test_scalar_big_endian_and_compressed(maker: Maker) -> None:
    scalar = maker.array("s", np.array(2**60 + 1), chunks=())
    turned = maker.array("b", np.arange(6, dtype=">f4").reshape(2, 3), chunks=(1, 3))
    packed = maker.array("z", np.arange(100, dtype="int64"), chunks=(30,), compressors=[{"id": "zlib", "level": 1}])
    group = lz.open(maker.json())
    _same(group["s"], scalar)
    _same(group["b"], turned.astype("float32"))
    _same(group["z"], packed)


def test_nested_groups_and_attributes(maker: Maker) -> None:
    values = maker.array("a/b/x", np.arange(4, dtype="uint8"), chunks=(2,), attributes={"units": "m", "big": 2**62 + 1})
    maker.refs["a/.zgroup"] = '{"zarr_format": 2}'
    maker.refs["a/.zattrs"] = {"title": "inside"}
    maker.refs[".zattrs"] = '{"n": 9007199254740993}'
    group = lz.open(maker.json())
    assert group.attrs["n"] == 2**53 + 1
    assert group["a"].attrs == {"title": "inside"}
    assert group["a/b/x"].attrs == {"units": "m", "big": 2**62 + 1}
    _same(group["a"]["b"]["x"], values)
    assert "x" in repr(group["a/b"])


def test_chunks_in_the_file_and_whole_files(maker: Maker) -> None:
    def chunk(content: bytes, number: int) -> Any:
        kinds = [maker.part, maker.whole, base64_text, lambda raw: maker.part(raw, "other.bin"), lambda _: None]
        return kinds[number % 5](content)

    values = maker.array("x", np.arange(20, dtype="int16"), chunks=(2,), chunk=chunk, fill_value=-7)
    maker.array(
        "text", np.frombuffer(b"plain text", "S1"), chunks=(10,), chunk=lambda raw, _: raw.decode(), fill_value=b""
    )
    expected = values.copy()
    expected[[8, 9, 18, 19]] = -7
    view = lz.open(maker.json(), packing="raw")["x"]
    _same(view, expected)
    _same(view[3:4], expected[3:4])
    _same(view[5:6], expected[5:6])
    _same(view[8:9], expected[8:9])
    assert b"".join(lz.open(maker.json())["text"].read().tolist()) == b"plain text"
    assert {"missing", "object", "range", "inline"} <= set(view.explain("located").split())
    lz.save(view, maker.folder / "v.zarr")
    _same(lz.open(maker.folder / "v.zarr"), expected)


@pytest.mark.parametrize("dtype", ["int16", "uint64", "float32", "bool"])
def test_missing_chunks_without_fill_value_are_zero_as_zarr_has_it(maker: Maker, dtype: str) -> None:
    maker.array("x", np.ones(4, dtype), chunks=(2,), chunk=lambda raw, number: maker.part(raw) if number else None)
    metadata = json.loads(maker.refs["x/.zarray"])
    metadata["fill_value"] = None
    maker.refs["x/.zarray"] = json.dumps(metadata)
    view = lz.open(maker.json())["x"]
    _same(view, np.array([0, 0, 1, 1], dtype))
    assert "_FillValue" not in view.attrs


def test_integers_above_2_53_in_metadata_are_exact(maker: Maker) -> None:
    fill = 2**62 + 12345
    maker.array("x", np.full(4, 1, "int64"), chunks=(2,), fill_value=fill, chunk=lambda raw, n: None)
    view = lz.open(maker.json(), packing="raw")["x"]
    assert view.read().tolist() == [fill] * 4


_PACKED = [
    {"scale_factor": 0.01, "add_offset": 273.15},
    {"scale_factor": 0.5},
    {"add_offset": 10},
    {"missing_value": 7},
    {"_Unsigned": "true", "scale_factor": 0.1},
    {"units": "K"},
]


@pytest.mark.filterwarnings("ignore:variable 'x' has multiple fill values")
@pytest.mark.parametrize("attributes", _PACKED)
@pytest.mark.parametrize("fill_value", [None, 0, -1])
@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "int8"])
def test_packing_is_that_of_xarray(
    maker: Maker, dtype: str, fill_value: int | None, attributes: dict[str, Any]
) -> None:
    if dtype == "float32" and "_Unsigned" in attributes:
        attributes = {"scale_factor": 0.1}
    values = np.array([0, 1, -1, 7, 100, -100], dtype)
    maker.array("x", values, chunks=(4,), attributes={"_ARRAY_DIMENSIONS": ["n"], **attributes})
    metadata = json.loads(maker.refs["x/.zarray"])
    metadata["fill_value"] = fill_value
    maker.refs["x/.zarray"] = json.dumps(metadata)
    expected = foreign_dataset({"version": 1, "refs": absolute(maker.refs, maker.folder)})["x"]
    view = lz.open(maker.json())["x"]
    _same(view, expected.values)
    assert view.dims == ("n",)
    assert view.attrs == expected.attrs
    _same(lz.open(maker.json(), packing="raw")["x"], values)


def test_floating_fill_value_of_version_3_is_base64(maker: Maker) -> None:
    values = np.array([1.5, -9.0, 2.0], "float32")
    attributes = {"_FillValue": base64_text(np.float64(-9).tobytes())[7:], "scale_factor": 2.0}
    maker.array("x", values, chunks=(3,), zarr_format=3, attributes=attributes, dimension_names=("n",))
    maker.refs = {key: value for key, value in maker.refs.items() if key != ".zgroup"}
    maker.refs["zarr.json"] = '{"zarr_format": 3, "node_type": "group", "attributes": {}}'
    expected = foreign_dataset({"version": 1, "refs": absolute(maker.refs, maker.folder)})["x"]
    _same(lz.open(maker.json())["x"], expected.values)


def test_consolidated_metadata_alone_are_enough(maker: Maker) -> None:
    values = maker.array("x", np.arange(4, dtype="uint8"), chunks=(2,))
    metadata = {key: json.loads(maker.refs.pop(key)) for key in list(maker.refs) if key.rpartition("/")[2][0] == "."}
    maker.refs[".zmetadata"] = json.dumps({"zarr_consolidated_format": 1, "metadata": metadata})
    _same(lz.open(maker.json())["x"], values)


def test_an_array_at_the_root(maker: Maker) -> None:
    values = maker.array("x", np.arange(4, dtype="uint8"), chunks=(2,))
    maker.refs = {key.removeprefix("x/"): value for key, value in maker.refs.items() if key.startswith("x/")}
    _same(lz.open(maker.json()), values)


def test_chunks_outside_the_grid_are_left_alone(maker: Maker) -> None:
    values = maker.array("x", np.arange(4, dtype="uint8"), chunks=(2,))
    maker.refs["x/2"] = ["data.bin", 0, 2]
    _same(lz.open(maker.json())["x"], values)


def test_relative_locations_are_relative_to_the_file(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    values = maker.array("x", np.arange(4, dtype="uint8"), chunks=(4,))
    monkeypatch.chdir("/")
    place = maker.json()
    _same(lz.open(place)["x"], values)
    maker.refs = absolute(maker.refs, maker.folder)
    _same(lz.open(maker.json())["x"], values)


def test_opening_makes_no_request_but_for_the_file(maker: Maker) -> None:
    maker.array("x", np.arange(400, dtype="uint8"), chunks=(4,))
    group = lz.open(maker.json())
    view = group["x"]
    counts = view.reader.session.counts
    before = counts.requests
    assert view.shape == (400,)
    view.explain()
    assert counts.requests == before
    view.read()
    assert counts.requests == before + 100  # with gaps between the chunks


def test_sources_are_not_pinned(maker: Maker) -> None:
    maker.array("x", np.arange(4, dtype="uint8"), chunks=(4,))
    view = lz.open(maker.json())["x"]
    stored: StoredArray = view.ir.arrays[0]
    assert stored.stamp is None
    assert "not pinned: 1 of 1 referenced object" in view.explain("located")


def test_remote_references(maker: Maker) -> None:
    import fsspec

    values = maker.array("x", np.arange(4, dtype="uint8"), chunks=(2,))
    memory = fsspec.filesystem("memory")
    memory.pipe("/kerchunk/refs.json", Path(maker.json()).read_bytes())
    memory.pipe("/kerchunk/data.bin", maker.data.read_bytes())
    _same(lz.open("memory://kerchunk/refs.json")["x"], values)
    memory.rm("/kerchunk", recursive=True)
