"""NetCDF-4 years in chunks of 30 days, as plain kerchunk and Icechunk with only the short last chunks written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from tests.formats.icechunk_writing import repository
from tests.formats.reference_files import foreign_dataset, foreign_store

UNEVEN = {"array.rectilinear_chunks": True}
DAYS = {2003: 365, 2004: 366, 2005: 365}


@pytest.fixture
def years(tmp_path: Path) -> lz.View:
    """int16 with CF packing and gzip; chunks of 30 days, the last of a file padded."""
    rng = np.random.default_rng(0)
    for year, days in DAYS.items():
        with h5py.File(tmp_path / f"{year}.nc", "w") as file:
            cells = rng.integers(-1, 3000, (days, 4), "i2")
            sst = file.create_dataset("sst", data=cells, chunks=(30, 4), compression="gzip")
            sst.attrs.update(scale_factor=0.01, add_offset=273.15, _FillValue=np.int16(-1))
    return lz.concat([lz.open(tmp_path / f"{year}.nc", "sst") for year in DAYS]).rename_dims(["time", "x"])


def by_xarray(folder: Path) -> np.ndarray:
    """The same files, decoded by xarray one by one."""
    parts = []
    for year in DAYS:
        with xr.open_dataset(folder / f"{year}.nc", engine="h5netcdf", phony_dims="sort") as one:
            parts.append(one["sst"].values)
    return np.concatenate(parts)


def test_kerchunk(years: lz.View, tmp_path: Path) -> None:
    flat = years.flatten(materialize="boundary", into=tmp_path / "boundary")
    assert sum("/boundary/" in url for url in flat.urls()) == 2
    report = lz.formats.kerchunk.write({"sst": flat}, tmp_path / "refs.json", zarr_format=3, rectilinear=True)
    assert (report.chunks, report.unpinned, report.inline) == (39, 39, 0)
    assert any("rectilinear" in what for what in report.lost)
    expected = by_xarray(tmp_path)
    with zarr.config.set(UNEVEN):
        np.testing.assert_array_equal(foreign_dataset(str(tmp_path / "refs.json"))["sst"].values, expected, strict=True)
    own = lz.open(tmp_path / "refs.json")["sst"]
    assert own.dims == ("time", "x")
    np.testing.assert_array_equal(own.read(), expected, strict=True)
    np.testing.assert_array_equal(own[360:370, ::-1].read(), expected[360:370, ::-1], strict=True)
    assert own.flatness == "L1"


def test_icechunk(years: lz.View, tmp_path: Path) -> None:
    flat = years.flatten(materialize="boundary", into=tmp_path / "boundary")
    repo = repository(tmp_path / "repo", (tmp_path,))
    session = repo.writable_session("main")
    report = lz.formats.icechunk.write({"sst": flat}, session)
    session.commit("three years")
    assert (report.chunks, report.pinned) == (39, 39)
    assert any("rectilinear" in what for what in report.lost)
    with zarr.config.set(UNEVEN):
        dataset = xr.open_zarr(repo.readonly_session("main").store, consolidated=False, chunks=None)
        np.testing.assert_array_equal(dataset["sst"].values, by_xarray(tmp_path), strict=True)


def test_a_manifest_goes_where_its_grid_does(years: lz.View, tmp_path: Path) -> None:
    flat = years.flatten(materialize="boundary", into=tmp_path / "boundary")
    assert flat.flatten() is flat
    for views in (flat, {"sst": flat}):
        with pytest.raises(lz.NotFlat) as caught:
            lz.formats.kerchunk.write(views, tmp_path / "refs.json")
        assert caught.value.problems
        with pytest.raises(lz.NotFlat):
            lz.formats.manifest_json.write(views, tmp_path / "m.zarr")
    with pytest.raises(lz.SaveUnsupported):
        lz.formats.kerchunk.write({"sst": flat}, tmp_path / "refs.json", rectilinear=True)
    with pytest.raises(lz.SaveUnsupported):
        lz.formats.kerchunk.write({"sst": flat}, tmp_path / "refs.parq", zarr_format=3, rectilinear=True)
    assert not {"refs.json", "refs.parq", "m.zarr"} & {path.name for path in tmp_path.iterdir()}
    even = years.flatten(materialize="boundary", into=tmp_path / "even", rectilinear=False)
    lz.formats.kerchunk.write({"sst": even}, tmp_path / "refs.json")
    with xr.open_dataset(str(tmp_path / "refs.json"), engine="kerchunk") as dataset:
        np.testing.assert_array_equal(dataset["sst"].values, by_xarray(tmp_path), strict=True)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), min_size=1, max_size=3),
    st.data(),
    st.sampled_from([None, "auto"]),
)
def test_random_grids_round_trip(edges: list[list[int]], data: Any, compressors: Any) -> None:
    whole = tuple(map(sum, edges))
    cells = np.arange(np.prod(whole), dtype="i4").reshape(whole)
    there = data.draw(st.integers(0, whole[0]), "rows that are written")
    with tempfile.TemporaryDirectory() as name, zarr.config.set(UNEVEN):
        folder = Path(name)
        array = zarr.create_array(
            folder / "a.zarr", shape=whole, chunks=edges, dtype="i4", fill_value=-1, compressors=compressors
        )
        array[:there] = cells[:there]
        expected = np.where(np.arange(whole[0]).reshape(-1, *[1] * (len(whole) - 1)) < there, cells, np.int32(-1))
        lz.formats.kerchunk.write({"a": lz.open(folder / "a.zarr")}, folder / "r.json", zarr_format=3, rectilinear=True)
        np.testing.assert_array_equal(lz.open(folder / "r.json")["a"].read(), expected, strict=True)
        foreign: Any = zarr.open_group(foreign_store(str(folder / "r.json")), mode="r")["a"]
        np.testing.assert_array_equal(np.asarray(foreign[...]), expected, strict=True)
