"""What a graph evaluates to: `Schema` of every node, inferred from metadata alone.

Owns shape, data type and fill value of each node kind and the checks that its inputs fit. Refuses to open
anything; dimension names and attributes belong to the view, not to the graph.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct

from lazyzarr.errors import LazyZarrError, ViewSchemaError
from lazyzarr.ir import extensions, fill
from lazyzarr.ir.data_type import DataType, to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json
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
    name_of,
)

MAX_CELLS = 2**63 - 1


class Schema(Struct, frozen=True, gc=False):
    """Shape, data type and fill value of a node."""

    shape: tuple[int, ...]
    data_type: DataType
    fill_value: Json
    """What cells that are stored nowhere read as; where inputs differ, that of the first."""


def infer(graph: Graph) -> tuple[Schema, ...]:
    """Schema of every node, in the order of the nodes.

    Raises
    ------
    ViewSchemaError
        With the place of the first node whose inputs do not fit it.

    Examples
    --------
    >>> infer(Graph([Fill((2, 3), "int8", 0), Transpose(0, (1, 0))]))[-1].shape
    (3, 2)
    """
    if graph.schemas is None:
        below = graph.memo.get("below")
        found: list[Schema] = list(infer(below)) if isinstance(below, Graph) else []
        for position in range(len(found), len(graph.nodes)):
            node = graph.nodes[position]
            try:
                schema = infer_node(node, [found[i] for i in inputs_of(node)], graph)
                _check_size(schema)
            except LazyZarrError as error:
                if error.where is None:
                    error.where = f"nodes[{position}]"
                    kind, text = name_of(node), str(error.args[0])
                    error.args = (text if kind in text else f"{kind}: {text}", *error.args[1:])
                raise
            found.append(schema)
        graph.schemas = tuple(found)
    return graph.schemas  # type: ignore[return-value]


def infer_node(node: Node, inputs: list[Schema], graph: Graph) -> Schema:
    """Schema of one node from those of its inputs."""
    # the two kinds of which graphs have most; a match asks for one class after the other
    if type(node) is Index:
        return _index(node, inputs[0])
    if type(node) is Concat:
        return _concat(node, inputs)
    match node:
        case Source():
            array = graph.arrays[node.array]
            layout = graph.layouts[array.layout]
            return Schema(array.shape, layout.data_type, layout.fill_value)
        case Fill():
            fill.from_json(node.value, node.data_type)
            return Schema(node.shape, node.data_type, node.value)
        case Tiles():
            fill.from_json(node.fill_value, node.data_type)
            return Schema(node.shape, node.data_type, node.fill_value)
        case Boxes():
            for value in (node.fill_value, *(constant.value for constant in node.constants)):
                fill.from_json(value, node.data_type)
            return Schema(node.shape, node.data_type, node.fill_value)
        case Index():
            return _index(node, inputs[0])
        case Take():
            _axis(node.axis, len(inputs[0].shape))
            count = graph.tables[node.indices]["indices"].shape[0]
            return _with_shape(inputs[0], _replaced(inputs[0].shape, node.axis, count))
        case Transpose():
            shape = inputs[0].shape
            if sorted(node.axes) != list(range(len(shape))):
                raise _bad(f"axes {list(node.axes)} are no permutation of the {len(shape)} axes of the input")
            return _with_shape(inputs[0], tuple(shape[a] for a in node.axes))
        case Broadcast():
            return _broadcast(node, inputs[0])
        case Concat():
            return _concat(node, inputs)
        case Stack():
            _same_type(inputs)
            if any(i.shape != inputs[0].shape for i in inputs):
                raise _bad("inputs of a stack have different shapes")
            _axis(node.axis, len(inputs[0].shape) + 1)
            shape = inputs[0].shape
            return _with_shape(inputs[0], (*shape[: node.axis], len(inputs), *shape[node.axis :]))
        case Overlay():
            return _overlay(node, inputs)
        case Recode():
            layout = graph.layouts[node.layout]
            rank = len(inputs[0].shape)
            if len(layout.chunk_shape) not in (rank, rank - 1):  # stacked tiles have an axis that their arrays lack
                raise _bad("the layout of a recode has another rank than the source")
            return Schema(inputs[0].shape, layout.data_type, layout.fill_value)
        case Decode():
            fill.from_json(node.fill_value, node.data_type)
            return Schema(inputs[0].shape, node.data_type, node.fill_value)
        case Extension():
            return _extension(node, inputs)


def _extension(node: Extension, inputs: list[Schema]) -> Schema:
    """What the package that defines the kind says, looked at as closely as a document is."""
    kind = extensions.parsed(node.kind)
    with extensions.promised(kind, "schema"):
        found = kind.schema(inputs)
        shape = tuple(map(operator.index, found.shape))
        if min(shape, default=0) < 0:
            raise ValueError(f"the shape {shape} has a negative length")
        fill.from_json(found.fill_value, found.data_type)
    return Schema(shape, found.data_type, found.fill_value)


def _index(node: Index, input: Schema) -> Schema:
    if len(node.axes) != len(input.shape):
        raise _bad(f"index has {len(node.axes)} axes, the input has {len(input.shape)}")
    shape: list[int] = []
    for axis, (key, length) in enumerate(zip(node.axes, input.shape, strict=True)):
        if isinstance(key, int):
            if not 0 <= key < length:
                raise _bad(f"cell {key} of axis {axis} is outside its length {length}")
            continue
        if key.count and not (0 <= key.start < length and 0 <= key.last < length):
            raise _bad(f"cells {key.start}..{key.last} of axis {axis} are outside its length {length}")
        shape.append(key.count)
    return _with_shape(input, tuple(shape))


def _broadcast(node: Broadcast, input: Schema) -> Schema:
    axes = node.axes
    rising = all(a < b for a, b in pairwise(axes))
    if len(axes) != len(input.shape) or not rising or any(not 0 <= a < len(node.shape) for a in axes):
        raise _bad(f"axes {list(axes)} do not place the {len(input.shape)} axes of the input in ascending order")
    for axis, length in zip(axes, input.shape, strict=True):
        if length not in (1, node.shape[axis]):
            raise _bad(f"axis of length {length} cannot be repeated to {node.shape[axis]}")
    return _with_shape(input, node.shape)


def _concat(node: Concat, inputs: list[Schema]) -> Schema:
    _same_type(inputs)
    rank = len(inputs[0].shape)
    _axis(node.axis, rank)
    first = _replaced(inputs[0].shape, node.axis, 0)
    if any(len(i.shape) != rank or _replaced(i.shape, node.axis, 0) != first for i in inputs):
        raise _bad("inputs of a concat differ in an axis other than the joined one")
    return _with_shape(inputs[0], _replaced(inputs[0].shape, node.axis, sum(i.shape[node.axis] for i in inputs)))


def _overlay(node: Overlay, inputs: list[Schema]) -> Schema:
    _same_type(inputs)
    rank = len(node.shape)
    steps = node.steps or ((1,) * rank,) * len(inputs)
    if len(node.origins) != len(inputs) or len(steps) != len(inputs):
        raise _bad("overlay has another number of origins or steps than inputs")
    if not _all_inside([input.shape for input in inputs], node.origins, steps, node.shape):
        for number, (input, origin, step) in enumerate(zip(inputs, node.origins, steps, strict=True)):
            if not len(input.shape) == len(origin) == len(step) == rank:
                raise _bad(f"input {number} of the overlay has another rank than the view")
            for n, o, s, length in zip(input.shape, origin, step, node.shape, strict=True):
                if s < 1 or o < 0 or (n and o + s * (n - 1) >= length):
                    raise _bad(f"input {number} of the overlay reaches outside the view")
    fill.from_json(node.fill_value, inputs[0].data_type)
    return Schema(node.shape, inputs[0].data_type, node.fill_value)


def _all_inside(
    counts: Sequence[tuple[int, ...]],
    origins: Sequence[tuple[int, ...]],
    steps: Sequence[tuple[int, ...]],
    shape: tuple[int, ...],
) -> bool:
    """Whether all combs are sound and inside a shape; False where whole columns cannot tell."""
    try:
        n, o, s = (np.array(rows, np.int64).reshape(len(rows), len(shape)) for rows in (counts, origins, steps))
        last = np.array(shape, np.int64) - 1
    except (ValueError, OverflowError):
        return False
    # by division, since a product of two int64 may wrap
    return bool(((s >= 1) & (o >= 0) & ((n == 0) | ((o <= last) & (n - 1 <= (last - o) // np.maximum(s, 1))))).all())


def _same_type(inputs: list[Schema]) -> None:
    if not inputs:
        raise _bad("the node has no inputs; it needs at least one")
    for number, other in enumerate(inputs):
        if other.data_type != inputs[0].data_type:
            raise ViewSchemaError(
                f"input {number} has data type {other.data_type}, input 0 has {inputs[0].data_type}; "
                "joined inputs have one type; decode them first",
                reason="graph-type",
            )


def _axis(axis: int, rank: int) -> None:
    if not 0 <= axis < rank:
        raise _bad(f"axis {axis} is outside the rank {rank}")


def _replaced(shape: tuple[int, ...], axis: int, length: int) -> tuple[int, ...]:
    return (*shape[:axis], length, *shape[axis + 1 :])


def _with_shape(schema: Schema, shape: tuple[int, ...]) -> Schema:
    return Schema(shape, schema.data_type, schema.fill_value)


def _check_size(schema: Schema) -> None:
    if any(n < 0 for n in schema.shape):
        raise _bad(f"shape {list(schema.shape)} has a negative length")
    if math.prod(schema.shape) > MAX_CELLS:
        raise _bad(f"shape {list(schema.shape)} has more than 2^63 - 1 cells")
    to_numpy(schema.data_type)


def _bad(what: str) -> ViewSchemaError:
    return ViewSchemaError(what, reason="graph-shape")
