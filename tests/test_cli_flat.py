"""The command line: flatten and export."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorstore
import xarray as xr
import zarr
from typer.testing import CliRunner, Result

import lazyzarr as lz
from lazyzarr.cli.verbs import app

CELLS = np.arange(28, dtype="i2").reshape(7, 4)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def ragged(tmp_path: Path) -> Path:
    """A saved view of two arrays, of which the first has a short last chunk."""
    parts = [zarr.create_array(tmp_path / f"{k}.zarr", data=CELLS + 100 * k, chunks=(3, 4)) for k in range(2)]
    lz.save(lz.concat([lz.open(part.store.root) for part in parts]), tmp_path / "v.zarr")
    return tmp_path / "v.zarr"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A saved group of two views of HDF5 files."""
    for k in range(2):
        with h5py.File(tmp_path / f"{k}.h5", "w") as file:
            file.create_dataset("x", data=CELLS + 100 * k, chunks=(7, 2))
            file.create_dataset("y", data=CELLS[:, 0] + 100 * k, chunks=(7,))
    views = {name: lz.concat([lz.open(tmp_path / f"{k}.h5", name) for k in range(2)]) for name in "xy"}
    lz.save(views, tmp_path / "g.zarr")
    return tmp_path / "g.zarr"


def test_flatten_says_class_grid_and_chain(ragged: Path, files: Path) -> None:
    result = run("flatten", files)
    assert result.exit_code == 0
    assert "x: class L0, chunks (7, 2), bytes" in result.output
    assert "y: class L0, chunks (7), bytes" in result.output


def test_flatten_of_an_uneven_grid(tmp_path: Path) -> None:
    parts = [zarr.create_array(tmp_path / f"{n}.zarr", data=np.zeros((6, 4)), chunks=(n, 4)) for n in (3, 2)]
    lz.save(lz.concat([lz.open(part.store.root) for part in parts]), tmp_path / "v.zarr")
    found = json.loads(run("flatten", tmp_path / "v.zarr", "--json").output)
    assert (found["class"], found["chunk_lengths"], found["chunks"]) == ("L1", [[3, 3, 2, 2, 2], 4], 5)
    assert "chunks ([3 3 2 2 2], 4)" in run("flatten", tmp_path / "v.zarr").output
    assert run("flatten", tmp_path / "v.zarr", "--regular").exit_code == 1


def test_flatten_lists_every_problem(ragged: Path) -> None:
    lz.save(lz.open(ragged)[1:, ::-1], ragged.with_name("w.zarr"))
    result = run("flatten", ragged.with_name("w.zarr"))
    assert result.exit_code == 1
    assert "read backwards" in result.output
    assert "store with chunk length 1" in result.output
    found = json.loads(run("flatten", ragged.with_name("w.zarr"), "--json").output)
    with pytest.raises(lz.NotFlat) as caught:
        lz.open(ragged.with_name("w.zarr")).flatten()
    assert found["problems"] == list(caught.value.problems)


def test_flatten_writes_the_boundary(ragged: Path) -> None:
    into = ragged.with_name("chunks")
    result = run("flatten", ragged, "--materialize", "boundary", "--regular", "--dry-run", "--json")
    assert result.exit_code == 0
    plan = json.loads(result.output)["boundary"]
    assert (plan["chunks"], plan["referenced"], plan["written"]) == (5, 2, 3)
    assert not into.exists()
    result = run("flatten", ragged, "--materialize", "boundary", "--regular", "--into", into)
    assert result.exit_code == 0
    assert "3 of 5 chunks to write" in result.output
    assert len([name for _, _, names in os.walk(into / "c") for name in names]) == 3
    assert run("flatten", ragged, "--dry-run").exit_code == 2
    assert run("flatten", ragged, "--materialize", "boundary", "--regular").exit_code == 2


