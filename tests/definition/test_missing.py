"""Files that are not there: gaps of one table, whatever their number, and reports of very many of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import lazyzarr as lz
from lazyzarr.access.session import Session
from lazyzarr.definition import presence
from lazyzarr.ir.nodes import Concat, Fill, Tiles

LINE = """
lazyzarr: 1
sources:
  parts:
    path: "data/{k:03d}"
    tile: [{concat: x, name: k, range: {count: COUNT}, items: 3}]
arrays:
  v: {from: parts, missing: fill, fill: -7}
"""
GRID = """
lazyzarr: 1
sources:
  parts:
    path: "data/{k:02d}_{band}"
    tile:
      - {concat: x, name: k, range: {count: 20}, items: 3}
      - {stack: band, values: [0, 1, 2]}
arrays:
  v: {from: parts, missing: fill, fill: -7, dims: [y, band, x]}
"""
PACKED = """
lazyzarr: 1
sources:
  parts:
    path: "data/{k:03d}.nc"
    tile: [{concat: x, name: k, range: {count: 40}, items: 3}]
arrays:
  v: {from: parts, missing: fill FILL}
"""


def rows_of(view: lz.View) -> int:
    """Stored arrays of a view that is one table and nothing else."""
    (node,) = view.ir.nodes
    assert isinstance(node, Tiles)
    return view.ir.tables[node.table].rows


def line(folder: Path, count: int, missing: set[int]) -> np.ndarray:
    """Arrays of one line of files, some missing, and their definition; what it means."""
    expected = np.full(3 * count, -7, "int16")
    for k in sorted(set(range(count)) - missing):
        cells = expected[3 * k : 3 * k + 3]
        cells[:] = np.arange(3) + k if k % 5 else k % 2
        # a chunk that is missing inside a file reads as the fill value of that file, and not as a gap
        if (folder / f"data/{k:03d}").exists():
            continue
        made = zarr.create_array(
            folder / f"data/{k:03d}", shape=(3,), chunks=(3,), dtype="int16", fill_value=k % 2, dimension_names=["x"]
        )
        if k % 5:
            made[:] = cells
    (folder / "d.lz.yaml").write_text(LINE.replace("COUNT", str(count)))
    return expected


@pytest.mark.parametrize("missing", [0, 1, 2, 30, 90])
def test_nodes_do_not_depend_on_the_number_of_missing_files(tmp_path: Path, missing: int) -> None:
    gone = set(np.random.default_rng(missing).permutation(100)[:missing].tolist())
    expected = line(tmp_path, 100, gone)
    lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr")
    view = lz.open(tmp_path / "out.zarr")["v"]
    assert rows_of(view) == 100 - missing
    np.testing.assert_array_equal(view.read(), expected)
    for k in range(0, 300, 7):
        assert view[k].read() == expected[k]
    np.testing.assert_array_equal(view[::-5].read(), expected[::-5])


def test_more_files_than_a_document_may_have_nodes() -> None:
    made = zarr.create_array({}, shape=(1, 4), chunks=(1, 4), dtype="f4", fill_value=1)
    source = lz.open(made.store)
    gap = lz.full((1, 4), np.nan, dtype="f4")
    joined = lz.concat([gap if k % 1000 == 7 else source for k in range(60_000)])
    assert rows_of(joined) == 59_940
    np.testing.assert_array_equal(joined[6:9].read(), [[1] * 4, [np.nan] * 4, [1] * 4])


def test_files_of_two_entries_are_one_table(tmp_path: Path) -> None:
    expected = np.full((2, 3, 60), -7, "int16")
    for k in range(20):
        for band in range(3):
            if (k + band) % 7 == 0:
                continue
            cells = (np.arange(6).reshape(2, 3) + 100 * k + 10 * band).astype("int16")
            expected[:, band, 3 * k : 3 * k + 3] = cells
            zarr.create_array(tmp_path / f"data/{k:02d}_{band}", data=cells, dimension_names=["y", "x"])
    (tmp_path / "d.lz.yaml").write_text(GRID)
    lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr")
    view = lz.open(tmp_path / "out.zarr")["v"]
    assert rows_of(view) > 0
    assert view.dims == ("y", "band", "x")
    np.testing.assert_array_equal(view.read(), expected)
    np.testing.assert_array_equal(view[1, ::2, 5:50].read(), expected[1, ::2, 5:50])


def packed(folder: Path, gone: set[int]) -> np.ndarray:
    """Packed files with the scale 0.1, missing cells among them; what they mean, with NaN for missing files."""
    (folder / "data").mkdir()
    parts: list[np.ndarray] = []
    for k in range(40):
        if k in gone:
            parts.append(np.full(3, np.nan, "float32"))
            continue
        cells = np.array([k, -k / 10, np.nan], "float32")
        encoding = {"dtype": "int16", "scale_factor": np.float32(0.1), "_FillValue": np.int16(-1)}
        place = folder / f"data/{k:03d}.nc"
        xr.Dataset({"v": ("x", cells)}).to_netcdf(place, engine="h5netcdf", encoding={"v": encoding})
        with xr.open_dataset(place, engine="h5netcdf") as one:
            parts.append(one.v.values)
    return np.concatenate(parts)


@pytest.mark.parametrize(("said", "fill"), [("", np.nan), (", fill: -0.1", -0.1), (", fill: -0.0", -0.0)])
def test_gaps_between_packed_files_are_the_unpacked_fill(tmp_path: Path, said: str, fill: float) -> None:
    gone = {0, 7, 8, 39}
    expected = packed(tmp_path, gone)
    for k in gone:
        expected[3 * k : 3 * k + 3] = fill
    (tmp_path / "d.lz.yaml").write_text(PACKED.replace(" FILL", said))
    lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr")
    view = lz.open(tmp_path / "out.zarr")["v"]
    assert rows_of(view) > 0
    assert view.dtype == expected.dtype
    assert view.read().tobytes() == expected.tobytes()  # bits: -0.0 and the payloads of NaN included
    assert view[3:40:2].read().tobytes() == expected[3:40:2].tobytes()
    lz.copy(view, tmp_path / "real.zarr", chunks=(16,))
    assert lz.open(tmp_path / "real.zarr").read().tobytes() == expected.tobytes()


def test_constants_that_differ_are_no_gaps_of_one_table() -> None:
    made = zarr.create_array({}, shape=(1,), chunks=(1,), dtype="f4", fill_value=1)
    source = lz.open(made.store)
    zeros = [lz.full((1,), value, dtype="f4") for value in (0.0, -0.0)]
    joined = lz.concat([source] * 40 + zeros)
    assert isinstance(joined.ir.root, Concat)
    assert np.signbit(joined.read()[-2:]).tolist() == [False, True]


def test_constants_alone_are_a_constant() -> None:
    joined = lz.stack([lz.full((2,), 3, dtype="int8")] * 50, axis=1)
    assert [type(node) for node in joined.ir.nodes] == [Fill]
    np.testing.assert_array_equal(joined.read(), np.full((2, 50), 3, "int8"))


@pytest.mark.parametrize("count", [40, 80])
def test_very_many_boxes_of_a_mosaic_are_one_table(count: int) -> None:
    rng = np.random.default_rng(count)
    expected = np.full((10, 4 * count), -1, "int16")
    boxes: list[tuple[lz.View, tuple[int, int]]] = []
    for k in rng.permutation(count).tolist():
        cells = rng.integers(0, 99, (3, 4)).astype("int16")
        made = zarr.create_array({}, data=cells, chunks=(2, 3))
        origin = (int(rng.integers(0, 8)), 4 * k)
        boxes.append((lz.open(made.store), origin))
        expected[origin[0] : origin[0] + 3, 4 * k : 4 * k + 4] = cells
    view = lz.overlay(expected.shape, boxes, fill_value=-1)
    assert rows_of(view) > 0
    np.testing.assert_array_equal(view.read(), expected)
    np.testing.assert_array_equal(view[2:9:3, ::-7].read(), expected[2:9:3, ::-7])


def test_a_dataset_with_gaps_grows(tmp_path: Path) -> None:
    gone = {3, 60, 98, 104, 106, *range(108, 130)}
    for count in range(100, 140):
        expected = line(tmp_path, count, gone)
        done = lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr")
        assert done.appended == (count > 100)
        view = lz.open(tmp_path / "out.zarr")["v"]
        np.testing.assert_array_equal(view.read(), expected)
        assert len(view.ir.nodes) < 20


def test_times_of_new_steps_without_any_file_have_to_be_known(tmp_path: Path) -> None:
    for k in range(3):
        made = zarr.create_group(tmp_path / f"data/{k:03d}")
        made.create_array("v", data=np.full(3, k, "int16"), dimension_names=["x"])
        made.create_array("x", data=np.arange(3.0) + 3 * k, dimension_names=["x"])
    (tmp_path / "d.lz.yaml").write_text(LINE.replace("COUNT", "3"))
    lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr")
    (tmp_path / "d.lz.yaml").write_text(LINE.replace("COUNT", "4"))
    with pytest.raises(lz.DefinitionError) as raised:
        lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr")
    assert [(m.subject, m.property, m.found) for m in raised.value.mistakes] == [
        ("dims.x", "coordinate", "none for what is new")
    ]
    assert lz.open(tmp_path / "out.zarr")["v"].shape == (9,)


def test_no_file_at_all_is_an_error(tmp_path: Path) -> None:
    line(tmp_path, 3, {0, 1, 2})
    with pytest.raises(lz.DefinitionError) as raised:
        lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr")
    assert [(m.subject, m.property, m.found) for m in raised.value.mistakes] == [("arrays.v", "files", "none")]


# -- what is not there is not opened, and is reported in few lines ----------------------------------


def test_missing_files_are_not_opened(tmp_path: Path) -> None:
    line(tmp_path, 60, set(range(10, 60)))
    done = lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr", dry_run=True)
    assert done.opened == 10
    assert done.files[0].present == (True,) * 10 + (False,) * 50


def test_very_many_missing_files_are_one_line_of_a_report(tmp_path: Path) -> None:
    line(tmp_path, 1, set())
    (tmp_path / "d.lz.yaml").write_text(LINE.replace("COUNT", "5000").replace("missing: fill, fill: -7", ""))
    with pytest.raises(lz.DefinitionError) as raised:
        lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "out.zarr")
    assert [m.subject for m in raised.value.mistakes] == [f"data/{k:03d}" for k in range(1, 5000)]
    assert len(str(raised.value).splitlines()) == 2
    assert "data/001, data/002, data/003 and 4996 more: file: expected a file there" in str(raised.value)


def test_a_folder_is_listed_once(tmp_path: Path) -> None:
    line(tmp_path, 20, set(range(5, 20)))
    session = Session()
    before = session.counts.requests
    paths = [f"data/{k:03d}" for k in range(500)]
    gone = presence.absent(session, tmp_path.as_uri(), paths)
    assert (~gone).nonzero()[0].tolist() == [0, 1, 2, 3, 4]
    assert session.counts.requests - before == 1


def test_what_a_file_system_may_hold_to_be_one_name_is_opened(tmp_path: Path) -> None:
    (tmp_path / "Ä.nc").write_text("")
    paths = ["a\u0308.nc", "ä.nc", "Ä.NC", *(f"{k}.nc" for k in range(20))]
    assert presence.absent(Session(), tmp_path.as_uri(), paths).tolist() == [False] * 3 + [True] * 20


def test_a_folder_that_may_not_be_listed_is_no_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Session, url: str) -> tuple[str, ...]:
        raise lz.SourceDenied(url)

    monkeypatch.setattr(Session, "list_dir", refused)
    paths = [f"{k}.nc" for k in range(20)]
    assert not presence.absent(Session(), tmp_path.as_uri(), paths).any()
