"""Tables, several entries of tile, attribute edits, packing, coordinates, clusters, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import zarr
from typer.testing import CliRunner

import lazyzarr as lz
from lazyzarr.cli.verbs import app

RUN = CliRunner()


def define(folder: Path, text: str) -> Path:
    (folder / "d.lz.yaml").write_text("lazyzarr: 1\n" + text)
    return folder / "d.lz.yaml"


def resolved(folder: Path, text: str, **more: Any) -> lz.Group:
    lz.resolve(define(folder, text), folder / "out.zarr", **more)
    return lz.open(folder / "out.zarr")


def part(folder: Path, name: str, cells: Any, dims: list[str], **attrs: Any) -> None:
    group = zarr.open_group(folder / name, mode="w", zarr_format=3, attributes={"title": "t", "run": name})
    group.create_array("a", data=np.asarray(cells), dimension_names=dims, attributes=attrs)


@pytest.mark.parametrize("kind", ["csv", "parquet", "stac"])
def test_tables_name_files_and_values(tmp_path: Path, kind: str) -> None:
    rows = [("one.zarr", 1, "x"), ("two.zarr", 2, "x"), ("three.zarr", 1, "y"), ("four.zarr", 2, "y")]
    for number, (name, _, _) in enumerate(rows):
        part(tmp_path, name, np.full((2,), number), ["x"])
    if kind == "csv":
        (tmp_path / "t.csv").write_text("href,level,run\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    elif kind == "parquet":
        table = pyarrow.table(
            {"href": [r[0] for r in rows], "level": [r[1] for r in rows], "run": [r[2] for r in rows]}
        )
        pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    else:
        items = [
            {"id": a, "bbox": [0, 0, 1, 1], "properties": {"level": b, "run": c}, "assets": {"data": {"href": a}}}
            for a, b, c in rows
        ]
        (tmp_path / "t.stac").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    group = resolved(
        tmp_path,
        f"""
sources:
  s:
    table: t.{kind}
    tile:
      - {{stack: run, values: {{column: run}}}}
      - {{stack: level, values: {{column: level}}}}
arrays: {{a: {{from: s}}}}
""",
    )
    assert group["a"].read()[:, :, 0].tolist() == [[0, 1], [2, 3]]
    assert group["level"].read().tolist() == [1, 2]
    assert group["run"].read().tolist() == ["x", "y"]


def test_entries_nest_and_interleave(tmp_path: Path) -> None:
    whole = np.arange(48).reshape(4, 12)
    for row in range(2):
        for turn in range(3):
            part(tmp_path, f"p_{row}_{turn}.zarr", whole[2 * row : 2 * row + 2, turn::3], ["y", "x"])
    group = resolved(
        tmp_path,
        """
sources:
  s:
    path: "p_{row}_{turn}.zarr"
    tile:
      - {concat: y, name: row, range: {to: 1}, items: 2}
      - {interleave: x, name: turn, values: [0, 1, 2]}
arrays: {a: {from: s}}
""",
    )
    np.testing.assert_array_equal(group["a"].read(), whole)


def test_dims_are_transposed_and_types_cast(tmp_path: Path) -> None:
    part(tmp_path, "p_0.zarr", np.ones((2, 3), "float32"), ["y", "x"], units="K", note="first", same=1)
    part(tmp_path, "p_1.zarr", np.ones((3, 2), "float64"), ["x", "y"], units="K", note="second", same=1)
    group = resolved(
        tmp_path,
        """
sources: {s: {path: "p_{t}.zarr", tile: [{stack: t, range: {to: 1}}]}}
dims: {x: {start: 10, step: 0.5, units: m}, t: {coordinate: none}}
arrays:
  a:
    from: s
    dims: [y, t, x]
    dtype: float64
    attributes: {from: first, rename: {note: remark}, drop: [same], set: {history: joined}}
attributes: {set: {title: whole}}
""",
    )
    assert (group["a"].dims, group["a"].shape, group["a"].dtype) == (("y", "t", "x"), (2, 2, 3), np.float64)
    assert dict(group["a"].attrs) == {"units": "K", "remark": "first", "history": "joined"}
    assert group["x"].read().tolist() == [10, 10.5, 11]
    assert group["x"].attrs == {"units": "m"}
    assert group.attrs["title"] == "whole"
    assert "run" not in group.attrs  # differs from file to file


@pytest.mark.parametrize(("packing", "fits"), [("per-source", True), ("same", False), ("raw", False)])
def test_packing(tmp_path: Path, packing: str, fits: bool) -> None:
    for number, scale in enumerate((0.5, 0.25)):
        part(tmp_path, f"p_{number}.zarr", np.array([4, -1], "int16"), ["x"], scale_factor=scale)
    text = f"""
