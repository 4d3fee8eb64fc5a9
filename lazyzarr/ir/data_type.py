"""Zarr v3 data types by name, and the NumPy types they decode to.

Owns the closed table of data types. A data type is its Zarr v3 JSON (a name, or a name with a
configuration); the NumPy type is always in native byte order, since byte order belongs to the codec chain.
Refuses object arrays other than variable-length bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.layout import NamedConfig

DataType = str | NamedConfig

_PLAIN = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
_TIMES = {"numpy.datetime64": "M8", "numpy.timedelta64": "m8"}
_STRINGS = ("string", "variable_length_bytes", "bytes")
MAX_ITEM_BYTES = 1 << 24
_NAMED: dict[str, np.dtype] = {name: np.dtype(name) for name in _PLAIN}
"""What most calls ask for: types without a configuration."""
_NAMES: dict[np.dtype, str] = {
    form: name for name, dtype in _NAMED.items() for form in (dtype, dtype.newbyteorder("S"))
}


def to_numpy(data_type: DataType) -> np.dtype:
    """NumPy type, native byte order, of a Zarr v3 data type.

    Raises
    ------
    ViewSchemaError
        ``type-unknown`` for a name or a configuration outside the table.

    Examples
    --------
    >>> to_numpy("float32"), to_numpy(NamedConfig("numpy.datetime64", {"unit": "s", "scale_factor": 1}))
    (dtype('float32'), dtype('<M8[s]'))
    """
    if type(data_type) is str and (known := _NAMED.get(data_type)) is not None:
        return known
    name = data_type if isinstance(data_type, str) else data_type.name
    conf: Mapping[str, object] = {} if isinstance(data_type, str) else data_type.configuration
    if name in _PLAIN and not conf:
        return np.dtype(name)
    if name == "string" and not conf:
        return np.dtypes.StringDType()
    if name in ("variable_length_bytes", "bytes") and not conf:
        return np.dtype(object)
    if name[:1] == "r" and name[1:].isdigit() and not conf and int(name[1:]) % 8 == 0:
        return np.dtype(f"V{_item_bytes(int(name[1:]) // 8, name)}")
    if name in _TIMES:
        return _time(name, conf)
    if name in ("raw_bytes", "null_terminated_bytes", "fixed_length_utf32"):
        length = _item_bytes(conf.get("length_bytes"), name)
        if name == "fixed_length_utf32":
            if length % 4:
                raise _unknown(data_type)
            return np.dtype(f"U{length // 4}")
        return np.dtype(f"{'V' if name == 'raw_bytes' else 'S'}{length}")
    if name in ("struct", "structured"):
        return _struct(data_type, conf)
    raise _unknown(data_type)


def from_numpy(dtype: np.dtype) -> DataType:
    """Zarr v3 data type of a NumPy type; the inverse of `to_numpy`.

    Raises
    ------
    ViewSchemaError
        ``type-unknown`` for a type Zarr v3 has no name for.

    Examples
    --------
    >>> from_numpy(np.dtype(">i4"))
    'int32'
    """
    if dtype.kind in "biufc" and (plain := _NAMES.get(dtype)) is not None:
        return plain
    if dtype.kind == "T":
        return "string"
    if dtype.kind == "O":
        return "variable_length_bytes"
    if dtype.kind in "Mm":
        unit, factor = np.datetime_data(dtype)
        name = "numpy.datetime64" if dtype.kind == "M" else "numpy.timedelta64"
        return NamedConfig(name, {"unit": unit, "scale_factor": factor})
    if dtype.kind == "U":
        return NamedConfig("fixed_length_utf32", {"length_bytes": dtype.itemsize})
    if dtype.kind == "S":
        return NamedConfig("null_terminated_bytes", {"length_bytes": dtype.itemsize})
    if dtype.names is not None and dtype.fields is not None:
        members: Any = dtype.fields
        fields = []
        packed = 0
        for name in dtype.names:
            inner, offset = members[name][:2]
            if offset != packed:
                break
            packed += inner.itemsize
            fields.append({"name": name, "data_type": msgspec_form(from_numpy(inner))})
        if len(fields) == len(dtype.names) and packed == dtype.itemsize:
            return NamedConfig("struct", {"fields": fields})
    elif dtype.kind == "V" and dtype.subdtype is None:
        return NamedConfig("raw_bytes", {"length_bytes": dtype.itemsize})
    raise ViewSchemaError(
        f"data type {dtype} has no Zarr v3 name; convert the array to a plain type first", reason="type-unknown"
    )


def msgspec_form(data_type: DataType) -> object:
    """The plain JSON value of a data type (a name, or a dict)."""
    if isinstance(data_type, str):
        return data_type
    return {"name": data_type.name, "configuration": data_type.configuration}


def from_json(value: object) -> DataType:
    """A data type from its plain JSON value; the inverse of `msgspec_form`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return NamedConfig(value["name"], value.get("configuration", {}))
    raise _unknown(value)


def _item_bytes(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_ITEM_BYTES:
        raise _unknown(f"{name} of length {value!r}")
    return value


def _time(name: str, conf: Mapping[str, object]) -> np.dtype:
    unit, factor = conf.get("unit"), conf.get("scale_factor", 1)
    if unit == "generic":
        return np.dtype(_TIMES[name])
    units = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "μs", "ns", "ps", "fs", "as")
    if unit not in units or not isinstance(factor, int) or not 1 <= factor <= 2**31 - 1:
        raise _unknown(f"{name} with unit {unit!r} and scale_factor {factor!r}")
    return np.dtype(f"{_TIMES[name]}[{factor}{'us' if unit == 'μs' else unit}]")


def _struct(data_type: DataType, conf: Mapping[str, object]) -> np.dtype:
    fields = conf.get("fields")
    if not isinstance(fields, list | tuple) or not fields:
        raise _unknown(data_type)
    parts = []
    for field in fields:
        if isinstance(field, dict):
            name, inner = field.get("name"), field.get("data_type")
        elif isinstance(field, list | tuple) and len(field) == 2:
            name, inner = field
        else:
            raise _unknown(data_type)
        if not isinstance(name, str):
            raise _unknown(data_type)
        parts.append((name, to_numpy(from_json(inner))))
    if len({name for name, _ in parts}) != len(parts):
        raise _unknown(data_type)
    return np.dtype(parts)


def _unknown(what: object) -> ViewSchemaError:
    return ViewSchemaError(f"data type {what!r} is not known; see spec/ for the table of types", reason="type-unknown")
