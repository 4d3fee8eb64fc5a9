"""Demand rows 10 and 12, trap 3: missing tiles, overlapping tiles, and HDF5 virtual datasets, with right values."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz


def tile(path: Path, value: int, shape: tuple[int, int] = (4, 6)) -> lz.View:
    data = np.full(shape, value, "i2") + np.arange(np.prod(shape), dtype="i2").reshape(shape)
    zarr.create_array(path, data=data, chunks=(3, 3), fill_value=-1)
    return lz.open(path)


def test_missing_tiles_and_days_become_fill(tmp_path: Path) -> None:
    """Row 10: at any place, not at chunk borders only."""
    tiles = {(0, 0): tile(tmp_path / "a", 100), (5, 7): tile(tmp_path / "b", 200)}
    view = lz.overlay((9, 13), [(v, at) for at, v in tiles.items()], fill_value=-9)
    expected = np.full((9, 13), -9, "i2")
    for (row, column), v in tiles.items():
        expected[row : row + 4, column : column + 6] = v.read()
    np.testing.assert_array_equal(view.read(), expected, strict=True)
    days = lz.interleave([tiles[0, 0], lz.full((4, 6), -9, dtype="i2")], axis=0)
    assert (days[1::2].read() == -9).all()
    np.testing.assert_array_equal(days[::2].read(), tiles[0, 0].read(), strict=True)
    default = lz.overlay((9, 13), [(v, at) for at, v in tiles.items()])
    assert default[8, 0].read() == -1  # the fill value of the first view


@pytest.mark.parametrize("overlap", ["first", "last"])
def test_mosaics_of_overlapping_tiles(tmp_path: Path, overlap: str) -> None:
    """Row 12: the stated order, for three tiles that lie across each other."""
    placed = [
        (tile(tmp_path / "a", 100), (0, 0)),
        (tile(tmp_path / "b", 200), (2, 4)),
        (tile(tmp_path / "c", 300), (1, 3)),
    ]
    view = lz.overlay((8, 12), placed, fill_value=0, overlap=overlap)
    expected = np.zeros((8, 12), "i2")
    for v, (row, column) in placed if overlap == "last" else reversed(placed):
        expected[row : row + 4, column : column + 6] = v.read()
    np.testing.assert_array_equal(view.read(), expected, strict=True)
    np.testing.assert_array_equal(view[::-2, 3:10:3].T.read(), expected[::-2, 3:10:3].T, strict=True)


def test_overlap_that_was_not_named_is_an_error(tmp_path: Path) -> None:
    placed = [(tile(tmp_path / "a", 0), (0, 0)), (tile(tmp_path / "b", 0), (3, 5))]
    with pytest.raises(lz.CombineError) as caught:
        lz.overlay((8, 12), placed)
    assert caught.value.reason == "overlap"
    assert lz.overlay((8, 12), [placed[0], (placed[1][0], (4, 5))]).shape == (8, 12)


def test_a_tile_outside_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(lz.CombineError):
        lz.overlay((8, 12), [(tile(tmp_path / "a", 0), (5, 0))])


def test_the_hidden_part_of_a_tile_is_not_read(tmp_path: Path) -> None:
    below, above = tile(tmp_path / "a", 100), tile(tmp_path / "b", 200)
    for chunk in (tmp_path / "a" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"no chunk")
    view = lz.overlay((4, 6), [(below, (0, 0)), (above, (0, 0))], overlap="last")
    np.testing.assert_array_equal(view.read(), above.read(), strict=True)


def write_detectors(folder: Path, count: int = 4) -> list[np.ndarray]:
    planes = [np.arange(6, dtype="i4").reshape(2, 3) + 10 * k for k in range(count)]
    for number, plane in enumerate(planes):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file.create_dataset("frames", data=plane, chunks=(1, 3), compression="gzip")
    return planes


def write_virtual(folder: Path, count: int = 4, *, interleaved: bool = False) -> Path:
    layout = h5py.VirtualLayout((2 * count, 3), "i4")
    for number in range(count):
        place = np.s_[number::count] if interleaved else np.s_[2 * number : 2 * number + 2]
        layout[place] = h5py.VirtualSource(f"{number}.h5", "frames", (2, 3))
    with h5py.File(folder / "all.h5", "w") as file:
        file.create_virtual_dataset("frames", layout, fillvalue=-7)
    return folder / "all.h5"


@pytest.mark.parametrize("interleaved", [False, True])
def test_virtual_datasets_have_the_values_of_their_sources(tmp_path: Path, interleaved: bool) -> None:
    """Trap 3: other tools read them as empty, without a word."""
    planes = write_detectors(tmp_path)
    path = write_virtual(tmp_path, interleaved=interleaved)
    view = lz.open(path, variable="frames")
    expected = np.stack(planes, 1).reshape(8, 3) if interleaved else np.concatenate(planes)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["frames"][...], expected)
    np.testing.assert_array_equal(view.read(), expected, strict=True)
    np.testing.assert_array_equal(view[::-3, 1].read(), expected[::-3, 1], strict=True)


def test_a_virtual_dataset_without_its_source_is_an_error(tmp_path: Path) -> None:
    """HDF5 reads fill values there, silently."""
    planes = write_detectors(tmp_path)
    path = write_virtual(tmp_path)
    (tmp_path / "2.h5").unlink()
    with pytest.raises(lz.SourceMissing):
        lz.open(path, variable="frames").read()
    expected = np.concatenate(planes)
    expected[4:6] = -7
    np.testing.assert_array_equal(lz.open(path, variable="frames", missing="fill").read(), expected, strict=True)


def test_very_many_sources_are_joined_and_cost_no_handle(tmp_path: Path) -> None:
    """HDF5 holds a handle per source; 300 files under a limit of a few handles read as well as 3."""
    data = np.arange(300 * 2, dtype="i4").reshape(300, 2)
    for number in range(300):
        zarr.create_array(tmp_path / f"{number}", data=data[number : number + 1], chunks=(1, 2), compressors=None)
    view = lz.concat([lz.open(tmp_path / f"{number}") for number in range(300)])
    np.testing.assert_array_equal(view.read(), data, strict=True)
    np.testing.assert_array_equal(view[250:20:-7].read(), data[250:20:-7], strict=True)
