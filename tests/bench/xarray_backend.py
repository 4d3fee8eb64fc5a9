"""P8: data sets of xarray over many files: ours, ``open_mfdataset`` with dask, and plain zarr-python.

Three things, all in the page cache:

1. 64 NetCDF-4 files (int16, zlib, 256 x 64 x 64 cells, one chunk for 32 steps), each packed with a scale and an offset of
   its own. ``lz.open_dataset`` of each, joined with ``xr.concat``, against ``xr.open_mfdataset`` of the same files with its
   defaults (dask, one block for a file) and with the blocks of the files (``chunks={}``). Read are the joined variable
   and the series of one cell; opening is a row of its own. Values are compared first: where they differ by more than the
   rounding of float32 the program stops.
2. ``isel(time=k).values`` on a saved data set of 10,000 Zarr arrays of one chunk each, opened with ``xr.open_dataset(saved,
   engine="lazyzarr")``, against a read of the same chunk with zarr-python from the one array: opened before, and opened
   within the time. Each read is of another array than the one before.
3. Opening that data set in a fresh process, after the imports: time, and the growth of the peak of memory.

``python tests/bench/xarray_backend.py [--quick]``; ``--quick`` has 16 files and 1,000 arrays.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from measuring import Row, alternate, arguments, table, timing

import lazyzarr as lz

STEPS, SIDE, CHUNK = 256, 64, 32
ROWS, COLUMNS = 10, 64
"""Of each array of the saved data set; its one chunk."""

FRESH = """
import json, sys, time
import numpy, xarray, zarr
import lazyzarr as lz
xarray.open_dataset(sys.argv[2], engine="lazyzarr").v.isel(time=0).values
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
before, start = peak(), time.perf_counter()
dataset = xarray.open_dataset(sys.argv[1], engine="lazyzarr")
opened = time.perf_counter() - start
memory = peak() - before
start = time.perf_counter()
dataset.v.isel(time=dataset.sizes["time"] // 2).values
print(json.dumps({"opened": opened, "memory": memory, "first": time.perf_counter() - start}))
"""


def write_files(folder: Path, files: int) -> list[str]:
    """NetCDF files, each with a packing of its own."""
    random = np.random.default_rng(0)
    cells = random.integers(-50, 50, (STEPS, SIDE, SIDE)).cumsum(axis=0).astype("f8")
    paths: list[str] = []
    for number in range(files):
        time = xr.DataArray(np.arange(STEPS) + number * STEPS, dims="time", attrs={"units": "hours since 2000-01-01"})
        scale, offset = 0.01 * (1 + number % 7), 270.0 + number
        dataset = xr.Dataset({"v": (("time", "y", "x"), cells * scale + offset)}, coords={"time": time})
        packed = {"dtype": "i2", "scale_factor": scale, "add_offset": offset, "_FillValue": -32768}
        paths.append(str(folder / f"{number:04d}.nc"))
        chunks = {"chunksizes": (CHUNK, SIDE, SIDE), "zlib": True, "complevel": 1}
        dataset.to_netcdf(paths[-1], engine="netcdf4", encoding={"v": {**packed, **chunks}})
    return paths


def ours(paths: list[str]) -> xr.Dataset:
    """The joined data set of views."""
    return xr.concat([lz.open_dataset(path) for path in paths], "time")


def joined(folder: Path, files: int, rounds: int) -> list[Row]:
    """The same files through views and through dask."""
    paths = write_files(folder, files)
    openers: dict[str, Callable[[], xr.Dataset]] = {
        "lazyzarr": lambda: ours(paths),
        "open_mfdataset": lambda: xr.open_mfdataset(paths, engine="netcdf4"),
        "open_mfdataset, chunks={}": lambda: xr.open_mfdataset(paths, engine="netcdf4", chunks={}),
    }
    opened = {name: opener() for name, opener in openers.items()}
    picks = itertools.cycle(np.random.default_rng(1).integers(0, SIDE, (32, 2)).tolist())
    works: dict[str, dict[str, Callable[[], Any]]] = {"open and join": {}, "the whole variable": {}, "one series": {}}
    for name, dataset in opened.items():
        np.testing.assert_allclose(dataset.v.values, opened["lazyzarr"].v.values, rtol=1e-5)
        works["open and join"][name] = lambda name=name: openers[name]().close()
        works["the whole variable"][name] = lambda dataset=dataset: dataset.v.copy(deep=False).values
        works["one series"][name] = lambda dataset=dataset: dataset.v[(slice(None), *next(picks))].values
    # `values` of a variable of views or dask arrays keeps nothing: every sample reads again
    found: list[Row] = []
    for what, each in works.items():
        times = alternate(each, rounds)
        mine = times.pop("lazyzarr")
        bar = 1.0 if what == "open and join" else 1 / 3
        found += [Row(f"{what}, {files} NetCDF files", mine, peer, theirs, bar) for peer, theirs in times.items()]
    for dataset in opened.values():
        dataset.close()
    return found


def save_many(folder: Path, sources: int) -> tuple[list[str], str]:
    """Arrays that all exist, and the saved data set of them."""
    cells = np.arange(ROWS * COLUMNS, dtype="f4").reshape(ROWS, COLUMNS)
    texts: list[tuple[str, bytes]] = []
    paths: list[str] = []
    for number in range(sources):
        path = folder / f"a{number:05d}.zarr"
        if not texts:
            zarr.create_array(path, data=cells, chunks=cells.shape, dimension_names=["time", "x"])
            texts = [(name, (path / name).read_bytes()) for name in ("zarr.json", "c/0/0")]
        else:
            (path / "c" / "0").mkdir(parents=True)
            for name, text in texts:
                (path / name).write_bytes(text)
        paths.append(str(path))
    saved = str(folder / f"saved{sources}.zarr")
    lz.save({"v": lz.concat([lz.open(path) for path in paths])}, saved)
    return paths, saved


def one_of_many(folder: Path, sources: int, rounds: int) -> list[Row]:
    """One step of the saved data set, and opening it."""
    paths, saved = save_many(folder, sources)
    dataset = xr.open_dataset(saved, engine="lazyzarr")
    arrays = {number: zarr.open_array(paths[number], mode="r") for number in range(0, sources, max(1, sources // 499))}
    numbers = list(arrays)
    steps = {name: itertools.cycle(numbers) for name in ("lazyzarr", "zarr", "open lazyzarr", "open zarr")}

    def at(name: str) -> tuple[int, int]:
        number = next(steps[name])
        return number, number * ROWS + 3

    works: dict[str, Callable[[], Any]] = {
        "lazyzarr": lambda: dataset.v.isel(time=at("lazyzarr")[1]).values,
        "zarr": lambda: arrays[at("zarr")[0]][3],
    }
    opening: dict[str, Callable[[], Any]] = {
        "lazyzarr": lambda: xr.open_dataset(saved, engine="lazyzarr").v.isel(time=at("open lazyzarr")[1]).values,
        "zarr": lambda: zarr.open_array(paths[at("open zarr")[0]], mode="r")[3],
    }
    assert all(
        np.array_equal(work(), np.arange(3 * COLUMNS, 4 * COLUMNS)) for work in (*works.values(), *opening.values())
    )
    read, with_open = alternate(works, rounds, least=0.3), alternate(opening, rounds, least=0.3)
    size = f"{sources:,} arrays"
    found = [
        Row(f"isel(time=k).values, {size}", read["lazyzarr"], "zarr-python, one array", read["zarr"], 3.0),
        Row(f"open and isel, {size}", with_open["lazyzarr"], "zarr-python, one array", with_open["zarr"], 3.0),
    ]
    _, small = save_many(folder / "small", 4)
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", FRESH, saved, small], capture_output=True, check=True).stdout)
        for _ in range(rounds)
    ]
    found += [
        Row(f"open, fresh process, {size}", timing(run["opened"] for run in runs), "", None, 0.1),
        Row(f"first step, fresh process, {size}", timing(run["first"] for run in runs), "", None, 0.05),
        Row(f"memory to open, {size}", min(run["memory"] for run in runs) / 1e6, "", None, 50, "MB"),
    ]
    return found


def rows(*, quick: bool = False, rounds: int = 0) -> list[Row]:
    """One row per work and peer."""
    rounds = rounds or (3 if quick else 5)
    with tempfile.TemporaryDirectory() as folder:
        found = joined(Path(folder), 16 if quick else 64, rounds)
    with tempfile.TemporaryDirectory() as folder:
        return found + one_of_many(Path(folder), 1_000 if quick else 10_000, rounds)


def main() -> None:
    """Print the table."""
    given = arguments(__doc__).parse_args()
    print(table(rows(quick=given.quick, rounds=given.rounds)))


if __name__ == "__main__":
    main()
