"""NetCDF-3: values and types against netCDF4, scipy and xarray; files that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import netcdf_file

import lazyzarr as lz

FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")
TYPES = ("i1", "i2", "i4", "f4", "f8")
WIDE = ("u1", "u2", "u4", "i8", "u8")


def written(path: Path, kind: str, records: int = 7) -> dict[str, np.ndarray]:
    """Interleaved record variables of several widths, and fixed ones of several ranks."""
    rng = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {}
    with netCDF4.Dataset(path, "w", format=kind) as file:
        file.title = "hé"
        file.createDimension("t", None)
        file.createDimension("x", 5)
        file.createDimension("y", 3)
        for number, dtype in enumerate((*TYPES, *(WIDE if kind.endswith("DATA") else ()))):
            for name, dims in (("r", ("t", "x", "y")), ("s", ("t", "y")), ("t", ("t",)), ("f", ("x", "y")), ("c", ())):
                variable = file.createVariable(f"{name}{number}", dtype, dims)
                shape = tuple(records if d == "t" else len(file.dimensions[d]) for d in dims)
                arrays[f"{name}{number}"] = rng.integers(0, 100, shape).astype(dtype)
                variable[...] = arrays[f"{name}{number}"]
        text = file.createVariable("text", "S1", ("y",))
        arrays["text"] = np.array([b"a", b"b", b"c"], "S1")
        text[:] = arrays["text"]
    return arrays


@pytest.mark.parametrize("kind", FORMATS)
def test_every_type_and_form(tmp_path: Path, kind: str) -> None:
    arrays = written(tmp_path / "a.nc", kind)
    group = lz.open(tmp_path / "a.nc")
    assert group.attrs["title"] == "hé"
    assert set(group) == set(arrays)
    for name, values in arrays.items():
        assert group[name].dtype == values.dtype
        assert np.array_equal(group[name].read(), values), name
    assert group["r1"].dims == ("t", "x", "y")
    assert np.array_equal(group["r1"][::-2, 1].read(), arrays["r1"][::-2, 1])
    lz.save({name: group[name] for name in group}, tmp_path / "v.zarr")
    again = lz.open(tmp_path / "v.zarr")
    assert all(np.array_equal(again[name].read(), values) for name, values in arrays.items())


@pytest.mark.parametrize("dtype", ["i1", "i2", "f8"])
def test_one_record_variable_is_not_padded(tmp_path: Path, dtype: str) -> None:
    values = np.arange(21).reshape(7, 3).astype(dtype)
    with netcdf_file(tmp_path / "a.nc", "w") as file:
        file.createDimension("t", None)
        file.createDimension("x", 3)
        file.createVariable("v", dtype, ("t", "x"))[:] = values
    view = lz.open(tmp_path / "a.nc", "v")
    assert view.chunks == (7, 3)
    assert np.array_equal(view.read(), values)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(TYPES), st.booleans(), st.lists(st.integers(1, 4), max_size=2)),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 4),
)
def test_random_files_as_scipy_reads_them(tmp_path: Path, variables: list, records: int) -> None:
    path = tmp_path / "random.nc"
    with netcdf_file(path, "w", version=2) as file:
        file.createDimension("t", None)
        rng = np.random.default_rng(0)
        for number, (dtype, record, shape) in enumerate(variables):
            names = tuple(f"d{number}_{axis}" for axis in range(len(shape)))
            for name, length in zip(names, shape, strict=True):
                file.createDimension(name, length)
            variable = file.createVariable(f"v{number}", dtype, ("t", *names) if record else names)
            whole = (records, *shape) if record else tuple(shape)
            if not record and not whole:
                variable.data[...] = rng.integers(0, 100)
            elif 0 not in whole:
                variable[:] = rng.integers(0, 100, whole)
    group = lz.open(path)
    with netcdf_file(path, "r", mmap=False) as file:
        for name, variable in file.variables.items():
            assert np.array_equal(group[name].read(), variable.data), name


def test_packing_is_decoded_as_xarray_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("t", None)
        file.createDimension("x", 5)
        for name, scale, offset in (("f", np.float32(0.1), np.float32(3)), ("d", 0.1, 3.0), ("n", None, None)):
            variable = file.createVariable(name, "i2", ("t", "x"), fill_value=-9)
            variable.set_auto_maskandscale(False)
            if scale is not None:
                variable.scale_factor, variable.add_offset = scale, offset
            variable.units = "K"
            variable[:] = rng.integers(-9, 0, (6, 5))
    group = lz.open(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as expected:
        for name in "fdn":
            assert group[name].dtype == expected[name].dtype
            assert np.array_equal(group[name].read(), expected[name].values, equal_nan=True)
    assert group["f"].attrs == {"units": "K"}
    raw = lz.open(tmp_path / "a.nc", "f", packing="raw")
    assert raw.dtype == "int16"
    assert raw.attrs["_FillValue"] == -9
    assert raw.fill_value == -9


def test_a_count_that_the_writer_left_open_follows_from_the_length(tmp_path: Path) -> None:
    arrays = written(tmp_path / "a.nc", "NETCDF3_CLASSIC")
    data = bytearray((tmp_path / "a.nc").read_bytes())
    assert struct.unpack(">i", data[4:8]) == (7,)
    data[4:8] = b"\xff" * 4
    (tmp_path / "a.nc").write_bytes(data)
    assert np.array_equal(lz.open(tmp_path / "a.nc", "r2").read(), arrays["r2"])


def test_a_large_fixed_variable_is_cut_into_pieces(tmp_path: Path) -> None:
    values = np.arange(4 << 20, dtype="i4").reshape(16, 512, 512)
    with netcdf_file(tmp_path / "a.nc", "w") as file:
        for name, length in zip("zyx", values.shape, strict=True):
            file.createDimension(name, length)
        file.createVariable("v", "i4", tuple("zyx"))[:] = values
    view = lz.open(tmp_path / "a.nc", "v")
    assert view.chunks == (4, 512, 512)
    assert np.array_equal(view[7, 5].read(), values[7, 5])


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.nc", "NETCDF3_CLASSIC")
    view = lz.open(tmp_path / "a.nc", "r1")
    written(tmp_path / "a.nc", "NETCDF3_CLASSIC", records=8)
    with pytest.raises(lz.SourceChanged):
        view.read()


def test_a_file_that_is_cut_fails_where_it_is_cut(tmp_path: Path) -> None:
    arrays = written(tmp_path / "a.nc", "NETCDF3_CLASSIC")
    data = (tmp_path / "a.nc").read_bytes()
    (tmp_path / "a.nc").write_bytes(data[:-60])
    view = lz.open(tmp_path / "a.nc", "r4")
    assert np.array_equal(view[:6].read(), arrays["r4"][:6])
    with pytest.raises(lz.SourceProtocolError) as caught:
        view.read()
    assert caught.value.reason == "chunk-length"


def test_headers_that_lie_give_typed_errors(tmp_path: Path) -> None:
    written(tmp_path / "a.nc", "NETCDF3_64BIT_OFFSET")
    data = (tmp_path / "a.nc").read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(120):
        changed = bytearray(data)
        for at in rng.integers(4, 1200, rng.integers(1, 4)):
            changed[at] = rng.integers(0, 256)
        (tmp_path / "b.nc").write_bytes(changed)
        try:
            group = lz.open(tmp_path / "b.nc")
            for name in group:
                if group[name].size < 10**6:
                    group[name].read()
        except lz.LazyZarrError:
            continue


def test_a_header_that_ends_early(tmp_path: Path) -> None:
    written(tmp_path / "a.nc", "NETCDF3_CLASSIC")
    (tmp_path / "b.nc").write_bytes((tmp_path / "a.nc").read_bytes()[:100])
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(tmp_path / "b.nc")
    assert caught.value.reason == "source-format"
