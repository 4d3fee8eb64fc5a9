"""Attributes of the HDF5 datasets that are written: with the types that the sources gave them.

Attributes of views are JSON, where numbers have no type; netCDF readers look at the types. So an attribute that a source
has with the same value is written as the source has it. Owns that, and the attributes of a packing. Refuses to guess a
packing: what is written decodes to the same, or there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from lazyzarr.codecs.values import PACKING, cf_unpack
from lazyzarr.errors import LazyZarrError
from lazyzarr.formats.hdf5_attributes import plain
from lazyzarr.formats.plain_zarr import packing_key
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType, from_json, to_numpy
from lazyzarr.ir.layout import NamedConfig

_OF_THE_TYPE = ("_FillValue", "missing_value", "valid_min", "valid_max", "valid_range")
"""Attributes that netCDF wants to have the type of the variable."""


def dataset_attributes(
    attributes: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], data_type: DataType
) -> tuple[dict[str, Any], list[str]]:
    """Attributes of a view as HDF5 has them, and which have no form.

    Parameters
    ----------
    sources
        Attributes of the sources, with their types.

    Examples
    --------
    >>> dataset_attributes({"valid_min": 0, "scale_factor": 0.5}, [{"scale_factor": np.float32(0.5)}], "int16")
    ({'valid_min': np.int16(0), 'scale_factor': np.float32(0.5)}, [])
    """
    typed: dict[str, Any] = {}
    for one in reversed(sources):
        typed.update(one)
    known = plain(typed)
    out, lost = plain_attributes(attributes)
    for name, value in out.items():
        if name in known and known[name] == attributes[name]:
            out[name] = _written(typed[name])
        elif name in _OF_THE_TYPE:
            out[name] = _as_type(value, data_type)
    return out, lost


def plain_attributes(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Attributes that came from JSON, and which have no form in HDF5.

    Examples
    --------
    >>> plain_attributes({"units": "K", "levels": [1, 2], "crs": {"code": 4326}})
    ({'units': 'K', 'levels': array([1, 2])}, ["the attribute 'crs', a dict, has no form in HDF5"])
    """
    out: dict[str, Any] = {}
    lost: list[str] = []
    for name, value in attributes.items():
        found = _written(value)
        if found is None:
            lost.append(f"the attribute {name!r}, a {type(value).__name__}, has no form in HDF5")
        else:
            out[str(name)] = found
    return out, lost


def write(owner: h5py.Dataset | h5py.Group, attributes: Mapping[str, Any]) -> None:
    """Put attributes into a file."""
    for name, value in attributes.items():
        owner.attrs[name] = value


def packing_attributes(
    decode: NamedConfig, sources: Sequence[Mapping[str, Any]], data_type: DataType
) -> dict[str, Any] | None:
    """Attributes that decode as `decode` does: those of a source, or the same numbers; None where none do.

    Examples
    --------
    >>> conf, _ = cf_unpack({"scale_factor": 0.5, "_FillValue": np.int16(-1)}, "int16")
    >>> packing_attributes(NamedConfig("lazyzarr.unpack", conf), [], "int16")
    {'_FillValue': np.int16(-1), 'scale_factor': np.float64(0.5)}
    """
    conf = decode.configuration
    choices = [{name: _written(one[name]) for name in PACKING if name in one} for one in sources]
    dtype = to_numpy(data_type)
    fills = [fill.from_json(value, from_json(conf["stored_type"])) for value in conf.get("fill_values") or ()]
    try:
        typed = [_as_type(value, data_type) for value in fills]
    except (TypeError, ValueError, OverflowError):
        typed = []
    for wide in (np.float64, np.float32):
        numbers = {name: conf.get(name) for name in ("scale_factor", "add_offset")}
        made: dict[str, Any] = {"_FillValue": typed[0]} if typed else {}
        if len(typed) > 1:
            made["missing_value"] = np.array(typed[1:], dtype)
        made |= {
            name: wide(fill.from_json(value, from_json(conf["arithmetic"])))
            for name, value in numbers.items()
            if value is not None
        }
        choices.append(made)
    for one in choices:
        try:
            found, kept = cf_unpack(one, data_type)
        except LazyZarrError:
            continue  # what the source says was not what was decoded
        if found is not None and packing_key(found) == packing_key(conf):
            return {name: value for name, value in one.items() if name not in kept}
    return None


def _as_type(value: Any, data_type: DataType) -> Any:
    """A number, or numbers, of the type of the variable, if it can hold them."""
    dtype = to_numpy(data_type)
    given = np.asarray(value)
    if dtype.kind not in "iuf" or given.dtype.kind not in "iuf":
        return value
    with np.errstate(all="ignore"):
        cast = given.astype(dtype)
    if not np.array_equal(cast.astype(given.dtype), given, equal_nan=given.dtype.kind == "f"):
        return value
    return cast[()] if cast.ndim == 0 else cast


def _written(value: Any) -> Any:
    """A value as h5py writes it; None where HDF5 has no form that netCDF readers know."""
    if isinstance(value, str | int | float | np.generic) and not isinstance(value, bool | np.bool_ | np.void):
        return value
    if isinstance(value, list | tuple | np.ndarray):
        cells: Any = list(value) if isinstance(value, tuple) else value
        if isinstance(cells, list) and cells and all(isinstance(one, str) for one in cells):
            return np.array(cells, h5py.string_dtype())
        found = np.asarray(cells) if _is_regular(cells) else None
        return found if found is not None and found.dtype.kind in "iuf" and found.size else None
    return None


def _is_regular(value: Any) -> bool:
    """Whether nested lists of numbers are an array."""
    try:
        return np.asarray(value).dtype.kind in "iuf"
    except ValueError:
        return False
