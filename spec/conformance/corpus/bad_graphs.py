"""Bad cases of graphs: order, references, shapes, types and spelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from corpus.documents import HERE, SECOND, SOURCE, Bad, changed, column, with_graph

NODES = f"{HERE}.graph.nodes"


def _graph(name: str, reason: str, nodes: Sequence[Any], position: int | None = None, **more: Any) -> Bad:
    error = "UnsupportedFeature" if reason == "graph-node" else "ViewSchemaError"
    used = {node.get("op") for node in nodes} & {"take", "broadcast", "overlay", "recode", "decode", "tiles"}
    where = NODES if position is None else f"{NODES}[{position}]"
    where += more.pop("member", "")
    return Bad(name, with_graph(nodes, requires=sorted(used), **more), error, reason, where)


def _index(*axes: Any) -> dict[str, Any]:
    return {"op": "index", "input": 0, "axes": list(axes)}


def _concat(*inputs: int, axis: int = 0) -> dict[str, Any]:
    return {"op": "concat", "inputs": list(inputs), "axis": axis}


def _overlay(origins: Any, steps: Any = None, **more: Any) -> dict[str, Any]:
    node = {"op": "overlay", "inputs": [0, 1], "origins": origins, "shape": [8, 6], "fill_value": 0, **more}
    return node if steps is None else {**node, "steps": steps}


def _fill(*shape: int, **more: Any) -> dict[str, Any]:
    return {"op": "fill", "shape": list(shape), "data_type": "int16", "value": 0, **more}


ALL = [0, 1, 6]
CAST = {"name": "cast_value", "configuration": {"data_type": "int32", "rounding": "nearest-even"}}
UP = {"name": "cast_value", "configuration": {"data_type": "int16", "rounding": "up"}}
SCALE = {"name": "scale_offset", "configuration": {"scale": 2.0}}
OTHER = {
    "data_type": "int16",
    "fill_value": 0,
    "chunk_shape": [4, 6],
    "codecs": [{"name": "bytes", "configuration": {"endian": "big"}}],
}
LAYOUT = {**OTHER, "chunk_shape": [2, 3]}
DOUBLING = [_fill(4), *(_concat(k, k) for k in range(62))]


def _extension(name: str, kind: str, requires: Sequence[str], error: str, reason: str, where: str) -> Bad:
    node = {"op": "extension", "inputs": [2], "kind": {"name": kind, "configuration": {"shape": [8, 6]}}}
    return Bad(name, with_graph([SOURCE, SECOND, _concat(0, 1), node], requires=requires), error, reason, where)


def _reshape(name: str, configuration: dict[str, Any], error: str, reason: str, where: str) -> Bad:
    """A node of the example in the documentation, which most readers do not have."""
    node = {"op": "extension", "inputs": [2], "kind": {"name": RESHAPE, "configuration": configuration}}
    document = with_graph([SOURCE, SECOND, _concat(0, 1), node], (48,), requires=[RESHAPE])
    knowing = {"kind": RESHAPE, "error": error, "reason": reason, "where": where}
    return Bad(name, document, "UnsupportedFeature", "document-requires", f"{HERE}.requires", knowing=knowing)


def _with_code(member: str, value: str) -> Bad:
    node = {"op": "extension", "inputs": [2], "kind": {"name": NOBODYS, "configuration": {}, member: value}}
    document = with_graph([SOURCE, SECOND, _concat(0, 1), node], requires=[NOBODYS])
    name = f"extension-with-{member.replace('_', '-')}"
    return Bad(name, document, "UnsupportedFeature", "document-requires", f"{HERE}.requires")


RESHAPE = "example.reshape"
NOBODYS = "conformance.nobody-has-this"

CASES = (
    _extension(
        *("extension-not-known", NOBODYS, [NOBODYS]),
        *("UnsupportedFeature", "document-requires", f"{HERE}.requires"),
    ),
    _extension(
        *("extension-not-listed", NOBODYS, []),
        *("ViewSchemaError", "document-requires", f"{HERE}.requires"),
    ),
    _extension(
        *("extension-of-another-name", "take", ["take"]),
        *("UnsupportedFeature", "graph-node", f"{NODES}[3].kind.name"),
    ),
    _reshape(
        *("extension-with-an-unknown-parameter", {"shape": [48], "order": "F"}),
        *("ViewSchemaError", "document-member", f"{NODES}[3].kind.configuration"),
    ),
    _reshape(
        *("extension-without-a-parameter", {}),
        *("ViewSchemaError", "document-member", f"{NODES}[3].kind.configuration"),
    ),
    _reshape(
        *("extension-of-inputs-that-do-not-fit", {"shape": [47]}),
        *("ViewSchemaError", "graph-shape", f"{NODES}[3]"),
    ),
    _with_code("module", "https://data.example/kind.py"),
    _with_code("entry_point", "os:system"),
    _graph("graph-empty", "graph-empty", []),
    _graph("graph-node-unknown", "graph-node", [SOURCE, {"op": "sort", "input": 0}], 1, member=".op"),
    _graph("graph-where", "graph-node", [SOURCE, SECOND, {"op": "where", "inputs": [0, 1]}], 2, member=".op"),
    _graph("graph-cycle-of-one", "graph-order", [SOURCE, SECOND, _concat(0, 1, 2)], 2),
    _graph("graph-cycle-of-two", "graph-order", [SOURCE, _concat(0, 2), _concat(0, 1)], 1),
    _graph("graph-input-behind", "graph-order", [_concat(1, 2), SOURCE, SECOND], 0),
    _graph("graph-input-negative", "graph-order", [SOURCE, SECOND, _concat(0, -2)], 2),
    _graph("graph-input-beyond-the-end", "graph-order", [SOURCE, SECOND, _concat(0, 99)], 2),
    _graph("graph-unreachable", "graph-unreachable", [SOURCE, SECOND, _fill(3), _concat(0, 1)], 2),
    _graph("graph-duplicate-sources", "graph-duplicate", [SOURCE, SOURCE, _concat(0, 1)], 1),
    _graph(
        *("graph-duplicate-indices", "graph-duplicate"),
        *([SOURCE, _index([0, 1, 4], ALL[::1]), _index([0, 1, 4], [0, 1, 6]), _concat(1, 2)], 2),
    ),
    _graph("graph-array-not-there", "graph-reference", [{"op": "source", "array": 2}], 0, member=".array"),
    _graph(
        *("graph-layout-not-there", "graph-reference", [SOURCE, {"op": "recode", "input": 0, "layout": 5}], 1),
        member=".layout",
    ),
    _graph(
        *(
            "graph-table-not-there",
            "graph-reference",
            [SOURCE, {"op": "take", "input": 0, "axis": 0, "indices": "t"}],
            1,
        ),
        member=".indices",
    ),
    Bad(
        "graph-layout-of-array-not-there",
        changed(("graph.arrays.1.layout", 3)),
        *("ViewSchemaError", "graph-reference", f"{HERE}.graph.arrays[1].layout"),
    ),
    _graph("graph-step-zero", "graph-canonical", [SOURCE, _index([0, 0, 4], ALL)], 1, member=".axes[0]"),
    _graph("graph-span-of-one-with-step", "graph-canonical", [SOURCE, _index([2, -3, 1], ALL)], 1, member=".axes[0]"),
    _graph("graph-empty-span-with-start", "graph-canonical", [SOURCE, _index([2, 1, 0], ALL)], 1, member=".axes[0]"),
    _graph("graph-span-of-negative-count", "graph-canonical", [SOURCE, _index([2, 1, -1], ALL)], 1, member=".axes[0]"),
    _graph("graph-span-outside", "graph-shape", [SOURCE, _index([1, 1, 4], ALL)], 1),
    _graph("graph-span-before-the-start", "graph-shape", [SOURCE, _index([2, -1, 4], ALL)], 1),
    _graph("graph-cell-outside", "graph-shape", [SOURCE, _index(4, ALL)], 1),
    _graph("graph-cell-negative", "graph-shape", [SOURCE, _index(-1, ALL)], 1),
    _graph("graph-index-of-another-rank", "graph-shape", [SOURCE, _index(ALL)], 1),
    _graph(
        *(
            "graph-transpose-twice-the-same-axis",
            "graph-shape",
            [SOURCE, {"op": "transpose", "input": 0, "axes": [0, 0]}],
            1,
        ),
    ),
    _graph(
        *("graph-broadcast-of-a-longer-axis", "graph-shape"),
        *([SOURCE, {"op": "broadcast", "input": 0, "shape": [8, 6], "axes": [0, 1]}], 1),
    ),
    _graph(
        *("graph-broadcast-out-of-order", "graph-shape"),
        *([SOURCE, {"op": "broadcast", "input": 0, "shape": [6, 4], "axes": [1, 0]}], 1),
    ),
    _graph("graph-concat-of-nothing", "graph-shape", [_concat()], 0),
    _graph("graph-concat-of-other-lengths", "graph-shape", [SOURCE, _fill(3, 5), _concat(0, 1)], 2),
    _graph("graph-concat-of-another-rank", "graph-shape", [SOURCE, _fill(6), _concat(0, 1)], 2),
    _graph("graph-concat-axis", "graph-shape", [SOURCE, SECOND, _concat(0, 1, axis=2)], 2),
    _graph(
        *("graph-concat-of-other-types", "graph-type"),
        *([SOURCE, _fill(4, 6, data_type="int32"), _concat(0, 1)], 2),
    ),
    _graph(
        *(
            "graph-stack-of-other-shapes",
            "graph-shape",
            [SOURCE, _fill(3, 6), {"op": "stack", "inputs": [0, 1], "axis": 0}],
            2,
        ),
    ),
    _graph("graph-doubling", "graph-shape", DOUBLING, 61),
    _graph("graph-fill-too-large", "graph-shape", [_fill(2**32, 2**32)], 0),
    _graph("graph-fill-value", "fill-invalid", [_fill(2, value=40000)], 0),
    _graph("graph-overlay-outside", "graph-shape", [SOURCE, SECOND, _overlay([[0, 0], [5, 0]])], 2),
    _graph(
        "graph-overlay-before-the-start",
        "graph-shape",
        [SOURCE, SECOND, _overlay([[0, 0], [-1, 0]])],
        2,
    ),
    _graph("graph-overlay-without-origin", "graph-shape", [SOURCE, SECOND, _overlay([[0, 0]])], 2),
    _graph(
        *("graph-overlay-step-zero", "graph-shape"),
        *([SOURCE, SECOND, _overlay([[0, 0], [4, 0]], [[0, 1], [1, 1]])], 2),
    ),
    _graph("graph-overlay-that-overlaps", "overlap", [SOURCE, SECOND, _overlay([[0, 0], [3, 0]])], 2),
    _graph(
        *("graph-overlay-combs-that-meet", "overlap"),
        *([SOURCE, SECOND, _overlay([[0, 0], [2, 0]], [[2, 1], [1, 1]])], 2),
    ),
    Bad(
        "graph-overlay-rule-unknown",
        with_graph([SOURCE, SECOND, _overlay([[0, 0], [4, 0]], overlap="brightest")], requires=["overlay"]),
        *("ViewSchemaError", "document-member", f"{NODES}[2].overlap"),
    ),
    _graph(
        *("graph-recode-of-a-concat", "graph-type"),
        *([SOURCE, SECOND, _concat(0, 1), {"op": "recode", "input": 2, "layout": 1}], 3),
        layouts=[LAYOUT, {**LAYOUT, "fill_value": 1}],
    ),
    _graph(
        *("graph-recode-to-other-chunks", "graph-shape", [SOURCE, {"op": "recode", "input": 0, "layout": 1}], 1),
        layouts=[LAYOUT, OTHER],
    ),
    _graph(
        *("graph-decode-without-codec", "codec-invalid"),
        *([SOURCE, {"op": "decode", "input": 0, "codecs": [], "data_type": "int16", "fill_value": 0}], 1),
        member=".codecs",
    ),
    _graph(
        *("graph-decode-that-is-not-value-wise", "codec-invalid"),
        *(
            [SOURCE, {"op": "decode", "input": 0, "codecs": [{"name": "gzip"}], "data_type": "int16", "fill_value": 0}],
            1,
        ),
        member=".codecs",
    ),
    _graph(
        *("graph-decode-of-another-type", "graph-type"),
        *([SOURCE, {"op": "decode", "input": 0, "codecs": [CAST], "data_type": "float64", "fill_value": 0.0}], 1),
        data_type="float64",
        fill_value=0.0,
        shape=[4, 6],
    ),
    _graph(
        *("graph-decode-of-an-unknown-rounding", "codec-invalid"),
        *([SOURCE, {"op": "decode", "input": 0, "codecs": [UP], "data_type": "float64", "fill_value": 0.0}], 1),
        data_type="float64",
        fill_value=0.0,
        shape=[4, 6],
        member=".codecs",
    ),
    _graph(
        *("graph-decode-of-what-scale-does-not-take", "graph-type"),
        *([SOURCE, {"op": "decode", "input": 0, "codecs": [SCALE], "data_type": "float64", "fill_value": 0.0}], 1),
        data_type="float64",
        fill_value=0.0,
        shape=[4, 6],
    ),
    _graph(
        *("graph-take-axis", "graph-shape", [SOURCE, {"op": "take", "input": 0, "axis": 2, "indices": "t"}], 1),
        tables={"t": {"columns": {"indices": column("int64", [0])}}},
    ),
)
