"""Tables of tiles that are loaded row by row are not trusted: what is filled by nobody is never read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_columns
from lazyzarr.lower.lowering import lower
from lazyzarr.read import Reader
from lazyzarr.view import View


class Loaded:
    """A column that is not in memory."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.shape, self.dtype = rows.shape, rows.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._rows[key]


def tiles(folder: Path, origins: list[int]) -> Graph:
    """Tiles of two cells each in a view of four."""
    zarr.create_array(folder / "a.zarr", shape=(2,), chunks=(2,), dtype="i4")[:] = 1
    view = lz.open(folder / "a.zarr")
    assert isinstance(view, View)
    arrays = [view.ir.arrays[0]] * len(origins)
    columns = tile_columns(arrays, np.array(origins)[:, None], np.zeros(len(origins), np.int32))
    table = Table({name: Loaded(np.asarray(column)) for name, column in columns.items()}, name="tiles")
    node = Tiles("tiles", (4,), "int32", -1, (0,))
    return Graph([node], layouts=view.ir.layouts, tables={"tiles": table})


@pytest.mark.parametrize(("origins", "reason"), [([0, 0], "overlap"), ([0, 1], "overlap"), ([0, 3], "graph-shape")])
def test_tiles_that_do_not_fit(tmp_path: Path, origins: list[int], reason: str) -> None:
    graph = tiles(tmp_path, origins)
    for read in (Reader().read, lambda found: Reader().read_lowered(lower(found))):
        with pytest.raises(ViewSchemaError) as raised:
            read(graph)
        assert raised.value.reason == reason


def test_a_gap_is_fill(tmp_path: Path) -> None:
    graph = tiles(tmp_path, [1])
    assert Reader().read(graph).tolist() == [-1, 1, 1, -1]
    assert Reader().read_lowered(lower(graph)).tolist() == [-1, 1, 1, -1]
