"""1,200 daily files whose packing, chunks and compression drift, 14 variables: resolve, open, compare with each file.

    uv run python -m tests.bench.drift_1200 [files]

Prints seconds for resolving, for opening the dataset and reading one day, and for xarray on the same files; then compares
all cells of all files bit by bit with what xarray decodes file by file.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray

import lazyzarr as lz
from tests.definition import drifting


def main(count: int) -> None:
    """Run it in a temporary directory."""
    folder = Path(tempfile.mkdtemp())
    definition = drifting.make(folder, count)
    print(f"{count:,} files, definition of {len(definition.read_text().splitlines())} lines")
    start = time.perf_counter()
    lz.resolve(definition, folder / "archive.zarr")
    print(f"resolve                        {time.perf_counter() - start:8.2f} s")
    size = sum(path.stat().st_size for path in (folder / "archive.zarr").rglob("*") if path.is_file())
    print(f"dataset                        {size / 1e6:8.2f} MB")
    start = time.perf_counter()
    again = lz.resolve(definition, folder / "archive.zarr")
    print(f"resolve again, nothing new     {time.perf_counter() - start:8.2f} s, {again.opened} files opened")
    start = time.perf_counter()
    group = lz.open(folder / "archive.zarr")
    day = group["v00"][count // 2].read()
    print(f"open and read one day          {time.perf_counter() - start:8.4f} s")
    start = time.perf_counter()
    group["v01"].read()
    print(f"read one variable              {time.perf_counter() - start:8.2f} s")
    wrong = 0
    start = time.perf_counter()
    cells = {name: group[name].read() for name in (*drifting.PACKED, *drifting.PLAIN)}
    for number in range(count):
        with xarray.open_dataset(drifting.path(folder, number), engine="h5netcdf") as one:
            wrong += sum(
                not np.array_equal(found[number].view("uint32"), one[name].values[0].view("uint32"))
                for name, found in cells.items()
            )
    print(f"arrays of files that differ from per-file decoding: {wrong} of {count * len(cells):,}")
    print(f"(comparison, mostly xarray: {time.perf_counter() - start:.2f} s; one day of shape {day.shape})")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1200)
