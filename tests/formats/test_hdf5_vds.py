"""Virtual datasets as lazyzarr writes them, read by h5py, by xarray over h5netcdf and netCDF-C, and by lazyzarr."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

import lazyzarr as lz
from lazyzarr.formats.report import ExportReport
from tests.servers import RangeServer

SST = np.arange(24, dtype="i2").reshape(4, 6)
RNG = np.random.default_rng(5)


def write(views: Any, place: Path, **options: Any) -> ExportReport:
    return lz.formats.hdf5.write_vds(views, place, **options)


def archive(folder: Path, **options: Any) -> list[Path]:
    """Three files with the same variable, in other storage each."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds: list[dict[str, Any]] = [{"chunks": (2, 4), "compression": "gzip"}, {}, {"chunks": (4, 1), "shuffle": True}]
    paths = [folder / f"{2003 + k}%b ü.nc" for k in range(3)]
    for k, (path, kind) in enumerate(zip(paths, kinds, strict=True)):
        with h5py.File(path, "w") as file:
            file.create_dataset("other", data=SST, **kind)
            made = file.create_dataset("g/sst", data=SST + 100 * k, **kind)
            made.attrs.update({"units": "K", **options})
    return paths


def opened(paths: list[Path], **options: Any) -> list[Any]:
    return [lz.open(path, "g/sst", **options) for path in paths]


def check(view: Any, place: Path, *, name: str = "v") -> h5py.Dataset:
    """h5py and lazyzarr read the cells of the view."""
    write(view, place, name=name)
    own = lz.open(place, name)
    found, expected = own.read(), view.read()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if not view.dims:
        assert own.dims is None
    with h5py.File(place) as file:
        if h5py.check_string_dtype(file[name].dtype) is None and not file[name].attrs.keys() & {"scale_factor"}:
            np.testing.assert_array_equal(file[name][()], expected)
        return file[name].virtual_sources() if file[name].is_virtual else []


def test_joins_and_cuts(tmp_path: Path) -> None:
    a, b, c = opened(archive(tmp_path))
    views = {
        "concat": lz.concat([a, b, c]),
        "stack": lz.stack([a, b, c], axis=1),
        "stepped": lz.concat([a, b, c])[1::3, 1:6:2],
        "overlay": lz.overlay((8, 9), [(a, (0, 0)), (b, (2, 3))], fill_value=-7, overlap="last"),
        "interleaved": lz.interleave([a, b, c]),
        "padded": lz.pad(b, ((1, 0), (0, 2)), value=3),
        "held": a[2],
        "inserted": c[:, None, 3:4],
        "turned where it is short": a[1:2].T,
        "gathered": b.oindex[[0, 1, 3], [5, 0, 0]],
        "repeated": lz.broadcast_to(c[:1], (3, 6)),
        "constant": lz.full((2, 3), 4, dtype="int16"),
        "empty": a[:0],
    }
    for name, view in views.items():
        sources = check(view, tmp_path / f"{name}.h5")
        assert all(one.file_name.startswith("200") for one in sources), "relative"
    assert [one.dset_name for one in check(views["concat"], tmp_path / "again.h5")] == ["g/sst"] * 3


def test_the_report_counts_and_says_what_is_lost(tmp_path: Path) -> None:
    report = write(lz.concat(opened(archive(tmp_path))), tmp_path / "v.h5")
    assert (report.format, report.arrays, report.chunks, report.pinned, report.unpinned) == ("hdf5-vds", 1, 3, 0, 3)
    assert len(report.lost) == 2
    assert "read fill values" in report.lost[0].replace("reads", "read")
    assert report.lost[1].startswith("pins of 3 files")


def test_the_tree_can_be_moved(tmp_path: Path) -> None:
    paths = archive(tmp_path / "tree" / "data")
    (tmp_path / "tree" / "views").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "tree" / "views")
    view = lz.concat(opened(paths))
    write(view, tmp_path / "link" / "v.h5", name="sst")
    expected = view.read()
    shutil.move(tmp_path / "tree", tmp_path / "elsewhere")
    with h5py.File(tmp_path / "elsewhere/views/v.h5") as file:
        np.testing.assert_array_equal(file["sst"][()], expected)
    with pytest.raises(lz.AccessDenied):
        lz.open(tmp_path / "elsewhere/views/v.h5", "sst")
    again = lz.open(tmp_path / "elsewhere/views/v.h5", "sst", allow=[tmp_path / "elsewhere"])
    np.testing.assert_array_equal(again.read(), expected)


