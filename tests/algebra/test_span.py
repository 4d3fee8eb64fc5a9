"""Laws of spans, each against the list of cells that a span stands for."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from lazyzarr.algebra.span import Span, canonical, compose, from_slice, is_canonical, meet, whole, within, without

STARTS = st.integers(0, 60)
STEPS = st.integers(-7, 7).filter(bool)
BOUNDS = st.none() | st.integers(-30, 30)
SLICES = st.builds(slice, BOUNDS, BOUNDS, st.none() | STEPS)


def cells(span: Span) -> list[int]:
    return [span.start + span.step * k for k in range(span.count)]


@st.composite
def spans(draw: st.DrawFn, length: int | None = None) -> Span:
    """A canonical span inside an axis."""
    axis = draw(st.integers(0, 25)) if length is None else length
    return from_slice(draw(SLICES), axis)


@given(STARTS, STEPS, st.integers(-2, 20))
def test_canonical_keeps_the_cells_and_is_a_fixed_point(start: int, step: int, count: int) -> None:
    span = canonical(start, step, count)
    assert cells(span) == [start + step * k for k in range(max(count, 0))]
    assert canonical(span.start, span.step, span.count) == span
    assert is_canonical(span)


@given(spans(), spans())
def test_equal_cells_are_equal_spans(left: Span, right: Span) -> None:
    assert (cells(left) == cells(right)) == (left == right)


@given(st.integers(-3, 30), st.integers(-8, 8), st.integers(-3, 20))
def test_is_canonical_accepts_exactly_what_canonical_gives(start: int, step: int, count: int) -> None:
    expected = step != 0 and count >= 0 and canonical(start, step, count) == Span(start, step, count)
    assert is_canonical(Span(start, step, count)) == expected


@given(SLICES, st.integers(0, 25))
@example(slice(None, None, -1), 0)
@example(slice(2, None, -7), 3)
def test_from_slice_is_python_slicing(key: slice, length: int) -> None:
    span = from_slice(key, length)
    assert cells(span) == list(range(length)[key])
    assert is_canonical(span)


@given(st.integers(0, 25))
def test_whole_is_every_cell(length: int) -> None:
    assert cells(whole(length)) == list(range(length))
    assert is_canonical(whole(length))


@given(st.data())
def test_compose_takes_cells_of_cells(data: st.DataObject) -> None:
    outer = data.draw(spans())
    inner = data.draw(spans(outer.count))
    assert cells(compose(outer, inner)) == [cells(outer)[k] for k in cells(inner)]
    assert is_canonical(compose(outer, inner))


@given(st.data())
def test_compose_has_identities_and_is_associative(data: st.DataObject) -> None:
    a = data.draw(spans())
    b = data.draw(spans(a.count))
    c = data.draw(spans(b.count))
    assert compose(a, whole(a.count)) == a
    assert compose(whole(a.last + 1 if a.step > 0 else a.start + 1), a) == a
    assert compose(compose(a, b), c) == compose(a, compose(b, c))


@given(spans(), st.integers(-5, 30), st.integers(-5, 30))
@example(Span(9, -2, 5), 3, 8)
@example(Span(0, 1, 0), 0, 5)
@example(Span(4, -4, 2), 0, 0)
def test_within_is_the_positions_whose_cells_are_inside(span: Span, low: int, high: int) -> None:
    found = within(span, low, high)
    assert cells(found) == [k for k, cell in enumerate(cells(span)) if low <= cell < high]
    assert is_canonical(found)


@given(spans(), spans())
@example(Span(0, 2, 5), Span(2, 3, 3))
@example(Span(9, -3, 4), Span(1, 2, 5))
@example(Span(5, 1, 1), Span(5, 1, 1))
def test_meet_is_the_positions_of_common_cells(span: Span, other: Span) -> None:
    found = meet(span, other)
    assert sorted(cells(found)) == [k for k, cell in enumerate(cells(span)) if cell in cells(other)]
    assert is_canonical(found)


@given(st.data())
def test_without_is_every_other_position(data: st.DataObject) -> None:
    span = data.draw(spans())
    positions = from_slice(data.draw(st.builds(slice, BOUNDS, BOUNDS, st.integers(1, 5))), span.count)
    rest = without(span, positions)
    found = [k for part in rest for k in cells(part)]
    assert sorted(found) == [k for k in range(span.count) if k not in cells(positions)]
    assert all(is_canonical(part) for part in rest)


@given(spans())
def test_last_is_the_last_cell(span: Span) -> None:
    if span.count:
        assert span.last == cells(span)[-1]
