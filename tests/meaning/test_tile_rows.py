"""One row of a tile table as a stored array is what many rows at once are."""

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_array, tile_arrays, tile_columns, tile_stamp

LAYOUTS = [Layout("int8", 0, (chunk,), (NamedConfig("bytes"),)) for chunk in (1, 2)]
NUMBERS = st.none() | st.integers(0, 2**62)
TEXTS = st.none() | st.text("ab/é", min_size=1, max_size=4)
STAMPS = st.none() | st.builds(Stamp, NUMBERS, NUMBERS, NUMBERS, TEXTS, TEXTS)


@given(
    st.lists(st.tuples(STAMPS, st.text("xy/ü", max_size=5), st.integers(0, 1)), min_size=1, max_size=6), st.booleans()
)
def test_one_row_is_what_many_are(rows: list[tuple[Stamp | None, str, int]], referenced: bool) -> None:
    arrays = [StoredArray(0, (3,), location=text, stamp=stamp) for stamp, text, _ in rows]
    columns = tile_columns(arrays, 3 * np.arange(len(rows))[:, None], np.array([choice for *_, choice in rows]))
    if referenced:
        columns["refs_first"] = 7 * np.arange(len(rows))
    table = Table(columns, resolve=lambda text: f"file:///d/{text}", grant="g")
    node = Tiles(table.name, (3 * len(rows),), "int8", 0, (1, 0), refs="r" if referenced else None)
    graph = Graph([node], layouts=LAYOUTS, tables={table.name: table})
    together = tile_arrays(graph, node, np.arange(len(rows)))
    for row, expected in enumerate(together):
        assert tile_array(graph, node, row) == expected
        without = expected.stamp and msgspec.structs.replace(expected.stamp, digest=None)
        quick = tile_array(graph, node, row, digest=False)
        assert quick == msgspec.structs.replace(expected, stamp=None if without == Stamp() else without)
        assert tile_stamp(table, row) == expected.stamp
