"""The work on one region of a copied array: read, cut, encode, write.

Owns what a thread or a worker of a cluster does. Refuses to write into a directory that is not there: whoever started
the copy made it, and a worker that does not see it is on another file system.
"""

from __future__ import annotations

import itertools
import math
import os
import socket
from typing import Any

import numpy as np

from lazyzarr.clusters.depots import Site
from lazyzarr.clusters.plans import ArrayPlan
from lazyzarr.clusters.workshop import failures_named, sync
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import SaveError
from lazyzarr.ir import fill
from lazyzarr.ir.chunk_keys import chunk_key
from lazyzarr.materializing import write_whole


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
    box = plan.box(number)
    cells = plan.view[box].read()
    written = 0
    folders: set[str] = set()
    for key, data in _chunks(plan, box, cells):
        file = os.path.join(root, key)
        with failures_named(root):
            folder = os.path.dirname(file)
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)
                folders.add(folder)
            write_whole(file, data)
        written += len(data)
    with failures_named(root):
        for folder in folders:  # a region that is reported as written stays so after a loss of power
            sync(folder)
    return written


def _put(plan: ArrayPlan, site: Site, number: int) -> int:
    box = plan.box(number)
    written = 0
    for key, data in _chunks(plan, box, plan.view[box].read()):
        site.put(key, data)
        written += len(data)
    return written


def _chunks(plan: ArrayPlan, box: tuple[slice, ...], cells: np.ndarray) -> Any:
    layout = plan.layout
    chain = compile_chain(layout)
    lengths = layout.chunk_shape
    counts = [range(-(-n // c)) for n, c in zip(cells.shape, lengths, strict=True)]
    for place in itertools.product(*counts):
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
