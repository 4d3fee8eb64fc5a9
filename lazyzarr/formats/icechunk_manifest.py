"""Checksums in the manifest files of an Icechunk repository, which its Python package does not hand out.

Owns as much of the published format as that takes: the file header, and of the FlatBuffers tables the chunk
coordinates and the two kinds of checksum. Everything is read as columns. Refuses files that are not what the format
says; positions outside the file are an error, never a guess.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numcodecs import Zstd

from lazyzarr.errors import SourceProtocolError, ViewLimitError

MAGIC = b"ICE\xf0\x9f\xa7\x8aCHUNK"
_HEADER = 39
_SPEC_VERSION, _FILE_TYPE, _COMPRESSION = 36, 37, 38
_MANIFEST = 2
_MOST = 1 << 30
# fields of ChunkRef and of the tables around it, in the order of the schema
_INDEX, _ETAG, _MODIFIED = 0, 6, 7
_ARRAYS = 1
_NODE_ID, _REFS = 0, 1


class Checksums(NamedTuple):
    """What a manifest says of n chunks of one array."""

    coords: np.ndarray
    """int64 (n, q): coordinates in the chunk grid."""
    etag: list[str]
    """Entity tag of the object of each chunk; ``""`` for none."""
    modified: np.ndarray
    """int64 (n,): the object is not newer [seconds since 1970]; 0 for none."""


def checksums(data: bytes) -> dict[bytes, Checksums]:
    """Checksums by array (its node id, 8 bytes).

    Raises
    ------
    SourceProtocolError
        ``source-format``: this is not a manifest of a version that is known.
    """
    table = _Buffer(_content(data))
    try:
        return _arrays(table)
    except (IndexError, ValueError, OverflowError) as error:
        raise _damaged("a position in it leads outside") from error


def _content(data: bytes) -> bytes:
    if data[: len(MAGIC)] != MAGIC or len(data) < _HEADER:
        raise _damaged("it does not begin as files of Icechunk do")
    if data[_SPEC_VERSION] not in (1, 2) or data[_FILE_TYPE] != _MANIFEST or data[_COMPRESSION] not in (0, 1):
        raise _damaged(
            f"it is of version {data[_SPEC_VERSION]}, kind {data[_FILE_TYPE]}, compression {data[_COMPRESSION]}"
        )
    body = data[_HEADER:]
    if data[_COMPRESSION] == 0:
        return body
    try:
        found = bytes(Zstd().decode(body))
    except (RuntimeError, ValueError) as error:
        raise _damaged("it cannot be decompressed") from error
    if len(found) > _MOST:
        raise ViewLimitError("manifest bytes", len(found), _MOST, remedy="write the manifests split into smaller ones")
    return found


def _arrays(buffer: _Buffer) -> dict[bytes, Checksums]:
    root = int(buffer.u32(np.array([0]))[0])
    arrays = buffer.vector(buffer.field(np.array([root]), _ARRAYS))
    found: dict[bytes, Checksums] = {}
    for position in arrays.tolist():
        at = np.array([position])
        node = int(buffer.field(at, _NODE_ID)[0])
        refs = buffer.vector(buffer.field(at, _REFS))
        if node <= 0:
            raise ValueError("an array has no node id")
        found[bytes(buffer.bytes[node : node + 8])] = _references(buffer, refs)
    return found


def _references(buffer: _Buffer, refs: np.ndarray) -> Checksums:
    modified_at = buffer.field(refs, _MODIFIED)
    modified = np.zeros(len(refs), np.int64)
    modified[modified_at > 0] = buffer.u32(modified_at[modified_at > 0])
    etag_at = buffer.field(refs, _ETAG)
    etags = [""] * len(refs)
    for row in np.flatnonzero(etag_at > 0).tolist():
        etags[row] = buffer.text(int(etag_at[row]))
    return Checksums(buffer.numbers(buffer.field(refs, _INDEX)), etags, modified)


class _Buffer:
    """A FlatBuffer, read at many places at once."""

    def __init__(self, data: bytes) -> None:
        self.bytes = np.frombuffer(data, np.uint8)

    def u32(self, at: np.ndarray) -> np.ndarray:
        """Numbers at positions, int64."""
        return self._little(at, 4)

    def field(self, tables: np.ndarray, number: int) -> np.ndarray:
        """Position of a field of each table, 0 where the table does not have it."""
        if not len(tables):
            return np.zeros(0, np.int64)
        signed = self.u32(tables).astype(np.uint32).view(np.int32).astype(np.int64)
        vtables = tables - signed
        distinct, which = np.unique(vtables, return_inverse=True)
        sizes = self._little(distinct, 2)
        slot = 4 + 2 * number
        offsets = np.zeros(len(distinct), np.int64)
        has = sizes >= slot + 2
        offsets[has] = self._little(distinct[has] + slot, 2)
        own = offsets[which]
        return np.where(own > 0, tables + own, 0)

    def vector(self, at: np.ndarray) -> np.ndarray:
        """Positions of the tables in the vector that a field leads to."""
        if not at[0]:
            raise ValueError("a required vector is absent")
        start = int(at[0] + self.u32(at)[0])
        count = int(self.u32(np.array([start]))[0])
        if start + 4 + 4 * count > len(self.bytes):
            raise IndexError("a vector is longer than the file")
        places = start + 4 + 4 * np.arange(count, dtype=np.int64)
        return places + self.u32(places)

    def numbers(self, at: np.ndarray) -> np.ndarray:
        """Vectors of numbers, all of one length, int64 (n, q)."""
        if not len(at):
            return np.zeros((0, 0), np.int64)
        if (at <= 0).any():
            raise ValueError("a chunk has no coordinates")
        starts = at + self.u32(at)
        counts = self.u32(starts)
        if (counts != counts[0]).any() or counts[0] > 64:
            raise ValueError("coordinates of different rank")
        places = starts[:, None] + 4 + 4 * np.arange(int(counts[0]), dtype=np.int64)
        return self.u32(places.reshape(-1)).reshape(places.shape)

    def text(self, at: int) -> str:
        """The string that a field leads to."""
        start = at + int(self.u32(np.array([at]))[0])
        length = int(self.u32(np.array([start]))[0])
        if start + 4 + length > len(self.bytes):
            raise IndexError("a text is longer than the file")
        return self.bytes[start + 4 : start + 4 + length].tobytes().decode()

    def _little(self, at: np.ndarray, width: int) -> np.ndarray:
        if len(at) and (int(at.min()) < 0 or int(at.max()) + width > len(self.bytes)):
            raise IndexError("a position is outside the file")
        total = np.zeros(len(at), np.int64)
        for byte in range(width):
            total |= self.bytes[at + byte].astype(np.int64) << 8 * byte
        return total


def _damaged(what: str) -> SourceProtocolError:
    return SourceProtocolError(
        f"open of a manifest of an Icechunk repository; {what}; the file is damaged, or newer than this reader; "
        "open the repository with icechunk and pass its session, which reads through Icechunk itself",
        reason="source-format",
    )
