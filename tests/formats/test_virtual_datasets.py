"""VirtualiZarr's arrays, groups and datasets: values against xarray, pins, and manifests that lie."""

from __future__ import annotations

import os
from pathlib import Path

import netCDF4
import numpy as np
import obstore
import pytest
import virtualizarr as vz
import xarray as xr
from obspec_utils.registry import ObjectStoreRegistry
from virtualizarr.manifests import ChunkManifest, ManifestArray
from virtualizarr.manifests.utils import create_v3_array_metadata
from virtualizarr.parsers import HDFParser, NetCDF3Parser

import lazyzarr as lz

REGISTRY = ObjectStoreRegistry({"file://": obstore.store.LocalStore()})


def written(path: Path, kind: str = "NETCDF4", seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    options = {"chunksizes": (2, 5), "zlib": True, "shuffle": True} if kind == "NETCDF4" else {}
    with netCDF4.Dataset(path, "w", format=kind) as file:
        file.createDimension("t", 8)
        file.createDimension("x", 5)
        packed = file.createVariable("packed", "i2", ("t", "x"), fill_value=-9, **options)
        packed.scale_factor, packed.add_offset, packed.units = 0.1, 3.0, "K"
        packed.set_auto_maskandscale(False)
        packed[:] = rng.integers(-9, 0, (8, 5))
        filled = file.createVariable("filled", "f4", ("t", "x"), fill_value=-9, **options)
        filled[:] = rng.random((8, 5))
        filled[2] = -9
        time = file.createVariable("t", "f8", ("t",))
        time.units = "days since 2000-01-01"
        time[:] = np.arange(8)


def virtual(path: Path, parser: object = None, **options: object) -> xr.Dataset:
    return vz.open_virtual_dataset(f"file://{path}", registry=REGISTRY, parser=parser or HDFParser(), **options)


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_a_virtual_dataset(tmp_path: Path, kind: str) -> None:
    written(tmp_path / "a.nc", kind)
    parser = HDFParser() if kind == "NETCDF4" else NetCDF3Parser()
    group = lz.open(virtual(tmp_path / "a.nc", parser, loadable_variables=["t"]))
    with xr.open_dataset(tmp_path / "a.nc") as expected:
        for name in ("packed", "filled"):
            assert group[name].dtype == expected[name].dtype
            assert group[name].dims == ("t", "x")
            assert np.array_equal(group[name].read(), expected[name].values, equal_nan=True)
    assert group["packed"].attrs == {"units": "K"}
    assert group["t"].read().tolist() == list(range(8))
    assert group["t"].attrs["units"] == "days since 2000-01-01"
    lz.save({name: group[name] for name in group}, tmp_path / "v.zarr")
    again = lz.open(tmp_path / "v.zarr")
    assert np.array_equal(again["packed"].read(), group["packed"].read(), equal_nan=True)


def test_what_virtualizarr_joined(tmp_path: Path) -> None:
    for number in range(3):
        written(tmp_path / f"{number}.nc", seed=number)
    parts = [virtual(tmp_path / f"{number}.nc", loadable_variables=[]) for number in range(3)]
    group = lz.open(xr.concat(parts, "t", coords="minimal", compat="override"))
    expected = [lz.open(tmp_path / f"{number}.nc", "packed").read() for number in range(3)]
    assert np.array_equal(group["packed"].read(), np.concatenate(expected), equal_nan=True)
    array = group["packed"].sources()[0]
    assert len(array.places) == 2
    assert all(place.stamp is not None for place in array.places)
    os.utime(tmp_path / "1.nc", (9e8, 9e8))
    with pytest.raises(lz.SourceChanged):
        group["packed"].read()


def test_one_array_and_a_tree(tmp_path: Path) -> None:
    written(tmp_path / "a.nc")
    dataset = virtual(tmp_path / "a.nc", loadable_variables=["t"])
    array = lz.open(dataset["filled"].data)
    with xr.open_dataset(tmp_path / "a.nc", mask_and_scale=False) as expected:
        assert np.array_equal(array[1:3].read(), expected["filled"].values[1:3])
        assert np.array_equal(lz.open(dataset["packed"], packing="raw").read(), expected["packed"].values)
    tree = lz.open(xr.DataTree.from_dict({"/": dataset, "/below": dataset[["filled"]]}))
    assert set(tree) == {"packed", "filled", "t", "below"}
    assert np.array_equal(tree["below/filled"].read(), lz.open(dataset, "filled").read(), equal_nan=True)


def test_manifests_and_groups_of_a_parser(tmp_path: Path) -> None:
    written(tmp_path / "a.nc")
    store = HDFParser()(f"file://{tmp_path}/a.nc", REGISTRY)
    for found in (lz.open(store), lz.open(store._group)):
        assert set(found) == {"packed", "filled", "t"}
        assert np.array_equal(found["t"].read(), np.arange(8))


def manifest_array(entries: dict, shape: tuple[int, ...] = (4,), grid: tuple[int, ...] = (2,)) -> ManifestArray:
    metadata = create_v3_array_metadata(
        shape=shape,
        data_type=np.dtype("int16"),
        chunk_shape=(2,) * len(shape),
        fill_value=7,
        codecs=[{"name": "bytes", "configuration": {"endian": "little"}}],
    )
    return ManifestArray(metadata=metadata, chunkmanifest=ChunkManifest(entries, shape=grid))


def test_inline_and_missing_chunks(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(np.array([1, 2], "i2").tobytes())
    place = {"path": f"file://{tmp_path}/x.bin", "offset": 0, "length": 4}
    inline = {"path": "", "offset": 0, "length": 4, "data": np.array([8, 9], "i2").tobytes()}
    assert lz.open(manifest_array({"0": place})).read().tolist() == [1, 2, 7, 7]
    assert lz.open(manifest_array({"0": inline})).read().tolist() == [8, 9, 7, 7]
    assert lz.open(manifest_array({}, grid=(2,))).read().tolist() == [7, 7, 7, 7]
    both = lz.open(manifest_array({"0": inline, "1": place}))
    assert both.read().tolist() == [8, 9, 1, 2]
    lz.save(both, tmp_path / "v.zarr")
    assert lz.open(tmp_path / "v.zarr").read().tolist() == [8, 9, 1, 2]


def test_manifests_that_lie(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(6))
    place = {"path": f"file://{tmp_path}/x.bin", "offset": 0, "length": 4}
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(manifest_array({"0": place}, grid=(3,)))
    assert caught.value.reason == "source-format"
    for wrong in ({"offset": 4}, {"length": 3}, {"offset": 2**63}):
        entry = {**place, **wrong}
        with pytest.raises(lz.LazyZarrError):
            lz.open(manifest_array({"0": entry})).read()
    missing = {**place, "path": f"file://{tmp_path}/none.bin"}
    with pytest.raises(lz.SourceMissing):
        lz.open(manifest_array({"0": missing})).read()


def test_variables_that_xarray_reads_lazily_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as dataset, pytest.raises(lz.UnsupportedFeature) as caught:
        lz.open(dataset, "packed")
    assert caught.value.reason == "source-unsupported"
