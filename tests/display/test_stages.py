"""explain: every stage of every kind of view, with numbers that are those of the passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.display.flat import flatness_of
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.stages import STAGES, explain
from lazyzarr.topology import digraph
from tests.display.views import every_kind, stored


def test_every_stage_of_every_kind(tmp_path: Path) -> None:
    for name, view in every_kind(tmp_path).items():
        for stage in STAGES:
            text = view.explain(stage)
            assert text.strip(), (name, stage)
            assert "\x1b" not in text


def test_explaining_reads_no_chunk(tmp_path: Path) -> None:
    for view in every_kind(tmp_path).values():
        view.reader.session.counts.reset()
        for stage in STAGES:
            view.explain(stage)
        assert view.reader.session.counts.requests == 0


def test_unknown_stage_is_refused() -> None:
    with pytest.raises(lz.SelectionError) as caught:
        lz.full((2,), 0, dtype="int8").explain("magic")  # type: ignore[arg-type]
    assert caught.value.reason == "index-syntax"


def test_placements_say_cells_and_boxes(tmp_path: Path) -> None:
    a, b = stored(tmp_path, "a", (6, 40), (3, 20)), stored(tmp_path, "b", (6, 40), (6, 40))
    lines = lz.concat([a, b[::-1]]).explain("placements").splitlines()
    assert lines[0].split("  ")[0] == "source"
    cells = [[part.strip() for part in line.split("  ") if part.strip()] for line in lines[1:]]
    assert cells == [
        [f"{tmp_path.name}/a", "[0:6, 0:40]", "[0:6, 0:40]", "chunks (3, 20)", "bytes zstd"],
        [f"{tmp_path.name}/b", "[5::-1, 0:40]", "[6:12, 0:40]", "chunks (6, 40)", "bytes zstd"],
    ]


def test_transposed_and_gathered_cells_are_named(tmp_path: Path) -> None:
    a = stored(tmp_path, "a", (6, 40), (3, 20))
    assert "to axes (1, 0)" in a.T.explain("placements")
    assert "{1 3 5}" in a.oindex[[5, 1, 3], :].explain("placements")


def test_manifest_has_one_row_for_each_fragment(tmp_path: Path) -> None:
    view = lz.concat([stored(tmp_path, "a", (6, 40), (3, 20)), stored(tmp_path, "b", (6, 40), (6, 40))])
    assert len(view.explain("manifest").splitlines()) == 1 + len(fragments(lower(view.ir)))


def test_rows_are_limited_and_the_rest_is_counted(tmp_path: Path) -> None:
    view = stored(tmp_path, "a", (6, 40), (1, 1))
    for stage, noun in (("manifest", "fragments"), ("located", "chunks"), ("plan", "requests")):
        text = explain(view.ir, stage, reader=view.reader, limit=7)
        assert f"... and 233 more {noun}" in text
    built = explain(lz.concat([view[k : k + 1] for k in range(6)]).ir, "built", reader=view.reader, limit=4)
    assert "4 more nodes" in built


def test_plan_totals_are_those_of_the_plan(tmp_path: Path) -> None:
    view = stored(tmp_path, "a", (6, 40), (3, 20))
    plan = view.reader.plan(view.ir)
    assert f"total: {plan.requests} requests" in view.explain("plan")
    assert f"{len(plan.chunks)} chunks" in view.explain("plan")


def test_trace_lists_every_rule(tmp_path: Path) -> None:
    view = lz.concat([stored(tmp_path, "a", (6, 40), (3, 20)), lz.full((1, 40), 0, dtype="int16")])[2:4]
    assert "fired" not in view.explain("optimized")
    text = view.explain("optimized", trace=True)
    assert "index_of_concat" in text
    assert "->" in text


def test_class_is_worked_out_once(tmp_path: Path) -> None:
    graph = stored(tmp_path, "a", (6, 40), (3, 20)).ir
    assert flatness_of(graph) is flatness_of(graph)


def test_topology_has_every_node_and_edge(tmp_path: Path) -> None:
    for view in every_kind(tmp_path).values():
        graph = digraph(view.ir)
        assert sorted(graph) == list(range(len(view.ir.nodes)))
        assert all({"op", "shape", "data_type", "label"} <= set(data) for _, data in graph.nodes(data=True))
        assert graph.nodes[len(graph) - 1]["shape"] == view.shape
        slots = [slot for _, user, taken in graph.in_edges(len(graph) - 1, data="position") for slot in taken]
        assert sorted(slots) == list(range(len(slots)))


def test_slices_end_at_their_last_cell() -> None:
    view = lz.open(zarr.create_array({}, shape=(4, 6), chunks=(2, 3), dtype="int16"))
    text = view[::-1, ::2].explain("manifest")
    assert "[1::-1, 0:3:2]" in text
    assert "[1::-1, 1:2]" in text
    (backwards, *_) = view[::-1].why_not_flat()
    assert "such as cells [1::-1, 0:3] of chunk (1, 0)" in backwards
    assert "[0:7:2, 0:6]" in lz.interleave([view, view]).explain("placements")
    assert "[3::-1, 0:6]" in view.T[::-1].T[:, ::-1][::-1].explain("optimized", trace=True)


def test_a_plan_says_nothing_that_does_not_apply() -> None:
    assert lz.open(np.arange(4)).explain("plan") == "total: 0 requests, 0 bytes, 1 chunk, 1 of them without a request"
    view = lz.open(zarr.create_array({}, shape=(4, 6), chunks=(2, 3), dtype="int16"))
    assert view.explain("plan").splitlines()[-1] == "total: 4 requests, 4 whole objects of unknown length, 4 chunks"


def test_times_and_byte_orders_are_shown() -> None:
    assert "value 2000-01-01T00:00:00" in repr(lz.full(2, np.datetime64("2000-01-01"), dtype="M8[s]"))
    view = lz.open(zarr.create_array({}, shape=(4,), chunks=(2,), dtype="int16", compressors=None))
    assert "bytes(big)" in repr(view.recode(codecs=[{"name": "bytes", "configuration": {"endian": "big"}}]))
