"""A definition of very many files: resolved by threads and by a cluster of two processes, again, and after 100 more came.

    uv run python -m tests.bench.definitions [--quick] [--files 100000] [--kinds zarr packed drifting]

The files are small: Zarr arrays of one chunk; NetCDF-4 files with a packed variable and a time, whose scale is one of
eight; or such files that have each a scale of its own, so that nothing about their decoding is shared. Each figure is of a
process of its own; memory is the largest that this process had, workers of the cluster not counted. At the end, every cell
is compared with what was written.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from tests.bench.measuring import arguments

MORE = 100
"""Files that arrive later."""
CELLS = (1, 4, 6)
SCALE, TIME = np.float32(1.2345e-21), np.int32(1_234_567_891)
"""What stands for these in the file that all others are made of."""

DEFINITION = """\
lazyzarr: 1
sources:
  parts:
    path: "data/{step:06d}/{step:06d}SUFFIX"
    tile: [{concat: time, name: step, range: {count: COUNT}, items: 1}]
dims: {time: {units: hours since 2000-01-01}}
arrays:
  v: {from: parts}
"""

RESOLVE = """
import json, resource, sys, time
import lazyzarr as lz
def main():
    folder, out, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    cluster = None
    if processes:
        from distributed import LocalCluster
        cluster = LocalCluster(n_workers=processes, threads_per_worker=1, processes=True, dashboard_address=None)
    start = time.perf_counter()
    report = lz.resolve(f"{folder}/d.lz.yaml", out, scheduler=cluster and cluster.scheduler_address)
    seconds = time.perf_counter() - start
    text = str(report)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps([seconds, memory, report.opened, report.appended, len(text.splitlines())]))
    if cluster is not None:
        cluster.close()
if __name__ == "__main__":
    main()
"""

READ = """
import json, sys, time
import lazyzarr as lz
start = time.perf_counter()
view = lz.open(sys.argv[1])["v"]
opened = time.perf_counter()
value = view[int(sys.argv[2]), 1, 2].read()
print(json.dumps([opened - start, time.perf_counter() - opened, float(value)]))
"""


def cells(number: int) -> np.ndarray:
    """What a file has."""
    return (np.arange(24, dtype="<i2").reshape(CELLS) + number % 30_000).astype("<i2")


def scale(kind: str, number: int) -> np.float32:
    """The packing of a file."""
    if kind == "zarr":
        return np.float32(1)
    return np.float32(2.0 ** -(number % 8)) if kind == "packed" else np.float32(1 / (number + 3))


def zarr_files(folder: Path) -> tuple[bytes, str]:
    """Metadata that all arrays have, and the suffix of their names."""
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": CELLS,
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": CELLS}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {"units": "K"},
        "dimension_names": ["time", "y", "x"],
    }
    return json.dumps(metadata).encode(), ""


def netcdf_file() -> bytes:
    """The file that all NetCDF files are made of."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file["v"] = cells(0)
        file["v"].attrs["scale_factor"] = SCALE
        file["v"].attrs["units"] = np.bytes_("K")
        file["time"] = np.array([TIME])
        file["time"].attrs["units"] = np.bytes_("hours since 2000-01-01")
        file["y"], file["x"] = np.arange(4.0), np.arange(6.0)
        for axis, name in enumerate(("time", "y", "x")):
            file[name].make_scale(name)
            file["v"].dims[axis].attach_scale(file[name])
    return held.getvalue()


def make(folder: Path, kind: str, numbers: Iterator[int]) -> None:
    """Write some files."""
    text = zarr_files(folder)[0] if kind == "zarr" else netcdf_file()
    for number in numbers:
        below = folder / "data" / f"{number:06d}"
        if kind == "zarr":
            place = below / f"{number:06d}"
            os.makedirs(place / "c" / "0" / "0")
            (place / "zarr.json").write_bytes(text)
            (place / "c" / "0" / "0" / "0").write_bytes(cells(number).tobytes())
            continue
        os.makedirs(below)
        own = text.replace(cells(0).tobytes(), cells(number).tobytes())
        own = own.replace(SCALE.tobytes(), scale(kind, number).tobytes())
        (below / f"{number:06d}.nc").write_bytes(own.replace(TIME.tobytes(), np.int32(number).tobytes()))


def define(folder: Path, kind: str, count: int) -> None:
    """Write the definition of so many files."""
    text = DEFINITION.replace("COUNT", str(count)).replace("SUFFIX", "" if kind == "zarr" else ".nc")
    if kind == "zarr":
        text = text.replace("{units:", "{start: 0, units:")
    (folder / "d.lz.yaml").write_text(text)


def fresh(script: str, *given: object) -> list[float]:
    """What a new process reports."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "run.py")
        path.write_text(script)
        arguments = [sys.executable, str(path), *map(str, given)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compare(folder: Path, out: Path, kind: str, count: int) -> int:
    """Files of which a cell is read otherwise than it was written."""
    import lazyzarr as lz

    wrong = 0
    view = lz.open(out)["v"]
    for first in range(0, count, 1000):
        found = view[first : first + 1000].read()
        for number in range(first, min(count, first + 1000)):
            expected = cells(number)[0]
            if kind != "zarr":
                expected = expected.astype("float32") * scale(kind, number)
            wrong += not np.array_equal(found[number - first], expected)
    return wrong


def run(folder: Path, kind: str, files: int) -> None:
    """All figures of one kind of files."""
    start = time.perf_counter()
    make(folder, kind, iter(range(files)))
    define(folder, kind, files)
    print(f"\n{kind}: {files:,} files ({time.perf_counter() - start:.1f} s to write them)", flush=True)
    for name, processes in (("2 processes", 2), ("threads", 0)):
        out = folder / f"{processes}.zarr"
        seconds, memory, opened, _, _ = fresh(RESOLVE, folder, out, processes)
        print(f"  resolve, {name:12s} {seconds:9.2f} s {memory:8.0f} MB  {opened:,.0f} files opened", flush=True)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    document = (out / "v" / "zarr.json").stat().st_size
    print(f"  dataset {size / 1e6:.2f} MB, of which the document of the view {document / 1e3:.0f} kB", flush=True)
    seconds, memory, opened, _, _ = fresh(RESOLVE, folder, out, 0)
    print(f"  again, nothing new    {seconds:9.2f} s {memory:8.0f} MB  {opened:,.0f} files opened", flush=True)
    make(folder, kind, iter(range(files, files + MORE)))
    define(folder, kind, files + MORE)
    seconds, memory, opened, appended, _ = fresh(RESOLVE, folder, out, 0)
    print(
        f"  again, {appended:.0f} new files   {seconds:9.2f} s {memory:8.0f} MB  {opened:,.0f} files opened", flush=True
    )
    number = files // 2
    points = [fresh(READ, out, number) for _ in range(3)]
    opening, point = min(p[0] for p in points), min(p[1] for p in points)
    print(f"  open {opening * 1e3:.0f} ms, first point {point * 1e3:.1f} ms", flush=True)
    print(f"  files that differ: {compare(folder, out, kind, files + MORE)} of {files + MORE:,}", flush=True)


def main() -> None:
    """Print the figures of each kind."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=0, help="how many; 100,000, or 2,000 with --quick")
    parser.add_argument("--kinds", nargs="+", default=["zarr", "packed", "drifting"])
    given = parser.parse_args()
    for kind in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder), kind, given.files or (2_000 if given.quick else 100_000))


if __name__ == "__main__":
    main()
