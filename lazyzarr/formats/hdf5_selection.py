"""HDF5 dataspace selections as boxes of spans.

Owns the decomposition of a pair of selections with equal numbers of cells (a box of the source, a box of the view,
matched in C order) into pairs of strided boxes. Refuses point lists, unions of blocks that are not a product of
axes, and pairs whose axes cannot be matched without reading cell by cell.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from h5py import h5s

from lazyzarr.errors import UnsupportedFeature

Triple = tuple[int, int, int]
"""``(start, step, count)`` [cells]."""
MAX_PIECES = 1 << 20

_BOTH = 2


@dataclass(frozen=True)
class Axis:
    """Selected indices of one axis: blocks of `block` cells at ``start + i * stride``, or explicit runs."""

    start: int
    stride: int
    count: int
    block: int
    runs: tuple[Triple, ...] | None = None

    @property
    def total(self) -> int:
        """Number of selected indices."""
        return self.count * self.block if self.runs is None else sum(run[2] for run in self.runs)

    @property
    def single(self) -> Triple | None:
        """The selection as one run, if it is one."""
        if self.runs is not None:
            return self.runs[0] if len(self.runs) == 1 else None
        if self.count == 1 or self.stride == self.block:
            return (self.start, 1, self.total)
        return (self.start, self.stride, self.count) if self.block == 1 else None

    def pieces(self) -> tuple[Triple, ...]:
        """The selection as runs in ascending order."""
        if self.runs is not None:
            return self.runs
        single = self.single
        if single is not None:
            return (single,)
        _limit(self.count)
        return tuple((self.start + i * self.stride, 1, self.block) for i in range(self.count))

    def first(self, cells: int) -> Axis:
        """The selection cut after that many indices."""
        if cells >= self.total:
            return self
        whole, rest = divmod(cells, self.block)
        if rest == 0:
            return Axis(self.start, self.stride, whole, self.block)
        head = tuple((self.start + i * self.stride, 1, self.block) for i in range(whole))
        return Axis(0, 1, 0, 0, (*head, (self.start + whole * self.stride, 1, rest)))


def axes_of(space: Any) -> list[Axis] | None:
    """The selection of a dataspace, axis by axis; None where nothing is selected.

    A count of ``h5s.UNLIMITED`` is kept as it is.
    """
    kind = space.get_select_type()
    if kind == h5s.SEL_NONE:
        return None
    if kind == h5s.SEL_ALL:
        return [Axis(0, 1, 1, n) for n in space.get_simple_extent_dims()]
    if kind != h5s.SEL_HYPERSLABS:
        raise _refused("selects single points")
    if space.is_regular_hyperslab():
        return [Axis(*axis) for axis in zip(*space.get_regular_hyperslab(), strict=True)]
    return _product(space)


def pairs(source: Sequence[Axis], view: Sequence[Axis]) -> list[tuple[list[Triple], list[Triple], tuple[int, ...]]]:
    """Boxes of the source, the boxes of the view they fill, and for each source axis its view axis or -1."""
    from_axes = [axis for axis, one in enumerate(source) if one.total != 1]
    to_axes = [axis for axis, one in enumerate(view) if one.total != 1]
    if [source[a].total for a in from_axes] != [view[a].total for a in to_axes]:
        return _reshaped(source, view, from_axes, to_axes)
    feeds = dict(zip(from_axes, to_axes, strict=True))
    choices = [_matched(source[a], view[feeds[a]]) for a in from_axes]
    _limit(math.prod(len(choice) for choice in choices))
    axes = tuple(feeds.get(axis, -1) for axis in range(len(source)))
    found: list[tuple[list[Triple], list[Triple], tuple[int, ...]]] = []
    for combination in product(*choices):
        box, into = [one.pieces()[0] for one in _points(source)], [one.pieces()[0] for one in _points(view)]
        for axis, (taken, filled) in zip(from_axes, combination, strict=True):
            box[axis], into[feeds[axis]] = taken, filled
        found.append((box, into, axes))
    return found


def _points(axes: Sequence[Axis]) -> list[Axis]:
    """Axes of one index as they are; the others only hold a place."""
    return [one if one.total == 1 else Axis(0, 1, 1, 1) for one in axes]


def _matched(source: Axis, view: Axis) -> list[tuple[Triple, Triple]]:
    """Pairs of runs with the same number of indices, which together are the two selections."""
    blocks = {one.block for one in (source, view) if one.single is None and one.runs is None}
    counts = {one.count for one in (source, view) if one.single is None and one.runs is None}
    if len(blocks) == 1 and source.runs is None and view.runs is None:
        (block,), (count,) = blocks, counts
        if block < count:
            return [(_every(source, block, first), _every(view, block, first)) for first in range(block)]
    cuts = np.unique(np.concatenate([_ends(source), _ends(view)]))
    starts = np.concatenate([[0], cuts[:-1]])
    return [
        (_between(source, int(a), int(b)), _between(view, int(a), int(b))) for a, b in zip(starts, cuts, strict=True)
    ]


def _every(axis: Axis, block: int, first: int) -> Triple:
    """Each `block`-th index from the position `first` on."""
    single = axis.single
    if single is None:
        return (axis.start + first, axis.stride, axis.count)
    start, step, count = single
    return (start + first * step, step * block, count // block)


def _ends(axis: Axis) -> np.ndarray:
    """Positions after each run."""
    return np.cumsum([run[2] for run in axis.pieces()])


def _between(axis: Axis, first: int, stop: int) -> Triple:
    """The positions ``[first, stop)``, which lie in one run."""
    single = axis.single
    if single is not None:
        start, step, _ = single
        return (start + first * step, step, stop - first)
    if axis.runs is None:
        block, inside = divmod(first, axis.block)
        return (axis.start + block * axis.stride + inside, 1, stop - first)
    ends = _ends(axis)
    number = int(np.searchsorted(ends, first, side="right"))
    start, step, count = axis.runs[number]
    return (start + (first - int(ends[number]) + count) * step, step, stop - first)


def _reshaped(
    source: Sequence[Axis], view: Sequence[Axis], from_axes: list[int], to_axes: list[int]
) -> list[tuple[list[Triple], list[Triple], tuple[int, ...]]]:
    """Equal numbers of cells in boxes of different shape: cut the longer axis until the shapes agree."""
    left = [[axis, *_whole(source[axis])] for axis in from_axes]
    right = [[axis, *_whole(view[axis])] for axis in to_axes]
    found: list[tuple[list[Triple], list[Triple], tuple[int, ...]]] = []
    base_box = [one.pieces()[0] for one in _points(source)]
    base_into = [one.pieces()[0] for one in _points(view)]
    stack = [(left, right, base_box, base_into, {})]
    while stack:
        left, right, box, into, feeds = stack.pop()
        _limit(len(found) + len(stack))
        if not left and not right:
            found.append((box, into, tuple(feeds.get(axis, -1) for axis in range(len(source)))))
            continue
        if not left or not right:
            raise _refused("selects different numbers of cells in source and view")
        (a, start, step, count), (b, to, stride, length) = left[0], right[0]
        if count == length:
            box, into = [*box], [*into]
            box[a], into[b] = (start, step, count), (to, stride, length)
            stack.append((left[1:], right[1:], box, into, {**feeds, a: b}))
        elif count % length == 0:
            part = count // length
            for i in reversed(range(length)):
                point = [*into]
                point[b] = (to + i * stride, 1, 1)
                stack.append(([[a, start + i * part * step, step, part], *left[1:]], right[1:], box, point, feeds))
        elif length % count == 0:
            part = length // count
            for i in reversed(range(count)):
                point = [*box]
                point[a] = (start + i * step, 1, 1)
                stack.append((left[1:], [[b, to + i * part * stride, stride, part], *right[1:]], point, into, feeds))
        else:
            raise _refused("selects boxes of different shape in source and view")
    return found


def _whole(axis: Axis) -> Triple:
    single = axis.single
    if single is None:
        raise _refused("selects boxes of different shape in source and view")
    return single


def _product(space: Any) -> list[Axis]:
    """An irregular selection, if it is the product of one set of indices per axis."""
    _limit(space.get_select_hyper_nblocks())
    blocks = np.asarray(space.get_select_hyper_blocklist(), np.int64)
    axes: list[Axis] = []
    for axis in range(blocks.shape[-1]):
        ranges = np.unique(blocks[:, :, axis], axis=0)
        _limit(int((ranges[:, 1] - ranges[:, 0] + 1).sum()))
        indices = np.unique(np.concatenate([np.arange(a, b + 1) for a, b in ranges]))
        axes.append(Axis(0, 1, 0, 0, _runs(indices)))
    if math.prod(one.total for one in axes) != space.get_select_npoints():
        raise _refused("selects a union of blocks that is not a product of axes")
    return axes


def _runs(indices: np.ndarray) -> tuple[Triple, ...]:
    """Ascending indices as maximal runs of constant step, found greedily."""
    runs: list[Triple] = []
    first = 0
    steps = np.diff(indices)
    while first < len(indices):
        if first == len(indices) - 1:
            runs.append((int(indices[first]), 1, 1))
            break
        differs = np.flatnonzero(steps[first:] != steps[first])
        count = (int(differs[0]) if len(differs) else len(steps) - first) + 1
        step = int(steps[first])
        if count < _BOTH + 1 and step > 1:
            count, step = 1, 1
        runs.append((int(indices[first]), step, count))
        first += count
    return tuple(runs)


def _limit(pieces: int) -> None:
    if pieces > MAX_PIECES:
        raise _refused(f"takes more than {MAX_PIECES} boxes")


def _refused(what: str) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"a mapping of the virtual dataset {what}; only products of strided axes are read; write the mapping as"
        " several hyperslabs",
        reason="source-unsupported",
    )
