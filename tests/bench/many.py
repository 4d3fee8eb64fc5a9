"""P4, P9: views of very many arrays: opening a saved one, reading single points of it, and making it.

Saved views of 10^4, 10^5 and 10^6 arrays of 100 chunks each are opened in fresh processes, which take the time after
the imports and report their peak memory; TensorStore opens a JSON stack of the same arrays. Only the arrays that are
read exist. Opening and joining is measured on 10^4 arrays that all exist.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peers
import tensorstore as ts
import zarr
from measuring import Row, Timing, arguments, best, show, timing

import lazyzarr as lz
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_columns
from lazyzarr.view import View

ROWS, COLUMNS, CHUNK = 100, 8, (1, 8)
READ = tuple((0.5 + 0.618034 * k) % 1 for k in range(40))
"""Where in the view the points are that are read, as shares of its length: each in a source of its own."""

OURS = """
import json, sys, time
import numpy, zarr
import lazyzarr as lz
lz.full((1,), 0).read(); lz.open, lz.View
place, rows = sys.argv[1], json.loads(sys.argv[2])
before = peak()
start = time.perf_counter()
view = lz.open(place)
first = view[rows[0], 3].read()
opened = time.perf_counter() - start
"""
THEIRS = """
import json, sys, time
import numpy, tensorstore as ts
place, rows = sys.argv[1], json.loads(sys.argv[2])
before = peak()
start = time.perf_counter()
with open(place) as file:
    spec = json.load(file)
view = ts.open(spec, read=True).result()
first = view[rows[0], 3].read().result()
opened = time.perf_counter() - start
"""
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
"""
REPORT = """
points, views = [], []
for row in rows[1:] * 3:
    start = time.perf_counter()
    READ
    points.append(time.perf_counter() - start)
for row in rows * 20:
    start = time.perf_counter()
    view[row : row + 50, 1:5]
    views.append(time.perf_counter() - start)
print(json.dumps({
    "opened": opened, "point": sorted(points[len(rows) - 1:]), "fresh": sorted(points[: len(rows) - 1]),
    "view": sorted(views), "before": before, "peak": peak(), "value": float(numpy.asarray(first)),
}))
"""
POINTS = {"fresh": "a point of a source not read before", "point": "a point of a source read before"}
SCRIPTS = {
    "lazyzarr": PEAK + OURS + REPORT.replace("READ", "view[row, 3].read()"),
    "TensorStore": PEAK + THEIRS + REPORT.replace("READ", "view[row, 3].read().result()"),
}


def fresh(script: str, place: Path, rows: list[int]) -> dict[str, Any]:
    """What a new process reports."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(place), json.dumps(rows)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def points_of(sources: int) -> list[int]:
    """Rows of the view that are read."""
    return [int(share * sources) * ROWS + 7 for share in READ]


def save_view(folder: Path, sources: int) -> Path:
    """A saved view of arrays joined along the first axis, of which those that are read exist."""
    wanted = {row // ROWS for row in points_of(sources)}
    stamp = Stamp(700, 1_700_000_000_000_000_000, 5, digest="sha256:" + "0" * 64)
    layout = Layout("float32", 0.0, CHUNK, (NamedConfig("bytes", {"endian": "little"}),))
    arrays: list[StoredArray] = []
    for number in range(sources):
        path = folder / "data" / f"{number // 1000:04d}" / f"a{number:07d}.zarr"
        found = stamp
        if number in wanted:
            cells = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS) + number
            zarr.create_array(path, data=cells, chunks=CHUNK, compressors=None, zarr_format=3)
            found = lz.open(path).sources()[0].stamp
        arrays.append(StoredArray(0, (ROWS, COLUMNS), location=f"file://{path}", stamp=found))
    origins = np.zeros((sources, 2), np.int64)
    origins[:, 0] = np.arange(sources) * ROWS
    tiles = Table(tile_columns(arrays, origins, np.zeros(sources, np.int32)))
    node = Tiles(tiles.name, (sources * ROWS, COLUMNS), "float32", 0.0, (0,))
    view = View(node, own=Graph((), layouts=[layout], tables={tiles.name: tiles}))
    lz.save(view, folder / "view.zarr")
    return folder / "view.zarr"


def save_stack(folder: Path, sources: int) -> Path:
    """The same as a JSON stack for TensorStore; nothing has to be opened to open it."""
    layers = [
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{folder}/data/{number // 1000:04d}/a{number:07d}.zarr/"},
            "transform": {
                "input_inclusive_min": [number * ROWS, 0],
                "input_exclusive_max": [(number + 1) * ROWS, COLUMNS],
                "output": [{"input_dimension": 0, "offset": -number * ROWS}, {"input_dimension": 1}],
            },
        }
        for number in range(sources)
    ]
    place = folder / "stack.json"
    place.write_text(json.dumps({"driver": "stack", "dtype": "float32", "schema": {"rank": 2}, "layers": layers}))
    return place


def saved(sources: int, rounds: int, *, peer: bool) -> tuple[list[Row], Timing, float]:
    """Rows of one size, the time to the first point, and the memory it took [MB]."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"lazyzarr": save_view(Path(folder), sources)}
        if peer:
            places["TensorStore"] = save_stack(Path(folder), sources)
        rows = points_of(sources)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
        for _ in range(rounds):
            for name, place in places.items():
                found[name].append(fresh(SCRIPTS[name], place, rows))
    assert len({run["value"] for runs in found.values() for run in runs}) == 1

    def of(name: str, what: str) -> Timing:
        return timing(np.ravel([run[what] for run in found[name]]).tolist())

    def middle(name: str, what: str) -> Timing:
        """Of the median point of each process: some points load parts of the table, others find them there."""
        return timing(float(np.median(run[what])) for run in found[name])

    def grown(name: str) -> float:
        return min(run["peak"] - run["before"] for run in found[name]) / 1e6

    size = f"10^{len(str(sources)) - 1} sources"
    ours = of("lazyzarr", "opened")
    out: list[Row] = []
    if peer:
        bar = 0.1 if sources >= 100_000 else 1.0
        out.append(
            Row(f"open a saved view and read one point, {size}", ours, "TensorStore", of("TensorStore", "opened"), bar)
        )
        for what, label in POINTS.items():
            out.append(
                Row(f"{label}, {size}", middle("lazyzarr", what), "TensorStore", middle("TensorStore", what), 2.0)
            )
        memory = grown("lazyzarr"), "TensorStore", grown("TensorStore")
        out.append(Row(f"memory for it, {size}", *memory, 1.0, "MB"))
    out += [Row(f"{label}, {size}", middle("lazyzarr", what), "", None, 150e-6) for what, label in POINTS.items()]
    out.append(Row(f"a further view, {size}", of("lazyzarr", "view"), "", None, 50e-6))
    return out, ours, grown("lazyzarr")


