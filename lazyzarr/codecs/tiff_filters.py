"""Decoders of what TIFF does to the bytes of a strip or tile before it is stored.

Owns the two predictors, in NumPy, and the framing of LZW and PackBits, whose decoders are imagecodecs'. Refuses to
produce more than the declared size of the chunk.
"""

from __future__ import annotations

import importlib
from collections.abc import Buffer, Callable, Mapping
from typing import Any

import numpy as np

from lazyzarr.errors import ChunkDecodeError

Configuration = Mapping[str, Any]


def lzw(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """LZW as TIFF has it, most significant bit first; the older form with the least first is told apart."""
    return _native("lzw", data, out_nbytes)


def packbits(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """PackBits: runs of bytes."""
    return _native("packbits", data, out_nbytes)


def horizontal(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """Predictor 2: each sample is the difference from that of the cell before, wrapping, row by row.

    Examples
    --------
    >>> config = {"width": 3, "samples": 1, "data_type": "<u1"}
    >>> bytes(horizontal(bytes([1, 1, 255, 5, 0, 0]), config, 6))
    b'\\x01\\x02\\x01\\x05\\x05\\x05'
    """
    cells = _cells(data, configuration, "horizontal")
    return np.cumsum(cells, axis=1, dtype=cells.dtype.newbyteorder("=")).astype(cells.dtype).reshape(-1).view(np.uint8)


def floating(data: Buffer, configuration: Configuration, out_nbytes: int) -> Buffer:
    """Predictor 3: the bytes of a row stand by significance, each the difference from the one before.

    Examples
    --------
    >>> config = {"width": 2, "samples": 1, "data_type": "<f4"}
    >>> planes = np.array([1.5, 2.5], ">f4").view("u1").reshape(2, 4).T.reshape(-1)
    >>> stored = np.diff(planes, prepend=np.uint8(0))
    >>> np.frombuffer(floating(stored.tobytes(), config, 8), "<f4").tolist()
    [1.5, 2.5]
    """
    dtype = np.dtype(configuration["data_type"])
    width, samples = configuration["width"], configuration["samples"]
    rows = _cells(data, configuration, "floating").reshape(-1, width * samples).view(np.uint8)
    steps = rows.reshape(len(rows), -1, samples)
    planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(len(rows), dtype.itemsize, -1)
    big = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(dtype.newbyteorder(">"))
    return big.astype(dtype).reshape(-1).view(np.uint8)


DECODERS: Mapping[str, Callable[[Buffer, Configuration, int], Buffer]] = {
    "lazyzarr.tiff_lzw": lzw,
    "lazyzarr.tiff_packbits": packbits,
    "lazyzarr.tiff_horizontal": horizontal,
    "lazyzarr.tiff_floating": floating,
}
SAME_LENGTH = ("lazyzarr.tiff_horizontal", "lazyzarr.tiff_floating")
"""Filters whose result is as long as what is stored."""


def _cells(data: Buffer, configuration: Configuration, name: str) -> np.ndarray:
    try:
        dtype = np.dtype(configuration["data_type"])
        row = configuration["width"] * configuration["samples"] * dtype.itemsize
        flat = np.frombuffer(data, np.uint8)
        if dtype.kind not in "iuf" or row < 1 or len(flat) % row:
            raise ValueError(f"{len(flat)} bytes are no rows of {row}")
        return flat.view(dtype).reshape(-1, configuration["width"], configuration["samples"])
    except (KeyError, TypeError, ValueError) as error:
        raise ChunkDecodeError(
            f"tiff_{name}: {error}; the chunk does not have the shape of its predictor; check the source"
        ) from error


def _native(name: str, data: Buffer, out_nbytes: int) -> Buffer:
    imagecodecs = importlib.import_module("imagecodecs")
    try:
        return getattr(imagecodecs, f"{name}_decode")(bytes(data), out=out_nbytes)
    except (RuntimeError, ValueError) as error:
        raise ChunkDecodeError(f"tiff_{name}: {error}; the chunk is damaged; check the source") from error
