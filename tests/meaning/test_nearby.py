"""`nearby` is `meeting` wherever the rows it names fill the box."""

import numpy as np
import pytest

from lazyzarr.ir.nodes import Tiles
from lazyzarr.ir.tables import Table
from lazyzarr.lower.sources import meeting, nearby

MOST = 4


def table_of(lengths):
    """Tiles on the grid that the lengths along each axis make, sorted by origin."""
    starts = [np.cumsum([0, *axis[:-1]]) for axis in lengths]
    index = np.stack(np.meshgrid(*map(np.arange, map(len, lengths)), indexing="ij"), -1).reshape(-1, len(lengths))
    origin = np.stack([starts[k][index[:, k]] for k in range(len(lengths))], 1).astype(np.int64)
    shape = np.stack([np.array(lengths[k])[index[:, k]] for k in range(len(lengths))], 1).astype(np.int64)
    return Table({"origin": origin, "shape": shape})


def filled(table, rows, box):
    low, high = np.array(box).T
    origin, shape = (np.asarray(table[name])[list(rows)] for name in ("origin", "shape"))
    cells = np.minimum(origin + shape, high) - np.maximum(origin, low)
    meets = (cells > 0).all(axis=1)
    return np.array(list(rows))[meets].tolist(), int(cells[meets].prod(axis=1).sum()) == int((high - low).prod())


@pytest.mark.parametrize("grid", [(1000, 1), (1, 1000), (40, 30), (1, 1), (7, 5), (300, 1, 2)])
def test_as_meeting(grid):
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(60):
        lengths = [rng.integers(1, 6, n) for n in grid]
        table, twin = table_of(lengths), table_of(lengths)
        node = Tiles(twin.name, tuple(int(axis.sum()) for axis in lengths), "int8", 0, (0,))
        for _ in range(5):
            low = np.array([rng.integers(0, axis.sum()) for axis in lengths])
            high = np.minimum(low + rng.integers(1, 8, len(grid)), [axis.sum() for axis in lengths])
            box = tuple(zip(low.tolist(), high.tolist(), strict=True))
            rows = nearby(table, node, box, MOST)
            assert len(rows) <= MOST
            if not len(rows):
                continue
            named, fills = filled(table, rows, box)
            if fills:
                found += 1
                assert named == meeting(twin, box, node).tolist()
    assert found > 50 or sum(n > 1 for n in grid) > 1
