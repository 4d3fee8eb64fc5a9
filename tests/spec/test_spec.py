"""The specification says what the code does: schema, reasons, node kinds and ids of rules."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given

from lazyzarr.algebra.boxes import COMB_PAIR
from lazyzarr.document.encode import encode
from lazyzarr.document.features import PLAIN
from lazyzarr.document.json_schema import document_schema, schema_text
from lazyzarr.document.limits import Limits
from lazyzarr.document.wire import CONVENTION, Document
from lazyzarr.errors import REASONS
from lazyzarr.ir.nodes import NODE_KINDS
from tests.document.samples import VIEW, samples, tiled
from tests.strategies.graphs import Drawn, graphs

SPEC = Path(__file__).parents[2] / "spec"
GRAPH = (SPEC / "graph.md").read_text()
MANIFEST = (SPEC / "manifest.md").read_text()
DECODING = (SPEC / "decoding.md").read_text()


def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(document_schema())
    return jsonschema.Draft202012Validator(document_schema())


def test_the_schema_that_is_checked_in_is_current() -> None:
    found = (SPEC / "schema" / "lazyzarr-1.schema.json").read_bytes()
    assert found == schema_text(), "write lazyzarr.document.json_schema.schema_text() to the file"


@pytest.mark.parametrize(("name", "graph"), [*samples(), ("stored", tiled(300))])
def test_documents_are_valid_by_the_schema(name: str, graph: object) -> None:
    view = encode(graph, base_url=VIEW, grid=None)  # type: ignore[arg-type]
    validator().validate(msgspec.json.decode(view.document)["attributes"]["lazyzarr"])


CHECK = validator()


@given(graphs())
def test_random_documents_are_valid_by_the_schema(drawn: Drawn) -> None:
    CHECK.validate(msgspec.json.decode(encode(drawn.graph, base_url=VIEW).document)["attributes"]["lazyzarr"])


def test_the_schema_refuses_unknown_members_and_kinds() -> None:
    document = msgspec.json.decode(encode(tiled(), base_url=VIEW).document)["attributes"]["lazyzarr"]
    for change in ({"mood": 1}, {"requires": 1}, {"graph": {"nodes": [{"op": "sort", "input": 0}]}}):
        assert not CHECK.is_valid({**document, **change})


def test_the_reasons_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \|$", (SPEC / "reason-codes.md").read_text(), re.MULTILINE)
    assert dict(rows) == dict(REASONS)
    assert len(rows) == len(REASONS)


def test_every_reason_in_the_rules_is_in_the_list() -> None:
    named = set(re.findall(r"\(`([a-z]+-[a-z-]+)`", GRAPH + MANIFEST + DECODING))
    assert named
    assert named <= set(REASONS)


def test_every_node_kind_has_a_section_with_its_members() -> None:
    for kind in NODE_KINDS:
        name = str(kind.__struct_config__.tag)
        section = GRAPH.split(f"\n### {name}\n", 1)[1].split("\n### ")[0]
        assert all(f'"{field}"' in section for field in kind.__struct_fields__), name


def test_the_plainest_kinds_are_those_of_the_rule() -> None:
    rule = GRAPH.split("**G-021**")[1].split("**G-022**")[0]
    assert set(re.findall(r"`([a-z]+)`", rule.split("and every codec")[0])) - {"requires"} == PLAIN


def test_ids_of_rules_are_unique_and_ascend() -> None:
    for text, letter in ((GRAPH, "G"), (MANIFEST, "M"), (DECODING, "D")):
        ids = re.findall(rf"\*\*({letter}-\d{{3}})\*\*", text)
        assert len(ids) > 8
        assert max(Counter(ids).values()) == 1
        assert ids == sorted(ids)


def test_members_and_limits_are_named() -> None:
    section = GRAPH.split("## 3. Members")[1]
    assert all(f"| `{field}` |" in section for field in Document.__struct_fields__)
    rule = GRAPH.split("**G-012**")[1].split("**G-013**")[0]
    limits = Limits()
    for value in (
        limits.json_depth,
        limits.integer_digits,
        limits.nodes,
        limits.edges,
        limits.graph_depth,
        limits.rank,
        limits.arrays,
        limits.columns,
        limits.inline_cells,
        limits.codecs,
        limits.layout_codecs,
        limits.url_characters,
        limits.json_values,
    ):
        assert f"{value:,}" in rule
    assert f"{limits.document_bytes >> 20} MiB" in rule
    assert f"{limits.box_pairs:,}" in GRAPH.split("**G-014**")[1]
    assert f"count {COMB_PAIR}" in " ".join(GRAPH.split("**G-014**")[1].split())
    assert CONVENTION["uuid"] in GRAPH


LINK = re.compile(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize(
    "page",
    [path for path in sorted(SPEC.rglob("*.md")) if "node_modules" not in path.parts],
    ids=lambda path: str(path.relative_to(SPEC)),
)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert missing == []


def test_every_must_has_an_id() -> None:
    loose = []
    for path in SPEC.glob("*.md"):
        if path.name not in ("graph.md", "manifest.md", "decoding.md"):
            lines = [line for line in path.read_text("utf-8").splitlines() if "RFC 2119" not in line]
            loose += [f"{path.name}: {line}" for line in lines if "MUST" in line]
    assert loose == []
