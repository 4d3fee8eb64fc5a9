"""The reader in JavaScript beyond the corpus: over HTTP, with faults of the storage, and as its README says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import zarr
from hypothesis import Phase, given, seed, settings

import lazyzarr as lz
from lazyzarr.interpret import interpret
from lazyzarr.view import View
from tests.conformance.corpus import GOOD, ROOT, UNREADABLE, array_of, digest, expected
from tests.programs import node
from tests.servers import Fault, RangeServer
from tests.strategies.cells import DTYPES
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.profile import often

READER = ROOT.parent / "readers" / "js"
TYPES = tuple(name for name in DTYPES if name != "struct")  # the reader says in its README that it has no structs
CORPUS = {
    f"/{path.relative_to(ROOT).as_posix()}": path.read_bytes()
    for part in ("good", "unreadable")
    for path in (ROOT / part).rglob("*")
    if path.is_file()
}


def _read(location: str | Path, *selection: str) -> dict[str, Any]:
    command = [node(READER), READER / "read_view.mjs", location, *selection]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_the_corpus_over_http() -> None:
    with RangeServer(CORPUS) as server:
        command = [node(READER), READER / "run_corpus.mjs", "--json", "--url", server.url]
        found = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
        targets = {request.target for request in server.log}
    assert found["good"]["differ"] == found["unreadable"]["differ"] == {}
    assert found["good"]["agree"] == len(GOOD)
    assert found["unreadable"]["agree"] == len(UNREADABLE)
    assert {target.split("/")[2] for target in targets} >= {case.name for case in UNREADABLE}


FAULTS: list[tuple[Fault, object, str]] = [
    ("status", 403, "source-denied"),
    ("status", 503, "source-unavailable"),
    ("redirect", "/good/refs-inline/sources/part.bin", "access-denied"),
    ("other-range", None, "source-protocol"),
    ("short", 3, "source-unavailable"),
    ("reset", None, "source-unavailable"),
]


@pytest.mark.parametrize(("fault", "value", "reason"), FAULTS, ids=[f"{fault}-{value}" for fault, value, _ in FAULTS])
def test_faults_are_errors_and_never_fill_values(fault: Fault, value: object, reason: str) -> None:
    with RangeServer(CORPUS) as server:
        if fault == "redirect":
            value = f"{server.url}{value}"
        server.plan("/good/refs-inline/sources/part.bin", fault, value)
        found = _read(f"{server.url}/good/refs-inline/view.zarr")
        assert found["reason"] == reason, found
        assert _read(f"{server.url}/good/refs-inline/view.zarr", "[[0, 4]]")["data"] == [0, 1, 2, 3]


def test_answers_longer_than_asked_for_are_refused() -> None:
    with RangeServer(CORPUS) as server:
        server.plan("/good/refs-variants/sources/a.bin", "long", 3)
        assert _read(f"{server.url}/good/refs-variants/view.zarr")["reason"] == "source-protocol"


def test_servers_without_ranges_are_read_all_the_same() -> None:
    with RangeServer(CORPUS) as server:
        server.plan("/good/refs-inline/sources/part.bin", "ignore-range")
        found = _read(f"{server.url}/good/refs-inline/view.zarr")
    assert found["data"] == array_of(expected(ROOT / "good" / "refs-inline")).tolist()


def test_opening_takes_one_request_and_a_slab_its_chunk() -> None:
    with RangeServer(CORPUS) as server:
        assert _read(f"{server.url}/good/refs-inline/view.zarr", "[[2, 4]]") == {"shape": [2], "data": [2, 3]}
        assert [request.target for request in server.log] == ["/good/refs-inline/view.zarr/zarr.json"]


def test_links_out_of_the_directory_are_refused(tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    subprocess.run(["cp", "-r", ROOT / "good" / "refs-inline", tmp_path / "case"], check=True)
    case = tmp_path / "case" / "refs-inline"
    (case / "sources" / "part.bin").rename(tmp_path / "part.bin")
    (case / "sources" / "part.bin").symlink_to(tmp_path / "part.bin")
    assert _read(case / "view.zarr")["reason"] == "access-denied"


def test_random_graphs_read_as_they_are_defined(tmp_path: Path) -> None:
    """Graphs of every kind of node over arrays of every codec, which the corpus does not have, bit by bit."""
    meant: dict[str, str] = {}

    @seed(20)
    @settings(max_examples=often(60, 600), phases=[Phase.generate], database=None, deadline=None)
    @given(graphs(dtypes=TYPES))
    def draw(drawn: Drawn) -> None:
        name = f"{len(meant)}.zarr"
        lz.save(View(None, graph=drawn.graph), tmp_path / name)
        meant[name] = digest(interpret(drawn.graph, drawn.truth))

    draw()
    command = [node(READER), READER / "read_digests.mjs", "/", *(tmp_path / name for name in meant)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = dict(zip(meant, json.loads(done.stdout), strict=True))
    lacking = {name for name in meant if found[name].startswith('codec-unknown: "numcodecs.bz2"')}  # npm has none
    assert len(meant) - len(lacking) >= 50
    assert {name: found[name] for name in meant if found[name] != meant[name] and name not in lacking} == {}


def test_what_a_shard_does_not_have_is_filled_after_the_whole_chain(tmp_path: Path) -> None:
    """Both readers: no cell of value 7 is decoded, whatever the codec in front of the shards makes of zeros."""
    array = zarr.create_array(tmp_path / "s.zarr", shape=(8,), chunks=(2,), shards=(4,), dtype="int16", fill_value=12)
    array[:2] = [2, 4]
    stored = json.loads((tmp_path / "s.zarr" / "zarr.json").read_text("utf-8"))["codecs"]
    document = json.loads((ROOT / "bad" / "schema-shape.json").read_text("utf-8"))["document"]
    inner = document["attributes"]["lazyzarr"]
    codecs = [{"name": "scale_offset", "configuration": {"scale": 2, "offset": 1}}, *stored]
    layout = {"data_type": "int16", "fill_value": 7, "chunk_shape": [4], "codecs": codecs}
    arrays = [{"layout": 0, "shape": [8], "location": "../s.zarr"}]
    inner["graph"] = {"nodes": [{"op": "source", "array": 0}], "layouts": [layout], "arrays": arrays}
    inner["schema"] = {"shape": [8], "data_type": "int16", "fill_value": 7}
    (tmp_path / "v.zarr").mkdir()
    (tmp_path / "v.zarr" / "zarr.json").write_text(json.dumps(document))
    wanted = [2, 3, 7, 7, 7, 7, 7, 7]
    assert lz.open(tmp_path / "v.zarr").read().tolist() == wanted
    assert _read(tmp_path / "v.zarr")["data"] == wanted


def test_the_example_of_the_readme_runs(tmp_path: Path) -> None:
    [block] = re.findall(r"^```js\n(.*?)^```$", (READER / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    command = [node(READER), "--input-type=module", "-e", block]
    done = subprocess.run(command, cwd=READER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = expected(ROOT / "good" / "concat-codecs")
    cells = array_of(wanted)[:4, 1]
    numbers = [int(number) for number in re.findall(r"-?\d+", done.stdout.splitlines()[1])]
    assert done.stdout.splitlines()[0] == f"[ {', '.join(map(str, wanted['shape']))} ] {wanted['data_type']}"
    assert numbers == [4, *cells.tolist()]
    assert done.stdout.splitlines()[-1] == "access-denied"
