"""Picture of the blocks of a view: which source fills which part of it, as SVG.

1. Views of rank above 2 are projected onto the two axes that are divided most; rank 1 is a bar, rank 0 a cell.
2. Every placement is a box coloured by its source, thin lines are borders of chunks, constants are hatched.
3. At most `MOST_BOXES` boxes are drawn, and a note says what was left out or drawn behind another.
Refuses to touch storage, and refers to nothing outside the picture.
"""

from __future__ import annotations

import html
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lazyzarr.display import spelling
from lazyzarr.display.rows import (
    box_text,
    chunk_text,
    layout_text,
    source_cells_text,
    source_text,
    stored_of,
    window_text,
)
from lazyzarr.ir.layout import StoredArray
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import AFFINE, Placements

MOST_BOXES = 500
MOST_RUNS = 64
"""Runs of cells of one interleaved or gathered box that are drawn one by one."""
MOST_FRAGMENTS = 1_000
MOST_NAMED = 6
"""Boxes in one place of the picture that its tooltip names."""
PALETTE = (
    *("#86b6dc", "#f2b872", "#93cda0", "#e7a0a0", "#bda9dc"),
    *("#dac870", "#84d0cc", "#e4abd2", "#adbccb", "#c4d784"),
)
_WIDTH, _TALLEST, _FLATTEST = 410, 290, 96
_LEFT, _TOP, _BELOW = 58, 8, 40
_LETTER = 11
"""Size of letters."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The SVG and what has to be said about it."""

    svg: str
    notes: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]
    """(colour, source), in the order of first appearance; an empty colour is hatched."""
    hidden: int
    """Sources that the legend leaves out."""


@dataclass(slots=True)
class _Box:
    """A rectangle of the picture [cells] with the placements that are seen there."""

    column: tuple[int, int]
    row: tuple[int, int]
    placements: list[int]


def picture(
    lowered: Lowered,
    found: Fragments | None,
    dims: Sequence[str | None] | None,
    *,
    first_colour: int = 0,
    hover: bool = False,
) -> Picture:
    """The blocks of a lowered view.

    Parameters
    ----------
    found
        Fragments, for the thin lines between chunks; absent: none are drawn.
    dims
        Names of the dimensions.
    first_colour
        Where in `PALETTE` the colours begin, so that two pictures can agree on them.
    hover
        Every fragment has a title: source, chunk, window, box.
    """
    placed = lowered.placements
    shape = lowered.schema.shape
    drawn = _drawn(len(placed))
    named = stored_of(lowered, placed.source[drawn])
    axes = _axes(placed, shape)
    frame = _Frame(shape, axes, dims)
    boxes, combed = _boxes(placed, drawn, axes)
    notes = _notes(placed, drawn, axes, boxes, combed, frame)
    colours = _colours(placed.source[drawn], first_colour)
    rectangles: list[str] = []
    captions: list[str] = []
    for box in boxes:
        number = int(placed.source[box.placements[0]])
        rectangles.append(_rect(box, frame, colours[number], _title(box, lowered, named)))
        if number >= 0:
            captions.append(_caption(box, frame, colours[number], source_text(lowered, number, named)))
    lines = _chunk_lines(found, axes, frame) if found is not None else []
    if hover and found is not None and len(found):
        lines, note = _fragments(lowered, found, axes, frame)
        notes += note
    legend = [(colours[number], source_text(lowered, number, named)) for number in list(colours)[: len(PALETTE) + 2]]
    return Picture(
        frame.svg([*rectangles, *lines, *captions]), tuple(notes), tuple(legend), max(len(colours) - len(legend), 0)
    )


def _drawn(total: int) -> np.ndarray:
    """All placements, or as many as can be drawn, spread evenly."""
    if total <= MOST_BOXES:
        return np.arange(total)
    return np.unique(np.linspace(0, total - 1, MOST_BOXES).astype(np.int64))


