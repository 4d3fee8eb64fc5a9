"""The manifest of a view that is not flat: boxes of referenced chunks, each cut and placed as a whole.

1. Each placement is cut at the borders of its chunks; the chunks that it meets become one stored array whose references
   are rows of one table, so that all arrays of a view share a table of chunks and one of origins.
2. What the placement shows of that box is an index, with takes, a transpose and a broadcast where needed.
3. The placements lie in an overlay.
A window is a property of a placement: said once, however many chunks there are. Refuses chunks in memory, and gathers whose
cells come from several sources, for which an overlay has no comb.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np

from lazyzarr.algebra.span import canonical
from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import DEFAULT_KEYS, Layout, StoredArray
from lazyzarr.ir.nodes import Broadcast, Fill, Index, Node, Overlay, Source, Take, Transpose
from lazyzarr.ir.origins import FILE, origin_columns
from lazyzarr.ir.tables import Column, Table
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT
from lazyzarr.lower.chunk_facts import Facts, bits
from lazyzarr.lower.fragments import Fragments, fragments
from lazyzarr.lower.locate import locate
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import AFFINE, UNFED, Placements, rows

CHUNKS = "chunks"
ORIGINS = "origins"


class _Box(NamedTuple):
    """The chunks that one placement meets, as an array of their own."""

    layout: int
    """Of the lowering."""
    shape: tuple[int, ...]
    first: tuple[int, ...]
    """The cell of the source at which it begins."""
    columns: dict[str, np.ndarray]
    """A row for each chunk, in C order: state, origin, number, offset and length."""


def boxes_graph(lowered: Lowered) -> Graph:
    """A graph of referenced chunks that means what a lowered view means.

    Raises
    ------
    SaveUnsupported
        A chunk is in memory, or a gather has cells of several sources.
    """
    return _Boxes(lowered).graph()


class _Boxes:
    """Nodes and tables of the graph while they are made."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.facts = Facts(lowered)
        self.nodes: list[Node] = []
        self.tables: dict[str, Table] = {}
        self._known: dict[bytes, int] = {}
        self._boxes: list[_Box] = []
        self._sources: dict[Any, int] = {}

    def graph(self) -> Graph:
        """All placements in an overlay, or the one that is the view."""
        schema, placed = self.lowered.schema, self.lowered.placements
        painted = np.argsort(np.where(placed.source < 0, placed.order, np.iinfo(np.int32).max), kind="stable")
        inputs = [self._placement(row) for row in painted.tolist()]
        origins, steps = placed.into_first[painted].tolist(), placed.into_step[painted]
        steps = np.where(placed.into_count[painted] > 1, steps, 1)
        if len(inputs) != 1 or not self._is_view(int(painted[0])):
            self._add(
                Overlay(
                    tuple(inputs),
                    tuple(map(tuple, origins)),
                    schema.shape,
                    schema.fill_value,
                    "last" if bool((placed.source < 0).any()) else "error",
                    tuple(map(tuple, steps.tolist())) if bool((steps != 1).any()) else None,
                )
                if inputs
                else Fill(schema.shape, schema.data_type, schema.fill_value)
            )
        return self._finished()

    def _is_view(self, row: int) -> bool:
        """Whether a placement alone is the view: all of its cells, and its fill value."""
        schema, placed = self.lowered.schema, self.lowered.placements
        number = int(placed.source[row])
        value = self.lowered.layouts[int(placed.layout[row])].fill_value if number >= 0 else None
        return (
            number >= 0
            and tuple(placed.into_count[row].tolist()) == schema.shape
            and bits(value, schema.data_type) == bits(schema.fill_value, schema.data_type)
        )

    def _placement(self, row: int) -> int:
        """The position of the node that has the cells of one placement."""
        placed = rows(self.lowered.placements, np.array([row]))
        number, shape = int(placed.source[0]), tuple(placed.into_count[0].tolist())
        if number < 0:
            constant = self.lowered.constants[-1 - number]
            return self._add(Fill(shape, constant.data_type, constant.value))
        box, at = self._source(placed, number)
        fed = [axis for axis in range(len(box.shape)) if int(placed.axis[0, axis]) != UNFED]
        at = self._index(at, box, placed)
        at = self._takes(at, box, placed, fed)
        axes = [int(placed.axis[0, axis]) for axis in fed]
        order = tuple(np.argsort(axes).tolist())
        if order != tuple(range(len(order))):
            at = self._add(Transpose(at, order))
        if len(axes) < len(shape):
            at = self._add(Broadcast(at, shape, tuple(sorted(axes))))
        return at

    def _source(self, placed: Placements, number: int) -> tuple[_Box, int]:
        found = fragments(replace(self.lowered, placements=placed))
        (array,) = self.lowered.sources.arrays(np.array([number]))
        layout = int(placed.layout[0])
        lengths = np.array(self.lowered.layouts[layout].chunk_shape, np.int64)
        q = len(lengths)
        low, high = found.chunk[:, :q].min(axis=0), found.chunk[:, :q].max(axis=0)
        stop = np.minimum((high + 1) * lengths, np.array(array.shape, np.int64))
        shape, first = tuple((stop - low * lengths).tolist()), tuple((low * lengths).tolist())
        key = (number, layout, shape, first, np.unique(found.chunk, axis=0).tobytes())
        if key not in self._sources:
            self._sources[key] = len(self._boxes)
            self._boxes.append(_Box(layout, shape, first, self._references(found, low, high)))
        position = self._sources[key]
        return self._boxes[position], self._add(Source(position))

    def _references(self, found: Fragments, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
        chunks = locate(self.lowered, found)
        chunk = np.empty(len(found), np.int64)
        chunk[chunks.members] = np.repeat(np.arange(len(chunks)), np.diff(chunks.first_member))
        nothing = np.zeros(len(found), np.int64)
        made = self.facts.references_of(found, chunks, chunk, nothing, nothing - 1, found.count)
        if (made["state"] == INLINE).any():
            raise SaveUnsupported(
                "save of a manifest with chunks that are in memory; a manifest references stored chunks; write them with "
                "zarr and open that, or save without manifest"
            )
        if any(
            chunks.layouts[k].codecs != chunks.layouts[int(found.layout[0])].codecs for k in np.unique(chunks.layout)
        ):
            raise SaveUnsupported(
                "save of a manifest of an array whose chunks skip filters; one codec chain stands for all chunks of a box; "
                "save without manifest"
            )
        grid = tuple((high - low + 1).tolist())
        at = np.zeros(len(found), np.int64)
        for axis, length in enumerate(grid):
            at = at * length + found.chunk[:, axis] - low[axis]
        count = int(np.prod(grid))
        columns = {
            name: np.zeros(count, made[name].dtype) for name in ("state", "origin", "number", "offset", "length")
        }
        columns["origin"][:] = -1
        for name, column in columns.items():
            column[at] = made[name]
        return columns

    def _index(self, at: int, box: _Box, placed: Placements) -> int:
        axes: list[Any] = []
        for axis, (length, begin) in enumerate(zip(box.shape, box.first, strict=True)):
            first, step, count = (int(getattr(placed, name)[0, axis]) for name in ("first", "step", "count"))
            if int(placed.axis[0, axis]) == UNFED:
                axes.append(first - begin)
            elif int(placed.pool[0, axis]) != AFFINE:
                axes.append(canonical(0, 1, length))
            else:
                axes.append(canonical(first - begin, step, count))
        if axes == [canonical(0, 1, length) for length in box.shape]:
            return at
        return self._add(Index(at, tuple(axes)))

    def _takes(self, at: int, box: _Box, placed: Placements, fed: Sequence[int]) -> int:
        for position, axis in enumerate(fed):
            start = int(placed.pool[0, axis])
            if start == AFFINE:
                continue
            count = int(placed.count[0, axis])
            into, cells = placed.pool_into[start : start + count], placed.pool_from[start : start + count]
            if int(into.max()) + 1 != count:
                raise SaveUnsupported(
                    "save of a manifest of a view that gathers cells of several sources along one axis; a box of chunks is "
                    "placed at equal distances; save without manifest, or materialize the view"
                )
            indices = np.empty(count, np.int64)
            indices[into] = int(placed.first[0, axis]) + int(placed.step[0, axis]) * cells - box.first[axis]
            table = Table({"indices": indices})
            self.tables[table.name] = table
            at = self._add(Take(at, position, table.name))
        return at

    def _add(self, node: Node) -> int:
        """The position of a node; equal nodes are one."""
        text = msgspec.json.encode(node, order="deterministic")
        if text not in self._known:
            self._known[text] = len(self.nodes)
            self.nodes.append(node)
        return self._known[text]

    def _finished(self) -> Graph:
        if not self._boxes:
            return Graph(self.nodes, tables=self.tables)
        places = self.facts.places
        keys: dict[tuple[Any, str], int] = {}
        codes = [
            FILE if origin.keys is None else keys.setdefault((origin.keys, origin.metadata), len(keys)) + 1
            for origin in places
        ]
        table = Table(
            origin_columns(
                [place.location for place in places],
                [place.stamp for place in places],
                codes,
                [place.grid for place in places],
            ),
            name=ORIGINS,
        )
        layouts: dict[Layout, int] = {}
        arrays: list[StoredArray] = []
        row = 0
        for box in self._boxes:
            plain = msgspec.structs.replace(
                self.lowered.layouts[box.layout], chunk_keys=DEFAULT_KEYS, metadata="zarr.json"
            )
            every = [plain, *(msgspec.structs.replace(plain, chunk_keys=name, metadata=file) for name, file in keys)]
            own, *variants = (layouts.setdefault(layout, len(layouts)) for layout in every)
            arrays.append(
                StoredArray(own, box.shape, refs=CHUNKS, refs_first=row, origins=ORIGINS, variants=tuple(variants))
            )
            row += len(box.columns["state"])
        made = {name: np.concatenate([box.columns[name] for box in self._boxes]) for name in self._boxes[0].columns}
        refs = Table(reference_columns(made, [place.keys is not None for place in places]), name=CHUNKS)
        tables = {**self.tables, refs.name: refs, table.name: table}
        return Graph(self.nodes, layouts=list(layouts), arrays=arrays, tables=tables)


def reference_columns(made: Mapping[str, np.ndarray], keyed: Sequence[bool]) -> dict[str, Column]:
    """The columns of a table of chunks with origins, without those that say nothing.

    Parameters
    ----------
    made
        State, origin, number, offset and length of each chunk, as in `AlignedManifest`.
    keyed
        Of each origin, whether it is an array whose chunks are under keys.
    """
    missing = made["state"] == MISSING
    file = np.array([*map(operator.not_, keyed), False], bool)[made["origin"]]  # -1 is the last one
    whole = file & (made["state"] == OBJECT)
    columns: dict[str, Column] = {
        "offset": np.where(missing, 0, made["offset"]).astype(np.uint64),
        "length": np.where(missing | (made["length"] < 0), 0, made["length"]).astype(np.uint64),
    }
    if missing.any() or whole.any():
        columns["state"] = np.where(missing, 0, np.where(whole, 2, 1)).astype(np.uint8)
    columns["origin"] = np.where(missing, -1, made["origin"]).astype(np.int32)
    if any(keyed):
        columns["number"] = np.where(missing, 0, made["number"]).astype(np.int64)
    return columns
