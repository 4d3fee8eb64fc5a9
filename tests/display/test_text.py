"""The repr in a terminal: bounded, without requests, without control characters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.access.session import Session
from lazyzarr.display.text import MOST_COLUMNS, MOST_NODES
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_columns
from lazyzarr.read import Reader
from lazyzarr.view import View
from tests.display.views import every_kind, stored


def test_every_kind_of_view_has_a_short_repr(tmp_path: Path) -> None:
    for name, view in every_kind(tmp_path).items():
        lines = repr(view).splitlines()
        assert lines[0].startswith("<lazyzarr.View ("), name
        assert lines[0].endswith("B>"), name
        assert len(lines) <= MOST_NODES + 2
        assert all(len(line) <= MOST_COLUMNS + 2 for line in lines)


def test_header_has_shape_type_class_and_size(tmp_path: Path) -> None:
    view = stored(tmp_path, "a", (6, 40), (3, 20)).rename_dims(["time", "x"])
    assert repr(view).splitlines()[0] == "<lazyzarr.View (time: 6, x: 40) int16  L0  480 B>"


def test_repr_sends_no_request(tmp_path: Path) -> None:
    for view in every_kind(tmp_path).values():
        view.reader.session.counts.reset()
        repr(view), view._repr_html_()
        assert view.reader.session.counts.requests == 0


def test_control_characters_are_spelled_out() -> None:
    view = lz.full((2,), 0, dtype="int8").rename_dims(["\x1b[31mred"])
    assert "\x1b" not in repr(view)
    assert "\\x1b[31mred" in repr(view)


def very_many(count: int) -> View:
    """A view of many arrays that do not exist."""
    layout = Layout("float32", 0.0, (10, 10), (NamedConfig("bytes", {"endian": "little"}),))
    arrays = [StoredArray(layout=0, shape=(10, 10), location=f"file:///nowhere/{k}") for k in range(count)]
    origins = np.stack([np.arange(count) * 10, np.zeros(count, np.int64)], axis=1)
    table = Table(tile_columns(arrays, origins, np.zeros(count, np.int32)))
    node = Tiles(table.name, (10 * count, 10), "float32", 0.0, (0,))
    graph = Graph([node], layouts=[layout], tables={table.name: table})
    return View(None, graph=graph, reader=Reader(Session()))


def test_many_sources_cost_nothing() -> None:
    view = very_many(100_000)
    text, html = repr(view), view._repr_html_()
    assert "flatness" not in view.ir.memo
    assert view.reader.session.counts.requests == 0
    assert len(text.splitlines()) == 2
    assert "100,000 arrays" in text
    assert "not drawn" in html
    assert len(html) < 10_000


def test_repr_does_not_load_stored_columns() -> None:
    class Remote:
        """A column that must not be read."""

        shape = (4,)
        dtype = np.dtype("int64")

        def __getitem__(self, key: object) -> object:
            raise AssertionError("a repr loaded a column")

    known = very_many(4)
    node = known.ir.nodes[0]
    assert isinstance(node, Tiles)
    columns = dict.fromkeys(known.ir.tables[node.table].columns, Remote())
    graph = Graph([node], layouts=known.ir.layouts, tables={node.table: Table(columns, name=node.table)})
    view = View(None, graph=graph, reader=known.reader)
    assert "4 arrays" in repr(view)
    assert "not drawn" in view._repr_html_()


@pytest.mark.parametrize("count", [3, 500])
def test_class_is_shown_where_it_is_cheap(count: int) -> None:
    header = repr(very_many(count)).splitlines()[0]
    assert "  L0  " in header
