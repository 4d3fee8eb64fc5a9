"""One row of a table of origins, read in plain integers, stands for what all rows at once say it does."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.ir.layout import Stamp, StoredArray
from lazyzarr.ir.origins import FILE, origin_at, origin_columns, origins_at
from lazyzarr.ir.tables import Table

SIZES = st.none() | st.integers(0, 99)
TEXTS = st.none() | st.text("ab", min_size=1, max_size=3)
STAMPS = st.none() | st.builds(Stamp, SIZES, SIZES, SIZES, TEXTS, TEXTS)
URLS = st.sampled_from(["file:///a", "file:///b/c.nc", "s3://bucket/d", ""])
ROWS = st.lists(st.tuples(URLS, STAMPS, st.integers(FILE, 1), st.tuples(*[st.integers(0, 3)] * 2)), min_size=1)
ARRAY = StoredArray(2, (7, 9), None, refs="r", refs_first=3, variants=(4,), origins="o")


class Stored(Table):
    """A table that is not in memory as far as anybody asks."""

    in_memory = False


@pytest.mark.parametrize("kind", [Table, Stored])
@given(rows=ROWS, grant=st.sampled_from(["", "g"]))
def test_both_ways_say_the_same(
    kind: type[Table], rows: list[tuple[str, Stamp | None, int, tuple[int, int]]], grant: str
) -> None:
    urls, stamps, layouts, grids = zip(*rows, strict=True)
    table = kind(origin_columns(urls, stamps, layouts, grids), name="o", grant=grant)
    expected = origins_at(table, np.arange(len(rows)), ARRAY, (2, 3))
    for row, one in enumerate(expected):
        found, grid, whole = origin_at(table, row, ARRAY, (2, 3))
        assert grid == (None if layouts[row] == FILE else [n for n in grids[row] if n])
        if whole is not None:
            assert kind is Stored
            assert found.stamp is not None
            assert found.stamp.digest is None
            assert found.stamp.mtime_ns is not None
            found = msgspec.structs.replace(found, stamp=whole())
        assert found == one
