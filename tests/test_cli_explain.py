"""explain --json: every stage says what its text says, and its numbers are enough to read the view without lazyzarr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from typer.testing import CliRunner, Result

import lazyzarr as lz
from lazyzarr.cli.verbs import app
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.lower.naming import listed_nodes
from lazyzarr.stage_facts import facts
from lazyzarr.stages import STAGES, explain
from tests.display.views import every_kind, stored


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["explain", *(str(argument) for argument in arguments)])


def told(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.output.isascii()
    return json.loads(result.output)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for name, chunks in (("a", (3, 20)), ("b", (6, 40))):
        zarr.create_array(tmp_path / name, data=rng.integers(-99, 99, (6, 40), "i2"), chunks=chunks)
    a, b = lz.open(tmp_path / "a"), lz.open(tmp_path / "b")
    view = lz.concat([a[::-1], lz.full((2, 40), 7, dtype="int16"), b.oindex[[5, 1, 4], :]]).T[::2]
    lz.save(view, tmp_path / "v.zarr")
    return tmp_path / "v.zarr"


def cells(one: dict[str, Any]) -> np.ndarray:
    if "cells" in one:
        return np.array(one["cells"])
    return one["first"] + one["step"] * np.arange(one["count"])


def painted(rows: list[dict[str, Any]], shape: tuple[int, ...], key: str) -> np.ndarray:
    """The view as its rows say it, through zarr-python alone."""
    view = np.full(shape, -1, "int16")
    for row in rows:
        into = np.ix_(*map(cells, row["box"]))
        if "constant" in row:
            view[into] = row["constant"]
            continue
        array = zarr.open_array(row["source"].removeprefix("file://"), mode="r")
        first = [0] * len(array.shape)
        if "chunk" in row:
            first = [c * n for c, n in zip(row["chunk"], row["layout"]["chunk_shape"], strict=True)]
        part = array.oindex[tuple(start + cells(one) for start, one in zip(first, row[key], strict=True))]
        fed = [axis for axis in row["axes"] if axis is not None]
        assert len(fed) == len(row["axes"]) == len(shape)
        view[into] = np.transpose(part, np.argsort(fed))
    return view


def test_placements_are_enough_to_read_the_view(saved: Path) -> None:
    view = lz.open(saved)
    found = told(saved, "--stage", "placements")
    assert len(found["rows"]) == found["total"] == 3
    np.testing.assert_array_equal(painted(found["rows"], view.shape, "cells"), view.read())


def test_fragments_are_enough_to_read_all_but_constants(saved: Path) -> None:
    view = lz.open(saved)
    found = told(saved, "--stage", "manifest")
    assert len(found["rows"]) == found["total"] == len(fragments(lower(view.ir)))
    expected = view.read()
    expected[:, 6:8] = -1
    np.testing.assert_array_equal(painted(found["rows"], view.shape, "window"), expected)


@pytest.mark.parametrize("stage", STAGES)
def test_class_and_reasons_are_in_every_stage(saved: Path, stage: str) -> None:
    view = lz.open(saved)
    found = told(saved, "--stage", stage)
    assert (found["stage"], found["shape"], found["data_type"]) == (stage, list(view.shape), "int16")
    assert found["class"] == view.flatness
    said = [f"{p['level']}: {p['what']}{listed_nodes(p['nodes'])}; {p['remedy']}" for p in found["problems"]]
    assert said == list(view.why_not_flat())
    assert found["problems"]


def test_every_kind_of_view_has_the_rows_of_the_text(tmp_path: Path) -> None:
    for name, view in every_kind(tmp_path).items():
        for stage in STAGES:
            found = facts(view.ir, stage, reader=view.reader, limit=10_000)
            assert len(found["rows"]) == found["total"], (name, stage)
            lines = explain(view.ir, stage, reader=view.reader, limit=10_000).splitlines()
            # a header above, or totals below
            rows = [line for line in lines if not line.startswith(("total: ", "a read of", "not pinned: ", "no "))]
            header = bool(rows) and stage not in ("built", "optimized")
            assert len(rows) - header == found["total"], (name, stage)
            assert json.dumps(found, default=str)


def test_a_limit_counts_the_rest(saved: Path) -> None:
    for stage in STAGES:
        whole, part = told(saved, "--stage", stage), told(saved, "--stage", stage, "--limit", 1)
        assert whole["total"] == part["total"] >= len(part["rows"]) == 1
        assert told(saved, "--stage", stage, "--limit", 0)["rows"] == []
    assert "and 2 more placements" in run(saved, "--stage", "placements", "--limit", 1).output
    assert run(saved, "--limit", -1).exit_code == 2


def test_nodes_are_in_order_with_their_inputs(saved: Path) -> None:
    found = told(saved, "--stage", "built")
    assert [row["node"] for row in found["rows"]] == list(range(found["total"]))
    assert [row["op"] for row in found["rows"]] == [node.__struct_config__.tag for node in lz.open(saved).ir.nodes]
    assert all(max(row["inputs"], default=-1) < row["node"] for row in found["rows"])
    assert found["rows"][-1]["shape"] == found["shape"]


def test_rules_are_listed_when_asked_for(saved: Path) -> None:
    assert "rules" not in told(saved)
    found = told(saved, "--trace")
    assert len(found["rules"]) == found["rules_fired"] > 0
    assert {"rule", "before", "after"} == set(found["rules"][0])


def test_located_and_planned_are_bytes_of_the_files(tmp_path: Path) -> None:
    data = np.arange(240, dtype="i4").reshape(6, 40)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("d", data=data, chunks=(3, 20))
    lz.save(lz.open(tmp_path / "f.h5", "d"), tmp_path / "v.zarr")
    content = (tmp_path / "f.h5").read_bytes()
    found = told(tmp_path / "v.zarr", "--stage", "located")
    assert (found["objects"], found["objects_not_pinned"], found["total"]) == (1, 0, 4)
    for row in found["rows"]:
        assert (row["state"], row["url"]) == ("range", (tmp_path / "f.h5").as_uri())
        chunk = np.frombuffer(content[row["offset"] : row["offset"] + row["length"]], "<i4").reshape(3, 20)
        ((down, across),) = row["boxes"]
        np.testing.assert_array_equal(chunk, data[np.ix_(cells(down), cells(across))])
    planned = told(tmp_path / "v.zarr", "--stage", "plan")
    assert planned["nbytes"] == sum(row["length"] for row in planned["rows"]) == data.nbytes
    assert sum(row["chunks"] for row in planned["rows"]) == planned["chunks"] == 4
    keyed = told(saved_zarr(tmp_path), "--stage", "located")
    assert {(row["state"], row["length"]) for row in keyed["rows"]} == {("object", None)}
    assert all(Path(row["url"].removeprefix("file://")).exists() for row in keyed["rows"])


def saved_zarr(folder: Path) -> Path:
    lz.save(stored(folder, "z", (4, 4), (2, 2)), folder / "z_view.zarr")
    return folder / "z_view.zarr"


def test_arrays_in_memory_have_no_location() -> None:
    view = lz.open(np.arange(3))
    assert facts(view.ir, "placements", reader=view.reader, limit=9)["rows"][0]["source"] is None
    (chunk,) = facts(view.ir, "located", reader=view.reader, limit=9)["rows"]
    assert (chunk["source"], chunk["state"], chunk["url"]) == (None, "values", None)


def test_a_page_that_cannot_be_written_is_an_error(saved: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "page.html", tmp_path):
        result = run(saved, "--html", target)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("[save-failed] SaveError")
        assert str(target) in result.stderr
        assert "Traceback" not in result.stderr


def test_a_page_beside_json(saved: Path, tmp_path: Path) -> None:
    assert told(saved, "--html", tmp_path / "page.html")["class"]
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_the_policy_of_the_page_names_its_script(saved: Path, tmp_path: Path) -> None:
    assert run(saved, "--html", tmp_path / "page.html").exit_code == 0
    text = (tmp_path / "page.html").read_text()
    policy = text.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].startswith("'sha256-")
    assert "unsafe" not in rules["script-src"] + rules["style-src"]
