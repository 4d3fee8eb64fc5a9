"""Virtual datasets of so many files that their view is a table of tiles."""

from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest

import lazyzarr as lz


def test_very_many_packed_files_are_written_as_few_are(tmp_path: Path) -> None:
    views: dict[bool, list[lz.View]] = {True: [], False: []}
    for alike, number in product(views, range(40)):
        path = tmp_path / f"{alike}{number}.h5"
        with h5py.File(path, "w") as file:
            made = file.create_dataset("x", data=np.arange(6, dtype="i2").reshape(2, 3) + number, chunks=(1, 3))
            made.attrs["scale_factor"] = 0.5 if alike else 0.5 + number
        views[alike].append(lz.open(path, "x"))
    view = lz.concat(views[True])
    lz.formats.hdf5.write_vds(view, tmp_path / "v.h5", name="x")
    with h5py.File(tmp_path / "v.h5") as file:
        np.testing.assert_array_equal(file["x"][...] * file["x"].attrs["scale_factor"], view.read())
    with pytest.raises(
        lz.SaveUnsupported, match=r"decoded with lazyzarr\.unpack scale_factor=0\.5.*others differently"
    ):
        lz.formats.hdf5.write_vds(lz.concat(views[False]), tmp_path / "w.h5", name="x")
