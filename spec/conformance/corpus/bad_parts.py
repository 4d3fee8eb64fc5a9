"""Bad cases of layouts, types, fill values, codecs and tables."""

from __future__ import annotations

from typing import Any

from corpus.documents import HERE, SOURCE, Bad, changed, column, with_graph

LAYOUT = f"{HERE}.graph.layouts[0]"
ARRAY = f"{HERE}.graph.arrays[0]"
NODE = f"{HERE}.graph.nodes[0]"
TABLES = f"{HERE}.graph.tables"
CODECS = f"{LAYOUT}.codecs"
SCALES = f"{TABLES}.t.columns.scale_factor"
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
SHARDS = {"chunk_shape": [2, 3], "codecs": [LITTLE], "index_codecs": [LITTLE], "index_location": "end"}
UNPACK = {"name": "lazyzarr.unpack", "configuration": {"scale_factor": "2"}}
WHOLE = {"data_type": "int16", "fill_value": 0, "chunk_shape": [4, 6], "codecs": [LITTLE]}


def _layout(name: str, member: str, value: Any, error: str, reason: str, where: str) -> Bad:
    return Bad(name, changed((f"graph.layouts.0.{member}", value)), error, reason, where)


def _codecs(name: str, codecs: list[Any], reason: str = "codec-invalid", where: str = CODECS) -> Bad:
    error = "ViewSchemaError" if reason == "codec-invalid" else "UnsupportedFeature"
    return _layout(name, "codecs", codecs, error, reason, where)


def _type(name: str, data_type: Any) -> Bad:
    return _layout(name, "data_type", data_type, "ViewSchemaError", "type-unknown", LAYOUT)


def _fill(name: str, data_type: str, value: Any) -> Bad:
    changes = (("graph.layouts.0.data_type", data_type), ("graph.layouts.0.fill_value", value))
    return Bad(name, changed(*changes), "ViewSchemaError", "fill-invalid", LAYOUT)


def _take(name: str, table: Any, where: str = f"{TABLES}.t.columns.indices", reason: str = "table-invalid") -> Bad:
    document = with_graph(
        [SOURCE, {"op": "take", "input": 0, "axis": 0, "indices": "t"}],
        (2, 6),
        requires=["take"],
        tables={"t": {"columns": table}},
    )
    error = "UnsupportedFeature" if reason == "document-member" else "ViewSchemaError"
    return Bad(name, document, error, reason, where)


def _refs(name: str, table: Any, where: str, **array: Any) -> Bad:
    stored = {"layout": 0, "shape": [4, 6], "location": "../a.bin", "refs": "r", **array}
    tables = {"r": {"columns": table}}
    document = with_graph([SOURCE], (4, 6), layouts=[WHOLE], arrays=[stored], tables=tables)
    return Bad(name, document, "ViewSchemaError", "table-invalid", where)


def _values(name: str, table: Any, where: str = f"{TABLES}.v.columns.values") -> Bad:
    stored = {"layout": 0, "shape": [4, 6], "values": "v"}
    tables = {"v": {"columns": table}}
    document = with_graph([SOURCE], (4, 6), layouts=[WHOLE], arrays=[stored], tables=tables)
    return Bad(name, document, "ViewSchemaError", "table-invalid", where)


def _array(name: str, array: Any, reason: str, where: str) -> Bad:
    stored = {"layout": 0, "shape": [4, 6], **array}
    document = with_graph(
        [SOURCE], (4, 6), arrays=[stored], tables={"v": {"columns": {"values": column("int16", [0] * 24, [4, 6])}}}
    )
    return Bad(name, document, "ViewSchemaError", reason, where)


