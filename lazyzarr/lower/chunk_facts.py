"""What a plain manifest would say of each fragment, block by block: `Facts`.

1. The extent of the stored chunk that a fragment shows, after bytes that can be cut off are cut off.
2. The form of its chain in the axes of the view, and the order of axes that it needs.
3. One reference. A chunk that is stored nowhere leaves nothing but its fill value.
Owns the conditions on single fragments. Refuses to compare them with each other: it counts and collects.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from lazyzarr.ir.data_type import DataType, to_numpy
from lazyzarr.ir.fill import from_json
from lazyzarr.ir.layout import Json, Layout, Stamp
from lazyzarr.lower.aligned import INLINE, OBJECT, RANGE, Bytes, Cells, Origin, in_memory
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.grids import AxisGrid
from lazyzarr.lower.lifting import SHARDING, Form, Lifted, is_raw, lifted, long_axes, stored_axes, stored_type, text
from lazyzarr.lower.locate import INLINE as HELD_BYTES
from lazyzarr.lower.locate import MISSING, NOWHERE, VALUES, Chunks, locate
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import UNFED
from lazyzarr.lower.problems import COMBED, CROPPED, HELD, REVERSED, STRIDED, Tally


@dataclass(frozen=True, slots=True)
class Boxes:
    """Fragments as boxes of the view, and what an array would have to be to have them as chunks."""

    stop: np.ndarray
    """int64 (k, r): end of the box, whatever its step [cells of the view]."""
    extent: np.ndarray
    """int64 (k, r) [cells]: of the stored chunk."""
    fits: np.ndarray
    """bool (k,): the fragment is its whole chunk, so that some grid has it."""
    form: np.ndarray
    """int64 (k,): position in the forms; -1: the chain has none in these axes."""
    order: np.ndarray
    """int64 (k,): position in the orders of axes."""
    fill: np.ndarray
    """int64 (k,): position in the fill values, of chunks that may show theirs; else -1."""
    nbytes: np.ndarray
    """int64 (k,): stored length, or the decoded one where that is not known [bytes]."""


@dataclass(frozen=True, slots=True)
class References:
    """One reference for each fragment of a block, and where it goes."""

    first: np.ndarray
    """(k, r) [cells of the view], in the smallest type: these columns are kept for all blocks."""
    repeats: np.ndarray | None
    gap: np.ndarray | None
    """int64 (k, r): number and distance of the cells over which the chunk is repeated; None: it never is."""
    state: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    origin: np.ndarray
    number: np.ndarray
    """As in `AlignedManifest`."""
    boxes: Boxes | None = None
    """Where each lies and what it needs, where the facts are kept for a choice between fragments."""


class Facts:
    """Everything that decides whether fragments are a plain array, and what that array is.

    Parameters
    ----------
    keep
        Keep the boxes of fragments, for `lazyzarr.lower.choosing`.
    """

    def __init__(self, lowered: Lowered, *, keep: bool = False) -> None:
        self.lowered = lowered
        self.keep = keep
        self.holes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        """Begins and ends (k, r) of fragments that are stored nowhere, and the positions of their fill values."""
        self.shape = lowered.schema.shape
        self.rank = len(self.shape)
        self.axes = [AxisGrid(axis, n) for axis, n in enumerate(self.shape)]
        self.tally = Tally()
        self.forms: dict[bytes, Form] = {}
        self.form_counts: Counter[bytes] = Counter()
        self.form_names: dict[bytes, str] = {}
        self.orders: Counter[tuple[int, ...]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.examples: dict[object, int] = {}
        """Number of the first source that each form, order of axes and refusal was seen with."""
        self.mixed: set[str] = set()
        """Arrays whose chunks skip filters, of those that are seen with several chains."""
        self.fills: dict[object, Json] = {}
        """Fill values that show, by their bits."""
        self.filled_by: dict[object, int] = {}
        """Number of the first source with each of these."""
        self.absent: list[Fragments] = []
        """A first few fragments of chunks that are stored nowhere: a hint at a grid, where there is nothing else."""
        self.references: list[References] = []
        self.origins: dict[object, int] = {}
        self.places: list[Origin] = []
        self.memory: list[Cells | Bytes] = []
        self._at: dict[str, dict[object, int]] = {"forms": {}, "orders": {}, "fills": {}}
        """Positions of the keys of `forms`, `orders` and `fills`."""
        self._lifted: dict[tuple[Layout, tuple[int, ...]], Lifted] = {}

    def add(self, found: Fragments) -> None:
        """Facts of one block, without gathered axes."""
        chunks = locate(self.lowered, found)
        chunk = np.empty(len(found), np.int64)
        chunk[chunks.members] = np.repeat(np.arange(len(chunks)), np.diff(chunks.first_member))
        lengths = _chunk_lengths(chunks, found.chunk.shape[1])[chunks.layout[chunk]]
        absent = chunks.state[chunk] == MISSING
        if absent.any():
            layouts, rows = np.unique(chunks.layout[chunk[absent]], return_index=True)
            for number, source in zip(layouts.tolist(), found.source[absent][rows].tolist(), strict=True):
                self.shows(chunks.layouts[number].fill_value, source)
            if not self.absent:
                self.absent.append(found)
            if self.keep:
                self._keep_holes(found.rows(np.flatnonzero(absent)), chunks, chunk[absent])
            kept = np.flatnonzero(~absent)
            found, chunk, lengths = found.rows(kept), chunk[kept], lengths[kept]
        if len(found):
            self._stored(found, chunks, chunk, lengths)
        self.tally.total += len(absent)

    def shows(self, value: Json, source: int | None = None) -> None:
        """A fill value of a source, or a constant, that some cell of the view reads as."""
        key = bits(value, self.lowered.schema.data_type)
        self.fills.setdefault(key, value)
        self._position("fills", key)
        if source is not None:
            self.filled_by.setdefault(key, source)

    def _stored(self, found: Fragments, chunks: Chunks, chunk: np.ndarray, lengths: np.ndarray) -> None:
        extent, shift, nbytes, whole = self._extents(found, chunks, chunk, lengths)
        fed = np.zeros((len(found), self.rank), bool)
        along = np.ones((len(found), self.rank), np.int64)
        for axis in range(found.axis.shape[1]):
            to = found.axis[:, axis]
            if to[0] != UNFED and (to == to[0]).all():
                fed[:, to[0]] = True
                along[:, to[0]] = extent[:, axis]
                continue
            rows = np.flatnonzero(to != UNFED)
            fed[rows, to[rows]] = True
            along[rows, to[rows]] = extent[rows, axis]
        combed = fed & (found.into_step > 1) & (found.into_count > 1)
        if combed.any() or not whole.all():
            self._windows(found, whole, combed, lengths)
        kinds = self._forms(found, chunks, chunk, along)
        for axis, grid in enumerate(self.axes):
            columns = (found.into_first[:, axis], found.into_count[:, axis], along[:, axis], ~fed[:, axis])
            grid.add(*columns, found.into_step[:, axis])
        repeats = np.where(fed, 1, found.into_count)
        again = bool((repeats > 1).any())
        self.references.append(
            References(
                first=found.into_first.astype(np.min_scalar_type(max(self.shape, default=0))),
                repeats=repeats if again else None,
                gap=found.into_step if again else None,
                boxes=self._boxes(found, chunks, chunk, along, whole & ~combed.any(axis=1), kinds)
                if self.keep
                else None,
                **self.references_of(found, chunks, chunk, shift, nbytes, extent),
            )
        )

    def _boxes(
        self,
        found: Fragments,
        chunks: Chunks,
        chunk: np.ndarray,
        along: np.ndarray,
        fits: np.ndarray,
        kinds: tuple[np.ndarray, np.ndarray],
    ) -> Boxes:
        layout, state = chunks.layout[chunk], chunks.state[chunk]
        used, which = np.unique(layout, return_inverse=True)
        ones = [chunks.layouts[number] for number in used.tolist()]
        sharded = np.array([has_shards(one) for one in ones], bool)
        shown = sharded[which] | (state == OBJECT)
        needed = np.bincount(which, shown, len(used)) > 0
        pairs = zip(ones, needed.tolist(), strict=True)
        fills = np.array([self._fill_number(one.fill_value) if show else -1 for one, show in pairs], np.int64)
        fill = np.where(shown, fills[which], -1)
        nbytes = [math.prod(one.chunk_shape) * to_numpy(one.data_type).itemsize for one in ones]
        size = np.where(chunks.length[chunk] < 0, np.array(nbytes, np.int64)[which], chunks.length[chunk])
        size[state == VALUES] = 0
        stop = found.into_first + found.into_step * (found.into_count - 1) + 1
        return Boxes(stop, along, fits, *kinds, fill, size)

    def _keep_holes(self, found: Fragments, chunks: Chunks, chunk: np.ndarray) -> None:
        used, which = np.unique(chunks.layout[chunk], return_inverse=True)
        fill = np.array([self._fill_number(chunks.layouts[k].fill_value) for k in used.tolist()], np.int64)[which]
        stop = found.into_first + found.into_step * (found.into_count - 1) + 1
        self.holes.append((found.into_first, stop, fill))

    def _fill_number(self, value: Json) -> int:
        return self._at["fills"][bits(value, self.lowered.schema.data_type)]

    def _position(self, what: str, key: object) -> int:
        return self._at[what].setdefault(key, len(self._at[what]))

    def _extents(
        self, found: Fragments, chunks: Chunks, chunk: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Extent (m, q) [cells] of the stored chunk of each fragment after cutting; bytes cut off in front and bytes
        kept (-1: all), int64 (m,); and whether the fragment is that whole chunk (m,)."""
        run = (found.step == 1) | (found.count == 1)
        begins = run & (found.start == 0)
        fine = begins & (found.count == lengths)
        # the grid may overhang the far end of the view: a ragged last chunk is still whole there
        ragged = begins & (found.count < lengths) & (found.axis != UNFED)
        if ragged.any():
            fine |= ragged & self._at_end(found)
        extent = np.where(fine, lengths, found.count)
        whole = _all(fine)
        shift, nbytes = np.zeros(len(found), np.int64), np.full(len(found), -1, np.int64)
        if whole.all():
            return extent, shift, nbytes, whole
        state = chunks.state[chunk]
        cut = ~whole
        whole = whole | (state == VALUES)
        for number in np.unique(chunks.layout[chunk[cut & (state == RANGE)]]).tolist():
            layout = chunks.layouts[number]
            if not is_raw(layout):
                continue
            rows = np.flatnonzero(cut & (state == RANGE) & (chunks.layout[chunk] == number))
            order = list(stored_axes(layout))
            item = to_numpy(stored_type(layout.data_type, layout.codecs[: _decodes(layout)])).itemsize
            last = len(order) - 1 - np.argmax(~fine[rows][:, order][:, ::-1], axis=1)  # innermost axis that is cut
            place = np.arange(len(order))
            outer, inner = place < last[:, None], place > last[:, None]
            one_run = (inner | run[rows][:, order]) & (~outer | (found.count[rows][:, order] == 1))
            held = chunks.length[chunk[rows]] == lengths[rows].prod(axis=1) * item
            good = one_run.all(axis=1) & held
            rows, outer, inner = rows[good], outer[good], inner[good]
            stored = lengths[rows][:, order]
            stride = np.ones_like(stored)
            stride[:, :-1] = np.cumprod(stored[:, :0:-1], axis=1)[:, ::-1]
            shift[rows] = (np.where(inner, 0, found.start[rows][:, order]) * stride).sum(axis=1) * item
            kept = np.where(inner, stored, found.count[rows][:, order])
            extent[rows[:, None], order] = kept
            nbytes[rows] = kept.prod(axis=1) * item
            whole[rows] = True
        return extent, shift, nbytes, whole

    def _at_end(self, found: Fragments) -> np.ndarray:
        """bool (m, q): the axis of the view that runs along this one ends with the fragment."""
        if not self.rank:
            return np.zeros(found.axis.shape, bool)
        to = np.where(found.axis != UNFED, found.axis, 0).astype(np.int64)
        first, step, count = (
            np.take_along_axis(getattr(found, f"into_{name}"), to, axis=1) for name in ("first", "step", "count")
        )
        return first + step * (count - 1) + 1 == np.array(self.shape, np.int64)[to]

    def _windows(self, found: Fragments, whole: np.ndarray, combed: np.ndarray, lengths: np.ndarray) -> None:
        part = ~whole[:, None]
        fed = found.axis != UNFED
        several = found.count > 1
        ahead = (found.step == 1) | ~several
        any_of = {
            HELD: part & ~fed & (lengths > 1),
            REVERSED: part & several & (found.step < 0),
            STRIDED: part & several & (found.step > 1),
            COMBED: combed,
            CROPPED: part & fed & ahead & ((found.start > 0) | (found.count < lengths)),
        }
        named = np.zeros(len(found), bool)
        for kind, mask in any_of.items():
            rows = mask.any(axis=1)
            if kind is CROPPED:  # a chunk at the far end is short anyway
                rows &= ~named
            named |= rows
            self.tally.add(kind, rows, found, lengths)

    def _forms(
        self, found: Fragments, chunks: Chunks, chunk: np.ndarray, along: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Number of the form of each fragment's chain (-1: none), and of the order of axes it needs."""
        q = found.axis.shape[1]
        code = chunks.layout[chunk]
        for axis in range(q):
            code = code * (self.rank + 1) + (found.axis[:, axis] + 1)
        for axis in range(self.rank):
            code = code * 2 + (along[:, axis] > 1)
        _, rows, which, counts = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
        kinds: list[tuple[int, int]] = []
        for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
            layout = chunks.layouts[int(chunks.layout[chunk[row]])]
            axes = tuple(found.axis[row, : len(layout.chunk_shape)].tolist())
            one = self._lifted.get((layout, axes))
            if one is None:
                one = self._lifted[layout, axes] = lifted(layout, axes, self.rank)
            key = text(one.form)
            self.forms.setdefault(key, one.form)
            self.form_counts[key] += count
            self.form_names.setdefault(key, " + ".join(codec.name for codec in layout.codecs))
            order = long_axes(one.order, along[row].tolist())
            self.orders[order] += count
            seen = int(found.source[row])
            for what in (key, order, one.refusal):
                self.examples.setdefault(what, seen)
            if one.refusal:
                self.refusals[one.refusal] += count
            number = self._position("forms", key)
            kinds.append((-1 if one.refusal else number, self._position("orders", order)))
        state = chunks.state[chunk]
        used, begins, of_used = np.unique(chunks.layout[chunk], return_index=True, return_inverse=True)
        perhaps = np.bincount(of_used, (state == OBJECT) & (chunks.place[chunk] == NOWHERE), len(used)) > 0
        for number, row, absent in zip(used.tolist(), begins.tolist(), perhaps.tolist(), strict=True):
            layout = chunks.layouts[number]
            if absent or has_shards(layout):
                self.shows(layout.fill_value, int(found.source[row]))
        form, order = np.array(kinds, np.int64).T
        return form[which], order[which]

    def references_of(
        self,
        found: Fragments,
        chunks: Chunks,
        chunk: np.ndarray,
        shift: np.ndarray,
        nbytes: np.ndarray,
        extent: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Columns of references, one row for each fragment; objects and cells that they name are collected here.

        Parameters
        ----------
        chunk
            int64 (m,): which of the chunks each fragment is in.
        shift, nbytes
            int64 (m,): bytes cut off in front, and bytes kept (-1: all).
        extent
            int64 (m, q) [cells]: of the chunk after that.
        """
        state = chunks.state[chunk].copy()
        origin = np.full(len(found), -1, np.int64)
        offset, length = chunks.offset[chunk] + shift, np.where(nbytes >= 0, nbytes, chunks.length[chunk])
        array, place = chunks.array[chunk], chunks.place[chunk]
        ranges = np.flatnonzero(place != NOWHERE)
        pairs, which = _pairs(array[ranges], place[ranges])
        named = [
            self._origin(chunks.places[p].location, chunks.places[p].stamp, chunks.arrays[a].grant)
            for a, p in pairs.tolist()
        ]
        origin[ranges] = np.array(named, np.int64)[which]
        objects = np.flatnonzero((state == OBJECT) & (place == NOWHERE))
        pairs, which = _pairs(array[objects], chunks.layout[chunk[objects]])
        named = []
        for a, k in pairs.tolist():
            stored, layout = chunks.arrays[a], chunks.layouts[k]
            # an array of a table of origins may have fewer axes than what it is seen as
            grid = tuple(-(-n // c) for n, c in zip(stored.shape, layout.chunk_shape, strict=False))
            named.append(self._origin(stored.location or "", stored.stamp, stored.grant, layout, grid))
        origin[objects] = np.array(named, np.int64)[which]
        for row in np.flatnonzero(state == VALUES).tolist():  # arrays in memory are few, and one chunk each
            state[row] = INLINE
            origin[row] = len(self.memory)
            self.memory.append(self._cells(found, chunks, chunk, row, extent))
            length[row] = -1
        for row in np.flatnonzero(state == HELD_BYTES).tolist():
            state[row] = INLINE
            origin[row] = len(self.memory)
            self.memory.append(Bytes(bytes(chunks.inline(int(chunk[row])))))
            offset[row], length[row] = 0, -1
        number = chunks.linear[chunk]
        number = number.astype(np.min_scalar_type(int(number.max(initial=0))))
        return {"state": state, "origin": origin.astype(np.int32), "offset": offset, "length": length, "number": number}

    def _origin(
        self,
        location: str,
        stamp: Stamp | None,
        grant: str,
        below: Layout | None = None,
        grid: tuple[int, ...] = (),
    ) -> int:
        """The number of an object, or of an array whose chunks are objects as a layout names them."""
        keys, metadata = (None, "") if below is None else (below.chunk_keys, below.metadata)
        key = (location, stamp, grant, None if keys is None else (keys.name, str(keys.configuration), grid, metadata))
        known = self.origins.setdefault(key, len(self.places))
        if known == len(self.places):
            self.places.append(Origin(location, stamp, grant, keys, grid, metadata))
        return known

    def _cells(self, found: Fragments, chunks: Chunks, chunk: np.ndarray, row: int, extent: np.ndarray) -> Cells:
        stored = chunks.arrays[int(chunks.array[chunk[row]])]
        layout = chunks.layouts[int(chunks.layout[chunk[row]])]
        assert stored.values is not None
        cells = np.asarray(self.lowered.sources.graph.tables[stored.values]["values"]).reshape(stored.shape)
        key: list[slice] = []
        columns = (found.chunk[row], found.start[row], found.step[row], found.count[row])
        for (at, start, step, count), length in zip(
            np.stack(columns, axis=1).tolist(), layout.chunk_shape, strict=False
        ):
            begin = at * length + start
            stop = begin + step * (count - 1) + (1 if step > 0 else -1)
            key.append(slice(begin, stop if stop >= 0 else None, step))
        return in_memory(cells[(..., *key)], layout, tuple(extent[row, : len(key)].tolist()))


def bits(value: Json, data_type: DataType) -> object:
    """What tells fill values apart: NaN payloads and the sign of zero included."""
    dtype = to_numpy(data_type)
    scalar = from_json(value, data_type)
    return scalar if dtype.kind in "TO" else np.asarray(scalar, dtype).tobytes()


def _all(mask: np.ndarray) -> np.ndarray:
    """bool (m,): all of a row; NumPy takes ten times as long along axes this short."""
    found = np.ones(len(mask), bool)
    for column in mask.T:
        found &= column
    return found


def _pairs(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct pairs (k, 2), and which of them each is."""
    width = int(right.max()) + 1 if len(right) else 1
    found, which = np.unique(left * width + right, return_inverse=True)
    return np.stack([found // width, found % width], axis=1), which


def has_shards(layout: Layout) -> bool:
    """Whether chunks of the layout are shards."""
    return any(codec.name == SHARDING for codec in layout.codecs)


def _decodes(layout: Layout) -> int:
    return sum(codec.name in ("cast_value", "scale_offset", "lazyzarr.unpack") for codec in layout.codecs)


def _chunk_lengths(chunks: Chunks, q: int) -> np.ndarray:
    lengths = np.ones((len(chunks.layouts), q), np.int64)
    for number in np.unique(chunks.layout).tolist():
        shape = chunks.layouts[number].chunk_shape
        lengths[number, : len(shape)] = shape
    return lengths