def _axes(placed: Placements, shape: tuple[int, ...]) -> tuple[int | None, int | None]:
    """View axes drawn downwards and to the right: the two with most distinct borders, later ones first in a tie."""
    if len(shape) < 2:
        return None, (0 if shape else None)
    cuts = [len(np.unique(placed.into_first[:, axis])) for axis in range(len(shape))]
    first, second = sorted(sorted(range(len(shape)), key=lambda axis: (cuts[axis], axis))[-2:])
    return first, second


def _boxes(placed: Placements, drawn: np.ndarray, axes: tuple[int | None, int | None]) -> tuple[list[_Box], int]:
    """Rectangles by what they cover, and the number of placements drawn as one box though they are combs."""
    places: dict[tuple[tuple[int, int], tuple[int, int]], _Box] = {}
    combed = 0
    for row in drawn.tolist():
        down, across = (_runs(placed, row, axis) for axis in axes)
        if len(down) * len(across) > MOST_RUNS or len(places) + len(down) * len(across) > MOST_BOXES:
            combed += len(down) * len(across) > 1
            down, across = [(down[0][0], down[-1][1])], [(across[0][0], across[-1][1])]
        for vertical in down:
            for horizontal in across:
                box = places.setdefault((horizontal, vertical), _Box(horizontal, vertical, []))
                box.placements.append(row)
    return list(places.values()), combed


def _runs(placed: Placements | Fragments, row: int, axis: int | None) -> list[tuple[int, int]]:
    """Half-open runs of neighbouring view cells that a placement fills along an axis."""
    if axis is None:
        return [(0, 1)]
    first, step, count = (int(c[row, axis]) for c in (placed.into_first, placed.into_step, placed.into_count))
    fed = np.flatnonzero(placed.axis[row] == axis)
    pool = int(placed.pool[row, fed[0]]) if len(fed) else AFFINE
    if pool == AFFINE and (step == 1 or count > MOST_RUNS):
        return [(first, first + step * (count - 1) + 1)]
    if pool == AFFINE:
        return [(first + step * k, first + step * k + 1) for k in range(count)]
    cells = np.sort(first + step * placed.pool_into[pool : pool + count])
    breaks = np.flatnonzero(np.diff(cells) > 1)
    starts, stops = cells[np.r_[0, breaks + 1]], cells[np.r_[breaks, len(cells) - 1]] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _notes(
    placed: Placements,
    drawn: np.ndarray,
    axes: tuple[int | None, int | None],
    boxes: list[_Box],
    combed: int,
    frame: _Frame,
) -> list[str]:
    notes: list[str] = []
    rank = placed.into_first.shape[1]
    if rank > 2:
        notes.append(f"projected onto {frame.name(axes[0])} and {frame.name(axes[1])}")
    if len(drawn) < len(placed):
        notes.append(f"{len(drawn):,} of {spelling.many(len(placed), 'box')} drawn, evenly spread")
    behind = sum(len(box.placements) > 1 for box in boxes)
    if behind:
        notes.append(f"{spelling.many(behind, 'place')} with several boxes behind one another")
    if combed:
        notes.append(f"{spelling.many(combed, 'interleaved box')} drawn solid")
    if not len(placed):
        notes.append("the view has no cells")
    return notes


def _colours(sources: np.ndarray, first: int) -> dict[int, str]:
    """Source number to colour, in the order of appearance; constants have none."""
    found: dict[int, str] = {}
    stored = first
    for number in sources.tolist():
        if number not in found:
            found[number] = PALETTE[stored % len(PALETTE)] if number >= 0 else ""
            stored += number >= 0
    return found


