"""What a view becomes at each stage of planning, as plain data for programs: what `lazyzarr.stages` says in words.

Owns the members of ``explain --json``. Every list of rows is of the same rows, in the same order, as the text of its
stage. Refuses words, and to read values; located and plan look chunks up, which may load reference tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lazyzarr.access.url import shown
from lazyzarr.display.flat import flatness_of
from lazyzarr.display.nodes import parameters
from lazyzarr.display.rows import stored_of
from lazyzarr.errors import SelectionError
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
from lazyzarr.ir.nodes import inputs_of, name_of
from lazyzarr.ir.schema import infer
from lazyzarr.lower.fragments import Fragments, fragments
from lazyzarr.lower.locate import STATE_NAMES
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.lower.placements import AFFINE, UNFED, Placements
from lazyzarr.optimize import Step, optimize
from lazyzarr.read import Reader
from lazyzarr.stages import STAGES, Stage

Facts = dict[str, Any]


def facts(graph: Graph, stage: Stage, *, reader: Reader, trace: bool = False, limit: int) -> Facts:
    """What a graph becomes at a stage, its class, and why it is not flat.

    Parameters
    ----------
    stage
        One of `STAGES`.
    trace
        For "optimized", every rule that fired, too.
    limit
        Most rows that are listed; ``total`` says how many there are.

    Raises
    ------
    SelectionError
        When there is no such stage.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> view = lz.full((2, 3), 1, dtype="int8")
    >>> found = facts(view.ir, "placements", reader=view.reader, limit=9)
    >>> found["class"], found["rows"][0]["constant"], found["rows"][0]["box"][1]
    ('L0', 1, {'first': 0, 'step': 1, 'count': 3})
    """
    makers: dict[str, Callable[[], Facts]] = {
        "built": lambda: _nodes(graph, limit),
        "optimized": lambda: _optimized(graph, trace, limit),
        "placements": lambda: _placements(lower(graph), limit),
        "manifest": lambda: _manifest(lower(graph), limit),
        "located": lambda: _located(graph, reader, limit),
        "plan": lambda: _plan(graph, reader, limit),
    }
    if stage not in makers:
        raise SelectionError(f"facts of stage {stage!r}; there is none; give one of {', '.join(STAGES)}")
    schema = infer(graph)[-1]
    known = flatness_of(graph)
    return {
        "stage": stage,
        "shape": schema.shape,
        "data_type": schema.data_type,
        "fill_value": schema.fill_value,
        "class": known.level,
        "problems": known.problems,
        "read_chunks": known.chunk_shape,
        **makers[stage](),
    }


def _nodes(graph: Graph, limit: int) -> Facts:
    total = len(graph.nodes)
    head = range(min(limit // 2, total))
    tail = range(max(total - (limit - len(head)), len(head)), total)
    schemas = infer(graph)
    return {
        "total": total,
        "rows": [
            {
                "node": position,
                "op": name_of(graph.nodes[position]),
                "inputs": inputs_of(graph.nodes[position]),
                "shape": schemas[position].shape,
                "data_type": schemas[position].data_type,
                "parameters": parameters(graph.nodes[position], graph),
            }
            for position in (*head, *tail)
        ],
    }


def _optimized(graph: Graph, trace: bool, limit: int) -> Facts:
    steps: list[Step] = []
    found = _nodes(optimize(graph, observer=steps.append if trace else None), limit)
    if not trace:
        return found
    rules = [{"rule": step.rule, "before": step.before, "after": step.after} for step in steps[:limit]]
    return {**found, "rules_fired": len(steps), "rules": rules}


def _placements(lowered: Lowered, limit: int) -> Facts:
    placed = lowered.placements
    shown_rows = range(min(len(placed), limit))
    named = stored_of(lowered, placed.source[: len(shown_rows)])
    return {
        "total": len(placed),
        "rows": [_placement(lowered, row, named) for row in shown_rows],
    }


def _placement(lowered: Lowered, row: int, named: dict[int, StoredArray]) -> Facts:
    placed = lowered.placements
    number = int(placed.source[row])
    if number < 0:
        constant = lowered.constants[-1 - number]
        return {"constant": constant.value, "data_type": constant.data_type, "box": _box(placed, row)}
    rank = len(named[number].shape)
    return {
        "source": _location(named[number]),
        "cells": _cells((placed.first, placed.step, placed.count), placed, row, rank),
        "axes": _axes(placed, row, rank),
        "box": _box(placed, row),
        "layout": lowered.layouts[int(placed.layout[row])],
    }


def _manifest(lowered: Lowered, limit: int) -> Facts:
    found = fragments(lowered)
    shown_rows = range(min(len(found), limit))
    named = stored_of(lowered, found.source[: len(shown_rows)])
    rows: list[Facts] = []
    for row in shown_rows:
        layout = lowered.layouts[int(found.layout[row])]
        rank = len(layout.chunk_shape)
        rows.append(
            {
                "source": _location(named[int(found.source[row])]),
                "chunk": found.chunk[row, :rank].tolist(),
                "window": _cells((found.start, found.step, found.count), found, row, rank),
                "axes": _axes(found, row, rank),
                "box": _box(found, row),
                "layout": layout,
            }
        )
    return {"total": len(found), "rows": rows}


def _located(graph: Graph, reader: Reader, limit: int) -> Facts:
    _, found, chunks = reader.locate(graph)
    count = min(len(chunks), limit)
    urls = chunks.urls(slice(0, count))
    rows: list[Facts] = []
    for chunk in range(count):
        stored = chunks.arrays[int(chunks.array[chunk])]
        members = chunks.members[chunks.first_member[chunk] : chunks.first_member[chunk + 1]]
        rows.append(
            {
                "source": _location(stored),
                "chunk": chunks.coords[chunk, : len(stored.shape)].tolist(),
                "boxes": [_box(found, member) for member in members[:limit].tolist()],
                "fragments": len(members),
                "state": STATE_NAMES[int(chunks.state[chunk])],
                "url": shown(urls[chunk]) if urls[chunk] else None,
                **_extent(int(chunks.offset[chunk]), int(chunks.length[chunk])),
            }
        )
    return {
        "total": len(chunks),
        "objects": len(chunks.places),
        "objects_not_pinned": sum(place.stamp is None for place in chunks.places),
        "rows": rows,
    }


def _plan(graph: Graph, reader: Reader, limit: int) -> Facts:
    planned = reader.plan(graph)
    requests = list(planned.each_request())
    return {
        "total": len(requests),
        "nbytes": planned.nbytes,
        "requests_of_unknown_length": sum(request.length < 0 for request in requests),
        "chunks": len(planned.chunks),
        "chunks_without_request": len(planned.direct),
        "rows": [
            {
                "url": shown(request.url),
                **_extent(request.offset, request.length),
                "chunks": len(request.chunks),
            }
            for request in requests[:limit]
        ],
    }


def _location(array: StoredArray) -> str | None:
    """Where an array is, without its query string; None where it is in memory or its chunks have places of their own."""
    return None if array.location is None else shown(array.location)


def _extent(offset: int, length: int) -> Facts:
    """A byte range; no length where it is a whole object."""
    return {"offset": offset, "length": None if length < 0 else length}


def _progression(first: int, step: int, count: int, gathered: np.ndarray | None) -> Facts:
    if gathered is None:
        return {"first": first, "step": step, "count": count}
    return {"cells": (first + step * gathered).tolist()}


def _box(of: Placements | Fragments, row: int) -> list[Facts]:
    """Cells of the view, for each of its axes."""
    found: list[Facts] = []
    for axis in range(of.into_first.shape[1]):
        first, step, count = (int(column[row, axis]) for column in (of.into_first, of.into_step, of.into_count))
        fed = np.flatnonzero(of.axis[row] == axis)
        pool = int(of.pool[row, fed[0]]) if len(fed) else AFFINE
        found.append(_progression(first, step, count, None if pool == AFFINE else of.pool_into[pool : pool + count]))
    return found


def _cells(columns: Sequence[np.ndarray], of: Placements | Fragments, row: int, rank: int) -> list[Facts]:
    """Cells of the source or of the chunk, for each of its axes."""
    found: list[Facts] = []
    for axis in range(rank):
        first, step, count = (int(column[row, axis]) for column in columns)
        pool = int(of.pool[row, axis])
        found.append(_progression(first, step, count, None if pool == AFFINE else of.pool_from[pool : pool + count]))
    return found


def _axes(of: Placements | Fragments, row: int, rank: int) -> list[int | None]:
    """For each axis of the source the axis of the view that runs along it."""
    fed: Iterable[int] = of.axis[row, :rank].tolist()
    return [None if axis == UNFED else axis for axis in fed]
