"""Which cells of every node the view can use: one backward loop over boxes.

Owns the bounding box of what is asked of each node, so that leaves and inputs that no cell of the view can
come from are left alone. Refuses exactness: a box may be larger than what is used, never smaller.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import (
    Boxes,
    Broadcast,
    Concat,
    Decode,
    Extension,
    Fill,
    Index,
    Node,
    Overlay,
    Recode,
    Source,
    Stack,
    Take,
    Tiles,
    Transpose,
    inputs_of,
)
from lazyzarr.ir.schema import Schema

Box = tuple[tuple[int, int], ...]
"""Half-open interval of cells for each axis."""


def needs(graph: Graph, schemas: Sequence[Schema]) -> list[Box | None]:
    """For each node the bounding box of the cells that the view uses; None: it uses none.

    Examples
    --------
    >>> from lazyzarr.algebra.span import Span
    >>> from lazyzarr.ir.schema import infer
    >>> g = Graph([Fill((4,), "int8", 0), Fill((4,), "int8", 1), Concat((0, 1), 0), Index(2, (Span(5, 1, 2),))])
    >>> needs(g, infer(g))
    [None, ((1, 3),), ((5, 7),), ((0, 2),)]
    """
    asked: list[Box | None] = [None] * len(graph.nodes)
    asked[-1] = tuple((0, n) for n in schemas[-1].shape)
    for position in range(len(graph.nodes) - 1, -1, -1):
        box = asked[position]
        if box is None or any(low >= high for low, high in box):
            asked[position] = None
            continue
        node = graph.nodes[position]
        if isinstance(node, Concat):
            _concat(node, box, asked, schemas)
            continue
        if isinstance(node, Stack):
            low, high = box[node.axis]
            rest = box[: node.axis] + box[node.axis + 1 :]
            for child in node.inputs[low:high]:
                asked[child] = _union(asked[child], rest)
            continue
        shapes = [schemas[i].shape for i in inputs_of(node)]
        for number, child in enumerate(inputs_of(node)):
            asked[child] = _union(asked[child], _asked_of(node, number, box, shapes[number], graph))
    return asked


def _concat(node: Concat, box: Box, asked: list[Box | None], schemas: Sequence[Schema]) -> None:
    ends = list(accumulate(schemas[i].shape[node.axis] for i in node.inputs))
    low, high = box[node.axis]
    for number in range(bisect.bisect_right(ends, low), len(ends)):
        child = node.inputs[number]
        length = schemas[child].shape[node.axis]
        start = ends[number] - length
        if start >= high:
            break
        along = (max(low - start, 0), min(high - start, length))
        asked[child] = _union(asked[child], (*box[: node.axis], along, *box[node.axis + 1 :]))


def _asked_of(node: Node, number: int, box: Box, shape: tuple[int, ...], graph: Graph) -> Box | None:
    match node:
        case Index():
            rest = iter(box)
            wanted: list[tuple[int, int]] = []
            for key in node.axes:
                if isinstance(key, int):
                    wanted.append((key, key + 1))
                    continue
                low, high = next(rest)
                ends = (key.start + key.step * low, key.start + key.step * (high - 1))
                wanted.append((min(ends), max(ends) + 1))
            return tuple(wanted)
        case Take():
            low, high = box[node.axis]
            indices = np.asarray(graph.tables[node.indices]["indices"][low:high])
            return (*box[: node.axis], (int(indices.min()), int(indices.max()) + 1), *box[node.axis + 1 :])
        case Transpose():
            of = dict(zip(node.axes, box, strict=True))
            return tuple(of[axis] for axis in range(len(box)))
        case Broadcast():
            return tuple((0, 1) if n == 1 else box[axis] for axis, n in zip(node.axes, shape, strict=True))
        case Overlay():
            steps = node.steps[number] if node.steps else (1,) * len(shape)
            placed = zip(box, node.origins[number], steps, shape, strict=True)
            wanted = [
                (max(-((origin - low) // step), 0), min(-((origin - high) // step), n))
                for (low, high), origin, step, n in placed
            ]
            return tuple(wanted) if all(low < high for low, high in wanted) else None
        case Recode() | Decode():
            return box
        case Concat() | Stack() | Source() | Fill() | Tiles() | Boxes() | Extension():
            raise AssertionError(f"{type(node).__name__} is handled by its caller, expanded, or has no inputs")


def _union(one: Box | None, other: Box | None) -> Box | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))
