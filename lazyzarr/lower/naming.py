"""Which nodes of a graph are behind a problem, numbered as ``explain("built")`` lists them.

1. A stored array is told by its leaf: the node and the end of the location.
2. What was done to it is told by the nodes between the leaf and the view that are of a kind that does such a thing.
Owns `Naming`. It names candidates: every node that has a part in a problem is a node of that kind above the array.
Refuses to decide what a problem is, and to list more than a person reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np

from lazyzarr.access.url import shown
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
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
    of_kind,
)
from lazyzarr.lower.sources import SourceSpace

Test = Callable[[Node], bool]
NUMBERED = 'nodes are numbered as explain("built") does'
_MOST = 4
"""Nodes of one problem that are named one by one."""
_LETTERS = 64


def backwards(node: Node) -> bool:
    """Whether a node may read cells backwards."""
    return isinstance(node, Take | Extension) or (
        isinstance(node, Index) and any(not isinstance(one, int) and one.step < 0 for one in node.axes)
    )


def stepping(node: Node) -> bool:
    """Whether a node may leave out cells between others."""
    return isinstance(node, Take | Extension) or (
        isinstance(node, Index) and any(not isinstance(one, int) and abs(one.step) > 1 for one in node.axes)
    )


def holding(node: Node) -> bool:
    """Whether a node may keep one cell of an axis."""
    return isinstance(node, Take | Extension | Index)


def cutting(node: Node) -> bool:
    """Whether a node may keep a part of its input."""
    return isinstance(node, Take | Extension | Index | Overlay)


def spreading(node: Node) -> bool:
    """Whether a node may put cells apart from each other."""
    return isinstance(node, Take | Extension) or (isinstance(node, Overlay) and node.steps is not None)


def turning(node: Node) -> bool:
    """Whether a node may bring axes into another order."""
    return isinstance(node, Transpose | Extension)


def gathering(node: Node) -> bool:
    """Whether a node may take cells one by one, or again and again."""
    return isinstance(node, Take | Broadcast | Extension)


def storing(node: Node) -> bool:
    """Whether a node changes what the stored bytes of an array are taken for."""
    return isinstance(node, Recode)


def decoding(node: Node) -> bool:
    """Whether a node changes how stored bytes become values."""
    return isinstance(node, Decode | Recode)


def joining(node: Node) -> bool:
    """Whether a node puts cells of several arrays beside each other."""
    return isinstance(node, Concat | Stack | Overlay | Tiles | Boxes | Extension)


def filling(node: Node) -> bool:
    """Whether a node has cells that are stored nowhere."""
    return isinstance(node, Fill | Overlay | Tiles | Boxes | Extension)


class Naming:
    """The names of nodes of one graph.

    Examples
    --------
    >>> graph = Graph([Fill((2,), "int8", 0), Transpose(0, (0,))])
    >>> Naming(graph).of_kind(turning)
    ('node 1 (transpose)',)
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._space = SourceSpace(graph)

    @cached_property
    def _sources(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for at, node in of_kind(self.graph.nodes, Source):
            found.setdefault(node.array, []).append(at)
        for at, node in of_kind(self.graph.nodes, Boxes):
            for array in dict.fromkeys(node.arrays):
                found.setdefault(array, []).append(at)
        return found

    def of_kind(self, test: Test) -> tuple[str, ...]:
        """All nodes that pass a test."""
        return self._told([at for at, node in enumerate(self.graph.nodes) if test(node)])

    def leaves(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """The leaves of stored arrays, by their number in the `SourceSpace`; negative numbers are constants."""
        wanted = numbers if isinstance(numbers, range) else sorted({number for number in numbers if number >= 0})
        found: list[str] = []
        for number, array in zip(wanted[:_MOST], self._space.arrays(np.array(wanted[:_MOST], np.int64)), strict=True):
            found += [f"node {at} ({name_of(self.graph.nodes[at])} {_place(array)})" for at in self._leaves(number)[:1]]
        return _cut(found, len(wanted))

    def behind(self, numbers: Sequence[int], test: Test) -> tuple[str, ...]:
        """Nodes above stored arrays that pass a test, and the leaves."""
        below = bytearray(len(self.graph.nodes))
        for number in numbers:
            if number >= 0:
                for at in self._leaves(number):
                    below[at] = 1
        found: list[int] = []
        for at, node in enumerate(self.graph.nodes):
            if any(below[k] for k in inputs_of(node)):
                below[at] = 1
                if test(node):
                    found.append(at)
        return (*self._told(found), *self.leaves(numbers))

    def of_storage(self) -> tuple[str, ...]:
        """What decides how bytes are stored and decoded: the leaves, and decodes above them."""
        return (*self.of_kind(decoding), *self.leaves(range(len(self._space))))

    @property
    def view(self) -> str:
        """The node that is the view."""
        return self._told([len(self.graph.nodes) - 1])[0]

    def _leaves(self, number: int) -> list[int]:
        if number < len(self.graph.arrays):
            return self._sources.get(number, [])
        return [self._space.nodes[int(np.searchsorted(self._space.starts, number, side="right")) - 1]]

    def _told(self, positions: Sequence[int]) -> tuple[str, ...]:
        texts = [f"node {at} ({name_of(self.graph.nodes[at])})" for at in positions[:_MOST]]
        return _cut(texts, len(positions))


def listed_nodes(nodes: Sequence[str]) -> str:
    """Names of nodes behind a sentence; nothing where there are none.

    Examples
    --------
    >>> listed_nodes(["node 1 (index)", "node 0 (source a.zarr)"])
    ' [node 1 (index), node 0 (source a.zarr)]'
    """
    return f" [{', '.join(nodes)}]" if nodes else ""


def _cut(texts: Sequence[str], total: int) -> tuple[str, ...]:
    more = total - len(texts)
    return (*texts, f"{more} more") if more > 0 else tuple(texts)


def _place(array: StoredArray) -> str:
    if array.location is None:
        return "in memory" if array.origins is None else "of several places"
    text = "/".join(shown(array.location).rstrip("/").split("/")[-2:])
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return clean if len(clean) <= _LETTERS else f"{clean[: _LETTERS // 2]}…{clean[-_LETTERS // 2 + 1 :]}"
