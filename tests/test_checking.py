"""check: what is missing, changed or broken is found, and everything else is not."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

import lazyzarr as lz
from lazyzarr.checking import check
from lazyzarr.view import View
from tests.display.views import stored


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
