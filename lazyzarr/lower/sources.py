"""All stored arrays of a graph under one numbering: `SourceSpace`.

Owns the numbering (arrays of the graph first, then the rows of each tile table) and finding the tiles under
a box by bisection. Refuses to load the names of arrays that are not asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import numpy as np

from lazyzarr.algebra.boxes import any_overlap
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.boxes import HELD, OF_ARRAY, OF_VIEW, row_problems
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
from lazyzarr.ir.nodes import Boxes, Tiles
from lazyzarr.ir.tables import Column, Table, place_of
from lazyzarr.ir.tiles import tile_arrays
from lazyzarr.lower.needs import Box
from lazyzarr.lower.placements import AFFINE, NO_POOL, Placements, inserted, whole

_ROWS_AT_ONCE = 1 << 16
_ROWS_BISECTED = 1 << 8
_GUESSES = 3
"""Rows side by side that are looked at before a bisection."""
_Lengths = Callable[[slice | np.ndarray], np.ndarray]
"""int64 (k, r): cells of the view from the first to the last of some rows of a table."""


class SourceSpace:
    """Numbers of the stored arrays of a graph, and the way back."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = [k for k, node in enumerate(graph.nodes) if isinstance(node, Tiles)]
        lengths = [graph.tables[self._node(k).table].rows for k in self.nodes]
        self.starts = list(accumulate(lengths, initial=len(graph.arrays)))

    def __len__(self) -> int:
        return self.starts[-1]

    def arrays(self, numbers: np.ndarray) -> list[StoredArray]:
        """The stored arrays of ascending numbers."""
        found: list[StoredArray] = []
        for block, start in enumerate(self.starts):
            first = 0 if block == 0 else self.starts[block - 1]
            mine = numbers[np.searchsorted(numbers, first) : np.searchsorted(numbers, start)] - first
            if not len(mine):
                continue
            if block == 0:
                found.extend(self.graph.arrays[k] for k in mine.tolist())
            else:
                found.extend(tile_arrays(self.graph, self._node(self.nodes[block - 1]), mine))
        return found

    def tiles(self, position: int, box: Box | None) -> Placements:
        """Placements of the arrays of a tiles node that meet a box (None: all of them)."""
        node = self._node(position)
        tile_table = self.graph.tables[node.table]
        found = np.arange(tile_table.rows) if box is None else meeting(tile_table, box, node)
        number = self.starts[self.nodes.index(position)] + found
        shape = np.asarray(tile_table["shape"][_key(found)])
        origin = np.asarray(tile_table["origin"][_key(found)])
        choices = np.array(node.layouts, np.int32)
        layout = choices[np.asarray(tile_table["layout"][_key(found)])]
        if node.new_axis is None:
            return whole(number, layout, shape, origin=origin)
        solid = (shape > 0).all(axis=1)
        number, layout, shape, origin = number[solid], layout[solid], shape[solid], origin[solid]
        placed = whole(number, layout, shape, origin=np.delete(origin, node.new_axis, axis=1))
        return inserted(placed, node.new_axis, origin[:, node.new_axis])

    def rows(self, position: int, numbers: np.ndarray) -> np.ndarray:
        """Rows of the table of a tiles node that numbers of its arrays stand for."""
        return numbers - self.starts[self.nodes.index(position)]

    def boxes(self, position: int, box: Box) -> Placements:
        """Placements of the rows of a boxes node that meet a box."""
        node = self.graph.nodes[position]
        assert isinstance(node, Boxes)
        table = self.graph.tables[node.table]
        found = _key(_meeting(table, box, _combed(table)))
        held = {name: np.asarray(table[name][found]) for name in ("array", *OF_ARRAY, *OF_VIEW)}
        if not table.in_memory:
            wrong = row_problems(node, held, [self.graph.arrays[k].shape for k in node.arrays])
            if wrong is not None:
                reason, column, text = wrong
                where = place_of(node.table, column) if column else f"nodes[{position}]"
                raise ViewSchemaError(f"{text}; save the view again", reason=reason, where=where)
        source = np.array(node.arrays, np.int64)[held["array"]]
        layouts = np.array([array.layout for array in self.graph.arrays], np.int32)
        axis, several = held["axis"].astype(np.int16), held["axis"] != HELD
        fed = np.maximum(held["axis"], 0).astype(np.int64)
        count = np.take_along_axis(held["count"], fed, axis=1) if len(node.shape) else np.ones_like(held["first"])
        return Placements(
            source=source,
            layout=layouts[source] if len(layouts) else np.zeros(0, np.int32),
            first=held["first"],
            step=np.where(several, held["step"], 1),
            count=np.where(several, count, 1),
            axis=axis,
            pool=np.full_like(held["first"], AFFINE),
            into_first=held["origin"],
            into_step=held["stride"],
            into_count=held["count"],
            order=np.zeros(len(source), np.int32),
            pool_from=NO_POOL,
            pool_into=NO_POOL,
        )

    def _node(self, position: int) -> Tiles:
        node = self.graph.nodes[position]
        assert isinstance(node, Tiles)
        return node


