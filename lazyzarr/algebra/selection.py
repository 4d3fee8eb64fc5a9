"""What a user writes between brackets, resolved: `Selection`.

Owns the meaning of keys, NumPy's exactly: negative indices, ellipsis, new axes, masks and integer arrays.
After this door there is one spelling per meaning. Refuses pointwise keys (several arrays at once, arrays of
rank other than 1), which are no separable index map; ``vindex`` reads those at once.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from msgspec import Struct

from lazyzarr.algebra.span import Span, from_slice, whole
from lazyzarr.errors import AxisError, SelectionError

AxisKey = Span | int
"""One axis of the input: the cells kept, or the one cell at which the axis is dropped."""


class Selection(Struct, frozen=True):
    """A key in one spelling: basic index, then gathers, then an order of axes, then new axes.

    Applied in that order; each part may be trivial.
    """

    axes: tuple[AxisKey, ...]
    """For each axis of the input; axes that are gathered are kept whole here."""
    gathers: tuple[tuple[int, np.ndarray], ...]
    """(axis after the basic index, int64 indices in range) of each gathered axis."""
    order: tuple[int, ...] | None
    """Order of axes after the gathers, where NumPy moves a gathered axis to the front."""
    new_axes: tuple[int, ...]
    """Positions of new axes of length 1 in the result, ascending."""


def basic(key: Any, shape: tuple[int, ...]) -> Selection:
    """The meaning of ``array[key]`` for keys with at most one array, as NumPy has it.

    Raises
    ------
    SelectionError
        ``index-bounds`` or ``index-syntax``.

    Examples
    --------
    >>> basic((slice(None, None, -1), 2, None), (4, 5)).axes
    (Span(start=3, step=-1, count=4), 2)
    """
    entries = _expand(key, shape)
    arrays = [i for i, e in enumerate(entries) if isinstance(e, np.ndarray)]
    if len(arrays) > 1:
        raise SelectionError(
            f"key has {len(arrays)} index arrays; NumPy pairs them point by point, which is no separable index; "
            "use .oindex[...] for the outer product or .vindex[...] to read the points now"
        )
    selection = _resolve(entries, shape)
    if not arrays:
        return selection
    # NumPy: integers beside an index array are index arrays too; all together they stand where
    # the first stood, or in front when anything else is between them.
    advanced = [i for i, e in enumerate(entries) if isinstance(e, np.ndarray | int)]
    if advanced[-1] - advanced[0] + 1 == len(advanced):
        return selection
    gathered = selection.gathers[0][0]
    rank = sum(not isinstance(a, int) for a in selection.axes)
    order = (gathered, *(k for k in range(rank) if k != gathered))
    # new axes keep their place among the other axes, all behind the gathered one
    behind = [e for e in entries if not isinstance(e, np.ndarray | int)]
    new_axes = tuple(1 + k for k, e in enumerate(behind) if e is None)
    return Selection(selection.axes, selection.gathers, order, new_axes)


def orthogonal(key: Any, shape: tuple[int, ...]) -> Selection:
    """The meaning of ``array.oindex[key]``: every array selects along its own axis.

    Raises
    ------
    SelectionError
        ``index-bounds`` or ``index-syntax``.
    """
    return _resolve(_expand(key, shape), shape)


def normalize_axis(axis: Any, rank: int, *, what: str = "axis") -> int:
    """An axis number in ``[0, rank)``; negative numbers count from the end.

    Raises
    ------
    AxisError
        When it is outside the rank.

    Examples
    --------
    >>> normalize_axis(-1, 3)
    2
    """
    try:
        number = operator.index(axis)
    except TypeError:
        raise AxisError(f"{what} is {axis!r}; an axis is an integer; give one of 0..{rank - 1}") from None
    if not -rank <= number < rank:
        raise AxisError(f"{what} is {number}; the array has rank {rank}; give one of {-rank}..{rank - 1}")
    return number % rank


def gather_indices(indices: Any, length: int, *, axis: int) -> np.ndarray:
    """Integer or boolean index array of one axis as int64 positions in ``[0, length)``.

    Raises
    ------
    SelectionError
        ``index-bounds`` for positions or masks that do not fit the axis, ``index-syntax`` for other types.

    Examples
    --------
    >>> gather_indices([-1, 0], 4, axis=0), gather_indices([True, False, True], 3, axis=0)
    (array([3, 0]), array([0, 2]))
    """
    array = _array(indices)
    if array.ndim != 1:
        raise SelectionError(
            f"index array of axis {axis} has rank {array.ndim}; gathers take rank 1; use .vindex[...] to read points now"
        )
    if array.dtype.kind == "b":
        if len(array) != length:
            raise SelectionError(
                f"mask of axis {axis} has length {len(array)}; the axis has length {length}; give one value per cell",
                reason="index-bounds",
            )
        return np.flatnonzero(array)
    if array.dtype.kind not in "iu":
        raise SelectionError(f"index array of axis {axis} has type {array.dtype}; give integers or booleans")
    wide = array.astype(np.int64)
    bad = (wide < -length) | (wide >= length)
    if array.dtype.kind == "u":
        bad |= array > np.uint64(np.iinfo(np.int64).max)
    if bad.any():
        raise SelectionError(
            f"index {int(array[bad][0])} of axis {axis} is out of bounds; the axis has length {length}",
            reason="index-bounds",
        )
    return np.where(wide < 0, wide + length, wide)


def _expand(key: Any, shape: tuple[int, ...]) -> list[Any]:
    """Entries of a key with the ellipsis written out: slices, ints, None, arrays."""
    parts = [_entry(part) for part in (key if isinstance(key, tuple) else (key,))]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise SelectionError("key has more than one ellipsis; write the axes out")
    used = len(parts) - len(dots) - sum([part is None for part in parts])
    if used > len(shape):
        raise SelectionError(
            f"key has {used} indices; the array has rank {len(shape)}; leave some out", reason="index-bounds"
        )
    rest: list[Any] = [slice(None)] * (len(shape) - used)
    if not dots:
        return parts + rest
    return parts[: dots[0]] + rest + parts[dots[0] + 1 :]


def _entry(part: Any) -> Any:
    if type(part) is int or part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, bool | np.bool_):
        raise SelectionError("key has a single boolean; a mask needs one value per cell of its axis")
    try:
        return operator.index(part)
    except TypeError:
        pass
    if isinstance(part, str | bytes | float | complex | np.floating):
        raise SelectionError(f"key has {part!r}; indices are integers, slices, masks, integer arrays, None or ...")
    array = _array(part)
    if array.ndim == 0:
        raise SelectionError(f"key has {part!r}; indices are integers, slices, masks, integer arrays, None or ...")
    if array.ndim > 1:
        raise SelectionError(
            f"key has an index array of rank {array.ndim}; gathers take rank 1; use .vindex[...] to read points now"
        )
    return array


def _array(indices: Any) -> np.ndarray:
    """Indices as an array; an empty list has no type of its own and counts as integers, as in NumPy."""
    try:
        array = np.asarray(indices)
    except ValueError:
        raise SelectionError(f"key has {indices!r}; its lists have different lengths; give one flat list") from None
    if array.size == 0 and not isinstance(indices, np.ndarray):
        return array.astype(np.int64)
    return array


def _resolve(entries: list[Any], shape: tuple[int, ...]) -> Selection:
    axes: list[AxisKey] = []
    gathers: list[tuple[int, np.ndarray]] = []
    new_axes: list[int] = []
    kept = result = 0
    for entry in entries:
        if entry is None:
            new_axes.append(result)
            result += 1
            continue
        axis = len(axes)
        length = shape[axis]
        if isinstance(entry, int):
            if not -length <= entry < length:
                raise SelectionError(
                    f"index {entry} of axis {axis} is out of bounds; the axis has length {length}",
                    reason="index-bounds",
                )
            axes.append(entry % length)
            continue
        if isinstance(entry, slice):
            try:
                axes.append(from_slice(entry, length))
            except (TypeError, ValueError) as error:
                raise SelectionError(f"slice {entry} of axis {axis} is not valid; {error}") from None
        else:
            axes.append(whole(length))
            gathers.append((kept, gather_indices(entry, length, axis=axis)))
        kept += 1
        result += 1
    return Selection(tuple(axes), tuple(gathers), None, tuple(new_axes))
