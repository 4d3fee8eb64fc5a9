"""check: what is missing, changed or broken is found, and everything else is not."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import lazyzarr as lz
from lazyzarr.checking import check
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.tables import Table
from lazyzarr.view import View
from tests.display.views import stored
from tests.servers import RangeServer


def joined(folder: Path) -> View:
    return lz.concat([stored(folder, "a", (6, 40), (3, 20)), stored(folder, "b", (6, 40), (6, 40))])


def test_sound_view_passes(tmp_path: Path) -> None:
    view = joined(tmp_path)
    report = check(view.ir, view.reader, sample=None, deep=True)
    assert report.passed
    assert (report.arrays, report.chunks, report.decoded) == (2, 5, 5)


def test_sample_is_of_the_asked_size_and_repeats(tmp_path: Path) -> None:
    view = stored(tmp_path, "a", (6, 40), (1, 1))
    reports = [check(view.ir, view.reader, sample=10) for _ in range(2)]
    assert [r.decoded for r in reports] == [10, 10]
    assert check(view.ir, view.reader, sample=0).decoded == 0


def test_broken_chunk_is_found(tmp_path: Path) -> None:
    view = joined(tmp_path)
    (tmp_path / "a" / "c" / "1" / "0").write_bytes(b"no chunk")
    report = check(view.ir, view.reader, sample=None)
    assert [f.reason for f in report.failures] == ["chunk-decode"]
    assert "(1, 0)" in report.failures[0].where
    assert report.decoded == 4


def test_absent_chunk_reads_as_fill(tmp_path: Path) -> None:
    view = joined(tmp_path)
    (tmp_path / "a" / "c" / "1" / "0").unlink()
    report = check(view.ir, view.reader, sample=None)
    assert report.passed
    assert report.absent == 1


def test_changed_and_missing_sources_are_found(tmp_path: Path) -> None:
    view = joined(tmp_path)
    metadata = tmp_path / "a" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"fill_value": 0', '"fill_value": 5'))
    (tmp_path / "b" / "zarr.json").unlink()
    report = check(view.ir, view.reader, sample=None)
    assert sorted(f.reason for f in report.failures) == ["source-changed", "source-missing"]
    assert report.skipped == 5


def test_deep_finds_references_behind_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(100, dtype="int32").reshape(10, 10), chunks=(5, 10))
    size = path.stat().st_size
    view = lz.open(path, variable="x", verify=False)
    assert check(view.ir, view.reader, sample=0, deep=True).passed
    os.truncate(path, size - 150)
    report = check(view.ir, view.reader, sample=0, deep=True)
    assert [f.reason for f in report.failures] == ["source-protocol"]


def files(folder: Path, count: int = 3) -> list[Path]:
    """HDF5 files, each with a variable of four chunks."""
    paths = [folder / f"{number}.h5" for number in range(count)]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            data = np.arange(80, dtype="int32").reshape(8, 10) + number
            file.create_dataset("x", data=data, chunks=(2, 10), track_times=False)
    return paths


def manifest_only(folder: Path, paths: list[Path], **options: Any) -> View:
    """The files joined, of which a document keeps no graph, only where each chunk is."""
    lz.save(lz.concat([lz.open(path, "x") for path in paths]), folder / "v.zarr", manifest="only")
    return lz.open(folder / "v.zarr", **options)


def beyond(view: View) -> list[tuple[str, str]]:
    report = check(view.ir, view.reader, sample=0, deep=True)
    return [(failure.where.rpartition("/")[2], failure.reason) for failure in report.failures]


def test_deep_looks_at_the_ranges_of_a_manifest(tmp_path: Path) -> None:
    paths = files(tmp_path)
    view = manifest_only(tmp_path, paths, verify=False)
    assert beyond(view) == []
    size = paths[1].stat().st_size
    os.truncate(paths[1], size - 1)
    assert beyond(view) == [("1.h5", "source-protocol")]
    assert check(view.ir, view.reader, sample=0).passed, "without deep nothing but the place is looked at"
    report = check(view.ir, view.reader, sample=None, deep=True)
    assert (report.decoded, report.skipped) == (8, 4)
    assert "1 of 4" in report.failures[0].text
    paths[0].write_bytes(paths[0].read_bytes()[:100])
    paths[2].unlink()
    assert sorted(beyond(view)) == [
        ("0.h5", "source-protocol"),
        ("1.h5", "source-protocol"),
        ("2.h5", "source-missing"),
    ]
    parts = [beyond(view[start : start + 2]) for start in range(8, 16, 2)]
    assert sorted(parts) == [[], [], [], [("1.h5", "source-protocol")]], "only what the view reads"


def test_replaced_objects_of_a_manifest_are_found_by_their_stamps(tmp_path: Path) -> None:
    paths = files(tmp_path)
    view = manifest_only(tmp_path, paths)
    assert beyond(view) == []
    for same_size, path in (True, paths[0]), (False, paths[2]):
        text = path.read_bytes()
        path.unlink()
        path.write_bytes(text if same_size else text + b"more")
    assert sorted(beyond(view)) == [("0.h5", "source-changed"), ("2.h5", "source-changed")]
    assert not check(view.ir, view.reader, sample=0).passed, "stamps need no deep look"


def test_references_of_64_bits_do_not_wrap(tmp_path: Path) -> None:
    (path,) = files(tmp_path, 1)
    view = manifest_only(tmp_path, [path], verify=False)
    (name,) = {array.refs for array in view.ir.arrays}
    good = view.ir.tables[name]
    for column, value in ("offset", 2**64 - 1), ("offset", 2**63), ("length", 2**64 - 8), ("offset", 2**62):
        columns = {key: np.array(good[key]) for key in good.columns}
        columns[column][3] = value
        table = Table(columns, name=name)
        graph = Graph(
            view.ir.nodes, layouts=view.ir.layouts, arrays=view.ir.arrays, tables={**view.ir.tables, name: table}
        )
        report = check(graph, view.reader, sample=0, deep=True)
        assert [failure.reason for failure in report.failures] == ["source-protocol"], (column, value)


def test_raw_files_of_a_dataset_are_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(160))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (10, 4), "i4", external=[("raw", 0, 160)])
    view = lz.open(tmp_path / "a.h5", "x", verify=False)
    assert beyond(view) == []
    os.truncate(tmp_path / "raw", 159)
    assert beyond(view) == [("raw", "source-protocol")]


def test_each_object_is_asked_once_how_long_it_is(tmp_path: Path) -> None:
    paths = files(tmp_path)
    with RangeServer({f"/{path.name}": path.read_bytes() for path in paths}) as server:
        view = lz.concat([lz.open(f"{server.url}/{path.name}", "x") for path in paths for _ in range(2)])
        lz.save(view, tmp_path / "v.zarr", manifest="only")
        found = lz.open(tmp_path / "v.zarr", allow=[server.url])
        server.log.clear()
        assert check(found.ir, found.reader, sample=0, deep=True).passed
        asked = Counter(request.target for request in server.log)
        assert set(asked) == {f"/{path.name}" for path in paths}
        assert max(asked.values()) == 2, "once for the stamp, once for the length, whatever the number of chunks"
        server.objects["/1.h5"] = server.objects["/1.h5"][:-1]
        report = check(found.ir, found.reader, sample=0, deep=True)
        assert [failure.reason for failure in report.failures] == ["source-changed"], report.failures
