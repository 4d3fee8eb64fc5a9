"""What a case is expected to read as, from plain NumPy arrays: JSON values and their digest.

Owns the two forms of values in ``expected.json``. Refuses to import lazyzarr: what is expected must not come from
what is tested.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import numpy as np

Json = Any


def cells(values: np.ndarray) -> Json:
    """Nested lists, each cell in the JSON form that Zarr v3 gives its fill values."""
    if values.ndim:
        return [cells(values[k, ...]) for k in range(len(values))]
    return cell(values[()], values.dtype)


def cell(value: Any, dtype: np.dtype) -> Json:
    """One cell in JSON form."""
    kind = dtype.kind
    if kind == "b":
        return bool(value)
    if kind in "iu":
        return int(value)
    if kind == "f":
        return _real(value, dtype)
    if kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        return [_real(part.type(value.real), part), _real(part.type(value.imag), part)]
    if kind in "Mm":
        return "NaT" if np.isnat(value) else int(value.view("i8"))
    if kind in "TU":
        return str(value)
    if kind == "O":
        return base64.b64encode(value).decode()
    if kind in "VS":
        little = np.asarray(value, dtype).astype(dtype.newbyteorder("<"))
        return base64.b64encode(little.tobytes()).decode()
    raise TypeError(f"no JSON form of {dtype} here")


def digest(values: np.ndarray) -> str:
    """``sha256:<hex>`` of the cells in C order: little-endian, or length (8 bytes, little-endian) and bytes of each."""
    total = hashlib.sha256()
    if values.dtype.kind in "TO":
        for item in values.reshape(-1):
            raw = item.encode() if isinstance(item, str) else bytes(item)
            total.update(len(raw).to_bytes(8, "little") + raw)
    else:
        total.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes())
    return f"sha256:{total.hexdigest()}"


def _real(value: Any, dtype: np.dtype) -> Json:
    if np.isfinite(value):
        return float(value)
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    bits = np.asarray(value, dtype.newbyteorder(">")).tobytes()
    return "NaN" if bits == np.asarray(np.nan, dtype.newbyteorder(">")).tobytes() else f"0x{bits.hex()}"
