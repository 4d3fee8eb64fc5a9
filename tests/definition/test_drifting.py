"""Daily files whose packing, chunks and compression drift: a short definition, and values bit by bit as per file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray

import lazyzarr as lz
from tests.definition import drifting

COUNT = 48


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    lz.resolve(drifting.make(folder, COUNT), folder / "archive.zarr")
    return folder


def test_the_definition_is_short() -> None:
    assert len(drifting.DEFINITION.splitlines()) <= 25


def test_values_are_bit_identical_to_those_of_each_file(archive: Path) -> None:
    group = lz.open(archive / "archive.zarr")
    found = {name: group[name].read() for name in (*drifting.PACKED, *drifting.PLAIN)}
    for number in range(COUNT):
        with xarray.open_dataset(drifting.path(archive, number), engine="h5netcdf", mask_and_scale=True) as one:
            for name, cells in found.items():
                expected = one[name].values[0]
                assert cells.dtype == expected.dtype
                np.testing.assert_array_equal(cells[number].view("uint32"), expected.view("uint32"))


def test_times_are_counted_from_the_first_day(archive: Path) -> None:
    time = lz.open(archive / "archive.zarr")["time"]
    assert time.attrs["units"] == "hours since 2001-01-01"
    assert time.read().tolist() == [24 * number for number in range(COUNT)]


def test_each_file_is_opened_once(archive: Path) -> None:
    done = lz.resolve(archive / "archive.lz.yaml", archive / "again.zarr", dry_run=True)
    assert done.opened == COUNT
    assert {array.name for array in done.arrays} == {*drifting.PACKED, *drifting.PLAIN}
    assert {array.flatness for array in done.arrays if array.name in drifting.PACKED} == {"L3"}
