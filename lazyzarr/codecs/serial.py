"""Array-to-bytes codecs, and the transpose in front of them.

Owns `bytes` (fixed-width cells in a byte order), `vlen-utf8`, `vlen-bytes` (a count, then each value behind its
length) and `transpose`. Refuses counts and lengths that the bytes at hand cannot hold, before anything is
allocated for them. Sharding is in `sharding.py`.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from lazyzarr.codecs.stages import (
    Array,
    ArrayStage,
    Bytes,
    Cells,
    Configuration,
    Serializer,
    Size,
    invalid,
    malformed,
    wrong_count,
    wrong_length,
)

MAX_TEXT_BYTES = 1 << 28
"""Largest encoded chunk of variable-length cells, whose size the layout does not declare [bytes]."""
_TEXT_BYTES_EACH = 1 << 12
_TEXT_BYTES_ANY = 1 << 25
_U32 = struct.Struct("<I")


def is_swapped(dtype: np.dtype[Any], configuration: Configuration) -> bool:
    """Whether `bytes` with this configuration stores the type in foreign byte order."""
    return storage_type(dtype, configuration) != dtype


def storage_type(dtype: np.dtype[Any], configuration: Configuration) -> np.dtype[Any]:
    """The NumPy type as it lies in the stored bytes."""
    endian = configuration.get("endian")
    if endian == "little":
        return dtype.newbyteorder("<")
    if endian == "big":
        return dtype.newbyteorder(">")
    if endian is not None:
        raise invalid("bytes", f"endian is {endian!r}; it is 'little' or 'big'")
    little = dtype.newbyteorder("<")
    # structs were once written without a byte order, always little
    if dtype.names is None and little != dtype.newbyteorder(">"):
        raise invalid("bytes", f"endian is absent; cells of type {dtype} are stored in a byte order")
    return little


def fixed(configuration: Configuration, cells: Cells) -> Serializer:
    """Cells of fixed width, one after the other in C order."""
    dtype, shape = cells
    if dtype.kind in "TO":
        raise invalid("bytes", "cells of variable length have no fixed width; use vlen-utf8 or vlen-bytes")
    stored = storage_type(dtype, configuration)
    swapped = stored != dtype
    nbytes = cells.nbytes
    text = has_text(dtype)

    def decode(data: Bytes) -> Array:
        if len(data) != nbytes:
            raise wrong_length("bytes", len(data), nbytes)
        array = np.ndarray(shape, stored, data) if nbytes else np.empty(shape, stored)
        if text:
            _check_text(array)
        return array.astype(dtype) if swapped else array

    def encode(array: Array) -> bytes:
        return array.astype(stored, copy=False).tobytes()

    return Serializer(decode, encode, Size(nbytes, exact=True))


def has_text(dtype: np.dtype[Any]) -> bool:
    """Whether cells, or fields of them, are text of fixed length."""
    if dtype.fields is not None:
        return any(has_text(field[0]) for field in dtype.fields.values())
    return dtype.kind == "U"


def _check_text(array: Array) -> None:
    """NumPy fails late, and with its own error, on code points that do not exist."""
    if array.dtype.fields is not None:
        for name, field in array.dtype.fields.items():
            if has_text(field[0]):
                _check_text(array[name])
    elif array.size and array.dtype.itemsize:
        points = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if points.max() > 0x10FFFF:
            raise malformed("bytes", f"a cell has the code point {int(points.max()):#x}, which does not exist")


def vlen(configuration: Configuration, cells: Cells, *, text: bool) -> Serializer:
    """Strings (as UTF-8) or bytes of any length."""
    name = "vlen-utf8" if text else "vlen-bytes"
    if cells.dtype.kind != ("T" if text else "O"):
        raise invalid(name, f"the chunk is {cells.dtype}; {name} stores {'strings' if text else 'bytes'}")
    count, shape, dtype = cells.size, cells.shape, cells.dtype

    def decode(data: Bytes) -> Array:
        parts = _split(name, memoryview(data), count)
        if text:
            try:
                return np.array([str(part, "utf-8") for part in parts], dtype).reshape(shape)
            except UnicodeDecodeError as error:
                raise malformed(name, error) from error
        out = np.empty(count, object)
        out[:] = [bytes(part) for part in parts]
        return out.reshape(shape)

    def encode(array: Array) -> bytes:
        parts = [_U32.pack(count)]
        for value in array.reshape(-1).tolist():
            encoded = value.encode() if text else bytes(value)
            parts += (_U32.pack(len(encoded)), encoded)
        return b"".join(parts)

    return Serializer(
        decode, encode, Size(min(MAX_TEXT_BYTES, _TEXT_BYTES_ANY + count * _TEXT_BYTES_EACH), exact=False)
    )


def _split(name: str, data: memoryview, count: int) -> list[memoryview]:
    """The values of a chunk as slices, after every length was found to lie inside."""
    end = len(data)
    held = _U32.unpack_from(data)[0] if end >= 4 else 0
    if held != count or end < 4:
        raise wrong_count(name, held, count)
    if end < 4 + 4 * count:
        raise malformed(name, f"{end} bytes cannot hold {held} values")
    at, parts = 4, list[memoryview]()
    for _ in range(count):
        if at + 4 > end:
            raise malformed(name, "the last values are cut off")
        first = at + 4
        at = first + _U32.unpack_from(data, at)[0]
        parts.append(data[first:at])
    if at != end:
        raise malformed(name, f"the values end at byte {at} of {end}")
    return parts


def transpose(configuration: Configuration, cells: Cells) -> ArrayStage:
    """Axes in another order, on the way to the bytes: encoded axis i is decoded axis ``order[i]``."""
    rank = len(cells.shape)
    order = configuration.get("order")
    if order in ("C", "F"):  # a draft of the specification
        order = list(range(rank)) if order == "C" else list(range(rank))[::-1]
    if (
        not isinstance(order, list | tuple)
        or any(not isinstance(axis, int) or isinstance(axis, bool) for axis in order)
        or sorted(order) != list(range(rank))
    ):
        raise invalid("transpose", f"order is {order!r}; it is a permutation of the {rank} axes")
    forward = tuple(order)
    inverse = tuple(forward.index(axis) for axis in range(rank))
    return ArrayStage(
        lambda array: array.transpose(inverse),
        lambda array: array.transpose(forward),
        Cells(cells.dtype, tuple(cells.shape[axis] for axis in forward)),
        cellwise=True,
        order=forward,
    )
