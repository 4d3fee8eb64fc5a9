"""Placements as layers of a TensorStore stack: a box of the stack for each, and an index transform.

1. Along each axis of the view, the cells that the placements fill are looked at. Where each fills a run of neighbours,
   the axis of the stack is the axis of the view.
2. Elsewhere (interleaves, takes over joins) a box cannot say which cells are meant. There the stack has the cells in
   another order, in which those that the same placements fill are neighbours, and the view takes them out of it.
3. A placement is one layer for each product of runs.
Owns the transforms as JSON. Refuses to know what a source is, and more layers or cells of index arrays than a reader
of JSON can take.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lazyzarr.errors import ViewLimitError
from lazyzarr.lower.placements import AFFINE, UNFED, Placements

Json = Any
MAX_LAYERS = 100_000
MAX_INDICES = 2_000_000
"""Cells of all index arrays together."""


class Layer(NamedTuple):
    """One layer of the stack."""

    placement: int
    transform: dict[str, Json]
    """From the box in the stack to the source."""


@dataclass(frozen=True)
class Layers:
    """The layers of a view."""

    layers: tuple[Layer, ...]
    """In painting order."""
    output: list[dict[str, Json]] | None
    """Output maps from the view to the stack; None where both are the same."""


def layers_of(placed: Placements, shape: tuple[int, ...], ranks: list[int]) -> Layers:
    """The layers of placements.

    Parameters
    ----------
    placed
        Constants first, in painting order.
    shape
        Of the view [cells].
    ranks
        Axes that the source of each placement has.

    Raises
    ------
    ViewLimitError
        There are too many layers, or cells of index arrays.

    Examples
    --------
    >>> from lazyzarr.lower.placements import constant
    >>> layers_of(constant(0, (2, 3)), (2, 3), [0]).layers[0].transform
    {'input_inclusive_min': [0, 0], 'input_exclusive_max': [2, 3], 'output': []}
    """
    _check("layers", len(placed), MAX_LAYERS)
    spent = _Spent()
    axes = [_Axis(placed, axis, length, spent) for axis, length in enumerate(shape)]
    order = np.argsort(np.where(placed.source < 0, placed.order, np.iinfo(np.int32).max), kind="stable")
    layers: list[Layer] = []
    for row in order.tolist():
        runs = [axis.runs(row) for axis in axes]
        for box in itertools.product(*runs):
            layers.append(Layer(row, _transform(placed, row, ranks[row], box, spent)))
            _check("layers", len(layers), MAX_LAYERS)
    output = None
    if any(axis.rank is not None for axis in axes):
        output = [
            {"input_dimension": k} if axis.rank is None else spent.indices(axis.rank, k, len(shape))
            for k, axis in enumerate(axes)
        ]
    return Layers(tuple(layers), output)


class _Run(NamedTuple):
    """Neighbours along an axis of the stack that one placement fills."""

    start: int
    cells: np.ndarray | None
    """int64 (n,): the cells of the view, in the order of the stack; None: from `start` on."""
    length: int


class _Spent:
    """Cells of index arrays so far."""

    def __init__(self) -> None:
        self.cells = 0

    def indices(self, values: np.ndarray, axis: int, rank: int) -> dict[str, Json]:
        """An output map that reads a table along one axis."""
        self.check(len(values))
        return {"index_array": values.reshape([-1 if k == axis else 1 for k in range(rank)]).tolist()}

    def check(self, more: int) -> None:
        """Count cells before they are made."""
        self.cells += more
        _check("index_cells", self.cells, MAX_INDICES)


class _Axis:
    """One axis of the view: in which order the stack has its cells."""

    def __init__(self, placed: Placements, axis: int, length: int, spent: _Spent) -> None:
        self.placed, self.axis = placed, axis
        self.rank: np.ndarray | None = None
        """int64 (n,): place in the stack of each cell of the view; None: the same."""
        fed = (placed.axis == axis) & (placed.pool != AFFINE)
        self.pooled = (
            np.where(fed.any(axis=1), np.argmax(fed, axis=1), -1) if fed.shape[1] else np.full(len(placed), -1)
        )
        """int64 (p,): the source axis whose pool says the cells; -1: none does."""
        combs = (placed.into_step[:, axis] > 1) & (placed.into_count[:, axis] > 1) & (self.pooled < 0)
        if not combs.any() and all(_is_run(self.cells(row)) for row in np.flatnonzero(self.pooled >= 0).tolist()):
            return
        spent.check(length)
        self.order = self._together(length)
        self.rank = np.empty(length, np.int64)
        self.rank[self.order] = np.arange(length)

    def cells(self, row: int) -> np.ndarray:
        """Cells of the view that a placement fills, ascending where no pool says otherwise."""
        placed, axis, column = self.placed, self.axis, int(self.pooled[row])
        count = int(placed.into_count[row, axis])
        at = np.arange(count)
        if column >= 0:
            start = int(placed.pool[row, column])
            at = placed.pool_into[start : start + count]
        return placed.into_first[row, axis] + placed.into_step[row, axis] * at

    def _together(self, length: int) -> np.ndarray:
        """The cells in an order in which those that the same placements fill are neighbours."""
        seen: dict[bytes | tuple[int, int, int], int] = {}
        mark = np.zeros(length, np.uint64)
        salt = np.random.default_rng(0)  # a clash of marks would cost a run, and no more
        for row in range(len(self.placed)):
            first, step, count = (
                int(getattr(self.placed, f"into_{name}")[row, self.axis]) for name in ("first", "step", "count")
            )
            cells = self.cells(row)
            key = (first, step, count) if self.pooled[row] < 0 else np.sort(cells).tobytes()
            if key not in seen:
                seen[key] = row
                mark[cells] += salt.integers(1, 2**63, dtype=np.uint64)
        _, first_cell, group = np.unique(mark, return_index=True, return_inverse=True)
        return np.argsort(first_cell[group], kind="stable")

    def runs(self, row: int) -> list[_Run]:
        """The runs in the stack that a placement fills."""
        if self.rank is None:
            if self.pooled[row] >= 0:
                cells = np.sort(self.cells(row))
                return [_Run(int(cells[0]), cells, len(cells))]
            return [
                _Run(int(self.placed.into_first[row, self.axis]), None, int(self.placed.into_count[row, self.axis]))
            ]
        places = np.sort(self.rank[self.cells(row)])
        parts = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
        return [_Run(int(part[0]), self.order[part], len(part)) for part in parts]


def _is_run(cells: np.ndarray) -> bool:
    return int(cells.max()) - int(cells.min()) + 1 == len(cells)


def _transform(placed: Placements, row: int, rank: int, box: tuple[_Run, ...], spent: _Spent) -> dict[str, Json]:
    output: list[dict[str, Json]] = []
    for column in range(rank):
        fed = int(placed.axis[row, column])
        first, step = int(placed.first[row, column]), int(placed.step[row, column])
        if fed == UNFED:
            output.append({"offset": first} if first else {})
            continue
        run = box[fed]
        into_first, into_step = int(placed.into_first[row, fed]), int(placed.into_step[row, fed])
        if run.cells is None:
            # cell first + step * j of the source is cell into_first + j of the view, into_step being 1 or j being 0
            output.append(_affine(first - step * into_first, step, fed) if run.length > 1 else _held(first))
            continue
        at = (run.cells - into_first) // into_step
        start = int(placed.pool[row, column])
        if start != AFFINE:
            count = int(placed.into_count[row, fed])
            into = placed.pool_into[start : start + count]
            by_cell = np.argsort(into, kind="stable")
            found = by_cell[np.searchsorted(into[by_cell], at)]
            at = placed.pool_from[start : start + count][found]
        source = first + step * at
        steps = np.diff(source)
        if len(source) == 1:
            output.append(_held(int(source[0])))
        elif (steps == steps[0]).all() and steps[0]:
            stride = int(steps[0])
            output.append(_affine(int(source[0]) - stride * run.start, stride, fed))
        else:
            output.append(spent.indices(source, fed, len(box)))
    return {
        "input_inclusive_min": [run.start for run in box],
        "input_exclusive_max": [run.start + run.length for run in box],
        "output": output,
    }


def _affine(offset: int, stride: int, dimension: int) -> dict[str, Json]:
    found: dict[str, Json] = {"input_dimension": dimension}
    if offset:
        found["offset"] = offset
    if stride != 1:
        found["stride"] = stride
    return found


def _held(cell: int) -> dict[str, Json]:
    return {"offset": cell} if cell else {}


def _check(which: str, value: int, limit: int) -> None:
    if value > limit:
        raise ViewLimitError(which, value, limit, remedy="take a smaller part of the view, or save it with lz.save")