PACKINGS: dict[str, dict[str, Any]] = {
    "float32": {"scale_factor": np.float32(0.01), "add_offset": np.float32(273), "_FillValue": np.int16(7)},
    "float64": {"scale_factor": 0.01, "_FillValue": np.int16(7), "missing_value": np.int16(3)},
    "fill": {"_FillValue": np.int16(7)},
    "unsigned": {"_Unsigned": "true", "scale_factor": 0.5, "_FillValue": np.int16(-1)},
}


@pytest.mark.filterwarnings("ignore:variable '.*' has multiple fill values")
@pytest.mark.parametrize("packing", PACKINGS)
def test_packed_numbers_stay_packed(tmp_path: Path, packing: str) -> None:
    paths = archive(tmp_path, **PACKINGS[packing])
    view = lz.concat(opened(paths), axis=0).rename_dims(["time", "x"])
    view = lz.pad(view[::2], ((0, 1), (0, 0)), value=np.nan)
    write(view, tmp_path / "v.nc", name="sst")
    expected = view.read()
    with h5py.File(tmp_path / "v.nc") as file:
        assert file["sst"].dtype == np.dtype("i2")
        assert {name: file["sst"].attrs[name] for name in PACKINGS[packing]} == PACKINGS[packing]
    own = lz.open(tmp_path / "v.nc", "sst")
    assert (own.dtype, own.dims, own.attrs["units"]) == (expected.dtype, ("time", "x"), "K")
    np.testing.assert_array_equal(own.read(), expected)
    for engine in "h5netcdf", "netcdf4":
        found = xr.open_dataset(tmp_path / "v.nc", engine=engine)["sst"]
        assert (found.dims, found.dtype) == (("time", "x"), expected.dtype)
        np.testing.assert_array_equal(found.values, expected)
        assert found.attrs["units"] == "K"


def test_packing_that_a_person_said(tmp_path: Path) -> None:
    (path,) = archive(tmp_path)[:1]
    view = lz.open(path, "g/sst").unpack(scale_factor=0.5, add_offset=1, fill_values=[2, 3], dtype="float32")
    write(view, tmp_path / "v.nc")
    own = lz.open(tmp_path / "v.nc", "data")
    assert own.dtype == view.dtype
    np.testing.assert_array_equal(own.read(), view.read())


def test_raw_numbers_keep_attributes_and_their_types(tmp_path: Path) -> None:
    paths = archive(tmp_path, **PACKINGS["float32"], flags=np.array([1, 2], "i1"))
    view = lz.concat(opened(paths, packing="raw")).with_attrs(
        {**lz.open(paths[0], "g/sst", packing="raw").attrs, "valid_min": 0, "names": ["a", "ü"], "nothing": None}
    )
    report = write(view, tmp_path / "v.nc")
    assert [one for one in report.lost if "'nothing'" in one]
    with h5py.File(tmp_path / "v.nc") as file:
        attrs = dict(file["data"].attrs)
    assert {k: np.asarray(v).dtype for k, v in attrs.items() if k not in ("units", "names")} == {
        "scale_factor": np.dtype("f4"),
        "add_offset": np.dtype("f4"),
        "_FillValue": np.dtype("i2"),
        "flags": np.dtype("i1"),
        "valid_min": np.dtype("i2"),
    }
    assert list(attrs["names"]) == ["a", "ü"]


def test_each_source_keeps_its_own_fill(tmp_path: Path) -> None:
    for name, value in (("a", -1), ("b", -2)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            made = file.create_dataset("x", (6,), "i4", chunks=(2,), fillvalue=value)
            made[:2] = 5
    view = lz.concat([lz.open(tmp_path / "a.h5", "x"), lz.open(tmp_path / "b.h5", "x")])
    check(lz.pad(view, 1, value=9), tmp_path / "v.h5")


@pytest.mark.parametrize("dtype", ["?", "u1", ">i4", "<f2", ">f8", "c16", "S3", "i8"])
def test_types(tmp_path: Path, dtype: str) -> None:
    cells = RNG.integers(0, 2, (5, 4)).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=cells, chunks=(2, 3))
    view = lz.open(tmp_path / "a.h5", "x")
    check(lz.stack([view[::2], view[1:4]]), tmp_path / "v.h5")


