"""Bad cases of `boxes`, whose table is inside the document."""

from __future__ import annotations

from typing import Any

from corpus.documents import HERE, Bad, column, with_graph

ROWS = {
    "array": column("int32", [0, 1]),
    "axis": column("int8", [0, 1, 1, 0], [2, 2]),
    "first": column("int64", [0, 5, 1, 0], [2, 2]),
    "step": column("int64", [1, -1, 1, 1], [2, 2]),
    "origin": column("int64", [0, 0, 4, 0], [2, 2]),
    "stride": column("int64", [1, 1, 1, 2], [2, 2]),
    "count": column("int64", [4, 6, 4, 3], [2, 2]),
}
NODE = f"{HERE}.graph.nodes[0]"
TABLE = f"{HERE}.graph.tables.rows"


def _bad(name: str, reason: str, where: str, rows: Any = None, **node: Any) -> Bad:
    """The valid node with other columns, lists of cells in place of the data of some, and other members."""
    columns = dict(ROWS)
    for key, value in (rows or {}).items():
        columns[key] = {**columns[key], "data": value} if isinstance(value, list) else value
    listed = node.pop("requires", ("boxes",))
    made = {"op": "boxes", "table": "rows", "shape": [8, 6], "data_type": "int16", "fill_value": 0, "arrays": [0, 1]}
    tables = {"rows": {"columns": {key: value for key, value in columns.items() if value is not None}}}
    return Bad(name, with_graph([{**made, **node}], requires=listed, tables=tables), "ViewSchemaError", reason, where)


def _constant(name: str, **constant: Any) -> Bad:
    whole = {"value": 1, "origin": [0, 0], "count": [8, 6], **constant}
    return _bad(name, "graph-shape", f"{NODE}.constants[0]", constants=[whole])


CASES = (
    _bad("boxes-not-listed", "document-requires", f"{HERE}.requires", requires=()),
    _bad("boxes-table-not-there", "graph-reference", f"{NODE}.table", table="other"),
    _bad("boxes-array-not-there", "graph-reference", f"{NODE}.arrays", arrays=[0, 2]),
    _bad("boxes-of-another-type", "graph-type", NODE, data_type="int32"),
    _bad("boxes-column-missing", "table-invalid", TABLE, {"count": None}),
    _bad("boxes-column-unknown", "table-invalid", TABLE, {"shape": column("int64", [1, 1])}),
    _bad(
        "boxes-axis-of-another-type",
        "table-invalid",
        f"{TABLE}.columns.axis",
        {"axis": column("int64", [0] * 4, [2, 2])},
    ),
    _bad(
        "boxes-of-another-rank", "table-invalid", f"{TABLE}.columns.origin", {"origin": column("int64", [0, 4], [2, 1])}
    ),
    _bad("boxes-columns-of-other-lengths", "table-invalid", TABLE, {"array": column("int32", [0])}),
    _bad("boxes-array-outside", "table-invalid", f"{TABLE}.columns.array", {"array": [0, 2]}),
    _bad("boxes-axis-outside", "table-invalid", f"{TABLE}.columns.axis", {"axis": [0, 2, 1, 0]}),
    _bad("boxes-axis-below-held", "table-invalid", f"{TABLE}.columns.axis", {"axis": [0, -2, 1, 0]}),
    _bad("boxes-axis-named-twice", "table-invalid", f"{TABLE}.columns.axis", {"axis": [0, 0, 1, 0]}),
    _bad("boxes-stride-zero", "graph-shape", NODE, {"stride": [1, 1, 1, 0]}),
    _bad("boxes-count-zero", "graph-shape", NODE, {"count": [4, 6, 4, 0]}),
    _bad("boxes-step-zero", "graph-shape", NODE, {"step": [1, 0, 1, 1]}),
    _bad("boxes-before-the-view", "graph-shape", NODE, {"origin": [-1, 0, 4, 0]}),
    _bad("boxes-outside-the-view", "graph-shape", NODE, {"stride": [1, 1, 1, 3]}),
    _bad("boxes-that-wrap", "graph-shape", NODE, {"stride": [1, 1, 2**62, 2]}),
    _bad("boxes-outside-the-array", "graph-shape", NODE, {"first": [1, 5, 1, 0]}),
    _bad("boxes-before-the-array", "graph-shape", NODE, {"first": [0, 4, 1, 0]}),
    _bad("boxes-steps-that-wrap", "graph-shape", NODE, {"step": [2**62, -1, 1, 1]}),
    _bad("boxes-that-overlap", "overlap", NODE, {"origin": [0, 0, 3, 0]}),
    _bad("boxes-not-sorted", "graph-canonical", NODE, {"origin": [4, 0, 0, 0]}),
    _constant("boxes-constant-outside", count=[8, 7]),
    _constant("boxes-constant-of-another-rank", origin=[0]),
    _constant("boxes-constant-of-stride-zero", stride=[1, 0]),
)
