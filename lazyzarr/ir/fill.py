"""Fill values between their Zarr v3 JSON form and NumPy scalars, bit for bit.

Owns the JSON form of one value of each data type (NaN payloads as hexadecimal, raw bytes as base64).
Refuses values that do not fit their type: nothing is rounded or wrapped.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np

from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.data_type import DataType, to_numpy

Json = Any
_SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def from_json(value: Json, data_type: DataType) -> Any:
    """NumPy scalar of a fill value in Zarr v3 JSON form.

    Raises
    ------
    ViewSchemaError
        ``fill-invalid`` if the value is not one of the type.

    Examples
    --------
    >>> from_json("NaN", "float32"), from_json(-9999, "int16")
    (np.float32(nan), np.int16(-9999))
    """
    dtype = to_numpy(data_type)
    try:
        return _scalar(value, dtype)
    except (ValueError, TypeError, OverflowError, KeyError, binascii.Error):
        raise ViewSchemaError(
            f"fill value {value!r} is not a value of data type {data_type!r}; give one that is", reason="fill-invalid"
        ) from None


def to_json(value: Any, data_type: DataType) -> Json:
    """Zarr v3 JSON form of one value; the inverse of `from_json`.

    Examples
    --------
    >>> to_json(np.float32("nan"), "float32"), to_json(-0.0, "float64"), to_json(b"ab", "variable_length_bytes")
    ('NaN', -0.0, 'YWI=')
    """
    dtype = to_numpy(data_type)
    if dtype.kind == "T":
        return str(value)
    if dtype.kind == "O":
        return base64.b64encode(bytes(value)).decode()
    scalar: Any = np.asarray(value, dtype=dtype)[()]
    if dtype.kind == "b":
        return bool(scalar)
    if dtype.kind in "iu":
        return int(scalar)
    if dtype.kind == "f":
        return _float_json(scalar, dtype)
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        return [_float_json(scalar.real.astype(part), part), _float_json(scalar.imag.astype(part), part)]
    if dtype.kind in "Mm":
        return int(np.asarray(scalar).view("i8")) if not np.isnat(scalar) else "NaT"
    if dtype.kind == "U":
        return str(scalar)
    return base64.b64encode(np.asarray(scalar, dtype=dtype).tobytes()).decode()


def zero(data_type: DataType) -> Json:
    """The default fill value of a type: zero, false, or empty.

    Examples
    --------
    >>> zero("float32"), zero("string")
    (0.0, '')
    """
    dtype = to_numpy(data_type)
    if dtype.kind == "T":
        return ""
    if dtype.kind == "O":
        return ""
    return to_json(np.zeros((), dtype)[()], data_type)


def full(shape: tuple[int, ...], value: Json, data_type: DataType) -> np.ndarray:
    """An array of one fill value; variable-length bytes included."""
    dtype = to_numpy(data_type)
    scalar = from_json(value, data_type)
    out = np.empty(shape, dtype)
    if dtype.kind == "O":
        out.fill(scalar)
    else:
        out[...] = scalar
    return out


def same(left: Json, right: Json, data_type: DataType) -> bool:
    """Whether two fill values are the same bits (NaN payload and the sign of zero included)."""
    a, b = from_json(left, data_type), from_json(right, data_type)
    dtype = to_numpy(data_type)
    if dtype.kind in "TO":
        return bool(a == b)
    return np.asarray(a, dtype).tobytes() == np.asarray(b, dtype).tobytes()


def _scalar(value: Json, dtype: np.dtype) -> Any:
    kind = dtype.kind
    if kind == "b":
        if not isinstance(value, bool):
            raise TypeError
        return np.bool_(value)
    if kind in "iu":
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        bits = 8 * dtype.itemsize - (kind == "i")
        if not (-(1 << bits) if kind == "i" else 0) <= value < 1 << bits:
            raise OverflowError
        return dtype.type(value)
    if kind == "f":
        return _float(value, dtype)
    if kind == "c":
        real, imag = value
        part = np.dtype(f"f{dtype.itemsize // 2}")
        out = np.empty((), dtype)
        out.real, out.imag = _float(real, part), _float(imag, part)
        return out[()]
    if kind in "Mm":
        number = np.iinfo("i8").min if value == "NaT" else value
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError
        return np.asarray(number, "i8").view(dtype)[()]
    if not isinstance(value, str):
        raise TypeError
    if kind == "T":
        return value
    if kind == "U":
        if 4 * len(value) > dtype.itemsize:
            raise ValueError
        return np.str_(value)
    raw = base64.b64decode(value, validate=True)
    if kind == "O":
        return raw
    if kind == "S" and len(raw) <= dtype.itemsize:
        return np.bytes_(raw.rstrip(b"\0"))
    if len(raw) != dtype.itemsize:
        raise ValueError
    return np.frombuffer(raw, dtype)[0]


def _float(value: Json, dtype: np.dtype) -> Any:
    if isinstance(value, str):
        if value in _SPECIAL:
            return dtype.type(_SPECIAL[value])
        if not value.startswith("0x") or len(value) != 2 + 2 * dtype.itemsize:
            raise ValueError
        return np.frombuffer(bytes.fromhex(value[2:])[::-1], dtype.newbyteorder("<"))[0].astype(dtype)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if dtype.itemsize == 8:
        number = float(value)
        if math.isinf(number):
            raise OverflowError
        return np.float64(number)
    with np.errstate(over="ignore"):
        out = dtype.type(value)
    if np.isinf(out):
        raise OverflowError
    return out


def _float_json(value: Any, dtype: np.dtype) -> Json:
    if np.isnan(value):
        bits = np.asarray(value, dtype).tobytes()
        if bits == np.asarray(np.nan, dtype).tobytes():
            return "NaN"
        return "0x" + np.asarray(value, dtype.newbyteorder(">")).tobytes().hex()
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)
