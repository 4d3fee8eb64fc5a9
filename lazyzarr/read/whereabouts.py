"""Where one chunk is, in plain integers: the scalar twin of `lazyzarr.lower.locate` and `lazyzarr.lower.resourcing`.

Owns the step from a window to the object, the byte range, or the origin that its row of references names. Refuses, by
giving up (None), chunks with an origin that are absent, kept beside the graph or out of place: the columnar way reads them, or says what is
wrong.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from lazyzarr.ir.chunk_keys import chunk_key
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.origins import origin_at
from lazyzarr.read.windows import Piece, Window


def place_of(window: Window, graph: Graph) -> tuple[str, int, int, bool]:
    """Location, offset, length [bytes] and presence of the chunk; length -1: not a byte range."""
    array, layout = window.piece.array, window.piece.layout
    if array.refs is None:
        return chunk_key(layout.chunk_keys, window.chunk, f"{array.location}/"), 0, -1, True
    row, refs = _row(window), graph.tables[array.refs]
    state = _number(refs["state"], row) if "state" in refs else 1
    if state > 1:
        return array.location or "", 0, -1, True
    return array.location or "", _number(refs["offset"], row), _number(refs["length"], row), state == 1


def at_origin(window: Window, graph: Graph) -> Window | None:
    """A window of an array with a table of origins, in the file or the keyed array that its row names."""
    piece, row = window.piece, _row(window)
    array, layout = piece.array, piece.layout
    assert array.refs is not None
    assert array.origins is not None
    refs, table = graph.tables[array.refs], graph.tables[array.origins]
    if "state" in refs and _number(refs["state"], row) != 1:
        return None
    origin = _number(refs["origin"], row)
    if not 0 <= origin < table.rows:
        return None
    one, grid, whole = origin_at(table, origin, array, layout.chunk_shape)
    chunk = window.chunk
    if grid is not None:
        number = _number(refs["number"], row) if "number" in refs else 0
        chunk = ()
        for length in reversed(grid):
            number, at = divmod(number, length)
            chunk = (at, *chunk)
        if number or len(chunk) != len(layout.chunk_shape):
            return None
        keyed = graph.layouts[one.layout]
        layout = msgspec.structs.replace(layout, chunk_keys=keyed.chunk_keys, metadata=keyed.metadata)
    return Window(Piece(one, layout, piece.axes, piece.box, whole), chunk, window.axes, window.box)


def _row(window: Window) -> int:
    """Row of the table of references that the chunk has."""
    array, row = window.piece.array, 0
    for chunk, n, c in zip(window.chunk, array.shape, window.piece.layout.chunk_shape, strict=True):
        row = row * -(-n // c) + chunk
    return row + array.refs_first


def _number(column: Any, row: int) -> int:
    return int(np.asarray(column[row : row + 1])[0])
