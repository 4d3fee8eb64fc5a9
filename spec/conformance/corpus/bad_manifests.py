"""Bad cases of arrays that have a table of origins, and of manifests."""

from __future__ import annotations

from typing import Any

from corpus.documents import HERE, SOURCE, Bad, column, with_graph

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
WHOLE = {"data_type": "int16", "fill_value": 0, "chunk_shape": [4, 6], "codecs": [LITTLE]}
CHUNKS = {
    "offset": column("uint64", [0]),
    "length": column("uint64", [48]),
    "origin": column("int32", [0]),
}
ORIGINS = {
    "url": column("string", ["../a.bin"]),
    "layout": column("int32", [-1]),
    "grid": column("int64", [], [1, 0]),
}


def _document(
    chunks: Any = None, table: Any = None, *, listed: tuple[str, ...] = ("origins",), **array: Any
) -> dict[str, Any]:
    tables = {
        "c": {"columns": {name: each for name, each in {**CHUNKS, **(chunks or {})}.items() if each is not None}},
        "o": {"columns": {name: each for name, each in {**ORIGINS, **(table or {})}.items() if each is not None}},
    }
    stored = {"layout": 0, "shape": [4, 6], "refs": "c", "origins": "o", **array}
    return with_graph(
        [SOURCE],
        (4, 6),
        requires=listed,
        layouts=[WHOLE],
        arrays=[{name: value for name, value in stored.items() if value is not None}],
        tables=tables,
    )


def _schema(name: str, document: Any, reason: str, where: str) -> Bad:
    return Bad(name, document, "ViewSchemaError", reason, where)


def _shards(rows: int, width: int, *codecs: Any) -> Any:
    inner = {"chunk_shape": [rows, *[width] * bool(width)], "codecs": list(codecs) or [LITTLE]}
    return {
        "name": "sharding_indexed",
        "configuration": {**inner, "index_codecs": [LITTLE], "index_location": "end"},
    }


def _gaps_in_shards() -> Bad:
    """A column of gaps whose chunks have chunks."""
    name, where = "gaps-in-shards", f"{HERE}.graph.tables.r.columns.gap"
    bad = _gaps(name, "table-invalid", where, gap="int64", length="uint64")
    columns = bad.document["attributes"]["lazyzarr"]["graph"]["tables"]["r"]["columns"]
    columns["gap"]["codecs"] = [_shards(2, 0)]
    return bad


def _stored(kind: Any, *width: int) -> dict[str, Any]:
    """A column of four rows in a folder."""
    return {"data_type": kind, "shape": [4, *width], "chunk_shape": [4, *width], "codecs": [LITTLE]}


def _tiles(columns: dict[str, Any], listed: tuple[str, ...]) -> Any:
    """A view of tiles whose table has these columns in a folder."""
    node = {"op": "tiles", "table": "t", "shape": [4, 6], "data_type": "int16", "fill_value": 0, "layouts": [0]}
    tables = {"t": {"folder": "t0", "columns": columns}}
    return with_graph([node], (4, 6), requires=listed, arrays=[], tables=tables)


def _stored_tiles(name: str, where: str = "", **changed: Any) -> Bad:
    """A table of tiles in a folder, of which some columns are others; ``where`` is the column that is refused."""
    columns = {
        "origin": _stored("int64", 2),
        "shape": _stored("int64", 2),
        "layout": _stored("int32"),
        "url": _stored("uint8"),
        "url_end": _stored("int64"),
    }
    columns |= {key: columns.get(key, _stored("int64")) | new for key, new in changed.items()}
    return _schema(name, _tiles(columns, ("tiles",)), "table-invalid", f"{TABLES}.t{where}")


def _column_in_shards(name: str, *codecs: Any) -> Bad:
    return _stored_tiles(name, ".columns.origin", origin={"codecs": list(codecs)})


def _of_another() -> Any:
    document = _document(listed=("manifest", "origins"))
    inner = document["attributes"]["lazyzarr"]
    inner["manifest"] = {"form": "grid", "of": f"sha256:{'0' * 64}", "graph": inner["graph"]}
    return document


def _not_listed() -> Any:
    document = _of_another()
    document["attributes"]["lazyzarr"]["requires"] = ["origins"]
    return document


def _of_a_form() -> Any:
    document = _of_another()
    document["attributes"]["lazyzarr"]["manifest"]["form"] = "heap"
    return document


def _gaps(
    name: str, reason: str, where: str, *, listed: tuple[str, ...] = ("gaps",), folder: bool = True, **types: Any
) -> Bad:
    """A table of references that is a folder with columns of these types."""
    columns = {
        column: _stored(kind) if folder else {"data_type": kind, "shape": [4], "data": [0] * 4}
        for column, kind in types.items()
    }
    array = {"layout": 0, "shape": [4, 6], "location": "../a.bin", "refs": "r"}
    table = {"columns": columns, **({"folder": "r0"} if folder else {})}
    document = with_graph([SOURCE], (4, 6), requires=listed, arrays=[array], tables={"r": table})
    return _schema(name, document, reason, where)


