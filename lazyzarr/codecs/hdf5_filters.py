"""Decoders of the HDF5 filters that no general codec library frames as HDF5 does.

Owns the framing: lengths, block tables and bit streams are read and checked here, against the declared size of the
chunk, before compressed blocks go to native code. Also owns the repairs of stored cells that HDF5 leaves to its type
conversion: partial precision, ends of fixed text, padded compounds. Refuses to produce more than the declared size.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Buffer, Callable, Mapping
from typing import Any, NamedTuple

import imagecodecs
import numpy as np

from lazyzarr.codecs.hdf5_bits import nbit, precision, scaleoffset
from lazyzarr.errors import ChunkDecodeError, ChunkTooLarge, LazyZarrError

Configuration = Mapping[str, Any]
Decoder = Callable[[Buffer, Configuration, int], Buffer]

_LZ4 = struct.Struct(">QI")
_BLOCK = struct.Struct(">I")
_BITSHUFFLE_TARGET = 8192
_FRAME = b"\x9e\xa8b2frame\x00"
_FRAME_FIXED = 87
_CHUNK_HEADER = struct.Struct("<4B3I")
_MEMBER = re.compile(r"[<>|]([biufcSV]\d{1,8}|[mM]8(\[\w+\])?)")
_WRONG_CONFIGURATION = (KeyError, TypeError, ValueError, IndexError, ArithmeticError, struct.error)
_SPECIAL_ZEROS, _SPECIAL_UNINIT = 1, 4


def lzf(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """LZF: one block, its size is that of the chunk."""
    return _native("lzf", imagecodecs.lzf_decode, data, out=out_nbytes)


def szip(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """SZIP: the decoded size in 4 bytes, then one extended-Rice stream."""
    view = _view(data)
    if view.nbytes < 4:
        raise _malformed("szip", "the chunk is shorter than its header")
    _declared("szip", int.from_bytes(view[:4], "little"), out_nbytes)
    parameters = (
        configuration[key] for key in ("options_mask", "pixels_per_block", "bits_per_pixel", "pixels_per_scanline")
    )
    return _native("szip", imagecodecs.szip_decode, view, *parameters, header=True, out=out_nbytes)


def lz4(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """LZ4: total and block size, then blocks behind their lengths; a block that did not shrink is stored as it is."""
    view = _view(data)
    total, block = _header("lz4", view, out_nbytes)
    out = bytearray()
    place = _LZ4.size
    while len(out) < total:
        want = min(block, total - len(out))
        piece, place = _piece("lz4", view, place)
        out += piece if piece.nbytes == want else _block("lz4", imagecodecs.lz4_decode, piece, want)
    return out


def bitshuffle(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """Bitshuffle alone, or over blocks of LZ4 or Zstandard; a tail of fewer than eight cells is stored as it is."""
    view = _view(data)
    cell, compressor = configuration["elementsize"], configuration.get("compressor")
    if not isinstance(cell, int) or cell < 1:
        raise _malformed("bitshuffle", f"its element size is {cell!r}")
    if compressor is None:
        _declared("bitshuffle", view.nbytes, out_nbytes)
        block, total, place = configuration.get("blocksize") or _default_block(cell), view.nbytes, 0
    else:
        total, nbytes = _header("bitshuffle", view, out_nbytes)
        block, place = nbytes // cell or _default_block(cell), _LZ4.size
    if block % 8:
        raise _malformed("bitshuffle", f"its block size of {block} cells is no multiple of 8")
    decode = {"lz4": imagecodecs.lz4_decode, "zstd": imagecodecs.zstd_decode, None: None}[compressor]
    out = bytearray()
    cells = total // cell // 8 * 8
    while cells:
        count = min(block, cells)
        if decode is None:
            piece = view[place : place + count * cell]
            place += count * cell
        else:
            piece, place = _piece("bitshuffle", view, place)
            piece = _block("bitshuffle", decode, piece, count * cell)
        out += _native("bitshuffle", imagecodecs.bitshuffle_decode, piece, itemsize=cell, blocksize=count)
        cells -= count
    out += view[place : place + total - len(out)]
    if len(out) != total:
        raise _malformed("bitshuffle", "the chunk ends early")
    return out


def zfp(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """ZFP: the stream header is in the configuration, the body follows it bit by bit."""
    header = _zfp_header(base64.b64decode(configuration["header"]))
    if header.nbytes > out_nbytes:
        raise ChunkTooLarge(
            f"zfp: the header declares {header.nbytes} bytes; the layout declares {out_nbytes}; check the source"
        )
    view = _view(data)
    if view.nbytes * 8 < header.least_bits:
        raise _malformed("zfp", "the chunk ends early")
    # the decoder reads up to its own bound whatever the length, so the bytes up to there have to be ours
    body = bytes(view) + bytes(max(0, header.most_bits // 8 - view.nbytes) + 64)
    if header.bits % 8 == 0:
        stream = header.raw[: header.bits // 8] + body
    else:
        lead = int.from_bytes(header.raw, "little") & ((1 << header.bits) - 1)
        whole = lead | int.from_bytes(body, "little") << header.bits
        stream = whole.to_bytes(len(body) + len(header.raw) + 1, "little")
    cells = _native("zfp", imagecodecs.zfp_decode, stream)
    if cells.nbytes != header.nbytes:
        raise _malformed("zfp", "the decoded size is not the declared one")
    return np.ascontiguousarray(cells).data


class _ZfpHeader(NamedTuple):
    raw: bytes
    bits: int
    nbytes: int
    least_bits: int
    most_bits: int


def _zfp_header(raw: bytes) -> _ZfpHeader:
    """Sizes that a ZFP stream header declares: 32 bits of magic, 52 of shape and type, 12 or 64 of mode."""
    if raw[:3] != b"zfp" or len(raw) < 12:
        raise _malformed("zfp", "the header in the configuration is not one of ZFP")
    word = int.from_bytes(raw, "little") >> 32
    itemsize = (4, 8, 4, 8)[word & 3]
    rank = (word >> 2 & 3) + 1
    width = 48 // rank
    lengths = [(word >> 4 + axis * width & (1 << width) - 1) + 1 for axis in range(rank)]
    mode = word >> 52 & 0xFFF
    long = mode == 0xFFF
    if long and len(raw) < 20:
        raise _malformed("zfp", "the header in the configuration is cut")
    natural = 4**rank * (8 * itemsize + 1) + 64
    least, most = 0, natural
    if long:
        mode = word >> 64
        least, most = (mode & 0x7FFF) + 1, max((mode & 0x7FFF) + 1, min(natural, (mode >> 15 & 0x7FFF) + 1))
    elif mode < 2048:
        least = most = mode + 1
    blocks = math.prod(-(-length // 4) for length in lengths)
    # a last block may be cut where it ends in zeros, so one word of slack
    return _ZfpHeader(
        raw, 148 if long else 96, math.prod(lengths) * itemsize, max(0, blocks * least - 64), blocks * most
    )


def blosc2(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """Blosc2: a contiguous frame of one chunk, whose cells may be tiled (the metalayer ``b2nd``)."""
    view = _view(data)
    if view.nbytes < _FRAME_FIXED or bytes(view[:10]) != _FRAME:
        raise _malformed("blosc2", "the chunk is not a Blosc2 frame")
    header, plain, packed = (int.from_bytes(view[a:b], "big") for a, b in ((11, 15), (30, 38), (39, 47)))
    itemsize = int.from_bytes(view[48:52], "big")
    if header > view.nbytes or itemsize < 1:
        raise _malformed("blosc2", "the frame header is damaged")
    tiles = _tiles(bytes(view[_FRAME_FIXED:header]), itemsize)
    room = out_nbytes if tiles is None else max(out_nbytes, tiles.nbytes)
    if tiles is not None and tiles.nbytes > 2 * out_nbytes + (64 << 20):
        raise _too_large("blosc2", out_nbytes)
    _declared("blosc2", plain, room)
    if packed == 0:
        return _special(view[header:], out_nbytes)
    chunk = view[header:]
    if chunk.nbytes < 32:
        raise _malformed("blosc2", "the chunk ends early")
    *_, size, _, stored = _CHUNK_HEADER.unpack_from(chunk)
    _declared("blosc2", size, room)
    if stored > chunk.nbytes:
        raise _malformed("blosc2", "the chunk ends early")
    flat = _native("blosc2", imagecodecs.blosc2_decode, chunk[:stored])
    return flat if tiles is None else tiles.restore(flat, out_nbytes)


class _Tiles(NamedTuple):
    """Order of cells inside a ``b2nd`` chunk: block by block, each block in C order, padded at the edge."""

    chunk: tuple[int, ...]
    block: tuple[int, ...]
    itemsize: int

    @property
    def nbytes(self) -> int:
        return math.prod(-(-c // b) * b for c, b in zip(self.chunk, self.block, strict=True)) * self.itemsize

    def restore(self, flat: Buffer, out_nbytes: int) -> Buffer:
        if memoryview(flat).nbytes != self.nbytes or math.prod(self.chunk) * self.itemsize > out_nbytes:
            raise _malformed("blosc2", "the tiles do not make up the chunk")
        rank = len(self.chunk)
        counts = [-(-c // b) for c, b in zip(self.chunk, self.block, strict=True)]
        cells = np.frombuffer(flat, np.dtype((np.void, self.itemsize))).reshape(*counts, *self.block)
        order = [axis for pair in zip(range(rank), range(rank, 2 * rank), strict=True) for axis in pair]
        whole = cells.transpose(order).reshape([n * b for n, b in zip(counts, self.block, strict=True)])
        return np.ascontiguousarray(whole[tuple(slice(c) for c in self.chunk)]).view(np.uint8).data


def _tiles(meta: bytes, itemsize: int) -> _Tiles | None:
    """The ``b2nd`` metalayer: msgpack of version, rank, shape, chunk shape, block shape."""
    start = meta.find(b"\x97\x00", 0)
    if b"b2nd" not in meta or start < 0:
        return None
    rank = meta[start + 2]
    place = start + 3
    shapes: list[tuple[int, ...]] = []
    for width in (9, 5, 5):
        if meta[place] != 0x90 + rank:
            raise _malformed("blosc2", "its metalayer is damaged")
        place += 1
        shapes.append(
            tuple(int.from_bytes(meta[place + i * width + 1 : place + (i + 1) * width], "big") for i in range(rank))
        )
        place += rank * width
    _, chunk, block = shapes
    if not all(0 < b <= max(c, 1) for b, c in zip(block, chunk, strict=True)):
        raise _malformed("blosc2", "its metalayer is damaged")
    return None if math.prod(block) == math.prod(chunk) else _Tiles(chunk, block, itemsize)


def _special(index: memoryview, out_nbytes: int) -> Buffer:
    """A frame without chunk bytes: its offset index says which constant the chunk is."""
    if index.nbytes < 32:
        raise _malformed("blosc2", "the frame has neither a chunk nor an index")
    *_, size, _, stored = _CHUNK_HEADER.unpack_from(index)
    if size != 8 or stored > index.nbytes:
        raise _malformed("blosc2", "the frame does not hold one chunk")
    offset = bytes(_native("blosc2", imagecodecs.blosc2_decode, index[:stored]))
    if offset[7] & 0x80 and offset[7] & 0x7F in (_SPECIAL_ZEROS, _SPECIAL_UNINIT):
        return bytes(out_nbytes)
    raise _malformed(
        "blosc2", f"the frame holds a special chunk of kind {offset[7]:#x}, which the filter does not write"
    )


def fixed_text(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """Fixed-length text made NUL-padded: HDF5 ends it at the first NUL, or drops trailing spaces."""
    cells = _cells("string", data, configuration["elementsize"], out_nbytes)
    if configuration["end"] == "space":
        keep = np.cumsum(cells[:, ::-1] != ord(" "), axis=1, dtype=np.uint32)[:, ::-1] > 0
    else:
        keep = np.cumsum(cells == 0, axis=1, dtype=np.uint32) == 0
    return np.where(keep, cells, np.uint8(0)).data


def compound(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """Members at any offset and of either byte order, packed in little-endian order."""
    fields = [(int(offset), _member(text)) for offset, text in configuration["fields"]]
    names = [f"f{number}" for number in range(len(fields))]
    packed = np.dtype([(name, dtype.newbyteorder("<")) for name, (_, dtype) in zip(names, fields, strict=True)])
    spread = np.dtype(
        {
            "names": names,
            "formats": [dtype for _, dtype in fields],
            "offsets": [offset for offset, _ in fields],
            "itemsize": configuration["itemsize"],
        }
    )
    view = _view(data)
    if view.nbytes % spread.itemsize or view.nbytes // spread.itemsize * packed.itemsize != out_nbytes:
        raise _malformed("compound", f"{view.nbytes} bytes are not {out_nbytes // packed.itemsize} cells")
    source = np.frombuffer(view, spread)
    out = np.empty(len(source), packed)
    for name in names:
        out[name] = source[name]
    return out.view(np.uint8).data


def _member(text: object) -> np.dtype[Any]:
    """A NumPy type of fixed size; never one that holds objects."""
    if not isinstance(text, str) or _MEMBER.fullmatch(text) is None:
        raise _malformed("compound", f"{text!r} is no type of a member")
    return np.dtype(text)


_DECODERS: Mapping[str, Decoder] = {
    "lazyzarr.hdf5_lzf": lzf,
    "lazyzarr.hdf5_szip": szip,
    "lazyzarr.hdf5_scaleoffset": scaleoffset,
    "lazyzarr.hdf5_nbit": nbit,
    "lazyzarr.hdf5_precision": precision,
    "lazyzarr.hdf5_string": fixed_text,
    "lazyzarr.hdf5_compound": compound,
    "lazyzarr.hdf5_lz4": lz4,
    "lazyzarr.hdf5_bitshuffle": bitshuffle,
    "lazyzarr.hdf5_blosc2": blosc2,
    "lazyzarr.hdf5_zfp": zfp,
}


def _guarded(name: str, decode: Decoder) -> Decoder:
    """The decoder; a configuration without a needed member, or of another type, is an error of ours."""

    def guarded(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
        try:
            return decode(data, configuration, out_nbytes)
        except _WRONG_CONFIGURATION as error:
            if isinstance(error, LazyZarrError):
                raise
            raise _malformed(name, f"its configuration does not fit: {error!r}") from error

    return guarded


DECODERS: Mapping[str, Decoder] = {name: _guarded(name, decode) for name, decode in _DECODERS.items()}
"""Codec name -> ``decode(data, configuration, out_nbytes)``."""


def _compound_stored(configuration: Configuration, nbytes: int) -> int:
    packed = sum(np.dtype(text).itemsize for _, text in configuration["fields"])
    return nbytes // packed * configuration["itemsize"]


def _same(configuration: Configuration, nbytes: int) -> int:
    return nbytes


STORED_NBYTES: Mapping[str, Callable[[Configuration, int], int]] = {
    "lazyzarr.hdf5_precision": _same,
    "lazyzarr.hdf5_string": _same,
    "lazyzarr.hdf5_compound": _compound_stored,
}
"""Codecs whose input has a known size: ``(configuration, decoded size) -> encoded size`` [bytes]. Others compress."""


def _view(data: Buffer) -> memoryview:
    view = memoryview(data)
    return view.cast("B") if view.nbytes else memoryview(b"")


def _cells(codec: str, data: Buffer, itemsize: int, out_nbytes: int) -> np.ndarray:
    view = _view(data)
    if view.nbytes != out_nbytes or view.nbytes % itemsize:
        raise _malformed(codec, f"{view.nbytes} bytes are not {out_nbytes // itemsize} cells")
    return np.frombuffer(view, np.uint8).reshape(-1, itemsize)


def _header(codec: str, view: memoryview, out_nbytes: int) -> tuple[int, int]:
    if view.nbytes < _LZ4.size:
        raise _malformed(codec, "the chunk is shorter than its header")
    total, block = _LZ4.unpack_from(view)
    _declared(codec, total, out_nbytes)
    if block == 0 and total and codec == "lz4":
        raise _malformed(codec, "its block size is 0")
    return total, block


def _piece(codec: str, view: memoryview, place: int) -> tuple[memoryview, int]:
    """One block behind its length, and the place after it."""
    if place + 4 > view.nbytes:
        raise _malformed(codec, "the chunk ends early")
    (length,) = _BLOCK.unpack_from(view, place)
    piece = view[place + 4 : place + 4 + length]
    if piece.nbytes != length:
        raise _malformed(codec, "the chunk ends early")
    return piece, place + 4 + length


def _block(codec: str, decode: Callable[..., Any], piece: memoryview, want: int) -> Buffer:
    out = _native(codec, decode, piece, out=want)
    if memoryview(out).nbytes != want:
        raise _malformed(codec, f"a block decodes to {memoryview(out).nbytes} bytes instead of {want}")
    return out


def _default_block(cell: int) -> int:
    """Cells per block where the writer named none, as the bitshuffle library chooses."""
    return max(_BITSHUFFLE_TARGET // cell // 8 * 8, 128)


def _declared(codec: str, nbytes: int, out_nbytes: int) -> None:
    if nbytes > out_nbytes:
        raise _too_large(codec, out_nbytes)


def _native(codec: str, decode: Callable[..., Any], data: Buffer, *args: Any, **kwargs: Any) -> Any:
    try:
        return decode(data, *args, **kwargs)
    except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise _malformed(codec, error) from error


def _malformed(codec: str, what: object) -> ChunkDecodeError:
    return ChunkDecodeError(f"{codec}: the bytes are not what the HDF5 filter writes; {what}; check the source")


def _too_large(codec: str, out_nbytes: int) -> ChunkTooLarge:
    return ChunkTooLarge(f"{codec}: the chunk would decode to more than its {out_nbytes} bytes; check the source")