def meeting(tile_table: Table, box: Box, node: Tiles) -> np.ndarray:
    """Rows of a tile table whose boxes meet a box, ascending.

    Rows are sorted by origin, so along the first axis on which origins differ a bisection finds the few
    candidates; only their boxes are compared on the other axes. Rows that were loaded just now are checked:
    cells that two tiles fill would hide that other cells are filled by none.

    Raises
    ------
    ViewSchemaError
        Tiles of a stored table overlap, or reach outside the view.
    """
    lengths = _tiled(tile_table, node.new_axis)
    found = _meeting(tile_table, box, lengths)
    if box and not isinstance(tile_table["origin"], np.ndarray):
        key = _key(found)
        _check_boxes(np.asarray(tile_table["origin"][key]), lengths(key), node)
    return found


def _meeting(table: Table, box: Box, lengths: _Lengths) -> np.ndarray:
    """Rows of a table sorted by origin whose boxes meet a box, ascending."""
    if not box or not table.rows:  # of rank 0 the one row is the view
        return np.arange(table.rows)
    axis, starts, reach = _leading(table, lengths)
    low, high = box[axis]
    first = int(np.searchsorted(reach, low, side="right"))
    stop = int(np.searchsorted(starts, high, side="left"))
    if stop <= first:
        return np.zeros(0, np.int64)
    origin, length = np.asarray(table["origin"][first:stop]), lengths(slice(first, stop))
    lows = np.array([b[0] for b in box], np.int64)
    highs = np.array([b[1] for b in box], np.int64)
    return first + np.flatnonzero(((origin < highs) & (origin + length > lows)).all(axis=1))


def _tiled(table: Table, new_axis: int | None) -> _Lengths:
    def lengths(key: slice | np.ndarray) -> np.ndarray:
        shape = np.asarray(table["shape"][key])
        return shape if new_axis is None else np.insert(shape, new_axis, 1, axis=1)

    return lengths


def _combed(table: Table) -> _Lengths:
    return lambda key: np.asarray(table["stride"][key]) * (np.asarray(table["count"][key]) - 1) + 1


def _check_boxes(origin: np.ndarray, length: np.ndarray, node: Tiles) -> None:
    """What `lazyzarr.ir.validate` asks of tables that are in memory."""
    if (length > np.array(node.shape, np.int64) - origin).any():
        raise ViewSchemaError("a tile reaches outside the view; save the view again", reason="graph-shape")
    if len(origin) > 1 and any_overlap(origin, length, np.ones_like(origin)) is not None:
        raise ViewSchemaError("tiles of the view overlap; save the view again", reason="overlap")


def nearby(tile_table: Table, node: Tiles, box: Box, most: int) -> range:
    """At most so many rows that may meet a box, found without reading whole columns; empty where `meeting` has to.

    If boxes of these rows that do not overlap fill the box, no other row can meet it. Else ask `meeting`.
    """
    if not box or not tile_table.rows or "leading" in tile_table.memo:
        return range(0)
    if "axis" not in tile_table.memo:
        tile_table.memo["axis"] = _first_varying(tile_table["origin"])
    axis = tile_table.memo["axis"]
    low, high = box[axis]
    first = _row_at(tile_table, node, axis, low)
    last = first if high == low + 1 else _row_at(tile_table, node, axis, high - 1)
    return range(first, last + 1) if first >= 0 and last < first + most else range(0)


