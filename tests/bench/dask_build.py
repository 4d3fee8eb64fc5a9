"""P8: dask arrays over very many arrays: ours, and dask's own ``from_zarr`` and ``concatenate``.

10^3 and 10^4 arrays of 100 x 8 cells, one chunk each, that all exist. Each way runs in a fresh process, which reports
the time to open and join, the time to make the dask array and its graph with one block for each source, the memory
that all of it took, the length of the pickled graph, and the time to compute a slab of 64 rows. dask opens and joins
while it makes its graph, so the two times of it are one.

``python tests/bench/dask_build.py [--quick]``; without ``--quick`` dask takes minutes for 10^4.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import zarr
from measuring import Row, arguments, show

ROWS, COLUMNS = 100, 8

SETUP = """
import json, pickle, sys, time
import dask, dask.array as da, numpy, zarr
import lazyzarr as lz
paths = [f"{sys.argv[1]}/a{number:05d}.zarr" for number in range(int(sys.argv[2]))]
lz.full((1,), 0, dtype="i4").to_dask().compute(); lz.open(paths[0]).read(); da.from_zarr(paths[0]).compute()
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
def timed(work):
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start
before = peak()
"""
OURS = """
view, opened = timed(lambda: lz.concat([lz.open(path) for path in paths]))
array, aligned = timed(lambda: view.to_dask())
array.__dask_graph__()
blocks = array.npartitions
def built():
    array = view.to_dask((100, 8))
    return array, len(array.__dask_graph__())
(array, tasks), build = timed(built)
"""
THEIRS = """
opened = aligned = 0.0
blocks = 0
def built():
    array = da.concatenate([da.from_zarr(path) for path in paths])
    return array, len(array.__dask_graph__())
(array, tasks), build = timed(built)
"""
REPORT = """
memory = peak() - before
assert array.npartitions == len(paths)
middle = len(array) // 2 + 7
value, slab = timed(lambda: array[middle : middle + 64].compute())
assert float(value[0, 0]) == 3.0
data, dumped = timed(lambda: pickle.dumps(array.__dask_graph__()))
print(json.dumps({
    "opened": opened, "build": build, "aligned": aligned, "blocks": blocks, "memory": memory, "tasks": tasks,
    "slab": slab, "pickled": len(data), "dumped": dumped,
}))
"""


def write(folder: Path, sources: int) -> None:
    """Arrays that all exist, each with its one chunk."""
    first = folder / "a00000.zarr"
    stored = zarr.create_array(first, shape=(ROWS, COLUMNS), chunks=(ROWS, COLUMNS), dtype="f4", compressors=None)
    stored[...] = 3.0
    texts = [(name, (first / name).read_bytes()) for name in ("zarr.json", "c/0/0")]
    for number in range(1, sources):
        path = folder / f"a{number:05d}.zarr"
        (path / "c" / "0").mkdir(parents=True)
        for name, text in texts:
            (path / name).write_bytes(text)


def fresh(script: str, folder: Path, sources: int) -> dict[str, Any]:
    """What a new process reports."""
    arguments = [sys.executable, "-c", SETUP + script + REPORT, str(folder), str(sources)]
    return json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def rows(*, quick: bool = False, rounds: int = 0) -> list[Row]:
    """One row per size and figure."""
    found: list[Row] = []
    for sources in (1_000,) if quick else (1_000, 10_000):
        size = f"10^{len(str(sources)) - 1} sources"
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), sources)
            ours = min((fresh(OURS, Path(folder), sources) for _ in range(rounds or 3)), key=lambda run: run["build"])
            theirs = fresh(THEIRS, Path(folder), sources)
        dask = "dask"
        found += [
            Row(f"make the dask array of an opened view, {size}", ours["build"], "", None, 0.2),
            Row(f"the same, blocks aligned ({ours['blocks']}), {size}", ours["aligned"], "", None, 0.2),
            Row(f"open, join and make it, {size}", ours["opened"] + ours["build"], dask, theirs["build"], 0.1),
            Row(f"memory for it, {size}", ours["memory"] / 1e6, dask, theirs["memory"] / 1e6, 0.5, "MB"),
            Row(f"memory for it, {size}", ours["memory"] / 1e6, "", None, 50, "MB"),
            Row(f"the graph as pickled, {size}", ours["pickled"] / 1e6, dask, theirs["pickled"] / 1e6, 0.5, "MB"),
            Row(f"compute 64 rows, {size}", ours["slab"], dask, theirs["slab"], 1.0),
        ]
    return found


def main() -> None:
    """Print the table."""
    given = arguments(__doc__).parse_args()
    show(rows(quick=given.quick, rounds=given.rounds))


if __name__ == "__main__":
    main()
