"""What is done to a data set of views gives what xarray gives for files, and stays a view where no value is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import lazyzarr as lz
from tests.datasets.archive import JOIN, write

Both = tuple[list[xr.Dataset], list[xr.Dataset]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The files as data sets of views, and as xarray opens them."""
    paths = write(tmp_path_factory.mktemp("archive"))
    theirs = [xr.open_dataset(path, engine="netcdf4") for path in paths]
    yield [lz.open_dataset(path) for path in paths], theirs
    for dataset in theirs:
        dataset.close()


def test_files_are_decoded_as_xarray_decodes_them(both: Both) -> None:
    for ours, theirs in zip(*both, strict=True):
        xr.testing.assert_identical(ours, theirs)
        for name, variable in theirs.variables.items():
            assert ours[name].dtype == variable.dtype
            assert ours[name].encoding.get("units") == variable.encoding.get("units")
        assert all(isinstance(ours[name].data, lz.View) for name in ("sst", "flag", "height"))


OPENED: dict[str, Callable[[list[xr.Dataset]], xr.Dataset]] = {
    "concat": lambda d: xr.concat([one.drop_vars("bounds") for one in d], "time", **JOIN),
    "combine_by_coords": lambda d: xr.combine_by_coords([one.drop_vars("bounds") for one in d], **JOIN),
    "concat along a new dimension": lambda d: xr.concat(
        [d[0][["flag", "sst"]]] * 2, "member", coords="minimal", compat="override"
    ),
    "isel": lambda d: d[0].isel(time=slice(None, None, -2), lon=[5, 0, 2], lat=[1, 0]),
    "isel of integers": lambda d: d[0].isel(time=-1, lon=2),
    "sel": lambda d: d[0].sel(lat=0.3, method="nearest").sel(time=slice("2001-01-02", None)),
    "transpose": lambda d: d[0].transpose("lon", ...),
    "roll": lambda d: d[0].roll(lon=2, roll_coords=True),
    "pad": lambda d: d[0][["sst"]].pad(lon=(1, 2)),
    "pad with a value": lambda d: d[0][["flag"]].pad(time=1, constant_values=7),
    "shift": lambda d: d[0][["sst"]].shift(lon=2),
    "reindex": lambda d: d[0][["sst"]].reindex(lon=[-1, 0, 3, 99.0], lat=[0, 0.5, 1]),
    "reindex of integers": lambda d: d[0][["flag", "sst"]].reindex(time=d[1].time),
    "expand_dims": lambda d: d[0][["sst"]].expand_dims(member=3),
    "stack": lambda d: d[0][["sst"]].stack(place=("lat", "lon")),
    "unstack": lambda d: d[0][["sst"]].stack(place=("lat", "lon")).unstack("place"),
    "merge": lambda d: xr.merge([d[0][["sst"]], d[0][["flag"]]], compat="override"),
    "align": lambda d: xr.align(d[0][["sst"]], d[1][["sst"]], join="outer")[0],
    "where of a coordinate": lambda d: d[0][["sst"]].where(d[0].lon > 2),
    "broadcast": lambda d: d[0][["sst"]].broadcast_like(xr.DataArray(np.ones(3), dims="q")),
    "squeeze": lambda d: d[0][["sst"]].isel(lat=[2]).squeeze("lat"),
    "windows": lambda d: d[0][["sst"]].rolling(lon=3).construct("w"),
    "blocks": lambda d: d[0][["sst"]].coarsen(lon=2).construct(lon=("a", "b")),
    "constant": lambda d: xr.zeros_like(d[0][["sst"]]),
    "astype": lambda d: d[0][["flag", "sst"]].astype("float32"),
}
COMPUTED: dict[str, Callable[[list[xr.Dataset]], xr.Dataset]] = {
    "pointwise": lambda d: d[0][["sst"]].isel(lat=xr.DataArray([0, 1], dims="p"), lon=xr.DataArray([2, 3], dims="p")),
    "pointwise, one axis whole": lambda d: d[0][["sst"]].isel(
        time=xr.DataArray([[0, 1], [4, -1]], dims=("p", "q")), lon=xr.DataArray([2, 3], dims="q")
    ),
    "mean": lambda d: d[0][["sst"]].mean("time"),
    "arithmetic": lambda d: d[0][["sst"]] * 2,
    "where of values": lambda d: d[0][["sst"]].where(d[0].sst > 7),
    "fillna": lambda d: d[0][["sst"]].fillna(0),
    "sortby": lambda d: d[0][["sst"]].sortby(d[0].sst[:, 0, 1]),
    "groupby": lambda d: d[0][["sst"]].groupby("time.day").mean(),
    "interp": lambda d: d[0][["sst"]].interp(lon=[0.5, 1.5]),
    "quantile": lambda d: d[0][["sst"]].quantile([0.1, 0.5], "time"),
}


