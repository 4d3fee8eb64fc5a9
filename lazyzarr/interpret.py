"""The meaning of a graph: plain NumPy, one line per node, slow on purpose.

Owns the definition that the optimizer, the lowering and the reader are each tested against. Refuses to be
optimized: whatever is clever belongs elsewhere and must agree with this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lazyzarr.algebra.span import Span
from lazyzarr.codecs.values import decode_values
from lazyzarr.ir import extensions, fill
from lazyzarr.ir.boxes import placed_cells
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, StoredArray
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
from lazyzarr.ir.row_values import row_layouts
from lazyzarr.ir.schema import Schema, infer
from lazyzarr.ir.tiles import tile_array, tile_box

Values = Callable[[StoredArray, Layout], np.ndarray]
"""Gives the cells of a whole stored array, decoded with the layout."""


def interpret(graph: Graph, values: Values) -> np.ndarray:
    """The array that a graph means.

    Parameters
    ----------
    graph
        Any valid graph.
    values
        Called once per stored array that the graph reads.

    Returns
    -------
    numpy.ndarray
        The value of the last node.

    Examples
    --------
    >>> interpret(Graph([Fill((2,), "int8", 7), Concat((0, 0), 0)]), values=None)
    array([7, 7, 7, 7], dtype=int8)
    """
    found: list[np.ndarray] = []
    for node, schema in zip(graph.nodes, infer(graph), strict=True):
        found.append(_value(node, schema, [found[i] for i in inputs_of(node)], graph, values))
    return found[-1]


def _value(node: Node, schema: Schema, inputs: list[np.ndarray], graph: Graph, values: Values) -> np.ndarray:
    match node:
        case Source():
            array = graph.arrays[node.array]
            return values(array, graph.layouts[array.layout])
        case Fill():
            return fill.full(node.shape, node.value, node.data_type)
        case Tiles():
            return _painted(
                fill.full(node.shape, node.fill_value, node.data_type),
                ((tile_box(graph, node, row), _tile(graph, node, row, values)) for row in _rows(graph, node)),
            )
        case Boxes():
            return _painted(fill.full(node.shape, node.fill_value, node.data_type), _boxes(graph, node, values))
        case Index():
            return inputs[0][(*(a if isinstance(a, int) else _cells(a) for a in node.axes), ...)]
        case Take():
            return np.take(inputs[0], np.asarray(graph.tables[node.indices]["indices"]), axis=node.axis)
        case Transpose():
            return np.transpose(inputs[0], node.axes)
        case Broadcast():
            lengths = [1] * len(node.shape)
            for axis, length in zip(node.axes, inputs[0].shape, strict=True):
                lengths[axis] = length
            return np.broadcast_to(inputs[0].reshape(lengths), node.shape)
        case Concat():
            return np.concatenate(inputs, axis=node.axis)
        case Stack():
            return np.stack(inputs, axis=node.axis)
        case Overlay():
            order = range(len(inputs)) if node.overlap != "first" else reversed(range(len(inputs)))
            background = fill.full(node.shape, node.fill_value, schema.data_type)
            return _painted(background, ((_box(node, k, inputs[k].shape), inputs[k]) for k in order))
        case Recode():
            source = graph.nodes[node.input]
            layout = graph.layouts[node.layout]
            if isinstance(source, Source):
                return values(graph.arrays[source.array], layout)
            assert isinstance(source, Tiles)
            return _painted(
                fill.full(source.shape, layout.fill_value, layout.data_type),
                (
                    (tile_box(graph, source, r), values(tile_array(graph, source, r), layout))
                    for r in _rows(graph, source)
                ),
            )
        case Decode():
            return decode_values(inputs[0], node.codecs, node.data_type)
        case Extension():
            return extensions.valued(node.kind, schema, to_numpy(schema.data_type), inputs)


def _cells(span: Span) -> slice:
    stop = span.start + span.step * span.count
    return slice(span.start, stop if stop >= 0 else None, span.step) if span.count else slice(0, 0)


def _painted(background: np.ndarray, pieces: Iterator[tuple[tuple[slice, ...], np.ndarray]]) -> np.ndarray:
    for box, piece in pieces:
        target = background[(*box, ...)]
        target[...] = piece.reshape(target.shape)
    return background


def _box(node: Overlay, number: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    steps = node.steps[number] if node.steps else (1,) * len(shape)
    return tuple(slice(o, o + n * s, s) for o, n, s in zip(node.origins[number], shape, steps, strict=True))


def _rows(graph: Graph, node: Tiles) -> range:
    return range(graph.tables[node.table].rows)


def _boxes(graph: Graph, node: Boxes, values: Values) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    for constant in node.constants:
        strides = constant.stride or (1,) * len(node.shape)
        columns = zip(constant.origin, constant.count, strides, strict=True)
        box = tuple(slice(o, o + n * s, s) for o, n, s in columns)
        yield box, fill.full(constant.count, constant.value, node.data_type)
    for row in range(graph.tables[node.table].rows):
        number, box, key, axes = placed_cells(graph, node, row)
        cells = values(graph.arrays[number], graph.layouts[graph.arrays[number].layout])[(*key, ...)]
        shape = [len(range(*part.indices(n))) for part, n in zip(box, node.shape, strict=True)]
        missing = tuple(axis for axis in range(len(shape)) if axis not in axes)
        yield box, np.broadcast_to(np.expand_dims(cells.transpose(np.argsort(axes)), missing), shape)


def _tile(graph: Graph, node: Tiles, row: int, values: Values) -> np.ndarray:
    (layout,), _ = row_layouts(graph, node, np.array([row]))
    return values(tile_array(graph, node, row), layout)
