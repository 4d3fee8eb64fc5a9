"""Documents that lie, bomb or are broken: each is refused with a typed error, fast and in little memory."""

from __future__ import annotations

import random
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from lazyzarr.access.session import Session
from lazyzarr.document.decode import OpenedView, decode
from lazyzarr.document.encode import encode
from lazyzarr.errors import LazyZarrError, UnsupportedFeature, ViewError, ViewLimitError, ViewSchemaError
from tests.document.samples import VIEW, joined, samples, tiled
from tests.strategies.profile import often, seed

DOCUMENTS = {name: encode(graph, base_url=VIEW, attributes={"units": "K"}).document for name, graph in samples()}
MUTATIONS = often(2_000, 50_000)
SECONDS, BYTES = 1.0, 256 << 20
"""Of the processor, which does not depend on what else the machine does; and of memory."""


def opened(text: bytes) -> OpenedView:
    return decode(text, url=VIEW, session=Session())


@contextmanager
def little() -> Iterator[None]:
    """Fails when the block takes too long or too much memory."""
    tracemalloc.start()
    start = time.thread_time()
    try:
        yield
        assert time.thread_time() - start < SECONDS * 10  # tracing makes everything several times slower
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


def changed(name: str, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A sample document with its ``lazyzarr`` attribute changed in place."""
    node = msgspec.json.decode(DOCUMENTS[name])
    change(node["attributes"]["lazyzarr"])
    return msgspec.json.encode(node)


def plain(nodes: list[dict[str, Any]], shape: list[int], requires: tuple[str, ...] = ()) -> bytes:
    """A document of int8 nodes without sources."""
    document = {
        "version": 1,
        "requires": list(requires),
        "schema": {"shape": shape, "data_type": "int8", "fill_value": 0},
        "graph": {"nodes": nodes},
    }
    return msgspec.json.encode({"zarr_format": 3, "node_type": "group", "attributes": {"lazyzarr": document}})


def fill(*shape: int) -> dict[str, Any]:
    return {"op": "fill", "shape": list(shape), "data_type": "int8", "value": 0}


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets a member, by a path such as ``graph/nodes/0/array``."""

    def change(document: dict[str, Any]) -> None:
        *way, last = (int(part) if part.isdigit() else part for part in path.split("/"))
        place: Any = document
        for part in way:
            place = place[part]
        place[last] = value

    return change


(TABLE,) = joined().tables
SHARDS = {"name": "sharding_indexed", "configuration": {"chunk_shape": [2, 5], "codecs": True, "index_codecs": 1}}
G = "$.attributes.lazyzarr.graph"
CASES: list[tuple[str, Callable[[dict[str, Any]], None], type[ViewError], str, str]] = [
    ("joined", put("version", 2), UnsupportedFeature, "document-version", "$.attributes.lazyzarr.version"),
    ("joined", put("requires", ["take", "sort"]), UnsupportedFeature, "document-requires", ".requires"),
    ("joined", put("requires", ["lazyzarr.hdf5_magic"]), UnsupportedFeature, "document-requires", ".requires"),
    ("joined", put("requires", []), ViewSchemaError, "document-requires", ".requires"),
    ("joined", put("graph/nodes/3/op", "sort"), UnsupportedFeature, "graph-node", f"{G}.nodes[3].op"),
    ("joined", put("graph/nodes/3/mood", 1), UnsupportedFeature, "document-member", f"{G}.nodes[3]"),
    ("joined", put("templates", {}), UnsupportedFeature, "document-member", "$.attributes.lazyzarr"),
    ("joined", put("graph/arrays/0/grant", ""), UnsupportedFeature, "document-member", f"{G}.arrays[0]"),
    ("joined", put("graph/arrays/0/endpoint", "x"), UnsupportedFeature, "document-member", f"{G}.arrays[0]"),
    ("joined", put("graph/nodes/3/axis", "0"), ViewSchemaError, "document-member", f"{G}.nodes[3].axis"),
    ("joined", put("graph/nodes/3/axis", 0.0), ViewSchemaError, "document-member", f"{G}.nodes[3].axis"),
    ("joined", put("graph/nodes/3/axis", True), ViewSchemaError, "document-member", f"{G}.nodes[3].axis"),
    ("joined", put("graph/nodes", []), ViewSchemaError, "graph-empty", f"{G}.nodes"),
    ("joined", put("graph/nodes/3/inputs", [0, 1, 3]), ViewSchemaError, "graph-order", f"{G}.nodes[3]"),
    ("joined", put("graph/nodes/3/inputs", [0, 1, -1]), ViewSchemaError, "graph-order", f"{G}.nodes[3]"),
    ("joined", put("graph/nodes/3/inputs", [0, 1, 1]), ViewSchemaError, "graph-unreachable", f"{G}.nodes[2]"),
    ("joined", put("graph/nodes/1/array", 0), ViewSchemaError, "graph-duplicate", f"{G}.nodes[1]"),
    ("joined", put("graph/nodes/1/array", 3), ViewSchemaError, "graph-reference", f"{G}.nodes[1].array"),
    ("joined", put("graph/nodes/1/array", -1), ViewSchemaError, "graph-reference", f"{G}.nodes[1].array"),
    ("joined", put("graph/arrays/1/layout", 9), ViewSchemaError, "graph-reference", f"{G}.arrays[1]"),
    ("joined", put("graph/nodes/6/indices", "gone"), ViewSchemaError, "graph-reference", f"{G}.nodes[6].indices"),
    ("joined", put("graph/nodes/4/axes", [[0, 0, 9], 0]), ViewSchemaError, "graph-canonical", f"{G}.nodes[4].axes[0]"),
    ("joined", put("graph/nodes/4/axes", [[0, 2, 1], 0]), ViewSchemaError, "graph-canonical", f"{G}.nodes[4].axes[0]"),
    ("joined", put("graph/nodes/4/axes", [[0, 1, 99], 0]), ViewSchemaError, "graph-shape", f"{G}.nodes[4]"),
    ("joined", put("graph/nodes/5/axes", [0, 0]), ViewSchemaError, "graph-shape", f"{G}.nodes[5]"),
    ("joined", put("graph/nodes/6/axis", 2), ViewSchemaError, "graph-shape", f"{G}.nodes[6]"),
    ("joined", put("schema/shape", [4, 8]), ViewSchemaError, "document-schema", "$.attributes.lazyzarr.schema"),
    ("joined", put("schema/data_type", "int32"), ViewSchemaError, "document-schema", "$.attributes.lazyzarr.schema"),
    ("joined", put("schema/fill_value", 1), ViewSchemaError, "document-schema", "$.attributes.lazyzarr.schema"),
    (
        "joined",
        put("schema/dimension_names", ["a"]),
        ViewSchemaError,
        "document-schema",
        "$.attributes.lazyzarr.schema",
    ),
    ("joined", put("grid", {"name": "hexagonal"}), ViewSchemaError, "document-member", "$.attributes.lazyzarr.grid"),
    (
        "joined",
        put("graph/layouts/0/chunk_shape", [4, 0]),
        ViewSchemaError,
        "graph-shape",
        f"{G}.layouts[0].chunk_shape",
    ),
    ("joined", put("graph/layouts/0/chunk_shape", [4]), ViewSchemaError, "graph-shape", f"{G}.arrays[0]"),
    ("joined", put("graph/layouts/0/codecs", []), ViewSchemaError, "codec-invalid", f"{G}.layouts[0].codecs"),
    ("joined", put("graph/layouts/0/codecs/1/name", "pickle"), UnsupportedFeature, "codec-unknown", f"{G}.layouts[0]"),
    ("joined", put("graph/layouts/0/codecs", [SHARDS]), ViewSchemaError, "codec-invalid", f"{G}.layouts[0].codecs"),
    ("joined", put("graph/layouts/0/data_type", "int17"), ViewSchemaError, "type-unknown", f"{G}.layouts[0]"),
    ("joined", put("graph/layouts/0/fill_value", 40000), ViewSchemaError, "fill-invalid", f"{G}.layouts[0]"),
    (
        "joined",
        put("graph/layouts/0/chunk_keys", {"name": "x"}),
        UnsupportedFeature,
        "codec-unknown",
        f"{G}.layouts[0]",
    ),
    ("joined", put("graph/layouts/0/metadata", "../../secret"), ViewSchemaError, "document-member", f"{G}.layouts[0]"),
    (
        "joined",
        put("graph/arrays/0/location", "http://u:p@h/x"),
        ViewSchemaError,
        "url-invalid",
        f"{G}.arrays[0].location",
    ),
    (
        "joined",
        put("graph/arrays/0/location", "../" * 9 + "x"),
        ViewSchemaError,
        "url-invalid",
        f"{G}.arrays[0].location",
    ),
    ("joined", put("graph/arrays/0/location", None), ViewSchemaError, "document-member", f"{G}.arrays[0]"),
    (
        "joined",
        put(f"graph/tables/{TABLE}/columns/indices/data", [0, 1, 8, 2]),
        ViewSchemaError,
        "table-invalid",
        f"{G}.tables.{TABLE}.columns.indices",
    ),
    (
        "joined",
        put(f"graph/tables/{TABLE}/columns/indices/data", [0, -1, 0, 2]),
        ViewSchemaError,
        "table-invalid",
        f"{G}.tables.{TABLE}.columns.indices",
    ),
    (
        "joined",
        put(f"graph/tables/{TABLE}/columns/indices/shape", [2**62]),
        ViewSchemaError,
        "table-invalid",
        f"{G}.tables.{TABLE}",
    ),
    ("joined", put(f"graph/tables/{TABLE}/folder", "../../x"), ViewSchemaError, "document-member", f"{G}.tables"),
    ("layered", put("graph/nodes/2/origins", [[0, 0], [7, 9]]), ViewSchemaError, "overlap", f"{G}.nodes[2]"),
    ("layered", put("graph/nodes/2/origins", [[0, 0], [9, 12]]), ViewSchemaError, "graph-shape", f"{G}.nodes[2]"),
    ("layered", put("graph/nodes/1/layout", 7), ViewSchemaError, "graph-reference", f"{G}.nodes[1].layout"),
    ("layered", put("graph/layouts/1/chunk_shape", [4, 4]), ViewSchemaError, "graph-shape", f"{G}.nodes[1]"),
    (
        "layered",
        put("graph/nodes/6/codecs/0/name", "gzip"),
        ViewSchemaError,
        "codec-invalid",
        f"{G}.nodes[6].codecs",
    ),
    (
        "layered",
        put("graph/nodes/6/codecs/0/configuration/stored_type", "int32"),
        ViewSchemaError,
        "graph-type",
        f"{G}.nodes[6]",
    ),
    ("referenced", put("graph/arrays/0/refs_first", 1), ViewSchemaError, "table-invalid", f"{G}.arrays[0]"),
    ("referenced", put("graph/arrays/0/variants", []), ViewSchemaError, "table-invalid", f"{G}.tables."),
    ("referenced", put("graph/arrays/0/places", []), ViewSchemaError, "table-invalid", f"{G}.tables."),
    ("referenced", put("graph/arrays/1/shape", [8, 9]), ViewSchemaError, "table-invalid", f"{G}.tables."),
    ("tiled", put("graph/nodes/0/shape", [14]), ViewSchemaError, "graph-shape", f"{G}.nodes[0]"),
    ("tiled", put("graph/nodes/0/layouts", [1]), ViewSchemaError, "graph-reference", f"{G}.nodes[0].layouts"),
    ("tiled", put("graph/nodes/0/data_type", "int32"), ViewSchemaError, "graph-type", f"{G}.nodes[0]"),
]


@pytest.mark.parametrize(("name", "change", "kind", "reason", "where"), CASES)
def test_each_lie_is_named_with_its_place(
    name: str, change: Callable[[dict[str, Any]], None], kind: type[ViewError], reason: str, where: str
) -> None:
    with little(), pytest.raises(ViewError) as error:
        opened(changed(name, change))
    assert (type(error.value), error.value.reason) == (kind, reason)
    assert where in str(error.value.where)


@pytest.mark.parametrize(
    ("text", "which"),
    [
        (plain([fill(*(1,) * 100)], [1] * 100), "rank"),
        (plain([fill(1), *({"op": "stack", "inputs": [k], "axis": 0} for k in range(40))], [1] * 41), "rank"),
        (
            plain([fill(1), *({"op": "stack", "inputs": [k], "axis": 0} for k in range(3000))], [1] * 3001),
            "graph_depth",
        ),
        (plain([fill(1)] * 50_001, [1]), "nodes"),
        (plain([fill(0), {"op": "concat", "inputs": [0] * 250_001, "axis": 0}], [0]), "edges"),
        (b"[" * 100_000, "json_depth"),
        (changed("joined", put("graph/layouts/0/chunk_shape", [2**40, 2**40])), "chunk_bytes"),
        (changed("joined", put("graph/layouts/0/codecs", [{"name": "crc32c"}] * 17)), "codecs"),
        (changed("referenced", put("graph/arrays/1/shape", [2**20, 10])), "inline_bytes"),
        (changed("joined", put("graph/arrays/0/location", "x" * 3000)), "url_characters"),
        (changed("joined", put("schema/shape", [10**30])), "integer_digits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_costs_are_limited(text: bytes, which: str) -> None:
    with little(), pytest.raises(ViewLimitError) as error:
        opened(text)
    assert error.value.which == which
    assert error.value.where


def doubling(times: int, length: int) -> list[dict[str, Any]]:
    return [fill(length), *({"op": "concat", "inputs": [k, k], "axis": 0} for k in range(times))]


def test_doubling_is_metadata_until_it_overflows() -> None:
    with little():
        assert opened(plain(doubling(40, 1), [2**40])).schema.shape == (2**40,)
        assert opened(plain(doubling(62, 1), [2**62])).schema.shape == (2**62,)
        assert opened(plain([fill(2**62)], [2**62])).schema.shape == (2**62,)
    with little(), pytest.raises(ViewSchemaError) as error:
        opened(plain(doubling(63, 1), [2**63]))
    assert error.value.reason == "graph-shape"
    with little(), pytest.raises(ViewLimitError):
        opened(plain(doubling(300, 0), [0]))


def test_long_runs_of_one_input_are_not_deep() -> None:
    with little():
        nodes = [fill(2, 3), *({"op": "transpose", "input": k, "axes": [1, 0]} for k in range(2000))]
        assert opened(plain(nodes, [2, 3])).schema.shape == (2, 3)
    chain: list[dict[str, Any]] = [fill(1)]
    for k in range(1000):
        chain += [fill(k + 2), {"op": "concat", "inputs": [max(2 * k, 0), 2 * k + 1], "axis": 0}]
    with little():
        opened(plain(chain, [1 + sum(range(2, 1002))]))


def test_what_is_no_view_is_missing() -> None:
    for text in (b'{"zarr_format":3,"node_type":"group"}', b'{"zarr_format":3,"node_type":"array","attributes":{}}'):
        with pytest.raises(ViewSchemaError) as error:
            opened(text)
        assert error.value.reason == "document-missing"


def test_members_of_the_group_that_must_be_understood_are_refused() -> None:
    node = msgspec.json.decode(DOCUMENTS["joined"])
    node["storage"] = {"must_understand": False}
    opened(msgspec.json.encode(node))
    for value in ({"must_understand": True}, {}, 1, None):
        node["storage"] = value
        with pytest.raises(UnsupportedFeature):
            opened(msgspec.json.encode(node))


def test_all_problems_of_a_level_are_listed() -> None:
    def change(document: dict[str, Any]) -> None:
        document["graph"]["nodes"][0]["array"] = 7
        document["graph"]["nodes"][2]["array"] = 8
        document["graph"]["arrays"][1]["layout"] = 9

    with pytest.raises(ViewSchemaError) as error:
        opened(changed("joined", change))
    assert [text in str(error.value) for text in ("array 7", "array 8", "layout 9", "3 problems")] == [True] * 4


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_truncation_is_refused(name: str) -> None:
    text = DOCUMENTS[name]
    for stop in range(0, len(text), 7):
        with pytest.raises(ViewError) as error:
            opened(text[:stop])
        assert error.value.reason == "document-syntax"


NUMBER = re.compile(rb"(?<=[\[ ,:])-?[0-9]+(?=[\],\n}])")
STRING = re.compile(rb'"[^"]*"')
NUMBERS = (
    *(b"-1", b"0", b"1", b"2", b"1000000", b"4611686018427387904", b"9223372036854775807", b"9223372036854775808"),
    *(b"18446744073709551615", b"99999999999999999999", b"1e999", b"1.5", b"true", b"null", b"[]", b"{}", b'"x"'),
)
STRINGS = (
    *(b'""', b'"../../../../x"', b'"http://evil/x"', b'"file:///etc/passwd"', b"1", b"null", b"[]", b'"int8"'),
    *(b'"NaN"', b'"string"', b'"r8"', b'"gzip"', b'"sharding_indexed"', b'"numcodecs.delta"', b'"cast_value"'),
)


def mutated(text: bytes, chance: random.Random) -> bytes:
    """A document with one to four changes: flipped bits, cuts, repeats, other numbers, other strings."""
    found = bytearray(text)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(found))
        match chance.randrange(7):
            case 0:
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                del found[at : at + chance.randrange(1, 40)]
            case 2:
                start = chance.randrange(len(found))
                found[at:at] = found[start : start + chance.randrange(1, 60)]
            case 3 | 4:
                _swap(found, NUMBER, NUMBERS, chance)
            case _:
                _swap(found, STRING, (*STRINGS, bytes(chance.choice(STRING.findall(text)))), chance)
    return bytes(found)


def _swap(text: bytearray, what: re.Pattern[bytes], by: tuple[bytes, ...], chance: random.Random) -> None:
    places = [match.span() for match in what.finditer(bytes(text))]
    if places:
        start, stop = chance.choice(places)
        text[start:stop] = chance.choice(by)


def refusal(text: bytes) -> str | None:
    """The place that an error names; None when the document is accepted."""
    try:
        opened(text)
    except LazyZarrError as error:
        return error.where or ""
    return None


def test_mutated_documents_raise_our_errors_only() -> None:
    start_from = seed()
    chance = random.Random(start_from)
    texts = list(DOCUMENTS.values())
    refused = 0
    tracemalloc.start()
    for number in range(MUTATIONS):
        text = mutated(chance.choice(texts), chance)
        start = time.thread_time()
        where = refusal(text)
        refused += where is not None
        assert where != "", (start_from, number)
        assert time.thread_time() - start < SECONDS * 4, (start_from, number)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BYTES
    assert refused > MUTATIONS // 2


def test_many_interleaved_combs_are_decided_without_pairs() -> None:
    count = 2000
    nodes = [
        *(fill(k + 1, 4) for k in range(2)),
        {
            "op": "overlay",
            "inputs": [0] * (count - 1) + [1],
            "origins": [[0, k] for k in range(count)],
            "steps": [[1, count]] * count,
            "shape": [2, 4 * count],
            "fill_value": 0,
        },
    ]
    with little():
        opened(plain(nodes, [2, 4 * count], ("overlay",)))


def test_a_sample_of_each_kind_opens() -> None:
    for text in DOCUMENTS.values():
        opened(text)
    assert opened(encode(joined(), base_url=VIEW).document).graph == joined()
    assert opened(encode(tiled(), base_url=VIEW).document).graph == tiled()
