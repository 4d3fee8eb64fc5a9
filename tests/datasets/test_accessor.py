"""``dataset.lazyzarr``: saving, explaining, flattening, and other people's formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import lazyzarr as lz
from tests.datasets.archive import JOIN, write
from tests.formats.icechunk_writing import repository


def test_what_is_saved_is_views_and_real_arrays(tmp_path: Path) -> None:
    parts = [lz.open_dataset(path) for path in write(tmp_path)]
    joined = xr.concat(parts, "time", **JOIN).isel(lon=slice(None, None, -1)).assign(mean=lambda d: d.sst.mean("time"))
    joined.lazyzarr.save(tmp_path / "d.zarr")
    group = zarr.open_group(tmp_path / "d.zarr", mode="r")
    assert {name for name, _ in group.arrays()} == {"time", "lat", "lon", "bounds", "mean", "name"}
    assert group["time"].metadata.dimension_names == ("time",)
    assert lz.open(tmp_path / "d.zarr")["sst"].attrs["coordinates"] == "height"
    again = lz.open_dataset(tmp_path / "d.zarr")
    xr.testing.assert_identical(again, joined)
    assert isinstance(again.sst.data, lz.View)
    with pytest.raises(lz.SaveConflict):
        joined.lazyzarr.save(tmp_path / "d.zarr")
    joined[["sst"]].lazyzarr.save(tmp_path / "d.zarr", overwrite=True)
    assert set(lz.open_dataset(tmp_path / "d.zarr").data_vars) == {"sst"}


def test_an_array_is_saved_with_its_coordinates(tmp_path: Path) -> None:
    (path, _) = write(tmp_path)
    array = lz.open_dataset(path).sst.isel(time=0)
    array.lazyzarr.save(tmp_path / "a.zarr")
    xr.testing.assert_identical(lz.open_dataset(tmp_path / "a.zarr").sst, array)


def test_dask_arrays_are_not_saved(tmp_path: Path) -> None:
    lz.open_dataset(lz.full((2,), 1), name="a")  # the accessor is there with the first data set
    dataset = xr.Dataset({"a": ("x", np.arange(3))}).chunk()
    with pytest.raises(lz.SaveUnsupported, match="a are dask arrays"):
        dataset.lazyzarr.save(tmp_path / "d.zarr")
    assert not (tmp_path / "d.zarr").exists()


def test_explain_and_flatten_name_the_variables(tmp_path: Path) -> None:
    dataset = lz.open_dataset(write(tmp_path)[0])
    assert dataset.lazyzarr.explain().splitlines()[0] in dataset.variables
    assert set(dataset[["sst", "flag"]].lazyzarr.flatten()) == {"height", "sst", "flag"}
    with pytest.raises(lz.NotFlat) as caught:
        dataset[["sst", "flag"]].isel(time=slice(1, None)).lazyzarr.flatten()
    assert any(problem.startswith("sst: ") for problem in caught.value.problems)


def test_flat_data_sets_go_to_kerchunk_icechunk_and_virtualizarr(tmp_path: Path) -> None:
    path = write(tmp_path, years={2001: (6, 0.1)})[0]
    dataset = lz.open_dataset(path)[["sst", "flag"]].drop_vars("height")
    assert dataset.lazyzarr.to_kerchunk(tmp_path / "refs.json").chunks > 3
    with xr.open_dataset(str(tmp_path / "refs.json"), engine="kerchunk") as found:
        np.testing.assert_array_equal(found.sst.values, dataset.sst.values)
        np.testing.assert_array_equal(found.time.values, dataset.time.values)

    made = repository(tmp_path / "repo", (tmp_path,))
    session = made.writable_session("main")
    dataset.lazyzarr.to_icechunk(session)
    session.commit("views")
    with xr.open_zarr(made.readonly_session("main").store, consolidated=False) as found:
        np.testing.assert_array_equal(found.sst.values, dataset.sst.values)

    virtual = dataset[["sst"]].lazyzarr.to_virtual()
    assert type(virtual.sst.data).__name__ == "ManifestArray"
    back = lz.open_dataset(virtual)
    assert isinstance(back.sst.data, lz.View)
    np.testing.assert_array_equal(back.sst.values, dataset.sst.values)
