"""HDF5 object headers, read from the bytes of the file.

Owns a second way to the attributes of an object, about ten times as fast as asking libhdf5 for one after the other,
which is most of the time of importing many small files: files of one series repeat their headers byte for byte,
so a message seen before needs no decoding. Also owns the key under which datasets that differ only in their place
are the same. Refuses everything unusual by handing back None (shared or dense
messages, unknown versions); the caller then asks libhdf5. Nothing is decided by this module alone: the
number of attributes has to be the one libhdf5 counts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_READ = 2048
_LARGEST = 1 << 20
_DATASPACE, _DATATYPE, _OLD_FILL, _FILL, _EXTERNAL, _LAYOUT = 0x01, 0x03, 0x04, 0x05, 0x07, 0x08
_FILTERS, _ATTRIBUTE, _CONTINUATION, _ATTRIBUTE_INFO = 0x0B, 0x0C, 0x10, 0x15
_WANTED = frozenset(
    (_DATASPACE, _DATATYPE, _OLD_FILL, _FILL, _EXTERNAL, _LAYOUT, _FILTERS, _ATTRIBUTE, _ATTRIBUTE_INFO)
)
_NEW_LAYOUTS = (4, 5)
_COMPACT, _CONTIGUOUS, _CHUNKED = 0, 1, 2
_COMPACT_HEAD = 4
"""Bytes of a layout message in front of the cells of compact storage: version, class, and their number."""
_SHARED = 0x02
_UNDEFINED = b"\xff" * 8
_V2_MESSAGE = struct.Struct("<BHB")
_V1_MESSAGE = struct.Struct("<HHB3x")
_BLOCK = struct.Struct("<QQ")
_KEY = struct.Struct("<BI")
_SIZES = struct.Struct("<HHH")


class Message(NamedTuple):
    """One attribute, cut into its parts."""

    name: bytes
    datatype: bytes
    """Encoded as ``TypeID.encode()`` encodes."""
    shape: tuple[int, ...] | None
    """None for a null dataspace."""
    data: bytes


class _Unusual(Exception):
    """The header holds something that libhdf5 has to be asked about."""


@dataclass(frozen=True)
class Reader:
    """Where the headers of a file can be read."""

    pread: Callable[[int, int], bytes]
    """Bytes of the file: given how many and from where, those, or fewer at its end."""
    base: int
    """What addresses count from: the size of the user block [bytes]."""

    def read(self, size: int, address: int) -> bytes:
        """Bytes at an address of the file."""
        return bytes(self.pread(size, self.base + address))


def reader(pread: Callable[[int, int], bytes]) -> Reader | None:
    """How to read headers, or None where addresses are not 8 bytes long or the superblock is unknown."""
    base = 0
    while (head := bytes(pread(40, base)))[:8] != _SIGNATURE:
        base = max(512, 2 * base)
        if len(head) < 40:
            return None
    version = head[8]
    if version > 3:
        return None
    sizes = head[13:15] if version < 2 else head[9:11]
    place = (24, 28, 12, 12)[version]
    stated = int.from_bytes(head[place : place + 8], "little")
    return Reader(pread, base) if sizes == b"\x08\x08" and stated == base else None


class Header(NamedTuple):
    """What an object header says, undecoded."""

    attributes: list[bytes] | None
    """None where libhdf5 has to be asked."""
    key: bytes | None
    """The messages that describe a dataset, without addresses; None where they do not say everything."""
    plain_edges: bool
    """Whether chunks that reach beyond the dataset are stored without filters. libhdf5 does not tell."""
    compact: tuple[int, int] | None = None
    """Where in the file the cells of compact storage are, and how many bytes. libhdf5 does not tell either."""


def header(file: Reader, address: int) -> Header | None:
    """The header of the object at `address`, or None where libhdf5 has to be asked."""
    attributes: list[bytes] | None = []
    parts: list[bytes] = []
    whole, plain_edges, compact = True, False, None
    try:
        for kind, flags, message, place in _messages(file, address):
            if kind == _ATTRIBUTE:
                if flags & _SHARED or attributes is None:
                    attributes = None
                else:
                    attributes.append(message)
            elif kind == _ATTRIBUTE_INFO:
                start = 4 if message[1] & 1 else 2
                if message[start : start + 8] != _UNDEFINED:
                    attributes = None
            else:
                part = None if flags & _SHARED else _placeless(kind, message)
                whole = whole and part is not None
                parts.append(_KEY.pack(kind, len(part or b"")) + (part or b""))
                if kind == _LAYOUT and message[0] in _NEW_LAYOUTS and message[1] == _CHUNKED:
                    plain_edges = bool(message[2] & 1)
                elif kind == _LAYOUT and not flags & _SHARED:
                    compact = _inside(file, message, place)
    except (_Unusual, struct.error, IndexError):
        return None
    return Header(attributes, b"".join(parts) if whole else None, plain_edges, compact)


def _inside(file: Reader, message: bytes, place: int) -> tuple[int, int] | None:
    """Where the cells of compact storage are, whose layout message is at an address."""
    if message[0] not in (3, *_NEW_LAYOUTS) or message[1] != _COMPACT:
        return None
    size = int.from_bytes(message[2:_COMPACT_HEAD], "little")
    return (file.base + place + _COMPACT_HEAD, size) if _COMPACT_HEAD + size <= len(message) else None


def _placeless(kind: int, message: bytes) -> bytes | None:
    """A message without the address of the data, or None where it says too little or too much."""
    if kind == _EXTERNAL:
        return None
    if kind != _LAYOUT:
        return message
    version, storage = message[0], message[1]
    if version == 3 and storage == _CHUNKED:
        return message[:3] + message[11:]
    if version in _NEW_LAYOUTS and storage == _CHUNKED:
        return message[:-8]
    return message[:2] if version in (3, *_NEW_LAYOUTS) and storage == _CONTIGUOUS else None


@lru_cache(maxsize=1 << 14)
def parse(message: bytes) -> Message | None:
    """The parts of an attribute message, or None where libhdf5 has to be asked."""
    try:
        return _parse(message)
    except (struct.error, IndexError):
        return None


def _parse(message: bytes) -> Message | None:
    version, flags = message[0], message[1]
    if version not in (1, 2, 3) or (version > 1 and flags):
        return None
    name, datatype, space = _SIZES.unpack_from(message, 2)
    place = 9 if version == 3 else 8
    parts: list[bytes] = []
    for size in (name, datatype, space):
        parts.append(message[place : place + size])
        place += -(-size // 8) * 8 if version == 1 else size
    shape = _shape(parts[2])
    if shape == ():
        return Message(parts[0].rstrip(b"\0"), b"\x03\x00" + parts[1], (), message[place:])
    return None if shape is _ODD else Message(parts[0].rstrip(b"\0"), b"\x03\x00" + parts[1], shape, message[place:])


_ODD: tuple[int, ...] = (-1,)


def _shape(space: bytes) -> tuple[int, ...] | None:
    if space[0] == 1:
        rank, place = space[1], 8
    elif space[0] == 2:
        rank, place = space[1], 4
        if space[3] == 2:
            return None
    else:
        return _ODD
    return struct.unpack_from(f"<{rank}Q", space, place)


def _messages(file: Reader, address: int) -> Iterator[tuple[int, int, bytes, int]]:
    head = file.read(_READ, address)
    if head[:5] == b"OHDR\x02":
        flags = head[5]
        width = 1 << (flags & 3)
        place = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        size = int.from_bytes(head[place : place + width], "little")
        place += width
        block = _span(file, head, address, place, size)
        yield from _walk(file, block, address + place, _V2_MESSAGE, 2 if flags & 0x04 else 0, 1)
    elif head[:2] == b"\x01\x00":
        size = int.from_bytes(head[8:12], "little")
        yield from _walk(file, _span(file, head, address, 16, size), address + 16, _V1_MESSAGE, 0, 8)
    else:
        raise _Unusual


def _span(file: Reader, head: bytes, address: int, place: int, size: int) -> bytes:
    if place + size <= len(head):
        return head[place : place + size]
    if size > _LARGEST:
        raise _Unusual
    block = file.read(size, address + place)
    if len(block) != size:
        raise _Unusual
    return block


def _walk(
    file: Reader, block: bytes, address: int, header: struct.Struct, skip: int, align: int
) -> Iterator[tuple[int, int, bytes, int]]:
    """Kind, flags, content and address of the messages of a block and of those that continue it."""
    pending = [(block, address)]
    blocks = 0
    unpack, step = header.unpack_from, header.size + skip
    while pending:
        block, address = pending.pop()
        blocks += 1
        if blocks > 1000:
            raise _Unusual
        place, last = 0, len(block) - step
        while place <= last:
            kind, size, flags = unpack(block, place)
            place += step
            if place + size > len(block):
                raise _Unusual
            if kind in _WANTED:
                yield kind, flags, block[place : place + size], address + place
            elif kind == _CONTINUATION:
                pending.append(_continuation(file, block, place, align))
            place += size


def _continuation(file: Reader, block: bytes, place: int, align: int) -> tuple[bytes, int]:
    address, size = _BLOCK.unpack_from(block, place)
    if size > _LARGEST:
        raise _Unusual
    more = file.read(size, address)
    if len(more) != size:
        raise _Unusual
    if align == 8:
        return more, address
    if more[:4] != b"OCHK":
        raise _Unusual
    return more[4:-4], address + 4
