"""The reader in JavaScript, which is written from the text alone, agrees with every case of the corpus."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.corpus import BAD, GOOD, ROOT, SAVED, UNREADABLE
from tests.programs import node

READER = ROOT.parent / "readers" / "js"
PARTS = {"good": GOOD, "saved": SAVED, "bad": BAD, "unreadable": UNREADABLE}
NOT_YET: dict[str, set[str]] = {"good": set(), "saved": set(), "bad": set(), "unreadable": set()}
"""Cases that the reader does not agree with yet, each to be explained here."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """What the reader makes of the corpus: for each part, how many cases agree, and which differ."""
    done = subprocess.run(
        [node(READER), READER / "run_corpus.mjs", "--json"], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("part", PARTS)
def test_every_case_agrees(results: dict[str, Any], part: str) -> None:
    found = results[part]
    assert set(found["differ"]) == NOT_YET[part], found["differ"]
    assert found["cases"] == len(PARTS[part]) > 0
    assert found["agree"] == found["cases"] - len(NOT_YET[part])


def test_the_lock_names_no_addresses() -> None:
    lock = json.loads((READER / "package-lock.json").read_text("utf-8"))
    addresses = [package.get("resolved", "") for package in lock["packages"].values()]
    assert all(address == "" or address.startswith("https://registry.npmjs.org/") for address in addresses)
    assert {"zarrita", "fzstd", "seek-bzip", "lzma-native"} == set(
        json.loads((READER / "package.json").read_text("utf-8"))["dependencies"]
    )


def test_the_reader_shares_nothing_with_the_python() -> None:
    sources = [*READER.glob("*.mjs"), *(READER / "src").glob("*.js")]
    assert len(sources) > 10
    text = "".join(path.read_text("utf-8") for path in sources)
    assert "child_process" not in text
    assert "lazyzarr/" not in text


def test_types_hold() -> None:
    """The comments that say what functions take and give, by the strict rules of TypeScript."""
    program = [node(READER), READER / "node_modules" / "typescript" / "bin" / "tsc", "-p", READER]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    listed = subprocess.run([*program, "--listFilesOnly"], capture_output=True, text=True, check=True).stdout
    assert {str(path) for path in (READER / "src").glob("*.js")} <= set(listed.split())


def test_modules_are_small() -> None:
    long = [path.name for path in (READER / "src").glob("*.js") if len(path.read_text("utf-8").splitlines()) > 450]
    assert long == []


def test_the_runner_says_what_differs(tmp_path: Path) -> None:
    """With an expectation changed, of cells or of a place, exactly that case differs: the agreement is no empty one."""
    corpus = tmp_path / "spec" / "conformance"
    for part in PARTS:
        (corpus / part).mkdir(parents=True)
    for part, name in (
        ("good", "source"),
        ("bad", "text-empty.json"),
        ("bad", "graph-node-unknown.json"),
        ("unreadable", "checksum"),
    ):
        subprocess.run(["cp", "-r", ROOT / part / name, corpus / part], check=True)
    changed = corpus / "good" / "source" / "expected.json"
    changed.write_text(changed.read_text("utf-8").replace('"digest": "sha256:', '"digest": "sha256:0'))
    elsewhere = corpus / "bad" / "graph-node-unknown.json"
    elsewhere.write_text(elsewhere.read_text("utf-8").replace("nodes[1].op", "nodes[1]"))
    done = subprocess.run(
        [node(READER), READER / "run_corpus.mjs", "--json", "--corpus", corpus],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert set(found["good"]["differ"]) == {"source"}
    assert set(found["bad"]["differ"]) == {"graph-node-unknown.json"}
    assert found["bad"]["agree"] == found["unreadable"]["agree"] == 1
