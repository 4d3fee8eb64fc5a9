"""Value-wise decoding, and the unpacking of the CF conventions.

Owns `cf_unpack`, which derives the configuration of `lazyzarr.unpack` from the attributes of a variable, and the
arithmetic that makes the result bit for bit that of xarray's ``mask_and_scale``: convert to the result type, blank
the cells equal to a fill value, multiply, add, each step rounded to the result type. Every step looks at one cell
at a time, so no result depends on how an array is cut. Refuses attributes that are not numbers or contradict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lazyzarr.codecs.casting import cast_value, converted
from lazyzarr.codecs.operands import number, only
from lazyzarr.codecs.scaling import scale_offset
from lazyzarr.codecs.stages import Array, ArrayStage, Cells, Configuration, invalid
from lazyzarr.errors import CastError, ChunkDecodeError, ViewSchemaError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType, from_json, from_numpy, msgspec_form, to_numpy
from lazyzarr.ir.layout import Json, NamedConfig

PACKING = ("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned")
"""The attributes that `cf_unpack` reads and takes away."""
_UNPACK = ("stored_type", "data_type", "arithmetic", "scale_factor", "add_offset", "fill_values")


def decode_values(array: Array, codecs: Sequence[NamedConfig], data_type: DataType) -> Array:
    """Decode stored cells with value-wise codecs in encoding order; a new array of type `data_type`.

    Raises
    ------
    ViewSchemaError
        ``codec-invalid``: a codec is not value-wise, or its configuration does not fit.
    ChunkDecodeError
        A cell has no value in the decoded type.

    Examples
    --------
    >>> halves = {"scale_factor": 0.5, "add_offset": None, "fill_values": [-1]}
    >>> types = {"stored_type": "int16", "data_type": "float32", "arithmetic": "float32"}
    >>> decode_values(np.array([3, -1], np.int16), [NamedConfig("lazyzarr.unpack", halves | types)], "float32")
    array([1.5, nan], dtype=float32)
    """
    stages = value_stages(codecs, data_type, array.shape)
    taken = stages[-1].encoded.dtype if stages else to_numpy(data_type)
    if array.dtype != taken:
        raise ViewSchemaError(f"decode of {taken}; the cells are {array.dtype}", reason="graph-type")
    out = np.array(array)
    for stage in reversed(stages):
        out = stage.decode(out)
    return out


def decoded_value(value: Json, stored: DataType, codecs: Sequence[NamedConfig], data_type: DataType) -> Json:
    """What one cell decodes to, both in the JSON form of Zarr v3. Raises as `decode_values`.

    Examples
    --------
    >>> decoded_value(-1, "int8", [NamedConfig("cast_value", {"data_type": "int8"})], "float32")
    -1.0
    """
    return fill.to_json(decode_values(fill.full((1,), value, stored), codecs, data_type)[0], data_type)


def value_stages(codecs: Sequence[NamedConfig], data_type: DataType, shape: tuple[int, ...] = ()) -> list[ArrayStage]:
    """The stages of value-wise codecs, in encoding order; the last takes the stored cells.

    Raises
    ------
    ViewSchemaError
        ``codec-invalid``: a codec is not value-wise, or its configuration does not fit.

    Examples
    --------
    >>> value_stages([NamedConfig("cast_value", {"data_type": "int8"})], "int16")[-1].encoded.dtype
    dtype('int8')
    """
    cells = Cells(to_numpy(data_type), shape)
    stages: list[ArrayStage] = []
    for codec in codecs:
        build = _VALUE_WISE.get(codec.name)
        if build is None:
            raise invalid(codec.name, "it is not value-wise; a decode has no other codecs")
        stages.append(build(codec.configuration, cells))
        cells = stages[-1].encoded
    return stages


def unpack(configuration: Configuration, cells: Cells) -> ArrayStage:
    """The `lazyzarr.unpack` codec; decoding only."""
    name = "lazyzarr.unpack"
    only(name, configuration, *_UNPACK)
    result = _type(configuration, "data_type")
    stored = _type(configuration, "stored_type")
    wide = _type(configuration, "arithmetic")
    if result != cells.dtype:
        raise invalid(name, f"data_type is {result}; the chunk at this place of the chain is {cells.dtype}")
    if not np.can_cast(wide, result, "same_kind") or np.result_type(result, wide) != wide:
        raise invalid(name, f"arithmetic in {wide} does not give {result}; it has to be as wide")
    fills = _fills(configuration, stored, result)
    if fills and result.kind != "f":
        raise invalid(name, f"fill_values with data_type {result}; only floating point has NaN")
    factor, offset = (_operand(configuration, "scale_factor", wide), _operand(configuration, "add_offset", wide))

    def decode(array: Array) -> Array:
        with np.errstate(all="ignore"):
            return unpack_cells(array, result, fills, factor, offset)

    def into(array: Array, out: Array) -> None:
        with np.errstate(all="ignore"):
            unpack_cells(array, result, fills, factor, offset, out)

    return ArrayStage(decode, None, Cells(stored, cells.shape), cellwise=True, into=into)


def unpack_cells(
    array: Array,
    result: np.dtype[Any],
    fills: tuple[np.generic, ...],
    factor: np.generic | None,
    offset: np.generic | None,
    out: Array | None = None,
) -> Array:
    """Convert, blank, multiply, add; in ``out``, if one is given.

    `fills` are of the result type; `factor` and `offset` are of the type in which they are applied.

    Examples
    --------
    >>> packed = np.array([-1, 0, 10], np.int16)
    >>> unpack_cells(packed, np.dtype("f4"), (np.float32(-1),), np.float32(0.5), np.float32(1))
    array([nan,  1.,  6.], dtype=float32)
    """
    if array.dtype.kind == "f" and result.kind != "f":
        _check_whole(array, result)
    out = converted(array, result, out)
    if fills:
        blank = out == fills[0]
        for value in fills[1:]:
            blank |= out == value
        if blank.any():
            np.copyto(out, np.nan, where=blank)
    if factor is not None:
        np.multiply(out, factor, out=out, casting="same_kind")
    if offset is not None:
        np.add(out, offset, out=out, casting="same_kind")
    return out


def _check_whole(array: Array, dtype: np.dtype[Any]) -> None:
    """Refuse floating point that has no place among the integers: a processor makes any number of it."""
    if not array.size:
        return
    ends = float(array.min()), float(array.max())  # NaN, if one cell is NaN
    bounds = np.iinfo(dtype)
    if not (np.isfinite(ends).all() and bounds.min <= int(ends[0]) and int(ends[1]) <= bounds.max):
        raise ChunkDecodeError(
            f"lazyzarr.unpack: cells from {ends[0]!r} to {ends[1]!r} as {dtype}; NaN, infinity and what is out of range "
            "are no integers; unpack to a float dtype"
        )


def _type(configuration: Configuration, member: str) -> np.dtype[Any]:
    try:
        dtype = to_numpy(from_json(configuration.get(member)))
    except ViewSchemaError as error:
        raise invalid("lazyzarr.unpack", f"{member} is {configuration.get(member)!r}; it is a number type") from error
    if dtype.kind not in "iuf":
        raise invalid("lazyzarr.unpack", f"{member} is {configuration.get(member)!r}; it is a number type")
    return dtype


def _fills(configuration: Configuration, stored: np.dtype[Any], result: np.dtype[Any]) -> tuple[np.generic, ...]:
    """Fill values in the result type; NaN is left out, since it stays NaN by itself."""
    values = configuration.get("fill_values", [])
    if not isinstance(values, list | tuple):
        raise invalid("lazyzarr.unpack", f"fill_values is {values!r}; it is a list")
    with np.errstate(all="ignore"):
        scalars = [result.type(number("lazyzarr.unpack", "a fill value", value, stored)) for value in values]
    return tuple(scalar for scalar in scalars if not np.isnan(scalar))


def _operand(configuration: Configuration, member: str, dtype: np.dtype[Any]) -> np.generic | None:
    value = configuration.get(member)
    return None if value is None else number("lazyzarr.unpack", member, value, dtype)


def cf_unpack(attributes: Mapping[str, Any], data_type: DataType) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Configuration of `lazyzarr.unpack` for a variable, and the attributes that remain.

    The types of the attributes matter, as they do for xarray: pass NumPy scalars where the file has them.
    None where there is nothing to unpack.

    Raises
    ------
    CastError
        ``packing-ambiguous``: a packing attribute is not a number, or they contradict each other.

    Examples
    --------
    >>> conf, rest = cf_unpack({"scale_factor": np.float32(0.5), "units": "K"}, "int16")
    >>> conf["data_type"], conf["arithmetic"], conf["scale_factor"], rest
    ('float32', 'float32', 0.5, {'units': 'K'})
    """
    stored = to_numpy(data_type)
    if stored.kind not in "iuf" or not any(name in attributes for name in PACKING):
        return None, dict(attributes)
    remaining = {name: value for name, value in attributes.items() if name not in PACKING}
    stored, fills, kept = _masking(attributes, stored)
    factor, offset = (_number(attributes, "scale_factor"), _number(attributes, "add_offset"))
    scaled = factor is not None or offset is not None
    if scaled and (fills or not kept):
        result = _scaled_type(stored, factor, offset)
    elif fills:
        result = stored if stored.kind == "f" else np.dtype("f4" if stored.itemsize <= 2 else "f8")
    else:
        result = stored
    if not scaled and not fills and result == to_numpy(data_type):
        return None, remaining
    if fills and result.kind != "f":
        raise _ambiguous(f"fill values with scale_factor of type {result}; integers have no NaN")
    wide, operands = _arithmetic(result, factor, offset)
    matching = [_as_stored(value, result, stored) for value in fills]
    return {
        "scale_factor": operands[0],
        "add_offset": operands[1],
        "fill_values": sorted({value for value in matching if value is not None}, key=str),
        "stored_type": msgspec_form(from_numpy(stored)),
        "data_type": msgspec_form(from_numpy(result)),
        "arithmetic": msgspec_form(from_numpy(wide)),
    }, remaining


