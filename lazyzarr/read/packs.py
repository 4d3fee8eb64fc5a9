"""Which chunks are read together as whole local files, end to end into one buffer.

1. Chunks that are one object each, and of whose object all is wanted, are packed with their neighbours.
2. A pack has one layout and one way to its place: one run of the output, a box of it each, or anything else.
A pack costs some calls of the system for each chunk and one decoding for all of them. Refuses sharded chunks, of
which parts may be enough, and remote ones, whose requests wait side by side.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from lazyzarr.codecs.chain import Chain
from lazyzarr.lower.locate import OBJECT, Chunks

PACK_BYTES = 512 << 10
"""Decoded size of a pack: little enough to stay in a processor's cache between decoding and placing [bytes]."""
PLAIN_BYTES = 2 << 20
"""The same where nothing is decoded: of small chunks the cost of a pack counts, too [bytes]."""
MOST_STORED = 16 << 20
"""A stored chunk that may be longer is read by itself, since a pack keeps room for the longest [bytes]."""


class Way(IntEnum):
    """How the cells of a pack come to their place."""

    MOVED = 0
    """Fragment by fragment."""
    BLOCKS = 1
    """Each chunk is a box of the output."""
    RUN = 2
    """All chunks, one after the other, are one run of the output."""


class Pack(NamedTuple):
    """Neighbouring chunks, by number, that are read together."""

    first: int
    stop: int
    way: Way
    grant: str
    urls: list[str]
    """Of the objects; spelled for all packs at once, since most of the cost is per call."""

    def __len__(self) -> int:
        return self.stop - self.first


def packs(
    chunks: Chunks, chains: dict[int, Chain], length: np.ndarray, blocks: np.ndarray, runs: np.ndarray
) -> list[Pack]:
    """Packs of all chunks that can be packed, in order.

    Parameters
    ----------
    length
        int64 (n,): -1 where all of an object is wanted.
    blocks, runs
        As `lazyzarr.read.plan.Plan` has them.
    """
    layouts = len(chunks.layouts)
    packable, direct = np.zeros(layouts, bool), np.zeros(layouts, bool)
    cells, per_pack = np.zeros(layouts, np.int64), np.ones(layouts, np.int64)
    for number, chain in chains.items():
        packable[number] = chain.sharding is None and chain.encoded.limit <= MOST_STORED
        direct[number] = chain.can_decode_into and chain.nbytes > 0
        cells[number] = chain.nbytes // max(chain.dtype.itemsize, 1)
        per_pack[number] = max((PLAIN_BYTES if chain.raw else PACK_BYTES) // max(chain.nbytes, 1), 1)
    local = np.array([s.refs is None and (s.location or "").startswith("file://") for s in chunks.arrays], bool)
    names: dict[str, int] = {}
    grant = np.array([names.setdefault(stored.grant, len(names)) for stored in chunks.arrays], np.int64)

    rows = np.flatnonzero((chunks.state == OBJECT) & (length < 0) & packable[chunks.layout] & local[chunks.array])
    if not len(rows):
        return []
    layout, granted = chunks.layout[rows], grant[chunks.array[rows]]
    way = np.where(direct[layout] & blocks[rows], np.where(runs[rows] >= 0, Way.RUN, Way.BLOCKS), Way.MOVED)
    apart = np.ones(len(rows), bool)
    apart[1:] = (
        (np.diff(rows) != 1)
        | (np.diff(layout) != 0)
        | (np.diff(granted) != 0)
        | (np.diff(way) != 0)
        | ((way[1:] == Way.RUN) & (np.diff(runs[rows]) != cells[layout[1:]]))
    )
    position = np.arange(len(rows))
    inside = position - np.maximum.accumulate(np.where(apart, position, 0))
    begins = np.flatnonzero(inside % per_pack[layout] == 0).tolist()
    urls, spelled, ways = chunks.urls(rows), list(names), list(Way)
    ends = [*begins[1:], len(rows)]
    columns = (begins, ends, rows[begins].tolist(), way[begins].tolist(), granted[begins].tolist())
    return [
        Pack(first, first + end - begin, ways[w], spelled[g], urls[begin:end])
        for begin, end, first, w, g in zip(*columns, strict=True)
    ]