def open_and_join(arrays: int, rounds: int) -> tuple[list[Row], Timing]:
    """Opening and joining arrays that all exist."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/a{number:05d}.zarr" for number in range(arrays)]
        document = None
        for path in paths:
            Path(path).mkdir()
            if document is None:
                zarr.create_array(path, shape=(ROWS, COLUMNS), chunks=CHUNK, dtype="float32", overwrite=True)
                document = Path(path, "zarr.json").read_bytes()
            Path(path, "zarr.json").write_bytes(document)
        works = {
            "lazyzarr": lambda: lz.concat([lz.open(path) for path in paths]),
            "TensorStore": lambda: ts.concat([peers.tensorstore_one(path) for path in paths], axis=0),
            "zarr open_array, not joined": lambda: [zarr.open_array(path, mode="r") for path in paths],
        }
        samples: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                start = time.perf_counter()
                kept = work()
                samples[name].append(time.perf_counter() - start)
                del kept
    times = {name: timing(each) for name, each in samples.items()}
    ours = times.pop("lazyzarr")
    what = f"open and join 10^{len(str(arrays)) - 1} arrays"
    found = [Row(what, ours, peer, theirs, 1.0) for peer, theirs in times.items()]
    if arrays == 10_000:
        found.append(Row(what, ours, "", None, 2.0))
    return found, ours


def rows(*, quick: bool = False, rounds: int = 0) -> Iterator[Row]:
    """One row per work, size and peer, and the growth from one size to the next."""
    rounds = rounds or (2 if quick else 5)
    opened: list[Timing] = []
    for sources in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000):
        more, ours, memory = saved(sources, rounds, peer=sources <= 100_000)
        yield from more
        opened.append(ours)
        if sources == 1_000_000:
            yield Row("memory to open and read points, 10^6 sources", memory, "", None, 100, "MB")
    for position, ours in enumerate(opened[1:], start=5):
        bar = 2.0 if position == 6 else 10.0
        yield Row(f"open and first point, 10^{position} sources", ours, f"10^{position - 1}", opened[position - 5], bar)
    few, ours_few = open_and_join(1_000, rounds)
    many, ours_many = open_and_join(10_000, 1 if quick else 3)
    yield from few + many
    yield Row("open and join 10^4 arrays", ours_many, "10^3", best(ours_few), 10.0 * 1.1)


def main() -> None:
    """Print the table."""
    given = arguments(__doc__).parse_args()
    show(rows(quick=given.quick, rounds=given.rounds))


if __name__ == "__main__":
    main()
