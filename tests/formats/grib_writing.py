"""GRIB edition 2 with simple packing on a regular grid, written here."""

from __future__ import annotations

import struct

import numpy as np


def message(
    values: np.ndarray, *, hours: int = 0, scanning: int = 0, fields: int = 1, template: int = 0, parameter: int = 0
) -> bytes:
    """One message; whole numbers of 0 to 65535 are kept exactly."""
    rows, columns = values.shape
    identification = struct.pack(">HHBBBHBBBBBBB", 98, 0, 4, 0, 1, 2020, 1, 1, 0, 0, 0, 0, 1)
    grid = struct.pack(">BIBBH", 0, values.size, 0, 0, template)
    grid += struct.pack(">BBIBIBIII", 6, 0, 0, 0, 0, 0, 0, columns, rows)
    grid += struct.pack(">II", 0, 0xFFFFFFFF)
    grid += struct.pack(
        ">iiBiiIIB", 50_000_000, 0, 48, (51 - rows) * 10**6, (columns - 1) * 10**6, 10**6, 10**6, scanning
    )
    product = struct.pack(">HH", 0, 0) + struct.pack(
        ">BBBBBHBBIBBIBBI", 0, parameter, 2, 0, 0, 0, 0, 1, hours, 103, 0, 2, 255, 0, 0
    )
    packing = struct.pack(">IHfhhBB", values.size, 0, 0.0, 0, 0, 16, 0)
    data = values.reshape(-1).astype(">u2").tobytes()
    parts = [(1, identification), (3, grid)]
    parts += [(4, product), (5, packing), (6, b"\xff"), (7, data)] * fields
    body = b"".join(struct.pack(">IB", len(part) + 5, number) + part for number, part in parts) + b"7777"
    return b"GRIB\x00\x00\x00\x02" + struct.pack(">Q", len(body) + 16) + body
