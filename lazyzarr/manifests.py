"""The lowered manifest of a view, as a graph: what `lazyzarr.save` stores with ``manifest``.

Owns the step from a flat manifest to one stored array whose chunks come from a table of origins. Refuses what such a table
cannot say: other views, and those with chunks in memory, become rows of windows (`lazyzarr.manifest_rows`).
"""

from __future__ import annotations

import msgspec
import numpy as np

from lazyzarr.errors import NotFlat
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, StoredArray
from lazyzarr.ir.nodes import Source
from lazyzarr.ir.tables import Table
from lazyzarr.lower.aligned import INLINE
from lazyzarr.lower.lowering import lower
from lazyzarr.manifest_rows import (
    BYTES,
    CHUNKS,
    INLINE_BYTES,
    ORIGINS,
    held_bytes,
    origins_table,
    reference_columns,
    rows_graph,
)
from lazyzarr.view import View


def manifest_graph(view: View) -> Graph:
    """A graph that means what the view means, with a row for each of its chunks, or for each window of one.

    Raises
    ------
    SaveUnsupported
        Chunks without axes are sharded.
    """
    try:
        flat = view.flatten(rectilinear=False)
    except NotFlat:
        return rows_graph(lower(view.ir))
    if any(len(origin.grid) > len(flat.shape) for origin in flat.origins):
        return rows_graph(lower(view.ir))  # keys of such arrays are not spelled from the axes of the view
    inline = np.flatnonzero(flat.state == INLINE)
    parts = [flat.memory[k].encode() for k in flat.origin[inline].tolist()]
    if sum(map(len, parts)) > INLINE_BYTES:
        return rows_graph(lower(view.ir))
    plain = Layout(flat.data_type, flat.fill_value, flat.chunk_shape, flat.codecs)
    keyed, origins = origins_table(flat.origins, 0)
    layouts = [msgspec.structs.replace(plain, chunk_keys=keys, metadata=file) for keys, file in keyed] or [plain]
    made = {name: getattr(flat, name) for name in ("state", "origin", "number", "offset", "length")}
    tables = [origins]  # their names are those in the document, not identities: the graph is only written
    array = StoredArray(0, flat.shape, refs=CHUNKS, origins=ORIGINS, variants=tuple(range(1, len(layouts))))
    if parts:
        tables.append(held_bytes(made, inline, parts, BYTES))
        array = msgspec.structs.replace(array, inline=BYTES)
    tables.append(Table(reference_columns(made, [origin.keys is not None for origin in flat.origins]), name=CHUNKS))
    return Graph([Source(0)], layouts=layouts, arrays=[array], tables={table.name: table for table in tables})
