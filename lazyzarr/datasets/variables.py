"""Views as variables of xarray: names of dimensions, packing, and the decoding of the CF conventions.

Owns which attributes are decoded and by whom: packing by the view, so it stays a view; times, text and coordinates by xarray. Refuses
to read values, but for those of one-dimensional coordinates, which xarray keeps in an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr
from xarray.core import indexing

from lazyzarr.datasets.arrays import DatasetView
from lazyzarr.errors import LazyZarrError, SelectionError
from lazyzarr.formats.packing import Packing, packing_of
from lazyzarr.group import Group
from lazyzarr.leaves import unpacked
from lazyzarr.view import View

_LAZY = (indexing.LazilyIndexedArray, indexing.NdArrayLikeIndexingAdapter)


def below(found: View | Group, group: str | None, place: Any) -> View | Group:
    """The group at a path of what was opened; all of it without a path.

    Raises
    ------
    SelectionError
        There is an array.
    """
    if not group or group == "/":
        return found
    if isinstance(found, View):
        raise SelectionError(f"open_dataset of group {group!r} of {place!r}; there is an array; leave group out")
    return found[group]


def members_of(
    found: View | Group, name: str | None, dropped: str | Iterable[str] | None = None
) -> tuple[dict[str, View], dict[str, Any]]:
    """The views of a group that are no groups, and the attributes of the group; a single view under a name.

    Those that are dropped are not opened.

    Raises
    ------
    LazyZarrError
        A member cannot be opened; a note says how to leave it out.
    """
    if isinstance(found, View):
        return {name or "data": found}, {}
    found = found.without([dropped] if isinstance(dropped, str) else dropped or ())
    members: dict[str, View] = {}
    for key in found:
        try:
            member = found[key]
        except LazyZarrError as error:
            error.add_note(f"drop_variables={[key]!r} leaves it out")
            raise
        if isinstance(member, View):
            members[key] = member
    return members, dict(found.attrs)


def packing_for(decoding: Mapping[str, Any]) -> Packing:
    """Whether packing is decoded, by what xarray is asked to decode.

    Examples
    --------
    >>> packing_for({}), packing_for({"mask_and_scale": False})
    ('auto', 'raw')
    """
    return "raw" if decoding.get("mask_and_scale", True) is False else "auto"


def dataset_of(
    members: Mapping[str, View], attrs: Mapping[str, Any], *, unpack: bool = True, **decoding: Any
) -> xr.Dataset:
    """A data set whose variables hold the views, decoded as the CF conventions say.

    Parameters
    ----------
    unpack
        Whether packing attributes that views still have become a decode.
    decoding
        Of `xarray.decode_cf`.
    """
    variables: dict[str, xr.Variable] = {}
    held: dict[str, DatasetView] = {}
    for name, view in members.items():
        decode, rest = packing_of(view.attrs, view.dtype, "auto" if unpack else "raw")
        if decode is not None:
            view = unpacked(view.with_attrs(rest), decode)
        held[name] = DatasetView.of(view)
        variables[name] = xr.Variable(_names(view), held[name], dict(view.attrs))
    decoded = xr.decode_cf(xr.Dataset(variables, attrs=dict(attrs)), **decoding)
    for name, view in held.items():
        if name in decoded.variables and _holds(decoded.variables[name]._data, view):
            decoded.variables[name]._data = view  # pyright: ignore[reportAttributeAccessIssue]
    return decoded


def _names(view: View) -> list[str]:
    """Names of the axes; those without one are named by their length, as in files of netCDF."""
    given = view.dims or (None,) * view.ndim
    names: list[str] = []
    for name, length in zip(given, view.shape, strict=True):
        made = name or f"phony_dim_{length}"
        while made in names:
            made += "_"
        names.append(made)
    return names


def _holds(data: Any, view: View) -> bool:
    """Whether the data of a variable are a view and nothing else, in the wrappers of xarray."""
    while isinstance(data, _LAZY):
        if isinstance(data, indexing.LazilyIndexedArray) and data.shape != view.shape:
            return False
        data = data.array
    return data is view
