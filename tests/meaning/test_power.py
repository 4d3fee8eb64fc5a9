"""The laws are strong enough: each of these mistakes in the library is found within some hundred random graphs.

A mistake that is no longer found says that the strategies draw too little of something, or compare too loosely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import Flaky, NoSuchExample

from lazyzarr.algebra.span import Span, canonical, compose
from lazyzarr.interpret import interpret
from lazyzarr.ir import fill
from lazyzarr.lower import lowering, placements, selecting
from lazyzarr.lower.lowering import lower
from lazyzarr.optimize import optimize, rules_index
from lazyzarr.read import Reader, execute
from tests.meaning.painting import paint
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs

GRAPHS = 2_000
Patch = Callable[[pytest.MonkeyPatch], None]


def reads_wrong(drawn: Drawn) -> bool:
    return _fails(lambda: same_cells(Reader().read(drawn.graph), interpret(drawn.graph, drawn.truth)))


def paints_wrong(drawn: Drawn) -> bool:
    return _fails(lambda: same_cells(paint(lower(drawn.graph), drawn.truth).cells, interpret(drawn.graph, drawn.truth)))


def optimizes_wrong(drawn: Drawn) -> bool:
    return _fails(
        lambda: same_cells(interpret(optimize(drawn.graph), drawn.truth), interpret(drawn.graph, drawn.truth))
    )


def _fails(law: Callable[[], bool]) -> bool:
    try:
        return not law()
    except Exception:
        return True


def inverse_transpose(monkeypatch: pytest.MonkeyPatch) -> None:
    right = placements.reordered
    monkeypatch.setattr(placements, "reordered", lambda p, axes: right(p, np.argsort(axes).tolist()))


def forgotten_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    right = selecting.clipped

    def wrong(placed: Any, axis: int, span: Span) -> Any:
        forward = canonical(min(span.start, span.last), abs(span.step), span.count)
        return right(placed, axis, forward if span.count else span)

    monkeypatch.setattr(selecting, "clipped", wrong)


def overlay_upside_down(monkeypatch: pytest.MonkeyPatch) -> None:
    right = lowering.visible
    monkeypatch.setattr(lowering, "visible", lambda starts, stops, ranks, *rest: right(starts, stops, -ranks, *rest))


def concat_on_top_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placements, "moved", lambda p, axis, cells: p)


def unsorted_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    right = lowering.gathered
    monkeypatch.setattr(lowering, "gathered", lambda p, axis, indices: right(p, axis, np.sort(indices)))


def forgotten_recode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering._Lowering, "_recode", lambda self, node, placed: placed)


def shifted_first_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    right = placements.shifted
    monkeypatch.setattr(
        placements,
        "shifted",
        lambda p, origin, steps=None: replace(right(p, origin, steps), into_first=np.zeros_like(p.into_first)),
    )


def one_fill_value_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 2 of the model: zero wherever a chunk is missing."""

    def wrong(self: Any, chunk: int) -> None:
        layout = self.plan.chunks.layouts[self._layout[chunk]]
        value = fill.from_json(fill.zero(layout.data_type), layout.data_type)
        for fragment in self._fragments(chunk):
            self.placer.fill(fragment, value)

    monkeypatch.setattr(execute.Execution, "_fill", wrong)


def composed_the_wrong_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_index, "compose", lambda outer, inner: compose(inner, outer))


MISTAKES: tuple[tuple[Patch, Callable[[Drawn], bool]], ...] = (
    (inverse_transpose, paints_wrong),
    (forgotten_direction, paints_wrong),
    (overlay_upside_down, paints_wrong),
    (concat_on_top_of_each_other, paints_wrong),
    (unsorted_gather, paints_wrong),
    (forgotten_recode, paints_wrong),
    (shifted_first_cell, paints_wrong),
    (one_fill_value_for_all, reads_wrong),
    (inverse_transpose, reads_wrong),
    (composed_the_wrong_way, optimizes_wrong),
)


@pytest.mark.parametrize(("mistake", "law"), MISTAKES, ids=lambda f: f.__name__)
def test_the_laws_find_a_mistake(mistake: Patch, law: Callable[[Drawn], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    try:
        find(
            graphs(),
            law,
            settings=settings(
                max_examples=GRAPHS,
                phases=[Phase.generate],
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except Flaky:
        pass  # found: cells that a mistake leaves out hold anything, what is right included when they are read again
    except NoSuchExample:
        pytest.fail(f"{mistake.__name__} was not found in {GRAPHS} graphs")
