"""Views that start somewhere: a stored array, as it is or unpacked, or a constant.

Owns the leaves that other modules make views from. Refuses to open anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, SupportsIndex

import msgspec
import numpy as np

from lazyzarr import casting
from lazyzarr.errors import ShapeError
from lazyzarr.ir import data_type as types
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json, Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Decode, Fill, Source
from lazyzarr.ir.tables import Table
from lazyzarr.read import Reader
from lazyzarr.view import View


def source(
    array: StoredArray,
    layouts: Sequence[Layout],
    *,
    reader: Reader,
    tables: Mapping[str, Table] | None = None,
    dims: Sequence[str | None] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> View:
    """View of one stored array; ``array.layout`` is a position in ``layouts``."""
    own = Graph((), layouts=layouts, arrays=[array], tables=tables)
    return View(Source(0), own=own, reader=reader, dims=dims, attrs=attrs)


def unpacked(view: View, configuration: Mapping[str, Json]) -> View:
    """A stored array with the ``lazyzarr.unpack`` that the attributes of its file ask for."""
    target = types.from_json(configuration["data_type"])
    stored = types.from_json(configuration["stored_type"])
    if stored != view.data_type and isinstance(view._node, Source):
        view = with_bits_as(view, stored)
    codecs = (NamedConfig("lazyzarr.unpack", dict(configuration)),)
    value = casting.decoded_fill(view.schema, codecs, target)
    return View(
        Decode(0, codecs, target, value), (view,), own=Graph(()), reader=view.reader, dims=view.dims, attrs=view.attrs
    )


def same_bits(value: Json, old: DataType, new: DataType) -> Json:
    """An integer as the type of the same size and the other sign has its bits.

    Examples
    --------
    >>> same_bits(-1, "int16", "uint16")
    65535
    """
    return fill.to_json(np.asarray(fill.from_json(value, old)).view(types.to_numpy(new))[()], new)


def with_bits_as(view: View, data_type: DataType) -> View:
    """A stored array of integers with the other sign: what the attribute ``_Unsigned`` says of the same bits."""
    own = view._own
    layouts = [
        msgspec.structs.replace(x, data_type=data_type, fill_value=same_bits(x.fill_value, view.data_type, data_type))
        for x in own.layouts
    ]
    array, tables = own.arrays[0], dict(own.tables)
    if array.values is not None:
        table = Table({"values": np.asarray(tables[array.values]["values"]).view(types.to_numpy(data_type))})
        array, tables = msgspec.structs.replace(array, values=table.name), {table.name: table}
    return source(array, layouts, reader=view.reader, tables=tables, dims=view.dims, attrs=view.attrs)


def full(shape: Sequence[int] | int, value: Any, *, dtype: Any = None) -> View:
    """A constant view, as ``np.full``; it is stored as its value.

    Parameters
    ----------
    shape
        Cells along each axis, or of the one axis.
    value
        What every cell reads as.
    dtype
        By default the type NumPy gives to the value.

    Raises
    ------
    ShapeError
        For a negative length.
    CastError
        When the value is none of the type.

    Examples
    --------
    >>> full((2, 2), 3, dtype="uint8").read().tolist()
    [[3, 3], [3, 3]]
    """
    numpy_type = np.asarray(value).dtype if dtype is None else np.dtype(dtype)
    data_type = types.from_numpy(numpy_type)
    lengths = (shape,) if isinstance(shape, SupportsIndex) else tuple(shape)
    if any(int(n) < 0 for n in lengths):
        raise ShapeError(f"full of shape {lengths}; lengths are at least 0")
    return View(Fill(tuple(int(n) for n in lengths), data_type, casting.exact_fill(value, data_type)), reader=Reader())
