"""Writing one stored array with zarr-python: every codec family, both formats, all chunk key encodings.

zarr-python also reads the array back: those cells are the truth that everything else is compared with.
"""

from __future__ import annotations

import json
import random
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from tests.strategies.cells import DTYPES, FILLS, PLAIN, distinct

FAMILIES = (
    *("plain", "big", "zstd", "gzip", "blosc", "crc32c", "transpose", "sharded", "sharded-transpose"),
    *("v2-plain", "v2-big", "v2-order-F", "v2-filters", "v2-lz4"),
)
"""Codec families; every one is in the pool."""


@dataclass(frozen=True)
class Written:
    """An array in a directory, as zarr-python sees it."""

    path: Path
    document: dict[str, Any]
    """``zarr.json``, or ``.zarray`` for Zarr v2."""
    cells: np.ndarray
    """What zarr-python reads, in native byte order."""
    chunks: dict[tuple[int, ...], Path]
    """Position in the grid of stored objects (shards, where sharded) -> file, of those that exist."""
    chunk_shape: tuple[int, ...]
    """Of stored objects."""

    @property
    def grid(self) -> tuple[int, ...]:
        """Stored objects along each axis, missing ones included."""
        return tuple(-(-n // c) for n, c in zip(self.cells.shape, self.chunk_shape, strict=True))

    def present(self) -> np.ndarray:
        """Which cells lie in an object that exists."""
        found = np.zeros(self.cells.shape, bool)
        for at in self.chunks:
            found[region(at, self.chunk_shape)] = True
        return found


def fits(family: str, name: str) -> bool:
    """Whether a codec family stores a data type."""
    if family in ("big", "v2-big"):
        return name in PLAIN and name != "uint8"
    if family == "v2-filters":
        return name in PLAIN
    if name == "string":
        return family in ("plain", "zstd", "gzip", "crc32c", "sharded", "transpose", "v2-plain", "v2-lz4")
    return True


def write(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    *,
    number: int,
    family: str,
    chunks: tuple[int, ...],
    fill_value: object,
    share: float,
    rng: random.Random,
) -> Written:
    """Write an array and read it back; ``share`` of its chunks are written, the others are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # types without a Zarr v3 specification are wanted here
        target = zarr.create_array(
            path, shape=shape, fill_value=_fill(name, fill_value), **_settings(family, name, chunks, rng)
        )
        data = distinct(name, shape, number)
        grid = tuple(-(-n // c) for n, c in zip(shape, chunks, strict=True))
        for at in np.ndindex(*grid):
            if rng.random() < share:
                target[region(at, chunks)] = data[region(at, chunks)]
        again = zarr.open_array(path, mode="r")
        cells = np.asarray(again[...], dtype=DTYPES[name]).reshape(shape)
        stored = again.shards or again.chunks
        files = {
            at: path / again.metadata.encode_chunk_key(at)
            for at in np.ndindex(*(-(-n // c) for n, c in zip(shape, stored, strict=True)))
        }
    text = path / ("zarr.json" if again.metadata.zarr_format == 3 else ".zarray")
    return Written(
        path=path,
        document=json.loads(text.read_text()),
        cells=cells,
        chunks={at: file for at, file in files.items() if file.exists()},
        chunk_shape=tuple(stored),
    )


def region(at: tuple[int, ...], chunk_shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Cells of one chunk."""
    return tuple(slice(k * c, (k + 1) * c) for k, c in zip(at, chunk_shape, strict=True))


def fill_values(name: str) -> list[object]:
    """Fill values that a data type is drawn with."""
    return FILLS[name]


def _fill(name: str, value: object) -> object:
    return np.array(value, DTYPES[name])[()] if name == "struct" else value


def _settings(family: str, name: str, chunks: tuple[int, ...], rng: random.Random) -> dict[str, Any]:
    dtype: Any = "string" if name == "string" else DTYPES[name]
    if family.startswith("v2"):
        return {"dtype": dtype, "chunks": chunks, "zarr_format": 2, **_v2(family, name, rng)}
    found: dict[str, Any] = {"dtype": dtype, "chunks": chunks, "compressors": None}
    found["chunk_key_encoding"] = {
        "name": rng.choice(["default", "v2"]),
        "separator": rng.choice("/."),
    }
    order = list(range(len(chunks)))
    rng.shuffle(order)
    if family == "big":
        found["serializer"] = BytesCodec(endian="big")
    elif family == "zstd":
        found["compressors"] = ZstdCodec(level=1, checksum=rng.random() < 0.5)
    elif family == "gzip":
        found["compressors"] = GzipCodec(level=1)
    elif family == "blosc":
        found["compressors"] = BloscCodec(
            cname=rng.choice(["lz4", "zstd", "zlib"]), shuffle=rng.choice(["shuffle", "bitshuffle", "noshuffle"])
        )
    elif family == "crc32c":
        found["compressors"] = rng.choice([[Crc32cCodec()], [ZstdCodec(), Crc32cCodec()]])
    elif family == "transpose":
        found["filters"] = [TransposeCodec(order=order)]
        found["compressors"] = rng.choice([None, GzipCodec(level=1)])
    elif family.startswith("sharded"):
        found["shards"] = {
            "shape": tuple(c * rng.randint(1, 3) for c in chunks),
            "index_location": rng.choice(["start", "end"]),
        }
        found["compressors"] = rng.choice([None, ZstdCodec()])
        if family == "sharded-transpose":
            found["filters"] = [TransposeCodec(order=order)]
    return found


def _v2(family: str, name: str, rng: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": rng.choice("/.")}, "compressors": None}
    if family == "v2-big":
        found["dtype"] = DTYPES[name].newbyteorder(">")
        found["order"] = rng.choice("CF")
        found["compressors"] = rng.choice([None, numcodecs.Zlib(level=1)])
    elif family == "v2-order-F":
        found["order"] = "F"
        found["compressors"] = numcodecs.Blosc(cname="zstd")
    elif family == "v2-filters":
        dtype = DTYPES[name]
        shuffle = numcodecs.Shuffle(elementsize=dtype.itemsize)
        found["filters"] = [numcodecs.Delta(dtype=dtype.str)] if dtype.kind in "iu" else [shuffle]
        found["compressors"] = rng.choice([numcodecs.Zlib(level=1), numcodecs.GZip(level=1), numcodecs.BZ2(level=1)])
    elif family == "v2-lz4":
        found["compressors"] = rng.choice([numcodecs.LZ4(), numcodecs.Zstd(level=1)])
    return found
