"""Files are decoded as the engines of netCDF decode them: types, bits, names and attributes, alone and joined, and after saving."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr
from xarray.coders import CFDatetimeCoder

import lazyzarr as lz
from tests.datasets.archive import JOIN
from tests.datasets.conventions import NOT_WRITTEN_BY_XARRAY, write

SPANS = {"decode_timedelta": True}
DOORS: dict[str, Callable[..., xr.Dataset]] = {
    "views": lz.open_dataset,
    "engine": lambda place, **options: xr.open_dataset(place, engine="lazyzarr", **options),
}
ENCODING = (
    "units",
    "calendar",
    "coordinates",
    "bounds",
    "grid_mapping",
    "cell_measures",
    "climatology",
    "_Encoding",
    "char_dim_name",
)
"""What xarray keeps of a file for writing, beside the packing, which is part of a view."""


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # xarray warns of what is odd in the files
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(tmp_path_factory.mktemp("files"))


def assert_same(ours: xr.Dataset, theirs: xr.Dataset, *, encoding: bool = True, text: bool = True) -> None:
    """Equal in names, types, bits, attributes and what is kept for writing."""
    assert set(ours.variables) == set(theirs.variables)
    assert set(ours.coords) == set(theirs.coords)
    for name, expected in theirs.variables.items():
        found = ours.variables[name]
        assert found.dims == expected.dims, name
        assert text or found.dtype.kind != "O" or expected.dtype.kind == "O"
        if text:
            assert found.dtype == expected.dtype, name
            assert found.values.dtype == expected.values.dtype, name
        assert cells(found) == cells(expected), name
        assert plain(found.attrs) == plain(expected.attrs), name
        if encoding:
            for key in ENCODING:
                assert found.encoding.get(key) == expected.encoding.get(key), (name, key)
    assert plain(ours.attrs) == plain(theirs.attrs)


def cells(variable: xr.Variable) -> Any:
    """Bits of numbers; type and value of everything else, in which NaN is equal to NaN."""
    values = np.asarray(variable.values)
    if values.dtype.kind in "OSU":
        return [
            (type(one).__name__.removesuffix("_"), "missing" if one != one else one)
            for one in values.reshape(-1).tolist()
        ]
    return values.tobytes()


def plain(attributes: Any) -> dict[Any, Any]:
    """Attributes of views are JSON: numbers have no type of NumPy."""
    return {
        key: repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
        for key, value in attributes.items()
    }


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        SPANS,
        {"decode_timedelta": False},
        {"decode_times": False},
        {"decode_times": CFDatetimeCoder(time_unit="s")},
        {"decode_times": {"itime_fill": False}},
        {"mask_and_scale": {"so_i2_32": False, "fill_i4": False}},
        {"concat_characters": False},
        {"decode_coords": "all"},
        {"decode_coords": False},
    ],
    ids=lambda options: (
        "-".join(f"{key}:{getattr(value, 'time_unit', value)}" for key, value in options.items()) or "default"
    ),
)
def test_one_file(files: list[Path], door: str, options: dict[str, Any]) -> None:
    for path in files[:2]:
        with xr.open_dataset(path, engine="netcdf4", **options) as theirs:
            assert_same(DOORS[door](path, **options), theirs)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("options", [{"decode_cf": False}, {"mask_and_scale": False}], ids=str)
def test_raw(files: list[Path], door: str, options: dict[str, Any]) -> None:
    with xr.open_dataset(files[0], engine="netcdf4", **options) as theirs:
        ours = DOORS[door](files[0], **options)
        # JSON has no bytes
        assert (ours.char_fill.attrs["_FillValue"], theirs.char_fill.attrs["_FillValue"]) == (" ", b" ")
        theirs.char_fill.attrs["_FillValue"] = " "
        assert_same(ours, theirs)


@pytest.mark.parametrize("door", DOORS)
def test_h5netcdf_agrees(files: list[Path], door: str) -> None:
    # h5netcdf has the missing value of text as bytes and masks nothing
    with xr.open_dataset(files[0], engine="h5netcdf", drop_variables=["vlen_missing"], **SPANS) as theirs:
        assert_same(DOORS[door](files[0], drop_variables=["vlen_missing"], **SPANS), theirs)


def test_numbers_stay_views(files: list[Path]) -> None:
    ours = lz.open_dataset(files[0])
    lazy = {name for name, one in ours.variables.items() if isinstance(one._data, lz.View)}
    assert {"sof_i2_32", "both_u4", "uns_sc_i8", "range_f4", "temp", "enum", "big", "scalar"} <= lazy
    assert {"time", "vlen", "chars", "itime_fill", "bool"} & lazy == set()


@pytest.fixture(scope="module")
def written(files: list[Path]) -> list[Path]:
    """The files as saved groups of views, beside them."""
    folder = files[0].parent
    for path in files:
        lz.save(lz.open(path), folder / f"{path.stem}.zarr")
    return [folder / f"{path.stem}.zarr" for path in files]


def joined(open_one: Callable[..., xr.Dataset], places: list[Any]) -> xr.Dataset:
    """All files along ``t``."""
    return xr.concat([writable(open_one(place, **SPANS)) for place in places], "t", **JOIN)


def writable(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.drop_vars([name for name in dataset.variables if str(name).startswith(NOT_WRITTEN_BY_XARRAY)])


@pytest.fixture(scope="module")
def theirs(files: list[Path]) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return joined(xr.load_dataset, files)


@pytest.mark.parametrize("door", DOORS)
def test_joined(files: list[Path], theirs: xr.Dataset, door: str) -> None:
    ours = joined(DOORS[door], files)
    assert_same(ours, theirs)
    by_time = [writable(DOORS[door](path, **SPANS)).swap_dims(t="time") for path in files]
    others = [writable(xr.load_dataset(path, **SPANS)).swap_dims(t="time") for path in files]
    assert_same(xr.combine_by_coords(by_time[::-1], **JOIN), xr.combine_by_coords(others, **JOIN))


@pytest.mark.parametrize("door", DOORS)
def test_copies(files: list[Path], theirs: xr.Dataset, door: str) -> None:
    ours = joined(DOORS[door], files)
    for copy in (pickle.loads(pickle.dumps(ours)), ours.copy(deep=True), ours.compute()):
        assert_same(copy, theirs)
    for chunked in (ours.chunk(), ours.chunk(t=4)):
        assert_same(chunked, theirs, encoding=False)
    other = DOORS[door](files[0], **SPANS)
    for compare in (xr.Dataset.equals, xr.Dataset.identical, xr.Dataset.broadcast_equals):
        assert compare(ours, theirs)
        assert compare(theirs, ours)
        assert not compare(ours, other)
    changed = theirs.copy(deep=True)
    changed["temp"][0, 0] += 1
    assert not ours.equals(changed)
    assert ours.chunks == {}
    assert ours.temp.chunks is None


@pytest.mark.parametrize("parallel", [False, True])
def test_open_mfdataset(written: list[Path], files: list[Path], theirs: xr.Dataset, parallel: bool) -> None:
    options: dict[str, Any] = {
        "engine": "lazyzarr",
        "combine": "nested",
        "concat_dim": "t",
        "parallel": parallel,
        **JOIN,
        **SPANS,
    }
    for places in (files, written, [lz.open(place) for place in written]):
        ours = xr.open_mfdataset(places, **options)
        assert_same(writable(ours), theirs, encoding=False)


@pytest.mark.parametrize("door", DOORS)
def test_saved_and_opened_again(
    files: list[Path], written: list[Path], theirs: xr.Dataset, tmp_path: Path, door: str
) -> None:
    with xr.open_dataset(files[0], engine="netcdf4", **SPANS) as first:
        assert_same(DOORS[door](written[0], **SPANS), first)
    for number, dataset in enumerate((joined(DOORS[door], files), joined(DOORS[door], files).compute())):
        place = tmp_path / f"{number}.zarr"
        dataset.lazyzarr.save(place)
        for again in DOORS.values():
            found = again(place, allow=[files[0].parent], **SPANS)
            # text that was characters is text now
            assert found.uchars.values.tolist() == theirs.uchars.values.tolist()
            assert_same(found.drop_vars("uchars"), theirs.drop_vars("uchars"), encoding=False)


@pytest.mark.parametrize("door", DOORS)
def test_written_by_xarray(files: list[Path], theirs: xr.Dataset, tmp_path: Path, door: str) -> None:
    # what xarray writes of times in floating point is not exact, whatever array they are in
    inexact = [
        name
        for name, one in theirs.variables.items()
        if one.dtype.kind == "M" and (one.encoding["dtype"].kind == "f" or "scale_factor" in one.encoding)
    ]
    ours, expected = joined(DOORS[door], files).drop_vars(inexact), theirs.drop_vars(inexact)
    ours.to_netcdf(tmp_path / "joined.nc")
    ours.to_zarr(tmp_path / "joined.zarr", zarr_format=2, consolidated=False)
    assert_same(xr.load_dataset(tmp_path / "joined.nc", **SPANS), expected, encoding=False)
    assert_same(xr.open_zarr(tmp_path / "joined.zarr", consolidated=False, **SPANS), expected, encoding=False)


def test_several_missing_values_are_saved_as_one(files: list[Path], tmp_path: Path) -> None:
    ours = lz.open_dataset(files[0], **SPANS)[["time_two", "both_i2", "som_u1_32", "misslist_f4"]]
    ours.lazyzarr.save(tmp_path / "d.zarr")
    assert_same(lz.open_dataset(tmp_path / "d.zarr", allow=[files[0].parent], **SPANS), ours, encoding=False)


def test_what_xarray_cannot_encode_is_named(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(lz.SaveUnsupported, match=r"variable time_months; .*drop_vars\('time_months'\)"):
        lz.open_dataset(files[0])[["time_months"]].lazyzarr.save(tmp_path / "d.zarr")


def test_text_that_cannot_be_read_can_be_left_out(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "g.zarr")
    group.create_array("name", data=np.array(["a"], np.dtypes.StringDType()), dimension_names=["x"])
    group.create_array("number", data=np.array([1]), dimension_names=["x"])
    (tmp_path / "g.zarr" / "name" / "c" / "0").write_bytes(b"?")
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open_dataset(tmp_path / "g.zarr")
    assert "drop_variables=['name']" in "".join(caught.value.__notes__)
    assert lz.open_dataset(tmp_path / "g.zarr", drop_variables="name").number.values.tolist() == [1]


def test_the_files_have_what_they_should(files: list[Path]) -> None:
    with netCDF4.Dataset(files[0]) as file:
        assert file["enum"].datatype.enum_dict == {"land": 0, "sea": 1, "none": 255}
        assert file["vlen"].dtype is str
        assert file["chars"].dtype == "S1"
        assert len(file.variables) > 200