class _Frame:
    """Scales, axes and the outer element of the picture."""

    def __init__(
        self, shape: tuple[int, ...], axes: tuple[int | None, int | None], dims: Sequence[str | None] | None
    ) -> None:
        self.axes, self.dims = axes, dims
        self.rows, self.columns = (1 if axis is None else shape[axis] for axis in axes)
        if axes[0] is None:
            self.width, self.height = (_WIDTH, 56) if axes[1] is not None else (96, 56)
        else:
            ratio = max(self.rows, 1) / max(self.columns, 1)
            self.width, self.height = _WIDTH, int(max(_WIDTH * ratio, _FLATTEST))
            if self.height > _TALLEST:
                self.width, self.height = int(max(_TALLEST / ratio, _WIDTH / 2)), _TALLEST

    def name(self, axis: int | None) -> str:
        """Name of a view axis."""
        if axis is None:
            return ""
        name = self.dims[axis] if self.dims else None
        return spelling.printable(name, 24) if name else f"axis {axis}"

    def x(self, cell: float) -> float:
        return _LEFT + self.width * cell / max(self.columns, 1)

    def y(self, cell: float) -> float:
        return _TOP + self.height * cell / max(self.rows, 1)

    def svg(self, body: Sequence[str]) -> str:
        """The whole picture."""
        inside = "".join(body)
        hatch = f"lz{zlib.crc32(inside.encode()):08x}"
        width, height = _LEFT + self.width + 14, _TOP + self.height + _BELOW
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'role="img" aria-label="blocks of the view" font-family="system-ui, sans-serif" '
            f'font-size="{_LETTER}"><defs><pattern id="{hatch}" width="7" height="7" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><rect width="7" height="7" fill="#9a9a9a" fill-opacity="0.16"/>'
            '<line x1="0" y1="0" x2="0" y2="7" stroke="#8a8a8a" stroke-width="2" stroke-opacity="0.7"/>'
            "</pattern></defs>"
            f"{inside.replace(_HATCH, f'url(#{hatch})')}{self._scales()}</svg>"
        )

    def _scales(self) -> str:
        parts = [
            f'<rect x="{_LEFT}" y="{_TOP}" width="{self.width}" height="{self.height}" fill="none" '
            'stroke="currentColor" stroke-opacity="0.55"/>'
        ]
        if self.axes[1] is not None:
            bottom = _TOP + self.height
            parts.append(_text(_LEFT, bottom, "0", "start", down=15))
            parts.append(_text(_LEFT + self.width, bottom, f"{self.columns:,}", "end", down=15))
            middle = _LEFT + self.width / 2
            parts.append(_text(middle, bottom, self.name(self.axes[1]), "middle", down=31, strong=True))
        if self.axes[0] is not None:
            middle = _TOP + self.height / 2
            parts.append(_text(_LEFT, _TOP, "0", "end", right=-7, down=10))
            parts.append(_text(_LEFT, _TOP + self.height, f"{self.rows:,}", "end", right=-7))
            name = _text(_LEFT, middle, self.name(self.axes[0]), "middle", down=-40, strong=True)
            parts.append(f'<g transform="rotate(-90 {_LEFT} {middle:.1f})">{name}</g>')
        return "".join(parts)


_HATCH = "@hatch@"


def _text(
    x: float, y: float, text: str, anchor: str, *, right: float = 0, down: float = 0, strong: bool = False
) -> str:
    """A text beside a point of the picture.

    The distance is in units of the letters: who shows a part of the picture larger and letters as they are finds them
    as near to the point as before.
    """
    weight = ' font-weight="600"' if strong else ' fill-opacity="0.7"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" dx="{right / _LETTER:.2f}em" dy="{down / _LETTER:.2f}em" '
        f'text-anchor="{anchor}" fill="currentColor"{weight}>{html.escape(text)}</text>'
    )


def _rect(box: _Box, frame: _Frame, colour: str, title: str) -> str:
    x, y, width, height = _corners(box, frame)
    edge = "#ffffff" if width > 4 and height > 4 else colour or "none"
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour or _HATCH}" '
        f'stroke="{edge}" stroke-width="1" vector-effect="non-scaling-stroke"><title>{html.escape(title)}</title></rect>'
    )


def _caption(box: _Box, frame: _Frame, colour: str, name: str) -> str:
    """Text inside a box, if it fits: the source, or how many boxes lie there."""
    many = len(box.placements) > 1
    text = spelling.many(len(box.placements), "box") if many else name.rpartition("/")[2]
    x, y, width, height = _corners(box, frame)
    if width < 6.8 * len(text) + 14 or height < 18:
        return ""
    return (
        f'<text x="{x + width / 2:.1f}" y="{y + height / 2:.1f}" dy="0.36em" text-anchor="middle" '
        f'fill="#1b2530" stroke="{colour}" stroke-width="0.45em" stroke-linejoin="round" paint-order="stroke" pointer-events="none">'
        f"{html.escape(text)}</text>"
    )


