"""Arrays of numbers as PNG pictures.

Owns the file format (8-bit RGB, one IDAT chunk) and one perceptually uniform colour map. Refuses scaling,
axes and text: a cell is a pixel.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

ABSENT = (214, 217, 221)
"""Colour of NaN."""
_ANCHORS = np.array(
    [
        *((0x0D, 0x08, 0x87), (0x41, 0x04, 0x9D), (0x6A, 0x00, 0xA8), (0x8F, 0x0D, 0xA4), (0xB1, 0x2A, 0x90)),
        *((0xCC, 0x47, 0x78), (0xE1, 0x64, 0x62), (0xF2, 0x84, 0x4B), (0xFC, 0xA6, 0x36), (0xFC, 0xCE, 0x25)),
        (0xF0, 0xF9, 0x21),
    ],
    float,
)
"""The colour map "plasma" (CC0), in eleven even steps."""


def colours(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Colours uint8 (..., 3) of values; below ``low`` and above ``high`` the end colours, NaN `ABSENT`.

    Examples
    --------
    >>> colours(np.array([0.0, np.nan]), 0, 1).tolist()
    [[13, 8, 135], [214, 217, 221]]
    """
    absent = np.isnan(values)
    share = np.clip((np.where(absent, low, values) - low) / max(high - low, np.finfo(float).tiny), 0, 1)
    at = share * (len(_ANCHORS) - 1)
    mixed = np.stack([np.interp(at, np.arange(len(_ANCHORS)), _ANCHORS[:, k]) for k in range(3)], axis=-1)
    mixed[absent] = ABSENT
    return np.round(mixed).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """PNG file of pixels uint8 (height, width, 3).

    Examples
    --------
    >>> png(np.zeros((2, 2, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width = pixels.shape[:2]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * 3)], axis=1)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
