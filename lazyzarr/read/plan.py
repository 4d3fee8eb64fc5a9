"""Which requests a read makes: chunks to byte ranges, known before the first request.

1. Chunks stored as plain cells are narrowed to the run of bytes that the view uses.
2. Ranges of one object that touch (remotely: nearly touch) become one request.
3. Requests are dealt into batches, so that a thread is started for megabytes and not for chunks.
Refuses to send anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from msgspec import Struct

from lazyzarr.codecs.chain import Chain, compile_chain
from lazyzarr.ir.layout import Stamp
from lazyzarr.read.locate import OBJECT, RANGE, Chunks
from lazyzarr.read.place import Placer
from lazyzarr.read.points import PointPlacer

MAX_REQUEST = 16 << 20
"""Coalesced requests do not grow beyond this, so that memory in flight stays bounded [bytes]."""
REMOTE_GAP = 64 << 10
"""Bytes read in vain between two remote ranges rather than sending a second request [bytes]."""
BATCH_BYTES = 4 << 20
BATCH_REQUESTS = 256
_DECODING = 4
"""Bytes read in the time in which one is decoded, about."""


@dataclass(slots=True)
class Trim:
    """Part of a chunk that is stored as plain cells: where it begins and its shape [cells]."""

    origin: tuple[int, ...]
    shape: tuple[int, ...]


class Request(Struct, gc=False):
    """One request: a byte range of one object, or all of it, with the chunks inside."""

    url: str
    grant: str
    stamp: Stamp | None
    offset: int
    length: int
    """[bytes]; -1: the whole object, whose length is not known."""
    chunks: list[int]
    parts: list[tuple[int, int]]
    """Offset in the answer and length [bytes] of each chunk."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a read will do, in order."""

    chunks: Chunks
    chains: dict[int, Chain]
    """By position of the layout."""
    trims: dict[int, Trim]
    """By chunk."""
    blocks: list[bool]
    """Whether each chunk goes whole, cell for cell, to one box of the output."""
    runs: list[int]
    """For each chunk the cell of the output from which on it is one run; -1: it is cut, moved or shared."""
    batches: list[list[Request]]
    direct: list[int]
    """Chunks that need no request: missing ones and cells in tables."""
    nbytes: int
    """Bytes of all requests whose length is known."""
    local: bool

    @property
    def requests(self) -> int:
        """Requests that will be sent; partly read shards and the checks of metadata documents add to it."""
        return sum(len(batch) for batch in self.batches)


def plan(chunks: Chunks, placer: Placer | PointPlacer, *, local: bool) -> Plan:
    """The requests for the chunks of a view."""
    chains = {int(k): compile_chain(chunks.layouts[int(k)]) for k in np.unique(chunks.layout)}
    lengths = np.ones((len(chunks.layouts), chunks.coords.shape[1]), np.int64)
    raw = np.zeros(len(chunks.layouts), bool)
    for number, chain in chains.items():
        lengths[number, : len(chain.shape)] = chain.shape
        raw[number] = chain.raw or chain.raw_swapped
    extent = lengths[chunks.layout]
    first = chunks.members[chunks.first_member[:-1]]
    single = np.diff(chunks.first_member) == 1
    blocks = single & placer.blocks(first, extent)
    runs = placer.runs(first, blocks)
    trims: dict[int, Trim] = {}
    offset, length = chunks.offset.copy(), chunks.length.copy()
    stored = (chunks.state == OBJECT) | (chunks.state == RANGE)
    partly = stored & raw[chunks.layout] & (runs < 0) & ~(single & placer.whole(first, extent))
    for chunk in np.flatnonzero(partly).tolist():
        _trim(chunk, chunks, placer, chains[int(chunks.layout[chunk])], trims, offset, length)
    requests = _objects(chunks, offset, length, {k: Stamp(size=c.nbytes) for k, c in chains.items() if raw[k]})
    requests.extend(_ranges(chunks, offset, length, 0 if local else REMOTE_GAP))
    direct = np.flatnonzero((chunks.state != OBJECT) & (chunks.state != RANGE)).tolist()
    return Plan(
        chunks=chunks,
        chains=chains,
        trims=trims,
        blocks=blocks.tolist(),
        runs=runs.tolist(),
        batches=_batches(requests, local, [_DECODING * chains[k].nbytes for k in chunks.layout.tolist()]),
        direct=direct,
        nbytes=sum(map(_size, requests)),
        local=local,
    )


def alone(request: Request) -> list[Request]:
    """One request for each chunk of a joined one."""
    return [
        Request(request.url, request.grant, request.stamp, request.offset + start, size, [chunk], [(0, size)])
        for chunk, (start, size) in zip(request.chunks, request.parts, strict=True)
    ]


