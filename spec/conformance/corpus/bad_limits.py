"""Bad cases of cost: documents that would take too much, refused before it is taken."""

from __future__ import annotations

import json
from typing import Any

from corpus.documents import HERE, SECOND, SOURCE, Bad, changed, column, group, valid, with_graph

LIMIT = ("ViewLimitError", "limit-exceeded")
GRAPH = f"{HERE}.graph"
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
SHARDS = {
    "name": "sharding_indexed",
    "configuration": {
        "chunk_shape": [2, 3],
        "codecs": [LITTLE, *[{"name": "crc32c"}] * 16],
        "index_codecs": [LITTLE],
        "index_location": "end",
    },
}
BIG = {"data_type": "int16", "fill_value": 0, "chunk_shape": [65536, 65536], "codecs": [LITTLE]}
TEXT = json.dumps(group(valid())).encode()
NESTED = b"[" * 65 + b"]" * 65


def _deep() -> list[Any]:
    """A spiral of concats and stacks, each of which is deeper than the one before."""
    nodes: list[Any] = [SOURCE]
    for level in range(260):
        nodes.append({"op": "concat", "inputs": [level, level], "axis": level % 2})
        nodes[-1]["inputs"] = [level, 0] if level < 1 else [level, level - 1]
    return nodes


def _stored(shape: list[int], codecs: list[Any] | None = None) -> Any:
    how = {"data_type": "int64", "shape": shape, "chunk_shape": shape, "codecs": codecs or [LITTLE]}
    return with_graph(
        [SOURCE, {"op": "take", "input": 0, "axis": 0, "indices": "t"}],
        (shape[0], 6),
        requires=["take"],
        tables={"t": {"folder": "t0", "columns": {"indices": how}}},
    )


VALUES = {"layout": 0, "shape": [1024, 1024], "values": "v"}

CASES = (
    Bad("limit-document-bytes", changed(), *LIMIT, "$", {"document_bytes": 100}),
    Bad("limit-json-depth", TEXT.replace(b'"fill_value": 0', b'"fill_value": ' + NESTED), *LIMIT, "$"),
    Bad("limit-json-values", changed(), *LIMIT, "$", {"json_values": 20}),
    Bad("limit-integer-digits", TEXT.replace(b'"fill_value": 0', b'"fill_value": ' + b"9" * 21), *LIMIT, "$"),
    Bad("limit-nodes", changed(), *LIMIT, f"{GRAPH}.nodes", {"nodes": 2}),
    Bad("limit-edges", changed(), *LIMIT, f"{GRAPH}.nodes", {"edges": 1}),
    Bad("limit-depth", with_graph(_deep()), *LIMIT, f"{GRAPH}.nodes"),
    Bad(
        "limit-rank",
        with_graph([{"op": "fill", "shape": [1] * 33, "data_type": "int16", "value": 0}], [1] * 33),
        *(*LIMIT, f"{GRAPH}.nodes[0].shape"),
    ),
    Bad(
        "limit-rank-by-stacking",
        with_graph(
            [SOURCE, SECOND, {"op": "stack", "inputs": [0, 1], "axis": 0}, {"op": "stack", "inputs": [2], "axis": 0}],
            [1, 2, 4, 6],
        ),
        *(*LIMIT, f"{GRAPH}.nodes[3]"),
        {"rank": 3},
    ),
    Bad("limit-chunk", changed(("graph.layouts.0", BIG)), *LIMIT, f"{GRAPH}.layouts[0].chunk_shape"),
    Bad(
        "limit-codecs",
        changed(("graph.layouts.0.codecs", [LITTLE, *[{"name": "crc32c"}] * 16])),
        *(*LIMIT, f"{GRAPH}.layouts[0].codecs"),
    ),
    Bad(
        "limit-codecs-in-a-shard",
        changed(("graph.layouts.0.codecs", [SHARDS])),
        *(*LIMIT, f"{GRAPH}.layouts[0].codecs"),
    ),
    Bad("limit-url", changed(("graph.arrays.0.location", "../" + "a" * 2046)), *LIMIT, f"{GRAPH}.arrays[0].location"),
    Bad(
        "limit-values-in-document",
        with_graph(
            [SOURCE],
            (1024, 1024),
            layouts=[{**BIG, "chunk_shape": [1024, 1024]}],
            arrays=[VALUES],
            tables={
                "v": {
                    "folder": "t0",
                    "columns": {
                        "values": {
                            "data_type": "int16",
                            "shape": [1024, 1024],
                            "chunk_shape": [1024, 1024],
                            "codecs": [LITTLE],
                        }
                    },
                }
            },
        ),
        *(*LIMIT, f"{GRAPH}.arrays[0]"),
    ),
    Bad(
        "limit-values-in-all",
        with_graph(
            [SOURCE, SECOND, {"op": "concat", "inputs": [0, 1], "axis": 0}],
            (2, 3),
            layouts=[{**BIG, "chunk_shape": [1, 3]}],
            arrays=[{"layout": 0, "shape": [1, 3], "values": name} for name in ("v", "w")],
            tables={
                name: {"columns": {"values": column("int16", [k, k, k], [1, 3])}} for k, name in enumerate(("v", "w"))
            },
        ),
        *(*LIMIT, f"{GRAPH}.arrays"),
        {"inline_total": 11},
    ),
    Bad("limit-column-chunk", _stored([8_000_000]), *LIMIT, f"{GRAPH}.tables.t.columns.indices"),
    Bad(
        "limit-column-codecs",
        _stored([10], [LITTLE, *[{"name": "crc32c"}] * 16]),
        *LIMIT,
        f"{GRAPH}.tables.t.columns.indices",
    ),
    Bad("limit-arrays", changed(), *LIMIT, f"{GRAPH}.arrays", {"arrays": 1}),
    Bad("limit-layout-codecs", changed(), *LIMIT, f"{GRAPH}.layouts", {"layout_codecs": 0}),
    Bad("limit-columns", _stored([10]), *LIMIT, f"{GRAPH}.tables", {"columns": 0}),
    Bad(
        "limit-inline-cells",
        with_graph(
            [SOURCE, {"op": "take", "input": 0, "axis": 0, "indices": "t"}],
            (2, 6),
            requires=["take"],
            tables={"t": {"columns": {"indices": column("int64", [0, 1], [2])}}},
        ),
        *(*LIMIT, f"{GRAPH}.tables"),
        {"inline_cells": 1},
    ),
    Bad(
        "limit-box-pairs",
        with_graph(
            [
                *(SOURCE, SECOND),
                {
                    "op": "overlay",
                    "inputs": [0, 1],
                    "origins": [[0, 0], [2, 0]],
                    "shape": [6, 6],
                    "fill_value": 0,
                    "overlap": "last",
                },
            ],
            (6, 6),
            requires=["overlay"],
        ),
        *(*LIMIT, f"{GRAPH}.nodes[2]"),
        {"box_pairs": 0},
    ),
)
