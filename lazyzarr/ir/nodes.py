"""The node kinds of a graph: what may be written down, and nothing that computes on values.

Owns the structs and their wire form (tagged by ``op``). A node names its inputs by their position in the
graph, always smaller than its own; index maps go from *view index to source index*. Nodes have no methods:
shapes are in `lazyzarr.ir.schema`, meaning in `lazyzarr.interpret`, lowering in `lazyzarr.lower`.
Refuses sugar: negative indices, ellipses, pads and rolls are resolved before a node is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from lazyzarr.algebra.span import Span
from lazyzarr.ir.layout import Json, NamedConfig

OverlapRule = Literal["error", "first", "last"]


class _Node(Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True, tag_field="op"):
    pass


class Source(_Node, frozen=True, tag="source"):
    """One stored array, whole."""

    array: int
    """Position in `Graph.arrays`."""


class Fill(_Node, frozen=True, tag="fill"):
    """A constant."""

    shape: tuple[int, ...]
    data_type: str | NamedConfig
    value: Json
    """In Zarr v3 JSON form for ``data_type``."""


class Tiles(_Node, frozen=True, tag="tiles"):
    """Very many stored arrays placed as disjoint boxes; the arrays are rows of a table.

    Columns: ``origin`` int64 (n, r), ``shape`` int64 (n, q), ``layout`` int32 (n,), the text columns of
    the locations, and those of the stamps; rows sorted by origin.
    """

    table: str
    shape: tuple[int, ...]
    data_type: str | NamedConfig
    fill_value: Json
    """What cells outside every box read as."""
    layouts: tuple[int, ...]
    """Positions in `Graph.layouts` that the column ``layout`` chooses from."""
    new_axis: int | None = None
    """An axis of the view that the arrays do not have; each array fills one cell of it."""
    refs: str | None = None
    """Table of chunk references; the column ``refs_first`` says where those of each array begin."""


class ConstantBox(Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """Cells of a view that are stored nowhere: a comb that reads as one value."""

    value: Json
    """In Zarr v3 JSON form for the type of the node."""
    origin: tuple[int, ...]
    count: tuple[int, ...]
    stride: tuple[int, ...] | None = None
    """Distance of neighbouring cells; absent: 1."""


class Boxes(_Node, frozen=True, tag="boxes"):
    """Boxes of stored arrays, each cut, turned and placed as a row of a table says; rows are disjoint.

    Columns: ``array`` int32 (n,); ``axis`` int8 (n, q), ``first`` and ``step`` int64 (n, q) of the array; ``origin``,
    ``stride`` and ``count`` int64 (n, r) of the view; see `lazyzarr.ir.boxes`. Rows sorted by origin.
    """

    table: str
    shape: tuple[int, ...]
    data_type: str | NamedConfig
    fill_value: Json
    """What cells outside every box read as."""
    arrays: tuple[int, ...]
    """Positions in `Graph.arrays` that the column ``array`` chooses from."""
    constants: tuple[ConstantBox, ...] = ()
    """Below the rows; a later one is on top of those before it."""


class Index(_Node, frozen=True, tag="index"):
    """Basic selection: for each axis of the input a span of cells, or the one cell at which it is dropped."""

    input: int
    axes: tuple[Span | int, ...]


class Take(_Node, frozen=True, tag="take"):
    """Orthogonal gather along one axis by a table of cells."""

    input: int
    axis: int
    indices: str
    """Name of a table whose only column ``indices`` is int64 (n,), each in ``[0, length)``."""


class Transpose(_Node, frozen=True, tag="transpose"):
    """Axis ``k`` of the result is axis ``axes[k]`` of the input."""

    input: int
    axes: tuple[int, ...]


class Broadcast(_Node, frozen=True, tag="broadcast"):
    """Repeat axes of length 1 and insert new ones; no cell is stored twice."""

    input: int
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    """For each axis of the input, ascending, the axis of the result it becomes."""


class Concat(_Node, frozen=True, tag="concat"):
    """Join along an existing axis."""

    inputs: tuple[int, ...]
    axis: int


class Stack(_Node, frozen=True, tag="stack"):
    """Join along a new axis."""

    inputs: tuple[int, ...]
    axis: int


class Overlay(_Node, frozen=True, tag="overlay"):
    """Place inputs as boxes on a constant background; with steps, as combs of cells."""

    inputs: tuple[int, ...]
    origins: tuple[tuple[int, ...], ...]
    """Cell of the view that receives the first cell, for each input."""
    shape: tuple[int, ...]
    fill_value: Json
    overlap: OverlapRule = "error"
    """Which input is seen where boxes overlap; ``error``: they do not."""
    steps: tuple[tuple[int, ...], ...] | None = None
    """Distance in the view of neighbouring cells, for each input and axis; absent: 1."""


class Recode(_Node, frozen=True, tag="recode"):
    """Read the stored bytes of the source right below with another layout."""

    input: int
    layout: int
    """Position in `Graph.layouts`; the chunk shape is that of the source."""


class Decode(_Node, frozen=True, tag="decode"):
    """Value-wise decoding: casts and unpacking, cell by cell."""

    input: int
    codecs: tuple[NamedConfig, ...]
    """Array-to-array codecs in encoding order, as in a codec chain."""
    data_type: str | NamedConfig
    """The type of the result."""
    fill_value: Json
    """What the fill value of the input decodes to."""


class Extension(_Node, frozen=True, tag="extension"):
    """A node of a kind that another package defines; see `lazyzarr.ir.extensions`."""

    inputs: tuple[int, ...]
    kind: NamedConfig
    """Name of the kind, as ``requires`` has it, and its parameters."""


Node = (
    Source
    | Fill
    | Tiles
    | Boxes
    | Index
    | Take
    | Transpose
    | Broadcast
    | Concat
    | Stack
    | Overlay
    | Recode
    | Decode
    | Extension
)
NODE_KINDS: tuple[type[_Node], ...] = (
    *(Source, Fill, Tiles, Boxes, Index, Take, Transpose),
    *(Broadcast, Concat, Stack, Overlay, Recode, Decode),
)
"""The kinds that the specification defines."""


# sets of classes, asked for by the exact class: every pass asks this of every node
_JOINS = frozenset((Concat, Stack, Overlay, Extension))
_LEAVES = frozenset((Source, Fill, Tiles, Boxes))


def inputs_of(node: Node) -> tuple[int, ...]:
    """Positions of the inputs of a node; empty for leaves."""
    kind = type(node)
    if kind in _JOINS:
        return node.inputs  # type: ignore[union-attr]
    if kind in _LEAVES:
        return ()
    return (node.input,)  # type: ignore[union-attr]


def with_inputs(node: Node, inputs: tuple[int, ...]) -> Node:
    """A node with other inputs, as many as it has.

    Examples
    --------
    >>> with_inputs(Concat((0, 1), 0), (3, 4))
    Concat(inputs=(3, 4), axis=0)
    """
    kind = type(node)
    if kind in _LEAVES:
        return node
    if kind in _JOINS:
        return msgspec.structs.replace(node, inputs=inputs)
    return msgspec.structs.replace(node, input=inputs[0])


def of_kind[T: _Node](nodes: Iterable[Node], kind: type[T]) -> Iterator[tuple[int, T]]:
    """Nodes of one kind with their positions, found at a fraction of the cost of asking each node in a loop.

    Examples
    --------
    >>> list(of_kind([Source(3), Transpose(0, (0,))], Transpose))
    [(1, Transpose(input=0, axes=(0,)))]
    """
    return ((position, node) for position, node in enumerate(nodes) if type(node) is kind)


def name_of(node: Node) -> str:
    """The name of a node's kind, as on the wire."""
    return str(node.__struct_config__.tag)
