"""Reads that touch a few chunks, in plain integers: the scalar twin of lowering, cutting, locating and planning.

Columns pay off from some tens of rows on; one cell of one chunk costs more to plan in columns than to read. This
walks from the view to its sources with one box of integers per branch, and gives up (returns None) as soon as the
read is not small or meets a node or a layout it has no line for. The columnar way is the meaning; a property ties
the two.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.stamps import Whole
from lazyzarr.codecs.chain import Chain, compile_chain
from lazyzarr.codecs.values import decoded_value
from lazyzarr.errors import LazyZarrError, SourceChanged
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, Stamp, StoredArray, with_decodes
from lazyzarr.ir.nodes import Broadcast, Concat, Decode, Fill, Index, Recode, Source, Stack, Tiles, Transpose
from lazyzarr.ir.row_values import row_numbers, varies, with_numbers
from lazyzarr.ir.schema import Schema, infer
from lazyzarr.ir.tiles import tile_array, tile_stamp
from lazyzarr.lower.sources import meeting, nearby
from lazyzarr.read.counts import ReadCounts
from lazyzarr.read.failure import named, not_plain
from lazyzarr.read.presence import assert_there, metadata_url
from lazyzarr.read.whereabouts import at_origin, place_of
from lazyzarr.read.windows import Axis, Box, Piece, Window, cells_of, clipped, inside, last, reach, windows_of

# Tuples are made of lists here: for two or three cells a generator takes twice the time.
MOST_CHUNKS = 8
MOST_BRANCHES = 4
_TILES_KEPT = 256


class _Leaf(NamedTuple):
    """A stored array, the rest of its stamp as `Piece.whole`, and what its layout takes from a row."""

    array: StoredArray
    whole: Whole | None = None
    numbers: tuple[tuple[str, float], ...] = ()


def read_small(graph: Graph, session: Session, counts: ReadCounts, out: np.ndarray | None) -> np.ndarray | None:
    """The array that a graph means, or None if the read is not small.

    Raises
    ------
    LazyZarrError
        As `lazyzarr.read.Reader.read`.
    """
    schemas = infer(graph)
    shape = schemas[-1].shape
    if 0 in shape:
        return None
    pull = _Pull(graph, schemas)
    whole = tuple([Axis(0, 1, n, k) for k, n in enumerate(shape)])
    if not pull.down(whole, tuple([(0, 1, n) for n in shape])):
        return None
    windows: list[Window] = []
    for piece in pull.pieces:
        for window in windows_of(piece):
            found = window if piece.array.origins is None else at_origin(window, graph)
            if found is None:
                return None
            windows.append(found)
    referenced = [window for window in windows if window.piece.array.refs is not None]
    shared = len(windows) > 1 and len({(w.piece.array, w.chunk) for w in windows}) < len(windows)
    if len(windows) > MOST_CHUNKS or len(referenced) > 1 or shared:
        return None  # ranges of one object are joined into one request, and a chunk is decoded once
    if referenced and place_of(referenced[0], graph)[2] < 0:
        return None  # a whole object or bytes beside the graph
    if out is None:
        out = np.empty(shape, to_numpy(schemas[-1].data_type))
    for box, value in pull.constants:
        out[_key(box)] = value
    pieces = [window.piece for window in windows]
    for piece in pieces if len(pieces) < 2 else {piece.array: piece for piece in pieces}.values():
        if piece.array.stamp is not None and piece.array.refs is None:
            document = metadata_url(piece.array, piece.layout)
            session.verify(document, piece.array.stamp, grant=piece.array.grant, whole=piece.whole, beside=True)
    for window in windows:
        _read(window, graph, session, counts, out)
    return out


class _Pull:
    """What the view needs of each node, from the view down."""

    def __init__(self, graph: Graph, schemas: tuple[Schema, ...]) -> None:
        self.graph, self.schemas = graph, schemas
        below = graph.memo.get("below")
        self._below = below if isinstance(below, Graph) else graph
        self.pieces: list[Piece] = []
        self.constants: list[tuple[Box, object]] = []
        self.chunks = 0
        self._waiting: list[tuple[int, tuple[Axis, ...], Box, tuple[int, ...]]] = []

    def down(self, axes: tuple[Axis, ...], box: Box) -> bool:
        """Follow the whole view down to its leaves; False: not small. Joins of joins may be any depth."""
        self._waiting = [(len(self.graph.nodes) - 1, axes, box, ())]
        while self._waiting:
            if not self._branch(*self._waiting.pop()):
                return False
        return True

    def _branch(self, position: int, axes: tuple[Axis, ...], box: Box, above: tuple[int, ...]) -> bool:
        """Follow one box of a node down to a leaf or a join; ``above`` are the decodes and recodes passed."""
        while True:
            node = self.graph.nodes[position]
            match node:
                case Index():
                    rest = iter(axes)
                    axes = tuple(
                        [Axis(key, 1, 1, -1) if isinstance(key, int) else inside(key, next(rest)) for key in node.axes]
                    )
                case Transpose():
                    of = dict(zip(node.axes, axes, strict=True))
                    axes = tuple(of[k] for k in range(len(axes)))
                case Broadcast():
                    lengths = self.schemas[node.input].shape
                    axes = tuple(
                        axes[to] if node.shape[to] == n else Axis(0, 1, 1, -1)
                        for to, n in zip(node.axes, lengths, strict=True)
                    )
                case Decode() | Recode():
                    above = (*above, position)
                case Concat() | Stack():
                    return self._join(position, node, axes, box, above)
                case Source():
                    return self._leaf(_Leaf(self.graph.arrays[node.array]), axes, box, above)
                case Tiles():
                    return self._tiles(node, axes, box, above)
                case Fill():
                    if above or len(self.constants) == MOST_CHUNKS:
                        return False
                    self.constants.append((box, fill.from_json(node.value, node.data_type)))
                    return to_numpy(node.data_type).kind != "O"
                case _:
                    return False
            position = node.input

    def _join(
        self, position: int, node: Concat | Stack, axes: tuple[Axis, ...], box: Box, above: tuple[int, ...]
    ) -> bool:
        along = axes[node.axis]
        starts = self._starts(position, node)
        cells = (along.start, along.start + along.step * (along.count - 1))
        first, last = bisect_right(starts, min(cells)) - 1, bisect_right(starts, max(cells)) - 1
        if last - first >= MOST_BRANCHES:
            return False
        for number in range(first, last + 1):
            part = clipped(axes, node.axis, starts[number], starts[number + 1], box)
            if part is None:
                continue
            inner, part_box = part
            if isinstance(node, Stack):
                # the axis has one cell here and is not there below
                inner = (*inner[: node.axis], *inner[node.axis + 1 :])
            self._waiting.append((node.inputs[number], inner, part_box, above))
        return True

    def _starts(self, position: int, node: Concat | Stack) -> list[int]:
        """First cell of each input, and the end."""
        if isinstance(node, Stack):
            return list(range(len(node.inputs) + 1))
        # joins are below a selection, so every slice of one view finds what another has worked out
        memo, key = self._below.memo, f"starts{position}"
        if key not in memo:
            lengths = (self.schemas[i].shape[node.axis] for i in node.inputs)
            memo[key] = list(accumulate(lengths, initial=0))
        return memo[key]  # type: ignore[return-value]

    def _tiles(self, node: Tiles, axes: tuple[Axis, ...], box: Box, above: tuple[int, ...]) -> bool:
        bounds = tuple([reach(axis) for axis in axes])
        table = self.graph.tables[node.table]
        parts = self._parts(node, nearby(table, node, bounds, MOST_BRANCHES), axes, box)
        if parts is None:
            rows = meeting(table, bounds, node)
            if len(rows) > MOST_BRANCHES:
                return False
            parts = self._parts(node, rows.tolist(), axes, box)
        if parts is None:
            return False
        return all(self._leaf(leaf, inner, into, above) for leaf, inner, into in parts)

    def _parts(
        self, node: Tiles, rows: Sequence[int], axes: tuple[Axis, ...], box: Box
    ) -> list[tuple[_Leaf, tuple[Axis, ...], Box]] | None:
        """What some rows of a tile table have of a box of the view; None if they do not fill it.

        Tiles that overlap do not count as filling: their cells would hide that others are filled by none.
        """
        met: list[tuple[Sequence[int], Sequence[int]]] = []
        parts: list[tuple[_Leaf, tuple[Axis, ...], Box]] = []
        covered = 0
        for row in rows:
            leaf, origin, lengths = self._tile(node, row)
            inner, part_box = axes, box
            for axis, (start, length) in enumerate(zip(origin, lengths, strict=True)):
                part = clipped(inner, axis, start, start + length, part_box)
                if part is None:
                    break
                inner, part_box = part
            else:
                covered += cells_of(inner)
                if node.new_axis is not None:
                    inner = (*inner[: node.new_axis], *inner[node.new_axis + 1 :])
                if met and any(_overlap(origin, lengths, *other) for other in met):
                    return None
                met.append((origin, lengths))
                parts.append((leaf, inner, part_box))
        return parts if covered == cells_of(axes) else None

    def _tile(self, node: Tiles, row: int) -> tuple[_Leaf, Sequence[int], Sequence[int]]:
        """The stored array of a row with the origin and the lengths of its box; the last ones used are kept."""
        table = self.graph.tables[node.table]
        kept: dict[Any, Any] = table.memo.setdefault("tiles", {})
        key = (row, node.layouts, node.refs)
        found = kept.get(key)
        if found is None:
            if len(kept) >= _TILES_KEPT:
                kept.clear()  # another thread may do so at any time, too
            leaf = self._row(node, row)
            if varies(self.graph, node):
                leaf = leaf._replace(numbers=tuple(row_numbers(self.graph, node, row).items()))
            lengths = leaf.array.shape
            if node.new_axis is not None:
                lengths = (*lengths[: node.new_axis], 1, *lengths[node.new_axis :])
            found = kept[key] = (leaf, table.numbers("origin", row), lengths)
        return found

    def _row(self, node: Tiles, row: int) -> _Leaf:
        table = self.graph.tables[node.table]
        if node.refs is None and "digest" in table and not table.in_memory:
            array = tile_array(self.graph, node, row, digest=False)
            timed = array.stamp is not None and array.stamp.mtime_ns is not None
            if timed and (array.location or "").startswith("file://"):
                return _Leaf(array, partial(tile_stamp, table, row))
        return _Leaf(tile_array(self.graph, node, row))

    def _leaf(self, leaf: _Leaf, axes: tuple[Axis, ...], box: Box, above: tuple[int, ...]) -> bool:
        array = leaf.array
        if array.values is not None or array.places or (array.variants and array.origins is None):
            return False
        varied = above or leaf.numbers
        layout = self._layout(array.layout, leaf.numbers, above) if varied else self.graph.layouts[array.layout]
        chain = compile_chain(layout)
        if chain.sharding is not None or chain.dtype.hasobject:
            return False
        spread = [last(axis) // n - axis.start // n for axis, n in zip(axes, layout.chunk_shape, strict=True)]
        self.chunks += sum(map(abs, spread))
        self.pieces.append(Piece(array, layout, axes, box, leaf.whole))
        return self.chunks + len(self.pieces) <= MOST_CHUNKS

    def _layout(self, number: int, numbers: tuple[tuple[str, float], ...], above: tuple[int, ...]) -> Layout:
        """The layout of a leaf with the numbers of its row and the decodes above it; the last ones used are kept."""
        kept: dict[Any, Layout] = self._below.memo.setdefault("layouts", {})  # type: ignore[assignment]
        key = (number, numbers, above)
        found = kept.get(key)
        if found is None:
            layout = with_numbers(self.graph.layouts[number], dict(numbers))
            for position in reversed(above):
                node = self.graph.nodes[position]
                if isinstance(node, Recode):
                    layout = self.graph.layouts[node.layout]
                elif isinstance(node, Decode):
                    value = decoded_value(layout.fill_value, layout.data_type, node.codecs, node.data_type)
                    layout = with_decodes(layout, node.codecs, node.data_type, value)
            if len(kept) >= _TILES_KEPT:
                kept.clear()  # another thread may do so at any time, too
            found = kept[key] = layout
        return found


def _overlap(origin: Sequence[int], lengths: Sequence[int], other: Sequence[int], others: Sequence[int]) -> bool:
    return all(a < b + m and b < a + n for a, n, b, m in zip(origin, lengths, other, others, strict=True))


def _read(window: Window, graph: Graph, session: Session, counts: ReadCounts, out: np.ndarray) -> None:
    array, layout = window.piece.array, window.piece.layout
    chain = compile_chain(layout)
    url, offset, length, present = place_of(window, graph)
    stamp = Stamp(size=chain.nbytes) if array.refs is None else array.stamp
    origin: tuple[int, ...] | None = None
    shape = chain.shape
    if (chain.raw or chain.raw_swapped) and length in (-1, chain.nbytes):
        origin, shape, skip, length = _run(window, chain)
        offset += skip
    try:
        if not present:
            data = None
        elif array.refs is None:
            if length < 0:  # the decoder checks the length of a whole object
                data = session.try_read(url, grant=array.grant)
            else:
                data = session.try_read(url, grant=array.grant, offset=offset, length=length, stamp=stamp)
        else:
            data = session.read(url, grant=array.grant, offset=offset, length=length, stamp=stamp)
        if data is None:
            if array.refs is None:
                assert_there(session, metadata_url(array, layout), array.stamp, grant=array.grant, opened=False)
            out[_key(window.box)] = fill.from_json(layout.fill_value, layout.data_type)
            return
        if origin is not None and shape != chain.shape:
            dtype = chain.dtype.newbyteorder("S") if chain.raw_swapped else chain.dtype
            cells = np.frombuffer(data, dtype).reshape(shape)
        else:
            origin, cells = None, chain.decode(memoryview(data))
    except LazyZarrError as error:
        if isinstance(error, SourceChanged) and array.refs is None:
            error = not_plain(chain.nbytes, error)
        raise named(error, array, window.chunk, url, offset, length) from error.__cause__
    counts.add(1)
    if cells.size == 1:
        out[_key(window.box)] = cells.reshape(())
        return
    key: list[slice] = []
    order: list[int] = []
    lengths = [1] * out.ndim
    for number, axis in enumerate(window.axes):
        start = axis.start if origin is None else axis.start - origin[number]
        stop = start + axis.step * axis.count
        key.append(slice(start, stop if stop >= 0 else None, axis.step))
        order.append(axis.into)
        if axis.into >= 0:
            lengths[axis.into] = axis.count
    part = cells[(*key, ...)]
    if order != sorted(order):
        part = part.transpose(sorted(range(len(order)), key=order.__getitem__))
    out[_key(window.box)] = part.reshape(lengths)


def _run(window: Window, chain: Chain) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    """Origin and shape [cells] of the run of plain cells that a window lies in; its offset and length [bytes]."""
    low: list[int] = []
    run: list[int] = []
    at, single = 0, True
    for axis, length in zip(window.axes, chain.shape, strict=True):
        first, stop = reach(axis) if single else (0, length)
        single = single and stop - first == 1
        low.append(first)
        run.append(stop - first)
        at = at * length + first
    item = chain.dtype.itemsize
    if tuple(run) == chain.shape:
        return tuple(low), chain.shape, 0, -1 if window.piece.array.refs is None else chain.nbytes
    return tuple(low), tuple(run), at * item, math.prod(run) * item


def _key(box: Box) -> tuple[Any, ...]:
    return (*[slice(first, first + step * (count - 1) + 1, step) for first, step, count in box], ...)
