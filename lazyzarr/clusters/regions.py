"""The work on one region of a copied array: read, cut, encode, write; or pass stored chunks on as they are.

Owns what a thread or a worker of a cluster does. Refuses to write into a directory that is not there: whoever started
the copy made it, and a worker that does not see it is on another file system.
"""

from __future__ import annotations

import itertools
import math
import os
import socket
from collections.abc import Buffer, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import Any

import numpy as np

from lazyzarr.clusters.depots import Site
from lazyzarr.clusters.plans import ArrayPlan
from lazyzarr.clusters.workshop import failures_named, sync
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import SaveError
from lazyzarr.ir import fill
from lazyzarr.ir.chunk_keys import chunk_key
from lazyzarr.lower.aligned import MISSING, AlignedManifest
from lazyzarr.materializing import write_whole
from lazyzarr.passing import StoredChunks, chosen

_REQUESTS = 8
"""Chunks of a bucket that one region asks for at a time."""


def write_region(plan: ArrayPlan, root: str | Site, number: int) -> int:
    """Write the chunks of a region below the directory of the array, or to a site; chunks of nothing but fill are left out.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    SaveError
        The storage failed, or the directory is not there.
    LazyZarrError
        As reading the view.
    """
    if isinstance(root, Site):
        return _put(plan, root, number)
    if not os.path.isdir(root):
        raise SaveError(
            f"copy to {root}; {socket.gethostname()} has no such directory; the workers of a cluster write themselves, so "
            "give a target that all of them see under one path"
        )
    written = 0
    folders: set[str] = set()
    for key, data in _chunks(plan, plan.box(number)):
        file = os.path.join(root, key)
        with failures_named(root):
            folder = os.path.dirname(file)
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)
                folders.add(folder)
            write_whole(file, data)
        written += memoryview(data).nbytes
    with failures_named(root):
        for folder in folders:  # a region that is reported as written stays so after a loss of power
            sync(folder)
    return written


def _put(plan: ArrayPlan, site: Site, number: int) -> int:
    written = 0
    for key, data in _chunks(plan, plan.box(number)):
        site.put(key, data)
        written += memoryview(data).nbytes
    return written


def _chunks(plan: ArrayPlan, box: tuple[slice, ...]) -> Iterator[tuple[str, Buffer]]:
    """Keys and bytes of the chunks of a region: stored ones as they are, all others read, cut and encoded."""
    if not plan.passes:
        yield from _encoded(plan, box)
        return
    flat, made = chosen(plan.view[box], plan.layout)
    first = [s.start // c for s, c in zip(box, plan.layout.chunk_shape, strict=True)]
    stored = flat.state != MISSING
    stored[made] = False
    rows = np.flatnonzero(stored)
    yield from _passed(plan, flat, rows, first)
    grid = flat.grid_shape
    for part in _parts(np.stack(np.unravel_index(made, grid), axis=1)):
        low, high = part.min(axis=0), part.max(axis=0) + 1
        within = tuple(
            slice(s.start + a * c, min(s.start + b * c, s.stop))
            for s, a, b, c in zip(box, low.tolist(), high.tolist(), plan.layout.chunk_shape, strict=True)
        )
        yield from _encoded(plan, within, {tuple(place) for place in (part - low).tolist()})


def _passed(
    plan: ArrayPlan, flat: AlignedManifest, rows: np.ndarray, first: Sequence[int]
) -> Iterator[tuple[str, Buffer]]:
    """Stored chunks, each checked as far as that takes no decoding."""
    session = plan.view.reader.session
    chain = compile_chain(plan.layout)
    places = (np.stack(np.unravel_index(rows, flat.grid_shape), axis=1) + np.array(first, np.int64)).tolist()
    chunks = StoredChunks(flat, session)

    def one(row: int) -> Buffer | None:
        data = chunks.read(row)
        if data is not None:
            chain.check(data)
        return data

    def found() -> Iterator[Buffer | None]:
        if all(session.is_local(origin.location) for origin in flat.origins):
            yield from map(one, rows.tolist())
            return
        with ThreadPoolExecutor(_REQUESTS) as pool:
            for some in batched(rows.tolist(), _REQUESTS):
                yield from pool.map(one, some)

    for place, data in zip(places, found(), strict=True):
        if data is not None:
            yield chunk_key(plan.layout.chunk_keys, place), data


def _parts(places: np.ndarray) -> Iterator[np.ndarray]:
    """Places of chunks in runs along the first axis, so that few others are read with them."""
    if len(places):
        yield from np.split(places, np.flatnonzero(np.diff(places[:, 0]) > 1) + 1)


def _encoded(
    plan: ArrayPlan, box: tuple[slice, ...], only: Set[tuple[int, ...]] | None = None
) -> Iterator[tuple[str, bytes]]:
    """The chunks of a box, or some of them, by their place in it."""
    layout = plan.layout
    cells = plan.view[box].read()
    chain = compile_chain(layout)
    lengths = layout.chunk_shape
    counts = [range(-(-n // c)) for n, c in zip(cells.shape, lengths, strict=True)]
    for place in itertools.product(*counts):
        if only is not None and place not in only:
            continue
        part = cells[(..., *(slice(k * c, (k + 1) * c) for k, c in zip(place, lengths, strict=True)))]
        if _is_fill(part, layout.fill_value, layout.data_type):
            continue
        if part.shape != lengths:
            padded = fill.full(lengths, layout.fill_value, layout.data_type)
            padded[tuple(slice(n) for n in part.shape)] = part
            part = padded
        coordinates = [s.start // c + k for s, c, k in zip(box, lengths, place, strict=True)]
        yield chunk_key(layout.chunk_keys, coordinates), chain.encode(np.ascontiguousarray(part).reshape(lengths))


def _is_fill(cells: np.ndarray, value: Any, data_type: Any) -> bool:
    """Whether all cells are the fill value, bit for bit."""
    one = fill.full((1,), value, data_type)
    if cells.dtype.kind in "TO":
        wanted = one.tolist()[0]
        return all(cell == wanted for cell in cells.reshape(-1).tolist())
    if cells[(slice(1),) * cells.ndim].tobytes() != one.tobytes():
        return False
    return cells.tobytes() == one.tobytes() * math.prod(cells.shape)
