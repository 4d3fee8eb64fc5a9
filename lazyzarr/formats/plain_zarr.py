"""Metadata of flat arrays as stock Zarr readers know them, version 2 and 3, with CF packing left as attributes.

1. Value-wise decodes become attributes where xarray decodes them to the same values, bit for bit; or stay codecs that
   Zarr v3 has.
2. The fill value is written where readers do not take it for something else: xarray masks cells that equal the fill
   value of a version 2 array, so there it is null unless it is one of the fill values of the packing.
3. The chain becomes codecs of the version.
Owns what kerchunk and ``manifest.json`` have in common when they are written. Refuses whatever would read as other
values, all problems of an array at once.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from lazyzarr.codecs.values import PACKING, cf_unpack
from lazyzarr.errors import CastError, LazyZarrError, SaveUnsupported
from lazyzarr.formats.export_sources import json_attributes
from lazyzarr.formats.packing import with_fill_value
from lazyzarr.formats.zarr import read_array_metadata
from lazyzarr.formats.zarr_fill import fill_v2
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import DataType, msgspec_form, to_numpy
from lazyzarr.ir.layout import Json, NamedConfig
from lazyzarr.lower.aligned import MISSING, AlignedManifest

Version = Literal[2, 3]
_V3_DECODES = ("cast_value", "scale_offset")
_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
_V3_NAMES = (
    *("bytes", "transpose", "sharding_indexed", "gzip", "zstd", "blosc", "crc32c", "cast_value", "scale_offset"),
    *("vlen-utf8", "vlen-bytes"),
)
_ON_CELLS = ("delta", "fixedscaleoffset", "quantize", "astype", "bitround", "packbits")


@dataclass(frozen=True)
class PlainArray:
    """The metadata documents of one array, and what they could not keep."""

    documents: dict[str, dict[str, Any]]
    """By the last part of their key."""
    lost: tuple[str, ...]


def plain_array(flat: AlignedManifest, name: str, version: Version, keys: NamedConfig) -> PlainArray:
    """The metadata of a flat array.

    Parameters
    ----------
    name
        Of the array, for errors and for dimensions without name.
    keys
        Chunk key encoding of a version 3 array.

    Raises
    ------
    SaveUnsupported
        The version has no form of the array, or stock readers would read other values; with every reason.
    """
    problems: list[str] = []
    kept = len(flat.decodes) if version == 3 and all(one.name in _V3_DECODES for one in flat.decodes) else 0
    decodes = flat.decodes[kept:]
    data_type = flat.data_type if kept else flat.stored_data_type
    attributes = json_attributes(flat.attrs, name)
    attributes, value, lost = _packing(flat, attributes, decodes, data_type, version, problems)
    chain = flat.codecs[len(decodes) :]
    dims = _dims(flat, name)
    documents = (
        _version_2(flat, data_type, chain, value, attributes, dims, problems)
        if version == 2
        else _version_3(flat, data_type, chain, value, attributes, dims, keys, problems)
    )
    if problems:
        raise SaveUnsupported(
            "\n  - ".join((f"write of {name!r} as Zarr version {version}: {len(problems)} in the way:", *problems)),
            where=name,
        )
    return PlainArray(documents, tuple(lost))


def _dims(flat: AlignedManifest, name: str) -> list[str]:
    """Names of all dimensions; xarray needs them, so those without get one that no other array has."""
    given = flat.dims or (None,) * len(flat.shape)
    short = name.rpartition("/")[2]
    return [dim if dim is not None else f"{short}_dim_{axis}" for axis, dim in enumerate(given)]


def _packing(
    flat: AlignedManifest,
    attributes: dict[str, Any],
    decodes: Sequence[NamedConfig],
    data_type: DataType,
    version: Version,
    problems: list[str],
) -> tuple[dict[str, Any], Json, list[str]]:
    """Attributes, the fill value (None: null) and what is lost."""
    missing = bool((flat.state == MISSING).any())
    stored = flat.fill_value if data_type == flat.data_type and not decodes else flat.stored_fill_value
    if stored is None and missing:
        problems.append(
            f"missing chunks read as {flat.fill_value!r}, which no stored value decodes to; materialize them, or give "
            "the sources a fill value that does"
        )
    if not decodes:
        return (attributes, *_unpacked(flat, attributes, stored, data_type, version, missing, problems))
    conf = decodes[0].configuration
    if len(decodes) > 1 or decodes[0].name != "lazyzarr.unpack":
        names = " + ".join(one.name for one in decodes)
        problems.append(f"the decode {names} is not CF packing; open the sources with packing='raw', or write a copy")
        return attributes, stored, []
    doubled = [one for one in PACKING if one in attributes]
    if doubled:
        problems.append(
            f"the attributes {', '.join(doubled)} stand beside the decode and would be applied as well; remove them"
        )
        return attributes, stored, []
    fills = list(conf.get("fill_values") or [])
    for chosen, value in _fill_choices(fills, stored, data_type, version, missing):
        written = {**attributes, **_numbers(conf), **chosen}
        if _decodes_to(written, data_type, conf, value if version == 2 else None):
            lost = [] if stored is None or version == 3 or _same(value, stored, data_type) else [_LOST_FILL]
            return written, value, lost
    problems.append(
        f"the decode {_told(conf)} has no attributes that xarray decodes alike (attributes are JSON, where numbers are "
        "float64); open the sources with packing='raw', or unpack them to float64"
    )
    return attributes, stored, []


_LOST_FILL = "the fill value, which no chunk shows"


def _unpacked(
    flat: AlignedManifest,
    attributes: dict[str, Any],
    stored: Json | None,
    data_type: DataType,
    version: Version,
    missing: bool,
    problems: list[str],
) -> tuple[Json, list[str]]:
    """Fill value of an array without decode; what its packing attributes mean is the caller's own word."""
    if version == 3:
        if isinstance(attributes.get("_FillValue"), float | int) and to_numpy(data_type).kind == "f":
            attributes["_FillValue"] = _base64(attributes["_FillValue"])
        return stored, []
    said = attributes.pop("_FillValue", None)
    if said is not None:
        try:
            said = fill.to_json(to_numpy(data_type).type(said), data_type)
        except (TypeError, ValueError, OverflowError):
            problems.append(f"the attribute _FillValue is {said!r}, which is no {data_type}; correct it")
            return None, []
        if not missing or _same(said, stored, data_type):
            return said, [] if _same(said, stored, data_type) else [_LOST_FILL]
        problems.append(
            f"missing chunks read as {stored!r} and the attribute _FillValue is {said!r}; version 2 has one place for "
            "both; write version 3"
        )
        return None, []
    if _same(stored, _zero(data_type), data_type):
        return None, []
    if to_numpy(data_type).kind == "f" and stored == "NaN":
        return stored, []
    if not missing:
        return None, [_LOST_FILL]
    problems.append(
        f"missing chunks read as {stored!r}, and xarray would mask all cells with that value in version 2; write "
        "version 3"
    )
    return None, []


