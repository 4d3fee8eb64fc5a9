"""Documents at the limits: what comes of each, in how little memory, and after how few comparisons."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.access.session import Session
from lazyzarr.algebra.boxes import pairs_compared
from lazyzarr.document.decode import decode
from lazyzarr.errors import LONGEST_MESSAGE, LazyZarrError
from tests.bench.documents import BYTES, measured
from tests.document.heavy import CASES
from tests.document.heavy_forms import OPENS
from tests.document.samples import VIEW

HEAVIEST = (
    "all bytes: a fill value",
    "all bytes of escaped characters of the user",
    "all edges: overlay without overlap",
    "all nodes: chain of decodes",
    "many members of the user",
    "overlay whose 2,500 boxes all overlap",
    "too many stored tables",
)


@pytest.mark.parametrize("name", CASES)
def test_each_opens_or_is_refused_by_name(name: str) -> None:
    outcome, make = CASES[name]
    if outcome == OPENS:
        decode(make(), url=VIEW, session=Session())
        return
    with pytest.raises(LazyZarrError) as error:
        decode(make(), url=VIEW, session=Session())
    assert error.value.reason == outcome
    assert error.value.where
    assert len(str(error.value)) < LONGEST_MESSAGE + 300


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("name", HEAVIEST)
def test_the_heaviest_stay_in_the_memory(name: str) -> None:
    found = measured(name)
    assert found["outcome"] == CASES[name][0]
    assert found["bytes"] < BYTES


def test_boxes_that_cuts_part_are_not_compared() -> None:
    side = np.arange(300)
    lattice = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2) * 4
    ones = np.ones_like(lattice)
    assert pairs_compared(lattice, 4 * ones, ones) == 0
    # neighbours that reach over their border on both axes: a constant number of comparisons for each
    assert pairs_compared(lattice, 5 * ones, ones) < 1000 * len(lattice)
    rows = np.stack([side, 0 * side], 1), np.stack([0 * side + 1, 0 * side + 300], 1)
    columns = np.stack([0 * side + 300, side], 1), np.stack([0 * side + 300, 0 * side + 1], 1)
    starts, counts = (np.concatenate(pair) for pair in zip(rows, columns, strict=True))
    assert pairs_compared(starts, counts, np.ones_like(starts)) == 0


@given(st.data())
def test_what_comparing_costs_is_what_is_compared(data: st.DataObject) -> None:
    """At least the pairs that meet, at most all."""
    rank, n = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 9))
    numbers = st.lists(st.lists(st.integers(0, 6), min_size=rank, max_size=rank), min_size=n, max_size=n)
    starts, counts = (np.array(data.draw(numbers), np.int64).reshape(n, rank) for _ in range(2))
    found = pairs_compared(starts, counts, np.ones_like(starts))
    meet = (np.maximum(starts[:, None], starts) < np.minimum((starts + counts)[:, None], starts + counts)).all(axis=2)
    assert np.triu(meet, 1).sum() <= found <= n * (n - 1) // 2
