"""OCDBT databases as bytes: B+tree nodes and the manifest of one version, as TensorStore's key-value store reads them.

Owns the encoding (TensorStore's documentation, "ocdbt Key-Value Store driver", storage format), column by column.
Refuses to know what keys and values are, and to write anywhere. Checked against TensorStore itself by the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd

_NODE, _MANIFEST = 0x0CDB20DE, 0x0CDB3A2A
_ZSTD, _LEVEL = 1, 3
ENTRIES = 4096
"""Of one node: a reader of one key decodes a node on each level."""
_MOST_INLINE, _MOST_DECODED, _ARITY_LOG2 = 100, 8 << 20, 4
LONGEST_PATH = 65535
"""Bytes of the path of a data file."""


class Entries(NamedTuple):
    """Keys and where their values are, n rows, sorted by key."""

    keys: np.ndarray
    """object (n,): bytes."""
    file: np.ndarray
    """int64 (n,): position in a list of paths; -1: the value is in `direct`."""
    offset: np.ndarray
    """uint64 (n,) [bytes]"""
    length: np.ndarray
    """uint64 (n,) [bytes]"""


class _Child(NamedTuple):
    """A node that was written."""

    first_key: bytes
    offset: int
    length: int
    keys: int
    tree_bytes: int
    value_bytes: int


class Root(NamedTuple):
    """The tree as its manifest refers to it."""

    height: int
    node: tuple[int, int, int, int, int]
    """Offset and length of the root in the file of nodes; keys, bytes of all nodes, bytes of values elsewhere."""


def tree(
    entries: Entries, direct: Sequence[bytes], paths: Sequence[bytes], nodes: bytes, start: int = 0
) -> tuple[bytes, Root]:
    """The nodes of a tree, one behind the other, and its root.

    Parameters
    ----------
    entries
        At least one.
    direct
        The values of the rows whose `file` is -1, in order.
    paths
        Of the data files, relative to the base of the database.
    nodes
        The path of the file that the nodes themselves will be in.
    start
        The byte of that file at which they begin.
    """
    written = _Nodes(start)
    level = list(_leaves(entries, direct, paths, written))
    height = 0
    while len(level) > 1:
        height += 1
        groups = [level[k : k + ENTRIES] for k in range(0, len(level), ENTRIES)]
        level = [_interior(group, height, nodes, written) for group in groups]
    return b"".join(written.parts), Root(height, level[0][1:])


class _Nodes:
    """Nodes of a file, one behind the other."""

    def __init__(self, start: int) -> None:
        self.parts: list[bytes] = []
        self._end = start

    def add(self, body: bytes, key: bytes, keys: int, below: int, values: int) -> _Child:
        """Take a node whose first key, number of keys, bytes of nodes below and bytes of values are given."""
        framed = _framed(_NODE, body)
        self.parts.append(framed)
        offset, self._end = self._end, self._end + len(framed)
        return _Child(key, offset, len(framed), keys, below + len(framed), values)


def manifest(root: Root, nodes: bytes, identifier: bytes, time_ns: int) -> bytes:
    """The file ``manifest.ocdbt`` of a database with one version."""
    offset, length, keys, tree_bytes, value_bytes = root.node
    config = (
        identifier
        + _varints([0, _MOST_INLINE, _MOST_DECODED])
        + bytes([_ARITY_LOG2])
        + _varints([_ZSTD])
        + struct.pack("<i", _LEVEL)
    )
    version = (
        _varints([1, 1])
        + bytes([root.height])
        + _varints([0, offset, length, keys, tree_bytes, value_bytes])
        + struct.pack("<Q", time_ns)
    )
    return _framed(_MANIFEST, config + _files([nodes]) + version + _varints([0]))


def _leaves(entries: Entries, direct: Sequence[bytes], paths: Sequence[bytes], written: _Nodes) -> Iterator[_Child]:
    before = np.concatenate([[0], np.cumsum(entries.file < 0)])
    for start in range(0, len(entries.keys), ENTRIES):
        part = Entries(*(column[start : start + ENTRIES] for column in entries))
        away = part.file >= 0
        files, number = np.unique(part.file[away], return_inverse=True)
        names = np.array([paths[k] for k in files.tolist()], object)
        order = np.argsort(names, kind="stable")  # neighbours share long prefixes
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        prefixes, suffixes, text = _shared(part.keys.tolist())
        body = b"".join(
            (
                b"\0",
                _files(names[order].tolist()),
                _varints([len(part.keys)]),
                *(_varints(column) for column in (prefixes, suffixes)),
                text,
                *(_varints(column) for column in (part.length, away)),
                *(_varints(column) for column in (rank[number], part.offset[away])),
                *direct[int(before[start]) : int(before[start + len(part.keys)])],
            )
        )
        yield written.add(body, part.keys[0], len(part.keys), 0, int(part.length[away].sum()))


def _interior(children: Sequence[_Child], height: int, nodes: bytes, written: _Nodes) -> _Child:
    prefixes, suffixes, text = _shared([child.first_key for child in children])
    columns = np.array([child[1:] for child in children], np.uint64).reshape(len(children), 5)
    nothing = np.zeros(len(children), np.uint64)
    body = b"".join(
        (
            bytes([height]),
            _files([nodes]),
            _varints([len(children)]),
            *(_varints(column) for column in (prefixes, suffixes, nothing)),
            text,
            *(_varints(column) for column in (nothing, *columns.T)),
        )
    )
    keys, below, values = (int(column.sum()) for column in columns.T[2:])
    return written.add(body, children[0].first_key, keys, below, values)


def _framed(magic: int, body: bytes) -> bytes:
    """With header and checksum; the length counts both."""
    packed = bytes(Zstd(level=_LEVEL).encode(body))
    head = _varints([0, _ZSTD])
    framed = struct.pack(">I", magic) + struct.pack("<Q", 16 + len(head) + len(packed)) + head + packed
    return framed + struct.pack("<I", google_crc32c.value(framed))


def _files(paths: Sequence[bytes]) -> bytes:
    """A table of data files, none of which hands a part of its path down to what it refers to."""
    prefixes, suffixes, text = _shared(paths)
    return b"".join((_varints([len(paths)]), _varints(prefixes), _varints(suffixes), bytes(len(paths)), text))


def _shared(texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, bytes]:
    """How long a prefix each has in common with the one before (n - 1), and the length (n) and bytes of the rest."""
    if not texts:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64), b""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    cells = np.array(texts, dtype=f"S{max(int(lengths.max()), 1)}").view(np.uint8).reshape(len(texts), -1)
    differs = np.ones((len(texts) - 1, cells.shape[1] + 1), bool)
    np.not_equal(cells[1:], cells[:-1], out=differs[:, :-1])
    prefixes = np.minimum(differs.argmax(axis=1), np.minimum(lengths[1:], lengths[:-1]))
    kept = np.concatenate([[0], prefixes])
    rest = b"".join(text[n:] for text, n in zip(texts, kept.tolist(), strict=True))
    return prefixes, lengths - kept, rest


def _varints(values: Sequence[int] | np.ndarray) -> bytes:
    """Whole numbers in groups of seven bits, the low ones first.

    Examples
    --------
    >>> _varints([1, 300]).hex()
    '01ac02'
    """
    left = np.asarray(values).astype(np.uint64).reshape(-1)
    sizes = np.ones(len(left), np.int64)
    for shift in range(7, 64, 7):
        sizes += (left >> np.uint64(shift)) > 0
    ends = np.cumsum(sizes)
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    starts = ends - sizes
    for k in range(int(sizes.max(initial=0))):
        here = sizes > k
        group = (left[here] >> np.uint64(7 * k)) & np.uint64(0x7F)
        out[starts[here] + k] = group | np.where(sizes[here] > k + 1, 0x80, 0).astype(np.uint64)
    return out.tobytes()
