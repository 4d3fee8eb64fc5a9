"""P5, P9: joining and flattening many sources: time, and memory at the peak, for each fragment.

Sources of 100 or more chunks each, under chunk keys and as byte ranges, are joined through the API and flattened to 10^5,
10^6 and 10^7 fragments; no chunk exists, since none is touched. Memory is what Python and NumPy allocate above what the
view already has. ``python tests/bench/flatten.py [--quick]``.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
from measuring import Row, Timing, arguments, show, timing

import lazyzarr as lz
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.read import Reader

CHAIN = (NamedConfig("bytes", {"endian": "little"}), NamedConfig("zstd", {"level": 1}))
LAYOUT = Layout("int16", 0, (1, 10, 20), CHAIN)
SIZES = ((10**3, 10**2), (10**4, 10**2), (1, 10**6), (10, 10**6))
"""Sources, and chunks of each."""


def views(count: int, chunks: int, *, ranges: bool) -> list[lz.View]:
    """Sources of this many chunks."""
    reader = Reader()
    shape = (chunks // 10, 20, 100)
    if not ranges:
        return [source(StoredArray(0, shape, f"file:///{k}.zarr"), [LAYOUT], reader=reader) for k in range(count)]
    rng = np.random.default_rng(1)
    columns = {
        "offset": rng.integers(0, 10**9, count * chunks).astype(np.uint64),
        "length": rng.integers(100, 1000, count * chunks).astype(np.uint64),
    }
    refs = Table(columns, name="references")
    arrays = [StoredArray(0, shape, f"file:///{k}.nc", refs=refs.name, refs_first=k * chunks) for k in range(count)]
    return [source(array, [LAYOUT], reader=reader, tables={refs.name: refs}) for array in arrays]


def measured(count: int, chunks: int, *, ranges: bool, rounds: int) -> tuple[Timing, Timing, float]:
    """Time to join and to flatten [s], and bytes per fragment at the peak of flattening."""
    joins, flats = [], []
    sources = views(count, chunks, ranges=ranges)
    view = sources[0]
    for _ in range(rounds):
        start = time.perf_counter()
        view = lz.concat(sources) if count > 1 else sources[0]
        joins.append(time.perf_counter() - start)
        view.ir  # noqa: B018
        start = time.perf_counter()
        view.flatten()
        flats.append(time.perf_counter() - start)
    tracemalloc.start()
    manifest = view.flatten()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return timing(joins), timing(flats), peak / len(manifest)


def rows(*, quick: bool = False, rounds: int = 0) -> Iterator[Row]:
    """The comparisons with their bars."""
    for count, chunks in SIZES[: 2 if quick else None]:
        total = count * chunks
        for ranges in (False, True):
            join, flat, peak = measured(count, chunks, ranges=ranges, rounds=rounds or (2 if quick else 5))
            what = f"{count:,} sources of {chunks:,} {'ranges' if ranges else 'objects'}"
            yield Row(f"concat {what}", join, "", None, 0.584)
            yield Row(f"flatten {what}", flat, "", None, total / 10**6)
            yield Row(f"memory at the peak, {what}", peak, "", None, 100, "B per fragment")


if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    show(rows(quick=given.quick, rounds=given.rounds))
