"""Named selections of a dataset that grows: as if all was resolved at once, for what was added and no more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.document import publish

SELECTIONS = {
    "whole": {"x": {"slice": [1, None]}},
    "noleap": {"time": {"drop": ["02-29", "2004-03-03"]}},
    "warm": {"time": {"where": "flag", "above": 0}},
    "both": {"time": [{"drop": "02-28"}, {"where": "flag", "equals": 1}], "x": {"index": [2, 0]}},
    "late": {"time": {"slice": [4, None]}},
    "head": {"time": {"slice": [0, 2]}},
    "even": {"time": {"slice": [None, None, 2]}},
    "last": {"time": {"slice": [-2, None]}},
    "back": {"time": {"slice": [None, None, -1]}},
    "mixed": {"time": {"shuffle": 7}},
    "first": {"time": [{"where": "flag", "above": 0}, {"slice": [0, 3]}]},
    "chosen": {"time": {"index": [1, 0]}},
}


def day(folder: Path, number: int, length: int = 1) -> None:
    date = str(np.datetime64("2004-02-27") + np.timedelta64(number, "D"))
    group = zarr.open_group(folder / "data" / f"{date}.zarr", mode="w")
    group.create_array("a", data=np.arange(3, dtype="int16")[None] + 10 * number, dimension_names=["time", "x"])
    group.create_array("flag", data=np.array([number % 3], "int8"), dimension_names=["time"])
    group.create_array("still", data=np.arange(3), dimension_names=["x"])
    attributes = {"units": f"hours since {date} 12:00", "calendar": "standard"}
    group.create_array("time", data=np.zeros(1), dimension_names=["time"], attributes=attributes)


def define(folder: Path, count: int, selections: Any) -> Path:
    tile = {"concat": "time", "name": "date", "dates": {"from": "2004-02-27", "count": count}, "items": 1}
    told = {
        "lazyzarr": 1,
        "sources": {"days": {"path": "data/{date:%Y}-{date:%m}-{date:%d}.zarr", "tile": [tile]}},
        "arrays": {"*": {"from": "days"}},
        "views": {name: {"select": select} for name, select in selections.items()},
    }
    path = folder / "d.lz.yaml"
    path.write_bytes(msgspec.json.encode(told))
    return path


def cells(group: Any, above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in group:
        member = group[name]
        if isinstance(member, lz.Group):
            found |= cells(member, f"{above}{name}/")
        else:
            found[above + name] = (member.dims, dict(member.attrs), member.read().tolist())
    return found


@pytest.mark.parametrize("steps", [(1, 3, 4, 9), (2, 5, 6, 7, 8), (5, 12)])
def test_it_is_as_if_all_was_resolved_at_once(tmp_path: Path, steps: tuple[int, ...]) -> None:
    for number in range(steps[-1]):
        day(tmp_path, number)
    selections = SELECTIONS if steps[0] > 1 else {k: v for k, v in SELECTIONS.items() if k != "chosen"}
    for count in steps:
        report = lz.resolve(define(tmp_path, count, selections), tmp_path / "grown.zarr")
        lz.resolve(define(tmp_path, count, selections), tmp_path / f"once{count}.zarr")
        grown, once = cells(lz.open(tmp_path / "grown.zarr")), cells(lz.open(tmp_path / f"once{count}.zarr"))
        assert {k: v for k, v in grown.items() if k != "lazyzarr_files/days"} == {
            k: v for k, v in once.items() if k != "lazyzarr_files/days"
        }
        assert zarr.open_consolidated(tmp_path / "grown.zarr")["mixed"]["time"].shape == (count,)
    assert report.appended == steps[-1] - steps[-2]


def test_a_dry_run_leaves_selections_alone(tmp_path: Path) -> None:
    for number in range(6):
        day(tmp_path, number)
    lz.resolve(define(tmp_path, 4, SELECTIONS), tmp_path / "o.zarr")
    before = cells(lz.open(tmp_path / "o.zarr"))
    report = lz.resolve(define(tmp_path, 6, SELECTIONS), tmp_path / "o.zarr", dry_run=True)
    assert (report.appended, report.written, report.opened) == (2, False, 2)
    assert cells(lz.open(tmp_path / "o.zarr")) == before


def tiny(folder: Path, count: int, first: int = 0) -> None:
    """Many arrays of one cell, written as files since that is fast."""
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [1],
        "data_type": "int32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
        "dimension_names": ["time"],
    }
    text = msgspec.json.encode(metadata)
    for number in range(first, count):
        os.makedirs(folder / f"p/{number}/c")
        (folder / f"p/{number}/zarr.json").write_bytes(text)
        (folder / f"p/{number}/c/0").write_bytes(np.int32(number).tobytes())


def test_growing_writes_what_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    real = publish._write

    def counted(path: str, content: Any) -> None:
        data = content if isinstance(content, bytes) else content()
        written.append(len(data))
        real(path, data)

    monkeypatch.setattr(publish, "_write", counted)
    views = {
        "noleap": {"select": {"time": {"drop": "02-29"}}},
        "late": {"select": {"time": {"slice": [700, None]}}},
        "odd": {"select": {"time": {"slice": [1, None, 2]}}},
    }

    def resolve(count: int, out: str) -> int:
        tile = {"concat": "time", "range": {"to": count - 1}, "items": 1}
        told = {
            "lazyzarr": 1,
            "sources": {"s": {"path": "p/{time}", "tile": [tile]}},
            "dims": {"time": {"start": 0, "units": "days since 2000-01-01"}},
            "arrays": {"a": {"from": "s"}},
            "views": views,
        }
        (tmp_path / "d.lz.yaml").write_bytes(msgspec.json.encode(told))
        written.clear()
        lz.resolve(tmp_path / "d.lz.yaml", tmp_path / out)
        return sum(written)

    tiny(tmp_path, 8010)
    whole, added = [resolve(1000, "short"), resolve(8000, "long")], [resolve(1010, "short"), resolve(8010, "long")]
    assert whole[1] > 1.5 * whole[0]
    assert added[1] < 1.05 * added[0]  # the documents and what is new, whatever the length of what is there
    group: Any = lz.open(tmp_path / "long")
    days = np.datetime64("2000-01-01") + np.arange(8010).astype("m8[D]")
    leap = np.array([str(date)[5:] == "02-29" for date in days])
    assert np.array_equal(group["noleap"]["a"].read(), np.flatnonzero(~leap))
    assert np.array_equal(group["noleap"]["time"].read(), np.flatnonzero(~leap))
    assert np.array_equal(group["odd"]["a"].read(), np.arange(1, 8010, 2))
