"""The manifest of a view that is not flat, in rows: which window of which chunk fills which box of the view.

1. The view is cut at the borders of its chunks; what is gathered becomes runs.
2. All chunks of one chain are piled up, as one stored array with a reference for each; a chunk is named once.
3. A row of a table says which cells of which pile go to which cells of the view (`lazyzarr.ir.boxes`).
Works on columns throughout. Chunks in memory are kept as their stored bytes. Refuses shards of rank 0, which no pile holds.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import DEFAULT_KEYS, Layout, NamedConfig, StoredArray
from lazyzarr.ir.nodes import Boxes, ConstantBox
from lazyzarr.ir.origins import FILE, origin_columns
from lazyzarr.ir.tables import Column, Table
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, Origin, in_memory
from lazyzarr.lower.chunk_facts import Facts, bits, has_shards
from lazyzarr.lower.fragments import Fragments, fragments
from lazyzarr.lower.locate import VALUES, Chunks, locate
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import UNFED
from lazyzarr.lower.runs import as_runs

CHUNKS = "chunks"
ORIGINS = "origins"
BYTES = "bytes"
ROWS = "rows"
INLINE_BYTES = 1 << 20
"""Chunks that are kept beside the graph in one table [bytes]; `Limits.inline_bytes` allows no more."""


class _Piled(NamedTuple):
    """Chunks as parts of piles."""

    pile: np.ndarray
    """int64 (n,): of each chunk."""
    inside: np.ndarray
    """int64 (n,): position in the pile."""
    layouts: list[Layout]
    """Of each pile; at least of rank 1, and none says how chunks are keyed."""
    arrays: list[StoredArray]
    tables: dict[str, Table]
    shelf: list[Layout]
    """Layouts of the graph, which the arrays name."""


def rows_graph(lowered: Lowered) -> Graph:
    """A graph of one `Boxes` node that means what a lowered view means.

    Raises
    ------
    SaveUnsupported
        A shard has rank 0.
    ViewLimitError
        There are too many fragments to be made at once.
    """
    found = as_runs(fragments(lowered))
    chunks = locate(lowered, found)
    chunk = np.empty(len(found), np.int64)
    chunk[chunks.members] = np.repeat(np.arange(len(chunks)), np.diff(chunks.first_member))
    piled = _piled(lowered, found, chunks)
    rows = Table(_row_columns(found, piled, chunk), name=ROWS)
    schema = lowered.schema
    node = Boxes(
        rows.name,
        schema.shape,
        schema.data_type,
        schema.fill_value,
        tuple(range(len(piled.arrays))),
        _constants(lowered),
    )
    return Graph([node], layouts=piled.shelf, arrays=piled.arrays, tables={**piled.tables, rows.name: rows})


def _row_columns(found: Fragments, piled: _Piled, chunk: np.ndarray) -> dict[str, Column]:
    """A row for each fragment, sorted by where it begins in the view."""
    ranks = max((len(layout.chunk_shape) for layout in piled.layouts), default=0)
    wide = max(found.start.shape[1], ranks)
    first, step, axis = (
        _widened(column, wide, filler)
        for column, filler in ((found.start, 0), (np.where(found.count > 1, found.step, 1), 1), (found.axis, UNFED))
    )
    if len(found):
        lengths = np.array([layout.chunk_shape[0] for layout in piled.layouts], np.int64)
        first[:, 0] += piled.inside[chunk] * lengths[piled.pile[chunk]]
    several = found.into_count > 1
    stride = np.where(several, found.into_step, 1)
    for column, many in zip(stride.T, several.T, strict=True):
        used = np.unique(column[many])
        if len(used) == 1:
            column[...] = used[0]  # one cell has any stride; combs of one stride are told apart at once
    order = np.lexsort(found.into_first.T[::-1]) if found.into_first.shape[1] else np.arange(len(found))
    columns: dict[str, np.ndarray] = {
        "array": piled.pile[chunk].astype(np.int32),
        "axis": axis.astype(np.int8),
        "first": first,
        "step": step,
        "origin": found.into_first,
        "stride": stride,
        "count": found.into_count,
    }
    return {name: np.ascontiguousarray(column[order]) for name, column in columns.items()}


def _widened(column: np.ndarray, wide: int, filler: int) -> np.ndarray:
    return np.pad(column, ((0, 0), (0, wide - column.shape[1])), constant_values=filler)


def _constants(lowered: Lowered) -> tuple[ConstantBox, ...]:
    """Constants in painting order, without those at the bottom that read as the view does where nothing is."""
    placed, schema = lowered.placements, lowered.schema
    rows = np.flatnonzero(placed.source < 0)
    rows = rows[np.argsort(placed.order[rows], kind="stable")]
    found: list[ConstantBox] = []
    background = bits(schema.fill_value, schema.data_type)
    columns = (placed.source[rows], placed.into_first[rows], placed.into_count[rows], placed.into_step[rows])
    for source, origin, count, step in zip(*(column.tolist() for column in columns), strict=True):
        value = lowered.constants[-1 - source].value
        if found or bits(value, schema.data_type) != background:
            stride = tuple(s if n > 1 else 1 for s, n in zip(step, count, strict=True))
            found.append(
                ConstantBox(value, tuple(origin), tuple(count), stride if any(s > 1 for s in stride) else None)
            )
    return tuple(found)


def _piled(lowered: Lowered, found: Fragments, chunks: Chunks) -> _Piled:
    """The chunks of each chain as one array; those in memory apart, in tables of a bearable size."""
    plain = [_plain(layout) for layout in chunks.layouts]
    made, places, held = _references(lowered, found, chunks, plain)
    numbers: dict[tuple[int, Layout], int] = {}
    pairs, which = np.unique(np.stack([_blocks(held, len(chunks)), chunks.layout], axis=1), axis=0, return_inverse=True)
    named = [numbers.setdefault((block, plain[layout]), len(numbers)) for block, layout in pairs.tolist()]
    pile = np.array(named, np.int64)[which.reshape(-1)]
    kept, at = _kept(pile, made["state"] == MISSING)
    starts = np.searchsorted(pile[kept], np.arange(len(numbers) + 1))
    tables: dict[str, Table] = {}
    variants, origins = origins_table(places, 1)
    if len(numbers):
        tables[ORIGINS] = origins
        elsewhere = kept[: starts[sum(block == 0 for block, _ in numbers)]]
        columns = {name: column[elsewhere] for name, column in made.items()}
        tables[CHUNKS] = Table(reference_columns(columns, [place.keys is not None for place in places]), name=CHUNKS)
    shelf: dict[Layout, int] = {}
    arrays: list[StoredArray] = []
    for (block, layout), first, stop in zip(numbers, starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        every = [layout, *(msgspec.structs.replace(layout, chunk_keys=k, metadata=file) for k, file in variants)]
        own, *others = (shelf.setdefault(one, len(shelf)) for one in every)
        shape = ((stop - first) * layout.chunk_shape[0], *layout.chunk_shape[1:])
        array = StoredArray(own, shape, refs=CHUNKS, refs_first=first, origins=ORIGINS, variants=tuple(others))
        if block:
            array = _inline(array, [held[k] for k in kept[first:stop].tolist()], len(arrays), tables)
        arrays.append(array)
    return _Piled(pile, at - starts[pile], [layout for _, layout in numbers], arrays, tables, list(shelf))


def _plain(layout: Layout) -> Layout:
    """The layout without how its chunks are keyed; of rank 1 if it has no axis, so that chunks can be piled."""
    plain = msgspec.structs.replace(layout, chunk_keys=DEFAULT_KEYS, metadata="zarr.json")
    if layout.chunk_shape:
        return plain
    if has_shards(layout):
        raise SaveUnsupported(
            "save of a manifest of arrays without axes that are sharded; rows of a manifest pile chunks up along their "
            "first axis; save without manifest"
        )
    codecs = tuple(codec for codec in layout.codecs if codec.name != "transpose")
    return msgspec.structs.replace(plain, chunk_shape=(1,), codecs=codecs)


def _references(
    lowered: Lowered, found: Fragments, chunks: Chunks, plain: Sequence[Layout]
) -> tuple[dict[str, np.ndarray], list[Origin], dict[int, bytes]]:
    """State, origin, number, offset and length of each chunk; the origins; and the stored bytes of those in memory."""
    facts = Facts(lowered)
    held: dict[int, bytes] = {}
    for row in np.flatnonzero(chunks.state == VALUES).tolist():
        stored, layout = chunks.arrays[int(chunks.array[row])], plain[int(chunks.layout[row])]
        assert stored.values is not None
        cells = np.asarray(chunks.tables[stored.values]["values"]).reshape(stored.shape or (1,))
        corner = [k * n for k, n in zip(chunks.coords[row].tolist(), layout.chunk_shape, strict=False)]
        part = cells[tuple(slice(low, low + n) for low, n in zip(corner or [0], layout.chunk_shape, strict=True))]
        held[row] = in_memory(part, layout, layout.chunk_shape).encode()
    elsewhere = np.flatnonzero(chunks.state != VALUES)
    one = found.rows(chunks.members[chunks.first_member[:-1]][elsewhere])
    nothing = np.zeros(len(elsewhere), np.int64)
    referenced = facts.references_of(one, chunks, elsewhere, nothing, nothing - 1, one.count)
    for row in np.flatnonzero(referenced["state"] == INLINE).tolist():
        held[int(elsewhere[row])] = facts.memory[int(referenced["origin"][row])].encode()
    columns: dict[str, np.ndarray] = {}
    for name in ("state", "origin", "number", "offset", "length"):
        columns[name] = np.zeros(len(chunks), referenced[name].dtype)
        columns[name][elsewhere] = referenced[name]
    for name, value in (("state", INLINE), ("origin", -1)):
        columns[name][list(held)] = value
    return columns, facts.places, held


def _blocks(held: Mapping[int, bytes], count: int) -> np.ndarray:
    """int64 (count,): 0 for chunks that are stored somewhere, else the number of the table that their bytes are in."""
    block = np.zeros(count, np.int64)
    number, filled = 1, 0
    for row in sorted(held):
        if filled and filled + len(held[row]) > INLINE_BYTES:
            number, filled = number + 1, 0
        filled += len(held[row])
        block[row] = number
    return block


def _kept(pile: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chunks that have a reference, by pile, one standing for all that are missing; and the one that stands for each."""
    stands = np.arange(len(pile))
    absent = np.flatnonzero(missing)
    _, first, which = np.unique(pile[absent], return_index=True, return_inverse=True)
    stands[absent] = absent[first][which]
    kept = np.unique(stands)
    kept = kept[np.argsort(pile[kept], kind="stable")]
    at = np.empty(len(pile), np.int64)
    at[kept] = np.arange(len(kept))
    return kept, at[stands]