def test_export_to_each_format(files: Path, tmp_path: Path) -> None:
    expected = {name: lz.open(files)[name].read() for name in "xy"}
    targets = {"kerchunk": "refs.json", "manifest-json": "m.zarr", "vds": "v.h5", "icechunk": "repo"}
    for to, target in targets.items():
        result = run("export", files, tmp_path / target, "--to", to, "--json")
        assert result.exit_code == 0, result.output
        report = json.loads(result.output)
        assert (report["arrays"], report["chunks"]) == (2, 4 if to == "vds" else 6)
        found = lz.open(tmp_path / target, allow=[tmp_path])
        for name, cells in expected.items():
            np.testing.assert_array_equal(found[name].read(), cells)
    dataset = xr.open_dataset(str(tmp_path / "refs.json"), engine="kerchunk")
    np.testing.assert_array_equal(dataset["x"].values, expected["x"])


def test_export_for_tensorstore(files: Path, tmp_path: Path) -> None:
    assert run("export", files, tmp_path / "db", "--to", "ocdbt").exit_code == 0
    expected = lz.open(files)["x"].read()
    opened = tensorstore.open(lz.formats.ocdbt.spec(tmp_path / "db", "x")).result()
    np.testing.assert_array_equal(opened.read().result(), expected)
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(2, 3))
    lz.save(lz.open(tmp_path / "a.zarr")[::-1, 1:], tmp_path / "v.zarr")
    assert run("export", tmp_path / "v.zarr", tmp_path / "spec.json", "--to", "tensorstore").exit_code == 0
    spec = json.loads((tmp_path / "spec.json").read_bytes())
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), CELLS[::-1, 1:])


def test_export_of_one_view_prints_the_report(files: Path, tmp_path: Path) -> None:
    result = run("export", files, tmp_path / "v.h5", "--to", "vds", "--variable", "x", "--name", "sst")
    assert result.exit_code == 0
    assert "1 arrays, 2 chunks" in result.output
    assert "fill values" in result.output
    assert lz.open(tmp_path / "v.h5", "sst").shape == (14, 4)
    again = ("export", files, tmp_path / "v.h5", "--to", "vds", "--variable", "x")
    assert run(*again).exit_code == 2
    assert run(*again, "--overwrite").exit_code == 0
    one = ("export", files, tmp_path / "repo", "--to", "icechunk", "--variable", "x", "--name", "sst")
    assert run(*one).exit_code == 0
    assert run(*one).exit_code == 2
    assert run(*one, "--overwrite").exit_code == 0


def test_export_with_boundary_chunks(ragged: Path, tmp_path: Path) -> None:
    refused = run("export", ragged, tmp_path / "refs.json", "--to", "kerchunk")
    assert (refused.exit_code, "[not-flat]" in refused.stderr) == (2, True)
    result = run("export", ragged, tmp_path / "refs.json", "--to", "kerchunk", "--into", tmp_path / "chunks")
    assert result.exit_code == 0
    found = xr.open_dataset(str(tmp_path / "refs.json"), engine="kerchunk")
    np.testing.assert_array_equal(found["data"].values, np.concatenate([CELLS, CELLS + 100]))
    result = run("export", ragged, tmp_path / "repo", "--to", "icechunk", "--into", tmp_path / "uneven")
    assert result.exit_code == 0, result.stderr
    into = ("--into", tmp_path / "uneven", "--rectilinear")
    assert run("export", ragged, tmp_path / "uneven.json", "--to", "kerchunk", *into).exit_code == 0
    uneven = lz.open(tmp_path / "uneven.json")["data"]
    assert uneven.flatten().chunk_lengths[0] == (3, 3, 1, 3, 3, 3)
    np.testing.assert_array_equal(uneven.read(), np.concatenate([CELLS, CELLS + 100]))


def test_export_refuses_what_a_format_does_not_have(ragged: Path, files: Path, tmp_path: Path) -> None:
    assert "Zarr array" in run("export", ragged, tmp_path / "v.h5", "--to", "vds").stderr
    for wrong in (
        ("--to", "vds", "--into", tmp_path / "d"),
        ("--to", "vds", "--relative"),
        ("--to", "manifest-json", "--overwrite"),
        ("--to", "ocdbt", "--overwrite"),
        ("--to", "tensorstore"),
        ("--to", "tensorstore", "--variable", "x", "--into", tmp_path / "d"),
        ("--to", "icechunk", "--rectilinear"),
        ("--to", "zip"),
    ):
        assert run("export", files, tmp_path / "t", *wrong).exit_code == 2
    assert not (tmp_path / "t").exists()
