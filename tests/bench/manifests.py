"""P6: the manifest on disk: bytes per chunk, writing, opening, and the first chunk, at 10^4 to 10^6 chunks.

``keys``: Zarr arrays of 1,000 chunks; ``ranges``: byte ranges of files of 1,000 chunks of uneven length. Only the files
of the chunk that is read are there. Run ``uv run python tests/bench/manifests.py [most chunks]``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr

import lazyzarr as lz
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View

EACH = 1_000
FIRST = """
import sys, time, numpy, lazyzarr as lz
lz.open(numpy.zeros(1)).read()
begin = time.perf_counter()
view = lz.open(sys.argv[1])
opened = time.perf_counter()
view[int(sys.argv[2])].read()
print(opened - begin, time.perf_counter() - opened)
"""


def keys(folder: Path, count: int) -> View:
    """Joined Zarr arrays."""
    zarr.create_array(folder / "0.zarr", data=np.arange(EACH, dtype="i2"), chunks=(1,))
    first = lz.open(folder / "0.zarr")
    (one,) = first.sources()
    root = (one.location or "").removesuffix("0.zarr")
    arrays = [StoredArray(0, (EACH,), f"{root}{k}.zarr", stamp=one.stamp) for k in range(count // EACH)]
    return lz.concat([source(array, first.ir.layouts, reader=first.reader) for array in arrays])


def ranges(folder: Path, count: int) -> View:
    """Joined arrays in files."""
    random = np.random.default_rng(0)
    layout = Layout("int16", 0, (1,), (NamedConfig("bytes", {"endian": "little"}), NamedConfig("gzip", {"level": 1})))
    parts: list[View] = []
    for number in range(count // EACH):
        length = random.integers(20_000, 60_000, EACH).astype(np.uint64)
        table = Table({"offset": np.cumsum(length) - length + 4096, "length": length})
        array = StoredArray(0, (EACH,), f"file://{folder}/{number}.nc", refs=table.name)
        parts.append(source(array, [layout], reader=Reader(), tables={table.name: table}))
    return lz.concat(parts)


def measure(kind: str, count: int) -> str:
    """One row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        view = (keys if kind == "keys" else ranges)(folder, count)
        target = folder / "v.zarr"
        begin = time.perf_counter()
        lz.save(view, target, manifest="only")
        wrote = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        times = ["", ""]
        if kind == "keys":
            run = [sys.executable, "-c", FIRST, str(target), "7"]
            best = min(subprocess.check_output(run, text=True).split() for _ in range(3))
            times = [f"{1e3 * float(each):.1f} ms" for each in best]
        else:
            begin = time.perf_counter()
            lz.open(target)
            times[0] = f"{1e3 * (time.perf_counter() - begin):.1f} ms"
        shutil.rmtree(target)
    return f"| {kind} | {count:,} | {size / count:.2f} | {wrote:.2f} s | {times[0]} | {times[1]} |"


def main(most: int) -> None:
    """Print the table."""
    print("| chunks of | chunks | bytes per chunk | write | open | first chunk |\n|---|---|---|---|---|---|")
    for kind in ("keys", "ranges"):
        count = 10_000
        while count <= most:
            print(measure(kind, count), flush=True)
            count *= 10


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
