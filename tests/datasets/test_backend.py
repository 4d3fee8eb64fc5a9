"""``engine="lazyzarr"``: what it claims, how little it reads, and that it decodes as others do."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

import lazyzarr as lz
from lazyzarr.datasets.backend import LazyZarrBackend
from tests.datasets.archive import JOIN, write
from tests.servers import RangeServer


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A saved data set of both files."""
    parts = [lz.open_dataset(path) for path in write(tmp_path)]
    xr.concat(parts, "time", **JOIN).lazyzarr.save(tmp_path / "joined.zarr")
    return tmp_path / "joined.zarr"


def test_a_saved_data_set_is_found_and_equal(saved: Path) -> None:
    theirs = xr.concat([xr.load_dataset(saved.parent / f"{year}.nc") for year in (2001, 2002)], "time", **JOIN)
    for found in (
        xr.open_dataset(saved),
        xr.open_dataset(saved, engine="lazyzarr"),
        xr.open_dataset(str(saved), engine="lazyzarr", chunks={}),
        lz.open_dataset(saved),
    ):
        xr.testing.assert_identical(found.compute(), theirs)
        assert found.time.encoding["units"] == theirs.time.encoding["units"]


def test_other_zarr_groups_are_left_to_others(tmp_path: Path, saved: Path) -> None:
    zarr.create_group(tmp_path / "plain.zarr").create_array("a", data=np.arange(3), dimension_names=["x"])
    claims = LazyZarrBackend().guess_can_open
    assert claims(saved)
    assert claims(f"{saved}/sst")
    assert not any(
        map(claims, (tmp_path / "plain.zarr", tmp_path / "no.zarr", tmp_path / "2001.nc", 7, "s3://b/c.zarr"))
    )
    with xr.open_dataset(tmp_path / "plain.zarr", consolidated=False) as dataset:
        assert dataset.a.values.tolist() == [0, 1, 2]
    with xr.open_dataset(tmp_path / "plain.zarr", engine="lazyzarr") as dataset:
        assert dataset.a.values.tolist() == [0, 1, 2]


def chunks_asked_for(server: RangeServer) -> int:
    return sum("/c/" in request.target and "tables" not in request.target for request in server.log)


def test_a_selection_reads_its_chunks_once(tmp_path: Path) -> None:
    cells = np.arange(80.0).reshape(8, 10)
    zarr.create_array(tmp_path / "a.zarr", data=cells, chunks=(2, 5), dimension_names=["t", "x"], compressors=None)
    lz.save({"v": lz.concat([lz.open(tmp_path / "a.zarr")] * 3)}, tmp_path / "view.zarr")
    objects = {
        f"/{path.relative_to(tmp_path).as_posix()}": path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    }
    with RangeServer(objects) as server:
        dataset = xr.open_dataset(f"{server.url}/view.zarr", engine="lazyzarr")
        before = len(server.log)
        chosen = dataset.v.isel(t=slice(3, 9, 2))[:, ::-1].isel(x=[0, 1, 7])
        assert len(server.log) == before
        np.testing.assert_array_equal(chosen.values, np.concatenate([cells] * 3)[3:9:2, ::-1][:, [0, 1, 7]])
        # the metadata that the source is pinned by, once; rows 3, 5 and 7 are in three chunks along t, the columns in both along x
        assert chunks_asked_for(server) == 6
        chunked = xr.open_dataset(f"{server.url}/view.zarr", engine="lazyzarr", chunks={})
        before = chunks_asked_for(server)
        np.testing.assert_array_equal(chunked.v.values, np.concatenate([cells] * 3))
        assert chunks_asked_for(server) - before == 24
        assert chunked.v.chunks == ((2,) * 12, (5, 5))


def test_nested_groups_are_a_tree(tmp_path: Path) -> None:
    view = lz.open(np.arange(3)).rename_dims(["x"])
    lz.save(
        {"a": view, "inner": {"b": view[::-1], "deep": {"c": view[[1, 2, 0]]}}},
        tmp_path / "g.zarr",
        attrs={"title": "t"},
    )
    tree = xr.open_datatree(tmp_path / "g.zarr", engine="lazyzarr")
    assert tree.groups == ("/", "/inner", "/inner/deep")
    assert tree.attrs == {"title": "t"}
    assert tree["/inner/deep/c"].values.tolist() == [1, 2, 0]
    groups = xr.open_groups(tmp_path / "g.zarr", engine="lazyzarr")
    assert {path: list(one) for path, one in groups.items()} == {"/": ["a"], "/inner": ["b"], "/inner/deep": ["c"]}
    assert xr.open_dataset(tmp_path / "g.zarr", engine="lazyzarr", group="inner").b.values.tolist() == [2, 1, 0]
    with pytest.raises(lz.SelectionError, match="group"):
        xr.open_dataset(tmp_path / "g.zarr" / "a", engine="lazyzarr", group="inner")


def test_a_single_view_has_a_name(tmp_path: Path) -> None:
    lz.save(lz.full((2,), 1, dtype="i1"), tmp_path / "v.zarr")
    assert list(xr.open_dataset(tmp_path / "v.zarr", engine="lazyzarr")) == ["data"]
    assert list(xr.open_dataset(tmp_path / "v.zarr", engine="lazyzarr", name="sst")) == ["sst"]


def test_undecoded(tmp_path: Path) -> None:
    write(tmp_path)
    theirs = xr.load_dataset(tmp_path / "2001.nc", decode_cf=False)
    for found in (
        xr.open_dataset(tmp_path / "2001.nc", engine="lazyzarr", decode_cf=False),
        lz.open_dataset(tmp_path / "2001.nc", decode_cf=False),
    ):
        assert found.sst.dtype == "int16"
        np.testing.assert_array_equal(found.sst.values, theirs.sst.values)
        np.testing.assert_array_equal(found.time.values, theirs.time.values)
        assert found.sst.attrs["scale_factor"] == theirs.sst.attrs["scale_factor"]
    raw = lz.open_dataset(tmp_path / "2001.nc", mask_and_scale=False)
    assert raw.sst.dtype == "int16"
    assert raw.time.dtype.kind == "M"
    unpacked = xr.open_dataset(tmp_path / "2001.nc", engine="lazyzarr", mask_and_scale=False, packing="auto")
    assert unpacked.sst.dtype == "float64"


def test_a_variable_that_cannot_be_opened_can_be_left_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["good"] = np.arange(3)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((3,))
        plist.set_filter(32768 + 99, h5py.h5z.FLAG_OPTIONAL, (1,))
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"bad", h5py.h5t.NATIVE_INT32, space, plist)
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open_dataset(tmp_path / "a.h5")
    assert "drop_variables=['bad']" in "".join(caught.value.__notes__)
    assert lz.open_dataset(tmp_path / "a.h5", drop_variables="bad").good.values.tolist() == [0, 1, 2]
    assert list(xr.open_dataset(tmp_path / "a.h5", engine="lazyzarr", drop_variables=["bad"])) == ["good"]
