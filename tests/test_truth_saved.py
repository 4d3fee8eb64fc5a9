"""Demand rows 5, 16, 18 and 20: a view is stored as metadata, moves with its data, and fails when that changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz

PARTS = [np.arange(12, dtype="i4").reshape(3, 4) + 100 * k for k in range(3)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A directory with three arrays."""
    for number, data in enumerate(PARTS):
        zarr.create_array(tmp_path / "archive" / f"{number}.zarr", data=data, chunks=(2, 3), fill_value=number)
    return tmp_path / "archive"


def joined(archive: Path) -> lz.View:
    return lz.concat([lz.open(archive / f"{number}.zarr") for number in range(3)])


EXPECTED = np.concatenate(PARTS)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_concatenation_is_stored_as_metadata(archive: Path) -> None:
    """Row 5: no chunk is copied; the node is an ordinary Zarr group to anybody else, and reads as fill to nobody."""
    lz.save(joined(archive), archive / "view.zarr")
    np.testing.assert_array_equal(lz.open(archive / "view.zarr").read(), EXPECTED, strict=True)
    assert sum(file.stat().st_size for file in files(archive / "view.zarr")) < 20_000
    document = json.loads((archive / "view.zarr" / "zarr.json").read_text())
    assert document["node_type"] == "group"
    with pytest.raises(Exception):  # noqa: B017, PT011  whatever zarr-python raises, it does not give numbers
        zarr.open_array(archive / "view.zarr", mode="r")
    assert isinstance(zarr.open_group(archive / "view.zarr", mode="r"), zarr.Group)


def test_a_lazy_selection_is_stored_with_what_it_selects_from(archive: Path) -> None:
    """Row 20."""
    view = joined(archive)[::-2, [3, 0, 0]].T
    lz.save(view, archive / "part.zarr")
    again = lz.open(archive / "part.zarr")
    assert (again.shape, again.dtype) == (view.shape, view.dtype)
    np.testing.assert_array_equal(again.read(), EXPECTED[::-2][:, [3, 0, 0]].T, strict=True)


def test_views_on_views_are_stored_whole(archive: Path) -> None:
    lz.save(joined(archive), archive / "view.zarr")
    lz.save(lz.open(archive / "view.zarr")[2:5].flip(0), archive / "second.zarr")
    shutil.rmtree(archive / "view.zarr")
    np.testing.assert_array_equal(lz.open(archive / "second.zarr").read(), EXPECTED[2:5][::-1], strict=True)


def test_a_tree_can_be_moved(archive: Path, tmp_path: Path) -> None:
    """Row 16: locations are relative to the view."""
    lz.save(joined(archive), archive / "views" / "all.zarr")
    text = (archive / "views" / "all.zarr" / "zarr.json").read_text()
    assert str(archive) not in text
    moved = tmp_path / "elsewhere"
    archive.rename(moved)
    view = lz.open(moved / "views" / "all.zarr", allow=[moved])
    np.testing.assert_array_equal(view.read(), EXPECTED, strict=True)


def test_a_document_reaches_only_what_is_beside_it(archive: Path, tmp_path: Path) -> None:
    lz.save(joined(archive), tmp_path / "outside" / "view.zarr")
    with pytest.raises(lz.AccessDenied) as caught:
        lz.open(tmp_path / "outside" / "view.zarr").read()
    assert caught.value.reason == "access-denied"
    allowed = lz.open(tmp_path / "outside" / "view.zarr", allow=[archive])
    np.testing.assert_array_equal(allowed.read(), EXPECTED, strict=True)


def test_a_source_that_changed_is_an_error(archive: Path) -> None:
    """Row 18: the metadata of a source was rewritten after the view had been saved."""
    lz.save(joined(archive), archive / "view.zarr")
    shutil.rmtree(archive / "1.zarr")
    zarr.create_array(archive / "1.zarr", data=PARTS[1].T.copy(), chunks=(4, 3), fill_value=5)
    with pytest.raises(lz.SourceChanged) as caught:
        lz.open(archive / "view.zarr").read()
    assert caught.value.reason == "source-changed"
    np.testing.assert_array_equal(lz.open(archive / "view.zarr")[:3].read(), PARTS[0], strict=True)


def test_a_source_that_is_gone_is_an_error_and_never_fill(archive: Path) -> None:
    lz.save(joined(archive), archive / "view.zarr")
    shutil.rmtree(archive / "2.zarr")
    view = lz.open(archive / "view.zarr")
    with pytest.raises(lz.SourceMissing):
        view[6:].read()
    np.testing.assert_array_equal(view[:6].read(), EXPECTED[:6], strict=True)


def test_opening_and_describing_touch_no_source(archive: Path) -> None:
    lz.save(joined(archive), archive / "view.zarr")
    for number in range(3):
        shutil.rmtree(archive / f"{number}.zarr")
    view = lz.open(archive / "view.zarr")
    assert (view.shape, view.dtype, view.fill_value) == ((9, 4), np.int32, 0)
    assert repr(view[::2].T)
    assert view.explain("manifest")


def test_saving_over_something_has_to_be_said(archive: Path) -> None:
    lz.save(joined(archive), archive / "view.zarr")
    before = {path: path.read_bytes() for path in files(archive / "view.zarr")}
    with pytest.raises(lz.SaveConflict):
        lz.save(joined(archive)[:3], archive / "view.zarr")
    assert {path: path.read_bytes() for path in files(archive / "view.zarr")} == before
    lz.save(joined(archive)[:3], archive / "view.zarr", overwrite=True)
    np.testing.assert_array_equal(lz.open(archive / "view.zarr").read(), PARTS[0], strict=True)


def test_a_dataset_of_views_and_arrays(archive: Path) -> None:
    view = joined(archive).rename_dims(["time", "x"])
    lz.save({"sst": view, "time": np.arange(9), "deep": {"flipped": view.flip(1)}}, archive / "dataset.zarr")
    group = lz.open(archive / "dataset.zarr")
    assert set(group) == {"sst", "time", "deep"}
    np.testing.assert_array_equal(group["sst"].read(), EXPECTED, strict=True)
    np.testing.assert_array_equal(group["deep"]["flipped"].read(), EXPECTED[:, ::-1], strict=True)
    np.testing.assert_array_equal(zarr.open_array(archive / "dataset.zarr" / "time", mode="r")[...], np.arange(9))
    assert group["sst"].dims == ("time", "x")


def test_the_working_directory_means_nothing(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(archive)
    lz.save(lz.concat([lz.open("0.zarr"), lz.open("1.zarr")]), "view.zarr")
    monkeypatch.chdir(os.sep)
    np.testing.assert_array_equal(lz.open(archive / "view.zarr").read(), EXPECTED[:6], strict=True)
