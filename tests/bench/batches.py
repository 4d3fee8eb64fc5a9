"""Random batches of rows: ours, zarr-python and TensorStore; and random points.

One array of 65,536 rows of 256 float32 in chunks of 64 rows (64 KiB), raw and zstd, in the page cache; and a view of 64
arrays of 1,024 rows, which TensorStore reads through its ``concat``. A batch has 32 or 256 random rows, the same for
all. The last rows of the table are a whole shuffled pass through ``lz.batches``, read ahead and not, where each batch
is followed by a pause, as if an accelerator worked on it. zarr-python is measured on one array only: it has no join.

``python tests/bench/batches.py [--quick]``
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
import zarr
from measuring import Row, alternate, arguments, show

import lazyzarr as lz

ROWS, COLUMNS, CHUNK, SOURCES = 65_536, 256, 64, 64
STEP = 0.02
"""What is done with a batch of 256 rows takes that long [s]."""
BARS = {"zarr-python": 1.0, "TensorStore": 2.0}


def write(folder: Path) -> dict[str, tuple[list[str], bool]]:
    """Arrays by name; and whether they are joined."""
    cells = np.random.default_rng(0).integers(0, 50, (ROWS, COLUMNS)).astype("f4")
    out: dict[str, tuple[list[str], bool]] = {}
    for name, codec in (("raw", None), ("zstd", zarr.codecs.ZstdCodec(level=1))):
        zarr.create_array(folder / name, data=cells, chunks=(CHUNK, COLUMNS), compressors=codec)
        out[name] = ([str(folder / name)], False)
    parts: list[str] = []
    for number, part in enumerate(np.split(cells, SOURCES)):
        parts.append(str(folder / f"part{number}"))
        zarr.create_array(parts[-1], data=part, chunks=(CHUNK, COLUMNS), compressors=zarr.codecs.ZstdCodec(level=1))
    out[f"zstd, {SOURCES} arrays joined"] = (parts, True)
    return out


def tensorstore(paths: list[str]) -> Any:
    """The arrays as TensorStore opens and joins them."""
    opened = [
        ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}, read=True).result()
        for path in paths
    ]
    return opened[0] if len(opened) == 1 else ts.concat(opened, axis=0)


def rows(*, quick: bool = False, rounds: int = 0) -> list[Row]:
    """One row per work and peer."""
    rounds = rounds or (5 if quick else 15)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (paths, joined) in write(Path(folder)).items():
            view = lz.concat([lz.open(path) for path in paths])
            theirs = tensorstore(paths)
            plain: Any = None if joined else zarr.open_array(paths[0], mode="r")
            for size in (32, 256):
                found += _taken(f"{size} random rows, {name}", view, theirs, plain, size, rounds)
            found += _points(f"1,000 random points, {name}", view, theirs, plain, rounds)
            found += _passes(f"a shuffled pass in batches of 256, {name}", view)
    return found


def _taken(what: str, view: lz.View, theirs: Any, plain: Any, size: int, rounds: int) -> list[Row]:
    drawn = [np.random.default_rng(seed).integers(0, ROWS, size) for seed in range(16)]
    works: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "lazyzarr": lambda pick: view.take(pick, axis=0).read(),
        "TensorStore": lambda pick: theirs[pick].read().result(),
    }
    if plain is not None:
        works["zarr-python"] = lambda pick: plain.oindex[pick]
    assert len({work(drawn[0]).tobytes() for work in works.values()}) == 1
    return _compared(what, works, drawn, rounds)


def _points(what: str, view: lz.View, theirs: Any, plain: Any, rounds: int) -> list[Row]:
    drawn = []
    for seed in range(16):
        draw = np.random.default_rng(seed)
        drawn.append((draw.integers(0, ROWS, 1000), draw.integers(0, COLUMNS, 1000)))
    works: dict[str, Callable[[Any], np.ndarray]] = {
        "lazyzarr": lambda pick: view.vindex[pick],
        "TensorStore": lambda pick: theirs.vindex[pick].read().result(),
    }
    if plain is not None:
        works["zarr-python"] = lambda pick: plain.vindex[pick]
    assert len({work(drawn[0]).tobytes() for work in works.values()}) == 1
    return _compared(what, works, drawn, rounds)


def _compared(what: str, works: dict[str, Any], drawn: list[Any], rounds: int) -> list[Row]:
    """Each work on the next of the picks, so that none finds its rows in a cache of its own."""
    cycled = {name: itertools.cycle(drawn) for name in works}
    times = alternate(
        {name: (lambda name=name, work=work: work(next(cycled[name]))) for name, work in works.items()}, rounds * 2
    )
    ours = times.pop("lazyzarr")
    return [Row(what, ours, peer, theirs, BARS[peer]) for peer, theirs in times.items()]


def _passes(what: str, view: lz.View) -> list[Row]:
    def whole(prefetch: int) -> None:
        taken = 0
        for batch in lz.batches(view, batch_size=256, shuffle=0, prefetch=prefetch):
            taken += len(batch)
            time.sleep(STEP)
        assert taken == ROWS

    times = alternate({"ahead": lambda: whole(2), "alone": lambda: whole(0)}, 1)
    return [Row(what, times["ahead"], "without reading ahead", times["alone"], 1.0)]


def main() -> None:
    """Print the table."""
    given = arguments(__doc__).parse_args()
    show(rows(quick=given.quick, rounds=given.rounds))


if __name__ == "__main__":
    main()
