"""Where the bytes of chunks are: fragments to chunks, each named once.

1. Fragments of the same chunk are put together, so that a chunk is fetched and decoded once.
2. Each chunk gets its state: missing, an object, a byte range of an object, cells in a table, or bytes in a table.
Refuses to fetch chunk bytes; reference tables are read for the rows asked for only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.layout import Layout, Stamp, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered

MISSING, OBJECT, RANGE, VALUES, INLINE = range(5)
"""States of a chunk. Only an object under a chunk key may be absent; one that is referenced has to be there."""
STATE_NAMES = ("missing", "object", "range", "values", "inline")
_STATES = np.array([MISSING, RANGE, OBJECT, INLINE], np.int8)
"""By the column ``state`` of a table of references."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """n chunks of the arrays that a view touches, each once, ordered by array and number."""

    arrays: list[StoredArray]
    array: np.ndarray
    """int64 (n,): position in ``arrays``."""
    layout: np.ndarray
    """int64 (n,): position in the layouts of the lowering, after per-chunk variants."""
    coords: np.ndarray
    """int64 (n, q)."""
    state: np.ndarray
    """int8 (n,)."""
    url: list[str]
    """Location of the object of each chunk; empty for missing chunks and cells in tables."""
    stamp: list[Stamp | None]
    offset: np.ndarray
    length: np.ndarray
    """int64 (n,) [bytes]; -1: the whole object."""
    members: np.ndarray
    """int64 (m,): fragments, those of one chunk together."""
    first_member: np.ndarray
    """int64 (n + 1,): where in ``members`` those of each chunk begin."""
    layouts: tuple[Layout, ...]
    tables: Mapping[str, Table]

    def __len__(self) -> int:
        return len(self.array)

    def may_be_absent(self, chunk: int) -> bool:
        """Whether storage that has no such object means that the chunk was never written."""
        return self.state[chunk] == OBJECT and self.arrays[int(self.array[chunk])].refs is None

    def inline(self, chunk: int) -> memoryview:
        """The stored bytes of a chunk that is kept beside the graph.

        Raises
        ------
        ViewSchemaError
            The table does not have these bytes.
        """
        name = self.arrays[int(self.array[chunk])].inline
        assert name is not None
        offset, length = int(self.offset[chunk]), int(self.length[chunk])
        held = np.asarray(self.tables[name]["bytes"][offset : offset + length])
        if offset < 0 or len(held) != length:
            raise ViewSchemaError(
                f"a chunk has bytes {offset} to {offset + length} of the table {name}; the table is shorter; "
                "make the view again",
                reason="table-invalid",
            )
        return memoryview(np.ascontiguousarray(held))


def locate(lowered: Lowered, found: Fragments) -> Chunks:
    """The chunks that fragments lie in, with where each is stored."""
    numbers, array = np.unique(found.source, return_inverse=True)
    arrays, array = _distinct(lowered.sources.arrays(numbers), array)
    q = found.chunk.shape[1]
    shape = np.ones((len(arrays), q), np.int64)
    for number, stored in enumerate(arrays):
        shape[number, : len(stored.shape)] = stored.shape
    lengths = np.ones((len(lowered.layouts), q), np.int64)
    for number in np.unique(found.layout).tolist():
        chunk_shape = lowered.layouts[number].chunk_shape
        lengths[number, : len(chunk_shape)] = chunk_shape
    grid = -(-shape[array] // lengths[found.layout])
    linear = np.zeros(len(found), np.int64)
    for axis in range(q):
        linear = linear * grid[:, axis] + found.chunk[:, axis]

    members = np.lexsort((linear, found.layout, array)) if len(found) > 1 else np.arange(len(found))
    keys = (array[members], found.layout[members], linear[members])
    new = np.ones(len(members), bool)
    if len(members) > 1:
        new[1:] = (keys[0][1:] != keys[0][:-1]) | (keys[1][1:] != keys[1][:-1]) | (keys[2][1:] != keys[2][:-1])
    begins = np.flatnonzero(new)
    at = members[begins]
    located = _Located(lowered, arrays, array[at], found.layout[at].astype(np.int64), found.chunk[at], linear[at])
    located.resolve()
    return Chunks(
        arrays=arrays,
        array=located.array,
        layout=located.layout,
        coords=located.coords,
        state=located.state,
        url=located.url,
        stamp=located.stamp,
        offset=located.offset,
        length=located.length,
        members=members,
        first_member=np.r_[begins, len(members)],
        layouts=tuple(located.layouts),
        tables=located.graph.tables,
    )


def _distinct(arrays: list[StoredArray], array: np.ndarray) -> tuple[list[StoredArray], np.ndarray]:
    """Each stored array once, so that chunks of one that is joined with itself are shared."""
    number: dict[StoredArray, int] = {}
    position = np.array([number.setdefault(stored, len(number)) for stored in arrays], np.int64)
    return (arrays, array) if len(number) == len(arrays) else (list(number), position[array])


class _Located:
    """Columns of chunks while their places are looked up, array by array."""

    def __init__(
        self,
        lowered: Lowered,
        arrays: list[StoredArray],
        array: np.ndarray,
        layout: np.ndarray,
        coords: np.ndarray,
        linear: np.ndarray,
    ) -> None:
        self.graph = lowered.sources.graph
        self.layouts = list(lowered.layouts)
        self.arrays = arrays
        self.array, self.layout, self.coords, self.linear = array, layout, coords, linear
        n = len(array)
        self.state = np.full(n, OBJECT, np.int8)
        self.url = [""] * n
        self.stamp: list[Stamp | None] = [None] * n
        self.offset = np.zeros(n, np.int64)
        self.length = np.full(n, -1, np.int64)

    def resolve(self) -> None:
        # chunks are sorted by array: one slice each
        starts = np.searchsorted(self.array, np.arange(len(self.arrays) + 1)).tolist()
        for number, stored in enumerate(self.arrays):
            rows = slice(starts[number], starts[number + 1])
            if stored.values is not None:
                self.state[rows] = VALUES
            elif stored.refs is not None:
                self._ranges(stored, rows)
            else:
                self._keys(stored, rows)

    def _keys(self, stored: StoredArray, rows: slice) -> None:
        encoding = self.layouts[int(self.layout[rows.start])].chunk_keys
        coords = self.coords[rows, : len(stored.shape)]
        self.url[rows] = chunk_keys(encoding, coords, f"{stored.location}/")

    def _ranges(self, stored: StoredArray, rows: slice) -> None:
        assert stored.refs is not None
        refs = self.graph.tables[stored.refs]
        at = self.linear[rows] + stored.refs_first
        key: slice | np.ndarray = at
        if int(at[-1]) - int(at[0]) + 1 == len(at):
            key = slice(int(at[0]), int(at[-1]) + 1)
        self.offset[rows] = np.asarray(refs["offset"][key]).astype(np.int64)
        self.length[rows] = np.asarray(refs["length"][key]).astype(np.int64)
        self.state[rows] = RANGE
        if "state" in refs:
            self.state[rows] = _STATES[np.asarray(refs["state"][key])]
            self.length[rows][self.state[rows] == OBJECT] = -1
        if "layout" in refs:
            self._variants(stored, rows, np.asarray(refs["layout"][key]))
        locations = [stored.location or "", *(place.location for place in stored.places)]
        stamps = [stored.stamp, *(place.stamp for place in stored.places)]
        if "place" in refs:
            places = np.asarray(refs["place"][key]).tolist()
            self.url[rows] = [locations[p] for p in places]
            self.stamp[rows] = [stamps[p] for p in places]
        else:
            count = rows.stop - rows.start
            self.url[rows] = locations[:1] * count
            self.stamp[rows] = stamps[:1] * count

    def _variants(self, stored: StoredArray, rows: slice, variant: np.ndarray) -> None:
        """Chunks stored with another chain keep the value-wise decodes that stand above the array."""
        main = self.graph.layouts[stored.layout].codecs
        for chosen in np.unique(variant[variant > 0]).tolist():
            other = self.graph.layouts[stored.variants[chosen - 1]]
            used = self.layout[rows]
            for current in np.unique(used[variant == chosen]).tolist():
                layout = self.layouts[current]
                if layout.codecs[-len(main) :] != main:
                    raise ViewSchemaError(
                        f"recode of an array whose chunks are stored with {len(stored.variants) + 1} codec chains; one "
                        "chain cannot stand for all of them; recode sources that have one chain",
                        reason="graph-type",
                    )
                above = layout.codecs[: -len(main)]
                self.layouts.append(
                    Layout(
                        layout.data_type,
                        layout.fill_value,
                        other.chunk_shape,
                        (*above, *other.codecs),
                        other.chunk_keys,
                        other.metadata,
                    )
                )
                used[(variant == chosen) & (used == current)] = len(self.layouts) - 1
