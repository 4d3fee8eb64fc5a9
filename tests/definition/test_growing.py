"""Resolving again after new files arrived: only the new ones are opened, and what cannot be appended is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.definition import resolve as resolving

DEFINITION = """
lazyzarr: 1
sources:
  days:
    path: "data/{date:%Y%m%d}.zarr"
    tile: [{concat: time, name: date, dates: {from: 2004-02-27, to: LAST}, items: 1}]
arrays:
  "*": {from: days, missing: fill, fill: -1}
VIEWS
"""
VIEWS = """views:
  noleap: {select: {time: {drop: 02-29}}}
"""
DAYS = ("20040227", "20040228", "20040229", "20040301", "20040302")


def day(folder: Path, number: int) -> None:
    """One file, with a time in units of its own."""
    group = zarr.open_group(folder / "data" / f"{DAYS[number]}.zarr", mode="w", zarr_format=3)
    cells = np.full((1, 2), number, "int16")
    group.create_array("a", data=cells, dimension_names=["time", "x"])
    group.create_array("still", data=np.arange(2), dimension_names=["x"])
    text = DAYS[number]
    units = f"hours since {text[:4]}-{text[4:6]}-{text[6:]} 12:00"
    group.create_array("time", data=np.zeros(1), dimension_names=["time"], attributes={"units": units})


def define(folder: Path, last: str, views: str = "") -> Path:
    path = folder / "d.lz.yaml"
    path.write_text(DEFINITION.replace("LAST", last).replace("VIEWS", views))
    return path


@pytest.mark.parametrize("views", ["", VIEWS], ids=["appended", "with selections"])
def test_only_new_files_are_opened(tmp_path: Path, views: str) -> None:
    for number in (0, 1, 2):
        day(tmp_path, number)
    first = lz.resolve(define(tmp_path, "2004-02-29", views), tmp_path / "o.zarr")
    same = lz.resolve(define(tmp_path, "2004-02-29", views), tmp_path / "o.zarr")
    day(tmp_path, 3)
    day(tmp_path, 4)
    more = lz.resolve(define(tmp_path, "2004-03-02", views), tmp_path / "o.zarr")
    assert [(r.opened, r.appended, r.written) for r in (first, same, more)] == [
        (3, 0, True),
        (0, 0, False),
        (2, 2, True),
    ]
    group = lz.open(tmp_path / "o.zarr")
    assert group["a"].read()[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert group["time"].read().tolist() == [0, 24, 48, 72, 96]
    assert group["still"].read().tolist() == [0, 1]
    if views:
        assert group["noleap"]["a"].read()[:, 0].tolist() == [0, 1, 3, 4]
        assert group["noleap"]["time"].read().tolist() == [0, 24, 72, 96]
    again = lz.resolve(define(tmp_path, "2004-03-02", views), tmp_path / "o.zarr")
    assert (again.opened, again.written) == (0, False)


def test_files_that_arrive_late_need_overwrite(tmp_path: Path) -> None:
    for number in (0, 2):
        day(tmp_path, number)
    lz.resolve(define(tmp_path, "2004-02-29"), tmp_path / "o.zarr")
    assert lz.open(tmp_path / "o.zarr")["a"].read()[:, 0].tolist() == [0, -1, 2]
    day(tmp_path, 1)
    with pytest.raises(lz.SaveConflict):
        lz.resolve(define(tmp_path, "2004-02-29"), tmp_path / "o.zarr")
    lz.resolve(define(tmp_path, "2004-02-29"), tmp_path / "o.zarr", overwrite=True)
    assert lz.open(tmp_path / "o.zarr")["a"].read()[:, 0].tolist() == [0, 1, 2]


def test_another_definition_needs_overwrite(tmp_path: Path) -> None:
    day(tmp_path, 0)
    lz.resolve(define(tmp_path, "2004-02-27"), tmp_path / "o.zarr")
    path = define(tmp_path, "2004-02-27")
    path.write_text(path.read_text().replace("fill: -1", "fill: -2"))
    with pytest.raises(lz.SaveConflict):
        lz.resolve(path, tmp_path / "o.zarr")
    assert lz.resolve(path, tmp_path / "o.zarr", overwrite=True).written


def test_series_without_an_end_goes_as_far_as_there_are_files(tmp_path: Path) -> None:
    for number in range(3):
        zarr.create_array(tmp_path / f"p{number:03d}.zarr", data=np.full(2, number), dimension_names=["x"])
    (tmp_path / "d.lz.yaml").write_text(
        'lazyzarr: 1\nsources: {s: {path: "p{n:03d}.zarr", tile: [{stack: n, range: {from: 0}}]}}\n'
        "arrays: {a: {from: s}}\n"
    )
    assert lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "o.zarr").opened == 3
    for number in range(3, 400):
        zarr.create_array(tmp_path / f"p{number:03d}.zarr", data=np.full(2, number), dimension_names=["x"])
    assert lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "o.zarr").opened == 397
    group = lz.open(tmp_path / "o.zarr")
    assert group["a"].read()[:, 1].tolist() == list(range(400))
    assert group["n"].read().tolist() == list(range(400))


def test_two_that_grow_at_once_append_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another resolve of the same files comes between the planning of the first one and its writing."""
    for number in range(5):
        day(tmp_path, number)
    lz.resolve(define(tmp_path, "2004-02-29"), tmp_path / "o.zarr")
    definition = define(tmp_path, "2004-03-02")
    append = resolving.append_members

    def late(*given: Any, **options: Any) -> None:
        monkeypatch.setattr(resolving, "append_members", append)
        assert lz.resolve(definition, tmp_path / "o.zarr").appended == 2
        append(*given, **options)

    monkeypatch.setattr(resolving, "append_members", late)
    with pytest.raises(lz.SaveConflict, match="appended to meanwhile"):
        lz.resolve(definition, tmp_path / "o.zarr")
    group = lz.open(tmp_path / "o.zarr")
    assert group["a"].read()[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert group["time"].read().tolist() == [0, 24, 48, 72, 96]
