"""Boxes of stored arrays that fill boxes of a view, and their windows in chunks, in plain integers.

Owns the types that a small read is planned with, and the cuts: at the ends of an interval, at the borders of chunks. Refuses to
know what a graph is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from lazyzarr.access.session import Whole
from lazyzarr.algebra.span import Span, within
from lazyzarr.ir.layout import Layout, StoredArray


class Axis(msgspec.Struct, frozen=True, gc=False):
    """Cells ``start, start + step, ...`` of a node's axis, along view axis ``into`` (-1: one cell, no axis)."""

    start: int
    step: int
    count: int
    into: int


Box = tuple[tuple[int, int, int], ...]
"""(first, step, count) of the view for each of its axes."""


class Piece(NamedTuple):
    """A box of a stored array that fills a box of the view."""

    array: StoredArray
    layout: Layout
    axes: tuple[Axis, ...]
    box: Box
    whole: Whole | None
    """The stamp of the array, where that at hand is without a digest that would have to be loaded."""


class Window(NamedTuple):
    """One chunk's share of a piece."""

    piece: Piece
    chunk: tuple[int, ...]
    axes: tuple[Axis, ...]
    """Cells inside the chunk."""
    box: Box


def windows_of(piece: Piece) -> list[Window]:
    """The piece cut at the chunk borders of its array."""
    lengths = piece.layout.chunk_shape
    chunk = [axis.start // length for axis, length in zip(piece.axes, lengths, strict=True)]
    if chunk == [last(axis) // length for axis, length in zip(piece.axes, lengths, strict=True)]:
        axes = [
            Axis(a.start - at * length, a.step if a.count > 1 else 1, a.count, a.into)
            for a, at, length in zip(piece.axes, chunk, lengths, strict=True)
        ]
        return [Window(piece, tuple(chunk), tuple(axes), piece.box)]
    found = [Window(piece, (), piece.axes, piece.box)]
    for axis, length in enumerate(lengths):
        cut: list[Window] = []
        for window in found:
            here = window.axes[axis]
            first, final = here.start // length, last(here) // length
            for chunk in range(first, final + 1) if first <= final else range(first, final - 1, -1):
                part = clipped(window.axes, axis, chunk * length, (chunk + 1) * length, window.box)
                if part is not None:
                    cut.append(Window(piece, (*window.chunk, chunk), *part))
        found = cut
    return found


def clipped(axes: tuple[Axis, ...], axis: int, low: int, high: int, box: Box) -> tuple[tuple[Axis, ...], Box] | None:
    """The cells of one axis in ``[low, high)``, counted from ``low``, with the box of the view they fill."""
    here = axes[axis]
    start, step, count, into = here.start, here.step, here.count, here.into
    if count == 1:
        if not low <= start < high:
            return None
        kept = Axis(start - low, 1, 1, into)
        return (*axes[:axis], kept, *axes[axis + 1 :]), box
    held = within(Span(start, step, count), low, high)
    if not held.count:
        return None
    kept = Axis(start + step * held.start - low, step if held.count > 1 else 1, held.count, into)
    first, stride, _ = box[into]
    part = (first + stride * held.start, stride, held.count)
    return (*axes[:axis], kept, *axes[axis + 1 :]), (*box[:into], part, *box[into + 1 :])


def inside(span: Span, axis: Axis) -> Axis:
    """The cells of a span that an axis asks for."""
    return Axis(span.start + span.step * axis.start, span.step * axis.step, axis.count, axis.into)


def last(axis: Axis) -> int:
    """The last cell."""
    return axis.start + axis.step * (axis.count - 1)


def reach(axis: Axis) -> tuple[int, int]:
    """The lowest cell, and one beyond the highest."""
    first, final = axis.start, axis.start + axis.step * (axis.count - 1)
    return (first, final + 1) if first <= final else (final, first + 1)


def cells_of(axes: Sequence[Axis]) -> int:
    """How many cells some axes ask for."""
    return math.prod([axis.count for axis in axes])
