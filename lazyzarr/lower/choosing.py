"""Which plain array a view that is not one is nearest to: what can stay a reference, and what has to be written.

1. Fragments that are whole chunks vote, by their cells, for a codec chain, an order of axes and a fill value.
2. Two grids compete: the regular one of the most common chunk shape, and (if it may be) the uneven one that has the
   cuts of the view. The one that has less to write wins; of equals the regular one.
3. A chunk of the grid that is one whole fragment with the chosen chain is a reference. One on which nothing lies but the
   chosen fill value is missing. Every other one is to be written.
Owns the choice. Refuses to read and to write (`lazyzarr.materializing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from lazyzarr.ir.fill import same
from lazyzarr.ir.layout import Json, Layout, NamedConfig
from lazyzarr.lower.aligned import AlignedManifest
from lazyzarr.lower.alignment import default_form
from lazyzarr.lower.chunk_facts import Boxes, Facts, References, bits
from lazyzarr.lower.fragments import blocks
from lazyzarr.lower.lifting import SHARDING, Form, common_order, lifted, spelled, text
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import ranges
from lazyzarr.lower.problems import Problem, many
from lazyzarr.lower.runs import as_runs
from lazyzarr.lower.scattering import Grid, Lengths, positions, scattered


@dataclass(frozen=True, slots=True)
class Choice:
    """A plain array with some chunks to write."""

    manifest: AlignedManifest
    """With the chunks that are to be written missing."""
    rows: np.ndarray
    """int64 (k,): the chunks that are to be written, ascending."""
    nbytes_read: int
    """Stored length of the chunks that writing reads, as far as it is known [bytes]."""
    problems: tuple[Problem, ...]
    """Why chunks that are to be written cannot be."""


@dataclass(frozen=True, slots=True)
class _Target:
    """What the array is, but for its grid."""

    form: Form
    order: tuple[int, ...]
    fill: Json
    forms: np.ndarray
    """bool: which forms are the chosen one; the last entry stands for none."""
    orders: np.ndarray
    """bool: which orders of axes the chosen one keeps."""
    fills: np.ndarray
    """bool: which fill values are the chosen one; the last entry stands for chunks that show none."""


def choose(
    lowered: Lowered,
    *,
    chunks: Lengths | None = None,
    codecs: tuple[NamedConfig, ...] | None = None,
    fill_value: Json | None = None,
    rectilinear: bool = True,
    **carried: Any,
) -> Choice:
    """The nearest plain array of a lowered view.

    Parameters
    ----------
    chunks
        The grid, instead of a choice: for each axis a length or all lengths [cells].
    codecs
        The chain, instead of that of most cells.
    fill_value
        Instead of that of most chunks.
    rectilinear
        Whether the chunks along an axis may have different lengths.
    """
    facts = Facts(lowered, keep=True)
    for block in blocks(lowered):
        facts.add(as_runs(block))
    for number in np.unique(lowered.placements.source[lowered.placements.source < 0]).tolist():
        facts.shows(lowered.constants[-1 - number].value)
    target = _target(facts, codecs, fill_value)
    grids = [chunks] if chunks is not None else _grids(facts, target, rectilinear)
    plans = [_Plan(facts, target, Grid(facts.shape, lengths)) for lengths in grids]
    best = min(plans, key=lambda plan: plan.cells)
    spelling = spelled(target.form, target.order)
    parts = ((part, np.flatnonzero(exact)) for part, exact in zip(facts.references, best.exact, strict=True))
    manifest = scattered(facts, best.grid.lengths, spelling, target.fill, parts=parts, **carried)
    return Choice(manifest, np.flatnonzero(best.dirty.reshape(-1)), best.nbytes, tuple(_problems(facts, target, best)))


def _target(facts: Facts, codecs: tuple[NamedConfig, ...] | None, fill_value: Json | None) -> _Target:
    forms, orders = list(facts.forms.values()), list(facts.orders)
    cells = np.zeros((len(forms) + 1, max(len(orders), 1)))
    for part, boxes in _kept(facts):
        fits = np.flatnonzero(boxes.fits & (boxes.form >= 0))
        np.add.at(cells, (boxes.form[fits], boxes.order[fits]), _cells(part, boxes)[fits])
    if codecs is not None:
        form, order = _given(facts, codecs)
    elif forms:
        number = int(np.argmax(cells.sum(axis=1)[:-1])) if cells.any() else 0
        form = forms[number]
        order = form.fixed or _order(orders, cells[number], facts.rank)
    else:
        form, order = default_form(facts)
    alike = [text(one) == text(form) for one in forms]
    kept = [_keeps(order, one) for one in orders]
    chosen = np.array([*alike, False], bool)
    ordered = np.array(kept or [True], bool)
    fill = _fill(facts, chosen, ordered) if fill_value is None else fill_value
    data_type = facts.lowered.schema.data_type
    fills = np.array([*(same(value, fill, data_type) for value in facts.fills.values()), True], bool)
    return _Target(form, order, fill, chosen, ordered, fills)


def _kept(facts: Facts) -> Iterator[tuple[References, Boxes]]:
    for part in facts.references:
        assert part.boxes is not None
        yield part, part.boxes


def _cells(part: References, boxes: Boxes) -> np.ndarray:
    """Cells of the view that each box has, steps left out of account."""
    return (boxes.stop - part.first).prod(axis=1, dtype=np.float64)


def _order(orders: Sequence[tuple[int, ...]], cells: np.ndarray, rank: int) -> tuple[int, ...]:
    """The order that most cells can be in: orders join by weight as long as one order keeps them all."""
    taken: list[tuple[int, ...]] = []
    for number in np.argsort(-cells, kind="stable").tolist():
        if common_order([*taken, orders[number]], rank) is not None:
            taken.append(orders[number])
    found = common_order(taken, rank)
    assert found is not None
    return found


def _keeps(order: Sequence[int], part: Sequence[int]) -> bool:
    return [axis for axis in order if axis in part] == list(part)


def _given(facts: Facts, codecs: tuple[NamedConfig, ...]) -> tuple[Form, tuple[int, ...]]:
    rank = facts.rank
    schema = facts.lowered.schema
    one = lifted(Layout(schema.data_type, schema.fill_value, (1,) * rank, codecs), tuple(range(rank)), rank)
    return one.form, one.order


def _fill(facts: Facts, forms: np.ndarray, orders: np.ndarray) -> Json:
    """The fill value of most chunks that can stay references and may be missing; else of most cells stored nowhere."""
    values = list(facts.fills.values())
    if not values:
        return facts.lowered.schema.fill_value
    weight = np.zeros(len(values) + 1)
    for part, boxes in _kept(facts):
        fits = np.flatnonzero(boxes.fits & forms[boxes.form] & orders[boxes.order])
        np.add.at(weight, boxes.fill[fits], _cells(part, boxes)[fits])
    if not weight[:-1].any():
        for first, stop, fill in facts.holes:
            np.add.at(weight, fill, (stop - first).prod(axis=1, dtype=np.float64))
    if not weight[:-1].any():
        return next(
            (v for v in values if same(v, facts.lowered.schema.fill_value, facts.lowered.schema.data_type)), values[0]
        )
    return values[int(np.argmax(weight[:-1]))]


def _grids(facts: Facts, target: _Target, rectilinear: bool) -> list[Lengths]:
    """The regular grid of the most common chunk shape, and the uneven one that has the cuts of the view."""
    votes: dict[tuple[int, ...], float] = {}
    for only_fitting in (True, False):
        for part, boxes in _kept(facts):
            rows = boxes.fits & target.forms[boxes.form] & target.orders[boxes.order]
            rows = np.flatnonzero(rows) if only_fitting else np.arange(len(boxes.fits))
            shapes, which = np.unique(boxes.extent[rows], axis=0, return_inverse=True)
            weights = np.bincount(which.reshape(-1), _cells(part, boxes)[rows], minlength=len(shapes))
            for shape, weight in zip(shapes.tolist(), weights.tolist(), strict=True):
                votes[tuple(shape)] = votes.get(tuple(shape), 0) + weight
        if votes:
            break
    most = max(votes, key=lambda shape: votes[shape]) if votes else tuple(max(n, 1) for n in facts.shape)
    inner = _inner(target.form, facts.rank)
    most = tuple(-(-length // unit) * unit for length, unit in zip(most, inner, strict=True))
    if not rectilinear or not votes:
        return [most]
    solved = [axis.solve()[0] for axis in facts.axes]
    uneven: Lengths = tuple(most[k] if length is None else length for k, length in enumerate(solved))
    divided = all((np.asarray(one) % unit == 0).all() for one, unit in zip(uneven, inner, strict=True))
    return [most, uneven] if divided else [most]


def _inner(form: Form, rank: int) -> Sequence[int]:
    """What chunk lengths have to be multiples of: the inner chunks of shards."""
    if form.rest[0]["name"] == SHARDING and "lengths" in form.rest[0]:
        return form.rest[0]["lengths"]
    return (1,) * rank


class _Plan:
    """What a grid would take: which references stay, which chunks are written, and how much is read for them."""

    def __init__(self, facts: Facts, target: _Target, grid: Grid) -> None:
        self.grid = grid
        self.dirty = np.zeros(grid.shape, bool)
        self.exact: list[np.ndarray] = []
        self.nbytes = 0
        for part, boxes in _kept(facts):
            alike = boxes.fits & target.forms[boxes.form] & target.orders[boxes.order] & target.fills[boxes.fill]
            exact = alike & self._is_chunk(part, boxes)
            self.exact.append(exact)
            rest = np.flatnonzero(~exact)
            chunks = self._mark(part.first[rest].astype(np.int64), boxes.stop[rest])
            self.nbytes += int((boxes.nbytes[rest] * chunks).sum())
        for first, stop, fill in facts.holes:
            other = np.flatnonzero(~target.fills[fill])
            self._mark(first[other], stop[other])
        self._constants(facts, target)
        self.cells = self._volume()

    def _is_chunk(self, part: References, boxes: Boxes) -> np.ndarray:
        """bool (k,): the fragment is exactly one chunk of the grid, or repeated exactly over several."""
        found = np.ones(len(boxes.fits), bool)
        for axis, extent in enumerate(self.grid.extents):
            first = part.first[:, axis].astype(np.int64)
            stop = boxes.stop[:, axis]
            begin, length = self.grid.span(axis, self.grid.position(axis, first))
            one = (begin == first) & (length == boxes.extent[:, axis]) & (np.minimum(begin + length, extent) == stop)
            if part.repeats is not None:
                again = part.repeats[:, axis] > 1
                one = np.where(again, self._of_length_one(axis, first, stop), one)
            found &= one
        return found

    def _of_length_one(self, axis: int, first: np.ndarray, stop: np.ndarray) -> np.ndarray:
        length = self.grid.lengths[axis]
        if isinstance(length, int):
            return np.full(len(first), length == 1)
        longer = np.cumsum([0, *(np.asarray(length) > 1)])
        low, high = self.grid.position(axis, first), self.grid.position(axis, stop - 1)
        return longer[high + 1] == longer[low]

    def _mark(self, first: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Chunks that boxes touch are to be written; how many each touches."""
        row = np.arange(len(first))
        at = np.zeros(len(first), np.int64)
        touched = np.ones(len(first), np.int64)
        for axis, chunks in enumerate(self.grid.shape):
            low = self.grid.position(axis, first[:, axis])
            count = self.grid.position(axis, stop[:, axis] - 1) - low + 1
            touched *= count
            again, position = ranges(low[row], count[row])
            row, at = row[again], at[again] * chunks + position
        self.dirty.reshape(-1)[at] = True
        return touched

    def _constants(self, facts: Facts, target: _Target) -> None:
        """Chunks that constants other than the fill value touch, unless one fragment hides all of such a chunk."""
        placed = facts.lowered.placements
        data_type = facts.lowered.schema.data_type
        chosen = bits(target.fill, data_type)
        for row in np.flatnonzero(placed.source < 0).tolist():
            if bits(facts.lowered.constants[-1 - int(placed.source[row])].value, data_type) == chosen:
                continue
            first = placed.into_first[row]
            stop = first + placed.into_step[row] * (placed.into_count[row] - 1) + 1
            box: list[slice] = []
            for axis in range(len(self.grid.shape)):
                low, high = self.grid.position(axis, np.array([first[axis], stop[axis] - 1])).tolist()
                box.append(slice(low, high + 1))
            self.dirty[(..., *box)] = True
        for (part, _), exact in zip(_kept(facts), self.exact, strict=True):
            at, _ = positions(part, self.grid, np.flatnonzero(exact))
            self.dirty.reshape(-1)[at] = False

    def _volume(self) -> int:
        """Cells of the view in the chunks that are to be written."""
        weight = self.dirty.astype(np.int64) if self.dirty.ndim == 0 else self.dirty
        for axis in reversed(range(self.dirty.ndim)):
            begin, length = self.grid.span(axis, np.arange(self.grid.shape[axis]))
            weight = weight @ (np.minimum(begin + length, self.grid.extents[axis]) - begin)
        return int(weight)


def _problems(facts: Facts, target: _Target, plan: _Plan) -> list[Problem]:
    """Values are never packed: where stored values are written, all that goes into a chunk is packed alike."""
    decodes = target.form.decodes
    if not decodes or not plan.dirty.any():
        return []
    forms = list(facts.forms.values())
    alike = np.array([*(form.decodes == decodes for form in forms), False], bool)
    other = sum(int((~alike[boxes.form]).sum()) for _, boxes in _kept(facts))
    found: list[Problem] = []
    remedy = "give codecs without decodes to write the decoded values, or read it as a view"
    if other:
        text = (
            f"{many(other, 'fragment')} with other value-wise decodes than most; stored values are written as they are"
        )
        found.append(Problem("L3", text, remedy, other))
    unlike = [value for value, fits in zip(facts.fills.values(), target.fills, strict=False) if not fits]
    if unlike:
        shown = msgspec.json.encode(unlike[0]).decode()
        text = f"fill values or constants, such as {shown}, have no stored form below the decodes of the chain"
        found.append(Problem("L3", text, remedy, len(unlike)))
    return found
