"""The filters of numcodecs, undone with NumPy: delta, fixedscaleoffset, quantize, astype, bitround, packbits, shuffle.

Owns their two places: in front of the array-to-bytes codec they map blocks of cells (Zarr v3), behind it they map
the memory of the typed array (Zarr v2, where each filter names its own types). Refuses types that are not numbers,
and lengths that do not fit them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numcodecs
import numpy as np

from lazyzarr.codecs.stages import (
    Array,
    ArrayStage,
    Bytes,
    BytesStage,
    Cells,
    Configuration,
    Size,
    integer,
    invalid,
    malformed,
    stored_type,
    wrong_length,
)

_MANY_PLANES = 32


class _Filter(NamedTuple):
    """A filter between two typed runs of cells."""

    decoded: np.dtype[Any]
    encoded: np.dtype[Any]
    decode: Callable[[Array], Array]
    encode: Callable[[Array], Array]
    cellwise: bool = True


_Make = Callable[[Configuration, "np.dtype[Any] | None"], _Filter]


def in_front(name: str) -> Callable[[Configuration, Cells], ArrayStage]:
    """Builder of the filter as an array-to-array codec."""
    make = _FILTERS[name]

    def build(configuration: Configuration, cells: Cells) -> ArrayStage:
        one = make(configuration, cells.dtype)
        native = one.decoded.newbyteorder("=")
        # signed and unsigned of one width share their bits: CF's _Unsigned reads one as the other
        if native != cells.dtype and not (
            native.kind + cells.dtype.kind in ("iu", "ui") and _same_width(native, cells)
        ):
            raise invalid(name, f"it decodes to {one.decoded}; the chunk at this place of the chain is {cells.dtype}")
        encoded = Cells(one.encoded.newbyteorder("="), cells.shape)

        def decode(array: Array) -> Array:
            flat = np.ascontiguousarray(array).reshape(-1).astype(one.encoded, copy=False)
            return _quiet(one.decode, flat).astype(native, copy=False).view(cells.dtype).reshape(array.shape)

        def encode(array: Array) -> Array:
            flat = np.ascontiguousarray(array).reshape(-1).view(native).astype(one.decoded, copy=False)
            return _quiet(one.encode, flat).astype(encoded.dtype, copy=False).reshape(array.shape)

        return ArrayStage(decode, encode, encoded, one.cellwise)

    return build


def behind(name: str) -> Callable[[Configuration, Size, Cells], BytesStage]:
    """Builder of the filter as a bytes-to-bytes codec, on the memory of the array."""
    make = _FILTERS[name]

    def build(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
        one = make(configuration, None)
        if not size.exact or size.limit % one.decoded.itemsize:
            raise invalid(name, f"it decodes to cells of {one.decoded.itemsize} bytes; what it decodes to has no such")
        count = size.limit // one.decoded.itemsize
        encoded = Size(count * one.encoded.itemsize, exact=True)

        def decode(data: Bytes) -> Bytes:
            if len(data) != encoded.limit:
                raise wrong_length(name, len(data), encoded.limit)
            array = _quiet(one.decode, np.frombuffer(data, one.encoded)).astype(one.decoded, copy=False)
            return array.view(np.uint8).data if count else b""

        def encode(data: Bytes) -> Bytes:
            array = _quiet(one.encode, np.frombuffer(data, one.decoded)).astype(one.encoded, copy=False)
            return array.tobytes()

        return BytesStage(decode, encode, encoded)

    return build


def _same_width(dtype: np.dtype[Any], cells: Cells) -> bool:
    return dtype.itemsize == cells.dtype.itemsize


def _quiet(function: Callable[[Array], Array], array: Array) -> Array:
    with np.errstate(all="ignore"):
        return function(array)


def _delta(configuration: Configuration, dtype: np.dtype[Any] | None) -> _Filter:
    decoded = stored_type("delta", configuration, "dtype", dtype)
    encoded = stored_type("delta", configuration, "astype", decoded)
    codec = numcodecs.Delta(dtype=decoded, astype=encoded)

    def decode(array: Array) -> Array:
        # numcodecs sums in the type of `out`, and for bool as logical or
        return np.cumsum(array, out=np.empty(array.shape, decoded))

    return _Filter(decoded, encoded, decode, lambda array: codec.encode(array) if array.size else array, cellwise=False)


def _fixedscaleoffset(configuration: Configuration, dtype: np.dtype[Any] | None) -> _Filter:
    decoded = stored_type("fixedscaleoffset", configuration, "dtype", dtype)
    encoded = stored_type("fixedscaleoffset", configuration, "astype", decoded)
    scale, offset = configuration.get("scale"), configuration.get("offset")
    for value in (scale, offset):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid("fixedscaleoffset", f"scale is {scale!r} and offset {offset!r}; both have to be numbers")
    codec = numcodecs.FixedScaleOffset(offset=offset, scale=scale, dtype=decoded, astype=encoded)

    def decode(array: Array) -> Array:
        return ((array / scale) + offset).astype(decoded, copy=False)

    try:
        _quiet(decode, np.zeros(1, encoded))
    except (OverflowError, TypeError) as error:
        raise invalid("fixedscaleoffset", f"scale {scale!r} and offset {offset!r} do not fit {encoded}") from error
    return _Filter(decoded, encoded, decode, codec.encode)


def _quantize(configuration: Configuration, dtype: np.dtype[Any] | None) -> _Filter:
    decoded = stored_type("quantize", configuration, "dtype", dtype)
    encoded = stored_type("quantize", configuration, "astype", decoded)
    if decoded.kind != "f" or encoded.kind != "f":
        raise invalid("quantize", f"it maps {decoded} to {encoded}; both have to be floating point")
    codec = numcodecs.Quantize(digits=integer("quantize", configuration, "digits", 0), dtype=decoded, astype=encoded)
    return _Filter(decoded, encoded, lambda array: array.astype(decoded, copy=False), codec.encode)


def _astype(configuration: Configuration, dtype: np.dtype[Any] | None) -> _Filter:
    decoded = stored_type("astype", configuration, "decode_dtype", dtype)
    encoded = stored_type("astype", configuration, "encode_dtype", None)
    return _Filter(decoded, encoded, lambda array: array.astype(decoded), lambda array: array.astype(encoded))


_FILTERS: dict[str, _Make] = {
    "delta": _delta,
    "fixedscaleoffset": _fixedscaleoffset,
    "quantize": _quantize,
    "astype": _astype,
}


def bitround_in_front(configuration: Configuration, cells: Cells) -> ArrayStage:
    """Bit rounding lost its digits when it was encoded; decoding changes nothing."""
    codec = _bitround(configuration)
    if cells.dtype.kind != "f":
        raise invalid("bitround", f"the chunk is {cells.dtype}; only floating point can be rounded")
    return ArrayStage(
        lambda array: array,
        lambda array: codec.encode(np.ascontiguousarray(array)).view(cells.dtype),
        cells,
        cellwise=True,
    )


def bitround_behind(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """Bit rounding on the memory of the array."""
    codec = _bitround(configuration)

    def encode(data: Bytes) -> Bytes:
        return codec.encode(np.frombuffer(data, cells.dtype)).tobytes()

    return BytesStage(lambda data: data, encode if cells.dtype.kind == "f" else None, size)


def _bitround(configuration: Configuration) -> Any:
    keep = integer("bitround", configuration, "keepbits")
    if keep < 0:
        raise invalid("bitround", f"keepbits is {keep}; it cannot be negative")
    return numcodecs.BitRound(keepbits=keep)


def packbits_in_front(configuration: Configuration, cells: Cells) -> ArrayStage:
    """Eight booleans to a byte, behind a byte that counts the padding bits."""
    if cells.dtype.kind != "b":
        raise invalid("packbits", f"the chunk is {cells.dtype}; only booleans can be packed")
    count = cells.size
    encoded = Cells(np.dtype(np.uint8), (1 + -(-count // 8),))
    return ArrayStage(
        lambda array: _unpack_bits(array, count).reshape(cells.shape),
        lambda array: numcodecs.PackBits().encode(np.ascontiguousarray(array)),
        encoded,
    )


def packbits_behind(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """Packed booleans on the memory of the array."""
    if not size.exact:
        raise invalid("packbits", "what it decodes to has no fixed length")
    count = size.limit
    encoded = Size(1 + -(-count // 8), exact=True)

    def decode(data: Bytes) -> Bytes:
        if len(data) != encoded.limit:
            raise wrong_length("packbits", len(data), encoded.limit)
        return _unpack_bits(np.frombuffer(data, np.uint8), count).view(np.uint8).data

    return BytesStage(
        decode, lambda data: numcodecs.PackBits().encode(np.frombuffer(data, np.bool_)).tobytes(), encoded
    )


def _unpack_bits(array: Array, count: int) -> Array:
    padding = -count % 8
    if int(array[0]) != padding:
        raise malformed("packbits", f"the first byte counts {int(array[0])} padding bits; {count} cells need {padding}")
    return np.unpackbits(array[1:], count=count).view(np.bool_)


def _unshuffle(planes: Array, cells: Array) -> None:
    if len(planes) > _MANY_PLANES:
        cells[...] = planes.T
        return
    if len(planes) == 2:  # packed data mostly: by words in a third of the time
        words = cells.view("<u2")[:, 0]
        np.left_shift(planes[1], 8, out=words, dtype=words.dtype, casting="unsafe")
        np.bitwise_or(words, planes[0], out=words)
        return
    for position, plane in enumerate(planes):  # three times as fast as the transposed copy, for few planes
        cells[:, position] = plane


def shuffle(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """Bytes of equal significance together, as HDF5 and numcodecs shuffle them."""
    width = integer("shuffle", configuration, "elementsize", max(cells.dtype.itemsize, 1))
    if width < 0:
        raise invalid("shuffle", f"elementsize is {width}; it cannot be negative")
    if width <= 1:
        return BytesStage(lambda data: data, lambda data: data, size)

    def measure(data: Bytes) -> None:
        size.check(len(data), "shuffle")
        if len(data) % width:
            raise malformed("shuffle", f"{len(data)} bytes are not whole elements of {width}")

    def decode(data: Bytes) -> Bytes:
        measure(data)
        out = np.empty(len(data), np.uint8)
        _unshuffle(np.frombuffer(data, np.uint8).reshape(width, -1), out.reshape(-1, width))
        return out.data

    def into(data: Bytes, out: Array) -> None:
        measure(data)
        _unshuffle(np.frombuffer(data, np.uint8).reshape(width, -1), out.reshape(-1, width))

    def encode(data: Bytes) -> Bytes:
        return np.frombuffer(data, np.uint8).reshape(-1, width).T.tobytes()

    return BytesStage(decode, encode, size, into if size.exact else None)
