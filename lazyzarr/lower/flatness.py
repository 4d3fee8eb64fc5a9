"""How flat a view is, and why not flatter: the classes L0 to L4.

Owns the exact conditions of the classes (see ``spec/manifest.md``) and the list of problems, each with an
example and a remedy. Refuses to change anything: aligning and materializing are other steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from lazyzarr.algebra.span import slice_text
from lazyzarr.ir.layout import Layout
from lazyzarr.lower.distinct import count_of_rows, distinct, intervals, numbers
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import UNFED
from lazyzarr.lower.runs import as_runs

_MOST_REFINED = 1024
_REFINED_PER_FRAGMENT = 8
"""A common refinement of up to so many cells, in all or for each fragment, is worth having."""


class Problem(msgspec.Struct, frozen=True):
    """One reason why a view is not of class L0."""

    level: str
    """The class this alone would put the view in."""
    what: str
    remedy: str
    count: int
    """Fragments (or axes) that have it."""


@dataclass(frozen=True, slots=True)
class Flatness:
    """The class of a view with its reasons."""

    level: str
    problems: tuple[Problem, ...]
    chunk_shape: tuple[int, ...] | None
    """Of the regular grid of the view on which each stored chunk is read once, where there is one."""


def flatness(lowered: Lowered, found: Fragments) -> Flatness:
    """Class of a lowered view.

    L0: one codec chain, type and fill, every fragment a whole chunk, a regular grid. L1: the same on a
    rectilinear grid. L2: some fragment is a proper part of its stored chunk. L3: fragments differ in chain,
    axis order, stored type or fill constant. L4: a chunk of the output draws on several fragments, because a grid
    of all cuts would have far more chunks than there are fragments.
    """
    shape = lowered.schema.shape
    found = as_runs(found)
    if not len(found):
        problems = _constant_problems(lowered)
        grid = tuple(max(n, 1) for n in shape)
        return Flatness(max((p.level for p in problems), default="L0"), tuple(problems), None if problems else grid)
    problems = [*_layout_problems(lowered, found), *_window_problems(lowered, found), *_constant_problems(lowered)]
    grid, uneven = _grid(lowered, found)
    problems.extend(uneven)
    level = max((p.level for p in problems), default="L0")
    return Flatness(level, tuple(sorted(problems, key=lambda p: p.level)), grid)


def _layout_problems(lowered: Lowered, found: Fragments) -> list[Problem]:
    problems: list[Problem] = []
    layouts = [lowered.layouts[k] for k in numbers(found.layout)]
    for what, key in (
        ("codec chains", lambda x: msgspec.json.encode(x.codecs)),
        ("fill values", lambda x: msgspec.json.encode(x.fill_value)),
        ("chunk shapes", lambda x: x.chunk_shape),
    ):
        distinct = {key(layout) for layout in layouts}
        if len(distinct) > 1:
            problems.append(
                Problem(
                    "L3",
                    f"{len(distinct)} {what}{_example(what, layouts)}",
                    "materialize the fragments of the minority, or read it as a view",
                    len(distinct),
                )
            )
    graph = lowered.sources.graph
    plain = numbers(found.source[found.source < len(graph.arrays)])
    mixed = sum(bool(graph.arrays[k].variants) for k in plain)
    if mixed:
        problems.append(
            Problem(
                "L3",
                f"{_many(mixed, 'array')} with chunks that skip some of their filters",
                "rewrite the file with one filter chain, or read it as a view",
                mixed,
            )
        )
    orders = count_of_rows(found.axis)
    if orders > 1:
        problems.append(
            Problem(
                "L3",
                f"{orders} orders of axes: sources are transposed differently",
                "transpose the sources alike, or read it as a view",
                orders,
            )
        )
    return problems


def _example(what: str, layouts: list[Layout]) -> str:
    if what != "codec chains":
        return ""
    names = sorted({" + ".join(codec.name for codec in layout.codecs) for layout in layouts})
    return (
        ": " + " and ".join(names[:3]) + (" and ..." if len(names) > 3 else "")
        if len(names) > 1
        else " (same codecs, other settings)"
    )


def _window_problems(lowered: Lowered, found: Fragments) -> list[Problem]:
    problems: list[Problem] = []
    lengths = _chunk_lengths(lowered, found)
    running = found.axis != UNFED
    held = (~running & (lengths > 1)).any(axis=1)
    reversed_ = ((found.step < 0) & (found.count > 1)).any(axis=1)
    strided = ((found.step > 1) & (found.count > 1)).any(axis=1)
    combed = ((found.into_step > 1) & (found.into_count > 1)).any(axis=1)
    # the grid may overhang the far end of the view: a ragged last chunk is still whole there
    into_stop = found.into_first + found.into_count
    at_end = np.ones(found.axis.shape, bool)
    rows, columns = np.nonzero(running)
    axes = found.axis[rows, columns]
    at_end[rows, columns] = into_stop[rows, axes] == np.array(lowered.schema.shape, np.int64)[axes]
    ahead = (found.step == 1) | (found.count == 1)
    part = running & ahead & ((found.start > 0) | ((found.count < lengths) & ~at_end))
    cropped = part.any(axis=1)
    for rows_of, what, remedy in (
        (held, "one cell of a longer chunk", "keep the axis, or store with chunk length 1 on it"),
        (reversed_, "read backwards", "store with chunk length 1 on that axis, or flip after reading"),
        (strided, "read with a step", "store with chunk length 1 on that axis"),
        (combed, "spread over the view with a step", "interleave sources with chunk length 1 on that axis"),
        (cropped, "only part of a chunk", "cut at multiples of the chunk length, or materialize the boundary chunks"),
    ):
        if rows_of.any():
            first, count = int(np.argmax(rows_of)), int(rows_of.sum())
            problems.append(
                Problem(
                    "L2",
                    f"{count} of {_many(len(found), 'fragment')} {'is' if count == 1 else 'are'} {what}, "
                    f"such as {_place(found, first)}",
                    remedy,
                    count,
                )
            )
    return problems


def _constant_problems(lowered: Lowered) -> list[Problem]:
    placed = lowered.placements
    constants = {
        msgspec.json.encode(lowered.constants[-1 - k].value)
        for k in np.unique(placed.source[placed.source < 0]).tolist()
    }
    fills = {msgspec.json.encode(lowered.layouts[k].fill_value) for k in numbers(placed.layout[placed.layout >= 0])}
    fills = fills or set(sorted(constants)[:1])
    other = constants - fills if len(fills) == 1 else constants
    if not other:
        return []
    return [
        Problem(
            "L3",
            f"{_many(len(other), 'constant')} other than the fill value, such as {min(other).decode()}",
            "use the fill value of the sources, or materialize the constant",
            len(other),
        )
    ]


def _grid(lowered: Lowered, found: Fragments) -> tuple[tuple[int, ...] | None, list[Problem]]:
    """Chunk lengths of the view, and what keeps the boxes of fragments from being one regular grid.

    Where boxes of different sources lie across each other, the grid of all cuts (the common refinement) still
    has every fragment whole, in parts of its chunk. It has one cell per combination of cuts, which for
    irregular tiles is far more than there are fragments: then the list of fragments is kept instead (L4).
    """
    problems: list[Problem] = []
    grid: list[int] = []
    across: list[tuple[int, np.ndarray]] = []
    cells = 1
    for axis, length in enumerate(lowered.schema.shape):
        first, step, count = (getattr(found, f"into_{name}")[:, axis] for name in ("first", "step", "count"))
        starts, stops = intervals(first, first + step * (count - 1) + 1)
        cuts = distinct(np.r_[0, starts, stops, length])
        cells *= len(cuts) - 1
        chunk = int((stops - starts).max())
        if (starts[1:] < stops[:-1]).any():
            across.append((axis, cuts[1:-1]))
            continue
        grid.append(chunk)
        if not ((starts % chunk == 0).all() and ((stops - starts == chunk) | (stops == length)).all()):
            what = f"axis {axis} of length {length} is cut at {_listed(cuts[1:-1])}: the pieces differ in length"
            problems.append(Problem("L1", what, "export rectilinear, or materialize on a regular grid", len(cuts) - 2))
    pieced = cells > max(_MOST_REFINED, _REFINED_PER_FRAGMENT * len(found))
    for axis, inside in across:
        problems.append(
            Problem(
                "L4" if pieced else "L2",
                f"axis {axis} is cut at {_listed(inside)}, by some sources and not by others"
                + (f"; a grid of all cuts has {cells} chunks for {len(found)} fragments" if pieced else ""),
                "materialize on a common grid, or read it as a view",
                len(inside),
            )
        )
    return (None if problems else tuple(grid)), problems


def _listed(cuts: np.ndarray) -> str:
    return ", ".join(map(str, cuts[:4].tolist())) + (", ..." if len(cuts) > 4 else "")


def _chunk_lengths(lowered: Lowered, found: Fragments) -> np.ndarray:
    lengths = np.ones((len(lowered.layouts), found.chunk.shape[1]), np.int64)
    for number in numbers(found.layout):
        shape = lowered.layouts[number].chunk_shape
        lengths[number, : len(shape)] = shape
    return lengths[found.layout]


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _place(found: Fragments, row: int) -> str:
    chunk = tuple(found.chunk[row].tolist())
    progressions = zip(*(column[row].tolist() for column in (found.start, found.step, found.count)), strict=True)
    return f"cells [{', '.join(slice_text(*one) for one in progressions)}] of chunk {chunk}"
