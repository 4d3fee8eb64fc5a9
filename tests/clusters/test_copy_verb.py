"""The command line: copy."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import LocalCluster
from typer.testing import CliRunner, Result

import lazyzarr as lz
from lazyzarr.cli.verbs import app
from tests.clusters.test_remote_copies import Bucket, bucket, endpoint

__all__ = ["bucket", "endpoint"]

CELLS = np.arange(20 * 30).reshape(20, 30)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(3, 7))
    lz.save(lz.open(tmp_path / "a.zarr")[::-1], tmp_path / "v.zarr")
    return tmp_path / "v.zarr"


def test_copy(saved: Path, tmp_path: Path) -> None:
    done = run("copy", saved, tmp_path / "c.zarr", "--chunks", "5,-1", "--shards", "10,30", "--codecs", "gzip")
    assert done.exit_code == 0, done.output
    assert "int64 (20, 30), chunks (10, 30)" in done.output
    array = zarr.open_array(tmp_path / "c.zarr", mode="r")
    assert (array.chunks, array.shards) == ((5, 30), (10, 30))
    np.testing.assert_array_equal(array[...], CELLS[::-1])


def test_copy_says_what_is_there_as_json(saved: Path, tmp_path: Path) -> None:
    codecs = json.dumps(["bytes", {"name": "zstd", "configuration": {"level": 1, "checksum": True}}])
    done = run("copy", saved, tmp_path / "c.zarr", "--codecs", codecs, "--chunks", "4,4", "--json")
    assert done.exit_code == 0
    told = json.loads(done.output)["arrays"][""]
    assert told == {"shape": [20, 30], "data_type": "int64", "chunks": [4, 4], "codecs": ["bytes", "zstd"]}


def test_copy_of_a_group(saved: Path, tmp_path: Path) -> None:
    lz.save({"v": lz.open(saved), "t": np.arange(3)}, tmp_path / "g.zarr")
    done = run("copy", tmp_path / "g.zarr", tmp_path / "c.zarr")
    assert done.exit_code == 0
    assert "v: int64 (20, 30)" in done.output
    assert run("copy", tmp_path / "g.zarr", tmp_path / "d.zarr", "--variable", "t").exit_code == 0
    assert zarr.open_array(tmp_path / "d.zarr", mode="r")[...].tolist() == [0, 1, 2]


def test_copy_on_a_cluster(saved: Path, tmp_path: Path) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        done = run("copy", saved, tmp_path / "c.zarr", "--scheduler", cluster.scheduler_address)
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "c.zarr", mode="r")[...], CELLS[::-1])


def test_copy_refuses(saved: Path, tmp_path: Path) -> None:
    assert run("copy", saved, tmp_path / "c.zarr").exit_code == 0
    for arguments, reason in (
        ((), "save-conflict"),
        (("--chunks", "a,b", "--overwrite"), "index-syntax"),
        (("--codecs", "[1", "--overwrite"), "index-syntax"),
        (("--chunks", "1", "--overwrite"), "shape-mismatch"),
        (("--codecs", "nonesuch", "--overwrite"), "save-unsupported"),
    ):
        done = run("copy", saved, tmp_path / "c.zarr", *arguments)
        assert done.exit_code == 2
        assert f"[{reason}]" in done.stderr
    assert run("copy", saved, tmp_path / "c.zarr", "--overwrite", "--restart").exit_code == 0
    assert sorted(os.listdir(tmp_path)) == ["a.zarr", "c.zarr", "v.zarr"]


def test_buckets(saved: Path, tmp_path: Path, bucket: Bucket) -> None:
    (tmp_path / "o.json").write_text(json.dumps(bucket.options))
    place = "s3://copies/cli.zarr"
    done = run("copy", saved, place, "--chunks", "5,10", "--storage-options", tmp_path / "o.json")
    assert done.exit_code == 0, done.output
    assert "int64 (20, 30), chunks (5, 10)" in done.output
    back = run("copy", place, tmp_path / "back.zarr", "--storage-options", json.dumps(bucket.options), "--json")
    assert back.exit_code == 0, back.output
    np.testing.assert_array_equal(lz.open(tmp_path / "back.zarr")[...], CELLS[::-1])
    told = run("info", place, "--storage-options", tmp_path / "o.json", "--json")
    assert json.loads(told.output)["shape"] == [20, 30]


@pytest.mark.parametrize("given", ["no.json", '{"s3://": 7}', "{secret"])
def test_options_that_are_none(saved: Path, given: str) -> None:
    done = CliRunner().invoke(app, ["info", str(saved), "--storage-options", given])
    assert done.exit_code == 2
    assert "--storage-options" in done.output
    assert "secret" not in done.output


def test_every_verb_that_opens_something_takes_options() -> None:
    for verb in ("info", "explain", "check", "flatten", "export", "copy", "append", "refresh", "serve", "resolve"):
        assert "--storage-options" in run(verb, "--help").output
