"""Layouts that differ in numbers only, as one layout and columns of a tile table.

Owns the marker `ROW`, which stands in a layout for a number that each row of a table has of its own: scale and offset
of ``lazyzarr.unpack``, and the fill value. Owns both directions: `folded` makes few layouts and columns of many
layouts, `row_layouts` makes the layouts of some rows. A layout with the marker has no meaning without a row, so no
codec compiles it. Refuses to put any other parameter of a codec into a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from lazyzarr.errors import LazyZarrError, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, text_of
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Column, Table, place_of

ROW = "row"
"""In a layout of tiles: the number is in the column of that name."""
UNPACK = "lazyzarr.unpack"
OPERANDS = ("scale_factor", "add_offset")
"""Members of the configuration of `UNPACK`, and the columns of their numbers."""
FILL = "fill_value"
COLUMNS = (*OPERANDS, FILL)
"""Columns of a tile table that have a number for each row, float64."""
FEW = 8
"""So many layouts that differ in numbers only stay layouts."""
_FLOATS = ("float32", "float64")


def columns_of(layout: Layout) -> tuple[str, ...]:
    """The columns that a layout takes numbers from; none for a layout that has a meaning of its own.

    Examples
    --------
    >>> codec = NamedConfig("lazyzarr.unpack", {"scale_factor": "row", "add_offset": 2.0})
    >>> columns_of(Layout("float64", "NaN", (2,), (codec, NamedConfig("bytes"))))
    ('scale_factor',)
    """
    conf = _configuration(layout)
    found = tuple(name for name in OPERANDS if conf.get(name) == ROW)
    return (*found, FILL) if layout.fill_value == ROW and layout.data_type in _FLOATS else found


def with_numbers(layout: Layout, numbers: Mapping[str, float]) -> Layout:
    """A layout with the numbers of a row in the place of the markers.

    Examples
    --------
    >>> codec = NamedConfig("lazyzarr.unpack", {"scale_factor": "row", "add_offset": None})
    >>> layout = Layout("float64", "NaN", (2,), (codec, NamedConfig("bytes")))
    >>> with_numbers(layout, {"scale_factor": 0.5}).codecs[0].configuration
    {'scale_factor': 0.5, 'add_offset': None}
    """
    operands = {name: number for name, number in numbers.items() if name != FILL}
    codecs = layout.codecs
    if operands:
        codecs = tuple(
            NamedConfig(codec.name, codec.configuration | operands) if codec.name == UNPACK else codec
            for codec in codecs
        )
    return msgspec.structs.replace(layout, codecs=codecs, fill_value=numbers.get(FILL, layout.fill_value))


def sample(layout: Layout) -> Layout:
    """A layout of some row, for checks of everything but the numbers.

    Examples
    --------
    >>> plain = Layout("int8", 0, (2,), (NamedConfig("bytes"),))
    >>> sample(plain) is plain
    True
    """
    names = columns_of(layout)
    return with_numbers(layout, dict.fromkeys(names, 1.0)) if names else layout


def problem_of(layout: Layout) -> str | None:
    """What is wrong with the markers of a layout, whatever the numbers are."""
    names = columns_of(layout)
    if set(names) <= {FILL}:
        return None
    found = [codec for codec in layout.codecs if codec.name == UNPACK]
    if len(found) != 1:
        return f"{len(found)} codecs are {UNPACK}; a layout that takes numbers from rows has one"
    if _arithmetic(layout) is None:
        return (
            f"numbers of rows for arithmetic in {found[0].configuration.get('arithmetic')!r}; it is float32 or float64"
        )
    return None


def numbers_problem(layout: Layout, columns: Mapping[str, np.ndarray]) -> tuple[str, str] | None:
    """What is wrong with numbers (n,) of rows that use a layout: the column, and what it is.

    Examples
    --------
    >>> codec = NamedConfig("lazyzarr.unpack", {"scale_factor": "row", "arithmetic": "float32"})
    >>> layout = Layout("float32", "NaN", (2,), (codec, NamedConfig("bytes")))
    >>> numbers_problem(layout, {"scale_factor": np.array([0.5, 0.1])})
    ('scale_factor', '0.1 is no float32')
    """
    for name in columns_of(layout):
        held = np.asarray(columns[name])
        kind = to_numpy(layout.data_type) if name == FILL else _arithmetic(layout)
        with np.errstate(over="ignore"):
            exact = np.isfinite(held) & (held.astype(kind).astype(np.float64) == held)
        if not exact.all():
            return name, f"{held[~exact][0]} is no {'finite number' if kind == np.float64 else kind}"
    return None


def varies(graph: Graph, node: Tiles) -> bool:
    """Whether layouts of tiles take numbers from rows."""
    table = graph.tables[node.table]
    if table.columns.keys().isdisjoint(COLUMNS):
        return False
    return any(columns_of(graph.layouts[k]) for k in node.layouts)


def row_layouts(graph: Graph, node: Tiles, rows: np.ndarray) -> tuple[list[Layout], np.ndarray]:
    """The distinct layouts of some rows (n,) of a tile table, and which of them each row has, (n,).

    Raises
    ------
    ViewSchemaError
        ``table-invalid``: a number is not one of the type in which it is applied.
    """
    if not len(rows):
        return [], np.zeros(0, np.int64)
    table = graph.tables[node.table]
    key = slice(int(rows[0]), int(rows[-1]) + 1) if int(rows[-1]) - int(rows[0]) + 1 == len(rows) else rows
    chosen = np.asarray(table["layout"][key])
    present = [name for name in COLUMNS if name in table]
    numbers = {name: np.asarray(table[name][key]) for name in present}
    codes = np.zeros((len(rows), 1 + len(present)), np.int64)
    codes[:, 0] = chosen
    bases = {number: graph.layouts[node.layouts[number]] for number in np.unique(chosen).tolist()}
    for number, base in bases.items():
        mine, names = chosen == number, columns_of(base)
        _check(base, {name: numbers[name][mine] for name in names}, node, table)
        for place, name in enumerate(present, 1):
            if name in names:
                codes[mine, place] = numbers[name][mine].view(np.int64)
    _, first, which = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    columns = [numbers[name][first].tolist() for name in present]
    found = [
        _settled(bases[number], dict(zip(present, values, strict=True)))
        for number, *values in zip(chosen[first].tolist(), *columns, strict=True)
    ]
    return found, which.reshape(len(rows))


def row_numbers(graph: Graph, node: Tiles, row: int) -> dict[str, float]:
    """The numbers that the layout of one row takes from the table.

    Raises
    ------
    ViewSchemaError
        As `row_layouts`.
    """
    table = graph.tables[node.table]
    base = graph.layouts[node.layouts[int(table["layout"][row])]]
    numbers = {name: float(table[name][row]) for name in columns_of(base)}
    _check(base, {name: np.array([number]) for name, number in numbers.items()}, node, table)
    return numbers


def folded(layouts: Sequence[Layout], numbers: np.ndarray) -> tuple[list[Layout], np.ndarray, dict[str, Column]]:
    """The same layouts of rows as few layouts and columns.

    Parameters
    ----------
    layouts
        Distinct layouts.
    numbers
        int32 (n,): position in ``layouts`` of the layout of each row.

    Returns
    -------
    tuple
        Layouts, int32 (n,) positions in them, and the columns that they take numbers from.

    Examples
    --------
    >>> def packed(scale):
    ...     conf = {"scale_factor": scale, "add_offset": None, "arithmetic": "float64"}
    ...     return Layout("float64", "NaN", (2,), (NamedConfig("lazyzarr.unpack", conf), NamedConfig("bytes")))
    >>> few, which, columns = folded([packed(k / 10) for k in range(20)], np.arange(20, dtype=np.int32))
    >>> len(few), sorted(set(which.tolist())), columns["scale_factor"][:3].tolist()
    (1, [0], [0.0, 0.1, 0.2])
    """
    families: dict[bytes, list[tuple[int, Layout, Mapping[str, float]]]] = {}
    for position, layout in enumerate(layouts if len(layouts) > FEW else ()):
        base, held = _marked(layout)
        if held:
            families.setdefault(text_of(base), []).append((position, base, held))
    large = [family for family in families.values() if len(family) > FEW]
    inside = {position for family in large for position, *_ in family}
    to = np.zeros(len(layouts), np.int32)
    few = [layout for position, layout in enumerate(layouts) if position not in inside]
    to[[position for position in range(len(layouts)) if position not in inside]] = np.arange(len(few))
    of_layout: dict[str, np.ndarray] = {}
    for family in large:
        base = family[0][1]
        values = {held[FILL].hex() for _, _, held in family if FILL in held}  # -0.0 is not 0.0
        names = [name for name in columns_of(base) if name != FILL or len(values) > 1]
        if FILL not in names:
            base = msgspec.structs.replace(base, fill_value=layouts[family[0][0]].fill_value)
        positions = [position for position, *_ in family]
        to[positions] = len(few)
        few.append(base)
        for name in names:
            column = of_layout.setdefault(name, np.zeros(len(layouts), np.float64))
            column[positions] = [held[name] for *_, held in family]
    return few, to[numbers], {name: column[numbers] for name, column in sorted(of_layout.items())}


def numbers_of(table: Table) -> dict[str, Column]:
    """The columns of numbers of a table, for a table with the same rows."""
    return {name: np.asarray(table[name]) for name in COLUMNS if name in table}


def _check(base: Layout, numbers: Mapping[str, np.ndarray], node: Tiles, table: Table) -> None:
    wrong = numbers_problem(base, numbers)
    if wrong is not None:
        where, text = (
            place_of(node.table, table.within.get(wrong[0], wrong[0])),
            f"{wrong[0]} {wrong[1]}; save the view again",
        )
        raise ViewSchemaError(text, reason="table-invalid", where=where)


def _settled(base: Layout, numbers: Mapping[str, float]) -> Layout:
    names = columns_of(base)
    return with_numbers(base, {name: numbers[name] for name in names}) if names else base


def _marked(layout: Layout) -> tuple[Layout, dict[str, float]]:
    """A layout with its numbers taken out; none are where they could not be put back bit for bit."""
    conf = _configuration(layout)
    kind = _arithmetic(layout)
    held: dict[str, float] = {}
    if kind is None or columns_of(layout) or sum(codec.name == UNPACK for codec in layout.codecs) != 1:
        return layout, held
    for name in OPERANDS:
        number = _exact(conf.get(name), kind)
        if number is not None:
            held[name] = number
    if not held:
        return layout, held
    if layout.data_type in _FLOATS:
        number = _exact(layout.fill_value, to_numpy(layout.data_type))
        if number is not None:
            held[FILL] = number
    codecs = tuple(
        NamedConfig(UNPACK, codec.configuration | {name: ROW for name in held if name != FILL})
        if codec.name == UNPACK
        else codec
        for codec in layout.codecs
    )
    value = ROW if FILL in held else layout.fill_value
    return msgspec.structs.replace(layout, codecs=codecs, fill_value=value), held


def _exact(value: Any, kind: np.dtype[Any]) -> float | None:
    """A number in JSON as float64, if it is finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(fill.from_json(value, kind.name))
    return number if np.isfinite(number) else None


def _configuration(layout: Layout) -> Mapping[str, Any]:
    return next((codec.configuration for codec in layout.codecs if codec.name == UNPACK), {})


def _arithmetic(layout: Layout) -> np.dtype[Any] | None:
    """The type in which the numbers are applied, if it has fractions."""
    named = _configuration(layout).get("arithmetic")
    if not isinstance(named, str):
        return None
    try:
        kind = to_numpy(named)
    except LazyZarrError:
        return None
    return kind if kind.name in _FLOATS else None
