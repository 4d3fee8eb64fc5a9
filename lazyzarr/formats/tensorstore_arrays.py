"""Stored arrays and constants as TensorStore opens them: driver, place and metadata, without a request.

1. A place becomes a key-value store: the driver of its scheme, and the path.
2. A layout becomes the metadata of a Zarr array, version 3 where TensorStore has the codecs and version 2 otherwise.
   They are assumed, so nothing is asked for until cells are read.
3. Casts that keep every value become the driver ``cast``; cells in memory and constants the driver ``array``.
Owns what TensorStore has and has not. Refuses, saying what, whatever it would read as other values or not at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import numpy as np

from lazyzarr.access.url import parse, shown, to_path
from lazyzarr.errors import ViewLimitError
from lazyzarr.ir import fill
from lazyzarr.ir.array_metadata import array_metadata
from lazyzarr.ir.data_type import DataType, msgspec_form, to_numpy
from lazyzarr.ir.layout import VALUE_WISE, Layout, NamedConfig, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.lower.lifting import stored_type

Json = Any
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
"""Data types that TensorStore has under the same name, and reads as the same bits."""
MAX_CELLS = 1_000_000
"""Cells of the arrays in memory of all layers."""
NOWHERE: dict[str, Json] = {"driver": "memory", "path": "lazyzarr-has-no-chunks/"}
"""A key-value store without keys: arrays there have their fill value everywhere."""
_FIXED = NamedConfig("bytes", {"endian": "little"})
_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
_COMPRESSORS = ("zlib", "gzip", "bz2", "zstd", "blosc")
_MOST_CODECS_DEEP = 8


class NoForm(Exception):
    """TensorStore has no form of something; each problem says what is in the way and what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


def stored_spec(array: StoredArray, layout: Layout, tables: Mapping[str, Table]) -> dict[str, Json]:
    """The driver of one stored array, without transform.

    Raises
    ------
    NoForm
        TensorStore cannot read the array, or would read other values.
    """
    decodes = tuple(itertools.takewhile(lambda codec: codec.name in VALUE_WISE, layout.codecs))
    below = stored_type(layout.data_type, decodes)
    chain = layout.codecs[len(decodes) :]
    told = _Told()
    told.made(dtype_name, layout.data_type)
    told.made(_check_casts, decodes, layout.data_type)
    if below != layout.data_type:
        told.made(dtype_name, below)
    if array.values is not None:
        cells = np.asarray(tables[array.values]["values"]).reshape(array.shape)
        found = told.made(_in_memory, cells, below)
    elif array.refs is not None or array.location is None:
        told.problems.append(
            "its chunks are byte ranges of files, which a TensorStore specification has no place for; write kerchunk or "
            "Icechunk references, or a copy"
        )
        found = None
    else:
        place = told.made(_place, array.location)
        value = None if told.problems else told.made(_fill_below, layout, decodes, below)
        zarr = told.made(_zarr, array.shape, layout, below, value, chain)
        found = {**(zarr or {}), "kvstore": place, "open": True, "assume_metadata": True}
    if told.problems or found is None:
        raise NoForm(*told.problems)
    return found if below == layout.data_type else {"driver": "cast", "dtype": layout.data_type, "base": found}


def zarr_form(shape: tuple[int, ...], layout: Layout) -> dict[str, Json]:
    """Driver and metadata of an array whose chain has no value-wise decodes.

    Raises
    ------
    NoForm
        TensorStore cannot read the array.
    """
    told = _Told()
    told.made(dtype_name, layout.data_type)
    found = told.made(_zarr, shape, layout, layout.data_type, layout.fill_value, layout.codecs)
    if told.problems or found is None:
        raise NoForm(*told.problems)
    return found


