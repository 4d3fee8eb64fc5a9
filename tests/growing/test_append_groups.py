"""Appending to a saved group: views and real arrays change together, or not at all."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import lazyzarr as lz
from lazyzarr.document import publish as publishing
from tests.document.test_publish import Failing
from tests.growing.archive import files_of, stored

TIMES = np.arange(3, dtype="i8")


@pytest.fixture(autouse=True)
def quick_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def saved(folder: Path) -> Path:
    """A group with two views and two coordinates, one of which does not grow."""
    stored(folder, 0)
    view = lz.open(folder / "0.zarr")
    target = folder / "dataset.zarr"
    lz.save({"sst": view, "ice": view[::-1], "time": TIMES, "x": np.arange(4.0)}, target, attrs={"title": "t"})
    return target


def test_views_and_coordinates_grow_together(tmp_path: Path) -> None:
    target = saved(tmp_path)
    expected = [stored(tmp_path, number) for number in range(1, 4)]
    before = files_of(target)
    for number in range(1, 4):
        view = lz.open(tmp_path / f"{number}.zarr")
        lz.append(target, {"sst": view, "ice": view, "time": TIMES + 3 * number}, axis="time")
    group = lz.open(target)
    np.testing.assert_array_equal(group["sst"][3:].read(), np.concatenate(expected), strict=True)
    np.testing.assert_array_equal(group["ice"][3:].read(), np.concatenate(expected), strict=True)
    np.testing.assert_array_equal(group["time"].read(), np.arange(12), strict=True)
    assert (list(group), group.attrs) == (["ice", "sst", "time", "x"], {"title": "t"})
    after = files_of(target)
    assert {name for name in before if after[name] != before[name]} == {
        *("zarr.json", "sst/zarr.json", "ice/zarr.json", "time/zarr.json")
    }
    assert os.listdir(tmp_path / "dataset.zarr") == os.listdir(target)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_other_readers_see_the_longer_coordinate(tmp_path: Path) -> None:
    target = saved(tmp_path)
    more = {"sst": lz.open(tmp_path / "0.zarr"), "ice": lz.open(tmp_path / "0.zarr"), "time": TIMES + 3}
    lz.append(target, more)
    with xr.open_zarr(target) as dataset:
        np.testing.assert_array_equal(dataset["time"], np.arange(6))
    root = zarr.open_group(target, mode="r")
    assert root["time"].shape == (6,)
    consolidated = json.loads((target / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
    assert consolidated["sst"]["attributes"]["lazyzarr"]["schema"]["shape"] == [6, 4]


def test_a_chunk_that_is_not_full_is_written_anew_and_full_ones_are_not(tmp_path: Path) -> None:
    view = lz.full((5, 2), 1, dtype="int8")
    target = tmp_path / "g.zarr"
    lz.save({"v": view, "time": np.arange(5.0)}, target)
    metadata = json.loads((target / "time" / "zarr.json").read_text())
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [5]
    for number in range(1, 4):
        before = files_of(target / "time" / "c")
        lz.append(target, {"v": view[:3], "time": np.arange(3.0) + 2 + 3 * number})
        after = files_of(target / "time" / "c")
        assert before["0"] == after["0"]
    np.testing.assert_array_equal(lz.open(target)["time"].read(), np.arange(14.0))
    assert set(files_of(target / "time" / "c")) == {"0", "1", "2"}


def test_coordinates_from_files_are_read_and_compared(tmp_path: Path) -> None:
    target = saved(tmp_path)
    zarr.create_array(tmp_path / "time.zarr", data=TIMES + 3)
    zarr.create_array(tmp_path / "other.zarr", data=TIMES + 3, attributes={"units": "days since 1970-01-01"})
    view = lz.open(tmp_path / "0.zarr")
    lz.append(target, {"sst": view, "ice": view, "time": tmp_path / "time.zarr"})
    np.testing.assert_array_equal(lz.open(target)["time"].read(), np.arange(6))
    with pytest.raises(lz.CombineError) as caught:
        lz.append(target, {"sst": view, "ice": view, "time": tmp_path / "other.zarr"})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("time: input 1")


def test_lengths_that_would_no_longer_agree(tmp_path: Path) -> None:
    target = saved(tmp_path)
    before = files_of(target)
    view = lz.open(tmp_path / "0.zarr")
    for more in ({"sst": view}, {"sst": view, "ice": view}, {"sst": view, "ice": view, "time": TIMES[:2]}):
        with pytest.raises(lz.CombineError) as caught:
            lz.append(target, more)
        assert len(caught.value.problems) == 1
        assert "'time'" in caught.value.problems[0]
    assert files_of(target) == before


def test_all_problems_of_all_members(tmp_path: Path) -> None:
    target = saved(tmp_path)
    with pytest.raises(lz.CombineError) as caught:
        lz.append(target, {"sst": lz.full((1, 5), 0, dtype="f4"), "time": TIMES.astype("f4"), "depth": TIMES})
    names = [problem.partition(" ")[0] for problem in caught.value.problems]
    assert names == ["sst:", "sst:", "sst:", "time:", "depth"]


def test_nested_groups(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    view = lz.open(tmp_path / "0.zarr")
    target = tmp_path / "tree.zarr"
    lz.save({"a": {"sst": view, "time": TIMES}, "b": {"sst": view, "time": TIMES}}, target)
    lz.append(target, {"a": {"sst": view, "time": TIMES + 3}})
    tree = lz.open(target)
    assert (tree["a/sst"].shape, tree["a/time"].shape, tree["b/time"].shape) == ((6, 4), (6,), (3,))
    lz.append(target, {"b/sst": view, "b/time": TIMES})
    assert lz.open(target)["b/sst"].shape == (6, 4)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
def test_any_failing_step_leaves_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lasting: bool) -> None:
    stored(tmp_path, 0)
    view = lz.open(tmp_path / "0.zarr")
    for at in range(1, 400, 3):
        target = tmp_path / f"{at}.zarr"
        lz.save({"sst": view, "time": TIMES}, target)
        failing = Failing(at, errno.ENOSPC, lasting=lasting)
        monkeypatch.setattr(publishing, "_os", failing)
        with suppress(lz.SaveError):
            lz.append(target, {"sst": view, "time": TIMES + 3})
        monkeypatch.setattr(publishing, "_os", os)
        group = lz.open(target)
        length = group["sst"].shape[0]
        assert length in (3, 6)
        np.testing.assert_array_equal(group["time"].read(), np.arange(length))
        lz.append(target, {"sst": view, "time": TIMES + length})
        assert lz.open(target)["sst"].shape == (length + 3, 4)
        assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
        if failing.count < at:
            break
    assert failing.count < at
    assert at > 20


def test_a_member_that_was_changed_alone_meanwhile(tmp_path: Path) -> None:
    """Appending to the group goes on top of what was appended to a member."""
    target = saved(tmp_path)
    view = lz.open(tmp_path / "0.zarr")
    lz.append(target / "sst", view)
    lz.append(target / "ice", view)
    lz.append(target, {"time": TIMES + 3})
    group = lz.open(target)
    assert {group[name].shape[0] for name in ("sst", "ice", "time")} == {6}
