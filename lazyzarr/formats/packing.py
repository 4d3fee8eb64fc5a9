"""Which attributes of a variable are its packing, and the decode they ask for.

Owns the choice between ``packing="auto"`` and ``"raw"`` for every format that keeps CF packing in attributes, and the
memory of what was worked out before: the files of a series repeat their attributes. Refuses to know where attributes
come from; their types matter, so importers pass NumPy scalars where the file has them.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from lazyzarr.codecs.values import PACKING, cf_unpack
from lazyzarr.errors import CastError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType, from_numpy, to_numpy
from lazyzarr.ir.layout import Json

Packing = Literal["auto", "raw"]
_SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def packing_of(
    attributes: Mapping[str, Any], dtype: np.dtype[Any], packing: Packing
) -> tuple[dict[str, Json] | None, dict[str, Any]]:
    """Configuration of ``lazyzarr.unpack`` for a variable, None where there is nothing to unpack; other attributes.

    Raises
    ------
    CastError
        ``packing-ambiguous``: a packing attribute is not a number, or they contradict each other.

    Examples
    --------
    >>> conf, rest = packing_of({"scale_factor": 0.5, "units": "K"}, np.dtype("int16"), "auto")
    >>> conf["scale_factor"], rest, packing_of({"scale_factor": 0.5}, np.dtype("int16"), "raw")
    (0.5, {'units': 'K'}, (None, {'scale_factor': 0.5}))
    """
    if packing == "raw" or dtype.kind not in "iuf":
        return None, dict(attributes)
    found = tuple((name, _Exact(attributes[name])) for name in PACKING if name in attributes)
    if not found:
        return None, dict(attributes)
    decode, kept = _unpacking(dtype.str, found)
    rest = {name: value for name, value in attributes.items() if name not in PACKING or name in kept}
    return None if decode is None else dict(decode), rest


def with_fill_value(attributes: Mapping[str, Any], data_type: DataType, fill_value: Json) -> dict[str, Any]:
    """Attributes of a Zarr array with ``_FillValue`` as xarray has it.

    The fill value of a version 2 array stands for ``_FillValue``; writers of kerchunk move it there. In attributes of
    version 3 arrays, which are JSON, one of floating point is base64.

    Parameters
    ----------
    fill_value
        Of a version 2 array, unless it is null; None for others.

    Raises
    ------
    CastError
        ``packing-ambiguous``: the attribute is not in this form.

    Examples
    --------
    >>> with_fill_value({}, "int16", -1), with_fill_value({"_FillValue": "AAAAAAAA8D8="}, "float32", None)
    ({'_FillValue': np.int16(-1)}, {'_FillValue': np.float32(1.0)})
    """
    out = dict(attributes)
    dtype = to_numpy(data_type)
    if dtype.kind not in "iuf":
        return out
    if fill_value is not None:
        out["_FillValue"] = fill.from_json(fill_value, data_type)
    elif "_FillValue" in out:
        out["_FillValue"] = _of_type(out["_FillValue"], dtype)
    return out


def _of_type(value: Any, dtype: np.dtype[Any]) -> Any:
    """A fill value in JSON as a number of the stored type, where it is one."""
    if isinstance(value, str) and dtype.kind == "f":
        if value in _SPECIAL:
            return dtype.type(_SPECIAL[value])
        try:
            (value,) = struct.unpack("<d", base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError, struct.error) as error:
            raise CastError(
                f"unpack: _FillValue is {value!r}; of Zarr v3 it is 8 bytes in base64; correct the attribute",
                reason="packing-ambiguous",
            ) from error
    if isinstance(value, int | float) and not isinstance(value, bool):
        with np.errstate(all="ignore"):
            cast = np.asarray(value).astype(dtype)[()]
        return cast if cast == value or value != value else value
    return value


class _Exact:
    """An attribute value that is equal only to one of the same type and bits."""

    __slots__ = ("_key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        cells = np.asarray(value)
        self._key = (
            type(value),
            cells.dtype.str,
            cells.shape,
            cells.tobytes() if cells.dtype.kind != "O" else id(value),
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Exact) and self._key == other._key


@lru_cache(maxsize=1024)
def _unpacking(dtype: str, packing: tuple[tuple[str, _Exact], ...]) -> tuple[dict[str, Json] | None, frozenset[str]]:
    """`cf_unpack` of the packing attributes alone."""
    decode, kept = cf_unpack({name: one.value for name, one in packing}, from_numpy(np.dtype(dtype)))
    return decode, frozenset(kept)