def _row_at(tile_table: Table, node: Tiles, axis: int, cell: int) -> int:
    """A row whose tile has a cell on the axis to bisect on, or the last one that starts before it; -1: none."""
    memo, last = tile_table.memo, tile_table.rows - 1
    if "even" not in memo:
        memo["even"] = tuple(tile_table.numbers("origin", row)[axis] for row in (0, last))
    first, end = memo["even"]
    if not first <= cell:
        return -1
    # most tables have tiles that are about equally long
    guess = min((cell - first) * last // (end - first), last) if end > first else last
    for _ in range(_GUESSES):
        start = tile_table.numbers("origin", guess)[axis]
        length = 1 if axis == node.new_axis else tile_table.numbers("shape", guess)[_of_tile(node, axis)]
        if start <= cell < start + length:
            return guess
        guess += 1 if cell > start else -1
        if not 0 <= guess <= last:
            break
    return _last_from(tile_table, axis, cell)


def _of_tile(node: Tiles, axis: int) -> int:
    """The axis of a tile that an axis of the view is."""
    return axis - 1 if node.new_axis is not None and axis > node.new_axis else axis


def _last_from(tile_table: Table, axis: int, cell: int) -> int:
    """The last row whose tile starts at or before a cell of the axis to bisect on; -1 if there is none."""
    origin = tile_table["origin"]
    starts: dict[int, int] = tile_table.memo.setdefault("starts", {})  # of the first row of some blocks
    low, high = 0, -(-tile_table.rows // _ROWS_BISECTED)
    while high - low > 1:
        middle = (low + high) // 2
        if middle not in starts:
            row = middle * _ROWS_BISECTED
            starts[middle] = int(np.asarray(origin[row : row + 1])[0, axis])
        low, high = (middle, high) if starts[middle] <= cell else (low, middle)
    row = low * _ROWS_BISECTED
    block = np.asarray(origin[row : row + _ROWS_BISECTED])[:, axis]
    return row + int(np.searchsorted(block, cell, side="right")) - 1


def _leading(table: Table, lengths: _Lengths) -> tuple[int, np.ndarray, np.ndarray]:
    """The axis to bisect on, the starts of the boxes on it, and how far boxes up to each row reach.

    Raises
    ------
    ViewSchemaError
        Rows are not sorted by origin: bisection would not find all, and their cells would read as fill.
    """
    memo = table.memo
    if "leading" not in memo:
        origin = table["origin"]
        axis = _first_varying(origin)
        starts = np.empty(origin.shape[0], np.int64)
        ends = np.empty_like(starts)
        for first in range(0, len(starts), _ROWS_AT_ONCE):  # whole columns at once would take r times the memory
            rows = slice(first, first + _ROWS_AT_ONCE)
            corners = np.asarray(origin[max(first - 1, 0) : rows.stop])
            if not _ascend(corners):
                raise ViewSchemaError(
                    "rows of a table are not sorted by origin; save the view again", reason="graph-canonical"
                )
            starts[rows] = corners[min(first, 1) :, axis]
            ends[rows] = starts[rows] + lengths(rows)[:, axis]
        memo["leading"] = (axis, starts, np.maximum.accumulate(ends, out=ends))
    return memo["leading"]


def _ascend(corners: np.ndarray) -> bool:
    """Whether rows (n, r) are in lexicographic order."""
    undecided = np.ones(max(len(corners) - 1, 0), bool)
    for column in corners.T:
        step = np.sign(np.diff(column))
        if (step[undecided] < 0).any():
            return False
        undecided &= step == 0
    return True


def _first_varying(origin: Column) -> int:
    rows = origin.shape[0]
    differs = np.asarray(origin[0:1])[0] != np.asarray(origin[rows - 1 : rows])[0]
    return int(np.argmax(differs)) if len(differs) else 0


def _key(found: np.ndarray) -> slice | np.ndarray:
    """Rows as a slice where they are neighbours, so that a stored column loads one range."""
    if len(found) and int(found[-1]) - int(found[0]) + 1 == len(found):
        return slice(int(found[0]), int(found[-1]) + 1)
    return found
