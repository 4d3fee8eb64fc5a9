"""The graph while it is rewritten, as a rule sees it: `Site`.

Owns the nodes made so far, what replaced what, the schema and the weight of each node, and who uses it. A rule
asks about nodes by position and makes new ones; positions stay valid, and a replaced node answers as its
replacement. Nodes that nobody uses any more are left behind and do not count as users.

Refuses to choose what is rewritten (`lazyzarr.optimize.engine`) and loops where others would recurse.
"""

from __future__ import annotations

from itertools import accumulate

import msgspec
import numpy as np

from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.nodes import Concat, Node, Overlay, Take, inputs_of, with_inputs
from lazyzarr.ir.schema import Schema, infer, infer_node
from lazyzarr.ir.tables import Table
from lazyzarr.optimize.measure import LEAVES, Weight, weigh

SMALL = 1024
"""Nodes that the users of a shared join may have for themselves, all copies together, instead of sharing it."""

_key = msgspec.msgpack.Encoder().encode


class Site:
    """A graph that is being rewritten, and the node where a rule is tried.

    Parameters
    ----------
    graph
        A valid graph; its node positions are the first positions here.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill, Transpose
    >>> site = Site(Graph([Fill((2, 3), "int8", 0), Transpose(0, (1, 0))]))
    >>> site.schema(1).shape, site.owned(0)
    ((3, 2), True)
    """

    def __init__(self, graph: Graph) -> None:
        self.here = 0
        """Position of the node that is asked about."""
        self.asked: dict[int, int] = {}
        """Shared nodes that kept a rule from firing, with the number of users they had."""
        self._root = len(graph.nodes) - 1
        self._known = Graph((), layouts=graph.layouts, arrays=graph.arrays, tables=graph.tables)
        self._nodes: list[Node] = list(graph.nodes)
        self._inputs = [inputs_of(node) for node in graph.nodes]
        self._schemas: list[Schema] = list(infer(graph))
        self._weights: list[Weight] = []
        for node, inputs in zip(graph.nodes, self._inputs, strict=True):
            self._weights.append(weigh(node, [self._weights[i] for i in inputs]))
        self._next = list(range(len(graph.nodes)))
        self._users = [0] * len(graph.nodes)
        # no rule makes a stored array, so those need not be found again
        self._found = {_key(node): p for p, node in enumerate(graph.nodes) if not isinstance(node, LEAVES)}
        self._ends: dict[int, list[int]] = {}
        self._boxes: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._acquire(self._root)

    # -- what a rule asks ---------------------------------------------------------------------------

    def latest(self, position: int) -> int:
        """Where the node at a position, or what replaced it, is now."""
        following = self._next
        while following[position] != position:
            following[position] = following[following[position]]
            position = following[position]
        return position

    def node(self, position: int) -> Node:
        """The node at a position."""
        return self._nodes[self.latest(position)]

    def inputs(self, position: int) -> tuple[int, ...]:
        """Positions of the inputs of a node."""
        return self._inputs[self.latest(position)]

    def schema(self, position: int | None = None) -> Schema:
        """Schema of the node at a position; by default of the one where the rule is tried."""
        return self._schemas[self.latest(self.here if position is None else position)]

    def weight(self, position: int) -> Weight:
        """Weight of the tree below a position."""
        return self._weights[self.latest(position)]

    def users(self, position: int) -> int:
        """How many inputs of nodes of the view are this node."""
        return self._users[self.latest(position)]

    def owned(self, position: int) -> bool:
        """Whether only one node uses this one, so that going through it copies nothing."""
        position = self.latest(position)
        if self._users[position] <= 1:
            return True
        self.asked[position] = self._users[position]
        return False

    def may_copy(self, position: int) -> bool:
        """Whether a join is used once, or is so small that all its users may as well have their own."""
        if self.owned(position):
            return True
        return self.users(position) * self.weight(position).size <= SMALL

    def ends(self, position: int) -> list[int]:
        """For each input of a concat the cell of the joined axis at which it ends."""
        position = self.latest(position)
        if position not in self._ends:
            node = self._nodes[position]
            assert isinstance(node, Concat)
            self._ends[position] = list(accumulate(self.schema(i).shape[node.axis] for i in node.inputs))
        return self._ends[position]

    def boxes(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """First cell of each input of an overlay and the one after its last, int64 (n, r) each."""
        position = self.latest(position)
        if position not in self._boxes:
            node = self._nodes[position]
            assert isinstance(node, Overlay)
            form = (len(node.inputs), len(node.shape))
            starts = np.array(node.origins, np.int64).reshape(form)
            counts = np.array([self.schema(i).shape for i in node.inputs], np.int64).reshape(form)
            steps = 1 if node.steps is None else np.array(node.steps, np.int64).reshape(form)
            self._boxes[position] = (starts, starts + np.where(counts > 0, steps * (counts - 1) + 1, 0))
        return self._boxes[position]

    def indices(self, node: Take) -> np.ndarray:
        """The cells that a gather reads, int64 (n,)."""
        return np.asarray(self._known.tables[node.indices]["indices"], np.int64)

    # -- what a rule makes --------------------------------------------------------------------------

    def make(self, node: Node) -> int:
        """Position of a node whose inputs are positions here; an equal node is made once."""
        inputs = inputs_of(node)
        latest = tuple(map(self.latest, inputs))
        if latest != inputs:
            node, inputs = with_inputs(node, latest), latest
        key = _key(node)
        found = self._found.get(key)
        if found is not None:
            return self.latest(found)
        position = self._found[key] = len(self._nodes)
        self._nodes.append(node)
        self._inputs.append(inputs)
        self._schemas.append(infer_node(node, [self._schemas[i] for i in inputs], self._known))
        self._weights.append(weigh(node, [self._weights[i] for i in inputs]))
        self._next.append(position)
        self._users.append(0)
        return position

    def table(self, indices: np.ndarray) -> str:
        """Name of a table of cells to gather."""
        table = Table({"indices": np.ascontiguousarray(indices, np.int64)})
        if table.name not in self._known.tables:
            known = self._known
            tables = {**known.tables, table.name: table}
            self._known = Graph((), layouts=known.layouts, arrays=known.arrays, tables=tables)
        return table.name

    # -- what the engine does -----------------------------------------------------------------------

    def refreshed(self, position: int) -> int:
        """Position of a node with the replacements of its inputs in their places."""
        position = self.latest(position)
        if all(self._next[i] == i for i in self._inputs[position]):
            return position
        fresh = self.make(self._nodes[position])
        self.replace(position, fresh)
        return fresh

    def replace(self, old: int, new: int) -> None:
        """Let every user of a node use another one, which has been made from its inputs."""
        users, self._users[old] = self._users[old], 0
        self._next[old] = new
        if users:
            if not self._users[new]:
                for child in self._inputs[new]:
                    self._acquire(child)
            self._users[new] += users
            for child in self._inputs[old]:
                self._release(child)

    def is_leaf(self, position: int) -> bool:
        """Whether the node at a position has no inputs."""
        return not self._inputs[position]

    @property
    def root(self) -> int:
        """Position of the view."""
        return self.latest(self._root)

    def build(self) -> Graph:
        """The graph of the view, its nodes in the order in which a walk from the view leaves them."""
        builder = GraphBuilder()
        placed: dict[int, int] = {}
        order: list[int] = []
        waiting = [self.root]
        while waiting:
            position = waiting[-1]
            inputs = [self.latest(i) for i in self._inputs[position]]
            missing = [i for i in inputs if i not in placed]
            if missing:
                waiting.extend(reversed(missing))
                continue
            waiting.pop()
            if position not in placed:
                placed[position] = builder.adopt(self._nodes[position], [placed[i] for i in inputs], self._known)
                order.append(position)
        graph = builder.build(placed[self.root])
        if len(graph.nodes) == len(order):
            graph.schemas = tuple(self._schemas[position] for position in order)
        return graph

    def _acquire(self, position: int) -> None:
        """One more user of a node; a node that had none uses its inputs again."""
        waiting = [position]
        while waiting:
            position = self.latest(waiting.pop())
            self._users[position] += 1
            if self._users[position] == 1:
                waiting.extend(self._inputs[position])

    def _release(self, position: int) -> None:
        """One user less; a node without users does not use its inputs."""
        waiting = [position]
        while waiting:
            position = self.latest(waiting.pop())
            self._users[position] -= 1
            if not self._users[position]:
                waiting.extend(self._inputs[position])
