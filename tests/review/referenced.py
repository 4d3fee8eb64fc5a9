"""Views of byte ranges of one file, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.lower.lowering import lower
from lazyzarr.read import Reader
from lazyzarr.view import View

PLAIN = (NamedConfig("bytes", {"endian": "little"}),)
SWAPPED = (NamedConfig("bytes", {"endian": "big"}),)


def referenced(
    path: Path,
    offsets: Sequence[int],
    lengths: Sequence[int],
    shape: tuple[int, ...],
    chunk_shape: tuple[int, ...],
    *,
    codecs: tuple[NamedConfig, ...] = PLAIN,
    data_type: str | NamedConfig = "int16",
    fill_value: Any = 0,
    stamp: Stamp | None = None,
    **columns: Any,
) -> View:
    """A view whose chunks are ranges of a file; further columns go to its table of references."""
    table = Table({"offset": np.array(offsets, np.uint64), "length": np.array(lengths, np.uint64), **columns})
    array = StoredArray(0, shape, path.as_uri(), refs=table.name, stamp=stamp)
    layout = Layout(data_type, fill_value, chunk_shape, codecs)
    return source(array, [layout], reader=Reader(), tables={table.name: table})


def columnar(view: View, out: np.ndarray | None = None) -> np.ndarray:
    """The cells of a view, read in columns whatever its size."""
    return view.reader.read_lowered(lower(view.ir), out=out)
