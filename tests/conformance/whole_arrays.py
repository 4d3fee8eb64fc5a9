"""Stored arrays read whole, chunk by chunk and without a plan: the ``values`` that `lazyzarr.interpret` asks for."""

from __future__ import annotations

import itertools
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.ir import fill
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, StoredArray


class WholeArrays:
    """Reads the arrays of one graph from local files."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __call__(self, array: StoredArray, layout: Layout) -> np.ndarray:
        if array.values is not None:
            return np.asarray(self.graph.tables[array.values]["values"][...]).reshape(array.shape)
        grid = [range(-(-n // c)) for n, c in zip(array.shape, layout.chunk_shape, strict=True)]
        out = fill.full(array.shape, layout.fill_value, layout.data_type)
        for row, coords in enumerate(itertools.product(*grid)):
            chosen, data = self._chunk(array, layout, row, coords)
            if data is None:
                continue
            chunk = compile_chain(chosen).decode(data)
            box = tuple(slice(k * c, (k + 1) * c) for k, c in zip(coords, layout.chunk_shape, strict=True))
            out[box] = chunk[tuple(slice(n) for n in out[box].shape)]
        return out

    def _chunk(
        self, array: StoredArray, layout: Layout, row: int, coords: tuple[int, ...]
    ) -> tuple[Layout, bytes | None]:
        if array.origins is not None:
            return layout, self._from_origin(array, row + array.refs_first)
        assert array.location is not None
        if array.refs is None:
            keys = chunk_keys(layout.chunk_keys, np.array([coords], np.int64).reshape(1, len(coords)))
            path = _path(array.location) / keys[0]
            return layout, path.read_bytes() if path.exists() else None
        table = self.graph.tables[array.refs]
        row += array.refs_first
        state = int(table["state"][row]) if "state" in table else 1
        if state == 0:
            return layout, None
        if "layout" in table and table["layout"][row]:
            layout = self.graph.layouts[array.variants[table["layout"][row] - 1]]
        place = int(table["place"][row]) if "place" in table else 0
        path = _path(array.places[place - 1].location if place else array.location)
        offset, length = int(table["offset"][row]), int(table["length"][row])
        if state == 2:
            return layout, path.read_bytes()
        held = path.read_bytes() if state == 1 else bytes(self.graph.tables[array.inline or ""]["bytes"])
        return layout, held[offset : offset + length]

    def _from_origin(self, array: StoredArray, row: int) -> bytes | None:
        assert array.refs is not None
        assert array.origins is not None
        refs, origins = self.graph.tables[array.refs], self.graph.tables[array.origins]
        state = int(refs["state"][row]) if "state" in refs else 1
        if state == 0:
            return None
        offset, length = int(refs["offset"][row]), int(refs["length"][row])
        if state == 3:
            return bytes(self.graph.tables[array.inline or ""]["bytes"])[offset : offset + length]
        origin = int(refs["origin"][row])
        path = _path(origins.text("url", origin))
        code = int(origins["layout"][origin])
        if state == 2:
            return path.read_bytes()
        if code < 0:
            return path.read_bytes()[offset : offset + length]
        grid = tuple(n for n in np.asarray(origins["grid"][origin]).tolist() if n)
        coords = np.array([np.unravel_index(int(refs["number"][row]), grid)], np.int64).reshape(1, len(grid))
        keyed = self.graph.layouts[(array.layout, *array.variants)[code]]
        path = path / chunk_keys(keyed.chunk_keys, coords)[0]
        return path.read_bytes() if path.exists() else None


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))
