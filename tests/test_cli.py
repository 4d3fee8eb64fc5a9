"""The command line: verbs, exit codes, errors as blocks of text."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import zarr
from typer.testing import CliRunner, Result

import lazyzarr as lz
from lazyzarr.cli.verbs import app
from tests.display.views import stored


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    view = lz.concat([stored(tmp_path, "a", (6, 40), (3, 20)), stored(tmp_path, "b", (6, 40), (6, 40))])
    lz.save(view.rename_dims(["time", "x"]).with_attrs({"units": "K"}), tmp_path / "v.zarr")
    return tmp_path / "v.zarr"


def test_info_prints_the_repr_and_the_reasons(saved: Path) -> None:
    result = run("info", saved)
    assert result.exit_code == 0
    view = lz.open(saved)
    assert f"<lazyzarr.View (time: 12, x: 40) int16  {view.flatness}  960 B>" in result.output
    assert all(reason in result.output for reason in view.why_not_flat())
    assert "units: K" in result.output


def test_info_as_json(saved: Path) -> None:
    result = run("info", saved, "--json")
    found = json.loads(result.output)
    assert (found["kind"], found["shape"], found["class"], found["stored_arrays"]) == (
        "view",
        [12, 40],
        lz.open(saved).flatness,
        2,
    )


def test_info_of_a_group(saved: Path) -> None:
    zarr.open_group(str(saved.parent), mode="a")
    assert set(json.loads(run("info", saved.parent, "--json").output)["members"]) >= {"a", "b"}


@pytest.mark.parametrize("stage", ["built", "optimized", "placements", "manifest", "located", "plan"])
def test_explain_prints_each_stage(saved: Path, stage: str) -> None:
    result = run("explain", saved, "--stage", stage)
    assert result.exit_code == 0
    assert result.output.strip()


def test_explain_writes_a_page(saved: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("explain", saved, "--trace", "--html", page)
    assert result.exit_code == 0
    assert "fired" in result.output
    root = ElementTree.fromstring(page.read_text().removeprefix("<!DOCTYPE html>\n"))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}svg"))) == 2


def test_check_passes_and_fails(saved: Path) -> None:
    assert run("check", saved, "--all", "--deep").exit_code == 0
    (saved.parent / "a" / "c" / "0" / "0").write_bytes(b"no chunk")
    result = run("check", saved, "--all")
    assert result.exit_code == 1
    assert "[chunk-decode]" in result.output
    assert "4 of 5 chunks decoded" in result.output


def test_check_of_a_group_checks_every_member(saved: Path) -> None:
    zarr.open_group(str(saved.parent), mode="a")
    result = run("check", saved.parent, "--sample", "2")
    assert result.exit_code == 0
    assert {line.partition(":")[0] for line in result.output.splitlines()} == {"a", "b", "v.zarr"}


def test_errors_are_one_block_without_traceback(tmp_path: Path) -> None:
    result = run("info", tmp_path / "nothing")
    assert result.exit_code == 2
    assert result.stderr.startswith("[source-missing]")
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_debug_shows_the_error_itself(tmp_path: Path) -> None:
    result = run("--debug", "info", tmp_path / "nothing")
    assert isinstance(result.exception, lz.SourceMissing)


def test_outside_locations_need_allow(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    target = tmp_path / "near" / "v.zarr"
    lz.save(stored(tmp_path / "far", "a", (6, 40), (3, 20)), target)
    refused = run("check", target, "--all")
    assert refused.exit_code in (1, 2)
    assert "[access-denied]" in refused.output
    assert run("check", target, "--all", "--allow", tmp_path / "far").exit_code == 0


def test_unknown_stage_and_missing_variable_are_refused(saved: Path) -> None:
    result = run("explain", saved, "--stage", "magic")
    assert (result.exit_code, "[index-syntax]" in result.stderr) == (2, True)
    assert run("explain", saved, "--variable", "x").exit_code == 2


def test_schema_is_a_json_schema(saved: Path) -> None:
    schema = json.loads(run("schema").output)
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads((saved / "zarr.json").read_text())["attributes"]["lazyzarr"]
    jsonschema.Draft202012Validator(schema).validate(document)


VERBS = (
    "demo",
    "resolve",
    "info",
    "explain",
    "check",
    "flatten",
    "export",
    "copy",
    "append",
    "refresh",
    "serve",
    "schema",
)


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert "Example: lazyzarr " + verb in result.output


def test_exit_codes_are_in_the_help() -> None:
    assert "Exit codes" in run("--help").output


def test_as_a_process(saved: Path) -> None:
    command = [sys.executable, "-m", "lazyzarr", "info", str(saved), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["shape"] == [12, 40]


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_there_is_one_line(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import lazyzarr.cli; lazyzarr.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "lazyzarr[cli]" in done.stderr


def test_append_and_refresh(saved: Path, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "c.zarr", data=np.ones((2, 40), "i2"), attributes={"units": "K"})
    result = run("append", saved, tmp_path / "c.zarr", tmp_path / "c.zarr", "--axis", "time")
    assert result.exit_code == 0
    assert "time: 16" in result.output
    assert lz.open(saved).shape == (16, 40)
    assert run("append", saved, tmp_path / "c.zarr", "--axis", 1).exit_code == 2
    result = run("refresh", saved, "--json")
    assert result.exit_code == 0
    assert json.loads(result.output)["views"][0]["counts"] == {"unchanged": 3}
    zarr.open_array(tmp_path / "c.zarr", mode="r+").attrs["history"] = "h"
    result = run("refresh", saved)
    assert result.exit_code == 1
    assert "metadata: " in result.output
    assert run("refresh", saved, "--accept", "metadata", "--dry-run").exit_code == 0
    assert run("refresh", saved).exit_code == 1
    assert "written" in run("refresh", saved, "--accept", "metadata").output
    assert run("refresh", saved).exit_code == 0


def test_append_a_whole_file_to_a_group(tmp_path: Path) -> None:
    for name, first in (("old", 0), ("new", 3)):
        root = zarr.create_group(tmp_path / f"{name}.zarr")
        root.create_array("time", data=np.arange(3) + first)
        root.create_array("sst", data=np.full((3, 2), first))
    old = lz.open(tmp_path / "old.zarr")
    lz.save({"sst": old["sst"], "time": old["time"].read()}, tmp_path / "view.zarr")
    assert run("append", tmp_path / "view.zarr", tmp_path / "new.zarr").exit_code == 0
    np.testing.assert_array_equal(lz.open(tmp_path / "view.zarr")["time"].read(), np.arange(6))


def test_check_as_json(saved: Path) -> None:
    found = json.loads(run("check", saved, "--all", "--json").output)
    assert (found["passed"], found["views"][0]["decoded"], found["views"][0]["failures"]) == (True, 5, [])
    (saved.parent / "a" / "c" / "0" / "0").write_bytes(b"no chunk")
    result = run("check", saved, "--all", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["views"][0]["failures"][0]["reason"] == "chunk-decode"


def test_append_as_json(saved: Path, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "c.zarr", data=np.ones((2, 40), "i2"), attributes={"units": "K"})
    result = run("append", saved, tmp_path / "c.zarr", "--json")
    assert json.loads(result.output)["shape"] == [14, 40]


def test_names_reach_no_terminal_raw(tmp_path: Path) -> None:
    stored(tmp_path, "a\x9b31m", (6, 40), (3, 20))
    zarr.open_group(str(tmp_path), mode="a")
    for verb in ("info", "check", "flatten"):
        result = run(verb, tmp_path, "--json")
        assert result.output.isascii()
        assert "\\u009b" in result.output


def test_a_fault_is_no_failed_check(tmp_path: Path) -> None:
    stored(tmp_path, "a", (6, 40), (3, 20))
    command = [sys.executable, "-m", "lazyzarr", "explain", str(tmp_path / "a"), "--html", str(tmp_path / "no" / "p")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


def test_every_fragment_of_a_page_says_what_it_is(saved: Path, tmp_path: Path) -> None:
    assert run("explain", saved, "--html", tmp_path / "page.html").exit_code == 0
    root = ElementTree.fromstring((tmp_path / "page.html").read_text().removeprefix("<!DOCTYPE html>\n"))
    svg = "{http://www.w3.org/2000/svg}"
    titles = [r.findtext(f"{svg}title") or "" for r in root.iter(f"{svg}rect") if r.get("class") == "fragment"]
    assert len(titles) == 5
    assert titles[1].splitlines()[:3] == [f"{tmp_path.name}/a chunk (0, 1)", "window [0:3, 0:20]", "fills [0:3, 20:40]"]
    assert len(list(root.iter("script"))) == 1
    assert not [e for e in root.iter() for key in e.attrib if key in ("src", "href") or key.startswith("on")]


def test_names_in_a_page_are_escaped(tmp_path: Path) -> None:
    stored(tmp_path, "<script>alert(1)<", (4, 8), (2, 4))
    assert run("explain", tmp_path / "<script>alert(1)<", "--html", tmp_path / "page.html").exit_code == 0
    text = (tmp_path / "page.html").read_text()
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert len(list(root.iter("script"))) == 1
    assert "&lt;script&gt;alert(1)&lt;" in text
