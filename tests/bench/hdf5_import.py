"""Import of 1,000 NetCDF-4 files of 10 variables against bare h5py opening them.

The bar: within twice the time of h5py opening each file and touching its 10 datasets. Run with
``python tests/bench/hdf5_import.py [files]``. The works alternate file by file, so that load from elsewhere falls on
all of them, and each file counts with its fastest of `ROUNDS` processor times.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import h5py
import netCDF4
import numpy as np

from lazyzarr.formats.hdf5 import import_array, import_file

ROUNDS = 5


def generate(folder: Path, files: int) -> list[str]:
    """Small CF files: three coordinates, seven packed and compressed variables, about 60 attributes each."""
    rng = np.random.default_rng(0)
    paths = [str(folder / f"f{number:05d}.nc") for number in range(files)]
    for number, path in enumerate(paths):
        with netCDF4.Dataset(path, "w") as f:
            f.title, f.Conventions, f.history = "series", "CF-1.8", f"file {number}"
            for name, length in (("time", None), ("lat", 8), ("lon", 16)):
                f.createDimension(name, length)
                v = f.createVariable(name, "f8", (name,))
                v.standard_name, v.units = name, "days since 2000-01-01" if name == "time" else "degrees"
                v[:] = np.arange(length or 4) + (4 * number if name == "time" else 0)
            for k in range(7):
                dims = ("time", "lat", "lon")
                v = f.createVariable(f"v{k}", "i2", dims, zlib=True, chunksizes=(1, 8, 16), fill_value=-999)
                v.units, v.long_name, v.scale_factor, v.add_offset = "K", f"variable {k}", 0.01, 273.15
                v[:] = rng.random((4, 8, 16)) * 20 + 280
    return paths


def touch(path: str) -> None:
    """Open the 10 datasets."""
    with h5py.File(path, "r") as f:
        for name in f:
            f[name]


def touch_shape(path: str) -> None:
    """Open the 10 datasets and ask for their shape."""
    with h5py.File(path, "r") as f:
        for name in f:
            f[name].shape  # noqa: B018


def whole(path: str) -> None:
    """Import everything, chunk indexes included."""
    for item in import_file(path, "file://" + path).arrays.values():
        item.refs()


def metadata(path: str) -> None:
    """Import; columns are made when they are asked for."""
    import_file(path, "file://" + path)


def one(path: str) -> None:
    """Import one variable."""
    import_array(path, "file://" + path, "v3")


def main() -> None:
    """Print milliseconds for a file, and ratios."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        paths = generate(Path(folder), files)
        works = (touch, touch_shape, metadata, whole, one)
        times = {work: [float("inf")] * files for work in works}
        for _ in range(ROUNDS):
            for number, path in enumerate(paths):
                for work in works:
                    start = time.process_time_ns()
                    work(path)
                    times[work][number] = min(times[work][number], (time.process_time_ns() - start) / 1e9)
    best = {work: sum(each) for work, each in times.items()}
    for work, seconds in best.items():
        ratios = f"{seconds / best[touch]:.2f} of touch, {seconds / best[touch_shape]:.2f} of touch_shape"
        print(f"{work.__name__:12s} {seconds / files * 1e3:7.3f} ms a file   {ratios}")


if __name__ == "__main__":
    main()
