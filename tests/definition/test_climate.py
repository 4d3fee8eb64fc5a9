"""The climate example: monthly files with leap years, drifting packing and compression, and a missing month."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray

import lazyzarr as lz

DEFINITION = """
lazyzarr: 1
stores: {archive: data}
sources:
  monthly:
    store: archive
    format: netcdf
    path: "sst_{month:%Y%m}.nc"
    tile:
      - concat: time
        name: month
        dates: {from: 2003-11, to: 2004-04, step: 1 month}
        items: days
arrays:
  sst: {from: monthly, missing: fill}
"""
MONTHS = ((2003, 11, 30), (2003, 12, 31), (2004, 1, 31), (2004, 2, 29), (2004, 4, 30))


def make(folder: Path) -> None:
    """Monthly files; March 2004 is missing."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for number, (year, month, days) in enumerate(MONTHS):
        cells = rng.normal(280, 5, (days, 4, 3)).astype("float32")
        time = ("time", np.arange(days), {"units": f"days since {year}-{month:02d}-01", "calendar": "standard"})
        dataset = xarray.Dataset(
            {"sst": (("time", "lat", "lon"), cells, {"units": "K"})},
            coords={"time": time, "lat": ("lat", np.linspace(-80, 80, 4)), "lon": ("lon", np.arange(3.0))},
        )
        packing = {
            "dtype": "int16",
            "scale_factor": np.float32(0.01 + number / 1000),
            "add_offset": np.float32(280),
            "_FillValue": np.int16(-32768),
            "chunksizes": (10, 4 - number % 2, 3),
            "zlib": bool(number % 2),
        }
        dataset.to_netcdf(folder / f"data/sst_{year}{month:02d}.nc", engine="h5netcdf", encoding={"sst": packing})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path)
    (tmp_path / "sst.lz.yaml").write_text(DEFINITION)
    return tmp_path


def test_values_are_those_that_xarray_decodes(folder: Path) -> None:
    done = lz.resolve(folder / "sst.lz.yaml", folder / "sst.zarr")
    group = lz.open(folder / "sst.zarr")
    expected = np.full((182, 4, 3), np.nan, "float32")
    start = 0
    for year, month, days in MONTHS:
        start = 152 if month == 4 else start
        with xarray.open_dataset(folder / f"data/sst_{year}{month:02d}.nc", engine="h5netcdf") as one:
            expected[start : start + days] = one.sst.values
        start += days
    np.testing.assert_array_equal(group["sst"].read(), expected)
    assert done.opened == 6
    assert done.files[0].present == (True, True, True, True, False, True)
    assert done.files[0].boxes[4] == "time 121:152"
    assert group["sst"].attrs["units"] == "K"


def test_times_are_in_the_units_of_the_first_file(folder: Path) -> None:
    lz.resolve(folder / "sst.lz.yaml", folder / "sst.zarr")
    time = lz.open(folder / "sst.zarr")["time"]
    assert time.attrs["units"] == "days since 2003-11-01"
    assert time.read().tolist() == list(range(182))  # those of the missing month are told by its neighbours


def test_dry_run_writes_nothing_and_says_why_not_flat(folder: Path) -> None:
    done = lz.resolve(folder / "sst.lz.yaml", folder / "sst.zarr", dry_run=True)
    assert not (folder / "sst.zarr").exists()
    assert done.arrays[0].flatness == "L3"
    assert any("codec chains" in problem for problem in done.arrays[0].problems)
    assert "sst_200402.nc  time 92:121" in str(done)


def test_a_missing_month_is_an_error_by_default(folder: Path) -> None:
    (folder / "strict.lz.yaml").write_text(DEFINITION.replace(", missing: fill", ""))
    with pytest.raises(lz.DefinitionError) as raised:
        lz.resolve(folder / "strict.lz.yaml", folder / "sst.zarr")
    assert [(m.subject, m.property) for m in raised.value.mistakes] == [("sst_200403.nc", "file")]
    assert not (folder / "sst.zarr").exists()


def test_calendars_that_differ_are_refused(folder: Path) -> None:
    with xarray.open_dataset(folder / "data/sst_200401.nc", engine="h5netcdf", decode_times=False) as one:
        changed = one.load()
    changed.time.attrs["calendar"] = "noleap"
    changed.to_netcdf(folder / "data/sst_200401.nc", engine="h5netcdf")
    with pytest.raises(lz.DefinitionError) as raised:
        lz.resolve(folder / "sst.lz.yaml", folder / "sst.zarr")
    found = [(m.subject, m.property, m.expected, m.found) for m in raised.value.mistakes]
    assert ("sst_200401.nc (time)", "calendar", "standard", "noleap") in found


def test_xarray_opens_it_as_a_tree(folder: Path) -> None:
    lz.resolve(folder / "sst.lz.yaml", folder / "sst.zarr")
    store = lz.store(lz.open(folder / "sst.zarr"))
    with xarray.open_datatree(store, engine="zarr", consolidated=False) as tree:
        assert tree["sst"].sel(time="2004-02-29").shape == (4, 3)
        assert str(tree["time"].values[121])[:10] == "2004-03-01"
