"""Arrays whose cells are kept with the document: one chunk each, whatever chunk shape their layout has.

Owns the change of a valid graph that makes it so; what the cells are does not depend on chunks (section 4 of the
specification), and everything that reads takes them for one. Refuses to look at arrays that are stored elsewhere.
"""

from __future__ import annotations

import msgspec

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, StoredArray
from lazyzarr.ir.nodes import Node, Recode, Source, of_kind


def in_one_chunk(graph: Graph) -> Graph:
    """The same graph, the layouts of arrays with ``values`` having the shape of the array as that of a chunk.

    Parameters
    ----------
    graph
        Valid.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> graph = Graph([Fill((2,), "int8", 0)])
    >>> in_one_chunk(graph) is graph
    True
    """
    layouts, arrays = list(graph.layouts), list(graph.arrays)

    def whole(layout: int, array: StoredArray) -> int:
        chunk_shape = tuple(max(n, 1) for n in array.shape)
        found: Layout = graph.layouts[layout]
        if found.chunk_shape == chunk_shape:
            return layout
        layouts.append(msgspec.structs.replace(found, chunk_shape=chunk_shape))
        return len(layouts) - 1

    kept = {k: array for k, array in enumerate(arrays) if array.values is not None}
    for position, array in kept.items():
        arrays[position] = msgspec.structs.replace(array, layout=whole(array.layout, array))
    nodes: list[Node] = list(graph.nodes)
    for position, node in of_kind(graph.nodes, Recode):
        below = graph.nodes[node.input]
        if isinstance(below, Source) and below.array in kept:
            layout = whole(node.layout, kept[below.array])
            nodes[position] = msgspec.structs.replace(node, layout=layout)
    if len(layouts) == len(graph.layouts):
        return graph
    return Graph(nodes, layouts=layouts, arrays=arrays, tables=graph.tables)
