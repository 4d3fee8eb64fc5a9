"""Views of one array, one for each combination of the values of the joining entries, as one view.

1. A grid of many stored arrays, files that are missing among them, is one table, however the entries are nested.
2. Else views are joined from the innermost entry outwards.
Owns the order of axes that the entries give. Refuses to look at files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lazyzarr.combine import concat, interleave, stack
from lazyzarr.definition.planning import Entry, SourcePlan
from lazyzarr.fitting import fitting, shared_attrs
from lazyzarr.tiling import MANY, placed_boxes
from lazyzarr.view import View


def joined_cells(
    cells: list[View], dims: Sequence[str | None], plan: SourcePlan, order: Sequence[str]
) -> tuple[View, dict[str, np.ndarray]]:
    """The joined view, and the cells that each value of an entry contributes, by dimension.

    Parameters
    ----------
    cells
        In C order of the values of the joining entries.
    dims
        Of the cells.
    order
        Dimensions as the definition orders them; stacked ones that are not named come first.

    Raises
    ------
    CombineError
        Views do not fit.
    """
    entries = [plan.entries[number] for number in plan.joined()]
    lengths: dict[str, np.ndarray] = {}
    names = list(dims)
    step = len(cells)
    for entry in entries:
        step //= entry.size
        if entry.join == "stack":
            lengths[entry.dim] = np.ones(entry.size, np.int64)
        else:
            axis = names.index(entry.dim)
            alike = cells[:: max(step, 1)][: entry.size]
            lengths[entry.dim] = np.array([view.shape[axis] for view in alike], np.int64)
    for entry in reversed(entries):
        if entry.join == "stack":
            before = [d for d in names if d in order and order.index(d) < order.index(entry.dim)] if order else []
            names.insert(len(before), entry.dim)
    view = _table(cells, dims, names, entries, lengths)
    return _nested(cells, list(dims), names, entries) if view is None else view, lengths


def _table(
    cells: list[View],
    dims: Sequence[str | None],
    names: Sequence[str | None],
    entries: Sequence[Entry],
    lengths: dict[str, np.ndarray],
) -> View | None:
    """A grid of many boxes as one leaf; None where it is none, or not of stored arrays."""
    stacked = [names.index(entry.dim) for entry in entries if entry.join == "stack"]
    if len(entries) < 2 or len(cells) < MANY or len(stacked) > 1 or any(e.join == "interleave" for e in entries):
        return None  # of one entry a join makes a table, too
    at = np.unravel_index(np.arange(len(cells)), [entry.size for entry in entries])
    extents = np.ones((len(cells), len(names)), np.int64)
    own = [axis for axis in range(len(names)) if axis not in stacked]
    extents[:, own] = np.array([view.shape for view in cells], np.int64).reshape(len(cells), len(own))
    origins = np.zeros_like(extents)
    expected = np.tile(extents[0], (len(cells), 1))
    shape = extents[0].copy()
    for entry, steps in zip(entries, at, strict=True):
        axis, along = names.index(entry.dim), lengths[entry.dim]
        origins[:, axis] = (np.cumsum(along) - along)[steps]
        expected[:, axis] = along[steps]
        shape[axis] = along.sum()
    if (extents != expected).any():
        return None  # a join says which
    inputs = fitting("concat", cells, "any")
    new_axis = stacked[0] if stacked else None
    view = placed_boxes(inputs, origins, tuple(shape.tolist()), new_axis=new_axis)
    return None if view is None else view._same(dims=tuple(names), attrs=shared_attrs(inputs))


def _nested(cells: list[View], dims: list[str | None], names: Sequence[str | None], entries: Sequence[Entry]) -> View:
    """Views joined, the innermost entry first."""
    for entry in reversed(entries):
        groups = [cells[k : k + entry.size] for k in range(0, len(cells), entry.size)]
        if entry.join == "stack":
            left = [dim for dim in names if dim in dims or dim == entry.dim]
            axis = left.index(entry.dim)
            dims.insert(axis, entry.dim)
            cells = [stack(group, axis).rename_dims(dims) for group in groups]
            continue
        axis = dims.index(entry.dim)
        cells = [(concat if entry.join == "concat" else interleave)(group, axis) for group in groups]
    return cells[0]
