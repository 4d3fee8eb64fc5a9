"""The regular grid of very many tiles, from one look at their boxes and none at their chunks.

Owns the condition under which the chunks of all arrays of a tile table lie on one grid of the view. Refuses everything
else than a view that is tiles and nothing more: `lazyzarr.lower.flatness` cuts that into fragments first.
"""

from __future__ import annotations

import numpy as np

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Tiles


def grid_of_tiles(graph: Graph) -> tuple[int, ...] | None:
    """Chunk shape of the regular grid that cuts no chunk of any tile, or None where there is none or it is not looked for.

    The same as `lazyzarr.lower.flatness.Flatness.chunk_shape` of a view of tiles, at a cost per tile and not per chunk.
    It is not looked for unless the view is tiles of one chunk shape with a table in memory.

    Parameters
    ----------
    graph
        A valid graph.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> grid_of_tiles(Graph([Fill((2,), "int8", 0)])) is None
    True
    """
    node = graph.root
    if not isinstance(node, Tiles) or not graph.tables[node.table].in_memory:
        return None
    chunk_shapes = {graph.layouts[k].chunk_shape for k in node.layouts}
    origin = np.asarray(graph.tables[node.table]["origin"])
    shape = np.asarray(graph.tables[node.table]["shape"])
    if len(chunk_shapes) != 1 or not len(origin) or (shape == 0).any():
        return None
    chunk = np.array(chunk_shapes.pop(), np.int64)
    if node.new_axis is not None:
        shape, chunk = np.insert(shape, node.new_axis, 1, axis=1), np.insert(chunk, node.new_axis, 1)
    chunk = np.minimum(chunk, shape.max(axis=0))
    at_end = origin + shape == np.array(node.shape, np.int64)
    if (origin % chunk).any() or ((shape % chunk != 0) & ~at_end).any():
        return None
    return tuple(chunk.tolist())
