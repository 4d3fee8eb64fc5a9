"""P1, P2: every cell of 64 joined Zarr arrays, against TensorStore, zarr-python and a loop written by hand.

256 MiB in chunks of 256 KiB and of 16 KiB, raw and zstd, each as square tiles (chunks are scattered into the output)
and as full rows (a chunk is one run of the output). Files are in the page cache. The default pipeline of zarr-python takes some tenths
of a millisecond for a chunk, however small: a scan of all 16 KiB chunks takes it 4 to 7 s. It has rows of its own, with
fewer arrays of such chunks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import peers
from measuring import Row, Timing, Work, alternate, arguments, show

import lazyzarr as lz

ROUNDS = 7
DEFAULT_ARRAYS = {"256 KiB": 64, "16 KiB": 4}
"""What the default pipeline of zarr-python is measured with."""
BARS = {
    ("256 KiB", False): {"TensorStore": 0.8, "by hand": 1.15, "zarr default": 1 / 3.5, "zarr Fused": 1.0},
    ("256 KiB", True): {"TensorStore": 1.0, "by hand": 1.15, "zarr default": 1 / 2.5, "zarr Fused": 1.0},
    ("16 KiB", False): {"TensorStore": 1.0, "by hand": 1.15, "zarr default": 0.3, "zarr Fused": 0.3},
    ("16 KiB", True): {"TensorStore": 1.3, "by hand": 1.15, "zarr default": 0.3, "zarr Fused": 0.3},
}


def compare(series: peers.Series, rounds: int) -> dict[str, Timing]:
    """Timings by library, the better one of the loops by hand first; the result of each is checked before."""
    joined = peers.tensorstore_join(series)
    fused = peers.zarr_arrays(series, fused=True)
    works = {
        "by hand, 1 thread": peers.by_hand(series, 1),
        "by hand, 2 threads": peers.by_hand(series, 2),
        "lazyzarr": _view(series).read,
        "TensorStore": lambda: joined.read().result(),
        "zarr Fused": lambda: peers.zarr_scan(fused, fused=True),
    }
    times = _checked(works, rounds)
    slower = max(("by hand, 1 thread", "by hand, 2 threads"), key=lambda name: times[name].best)
    del times[slower]
    return times


def compare_default(series: peers.Series, rounds: int) -> dict[str, Timing]:
    """Timings of lazyzarr and of the default pipeline of zarr-python."""
    default = peers.zarr_arrays(series, fused=False)
    works = {"lazyzarr": _view(series).read, "zarr default": lambda: peers.zarr_scan(default, fused=False)}
    return _checked(works, rounds)


def _view(series: peers.Series) -> lz.View:
    return lz.concat([lz.open(path) for path in series.paths])


def _checked(works: dict[str, Work], rounds: int) -> dict[str, Timing]:
    first, *others = works.values()
    expected = first()
    assert all(np.array_equal(work(), expected) for work in others)
    return alternate(works, rounds)


def rows(*, quick: bool = False, rounds: int = 0, only: str = "") -> Iterator[Row]:
    """One row per peer, chunk size, form and codec."""
    arrays = 16 if quick else 64
    rounds = rounds or (3 if quick else ROUNDS)
    for (size, form), chunk in peers.GRIDS.items():
        for compressed in (False, True):
            label = f"{size} {form}, {'zstd' if compressed else 'raw'}"
            if only not in label:
                continue
            bars = BARS[size, compressed]
            with tempfile.TemporaryDirectory() as folder:
                series = peers.write(Path(folder), arrays, chunk, compressed=compressed)
                times = compare(series, rounds)
                ours = times.pop("lazyzarr")
                for peer, theirs in times.items():
                    yield Row(f"scan {arrays * 4} MiB, {label}", ours, peer, theirs, bars[peer.partition(",")[0]])
                few = min(arrays, DEFAULT_ARRAYS[size])
                times = compare_default(series._replace(paths=series.paths[:few]), rounds)
            ours, theirs = times.values()
            yield Row(f"scan {few * 4} MiB, {label}", ours, "zarr default", theirs, bars["zarr default"])


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="", help="part of the label of the rows to run, such as '16 KiB rows, raw'")
    given = parser.parse_args()
    show(rows(quick=given.quick, rounds=given.rounds, only=given.only))


if __name__ == "__main__":
    main()