def requests(dataset: xr.Dataset) -> int:
    held = [one._data for one in dataset.variables.values() if isinstance(one._data, lz.View)]
    return sum(view.reader.session.counts.requests for view in held)


@pytest.mark.parametrize("name", OPENED)
def test_it_stays_a_view(both: Both, name: str) -> None:
    ours, theirs = both
    before = sum(map(requests, ours))
    found = OPENED[name](ours)
    assert sum(map(requests, ours)) == before, "nothing is read to build it"
    assert all(isinstance(one.data, lz.View) for key, one in found.items() if key in ("sst", "flag"))
    xr.testing.assert_identical(found, OPENED[name](theirs))
    assert {key: one.dtype for key, one in found.items() if key in ("sst", "flag")} == {
        key: one.dtype for key, one in OPENED[name](theirs).items() if key in ("sst", "flag")
    }


@pytest.mark.parametrize("name", COMPUTED)
def test_it_computes_what_xarray_computes(both: Both, name: str) -> None:
    ours, theirs = both
    xr.testing.assert_identical(COMPUTED[name](ours), COMPUTED[name](theirs))


def test_views_of_other_units_are_not_joined(tmp_path: Path) -> None:
    for name, units in (("a", "K"), ("b", "degC")):
        xr.Dataset({"t": ("x", np.arange(3.0), {"units": units})}).to_netcdf(tmp_path / f"{name}.nc")
    parts = [lz.open_dataset(tmp_path / f"{name}.nc") for name in "ab"]
    with pytest.raises(lz.CombineError, match="units"):
        xr.concat(parts, "x")


CASTS = [("f8", "i4"), ("f8", "f4"), ("i8", "f8"), ("i4", "i1"), ("i1", "u4"), ("f4", "u1"), ("u8", "f4"), ("i2", "f2")]


@pytest.mark.parametrize(("have", "want"), CASTS)
def test_casts_are_those_of_numpy(have: str, want: str) -> None:
    values = np.array([0, 1, 2.5, 100, 3.7, 127], have)
    if have in ("i8", "u8"):
        values = np.concatenate([values, np.array([2**53 + 1, 2**62 + 3], have)])
    if have == "i4":
        values = np.concatenate([values, np.array([-1, 300, 2**20 + 5], have)])
    array = lz.open_dataset(lz.open(values), name="a").a
    assert isinstance(array.astype(want).data, lz.View)
    np.testing.assert_array_equal(array.astype(want).values, values.astype(want), strict=True)


def test_an_array_without_names_gets_some_by_length() -> None:
    dataset = lz.open_dataset(lz.full((3, 3, 2), 1, dtype="i1"), name="a")
    assert dataset.a.dims == ("phony_dim_3", "phony_dim_3_", "phony_dim_2")


def test_a_copy_is_the_view_and_pickles(both: Both) -> None:
    import pickle

    dataset = both[0][0][["sst"]]
    again: Any = pickle.loads(pickle.dumps(dataset.isel(time=[1, 0])))
    assert isinstance(again.sst.data, lz.View)
    xr.testing.assert_identical(again, dataset.isel(time=[1, 0]))
    assert dataset.copy(deep=True).sst.data is dataset.sst.data


def test_it_says_what_it_is(both: Both) -> None:
    assert "lazyzarr.View L0" in repr(both[0][0])
    assert "lazyzarr.View" in both[0][0]._repr_html_()


def test_what_is_no_view_is_refused() -> None:
    with pytest.raises(lz.ViewSchemaError, match=r"'a' is a int"):
        lz.open_dataset({"a": 3})
    with pytest.raises(lz.ViewSchemaError, match="open of a int"):
        lz.open_dataset(7)


