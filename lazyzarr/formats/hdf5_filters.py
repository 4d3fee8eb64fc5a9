"""From HDF5 filter pipelines to codec chains.

Owns the table of filter numbers: which codec undoes each and what of the client data the codec needs. Also
owns the per-chunk filter masks: a set bit drops that filter's codec from the chain of that chunk. Refuses, by
number and name, filters without a decoder here.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from lazyzarr.errors import UnsupportedFeature
from lazyzarr.formats.hdf5_types import CellType
from lazyzarr.ir.layout import Json, NamedConfig

Values = Sequence[int]
Codec = NamedConfig | None
_ZFP = 32013
_BLOSC_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")


class Filter(NamedTuple):
    """One entry of a pipeline, in the order of writing."""

    number: int
    values: tuple[int, ...]
    name: str


def chain(cell: CellType, filters: tuple[Filter, ...], mask: int = 0) -> tuple[NamedConfig, ...]:
    """Codec chain, in encoding order, of a chunk whose filters in `mask` were skipped.

    Raises
    ------
    UnsupportedFeature
        ``source-unsupported`` naming a filter that has no decoder.
    """
    codecs = [_serializer(cell), *cell.fixups]
    for position, one in enumerate(filters):
        if not mask >> position & 1:
            if one.number == _ZFP and cell.endian == "big":
                raise _refused(one, "is used on big-endian numbers, which its plugin cannot read either")
            codec = _codec(one)
            if codec is not None:
                codecs.append(codec)
    return tuple(codecs)


def _serializer(cell: CellType) -> NamedConfig:
    if cell.heap:  # its cells are taken out of the heap and kept as an array does
        return NamedConfig("vlen-utf8")
    return NamedConfig("bytes", {} if cell.endian is None else {"endian": cell.endian})


@lru_cache(maxsize=4096)
def _codec(one: Filter) -> Codec:
    build = _TABLE.get(one.number)
    try:
        if build is not None:
            return build(one.values)
    except (IndexError, ValueError):
        raise _refused(one, f"has client data {list(one.values)} that its format does not define") from None
    raise _refused(one, "has no decoder here")


def _refused(one: Filter, what: str) -> UnsupportedFeature:
    name = f" ({one.name})" if one.name else ""
    return UnsupportedFeature(
        f"HDF5 filter {one.number}{name} {what}; rewrite the variable with gzip, zstd, blosc or another filter of"
        " the table in spec/, for example with h5repack",
        reason="source-unsupported",
    )


def _deflate(values: Values) -> Codec:
    return NamedConfig("numcodecs.zlib", {"level": values[0]})


def _shuffle(values: Values) -> Codec:
    return NamedConfig("numcodecs.shuffle", {"elementsize": values[0]}) if values[0] > 1 else None


def _fletcher32(_values: Values) -> Codec:
    return NamedConfig("numcodecs.fletcher32")


def _szip(values: Values) -> Codec:
    mask, block, bits, scanline = values[:4]
    return NamedConfig(
        "lazyzarr.hdf5_szip",
        {"options_mask": mask, "pixels_per_block": block, "bits_per_pixel": bits, "pixels_per_scanline": scanline},
    )


def _nbit(values: Values) -> Codec:
    if values[1]:  # "need not compress": the filter left the bytes alone
        return None
    return NamedConfig("lazyzarr.hdf5_nbit", {"parameters": list(values)})


def _scaleoffset(values: Values) -> Codec:
    if len(values) < 20 or values[0] == 1:  # 1 is E-scaling, which no HDF5 release can write or read
        raise ValueError
    return NamedConfig("lazyzarr.hdf5_scaleoffset", {"parameters": list(values)})


def _bzip2(values: Values) -> Codec:
    return NamedConfig("numcodecs.bz2", {"level": values[0] if values else 9})


def _blosc(values: Values) -> Codec:
    config: dict[str, Json] = {"cname": "blosclz", "clevel": 5, "shuffle": 1, "blocksize": 0}
    config["typesize"] = values[2]
    if len(values) > 5:
        config["clevel"], config["shuffle"] = values[4], values[5]
    if len(values) > 6:
        config["cname"] = _BLOSC_COMPRESSORS[values[6]]
    return NamedConfig("numcodecs.blosc", config)


def _bitshuffle(values: Values) -> Codec:
    compression = {0: None, 2: "lz4", 3: "zstd"}
    kind = values[4] if len(values) > 4 else 0
    if kind not in compression:
        raise ValueError
    block = values[3] if len(values) > 3 else 0
    return NamedConfig(
        "lazyzarr.hdf5_bitshuffle", {"elementsize": values[2], "blocksize": block, "compressor": compression[kind]}
    )


def _zstd(values: Values) -> Codec:
    return NamedConfig("numcodecs.zstd", {"level": values[0] if values else 3})


def _zfp(values: Values) -> Codec:
    # H5Z-ZFP keeps the stream header, 32 bits a word, behind one word of versions; chunks hold only the body
    header = b"".join(struct.pack("<I", word) for word in values[1:])
    if header[:3] != b"zfp":
        raise ValueError
    return NamedConfig("lazyzarr.hdf5_zfp", {"header": base64.b64encode(header).decode()})


def _plain(name: str) -> Callable[[Values], Codec]:
    def build(_values: Values) -> Codec:
        return NamedConfig(name)

    return build


_TABLE: dict[int, Callable[[Values], Codec]] = {
    1: _deflate,
    2: _shuffle,
    3: _fletcher32,
    4: _szip,
    5: _nbit,
    6: _scaleoffset,
    307: _bzip2,
    32000: _plain("lazyzarr.hdf5_lzf"),
    32001: _blosc,
    32004: _plain("lazyzarr.hdf5_lz4"),
    32008: _bitshuffle,
    _ZFP: _zfp,
    32015: _zstd,
    32026: _plain("lazyzarr.hdf5_blosc2"),
}
