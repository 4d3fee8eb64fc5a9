"""The fixed table of codecs: which names are known, in which place of a chain, and who decodes them.

Owns the table and `register`, by which a reader adds decoders of its own; nothing in a document ever does. Refuses
names outside the table, and `pickle` always: it runs what it decodes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Literal

from lazyzarr.codecs import bounded, checksums, filters, serial, values
from lazyzarr.codecs.casting import cast_value
from lazyzarr.codecs.scaling import scale_offset
from lazyzarr.codecs.stages import (
    Array,
    ArrayStage,
    Bytes,
    BytesStage,
    Cells,
    Configuration,
    Serializer,
    Size,
    invalid,
    octets,
)
from lazyzarr.errors import UnsupportedFeature
from lazyzarr.ir.layout import NamedConfig

Place = Literal["array_to_array", "array_to_bytes", "bytes_to_bytes"]
ArrayBuilder = Callable[[Configuration, Cells], ArrayStage]
SerialBuilder = Callable[[Configuration, Cells], Serializer]
BytesBuilder = Callable[[Configuration, Size, Cells], BytesStage]

SHARDING = "sharding_indexed"
_FORBIDDEN = ("pickle", "numcodecs.pickle")
_HDF5 = frozenset(
    f"lazyzarr.hdf5_{name}"
    for name in (
        *("lzf", "szip", "scaleoffset", "nbit", "lz4", "bitshuffle", "blosc2", "zfp"),
        *("precision", "string", "compound"),
    )
)
_TIFF = frozenset(f"lazyzarr.tiff_{name}" for name in ("lzw", "packbits", "horizontal", "floating"))
_GRIB = "gribberish"

_ARRAY: dict[str, ArrayBuilder] = {
    "transpose": serial.transpose,
    "cast_value": cast_value,
    "scale_offset": scale_offset,
    "lazyzarr.unpack": values.unpack,
    "numcodecs.bitround": filters.bitround_in_front,
    "numcodecs.packbits": filters.packbits_in_front,
}
_SERIAL: dict[str, SerialBuilder] = {
    "bytes": serial.fixed,
    "vlen-utf8": partial(serial.vlen, text=True),
    "vlen-bytes": partial(serial.vlen, text=False),
}
_BYTES: dict[str, BytesBuilder] = {
    "gzip": bounded.gzip,
    "zstd": bounded.zstd,
    "blosc": bounded.blosc,
    "crc32c": checksums.crc32c,
    "numcodecs.zlib": bounded.deflate,
    "numcodecs.gzip": bounded.gzip,
    "numcodecs.zstd": bounded.zstd,
    "numcodecs.blosc": bounded.blosc,
    "numcodecs.lz4": bounded.lz4,
    "numcodecs.bz2": bounded.bzip2,
    "numcodecs.lzma": bounded.xz,
    "numcodecs.crc32c": checksums.crc32c,
    "numcodecs.crc32": checksums.crc32,
    "numcodecs.adler32": checksums.adler32,
    "numcodecs.jenkins_lookup3": checksums.lookup3,
    "numcodecs.fletcher32": checksums.fletcher32,
    "numcodecs.shuffle": filters.shuffle,
    "numcodecs.bitround": filters.bitround_behind,
    "numcodecs.packbits": filters.packbits_behind,
}
for _name in ("delta", "fixedscaleoffset", "quantize", "astype"):
    _ARRAY[f"numcodecs.{_name}"] = filters.in_front(_name)
    _BYTES[f"numcodecs.{_name}"] = filters.behind(_name)


def register(name: str, decoder: Callable[..., Any], *, place: Place = "bytes_to_bytes") -> None:
    """Let this process decode one more codec; a document cannot.

    Parameters
    ----------
    name
        As it stands in the codec chain. Names of the table cannot be replaced.
    decoder
        ``decoder(data, configuration, limit) -> bytes`` for ``bytes_to_bytes``, where the result may not be longer
        than `limit`; ``decoder(data, configuration, shape, dtype) -> ndarray`` for the other places.
    place
        Where in a chain the codec stands.

    Raises
    ------
    UnsupportedFeature
        ``codec-unknown`` for ``pickle``, and for names that are in the table.
    """
    if name in _FORBIDDEN or name == SHARDING or is_known(name):
        why = "it runs what it decodes" if name in _FORBIDDEN else "it is in the table already"
        raise UnsupportedFeature(
            f"codec {name!r} cannot be registered; {why}; choose another name", reason="codec-unknown"
        )
    if place == "bytes_to_bytes":
        _BYTES[name] = partial(_foreign_bytes, name, decoder)
    elif place == "array_to_bytes":
        _SERIAL[name] = partial(_foreign_serial, name, decoder)
    else:
        _ARRAY[name] = partial(_foreign_array, name, decoder)


def register_from_zarr(name: str) -> None:
    """Let this process decode a codec through the class zarr-python has registered for it.

    For codecs without a decoder here, such as ``numcodecs.pcodec``. The class is trusted with the bytes: sizes are
    checked only after it has decoded.
    """
    if name in _FORBIDDEN:
        register(name, _refuse)
    place, decoder = import_module("lazyzarr.codecs.zarr_fence").decoder(name)
    register(name, decoder, place=place)


def unregister(name: str) -> None:
    """Forget a decoder that `register` added; chains that were compiled with it keep it."""
    for table in (_ARRAY, _SERIAL, _BYTES):
        builder = table.get(name)
        if isinstance(builder, partial) and builder.func in (_foreign_array, _foreign_serial, _foreign_bytes):
            del table[name]


def is_known(name: str) -> bool:
    """Whether a codec of this name can be decoded, in some place of a chain.

    Examples
    --------
    >>> is_known("zstd"), is_known("numcodecs.pickle")
    (True, False)
    """
    return (
        name == SHARDING or name in _HDF5 or name in _TIFF or any(name in table for table in (_ARRAY, _SERIAL, _BYTES))
    )


def is_serializer(name: str) -> bool:
    """Whether the codec turns cells into bytes."""
    return name in (SHARDING, _GRIB) or name in _SERIAL


def array_stage(codec: NamedConfig, cells: Cells) -> ArrayStage:
    """The array-to-array codec of this name."""
    return _find(_ARRAY, codec.name, "in front of the array-to-bytes codec")(codec.configuration, cells)


def serializer(codec: NamedConfig, cells: Cells) -> Serializer:
    """The array-to-bytes codec of this name."""
    if codec.name == _GRIB:
        decoder = import_module("lazyzarr.codecs.grib_messages").decode
        return _foreign_serial(codec.name, decoder, codec.configuration, cells)
    return _find(_SERIAL, codec.name, "as the array-to-bytes codec")(codec.configuration, cells)


def bytes_stage(codec: NamedConfig, size: Size, cells: Cells) -> BytesStage:
    """The bytes-to-bytes codec of this name."""
    if codec.name in _HDF5:
        return _hdf5(codec, size, cells)
    if codec.name in _TIFF:
        module = import_module("lazyzarr.codecs.tiff_filters")
        stage = _foreign_bytes(codec.name, module.DECODERS[codec.name], codec.configuration, size, cells)
        return BytesStage(stage.decode, stage.encode, size) if codec.name in module.SAME_LENGTH else stage
    return _find(_BYTES, codec.name, "behind the array-to-bytes codec")(codec.configuration, size, cells)


def _find[Builder](table: dict[str, Builder], name: str, place: str) -> Builder:
    builder = table.get(name)
    if builder is not None:
        return builder
    if is_known(name):
        raise invalid(name, f"it stands {place}; it belongs elsewhere in the chain")
    advice = "it is never decoded" if name in _FORBIDDEN else "register a decoder for it if you trust the source"
    raise UnsupportedFeature(f"codec {name!r} has no decoder here; {advice}", reason="codec-unknown")


def _hdf5(codec: NamedConfig, size: Size, cells: Cells) -> BytesStage:
    """A filter of HDF5; their module needs an optional dependency, and is imported only for them."""
    module = import_module("lazyzarr.codecs.hdf5_filters")
    stored: Callable[[Configuration, int], int] | None = module.STORED_NBYTES.get(codec.name)
    stage = _foreign_bytes(codec.name, module.DECODERS[codec.name], codec.configuration, size, cells)
    if stored is None:
        return stage
    encoded = Size(stored(codec.configuration, size.limit), size.exact)
    return BytesStage(stage.decode, stage.encode, encoded)


def _refuse(*_: object) -> None:
    raise AssertionError("never registered")


def _foreign_bytes(
    name: str, decoder: Callable[..., Any], configuration: Configuration, size: Size, cells: Cells
) -> BytesStage:
    def decode(data: Bytes) -> Bytes:
        found = octets(decoder(data, configuration, size.limit))
        size.check(len(found), name)
        return found

    return BytesStage(decode, None, size.compressed())


def _foreign_serial(name: str, decoder: Callable[..., Any], configuration: Configuration, cells: Cells) -> Serializer:
    def decode(data: Bytes) -> Array:
        return _shaped(name, decoder(data, configuration, cells.shape, cells.dtype), cells)

    return Serializer(decode, None, Size(cells.nbytes, exact=False).compressed())


def _foreign_array(name: str, decoder: Callable[..., Any], configuration: Configuration, cells: Cells) -> ArrayStage:
    def decode(array: Array) -> Array:
        return _shaped(name, decoder(array, configuration, cells.shape, cells.dtype), cells)

    return ArrayStage(decode, None, cells)


def _shaped(name: str, array: Array, cells: Cells) -> Array:
    if array.shape != cells.shape or array.dtype != cells.dtype:
        raise invalid(name, f"its decoder gave {array.dtype}{array.shape} for a chunk of {cells.dtype}{cells.shape}")
    return array
