"""The corpus itself: complete, small, and exactly what its generator writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import lazyzarr as lz
from lazyzarr.access.session import Session
from lazyzarr.document.decode import decode
from lazyzarr.errors import REASONS
from lazyzarr.ir.layout import Stamp
from lazyzarr.ir.nodes import NODE_KINDS, name_of
from tests.conformance.corpus import BAD, GOOD, GROUPS, KEPT, ROOT, SINGLE, UNREADABLE, document, expected


def test_there_are_enough_cases() -> None:
    assert len(GOOD) >= 60
    assert len(BAD) >= 180
    assert len(UNREADABLE) >= 12
    assert GROUPS


def test_every_node_kind_is_covered() -> None:
    kinds = {node["op"] for case in SINGLE for node in document(case)["graph"]["nodes"]}
    assert kinds == {str(kind.__struct_config__.tag) for kind in NODE_KINDS}


def test_every_reason_of_documents_and_graphs_is_covered() -> None:
    found = {json.loads(path.read_text("utf-8"))["reason"] for path in BAD}
    wanted = {reason for reason in REASONS if reason.startswith(("document-", "graph-"))}
    assert wanted <= found
    others = {"type-unknown", "fill-invalid", "codec-unknown", "codec-invalid", "table-invalid", "limit-exceeded"}
    assert others | {"overlap", "url-invalid", "access-denied"} <= found


def test_every_form_of_storage_is_covered() -> None:
    graphs = [lz.open(case / "view.zarr").ir for case in SINGLE]
    arrays = [array for graph in graphs for array in graph.arrays]
    assert {array.refs is None for array in arrays} == {True, False}
    assert any(array.values is not None for array in arrays)
    assert any(array.variants for array in arrays)
    assert any(array.places for array in arrays)
    assert any(array.refs_first for array in arrays)
    assert any(array.inline for array in arrays)
    assert {layout.metadata for graph in graphs for layout in graph.layouts} == {"zarr.json", ".zarray"}
    assert {layout.chunk_keys.name for graph in graphs for layout in graph.layouts} == {"default", "v2"}
    folders = [table.get("folder") for case in SINGLE for table in document(case)["graph"].get("tables", {}).values()]
    assert None in folders
    assert any(folders)
    overlaps = {node.overlap for graph in graphs for node in graph.nodes if name_of(node) == "overlay"}
    assert overlaps == {"error", "first", "last"}


def test_every_rule_is_shown_by_a_case() -> None:
    text = "".join(
        path.read_text("utf-8") for path in (ROOT.parent / name for name in ("graph.md", "manifest.md", "decoding.md"))
    )
    rules = set(re.findall(r"\*\*([GMD]-\d+)\*\*", text))
    shown = {rule for case in (*GOOD, *UNREADABLE, *KEPT) for rule in expected(case)["rules"]}
    shown |= {rule for path in BAD for rule in json.loads(path.read_text("utf-8"))["rules"]}
    assert shown == rules


def test_every_case_shows_a_rule() -> None:
    silent = [path.name for path in (*GOOD, *UNREADABLE, *KEPT) if not expected(path)["rules"]]
    silent += [path.name for path in BAD if not json.loads(path.read_text("utf-8"))["rules"]]
    assert silent == []


def test_stamps_are_pins_that_a_checkout_keeps() -> None:
    stamps = [array.stamp for case in SINGLE for array in lz.open(case / "view.zarr").ir.arrays]
    assert None in stamps
    pinned = [stamp for stamp in stamps if stamp is not None]
    assert pinned == [Stamp(size=stamp.size, digest=stamp.digest) for stamp in pinned]


def test_corpus_is_small() -> None:
    folders = [ROOT / part for part in ("good", "bad", "unreadable", "kept")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_200_000


def test_bad_documents_are_bad_in_one_way_only() -> None:
    """The document that most of them change is valid."""
    changed = json.loads((ROOT / "bad" / "schema-shape.json").read_text("utf-8"))["document"]
    inner = changed["attributes"]["lazyzarr"]
    inner["schema"]["shape"] = [8, 6]
    assert decode(json.dumps(changed).encode(), url="https://data.example/v.zarr", session=Session()).schema.shape == (
        8,
        6,
    )


def test_generator_writes_exactly_this(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "generate.py", tmp_path], check=True, capture_output=True)
    for part in ("good", "bad", "unreadable", "kept"):
        ours = {path.relative_to(ROOT) for path in (ROOT / part).rglob("*") if path.is_file()}
        written = {path.relative_to(tmp_path) for path in (tmp_path / part).rglob("*") if path.is_file()}
        assert ours == written
        different = [str(name) for name in sorted(ours) if (ROOT / name).read_bytes() != (tmp_path / name).read_bytes()]
        assert not different