def _tiles(name: str, reason: str, where: str, **columns: Any) -> Bad:
    table = {
        "origin": column("int64", [0, 0, 4, 0], [2, 2]),
        "shape": column("int64", [4, 6, 4, 6], [2, 2]),
        "layout": column("int32", [0, 0]),
        "url": column("string", ["../a.zarr", "../b.zarr"]),
        **columns,
    }
    node = {"op": "tiles", "table": "t", "shape": [8, 6], "data_type": "int16", "fill_value": 0, "layouts": [0]}
    tables = {"t": {"columns": {key: value for key, value in table.items() if value is not None}}}
    error = "AccessDenied" if reason == "access-denied" else "ViewSchemaError"
    return Bad(name, with_graph([node], requires=["tiles"], arrays=[], tables=tables), error, reason, where)


def _row_values(name: str, reason: str, where: str, **changes: Any) -> Bad:
    """Tiles whose scale is in a column; ``changes`` are of the table, the codec, the layout, or what uses it."""
    given = {
        "numbers": [0.5, 0.25],
        "codecs": 1,
        "user": "tiles",
        "requires": ("lazyzarr.unpack", "row-values", "tiles"),
    }
    given |= changes
    kind = given.get("arithmetic", "float32")
    unpack = {
        "name": "lazyzarr.unpack",
        "configuration": {
            "scale_factor": "row",
            "add_offset": None,
            "fill_values": [],
            "stored_type": "int16",
            "data_type": "float32",
            "arithmetic": kind,
        },
    }
    again = {"name": "lazyzarr.unpack", "configuration": unpack["configuration"] | {"data_type": "int16"}}
    codecs = [unpack, again, LITTLE] if given["codecs"] == 2 else [LITTLE] if given["codecs"] == 0 else [unpack, LITTLE]
    layout = {
        "data_type": "float32",
        "fill_value": given.get("fill_value", 0.0),
        "chunk_shape": [2, 3],
        "codecs": codecs,
    }
    table = {
        "origin": column("int64", [0, 0, 4, 0], [2, 2]),
        "shape": column("int64", [4, 6, 4, 6], [2, 2]),
        "layout": column("int32", [0, 0]),
        "url": column("string", ["../a.zarr", "../b.zarr"]),
    }
    if given["numbers"] is not None:
        table["scale_factor"] = column(given.get("type", "float64"), given["numbers"])
    node = {"op": "tiles", "table": "t", "shape": [8, 6], "data_type": "float32", "fill_value": 0.0, "layouts": [0]}
    parts: dict[str, Any] = {"arrays": [], "layouts": [layout], "tables": {"t": {"columns": table}}}
    nodes: list[Any] = [node]
    shape = (8, 6)
    if given["user"] == "source":
        parts |= {"arrays": [{"layout": 0, "shape": [4, 6], "location": "../a.zarr"}], "tables": {}}
        nodes, shape = [SOURCE], (4, 6)
    elif given["user"] == "recode":
        nodes = [node, {"op": "recode", "input": 0, "layout": 0}]
    document = with_graph(nodes, shape, requires=given["requires"], data_type="float32", fill_value=0.0, **parts)
    return Bad(name, document, "ViewSchemaError", reason, where)


def _stored_column(name: str, reason: str = "table-invalid", **column: Any) -> Bad:
    how = {"data_type": "int64", "shape": [500], "chunk_shape": [500], "codecs": [LITTLE], **column}
    document = with_graph(
        [SOURCE, {"op": "take", "input": 0, "axis": 0, "indices": "t"}],
        (500, 6),
        requires=["take"],
        tables={"t": {"folder": "t0", "columns": {"indices": how}}},
    )
    error = "UnsupportedFeature" if reason == "codec-unknown" else "ViewSchemaError"
    return Bad(name, document, error, reason, f"{TABLES}.t.columns.indices")


def _cast(name: str, **configuration: Any) -> Bad:
    codec = {"name": "cast_value", "configuration": {"data_type": "int8", **configuration}}
    return _codecs(name, [codec, LITTLE])