sources: {{s: {{path: "p_{{n}}.zarr", tile: [{{concat: x, name: n, range: {{to: 1}}}}]}}}}
arrays: {{a: {{from: s, packing: {packing}}}}}
"""
    if fits:
        assert resolved(tmp_path, text)["a"].read().tolist() == [2, -0.5, 1, -0.25]
        return
    with pytest.raises(lz.DefinitionError) as raised:
        resolved(tmp_path, text)
    assert [m.property for m in raised.value.mistakes] == ["scale_factor"]


def test_take_first_compares_cells(tmp_path: Path) -> None:
    for number in range(2):
        part(tmp_path, f"p_{number}.zarr", np.array([1, 2 + number]), ["z"])
    text = """
sources: {s: {path: "p_{n}.zarr", tile: [{concat: x, name: n, range: {to: 1}}]}}
arrays: {a: {from: s, take: first, check: CHECK}}
"""
    assert resolved(tmp_path, text.replace("CHECK", "none"))["a"].read().tolist() == [1, 2]
    with pytest.raises(lz.DefinitionError) as raised:
        resolved(tmp_path, text.replace("CHECK", "equal"), overwrite=True)
    assert [m.property for m in raised.value.mistakes] == ["cells"]


def test_a_store_elsewhere_is_reported_with_what_to_allow(tmp_path: Path) -> None:
    part(tmp_path / "elsewhere", "p_0.zarr", np.arange(2), ["x"])
    (tmp_path / "here").mkdir()
    path = define(
        tmp_path / "here",
        f"stores: {{e: {tmp_path / 'elsewhere'}}}\nsources: {{s: {{store: e, path: 'p_{{n}}.zarr', tile: [{{stack: n, values: [0]}}]}}}}\narrays: {{a: {{from: s}}}}\n",
    )
    done = lz.resolve(path, tmp_path / "here" / "out.zarr")
    assert done.allow == (f"file://{tmp_path}/elsewhere/",)
    with pytest.raises(lz.AccessDenied):
        lz.open(tmp_path / "here" / "out.zarr")["a"].read()
    group = lz.open(tmp_path / "here" / "out.zarr", allow=done.allow)
    assert group["a"].read().tolist() == [[0, 1]]


SERIES = """
sources: {s: {path: "p_{n:02d}.zarr", tile: [{concat: x, name: n, range: {count: 40}}]}}
arrays: {a: {from: s}}
"""


def test_a_cluster_opens_the_files(tmp_path: Path) -> None:
    for number in range(40):
        part(tmp_path, f"p_{number:02d}.zarr", np.full(2, number), ["x"])
    seen: list[tuple[int, int]] = []
    here = resolved(tmp_path, SERIES)["a"]
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        lz.resolve(
            tmp_path / "d.lz.yaml", tmp_path / "far.zarr", scheduler=client, progress=lambda *now: seen.append(now)
        )
        lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "addressed.zarr", scheduler=client.scheduler.address)
    assert seen[-1] == (40, 40)
    for name in ("far.zarr", "addressed.zarr"):
        there = lz.open(tmp_path / name)["a"]
        assert there.read().tolist() == here.read().tolist() == np.repeat(np.arange(40), 2).tolist()
        assert len(there.ir.nodes) == len(here.ir.nodes) == 1  # a table, not forty nodes


def test_the_command_line(tmp_path: Path) -> None:
    for number in range(40):
        part(tmp_path, f"p_{number:02d}.zarr", np.full(2, number), ["x"])
    path, target = str(define(tmp_path, SERIES)), str(tmp_path / "out.zarr")
    dry = RUN.invoke(app, ["resolve", path, target, "--dry-run"])
    assert dry.exit_code == 0
    assert "p_03.zarr  x 6:8" in dry.output
    assert "class L0" in dry.output
    assert not Path(target).exists()
    told = json.loads(RUN.invoke(app, ["resolve", path, target, "--json"]).output)
    assert (told["opened"], told["written"], told["arrays"][0]["shape"]) == (40, True, [80])
    define(tmp_path, SERIES.replace("count: 40", "count: 41"))
    failed = RUN.invoke(app, ["resolve", path, target])
    assert failed.exit_code == 2
    assert "p_40.zarr" in failed.output
    schema = json.loads(RUN.invoke(app, ["schema", "--definition"]).output)
    assert schema["properties"]["lazyzarr"] == {"enum": [1]}
