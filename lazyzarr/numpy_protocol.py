"""NumPy functions that give views when they are called on views.

Owns the table from NumPy functions to lazy ones. Refuses functions that compute on values: those read the views
and call NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lazyzarr import combine
from lazyzarr.access.session import Session
from lazyzarr.algebra.selection import normalize_axis
from lazyzarr.errors import AxisError
from lazyzarr.opening import inline
from lazyzarr.read import Reader
from lazyzarr.view import ARRAY_FUNCTIONS, View


def _lazy(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(replacement: Callable[..., Any]) -> Callable[..., Any]:
        ARRAY_FUNCTIONS[function] = replacement
        return replacement

    return register


def as_views(arrays: Sequence[Any]) -> list[View]:
    """Views as they are, arrays as inline views."""
    return [a if isinstance(a, View) else inline(np.asarray(a), Reader(Session())) for a in arrays]


@_lazy(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0, out: Any = None, **kwargs: Any) -> Any:
    if axis is None or out is not None or kwargs:
        return np.concatenate([np.asarray(a) for a in arrays], axis=axis, out=out, **kwargs)
    return combine.concat(as_views(arrays), axis, promote=True)


@_lazy(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0, out: Any = None, **kwargs: Any) -> Any:
    if out is not None or kwargs:
        return np.stack([np.asarray(a) for a in arrays], axis=axis, out=out, **kwargs)
    return combine.stack(as_views(arrays), axis, promote=True)


@_lazy(np.transpose)
def _transpose(a: View, axes: Any = None) -> View:
    return a.transpose(axes) if axes is not None else a.transpose()


@_lazy(np.swapaxes)
def _swapaxes(a: View, axis1: int, axis2: int) -> View:
    order = list(range(a.ndim))
    one, two = normalize_axis(axis1, a.ndim), normalize_axis(axis2, a.ndim)
    order[one], order[two] = order[two], order[one]
    return a.transpose(order)


@_lazy(np.moveaxis)
def _moveaxis(a: View, source: Any, destination: Any) -> View:
    sources = [normalize_axis(k, a.ndim, what="source") for k in np.atleast_1d(source).tolist()]
    targets = [normalize_axis(k, a.ndim, what="destination") for k in np.atleast_1d(destination).tolist()]
    if len(sources) != len(targets) or len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        raise AxisError(f"moveaxis of {source} to {destination}; name as many axes on both sides, each once")
    order = [k for k in range(a.ndim) if k not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return a.transpose(order)


@_lazy(np.flip)
def _flip(m: View, axis: Any = None) -> View:
    return m.flip(axis)


@_lazy(np.take)
def _take(a: View, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    if out is not None or mode != "raise" or np.ndim(indices) > 1 or (axis is None and a.ndim != 1):
        return np.take(np.asarray(a), indices, axis=axis, out=out, mode=mode)  # type: ignore[call-overload]
    return a.take(indices, axis=axis)


@_lazy(np.broadcast_to)
def _broadcast_to(array: View, shape: Any, subok: bool = False) -> View:
    return array.broadcast_to(shape)


@_lazy(np.expand_dims)
def _expand_dims(a: View, axis: Any) -> View:
    return a.expand_dims(axis)


@_lazy(np.squeeze)
def _squeeze(a: View, axis: Any = None) -> View:
    return a.squeeze(axis)


@_lazy(np.roll)
def _roll(a: View, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        if a.ndim != 1:
            return np.roll(np.asarray(a), shift)
        axis = 0
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis))
    for cells, k in zip(shifts.tolist(), axes.tolist(), strict=True):
        number = normalize_axis(k, a.ndim)
        length = a.shape[number]
        cut = -cells % length if length else 0
        if cut:
            before = (slice(None),) * number
            a = combine.concat([a[(*before, slice(cut, None))], a[(*before, slice(None, cut))]], number)
    return a


@_lazy(np.pad)
def _pad(array: View, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    value = kwargs.get("constant_values", 0)
    if mode != "constant" or np.ndim(value) or kwargs.keys() - {"constant_values"} or isinstance(pad_width, dict):
        return np.pad(np.asarray(array), pad_width, mode, **kwargs)
    return combine.pad(array, pad_width, value=value)


@_lazy(np.block)
def _block(arrays: Any) -> Any:
    return combine.block(arrays)


@_lazy(np.shape)
def _shape(a: View) -> tuple[int, ...]:
    return a.shape


@_lazy(np.ndim)
def _ndim(a: View) -> int:
    return a.ndim


@_lazy(np.size)
def _size(a: View, axis: int | None = None) -> int:
    return a.size if axis is None else a.shape[normalize_axis(axis, a.ndim)]


@_lazy(np.result_type)
def _result_type(*arrays: Any) -> np.dtype:
    return np.result_type(*(a.dtype if isinstance(a, View) else a for a in arrays))
