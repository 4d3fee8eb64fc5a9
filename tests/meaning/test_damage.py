"""Reading views of which some source is damaged: the meaning where the damage is not touched, else a typed error.

Every way to the bytes agrees: the small read, the columnar one, into a buffer, cell by cell, and the asynchronous one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from lazyzarr.errors import LazyZarrError, SourceError
from lazyzarr.interpret import interpret
from lazyzarr.ir.graph import Graph
from lazyzarr.lower.lowering import lower
from lazyzarr.read import Reader
from tests.meaning.test_read import alone
from tests.strategies.cells import DTYPES, same_cells
from tests.strategies.damage import HARMS, WHOLE, damaged_pool
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.stored import Stored
from tests.strategies.tally import GRAPHS
from tests.strategies.truth import Truth

READER = Reader()
SENTINELS = {"b": (False, True), "U": ("x", "y"), "S": (b"x", b"y"), "T": ("x", "y"), "V": ((1, 1.0), (2, 2.0))}
"""Kind of a type -> two values that stay apart whatever decodes them; 1 and 2 for numbers."""

Way = Callable[[Graph, tuple[int, ...], np.dtype], np.ndarray]


def _into(graph: Graph, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return READER.read(graph, out=np.empty(shape, dtype))


def _points(graph: Graph, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if not shape:
        return READER.read(graph)
    return READER.read_points(graph, tuple(np.indices(shape)))


WAYS: dict[str, Way] = {
    "read": lambda graph, shape, dtype: READER.read(graph),
    "columnar": lambda graph, shape, dtype: READER.read_lowered(lower(graph)),
    "into a buffer": _into,
    "pointwise": _points,
    "asynchronous": lambda graph, shape, dtype: asyncio.run(READER.read_async(graph)),
}


@given(graphs(arrays=damaged_pool, depth=3))
def test_damage_is_an_error_and_nothing_else(drawn: Drawn) -> None:
    harmed = [stored for stored in drawn.truth.of.values() if stored.bad is not None]
    expected = interpret(drawn.graph, drawn.truth)
    sure, touched = (shown(drawn, kind) for kind in ([s for s in harmed if s.sure], harmed))
    found = {name: result(way, drawn.graph, expected.shape, expected.dtype) for name, way in WAYS.items()}
    failed = {name for name, one in found.items() if isinstance(one, LazyZarrError)}
    assert failed in (set(), set(WAYS)), found
    assert failed or not sure, "damage was read as values"
    assert touched or not failed, found
    for one in found.values():
        if isinstance(one, LazyZarrError):
            assert any(place(stored) in str(one) for stored in harmed), one
        else:
            assert same_cells(one, expected)
    GRAPHS["damage untouched == interpret" if not failed else "damage touched is an error"] += 1


def result(way: Way, graph: Graph, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | LazyZarrError:
    """What reading gives: cells, or an error of ours; any other error is the test's."""
    try:
        return way(graph, shape, dtype)
    except LazyZarrError as error:
        return error


def shown(drawn: Drawn, harmed: list[Stored]) -> bool:
    """Whether a bad cell of one of these arrays is a cell of the view: it changes when the bad cells do."""
    if not harmed:
        return False
    views = []
    for value in range(2):
        truth = Truth()
        for key, stored in drawn.truth.of.items():
            if any(stored is one for one in harmed):
                cells = stored.cells.copy()
                cells[stored.bad] = np.array(SENTINELS.get(cells.dtype.kind, (1, 2))[value], DTYPES[stored.dtype])[()]
                present = None if stored.present is None else stored.present | stored.bad
                stored = replace(stored, cells=cells, present=present)
            truth.of[key] = stored
        views.append(interpret(drawn.graph, truth))
    return not same_cells(*views)


def place(stored: Stored) -> str:
    """What an error about an array names."""
    return str(stored.array.location).removeprefix("file://")


@pytest.mark.parametrize(
    "stored", [s for s in damaged_pool().arrays if s.harm], ids=lambda s: f"{s.number}-{s.dtype}-{s.family}-{s.harm}"
)
def test_every_damaged_array_fails_by_name(stored: Stored) -> None:
    for way in WAYS.values():
        found = result(way, alone(stored), stored.cells.shape, DTYPES[stored.dtype])
        if isinstance(found, np.ndarray):
            assert not stored.sure
            assert same_cells(found, stored.cells)
            continue
        assert place(stored) in str(found)
        assert found.reason.startswith(("source-", "chunk-"))
        assert not isinstance(found, (FileNotFoundError, KeyError))
        assert isinstance(found, SourceError) or "chunk" in str(found.where)


def test_every_kind_of_damage_is_in_the_pool() -> None:
    seen = {stored.harm for stored in damaged_pool().arrays}
    assert {harm.__name__ for harm in HARMS} | set(WHOLE) | {"beyond the end", "wrong length"} <= seen
