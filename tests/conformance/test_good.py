"""Every good case reads as the corpus says: by the reader, by the definition of graphs, and as flat as it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.interpret import interpret
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_json
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.optimize import optimize
from tests.conformance.corpus import GROUPS, SINGLE, assert_reads_as, expected
from tests.conformance.whole_arrays import WholeArrays

one_view = pytest.mark.parametrize("case", SINGLE, ids=lambda path: path.name)


@one_view
def test_schema(case: Path) -> None:
    view, wanted = lz.open(case / "view.zarr"), expected(case)
    assert view.shape == tuple(wanted["shape"])
    assert view.data_type == from_json(wanted["data_type"])
    assert fill.same(view.schema.fill_value, wanted["fill_value"], view.data_type)
    assert view.dims == (None if wanted["dimension_names"] is None else tuple(wanted["dimension_names"]))
    assert view.attrs == wanted["attributes"]


@one_view
def test_reader(case: Path) -> None:
    assert_reads_as(lz.open(case / "view.zarr").read(), expected(case))


@one_view
def test_definition(case: Path) -> None:
    graph = lz.open(case / "view.zarr").ir
    assert_reads_as(np.asarray(interpret(graph, WholeArrays(graph))), expected(case))


@one_view
def test_optimized(case: Path) -> None:
    graph = optimize(lz.open(case / "view.zarr").ir)
    assert_reads_as(np.asarray(interpret(graph, WholeArrays(graph))), expected(case))


@one_view
def test_flatness(case: Path) -> None:
    view, wanted = lz.open(case / "view.zarr"), expected(case)
    assert view.flatness == wanted["flatness"], view.why_not_flat()
    assert bool(view.why_not_flat()) == (wanted["flatness"] != "L0")


@one_view
def test_counts(case: Path) -> None:
    wanted = expected(case)
    lowered = lower(lz.open(case / "view.zarr").ir)
    found = fragments(lowered)
    chunks = np.concatenate([found.source[:, None], found.chunk], axis=1)
    assert len(np.unique(chunks, axis=0)) == wanted["chunks"]
    if wanted["placements"] is not None:
        assert int((lowered.placements.source >= 0).sum()) == wanted["placements"]


@one_view
def test_saved_again(case: Path, tmp_path: Path) -> None:
    view = lz.open(case / "view.zarr")
    lz.save(view, tmp_path / "again.zarr")
    again = lz.open(tmp_path / "again.zarr", allow=[case])
    assert again.dims == view.dims
    assert again.attrs == view.attrs
    assert_reads_as(again.read(), expected(case))


@pytest.mark.parametrize("case", GROUPS, ids=lambda path: path.name)
def test_group(case: Path) -> None:
    group, wanted = lz.open(case / "view.zarr"), expected(case)
    assert {name: group.attrs[name] for name in wanted["attributes"]} == wanted["attributes"]
    for name, member in wanted["members"].items():
        assert_reads_as(group[name].read(), member)