def test_a_group_with_coordinates(tmp_path: Path) -> None:
    for k in range(2):
        times, lat = np.arange(3) + 3 * k, np.arange(2) * 10.0
        dataset = xr.Dataset(
            {"sst": (("time", "lat"), RNG.normal(size=(3, 2)))}, {"time": times, "lat": lat}, {"title": "t"}
        )
        dataset.to_netcdf(tmp_path / f"{k}.nc", engine="h5netcdf")
    one, two = (lz.open(tmp_path / f"{k}.nc") for k in range(2))
    views = {name: lz.concat([one[name], two[name]]) for name in ("sst", "time")} | {"lat": one["lat"]}
    write({**views, "inner": {"sst": one["sst"]}}, tmp_path / "v.nc")
    for engine in "h5netcdf", "netcdf4":
        found = xr.open_dataset(tmp_path / "v.nc", engine=engine)
        assert found["sst"].dims == ("time", "lat")
        assert found.indexes.keys() == {"time", "lat"}
        np.testing.assert_array_equal(found["sst"].sel(time=4).values, two["sst"].read()[1])
    own = lz.open(tmp_path / "v.nc")
    assert own["sst"].dims == own["inner"]["sst"].dims == ("time", "lat")


def compact(place: Path, cells: np.ndarray, name: str = "c") -> Any:
    with h5py.File(place, "a") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space, kind = h5py.h5s.create_simple(cells.shape), h5py.h5t.py_create(cells.dtype)
        made = h5py.h5d.create(file.id, name.encode(), kind, space, plist)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(cells))
    return lz.open(place, name)


def test_compact_datasets(tmp_path: Path) -> None:
    """Their cells lie in the header of the dataset; datasets of equal cells are told apart by where that is."""
    for name in "cd":
        compact(tmp_path / "a.h5", SST.astype(">i4"), name)
    twins = [lz.open(tmp_path / "a.h5", name) for name in "cd"]
    sources = check(lz.concat([twins[1], twins[0][1:3]]), tmp_path / "v.h5")
    assert [one.dset_name for one in sources] == ["d", "c"]
    lz.save(twins[0], tmp_path / "saved.zarr")
    check(lz.open(tmp_path / "saved.zarr")[:, ::2], tmp_path / "w.h5")


def external(folder: Path, names: list[str], cells: np.ndarray) -> Any:
    """A dataset, half of whose cells are in either of two raw files."""
    half = cells.nbytes // 2
    with h5py.File(folder / "e.h5", "w") as file:
        segments = [(names[0], 4, half), (names[1], 0, half)]
        file.create_dataset("x", cells.shape, cells.dtype, external=segments)
    (folder / Path(names[0]).name).write_bytes(b"####" + cells.tobytes()[:half])
    (folder / Path(names[1]).name).write_bytes(cells.tobytes()[half:])
    return lz.open(folder / "e.h5", "x")


def test_external_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = external(tmp_path, [str(tmp_path / "one.raw"), str(tmp_path / "two.raw")], SST)
    assert [one.dset_name for one in check(view[1:, ::-1], tmp_path / "v.h5")] == ["x"] * 6
    assert not [one for one in write(view, tmp_path / "w.h5").lost if "raw files" in one]
    (tmp_path / "below").mkdir()
    view = external(tmp_path / "below", ["one.raw", "two.raw"], SST)
    report = write(view, tmp_path / "u.h5", name="v")
    assert [one for one in report.lost if "raw files one.raw, two.raw" in one]
    np.testing.assert_array_equal(lz.open(tmp_path / "u.h5", "v").read(), SST)
    with h5py.File(tmp_path / "u.h5") as file, pytest.raises(OSError, match="external raw data file"):
        file["v"][()]
    monkeypatch.chdir(tmp_path / "below")
    with h5py.File(tmp_path / "u.h5") as file:
        np.testing.assert_array_equal(file["v"][()], SST)


def test_external_storage_that_changed_is_no_source(tmp_path: Path) -> None:
    view = external(tmp_path, [str(tmp_path / "one.raw"), str(tmp_path / "two.raw")], SST)
    (tmp_path / "two.raw").write_bytes(bytes(100))
    with pytest.raises(lz.SourceChanged):
        write(view, tmp_path / "v.h5")


def test_a_virtual_dataset_that_mixes_storages(tmp_path: Path) -> None:
    parts = [
        *(one.with_attrs({}) for one in opened(archive(tmp_path))),
        compact(tmp_path / "c.h5", SST + 1),
        external(tmp_path, [str(tmp_path / "one.raw"), str(tmp_path / "two.raw")], SST + 2),
    ]
    assert len(check(lz.concat(parts)[::2, 1:5], tmp_path / "v.h5")) == 5


