"""Shards to inner chunks: each inner chunk becomes a byte range of its own, found in the index of its shard.

Owns `View.resolve_shards`. Reads the indexes of all shards of the arrays below a view and not one inner chunk; what was
missing stays missing. Refuses shards that are compressed as a whole, arrays whose chunks have several chains, and
shards whose missing inner chunks read as something else than missing shards do.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.codecs.chain import Chain, codec_from_json, compile_chain
from lazyzarr.codecs.registry import SHARDING
from lazyzarr.codecs.sharding import MISSING, Sharding
from lazyzarr.errors import SourceMissing, UnsupportedFeature
from lazyzarr.ir import fill
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.layout import Layout, NamedConfig, Place, Stamp, StoredArray
from lazyzarr.ir.nodes import Boxes, Broadcast, Overlay, Recode, Source, Tiles, inputs_of
from lazyzarr.ir.row_values import row_layouts
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_arrays
from lazyzarr.read.presence import assert_there, metadata_url

if TYPE_CHECKING:
    from lazyzarr.view import View

_THREADS = 16
_WHOLE_SHARDS = (
    "the arrays of a manifest",
    "its rows are of whole shards",
    "open it with manifest=False, or resolve the shards before saving",
)


def resolve_shards(self: View) -> View:
    """The same cells with a byte range for each inner chunk of a shard; reads the indexes of all shards, and no chunk.

    The chunks of the result are the inner chunks: it can be cut at their borders and stay flat.

    Raises
    ------
    UnsupportedFeature
        ``source-unsupported``: shards that cannot be divided.
    SourceError, ChunkError
        A shard or its index cannot be read.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> import zarr
    >>> stored = zarr.create_array({}, shape=(8,), shards=(8,), chunks=(2,), dtype="u1", compressors=None)
    >>> stored[:] = range(8)
    >>> view = lz.open(stored)
    >>> view.chunks, view.resolve_shards().chunks, view.resolve_shards()[2:].flatness
    ((8,), (2,), 'L0')
    """
    graph = self.ir
    build = GraphBuilder()
    users: dict[int, list[int]] = {}
    for position, node in enumerate(graph.nodes):
        for child in inputs_of(node):
            users.setdefault(child, []).append(position)
    at: list[int] = []
    found = False
    resolver = _Resolver(self.reader.session, graph)
    for position, node in enumerate(graph.nodes):
        inputs = [at[child] for child in inputs_of(node)]
        below = graph.nodes[node.input] if isinstance(node, Recode) else None
        recoded = all(isinstance(graph.nodes[user], Recode) for user in users.get(position, [position]))
        if isinstance(node, Source) and not recoded:
            array = graph.arrays[node.array]
            leaf = resolver.source(build, array, graph.layouts[array.layout])
        elif isinstance(node, Recode) and isinstance(below, Source):
            leaf = resolver.source(build, graph.arrays[below.array], graph.layouts[node.layout])
        elif isinstance(node, Tiles) and not recoded:
            leaf = resolver.tiles(build, node)
        elif isinstance(node, Boxes):
            leaf = resolver.boxes(build, node)
        elif isinstance(node, Recode) and isinstance(below, Tiles) and _is_sharded(graph.layouts[node.layout]):
            raise _unsupported("the arrays of a table", "they are read with another chain", "resolve them before that")
        else:
            leaf = None
        found = found or leaf is not None
        at.append(build.adopt(node, inputs, graph) if leaf is None else leaf)
    if not found:
        return self
    return type(self)(None, graph=build.build(at[-1]), reader=self.reader, dims=self.dims, attrs=self.attrs)


@dataclass(frozen=True, slots=True)
class _Shard:
    """Where one shard is."""

    url: str
    stamp: Stamp | None
    offset: int
    length: int
    """[bytes]; -1: a whole object, whose length is not known."""


class _Resolver:
    """Finds the inner chunks of stored arrays."""

    def __init__(self, session: Session, graph: Graph) -> None:
        self.session, self.graph = session, graph

    def source(self, build: GraphBuilder, array: StoredArray, layout: Layout) -> int | None:
        """Position of a leaf with the inner chunks of an array; None: it has no shards."""
        own = self.inner(array, layout)
        return None if own is None else build.leaf(Source(0), own)

    def boxes(self, build: GraphBuilder, node: Boxes) -> int | None:
        """The same boxes of arrays that have inner chunks, where some have shards."""
        arrays = [self.graph.arrays[k] for k in node.arrays]
        inner = [self.inner(array, self.graph.layouts[array.layout]) for array in arrays]
        if all(own is None for own in inner):
            return None
        placed = tuple(
            build.adopt_array(array, self.graph) if own is None else build.adopt_array(own.arrays[0], own)
            for array, own in zip(arrays, inner, strict=True)
        )
        build.table(self.graph.tables[node.table])
        return build.node(msgspec.structs.replace(node, arrays=placed))

    def inner(self, array: StoredArray, layout: Layout) -> Graph | None:
        """A graph whose first array has the inner chunks of an array; None: it has no shards."""
        if not _is_sharded(layout) or array.values is not None:
            return None
        chain = compile_chain(layout)
        where = shown(array.location or "")
        if chain.sharding is None:
            raise _unsupported(where, "its shards are compressed as a whole", "rewrite it")
        if array.origins is not None:
            raise _unsupported(*_WHOLE_SHARDS)
        if array.variants:
            raise _unsupported(where, "its chunks have several codec chains", "rewrite it with one")
        value = fill.full((), layout.fill_value, layout.data_type)
        if value.tolist() != chain.sharding.fill.tolist() and value.tobytes() != chain.sharding.fill.tobytes():
            raise _unsupported(
                where, "its missing inner chunks read as another value than its missing shards", "rewrite it"
            )
        return self._inner(array, layout, chain.sharding)

    def tiles(self, build: GraphBuilder, node: Tiles) -> int | None:
        """The arrays of a table one by one, where some have shards."""
        if not any(_is_sharded(self.graph.layouts[k]) for k in node.layouts):
            return None
        table = self.graph.tables[node.table]
        rows = np.arange(table.rows)
        layouts, which = row_layouts(self.graph, node, rows)
        leaves: list[int] = []
        for array, number in zip(tile_arrays(self.graph, node, rows), which.tolist(), strict=True):
            leaf = self.source(build, array, layouts[number])
            if leaf is None:
                alone = msgspec.structs.replace(array, layout=0)
                own = Graph((Source(0),), layouts=[layouts[number]], arrays=[alone], tables=self.graph.tables)
                leaf = build.graph_of(own)
            if node.new_axis is not None:
                wide = (*array.shape[: node.new_axis], 1, *array.shape[node.new_axis :])
                axes = tuple(axis + (axis >= node.new_axis) for axis in range(len(array.shape)))
                leaf = build.node(Broadcast(leaf, wide, axes))
            leaves.append(leaf)
        origins = tuple(map(tuple, np.asarray(table["origin"][:]).tolist()))
        return build.node(Overlay(tuple(leaves), origins, node.shape, node.fill_value))

    def _inner(self, array: StoredArray, layout: Layout, sharding: Sharding[Chain]) -> Graph:
        """The array with its inner chunks as byte ranges."""
        shards, coords, places = self._shards(array, layout)
        grid = np.array([-(-n // c) for n, c in zip(array.shape, layout.chunk_shape, strict=True)], np.int64)
        inside = np.array(sharding.grid, np.int64)
        columns = {
            name: np.zeros(tuple(grid * inside), dtype)
            for name, dtype in (("offset", np.uint64), ("length", np.uint64), ("state", np.uint8), ("place", np.int32))
        }
        number = {place: k for k, place in enumerate(places)}
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(lambda shard: None if shard is None else self._index(shard, array, sharding), shards)
            for shard, at, index in zip(shards, coords, found, strict=True):
                if shard is None or index is None:
                    continue
                block = (..., *(slice(k * n, (k + 1) * n) for k, n in zip(at, sharding.grid, strict=True)))
                there = index[0] != MISSING
                columns["offset"][block] = np.where(there, index[0] + np.uint64(shard.offset), 0)
                columns["length"][block] = np.where(there, index[1], 0)
                columns["state"][block] = there
                columns["place"][block] = number[Place(shard.url, shard.stamp)]
        kept = (..., *(slice(-(-n // c)) for n, c in zip(array.shape, sharding.chunk_shape, strict=True)))
        table = Table({name: np.ascontiguousarray(column[kept]).reshape(-1) for name, column in columns.items()})
        front, shard_codec = _split(layout)
        inner = tuple(codec_from_json(one) for one in shard_codec.configuration["codecs"])
        resolved = StoredArray(
            layout=0,
            shape=array.shape,
            location=places[0].location,
            refs=table.name,
            stamp=places[0].stamp,
            places=tuple(places[1:]),
            grant=array.grant,
        )
        layouts = [Layout(layout.data_type, layout.fill_value, sharding.chunk_shape, (*front, *inner))]
        return Graph((), layouts=layouts, arrays=[resolved], tables={table.name: table})

    def _shards(
        self, array: StoredArray, layout: Layout
    ) -> tuple[list[_Shard | None], Sequence[tuple[int, ...]], list[Place]]:
        """Every shard (None: missing), its coordinates, and the objects they are in."""
        grid = tuple(-(-n // c) for n, c in zip(array.shape, layout.chunk_shape, strict=True))
        coords = list(np.ndindex(*grid))
        if array.refs is not None:
            return (
                self._in_ranges(array, len(coords)),
                coords,
                [Place(array.location or "", array.stamp), *array.places],
            )
        metadata = metadata_url(array, layout)
        if array.stamp is not None:
            self.session.verify(metadata, array.stamp, grant=array.grant)
        urls = chunk_keys(
            layout.chunk_keys, np.array(coords, np.int64).reshape(len(coords), len(grid)), f"{array.location}/"
        )
        with ThreadPoolExecutor(_THREADS) as pool:
            stamps = list(pool.map(lambda url: self._stat(url, array.grant), urls))
        shards = [
            None if stamp is None else _Shard(url, stamp, 0, stamp.size if stamp.size is not None else -1)
            for url, stamp in zip(urls, stamps, strict=True)
        ]
        if None in shards:
            assert_there(self.session, metadata, array.stamp, grant=array.grant)
        places = [Place(metadata, array.stamp), *(Place(one.url, one.stamp) for one in shards if one is not None)]
        return shards, coords, places

    def _in_ranges(self, array: StoredArray, count: int) -> list[_Shard | None]:
        assert array.refs is not None
        refs = self.graph.tables[array.refs]
        rows = slice(array.refs_first, array.refs_first + count)
        offset, length = (np.asarray(refs[name][rows]).astype(np.int64).tolist() for name in ("offset", "length"))
        state = np.asarray(refs["state"][rows]).tolist() if "state" in refs else [1] * count
        place = np.asarray(refs["place"][rows]).tolist() if "place" in refs else [0] * count
        places = [Place(array.location or "", array.stamp), *array.places]
        return [
            _Shard(places[p].location, places[p].stamp, first, size) if there else None
            for first, size, there, p in zip(offset, length, state, place, strict=True)
        ]

    def _stat(self, url: str, grant: str) -> Stamp | None:
        try:
            return self.session.stat(url, grant=grant)
        except SourceMissing as error:
            if error.reason != SourceMissing.default_reason:
                raise  # something else is there under this name
            return None

    def _index(self, shard: _Shard, array: StoredArray, sharding: Sharding[Chain]) -> tuple[np.ndarray, np.ndarray]:
        at, length = sharding.index_range(shard.length)
        data = self.session.read(
            shard.url, grant=array.grant, offset=shard.offset + at, length=length, stamp=shard.stamp
        )
        return sharding.parse_index(memoryview(data).cast("B"), shard.length)


def _is_sharded(layout: Layout) -> bool:
    return any(codec.name == SHARDING for codec in layout.codecs)


def _split(layout: Layout) -> tuple[tuple[NamedConfig, ...], NamedConfig]:
    position = next(k for k, codec in enumerate(layout.codecs) if codec.name == SHARDING)
    return layout.codecs[:position], layout.codecs[position]


def _unsupported(where: str, what: str, remedy: str) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"resolve_shards of {where}; {what}, so that its inner chunks have no ranges of their own; {remedy}",
        reason="source-unsupported",
    )
