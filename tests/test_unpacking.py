"""Unpacking as the remedy that a refused join names."""

from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz


def packed(folder: Path, name: str, scale: float) -> lz.View:
    array = zarr.create_array(folder / name, data=np.array([1, -9, 3], "int16"))
    array.attrs.update({"scale_factor": scale, "add_offset": 1.0, "_FillValue": -9, "units": "K"})
    return lz.open(folder / name)


def test_unpack_without_numbers_takes_those_of_the_attributes(tmp_path: Path) -> None:
    first, second = packed(tmp_path, "a", 0.5), packed(tmp_path, "b", 0.25)
    with pytest.raises(lz.CombineError) as caught:
        lz.concat([first, second])
    assert "scale_factor" in str(caught.value)
    joined = lz.concat([first.unpack(), second.unpack()])
    np.testing.assert_array_equal(joined.read(), [1.5, np.nan, 2.5, 1.25, np.nan, 1.75])
    assert joined.attrs == {"units": "K"}


def test_unpack_with_numbers_leaves_the_attributes_aside(tmp_path: Path) -> None:
    view = packed(tmp_path, "a", 0.5).unpack(scale_factor=2.0)
    np.testing.assert_array_equal(view.read(), [2.0, -18.0, 6.0])
    assert view.attrs == {"units": "K"}