def test_what_is_read_backwards(tmp_path: Path) -> None:
    (a, b, c) = opened(archive(tmp_path))
    views = {
        "flipped": (lz.concat([a, b])[::-1], 8),
        "both axes": (c[::-1, ::-2], 12),
        "stepped, repeated and held": (lz.broadcast_to(c[1, ::-2], (2, 3)), 6),
        "every other is turned": (lz.interleave([a[:, ::-1], b]), 7 + 6 - 7 + 1),
        "turned until it has one axis": (a[2:3, ::-1].T, 6),
        "one cell": (a[:1, ::-1][:, 2:3], 1),
    }
    counts = {name: len(check(view, tmp_path / f"{name}.h5")) for name, (view, _) in views.items()}
    assert counts == {name: count for name, (_, count) in views.items()}


def test_more_is_not_read_backwards_than_mappings_should_say(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.arange(10_001), chunks=(100,))
    view = lz.open(tmp_path / "a.h5", "x")
    check(view[:0:-1], tmp_path / "most.h5")
    (found,) = problems(lz.concat([view, view[::-1]]), tmp_path / "v.h5")
    assert "10,001 mappings" in found
    assert "a.h5" in found


def test_a_remote_file_is_no_source(tmp_path: Path) -> None:
    (path, *_) = archive(tmp_path)
    with RangeServer({"/a.nc": path.read_bytes()}) as server:
        view = lz.open(f"{server.url}/a.nc", "g/sst")
        before = len(server.log)
        (found,) = problems(view, tmp_path / "v.h5")
        assert len(server.log) == before
    assert "not on a local disk" in found
    assert "download it" in found
    assert f"{server.url}/a.nc" in found


def test_views_of_views(tmp_path: Path) -> None:
    paths = archive(tmp_path)
    write(lz.concat(opened(paths)), tmp_path / "first.h5")
    sources = check(lz.open(tmp_path / "first.h5", "data")[3:9], tmp_path / "second.h5")
    assert [Path(one.file_name) for one in sources] == [Path(path.name.replace("%", "%%")) for path in paths]


# -- what is refused ------------------------------------------------------------------------------------


def problems(views: Any, place: Path, **options: Any) -> tuple[str, ...]:
    with pytest.raises(lz.SaveUnsupported) as caught:
        write(views, place, **options)
    assert not place.exists()
    assert caught.value.reason == "save-unsupported"
    return caught.value.problems


def test_every_problem_is_listed_with_its_sources(tmp_path: Path) -> None:
    paths = archive(tmp_path)
    a, b, c = (one.with_attrs({}) for one in opened(paths))
    stored = lz.open(zarr.create_array(tmp_path / "z.zarr", data=SST))
    view = lz.concat([a, b, lz.open(SST), stored, lz.full((1, 6), 3, dtype="int16")])
    view = lz.concat([view, lz.full((1, 6), 4, dtype="int16")])
    found = problems({"x": view, "y": lz.stack([c.T, c.T])}, tmp_path / "v.h5")
    for text, what in (
        ("Zarr array", "z.zarr"),
        ("memory", "(4, 6)"),
        ("one fill value", "3, 4"),
    ):
        assert [one for one in found if one.startswith("x: ") and text in one and what in one], text
    assert [one for one in found if one.startswith("y: ") and "another order" in one and "2005" in one]
    assert len(found) == 4


def test_decodes_that_differ(tmp_path: Path) -> None:
    paths = archive(tmp_path, scale_factor=0.5)
    with h5py.File(paths[1], "a") as file:
        file["g/sst"].attrs["scale_factor"] = 0.25
    found = problems(lz.concat(opened(paths)), tmp_path / "v.h5")
    assert [("scale_factor=0.5" in one, "scale_factor=0.25" in one) for one in found] == [(True, False), (False, True)]
    assert ("2003" in found[0], "2005" in found[0], "2004" in found[1]) == (True, True, True)


