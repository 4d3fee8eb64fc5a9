"""Graphs that between them use every node kind and every form of table, for tests of their stored form."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lazyzarr.algebra.span import Span
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.layout import Layout, NamedConfig, Place, Stamp, StoredArray
from lazyzarr.ir.nodes import (
    Broadcast,
    Concat,
    Decode,
    Fill,
    Index,
    Overlay,
    Recode,
    Source,
    Stack,
    Take,
    Tiles,
    Transpose,
)
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_columns

VIEW = "file:///data/views/v.zarr"
LITTLE = NamedConfig("bytes", {"endian": "little"})
ZSTD = NamedConfig("zstd", {"level": 1, "checksum": False})
UNPACK = NamedConfig(
    "lazyzarr.unpack",
    {
        "scale_factor": 0.5,
        "add_offset": None,
        "fill_values": [-1],
        "stored_type": "int16",
        "data_type": "float64",
        "arithmetic": "float64",
    },
)


def layout(data_type: str = "int16", chunk_shape: tuple[int, ...] = (4, 5)) -> Layout:
    """A plain layout."""
    return Layout(data_type, 0, chunk_shape, (LITTLE, ZSTD))


def joined() -> Graph:
    """Three arrays joined, cut, turned and gathered."""
    build = GraphBuilder()
    form = build.layout(layout())
    parts = [
        build.node(Source(build.array(_array(form, f"file:///data/raw/{k}.zarr", Stamp(size=2**60 + k)))))
        for k in range(3)
    ]
    rows = build.node(Concat(tuple(parts), 0))
    cut = build.node(Index(rows, (Span(20, -2, 9), Span(1, 1, 8))))
    turned = build.node(Transpose(cut, (1, 0)))
    indices = build.table(Table({"indices": np.array([5, 0, 0, 7], np.int64)}))
    return build.build(build.node(Take(turned, 0, indices)))


def layered() -> Graph:
    """Overlay, stack, broadcast, fill, recode and decode."""
    build = GraphBuilder()
    form = build.layout(layout())
    other = build.layout(Layout("int16", 7, (4, 5), (NamedConfig("bytes", {"endian": "big"}),)))
    first = build.node(Source(build.array(_array(form, "file:///data/raw/a.zarr"))))
    again = build.node(Recode(first, other))
    both = build.node(Overlay((first, again), ((0, 0), (8, 12)), (16, 24), -1, "error"))
    wide = build.node(Broadcast(build.node(Fill((1,), "int16", 3)), (16, 24), (1,)))
    pile = build.node(Stack((both, wide), 0))
    return build.build(build.node(Decode(pile, (UNPACK,), "float64", "NaN")))


def referenced() -> Graph:
    """Chunk references with variants and places, and an array that is kept in memory."""
    build = GraphBuilder()
    main, variant = build.layout(layout()), build.layout(Layout("int16", 0, (4, 5), (LITTLE,)))
    refs = build.table(
        Table(
            {
                "offset": np.array([2**63 + 5, 0, 9, 9], np.uint64),
                "length": np.full(4, 40, np.uint64),
                "state": np.array([1, 0, 1, 1], np.uint8),
                "layout": np.array([0, 1, 0, 1], np.int32),
                "place": np.array([0, 0, 1, 0], np.int32),
            }
        )
    )
    far = build.node(
        Source(
            build.array(
                StoredArray(
                    main,
                    (8, 10),
                    location="file:///data/raw/x.h5",
                    refs=refs,
                    stamp=Stamp(size=9, mtime_ns=10**18, inode=3),
                    variants=(variant,),
                    places=(Place("file:///data/raw/x.bin"),),
                )
            )
        )
    )
    kept = build.table(Table({"values": np.arange(80, dtype=np.int16).reshape(8, 10)}))
    whole = build.layout(Layout("int16", 0, (8, 10), (NamedConfig("bytes", {"endian": "little"}),)))
    near = build.node(Source(build.array(StoredArray(whole, (8, 10), values=kept))))
    return build.build(build.node(Concat((far, near), 1)))


def tiled(count: int = 5) -> Graph:
    """Many small arrays in a row."""
    build = GraphBuilder()
    form = build.layout(layout(chunk_shape=(3,)))
    arrays = [
        StoredArray(0, (3,), location=f"file:///data/raw/{k // 10}/{k:06d}.zarr", stamp=Stamp(size=k, etag=f"e{k}"))
        for k in range(count)
    ]
    columns = tile_columns(arrays, 3 * np.arange(count)[:, None], np.zeros(count, np.int32))
    table = build.table(Table(columns))
    return build.build(build.node(Tiles(table, (3 * count,), "int16", 0, (form,))))


def samples() -> Iterator[tuple[str, Graph]]:
    """All of the above by name."""
    yield "joined", joined()
    yield "layered", layered()
    yield "referenced", referenced()
    yield "tiled", tiled()


def _array(form: int, location: str, stamp: Stamp | None = None) -> StoredArray:
    return StoredArray(form, (8, 10), location=location, stamp=stamp)
