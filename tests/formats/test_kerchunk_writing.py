"""kerchunk references as lazyzarr writes them, read by fsspec with xarray and zarr-python, by GDAL, and by lazyzarr."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr

import lazyzarr as lz
from lazyzarr.formats.report import ExportReport
from tests.formats.reference_files import foreign_dataset

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'fastparquet' engine is deprecated"),
    pytest.mark.filterwarnings("ignore:Dataset has no geotransform"),
    pytest.mark.filterwarnings("ignore:variable '.*' has multiple fill values"),
]

FORMS = ("refs.json", "refs3.json", "refs.parq")


def write(views: Any, folder: Path, form: str, **options: Any) -> ExportReport:
    return lz.formats.kerchunk.write(views, folder / form, zarr_format=3 if form == "refs3.json" else 2, **options)


def foreign(folder: Path, form: str) -> xr.Dataset:
    """What xarray has of the references."""
    if form == "refs3.json":
        return foreign_dataset(str(folder / form))
    return xr.open_dataset(str(folder / form), engine="kerchunk", decode_times=False)


def _same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if found.dtype.kind == "T":
        found, expected = found.astype(object), expected.astype(object)
    np.testing.assert_array_equal(found, expected)


def check(views: dict[str, Any], folder: Path, form: str) -> ExportReport:
    """Both readers read the values that the views have."""
    report = write(views, folder, form)
    dataset, own = foreign(folder, form), lz.open(folder / form)
    for name, view in views.items():
        _same(dataset[name].values, view.read())
        _same(own[name].read(), view.read())
    return report


def _zarr(folder: Path, name: str, values: Any, **options: Any) -> Any:
    values = np.asarray(values)
    made = zarr.create_array(folder / name, shape=values.shape, dtype=values.dtype, **options)
    made[...] = values
    return lz.open(folder / name)


@pytest.mark.parametrize("form", FORMS)
def test_round_trips(tmp_path: Path, form: str) -> None:
    grid = _zarr(tmp_path, "grid", np.arange(35, dtype="i4").reshape(5, 7), chunks=(2, 3), dimension_names=("y", "x"))
    sparse = _zarr(tmp_path, "sparse", np.where(np.arange(30) // 3 == 4, 2**60 + 1, 0), chunks=(3,), fill_value=0)
    views = {
        "grid": grid,
        "turned": _zarr(
            tmp_path, "t", np.arange(12, dtype=">i2").reshape(3, 4), chunks=(3, 2), order="F", zarr_format=2
        ),
        "sparse": sparse,
        "scalar": _zarr(tmp_path, "scalar", np.array(2**62 + 3), chunks=()),
        "text": _zarr(tmp_path, "text", np.array(["a", "", "dé"], np.dtypes.StringDType()), chunks=(2,)),
        "floats": _zarr(tmp_path, "floats", np.array([1, np.nan, 3, 4]), chunks=(2,), fill_value=np.nan),
        "flags": _zarr(tmp_path, "flags", np.array([True, False, True, True]), chunks=(3,), fill_value=False),
        "memory": lz.open(np.arange(4.0)),
        "cut": sparse[3:21],
        "twice": lz.concat([sparse, sparse], axis=0),
        "stacked": lz.stack([grid, grid]),
        "transposed": grid.T if form == "refs3.json" else grid,
    }
    report = check(views, tmp_path, form)
    assert report.arrays == len(views)
    assert report.inline == 1
    assert report.pinned == 0
    assert report.unpinned == report.chunks - 1
    assert foreign(tmp_path, form)["grid"].dims == ("y", "x")


@pytest.mark.parametrize("form", FORMS)
def test_codecs(tmp_path: Path, form: str) -> None:
    from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

    values = np.arange(60, dtype="i4").reshape(6, 10)
    chains: dict[str, Any] = {
        "gzip": [GzipCodec()],
        "zstd": [ZstdCodec(checksum=True)],
        "blosc": [BloscCodec(cname="lz4", shuffle="bitshuffle")],
        "crc": [ZstdCodec(), Crc32cCodec()],
        "none": None,
    }
    views = {name: _zarr(tmp_path, name, values, chunks=(4, 5), compressors=c) for name, c in chains.items()}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("h", data=values, chunks=(4, 5), shuffle=True, compression="gzip", fletcher32=True)
    if form != "refs3.json":  # zarr-python has no name for the filters of HDF5 behind the bytes of version 3 but this
        views["hdf5"] = lz.open(tmp_path / "a.h5", "h")
    check(views, tmp_path, form)


_PACKED: dict[str, tuple[str, dict[str, Any], Any, Any]] = {
    "both": ("i2", {"scale_factor": 0.01, "add_offset": 273.15, "_FillValue": np.int16(-1)}, -1, True),
    "scale": ("u1", {"scale_factor": 0.5}, 0, True),
    "offset": ("i4", {"add_offset": 100.0, "missing_value": np.int32(7)}, 0, True),
    "fill": ("i2", {"_FillValue": np.int16(-5)}, -5, True),
    "floats": ("f4", {"missing_value": np.float32(1e20)}, 0, True),
    "two fills": ("i2", {"missing_value": np.int16(3), "_FillValue": np.int16(-1), "scale_factor": 0.1}, -1, True),
    "other fill": ("i2", {"_FillValue": np.int16(-1), "scale_factor": 0.1}, 9, False),
    "zero and a fill": ("i2", {"_FillValue": np.int16(-1), "scale_factor": 0.1}, 0, True),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whole", [True, False], ids=["all chunks", "a missing chunk"])
@pytest.mark.parametrize("case", _PACKED)
def test_packing_is_left_as_attributes(tmp_path: Path, case: str, whole: bool, form: str) -> None:
    dtype, attributes, fill_value, expressible = _PACKED[case]
    with h5py.File(tmp_path / "a.nc", "w") as file:
        made = file.create_dataset("x", shape=(8,), dtype=dtype, chunks=(2,), compression="gzip", fillvalue=fill_value)
        made[:6] = np.array([0, 1, 3, 7, 100, 5]).astype(dtype)
        if attributes.get("_FillValue") is not None:
            made[1] = attributes["_FillValue"]
        if whole:
            made[6:] = 1
        made.attrs.update(attributes)
        made.attrs["units"] = "K"
    view = lz.open(tmp_path / "a.nc", "x")
    if not expressible and not whole and form != "refs3.json":
        with pytest.raises(lz.SaveUnsupported) as caught:
            write({"x": view}, tmp_path, form)
        assert caught.value.where == "x"
        return
    check({"x": view}, tmp_path, form)
    assert foreign(tmp_path, form)["x"].attrs["units"] == "K"


@pytest.mark.parametrize("form", FORMS)
def test_raw_integers_keep_the_attributes(tmp_path: Path, form: str) -> None:
    with h5py.File(tmp_path / "a.nc", "w") as file:
        made = file.create_dataset("x", data=np.array([0, 1, -1], "i2"), chunks=(3,), fillvalue=-1)
        made.attrs.update(scale_factor=np.float32(0.1), _FillValue=np.int16(-1))
    view = lz.open(tmp_path / "a.nc", "x")
    with pytest.raises(lz.SaveUnsupported) as caught:  # single precision does not survive JSON
        write({"x": view}, tmp_path, form)
    assert "packing='raw'" in str(caught.value)
    raw = lz.open(tmp_path / "a.nc", "x", packing="raw")
    write({"x": raw}, tmp_path, form)
    assert lz.open(tmp_path / form, packing="raw")["x"].read().tolist() == [0, 1, -1]
    found = foreign(tmp_path, form)["x"].values
    np.testing.assert_array_equal(found, np.array([0, 1, np.nan]) * float(np.float32(0.1)))


@pytest.mark.parametrize("form", ["refs.json", "refs.parq"])
def test_a_fill_value_that_xarray_would_mask(tmp_path: Path, form: str) -> None:
    values = np.array([-7, -7, 1, 2], "i2")
    view = _zarr(tmp_path, "x", values, chunks=(2,), fill_value=-7)
    with pytest.raises(lz.SaveUnsupported) as caught:
        write({"x": view}, tmp_path, form)
    assert "version 3" in str(caught.value)
    assert not (tmp_path / form).exists()
    check({"x": view}, tmp_path, "refs3.json")
    report = check({"x": view[2:]}, tmp_path, form)
    pins = "pins of 1 references: nothing in the file says what the objects were"
    assert report.lost == ("x: the fill value, which no chunk shows", pins)


def test_nested_groups(tmp_path: Path) -> None:
    inner = _zarr(tmp_path, "x", np.arange(4), chunks=(2,))
    lz.save({"x": inner, "deep": {"y": inner[2:]}}, tmp_path / "g.zarr", attrs={"title": "t", "n": 2**60 + 1})
    for form in FORMS:
        write(lz.open(tmp_path / "g.zarr"), tmp_path, form)
        found = lz.open(tmp_path / form)
        assert found.attrs == {"title": "t", "n": 2**60 + 1}
        assert found["deep/y"].read().tolist() == [2, 3]
    assert foreign(tmp_path, "refs.json").attrs["n"] == 2**60 + 1


def test_one_view(tmp_path: Path) -> None:
    view = _zarr(tmp_path, "x", np.arange(4), chunks=(2,))
    write(view, tmp_path, "refs.json", name="sst")
    assert list(lz.open(tmp_path / "refs.json")) == ["sst"]


def test_relative_locations(tmp_path: Path) -> None:
    view = _zarr(tmp_path, "a b%20", np.arange(4), chunks=(2,))
    write({"x": view}, tmp_path, "refs.json", relative=True)
    assert json.loads((tmp_path / "refs.json").read_text())["refs"]["x/0"] == ["a b%20/c/0"]
    moved = tmp_path.with_name(tmp_path.name + " moved")
    os.rename(tmp_path, moved)
    assert lz.open(moved / "refs.json")["x"].read().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("form", FORMS)
def test_not_flat(tmp_path: Path, form: str) -> None:
    view = _zarr(tmp_path, "x", np.arange(9), chunks=(4,))
    with pytest.raises(lz.NotFlat) as caught:
        write({"x": view[1:], "y": view}, tmp_path, form)
    assert caught.value.problems
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("form", FORMS)
def test_refusals_name_the_array_and_all_reasons(tmp_path: Path, form: str) -> None:
    values = np.ones((30, 40), "i2")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=values, chunks=(30, 40), compression="lzf")
        made.attrs["scale_factor"] = np.float32(0.3)
    view = lz.open(tmp_path / "a.h5", "x")
    with pytest.raises(lz.SaveUnsupported) as caught:
        write({"deep": {"x": view}}, tmp_path, form)
    assert caught.value.where == "deep/x"
    assert caught.value.reason == "save-unsupported"
    assert "lzf" in str(caught.value)
    assert "float32" in str(caught.value)
    for views in (3, {"a/b": view}, {"a": 3}, {"..": view}):
        with pytest.raises(lz.SaveUnsupported):
            write(views, tmp_path, form)
    assert os.listdir(tmp_path) == ["a.h5"]


def test_forms_that_are_none(tmp_path: Path) -> None:
    view = lz.open(np.arange(3))
    with pytest.raises(lz.SaveUnsupported):
        lz.formats.kerchunk.write({"x": view}, tmp_path / "refs.parq", zarr_format=3)
    with pytest.raises(lz.SaveUnsupported):
        lz.formats.kerchunk.write({"x": view}, tmp_path / "refs.json", zarr_format=4)
    with pytest.raises(lz.SaveUnsupported):
        lz.formats.kerchunk.write({"x": view}, "s3://bucket/refs.json")


@pytest.mark.parametrize("form", FORMS)
def test_writing_is_whole_or_not_at_all(tmp_path: Path, form: str) -> None:
    first, second = lz.open(np.arange(3)), lz.open(np.arange(5))
    write({"x": first}, tmp_path, form)
    with pytest.raises(lz.SaveConflict):
        write({"x": second}, tmp_path, form)
    if form.endswith("json"):
        write({"x": second}, tmp_path, form, overwrite=True)
        assert lz.open(tmp_path / form)["x"].shape == (5,)
    else:
        with pytest.raises(lz.SaveConflict):
            write({"x": second}, tmp_path, form, overwrite=True)
        assert lz.open(tmp_path / form)["x"].shape == (3,)
    assert os.listdir(tmp_path) == [form]
    with pytest.raises(lz.SaveError):
        write({"x": first}, tmp_path / "nothing", form)


def test_inline_bytes_that_look_like_base64(tmp_path: Path) -> None:
    values = np.frombuffer(b"base64:AAAA\0\0\0\0\0", "u1")
    for form in FORMS:
        check({"x": lz.open(values)}, tmp_path, form)


def test_gdal_reads_the_references(tmp_path: Path) -> None:
    views = {
        "plain": _zarr(tmp_path, "plain", np.arange(35, dtype="i4").reshape(5, 7), chunks=(2, 3)),
        "f": _zarr(tmp_path, "f", np.arange(12, dtype=">i2").reshape(3, 4), chunks=(3, 2), order="F", zarr_format=2),
        "sparse": _zarr(tmp_path, "sparse", np.diag([0, 0, 5, 0]).astype("f8"), chunks=(2, 2), fill_value=0),
        "cut": _zarr(tmp_path, "cut", np.arange(35, dtype="u1").reshape(5, 7), chunks=(2, 7))[2:],
        "memory": lz.open(np.arange(6.0).reshape(2, 3)),
    }
    write(views, tmp_path, "refs.json")
    for name, view in views.items():
        with rasterio.open(f'ZARR:"{tmp_path}/refs.json":/{name}') as found:
            np.testing.assert_array_equal(found.read(1), view.read())


def test_written_references_are_saved_in_views(tmp_path: Path) -> None:
    view = _zarr(tmp_path, "x", np.arange(6), chunks=(2,))
    write({"x": view, "m": lz.open(np.arange(4))}, tmp_path, "refs.json")
    again = lz.open(tmp_path / "refs.json")
    lz.save({"x": again["x"][::-1], "m": again["m"]}, tmp_path / "v.zarr")
    found = lz.open(tmp_path / "v.zarr")
    assert found["x"].read().tolist() == [5, 4, 3, 2, 1, 0]
    assert found["m"].read().tolist() == [0, 1, 2, 3]