def test_other_things_a_virtual_dataset_cannot_say(tmp_path: Path) -> None:
    (path, *_) = archive(tmp_path, scale_factor=0.5)
    raw, view = lz.open(path, "g/sst", packing="raw"), lz.open(path, "g/sst")
    cases = {
        "cast": raw.astype("float64"),
        "gap without stored value": lz.pad(view, 1, value=0.3),
        "recoded": raw.recode(codecs=["bytes", "gzip"]),
        "one value": raw[0, 0],
    }
    for name, case in cases.items():
        assert len(problems(case, tmp_path / f"{name}.h5")) == 1, name
    doubled = view.with_attrs({"scale_factor": 2.0})
    assert len(problems(doubled, tmp_path / "doubled.h5")) == 1


def test_a_gather_of_too_many_runs(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.arange(400_000), chunks=(100_000,))
    view = lz.open(tmp_path / "a.h5", "x")
    order = RNG.permutation(400_000)
    (found,) = problems(view.take(order, axis=0), tmp_path / "v.h5")
    assert "131,072 mappings" in found
    (found,) = problems(lz.broadcast_to(view[:1, None], (1, 200_000)), tmp_path / "v.h5")
    check(view.take(order[:50], axis=0), tmp_path / "few.h5")


def test_datasets_without_a_chunk_are_not_guessed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "xy":
            file.create_dataset(name, (4,), "i4", chunks=(2,))
        file.create_dataset("z", (5,), "i4", chunks=(2,))
    (found,) = problems(lz.open(tmp_path / "a.h5", "y"), tmp_path / "v.h5")
    assert "x, y" in found
    check(lz.open(tmp_path / "a.h5", "z"), tmp_path / "z.h5")


def test_references_that_are_no_dataset(tmp_path: Path) -> None:
    """Chunks of a dataset in another order are byte ranges of the file, too."""
    (path, *_) = archive(tmp_path)
    lz.formats.kerchunk.write({"x": lz.open(path, "g/sst")}, tmp_path / "refs.json", zarr_format=2)
    text = (tmp_path / "refs.json").read_text()
    one, two = (text.index(f'"x/{key}"') for key in ("0.0", "1.0"))
    swapped = text.replace('"x/0.0"', '"x/#"').replace('"x/1.0"', '"x/0.0"').replace('"x/#"', '"x/1.0"')
    assert one != two
    (tmp_path / "refs.json").write_text(swapped)
    (found,) = problems(lz.open(tmp_path / "refs.json", allow=[tmp_path])["x"], tmp_path / "v.h5")
    assert "not those of any dataset" in found


def test_targets_and_sources_are_guarded(tmp_path: Path) -> None:
    paths = archive(tmp_path)
    view = lz.open(paths[0], "g/sst")
    (tmp_path / "v.h5").write_text("mine")
    with pytest.raises(lz.SaveConflict):
        write(view, tmp_path / "v.h5")
    write(view, tmp_path / "v.h5", overwrite=True)
    before = paths[0].read_bytes()
    with pytest.raises(lz.SaveUnsupported):
        write(view, paths[0], overwrite=True)
    (tmp_path / "alias.h5").symlink_to(paths[0])
    with pytest.raises(lz.SaveUnsupported):
        write(view, tmp_path / "alias.h5", overwrite=True)
    assert paths[0].read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == sorted([*(path.name for path in paths), "alias.h5", "v.h5"])
    with h5py.File(paths[0], "a") as file:
        file["g/sst"].attrs["more"] = 1
    with pytest.raises(lz.SourceChanged):
        write(view, tmp_path / "w.h5")
    paths[0].unlink()
    with pytest.raises(lz.SourceMissing):
        write(view, tmp_path / "w.h5")


def test_a_document_does_not_reach_further_by_being_exported(tmp_path: Path) -> None:
    (path, *_) = archive(tmp_path / "far")
    (tmp_path / "near").mkdir()
    lz.save(lz.open(path, "g/sst"), tmp_path / "near" / "view.zarr")
    with pytest.raises(lz.AccessDenied):
        write(lz.open(tmp_path / "near" / "view.zarr"), tmp_path / "near" / "v.h5")
    check(lz.open(tmp_path / "near" / "view.zarr", allow=[tmp_path / "far"]), tmp_path / "v.h5")


def test_a_source_that_is_gone_is_an_error_here_and_fill_elsewhere(tmp_path: Path) -> None:
    paths = archive(tmp_path)
    write(lz.concat(opened(paths)), tmp_path / "v.h5")
    paths[1].unlink()
    with h5py.File(tmp_path / "v.h5") as file:
        assert (file["data"][4:8] == 0).all(), "as the report says"
    with pytest.raises(lz.SourceMissing):
        lz.open(tmp_path / "v.h5", "data")
