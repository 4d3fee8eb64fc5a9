"""Whether fragments are the chunks of one plain array, and that array: `judge` and `align`.

1. Each block of fragments leaves its facts behind (`lazyzarr.lower.chunk_facts`).
2. The facts are compared: one form of chain, one order of axes, one fill value where it shows, one grid. What is in
   the way is told, all of it (`Judgement.problems`).
3. If nothing is, or nothing but an uneven grid, the references are scattered into the grid.
The conditions are those of ``spec/manifest.md`` and stand nowhere else: the class of a view is read off the
problems (`lazyzarr.lower.flatness`). A chunk that is stored nowhere has no conditions but its fill value. Refuses to
read a chunk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from lazyzarr.errors import NotFlat
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.layout import Json
from lazyzarr.lower.aligned import AlignedManifest
from lazyzarr.lower.chunk_facts import Facts, has_shards
from lazyzarr.lower.fragments import blocks
from lazyzarr.lower.lifting import Form, common_order, lifted, spelled
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.naming import NUMBERED, Naming, cutting, decoding, filling, joining, turning
from lazyzarr.lower.problems import Problem, layouts_problem, many
from lazyzarr.lower.runs import as_runs
from lazyzarr.lower.scattering import scattered

_MOST_REFINED = 1024
_REFINED_PER_FRAGMENT = 8
"""A common refinement of up to so many cells, in all or for each fragment, is worth having."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is in the way of a plain array, and what the array is as far as nothing is."""

    problems: tuple[Problem, ...]
    """By class; empty for L0."""
    read_shape: tuple[int, ...] | None
    """Of the regular grid on which each stored chunk is read once, whatever else is in the way; None: there is none."""
    facts: Facts
    lengths: tuple[int | tuple[int, ...] | None, ...]
    form: Form
    order: tuple[int, ...] | None
    fill_value: Json

    @property
    def level(self) -> str:
        """L0 to L4."""
        return max((problem.level for problem in self.problems), default="L0")


def align(
    lowered: Lowered,
    *,
    rectilinear: bool = True,
    dims: Sequence[str | None] | None = None,
    attrs: Mapping[str, Any] | None = None,
    reader: Any = None,
) -> AlignedManifest:
    """The plain array that a lowered view is.

    Parameters
    ----------
    rectilinear
        Whether the chunks along an axis may have different lengths.
    dims, attrs, reader
        What the manifest carries along.

    Raises
    ------
    NotFlat
        With every problem.
    ViewLimitError
        The view has more than `lazyzarr.lower.fragments.MAX_CHUNKS` chunks.
    """
    found = judge(lowered)
    if found.level > ("L1" if rectilinear else "L0"):
        raise not_flat(lowered.schema.shape, found.problems)
    lengths = tuple(length for length in found.lengths if length is not None)
    assert found.order is not None
    assert len(lengths) == found.facts.rank
    return scattered(
        found.facts,
        lengths,
        spelled(found.form, found.order),
        found.fill_value,
        dims=None if dims is None else tuple(dims),
        attrs=dict(attrs or {}),
        reader=reader,
    )


def not_flat(shape: Sequence[int], problems: Sequence[Problem]) -> NotFlat:
    """The error that lists problems."""
    level = max(problem.level for problem in problems)
    headline = (
        f"flatten: the view of shape {tuple(shape)} is of class {level}; a plain manifest has one whole stored chunk "
        f"for each chunk of its grid; {many(len(problems), 'problem')} in the way ({NUMBERED}):"
    )
    return NotFlat(headline, list(map(str, problems)))


def judge(lowered: Lowered) -> Judgement:
    """Compare the facts of all fragments; no chunk is touched, reference tables are read."""
    facts = Facts(lowered)
    for block in blocks(lowered):
        facts.add(as_runs(block))
    dtype = to_numpy(lowered.schema.data_type)
    names = Naming(lowered.graph)
    problems = facts.tally.problems(dtype.itemsize, names)
    form, order, of_forms = _form(facts, names)
    problems.extend(of_forms)
    lengths, of_grid = _grid(facts, names)
    problems.extend(of_grid)
    fill_value, of_fill = _fill(facts, names)
    problems.extend(of_fill)
    return Judgement(
        problems=tuple(sorted(problems, key=lambda p: p.level)),
        read_shape=_read_shape(facts),
        facts=facts,
        lengths=lengths,
        form=form,
        order=order,
        fill_value=fill_value,
    )


def _read_shape(facts: Facts) -> tuple[int, ...] | None:
    lengths = [axis.read_length for axis in facts.axes]
    known = tuple(length for length in lengths if length is not None)
    return known if len(known) == len(lengths) else None


