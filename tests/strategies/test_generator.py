"""The generator is tested too: that it yields everything the laws are meant to be tried on.

Without these a change of the strategies could quietly stop drawing, say, missing chunks below a transpose, and
every law would still pass.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from lazyzarr.algebra.span import Span
from lazyzarr.ir.nodes import NODE_KINDS, Concat, Index, Overlay, Source, Take, Tiles, inputs_of
from lazyzarr.ir.schema import infer
from lazyzarr.ir.validate import validate
from tests.strategies.cells import DTYPES, distinct, same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.stored import Stored, pool
from tests.strategies.tally import FLOORS, many
from tests.strategies.writing import FAMILIES

DRAWS = 1_000
AT_LEAST = 4
"""How often each thing has to turn up in that many draws."""

CASES = (
    *(kind.__name__ for kind in NODE_KINDS),
    *(f"rank {rank}" for rank in range(6)),
    *(f"type {name}" for name in DTYPES),
    *(f"family {name}" for name in (*FAMILIES, "memory")),
    *(f"placing {name}" for name in ("keys", "refs", "values")),
    *("negative step", "step over 1", "dropped axis", "empty axis", "empty view", "empty concat input"),
    *("shared node", "two sources", "two layouts", "two fills", "deep graph"),
    *("missing chunk", "missing chunk with another fill", "chunk of another chain", "two objects"),
    *("take repeats", "take descends", "take of nothing"),
    *("overlay-error", "overlay-first", "overlay-last", "overlay-error-steps"),
    *("overlap-first", "overlap-last", "overlay of several"),
    *("tiles", "tiles-new-axis", "tiles-refs", "tiles with gaps", "tiles of two layouts"),
    *("tiles with a column scale_factor", "tiles with a column add_offset", "tiles with a column fill_value"),
    *("boxes of several", "boxes of combs", "boxes on constants", "boxes turned round", "boxes repeated"),
    *("boxes transposed", "recode-fill", "recode-bytes", "recode-unpack", "recode of tiles", "decode above a join"),
)


@cache
def seen() -> Counter[str]:
    """Case -> how many of the draws have it."""
    counts: Counter[str] = Counter()

    @settings(max_examples=DRAWS, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(graphs())
    def collect(drawn: Drawn) -> None:
        counts.update(set(cases(drawn)))

    collect()
    return counts


def cases(drawn: Drawn) -> list[str]:
    """Everything worth having that one graph has."""
    graph = drawn.graph
    schemas = infer(graph)
    found = [*drawn.kinds, *(type(node).__name__ for node in graph.nodes), f"rank {len(schemas[-1].shape)}"]
    uses = Counter(i for node in graph.nodes for i in inputs_of(node))
    conditions = {
        "shared node": max(uses.values(), default=0) > 1,
        "two sources": sum(isinstance(node, Source) for node in graph.nodes) > 1,
        "two layouts": len(graph.layouts) > 1,
        "two fills": len({repr(layout.fill_value) for layout in graph.layouts}) > 1,
        "deep graph": len(graph.nodes) > 15,
        "empty view": 0 in schemas[-1].shape,
        "empty axis": any(0 in schema.shape for schema in schemas),
        "chunk of another chain": any(array.variants for array in graph.arrays),
        "two objects": any(array.places for array in graph.arrays),
    }
    found += [name for name, holds in conditions.items() if holds]
    for node, schema in zip(graph.nodes, schemas, strict=True):
        found += _cases_of_node(node, schema.shape, graph, schemas)
    for stored in drawn.truth.of.values():
        found += _cases_of_array(stored)
    return found


def _cases_of_node(node: object, shape: tuple[int, ...], graph: object, schemas: tuple) -> list[str]:
    match node:
        case Index():
            spans = [a for a in node.axes if isinstance(a, Span)]
            named = {
                "dropped axis": len(spans) < len(node.axes),
                "negative step": any(s.step < 0 for s in spans),
                "step over 1": any(s.step > 1 for s in spans),
            }
        case Take():
            cells = np.asarray(graph.tables[node.indices]["indices"])
            named = {
                "take repeats": len(set(cells.tolist())) < len(cells),
                "take descends": bool((np.diff(cells) < 0).any()),
                "take of nothing": not len(cells),
            }
        case Concat():
            named = {"empty concat input": any(schemas[i].shape[node.axis] == 0 for i in node.inputs)}
        case Overlay():
            named = {"overlay of several": len(node.inputs) > 1}
        case Tiles():
            boxes = np.asarray(graph.tables[node.table]["shape"]).prod(axis=1).sum()
            named = {
                "tiles with gaps": bool(boxes < np.prod(shape)),
                "tiles of two layouts": len(node.layouts) > 1,
            }
        case _:
            named = {
                "recode of tiles": type(node).__name__ == "Recode" and isinstance(graph.nodes[node.input], Tiles),
                "decode above a join": type(node).__name__ == "Decode"
                and isinstance(graph.nodes[node.input], Concat | Overlay),
            }
    return [name for name, holds in named.items() if holds]


def _cases_of_array(stored: Stored) -> list[str]:
    found = [f"type {stored.dtype}", f"family {stored.family}", f"placing {stored.placing}"]
    if stored.missing:
        found.append("missing chunk")
        if stored.layout.fill_value not in (0, 0.0, "", False):
            found.append("missing chunk with another fill")
    return found


@pytest.mark.parametrize("case", CASES)
def test_graphs_have_every_case(case: str) -> None:
    assert seen()[case] >= AT_LEAST


@given(graphs())
def test_every_graph_drawn_is_valid(drawn: Drawn) -> None:
    validate(drawn.graph)


def test_a_run_compares_enough_graphs() -> None:
    """Four laws compare `many` graphs each: lowering twice, optimizing, reading; programs come on top."""
    for profile, floor in FLOORS.items():
        assert 4 * many(profile).max_examples >= floor


def test_the_pool_has_every_codec_family_with_every_kind_of_array() -> None:
    arrays = pool().arrays
    assert {s.family for s in arrays} == {*FAMILIES, "memory"}
    assert {s.dtype for s in arrays} == set(DTYPES)
    assert {s.cells.ndim for s in arrays} == set(range(6))
    for family in FAMILIES:
        assert any(s.family == family and s.present is not None and s.missing for s in arrays) or "sharded" in family
    assert any(s.path and s.layout.chunk_keys.name == "v2" for s in arrays)
    assert {s.layout.chunk_keys.configuration.get("separator") for s in arrays} >= {"/", "."}


def test_cells_tell_where_they_come_from() -> None:
    for name in ("int16", "int64", "complex64", "struct", "string", "bytes", "text"):
        one, other = distinct(name, (6, 5), 3), distinct(name, (6, 5), 4)
        texts = [repr(v) for v in (*one.reshape(-1).tolist(), *other.reshape(-1).tolist())]
        assert len(set(texts)) == 60


def test_same_cells_is_strict() -> None:
    zero = np.zeros(2, "f8")
    assert not same_cells(zero, -zero)
    assert not same_cells(zero, zero.astype("f4"))
    assert not same_cells(zero, zero.reshape(2, 1))
    assert same_cells(np.array([np.nan]), np.array([np.nan]))
    assert same_cells(np.array([1], ">i4"), np.array([1], "<i4"))
