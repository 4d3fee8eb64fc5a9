"""One stored array read with two layouts in one view: chunks of both are looked up side by side."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import zarr

import lazyzarr as lz
from lazyzarr.ir.graph import GraphBuilder
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Concat, Recode, Source
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View
from tests.review.referenced import PLAIN, columnar


def referenced_rows(tmp_path: Path) -> View:
    """Three rows of three chunks in one object, in another order than in the array; one is stored nowhere."""
    cells = np.arange(36, dtype="i4").reshape(6, 6)
    file = tmp_path / "chunks.bin"
    places = [5, -1, 3, 0, 1, 2, 8, 7, 6]
    blob = np.zeros((9, 2, 2), "i4")
    for number, place in enumerate(places):
        row, column = divmod(number, 3)
        if place >= 0:
            blob[place] = cells[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    file.write_bytes(blob.tobytes())
    table = Table(
        {
            "offset": np.array([max(place, 0) * 16 for place in places], np.uint64),
            "length": np.full(9, 16, np.uint64),
            "state": np.array([place >= 0 for place in places], np.uint8),
        }
    )
    array = StoredArray(0, (6, 6), file.as_uri(), refs=table.name)
    return source(array, [Layout("int32", 41, (2, 2), PLAIN)], reader=Reader(), tables={table.name: table})


def test_rows_of_references_that_only_look_like_a_range(tmp_path: Path) -> None:
    """Rows 0, 3 with one layout and 0, 1 with the other are as many as 0..3 and not the same."""
    view = referenced_rows(tmp_path)
    other = view.recode(fill_value=-1)
    cells = np.arange(36, dtype="i4").reshape(6, 6)
    cells[0:2, 2:4] = 41
    holes = np.where(cells == 41, -1, cells)
    joined = lz.stack([other[2::-1, 0], view[0, 2::-1]])
    expected = np.stack([holes[2::-1, 0], cells[0, 2::-1]])
    assert np.array_equal(joined.read(), expected)
    assert np.array_equal(columnar(joined), expected)
    both = lz.concat([view, other], axis=0)
    assert np.array_equal(both[1:8, ::-1].read(), np.concatenate([cells, holes])[1:8, ::-1])


def test_each_layout_has_its_own_chunk_keys(tmp_path: Path) -> None:
    """The same chunks are there under two kinds of keys; each layout finds its own."""
    cells = np.arange(24, dtype="i4").reshape(4, 6)
    first = zarr.create_array(tmp_path / "a.zarr", data=cells, chunks=(2, 3), compressors=None)
    second = zarr.create_array(
        tmp_path / "b.zarr",
        data=cells + 100,
        chunks=(2, 3),
        compressors=None,
        chunk_key_encoding={"name": "v2", "separator": "."},
    )
    assert first.shape == second.shape
    for file in (tmp_path / "b.zarr").glob("?.?"):
        shutil.copy(file, tmp_path / "a.zarr" / file.name)
    view = lz.open(tmp_path / "a.zarr")
    graph = view.ir
    layout = graph.layouts[0]
    build = GraphBuilder()
    layouts = [
        build.layout(layout),
        build.layout(msgspec.structs.replace(layout, chunk_keys=NamedConfig("v2", {"separator": "."}))),
    ]
    below = build.node(Source(build.array(graph.arrays[0])))
    root = build.node(Concat((below, build.node(Recode(below, layouts[1]))), 0))
    assert np.array_equal(Reader().read(build.build(root)), np.concatenate([cells, cells + 100]))
