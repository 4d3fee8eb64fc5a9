"""Appending to a saved view: right values, a cost in proportion to what is added, every mismatch named."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest
import zarr
from hypothesis import assume, given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import lazyzarr as lz
from lazyzarr.growing import joined
from lazyzarr.interpret import interpret
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Concat, Source, Tiles
from lazyzarr.ir.segments import MANY, Segment, plan
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View
from tests.growing.archive import files_of, stored
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs


@pytest.fixture(autouse=True)
def quick_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def like(template: Path, count: int) -> View:
    """Joined arrays like the template in directories beside it that are not there."""
    first = lz.open(template)
    (array,) = first.sources()
    root = (array.location or "").rpartition("/")[0]
    arrays = (msgspec.structs.replace(array, location=f"{root}/far/{k:06}.zarr") for k in range(count))
    return lz.concat(
        [source(one, first.ir.layouts, reader=first.reader, dims=first.dims, attrs=first.attrs) for one in arrays]
    )


def test_one_after_the_other(tmp_path: Path) -> None:
    """Chunks of 2 and lengths of 3: every source is appended onto a partial last chunk."""
    expected = [stored(tmp_path, number) for number in range(70)]
    target = tmp_path / "view.zarr"
    lz.save(lz.open(tmp_path / "0.zarr"), target)
    for number in range(1, 70):
        lz.append(target, tmp_path / f"{number}.zarr")
    view = lz.open(target)
    np.testing.assert_array_equal(view.read(), np.concatenate(expected), strict=True)
    np.testing.assert_array_equal(view[1:200:7, ::-1].read(), np.concatenate(expected)[1:200:7, ::-1])
    assert len(view.ir.nodes) < 2 * MANY
    assert (view.dims, view.attrs) == (("time", "x"), {"units": "K"})


def test_many_at_once_and_along_other_axes(tmp_path: Path) -> None:
    expected = [stored(tmp_path, number) for number in range(12)]
    target = tmp_path / "view.zarr"
    lz.save(lz.open(tmp_path / "0.zarr"), target)
    lz.append(target, [tmp_path / f"{number}.zarr" for number in range(1, 10)], axis="x")
    lz.append(target, lz.open(tmp_path / "10.zarr")[:, ::-2], axis=-1)
    lz.append(target, lz.concat([lz.open(tmp_path / "11.zarr")] * 2, axis=1), axis=1)
    whole = np.concatenate([*expected[:10], expected[10][:, ::-2], expected[11], expected[11]], axis=1)
    np.testing.assert_array_equal(lz.open(target).read(), whole, strict=True)


def test_a_view_of_very_many_sources_and_one_more_costs_one(tmp_path: Path) -> None:
    data = stored(tmp_path, 0)
    target = tmp_path / "view.zarr"
    lz.save(like(tmp_path / "0.zarr", 10_000), target)
    before = files_of(target)
    written = sum(size for _, size in before.values())
    lz.append(target, tmp_path / "0.zarr")
    after = files_of(target)
    assert {name for name in after if after[name] != before.get(name)} == {"zarr.json"}
    assert set(before) <= set(after)
    assert after["zarr.json"][1] < 12_000 < written
    np.testing.assert_array_equal(lz.open(target)[30_000:].read(), data)


def test_no_table_is_read_to_append(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    target = tmp_path / "view.zarr"
    lz.save(like(tmp_path / "0.zarr", 1000), target)
    for path in (target / "tables").rglob("c/*"):
        if path.is_file():
            path.write_bytes(b"")
    lz.append(target, tmp_path / "0.zarr")
    assert lz.open(target).shape == (3003, 4)


def test_old_files_stay_what_they_are(tmp_path: Path) -> None:
    """Views that were opened before can be read on, however often others append."""
    stored(tmp_path, 0)
    target = tmp_path / "view.zarr"
    lz.save(like(tmp_path / "0.zarr", 70), target)
    seen: dict[str, tuple[int, int]] = {}
    for count in (1, 70, 1, 520, 1, 8):
        lz.append(target, lz.concat([lz.open(tmp_path / "0.zarr")] * count))
        now = {name: found for name, found in files_of(target).items() if name != "zarr.json"}
        assert {name: now[name] for name in seen} == seen
        seen = now
    assert not [name for name in seen if "/." in name or name.startswith(".")]


def test_a_thousand_appends_stay_shallow() -> None:
    layout = Layout("int8", 0, (1, 2), (NamedConfig("bytes"),))

    def one(number: int) -> Graph:
        return Graph([Source(0)], layouts=[layout], arrays=[StoredArray(0, (1, 2), location=f"file:///d/{number}")])

    graph = one(0)
    tables: dict[str, int] = {}
    for number in range(1, 1000):
        graph = joined(graph, [one(number)], 0)
        tables |= {name: table.rows for name, table in graph.tables.items()}
        assert len(graph.nodes) <= 4 * MANY
    assert isinstance(graph.root, Concat)
    rows = [graph.tables[n.table].rows if isinstance(n, Tiles) else 1 for n in graph.nodes[:-1]]
    assert sum(rows) == 1000
    assert sum(tables.values()) < 4 * 1000  # every row was written once for each size of tables


@given(st.lists(st.integers(1, 300), max_size=60))
def test_segments_are_few_and_in_order(sizes: list[int]) -> None:
    segments: list[Segment] = []
    for size in sizes:
        segments.append(Segment(size, 0, ()))
        groups = plan(segments, len(segments) - 1)
        assert [number for group in groups for number in group] == list(range(len(segments)))
        segments = [Segment(sum(segments[k].rows for k in group), 0, ()) for group in groups]
    assert sum(segment.rows for segment in segments) == sum(sizes)
    assert len(segments) <= 5 * MANY


@given(graphs(), st.data())
def test_any_graph_joined_with_itself_is_a_concat(drawn: Drawn, data: st.DataObject) -> None:
    meant = interpret(drawn.graph, drawn.truth)
    assume(meant.ndim > 0)
    axis = data.draw(st.integers(0, meant.ndim - 1))
    graph, times = drawn.graph, data.draw(st.integers(1, 9))
    for _ in range(times):
        graph = joined(graph, [drawn.graph], axis)
    assert same_cells(Reader().read(graph), np.concatenate([meant] * (times + 1), axis))


@pytest.mark.parametrize(("values", "most"), [([7], 4 * MANY), ([7, -7], 400)])
def test_constants_between_files_are_put_together(tmp_path: Path, values: list[int], most: int) -> None:
    """Those of one value become the background of a table; those of two stay apart where they would be one."""
    rng = np.random.default_rng(0)
    data = stored(tmp_path, 0, attributes={})
    target = tmp_path / "view.zarr"
    expected = [data]
    lz.save(lz.open(tmp_path / "0.zarr"), target)
    for number in range(200):
        if number % 50 < 20:
            value = int(rng.choice(values))
            part = lz.full((2, 4), value, dtype=data.dtype)
            expected.append(np.full((2, 4), value, data.dtype))
        else:
            part, more = lz.open(tmp_path / "0.zarr"), data
            expected.append(more)
        lz.append(target, part)
        view = lz.open(target)
        assert len(view.ir.nodes) < most
    np.testing.assert_array_equal(view.read(), np.concatenate(expected))
    np.testing.assert_array_equal(view[100:300:7, ::-1].read(), np.concatenate(expected)[100:300:7, ::-1])


def test_stacked_planes(tmp_path: Path) -> None:
    expected = [stored(tmp_path, number) for number in range(20)]
    target = tmp_path / "view.zarr"
    lz.save(lz.stack([lz.open(tmp_path / f"{number}.zarr") for number in range(4)], axis=1), target)
    for number in range(4, 20):
        lz.append(target, lz.open(tmp_path / f"{number}.zarr").expand_dims(1), axis=1)
    np.testing.assert_array_equal(lz.open(target).read(), np.stack(expected, axis=1), strict=True)
    assert any(isinstance(node, Tiles) and node.new_axis == 1 for node in lz.open(target).ir.nodes)


def test_files_of_byte_ranges_with_packing(tmp_path: Path) -> None:
    expected = []
    for number in range(20):
        with h5py.File(tmp_path / f"{number}.nc", "w") as file:
            data = np.arange(12, dtype="i2").reshape(3, 4) + number
            sst = file.create_dataset("sst", data=data, chunks=(2, 2), compression="gzip")
            sst.attrs.update(scale_factor=0.5 + number % 3, add_offset=1.0, units="K")
            expected.append(data * (0.5 + number % 3) + 1.0)
    target = tmp_path / "view.zarr"
    lz.save(lz.open(tmp_path / "0.nc", "sst"), target)
    for number in range(1, 20):
        lz.append(target, lz.open(tmp_path / f"{number}.nc", "sst"))
    np.testing.assert_array_equal(lz.open(target).read(), np.concatenate(expected))
    assert len(lz.open(target).ir.nodes) < 2 * MANY + 6


def test_in_memory_arrays_constants_and_saved_views(tmp_path: Path) -> None:
    data = stored(tmp_path, 0, attributes={})
    target = tmp_path / "view.zarr"
    lz.save(lz.open(tmp_path / "0.zarr"), target)
    lz.save(lz.open(tmp_path / "0.zarr")[1:], tmp_path / "part.zarr")
    lz.append(target, np.full((2, 4), 5, "i4"))
    lz.append(target, [lz.full((1, 4), 6, dtype="i4"), str(tmp_path / "part.zarr"), tmp_path / "view.zarr"])
    first = np.concatenate([data, np.full((2, 4), 5, "i4")])
    whole = np.concatenate([first, np.full((1, 4), 6, "i4"), data[1:], first])
    np.testing.assert_array_equal(lz.open(target).read(), whole, strict=True)


def test_every_mismatch_is_listed_and_nothing_changes(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    stored(tmp_path, 1, attributes={"units": "degC"})
    stored(tmp_path, 2, dimension_names=["x", "time"])
    zarr.create_array(tmp_path / "3.zarr", data=np.zeros((3, 5), "f4"), attributes={"units": "K"})
    target = tmp_path / "view.zarr"
    lz.save(lz.open(tmp_path / "0.zarr"), target)
    before = files_of(target)
    with pytest.raises(lz.CombineError) as caught:
        lz.append(target, [tmp_path / f"{number}.zarr" for number in (1, 2, 3)])
    assert caught.value.reason == "combine-mismatch"
    assert [problem.partition(" (")[0] for problem in caught.value.problems] == [
        "input 1",
        "input 2",
        "input 3",
        "input 3",
    ]
    assert files_of(target) == before


def test_what_cannot_be_appended_to(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    view = lz.open(tmp_path / "0.zarr")
    with pytest.raises(lz.SourceMissing):
        lz.append(tmp_path / "nothing.zarr", view)
    with pytest.raises(lz.SaveUnsupported):
        lz.append(tmp_path / "0.zarr", view)
    lz.save({"a": view}, tmp_path / "group.zarr")
    with pytest.raises(lz.SaveUnsupported):
        lz.append(tmp_path / "group.zarr", view)
    lz.save(view, tmp_path / "view.zarr")
    for more, error in (
        ([], lz.CombineError),
        ({"a": view}, lz.SaveUnsupported),
        (tmp_path / "group.zarr", lz.CombineError),
    ):
        with pytest.raises(error):
            lz.append(tmp_path / "view.zarr", more)
    for axis in (2, "depth"):
        with pytest.raises(lz.AxisError):
            lz.append(tmp_path / "view.zarr", view, axis=axis)
    held = MemoryStore()
    zarr.create_array(held, data=np.zeros((3, 4), "i4"), attributes={"units": "K"})
    with pytest.raises(lz.SaveUnsupported):
        lz.append(tmp_path / "view.zarr", lz.open(held))


def test_a_view_in_a_store_object(tmp_path: Path) -> None:
    data = stored(tmp_path, 0)
    store = MemoryStore()
    lz.save(lz.open(tmp_path / "0.zarr"), store)
    lz.append(store, tmp_path / "0.zarr")
    view = lz.open(store, allow=[tmp_path])
    np.testing.assert_array_equal(view.read(), np.concatenate([data, data]))


def test_what_a_document_may_not_reach_is_not_taken_along(tmp_path: Path) -> None:
    stored(tmp_path / "secret", 0)
    (tmp_path / "open").mkdir()
    lz.save(like(tmp_path / "secret" / "0.zarr", 300), tmp_path / "open" / "bad.zarr")
    stored(tmp_path, 1)
    lz.save(lz.open(tmp_path / "1.zarr"), tmp_path / "view.zarr")
    with pytest.raises(lz.AccessDenied):
        lz.append(tmp_path / "view.zarr", tmp_path / "open" / "bad.zarr")
