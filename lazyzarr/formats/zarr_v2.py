"""Zarr v2 array metadata, rewritten in the terms of Zarr v3.

Owns ``.zarray`` with ``.zattrs``: data types by NumPy name, memory order as a transpose, filters and compressor as
`numcodecs` codecs behind the bytes (where they see the memory of the array, as they did when it was written), and
``_ARRAY_DIMENSIONS`` as dimension names. Refuses objects other than variable-length strings and bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from lazyzarr.errors import SourceProtocolError, UnsupportedFeature, ViewSchemaError
from lazyzarr.formats.zarr_fill import all_fields, fill_v2
from lazyzarr.ir.data_type import DataType, from_numpy, to_numpy
from lazyzarr.ir.layout import NamedConfig

_TYPE = re.compile(r"[<>|=]?[biufcSUV]\d{1,9}|[<>|=]?[Mm]8(\[\d{0,9}[a-zA-Zμ]{1,7}\])?")
_OBJECTS = {"vlen-utf8": "string", "vlen-bytes": "variable_length_bytes"}
_DIMENSIONS = "_ARRAY_DIMENSIONS"


@dataclass(frozen=True)
class V2Array:
    """A version 2 array in the terms of version 3."""

    shape: tuple[int, ...]
    data_type: DataType
    fill_value: Any
    chunks: tuple[int, ...]
    codecs: tuple[NamedConfig, ...]
    chunk_keys: NamedConfig
    dimension_names: tuple[str | None, ...] | None
    attributes: dict[str, Any]


def read_v2(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> V2Array:
    """Read the members of ``.zarray`` and ``.zattrs``."""
    missing = [name for name in ("shape", "chunks", "dtype") if name not in document]
    if missing:
        raise _bad(f"{', '.join(missing)} absent; this is not the metadata of an array")
    shape, chunks = _whole("shape", document["shape"]), _whole("chunks", document["chunks"])
    if len(shape) != len(chunks):
        raise _bad(f"chunks are {list(chunks)} for an array of shape {list(shape)}; both have one entry per axis")
    filters = document.get("filters")
    if filters is not None and not isinstance(filters, list):
        raise _bad(f"filters are {str(filters)[:64]!r}; they are a list, or null")
    pipeline = list(cast("list[Any] | None", filters) or ())
    if document.get("compressor") is not None:
        pipeline.append(document["compressor"])
    stages = [_numcodec(one) for one in pipeline]
    stored = _numpy_type(document["dtype"])
    data_type, serial, stages = _serial(stored, stages)
    separator = document.get("dimension_separator") or "."
    if separator not in (".", "/"):
        raise _bad(f"dimension_separator is {separator!r}; it is '.' or '/'")
    order = document.get("order", "C")
    if order not in ("C", "F"):
        raise _bad(f"order is {order!r}; it is 'C' or 'F'")
    front = [NamedConfig("transpose", {"order": list(range(len(shape)))[::-1]})] if order == "F" and shape[1:] else []
    names, rest = _dimension_names(attributes, len(shape))
    return V2Array(
        shape,
        data_type,
        fill_v2(document.get("fill_value"), data_type, stored),
        tuple(size or 1 for size in chunks),  # a size of 0 was given to axes without cells, which have no chunks
        (*front, serial, *stages),
        NamedConfig("v2", {"separator": separator}),
        names,
        rest,
    )


def _numcodec(value: object) -> NamedConfig:
    if not isinstance(value, dict) or not isinstance(cast("dict[str, Any]", value).get("id"), str):
        raise _bad(f"a filter is {value!r}; it is an object with an id")
    conf = dict(cast("dict[str, Any]", value))
    name = conf.pop("id")
    if name == "shuffle":
        conf.setdefault("elementsize", 4)
    return NamedConfig(name if name in _OBJECTS else f"numcodecs.{name}", conf)


def _serial(stored: np.dtype[Any], stages: list[NamedConfig]) -> tuple[DataType, NamedConfig, list[NamedConfig]]:
    """Data type, array-to-bytes codec, and the codecs behind it."""
    if stored.kind == "O":
        first = stages[0].name if stages else None
        if first not in _OBJECTS:
            raise UnsupportedFeature(
                f"Zarr metadata: objects are in {first or 'no codec'}; only vlen-utf8 and vlen-bytes are read: "
                "others have no type, or run what they decode; rewrite the array",
                reason="source-unsupported",
            )
        return _OBJECTS[first], NamedConfig(first), stages[1:]
    for stage in stages:
        if stage.name in _OBJECTS:
            raise _unsupported(f"{stage.name} is a filter of {stored}, which is not an object type")
    try:
        data_type = from_numpy(to_numpy(from_numpy(stored)))
    except ViewSchemaError as error:
        raise _unsupported(f"the data type {stored} is not known here") from error
    if stored.kind in "SUV" and stored.itemsize == 0:
        raise _unsupported(f"the data type {stored} has cells without bytes")
    fields = [field for field in all_fields(stored) if field != field.newbyteorder("S")]
    orders = {"big" if field == field.newbyteorder(">") else "little" for field in fields}
    if len(orders) > 1:
        raise _unsupported(f"the data type {stored} mixes byte orders")
    return data_type, NamedConfig("bytes", {"endian": orders.pop()} if orders else {}), stages


def _numpy_type(value: object) -> np.dtype[Any]:
    """The NumPy type of a document; object types only by themselves."""
    if value in ("|O", "O", "|O8"):
        return np.dtype(object)
    if isinstance(value, str) and _TYPE.fullmatch(value):
        try:
            return np.dtype(value)
        except (TypeError, ValueError) as error:
            raise _unsupported(f"the data type {value!r} is not known here") from error
    if isinstance(value, list) and value:
        fields: list[tuple[str, np.dtype[Any]]] = []
        for field in cast("list[Any]", value):
            if not isinstance(field, list) or len(cast("list[Any]", field)) not in (2, 3):
                raise _bad(f"the dtype has the member {field!r}; a member is a name and a type")
            name, inner, *dims = cast("list[Any]", field)
            if dims:
                raise _unsupported(f"the member {name!r} of the data type is itself an array")
            if not isinstance(name, str) or any(name == other for other, _ in fields) or not name:
                raise _bad(f"the dtype has the member {name!r}; names are texts, and differ")
            fields.append((name, _numpy_type(inner)))
        if any(dtype.hasobject for _, dtype in fields):
            raise _unsupported(f"the data type {value!r} has objects as members")
        return np.dtype(fields)
    raise _unsupported(f"the data type {value!r} is not known here")


def _dimension_names(attributes: Mapping[str, Any], rank: int) -> tuple[tuple[str | None, ...] | None, dict[str, Any]]:
    rest = dict(attributes)
    names = rest.get(_DIMENSIONS)
    if isinstance(names, list) and len(cast("list[Any]", names)) == rank:
        texts = cast("list[Any]", names)
        if all(isinstance(name, str) for name in texts):
            del rest[_DIMENSIONS]
            return tuple(texts), rest
    return None, rest


def _whole(member: str, value: object) -> tuple[int, ...]:
    if isinstance(value, list | tuple):
        numbers = cast("Sequence[Any]", value)
        if all(isinstance(n, int) and 0 <= n < 2**63 for n in numbers):
            return tuple(int(n) for n in numbers)
    raise _bad(f"{member} is {value!r}; it is a list of whole numbers")


def _bad(what: str) -> SourceProtocolError:
    return SourceProtocolError(f"Zarr metadata: {what}; check the source", reason="source-format")


def _unsupported(what: str) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"Zarr metadata: {what}; arrays that use it cannot be read; rewrite the array without it",
        reason="source-unsupported",
    )
