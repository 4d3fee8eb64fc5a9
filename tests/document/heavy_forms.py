"""How documents at the limits are written, and the list of them that `case` fills.

Owns the pieces of JSON text of which `tests/document/heavy.py` and its neighbour make documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lazyzarr.document.limits import Limits

Text = Callable[[], bytes]
OPENS = "opens"
"""Outcome of a good document; that of a bad one is the reason of its refusal."""
LIMITS = Limits()
NODES, EDGES, CELLS = LIMITS.nodes, LIMITS.edges, LIMITS.inline_cells
VIEW = b'{"attributes":{"lazyzarr":'
"""What makes a text that of a view."""
MANY = LIMITS.json_values // 2 - 100
CASES: dict[str, tuple[str, Text]] = {}
"""Name -> outcome, and what makes the text."""
LAYOUT = '{"data_type":"int8","fill_value":0,"chunk_shape":[1],"codecs":[{"name":"bytes"}]}'
COLUMN = '{"data_type":"int64","shape":[1],"chunk_shape":[1],"codecs":[{"name":"bytes","configuration":{"endian":"little"}}]}'


def case(name: str, outcome: str = OPENS) -> Callable[[Text], Text]:
    """Register a document."""

    def register(make: Text) -> Text:
        CASES[name] = (outcome, make)
        return make

    return register


def group(attributes: str) -> bytes:
    """The ``zarr.json`` of a group."""
    return f'{{"zarr_format":3,"node_type":"group","attributes":{{{attributes}}}}}'.encode()


def document(
    nodes: Iterable[str],
    shape: Iterable[int],
    *,
    requires: Iterable[str] = (),
    layouts: Iterable[str] = (),
    arrays: Iterable[str] = (),
    tables: Iterable[str] = (),
    beside: str = "",
    data_type: str = '"int8"',
    value: str = "0",
) -> bytes:
    """A view whose parts are given as JSON text."""
    lists = {"nodes": nodes, "layouts": layouts, "arrays": arrays}
    graph = ",".join(f'"{name}":[{",".join(parts)}]' for name, parts in lists.items())
    return group(
        f'{beside}"lazyzarr":{{"version":1,"requires":[{",".join(f"{chr(34)}{name}{chr(34)}" for name in requires)}],'
        f'"schema":{{"shape":{numbers(shape)},"data_type":{data_type},"fill_value":{value}}},'
        f'"graph":{{{graph},"tables":{{{",".join(tables)}}}}}}}'
    )


def numbers(values: Iterable[int]) -> str:
    """A JSON list."""
    return f"[{','.join(map(str, values))}]"


def fill(*shape: int) -> str:
    """A constant of int8."""
    return f'{{"op":"fill","shape":{numbers(shape)},"data_type":"int8","value":0}}'


def join(op: str, inputs: Iterable[int], axis: int = 0) -> str:
    """A concat or stack."""
    return f'{{"op":"{op}","inputs":{numbers(inputs)},"axis":{axis}}}'


def overlay(inputs: Iterable[int], origins: Iterable[str], shape: Iterable[int], more: str = "") -> str:
    """An overlay on zeros."""
    return (
        f'{{"op":"overlay","inputs":{numbers(inputs)},"origins":[{",".join(origins)}],'
        f'"shape":{numbers(shape)},"fill_value":0{more}}}'
    )


def distinct() -> Iterable[str]:
    """As many constants as there may be beside one node; no two are equal."""
    return (fill(length) for length in range(1, NODES))


TOTAL = NODES * (NODES - 1) // 2
"""Cells of `distinct`."""
