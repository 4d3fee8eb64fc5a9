"""All stored arrays of a graph under one numbering: `SourceSpace`.

Owns the numbering (arrays of the graph first, then the rows of each tile table) and finding the tiles under
a box by bisection. Refuses to load the names of arrays that are not asked for.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Column, Table
from lazyzarr.ir.tiles import tile_arrays
from lazyzarr.lower.needs import Box
from lazyzarr.lower.placements import Placements, inserted, whole

_ROWS_AT_ONCE = 1 << 16


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
        found = np.arange(tile_table.rows) if box is None else meeting(tile_table, box, node.new_axis)
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

    def _node(self, position: int) -> Tiles:
        node = self.graph.nodes[position]
        assert isinstance(node, Tiles)
        return node


def meeting(tile_table: Table, box: Box, new_axis: int | None) -> np.ndarray:
    """Rows of a tile table whose boxes meet a box, ascending.

    Rows are sorted by origin, so along the first axis on which origins differ a bisection finds the few
    candidates; only their boxes are compared on the other axes.
    """
    if not box:  # rank 0: the one tile is the view
        return np.arange(tile_table.rows)
    axis, starts, reach = _leading(tile_table, new_axis)
    low, high = box[axis]
    first = int(np.searchsorted(reach, low, side="right"))
    stop = int(np.searchsorted(starts, high, side="left"))
    if stop <= first:
        return np.zeros(0, np.int64)
    rows = np.arange(first, stop)
    origin = np.asarray(tile_table["origin"][first:stop])
    length = _view_lengths(np.asarray(tile_table["shape"][first:stop]), new_axis)
    lows = np.array([b[0] for b in box], np.int64)
    highs = np.array([b[1] for b in box], np.int64)
    return rows[((origin < highs) & (origin + length > lows)).all(axis=1)]


def _leading(tile_table: Table, new_axis: int | None) -> tuple[int, np.ndarray, np.ndarray]:
    """The axis to bisect on, the starts of the tiles on it, and how far tiles up to each row reach."""
    memo = tile_table.memo
    if "leading" not in memo:
        origin, shape = tile_table["origin"], tile_table["shape"]
        axis = _first_varying(origin)
        column = axis - (new_axis is not None and axis > new_axis)
        starts = np.empty(origin.shape[0], np.int64)
        ends = np.empty_like(starts)
        for first in range(0, len(starts), _ROWS_AT_ONCE):  # whole columns at once would take r times the memory
            rows = slice(first, first + _ROWS_AT_ONCE)
            starts[rows] = np.asarray(origin[rows])[:, axis]
            ends[rows] = starts[rows] + (1 if axis == new_axis else np.asarray(shape[rows])[:, column])
        memo["leading"] = (axis, starts, np.maximum.accumulate(ends, out=ends))
    return memo["leading"]


def _first_varying(origin: Column) -> int:
    rows = origin.shape[0]
    differs = np.asarray(origin[0:1])[0] != np.asarray(origin[rows - 1 : rows])[0]
    return int(np.argmax(differs)) if len(differs) else 0


def _view_lengths(shape: np.ndarray, new_axis: int | None) -> np.ndarray:
    return shape if new_axis is None else np.insert(shape, new_axis, 1, axis=1)


def _key(found: np.ndarray) -> slice | np.ndarray:
    """Rows as a slice where they are neighbours, so that a stored column loads one range."""
    if len(found) and int(found[-1]) - int(found[0]) + 1 == len(found):
        return slice(int(found[0]), int(found[-1]) + 1)
    return found
