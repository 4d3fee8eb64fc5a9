"""P1, P2: every cell of 64 joined Zarr arrays, against TensorStore, zarr-python and a loop written by hand.

256 MiB in chunks of 256 KiB and of 16 KiB, raw and zstd, each as square tiles (chunks are scattered into the output)
and as full rows (a chunk is one run of the output). Files are in the page cache.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import peers
from measuring import Row, alternate, arguments, table

import lazyzarr as lz

ROUNDS = 7
BARS = {
    ("256 KiB", False): {"TensorStore": 0.8, "by hand": 1.15, "zarr default": 1 / 3.5, "zarr Fused": 1.0},
    ("256 KiB", True): {"TensorStore": 1.0, "by hand": 1.15, "zarr default": 1 / 2.5, "zarr Fused": 1.0},
    ("16 KiB", False): {"TensorStore": 1.0, "by hand": 1.15, "zarr default": 0.3, "zarr Fused": 0.3},
    ("16 KiB", True): {"TensorStore": 1.3, "by hand": 1.15, "zarr default": 0.3, "zarr Fused": 0.3},
}


def compare(series: peers.Series, rounds: int, *, slow: bool) -> dict[str, object]:
    """Timings by library; the result of each is checked first."""
    view = lz.concat([lz.open(path) for path in series.paths])
    joined = peers.tensorstore_join(series)
    works = {
        "lazyzarr": view.read,
        "TensorStore": lambda: joined.read().result(),
        "by hand, 1 thread": peers.by_hand(series, 1),
        "by hand, 2 threads": peers.by_hand(series, 2),
    }
    fused = peers.zarr_arrays(series, fused=True)
    works["zarr Fused"] = lambda: peers.zarr_scan(fused, fused=True)
    if slow:
        default = peers.zarr_arrays(series, fused=False)
        works["zarr default"] = lambda: peers.zarr_scan(default, fused=False)
    expected = works["by hand, 1 thread"]()
    for name, work in works.items():
        assert np.array_equal(work(), expected), name
    return alternate(works, rounds)


def rows(*, quick: bool = False, rounds: int = 0, only: str = "") -> list[Row]:
    """One row per peer, chunk size, form and codec."""
    found: list[Row] = []
    arrays = 16 if quick else 64
    rounds = rounds or (3 if quick else ROUNDS)
    for (size, form), chunk in peers.GRIDS.items():
        for compressed in (False, True):
            label = f"scan {arrays * 4} MiB, {size} {form}, {'zstd' if compressed else 'raw'}"
            if only not in label:
                continue
            with tempfile.TemporaryDirectory() as folder:
                series = peers.write(Path(folder), arrays, chunk, compressed=compressed)
                times = compare(series, rounds, slow=not quick or size != "16 KiB")
            hand = min((times.pop(f"by hand, {n}"), f"by hand, {n}") for n in ("1 thread", "2 threads"))
            times[hand[1]] = hand[0]
            ours = times.pop("lazyzarr")
            for peer, theirs in times.items():
                bar = BARS[size, compressed][peer.partition(",")[0]]
                found.append(Row(label, ours, peer, theirs, bar))
    return found


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="", help="part of the label of the rows to run, such as '16 KiB rows, raw'")
    given = parser.parse_args()
    print(table(rows(quick=given.quick, rounds=given.rounds, only=given.only)))


if __name__ == "__main__":
    main()
