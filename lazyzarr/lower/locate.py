"""Where the bytes of chunks are: fragments to chunks, each named once.

1. Fragments of the same chunk are put together, so that a chunk is fetched and decoded once.
2. Each chunk gets its state: missing, an object, a byte range of an object, cells in a table, or bytes in a table.
3. Texts are spelled when they are asked for: columns hold numbers, and 10^7 chunks have no 10^7 strings.
Refuses to fetch chunk bytes; reference tables are read for the rows asked for only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.chunk_keys import chunk_keys
from lazyzarr.ir.layout import Layout, Place, Stamp, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.resourcing import has_origins, resourced

MISSING, OBJECT, RANGE, VALUES, INLINE = range(5)
"""States of a chunk. Only an object under a chunk key may be absent; one that is referenced has to be there."""
STATE_NAMES = ("missing", "object", "range", "values", "inline")
NOWHERE = -1
"""In ``place``: the chunk is neither a byte range nor an object that is referenced."""
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
    linear: np.ndarray
    """int64 (n,): number in the chunk grid of the array, in C order."""
    state: np.ndarray
    """int8 (n,)."""
    place: np.ndarray
    """int32 (n,): position in ``places`` of the object that is or holds the chunk, or `NOWHERE`."""
    offset: np.ndarray
    length: np.ndarray
    """int64 (n,) [bytes]; -1: the whole object."""
    members: np.ndarray
    """int64 (m,): fragments, those of one chunk together."""
    first_member: np.ndarray
    """int64 (n + 1,): where in ``members`` those of each chunk begin."""
    layouts: tuple[Layout, ...]
    places: tuple[Place, ...]
    """Objects that are referenced, each once with the stamp it had then."""
    tables: Mapping[str, Table]
    """Of the graph."""

    def __len__(self) -> int:
        return len(self.array)

    def may_be_absent(self, chunk: int) -> bool:
        """Whether storage that has no such object means that the chunk was never written."""
        return bool(self.state[chunk] == OBJECT and self.place[chunk] == NOWHERE)

    def stamp(self, chunk: int) -> Stamp | None:
        """What the object was when it was referenced, where that is known."""
        place = int(self.place[chunk])
        return None if place == NOWHERE else self.places[place].stamp

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

    def url(self, chunk: int) -> str:
        """Location of the object of a chunk; empty for missing chunks and cells in tables."""
        return self.urls(slice(chunk, chunk + 1))[0]

    def urls(self, rows: slice | np.ndarray) -> list[str]:
        """As `url`, for many chunks."""
        at = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows
        place, array, layout = self.place[at], self.array[at], self.layout[at]
        found = [""] * len(at)
        ranges = np.flatnonzero(place != NOWHERE)
        for row, number in zip(ranges.tolist(), place[ranges].tolist(), strict=True):
            found[row] = self.places[number].location
        keyed = np.flatnonzero((self.state[at] == OBJECT) & (place == NOWHERE))
        keyed = keyed[np.argsort(array[keyed], kind="stable")]
        if not len(keyed):
            return found
        new = np.ones(len(keyed), bool)
        new[1:] = (np.diff(array[keyed]) != 0) | (np.diff(layout[keyed]) != 0)
        begins = np.flatnonzero(new)
        for mine in np.split(keyed, begins[1:]):
            stored = self.arrays[int(array[mine[0]])]
            coords = self.coords[at[mine], : len(stored.shape)]
            keys = chunk_keys(self.layouts[int(layout[mine[0]])].chunk_keys, coords, f"{stored.location}/")
            for row, key in zip(mine.tolist(), keys, strict=True):
                found[row] = key
        return found


def locate(lowered: Lowered, found: Fragments) -> Chunks:
    """The chunks that fragments lie in, with where each is stored."""
    numbers, array = np.unique(found.source, return_inverse=True)
    arrays, array = _distinct(lowered.sources.arrays(numbers), array)
    linear = _linear(lowered, found, arrays, array)
    if has_origins(arrays):
        lowered, found, arrays, array = resourced(lowered, found, arrays, array, linear)
        used, array = np.unique(array, return_inverse=True)
        arrays, array = _distinct([arrays[k] for k in used.tolist()], array)
        linear = _linear(lowered, found, arrays, array)
    members = np.lexsort((linear, found.layout, array)) if len(found) > 1 else np.arange(len(found))
    keys = (array[members], found.layout[members], linear[members])
    new = np.ones(len(members), bool)
    if len(members) > 1:
        new[1:] = (keys[0][1:] != keys[0][:-1]) | (keys[1][1:] != keys[1][:-1]) | (keys[2][1:] != keys[2][:-1])
    begins = np.flatnonzero(new)
    at = members[begins]
    located = _Located(lowered, arrays, array[at], found.layout[at].astype(np.int64), linear[at])
    located.resolve()
    return Chunks(
        arrays=arrays,
        array=located.array,
        layout=located.layout,
        coords=found.chunk[at],
        linear=located.linear,
        state=located.state,
        place=located.place,
        offset=located.offset,
        length=located.length,
        members=members,
        first_member=np.r_[begins, len(members)],
        layouts=tuple(located.layouts),
        places=tuple(located.places),
        tables=lowered.sources.graph.tables,
    )


def _linear(lowered: Lowered, found: Fragments, arrays: Sequence[StoredArray], array: np.ndarray) -> np.ndarray:
    """int64 (m,): number of the chunk of each fragment in the grid of its array."""
    q = found.chunk.shape[1]
    shape = np.ones((len(arrays), q), np.int64)
    for number, stored in enumerate(arrays):
        shape[number, : len(stored.shape)] = stored.shape
    lengths = np.ones((len(lowered.layouts), q), np.int64)
    for number in np.unique(found.layout).tolist():
        chunk_shape = lowered.layouts[number].chunk_shape
        lengths[number, : len(chunk_shape)] = chunk_shape
    linear = np.zeros(len(found), np.int64)
    for axis in range(q):
        linear = linear * -(-shape[array, axis] // lengths[found.layout, axis]) + found.chunk[:, axis]
    return linear


def _distinct(arrays: list[StoredArray], array: np.ndarray) -> tuple[list[StoredArray], np.ndarray]:
    """Each stored array once, so that chunks of one that is joined with itself are shared."""
    number: dict[StoredArray, int] = {}
    position = np.array([number.setdefault(stored, len(number)) for stored in arrays], np.int64)
    return (arrays, array) if len(number) == len(arrays) else (list(number), position[array])


@dataclass(slots=True)
class _Located:
    """Columns of chunks while their places are looked up, reference table by reference table."""

    lowered: Lowered
    arrays: list[StoredArray]
    array: np.ndarray
    layout: np.ndarray
    linear: np.ndarray
    layouts: list[Layout] = field(init=False)
    state: np.ndarray = field(init=False)
    place: np.ndarray = field(init=False)
    offset: np.ndarray = field(init=False)
    length: np.ndarray = field(init=False)
    places: dict[Place, int] = field(init=False, default_factory=dict[Place, int])

    def resolve(self) -> None:
        """Fill the columns; arrays under chunk keys need nothing looked up."""
        n = len(self.array)
        self.layouts = list(self.lowered.layouts)
        self.state = np.full(n, OBJECT, np.int8)
        self.place = np.full(n, NOWHERE, np.int32)
        self.offset = np.zeros(n, np.int64)
        self.length = np.full(n, -1, np.int64)
        names: dict[str, int] = {}
        table = np.full(len(self.arrays), NOWHERE, np.int64)
        for number, stored in enumerate(self.arrays):
            if stored.values is not None:
                self.state[slice(*np.searchsorted(self.array, (number, number + 1)))] = VALUES
            elif stored.refs is not None:
                table[number] = names.setdefault(stored.refs, len(names))
        for name, number in names.items():
            self._ranges(name, np.flatnonzero(table[self.array] == number))

    def _ranges(self, name: str, rows: np.ndarray) -> None:
        refs = self.lowered.sources.graph.tables[name]
        used, array = np.unique(self.array[rows], return_inverse=True)
        arrays = [self.arrays[number] for number in used.tolist()]
        at = self.linear[rows] + np.array([stored.refs_first for stored in arrays], np.int64)[array]
        key: slice | np.ndarray = at
        if len(at) == 1 or (int(at[-1]) - int(at[0]) + 1 == len(at) and (np.diff(at) == 1).all()):
            key = slice(int(at[0]), int(at[-1]) + 1)
        self.offset[rows] = np.asarray(refs["offset"][key]).astype(np.int64)
        self.length[rows] = np.asarray(refs["length"][key]).astype(np.int64)
        self.state[rows] = RANGE
        if "state" in refs:
            self.state[rows] = _STATES[np.asarray(refs["state"][key])]
            self.length[rows[self.state[rows] == OBJECT]] = -1
        if "layout" in refs:
            self._variants(arrays, rows, array, np.asarray(refs["layout"][key]))
        begins: list[int] = []
        numbers: list[int] = []
        for stored in arrays:
            begins.append(len(numbers))
            own = Place(stored.location or "", stored.stamp)
            numbers.extend(self.places.setdefault(place, len(self.places)) for place in (own, *stored.places))
        choice = np.array(begins, np.int64)[array]
        if "place" in refs:
            choice = choice + np.asarray(refs["place"][key])
        held = (self.state[rows] == RANGE) | (self.state[rows] == OBJECT)
        self.place[rows[held]] = np.array(numbers, np.int32)[choice[held]]

    def _variants(self, arrays: list[StoredArray], rows: np.ndarray, array: np.ndarray, variant: np.ndarray) -> None:
        """Chunks stored with another chain keep the value-wise decodes that stand above the array."""
        apart = variant > 0
        pairs = np.stack([array[apart], variant[apart], self.layout[rows[apart]]], axis=1)
        chosen, which = np.unique(pairs, axis=0, return_inverse=True)
        to = np.empty(len(chosen), np.int64)
        made: dict[Layout, int] = {}
        for number, (position, choice, current) in enumerate(chosen.tolist()):
            other = self._variant(arrays[position], choice, self.layouts[current])
            to[number] = made.setdefault(other, len(self.layouts))
            if to[number] == len(self.layouts):
                self.layouts.append(other)
        self.layout[rows[apart]] = to[which.reshape(-1)]

    def _variant(self, stored: StoredArray, choice: int, layout: Layout) -> Layout:
        graph = self.lowered.sources.graph
        main, other = graph.layouts[stored.layout].codecs, graph.layouts[stored.variants[choice - 1]]
        if layout.codecs[-len(main) :] != main:
            raise ViewSchemaError(
                f"recode of an array whose chunks are stored with {len(stored.variants) + 1} codec chains; one "
                "chain cannot stand for all of them; recode sources that have one chain",
                reason="graph-type",
            )
        above = layout.codecs[: -len(main)]
        return Layout(
            layout.data_type,
            layout.fill_value,
            other.chunk_shape,
            (*above, *other.codecs),
            other.chunk_keys,
            other.metadata,
        )
