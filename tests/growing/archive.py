"""Stored arrays to append, with what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr


def stored(folder: Path, number: int, *, rows: int = 3, chunks: tuple[int, int] = (2, 4), **options: Any) -> np.ndarray:
    """Write ``<folder>/<number>.zarr``; the cells that are in it."""
    data = np.arange(rows * 4, dtype="i4").reshape(rows, 4) + 100 * number
    options = {"attributes": {"units": "K"}, "dimension_names": ["time", "x"], **options}
    zarr.create_array(folder / f"{number}.zarr", data=data, chunks=chunks, **options)
    return data


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Path below a folder -> inode and size of every file."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }
