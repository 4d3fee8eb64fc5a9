"""NumPy functions that stay lazy on the views of a data set, beyond those of every view.

Owns what xarray is made of and has no values in it: a choice by a mask that is known, merged axes, windows, constants. Each gives
NotImplemented where it would need values; NumPy computes then. Refuses graphs out of proportion: beyond `MOST` parts values are read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lazyzarr import combine
from lazyzarr.errors import CastError
from lazyzarr.leaves import full
from lazyzarr.numpy_protocol import as_views
from lazyzarr.view import View

MOST = 4096
"""Parts that one operation may be made of."""
METHODS = frozenset(("argsort", "clip", "conj", "conjugate", "imag", "item", "real", "round", "searchsorted", "tolist"))
"""Attributes of arrays that compute."""
LAZY: dict[Any, Callable[..., Any]] = {}


def _lazy(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(replacement: Callable[..., Any]) -> Callable[..., Any]:
        LAZY[function] = replacement
        return replacement

    return register


def open_mesh(entries: Sequence[Any], rank: int) -> tuple[Any, ...] | None:
    """The key with one array for each axis that has the outer product of ``np.ix_``; None for pointwise keys.

    Examples
    --------
    >>> open_mesh(np.ix_([0, 2], [1]), 2)
    (array([0, 2]), array([1]))
    """
    if len(entries) > rank or any(entry is None or entry is Ellipsis for entry in entries):
        return None
    arrays = [(k, np.asarray(entry)) for k, entry in enumerate(entries) if not isinstance(entry, slice)]
    if any(array.dtype.kind not in "iu" for _, array in arrays):
        return None
    wide = max(array.ndim for _, array in arrays)
    places = [wide - array.ndim + axis for _, array in arrays for axis, n in enumerate(array.shape) if n != 1]
    own = [[wide - array.ndim + axis for axis in range(array.ndim)] for _, array in arrays]
    if wide != len(arrays) or any(array.ndim == 0 for _, array in arrays) or len(set(places)) != len(places):
        return None
    if [k for k, _ in arrays] != list(range(arrays[0][0], arrays[0][0] + len(arrays))):
        return None  # NumPy moves the axes of arrays that are apart to the front
    for number, (axes, (_, array)) in enumerate(zip(own, arrays, strict=True)):
        if number not in axes or array.size != array.shape[axes.index(number)]:
            return None
    key = list(entries)
    for k, array in arrays:
        key[k] = array.reshape(-1)
    return tuple(key)


def pointwise(view: View, entries: Sequence[Any]) -> np.ndarray:
    """NumPy's reading of a key whose arrays are paired, from the cells that the arrays name.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> pointwise(lz.open(np.arange(6).reshape(2, 3)), ([0, 1], slice(None, 2)))
    array([[0, 1],
           [3, 4]])
    """
    plain = [np.asarray(entry) if isinstance(entry, list) else entry for entry in entries]
    if len(plain) == view.ndim and all(isinstance(entry, np.ndarray) and entry.dtype.kind in "iu" for entry in plain):
        return view.vindex[tuple(plain)]
    if any(
        entry is None or entry is Ellipsis or (isinstance(entry, np.ndarray) and entry.dtype.kind == "b")
        for entry in plain
    ):
        return view.read()[tuple(entries)]
    box: list[Any] = []
    local: list[Any] = []
    for entry, length in zip(plain, view.shape, strict=False):
        if isinstance(entry, np.ndarray):
            named, back = np.unique(np.where(entry < 0, entry + length, entry), return_inverse=True)
            box.append(named)
            local.append(back.reshape(entry.shape))
        else:
            box.append(entry if isinstance(entry, slice) else slice(int(entry), int(entry) + 1 or None))
            local.append(slice(None) if isinstance(entry, slice) else 0)
    return np.asarray(view.oindex[tuple(box)].read())[tuple(local)]


@_lazy(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0, out: Any = None, **kwargs: Any) -> Any:
    if axis is None or out is not None or kwargs:
        return NotImplemented
    parts = _alike(arrays)
    return np.concatenate([np.asarray(one) for one in arrays], axis) if parts is None else combine.concat(parts, axis)


@_lazy(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0, out: Any = None, **kwargs: Any) -> Any:
    if out is not None or kwargs:
        return NotImplemented
    parts = _alike(arrays)
    return np.stack([np.asarray(one) for one in arrays], axis) if parts is None else combine.stack(parts, axis)


def _alike(arrays: Sequence[Any]) -> list[View] | None:
    """Views of the type that NumPy gives to all; None where that takes values.

    Arrays take the attributes of the views beside them, which they were computed to go with.
    """
    first = next(one for one in arrays if isinstance(one, View))
    held = [one if isinstance(one, View) else np.asarray(one) for one in arrays]
    kind = np.result_type(*(one.dtype for one in held))
    parts = [
        cast(one if isinstance(one, View) else as_views([one])[0].with_attrs(first.attrs), kind)
        for one in held
        if isinstance(one, View) or one.dtype.kind not in "OUSV"
    ]
    alike = len(parts) == len(held) and all(isinstance(one, View) for one in parts)
    return parts if alike else None


def cast(view: View, target: np.dtype) -> Any:
    """NumPy's cast, later: values that the type cannot hold are rounded as NumPy rounds them.

    Casts of other things than numbers give values.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> cast(lz.open(np.array([1.7, -1.7])), np.dtype("int8")).read()
    array([ 1, -1], dtype=int8)
    """
    if view.dtype == target:
        return view
    if {view.dtype.kind, target.kind} - set("iuf"):
        return view.read().astype(target)
    try:
        return View.astype(view, target)
    except CastError:
        whole = view.dtype.kind in "iu" and target.kind in "iu"
        rounding = "towards-zero" if target.kind in "iu" else "nearest-even"
        beyond = "wrap" if whole else "clamp" if target.kind == "f" else None
        return View.astype(view, target, rounding=rounding, out_of_range=beyond)


@_lazy(np.where)
def _where(condition: Any, *choices: Any) -> Any:
    if len(choices) != 2 or isinstance(condition, View):
        return NotImplemented
    view, value = choices
    keep = np.asarray(condition)
    if isinstance(value, View) and not isinstance(view, View):
        view, value, keep = value, view, ~keep
    if not isinstance(view, View) or isinstance(value, View) or np.ndim(value) or keep.dtype.kind != "b":
        return NotImplemented
    kind = np.result_type(view.dtype, value)
    shape = np.broadcast_shapes(view.shape, keep.shape)
    kept = axes_of(np.broadcast_to(keep, shape))
    if kept is None or kind.kind not in "biufcMm":
        return NotImplemented
    view = cast(view, kind)
    if not isinstance(view, View):
        return NotImplemented
    view = view.broadcast_to(shape)
    if not keep.any():
        return full(shape, value, dtype=kind).with_attrs(view.attrs)
    for axis, flags in enumerate(kept):
        if not flags.all():
            view = _blanked(view, axis, flags, value)
    return view


def axes_of(keep: np.ndarray) -> list[np.ndarray] | None:
    """The flags of each axis of which a mask is the outer product; None if it is none, or has too many runs.

    Examples
    --------
    >>> axes_of(np.array([[True, False], [True, False]]))
    [array([ True,  True]), array([ True, False])]
    >>> axes_of(np.array([[True, False], [True, True]])) is None
    True
    """
    rank = keep.ndim
    flags = [keep.any(axis=tuple(k for k in range(rank) if k != axis)) for axis in range(rank)]
    outer = np.array(True)
    for axis, line in enumerate(flags):
        outer = outer & line.reshape([-1 if k == axis else 1 for k in range(rank)])
    if not np.array_equal(np.broadcast_to(outer, keep.shape), keep):
        return None
    runs = sum(int(np.count_nonzero(line[1:] != line[:-1])) for line in flags)
    return flags if runs < MOST else None


def _blanked(view: View, axis: int, flags: np.ndarray, value: Any) -> View:
    """The view with a constant along an axis where the flags are not set."""
    edges = [0, *(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(flags)]
    parts: list[View] = []
    for start, stop in itertools.pairwise(edges):
        if flags[start]:
            parts.append(view[(*(slice(None),) * axis, slice(start, stop))])
        else:
            shape = tuple(stop - start if k == axis else n for k, n in enumerate(view.shape))
            parts.append(full(shape, value, dtype=view.dtype).with_attrs(view.attrs))
    return combine.concat(parts, axis)


@_lazy(np.reshape)
def _reshape(a: View, /, shape: Any = None, order: Any = "C", **kwargs: Any) -> Any:
    if shape is None or order != "C" or kwargs:
        return NotImplemented
    wanted = [int(n) for n in np.atleast_1d(shape)]
    if wanted.count(-1) == 1:
        rest = math.prod(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = a.size // rest if rest else 0
    if math.prod(wanted) != a.size or not a.size:
        return NotImplemented
    blocks = _blocks([n for n in a.shape if n != 1], [n for n in wanted if n != 1])
    if blocks is None:
        return NotImplemented
    view = a.squeeze()
    axis = 0
    for have, want in blocks:
        for _ in have[1:]:
            view = _merged(view, axis)
        for length in want[:0:-1]:
            view = _split(view, axis, length)
        axis += len(want)
    return view.expand_dims([k for k, n in enumerate(wanted) if n == 1]) if 1 in wanted else view


def _blocks(have: list[int], want: list[int]) -> list[tuple[list[int], list[int]]] | None:
    """Runs of axes with equal numbers of cells, as short as they can be; None where that takes too many parts."""
    blocks: list[tuple[list[int], list[int]]] = []
    parts = 0
    while have:
        i, j = 1, 1
        while (one := math.prod(have[:i])) != (other := math.prod(want[:j])):
            i, j = (i + 1, j) if one < other else (i, j + 1)
        parts += math.prod(have[: i - 1]) + (math.prod(want[: j - 1]) if j > 1 else 0)
        blocks.append((have[:i], want[:j]))
        have, want = have[i:], want[j:]
    return blocks if parts <= MOST else None


def _merged(view: View, axis: int) -> View:
    """Two axes as one."""
    before = (slice(None),) * axis
    return combine.concat([view[(*before, k)] for k in range(view.shape[axis])], axis)


def _split(view: View, axis: int, length: int) -> View:
    """An axis as two, the second of a length."""
    before = (slice(None),) * axis
    starts = range(0, view.shape[axis], length)
    return combine.stack([view[(*before, slice(start, start + length))] for start in starts], axis)


@_lazy(np.lib.stride_tricks.sliding_window_view)
def _windows(x: View, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False) -> Any:
    widths = [int(n) for n in np.atleast_1d(window_shape)]
    axes = list(range(x.ndim)) if axis is None else [int(k) % x.ndim for k in np.atleast_1d(axis)]
    if len(widths) != len(axes) or len(set(axes)) != len(axes) or math.prod(widths) > MOST:
        return NotImplemented
    if any(not 1 <= width <= x.shape[k] for width, k in zip(widths, axes, strict=True)):
        return NotImplemented
    view = x
    for width, k in zip(widths, axes, strict=True):
        last = view.shape[k] - width + 1
        before = (slice(None),) * k
        view = combine.stack([view[(*before, slice(s, s + last))] for s in range(width)], view.ndim)
    return view


@_lazy(np.full_like)
def _full_like(
    a: View, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, **_: Any
) -> Any:
    kind = np.dtype(a.dtype if dtype is None else dtype)
    if np.ndim(fill_value) or kind.kind not in "biufcMm":
        return NotImplemented
    return full(a.shape if shape is None else shape, np.asarray(fill_value).astype(kind)[()], dtype=kind)


@_lazy(np.zeros_like)
def _zeros_like(a: View, dtype: Any = None, **options: Any) -> Any:
    return _full_like(a, 0, dtype, **options)


@_lazy(np.ones_like)
def _ones_like(a: View, dtype: Any = None, **options: Any) -> Any:
    return _full_like(a, 1, dtype, **options)


@_lazy(np.pad)
def _pad(array: View, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    value = np.asarray(kwargs.get("constant_values", 0))
    if mode != "constant" or kwargs.keys() - {"constant_values"} or isinstance(pad_width, dict):
        return NotImplemented
    if value.ndim and np.array_equal(value, np.broadcast_to(value.flat[0], value.shape)):
        value = value.reshape(-1)[:1].reshape(())  # xarray says it once for each side of each axis
    if value.ndim:
        return NotImplemented
    if array.dtype.kind == "O":  # beside objects a missing value stays one
        return NotImplemented
    return combine.pad(array, pad_width, value=value.astype(array.dtype)[()])
