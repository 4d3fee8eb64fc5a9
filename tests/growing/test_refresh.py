"""Refreshing: every source is accounted for, what alters the meaning is refused, the rest is taken in."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from tests.growing.archive import files_of, stored


@pytest.fixture(autouse=True)
def quick_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def saved(folder: Path, count: int = 3) -> tuple[Path, list[np.ndarray]]:
    data = [stored(folder, number) for number in range(count)]
    lz.save(lz.concat([lz.open(folder / f"{number}.zarr") for number in range(count)]), folder / "view.zarr")
    return folder / "view.zarr", data


def grow(path: Path, more: np.ndarray) -> None:
    array = zarr.open_array(path, mode="r+")
    array.append(more, axis=0)


def retag(path: Path) -> None:
    os.utime(path / "zarr.json", ns=(1, 1))


@pytest.mark.parametrize("count", [3, 40])
def test_nothing_new(tmp_path: Path, count: int) -> None:
    target, _ = saved(tmp_path, count)
    before = files_of(target)
    report = lz.refresh(target)
    assert (report.passed, report.written, report.problems) == (True, False, ())
    (view,) = report.views
    assert (view.counts, view.sources, view.shape) == ({"unchanged": count}, (), (3 * count, 4))
    assert files_of(target) == before


@pytest.mark.parametrize("count", [3, 40])
def test_new_times_of_equal_content(tmp_path: Path, count: int) -> None:
    target, data = saved(tmp_path, count)
    retag(tmp_path / "1.zarr")
    report = lz.refresh(target)
    assert report.views[0].counts == {"touched": 1, "unchanged": count - 1}
    assert report.written
    assert lz.refresh(target).views[0].counts == {"unchanged": count}
    np.testing.assert_array_equal(lz.open(target).read(), np.concatenate(data), strict=True)


def test_sources_of_a_manifest_alone_are_looked_at(tmp_path: Path) -> None:
    data = [stored(tmp_path, number) for number in range(3)]
    with h5py.File(tmp_path / "x.nc", "w") as file:
        file.create_dataset("x", data=np.arange(12, dtype="i4").reshape(3, 4), chunks=(3, 4))
    parts = [lz.open(tmp_path / f"{number}.zarr") for number in range(3)]
    target = tmp_path / "view.zarr"
    lz.save(lz.concat([part[:2] for part in parts]), target, manifest="only")
    assert lz.refresh(target).views[0].counts == {"unchanged": 3}
    retag(tmp_path / "1.zarr")
    report = lz.refresh(target)
    assert (report.views[0].counts, report.written) == ({"touched": 1, "unchanged": 2}, True)
    assert lz.refresh(target).views[0].counts == {"unchanged": 3}
    np.testing.assert_array_equal(lz.open(target).read(), np.concatenate([one[:2] for one in data]), strict=True)
    zarr.open_array(tmp_path / "0.zarr", mode="r+").attrs["new"] = 1
    (tmp_path / "2.zarr" / "zarr.json").unlink()
    with pytest.raises(lz.RefreshRefused) as caught:
        lz.refresh(target, accept=["metadata", "grown"])
    assert caught.value.report.views[0].counts == {"changed": 1, "gone": 1, "unchanged": 1}

    lz.save(lz.open(tmp_path / "x.nc", "x"), target, manifest="only", overwrite=True)
    assert lz.refresh(target).views[0].counts == {"unchanged": 1}
    os.utime(tmp_path / "x.nc", ns=(1, 1))
    with pytest.raises(lz.RefreshRefused) as caught:
        lz.refresh(target)
    assert caught.value.report.views[0].counts == {"changed": 1}


@pytest.mark.parametrize("count", [1, 3, 40])
def test_the_last_one_grew(tmp_path: Path, count: int) -> None:
    target, data = saved(tmp_path, count)
    more = np.full((4, 4), 7, "i4")
    grow(tmp_path / f"{count - 1}.zarr", more)
    with pytest.raises(lz.SourceChanged):
        lz.open(target).read()
    before = files_of(target)
    with pytest.raises(lz.RefreshRefused) as caught:
        lz.refresh(target)
    assert caught.value.reason == "source-changed"
    assert caught.value.report.views[0].counts["grown"] == 1
    assert files_of(target) == before
    looked = lz.refresh(target, accept=["grown"], dry_run=True)
    assert looked.views[0].now == (3 * count + 4, 4)
    assert files_of(target) == before
    assert lz.refresh(target, accept=["grown"]).written
    np.testing.assert_array_equal(lz.open(target).read(), np.concatenate([*data, more]), strict=True)
    stored(tmp_path, 99)
    lz.append(target, tmp_path / "99.zarr")
    assert lz.open(target).shape == (3 * count + 7, 4)


@pytest.mark.parametrize("count", [3, 40])
def test_one_in_the_middle_grew(tmp_path: Path, count: int) -> None:
    target, _ = saved(tmp_path, count)
    grow(tmp_path / "1.zarr", np.zeros((1, 4), "i4"))
    with pytest.raises(lz.RefreshRefused) as caught:
        lz.refresh(target, accept=["grown", "metadata"])
    assert caught.value.report.views[0].counts["changed"] == 1


def test_one_that_is_there_twice_grew(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    view = lz.open(tmp_path / "0.zarr")
    for count in (2, 40):
        lz.save(lz.concat([view] * count), tmp_path / f"{count}-times.zarr")
    grow(tmp_path / "0.zarr", np.zeros((1, 4), "i4"))
    for count in (2, 40):
        with pytest.raises(lz.RefreshRefused):
            lz.refresh(tmp_path / f"{count}-times.zarr", accept=["grown"])


def test_every_source_is_in_the_report(tmp_path: Path) -> None:
    target, _ = saved(tmp_path, 7)
    retag(tmp_path / "0.zarr")
    shutil.rmtree(tmp_path / "1.zarr")
    shutil.rmtree(tmp_path / "2.zarr")
    stored(tmp_path, 2, fill_value=9)
    shutil.rmtree(tmp_path / "3.zarr")
    stored(tmp_path, 3, attributes={"units": "degC"})
    zarr.open_array(tmp_path / "4.zarr", mode="r+").attrs["history"] = "h"
    grow(tmp_path / "6.zarr", np.zeros((1, 4), "i4"))
    with pytest.raises(lz.RefreshRefused) as caught:
        lz.refresh(target)
    report = caught.value.report
    assert report.views[0].counts == {"changed": 2, "gone": 1, "grown": 1, "metadata": 1, "touched": 1, "unchanged": 1}
    assert len(report.problems) == 5
    found = {Path(one.location).name: one.status for one in report.views[0].sources}
    assert [found.get(f"{number}.zarr") for number in range(7)] == [
        *("touched", "gone", "changed", "changed", "metadata", None, "grown")
    ]
    assert str(report).count("\n") > 8
    with pytest.raises(lz.RefreshRefused) as caught:
        lz.refresh(target, accept=["grown", "metadata"])
    assert len(caught.value.report.problems) == 3


def test_other_attributes_when_accepted(tmp_path: Path) -> None:
    target, data = saved(tmp_path)
    zarr.open_array(tmp_path / "1.zarr", mode="r+").attrs["history"] = "h"
    assert lz.refresh(target, accept=["metadata"]).written
    np.testing.assert_array_equal(lz.open(target).read(), np.concatenate(data))


def test_files_of_byte_ranges_are_not_guessed_at(tmp_path: Path) -> None:
    def write(value: int) -> None:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"] = np.full(4, value)

    write(1)
    lz.save(lz.open(tmp_path / "a.h5", "x"), tmp_path / "view.zarr")
    assert lz.refresh(tmp_path / "view.zarr").views[0].counts == {"unchanged": 1}
    write(2)
    os.utime(tmp_path / "a.h5", ns=(1, 1))
    with pytest.raises(lz.RefreshRefused):
        lz.refresh(tmp_path / "view.zarr", accept=["grown", "metadata"])


def test_a_group_is_refreshed_as_one(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    zarr.create_array(tmp_path / "t.zarr", data=np.arange(3), dimension_names=["time"])
    view, times = lz.open(tmp_path / "0.zarr"), lz.open(tmp_path / "t.zarr")
    target = tmp_path / "group.zarr"
    lz.save({"sst": view, "ice": view, "time": times}, target)
    grow(tmp_path / "0.zarr", np.zeros((2, 4), "i4"))
    with pytest.raises(lz.RefreshRefused) as caught:
        lz.refresh(target, accept=["grown"])
    assert len(caught.value.report.problems) == 1
    zarr.open_array(tmp_path / "t.zarr", mode="r+").append(np.array([3, 4]))
    assert lz.refresh(target, accept=["grown"]).written
    group = lz.open(target)
    assert {group[name].shape[0] for name in group} == {5}
    consolidated = json.loads((target / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
    assert consolidated["time"]["attributes"]["lazyzarr"]["schema"]["shape"] == [5]


def test_a_document_reaches_what_it_may(tmp_path: Path) -> None:
    stored(tmp_path / "secret", 0)
    (tmp_path / "open").mkdir()
    lz.save(lz.open(tmp_path / "secret" / "0.zarr"), tmp_path / "open" / "view.zarr")
    with pytest.raises(lz.AccessDenied):
        lz.refresh(tmp_path / "open" / "view.zarr")
    assert lz.refresh(tmp_path / "open" / "view.zarr", allow=[tmp_path / "secret"]).passed


def test_what_can_be_accepted_is_known(tmp_path: Path) -> None:
    target, _ = saved(tmp_path, 1)
    with pytest.raises(lz.SaveUnsupported):
        lz.refresh(target, accept=["everything"])  # type: ignore[list-item]
