"""Manifests of views that are not flat: rows of windows, made, stored, opened and read.

Files of ten chunks each are joined, of every second one the chain is another one, and the first row and column of the view
are cut off, so that every chunk has a window. What is read has been written; the other files are only named.

Run ``uv run python tests/bench/manifest_rows.py``; 10^3, 10^4 and 10^5 files take about a minute; ``--most`` stops earlier or
goes on.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import amount

import lazyzarr as lz
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_columns
from lazyzarr.manifests import manifest_graph
from lazyzarr.view import View

CHUNKS, COLUMNS = 10, 8
"""Of each file, each chunk a row of so many cells."""


def joined(files: int, folder: Path) -> View:
    """The view, of which the file in the middle exists."""
    middle = files // 2 // 2 * 2  # one that is little-endian
    (folder / f"{middle:07d}.bin").write_bytes(np.arange(CHUNKS * COLUMNS, dtype="<i2").tobytes())
    codecs = [(NamedConfig("bytes", {"endian": endian}),) for endian in ("little", "big")]
    layouts = [Layout("int16", 0, (1, COLUMNS), chain) for chain in codecs]
    stamp = Stamp(size=CHUNKS * COLUMNS * 2)
    arrays = [
        StoredArray(0, (CHUNKS, COLUMNS), location=f"file://{folder}/{k:07d}.bin", stamp=stamp) for k in range(files)
    ]
    origins = np.zeros((files, 2), np.int64)
    origins[:, 0] = np.arange(files) * CHUNKS
    columns = tile_columns(arrays, origins, (np.arange(files) % 2).astype(np.int32))
    columns["refs_first"] = np.zeros(files, np.int64)
    length = COLUMNS * 2
    refs = Table({"offset": np.arange(CHUNKS, dtype=np.uint64) * length, "length": np.full(CHUNKS, length, np.uint64)})
    tiles = Table(columns)
    node = Tiles(tiles.name, (files * CHUNKS, COLUMNS), "int16", 0, (0, 1), refs=refs.name)
    whole = View(node, own=Graph((), layouts=layouts, tables={tiles.name: tiles, refs.name: refs}))
    return whole[1:, 1:]


def one(files: int) -> None:
    """The row of one number of files, in this process."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        view = joined(files, folder)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begin = time.perf_counter()
        rows = manifest_graph(view).tables["rows"].rows
        planned = time.perf_counter() - begin
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
        begin = time.perf_counter()
        lz.save(view, folder / "v.zarr", manifest="only")
        saved = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in (folder / "v.zarr").rglob("*") if path.is_file())
        lz.full((1,), 0).read()
        begin = time.perf_counter()
        again = lz.open(folder / "v.zarr", allow=["file:///"])
        opened = time.perf_counter() - begin
        begin = time.perf_counter()
        cells = again[files // 2 // 2 * 2 * CHUNKS + 3].read()
        first = time.perf_counter() - begin
        assert cells.tolist() == list(range(4 * COLUMNS + 1, 5 * COLUMNS))
        times = " | ".join(amount(each) for each in (planned, saved, opened, first))
        print(f"| {files:,} | {rows:,} | {size / rows:.2f} | {times} | {grown:.0f} MB |", flush=True)


def main(given: argparse.Namespace) -> None:
    """Print the table; each row is of a process of its own."""
    print("| files | rows | bytes per row | planned | saved | opened | first row of the view | memory, planned |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for files in (10**3, 10**4, 10**5, 10**6):
        if files <= given.most:
            subprocess.run([sys.executable, __file__, "--one", str(files)], check=True)
    print(f"\n{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, NumPy {np.__version__}.")


def arguments(text: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10**5)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(text)


if __name__ == "__main__":
    asked = arguments(sys.argv[1:])
    if asked.one:
        one(asked.one)
    else:
        main(asked)