FIELDS = {
    "origin.0": "int64",
    "origin.1": "int64",
    "shape.0": "int64",
    "shape.1": "int64",
    "layout": "int32",
    "url": {"name": "null_terminated_bytes", "configuration": {"length_bytes": 12}},
}


def _records(name: str, reason: str, *, where: str = "", listed: bool = True, more: Any = None, **fields: Any) -> Bad:
    """A table of tiles in records: fields with other types (None: without), and columns beside them."""
    held = {key: kind for key, kind in {**FIELDS, **fields}.items() if kind is not None}
    kind = {"name": "struct", "configuration": {"fields": [{"name": k, "data_type": v} for k, v in held.items()]}}
    types = {"record": kind, **(more or {})}
    columns = {key: _stored(kind) for key, kind in types.items()}
    document = _tiles(columns, ("records", "tiles") if listed else ("tiles",))
    return _schema(name, document, reason, where or f"{TABLES}.t.columns.record")


ARRAY = f"{HERE}.graph.arrays[0]"
TABLES = f"{HERE}.graph.tables"
CASES = (
    _schema("origins-not-listed", _document(listed=()), "document-requires", f"{HERE}.requires"),
    _schema("origins-with-location", _document(location="../a.bin"), "document-member", ARRAY),
    _schema("origins-without-refs", _document(refs=None), "document-member", ARRAY),
    _schema("origins-not-there", _document(origins="x"), "graph-reference", f"{ARRAY}.origins"),
    _schema("origins-column-missing", _document({"origin": None}), "table-invalid", f"{TABLES}.c"),
    _schema(
        "origins-row-outside",
        _document({"origin": column("int32", [1])}),
        "table-invalid",
        f"{TABLES}.c.columns.origin",
    ),
    _schema("origins-without-grid", _document(None, {"grid": None}), "table-invalid", f"{TABLES}.o"),
    _schema(
        "origins-layout-outside",
        _document(None, {"layout": column("int32", [1])}),
        "table-invalid",
        f"{TABLES}.o.columns.layout",
    ),
    Bad(
        "origins-outside-the-policy",
        _document(None, {"url": column("string", ["file:///etc/passwd"])}),
        "AccessDenied",
        "access-denied",
        f"{TABLES}.o.columns.url",
    ),
    _gaps("gaps-not-listed", "document-requires", f"{HERE}.requires", listed=(), gap="int64", length="uint64"),
    _gaps("gaps-without-length", "table-invalid", f"{TABLES}.r", gap="int64"),
    _gaps("gaps-of-another-type", "table-invalid", f"{TABLES}.r.columns.gap", gap="uint64", length="uint64"),
    _gaps(
        "gaps-of-wide-places", "table-invalid", f"{TABLES}.r.columns.place", gap="int64", length="uint64", place="int64"
    ),
    _gaps("gaps-beside-offset", "table-invalid", f"{TABLES}.r", gap="int64", length="uint64", offset="uint64"),
    _gaps("gaps-in-the-document", "table-invalid", f"{TABLES}.r", folder=False, gap="int64", length="uint64"),
    _gaps_in_shards(),
    _stored_tiles("table-ends-of-no-text", etag_end={}),
    _column_in_shards("table-shards-in-a-compressor", _shards(2, 2), {"name": "gzip", "configuration": {"level": 1}}),
    _column_in_shards("table-shards-in-shards", _shards(2, 2, _shards(1, 2))),
    _column_in_shards("table-shards-of-both-axes", _shards(2, 1)),
    _column_in_shards(
        "table-shards-transposed", {"name": "transpose", "configuration": {"order": [1, 0]}}, _shards(2, 2)
    ),
    _records("records-not-listed", "document-requires", where=f"{HERE}.requires", listed=False),
    _records("records-field-unknown", "table-invalid", color="int32"),
    _records("records-field-of-another-type", "table-invalid", layout="int64"),
    _records("records-text-of-another-type", "table-invalid", url="int64"),
    _records("records-digest", "table-invalid", digest=FIELDS["url"]),
    _records("records-cell-out-of-order", "table-invalid", **{"shape.1": None, "shape.2": "int64"}),
    _records("records-of-another-rank", "table-invalid", **{"origin.1": None}),
    _records("records-beside-a-column", "table-invalid", more={"layout": "int32"}),
    _records("records-beside-an-end", "table-invalid", more={"url_end": "int64"}),
    _records("records-without-layout", "table-invalid", where=f"{TABLES}.t", layout=None),
    _records("records-of-no-fields", "table-invalid", more={"record": "int64"}),
    _schema("manifest-of-another-graph", _of_another(), "document-digest", f"{HERE}.manifest.of"),
    _schema("manifest-not-listed", _not_listed(), "document-requires", f"{HERE}.requires"),
    _schema("manifest-of-an-unknown-form", _of_a_form(), "document-member", f"{HERE}.manifest.form"),
)
