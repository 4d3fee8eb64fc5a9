"""``manifest.json`` as lazyzarr writes it: in the draft form, and read back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz


def test_round_trips(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.arange(12, dtype="i4").reshape(3, 4), chunks=(2, 2))
    zarr.create_array(tmp_path / "s.zarr", shape=(), dtype="i8", fill_value=5)
    with h5py.File(tmp_path / "p.nc", "w") as file:
        made = file.create_dataset("p", shape=(6,), dtype="i2", chunks=(2,), fillvalue=-1, compression="gzip")
        made[2:4] = [1, -1]
        made.attrs.update(scale_factor=0.5, _FillValue=np.int16(-1), units="K")
    grid, packed = lz.open(tmp_path / "a.zarr"), lz.open(tmp_path / "p.nc", "p")
    views = {"a": grid.T, "deep": {"p": packed}, "s": lz.open(tmp_path / "s.zarr")}
    report = lz.formats.manifest_json.write(views, tmp_path / "m.zarr")
    assert (report.arrays, report.chunks, report.pinned, report.unpinned) == (3, 5, 0, 5)
    assert any("pins" in line for line in report.lost)
    found = lz.open(tmp_path / "m.zarr", allow=[tmp_path])
    assert found["a"].read().tolist() == grid.read().T.tolist()
    assert found["s"].read() == 5
    np.testing.assert_array_equal(found["deep/p"].read(), packed.read())
    manifest = json.loads((tmp_path / "m.zarr" / "a" / "manifest.json").read_text())
    chunk = tmp_path / "a.zarr" / "c" / "0" / "1"
    assert manifest["1.0"] == {"path": str(chunk), "offset": 0, "length": chunk.stat().st_size}
    assert set(json.loads((tmp_path / "m.zarr" / "deep" / "p" / "manifest.json").read_text())) == {"1"}


def test_relative_locations_move_with_the_data(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    zarr.create_array(tmp_path / "t" / "a.zarr", data=np.arange(6), chunks=(2,))
    lz.formats.manifest_json.write(lz.open(tmp_path / "t" / "a.zarr"), tmp_path / "t" / "m.zarr", relative=True)
    os.rename(tmp_path / "t", tmp_path / "moved")
    found = lz.open(tmp_path / "moved" / "m.zarr")["data"]
    assert found.read().tolist() == [0, 1, 2, 3, 4, 5]


def test_refusals(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.arange(6), chunks=(4,))
    view = lz.open(tmp_path / "a.zarr")
    with pytest.raises(lz.SaveUnsupported) as caught:
        lz.formats.manifest_json.write({"m": lz.open(np.arange(3))}, tmp_path / "m.zarr")
    assert caught.value.where == "m"
    with pytest.raises(lz.NotFlat):
        lz.formats.manifest_json.write(view[1:], tmp_path / "m.zarr")
    assert os.listdir(tmp_path) == ["a.zarr"]
    lz.formats.manifest_json.write(view, tmp_path / "m.zarr")
    with pytest.raises(lz.SaveConflict):
        lz.formats.manifest_json.write(view, tmp_path / "m.zarr")


def test_stock_zarr_refuses_the_array_rather_than_reading_fill(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.arange(1, 7), chunks=(2,))
    lz.formats.manifest_json.write(lz.open(tmp_path / "a.zarr"), tmp_path / "m.zarr", name="a")
    with pytest.raises(ValueError, match=r"storage_transformers|storage transformers"):
        zarr.open_array(tmp_path / "m.zarr" / "a")
