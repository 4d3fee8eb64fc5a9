"""Clients in three languages, and a browser, read what a server gives."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import xarray as xr
import zarr

import lazyzarr as lz
from lazyzarr.serving.running import Server
from tests.programs import node, program

CELLS = np.arange(60, dtype="int32").reshape(6, 10)
JS = Path(__file__).parent / "js"


@pytest.fixture
def joined(tmp_path: Path) -> tuple[lz.View, np.ndarray]:
    """Two sources of other codecs and chunks, one of them packed, turned and cut."""
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(2, 5), dimension_names=["y", "x"])
    zarr.create_array(tmp_path / "b.zarr", data=CELLS, chunks=(3, 4), compressors=None, dimension_names=["y", "x"])
    view = lz.concat([lz.open(tmp_path / "a.zarr"), lz.open(tmp_path / "b.zarr")])[::-1, 1:]
    return view.with_attrs({"units": "m"}), np.concatenate([CELLS, CELLS])[::-1, 1:]


@pytest.fixture
def server(joined: tuple[lz.View, np.ndarray], tmp_path: Path) -> Iterator[Server]:
    flat = lz.open(tmp_path / "a.zarr").rename_dims(["row", "column"])
    members = {"view": joined[0], "flat": flat, "inner": {"turned": joined[0].T}}
    with lz.serve(members) as found:
        yield found


def test_zarr_python(server: Server, joined: tuple[lz.View, np.ndarray]) -> None:
    group = zarr.open_group(server.url, mode="r")
    np.testing.assert_array_equal(group["view"][...], joined[1], strict=True)
    np.testing.assert_array_equal(group["inner/turned"][2:5, ::2], joined[1].T[2:5, ::2], strict=True)
    np.testing.assert_array_equal(zarr.open_array(f"{server.url}/flat", mode="r")[...], CELLS, strict=True)
    assert group["view"].attrs["units"] == "m"


def test_xarray(server: Server, joined: tuple[lz.View, np.ndarray]) -> None:
    with xr.open_zarr(f"{server.url}/inner") as dataset:
        np.testing.assert_array_equal(dataset.turned, joined[1].T)
        assert dataset.turned.dims == ("x", "y")
    with xr.open_zarr(server.url) as dataset:
        assert set(dataset) == {"view", "flat"}


def test_tensorstore(server: Server, joined: tuple[lz.View, np.ndarray]) -> None:
    for path, expected in (("view", joined[1]), ("flat", CELLS), ("inner/turned", joined[1].T)):
        spec = {"driver": "zarr3", "kvstore": f"{server.url}/{path}/"}
        np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), expected, strict=True)


def test_zarrita(server: Server, joined: tuple[lz.View, np.ndarray]) -> None:
    command = [node(JS), "read.mjs"]
    for path, expected in (("view", joined[1]), ("flat", CELLS), ("inner/turned", joined[1].T)):
        done = subprocess.run([*command, f"{server.url}/{path}"], cwd=JS, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        assert found["shape"] == list(expected.shape)
        assert found["data"] == expected.reshape(-1).tolist()


def test_the_snippets_of_the_page_run(server: Server, joined: tuple[lz.View, np.ndarray]) -> None:
    browser = program("chromium", "chromium-browser", "google-chrome")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [browser, *flags, "--virtual-time-budget=2000", "--dump-dom", server.url]
    page = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "<h1>Views of arrays, served as Zarr</h1>" in page
    assert page.count("<svg") == 3
    snippets = [html.unescape(text) for text in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)]
    assert [text.split()[1] for text in snippets[:4]] == ["zarr", "xarray", "*", "tensorstore"]
    assert snippets[4] == f"zarr3://{server.url}/view"
    namespace: dict[str, object] = {}
    for text in (snippets[0], snippets[1], snippets[3]):
        exec(text, namespace)
    np.testing.assert_array_equal(namespace["array"].read().result(), joined[1])  # type: ignore[attr-defined]
    np.testing.assert_array_equal(namespace["opened"]["view"], joined[1])  # type: ignore[index]
    np.testing.assert_array_equal(namespace["dataset"].view, joined[1])  # type: ignore[attr-defined]
    script = snippets[2] + "\nprocess.stdout.write(JSON.stringify(Array.from(cells.data)));"
    done = subprocess.run(
        [node(JS), "--input-type=module", "-e", script], cwd=JS, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == joined[1].reshape(-1).tolist()