def _masking(attributes: Mapping[str, Any], stored: np.dtype[Any]) -> tuple[np.dtype[Any], list[Any], bool]:
    """Stored type after ``_Unsigned``, fill values other than NaN, and whether a fill attribute was kept."""
    fills: list[Any] = []
    kept = False
    main: list[Any] = []
    for name in ("missing_value", "_FillValue"):
        if name not in attributes:
            continue
        values = np.ravel(np.asarray(attributes[name]))
        if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
            raise _ambiguous(f"{name} is {attributes[name]!r}; a fill value has to be a number")
        found = [value for value in values if not np.isnan(value)]
        kept = kept or bool(found) or stored.kind == "f"
        if name == "_FillValue":
            main = found
        else:
            fills += found
    unsigned = attributes.get("_Unsigned")
    sign = {("i", "true"): "u", ("u", "false"): "i"}.get((stored.kind, str(unsigned)))
    if unsigned is not None and sign is not None:
        other = np.dtype(f"{sign}{stored.itemsize}")
        # only the fill value is turned; a missing value of the other sign matches nothing, as in xarray, which
        # also forgets the type of a fill value that it made unsigned
        turned = [_as_bits(value, stored).view(other) for value in main]
        main = [value.item() for value in turned] if sign == "u" else turned
        stored = other
    return stored, fills + main, kept


