"""A bad case: one JSON file with a document and how it is refused.

Owns the file and the valid document that cases change in one place. A document is refused when it is opened as the
``zarr.json`` of ``https://data.example/views/v.zarr`` by a reader that allows what is below its parent.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from corpus.cases import write_json
from corpus.rules import rules_of

Json = Any
CONVENTION = {"uuid": "6f1c2b0e-7a54-4d0f-9b1e-2f4f0c6a8d53", "name": "lazyzarr"}
HERE = "$.attributes.lazyzarr"


class Bad(NamedTuple):
    """A document that is refused."""

    name: str
    document: Json | bytes
    """The ``zarr.json`` as JSON, or its bytes where they are what is wrong."""
    error: str
    """Class of the error."""
    reason: str
    where: str
    """JSON path by rule G-027."""
    limits: Mapping[str, int] = {}
    """Limits that the reader sets; the others are the default ones."""
    knowing: Mapping[str, str] = {}
    """The kind of another package that the document uses, and how a reader refuses it that has the kind."""


def write_bad(cases: Sequence[Bad], into: Path) -> int:
    """Write one file for each case; the number of them."""
    into.mkdir(exist_ok=True)
    for case in cases:
        content: dict[str, Json] = {
            "rules": rules_of(f"bad/{case.name}"),
            "error": case.error,
            "reason": case.reason,
            "where": case.where,
        }
        if case.limits:
            content["limits"] = dict(case.limits)
        if case.knowing:
            content["knowing"] = dict(case.knowing)
        if isinstance(case.document, bytes):
            content["document_base64"] = base64.b64encode(case.document).decode()
        else:
            content["document"] = case.document
        path = into / f"{case.name}.json"
        if path.exists():
            raise ValueError(f"two cases are named {case.name}")
        write_json(path, content)
    return len(cases)


def group(document: Json) -> Json:
    """The group that holds a document."""
    attributes = {"zarr_conventions": [CONVENTION], "lazyzarr": document}
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def valid() -> Json:
    """The document of a concat of two sources, (8, 6) int16."""
    layout = {
        "data_type": "int16",
        "fill_value": 0,
        "chunk_shape": [2, 3],
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }
    return {
        "version": 1,
        "requires": [],
        "schema": {"shape": [8, 6], "data_type": "int16", "fill_value": 0},
        "graph": {
            "nodes": [
                {"op": "source", "array": 0},
                {"op": "source", "array": 1},
                {"op": "concat", "inputs": [0, 1], "axis": 0},
            ],
            "layouts": [layout],
            "arrays": [
                {"layout": 0, "shape": [4, 6], "location": "../a.zarr"},
                {"layout": 0, "shape": [4, 6], "location": "../b.zarr"},
            ],
        },
    }


def changed(*changes: tuple[str, Json]) -> Json:
    """The group of the valid document with members replaced: (path with dots, value); `DROP` takes one away."""
    document = valid()
    for path, value in changes:
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        inner: Any = document
        for part in way:
            inner = inner[part]
        if value is DROP:
            del inner[last]
        else:
            inner[last] = copy.deepcopy(value)
    return group(document)


def with_graph(
    nodes: Sequence[Json],
    shape: Sequence[int] = (8, 6),
    *,
    requires: Sequence[str] = (),
    layouts: Sequence[Json] | None = None,
    arrays: Sequence[Json] | None = None,
    tables: Mapping[str, Json] | None = None,
    data_type: Json = "int16",
    fill_value: Json = 0,
) -> Json:
    """The group of a document with these nodes."""
    document = valid()
    graph = document["graph"]
    graph["nodes"] = list(nodes)
    graph["layouts"] = graph["layouts"] if layouts is None else list(layouts)
    graph["arrays"] = graph["arrays"] if arrays is None else list(arrays)
    if tables is not None:
        graph["tables"] = dict(tables)
    document["requires"] = sorted(requires)
    document["schema"] = {"shape": list(shape), "data_type": data_type, "fill_value": fill_value}
    return group(document)


def column(data_type: str, data: Sequence[Json], shape: Sequence[int] | None = None) -> Json:
    """A column that is inside the document."""
    return {"data_type": data_type, "shape": list(shape or [len(data)]), "data": list(data)}


DROP = object()
SOURCE = {"op": "source", "array": 0}
SECOND = {"op": "source", "array": 1}
