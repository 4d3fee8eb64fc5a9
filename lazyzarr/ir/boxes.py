"""Rows of a `Boxes` node: the only place that knows the columns of a table of boxes, and what makes rows of them.

Owns the columns (``array`` int32 (n,); ``axis`` int8 (n, q), ``first`` and ``step`` int64 (n, q) [cells of the array];
``origin``, ``stride`` and ``count`` int64 (n, r) [cells of the view]), the checks of rows, and the keys of one row for
the oracle. Axis ``a`` of an array has the cells ``first + step * k``, ``0 <= k < count[axis[a]]``, or the one cell
``first`` where ``axis`` is -1. Arrays of lower rank leave the columns of the axes they do not have at -1, 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lazyzarr.algebra.boxes import any_overlap
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Boxes, ConstantBox
from lazyzarr.ir.tables import Table

HELD = -1
"""In ``axis``: the array is held at one cell of this axis, or does not have it."""
OF_ARRAY = {"axis": "i1", "first": "i8", "step": "i8"}
"""Columns (n, q)."""
OF_VIEW = {"origin": "i8", "stride": "i8", "count": "i8"}
"""Columns (n, r)."""


def column_problems(table: Table, rank: int) -> Iterator[tuple[str, str]]:
    """What is wrong with a table: (column or ``""``, text); ``rank`` is that of the view."""
    kinds = {"array": "i4", **OF_ARRAY, **OF_VIEW}
    for name, column in table.columns.items():
        if name not in kinds:
            yield "", f"the column {name} is not one of a table of boxes"
        elif column.dtype != np.dtype(kinds[name]) or len(column.shape) != (1 if name == "array" else 2):
            yield name, f"the column is {column.dtype} of rank {len(column.shape)}, not {np.dtype(kinds[name])}"
        elif name in OF_VIEW and column.shape[1] != rank:
            yield name, f"the column has {column.shape[1]} numbers in a row, the view has rank {rank}"
    missing = [name for name in kinds if name not in table]
    for name in missing:
        yield "", f"the column {name} is missing"
    if missing:
        return
    if len({column.shape[0] for column in table.columns.values() if column.shape}) > 1:
        yield "", "the columns have different lengths"
    if len({table[name].shape[1:] for name in OF_ARRAY}) > 1:
        yield "axis", "the columns of the arrays have different widths"


def row_problems(
    node: Boxes, rows: Mapping[str, np.ndarray], shapes: Sequence[tuple[int, ...]]
) -> tuple[str, str, str] | None:
    """The first thing that is wrong with some rows, as (reason, column or ``""``, text); None if they are sound.

    Parameters
    ----------
    rows
        Some rows of every column.
    shapes
        Of ``node.arrays``.
    """
    array, axis, count = rows["array"], rows["axis"], rows["count"]
    if not len(array):
        return None
    rank, wide = len(node.shape), axis.shape[1]
    if array.min() < 0 or array.max() >= len(shapes):
        return "table-invalid", "array", f"a row is of array {int(array.max())} of {len(shapes)}"
    if axis.size and (axis.min() < HELD or axis.max() >= rank):
        return "table-invalid", "axis", f"an axis of a row is outside the rank {rank} of the view"
    if max(map(len, shapes)) > wide:
        return "table-invalid", "axis", f"a row has {wide} axes, an array has {max(map(len, shapes))}"
    fed = np.zeros((len(array), rank), np.int8)
    for column in axis.T:
        at = np.flatnonzero(column >= 0)
        fed[at, column[at]] += 1
    if (fed > 1).any():
        return "table-invalid", "axis", "one axis of the view feeds two axes of an array"
    if (rows["stride"] < 1).any() or (count < 1).any():
        return "graph-shape", "", "a row has a stride or a count below 1"
    view, origin, stride = np.array(node.shape, np.int64), rows["origin"], rows["stride"]
    # a product of two int64 may wrap, a quotient does not
    if (origin < 0).any() or (origin >= view).any() or (count - 1 > (view - 1 - origin) // stride).any():
        return "graph-shape", "", "a box reaches outside the view"
    lengths = np.ones((len(shapes), wide), np.int64)
    for number, shape in enumerate(shapes):
        lengths[number, : len(shape)] = shape
    length, first, step = lengths[array], rows["first"], rows["step"]
    cells = (
        np.where(axis >= 0, np.take_along_axis(count, np.maximum(axis, 0).astype(np.int64), axis=1), 1) if rank else 1
    )
    room = np.where(step < 0, first, length - 1 - first)
    if (step == 0).any() or (first < 0).any() or (first >= length).any():
        return "graph-shape", "", "a box begins outside its array, or has the step 0"
    if ((cells - 1) > room // np.maximum(np.abs(step), 1)).any() or (step == np.iinfo(np.int64).min).any():
        return "graph-shape", "", "a box reaches outside its array"
    pair = any_overlap(origin, count, stride)
    if pair is not None:
        return "overlap", "", f"boxes {pair[0]} and {pair[1]} overlap"
    return None


def constant_problem(node: Boxes, constant: ConstantBox) -> str | None:
    """What is wrong with a constant, or None."""
    rank = len(node.shape)
    stride = constant.stride or (1,) * rank
    if {len(constant.origin), len(constant.count), len(stride)} != {rank}:
        return f"the rank of a constant is not {rank}, that of the view"
    for origin, count, step, length in zip(constant.origin, constant.count, stride, node.shape, strict=True):
        if min(origin, count - 1, step - 1) < 0 or origin + step * (count - 1) >= length:
            return "a constant reaches outside the view"
    return None


def all_rows(table: Table) -> dict[str, np.ndarray]:
    """Every column, whole."""
    return {name: np.asarray(table[name]) for name in ("array", *OF_ARRAY, *OF_VIEW)}


def placed_cells(
    graph: Graph, node: Boxes, row: int
) -> tuple[int, tuple[slice, ...], tuple[int | slice, ...], list[int]]:
    """One row for the oracle: array, key into the view, key into the array, and the view axes that its result has.

    The last is in the order of the axes of the array.
    """
    found = {name: column[row].tolist() for name, column in all_rows(graph.tables[node.table]).items()}
    array = node.arrays[found["array"]]
    target = tuple(
        slice(first, first + step * count, step)
        for first, step, count in zip(found["origin"], found["stride"], found["count"], strict=True)
    )
    key: list[int | slice] = []
    for axis, first, step in zip(found["axis"], found["first"], found["step"], strict=True):
        stop = first + step * (found["count"][axis] if axis >= 0 else 1)
        key.append(first if axis < 0 else slice(first, stop if stop >= 0 else None, step))
    return array, target, tuple(key[: len(graph.arrays[array].shape)]), [axis for axis in found["axis"] if axis >= 0]
