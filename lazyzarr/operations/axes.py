"""Axes of a view: other order, other direction, fewer, more, repeated.

Owns NumPy's rules for axis arguments. Refuses reshapes, which are no separable index map.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

from lazyzarr.algebra.selection import normalize_axis
from lazyzarr.algebra.span import Span, from_slice, whole
from lazyzarr.errors import AxisError, ShapeError
from lazyzarr.ir.nodes import Broadcast, Transpose

if TYPE_CHECKING:
    from lazyzarr.view import View


def transpose(view: View, order: Sequence[Any] | None) -> View:
    """Axes in another order; None reverses them."""
    given = range(view.ndim)[::-1] if order is None else order
    numbers = tuple(normalize_axis(axis, view.ndim) for axis in given)
    if sorted(numbers) != list(range(view.ndim)):
        raise AxisError(f"transpose to axes {tuple(given)}; the view has rank {view.ndim}; name every axis once")
    if numbers == tuple(range(view.ndim)):
        return view
    return view._derived(Transpose(0, numbers), dims=None if view.dims is None else [view.dims[k] for k in numbers])


def flipped(view: View, axis: int | Iterable[int] | None) -> list[Span]:
    """Spans that reverse some axes, or all."""
    numbers = set(range(view.ndim) if axis is None else numbered(axis, view.ndim))
    return [from_slice(slice(None, None, -1), n) if k in numbers else whole(n) for k, n in enumerate(view.shape)]


def squeezed(view: View, axis: int | Iterable[int] | None) -> list[Span | int]:
    """Keys that drop some axes of length 1, or all of them."""
    single = [k for k, n in enumerate(view.shape) if n == 1]
    numbers = single if axis is None else list(numbered(axis, view.ndim))
    wrong = [k for k in numbers if view.shape[k] != 1]
    if wrong:
        raise ShapeError(f"squeeze of axis {wrong[0]}; it has length {view.shape[wrong[0]]}; only length 1 can go")
    return [0 if k in numbers else whole(n) for k, n in enumerate(view.shape)]


def expand_dims(view: View, axis: int | Iterable[int]) -> View:
    """New axes of length 1 at positions of the result."""
    wanted = (axis,) if isinstance(axis, SupportsIndex) else tuple(axis)
    rank = view.ndim + len(wanted)
    new = numbered(wanted, rank)
    old = [k for k in range(rank) if k not in new]
    shape = [1] * rank
    dims: list[str | None] = [None] * rank
    for k, n in zip(old, view.shape, strict=True):
        shape[k] = n
    for k, name in zip(old, view.dims or (), strict=False):
        dims[k] = name
    return view._derived(Broadcast(0, tuple(shape), tuple(old)), dims=None if view.dims is None else dims)


def broadcast_to(view: View, shape: Sequence[int] | int) -> View:
    """Repeated to a shape."""
    to = tuple(int(n) for n in ((shape,) if isinstance(shape, SupportsIndex) else shape))
    extra = len(to) - view.ndim
    fits = extra >= 0 and all(n in (1, m) for n, m in zip(view.shape, to[max(extra, 0) :], strict=False))
    if not fits or any(n < 0 for n in to):
        raise ShapeError(
            f"broadcast of shape {view.shape} to {to}; an axis of length 1 can be repeated, others must be equal"
        )
    if to == view.shape:
        return view
    dims = None if view.dims is None else [*[None] * extra, *view.dims]
    return view._derived(Broadcast(0, to, tuple(range(extra, len(to)))), dims=dims)


def renamed(view: View, names: Mapping[str, str] | Sequence[str | None]) -> list[str | None]:
    """Dimension names after a renaming: a mapping from old to new, or one name per axis."""
    if isinstance(names, Mapping):
        missing = [name for name in names if name not in (view.dims or ())]
        if missing:
            raise AxisError(f"rename of dimension {missing[0]!r}; the view has {view.dims}; give one of these")
        return [names.get(d, d) if d is not None else None for d in view.dims or ()]
    new = list(names)
    if len(new) != view.ndim:
        raise AxisError(f"rename to {new}; the view has rank {view.ndim}; give one name per axis")
    return new


def numbered(axis: Any, rank: int) -> tuple[int, ...]:
    """Axis numbers, each once.

    Raises
    ------
    AxisError
        For an axis outside the rank, or named twice.
    """
    given = (axis,) if isinstance(axis, SupportsIndex) else tuple(axis)
    numbers = tuple(normalize_axis(a, rank) for a in given)
    if len(set(numbers)) != len(numbers):
        raise AxisError(f"axes {axis} name an axis twice; name each once")
    return numbers
