"""Decompressors that never produce more than the declared size of a chunk.

Owns gzip, zlib, bz2, lzma, zstd, blosc and lz4. Containers that declare their size are measured before native
code sees them; streams are cut off at the first byte beyond the limit. Refuses to trust any header: a declared
size that is not the layout's is an error, and nothing is allocated for it.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numcodecs.blosc as _blosc
import numcodecs.lz4 as _lz4
import numcodecs.zstd as _zstd
import numpy as np

from lazyzarr.codecs.inflating import inflate
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
    too_large,
)
from lazyzarr.errors import ChunkError

# The pool of the C library is global and takes a lock; the reader has threads of its own (zarr does the same).
_blosc.use_threads = False

_WINDOW = 1 << 14
_MEMORY = (66 << 20, 2)
"""What an lzma decoder may reserve: the dictionary of preset 9, plus twice the chunk."""
_ZSTD_MAGIC, _ZSTD_SKIPPABLE = 0xFD2FB528, 0x184D2A50
_ZSTD_BLOCK = 1 << 17
_BLOSC_HEADER = struct.Struct("<BBBBIII")
_BLOSC_SCRATCH = 64 << 20
_U32 = struct.Struct("<I")

_NATIVE_ERRORS = (RuntimeError, ValueError, struct.error, IndexError)
_STREAM_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: Bytes, max_length: int, /) -> bytes: ...


def streams(codec: str, start: Callable[[], _Stream], data: Bytes, size: Size, *, trailing: bool = False) -> bytes:
    """Decode one compressed stream, or several end to end, up to the limit.

    ``trailing`` ignores what follows the first stream, as `zlib.decompress` and HDF5 do.
    """
    try:
        stream = start()
        out = stream.decompress(data, size.limit + 1)  # one more than allowed, so that excess shows
        if len(out) > size.limit:
            raise too_large(codec, None, size.limit)
        if not stream.eof:
            raise malformed(codec, "the stream ends early")
        rest = stream.unused_data
        del stream  # with its dictionary, before the next one takes its own
        if rest and not trailing:
            out += _further(codec, start, memoryview(rest), size.limit - len(out))
    except ChunkError:
        raise
    except _STREAM_ERRORS as error:
        raise malformed(codec, error) from error
    size.check(len(out), codec)
    return out


def _further(codec: str, start: Callable[[], _Stream], data: memoryview, room: int) -> bytes:
    """The streams after the first, read in windows: each stream copies what it leaves unread."""
    parts: list[bytes] = []
    while data:
        if data[0] == 0:  # gzip writers may pad with zeros; no stream starts with one
            if data.nbytes != bytes(data).count(0):
                raise malformed(codec, "padding is followed by other bytes")
            break
        stream = start()
        while not stream.eof:
            if not data:
                raise malformed(codec, "a stream ends early")
            piece = data[:_WINDOW]
            part = stream.decompress(piece, room + 1)
            room -= len(part)
            if room < 0:
                raise too_large(codec, None, room)
            parts.append(part)
            data = data[len(piece) - len(stream.unused_data) :]
        del stream
    return b"".join(parts)


def gzip(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """gzip, with any number of members."""
    level = integer("gzip", configuration, "level", 1)
    start = partial(zlib.decompressobj, 31)

    def encode(data: Bytes) -> bytes:
        writer = zlib.compressobj(level, wbits=31)
        return writer.compress(data) + writer.flush()

    def decode(data: Bytes) -> bytes:
        return streams("gzip", start, data, size)

    def probe(data: Bytes) -> None:
        # a stream of one member ends with the length of its content; one of several is seldom, and decoded to be sure
        if bytes(data[:2]) != b"\x1f\x8b" or int.from_bytes(data[-4:], "little") != size.limit & 0xFFFFFFFF:
            decode(data)

    return BytesStage(decode, encode, size.compressed(), probe=probe)


def deflate(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """zlib (the deflate filter of HDF5)."""
    level = integer("zlib", configuration, "level", 1)
    start = partial(zlib.decompressobj, 15)

    def decode(data: Bytes) -> Bytes:
        found = inflate(data, size.limit) if size.exact else None
        return streams("zlib", start, data, size, trailing=True) if found is None else found.data

    def into(data: Bytes, out: Array) -> None:
        if inflate(data, size.limit, out) is None:
            out[:] = np.frombuffer(streams("zlib", start, data, size, trailing=True), np.uint8)

    return BytesStage(decode, lambda data: zlib.compress(data, level), size.compressed(), into if size.exact else None)


def bzip2(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """bzip2."""
    level = integer("bz2", configuration, "level", 1)
    return BytesStage(
        lambda data: streams("bz2", bz2.BZ2Decompressor, data, size),
        lambda data: bz2.compress(data, level),
        size.compressed(),
    )


def xz(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """lzma: xz, alone, or raw with its filters in the configuration."""
    form = integer("lzma", configuration, "format", 1)
    check = integer("lzma", configuration, "check", -1)
    preset, filters = configuration.get("preset"), configuration.get("filters")
    memory = _MEMORY[0] + _MEMORY[1] * size.limit
    if form == lzma.FORMAT_RAW:
        for one in filters if isinstance(filters, list) else ():
            if isinstance(one, dict) and isinstance(one.get("dict_size", 0), int) and one.get("dict_size", 0) > memory:
                raise invalid("lzma", f"a dictionary of {one['dict_size']} bytes is over the {memory} that fit a chunk")
        start = partial(lzma.LZMADecompressor, form, filters=filters)
    else:
        start = partial(lzma.LZMADecompressor, form, memlimit=memory)
    try:
        start()
    except (ValueError, TypeError, OverflowError, lzma.LZMAError) as error:
        raise invalid("lzma", f"format {form} with filters {filters!r} is not valid: {error}") from error

    def encode(data: Bytes) -> bytes:
        return lzma.compress(data, format=form, check=check, preset=preset, filters=filters)

    return BytesStage(lambda data: streams("lzma", start, data, size), encode, size.compressed())


def zstd_content(data: Bytes) -> tuple[int, bool]:
    """Content of all zstd frames [bytes], and whether the headers say so.

    Where a frame does not declare its content, its blocks are counted at their largest.

    Examples
    --------
    >>> zstd_content(_zstd.compress(b"x" * 1000))
    (1000, True)
    """
    end, at, total, declared = len(data), 0, 0, True
    while at < end:
        (magic,) = _U32.unpack_from(data, at)
        if magic & 0xFFFFFFF0 == _ZSTD_SKIPPABLE:
            at += 8 + _U32.unpack_from(data, at + 4)[0]
            continue
        if magic != _ZSTD_MAGIC:
            raise ValueError("this is not a zstd frame")
        descriptor = data[at + 4]
        single = descriptor >> 5 & 1
        width = (single, 2, 4, 8)[descriptor >> 6]
        at += 6 - single + (0, 1, 2, 4)[descriptor & 3]
        content = int.from_bytes(data[at : at + width], "little") + (256 if width == 2 else 0)
        at += width
        largest = 0
        while True:
            header = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            kind, length = header >> 1 & 3, header >> 3
            at += 4 if kind == 1 else 3 + length
            largest += length if kind < 2 else _ZSTD_BLOCK
            if header & 1:
                break
        at += descriptor & 4
        declared &= width > 0
        total += content if width else largest
    if at != end:
        raise ValueError("the frame ends early")
    return total, declared


def zstd(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """Zstandard: one frame or several, content size declared or not."""
    level = integer("zstd", configuration, "level", 0)
    checksum = bool(configuration.get("checksum", False))
    limit, exact = size

    def decode(data: Bytes) -> Bytes:
        try:
            content, declared = zstd_content(data)
            if declared:
                if content == limit or (content < limit and not exact):
                    return _zstd.decompress(data)
                size.check(content, "zstd")
            if exact:
                out = np.empty(limit, np.uint8)
                _zstd.decompress(data, out)  # without a declared size it has to fill the buffer exactly
                return out.data
            if content > 2 * limit + _BLOSC_SCRATCH:
                raise too_large("zstd", None, limit)
            found = _zstd.decompress(data)
        except ChunkError:
            raise
        except _NATIVE_ERRORS as error:
            raise malformed("zstd", error) from error
        size.check(len(found), "zstd")
        return found

    def into(data: Bytes, out: Array) -> None:
        try:
            content, declared = zstd_content(data)
            if declared:
                size.check(content, "zstd")
            _zstd.decompress(data, out)
        except ChunkError:
            raise
        except _NATIVE_ERRORS as error:
            raise malformed("zstd", error) from error

    def each_into(data: memoryview, lengths: Sequence[int], out: Array) -> bool:
        """Frames end to end are one input of the library, which sets up its state but once.

        Each chunk has to be whole frames of just its cells, so that none can take bytes or room of the next.
        """
        at = 0
        try:
            for length in lengths:
                content, declared = zstd_content(data[at : at + length])
                if not declared:
                    return False
                size.check(content, "zstd")
                at += length
            _zstd.decompress(data[:at], out)
            return True
        except ChunkError:
            raise
        except _NATIVE_ERRORS as error:
            raise malformed("zstd", error) from error

    def encode(data: Bytes) -> bytes:
        return _zstd.compress(data, level, checksum)

    def probe(data: Bytes) -> None:
        try:
            content, declared = zstd_content(data)
        except _NATIVE_ERRORS as error:
            raise malformed("zstd", error) from error
        if declared:
            size.check(content, "zstd")

    both = (into, each_into) if exact else (None, None)
    return BytesStage(decode, encode, size.compressed(), *both, probe=probe)


def blosc_content(data: Bytes, size: Size) -> int:
    """Content of a blosc container [bytes], its header checked against the bytes at hand."""
    if len(data) < 16:
        raise malformed("blosc", f"{len(data)} bytes are shorter than a header")
    _version, _codec, _flags, typesize, content, block, stored = _BLOSC_HEADER.unpack_from(data)
    size.check(content, "blosc")
    if not 16 <= stored <= len(data):
        raise malformed("blosc", f"the header declares {stored} bytes; there are {len(data)}")
    if typesize == 0 or (content and not 0 < block <= max(content, 256)):
        raise malformed("blosc", f"the header declares blocks of {block} bytes of type size {typesize}")
    if 3 * block > content + _BLOSC_SCRATCH:
        raise too_large("blosc", 3 * block + content, size.limit)
    return content


def blosc(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """Blosc 1 containers of any inner compressor."""
    shuffles = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
    shuffle = configuration.get("shuffle", 1)
    shuffle = shuffles.get(shuffle, 1) if isinstance(shuffle, str) else shuffle
    typesize = configuration.get("typesize") or max(cells.dtype.itemsize, 1)
    level = integer("blosc", configuration, "clevel", 5)
    blocks = integer("blosc", configuration, "blocksize", 0)
    name = configuration.get("cname", "lz4")
    if name not in ("lz4", "lz4hc", "blosclz", "snappy", "zlib", "zstd"):
        raise invalid("blosc", f"cname is {name!r}; it is one of lz4, lz4hc, blosclz, snappy, zlib, zstd")

    def decode(data: Bytes) -> bytes:
        blosc_content(data, size)
        try:
            return _blosc.decompress(data)
        except _NATIVE_ERRORS as error:
            raise malformed("blosc", error) from error

    def into(data: Bytes, out: Array) -> None:
        blosc_content(data, size)
        try:
            _blosc.decompress(data, out)
        except _NATIVE_ERRORS as error:
            raise malformed("blosc", error) from error

    def encode(data: Bytes) -> bytes:
        return _blosc.compress(data, name.encode(), level, shuffle, blocks, typesize)

    def probe(data: Bytes) -> None:
        blosc_content(data, size)

    return BytesStage(decode, encode, size.compressed(), into if size.exact else None, probe=probe)


def lz4(configuration: Configuration, size: Size, cells: Cells) -> BytesStage:
    """LZ4 blocks behind the four length bytes of numcodecs."""
    acceleration = integer("lz4", configuration, "acceleration", 1)

    def measure(data: Bytes) -> None:
        if len(data) < 4:
            raise malformed("lz4", f"{len(data)} bytes are shorter than a header")
        size.check(_U32.unpack_from(data)[0], "lz4")

    def decode(data: Bytes) -> bytes:
        measure(data)
        try:
            return _lz4.decompress(data)
        except _NATIVE_ERRORS as error:
            raise malformed("lz4", error) from error

    def into(data: Bytes, out: Array) -> None:
        measure(data)
        try:
            _lz4.decompress(data, out)
        except _NATIVE_ERRORS as error:
            raise malformed("lz4", error) from error

    return BytesStage(
        decode, lambda data: _lz4.compress(data, acceleration), size.compressed(), into if size.exact else None
    )
