"""ndsel messages: the canonical form is TensorStore's, and what they select is what NumPy and TensorStore read."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import tensorstore
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.formats.ndsel import MessageRefused, message, normalize
from lazyzarr.interpret import interpret
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Broadcast, Index, Source, Take, Transpose
from lazyzarr.read import Reader
from lazyzarr.view import View
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS

CELLS = np.arange(60, dtype="i4").reshape(3, 4, 5)


def by_tensorstore(body: dict[str, Any], cells: np.ndarray) -> np.ndarray:
    """What TensorStore reads with a canonical body."""
    transform = tensorstore.IndexTransform(json=body)
    return np.asarray(tensorstore.array(cells)[transform].read().result())


MESSAGES: tuple[dict[str, Any], ...] = (
    {"kind": "point", "coords": [1, 2, 3]},
    {"kind": "box", "shape": [2, 3, 4]},
    {"kind": "box", "inclusive_min": [1, 0, 2], "inclusive_max": [2, 3, 4], "labels": ["t", "y", "x"]},
    {"kind": "box", "inclusive_min": [1, 0, 2], "exclusive_max": [1, 3, 4]},
    {"kind": "slice", "start": [2, 3, 0], "stop": [-1, 0, 5], "step": [-1, -2, 2]},
    {
        "kind": "transform",
        "input_shape": [4, 2],
        "output": [{"offset": 2}, {"input_dimension": 0}, {"input_dimension": 1}],
    },
    {
        "kind": "transform",
        "input_inclusive_min": [-3, 0],
        "input_exclusive_max": [0, 3],
        "output": [{"input_dimension": 0, "offset": 3}, {}, {"index_array": [[4, 0, 4]], "index_array_bounds": [0, 4]}],
    },
)


@pytest.mark.parametrize("given_message", MESSAGES, ids=range(len(MESSAGES)))
def test_messages_select_what_tensorstore_reads(given_message: dict[str, Any]) -> None:
    body = normalize(given_message)
    assert normalize({"kind": "transform", **body}) == body
    view = lz.open(CELLS).select(json.loads(json.dumps(given_message)))
    np.testing.assert_array_equal(view.read(), by_tensorstore(body, CELLS), strict=True)
    if given_message["kind"] == "box" and "labels" in given_message:
        assert view.dims == ("t", "y", "x")


def test_bounds_left_open_go_as_far_as_the_array() -> None:
    message = {"kind": "box", "inclusive_min": [1, 0, 2], "exclusive_max": [["+inf"], [9], 4]}
    np.testing.assert_array_equal(lz.open(CELLS).select(message).read(), CELLS[1:, :, 2:4])
    assert normalize(message)["input_exclusive_max"] == [["+inf"], [9], 4]
    whole = {"kind": "transform", "input_rank": 3}
    assert normalize(whole)["input_exclusive_max"] == [["+inf"]] * 3
    np.testing.assert_array_equal(lz.open(CELLS).select(whole).read(), CELLS)


@settings(deadline=None)
@given(
    st.tuples(*[st.integers(-30, 30)] * 2, st.integers(-7, 7).filter(bool)),
    st.integers(-20, 0),
)
@example((-9, 5, 2), -10)
@example((15, -1, -2), 0)
@example((5, 5, -3), 0)
def test_slices_are_those_of_tensorstore(asked: tuple[int, int, int], first: int) -> None:
    start, stop, step = asked
    wanted = {"kind": "slice", "start": [start], "stop": [stop], "step": [step]}
    line = tensorstore.IndexTransform(domain=tensorstore.IndexDomain(inclusive_min=[-64], exclusive_max=[64]))
    try:
        expected = line[tensorstore.d[0][start:stop:step]]
    except (ValueError, IndexError):
        with pytest.raises(MessageRefused) as caught:
            normalize(wanted)
        assert caught.value.code == "bounds_out_of_order"
        return
    assert tensorstore.IndexTransform(json=normalize(wanted)) == expected
    cells = np.arange(64, dtype="i2")
    moved = {**wanted, "start": [start - first], "stop": [stop - first]}
    inside = range(start - first, stop - first, step)
    if len(inside) and not (0 <= inside[0] < 64 and 0 <= inside[-1] < 64):
        with pytest.raises(lz.SelectionError) as outside:
            lz.open(cells).select(moved)
        assert outside.value.reason == "index-bounds"
        return
    np.testing.assert_array_equal(lz.open(cells).select(moved).read(), cells[list(inside)], strict=True)


@settings(deadline=None)
@given(graphs(depth=3))
def test_what_a_view_selects_selects_the_view(drawn: Drawn) -> None:
    view = View(None, graph=drawn.graph, reader=Reader())
    first, *more = view.ir.nodes
    plain = isinstance(first, Source) and all(isinstance(node, Index | Take | Transpose | Broadcast) for node in more)
    try:
        said = message(view)
    except lz.SaveUnsupported:
        assert not plain
        GRAPHS["ndsel: save-unsupported"] += 1
        return
    assert {"kind": "transform", **normalize(said)} == said
    tensorstore.IndexTransform(json={key: value for key, value in said.items() if key != "kind"})
    if plain:
        array = Graph([first], layouts=view.ir.layouts, arrays=view.ir.arrays, tables=view.ir.tables)
        again = View(None, graph=array, reader=Reader()).select(json.loads(json.dumps(said)))
        assert same_cells(again.read(), interpret(drawn.graph, drawn.truth))
        GRAPHS["ndsel, selected again == interpret"] += 1


REFUSED: dict[str, tuple[Any, ...]] = {
    "invalid_json": (
        [],
        {},
        {"kind": 3},
        {"kind": "point"},
        {"kind": "point", "coords": [True]},
        {"kind": "point", "coords": [1.0]},
        {"kind": "point", "coords": [2**63]},
        {"kind": "points", "coords": 3},
        {"kind": "slice", "start": [0], "stop": [4], "labels": [1]},
        {"kind": "slice", "start": ["-inf"], "stop": [4]},
        {"kind": "box", "shape": [[1, 2]]},
        {"kind": "box", "inclusive_min": ["-inf"], "shape": [3]},
        {"kind": "transform", "input_rank": -1},
        {"kind": "transform", "output": 3},
        {"kind": "transform", "output": [3]},
        {"kind": "transform", "output": [{"input_dimension": -1}]},
        {"kind": "transform", "output": [{"index_array": 3}]},
        {"kind": "transform", "output": [{"index_array": [1.5]}]},
        {"kind": "transform", "output": [{"index_array": [1], "index_array_bounds": [1]}]},
    ),
    "unknown_kind": ({"kind": ""}, {"kind": "vindex"}),
    "unknown_field": (
        {"kind": "box", "shapes": [1]},
        {"kind": "point", "coords": [1], "labels": [""]},
        {"kind": "transform", "output": [{"offsets": 1}]},
    ),
    "multiple_upper_bounds": ({"kind": "box", "shape": [1], "inclusive_max": [1]},),
    "bounds_out_of_order": (
        {"kind": "box", "shape": [-1]},
        {"kind": "box", "inclusive_min": ["+inf"], "exclusive_max": [3]},
        {"kind": "slice", "start": [9], "stop": [0]},
        {"kind": "slice", "start": [5], "stop": [6], "step": [-1]},
    ),
    "output_map_conflict": ({"kind": "transform", "output": [{"input_dimension": 0, "index_array": [1]}]},),
    "rank_mismatch": (
        {"kind": "slice", "start": [0, 0], "stop": [4]},
        {"kind": "slice", "start": [0], "stop": [4], "labels": []},
        {"kind": "points", "coords": [[1], [1, 2]]},
        {"kind": "transform", "input_rank": 2, "input_shape": [1]},
    ),
    "step_zero": ({"kind": "slice", "start": [0], "stop": [4], "step": [0]},),
}


@pytest.mark.parametrize(("code", "wrong"), [(code, one) for code, many in REFUSED.items() for one in many])
def test_what_breaks_the_draft_is_refused_with_its_code(code: str, wrong: Any) -> None:
    with pytest.raises(MessageRefused) as caught:
        lz.open(CELLS).select(wrong)
    assert (caught.value.code, caught.value.reason) == (code, "index-syntax")
    assert pickle.loads(pickle.dumps(caught.value)).code == code


@pytest.mark.parametrize(
    ("wrong", "kind", "reason"),
    [
        ({"kind": "point", "coords": [1, 2]}, lz.SelectionError, "index-syntax"),
        ({"kind": "point", "coords": [3, 0, 0]}, lz.SelectionError, "index-bounds"),
        ({"kind": "box", "shape": [4, 4, 5]}, lz.SelectionError, "index-bounds"),
        ({"kind": "points", "coords": [[0, 0, 0], [1, 1, 1]]}, lz.UnsupportedFeature, "source-unsupported"),
        (
            {
                "kind": "transform",
                "input_shape": [2],
                "output": [{}, {}, {"index_array": [1, 3], "index_array_bounds": [2, 9]}],
            },
            lz.SelectionError,
            "index-bounds",
        ),
    ],
)
def test_what_does_not_fit_the_array_is_refused(wrong: Any, kind: type[lz.LazyZarrError], reason: str) -> None:
    with pytest.raises(kind) as caught:
        lz.open(CELLS).select(wrong)
    assert caught.value.reason == reason


def test_views_of_several_arrays_have_no_message() -> None:
    view = lz.open(CELLS)
    for many in (lz.concat([view, lz.open(CELLS + 1)]), lz.full((2,), 1, dtype="i2"), lz.concat([view, view[:1]])):
        with pytest.raises(lz.SaveUnsupported):
            lz.formats.ndsel.message(many)
