"""Random programs of xarray on data sets of views give what they give on data sets of NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from hypothesis import example, given
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.datasets import functions
from lazyzarr.datasets.arrays import DatasetView

DTYPES = ("int16", "float64", "uint8", "float32")


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(draw(st.sampled_from(DTYPES)))


def step(draw: st.DrawFn, array: xr.DataArray) -> tuple[str, Any]:
    """A step that fits, as a name and arguments."""
    kinds = ["isel", "transpose", "roll", "pad", "expand", "concat", "shift", "mask"]
    kind = draw(st.sampled_from(kinds))
    if not array.ndim or kind == "expand":
        return ("expand", None) if array.ndim < 5 else ("same", None)
    dim = draw(st.sampled_from(list(map(str, array.dims))))
    length = array.sizes[dim]
    number = st.integers(-length, length - 1) if length else None
    if kind == "isel":
        keys: list[Any] = [st.slices(length), *([number, st.lists(number, max_size=4)] if number is not None else [])]
        if number is not None and array.ndim > 1:
            other = draw(st.sampled_from([str(d) for d in array.dims if d != dim]))
            if array.sizes[other]:
                second = st.lists(st.integers(-array.sizes[other], array.sizes[other] - 1), max_size=3)
                keys.append(st.tuples(st.lists(number, max_size=3), st.just(other), second))
        return "isel", (dim, draw(st.one_of(*keys)))
    if kind == "transpose":
        return kind, draw(st.permutations(list(array.dims)))
    if kind == "mask":
        return kind, (dim, draw(st.lists(st.booleans(), min_size=length, max_size=length)))
    return kind, (dim, draw(st.integers(0, 3)))


def apply(array: xr.DataArray, kind: str, argument: Any) -> xr.DataArray:
    match kind:
        case "isel":
            dim, key = argument
            if isinstance(key, tuple):
                return array.isel({dim: key[0], key[1]: key[2]})
            return array.isel({dim: key})
        case "transpose":
            return array.transpose(*argument)
        case "roll":
            return array.roll({argument[0]: argument[1]})
        case "pad":
            return array.pad({argument[0]: (argument[1], 1)}, constant_values=3)
        case "shift":
            return array.shift({argument[0]: argument[1]})
        case "mask":
            return array.where(xr.DataArray(np.array(argument[1], bool), dims=argument[0]))
        case "expand":
            return array.expand_dims(f"n{array.ndim}")
        case "concat":
            return xr.concat([array] * (1 + argument[1]), argument[0])
    return array


@given(st.data(), arrays())
def test_programs(data: st.DataObject, cells: np.ndarray) -> None:
    dims = [f"d{k}" for k in range(cells.ndim)]
    ours = lz.open_dataset(lz.open(cells).rename_dims(dims), name="a").a
    theirs = xr.DataArray(cells, dims=dims, name="a")
    for _ in range(data.draw(st.integers(1, 5))):
        kind, argument = data.draw(st.composite(step)(theirs))
        ours, theirs = apply(ours, kind, argument), apply(theirs, kind, argument)
        assert isinstance(ours.data, lz.View), kind
        xr.testing.assert_identical(ours, theirs)
        assert ours.dtype == theirs.dtype


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), max_size=4)))
    left = int(np.prod(shape))
    wanted: list[int] = []
    for _ in range(draw(st.integers(0, 4))):
        length = draw(st.sampled_from([k for k in range(1, left + 1) if left % k == 0]))
        wanted.append(length)
        left //= length
    wanted.append(left)
    if draw(st.booleans()):
        wanted[draw(st.integers(0, len(wanted) - 1))] = -1
    return shape, tuple(wanted)


@given(reshapes())
@example(((2, 3), (3, 2)))
@example(((), (1, 1)))
def test_reshape(drawn: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    shape, wanted = drawn
    cells = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    found = np.reshape(DatasetView.of(lz.open(cells)), wanted)
    assert isinstance(found, lz.View)
    np.testing.assert_array_equal(found.read(), cells.reshape(wanted), strict=True)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_keys_of_arrays(shape: list[int], data: st.DataObject) -> None:
    cells = np.arange(np.prod(shape)).reshape(shape)
    rank = data.draw(st.integers(1, 2))
    points = tuple(data.draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank)))
    key: list[Any] = []
    for length in shape:
        index = st.lists(st.integers(-length, length - 1), min_size=int(np.prod(points)), max_size=int(np.prod(points)))
        array = index.map(lambda found: np.array(found).reshape(points))
        key.append(data.draw(st.one_of(st.just(slice(None)), st.integers(0, length - 1), array)))
    found = DatasetView.of(lz.open(cells))[tuple(key)]
    np.testing.assert_array_equal(np.asarray(found), cells[tuple(key)])


def test_the_outer_product_is_told_from_points() -> None:
    assert functions.open_mesh(np.ix_([0, 1], [2]), 2) is not None
    assert functions.open_mesh((np.array([0, 1]), np.array([0, 1])), 2) is None
    assert functions.open_mesh((np.array([[0], [1]]), slice(None), np.array([[0, 1]])), 3) is None
    view = DatasetView.of(lz.open(np.arange(24).reshape(2, 3, 4)))
    assert isinstance(view[np.ix_([0, 1], [2], [3, 0])], lz.View)


def test_a_mask_that_is_no_product_is_computed() -> None:
    cells = np.arange(6).reshape(2, 3)
    mask = np.array([[True, False, True], [False, True, True]])
    found = np.where(mask, DatasetView.of(lz.open(cells)), -1)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, np.where(mask, cells, -1))
