"""Arithmetic progressions of cells: `Span`, the only form in which a view selects along an axis.

Owns the canonical form and the composition of spans. Refuses anything that needs an axis length other than
the one given: negative and missing bounds are resolved by `lazyzarr.algebra.selection`, at the door.
"""

from __future__ import annotations

import math

from msgspec import Struct


class Span(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Cells ``start, start + step, ...``, ``count`` of them; wire form ``[start, step, count]``.

    Canonical: a count of 0 is ``(0, 1, 0)``, a count of 1 has step 1, and the step is never 0.
    """

    start: int
    step: int
    count: int

    @property
    def last(self) -> int:
        """The last cell; without meaning when ``count`` is 0."""
        return self.start + self.step * (self.count - 1)


def slice_text(start: int, step: int, count: int) -> str:
    """A progression as the slice that selects it, which reaches no further than its last cell.

    Examples
    --------
    >>> slice_text(0, 1, 4), slice_text(3, -1, 4), slice_text(2, 3, 2), slice_text(5, -2, 1), slice_text(5, 1, 0)
    ('0:4', '3::-1', '2:6:3', '5:6', '5:5')
    """
    if step == 1 or count <= 1:
        return f"{start}:{start + count}"
    stop = start + step * (count - 1) + (1 if step > 0 else -1)
    return f"{start}:{stop if stop >= 0 else ''}:{step}"


def canonical(start: int, step: int, count: int) -> Span:
    """The one spelling of a progression.

    Examples
    --------
    >>> canonical(7, -3, 1), canonical(4, 2, 0)
    (Span(start=7, step=1, count=1), Span(start=0, step=1, count=0))
    """
    if count <= 0:
        return Span(0, 1, 0)
    return Span(start, 1 if count == 1 else step, count)


def is_canonical(span: Span) -> bool:
    """Whether a span read from outside is in its one spelling."""
    return span.step != 0 and span.count >= 0 and span == canonical(span.start, span.step, span.count)


def whole(length: int) -> Span:
    """All cells of an axis."""
    return canonical(0, 1, length)


def from_slice(key: slice, length: int) -> Span:
    """The cells that ``range(length)[key]`` has.

    Examples
    --------
    >>> from_slice(slice(None, None, -2), 5)
    Span(start=4, step=-2, count=3)
    """
    start, stop, step = key.indices(length)
    return canonical(start, step, len(range(start, stop, step)))


def compose(outer: Span, inner: Span) -> Span:
    """The cells that taking ``inner`` of the cells of ``outer`` gives.

    Examples
    --------
    >>> compose(Span(4, -2, 3), Span(1, 1, 2))   # [4, 2, 0] -> [2, 0]
    Span(start=2, step=-2, count=2)
    """
    return canonical(outer.start + outer.step * inner.start, outer.step * inner.step, inner.count)


def within(span: Span, low: int, high: int) -> Span:
    """The positions ``k`` of a span whose cells lie in ``[low, high)``, as a span of step 1.

    Examples
    --------
    >>> within(Span(9, -2, 5), 3, 8)   # cells 9 7 5 3 1
    Span(start=1, step=1, count=3)
    """
    if span.step > 0:
        first = -((span.start - low) // span.step)
        stop = -((span.start - high) // span.step)
    else:
        first = (span.start - high) // -span.step + 1
        stop = (span.start - low) // -span.step + 1
    first, stop = max(first, 0), min(stop, span.count)
    return canonical(first, 1, stop - first)


def meet(span: Span, other: Span) -> Span:
    """The positions ``k`` of a span whose cells are also cells of another (Chinese remainder theorem).

    Examples
    --------
    >>> meet(Span(0, 2, 5), Span(2, 3, 3))   # 0 2 4 6 8 and 2 5 8
    Span(start=1, step=3, count=2)
    """
    if not span.count or not other.count:
        return canonical(0, 1, 0)
    low, high = min(other.start, other.last), max(other.start, other.last)
    inside = within(span, low, high + 1)
    stride = abs(other.step)
    common = math.gcd(span.step, stride)
    if (other.start - span.start) % common:
        return canonical(0, 1, 0)
    period = stride // common
    first = (other.start - span.start) // common * pow(span.step // common, -1, period) % period
    first += -((first - inside.start) // period) * period
    return canonical(first, period, -((first - inside.start - inside.count) // period))


def without(span: Span, positions: Span) -> list[Span]:
    """The positions of a span that are not among some of its positions, as few spans as their step allows.

    Examples
    --------
    >>> without(Span(0, 1, 7), Span(2, 2, 2))   # 0 1 . 3 . 5 6
    [Span(start=0, step=1, count=2), Span(start=5, step=1, count=2), Span(start=3, step=1, count=1)]
    """
    if not positions.count:
        return [whole(span.count)] if span.count else []
    rest = [canonical(0, 1, positions.start), canonical(positions.last + 1, 1, span.count - positions.last - 1)]
    rest += [
        canonical(positions.start + shift, positions.step, positions.count - 1) for shift in range(1, positions.step)
    ]
    return [part for part in rest if part.count]