def _fill_choices(
    fills: list[Json], stored: Json | None, data_type: DataType, version: Version, missing: bool
) -> list[tuple[dict[str, Any], Json]]:
    """Attributes for the fill values of a packing, and the fill value of the array, in order of preference."""
    if version == 3:
        value = _zero(data_type) if stored is None else stored
        if not fills:
            return [({}, value)]
        first = _base64(fills[0]) if to_numpy(data_type).kind == "f" else fills[0]
        return [({"_FillValue": first, **_more(fills[1:])}, value)]
    if not missing:
        return [(_more(fills[1:]), fills[0] if fills else None)]
    choices: list[tuple[dict[str, Any], Json]] = []
    if any(_same(one, stored, data_type) for one in fills) or stored == "NaN":
        choices.append((_more([one for one in fills if not _same(one, stored, data_type)]), stored))
    if _same(stored, _zero(data_type), data_type):
        choices.append((_more(fills), None))
    return choices


def _more(fills: list[Json]) -> dict[str, Any]:
    if not fills:
        return {}
    return {"missing_value": fills[0] if len(fills) == 1 else fills}


def _numbers(conf: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: conf.get(name) for name in ("scale_factor", "add_offset")}
    return {name: value for name, value in found.items() if value is not None}


def _decodes_to(attributes: Mapping[str, Any], data_type: DataType, conf: Mapping[str, Any], value: Json) -> bool:
    """Whether xarray makes the decode of these attributes, once they went through JSON."""
    unsigned = conf.get("stored_type") != msgspec_form(data_type)
    try:
        found, _ = cf_unpack(with_fill_value(json.loads(json.dumps(attributes)), data_type, value), data_type)
    except (CastError, LazyZarrError):
        return False
    return not unsigned and found is not None and packing_key(found) == packing_key(conf)


