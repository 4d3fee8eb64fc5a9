"""P7: zarr-python over ``lz.store`` of a flat view, against the same chunks in a local store.

Run with ``python tests/bench/serving.py [--quick]``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import peers
import zarr
from measuring import Row, alternate, arguments, show

import lazyzarr as lz

BAR = 1.05
ROUNDS = 5


def rows(*, quick: bool = False, rounds: int = 0) -> Iterator[Row]:
    """Scans of all sizes of chunks, with both pipelines of zarr-python."""
    with tempfile.TemporaryDirectory() as folder:
        for (size, shape), chunk in peers.GRIDS.items():
            if shape != "rows" or (quick and size == "16 KiB"):
                continue
            for compressed in (False, True):
                place = Path(folder) / f"{size}-{compressed}".replace(" ", "")
                place.mkdir()
                series = peers.write(place, 1 if quick else 8, chunk, compressed=compressed)
                yield from _rows(series, f"{size} chunks, {'zstd' if compressed else 'raw'}", rounds)


def _rows(series: peers.Series, what: str, rounds: int) -> Iterator[Row]:
    views = [lz.open(path) for path in series.paths]
    for name, pipeline in (("default", {}), ("Fused", peers.FUSED)):
        with zarr.config.set(pipeline):
            served = [zarr.open_array(lz.store(view), mode="r") for view in views]
            stored = [zarr.open_array(path, mode="r") for path in series.paths]
            for one, other in zip(served, stored, strict=True):
                np.testing.assert_array_equal(one[...], other[...])
            works = {"ours": partial(_scan, served), "theirs": partial(_scan, stored)}
            times = alternate(works, rounds or ROUNDS)
        yield Row(f"zarr {name} over a store, {what}", times["ours"], "LocalStore", times["theirs"], BAR)


def _scan(arrays: list[Any]) -> None:
    for array in arrays:
        array[...]


if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    show(rows(quick=given.quick, rounds=given.rounds))