def _inline(array: StoredArray, parts: Sequence[bytes], number: int, tables: dict[str, Table]) -> StoredArray:
    """A pile of chunks in memory, with a table of references and one of bytes of its own."""
    rows, texts = f"{CHUNKS}-{number}", f"{BYTES}-{number}"
    nothing = np.zeros(len(parts), np.int64)
    made = dict.fromkeys(("number", "offset", "length"), nothing) | {"state": nothing + INLINE, "origin": nothing - 1}
    tables[texts] = held_bytes(made, np.arange(len(parts)), parts, texts)
    tables[rows] = Table(reference_columns(made, []), name=rows)
    return msgspec.structs.replace(array, refs=rows, refs_first=0, inline=texts)


def held_bytes(made: dict[str, np.ndarray], rows: np.ndarray, parts: Sequence[bytes], name: str) -> Table:
    """The table of the stored bytes of chunks at these rows; columns of references point into it from then on."""
    lengths = np.array([len(part) for part in parts], np.int64)
    for column, values in (("offset", np.cumsum(lengths) - lengths), ("length", lengths), ("origin", -1)):
        made[column] = made[column].copy()
        made[column][rows] = values
    return Table({"bytes": np.frombuffer(b"".join(parts), np.uint8)}, name=name)


def origins_table(places: Sequence[Origin], first: int) -> tuple[list[tuple[NamedConfig, str]], Table]:
    """The ways in which chunks are keyed, each once as chunk keys and metadata key; and the table of origins.

    ``first`` is the layout that the first of them is in the table: 0 is that of the array, 1 its first variant.
    """
    keyed: dict[tuple[NamedConfig, str], int] = {}
    codes = [
        FILE if place.keys is None else first + keyed.setdefault((place.keys, place.metadata), len(keyed))
        for place in places
    ]
    urls, stamps = [place.location for place in places], [place.stamp for place in places]
    return list(keyed), Table(origin_columns(urls, stamps, codes, [place.grid for place in places]), name=ORIGINS)


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
    whole, inline = file & (made["state"] == OBJECT), made["state"] == INLINE
    columns: dict[str, Column] = {
        "offset": np.where(missing, 0, made["offset"]).astype(np.uint64),
        "length": np.where(missing | (made["length"] < 0), 0, made["length"]).astype(np.uint64),
    }
    if missing.any() or whole.any() or inline.any():
        columns["state"] = np.select([missing, whole, inline], [0, 2, 3], 1).astype(np.uint8)
    columns["origin"] = np.where(missing, -1, made["origin"]).astype(np.int32)
    if any(keyed):
        columns["number"] = np.where(missing, 0, made["number"]).astype(np.int64)
    return columns