def _trim(
    chunk: int,
    chunks: Chunks,
    placer: Placer | PointPlacer,
    chain: Chain,
    trims: dict[int, Trim],
    offset: np.ndarray,
    length: np.ndarray,
) -> None:
    """Narrow a chunk of plain cells to the run of bytes between the first and the last cell used."""
    if chunks.length[chunk] not in (-1, chain.nbytes):
        return  # not the length that plain cells have: the decoder says so
    rank = len(chain.shape)
    members = chunks.members[chunks.first_member[chunk] : chunks.first_member[chunk + 1]].tolist()
    bounds = [placer.window_bounds(fragment, rank) for fragment in members]
    low = [min(axis) for axis in zip(*(b[0] for b in bounds), strict=True)]
    high = [max(axis) for axis in zip(*(b[1] for b in bounds), strict=True)]
    axis = next((k for k in range(rank) if low[k] != high[k]), rank)
    if axis < rank:
        origin = (*low[: axis + 1], *[0] * (rank - axis - 1))
        shape = (*[1] * axis, high[axis] - low[axis] + 1, *chain.shape[axis + 1 :])
    else:
        origin, shape = tuple(low), (1,) * rank
    cells = math.prod(shape)
    item = chain.dtype.itemsize
    if cells * item == chain.nbytes:
        return
    at = 0
    for k in range(rank):
        at = at * chain.shape[k] + origin[k]
    trims[chunk] = Trim(origin, shape)
    offset[chunk] += at * item
    length[chunk] = cells * item


def _objects(chunks: Chunks, offset: np.ndarray, length: np.ndarray, plain: dict[int, Stamp]) -> list[Request]:
    """Requests for chunks under keys; an object of plain cells has their length, also where a part of it is read."""
    found: list[Request] = []
    rows = np.flatnonzero(chunks.state == OBJECT)
    grants = [stored.grant for stored in chunks.arrays]
    columns = (rows, offset[rows], length[rows], chunks.array[rows], chunks.layout[rows])
    for chunk, at, size, array, layout in zip(*(column.tolist() for column in columns), strict=True):
        found.append(Request(chunks.url[chunk], grants[array], plain.get(layout), at, size, [chunk], [(0, size)]))
    return found


def _ranges(chunks: Chunks, offset: np.ndarray, length: np.ndarray, gap: int) -> list[Request]:
    rows = np.flatnonzero(chunks.state == RANGE)
    if not len(rows):
        return []
    # arrays that were referenced at different times must not vouch for each other: the stamp is part of the key
    number_of: dict[tuple[str, str, Stamp | None], int] = {}
    grants = [stored.grant for stored in chunks.arrays]
    columns = (rows.tolist(), chunks.array[rows].tolist())
    keys = [(chunks.url[k], grants[a], chunks.stamp[k]) for k, a in zip(*columns, strict=True)]
    objects = np.array([number_of.setdefault(key, len(number_of)) for key in keys])
    order = np.lexsort((offset[rows], objects))
    rows, objects = rows[order], objects[order]
    starts, sizes = offset[rows], length[rows]
    ends = starts + sizes
    apart = np.ones(len(rows), bool)
    apart[1:] = (objects[1:] != objects[:-1]) | (starts[1:] > ends[:-1] + gap) | (starts[1:] < ends[:-1])
    found: list[Request] = []
    current: Request | None = None
    for chunk, start, size, new in zip(rows.tolist(), starts.tolist(), sizes.tolist(), apart.tolist(), strict=True):
        if current is None or new or start + size - current.offset > MAX_REQUEST:
            grant = grants[int(chunks.array[chunk])]
            current = Request(chunks.url[chunk], grant, chunks.stamp[chunk], start, size, [], [])
            found.append(current)
        current.chunks.append(chunk)
        current.parts.append((start - current.offset, size))
        current.length = start + size - current.offset
    return found


def _size(request: Request) -> int:
    """Length of the answer [bytes]; 0 where it is not known."""
    if request.length < 0 and request.stamp is not None:
        return request.stamp.size or 0
    return max(request.length, 0)


def _batches(requests: list[Request], local: bool, decoding: list[int]) -> list[list[Request]]:
    """``decoding`` is what each chunk counts where the length of its object is not known [bytes]."""
    if not local:
        return [[request] for request in requests]
    batches: list[list[Request]] = []
    held = BATCH_BYTES
    for request in requests:
        size = _size(request) or decoding[request.chunks[0]]
        if held + size > BATCH_BYTES or len(batches[-1]) >= BATCH_REQUESTS:
            batches.append([])
            held = 0
        batches[-1].append(request)
        held += size
    return batches
