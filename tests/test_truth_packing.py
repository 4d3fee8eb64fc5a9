"""Demand rows 1 and 9, trap 1: sources packed or typed differently are joined with right values, or not at all."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray

import lazyzarr as lz

PACKINGS = [
    {"scale_factor": 0.02, "add_offset": 273.15, "_FillValue": -32768},
    {"scale_factor": 0.01, "add_offset": 250.0, "_FillValue": -1},
    {"scale_factor": 0.1, "_FillValue": 32767},
]


def write_year(
    path: Path, stored: np.ndarray, packing: dict[str, float], *, units: str = "K", **storage: object
) -> Path:
    """A NetCDF-4 file with packed integers, as archives have them."""
    with netCDF4.Dataset(path, "w") as file:
        for name, length in zip(("time", "x"), stored.shape, strict=True):
            file.createDimension(name, length)
        attributes = dict(packing)
        fill_value = attributes.pop("_FillValue", None)
        variable = file.createVariable("sst", "i2", ("time", "x"), fill_value=fill_value, **storage)
        variable.set_auto_maskandscale(False)
        variable.setncatts({name: np.float32(value) for name, value in attributes.items()})
        variable.units = units
        variable[...] = stored
    return path


@pytest.fixture
def years(tmp_path: Path) -> list[Path]:
    """Three years of one variable, each packed in its own way, each with cells equal to every fill value."""
    paths = []
    for number, packing in enumerate(PACKINGS):
        stored = np.arange(4 * 5, dtype=np.int16).reshape(4, 5) * 37 - 100 * number
        stored.flat[:4] = [-32768, -1, 32767, 0]
        paths.append(write_year(tmp_path / f"{number}.nc", stored, packing, chunksizes=(2, 5), zlib=True))
    return paths


def decoded(path: Path) -> np.ndarray:
    """What xarray decodes one file to: the convention's own arithmetic."""
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset["sst"].values


def test_each_file_decodes_as_xarray_decodes_it(years: list[Path]) -> None:
    for path in years:
        view = lz.open(path, variable="sst")
        expected = decoded(path)
        assert view.dtype == expected.dtype
        assert view.read().tobytes() == expected.tobytes()


def test_files_of_different_packing_are_joined_with_the_values_of_each(years: list[Path]) -> None:
    """VirtualiZarr 1004: everybody else applies the packing of the first file to all, off by kelvins."""
    joined = lz.concat([lz.open(path, variable="sst") for path in years], axis=0)
    expected = np.concatenate([decoded(path) for path in years])
    assert joined.read().tobytes() == expected.tobytes()
    assert joined[3:9, ::-2].read().tobytes() == np.ascontiguousarray(expected[3:9, ::-2]).tobytes()
    first = PACKINGS[0]
    with netCDF4.Dataset(years[1]) as file:
        file.set_auto_maskandscale(False)
        naive = file["sst"][...] * first["scale_factor"] + first["add_offset"]
    assert np.nanmax(np.abs(joined[4:8].read() - naive)) > 3  # what the mistake would have cost


def test_a_fill_value_of_another_file_is_a_value(years: list[Path]) -> None:
    joined = lz.stack([lz.open(path, variable="sst") for path in years])
    missing = np.isnan(joined[:, 0, :4].read())
    assert missing.tolist() == [[True, False, False, False], [False, True, False, False], [False, False, True, False]]


def test_raw_integers_of_different_packing_are_refused(years: list[Path]) -> None:
    views = [lz.open(path, variable="sst", packing="raw") for path in years]
    assert views[0].dtype == np.int16
    assert float(views[0].attrs["scale_factor"]) == pytest.approx(0.02)
    with pytest.raises(lz.CombineError) as caught:
        lz.concat(views, axis=0)
    assert caught.value.reason == "combine-mismatch"
    assert len(caught.value.problems) >= 3  # every mismatch of every input, not the first one


def test_raw_integers_of_one_packing_are_joined_as_they_are(tmp_path: Path) -> None:
    stored = [np.arange(10, dtype=np.int16).reshape(2, 5) + k for k in range(2)]
    paths = [write_year(tmp_path / f"{k}.nc", cells, PACKINGS[0]) for k, cells in enumerate(stored)]
    joined = lz.concat([lz.open(path, variable="sst", packing="raw") for path in paths])
    np.testing.assert_array_equal(joined.read(), np.concatenate(stored), strict=True)
    assert joined.attrs["scale_factor"] == pytest.approx(0.02)


def test_raw_integers_can_be_unpacked_by_hand(years: list[Path]) -> None:
    raw = lz.open(years[0], variable="sst", packing="raw")
    view = raw.unpack(scale_factor=0.02, add_offset=273.15, fill_values=[-32768], dtype="float64")
    stored = raw.read()
    expected = np.where(stored == -32768, np.nan, stored.astype("f8") * 0.02 + 273.15)
    np.testing.assert_array_equal(view.read(), expected, strict=True)


@pytest.mark.parametrize("scale", [0.1, 0.01, 0.5])
def test_unpacking_multiplies_then_adds_for_every_value(scale: float, tmp_path: Path) -> None:
    """``x / (1 / s) + o``, as the codec ``scale_offset`` has it, differs for 35 % of all values at s = 0.1."""
    stored = np.arange(-(2**15), 2**15, dtype=np.int16)
    view = lz.open(stored).unpack(scale_factor=scale, add_offset=273.15)
    np.testing.assert_array_equal(view.read(), stored.astype("f8") * scale + 273.15, strict=True)


def test_units_that_differ_are_refused(tmp_path: Path) -> None:
    stored = np.ones((2, 3), np.int16)
    kelvin = lz.open(write_year(tmp_path / "k.nc", stored, {}, units="K"), variable="sst")
    celsius = lz.open(write_year(tmp_path / "c.nc", stored, {}, units="degC"), variable="sst")
    with pytest.raises(lz.CombineError) as caught:
        lz.concat([kelvin, celsius])
    assert len(caught.value.problems) == 1
    assert lz.concat([kelvin, celsius.with_attrs(kelvin.attrs)]).shape == (4, 3)


def test_types_that_drifted_are_joined_where_no_value_is_lost() -> None:
    """Row 9: float64 became float32; int64 and float64 have no common type that keeps every value."""
    wide, narrow = np.array([0.1, 1e300]), np.array([0.1, 3], np.float32)
    with pytest.raises(lz.CombineError):
        lz.concat([lz.open(wide), lz.open(narrow)])
    joined = lz.concat([lz.open(wide), lz.open(narrow)], promote=True)
    np.testing.assert_array_equal(joined.read(), np.concatenate([wide, narrow]), strict=True)
    with pytest.raises(lz.CombineError):
        lz.concat([lz.open(np.array([2**53 + 1])), lz.open(np.array([0.5]))], promote=True)
    assert lz.concat([lz.open(np.array([1], "i2")), lz.open(np.array([2], "u1"))], promote=True).dtype == np.int16


def test_a_lossy_cast_has_to_be_named() -> None:
    view = lz.open(np.array([1.5, 2.5, -1.5]))
    with pytest.raises(lz.CastError) as caught:
        view.astype("int8")
    assert caught.value.reason == "cast-lossy"
    assert view.astype("int8", rounding="nearest-even").read().tolist() == [2, 2, -2]
    assert view.astype("int8", rounding="towards-zero").read().tolist() == [1, 2, -1]
