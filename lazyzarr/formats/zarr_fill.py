"""Fill values as Zarr v2 and v3 write them, to the one form that layouts have.

Owns the spellings: base64 or text or numbers in version 2, names and hexadecimal and member-wise structs in version
3. Refuses a value that is not one of its type; none is rounded.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from lazyzarr.errors import SourceProtocolError, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType, from_numpy, to_numpy


def fill_v3(value: Any, data_type: DataType) -> Any:
    """Canonical form of a fill value of Zarr v3.

    Examples
    --------
    >>> fill_v3("0x7ff8000000000000", "float64"), fill_v3(7.0, "int16")
    ('NaN', 7)
    """
    dtype = to_numpy(data_type)
    try:
        return fill.to_json(_scalar_v3(value, dtype), data_type)
    except (ViewSchemaError, ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise _invalid(value, data_type) from error


def _scalar_v3(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "T":
        return str(value) if isinstance(value, str | int | float) else _fail()
    if dtype.kind in "OSV" and dtype.names is None and isinstance(value, list):
        octets = bytes(cast("list[int]", value))
        return octets if dtype.kind == "O" else _cell(octets, dtype)
    if dtype.names is None:
        return fill.from_json(value, from_numpy(dtype))
    if isinstance(value, str):
        # members are little endian here, whatever the machine
        return _cell(base64.b64decode(value, validate=True), dtype.newbyteorder("<")).astype(dtype)
    if not isinstance(value, Mapping):
        return _fail()
    members = cast("Mapping[str, Any]", value)
    out = np.zeros((), dtype)
    for name, field in cast("Mapping[str, Any]", dtype.fields).items():
        if name in members:
            out[name] = _scalar_v3(members[name], field[0])
    return out


def fill_v2(value: Any, data_type: DataType, stored: np.dtype[Any]) -> Any:
    """Canonical form of a fill value of Zarr v2; null is the type's zero, as zarr-python reads it.

    `stored` is the type with the byte order of the document, which base64 values are in.

    Examples
    --------
    >>> fill_v2(None, "float32", np.dtype(">f4")), fill_v2("YQ==", from_numpy(np.dtype("S2")), np.dtype("S2"))
    (0.0, 'YQA=')
    """
    dtype = to_numpy(data_type)
    if value is None:
        return "NaT" if dtype.kind in "Mm" else fill.zero(data_type)
    try:
        return fill.to_json(_scalar_v2(value, dtype, stored), data_type)
    except (ViewSchemaError, ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise _invalid(value, data_type) from error


def _scalar_v2(value: Any, dtype: np.dtype[Any], stored: np.dtype[Any]) -> Any:
    kind = dtype.kind
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "T":
        return str(value) if isinstance(value, str) or number else _fail()
    if kind in "SVUO" and number and value == 0:
        return b"" if kind == "O" else np.zeros((), dtype)[()]  # how zarr-python 2 wrote the default
    if kind == "b" and number and value in (0, 1):
        return np.bool_(value)
    if kind == "O":
        return base64.b64decode(str(value), validate=True)
    if kind in "SV" and isinstance(value, str):
        return _cell(base64.b64decode(value, validate=True), stored).astype(dtype)
    if kind == "c" and number:
        return np.asarray(value, dtype)[()]
    return fill.from_json(value, from_numpy(dtype))


def _cell(octets: bytes, dtype: np.dtype[Any]) -> Any:
    """One cell of its bytes; fixed-length bytes may leave out trailing zeros."""
    if dtype.kind == "S" and len(octets) <= dtype.itemsize:
        octets = octets.ljust(dtype.itemsize, b"\0")
    if len(octets) != dtype.itemsize:
        return _fail()
    return np.frombuffer(octets, dtype).reshape(())


def _fail() -> Any:
    raise ValueError


def _invalid(value: object, data_type: object) -> SourceProtocolError:
    return SourceProtocolError(
        f"Zarr metadata: fill_value is {value!r}; that is not a value of {data_type!r}; check the source",
        reason="fill-invalid",
    )


def all_fields(dtype: np.dtype[Any]) -> Sequence[np.dtype[Any]]:
    """The types of all members, nested ones included; the type itself where it has none."""
    if dtype.fields is None:
        return (dtype,)
    return tuple(inner for field in dtype.fields.values() for inner in all_fields(field[0]))
