"""Chunks of arrays that have a table of origins, as chunks of those origins.

Owns the step before chunks are located: fragments of such an array become fragments of the files and keyed arrays that
its rows name, only those that are asked for. Refuses rows whose numbers are outside the grid of their origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.layout import Layout, StoredArray
from lazyzarr.ir.origins import FILE, origins_at
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered

_ABSENT, _INLINE = 0, 3
"""In the column ``state`` of references: chunks that come from no origin."""


def resourced(
    lowered: Lowered, found: Fragments, arrays: list[StoredArray], array: np.ndarray, linear: np.ndarray
) -> tuple[Lowered, Fragments, list[StoredArray], np.ndarray]:
    """Fragments with chunk and layout of their origins; the arrays, and the array of each fragment.

    Parameters
    ----------
    arrays, array
        Arrays, and int64 (m,) which of them each fragment is of.
    linear
        int64 (m,): number of the chunk in the grid of its array.
    """
    arrays, array = list(arrays), array.copy()
    chunk, layout = found.chunk.copy(), found.layout.copy()
    layouts = list(lowered.layouts)
    for position, stored in enumerate(list(arrays)):
        if stored.origins is not None:
            mine = np.flatnonzero(array == position)
            _one(lowered, stored, mine, linear[mine] + stored.refs_first, arrays, array, chunk, layout, layouts)
    return replace(lowered, layouts=tuple(layouts)), replace(found, chunk=chunk, layout=layout), arrays, array


def _one(
    lowered: Lowered,
    stored: StoredArray,
    mine: np.ndarray,
    rows: np.ndarray,
    arrays: list[StoredArray],
    array: np.ndarray,
    chunk: np.ndarray,
    layout: np.ndarray,
    layouts: list[Layout],
) -> None:
    graph = lowered.sources.graph
    assert stored.refs is not None
    assert stored.origins is not None
    refs, table = graph.tables[stored.refs], graph.tables[stored.origins]
    key = _key(rows)
    origin = np.asarray(refs["origin"][key]).astype(np.int64)
    state = np.asarray(refs["state"][key]) if "state" in refs else np.ones(len(rows), np.uint8)
    origin = np.where((state == _ABSENT) | (state == _INLINE), -1, origin)
    numbers = np.asarray(refs["number"][key]) if "number" in refs else np.zeros(len(rows), np.int64)
    there = np.flatnonzero(origin >= 0)
    used, which = np.unique(origin[there], return_inverse=True)
    if ((origin < 0) & (state != _ABSENT) & (state != _INLINE)).any():
        raise _invalid("a chunk that is not absent has no origin")
    if not len(used):
        return
    first = len(arrays)
    shape = graph.layouts[stored.layout].chunk_shape
    arrays.extend(origins_at(table, used, stored, shape))
    array[mine[there]] = first + which
    codes, grids = np.asarray(table["layout"][used]), np.asarray(table["grid"][used])
    keyed = np.flatnonzero(codes[which] != FILE)
    at, inside, grid = mine[there[keyed]], numbers[there[keyed]], np.maximum(grids[which[keyed]], 1)
    if grid.shape[1] > chunk.shape[1] and (grid[:, chunk.shape[1] :] > 1).any():
        raise _invalid("an origin has more axes than the array")
    chunk[at] = 0
    rest = inside.copy()
    for axis in range(grid.shape[1] - 1, -1, -1):
        if axis < chunk.shape[1]:
            chunk[at, axis] = rest % grid[:, axis]
        rest //= grid[:, axis]
    if rest.any():  # what is left of a number that is too large, or negative
        raise _invalid("a number of a chunk is outside the grid of its origin")
    choices = (stored.layout, *stored.variants)
    for code in np.unique(codes[which[keyed]]).tolist():
        _rekey(layout, at[codes[which[keyed]] == code], graph.layouts[choices[code]], layouts)


def _rekey(layout: np.ndarray, at: np.ndarray, keyed: Layout, layouts: list[Layout]) -> None:
    """The layouts of some fragments, with the chunk keys and the metadata key of another."""
    for current in np.unique(layout[at]).tolist():
        wanted = msgspec.structs.replace(layouts[current], chunk_keys=keyed.chunk_keys, metadata=keyed.metadata)
        if wanted not in layouts:
            layouts.append(wanted)
        layout[at[layout[at] == current]] = layouts.index(wanted)


def _key(rows: np.ndarray) -> slice | np.ndarray:
    if len(rows) and int(rows[-1]) - int(rows[0]) + 1 == len(rows) and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _invalid(what: str) -> ViewSchemaError:
    return ViewSchemaError(f"{what}; save the view again", reason="table-invalid")


def has_origins(arrays: Sequence[StoredArray]) -> bool:
    """Whether chunks of some of the arrays come from the rows of a table."""
    return any(stored.origins is not None for stored in arrays)
