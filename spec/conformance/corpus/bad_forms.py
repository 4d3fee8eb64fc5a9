"""Bad cases of text, members and version: what is refused before a graph is looked at."""

from __future__ import annotations

import json

from corpus.documents import DROP, HERE, Bad, changed, group, valid

TEXT = json.dumps(group(valid())).encode()


def _text(name: str, document: bytes) -> Bad:
    return Bad(name, document, "ViewSyntaxError", "document-syntax", "$")


def _member(name: str, where: str, *changes: tuple[str, object]) -> Bad:
    return Bad(name, changed(*changes), "ViewSchemaError", "document-member", where)


def _extra(name: str, where: str, *changes: tuple[str, object]) -> Bad:
    return Bad(name, changed(*changes), "UnsupportedFeature", "document-member", where)


def _missing(name: str, document: object, where: str) -> Bad:
    return Bad(name, document, "ViewSchemaError", "document-missing", where)


def _unknown(name: str, where: str, document: object, reason: str = "document-requires") -> Bad:
    return Bad(name, document, "UnsupportedFeature", reason, where)


CASES = (
    _text("text-empty", b""),
    _text("text-cut-off", TEXT[: len(TEXT) // 2]),
    _text("text-behind-the-end", TEXT + b"{}"),
    _text("text-byte-order-mark", b"\xef\xbb\xbf" + TEXT),
    _text("text-utf-16", TEXT.decode().encode("utf-16")),
    _text("text-latin-1", TEXT.replace(b'"lazyzarr"', b'"lazyz\xe4rr"', 1)),
    _text("text-member-twice", TEXT.replace(b'"version": 1', b'"version": 1, "version": 1')),
    _text("text-attribute-twice", TEXT.replace(b'"attributes": {', b'"attributes": {"a": 1, "a": 2, ')),
    _text("text-nan", TEXT.replace(b'"fill_value": 0', b'"fill_value": NaN')),
    _text("text-infinity", TEXT.replace(b'"fill_value": 0', b'"fill_value": -Infinity')),
    _text("text-comment", TEXT.replace(b'"requires"', b'/* none */ "requires"')),
    _text("text-trailing-comma", TEXT.replace(b'"requires": []', b'"requires": [],,')),
    _text("text-control-character", TEXT.replace(b'"lazyzarr"', b'"lazy\nzarr"', 1)),
    _missing("group-without-document", {"zarr_format": 3, "node_type": "group", "attributes": {}}, "$.attributes"),
    _missing(
        "array-instead-of-group",
        {"zarr_format": 3, "node_type": "array", "attributes": {"lazyzarr": valid()}},
        "$",
    ),
    _missing("zarr-format-2", {**group(valid()), "zarr_format": 2}, "$"),
    Bad(
        "group-without-node-type",
        {"zarr_format": 3, "attributes": {"lazyzarr": valid()}},
        *("ViewSchemaError", "document-member", "$"),
    ),
    Bad("document-is-a-list", group([valid()]), "ViewSchemaError", "document-member", HERE),
    Bad("top-level-is-a-list", [group(valid())], "ViewSchemaError", "document-member", "$"),
    _unknown("group-member-must-be-understood", "$", {**group(valid()), "lock": {"must_understand": True}}),
    _unknown("group-member-unknown", "$", {**group(valid()), "lock": {}}),
    _unknown("version-later", f"{HERE}.version", changed(("version", 2)), "document-version"),
    _unknown("version-zero", f"{HERE}.version", changed(("version", 0)), "document-version"),
    _member("version-is-text", f"{HERE}.version", ("version", "1")),
    _member("version-missing", HERE, ("version", DROP)),
    _unknown(
        "version-later-with-other-members",
        f"{HERE}.version",
        group({"version": 7, "requires": [], "tree": {}}),
        "document-version",
    ),
    _unknown("requires-unknown", f"{HERE}.requires", changed(("requires", ["sort"]))),
    _unknown("requires-unknown-codec", f"{HERE}.requires", changed(("requires", ["lazyzarr.secret"]))),
    Bad(
        "requires-does-not-list-what-is-used",
        changed(
            (
                "graph.nodes",
                [{"op": "source", "array": 0}, {"op": "broadcast", "input": 0, "shape": [2, 4, 6], "axes": [1, 2]}],
            ),
            ("schema.shape", [2, 4, 6]),
        ),
        *("ViewSchemaError", "document-requires", f"{HERE}.requires"),
    ),
    _member("requires-is-an-object", f"{HERE}.requires", ("requires", {})),
    _member("schema-missing", HERE, ("schema", DROP)),
    _member("graph-missing", HERE, ("graph", DROP)),
    _extra("member-unknown", HERE, ("comment", "hello")),
    _extra("member-of-later-versions", HERE, ("statistics", {"form": "rows", "path": "statistics"})),
    _extra("environment-in-document", HERE, ("storage_options", {"key": "AKIA", "secret": "x"})),
    _extra("member-of-node-unknown", f"{HERE}.graph.nodes[0]", ("graph.nodes.0.where", "x > 1")),
    _member("member-of-node-missing", f"{HERE}.graph.nodes[2]", ("graph.nodes.2.axis", DROP)),
    _extra("member-of-array-unknown", f"{HERE}.graph.arrays[0]", ("graph.arrays.0.endpoint", "http://proxy.example")),
    _extra("member-of-layout-unknown", f"{HERE}.graph.layouts[0]", ("graph.layouts.0.storage_transformers", [])),
    _member("inputs-are-texts", f"{HERE}.graph.nodes[2].inputs[0]", ("graph.nodes.2.inputs", ["a", "b"])),
    _member("position-is-a-fraction", f"{HERE}.graph.nodes[0].array", ("graph.nodes.0.array", 0.5)),
    _member("shape-is-negative", f"{HERE}.graph.arrays[0].shape[0]", ("graph.arrays.0.shape", [-4, 6])),
    _member("shape-is-true", f"{HERE}.schema.shape[0]", ("schema.shape", [True, 6])),
    _member(
        "grid-of-another-rank", f"{HERE}.grid", ("grid", {"name": "regular", "configuration": {"chunk_shape": [4]}})
    ),
    _member(
        "grid-of-length-zero", f"{HERE}.grid", ("grid", {"name": "regular", "configuration": {"chunk_shape": [4, 0]}})
    ),
    _member("grid-unknown", f"{HERE}.grid", ("grid", {"name": "hexagonal", "configuration": {}})),
    Bad("schema-shape", changed(("schema.shape", [8, 7])), "ViewSchemaError", "document-schema", f"{HERE}.schema"),
    Bad("schema-type", changed(("schema.data_type", "int32")), "ViewSchemaError", "document-schema", f"{HERE}.schema"),
    Bad("schema-fill", changed(("schema.fill_value", 1)), "ViewSchemaError", "document-schema", f"{HERE}.schema"),
    Bad(
        "schema-dimension-names",
        changed(("schema.dimension_names", ["x"])),
        *("ViewSchemaError", "document-schema", f"{HERE}.schema"),
    ),
)
