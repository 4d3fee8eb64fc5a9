"""The boxes of a view that overlays and tiles fill, as columns.

Owns the one way from a node, or from the rows of its table, to starts, counts and steps as `lazyzarr.algebra.boxes`
takes them. Refuses to check them: rows that are no boxes come out as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Overlay, Tiles


def combs_of(node: Overlay, shapes: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, counts and steps, int64 (inputs, rank), of the cells that inputs of these shapes fill."""
    size = (len(node.inputs), len(node.shape))
    starts, counts = (np.array(rows, np.int64).reshape(size) for rows in (node.origins, shapes))
    steps = np.ones(size, np.int64) if node.steps is None else np.array(node.steps, np.int64).reshape(size)
    return starts, counts, steps


def tile_combs(graph: Graph, node: Tiles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `combs_of`, for the rows of a table."""
    table = graph.tables[node.table]
    origin, shape = np.asarray(table["origin"]), np.asarray(table["shape"])
    if node.new_axis is not None:
        shape = np.insert(shape, node.new_axis, 1, axis=1)
    return origin, shape, np.ones_like(origin)


def tiles_rank(node: Tiles) -> int:
    """Rank of the arrays."""
    return len(node.shape) - (node.new_axis is not None)
