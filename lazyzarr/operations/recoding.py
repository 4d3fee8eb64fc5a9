"""Other readings of stored bytes and of values: recode and decode nodes.

Owns which views can be recoded. Refuses to recode anything but a stored array as it was opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lazyzarr import casting
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig
from lazyzarr.ir.nodes import Decode, Recode, Source, Tiles
from lazyzarr.ir.row_values import columns_of

if TYPE_CHECKING:
    from lazyzarr.view import View

_PACKING = frozenset(("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned"))
"""Attributes that unpacking uses up."""


def recoded(view: View, codecs: Sequence[Mapping[str, Any] | str] | None, data_type: Any, fill_value: Any) -> View:
    """The stored bytes below read with another layout."""
    old = _layout(view)
    new_type = old.data_type if data_type is None else casting.data_type_of(data_type)
    if fill_value is not None:
        value = casting.exact_fill(fill_value, new_type)
    else:
        value = old.fill_value if new_type == old.data_type else fill.zero(new_type)
    chain = old.codecs if codecs is None else tuple(casting.codec_of(c) for c in codecs)
    layout = msgspec.structs.replace(old, data_type=new_type, fill_value=value, codecs=chain)
    if left := columns_of(layout):
        raise ViewSchemaError(
            f"recode of arrays that have a {', a '.join(left)} each; one layout takes their place; "
            "give codecs and a fill_value, or recode each array before joining",
            reason="graph-type",
        )
    source = view._inputs[0] if isinstance(view._node, Recode) else view
    return source._derived(Recode(0, 0), own=Graph((), layouts=[layout]), dims=view.dims, attrs=view.attrs)


def unpacked(
    view: View, scale_factor: float | None, add_offset: float | None, fill_values: Sequence[Any], target: DataType
) -> View:
    """CF unpacking; with no number given, those of the view's own attributes."""
    if scale_factor is None and add_offset is None and not len(fill_values):
        scale_factor, add_offset = view.attrs.get("scale_factor"), view.attrs.get("add_offset")
        missing = [view.attrs[name] for name in ("_FillValue", "missing_value") if name in view.attrs]
        fill_values = [value for held in missing for value in (held if isinstance(held, list | tuple) else [held])]
    codec = casting.unpack_codec(view.data_type, target, scale_factor, add_offset, fill_values)
    attrs = {name: value for name, value in view.attrs.items() if name not in _PACKING}
    return decoded(view, [codec], target)._same(dims=view.dims, attrs=attrs)


def decoded(view: View, codecs: Sequence[NamedConfig], target: DataType) -> View:
    """The values decoded cell by cell."""
    value = casting.decoded_fill(view.schema, codecs, target)
    return view._derived(Decode(0, tuple(codecs), target, value), dims=view.dims)


def _layout(view: View) -> Layout:
    own, node = view._own, view._node
    if isinstance(node, Source) and own.arrays[node.array].values is None:
        return own.layouts[own.arrays[node.array].layout]
    if isinstance(node, Recode):
        return own.layouts[node.layout]
    if isinstance(node, Tiles):
        return own.layouts[node.layouts[0]]
    raise ViewSchemaError(
        "recode of a view that is not a stored array; only stored bytes have codecs; recode before slicing or joining",
        reason="graph-type",
    )
