"""Keys against NumPy itself: whatever NumPy gives we give, whatever it refuses we refuse.

We refuse more than NumPy in two cases only: pointwise keys (several arrays, arrays of another rank than 1,
single booleans), which are no separable index map; and unsigned numbers beyond int64, which NumPy wraps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lazyzarr.algebra.selection import Selection, basic, gather_indices, normalize_axis, orthogonal
from lazyzarr.algebra.span import Span, is_canonical
from lazyzarr.errors import AxisError, SelectionError
from tests.strategies.keys import arrays, keys, slices

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)


def apply(array: np.ndarray, selection: Selection) -> np.ndarray:
    """What a selection means, step by step as its docstring orders them."""
    out = array
    for axis, key in enumerate(selection.axes):
        span = Span(key, 1, 1) if isinstance(key, int) else key
        out = np.take(out, np.array([span.start + span.step * k for k in range(span.count)], np.intp), axis)
    out = out.squeeze(tuple(k for k, a in enumerate(selection.axes) if isinstance(a, int)))
    for axis, indices in selection.gathers:
        out = np.take(out, indices, axis=axis)
    if selection.order is not None:
        out = out.transpose(selection.order)
    for axis in selection.new_axes:
        out = np.expand_dims(out, axis)
    return out


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape))).reshape(shape)


@st.composite
def arrays_and_keys(draw: st.DrawFn, *, gathers: int | None) -> tuple[np.ndarray, tuple[Any, ...]]:
    shape = draw(SHAPES)
    return numbered(shape), draw(keys(shape, gathers=gathers))


CUBE = numbered((3, 4, 5))


@given(arrays_and_keys(gathers=1))
@example((CUBE, ()))
@example((CUBE, (..., None)))
@example((CUBE, (slice(None, None, -1), None, -1)))
@example((CUBE, (0, slice(None), [1, 2])))
@example((CUBE, ([2, 0], slice(None), 1)))
@example((CUBE, (slice(None), 0, [1, 2])))
@example((CUBE, (0, None, [1, 2])))
@example((CUBE, (None, 0, None, [1, 2], None)))
@example((CUBE, (0, [1, 2], 3)))
@example((CUBE, (0, ..., None, [1, 2])))
@example((CUBE, ([], slice(None), 1)))
@example((CUBE, (np.array([False, True, False]), ..., 2)))
@example((numbered(()), (None, ..., None)))
@example((numbered((0, 2)), (slice(None, None, -1), 1)))
def test_basic_keys_mean_what_numpy_means(drawn: tuple[np.ndarray, tuple[Any, ...]]) -> None:
    array, key = drawn
    selection = basic(key, array.shape)
    np.testing.assert_array_equal(apply(array, selection), array[key], strict=True)
    assert all(is_canonical(a) for a in selection.axes if isinstance(a, Span))


@given(arrays_and_keys(gathers=None))
@example((CUBE, ([2, 0], ..., [1, 1, 4])))
@example((CUBE, (0, [3, 1], [True, False, True, False, True])))
def test_orthogonal_keys_select_each_axis_on_its_own(drawn: tuple[np.ndarray, tuple[Any, ...]]) -> None:
    array, key = drawn
    parts = list(key)
    dots = next((i for i, p in enumerate(parts) if p is ...), None)
    missing = array.ndim - sum(p is not None and p is not ... for p in parts)
    if dots is None:
        parts += [slice(None)] * missing
    else:
        parts[dots : dots + 1] = [slice(None)] * missing
    expected = array
    axis = 0
    for part in parts:  # one at a time, so that NumPy pairs nothing
        lead = (slice(None),) * axis
        expected = expected[*lead, part]
        axis += part is None or np.ndim(part) == 1 or isinstance(part, slice)
    np.testing.assert_array_equal(apply(array, orthogonal(key, array.shape)), expected, strict=True)


ODD_PARTS = st.one_of(
    slices(),
    st.just(...),
    st.none(),
    st.integers(-9, 9),
    st.integers(-(10**30), 10**30),
    st.lists(st.integers(-6, 6), max_size=4),
    st.lists(st.integers(0, 4), max_size=4).map(lambda v: np.array(v, np.uint64)),
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=1, max_size=2),
    st.lists(st.lists(st.integers(0, 2)), min_size=1, max_size=2),
    st.lists(st.floats(-2, 2), max_size=2).map(np.array),
    st.sampled_from([True, False, np.True_, np.array(True), 1.0, np.float32(1), "a", b"a", 1j, {}, object()]),
    st.sampled_from(
        [slice(None, None, 0), slice(1.5, None), slice("a"), [1.5], ["a"], [None], [slice(0, 1)], np.array(1.0)]
    ),
    st.sampled_from([np.array([2**63], np.uint64), np.array([2**64 - 1], np.uint64), [10**30]]),
)


def refused_by_design(key: Any) -> bool:
    """Whether a key that NumPy accepts is pointwise, or has unsigned numbers that NumPy wraps to negative ones."""
    parts = key if isinstance(key, tuple) else (key,)
    found = [np.asarray(p) for p in parts if p is not None and p is not ... and not isinstance(p, slice)]
    several = sum(a.ndim == 1 for a in found) > 1
    return several or any(
        a.ndim > 1 or (a.dtype == bool and a.ndim == 0) or (a.dtype == np.uint64 and (a > np.iinfo(np.int64).max).any())
        for a in found
    )


@given(SHAPES, st.lists(ODD_PARTS, max_size=5).map(tuple) | ODD_PARTS)
@example((3,), np.array([], float))
@example((3, 4), (np.array([], float), 0))
@example((3,), [[0], [1, 2]])
@example((3,), (slice(None), 0))
@example((), 0)
@example((0,), -1)
@example((0,), [0])
@example((2,), [True, False, True])
@example((2, 2), (..., ...))
def test_what_numpy_refuses_we_refuse_and_little_else(shape: tuple[int, ...], key: Any) -> None:
    array = numbered(shape)
    try:
        expected = array[key]
    except (IndexError, TypeError, ValueError, OverflowError):
        with pytest.raises(SelectionError):
            basic(key, shape)
        return
    try:
        selection = basic(key, shape)
    except SelectionError:
        assert refused_by_design(key)
        return
    np.testing.assert_array_equal(apply(array, selection), expected, strict=True)


@given(SHAPES, st.lists(ODD_PARTS, max_size=4).map(tuple))
def test_orthogonal_refuses_with_our_error_only(shape: tuple[int, ...], key: Any) -> None:
    try:
        selection = orthogonal(key, shape)
    except SelectionError as error:
        reason = error.reason
    else:
        assert len(selection.axes) == len(shape)
        return
    assert reason in ("index-bounds", "index-syntax")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (7, "index-bounds"),
        ((0, 0, 0, 0), "index-bounds"),
        ([5], "index-bounds"),
        ([True], "index-bounds"),
        ((..., ...), "index-syntax"),
        (([0], [1]), "index-syntax"),
        ([[0]], "index-syntax"),
        (True, "index-syntax"),
        (1.0, "index-syntax"),
        ("a", "index-syntax"),
        (slice(None, None, 0), "index-syntax"),
    ],
)
def test_the_reason_says_whether_bounds_or_syntax(key: Any, reason: str) -> None:
    with pytest.raises(SelectionError) as caught:
        basic(key, CUBE.shape)
    assert caught.value.reason == reason


@given(st.integers(-9, 9), st.integers(0, 5))
def test_axes_count_from_either_end(axis: int, rank: int) -> None:
    if -rank <= axis < rank:
        assert normalize_axis(axis, rank) == range(rank)[axis]
    else:
        with pytest.raises(AxisError) as caught:
            normalize_axis(axis, rank)
        assert caught.value.reason == "axis-bounds"


@pytest.mark.parametrize("axis", [1.0, "0", None, [0]])
def test_an_axis_is_an_integer(axis: Any) -> None:
    with pytest.raises(AxisError):
        normalize_axis(axis, 3)


@given(st.integers(0, 6).flatmap(lambda n: st.tuples(st.just(n), arrays(n))))
def test_gather_indices_are_positions_in_range(drawn: tuple[int, Any]) -> None:
    length, indices = drawn
    found = gather_indices(indices, length, axis=0)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.arange(length)[indices])