def _form(facts: Facts, names: Naming) -> tuple[Form, tuple[int, ...] | None, list[Problem]]:
    """The one form of all chains, the order of axes that is right for all of them, and what speaks against it."""
    rank = facts.rank
    if not facts.forms:
        return *default_form(facts), []
    problems: list[Problem] = []
    keys = [key for key, _ in facts.form_counts.most_common()]
    form = facts.forms[keys[0]]
    if len(keys) > 1:
        counts = [facts.form_counts[k] for k in keys]
        nodes = names.behind([facts.examples[k] for k in keys], decoding)
        problems.append(layouts_problem([facts.form_names[k] for k in keys], counts, nodes))
    for refusal, count in facts.refusals.items():
        what, remedy = f"{refusal} ({many(count, 'fragment')})", "materialize them, or read it as a view"
        problems.append(Problem("L3", what, remedy, count, names.behind([facts.examples[refusal]], turning)))
    order = form.fixed if form.fixed is not None else common_order(facts.orders, rank)
    if order is None or any(facts.forms[key].fixed not in (None, order) for key in keys):
        minority = facts.orders.total() - facts.orders.most_common(1)[0][1]
        problems.append(
            Problem(
                "L3",
                f"{len(facts.orders)} orders of axes: sources are transposed differently",
                f"transpose the sources alike, materialize the {many(minority, 'fragment')} of the minority, or read it "
                "as a view",
                minority,
                names.behind([facts.examples[one] for one in facts.orders], turning),
            )
        )
    return form, order, problems


def default_form(facts: Facts) -> tuple[Form, tuple[int, ...]]:
    """The chain of an array without a stored chunk: that of the chunks that could be stored, or the plainest.

    Shards are of one shape, and the grid of what is stored nowhere is any.
    """
    rank = facts.rank
    if facts.absent:
        found, lowered = facts.absent[0], facts.lowered
        layout = lowered.layouts[int(found.layout[0])]
        axes = tuple(found.axis[0, : len(layout.chunk_shape)].tolist())
        one = lifted(layout, axes, rank)
        order = one.form.fixed or common_order([one.order], rank)
        if not one.refusal and order is not None and not has_shards(layout):
            return one.form, order
    dtype = to_numpy(facts.lowered.schema.data_type)
    name = {"T": "vlen-utf8", "O": "vlen-bytes"}.get(dtype.kind, "bytes")
    plain = {"endian": "little"} if name == "bytes" and (dtype.itemsize > 1 or dtype.fields) else {}
    return Form((), ({"name": name, "configuration": plain},), None), tuple(range(rank))


def _grid(facts: Facts, names: Naming) -> tuple[tuple[int | tuple[int, ...] | None, ...], list[Problem]]:
    """Chunk lengths along each axis, and what keeps the boxes of fragments from being one regular grid.

    Where boxes of different sources lie across each other, the grid of all cuts (the common refinement) still has
    every fragment whole, in parts of its chunk. It has one cell per combination of cuts, which for irregular tiles is
    far more than there are fragments: then the list of fragments is kept instead (L4).
    """
    solved = [axis.solve() for axis in facts.axes]
    problems = [problem for _, problem in solved if problem is not None]
    if problems:
        nodes = names.of_kind(joining) or names.of_kind(cutting)
        problems = [msgspec.structs.replace(problem, nodes=nodes) for problem in problems]
    if any(p.level == "L2" for p in problems):
        cells = math.prod(len(axis.cuts()) + 1 for axis in facts.axes)
        if cells > max(_MOST_REFINED, _REFINED_PER_FRAGMENT * facts.tally.total):
            more = f"; a grid of all cuts has {cells} chunks for {facts.tally.total} fragments"
            problems = [
                msgspec.structs.replace(p, level="L4", what=p.what + more) if p.level == "L2" else p for p in problems
            ]
    return tuple(lengths for lengths, _ in solved), problems


def _fill(facts: Facts, names: Naming) -> tuple[Json, list[Problem]]:
    """The one fill value of all chunks that may be missing and of all constants, and what differs."""
    lowered = facts.lowered
    placed = lowered.placements
    for number in np.unique(placed.source[placed.source < 0]).tolist():
        facts.shows(lowered.constants[-1 - number].value)
    shown = list(facts.fills.values())
    if len(shown) < 2:
        return (shown[0] if shown else lowered.schema.fill_value), []
    texts = ", ".join(msgspec.json.encode(value).decode() for value in shown[:4])
    problem = Problem(
        "L3",
        f"{len(shown)} fill values or constants are seen: {texts}" + (", ..." if len(shown) > 4 else ""),
        "use one fill value, materialize the constants, or read it as a view",
        len(shown) - 1,
        (*names.of_kind(filling), *names.behind(list(facts.filled_by.values()), decoding)),
    )
    return shown[0], [problem]
