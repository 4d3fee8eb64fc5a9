"""A view as an immutable flat graph: `Graph`, and `GraphBuilder` that keeps it so.

Owns the invariants: every input is before its user (I1), every node reaches the last (I2), no two nodes are
equal (I3). The last node is the view. Building shares equal nodes, arrays, layouts and tables, so a graph
written twice is stored once. Refuses recursion: every pass over a graph is one forward loop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from lazyzarr.ir.layout import Layout, StoredArray, text_of
from lazyzarr.ir.nodes import (
    Boxes,
    Fill,
    Index,
    Node,
    Recode,
    Source,
    Take,
    Tiles,
    inputs_of,
    with_inputs,
)
from lazyzarr.ir.tables import Table


class Graph:
    """Layouts, stored arrays, tables and nodes; the last node is the view.

    Instances are not changed after construction; use `GraphBuilder` to make one.
    """

    __slots__ = ("arrays", "layouts", "memo", "nodes", "schemas", "tables")

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        layouts: Sequence[Layout] = (),
        arrays: Sequence[StoredArray] = (),
        tables: Mapping[str, Table] | None = None,
    ) -> None:
        self.nodes = tuple(nodes)
        self.layouts = tuple(layouts)
        self.arrays = tuple(arrays)
        self.tables: Mapping[str, Table] = dict(tables or {})
        self.schemas: tuple[object, ...] | None = None
        """Memo of `lazyzarr.ir.schema.infer`."""
        self.memo: dict[str, object] = {}
        """What passes above have worked out about the graph; derived, never stored."""

    @property
    def root(self) -> Node:
        """The node that is the view."""
        return self.nodes[-1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return (
            self.nodes == other.nodes
            and self.arrays == other.arrays
            and self.layouts == other.layouts
            and set(self.tables) == set(other.tables)
        )

    def __hash__(self) -> int:
        return hash(self.digest())

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.nodes, self.layouts, self.arrays, self.tables)

    def __repr__(self) -> str:
        return f"Graph(nodes={len(self.nodes)}, arrays={len(self.arrays)}, tables={len(self.tables)})"

    def then(self, node: Index, schema: object = None) -> Graph:
        """The graph with a basic selection of its view on top; everything below is shared.

        This is what slicing does, so it costs nothing in proportion to the arrays below. ``schema`` is that of the
        selection where it is known.
        """
        grown = Graph.__new__(Graph)
        grown.nodes = (*self.nodes, Index(len(self.nodes) - 1, node.axes))
        grown.layouts, grown.arrays, grown.tables = self.layouts, self.arrays, self.tables
        grown.schemas = None if schema is None or self.schemas is None else (*self.schemas, schema)
        grown.memo = {"below": self}
        return grown

    def digest(self) -> str:
        """``sha256:<hex>`` of the graph; equal graphs have equal digests in every process."""
        total = hashlib.sha256()
        for part in (*self.layouts, *self.arrays, *self.nodes):
            total.update(text_of(part) + b"\n")
        total.update("\n".join(sorted(self.tables)).encode())
        return f"sha256:{total.hexdigest()}"


def _restore(
    nodes: Sequence[Node], layouts: Sequence[Layout], arrays: Sequence[StoredArray], tables: Mapping[str, Table]
) -> Graph:
    return Graph(nodes, layouts=layouts, arrays=arrays, tables=tables)


class _Shelf[T: msgspec.Struct]:
    """Values in order of arrival, equal ones once. Equal means the same text, so that -0.0 is not 0.0."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._at: dict[bytes, int] = {}

    def place(self, value: T) -> int:
        key = text_of(value)
        found = self._at.get(key)
        if found is None:
            found = self._at[key] = len(self.values)
            self.values.append(value)
        return found


