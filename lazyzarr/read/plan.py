"""Which requests a read makes: chunks to byte ranges, known before the first request.

1. Chunks stored as plain cells are narrowed to the run of bytes that the view uses.
2. Whole local files are packed (`lazyzarr.read.packs`).
3. Ranges of one object that touch (remotely: nearly touch) become one request.
4. Packs and requests are dealt into batches, so that a thread is started for megabytes and not for chunks.
Refuses to send anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import Struct

from lazyzarr.codecs.chain import Chain, compile_chain
from lazyzarr.ir.layout import Stamp
from lazyzarr.lower.locate import OBJECT, RANGE, Chunks
from lazyzarr.read.packs import Pack, packs
from lazyzarr.read.place import Placer
from lazyzarr.read.points import PointPlacer

MAX_REQUEST = 16 << 20
"""Coalesced requests do not grow beyond this, so that memory in flight stays bounded [bytes]."""
REMOTE_GAP = 64 << 10
"""Bytes read in vain between two remote ranges rather than sending a second request [bytes]."""
BATCH_BYTES = (4 << 20, 16 << 20)
"""Of a small read and, since each batch is handed to a thread, of a large one [bytes]."""
BATCH_REQUESTS = 256
_MANY_BATCHES = 16
"""Enough for threads to end at about the same time."""
_DECODING = 4
"""Bytes read in the time in which one is decoded, about."""


@dataclass(slots=True)
class Trim:
    """Part of a chunk that is stored as plain cells: where it begins and its shape [cells]."""

    origin: tuple[int, ...]
    shape: tuple[int, ...]
    run: int
    """The cell of the output from which on it is one run; -1: it is cut, moved or shared."""


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
    runs: list[int]
    """For each chunk the cell of the output from which on it is one run; -1: it is cut, moved or shared."""
    strips: list[int]
    """For each chunk the first one behind it that does not lie in one strip with it."""
    batches: list[list[Pack | Request]]
    direct: list[int]
    """Chunks that need no request: missing ones and cells in tables."""
    nbytes: int
    """Bytes of all requests whose length is known."""
    local: bool

    @property
    def requests(self) -> int:
        """Requests that will be sent; partly read shards and the checks of metadata documents add to it."""
        return sum(len(item) if isinstance(item, Pack) else 1 for batch in self.batches for item in batch)

    def each_request(self) -> Iterator[Request]:
        """All requests, in order; those of a pack one by one."""
        for batch in self.batches:
            for item in batch:
                if isinstance(item, Pack):
                    yield from map(self.whole, range(item.first, item.stop))
                else:
                    yield item

    def whole(self, chunk: int) -> Request:
        """The request for all of the object of a chunk."""
        chunks = self.chunks
        stored = chunks.arrays[int(chunks.array[chunk])]
        return Request(chunks.url(chunk), stored.grant, None, 0, -1, [chunk], [(0, -1)])


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
    offset, length = chunks.offset.copy(), chunks.length.copy()
    stored = (chunks.state == OBJECT) | (chunks.state == RANGE)
    partly = np.flatnonzero(stored & raw[chunks.layout] & (runs < 0) & ~blocks)
    if len(partly):
        partly = partly[~(single[partly] & placer.whole(first[partly], extent[partly]))]
    trims = _trim(partly, chunks, placer, chains, extent, offset, length, local=local)
    packed = packs(chunks, chains, length, blocks, runs) if local else []
    objects = chunks.state == OBJECT
    for pack in packed:
        objects[pack.first : pack.stop] = False
    plain = {k: Stamp(size=c.nbytes) for k, c in chains.items() if raw[k]}
    requests = _objects(chunks, np.flatnonzero(objects), offset, length, plain)
    requests.extend(_ranges(chunks, offset, length, 0 if local else REMOTE_GAP))
    sizes = [len(pack) * chains[int(chunks.layout[pack.first])].nbytes for pack in packed]
    direct = np.flatnonzero((chunks.state != OBJECT) & (chunks.state != RANGE)).tolist()
    return Plan(
        chunks=chunks,
        chains=chains,
        trims=trims,
        runs=runs.tolist(),
        strips=placer.strips(first, blocks).tolist(),
        batches=_batches(packed, sizes, requests, chunks, chains, local=local),
        direct=direct,
        nbytes=sum(map(_size, requests))
        + sum(size for pack, size in zip(packed, sizes, strict=True) if raw[chunks.layout[pack.first]]),
        local=local,
    )


def alone(request: Request) -> list[Request]:
    """One request for each chunk of a joined one."""
    return [
        Request(request.url, request.grant, request.stamp, request.offset + start, size, [chunk], [(0, size)])
        for chunk, (start, size) in zip(request.chunks, request.parts, strict=True)
    ]


def _trim(
    rows: np.ndarray,
    chunks: Chunks,
    placer: Placer | PointPlacer,
    chains: dict[int, Chain],
    extent: np.ndarray,
    offset: np.ndarray,
    length: np.ndarray,
    *,
    local: bool,
) -> dict[int, Trim]:
    """Narrow chunks of plain cells to the run of bytes between the first and the last cell used.

    A local chunk of which most is used is read whole, like its neighbours.
    """
    if not len(rows):
        return {}
    nbytes, item = np.zeros((2, len(chunks.layouts)), np.int64)
    for number, chain in chains.items():
        nbytes[number], item[number] = chain.nbytes, chain.dtype.itemsize
    # where the length is not that of plain cells the decoder says so
    rows = rows[(length[rows] == -1) | (length[rows] == nbytes[chunks.layout[rows]])]
    starts = chunks.first_member[:-1]
    low, high = (
        pick.reduceat(cells[chunks.members], starts)[rows]
        for pick, cells in zip((np.minimum, np.maximum), placer.bounds, strict=True)
    )
    shape = extent[rows]
    # from the first axis on along which several cells are used, the run takes the other axes whole
    several = np.logical_or.accumulate(low != high, axis=1)
    behind = np.zeros_like(several)
    behind[:, 1:] = several[:, :-1]
    origin, part = np.where(behind, 0, low), np.where(behind, shape, np.where(several, high - low + 1, 1))
    at, stride = np.zeros(len(rows), np.int64), np.ones(len(rows), np.int64)
    for axis in reversed(range(shape.shape[1])):
        at += origin[:, axis] * stride
        stride *= shape[:, axis]
    layout = chunks.layout[rows]
    at, size = at * item[layout], part.prod(axis=1) * item[layout]
    gains = (2 if local else 1) * size < nbytes[layout]
    rows, origin, part = rows[gains], origin[gains], part[gains]
    offset[rows] += at[gains]
    length[rows] = size[gains]
    first = chunks.members[starts[rows]]
    blocks = (np.diff(chunks.first_member)[rows] == 1) & placer.blocks(first, part, origin)
    ranks = [len(chains[number].shape) for number in layout[gains].tolist()]
    columns = (rows.tolist(), ranks, origin.tolist(), part.tolist(), placer.runs(first, blocks).tolist())
    return {chunk: Trim(tuple(o[:rank]), tuple(s[:rank]), run) for chunk, rank, o, s, run in zip(*columns, strict=True)}


def _objects(
    chunks: Chunks, rows: np.ndarray, offset: np.ndarray, length: np.ndarray, plain: dict[int, Stamp]
) -> list[Request]:
    """Requests for chunks that are objects; one of plain cells has their length, also where a part of it is read."""
    found: list[Request] = []
    grants = [stored.grant for stored in chunks.arrays]
    columns = (rows, offset[rows], length[rows], chunks.array[rows], chunks.layout[rows])
    lists = (column.tolist() for column in columns)
    for url, chunk, at, size, array, layout in zip(chunks.urls(rows), *lists, strict=True):
        stamp, pin = plain.get(layout), chunks.stamp(chunk)
        if pin is not None:
            stamp = pin if stamp is None else msgspec.structs.replace(pin, size=stamp.size)
        found.append(Request(url, grants[array], stamp, at, size, [chunk], [(0, size)]))
    return found


def _ranges(chunks: Chunks, offset: np.ndarray, length: np.ndarray, gap: int) -> list[Request]:
    rows = np.flatnonzero(chunks.state == RANGE)
    if not len(rows):
        return []
    # arrays that were referenced at different times must not vouch for each other: places differ by their stamps, too
    grants = [stored.grant for stored in chunks.arrays]
    names: dict[str, int] = {}
    granted = np.array([names.setdefault(grant, len(names)) for grant in grants], np.int64)
    objects = chunks.place[rows] * len(names) + granted[chunks.array[rows]]
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
            grant, place = grants[int(chunks.array[chunk])], chunks.places[int(chunks.place[chunk])]
            current = Request(place.location, grant, place.stamp, start, size, [], [])
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


def _batches(
    packed: list[Pack],
    sizes: list[int],
    requests: list[Request],
    chunks: Chunks,
    chains: dict[int, Chain],
    *,
    local: bool,
) -> list[list[Pack | Request]]:
    """Work for one thread at a time, by what it takes to read or to decode.

    Parameters
    ----------
    sizes
        Of the packs, decoded [bytes].
    """
    if not local:
        return [[request] for request in requests]
    work: list[tuple[Pack | Request, int, int]] = []
    for pack, size in zip(packed, sizes, strict=True):
        decoding = 1 if chains[int(chunks.layout[pack.first])].raw else _DECODING
        work.append((pack, len(pack), decoding * size))
    for request in requests:
        decoded = _DECODING * chains[int(chunks.layout[request.chunks[0]])].nbytes
        work.append((request, 1, _size(request) or decoded))
    batches: list[list[Pack | Request]] = []
    least, most = BATCH_BYTES
    limit = min(max(sum(size for _, _, size in work) // _MANY_BATCHES, least), most)
    held, count = limit, 0
    for item, number, size in work:
        if held + size > limit or count >= BATCH_REQUESTS:
            batches.append([])
            held = count = 0
        batches[-1].append(item)
        held += size
        count += number
    return batches