def packing_key(conf: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells configurations of ``lazyzarr.unpack`` apart that decode any cell differently."""
    wide = conf.get("arithmetic")
    numbers = [conf.get(name) for name in ("scale_factor", "add_offset")]
    exact = [None if one is None else fill.to_json(fill.from_json(one, wide), wide) for one in numbers]  # type: ignore[arg-type]
    fills = sorted({json.dumps(one) for one in conf.get("fill_values") or []})
    return (*map(json.dumps, exact), tuple(fills), conf.get("stored_type"), conf.get("data_type"), wide)


def _told(conf: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {conf[name]!r}" for name in ("data_type", "scale_factor", "add_offset", "fill_values"))


def _base64(value: Any) -> str:
    number = fill.from_json(value, "float64") if isinstance(value, str) else float(value)
    return base64.b64encode(struct.pack("<d", float(number))).decode()


def _zero(data_type: DataType) -> Json:
    return fill_v2(None, data_type, to_numpy(data_type))


def _same(left: Json, right: Json, data_type: DataType) -> bool:
    return left is not None and right is not None and fill.same(left, right, data_type)


def _version_3(
    flat: AlignedManifest,
    data_type: DataType,
    chain: Sequence[NamedConfig],
    value: Json,
    attributes: dict[str, Any],
    dims: list[str],
    keys: NamedConfig,
    problems: list[str],
) -> dict[str, dict[str, Any]]:
    behind = False
    for codec in chain:
        name = codec.name
        if name.startswith("lazyzarr.") or (name not in _V3_NAMES and not name.startswith("numcodecs.")):
            problems.append(f"the codec {name!r} has no reader outside lazyzarr; write a copy with other codecs")
        if behind and name.removeprefix("numcodecs.") in _ON_CELLS:
            problems.append(
                f"the codec {name!r} works on cells, which version 3 has in front of 'bytes'; write version 2"
            )
        behind = behind or name == "bytes"
    return {
        "zarr.json": {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(flat.shape),
            "data_type": msgspec_form(data_type),
            "chunk_grid": flat.chunk_grid(),
            "chunk_key_encoding": {"name": keys.name, "configuration": keys.configuration},
            "fill_value": _zero(data_type) if value is None else value,
            "codecs": [{"name": one.name, "configuration": one.configuration} for one in chain],
            "attributes": attributes,
            "dimension_names": dims,
        }
    }


def _version_2(
    flat: AlignedManifest,
    data_type: DataType,
    chain: Sequence[NamedConfig],
    value: Json,
    attributes: dict[str, Any],
    dims: list[str],
    problems: list[str],
) -> dict[str, dict[str, Any]]:
    codecs = list(chain)
    order = "C"
    rank = len(flat.shape)
    if codecs and codecs[0].name == "transpose":
        turned = list(codecs.pop(0).configuration.get("order", []))
        if turned == list(range(rank))[::-1]:
            order = "F" if rank > 1 else "C"
        elif turned != list(range(rank)):
            problems.append(
                f"its chunks are stored with the axes in the order {turned}; version 2 has C and F; write version 3"
            )
    filters: list[dict[str, Any]] = []
    endian = "little"
    for codec in codecs:
        if codec.name == "bytes":
            endian = codec.configuration.get("endian", "little")
            continue
        found = _numcodec(codec)
        if found is None:
            problems.append(f"the codec {codec.name!r} has no form in version 2; write version 3, or a copy")
        else:
            filters.append(found)
    dtype = to_numpy(data_type)
    compressor = filters.pop() if filters and filters[-1]["id"] not in ("vlen-utf8", "vlen-bytes") else None
    document = {
        "zarr_format": 2,
        "shape": list(flat.shape),
        "chunks": list(flat.chunk_shape),
        "dtype": _dtype(dtype, endian),
        "fill_value": None if value is None else _fill(value, data_type),
        "order": order,
        "filters": filters or None,
        "compressor": compressor,
        "dimension_separator": ".",
    }
    if not problems:
        _read_back(flat, document, data_type, problems)
    return {".zarray": document, ".zattrs": {**attributes, "_ARRAY_DIMENSIONS": dims}}


def _read_back(flat: AlignedManifest, document: dict[str, Any], data_type: DataType, problems: list[str]) -> None:
    """What was written has to mean the same type and shape when it is read."""
    try:
        info = read_array_metadata(json.loads(json.dumps(document)), {})
    except LazyZarrError as error:
        problems.append(f"its metadata have no form in version 2 ({error}); write version 3")
        return
    if info.shape != flat.shape or to_numpy(info.layout.data_type) != to_numpy(data_type):
        problems.append(f"the data type {data_type!r} has no form in version 2; write version 3")


def _numcodec(codec: NamedConfig) -> dict[str, Any] | None:
    """A codec as version 2 has it."""
    name, conf = codec.name, dict(codec.configuration)
    if name in ("vlen-utf8", "vlen-bytes"):
        return {"id": name}
    if name.startswith("numcodecs."):
        return {"id": name.removeprefix("numcodecs."), **conf}
    if name == "gzip":
        return {"id": "gzip", "level": conf.get("level", 5)}
    if name == "zstd":
        return {"id": "zstd", "level": conf.get("level", 0), "checksum": bool(conf.get("checksum", False))}
    if name == "blosc":
        shuffle = _SHUFFLES.get(str(conf.get("shuffle", "noshuffle")), 0)
        known = {one: conf[one] for one in ("cname", "clevel", "blocksize") if one in conf}
        return {"id": "blosc", "shuffle": shuffle, **known}
    if name == "crc32c":
        return {"id": "crc32c", "location": "end"}
    return None


def _dtype(dtype: np.dtype[Any], endian: str) -> Any:
    if dtype.kind in "TO":
        return "|O"
    mark = ">" if endian == "big" else "<"
    if dtype.names is not None:
        return [[name, _dtype(cast("np.dtype[Any]", dtype.fields[name][0]), endian)] for name in dtype.names]  # type: ignore[index]
    return dtype.newbyteorder(mark).str


def _fill(value: Json, data_type: DataType) -> Json:
    dtype = to_numpy(data_type)
    if dtype.kind in "SV":
        return base64.b64encode(np.asarray(fill.from_json(value, data_type), dtype).tobytes()).decode()
    return value