def _as_bits(value: Any, dtype: np.dtype[Any]) -> Any:
    try:
        with np.errstate(all="ignore"):
            number = value.item()
            if isinstance(number, float):
                number = int(number)
            span = 1 << 8 * dtype.itemsize
            if not -(span // 2) <= number < span:
                raise OverflowError
            return np.asarray(number % span, f"u{dtype.itemsize}").view(dtype)[()]
    except (OverflowError, ValueError) as error:
        raise _ambiguous(f"_FillValue {value!r} with _Unsigned; it does not fit {dtype}") from error


def _number(attributes: Mapping[str, Any], name: str) -> Any:
    """Scalar of ``scale_factor`` or ``add_offset``: a NumPy scalar, or a Python number, which has no type."""
    if name not in attributes:
        return None
    value = attributes[name]
    if isinstance(value, int | float) and not isinstance(value, np.generic | bool):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8 or array.size != 1:
        raise _ambiguous(f"{name} is {value!r}; it has to be one number")
    return array.reshape(-1)[0]


def _scaled_type(stored: np.dtype[Any], factor: Any, offset: Any) -> np.dtype[Any]:
    """The type xarray chooses for scaled values (its ``_choose_float_dtype``)."""
    if offset is None:
        return np.dtype(type(factor))
    if factor is not None and np.dtype(type(factor)) == np.dtype(type(offset)):
        common = np.dtype(type(factor))
        if common.kind == "f" and common.itemsize >= 4:
            return np.dtype("f8") if stored.kind in "iu" and stored.itemsize == 4 else common
    return np.dtype("f8")


def _arithmetic(result: np.dtype[Any], factor: Any, offset: Any) -> tuple[np.dtype[Any], list[Any]]:
    """The type that multiplication and addition are done in, and the operands as JSON.

    One type serves both: rounding a result of the wider type to the narrower one equals computing in the narrower,
    except below single precision.
    """
    wide = result
    operands: list[Any] = []
    for value in (factor, offset):
        if value is None:
            continue
        if isinstance(value, np.generic):
            wide = np.result_type(wide, np.result_type(result, value.dtype))
    typed = {np.result_type(result, value.dtype) for value in (factor, offset) if isinstance(value, np.generic)}
    if not np.can_cast(wide, result, "same_kind") or (result.itemsize < 4 and typed - {wide}):
        raise _ambiguous(f"scale_factor {factor!r} and add_offset {offset!r}; {wide} cannot be kept as {result}")
    for value in (factor, offset):
        if value is None:
            operands.append(None)
            continue
        try:
            with np.errstate(all="ignore"):
                # a Python number has no type of its own: NumPy takes it in the type of the array
                narrow = value if isinstance(value, np.generic) else result.type(value)
                operands.append(fill.to_json(narrow, from_numpy(wide)))
        except OverflowError as error:
            raise _ambiguous(f"{value!r} does not fit {result}") from error
    return wide, operands


def _as_stored(value: Any, result: np.dtype[Any], stored: np.dtype[Any]) -> Any:
    """JSON, in the stored type, of a fill value as it meets converted cells; None where it never can.

    xarray compares after conversion, in the wider of the two types.
    """
    with np.errstate(all="ignore"):
        if isinstance(value, np.generic):
            common = np.result_type(result, value.dtype)
            met = value.astype(common)
        else:
            met = result.type(value)
        narrow = met.astype(result)
        if narrow != met:
            return None
        if stored.kind == "f":
            kept = narrow.astype(stored)
            return fill.to_json(kept, from_numpy(stored)) if kept.astype(result) == narrow else None
        bounds = np.iinfo(stored)
        for end in (int(bounds.min), int(bounds.max)):
            if stored.type(end).astype(result) == narrow:
                return end  # the ends may round to a value beyond them, or to infinity
        if not np.isfinite(narrow) or narrow != np.trunc(narrow):
            return None
        return int(narrow) if bounds.min <= narrow <= bounds.max else None


def _ambiguous(what: str) -> CastError:
    return CastError(f"unpack: {what}; correct the attributes, or unpack with values given", reason="packing-ambiguous")


_VALUE_WISE: Mapping[str, Callable[[Configuration, Cells], ArrayStage]] = {
    "cast_value": cast_value,
    "scale_offset": scale_offset,
    "lazyzarr.unpack": unpack,
}