def test_missing_text_is_missing() -> None:
    cells = np.array([["a", "bb", "c"], ["", "é", "nan"]], np.dtypes.StringDType())
    ours = lz.open_dataset(lz.open(cells).rename_dims(["y", "x"]), name="a").a
    theirs = xr.DataArray(cells.astype(object).astype(str), dims=["y", "x"], name="a")
    for program in (
        lambda d: d.shift(x=1),
        lambda d: d.pad(x=1),
        lambda d: d.rolling(x=2).construct("w"),
        lambda d: d.coarsen(x=2, boundary="pad").construct(x=("p", "q")),
        lambda d: d.where(xr.DataArray([True, False, True], dims="x")),
        lambda d: d.assign_coords(x=[0, 1, 2]).reindex(x=[1, 5]),
        lambda d: xr.concat([d, d.shift(x=1)], "y"),
        lambda d: xr.concat([d, d], "y"),
        lambda d: d.fillna("0"),
    ):
        found, expected = program(ours), program(theirs)
        assert found.isnull().values.tolist() == expected.isnull().values.tolist()
        assert found.fillna("?").values.tolist() == expected.fillna("?").values.tolist()
        assert found.dtype == expected.dtype


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5], [0, 1, 3, 5], [5, 0, 3, 1]], ids=str)
@pytest.mark.parametrize("kind", ["bool", "M8[s]", "m8[ns]", "i2", "u4", "f4", "c8", "S2"])
def test_unstack_is_that_of_arrays_that_are_not_of_numpy(kind: str, kept: list[int]) -> None:
    """xarray fills NumPy arrays in place, and arrays of all other kinds by its rule of `reindex`."""
    cells = np.arange(12).reshape(2, 6).astype("i8").astype(kind)
    index = pd.MultiIndex.from_product([[0, 1, 2], ["a", "b"]], names=["p", "q"])[kept]
    lazily = lz.open_dataset(lz.open(cells).rename_dims(["y", "x"]), name="a").a
    for options in ({}, {"fill_value": 0}, {"fill_value": 1}, {"fill_value": np.nan}):
        found: list[Any] = []
        for array in (lazily, xr.DataArray(cells, dims=["y", "x"], name="a").chunk()):
            stacked = array[:, : len(kept)].assign_coords(xr.Coordinates.from_pandas_multiindex(index, "x"))
            try:
                found.append(stacked.unstack("x", **options))
            except TypeError as error:
                found.append(type(error))
        ours, theirs = found
        if isinstance(theirs, type):
            assert ours is theirs
            continue
        assert ours.dtype == theirs.dtype, options
        xr.testing.assert_identical(ours.compute(), theirs.compute())


@pytest.mark.parametrize("kept", [[0, 1, 3, 5], [5, 0, 3, 1]], ids=str)
@pytest.mark.parametrize("kind", ["bool", "M8[s]", "m8[ns]", "i1", "i2", "u4", "i8", "u8", "f4", "c8", "S2", "U2"])
def test_unstack_of_a_part_has_the_values_of_numpy(kind: str, kept: list[int]) -> None:
    """Cell by cell; the type is that of NumPy arrays, too, but for booleans, which they make objects of."""
    cells = np.arange(12).reshape(2, 6).astype("i8").astype(kind)
    index = pd.MultiIndex.from_product([[0, 1, 2], ["a", "b"]], names=["p", "q"])[kept]
    lazily = lz.open_dataset(lz.open(cells).rename_dims(["y", "x"]), name="a").a
    for options in ({}, {"fill_value": cells[1, 1]}):
        ours, theirs = (
            array[:, : len(kept)]
            .assign_coords(xr.Coordinates.from_pandas_multiindex(index, "x"))
            .unstack("x", **options)
            for array in (lazily, xr.DataArray(cells, dims=["y", "x"], name="a"))
        )
        assert ours.dims == theirs.dims
        assert ours.isnull().values.tolist() == theirs.isnull().values.tolist()
        there = theirs.notnull().values
        assert ours.values[there].tolist() == theirs.values[there].tolist()
        assert ours.dtype == ("f8" if kind == "bool" and not options else theirs.dtype)