class GraphBuilder:
    """Makes a `Graph` node by node; equal things are added once.

    Examples
    --------
    >>> build = GraphBuilder()
    >>> a = build.node(Fill((2,), "int8", 0))
    >>> build.node(Fill((2,), "int8", 0)) == a
    True
    """

    def __init__(self) -> None:
        self._nodes: _Shelf[Node] = _Shelf()
        self._layouts: _Shelf[Layout] = _Shelf()
        self._arrays: _Shelf[StoredArray] = _Shelf()
        self._tables: dict[str, Table] = {}

    def layout(self, layout: Layout) -> int:
        """Position of a layout."""
        return self._layouts.place(layout)

    def array(self, array: StoredArray) -> int:
        """Position of a stored array whose layouts are already positions here."""
        return self._arrays.place(array)

    def table(self, table: Table) -> str:
        """Name of a table."""
        self._tables.setdefault(table.name, table)
        return table.name

    def node(self, node: Node) -> int:
        """Position of a node whose inputs are already positions here."""
        return self._nodes.place(node)

    def leaf(self, node: Source | Tiles | Boxes | Fill, origin: Graph) -> int:
        """Position of a leaf of another graph, with all it names."""
        if isinstance(node, Source):
            return self.node(Source(self.adopt_array(origin.arrays[node.array], origin)))
        if isinstance(node, Tiles):
            layouts = tuple(self.layout(origin.layouts[k]) for k in node.layouts)
            self._adopt_tables((node.table, node.refs), origin)
            return self.node(msgspec.structs.replace(node, layouts=layouts))
        if isinstance(node, Boxes):
            self._adopt_tables((node.table,), origin)
            arrays = tuple(self.adopt_array(origin.arrays[k], origin) for k in node.arrays)
            return self.node(msgspec.structs.replace(node, arrays=arrays))
        return self.node(node)

    def adopt_array(self, array: StoredArray, origin: Graph) -> int:
        """Position of a stored array of another graph, with its layouts and tables."""
        self._adopt_tables((array.refs, array.values, array.inline, array.origins), origin)
        layout = self.layout(origin.layouts[array.layout])
        variants = tuple(self.layout(origin.layouts[k]) for k in array.variants)
        if layout != array.layout or variants != array.variants:
            array = msgspec.structs.replace(array, layout=layout, variants=variants)
        return self.array(array)

    def adopt(self, node: Node, inputs: Sequence[int], origin: Graph) -> int:
        """Position of a node of another graph, its inputs being those positions here."""
        if isinstance(node, Source | Tiles | Boxes | Fill):
            return self.leaf(node, origin)
        if isinstance(node, Recode):
            return self.node(Recode(inputs[0], self.layout(origin.layouts[node.layout])))
        if isinstance(node, Take):
            self._adopt_tables((node.indices,), origin)
        return self.node(with_inputs(node, tuple(inputs)))

    def graph_of(self, other: Graph) -> int:
        """Position of the view of another graph, all of it adopted."""
        position: list[int] = []
        for node in other.nodes:
            position.append(self.adopt(node, [position[i] for i in inputs_of(node)], other))
        return position[-1]

    def build(self, root: int) -> Graph:
        """The graph whose view is the node at ``root``; what it does not reach is left out."""
        keep = _reached(self._nodes.values, root)
        whole = Graph(self._nodes.values, layouts=self._layouts.values, arrays=self._arrays.values, tables=self._tables)
        if len(keep) == len(self._nodes.values):
            return whole
        fresh = GraphBuilder()
        position: dict[int, int] = {}
        for old in keep:
            node = whole.nodes[old]
            position[old] = fresh.adopt(node, [position[i] for i in inputs_of(node)], whole)
        return fresh.build(position[root])

    def _adopt_tables(self, names: Iterable[str | None], origin: Graph) -> None:
        for name in names:
            if name is not None:
                self._tables.setdefault(name, origin.tables[name])


def _reached(nodes: Sequence[Node], root: int) -> list[int]:
    """Positions that the node at ``root`` needs, ascending, itself last."""
    needed = bytearray(root + 1)
    needed[root] = 1
    for position in range(root, -1, -1):
        if needed[position]:
            for child in inputs_of(nodes[position]):
                needed[child] = 1
    return [position for position in range(root + 1) if needed[position]]
