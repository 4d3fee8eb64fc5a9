"""The arithmetic of `cast_value`: from one number type to another, with rounding and range as it was asked.

Owns `cast`, exact in every rounding mode: the nearest value comes from the hardware, its error is computed without
rounding, and the neighbour is taken where the mode wants it. Refuses what the codec refuses: NaN and infinity as
integers, and values out of range where no handling was named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lazyzarr.codecs.operands import number, only
from lazyzarr.codecs.stages import Array, ArrayStage, Cells, Configuration, invalid
from lazyzarr.errors import ChunkDecodeError, ViewSchemaError
from lazyzarr.ir.data_type import from_json, from_numpy, to_numpy

ROUNDING = ("nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away")
_WHOLE: dict[str, Callable[[Array], Array]] = {
    "nearest-even": np.rint,
    "towards-zero": np.trunc,
    "towards-positive": np.ceil,
    "towards-negative": np.floor,
}
_OVERFLOW = {2: 2.0**16, 4: 2.0**128, 8: np.inf}
"""Item size of a float -> first power of two beyond its range."""

Entries = Sequence[tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class CastRule:
    """How values that the target cannot hold are treated."""

    rounding: str = "nearest-even"
    out_of_range: str | None = None
    entries: Entries = ()
    """Values mapped one by one, before anything else; of equal keys the first counts."""


def cast_value(configuration: Configuration, cells: Cells) -> ArrayStage:
    """The `cast_value` codec: its ``data_type`` is the encoded one."""
    only("cast_value", configuration, "data_type", "rounding", "out_of_range", "scalar_map")
    source = _number("cast_value", configuration)
    if cells.dtype.kind not in "iuf":
        raise invalid("cast_value", f"the chunk is {cells.dtype}; only integers and floating point can be cast")
    rounding = configuration.get("rounding", "nearest-even")
    out_of_range = configuration.get("out_of_range")
    if rounding not in ROUNDING or out_of_range not in (None, "clamp", "wrap"):
        raise invalid("cast_value", f"rounding is {rounding!r}, out_of_range {out_of_range!r}; see spec/ for the names")
    maps = configuration.get("scalar_map", {})
    if not isinstance(maps, dict):
        raise invalid("cast_value", f"scalar_map is {maps!r}; it is an object with 'encode' and 'decode'")
    only("cast_value", maps, "encode", "decode")
    decoding = CastRule(rounding, out_of_range, _entries(maps.get("decode", []), source, cells.dtype))
    encoding = CastRule(rounding, out_of_range, _entries(maps.get("encode", []), cells.dtype, source))
    return ArrayStage(
        lambda array: cast_cells(np.atleast_1d(array), cells.dtype, decoding).reshape(array.shape),
        lambda array: cast_cells(np.atleast_1d(array), source, encoding).reshape(array.shape),
        Cells(source, cells.shape),
        cellwise=True,
    )


def cast_cells(array: Array, dtype: np.dtype[Any], rule: CastRule) -> Array:
    """Cast an array of native integers or floating point.

    Raises
    ------
    ChunkDecodeError
        A value has no place in the target type and the rule names none.

    Examples
    --------
    >>> cast_cells(np.array([1.5, 2.5, 300]), np.dtype("uint8"), CastRule("nearest-even", "clamp"))
    array([  2,   2, 255], dtype=uint8)
    """
    mapped = [_matches(array, key) for key, _ in rule.entries]
    if mapped:
        taken = np.logical_or.reduce(mapped)
        array = np.where(taken, array.dtype.type(0), array)
    with np.errstate(all="ignore"):
        if dtype.kind == "f":
            out = _to_float(array, dtype, rule)
        elif array.dtype.kind == "f":
            out = _float_to_integer(array, dtype, rule)
        else:
            out = _integer_to_integer(array, dtype, rule)
        for mask, (_, value) in reversed(list(zip(mapped, rule.entries, strict=True))):
            out[mask] = dtype.type(value)
    return out


def _matches(array: Array, key: float) -> Array:
    if array.dtype.kind != "f":
        return array == key
    value = array.dtype.type(key)
    return np.isnan(array) if np.isnan(value) else array == value


def _number(codec: str, configuration: Configuration) -> np.dtype[Any]:
    try:
        dtype = to_numpy(from_json(configuration.get("data_type")))
    except ViewSchemaError as error:
        raise invalid(codec, f"data_type is {configuration.get('data_type')!r}; it has to be a number type") from error
    if dtype.kind not in "iuf":
        raise invalid(codec, f"data_type is {configuration.get('data_type')!r}; it has to be a number type")
    return dtype


def _entries(value: object, source: np.dtype[Any], target: np.dtype[Any]) -> Entries:
    """Entries of a scalar map, each key once: the first of those that are equal, as all NaN are."""
    pairs: list[list[Any]] = []
    for pair in value if isinstance(value, list | tuple) else (None,):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise invalid("cast_value", f"scalar_map has {value!r}; it has lists of pairs")
        pairs.append([*pair])
    read: dict[Any, tuple[Any, Any]] = {}
    for one, other in pairs:
        key = number("cast_value", "a key of scalar_map", one, source, texts=True)
        item = number("cast_value", "a value of scalar_map", other, target, texts=True)
        read.setdefault("NaN" if key != key else key.item(), (key, item))
    return tuple(read.values())


def converted(array: Array, dtype: np.dtype[Any], out: Array | None = None) -> Array:
    """Cells as another type of numbers, to the nearest even, every NaN quiet; in ``out``, if one is given.

    Examples
    --------
    >>> signalling = np.array([0x7C01], np.uint16).view(np.float16)
    >>> hex(converted(signalling, np.dtype("f4")).view(np.uint32)[0])
    '0x7fc02000'
    """
    if out is None:
        out = np.empty(array.shape, dtype)
    np.copyto(out, array, casting="unsafe")
    if (
        dtype.kind == "f"
        and array.dtype.kind == "f"
        and array.dtype != dtype
        and 2 in (array.dtype.itemsize, dtype.itemsize)
    ):
        # NumPy converts half precision in software, and leaves NaN signalling or changes what fits of its payload
        missing = np.isnan(out).reshape(-1)
        if missing.any():
            bits = out.reshape(-1).view(f"u{dtype.itemsize}")
            if dtype.itemsize == 2:
                kept = np.ascontiguousarray(array).reshape(-1)[missing].view(f"u{array.dtype.itemsize}")
                cut = np.finfo(array.dtype).nmant - 10
                bits[missing] = bits[missing] & 0xFC00 | (kept >> kept.dtype.type(cut)).astype(np.uint16) & 0x3FF
            bits[missing] |= bits.dtype.type(1 << np.finfo(dtype).nmant - 1)
    return out


def _to_float(array: Array, dtype: np.dtype[Any], rule: CastRule) -> Array:
    out = converted(array, dtype)
    if _is_exact(array.dtype, dtype):
        return out
    if rule.rounding != "nearest-even":
        out = _adjust(out, _error(array, out), rule.rounding)
    limit = _OVERFLOW[dtype.itemsize]
    beyond = np.isfinite(array) & (np.isinf(out) | (np.abs(array.astype(np.float64)) >= limit))
    if beyond.any():
        if rule.out_of_range != "clamp":
            raise _out_of_range(array[beyond], dtype)
        out[beyond] = np.copysign(np.inf, array[beyond].astype(np.float64)).astype(dtype)
    return out


def _is_exact(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """Whether every value of one type is one of the other; NumPy calls int64 to float64 safe, and it is not."""
    if source.kind == "f":
        return source.itemsize <= target.itemsize
    return 8 * source.itemsize - (source.kind == "i") <= np.finfo(target).nmant + 1


def _error(array: Array, nearest: Array) -> Array:
    """``array - nearest`` without rounding, as float64."""
    near = nearest.astype(np.float64)
    if array.dtype.kind != "f" and array.dtype.itemsize == 8:
        high, low = (array >> 32, array & 0xFFFFFFFF)  # each exact in float64, and so is every step below
        return (high.astype(np.float64) * 2.0**32 - near) + low.astype(np.float64)
    return array.astype(np.float64) - near


def _adjust(out: Array, error: Array, rounding: str) -> Array:
    """The neighbour of the nearest value, where the rounding mode asks for it."""
    infinity = out.dtype.type(np.inf)
    if rounding == "towards-positive":
        return np.where(error > 0, np.nextafter(out, infinity), out)
    if rounding == "towards-negative":
        return np.where(error < 0, np.nextafter(out, -infinity), out)
    if rounding == "towards-zero":
        farther = ((out > 0) & (error < 0)) | ((out < 0) & (error > 0))
        return np.where(farther, np.nextafter(out, out.dtype.type(0)), out)
    away = np.nextafter(out, np.copysign(infinity, error.astype(out.dtype)))
    tie = away.astype(np.float64) - out.astype(np.float64) == 2 * error
    nearer = ((out >= 0) & (error > 0)) | ((out <= 0) & (error < 0))
    return np.where(nearer & tie, away, out)


def _float_to_integer(array: Array, dtype: np.dtype[Any], rule: CastRule) -> Array:
    values = array.astype(np.float64)
    if rule.rounding == "nearest-away":
        whole = np.trunc(values)
        values = np.where(np.abs(values - whole) >= 0.5, whole + np.copysign(1.0, values), whole)
    else:
        values = _WHOLE[rule.rounding](values)
    if not np.isfinite(values).all():
        raise ChunkDecodeError(
            f"cast_value: NaN or infinity as {dtype}; integers have neither; name what they become in scalar_map"
        )
    bits = dtype.itemsize * 8
    low = -(2.0 ** (bits - 1)) if dtype.kind == "i" else 0.0
    high = 2.0 ** (bits - 1) if dtype.kind == "i" else 2.0**bits  # the first value beyond, exact in float64
    below, above = values < low, values >= high
    if not (below.any() or above.any()):
        return values.astype(dtype)
    if rule.out_of_range == "clamp":
        out = np.where(below | above, 0.0, values).astype(dtype)
        out[below], out[above] = np.iinfo(dtype).min, np.iinfo(dtype).max
        return out
    if rule.out_of_range == "wrap":
        rest = np.fmod(values, 2.0**64)
        size = np.abs(rest).astype(np.uint64)
        return np.where(rest < 0, np.uint64(0) - size, size).astype(dtype)
    raise _out_of_range(array[below | above], dtype)


def _integer_to_integer(array: Array, dtype: np.dtype[Any], rule: CastRule) -> Array:
    have, want = np.iinfo(array.dtype), np.iinfo(dtype)
    low, high = max(have.min, want.min), min(have.max, want.max)
    if rule.out_of_range == "wrap" or (low == have.min and high == have.max):
        return np.array(array, dtype)
    if rule.out_of_range == "clamp":
        return np.array(np.clip(array, low, high), dtype)
    beyond = (array < low) | (array > high)
    if beyond.any():
        raise _out_of_range(array[beyond], dtype)
    return np.array(array, dtype)


def _out_of_range(values: Array, dtype: np.dtype[Any]) -> ChunkDecodeError:
    return ChunkDecodeError(
        f"cast_value: {values.reshape(-1)[0]!r} as {from_numpy(dtype)}; it is out of range; "
        "name out_of_range='clamp' or 'wrap', or a scalar_map"
    )
