"""Checksums that are stored beside the bytes they guard.

Owns crc32c, and crc32, adler32, lookup3 and fletcher32 as numcodecs and HDF5 store them: four bytes, little
endian, in front or behind. Refuses to hand on bytes whose checksum does not match.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import google_crc32c
import numpy as np
from numcodecs.fletcher32 import Fletcher32
from numcodecs.jenkins import jenkins_lookup3

from lazyzarr.codecs.stages import (
    Array,
    Bytes,
    BytesStage,
    Cells,
    Configuration,
    Size,
    integer,
    invalid,
    malformed,
    wrong_length,
)
from lazyzarr.errors import ChunkChecksumError

_FLETCHER = Fletcher32()


def crc32c(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """CRC-32C behind the bytes (the codec of Zarr v3; numcodecs has it with a choice of place)."""

    def value(data: Bytes) -> int:
        return google_crc32c.value(np.frombuffer(data, np.uint8))  # it takes arrays, and no memoryview

    return _stage("crc32c", value, size, configuration.get("location") or "end")


def crc32(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """CRC-32 of zlib."""
    return _stage("crc32", zlib.crc32, size, configuration.get("location") or "start")


def adler32(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """Adler-32 of zlib."""
    return _stage("adler32", zlib.adler32, size, configuration.get("location") or "start")


def lookup3(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """Bob Jenkins' lookup3, as HDF5 computes it."""
    seed = integer("jenkins_lookup3", configuration, "initval", 0)
    if configuration.get("prefix") is not None or not 0 <= seed < 1 << 32:
        raise invalid("jenkins_lookup3", "a prefix, or an initval beyond 32 bits, has no reader here")
    return _stage("jenkins_lookup3", lambda data: jenkins_lookup3(np.frombuffer(data, np.uint8), seed), size, "end")


def fletcher32(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """Fletcher-32, as HDF5 and numcodecs compute it."""

    def value(data: Bytes) -> int:
        if not len(data):
            return 0
        return int.from_bytes(_FLETCHER.encode(np.frombuffer(data, np.uint8))[-4:], "little")

    return _stage("fletcher32", value, size, "end")


def _stage(codec: str, value: Callable[[Bytes], int], size: Size, location: object) -> BytesStage:
    if location not in ("start", "end"):
        raise invalid(codec, f"location is {location!r}; it is 'start' or 'end'")
    encoded = Size(size.limit + 4, size.exact)
    first = location == "start"

    def decode(data: Bytes) -> Bytes:
        length = len(data)
        if length < 4:
            raise malformed(codec, f"{length} bytes hold no checksum")
        if length > encoded.limit or (encoded.exact and length != encoded.limit):
            raise wrong_length(codec, length, encoded.limit)
        view = memoryview(data)
        body, stored = (view[4:], view[:4]) if first else (view[:-4], view[-4:])
        if value(body) & 0xFFFFFFFF != int.from_bytes(stored, "little"):
            raise ChunkChecksumError(
                f"{codec}: the stored checksum is {bytes(stored).hex()}; that of the {length - 4} bytes is another; "
                "the chunk was damaged in storage or in transfer"
            )
        return body

    def encode(data: Bytes) -> bytes:
        stored = (value(data) & 0xFFFFFFFF).to_bytes(4, "little")
        return stored + bytes(data) if first else bytes(data) + stored

    def into(data: Bytes, out: Array) -> None:
        out[:] = np.frombuffer(decode(data), np.uint8)

    return BytesStage(decode, encode, encoded, into if size.exact else None, is_checksum=True)
