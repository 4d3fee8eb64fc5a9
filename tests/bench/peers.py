"""The data of the benchmarks, and what other libraries and a loop written by hand make of it.

Data is deterministic: 64 Zarr v3 arrays that are joined along the first axis.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorstore as ts
import zarr
from numcodecs import zstd
from zarr.core.buffer import default_buffer_prototype

FUSED = {"codec_pipeline.path": "zarr.core.codec_pipeline.FusedCodecPipeline"}
ROWS, COLUMNS = 1024, 1024
"""Of each array [cells of 4 bytes]: 4 MiB."""
GRIDS = {
    ("256 KiB", "square"): (256, 256),
    ("256 KiB", "rows"): (64, 1024),
    ("16 KiB", "square"): (64, 64),
    ("16 KiB", "rows"): (4, 1024),
}


class Series(NamedTuple):
    """Arrays that are joined along the first axis."""

    paths: list[str]
    chunk: tuple[int, int]
    zstd: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Of the join."""
        return ROWS * len(self.paths), COLUMNS


def write(folder: Path, arrays: int, chunk: tuple[int, int], *, compressed: bool) -> Series:
    """Arrays of smooth numbers with noise, rounded as measurements are."""
    rng = np.random.default_rng(0)
    paths = [str(folder / f"a{number:03d}.zarr") for number in range(arrays)]
    wave = np.sin(np.arange(COLUMNS) / 40) * 10 + 280
    codec = zarr.codecs.ZstdCodec(level=1) if compressed else None
    for path in paths:
        cells = np.round(wave + rng.normal(0, 0.5, (ROWS, COLUMNS)), 1).astype(np.float32)
        zarr.create_array(path, data=cells, chunks=chunk, compressors=codec, zarr_format=3)
    return Series(paths, chunk, compressed)


def tensorstore_one(path: str) -> Any:
    """One array, opened."""
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}
    return ts.open(spec, read=True, open=True).result()


def tensorstore_join(series: Series) -> Any:
    """All arrays, opened and joined."""
    return ts.concat([tensorstore_one(path) for path in series.paths], axis=0)


def zarr_arrays(series: Series, *, fused: bool) -> list[Any]:
    """All arrays, opened with one of the two pipelines of zarr-python."""
    with zarr.config.set(FUSED if fused else {}):
        return [zarr.open_array(path, mode="r") for path in series.paths]


def zarr_scan(arrays: list[Any], *, fused: bool) -> np.ndarray:
    """Every array into its part of one output."""
    out = np.empty((ROWS * len(arrays), COLUMNS), np.float32)
    buffer = default_buffer_prototype().nd_buffer
    with zarr.config.set(FUSED if fused else {}):
        for number, array in enumerate(arrays):
            part = out[number * ROWS : (number + 1) * ROWS]
            array.get_basic_selection(..., out=buffer.from_numpy_array(part))
    return out


def by_hand(series: Series, threads: int) -> Callable[[], np.ndarray]:
    """The loop one would write: read a chunk file, decompress it, copy it to its place."""
    rows, columns = series.chunk
    boxes = [
        (f"{path}/c/{i}/{j}", number * ROWS + i * rows, j * columns)
        for number, path in enumerate(series.paths)
        for i in range(ROWS // rows)
        for j in range(COLUMNS // columns)
    ]
    nbytes = rows * columns * 4

    def some(out: np.ndarray, first: int) -> None:
        scratch = np.empty((rows, columns), np.float32)
        for path, row, column in boxes[first::threads]:
            target = out[row : row + rows, column : column + columns]
            fd = os.open(path, os.O_RDONLY)
            if series.zstd:
                zstd.decompress(os.pread(fd, nbytes, 0), scratch)
                target[...] = scratch
            else:
                target[...] = np.frombuffer(os.pread(fd, nbytes, 0), np.float32).reshape(rows, columns)
            os.close(fd)

    def work() -> np.ndarray:
        out = np.empty(series.shape, np.float32)
        if threads == 1:
            some(out, 0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda first: some(out, first), range(threads)))
        return out

    return work
