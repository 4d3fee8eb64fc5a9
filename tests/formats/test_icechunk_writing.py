"""Views written into Icechunk, read back by icechunk and zarr-python, xarray, and lazyzarr."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr
from scipy.io import netcdf_file

import lazyzarr as lz
from tests.formats.icechunk_writing import repository

write = lz.formats.icechunk.write


def archive(folder: Path, *, scale: object = 0.01, offset: object = 273.15) -> lz.View:
    """Two years of packed data, joined."""
    rng = np.random.default_rng(0)
    for year in range(2):
        with h5py.File(folder / f"{year}.nc", "w") as file:
            data = rng.integers(-1, 99, (6, 8), dtype="i2")
            sst = file.create_dataset("sst", data=data, chunks=(2, 4), compression="gzip", shuffle=True)
            sst.attrs.update(scale_factor=scale, add_offset=offset, _FillValue=np.int16(-1), units="K")
            for name, length in (("t", 6), ("x", 8)):
                file[name] = np.arange(length) * 1.0
                file[name].make_scale(name)
            for axis, name in enumerate("tx"):
                sst.dims[axis].attach_scale(file[name])
    return lz.concat([lz.open(folder / f"{year}.nc", "sst") for year in range(2)])


def test_a_joined_archive_through_xarray(tmp_path: Path) -> None:
    view = archive(tmp_path)
    repo = repository(tmp_path / "repo", (tmp_path,))
    session = repo.writable_session("main")
    x = lz.open(tmp_path / "0.nc", "x")
    report = write({"sst": view, "x": x}, session)
    session.commit("archive")
    assert (report.arrays, report.chunks, report.pinned, report.unpinned, report.lost) == (2, 13, 13, 0, ())
    with xr.open_zarr(repo.readonly_session("main").store, consolidated=False, chunks=None) as found:
        assert found["sst"].dtype == "float64"
        assert found["sst"].dims == ("t", "x")
        assert found["sst"].attrs == {"units": "K"}
        assert np.array_equal(found["sst"].values, view.read(), equal_nan=True)
        assert found["x"].values.tolist() == list(range(8))
    again = lz.open(tmp_path / "repo", "sst")
    assert np.array_equal(again.read(), view.read(), equal_nan=True)
    stamps = [view.sources()[number].stamp for number in range(2)]
    array = again.sources()[0]
    assert [array.stamp, *(place.stamp for place in array.places)] == stamps


def test_icechunk_holds_the_sources_to_the_pins(tmp_path: Path) -> None:
    view = archive(tmp_path)
    repo = repository(tmp_path / "repo", (tmp_path,))
    session = repo.writable_session("main")
    write({"sst": view}, session)
    session.commit("archive")
    os.utime(tmp_path / "1.nc", (9e8, 9e8))
    array = zarr.open_array(repo.readonly_session("main").store, path="sst", mode="r")
    assert array[:6].shape == (6, 8)
    with pytest.raises(icechunk.IcechunkError):
        array[6:]
    with pytest.raises(lz.SourceChanged):
        lz.open(repo, "sst")


def test_every_state_of_a_chunk(tmp_path: Path) -> None:
    keyed = zarr.create_array(str(tmp_path / "k.zarr"), shape=(6, 6), chunks=(2, 3), dtype="i4", fill_value=5)
    keyed[:2] = 1
    keyed[4:, 3:] = 2
    stored = lz.open(tmp_path / "k.zarr")
    views = {
        "whole": stored,
        "turned": stored.T,
        "cut": stored[2:, 3:],
        "joined": lz.concat([stored, stored[:2]]),
        "stacked": lz.stack([stored, stored], axis=1),
        "deep/memory": lz.open(np.arange(6.0).reshape(2, 3)),
        "scalar": lz.open(np.array(4.5, "f4")),
        "constant": lz.full((4,), 3, dtype="int16"),
    }
    nested = {
        **{k: v for k, v in views.items() if "/" not in k},
        "deep": {"memory": views["deep/memory"]},
        "plain": np.arange(3),
    }
    repo = repository(tmp_path / "repo", (tmp_path,))
    session = repo.writable_session("main")
    report = write(nested, session)
    session.commit("all")
    assert report.inline == 2
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    again = lz.open(tmp_path / "repo")
    for name, view in {**views, "plain": np.arange(3)}.items():
        expected = np.asarray(view)
        assert np.array_equal(root[name][...], expected), name
        assert root[name].dtype == expected.dtype, name
        assert np.array_equal(again[name].read(), expected), name


def test_chunks_of_several_lengths(tmp_path: Path) -> None:
    views = []
    for number, length in enumerate((3, 5, 2)):
        with netcdf_file(tmp_path / f"{number}.nc", "w") as file:
            file.createDimension("y", length)
            file.createDimension("x", 4)
            file.createVariable("v", "i4", ("y", "x"))[:] = np.arange(length * 4).reshape(length, 4) + 100 * number
        views.append(lz.open(tmp_path / f"{number}.nc", "v"))
    view = lz.concat(views)
    repo = repository(tmp_path / "repo", (tmp_path,))
    session = repo.writable_session("main")
    with pytest.raises(lz.NotFlat):
        write({"v": view}, session, rectilinear=False)
    assert not session.has_uncommitted_changes
    report = write({"v": view}, session)
    assert any("rectilinear" in text for text in report.lost)
    session.commit("x")
    with zarr.config.set({"array.rectilinear_chunks": True}):
        array = zarr.open_array(repo.readonly_session("main").store, path="v", mode="r")
        assert np.array_equal(array[:], view.read())
    with pytest.raises(lz.NotFlat):
        lz.formats.virtualizarr.to_dataset({"v": view})


def test_packing_that_attributes_do_not_say_exactly(tmp_path: Path) -> None:
    view = archive(tmp_path, scale=np.float32(0.01), offset=np.float32(273.15))
    repo = repository(tmp_path / "repo", (tmp_path,))
    session = repo.writable_session("main")
    with pytest.raises(lz.SaveUnsupported) as caught:
        write({"sst": view}, session)
    assert caught.value.reason == "save-unsupported"
    assert not session.has_uncommitted_changes
    report = write({"sst": view}, session, decode="attributes")
    assert len(report.lost) == 1
    raw = lz.concat([lz.open(tmp_path / f"{year}.nc", "sst", packing="raw") for year in range(2)])
    write({"raw": raw}, session)
    session.commit("x")
    assert np.array_equal(lz.open(tmp_path / "repo", "raw", packing="raw").read(), raw.read())


def test_views_that_are_not_flat_are_refused_together(tmp_path: Path) -> None:
    view = archive(tmp_path)
    repo = repository(tmp_path / "repo", (tmp_path,))
    session = repo.writable_session("main")
    with pytest.raises(lz.NotFlat) as caught:
        write({"good": view, "cut": view[1:], "turned": view[::-1]}, session)
    named = {problem.partition(":")[0] for problem in caught.value.problems}
    assert named == {"cut", "turned"}
    assert not session.has_uncommitted_changes


def test_targets_that_cannot_be_written(tmp_path: Path) -> None:
    view = archive(tmp_path)
    repo = repository(tmp_path / "repo")  # no containers
    session = repo.writable_session("main")
    with pytest.raises(lz.SaveUnsupported) as caught:
        write({"sst": view}, session)
    assert f"file://{tmp_path}/" in str(caught.value)
    with pytest.raises(lz.SaveUnsupported):
        write({"sst": view}, repo.readonly_session("main"))
    with pytest.raises(lz.SaveUnsupported):
        write(view, session)
    constant = lz.full((2,), 1, dtype="int8")
    write(constant, session, path="a")
    with pytest.raises(lz.SaveConflict):
        write(constant, session, path="a")
    write(lz.full((3,), 2, dtype="int8"), session, path="a", overwrite=True)
    session.commit("x")
    assert lz.open(repo, "a").read().tolist() == [2, 2, 2]


def test_split_manifests(tmp_path: Path) -> None:
    values = np.arange(200, dtype="i2")
    (tmp_path / "data").mkdir()
    zarr.create_array(str(tmp_path / "data" / "a.zarr"), data=values, chunks=(1,))
    repo = repository(tmp_path / "repo", (tmp_path,))
    split = icechunk.ManifestSplittingConfig.from_dict(
        {icechunk.ManifestSplitCondition.AnyArray(): {icechunk.ManifestSplitDimCondition.Any(): 50}}
    )
    config = repo.config
    config.manifest = icechunk.ManifestConfig(splitting=split)
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "repo")), config)
    session = repo.writable_session("main")
    write(lz.open(tmp_path / "data" / "a.zarr"), session, path="a")
    snapshot = session.commit("x")
    assert len(repo.list_manifest_files(snapshot)) == 4
    assert np.array_equal(lz.open(tmp_path / "repo", "a").read(), values)
