"""P3: one point, a slab of 300 rows and a strided column of 64 joined arrays and of one, against TensorStore and zarr.

256 MiB in square chunks of 256 KiB, raw and zstd, in the page cache. Joined arrays in zarr-python are the arrays
that the selection needs, found by arithmetic and put together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peers
import zarr
from measuring import Row, alternate, arguments, show

import lazyzarr as lz

ROUNDS = 15
LEAST = 0.01
"""Seconds a sample takes at least."""


def selections(rows: int) -> dict[str, Any]:
    """Name -> key."""
    return {
        "one point": (rows // 2 + 300, 700),
        "300-row slab": (slice(rows // 2 - 140, rows // 2 + 160), slice(None)),
        "strided column": (slice(None, None, 16), 700),
    }


def from_zarr(arrays: list[Any], key: tuple[Any, int | slice]) -> np.ndarray:
    """A selection of arrays joined along the first axis."""
    rows, columns = key
    if isinstance(rows, int):
        return np.asarray(arrays[rows // peers.ROWS][rows % peers.ROWS, columns])
    first, stop, step = rows.indices(peers.ROWS * len(arrays))
    parts = []
    for number in range(first // peers.ROWS, (stop - 1) // peers.ROWS + 1):
        low, high = max(first - number * peers.ROWS, 0), min(stop - number * peers.ROWS, peers.ROWS)
        parts.append(arrays[number][low:high:step, columns])
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def compare(series: peers.Series, rounds: int, label: str) -> Iterator[Row]:
    """Rows of one data set."""
    view = lz.concat([lz.open(path) for path in series.paths])
    joined = peers.tensorstore_join(series) if len(series.paths) > 1 else peers.tensorstore_one(series.paths[0])
    arrays = peers.zarr_arrays(series, fused=True)
    for name, key in selections(series.shape[0]).items():
        works: dict[str, Callable[[], Any]] = {
            "lazyzarr": lambda key=key: view[key].read(),
            "TensorStore": lambda key=key: joined[key].read().result(),
            "zarr Fused": lambda key=key: from_zarr(arrays, key),
        }
        with zarr.config.set(peers.FUSED):
            expected = from_zarr(arrays, key)
            assert all(np.array_equal(work(), expected) for work in works.values()), name
            times = alternate(works, rounds, least=LEAST)
        ours = times.pop("lazyzarr")
        for peer, theirs in times.items():
            yield Row(f"{name}, {label}", ours, peer, theirs, 2.0 if peer == "TensorStore" else 1.0)


def rows(*, quick: bool = False, rounds: int = 0) -> Iterator[Row]:
    """One row per selection, peer, number of arrays and codec."""
    rounds = rounds or (5 if quick else ROUNDS)
    for compressed in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            series = peers.write(Path(folder), 16 if quick else 64, (256, 256), compressed=compressed)
            codec = "zstd" if compressed else "raw"
            yield from compare(series, rounds, f"{len(series.paths)} arrays, {codec}")
            yield from compare(series._replace(paths=series.paths[:1]), rounds, f"1 array, {codec}")


def main() -> None:
    """Print the table."""
    given = arguments(__doc__).parse_args()
    show(rows(quick=given.quick, rounds=given.rounds))


if __name__ == "__main__":
    main()
