"""Cell values by data type: distinct where the type allows it, so that a misplaced cell shows."""

from __future__ import annotations

import numpy as np

DTYPES: dict[str, np.dtype] = {
    "int16": np.dtype("i2"),
    "uint8": np.dtype("u1"),
    "int64": np.dtype("i8"),
    "float32": np.dtype("f4"),
    "float64": np.dtype("f8"),
    "bool": np.dtype("?"),
    "complex64": np.dtype("c8"),
    "datetime64": np.dtype("M8[s]"),
    "text": np.dtype("U3"),
    "bytes": np.dtype("S4"),
    "struct": np.dtype([("a", "i4"), ("b", "f8")]),
    "string": np.dtypes.StringDType(),
}
"""Name -> native NumPy type of every type that stored arrays are drawn in."""

PLAIN = ("int16", "uint8", "int64", "float32", "float64")
"""Numbers: the types that graphs are drawn in most."""

FILLS: dict[str, list[object]] = {
    "int16": [0, -9999, 7],
    "uint8": [0, 255],
    "int64": [0, -(2**63), 41],
    "float32": [0.0, float("nan"), -0.0, -9.5],
    "float64": [0.0, float("nan"), -0.0, float("-inf"), 1e300],
    "bool": [False, True],
    "complex64": [0j, complex(-0.0, 2.5)],
    "datetime64": [np.datetime64("NaT", "s"), np.datetime64(86400, "s")],
    "text": ["", "äx"],
    "bytes": [b"", b"fill"],
    "struct": [(0, 0.0), (3, -0.5)],
    "string": ["", "missing ☂"],
}
"""Name -> fill values, the plain zero first."""


def distinct(name: str, shape: tuple[int, ...], number: int) -> np.ndarray:
    """Cells that differ within an array and between arrays of different numbers, as far as the type can.

    Some floats and dates are the special ones (NaN, -0.0, infinity, NaT).
    """
    count = int(np.prod(shape))
    k = np.arange(count, dtype=np.int64) + 1 + 211 * number
    dtype = DTYPES[name]
    if name == "bool":
        flat = (k * 2654435761 >> 9) % 2 == 0
    elif name in ("text", "bytes", "string"):
        width = {"text": 3, "bytes": 4, "string": 6}[name]
        texts = [_base36(int(v))[-width:] + ("é" * int(v % 3 == 0) if name == "string" else "") for v in k]
        flat = np.array(texts, dtype) if count else np.empty(0, dtype)
    elif name == "struct":
        flat = np.empty(count, dtype)
        flat["a"], flat["b"] = k, -k / 4
    elif name == "complex64":
        flat = (k - 1j * k / 2).astype(dtype)
    elif name == "datetime64":
        flat = (k * 3600).view(dtype).copy()
        flat[k % 17 == 0] = np.datetime64("NaT", "s")
    else:
        flat = k.astype(dtype)  # uint8 wraps; still 256 different values
    if dtype.kind == "f":
        flat = flat / dtype.type(8)
        flat[k % 19 == 0] = np.nan
        flat[k % 23 == 0] = -0.0
        flat[k % 29 == 0] = np.inf
    return flat.reshape(shape)


def same_cells(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays have the same shape and type and the same cells, bit for bit.

    NaN payloads and the sign of zero count; the byte order of the memory does not.
    """
    if left.shape != right.shape:
        return False
    if left.dtype.kind in "TO" or right.dtype.kind in "TO":
        return left.dtype.kind == right.dtype.kind and left.tolist() == right.tolist()
    native = left.dtype.newbyteorder("=")
    if native != right.dtype.newbyteorder("="):
        return False
    return left.astype(native).tobytes() == right.astype(native).tobytes()


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text
