"""Cells of a decoded chunk into the output: `Placer`.

Owns the keys of each fragment on both sides and the copy between them. Refuses to decode and to fetch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.placements import AFFINE, UNFED

_MOST_RUNS = 512
"""Contiguous runs of the output that one chunk is read into directly; more are decoded first and copied."""


class Placer:
    """Copies windows of chunks into one output array; safe for threads, since fragments are disjoint."""

    def __init__(self, found: Fragments, out: np.ndarray) -> None:
        self.out = out
        self.found = found
        rank = out.ndim
        plain = found.pool == AFFINE
        # one conversion of whole columns instead of one per fragment
        self._start, self._step, self._count = found.start.tolist(), found.step.tolist(), found.count.tolist()
        self._axis = found.axis.tolist()
        self._into_first, self._into_step = found.into_first.tolist(), found.into_step.tolist()
        self._into_count = found.into_count.tolist()
        self._pooled = (~plain).any(axis=1).tolist()
        same_axes = found.axis.shape[1] == rank and bool((found.axis == np.arange(rank)).all())
        self._straight = same_axes and bool(plain.all())

    def cells(self, fragment: int) -> int:
        """Number of cells of the view that a fragment fills."""
        return math.prod(self._into_count[fragment])

    def put(self, fragment: int, chunk: np.ndarray, origin: Sequence[int] | None = None) -> None:
        """Copy the window of a fragment out of its decoded chunk, or of the part of it that begins at ``origin``."""
        begin = [0] * chunk.ndim if origin is None else origin
        if self._pooled[fragment]:
            self._put_gathered(fragment, chunk, begin)
            return
        window = chunk[self._window(fragment, begin)]
        target = self.box(fragment)
        if not self._straight:
            window = self._as_view(fragment, window, chunk.ndim)
        self.out[target] = window

    def fill(self, fragment: int, value: object) -> None:
        """Fill the box of a fragment whose chunk is stored nowhere."""
        if self._pooled[fragment]:
            target = self.out[np.ix_(*self._into_cells(fragment))]
            filler = np.empty(target.shape, self.out.dtype)
            _set(filler, ..., value)
            self.out[np.ix_(*self._into_cells(fragment))] = filler
            return
        _set(self.out, self.box(fragment), value)

    def box(self, fragment: int) -> tuple[slice, ...]:
        """The box of the view that a fragment without gathered axes fills."""
        return (
            *(
                slice(first, first + step * (count - 1) + 1, step)
                for first, step, count in zip(
                    self._into_first[fragment], self._into_step[fragment], self._into_count[fragment], strict=True
                )
            ),
            ...,
        )  # type: ignore[return-value]

    def window_bounds(self, fragment: int, rank: int) -> tuple[list[int], list[int]]:
        """Lowest and highest cell of the window on each axis of the chunk."""
        low: list[int] = []
        high: list[int] = []
        for axis in range(rank):
            if self._pooled[fragment] and self.found.pool[fragment, axis] != AFFINE:
                cells = self.chunk_cells(fragment, axis)
                low.append(int(cells.min()))
                high.append(int(cells.max()))
                continue
            start = self._start[fragment][axis]
            last = start + self._step[fragment][axis] * (self._count[fragment][axis] - 1)
            low.append(min(start, last))
            high.append(max(start, last))
        return low, high

    def direct(self, fragment: int, shape: tuple[int, ...]) -> list[memoryview] | None:
        """Buffers of the output that the bytes of the window go to in order, if the window is one run of bytes.

        None when the cells must be moved one way or another after reading.
        """
        rank = len(shape)
        if not self._straight or rank != self.out.ndim or any(s != 1 for s in self._step[fragment]):
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
        rows = target.reshape(-1) if axis == 0 else None
        if rows is not None:
            return [memoryview(rows.view(np.uint8))]
        return [memoryview(target[index].reshape(-1).view(np.uint8)) for index in np.ndindex(target.shape[:axis])]

    def whole_target(self, fragment: int, shape: tuple[int, ...]) -> np.ndarray | None:
        """The box of the output that a whole chunk of this shape can be decoded into, if it is one run of bytes."""
        if not self._straight or len(shape) != self.out.ndim or self._count[fragment] != list(shape):
            return None
        steps = zip(self._step[fragment], self._into_step[fragment], shape, strict=True)
        if any(n > 1 and (step != 1 or into_step != 1) for step, into_step, n in steps):
            return None
        target = self.out[self.box(fragment)]
        return target if target.flags.c_contiguous else None

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
        axes = self._axis[fragment][:rank]
        order = sorted(range(rank), key=lambda k: axes[k])
        window = window.transpose(order)
        shape = [1] * self.out.ndim
        for k in order:
            if axes[k] != UNFED:
                shape[axes[k]] = self._count[fragment][k]
        return window.reshape(shape)

    def _put_gathered(self, fragment: int, chunk: np.ndarray, begin: Sequence[int]) -> None:
        window = chunk
        for axis in range(chunk.ndim):
            window = window.take(self.chunk_cells(fragment, axis) - begin[axis], axis=axis)
        self.out[np.ix_(*self._into_cells(fragment))] = self._as_view(fragment, window, chunk.ndim)

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


def _set(out: np.ndarray, key: object, value: object) -> None:
    if out.dtype.kind == "O":
        # a bytes value is one cell, not a sequence of cells
        cell = np.empty((), object)
        cell[()] = value
        out[key] = cell  # type: ignore[index]
    else:
        out[key] = value  # type: ignore[index]
