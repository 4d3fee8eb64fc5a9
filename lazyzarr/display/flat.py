"""The class of a graph, worked out once, and whether a glance may work it out at all.

Owns the memo and the bound on work: a repr of a view over very many sources must cost nothing, so it shows a
class only where it is known or cheap. Refuses to decide what the classes are (`lazyzarr.lower.flatness`).
"""

from __future__ import annotations

import math
from typing import cast

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Boxes, Overlay, Source, Take, Tiles, inputs_of
from lazyzarr.lower.flatness import Flatness, flatness
from lazyzarr.lower.lowering import lower
from lazyzarr.lower.tile_grid import grid_of_tiles

MOST_INPUTS = 2_000
MOST_CHUNKS = 20_000
MOST_CHUNKS_SAVED = 1_000_000
MOST_OVERLAID = 200


def flatness_of(graph: Graph) -> Flatness:
    """Class of a graph with its reasons; worked out once for each graph."""
    if "flatness" not in graph.memo:
        graph.memo["flatness"] = flatness(lower(graph))
    return cast(Flatness, graph.memo["flatness"])


def glance(graph: Graph) -> Flatness | None:
    """The class if it is known or takes little work to know, else None."""
    if "flatness" in graph.memo or is_small(graph):
        return flatness_of(graph)
    return None


def advised_grid(graph: Graph) -> tuple[int, ...] | None:
    """Chunk shape that readers of the view should align to, or None where there is none or it takes long to know.

    What a save may spend is more than what a glance may: it writes every row of the tables.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> advised_grid(Graph([Fill((4,), "int8", 0)]))
    (4,)
    """
    found = glance(graph)
    if found is None:
        by_tiles = grid_of_tiles(graph)
        if by_tiles is not None:
            return by_tiles
        if is_small(graph, most_inputs=MOST_CHUNKS_SAVED, most_chunks=MOST_CHUNKS_SAVED):
            found = flatness_of(graph)
    return None if found is None else found.chunk_shape


def is_small(graph: Graph, *, most_inputs: int = MOST_INPUTS, most_chunks: int = MOST_CHUNKS) -> bool:
    """Whether lowering the graph is little work and loads no table that is kept in storage.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> is_small(Graph([Fill((10**9,), "int8", 0)]))
    True
    """
    if len(graph.nodes) > most_inputs or len(graph.arrays) > most_inputs:
        return False
    links = 0
    chunks = 0
    placed: list[int] = []
    for node in graph.nodes:
        inputs = inputs_of(node)
        links += len(inputs)
        placed.append(sum(placed[k] for k in inputs) or 1)  # shared joins mean more placements than there are nodes
        if placed[-1] > MOST_CHUNKS:
            return False
        if isinstance(node, Source):
            array = graph.arrays[node.array]
            if array.refs is not None and not graph.tables[array.refs].in_memory:
                return False
            chunks += _chunks(array.shape, graph.layouts[array.layout].chunk_shape)
        elif isinstance(node, Tiles):
            if not graph.tables[node.table].in_memory:
                return False
            rows = graph.tables[node.table].rows
            links += rows
            chunk_shapes = (graph.layouts[k].chunk_shape for k in node.layouts)
            chunks += rows + max(_chunks(node.shape, _fitted(shape, node)) for shape in chunk_shapes)
        elif isinstance(node, Boxes):
            if not graph.tables[node.table].in_memory:
                return False
            links += graph.tables[node.table].rows
        elif isinstance(node, Take):
            if not graph.tables[node.indices].in_memory:
                return False
            chunks += graph.tables[node.indices].rows
        elif isinstance(node, Overlay) and len(node.inputs) > MOST_OVERLAID:
            return False
        if links > most_inputs or chunks > most_chunks:
            return False
    return True


def _chunks(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> int:
    return math.prod(-(-n // max(c, 1)) for n, c in zip(shape, chunk_shape, strict=True))


def _fitted(chunk_shape: tuple[int, ...], node: Tiles) -> tuple[int, ...]:
    if node.new_axis is None:
        return chunk_shape
    return (*chunk_shape[: node.new_axis], 1, *chunk_shape[node.new_axis :])
