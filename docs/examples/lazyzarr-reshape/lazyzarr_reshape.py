"""The node kind ``example.reshape``: the cells of an array in C order, in another shape.

Owns the parameters, the schema, the meaning and the rewriting of a reshape into selections and joins, and the
condition under which that is flat (`is_flat`). Refuses shapes that would take more than `MOST_PARTS` parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

import lazyzarr as lz
from lazyzarr.extensions import NodeKind, Schema

MOST_PARTS = 10_000
"""Rows that one reshape cuts its input into, and boxes that it makes of them."""

Group = tuple[tuple[int, ...], tuple[int, ...]]
"""Lengths of neighbouring axes of the input, and those of the axes of the result that have the same cells."""


class Reshape(NodeKind, frozen=True):
    """The cells of one input in C order, in another shape."""

    kind = "example.reshape"

    shape: tuple[int, ...]
    """Lengths of the result, as many cells as the input has."""

    def __post_init__(self) -> None:
        if min(self.shape, default=0) < 0:
            raise ValueError("a length is below 0")

    def schema(self, inputs: Sequence[Schema]) -> Schema:
        """The shape of the parameters; type and fill value of the input."""
        if len(inputs) != 1:
            raise lz.ViewSchemaError(f"a reshape has one input, not {len(inputs)}; give one", reason="graph-shape")
        (x,) = inputs
        if math.prod(x.shape) != math.prod(self.shape):
            raise lz.ViewSchemaError(
                f"shape {self.shape} has {math.prod(self.shape)} cells, the input has {math.prod(x.shape)}; "
                "a reshape keeps the number",
                reason="graph-shape",
            )
        count = parts(x.shape, self.shape)
        if count > MOST_PARTS:
            raise lz.ViewLimitError(
                "parts of a reshape", count, MOST_PARTS, remedy="keep more of the axes, or take a smaller part first"
            )
        return Schema(self.shape, x.data_type, x.fill_value)

    def values(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """What a reshape means."""
        return inputs[0].reshape(self.shape)

    def rewrite(self, *inputs: lz.View) -> lz.View:
        """Axes of each group joined into one, and that one split; groups from the last to the first."""
        (x,) = inputs
        if not x.size:
            return lz.full(self.shape, x.fill_value, dtype=x.dtype)
        found = groups(x.shape, self.shape)
        axis = x.ndim
        for old, new in reversed(found):
            axis -= len(old)
            if old != new:
                x = split(merged(x, axis, len(old)), axis, new)
        return x

    def describe(self) -> str:
        """The shape."""
        return f"to {self.shape}"


def groups(old: tuple[int, ...], new: tuple[int, ...]) -> list[Group]:
    """The finest division of the axes of both shapes into neighbours that have the same cells.

    Examples
    --------
    >>> groups((4, 6, 5), (24, 5))
    [((4, 6), (24,)), ((5,), (5,))]
    >>> groups((1, 6), (3, 2))
    [((1,), ()), ((6,), (3, 2))]
    """
    found: list[Group] = []
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and old[i] == 1 and not (j < len(new) and new[j] == 1):
            found.append(((1,), ()))
            i += 1
            continue
        if j < len(new) and new[j] == 1 and not (i < len(old) and old[i] == 1):
            found.append(((), (1,)))
            j += 1
            continue
        first, second = i, j
        left, right = old[i], new[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                left, i = left * old[i], i + 1
            else:
                right, j = right * new[j], j + 1
        found.append((old[first:i], new[second:j]))
    return found


def parts(old: tuple[int, ...], new: tuple[int, ...]) -> int:
    """How many rows and boxes a reshape makes.

    Examples
    --------
    >>> parts((4, 6, 5), (24, 5)), parts((24, 5), (4, 6, 5)), parts((4, 6), (6, 4))
    (4, 4, 10)
    """
    if not math.prod(old):
        return 0
    changed = [pair for pair in groups(old, new) if pair[0] != pair[1]]
    return sum(math.prod(a[:-1]) * (len(a) > 1) + math.prod(b[:-1]) * (len(b) > 1) for a, b in changed)


def merged(x: lz.View, axis: int, count: int) -> lz.View:
    """Some neighbouring axes as one: the rows of the last of them, one after the other."""
    if count == 0:
        return x.expand_dims(axis)
    rows = [x[(slice(None),) * axis + key] for key in np.ndindex(x.shape[axis : axis + count - 1])]
    return lz.concat(rows, axis)


def split(x: lz.View, axis: int, shape: tuple[int, ...]) -> lz.View:
    """One axis as several: boxes of the last of them, stacked along each of the others."""
    if not shape:
        return x.squeeze(axis)
    if len(shape) == 1:
        return x
    row = math.prod(shape[1:])
    boxes = [x[(slice(None),) * axis + (slice(k * row, (k + 1) * row),)] for k in range(shape[0])]
    return lz.stack([split(box, axis, shape[1:]) for box in boxes], axis)


def is_flat(shape: tuple[int, ...], chunks: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """The theorem of the documentation: whether the reshape of an array on a regular chunk grid is L0.

    Examples
    --------
    >>> is_flat((4, 6), (1, 3), (24,)), is_flat((4, 6), (2, 6), (24,)), is_flat((24,), (3,), (4, 6))
    (True, False, True)
    """
    return all(_is_flat(*pair) for pair in _with_chunks(shape, chunks, new))


def _with_chunks(
    shape: tuple[int, ...], chunks: tuple[int, ...], new: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    axis = 0
    for old, made in groups(shape, new):
        yield old, chunks[axis : axis + len(old)], made
        axis += len(old)


def _is_flat(old: tuple[int, ...], chunks: tuple[int, ...], new: tuple[int, ...]) -> bool:
    if old == new or not old:
        return True
    *outer, last = chunks
    if not new:
        return last == 1
    rows = all(n == 1 for n in outer) and (len(old) == 1 or old[-1] % last == 0)
    return rows and (len(new) == 1 or new[-1] % last == 0)