class _Told:
    """What is in the way so far."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def made[T](self, make: Callable[..., T], *given: Any) -> T | None:
        """What `make` gives, or None with its problems noted."""
        try:
            return make(*given)
        except NoForm as error:
            self.problems.extend(error.problems)
            return None


def constant_spec(data_type: DataType, value: Json) -> dict[str, Json]:
    """The driver of an array of rank 0 with one value.

    Raises
    ------
    NoForm
        TensorStore does not have the data type.

    Examples
    --------
    >>> constant_spec("int16", -1)
    {'driver': 'array', 'dtype': 'int16', 'array': -1}
    """
    name = dtype_name(data_type)
    if to_numpy(data_type).kind == "c" or (isinstance(value, str) and value.startswith("0x")):
        # cells of arrays are JSON numbers, which have neither imaginary parts nor the bits of a NaN; fill values have
        layout = Layout(data_type, value, (), (_FIXED,))
        return {
            "driver": "zarr3",
            "kvstore": NOWHERE,
            "open": True,
            "assume_metadata": True,
            "metadata": _metadata(
                (), layout, data_type, value, [{"name": "bytes", "configuration": {"endian": "little"}}]
            ),
        }
    return {"driver": "array", "dtype": name, "array": value}


def dtype_name(data_type: DataType) -> str:
    """The name of a data type in TensorStore.

    Raises
    ------
    NoForm
        It does not have it.
    """
    if not isinstance(data_type, str) or data_type not in DTYPES:
        raise NoForm(f"TensorStore has no data type {msgspec_form(data_type)}; write the view in another form")
    return data_type


def _check_casts(decodes: Sequence[NamedConfig], data_type: DataType) -> None:
    """A cast is written only where every value of one type is one of the other: then there is one meaning."""
    above = data_type
    for codec in decodes:
        if codec.name != "cast_value":
            raise NoForm(
                f"the decode {codec.name!r} computes values, and TensorStore would read stored ones; open the sources "
                "with packing='raw', or write a copy"
            )
        below = stored_type(above, (codec,))
        if codec.configuration.get("scalar_map") or not _keeps(to_numpy(below), to_numpy(above)):
            raise NoForm(
                f"the cast from {msgspec_form(below)} to {msgspec_form(above)} rounds or maps values, and TensorStore "
                "has no word for how; write a copy"
            )
        above = below


def _keeps(old: np.dtype[Any], new: np.dtype[Any]) -> bool:
    """Whether every value, NaN included, is the same after the hardware converted it."""
    if old.kind not in "iuf" or new.kind not in "iuf" or not np.can_cast(old, new, "safe"):
        return old == new
    if old.kind == "f":
        return old == new or old.itemsize > 2  # half precision is converted in software, NaN with other bits
    return new.kind != "f" or 8 * old.itemsize - (old.kind == "i") <= np.finfo(new).nmant + 1


def _fill_below(layout: Layout, decodes: Sequence[NamedConfig], below: DataType) -> Json:
    if not decodes:
        return layout.fill_value
    value = fill.from_json(layout.fill_value, layout.data_type)
    with np.errstate(all="ignore"):
        stored = np.asarray(value).astype(to_numpy(below))
    if stored.astype(to_numpy(layout.data_type)).tobytes() != np.asarray(value).tobytes():
        raise NoForm(
            f"missing chunks read as {layout.fill_value!r}, which no value of {msgspec_form(below)} is cast to; write a "
            "copy"
        )
    return fill.to_json(stored[()], below)


def _in_memory(cells: np.ndarray[Any, Any], data_type: DataType) -> dict[str, Json]:
    name = dtype_name(data_type)
    if cells.size > MAX_CELLS:
        raise ViewLimitError(
            "cells in memory", cells.size, MAX_CELLS, remedy="write the array to storage and open that"
        )
    if cells.dtype.kind == "c":
        raise NoForm(
            "its cells are complex numbers in memory, which are no JSON numbers; write the array to storage and open that"
        )
    if cells.dtype.kind != "f":
        return {"driver": "array", "dtype": name, "array": cells.tolist()}
    bits = f"u{cells.dtype.itemsize}"
    strange = np.isnan(cells) & (cells.view(bits) != np.array(np.nan, cells.dtype).view(bits))
    if strange.any():
        raise NoForm(
            "its cells in memory have NaNs with a payload or a sign, which JSON has not; write the array to storage "
            "and open that"
        )
    if np.isfinite(cells).all():
        return {"driver": "array", "dtype": name, "array": cells.astype(np.float64).tolist()}
    texts = np.where(np.isnan(cells), "NaN", np.where(cells > 0, "Infinity", "-Infinity"))
    mixed = cells.astype(np.float64).astype(object)
    mixed[~np.isfinite(cells)] = texts[~np.isfinite(cells)]
    return {"driver": "array", "dtype": name, "array": mixed.tolist()}


def _place(location: str) -> dict[str, Json]:
    """The key-value store of the directory of an array."""
    if location.startswith("file://"):
        return {"driver": "file", "path": to_path(location).rstrip("/") + "/"}
    found = parse(location, trusted=True)
    try:
        path = unquote_to_bytes(found.path).decode().strip("/")
    except UnicodeDecodeError as error:
        raise NoForm(f"the name of its place {shown(location)} is not UTF-8; rename it") from error
    if found.query:
        raise NoForm(
            f"its place {shown(location)} has a query string, which may be a credential; nothing of that kind is written"
        )
    directory = f"{path}/" if path else ""
    if found.scheme in ("s3", "gs"):
        return {"driver": {"s3": "s3", "gs": "gcs"}[found.scheme], "bucket": found.authority, "path": directory}
    if found.scheme in ("http", "https"):
        # TensorStore encodes the path itself
        return {"driver": "http", "base_url": f"{found.scheme}://{found.authority}", "path": f"/{directory}"}
    raise NoForm(f"its place {shown(location)} is one that TensorStore cannot open; write it to a disk or a bucket")


def _zarr(
    shape: tuple[int, ...], layout: Layout, data_type: DataType, value: Json, chain: Sequence[NamedConfig]
) -> dict[str, Json]:
    itemsize = to_numpy(data_type).itemsize
    second = _version_2(shape, layout, data_type, value, chain)
    if second is not None and layout.metadata == ".zarray":
        return {"driver": "zarr", "metadata": second}  # what is stored there
    try:
        codecs = _codecs(chain, itemsize, _MOST_CODECS_DEEP)
    except NoForm as error:
        if second is None:
            raise NoForm(*error.problems) from error
        return {"driver": "zarr", "metadata": second}
    return {"driver": "zarr3", "metadata": _metadata(shape, layout, data_type, value, codecs)}


def _metadata(
    shape: tuple[int, ...], layout: Layout, data_type: DataType, value: Json, codecs: list[dict[str, Json]]
) -> dict[str, Json]:
    document = array_metadata(shape, layout)
    document |= {"data_type": data_type, "fill_value": value, "codecs": codecs}
    del document["attributes"], document["storage_transformers"]
    return document


def _codecs(chain: Sequence[NamedConfig], itemsize: int, deep: int) -> list[dict[str, Json]]:
    """A chain as TensorStore has it; what only encoders need is filled in."""
    found: list[dict[str, Json]] = []
    for codec in chain:
        name, conf = codec.name.removeprefix("numcodecs."), codec.configuration
        if name == "sharding_indexed" and deep:
            if found and any(one["name"] != "transpose" for one in found):
                raise _no_codec(codec)
            inner: dict[str, Json] = {"chunk_shape": conf["chunk_shape"]}
            for member in ("codecs", "index_codecs"):
                chain_inside = [_named(one) for one in conf.get(member, ())]
                if member == "index_codecs" and any(one.name not in ("bytes", "crc32c") for one in chain_inside):
                    raise NoForm("the index of its shards is compressed, which TensorStore does not read; write a copy")
                inner[member] = _codecs(chain_inside, itemsize if member == "codecs" else 8, deep - 1)
            inner["index_location"] = conf.get("index_location", "end")
            found.append({"name": name, "configuration": inner})
        elif found and found[-1]["name"] == "sharding_indexed":
            raise NoForm(
                f"its shards are encoded by {codec.name!r} as a whole, which TensorStore does not read; write a copy"
            )
        elif name == "bytes":
            found.append({"name": "bytes", "configuration": {"endian": conf.get("endian", "little")}})
        elif codec.name == "transpose":
            found.append({"name": "transpose", "configuration": {"order": conf["order"]}})
        elif name == "gzip":
            found.append({"name": "gzip", "configuration": {"level": 5}})
        elif name == "zstd":
            found.append({"name": "zstd", "configuration": {"level": 1}})
        elif name == "blosc":
            found.append({"name": "blosc", "configuration": _blosc(conf, itemsize)})
        elif codec.name == "crc32c":
            found.append({"name": "crc32c"})
        else:
            raise _no_codec(codec)
    return found


def _named(value: Any) -> NamedConfig:
    if isinstance(value, NamedConfig):
        return value
    if isinstance(value, str):
        return NamedConfig(value)
    found = cast("Mapping[str, Any]", value)
    return NamedConfig(found["name"], dict(found.get("configuration") or {}))


def _blosc(conf: Mapping[str, Json], itemsize: int) -> dict[str, Json]:
    """Blocks say themselves how they are to be decoded; the metadata are for encoders."""
    shuffle = conf.get("shuffle", "noshuffle")
    if isinstance(shuffle, int):
        shuffle = _SHUFFLES[shuffle] if 0 <= shuffle < len(_SHUFFLES) else "noshuffle"
    cname = conf.get("cname", "lz4")
    return {"cname": cname, "clevel": 5, "shuffle": shuffle, "typesize": itemsize, "blocksize": 0}


def _version_2(
    shape: tuple[int, ...], layout: Layout, data_type: DataType, value: Json, chain: Sequence[NamedConfig]
) -> dict[str, Json] | None:
    """The metadata of version 2; None where it has no form of the array."""
    codecs = list(chain)
    order = "C"
    if layout.chunk_keys.name != "v2":
        return None
    if codecs and codecs[0].name == "transpose":
        if list(codecs.pop(0).configuration["order"]) != list(range(len(shape)))[::-1]:
            return None
        order = "F" if len(shape) > 1 else "C"
    if not codecs or codecs[0].name != "bytes" or len(codecs) > 2 or (isinstance(value, str) and value[:2] == "0x"):
        return None
    compressor = None
    if len(codecs) == 2:
        name = codecs[1].name.removeprefix("numcodecs.")
        if name not in _COMPRESSORS:
            return None
        compressor = {"id": name, "level": 1}
        if name == "blosc":
            compressor = {"id": name, "cname": "lz4", "clevel": 5, "shuffle": 1}
    mark = ">" if codecs[0].configuration.get("endian") == "big" else "<"
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(layout.chunk_shape),
        "dtype": to_numpy(data_type).newbyteorder(mark).str,
        "fill_value": value,
        "order": order,
        "filters": None,
        "compressor": compressor,
        "dimension_separator": layout.chunk_keys.configuration.get("separator", "."),
    }


def _no_codec(codec: NamedConfig) -> NoForm:
    return NoForm(f"TensorStore has no codec {codec.name!r} there; write kerchunk or Icechunk references, or a copy")
