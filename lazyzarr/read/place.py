"""Cells of a decoded chunk into the output: `Placer`.

Owns the keys of each fragment on both sides and the copy between them. Refuses to decode and to fetch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.placements import AFFINE, UNFED, ranges

_MOST_RUNS = 512
"""Contiguous runs of the output that one chunk is read into directly; more are decoded first and copied."""
_MOST_CUTS = 256
"""Windows kept."""


class Placer:
    """Copies windows of chunks into one output array; safe for threads, since fragments are disjoint."""

    def __init__(self, found: Fragments, out: np.ndarray) -> None:
        self.out = out
        self.found = found = _singled(found)
        rank = out.ndim
        self._affine = (found.pool == AFFINE).all(axis=1)
        self._pooled = (~self._affine).tolist()
        self._same_axes = found.axis.shape[1] == rank and bool((found.axis == np.arange(rank)).all())
        """Whether every fragment has the axes of the view in their order."""
        self._cuts: dict[tuple[Any, ...], tuple[tuple[Any, ...], list[int], list[int]]] = {}
        """Windows worked out before: the chunks of a regular grid are mostly cut alike."""

    # whole columns are converted at once, on first use: most chunks of a large read never need them
    @cached_property
    def _start(self) -> list[list[int]]:
        return self.found.start.tolist()

    @cached_property
    def _step(self) -> list[list[int]]:
        return self.found.step.tolist()

    @cached_property
    def _count(self) -> list[list[int]]:
        return self.found.count.tolist()

    @cached_property
    def _axis(self) -> list[list[int]]:
        return self.found.axis.tolist()

    @cached_property
    def _into_first(self) -> list[list[int]]:
        return self.found.into_first.tolist()

    @cached_property
    def _into_step(self) -> list[list[int]]:
        return self.found.into_step.tolist()

    @cached_property
    def _into_count(self) -> list[list[int]]:
        return self.found.into_count.tolist()

    @cached_property
    def _into_stop(self) -> list[list[int]]:
        return (self.found.into_first + self.found.into_count).tolist()

    def blocks(self, fragments: np.ndarray, lengths: np.ndarray, origin: np.ndarray | int = 0) -> np.ndarray:
        """bool (n,): the whole chunk goes cell for cell to a box of the output; see `put_block`.

        Parameters
        ----------
        fragments
            int64 (n,).
        lengths
            int64 (n, q): extent of the chunk of each, or of a part of it.
        origin
            int64 (n, q): where the part begins.
        """
        found = self.found
        if not self._same_axes:
            return np.zeros(len(fragments), bool)
        count = found.count[fragments]
        ahead = (found.step[fragments] == 1) & (found.into_step[fragments] == 1)
        fits = (found.start[fragments] == origin) & (count == lengths) & (ahead | (count == 1))
        whole = self._affine[fragments]
        for column in fits.T:  # NumPy is slow at rows of a few numbers
            whole = whole & column
        return whole

    def runs(self, fragments: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Where in the output, counted in cells, chunks that are ``blocks`` are one run; -1 where they are not."""
        found, shape = self.found, self.out.shape
        if not self.out.flags.c_contiguous or not blocks.any():
            return np.full(len(fragments), -1, np.int64)
        count = found.count[fragments]
        many = count > 1
        fits = blocks.copy()
        rest_full = np.ones(len(fragments), bool)
        at = np.zeros(len(fragments), np.int64)
        cells = 1
        for axis in range(len(shape) - 1, -1, -1):
            fits &= ~many[:, axis] | rest_full
            rest_full &= count[:, axis] == shape[axis]
            at += found.into_first[fragments, axis] * cells
            cells *= shape[axis]
        return np.where(fits, at, -1)

    def strips(self, fragments: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """int64 (n,): up to which other the ``blocks`` from each on lie side by side along one axis; see `put_strip`."""
        alone = np.arange(1, len(fragments) + 1)
        if len(fragments) < 2 or not self.out.ndim or not blocks.any():
            return alone
        first, count = self.found.into_first[fragments], self.found.into_count[fragments]
        beside = blocks[:-1] & blocks[1:]
        axes, along = np.zeros((2, len(beside)), np.int64)
        for axis in range(self.out.ndim):  # columns one by one: NumPy is slow at rows of a few numbers
            gap = first[1:, axis] - first[:-1, axis]
            length = count[:-1, axis]
            beside &= ((gap == 0) | (gap == length)) & (count[1:, axis] == length)
            axes += gap != 0
            along[gap != 0] = axis
        beside &= axes == 1
        along = np.append(np.where(beside, along, -1), -1)  # the last one has none beside it
        turns = np.flatnonzero(np.diff(along, append=-2))
        return np.where(along < 0, alone, np.repeat(turns, np.diff(turns, prepend=-1)) + 2)

    def whole(self, fragments: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """bool (n,): the fragment uses the first and the last cell of its chunk, in whatever order."""
        found = self.found
        first = found.start[fragments]
        last = first + found.step[fragments] * (found.count[fragments] - 1)
        spans = (np.minimum(first, last) == 0) & (np.maximum(first, last) == lengths - 1)
        return (spans & (found.pool[fragments] == AFFINE)).all(axis=1)

    def cells(self, fragment: int) -> int:
        """Number of cells of the view that a fragment fills."""
        return math.prod(self._into_count[fragment])

    def put(self, fragment: int, chunk: np.ndarray, origin: Sequence[int] | None = None) -> None:
        """Copy the window of a fragment out of its decoded chunk, or of the part of it that begins at ``origin``."""
        if self._pooled[fragment]:
            self._put_gathered(fragment, chunk, [0] * chunk.ndim if origin is None else origin)
            return
        columns = (self._start[fragment], self._step[fragment], self._count[fragment], self._axis[fragment])
        cut = (chunk.ndim, None if origin is None else tuple(origin), *map(tuple, columns))
        found = self._cuts.get(cut)
        if found is None:
            begin = [0] * chunk.ndim if origin is None else origin
            order, shape = ([], []) if self._same_axes else self._turn(fragment, chunk.ndim)
            found = ((*self._window(fragment, begin), ...), order, shape)
            if len(self._cuts) >= _MOST_CUTS:
                self._cuts.clear()  # another thread may do so at any time, too
            self._cuts[cut] = found
        key, order, shape = found
        window = chunk[key]
        if not self._same_axes:
            window = window.transpose(order).reshape(shape)
        self.out[self.box(fragment)] = window

    def put_block(self, fragment: int, chunk: np.ndarray) -> None:
        """Copy a whole chunk to its box: `put` for fragments that are `blocks`."""
        self.out[tuple(map(slice, self._into_first[fragment], self._into_stop[fragment]))] = chunk

    def put_strip(self, first: int, last: int, chunks: np.ndarray) -> None:
        """Copy whole chunks, of which the fragments ``first`` and ``last`` are the ends of one of the `strips`."""
        box = self.out[tuple(map(slice, self._into_first[first], self._into_stop[last]))]
        number, *shape = chunks.shape
        axis = next(k for k, n in enumerate(shape) if n != box.shape[k])
        cut = box.reshape(*shape[:axis], number, *shape[axis:])  # a view: nothing but an axis is divided
        cut.transpose(axis, *range(axis), *range(axis + 1, cut.ndim))[...] = chunks

    def fill(self, fragment: int, value: object) -> None:
        """Fill the box of a fragment whose chunk is stored nowhere."""
        if self._pooled[fragment]:
            target = self.out[np.ix_(*self._into_cells(fragment))]
            filler = np.empty(target.shape, self.out.dtype)
            _set(filler, ..., value)
            self.out[np.ix_(*self._into_cells(fragment))] = filler
            return
        _set(self.out, self.box(fragment), value)

    def box(self, fragment: int) -> tuple[Any, ...]:
        """The box of the view that a fragment without gathered axes fills."""
        return (
            *(
                slice(first, first + step * (count - 1) + 1, step)
                for first, step, count in zip(
                    self._into_first[fragment], self._into_step[fragment], self._into_count[fragment], strict=True
                )
            ),
            ...,
        )

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """int64 (m, q) each: the lowest and the highest cell of the window of every fragment."""
        found = self.found
        last = found.start + found.step * (found.count - 1)
        low, high = np.minimum(found.start, last), np.maximum(found.start, last)
        pooled = np.nonzero(found.pool != AFFINE)
        if len(pooled[0]):
            counts = found.count[pooled]
            number, member = ranges(found.pool[pooled], counts)
            cells = found.start[pooled][number] + found.step[pooled][number] * found.pool_from[member]
            begins = np.cumsum(counts) - counts
            low[pooled], high[pooled] = np.minimum.reduceat(cells, begins), np.maximum.reduceat(cells, begins)
        return low, high

    def direct(self, fragment: int, shape: tuple[int, ...]) -> list[memoryview] | None:
        """Buffers of the output that the bytes of the window go to in order, if the window is one run of bytes.

        None when the cells must be moved one way or another after reading.
        """
        rank = len(shape)
        if not self._same_axes or self._pooled[fragment] or rank != self.out.ndim:
            return None
        if any(s != 1 for s in self._step[fragment]):
            return None
        count = self._count[fragment]
        if any(s != 1 for s, n in zip(self._into_step[fragment], count, strict=True) if n > 1):
            return None
        part = next((k for k in range(rank) if count[k] > 1), rank)
        if any(count[k] != shape[k] for k in range(part + 1, rank)):
            return None
        target = self.out[self.box(fragment)]
        if target.flags.c_contiguous:
            return [memoryview(target.reshape(-1).view(np.uint8))]
        runs = 1
        axis = rank
        inner = target.itemsize
        while axis > 0 and (target.shape[axis - 1] == 1 or target.strides[axis - 1] == inner):
            inner *= target.shape[axis - 1]
            axis -= 1
        for n in target.shape[:axis]:
            runs *= n
        if runs > _MOST_RUNS or inner < 1024:
            return None
        # the ellipsis keeps an array where the index names one cell, so that the bytes are those of the output
        return [
            memoryview(target[(*index, ...)].reshape(-1).view(np.uint8)) for index in np.ndindex(target.shape[:axis])
        ]

    def _window(self, fragment: int, begin: Sequence[int]) -> tuple[slice, ...]:
        key: list[slice] = []
        columns = (begin, self._start[fragment], self._step[fragment], self._count[fragment])
        for origin, start, step, count in zip(*columns, strict=False):
            first = start - origin
            stop = first + step * (count - 1) + (1 if step > 0 else -1)
            key.append(slice(first, stop if stop >= 0 else None, step))
        return tuple(key)

    def _as_view(self, fragment: int, window: np.ndarray, rank: int) -> np.ndarray:
        """Axes of the chunk in the order of the view, with length 1 where no axis of the chunk runs."""
        order, shape = self._turn(fragment, rank)
        return window.transpose(order).reshape(shape)

    def _turn(self, fragment: int, rank: int) -> tuple[list[int], list[int]]:
        """Order of the axes of the chunk, and their lengths in the view; 1 where none of them runs."""
        axes = self._axis[fragment][:rank]
        order = sorted(range(rank), key=lambda k: axes[k])
        shape = [1] * self.out.ndim
        for k in order:
            if axes[k] != UNFED:
                shape[axes[k]] = self._count[fragment][k]
        return order, shape

    def _put_gathered(self, fragment: int, chunk: np.ndarray, begin: Sequence[int]) -> None:
        pools = self.found.pool[fragment].tolist()[: chunk.ndim]
        gathered = [axis for axis, pool in enumerate(pools) if pool != AFFINE]
        key = list(self._window(fragment, begin))
        into: list[slice | np.ndarray] = list(self.box(fragment))
        for axis in gathered:
            pool, count, to = pools[axis], self._count[fragment][axis], self._axis[fragment][axis]
            first, step = self._into_first[fragment][to], self._into_step[fragment][to]
            key[axis] = slice(None)
            into[to] = first + step * self.found.pool_into[pool : pool + count]
        window = chunk[(*key, ...)]
        for axis in gathered:
            window = window.take(self.chunk_cells(fragment, axis) - begin[axis], axis=axis)
        cells = self._as_view(fragment, window, chunk.ndim)
        # one index array among slices leaves the axes where they are; several would move them
        self.out[tuple(into) if len(gathered) < 2 else np.ix_(*self._into_cells(fragment))] = cells

    def chunk_cells(self, fragment: int, axis: int) -> np.ndarray:
        """Cells of the chunk that a fragment uses along one axis."""
        start, step = self._start[fragment][axis], self._step[fragment][axis]
        count, pool = self._count[fragment][axis], int(self.found.pool[fragment, axis])
        if pool == AFFINE:
            return start + step * np.arange(count)
        return start + step * self.found.pool_from[pool : pool + count]

    def _into_cells(self, fragment: int) -> list[np.ndarray]:
        cells = [
            first + step * np.arange(count)
            for first, step, count in zip(
                self._into_first[fragment], self._into_step[fragment], self._into_count[fragment], strict=True
            )
        ]
        for axis, pool in zip(self._axis[fragment], self.found.pool[fragment].tolist(), strict=True):
            if pool != AFFINE:
                first, step = self._into_first[fragment][axis], self._into_step[fragment][axis]
                cells[axis] = first + step * self.found.pool_into[pool : pool + len(cells[axis])]
        return cells


def _singled(found: Fragments) -> Fragments:
    """Gathered axes of one cell as any other axis: of random rows few chunks have two, and a slice costs less."""
    row, axis = np.nonzero((found.pool != AFFINE) & (found.count == 1))
    if not len(row):
        return found
    pool, to = found.pool[row, axis], found.axis[row, axis]
    start, into_first = found.start.copy(), found.into_first.copy()
    step, into_step, pools = found.step.copy(), found.into_step.copy(), found.pool.copy()
    start[row, axis] += step[row, axis] * found.pool_from[pool]
    into_first[row, to] += into_step[row, to] * found.pool_into[pool]
    step[row, axis] = into_step[row, to] = 1
    pools[row, axis] = AFFINE
    return replace(found, start=start, step=step, into_first=into_first, into_step=into_step, pool=pools)


def _set(out: np.ndarray, key: object, value: object) -> None:
    if out.dtype.kind == "O":
        # a bytes value is one cell, not a sequence of cells
        cell = np.empty((), object)
        cell[()] = value
        out[key] = cell  # type: ignore[index]
    else:
        out[key] = value  # type: ignore[index]
