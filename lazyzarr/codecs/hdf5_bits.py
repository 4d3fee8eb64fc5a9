"""HDF5 filters that pack cells into a stream of bits: n-bit and scale-offset.

Owns the two bit streams and the extension of integers of partial precision. Work goes in batches, since a bit takes
a byte while it is sorted out. Refuses streams shorter than their cells need.
"""

from __future__ import annotations

from collections.abc import Buffer, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lazyzarr.errors import ChunkDecodeError, ChunkTooLarge

Configuration = Mapping[str, Any]

_ATOMIC, _ARRAY, _COMPOUND, _OPAQUE = 1, 2, 3, 4
_MAX_PARTS = 1 << 16
_MAX_DEPTH = 32
_MAX_NUMBER = 16
"""Bytes of the largest number that the filter packs."""
_BATCH = 1 << 18
"""Bits sorted out at a time."""
_HEADER = 21
"""Bytes of a scale-offset chunk before its cells: width, size of the minimum, minimum."""


class _Part(NamedTuple):
    """One number inside a cell of an n-bit chunk."""

    place: int
    size: int
    big: bool
    bits: int
    shift: int


def nbit(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """N-bit: only the significant bits of each number, most significant first, without gaps."""
    parameters = [int(one) for one in configuration["parameters"]]
    try:
        cells = parameters[2]
        parts: list[_Part] = []
        size, _ = _parts(parameters, 3, 0, parts)
    except IndexError:
        raise _malformed("nbit", "its parameters are cut") from None
    if cells < 0 or any(part.place < 0 or part.place + part.size > size for part in parts):
        raise _malformed("nbit", "its parameters describe no type")
    if cells * size > out_nbytes:
        raise ChunkTooLarge(f"nbit: the chunk would decode to more than its {out_nbytes} bytes; check the source")
    width = sum(part.bits for part in parts)
    out = np.zeros((cells, size), np.uint8)
    for first, bits in _batches("nbit", memoryview(data), cells, width):
        rows = out[first : first + len(bits)]
        column = 0
        for part in parts:
            spread = np.zeros((len(bits), 8 * part.size), np.uint8)
            end = 8 * part.size - part.shift
            spread[:, end - part.bits : end] = bits[:, column : column + part.bits]
            packed = np.packbits(spread, axis=1)
            rows[:, part.place : part.place + part.size] = packed if part.big else packed[:, ::-1]
            column += part.bits
    return out.data


def _parts(parameters: Sequence[int], at: int, place: int, parts: list[_Part], depth: int = 0) -> tuple[int, int]:
    """Add the numbers of one (nested) type; returns its size [bytes] and where its parameters end."""
    kind, size = parameters[at], parameters[at + 1]
    if len(parts) > _MAX_PARTS or size < 1 or depth > _MAX_DEPTH:
        raise _malformed("nbit", "its parameters describe no type")
    if kind == _ATOMIC:
        order, bits, shift = (parameters[at + 2 + one] for one in range(3))
        if size > _MAX_NUMBER or shift < 0 or not 0 < bits <= 8 * size - shift:
            raise _malformed("nbit", f"its parameters give {bits} bits to {size} bytes")
        parts.append(_Part(place, size, order == 1, bits, shift))
        return size, at + 5
    if kind == _OPAQUE:
        if size > _MAX_PARTS:
            raise _malformed("nbit", "its parameters describe no type")
        parts.extend(_Part(place + one, 1, True, 8, 0) for one in range(size))
        return size, at + 2
    if kind == _ARRAY:
        inner, end = _parts(parameters, at + 2, place, parts, depth + 1)
        for one in range(1, size // inner):
            _parts(parameters, at + 2, place + one * inner, parts, depth + 1)
        return size, end
    if kind == _COMPOUND:
        end = at + 3
        for _ in range(parameters[at + 2]):
            _, end = _parts(parameters, end + 1, place + parameters[end], parts, depth + 1)
        return size, end
    raise _malformed("nbit", f"its parameters name the type class {kind}")


def scaleoffset(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """Scale-offset: differences from the minimum in as few bits as they need; all ones is the fill value."""
    p = [int(one) for one in configuration["parameters"]]
    scale_type, scale, cells, floats, size, signed, big, filled = p[:8]
    if size not in (1, 2, 4, 8) or cells * size > out_nbytes:
        raise ChunkTooLarge(
            f"scaleoffset: {cells} cells of {size} bytes do not fit {out_nbytes} bytes; check the source"
        )
    view = memoryview(data).cast("B")
    if view.nbytes < _HEADER or view[4] > 16:
        raise _malformed("scaleoffset", "the chunk is shorter than its header")
    width = int.from_bytes(view[:4], "little")
    if width > 8 * size:
        raise _malformed("scaleoffset", f"it declares {width} bits for a cell of {8 * size}")
    least = bytes(view[5 : 5 + min(view[4], 8)]).ljust(8, b"\0")
    order = ">" if big else "<"
    if width == 8 * size:
        raw = np.frombuffer(view[_HEADER : _HEADER + cells * size], f"<u{size}")
        if len(raw) != cells:
            raise _malformed("scaleoffset", "the chunk ends early")
        return raw.astype(f"{order}u{size}").view(np.uint8).data
    number = np.dtype(f"<{'f' if floats else 'i' if signed else 'u'}{size}")
    marks = _integers(view[_HEADER:], cells, width, size)
    fill = np.frombuffer(b"".join((w & 0xFFFFFFFF).to_bytes(4, "little") for w in p[8:20])[:size], number)[0]
    minimum = np.frombuffer(least[:size], number)[0]
    if floats:
        if scale_type != 0:
            raise _malformed("scaleoffset", "it uses E-scaling, which HDF5 never defined")
        power = number.type(10.0) ** number.type(scale)
        out = marks.view(f"<i{size}").astype(number) / power + minimum
    else:
        with np.errstate(over="ignore"):
            out = (marks + minimum.view(f"u{size}")).view(number)
    if filled:
        out = np.where(marks == (1 << width) - 1, fill, out)
    return out.astype(number.newbyteorder(order)).view(np.uint8).data


def _integers(view: memoryview, cells: int, width: int, size: int) -> np.ndarray:
    out = np.zeros(cells, f"u{size}")
    if width:
        for first, bits in _batches("scaleoffset", view, cells, width):
            spread = np.zeros((len(bits), 8 * size), np.uint8)
            spread[:, 8 * size - width :] = bits
            out[first : first + len(bits)] = np.packbits(spread, axis=1).view(f">u{size}")[:, 0]
    return out


def precision(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """Integers that use only some of their bits, shifted down and extended by their sign."""
    size, bits, shift = configuration["elementsize"], configuration["precision"], configuration["offset"]
    dtype = np.dtype(f"{'>' if configuration['endian'] == 'big' else '<'}u{size}")
    view = memoryview(data).cast("B")
    if view.nbytes != out_nbytes or view.nbytes % size:
        raise _malformed("precision", f"{view.nbytes} bytes are not {out_nbytes // size} cells")
    cells = np.frombuffer(view, dtype).astype(f"u{size}") >> np.uint8(shift)
    cells &= cells.dtype.type((1 << bits) - 1)
    if configuration["signed"]:
        sign = cells.dtype.type(1 << (bits - 1))
        cells = (cells ^ sign) - sign
    return cells.astype(dtype).view(np.uint8).data


def _batches(codec: str, view: memoryview, cells: int, width: int) -> Iterator[tuple[int, np.ndarray]]:
    """The bits of runs of cells, as ``(first cell, bits of shape (cells, width))``; runs start on whole bytes."""
    raw = np.frombuffer(view, np.uint8)
    if raw.size * 8 < cells * width:
        raise _malformed(codec, f"{raw.size} bytes do not hold {cells} cells of {width} bits")
    step = max(8, _BATCH // max(width, 8 * _MAX_NUMBER) // 8 * 8)
    for first in range(0, cells, step):
        count = min(step, cells - first)
        bits = np.unpackbits(raw[first * width // 8 :][: -(-count * width // 8)], count=count * width)
        yield first, bits.reshape(count, width)


def _malformed(codec: str, what: object) -> ChunkDecodeError:
    return ChunkDecodeError(f"{codec}: the bytes are not what the HDF5 filter writes; {what}; check the source")
