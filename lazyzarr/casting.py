"""Codecs for value-wise decoding, made from what a user says: casts, unpacking, fill values.

Owns which casts keep every value and the codec configurations of `View.astype`, `View.unpack` and promotion.
Refuses casts that may lose values and do not say how, and computes nothing on stored values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from lazyzarr.codecs.values import decoded_value
from lazyzarr.errors import CastError, ChunkDecodeError, ViewSchemaError
from lazyzarr.ir import data_type as types
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType
from lazyzarr.ir.layout import Json, NamedConfig
from lazyzarr.ir.schema import Schema

Rounding = Literal["nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away"]
OutOfRange = Literal["clamp", "wrap"]
_MANTISSA = {2: 11, 4: 24, 8: 53}
"""Bits of a whole number that a float of so many bytes holds exactly."""


def keeps_values(stored: DataType, target: DataType) -> bool:
    """Whether every value of one type is a value of the other.

    Stricter than NumPy's "safe" casting, which lets int64 become float64.

    Examples
    --------
    >>> keeps_values("int16", "float32"), keeps_values("int64", "float64"), keeps_values("float32", "float64")
    (True, False, True)
    """
    old, new = types.to_numpy(stored), types.to_numpy(target)
    if old == new:
        return True
    if old.kind not in "biufc" or new.kind not in "biufc" or not np.can_cast(old, new, "safe"):
        return False
    if old.kind in "iu" and new.kind in "fc":
        bits = 8 * old.itemsize - (old.kind == "i")
        return bits <= _MANTISSA[new.itemsize // (2 if new.kind == "c" else 1)]
    return True


def promotes(stored: DataType, target: DataType) -> bool:
    """Whether `cast_codec` turns one type into the other without losing a value.

    Examples
    --------
    >>> promotes("int16", "float32"), promotes("bool", "int8"), promotes("bool", "bool")
    (True, False, True)
    """
    return types.to_numpy(stored) == types.to_numpy(target) or (
        all(types.to_numpy(data_type).kind in "iuf" for data_type in (stored, target)) and keeps_values(stored, target)
    )


def cast_codec(
    stored: DataType, target: DataType, rounding: Rounding | None, out_of_range: OutOfRange | None
) -> NamedConfig:
    """The ``cast_value`` codec that decodes ``stored`` to ``target``.

    Raises
    ------
    CastError
        When values may be lost and no rounding is named, or the types are no numbers.
    """
    old, new = types.to_numpy(stored), types.to_numpy(target)
    for dtype in (old, new):
        if dtype.kind not in "iuf":
            raise CastError(
                f"cast from {old} to {new}; only integers and floats are cast; read the view and convert the array"
            )
    if rounding is None and not keeps_values(stored, target):
        inexact = not (old.kind in "iu" and new.kind in "iu")
        if inexact or out_of_range is None:
            raise CastError(
                f"cast from {old} to {new}; not every value of {old} is one of {new}; "
                'say how: rounding="nearest-even" and, if values may be outside, out_of_range="clamp" or "wrap"'
            )
    configuration: dict[str, Json] = {
        "data_type": types.msgspec_form(stored),
        "rounding": rounding or "nearest-even",
    }
    if out_of_range is not None:
        configuration["out_of_range"] = out_of_range
    return NamedConfig("cast_value", configuration)


def unpack_codec(
    stored: DataType,
    target: DataType,
    scale_factor: float | None,
    add_offset: float | None,
    fill_values: Sequence[Any],
) -> NamedConfig:
    """The ``lazyzarr.unpack`` codec of given numbers.

    Raises
    ------
    CastError
        When the target is no float type.
    """
    if types.to_numpy(target).kind != "f":
        raise CastError(f"unpack to {target}; unpacked values are floats; give a float dtype")
    return NamedConfig(
        "lazyzarr.unpack",
        {
            "scale_factor": None if scale_factor is None else fill.to_json(scale_factor, target),
            "add_offset": None if add_offset is None else fill.to_json(add_offset, target),
            "fill_values": [exact_fill(value, stored) for value in fill_values],
            "stored_type": types.msgspec_form(stored),
            "data_type": types.msgspec_form(target),
            "arithmetic": types.msgspec_form(target),
        },
    )


def decoded_fill(schema: Schema, codecs: Sequence[NamedConfig], target: DataType) -> Json:
    """What the fill value of a schema decodes to, in JSON form."""
    try:
        return decoded_value(schema.fill_value, schema.data_type, codecs, target)
    except ChunkDecodeError as error:
        raise CastError(
            f"cast of the fill value {schema.fill_value!r} from {schema.data_type} to {target}; {error}; "
            "missing chunks would have no value; give another one with .recode(fill_value=...) first, or name out_of_range="
        ) from error


def exact_fill(value: Any, data_type: DataType) -> Json:
    """A value in the JSON form of a type it fits exactly.

    Raises
    ------
    CastError
        When the type does not have the value.

    Examples
    --------
    >>> exact_fill(-1, "int16")
    -1
    """
    dtype = types.to_numpy(data_type)
    if dtype.kind in "biufc":
        given = np.asarray(value)
        if given.dtype.kind not in "biufc" or given.ndim:
            raise CastError(f"fill value {value!r} is not one number; data type {data_type} needs one")
        with np.errstate(all="ignore"):
            cast = given.astype(dtype)
            exact = bool(cast == given) or (bool(given != given) and dtype.kind in "fc")
        near = dtype.kind in "fc" and given.dtype.kind in "fc" and bool(np.isfinite(cast) == np.isfinite(given))
        if not exact and not near:
            raise CastError(f"fill value {value!r} is not a value of {data_type}; give one that is")
        return fill.to_json(cast[()], data_type)
    return fill.to_json(value, data_type)


def data_type_of(given: Any) -> DataType:
    """A Zarr v3 data type from its JSON form or from anything NumPy takes for a type."""
    if isinstance(given, Mapping):
        return types.from_json(dict(given))
    try:
        return types.from_numpy(np.dtype(given))
    except TypeError:
        raise ViewSchemaError(
            f"data type {given!r} is not known; give a NumPy or Zarr v3 type", reason="type-unknown"
        ) from None


def codec_of(given: Mapping[str, Any] | str) -> NamedConfig:
    """A codec from its Zarr v3 JSON form: a name, or a name with a configuration.

    Raises
    ------
    ViewSchemaError
        ``codec-invalid`` for anything else.
    """
    if isinstance(given, str):
        return NamedConfig(given)
    extra = given.keys() - {"name", "configuration"}
    if extra or not isinstance(given.get("name"), str) or not isinstance(given.get("configuration", {}), Mapping):
        raise ViewSchemaError(
            f'codec {dict(given)!r} is not {{"name": ..., "configuration": {{...}}}}; write it as Zarr v3 metadata does',
            reason="codec-invalid",
        )
    return NamedConfig(given["name"], dict(given.get("configuration", {})))
