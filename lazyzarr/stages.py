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
from lazyzarr.display.rows import (
    box_text,
    chunk_text,
    layout_text,
    source_cells_text,
    source_text,
    stored_of,
    window_text,
)
from lazyzarr.display.tables import columns
from lazyzarr.errors import SelectionError
from lazyzarr.ir.graph import Graph
from lazyzarr.lower.flatness import Flatness
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.locate import INLINE, RANGE, STATE_NAMES, VALUES
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.optimize import Step, optimize
from lazyzarr.read import Reader
from lazyzarr.read.plan import Request
from lazyzarr.read.small import MOST_CHUNKS

Stage = Literal["built", "optimized", "placements", "manifest", "located", "plan"]
STAGES: tuple[Stage, ...] = get_args(Stage)
LIMIT = 40
MOST_LETTERS = 140


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
        "optimized": lambda: _optimized(graph, trace, limit),
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
    return list(map(str, found.problems))


def _nodes(graph: Graph, limit: int) -> list[str]:
    total = len(graph.nodes)
    head = range(min(limit // 2, total))
    tail = range(max(total - (limit - len(head)), len(head)), total)
    hidden = total - len(head) - len(tail)
    lines = node_lines(graph, [*head, *tail])
    if hidden:
        lines.insert(len(head), f"... {spelling.many(hidden, 'more node')}")
    return lines


def _optimized(graph: Graph, trace: bool, limit: int) -> list[str]:
    steps: list[Step] = []
    lines = _nodes(optimize(graph, observer=steps.append if trace else None), limit)
    if not trace:
        return lines
    lines += ["", f"{spelling.many(len(steps), 'rule')} fired"]
    for number, step in enumerate(steps[:limit], 1):
        lines.append(f"{number:3}  {step.rule}")
        lines.append(f"          {spelling.printable(step.before, MOST_LETTERS)}")
        lines.append(f"       -> {spelling.printable(step.after, MOST_LETTERS)}")
    if len(steps) > limit:
        lines.append(f"... and {len(steps) - limit:,} more")
    return lines


def _placements(lowered: Lowered, limit: int) -> list[str]:
    placed = lowered.placements
    rows = np.arange(min(len(placed), limit))
    named = stored_of(lowered, placed.source[rows])
    table = [
        [
            source_text(lowered, int(placed.source[row]), named),
            source_cells_text(lowered, row, named),
            box_text(placed, row),
            layout_text(lowered, row),
        ]
        for row in rows.tolist()
    ]
    header = ["source", "cells of the source", "box of the view", "layout"]
    return _table(table, header, len(placed), "placements")


def _manifest(lowered: Lowered, limit: int) -> list[str]:
    found = fragments(lowered)
    rows = range(min(len(found), limit))
    named = stored_of(lowered, found.source[: len(rows)])
    table = [
        [
            source_text(lowered, int(found.source[row]), named),
            chunk_text(lowered, found, row),
            window_text(lowered, found, row),
            box_text(found, row),
        ]
        for row in rows
    ]
    header = ["source", "chunk", "window in the chunk", "box of the view"]
    return _table(table, header, len(found), "fragments")


def _located(graph: Graph, reader: Reader, limit: int) -> list[str]:
    _, found, chunks = reader.locate(graph)
    table: list[list[str]] = []
    for chunk in range(min(len(chunks), limit)):
        stored = chunks.arrays[int(chunks.array[chunk])]
        members = chunks.members[chunks.first_member[chunk] : chunks.first_member[chunk + 1]].tolist()
        coords = chunks.coords[chunk, : len(stored.shape)].tolist()
        table.append(
            [
                spelling.place(stored),
                str(tuple(coords)),
                box_text(found, members[0]) + (f" and {len(members) - 1} more" if len(members) > 1 else ""),
                STATE_NAMES[int(chunks.state[chunk])],
                _object(
                    chunks.url(chunk), int(chunks.state[chunk]), int(chunks.offset[chunk]), int(chunks.length[chunk])
                ),
            ]
        )
    header = ["source", "chunk", "box of the view", "state", "where"]
    lines = _table(table, header, len(chunks), "chunks")
    loose = sum(place.stamp is None for place in chunks.places)
    if loose:
        lines.append(f"not pinned: {loose} of {spelling.many(len(chunks.places), 'referenced object')}")
    return lines


def _plan(graph: Graph, reader: Reader, limit: int) -> list[str]:
    planned = reader.plan(graph)
    requests = list(planned.each_request())
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
        *([f"{planned.nbytes:,} bytes"] if planned.nbytes or not open_ended else []),
        *([f"{spelling.many(open_ended, 'whole object')} of unknown length"] if open_ended else []),
        spelling.many(len(planned.chunks), "chunk"),
    ]
    if planned.direct:
        totals.append(f"{len(planned.direct):,} of them without a request")
    lines.append("total: " + ", ".join(totals))
    if len(requests) < len(planned.chunks) - len(planned.direct) <= MOST_CHUNKS:
        lines.append(f"a read of at most {MOST_CHUNKS} chunks may ask for each chunk alone")
    return lines


def _table(rows: list[list[str]], header: list[str], total: int, noun: str) -> list[str]:
    if not rows:
        return [f"no {noun}"]
    return columns(rows, header=header, total=total, noun=noun)


def _object(url: str, state: int, offset: int, length: int) -> str:
    if not url:
        return {VALUES: "cells in a table", INLINE: f"{length} bytes in a table"}.get(state, "")
    where = spelling.location(url)
    if state == RANGE:
        return f"{where} bytes {offset}:{offset + length}"
    return where


def _bytes(request: Request) -> str:
    if request.length < 0:
        return "all"
    return f"{request.offset}:{request.offset + request.length}"


__all__ = ["LIMIT", "STAGES", "Stage", "explain", "flatness_of", "render_problems"]
