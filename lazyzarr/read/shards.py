"""Reading part of a shard: its index and the inner chunks that are asked for.

Owns the choice between the whole shard and its parts. Refuses to trust an index: entries are checked against
the length of the shard by the codec.
"""

from __future__ import annotations

import math

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.codecs.chain import Chain
from lazyzarr.errors import SourceMissing
from lazyzarr.read.counts import ReadCounts
from lazyzarr.read.place import Placer
from lazyzarr.read.plan import MAX_REQUEST, REMOTE_GAP, Request
from lazyzarr.read.points import PointPlacer

_WHOLE_FROM = 0.5
"""From this share of the inner chunks on, one request for the whole shard is cheaper."""


def read_shard(
    session: Session,
    request: Request,
    chain: Chain,
    placer: Placer | PointPlacer,
    members: list[int],
    counts: ReadCounts,
) -> bool:
    """Read the inner chunks that fragments need and place them; False: read the whole shard instead.

    Raises
    ------
    SourceError, ChunkError
        As any read; an absent shard is left to the caller.
    """
    sharding = chain.sharding
    assert sharding is not None
    inner = np.array(sharding.chunk_shape, np.int64)
    rank = len(chain.shape)
    low = placer.bounds[0][members, :rank].min(axis=0) // np.maximum(inner, 1)
    high = placer.bounds[1][members, :rank].max(axis=0) // np.maximum(inner, 1)
    needed = math.prod((high - low + 1).tolist())
    if needed >= _WHOLE_FROM * math.prod(sharding.grid):
        return False
    url, grant, stamp = request.url, request.grant, request.stamp
    base, size = request.offset, request.length
    if size < 0:
        try:
            found = session.stat(url, grant=grant)
        except SourceMissing as error:
            if error.reason != "source-missing":
                raise  # something else is there under this name
            return False
        base, size, stamp = 0, found.size or 0, stamp or found
    at, length = sharding.index_range(size)
    index = sharding.parse_index(
        memoryview(session.read(url, grant=grant, offset=base + at, length=length, stamp=stamp)), size
    )
    axes = [np.arange(a, b + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    coords = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, rank) if rank else np.zeros((1, 0), int)
    offsets, lengths, present = sharding.locate(index, coords)

    cells = np.empty(tuple(((high - low + 1) * inner).tolist()), chain.dtype)
    if not present.all():
        cells[...] = sharding.fill
    stored = np.flatnonzero(present)
    stored = stored[np.argsort(offsets[stored], kind="stable")]
    gap = 0 if session.is_local(url) else REMOTE_GAP
    runs = _runs(offsets[stored].astype(np.int64), lengths[stored].astype(np.int64), gap)
    answers = session.read_ranges(
        url, [base + run[0] for run in runs], [run[1] for run in runs], grant=grant, stamp=stamp
    )
    position = 0
    for (start, _, members_of_run), answer in zip(runs, answers, strict=True):
        for _ in range(members_of_run):
            chunk = int(stored[position])
            begin = int(offsets[chunk]) - start
            part = sharding.chain.decode(answer[begin : begin + int(lengths[chunk])])
            corner = (coords[chunk] - low) * inner
            cells[tuple(slice(a, a + n) for a, n in zip(corner.tolist(), inner.tolist(), strict=True))] = part
            position += 1
    counts.add(len(stored))
    origin = (low * inner).tolist()
    for member in members:
        placer.put(member, cells, origin)
    return True


def _runs(offsets: np.ndarray, lengths: np.ndarray, gap: int) -> list[tuple[int, int, int]]:
    """(offset, length [bytes], inner chunks) of each run of inner chunks at most ``gap`` bytes apart."""
    runs: list[tuple[int, int, int]] = []
    for offset, length in zip(offsets.tolist(), lengths.tolist(), strict=True):
        if runs:
            start, size, members = runs[-1]
            if start + size <= offset <= start + size + gap and offset + length - start <= MAX_REQUEST:
                runs[-1] = (start, offset + length - start, members + 1)
                continue
        runs.append((offset, length, 1))
    return runs
