"""Which views may be joined: one report of every mismatch of every input.

Owns what has to agree and what a join of views has of its inputs. Refuses to convert anything that was not asked for:
types are equal unless promoted, packed integers of different scale and different units are never joined silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lazyzarr import casting
from lazyzarr.errors import CombineError
from lazyzarr.ir import data_type as types
from lazyzarr.operations.linking import place_of
from lazyzarr.view import View

FITS = ("BSCALE", "BZERO", "BLANK")
"""Packing as FITS spells it."""
MEANING = ("units", "calendar", "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned", *FITS)
"""Attributes that say what a number means: views that differ in one of them are not joined."""


def views_of(what: str, views: Sequence[View]) -> list[View]:
    """The inputs of a join; ``what`` is what errors are about.

    Raises
    ------
    CombineError
        There are none, or some are no views.
    """
    inputs = list(views)
    if not inputs:
        raise CombineError(what, ["there are no inputs; give at least one view"])
    wrong = [f"input {k} is a {type(v).__name__}; give views" for k, v in enumerate(inputs) if not isinstance(v, View)]
    if wrong:
        raise CombineError(what, [w + " (lz.open takes NumPy arrays, too)" for w in wrong])
    return inputs


def fitting(what: str, inputs: Sequence[View], axis: int | Literal["any"] | None, promote: bool = False) -> list[View]:
    """Inputs that can be joined along an axis, promoted if asked.

    Raises
    ------
    CombineError
        Listing every mismatch of every input.
    """
    problems: list[str] = []
    first = inputs[0]
    known = next((k for k, view in enumerate(inputs) if view.dims is not None), 0)
    for number, view in enumerate(inputs):
        if axis != "any" and view.ndim != first.ndim:
            problems.append(f"{named(number, view)} has rank {view.ndim}, input 0 has {first.ndim}")
        elif axis != "any":
            unequal = [k for k in range(first.ndim) if k != axis and view.shape[k] != first.shape[k]]
            problems.extend(
                f"{named(number, view)} has length {view.shape[k]} on axis {k}, input 0 has {first.shape[k]}; "
                "slice or pad it"
                for k in unequal
            )
        if view.dims is not None and view.dims != inputs[known].dims:
            problems.append(
                f"{named(number, view)} has dimensions {view.dims}, input {known} has {inputs[known].dims}; "
                "transpose or rename_dims"
            )
        problems.extend(_meaning_problems(number, view, first))
    if promote:
        return _promoted(what, inputs, problems)
    for number, view in enumerate(inputs):
        if view.data_type != first.data_type:
            problems.append(
                f"{named(number, view)} has data type {view.dtype}, input 0 has {first.dtype}; "
                f"{'' if what == 'append' else 'pass promote=True or '}call .astype"
            )
    if problems:
        raise CombineError(what, problems)
    return list(inputs)


def _promoted(what: str, inputs: Sequence[View], problems: list[str]) -> list[View]:
    try:
        target = types.from_numpy(np.result_type(*{view.dtype for view in inputs}))
    except TypeError:
        target = None
        problems.append(f"types {sorted({str(view.dtype) for view in inputs})} have no common type; convert them first")
    for number, view in enumerate(inputs):
        if target is not None and not casting.promotes(view.data_type, target):
            problems.append(
                f"{named(number, view)} has data type {view.dtype}, which no cast turns into {types.to_numpy(target)} "
                "keeping every value; call .astype with rounding= on numbers, read and convert others"
            )
    if problems or target is None:
        raise CombineError(what, problems)
    return [view.astype(types.to_numpy(target)) for view in inputs]


def _meaning_problems(number: int, view: View, first: View) -> list[str]:
    if view.attrs is first.attrs:
        return []
    found: list[str] = []
    for name in MEANING:
        mine, other = view.attrs.get(name), first.attrs.get(name)
        if mine is None and other is None:
            continue
        if not _equal(mine, other):
            remedy = (
                'packed integers of different scale cannot be joined as they are; open with packing="auto" or call .unpack()'
                if name not in ("units", "calendar")
                else "convert one of them, or set the attribute with .with_attrs if it is only spelled differently"
            )
            found.append(f"{named(number, view)} has {name} {_text(mine)}, input 0 has {_text(other)}; {remedy}")
    return found


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=isinstance(one, float)))
    except TypeError:
        return one == other


def _text(value: Any) -> str:
    return "none" if value is None else repr(value)


def named(number: int, view: View) -> str:
    """An input, and where it lies if that is one place."""
    place = place_of(view)
    return f"input {number}" + (f' ("{place}")' if place else "")


def shared_dims(inputs: Sequence[View]) -> tuple[str | None, ...] | None:
    """Names of dimensions, which the inputs that have any agree on."""
    return next((view.dims for view in inputs if view.dims is not None), None)


def shared_attrs(inputs: Sequence[View]) -> dict[str, Any]:
    """Attributes that all inputs share."""
    shared = dict(inputs[0].attrs)
    for view in inputs[1:]:
        if view.attrs is inputs[0].attrs:
            continue
        for name in [name for name in shared if name not in view.attrs or not _equal(shared[name], view.attrs[name])]:
            del shared[name]
    return shared