def _unpack(name: str, **configuration: Any) -> Bad:
    types = {"stored_type": "int8", "data_type": "float32", "arithmetic": "float32"}
    codec = {"name": "lazyzarr.unpack", "configuration": {**types, **configuration}}
    changes = (
        *(("requires", ["lazyzarr.unpack"]), ("graph.layouts.0.codecs", [codec, LITTLE])),
        ("graph.layouts.0.data_type", "float32"),
    )
    return Bad(name, changed(*changes), "ViewSchemaError", "codec-invalid", CODECS)


FOLDER_UP = with_graph(
    [SOURCE, {"op": "take", "input": 0, "axis": 0, "indices": "t"}],
    (2, 6),
    requires=["take"],
    tables={"t": {"folder": "../../secret", "columns": {}}},
)

CASES = (
    _type("type-unknown", "float128"),
    _type("type-object", "object"),
    _type("type-unknown-unit", {"name": "numpy.datetime64", "configuration": {"unit": "fortnight", "scale_factor": 1}}),
    _type("type-of-no-length", {"name": "fixed_length_utf32", "configuration": {}}),
    _fill("fill-too-large", "int8", 128),
    _fill("fill-is-text", "int16", "zero"),
    _fill("fill-is-a-fraction", "int16", 0.5),
    _fill("fill-is-true", "int16", True),
    _fill("fill-with-wrong-payload", "float32", "0x7fc0"),
    _fill("fill-of-one-part", "complex64", 1.0),
    _codecs("codec-unknown", [LITTLE, {"name": "middle-out"}], "codec-unknown"),
    _codecs("codec-pickle", [LITTLE, {"name": "numcodecs.pickle"}], "codec-unknown"),
    _codecs("codec-none", []),
    _codecs("codec-two-serializers", [LITTLE, LITTLE]),
    _codecs("codec-order", [{"name": "gzip", "configuration": {"level": 1}}, LITTLE]),
    _codecs("codec-transpose-twice-the-same-axis", [{"name": "transpose", "configuration": {"order": [0, 0]}}, LITTLE]),
    _codecs("codec-transpose-of-another-rank", [{"name": "transpose", "configuration": {"order": [0]}}, LITTLE]),
    _codecs("codec-bytes-middle-endian", [{"name": "bytes", "configuration": {"endian": "middle"}}]),
    _codecs("codec-member-unknown", [{**LITTLE, "mode": "fast"}], "document-member", f"{CODECS}[0]"),
    _codecs(
        "codec-shards-that-do-not-divide",
        [{"name": "sharding_indexed", "configuration": {**SHARDS, "chunk_shape": [2, 2]}}],
    ),
    _codecs("codec-shards-without-codecs", [{"name": "sharding_indexed", "configuration": {**SHARDS, "codecs": True}}]),
    Bad(
        "codec-unpack-of-text",
        changed(("requires", ["lazyzarr.unpack"]), ("graph.layouts.0.codecs", [UNPACK, LITTLE])),
        *("ViewSchemaError", "codec-invalid", CODECS),
    ),
    _cast("codec-cast-with-another-member", dither=True),
    _cast("codec-cast-of-a-map-that-is-null", scalar_map={"decode": None}),
    _cast("codec-cast-of-a-map-that-is-an-object", scalar_map={"decode": {"1": 2}}),
    _cast("codec-cast-of-a-map-with-another-member", scalar_map={"both": [[1, 2]]}),
    _cast("codec-cast-of-a-fraction", scalar_map={"decode": [[1.5, 2]]}),
    _cast("codec-cast-of-a-text", scalar_map={"decode": [[" 1", 2]]}),
    _codecs("codec-scale-with-another-member", [{"name": "scale_offset", "configuration": {"bias": 1}}, LITTLE]),
    _codecs("codec-scale-of-a-fraction", [{"name": "scale_offset", "configuration": {"scale": 2.5}}, LITTLE]),
    _unpack("codec-unpack-with-another-member", bias=1),
    _unpack("codec-unpack-of-fills-that-are-null", fill_values=None),
    _unpack("codec-unpack-of-a-fill-of-another-type", fill_values=[1000]),
    _unpack("codec-unpack-by-a-text", scale_factor="2.5"),
    _layout("chunk-of-length-zero", "chunk_shape", [0, 3], "ViewSchemaError", "graph-shape", f"{LAYOUT}.chunk_shape"),
    _layout("chunk-of-another-rank", "chunk_shape", [2], "ViewSchemaError", "graph-shape", ARRAY),
    _layout(
        "chunk-keys-unknown",
        "chunk_keys",
        {"name": "hilbert"},
        "UnsupportedFeature",
        "codec-unknown",
        f"{LAYOUT}.chunk_keys",
    ),
    _layout(
        *("chunk-keys-separator", "chunk_keys", {"name": "default", "configuration": {"separator": "../"}}),
        *("ViewSchemaError", "codec-invalid", f"{LAYOUT}.chunk_keys"),
    ),
    _take("table-without-columns", {}, f"{TABLES}.t"),
    _take("table-with-another-column", {"rows": column("int64", [0, 1])}, f"{TABLES}.t"),
    _take(
        "table-of-columns-with-further-members",
        {"indices": {**column("int64", [0, 1]), "unit": "cells"}},
        reason="document-member",
    ),
    Bad(
        "table-of-a-name-with-a-dot",
        with_graph(
            [SOURCE, {"op": "take", "input": 0, "axis": 0, "indices": "rows.of-2020"}],
            (2, 6),
            requires=["take"],
            tables={"rows.of-2020": {"columns": {"indices": column("int64", [0, 4])}}},
        ),
        *("ViewSchemaError", "table-invalid", f'{TABLES}["rows.of-2020"].columns.indices'),
    ),
    _take("table-of-another-type", {"indices": column("int32", [0, 1])}),
    _take("table-shorter-than-its-shape", {"indices": column("int64", [0], [2])}),
    _take("table-of-another-rank", {"indices": column("int64", [0, 1], [2, 1])}),
    _take("table-index-outside", {"indices": column("int64", [0, 4])}),
    _take("table-index-negative", {"indices": column("int64", [0, -1])}),
    _take("table-without-cells", {"indices": {"data_type": "int64", "shape": [2]}}),
    _refs("refs-without-length", {"offset": column("uint64", [0])}, f"{TABLES}.r"),
    _refs("refs-too-few", {"offset": column("uint64", []), "length": column("uint64", [])}, ARRAY),
    _refs(
        "refs-of-unequal-length",
        {"offset": column("uint64", [0]), "length": column("uint64", [48, 48])},
        f"{TABLES}.r",
    ),
    _refs(
        "refs-state-unknown",
        {"offset": column("uint64", [0]), "length": column("uint64", [48]), "state": column("uint8", [4])},
        f"{TABLES}.r.columns.state",
    ),
    _refs(
        "refs-inline-without-table",
        {"offset": column("uint64", [0]), "length": column("uint64", [48]), "state": column("uint8", [3])},
        f"{TABLES}.r.columns.state",
    ),
    _refs(
        "refs-layout-outside",
        {"offset": column("uint64", [0]), "length": column("uint64", [48]), "layout": column("int32", [1])},
        f"{TABLES}.r.columns.layout",
    ),
    _refs(
        "refs-place-outside",
        {"offset": column("uint64", [0]), "length": column("uint64", [48]), "place": column("int32", [1])},
        f"{TABLES}.r.columns.place",
    ),
    _refs(
        "refs-first-outside", {"offset": column("uint64", [0]), "length": column("uint64", [48])}, ARRAY, refs_first=1
    ),
    _values("values-of-another-shape", {"values": column("int16", [0] * 24, [6, 4])}),
    _values("values-of-another-type", {"values": column("int32", [0] * 24, [4, 6])}),
    _values(
        "values-with-another-column",
        {"values": column("int16", [0] * 24, [4, 6]), "more": column("int8", [0])},
        f"{TABLES}.v",
    ),
    _array("array-without-location", {}, "document-member", f"{HERE}.graph.arrays[0]"),
    _array(
        "array-with-location-and-values",
        {"location": "../a.zarr", "values": "v"},
        "document-member",
        f"{HERE}.graph.arrays[0]",
    ),
    _array(
        "array-with-variants-without-refs",
        {"location": "../a.zarr", "variants": [0]},
        "document-member",
        f"{HERE}.graph.arrays[0]",
    ),
    _array(
        "array-with-inline-without-refs",
        {"location": "../a.zarr", "inline": "v"},
        "document-member",
        f"{HERE}.graph.arrays[0]",
    ),
    _tiles("tiles-without-location", "table-invalid", f"{TABLES}.t", url=None),
    _tiles("tiles-column-unknown", "table-invalid", f"{TABLES}.t", colour=column("int8", [0, 0])),
    _tiles("tiles-layout-outside", "table-invalid", f"{TABLES}.t.columns.layout", layout=column("int32", [0, 1])),
    _tiles("tiles-outside-the-view", "graph-shape", NODE, origin=column("int64", [0, 0, 5, 0], [2, 2])),
    _tiles("tiles-that-overlap", "overlap", NODE, origin=column("int64", [0, 0, 3, 0], [2, 2])),
    _tiles("tiles-not-sorted", "graph-canonical", NODE, origin=column("int64", [4, 0, 0, 0], [2, 2])),
    _tiles(
        "tiles-outside-the-policy",
        "access-denied",
        f"{TABLES}.t.columns.url",
        url=column("string", ["../a.zarr", "file:///etc/passwd"]),
    ),
    Bad(
        "values-recoded-to-another-type",
        with_graph(
            [SOURCE, {"op": "recode", "input": 0, "layout": 1}],
            (4, 6),
            requires=["recode"],
            data_type="int32",
            layouts=[WHOLE, WHOLE | {"data_type": "int32"}],
            arrays=[{"layout": 0, "shape": [4, 6], "values": "v"}],
            tables={"v": {"columns": {"values": column("int16", [0] * 24, [4, 6])}}},
        ),
        "ViewSchemaError",
        "graph-type",
        f"{HERE}.graph.nodes[1]",
    ),
    _row_values(
        "row-values-not-listed", "document-requires", f"{HERE}.requires", requires=("lazyzarr.unpack", "tiles")
    ),
    _row_values("row-values-without-column", "table-invalid", f"{TABLES}.t", numbers=None),
    _row_values("row-values-that-are-nan", "table-invalid", SCALES, numbers=[0.5, "NaN"]),
    _row_values("row-values-too-exact", "table-invalid", SCALES, numbers=[0.5, 0.1]),
    _row_values("row-values-of-another-type", "table-invalid", SCALES, type="float32"),
    _row_values("row-values-of-fills-without-column", "table-invalid", f"{TABLES}.t", fill_value="row", codecs=0),
    _row_values("row-values-of-two-codecs", "codec-invalid", CODECS, codecs=2),
    _row_values("row-values-of-integers", "codec-invalid", CODECS, arithmetic="int64"),
    _row_values("row-values-of-a-source", "codec-invalid", f"{HERE}.graph.arrays[0]", user="source", numbers=None),
    _row_values(
        "row-values-of-a-recode",
        "codec-invalid",
        f"{HERE}.graph.nodes[1]",
        user="recode",
        requires=("lazyzarr.unpack", "recode", "row-values", "tiles"),
    ),
    _stored_column("column-with-cells-and-folder", data=[0] * 500),
    _stored_column("column-cut-across-rows", shape=[500, 2], chunk_shape=[500, 1]),
    _stored_column("column-with-unknown-codec", "codec-unknown", codecs=[{"name": "middle-out"}]),
    Bad("folder-outside-the-view", FOLDER_UP, "ViewSchemaError", "document-member", f"{TABLES}.t.folder"),
)