def _corners(box: _Box, frame: _Frame) -> tuple[float, float, float, float]:
    """Left, top, width and height; a box of few cells in a long view is still seen."""
    x, y = frame.x(box.column[0]), frame.y(box.row[0])
    return x, y, max(frame.x(box.column[1]) - x, 1.0), max(frame.y(box.row[1]) - y, 1.0)


def _title(box: _Box, lowered: Lowered, named: dict[int, StoredArray]) -> str:
    placed = lowered.placements
    texts: list[str] = []
    for row in box.placements[:MOST_NAMED]:
        texts.append(
            f"{source_text(lowered, int(placed.source[row]), named)} {source_cells_text(lowered, row, named)}\n"
            f"fills {box_text(placed, row)}\n{layout_text(lowered, row)}".rstrip()
        )
    if len(box.placements) > MOST_NAMED:
        texts.append(f"and {len(box.placements) - MOST_NAMED:,} more behind")
    return "\n\n".join(texts)


def _fragments(
    lowered: Lowered, found: Fragments, axes: tuple[int | None, int | None], frame: _Frame
) -> tuple[list[str], list[str]]:
    """A clear rectangle for each fragment with what it is as its title, and what was left out."""
    shown = np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST_FRAGMENTS)).astype(np.int64))
    named = stored_of(lowered, found.source[shown])
    places: dict[tuple[tuple[int, int], tuple[int, int]], list[int]] = {}
    for row in shown.tolist():
        # the whole reach of a comb: its teeth are drawn below
        down, across = (_runs(found, row, axis) for axis in axes)
        places.setdefault(((across[0][0], across[-1][1]), (down[0][0], down[-1][1])), []).append(row)
    parts: list[str] = []
    for (column, line), rows in places.items():
        x, y, width, height = _corners(_Box(column, line, rows), frame)
        texts = [
            f"{source_text(lowered, int(found.source[row]), named)} chunk {chunk_text(lowered, found, row)}\n"
            f"window {window_text(lowered, found, row)}\nfills {box_text(found, row)}\n"
            f"{spelling.layout(lowered.layouts[int(found.layout[row])])}"
            for row in rows[:MOST_NAMED]
        ]
        texts += [f"and {len(rows) - MOST_NAMED:,} more behind"] * (len(rows) > MOST_NAMED)
        parts.append(
            f'<rect class="fragment" x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
            'fill-opacity="0" stroke="#1b2530" stroke-opacity="0.35" stroke-dasharray="2 2" '
            f'vector-effect="non-scaling-stroke"><title>{html.escape(chr(10).join(texts))}</title></rect>'
        )
    left = len(found) - len(shown)
    return parts, [f"{left:,} of {spelling.many(len(found), 'fragment')} have no title of their own"] * (left > 0)


def _chunk_lines(found: Fragments, axes: tuple[int | None, int | None], frame: _Frame) -> list[str]:
    """Borders of the fragments, once for each place; none where they would be closer than the eye can part."""
    if not len(found):
        return []
    sides: list[np.ndarray] = []
    for axis in axes:
        if axis is None:
            sides.append(np.broadcast_to(np.array([0, 1]), (len(found), 2)))
            continue
        last = found.into_first[:, axis] + found.into_step[:, axis] * (found.into_count[:, axis] - 1) + 1
        plain = ((found.axis != axis) | (found.pool == AFFINE)).all(axis=1)
        sides.append(np.stack([found.into_first[:, axis], np.where(plain, last, found.into_first[:, axis])], axis=1))
    places = np.unique(np.hstack(sides), axis=0)
    if len(places) > MOST_BOXES:
        return []
    lines: list[str] = []
    for top, bottom, left, right in places.tolist():
        x, y = frame.x(left), frame.y(top)
        width, height = frame.x(right) - x, frame.y(bottom) - y
        if width < 3 or height < 3:
            return []
        lines.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none" '
            'stroke="#1b2530" stroke-opacity="0.35" stroke-dasharray="2 2" pointer-events="none"/>'
        )
    return lines
