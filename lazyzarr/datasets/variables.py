"""Views as variables of xarray: names of dimensions, packing, and the decoding of the CF conventions.

Owns which attributes are decoded and by whom: packing by the view, so it stays a view; times, text and coordinates by xarray. Refuses
to read values, but for those of one-dimensional coordinates, which xarray keeps in an index, and for text, whose type in NumPy
is as long as the longest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.core import indexing

from lazyzarr.datasets.arrays import DatasetView
from lazyzarr.errors import LazyZarrError, SelectionError
from lazyzarr.formats.packing import Packing, packing_of
from lazyzarr.group import Group, mixed
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Decode
from lazyzarr.leaves import unpacked
from lazyzarr.view import View

_LENGTHS = frozenset(("days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"))
"""Units of spans of time."""
_LAZY = (indexing.LazilyIndexedArray, indexing.NdArrayLikeIndexingAdapter)


def opened_for(
    decoding: Mapping[str, Any], packing: Packing | None, opened: Callable[[Packing], View | Group]
) -> View | Group:
    """What is opened as xarray is asked to decode it; some members raw where it is asked so for each.

    Parameters
    ----------
    packing
        What the caller says himself.
    opened
        Opens with the one or the other.
    """
    found = opened(packing or packing_for(decoding))
    names = raw_names(decoding)
    if packing or isinstance(found, View) or not any(name in found for name in names):
        return found
    raw = opened("raw")
    return mixed(found, raw, names) if isinstance(raw, Group) else found


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
            error.add_note(_left_out(key))
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


def raw_names(decoding: Mapping[str, Any]) -> frozenset[str]:
    """Variables that alone are not unpacked, where xarray is asked for each.

    Examples
    --------
    >>> sorted(raw_names({"mask_and_scale": {"a": False, "b": True}})), raw_names({"mask_and_scale": False})
    (['a'], frozenset())
    """
    asked = decoding.get("mask_and_scale")
    return frozenset(name for name, yes in asked.items() if not yes) if isinstance(asked, Mapping) else frozenset()


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
    raw = raw_names(decoding)
    texts: list[str] = []
    held: dict[str, DatasetView] = {}
    for name, view in members.items():
        decode, rest = packing_of(view.attrs, view.dtype, "auto" if unpack and name not in raw else "raw")
        if decode is not None:
            view = unpacked(view.with_attrs(rest), decode)
        if decoding.get("decode_times", True) is not False:
            view = _counting(view)
        if view.dtype.kind == "T":
            variables[name] = xr.Variable(_names(view), _text(name, view), dict(view.attrs))
            texts.append(name)
            continue
        held[name] = DatasetView.of(view)
        # xarray looks there when it writes characters again
        shape = {"original_shape": view.shape}
        variables[name] = xr.Variable(_names(view), held[name], dict(view.attrs), encoding=shape)
    decoded = xr.decode_cf(xr.Dataset(variables, attrs=dict(attrs)), **decoding)
    for name in texts:
        # it is as long as the longest of these cells: xarray would cut longer ones that are joined to them
        decoded.variables[name].encoding.pop("dtype", None)
    for name, view in held.items():
        if name in decoded.variables and _holds(decoded.variables[name]._data, view):
            decoded.variables[name]._data = view  # pyright: ignore[reportAttributeAccessIssue]
    return decoded


def _text(name: str, view: View) -> np.ndarray:
    """Text as the backends of netCDF give it."""
    try:
        return view.read().astype(object).astype(str)
    except LazyZarrError as error:
        error.add_note(_left_out(name))
        raise


def _counting(view: View) -> View:
    """Times that are integers with a fill value, without the decode that made them floating point.

    xarray knows missing times among integers; floating point does not have all integers of 64 bits.
    """
    units = str(view.attrs.get("units"))
    graph = view.ir
    node = graph.nodes[-1]
    if not isinstance(node, Decode) or not (units in _LENGTHS or " since " in units):
        return view
    (codec, *others) = node.codecs
    conf = codec.configuration
    if (
        others
        or codec.name != "lazyzarr.unpack"
        or any(conf.get(n) is not None for n in ("scale_factor", "add_offset"))
    ):
        return view
    below = Graph(graph.nodes[: node.input + 1], layouts=graph.layouts, arrays=graph.arrays, tables=graph.tables)
    missing = conf["fill_values"]
    known = {"_FillValue": missing[0]} if len(missing) == 1 else {"missing_value": missing}
    counts = View(None, graph=below, reader=view.reader, dims=view.dims, attrs={**view.attrs, **known})
    return counts if counts.dtype.kind in "iu" and missing else view


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


def _left_out(name: str) -> str:
    return f"drop_variables={[name]!r} leaves it out"


def _holds(data: Any, view: View) -> bool:
    """Whether the data of a variable are a view and nothing else, in the wrappers of xarray."""
    while isinstance(data, _LAZY):
        if isinstance(data, indexing.LazilyIndexedArray) and data.shape != view.shape:
            return False
        data = data.array
    return data is view
