"""Views joined one by one: ``v = concat([v, w])`` again and again, against one concat of all.

Measured are making the graph, one cell, a slab of 100 cells and the whole, in memory, so that planning is what is
timed. Run: ``uv run python tests/bench/appending.py [--quick]``.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable

import numpy as np

import lazyzarr as lz
from lazyzarr.view import View

PARTS, CELLS = 8, 4


def appended(parts: list[View], count: int) -> View:
    view = parts[0]
    for k in range(1, count):
        view = lz.concat([view, parts[k % PARTS]])
    return view


def best(work: Callable[[], object], times: int = 7) -> float:
    """Shortest of some runs [s]."""
    found: list[float] = []
    for _ in range(times):
        gc.collect()
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    count = 200 if "--quick" in sys.argv else 2_000
    parts = [lz.full((CELLS,), k, dtype="int32") for k in range(PARTS)]
    chain = appended(parts, count)
    at_once = lz.concat([parts[k % PARTS] for k in range(count)])
    middle = count * CELLS // 2
    expected = np.repeat(np.resize(np.arange(PARTS), count), CELLS)
    np.testing.assert_array_equal(chain.read(), expected)
    print(f"{count} arrays: {len(chain.ir.nodes)} nodes one by one, {len(at_once.ir.nodes)} at once")
    works: list[tuple[str, Callable[[View], object]]] = [
        ("one cell", lambda v: v[middle].read()),
        ("a slab of 100 cells", lambda v: v[middle : middle + 100].read()),
        ("the whole", lambda v: v.read()),
    ]
    print(f"{'graph':24}{best(lambda: appended(parts, count).ir) * 1e3:10.3f} ms, with joining")
    for name, work in works:
        ours, theirs = (best(lambda view=view, work=work: work(view)) for view in (chain, at_once))
        print(f"{name:24}{ours * 1e3:10.3f} ms{theirs * 1e3:10.3f} ms at once{ours / theirs:8.2f}")


if __name__ == "__main__":
    main()
