"""Zarr array metadata, version 3 and 2, from and to a shape and a `Layout`.

Owns the reading of ``zarr.json``, of ``.zarray`` with ``.zattrs``, and the writing of plain ``zarr.json``. What was
read is normalized: one name per data type and codec, fill values in one form, value-wise codecs in front. Refuses what
it cannot represent (storage transformers, unknown extensions that have to be understood) by name, and opens nothing:
the caller brings the text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from lazyzarr.errors import SaveUnsupported, SourceProtocolError, UnsupportedFeature, ViewLimitError, ViewSchemaError
from lazyzarr.formats.zarr_fill import fill_v3
from lazyzarr.formats.zarr_v2 import V2Array, read_v2
from lazyzarr.ir.array_metadata import array_metadata, to_text
from lazyzarr.ir.chunk_keys import separator
from lazyzarr.ir.data_type import DataType, from_json, from_numpy, to_numpy
from lazyzarr.ir.layout import DEFAULT_KEYS, Layout, NamedConfig

Document = bytes | str | Mapping[str, Any]
MOST_EDGES = 1_000_000
"""Chunks of one axis whose lengths differ."""
MOST_CODECS = 1_000
"""Codecs of a chain that are looked at, whatever the limits of the caller say of the result."""

_MEMBERS = frozenset(
    (
        *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value"),
        *("codecs", "attributes", "storage_transformers", "dimension_names"),
    )
)
_REQUIRED = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs")
_CELLWISE = frozenset(("cast_value", "scale_offset"))
# names without the prefix that other writers of Zarr v3 use, where the bytes are the same
_ALIASES = {
    name: f"numcodecs.{name}"
    for name in (
        *("zlib", "lz4", "bz2", "lzma", "shuffle", "fletcher32"),
        *("bitround", "delta", "fixedscaleoffset", "quantize", "astype"),
    )
}


class ZarrArrayInfo(Struct, frozen=True):
    """What the metadata of a Zarr array says."""

    shape: tuple[int, ...]
    layout: Layout
    dimension_names: tuple[str | None, ...] | None
    attributes: dict[str, Any]
    lengths: tuple[tuple[int, ...], ...] | None = None
    """Of every chunk along each axis, where they differ; the chunk shape of the layout then has the largest."""

    @property
    def grid(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        if self.lengths is not None:
            return tuple(map(len, self.lengths))
        return tuple(-(-n // c) for n, c in zip(self.shape, self.layout.chunk_shape, strict=True))


def read_array_metadata(
    document: Document, attributes: Document | None = None, *, uneven: bool = False
) -> ZarrArrayInfo:
    """Read the metadata of an array of either version.

    Parameters
    ----------
    document
        Content of ``zarr.json`` or ``.zarray``, as text or parsed.
    attributes
        Content of ``.zattrs``, for version 2.
    uneven
        Whether the caller knows what to do with chunks of different lengths.

    Raises
    ------
    SourceProtocolError
        ``source-format``: this is not the metadata of an array. ``fill-invalid``: the fill value does not fit.
    UnsupportedFeature
        ``source-unsupported``: the array uses something that is not read here.

    Examples
    --------
    >>> info = read_array_metadata(
    ...     {"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": ">i2", "fill_value": 0, "order": "C",
    ...      "filters": None, "compressor": None}, {"_ARRAY_DIMENSIONS": ["x"], "units": "m"})
    >>> info.layout.codecs[0].configuration, info.dimension_names, info.attributes
    ({'endian': 'big'}, ('x',), {'units': 'm'})
    """
    parsed = _parse(document)
    version = parsed.get("zarr_format")
    if version == 2 and type(version) is int:
        return _from_v2(read_v2(parsed, _parse(attributes) if attributes is not None else {}))
    if version != 3 or type(version) is not int:
        raise _bad(f"zarr_format is {version!r}", "versions 2 and 3 are read")
    info = _read_v3(parsed)
    if info.lengths is not None and not uneven:
        raise _unsupported("chunks of different lengths on an axis are not read here")
    return info


def _parse(document: Document) -> Mapping[str, Any]:
    if isinstance(document, Mapping):
        return document
    try:
        parsed = json.loads(document)  # not msgspec: version 2 writers leave NaN in attributes
    except (ValueError, RecursionError) as error:
        raise _bad("the text is not JSON", str(error)) from error
    if not isinstance(parsed, dict):
        raise _bad(f"the text is a {type(parsed).__name__}", "metadata is a JSON object")
    return cast("dict[str, Any]", parsed)


def _from_v2(array: V2Array) -> ZarrArrayInfo:
    layout = Layout(array.data_type, array.fill_value, array.chunks, array.codecs, array.chunk_keys, ".zarray")
    return ZarrArrayInfo(array.shape, layout, array.dimension_names, array.attributes)


def _read_v3(document: Mapping[str, Any]) -> ZarrArrayInfo:
    if document.get("node_type") != "array":
        raise _bad(f"node_type is {document.get('node_type')!r}", "only an array has a layout; open one of its arrays")
    missing = [name for name in _REQUIRED if name not in document]
    if missing:
        raise _bad(f"{', '.join(missing)} absent", "an array has all of them")
    for name in document.keys() - _MEMBERS:
        value = document[name]
        if not (isinstance(value, dict) and cast("dict[str, Any]", value).get("must_understand") is False):
            raise _unsupported(f"the extension {name!r} has to be understood and is not known here")
    if document.get("storage_transformers"):
        raise _unsupported(f"storage transformers {document['storage_transformers']!r} are not read")
    shape = _whole("shape", document["shape"])
    data_type = _data_type(document["data_type"])
    listed = _list("codecs", document["codecs"])
    if len(listed) > MOST_CODECS:
        raise ViewLimitError("codecs", len(listed), MOST_CODECS, remedy="write the array with one of each codec")
    codecs = tuple(_codec(one) for one in listed)
    lengths = _chunk_lengths(document["chunk_grid"], shape, codecs)
    chunk_shape = tuple(one if isinstance(one, int) else max(one, default=1) for one in lengths)
    layout = Layout(
        data_type,
        fill_v3(document["fill_value"], data_type),
        chunk_shape,
        _cellwise_first(codecs),
        _chunk_keys(document["chunk_key_encoding"]),
    )
    attributes = document.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise _bad(f"attributes are a {type(attributes).__name__}", "attributes are a JSON object")
    names = _dimension_names(document.get("dimension_names"), len(shape))
    edges = None
    if not all(isinstance(one, int) for one in lengths):
        columns = zip(lengths, shape, strict=True)
        edges = tuple((one,) * -(-n // one) if isinstance(one, int) else one for one, n in columns)
    return ZarrArrayInfo(shape, layout, names, dict(cast("dict[str, Any]", attributes)), edges)


def _data_type(value: object) -> DataType:
    """The data type under its canonical name."""
    try:
        dtype = to_numpy(from_json(value))
    except ViewSchemaError as error:
        raise _unsupported(f"the data type {value!r} is not known here") from error
    if dtype.kind in "SUV" and dtype.itemsize == 0:
        raise _unsupported(f"the data type {value!r} has cells without bytes")
    return from_numpy(dtype)


def _codec(value: object) -> NamedConfig:
    name: Any = value
    configuration: Any = {}
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        name, configuration = members.get("name"), members.get("configuration") or {}
    if not isinstance(name, str) or not isinstance(configuration, dict):
        raise _bad(f"a codec is {value!r}", "it is a name, or an object with a name and a configuration")
    conf = dict(cast("dict[str, Any]", configuration))
    if name == "sharding_indexed":
        for member in ("codecs", "index_codecs"):
            inner = [_codec(one) for one in _list(member, conf.get(member))]
            conf[member] = [{"name": one.name, "configuration": one.configuration} for one in _cellwise_first(inner)]
    return NamedConfig(_ALIASES.get(name, name), conf)


def _cellwise_first(codecs: Sequence[NamedConfig]) -> tuple[NamedConfig, ...]:
    """Value-wise codecs in front of transposes, with which they commute."""
    out: list[NamedConfig] = []
    for codec in codecs:
        at = len(out)
        while codec.name in _CELLWISE and at and out[at - 1].name == "transpose":
            at -= 1
        out.insert(at, codec)
    return tuple(out)


def _chunk_lengths(
    value: object, shape: tuple[int, ...], codecs: tuple[NamedConfig, ...]
) -> tuple[int | tuple[int, ...], ...]:
    """The chunk length of each axis, or that of every chunk."""
    name, configuration = _named("chunk_grid", value)
    if name == "rectilinear":
        axes = _list("chunk_shapes", configuration.get("chunk_shapes"))
        if configuration.get("kind") != "inline" or len(axes) != len(shape):
            raise _bad(f"the chunk grid is {value!r}", "it has the edges of each axis inline")
        return tuple(_edges(one, n) for one, n in zip(axes, shape, strict=True))
    if name != "regular":
        raise _unsupported(f"the chunk grid {name!r} is not known here")
    sizes = _whole("chunk_shape", configuration.get("chunk_shape"))
    if len(sizes) != len(shape):
        raise _bad(f"chunk_shape is {list(sizes)} for an array of shape {list(shape)}", "both have one entry per axis")
    return tuple(size or unit for size, unit in zip(sizes, _units(codecs, len(shape)), strict=True))


def _units(codecs: tuple[NamedConfig, ...], rank: int) -> Iterable[int]:
    """What a chunk size of 0 stands for: some writers gave it to axes without cells, which have no chunks."""
    if codecs and codecs[0].name == "sharding_indexed":
        inner = codecs[0].configuration.get("chunk_shape")
        if isinstance(inner, list) and len(cast("list[Any]", inner)) == rank:
            return cast("list[int]", inner)
    return (1,) * rank


def _edges(value: object, length: int) -> int | tuple[int, ...]:
    """One axis of a rectilinear grid; entries are lengths, or pairs of a length and how many chunks have it."""
    pairs = [value] if not isinstance(value, list) else cast("list[Any]", value)
    counted = [_whole("chunk_shapes", edge if isinstance(edge, list) else [edge, 1]) for edge in pairs]
    if any(len(pair) != 2 or not all(pair) for pair in counted):
        raise _bad(f"chunk_shapes has {str(value)[:200]}", "it has lengths above 0, or pairs of a length and a number")
    sizes = {size for size, _ in counted}
    total, chunks = sum(size * count for size, count in counted), sum(count for _, count in counted)
    if isinstance(value, list) and total < length:
        raise _bad(f"the chunks of an axis have {total} cells in all", f"the array has {length} there")
    if len(sizes) == 1:
        return sizes.pop()
    if chunks > MOST_EDGES:
        raise ViewLimitError("chunks of one axis", chunks, MOST_EDGES, remedy="write the array on a regular grid")
    return tuple(size for size, count in counted for _ in range(count))


def _chunk_keys(value: object) -> NamedConfig:
    name, configuration = _named("chunk_key_encoding", value)
    keys = NamedConfig(name, {"separator": separator(NamedConfig(name, dict(configuration)))})
    return DEFAULT_KEYS if keys == DEFAULT_KEYS else keys


def _dimension_names(value: object, rank: int) -> tuple[str | None, ...] | None:
    if value is None:
        return None
    names = _list("dimension_names", value)
    if len(names) != rank or not all(name is None or isinstance(name, str) for name in names):
        raise _bad(f"dimension_names are {value!r}", f"they are a name or null for each of the {rank} axes")
    return tuple(names)


def _named(member: str, value: object) -> tuple[str, Mapping[str, Any]]:
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        name, configuration = members.get("name"), members.get("configuration") or {}
        if isinstance(name, str) and isinstance(configuration, dict):
            return name, cast("dict[str, Any]", configuration)
    raise _bad(f"{member} is {value!r}", "it is an object with a name and a configuration")


def _list(member: str, value: object) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise _bad(f"{member} is {value!r}", "it is a list")
    return list(cast("Sequence[Any]", value))


def _whole(member: str, value: object) -> tuple[int, ...]:
    numbers = _list(member, value)
    if any(not isinstance(n, int) or n < 0 for n in numbers) or math.prod(n or 1 for n in numbers) >= 2**63:
        raise _bad(f"{member} is {value!r}", "it is a list of whole numbers")
    return tuple(int(n) for n in numbers)


def write_array_metadata(
    shape: Sequence[int],
    layout: Layout,
    dimension_names: Sequence[str | None] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> bytes:
    """Content of a plain ``zarr.json`` that any Zarr v3 reader can read.

    Raises
    ------
    SaveUnsupported
        The layout has codecs that only lazyzarr knows, or filters where Zarr v3 has none.

    Examples
    --------
    >>> layout = Layout("uint8", 0, (2,), (NamedConfig("bytes"),))
    >>> read_array_metadata(write_array_metadata([4], layout)).layout == layout
    True
    """
    behind = False
    for codec in layout.codecs:
        if codec.name.startswith("lazyzarr."):
            raise SaveUnsupported(
                f"write: codec {codec.name!r} has no reader outside lazyzarr; choose codecs of Zarr v3, or save a view"
            )
        if behind and codec.name.removeprefix("numcodecs.") in _ARRAY_FILTERS:
            raise SaveUnsupported(
                f"write: codec {codec.name!r} works on cells; Zarr v3 has it in front of 'bytes' only"
            )
        behind = behind or codec.name == "bytes"
    return to_text(array_metadata(shape, layout, dimension_names, attributes))


_ARRAY_FILTERS = ("delta", "fixedscaleoffset", "quantize", "astype", "bitround", "packbits")


def _bad(what: str, true: str) -> SourceProtocolError:
    return SourceProtocolError(f"Zarr metadata: {what}; {true}; check the source", reason="source-format")


def _unsupported(what: str) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"Zarr metadata: {what}; arrays that use it cannot be read; rewrite the array without it",
        reason="source-unsupported",
    )
