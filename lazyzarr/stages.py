"""What a view becomes at each stage of planning, as text in columns.

Owns `explain`: one function per stage, each of which runs the passes up to there and prints what they made.
Every number printed is computed. Refuses to read values; located and plan look chunks up, which may load
reference tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from lazyzarr.display import spelling
from lazyzarr.display.flat import flatness_of
from lazyzarr.display.nodes import node_lines
from lazyzarr.display.tables import columns
from lazyzarr.errors import SelectionError
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
from lazyzarr.lower.flatness import Flatness
from lazyzarr.lower.fragments import Fragments, fragments
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.lower.placements import AFFINE, UNFED, Placements
from lazyzarr.read import Reader
from lazyzarr.read.locate import RANGE, STATE_NAMES, VALUES
from lazyzarr.read.plan import Request

Stage = Literal["built", "optimized", "placements", "manifest", "located", "plan"]
STAGES: tuple[Stage, ...] = get_args(Stage)
LIMIT = 40


def explain(graph: Graph, stage: Stage, *, reader: Reader, trace: bool = False, limit: int = LIMIT) -> str:
    """What a graph becomes at a stage.

    Parameters
    ----------
    stage
        One of `STAGES`.
    trace
        For "optimized", list every rule that fired, too.
    limit
        Most rows that are listed; the others are counted.

    Raises
    ------
    SelectionError
        When there is no such stage.
    """
    printers: dict[str, Callable[[], list[str]]] = {
        "built": lambda: _nodes(graph, limit),
        "optimized": lambda: _nodes(graph, limit),
        "placements": lambda: _placements(lower(graph), limit),
        "manifest": lambda: _manifest(lower(graph), limit),
        "located": lambda: _located(graph, reader, limit),
        "plan": lambda: _plan(graph, reader, limit),
    }
    if stage not in printers:
        raise SelectionError(f"explain of stage {stage!r}; there is none; give one of {', '.join(STAGES)}")
    return "\n".join(printers[stage]())


def render_problems(found: Flatness) -> list[str]:
    """Each reason why a view is not of class L0, with its remedy."""
    return [f"{problem.level}: {problem.what}; {problem.remedy}" for problem in found.problems]


def _nodes(graph: Graph, limit: int) -> list[str]:
    total = len(graph.nodes)
    head = range(min(limit // 2, total))
    tail = range(max(total - (limit - len(head)), len(head)), total)
    hidden = total - len(head) - len(tail)
    lines = node_lines(graph, [*head, *tail])
    if hidden:
        lines.insert(len(head), f"... {spelling.many(hidden, 'more node')}")
    return lines


def _placements(lowered: Lowered, limit: int) -> list[str]:
    placed = lowered.placements
    rows = np.arange(min(len(placed), limit))
    named = _arrays(lowered, placed.source[rows])
    table = [
        [
            _source(lowered, int(placed.source[row]), named),
            _source_cells(placed, row, lowered, named),
            _box(placed, row),
            spelling.layout(lowered.layouts[placed.layout[row]]) if placed.layout[row] >= 0 else "",
        ]
        for row in rows.tolist()
    ]
    header = ["source", "cells of the source", "box of the view", "layout"]
    return columns(table, header=header, total=len(placed), noun="placements")


def _manifest(lowered: Lowered, limit: int) -> list[str]:
    found = fragments(lowered)
    rows = range(min(len(found), limit))
    named = _arrays(lowered, found.source[: len(rows)])
    table = [
        [
            _source(lowered, int(found.source[row]), named),
            _chunk(found, row, lowered),
            _window(found, row, lowered),
            _box(found, row),
        ]
        for row in rows
    ]
    header = ["source", "chunk", "window in the chunk", "box of the view"]
    return columns(table, header=header, total=len(found), noun="fragments")


def _located(graph: Graph, reader: Reader, limit: int) -> list[str]:
    lowered, found, chunks = reader.locate(graph)
    table: list[list[str]] = []
    for chunk in range(min(len(chunks), limit)):
        stored = chunks.arrays[int(chunks.array[chunk])]
        members = chunks.members[chunks.first_member[chunk] : chunks.first_member[chunk + 1]].tolist()
        coords = chunks.coords[chunk, : len(stored.shape)].tolist()
        table.append(
            [
                spelling.place(stored),
                str(tuple(coords)),
                _box(found, members[0]) + (f" and {len(members) - 1} more" if len(members) > 1 else ""),
                STATE_NAMES[int(chunks.state[chunk])],
                _object(chunks.url[chunk], int(chunks.state[chunk]), int(chunks.offset[chunk]), int(chunks.length[chunk])),
            ]
        )
    header = ["source", "chunk", "box of the view", "state", "where"]
    return columns(table, header=header, total=len(chunks), noun="chunks")


def _plan(graph: Graph, reader: Reader, limit: int) -> list[str]:
    planned = reader.plan(graph)
    requests = [request for batch in planned.batches for request in batch]
    table = [
        [
            str(number),
            spelling.location(request.url),
            _bytes(request),
            str(len(request.chunks)),
        ]
        for number, request in enumerate(requests[:limit])
    ]
    header = ["request", "object", "bytes", "chunks"]
    lines = columns(table, header=header, right=[0, 3], total=len(requests), noun="requests") if requests else []
    open_ended = sum(request.length < 0 for request in requests)
    totals = [
        spelling.many(len(requests), "request"),
        f"{planned.nbytes:,} bytes" + (f" and {spelling.many(open_ended, 'whole object')}" if open_ended else ""),
        spelling.many(len(planned.chunks), "chunk"),
    ]
    if planned.direct:
        totals.append(f"{len(planned.direct):,} of them without a request")
    return [*lines, "total: " + ", ".join(totals)]


def _arrays(lowered: Lowered, numbers: np.ndarray) -> dict[int, StoredArray]:
    """The stored arrays that some rows name."""
    used = np.unique(numbers[numbers >= 0])
    return dict(zip(used.tolist(), lowered.sources.arrays(used), strict=True))


def _source(lowered: Lowered, number: int, named: dict[int, StoredArray]) -> str:
    if number < 0:
        return f"constant {spelling.value(lowered.constants[-1 - number].value)}"
    return spelling.place(named[number])


def _source_cells(placed: Placements, row: int, lowered: Lowered, named: dict[int, StoredArray]) -> str:
    number = int(placed.source[row])
    rank = len(named[number].shape) if number >= 0 else 0
    return _keys(placed.first, placed.step, placed.count, placed, row, rank)


def _window(found: Fragments, row: int, lowered: Lowered) -> str:
    rank = len(lowered.layouts[found.layout[row]].chunk_shape)
    return _keys(found.start, found.step, found.count, found, row, rank)


def _chunk(found: Fragments, row: int, lowered: Lowered) -> str:
    rank = len(lowered.layouts[found.layout[row]].chunk_shape)
    return str(tuple(found.chunk[row, :rank].tolist()))


def _keys(
    first: np.ndarray, step: np.ndarray, count: np.ndarray, of: Placements | Fragments, row: int, rank: int
) -> str:
    """Cells along each axis of a source or chunk, with the view axis that runs there where it is not the same."""
    parts: list[str] = []
    for axis in range(rank):
        start, stride, length = int(first[row, axis]), int(step[row, axis]), int(count[row, axis])
        pool = int(of.pool[row, axis])
        if pool != AFFINE:
            parts.append("{" + spelling.numbers(start + stride * of.pool_from[pool : pool + length]) + "}")
        elif of.axis[row, axis] == UNFED:
            parts.append(str(start))
        else:
            parts.append(spelling.cells(start, stride, length))
    text = f"[{', '.join(parts)}]"
    feeding = [int(a) for a in of.axis[row, :rank] if a != UNFED]
    return text + (f" to axes {tuple(feeding)}" if feeding != sorted(feeding) else "")


def _box(of: Placements | Fragments, row: int) -> str:
    parts: list[str] = []
    for axis in range(of.into_first.shape[1]):
        first, step, count = (int(c[row, axis]) for c in (of.into_first, of.into_step, of.into_count))
        fed = np.flatnonzero(of.axis[row] == axis)
        pool = int(of.pool[row, fed[0]]) if len(fed) else AFFINE
        if pool != AFFINE:
            parts.append("{" + spelling.numbers(first + step * of.pool_into[pool : pool + count]) + "}")
        else:
            parts.append(spelling.cells(first, step, count))
    return f"[{', '.join(parts)}]"


def _object(url: str, state: int, offset: int, length: int) -> str:
    if not url:
        return "cells in a table" if state == VALUES else ""
    where = spelling.location(url)
    if state == RANGE:
        return f"{where} bytes {offset}:{offset + length}"
    return where


def _bytes(request: Request) -> str:
    if request.length < 0:
        return "all"
    return f"{request.offset}:{request.offset + request.length}"


__all__ = ["LIMIT", "STAGES", "Stage", "explain", "flatness_of", "render_problems"]
