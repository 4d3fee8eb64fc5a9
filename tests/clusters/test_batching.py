"""Batches of rows: order, forms, what is decoded, threads, refusals."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.clusters.batching import shuffled
from tests.strategies.programs import programs

CELLS = np.arange(50 * 6).reshape(50, 6)


@pytest.fixture
def stored(tmp_path: Path) -> lz.View:
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(4, 6), dimension_names=("row", "x"))
    return lz.open(tmp_path / "a.zarr")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lazyzarr-batches")]


@settings(max_examples=100)
@given(programs(), st.data())
def test_batches_of_random_views(program: Any, data: st.DataObject) -> None:
    view, cells = program.view, program.view.read()
    assume(view.ndim)
    axis = data.draw(st.integers(-view.ndim, view.ndim - 1))
    size = data.draw(st.integers(1, 9))
    seed = data.draw(st.none() | st.integers(0, 2**64))
    rows = cells.shape[axis]
    order = np.arange(rows) if seed is None else shuffled(rows, seed)
    assert sorted(order.tolist()) == list(range(rows))
    expected = [cells.take(order[k : k + size], axis=axis) for k in range(0, rows, size)]
    prefetch = data.draw(st.integers(0, 3))
    found = lz.batches(view, axis, batch_size=size, shuffle=seed, prefetch=prefetch)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_the_last_batch_and_where_to_start(stored: lz.View) -> None:
    assert [len(batch) for batch in lz.batches(stored, batch_size=20)] == [20, 20, 10]
    assert [len(batch) for batch in lz.batches(stored, batch_size=20, drop_last=True)] == [20, 20]
    whole = list(lz.batches(stored, batch_size=8, shuffle=3))
    decodes = stored.reader.counts.decodes
    rest = lz.batches(stored, batch_size=8, shuffle=3, start=5, prefetch=0)
    assert len(rest) == 2
    for ours, theirs in zip(rest, whole[5:], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert stored.reader.counts.decodes - decodes <= 8 + 2
    assert list(lz.batches(stored, batch_size=8, start=99)) == []
    assert len(lz.batches(stored[:0])) == 0


def test_each_chunk_is_decoded_once_in_a_batch(stored: lz.View) -> None:
    view = lz.concat([stored[3:], stored])
    for seed in (None, 1, 2):
        decodes = view.reader.counts.decodes
        for number, batch in enumerate(lz.batches(view, batch_size=16, shuffle=seed, prefetch=0)):
            order = np.arange(97) if seed is None else shuffled(97, seed)
            rows = order[16 * number : 16 * number + 16]
            touched = {("first", (row + 3) // 4) if row < 47 else ("second", (row - 47) // 4) for row in rows.tolist()}
            assert len(batch) == len(rows)
            assert view.reader.counts.decodes - decodes <= len(touched)
            decodes = view.reader.counts.decodes


def test_several_views_in_one_order(stored: lz.View) -> None:
    labels = np.arange(50)
    for batch in lz.batches({"x": stored, "y": labels}, batch_size=7, shuffle=5):
        np.testing.assert_array_equal(batch["x"], CELLS[batch["y"]])
    for x, y in lz.batches((stored.T, stored.T[:2]), "row", batch_size=7, shuffle=5):
        np.testing.assert_array_equal(x[:2], y)
    assert isinstance(next(lz.batches([stored, labels])), list)


SEED = (
    "import lazyzarr as lz, numpy as np\nprint([b.tolist() for b in lz.batches(np.arange(9), batch_size=4, shuffle=7)])"
)


def test_the_order_of_a_seed_is_the_same_in_every_process() -> None:
    found = {
        subprocess.run([sys.executable, "-c", SEED], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert found == {"[[6, 3, 4, 0], [2, 8, 7, 5], [1]]\n"}
    assert shuffled(20, 7).tolist() != shuffled(20, 8).tolist()


def test_closing_early_leaves_no_thread(stored: lz.View) -> None:
    found = lz.batches(stored, batch_size=2, prefetch=3)
    next(found)
    assert threads()
    found.close()
    assert threads() == []
    assert list(found) == []
    with lz.batches(stored, batch_size=2) as inside:
        next(inside)
    assert threads() == []
    for _ in lz.batches(stored, batch_size=2):
        break
    assert threads() == []
    assert len(list(lz.batches(stored, batch_size=2))) == 25
    assert threads() == []


def test_an_error_comes_at_its_turn(stored: lz.View, tmp_path: Path) -> None:
    (tmp_path / "a.zarr" / "c" / "5" / "0").write_bytes(b"broken")
    found = lz.batches(stored, batch_size=4)
    for _ in range(5):
        next(found)
    with pytest.raises(lz.ChunkDecodeError) as caught:
        next(found)
    assert caught.value.reason == "chunk-decode"
    assert threads() == []


@pytest.mark.parametrize(
    "wrong",
    [
        *({"batch_size": 0}, {"batch_size": 2.5}, {"batch_size": True}, {"prefetch": -1}, {"start": -1}),
        *({"shuffle": True}, {"shuffle": -3}, {"shuffle": "yes"}, {"axis": 2}, {"axis": "z"}),
    ],
)
def test_what_is_not_possible(stored: lz.View, wrong: dict[str, Any]) -> None:
    with pytest.raises(lz.SelectionError) as caught:
        lz.batches(stored, **wrong)
    assert caught.value.reason in ("index-syntax", "axis-bounds")


def test_views_that_do_not_fit(stored: lz.View) -> None:
    with pytest.raises(lz.ShapeError) as caught:
        lz.batches({"x": stored, "y": np.arange(49)})
    assert "'y' has 49" in str(caught.value)
    for nothing in ((), {}, 3, [stored, "text"]):
        with pytest.raises(lz.SelectionError):
            lz.batches(nothing)
