"""How rows of placements and fragments read: sources, windows and boxes.

Owns the words for one row. Refuses to load more stored arrays than the rows that are shown name.
"""

from __future__ import annotations

import numpy as np

from lazyzarr.algebra.span import slice_text
from lazyzarr.display import spelling
from lazyzarr.ir.layout import StoredArray
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.lowering import Lowered
from lazyzarr.lower.placements import AFFINE, UNFED, Placements


def stored_of(lowered: Lowered, numbers: np.ndarray) -> dict[int, StoredArray]:
    """The stored arrays of some source numbers; constants (negative) have none."""
    used = np.unique(numbers[numbers >= 0])
    return dict(zip(used.tolist(), lowered.sources.arrays(used), strict=True))


def source_text(lowered: Lowered, number: int, named: dict[int, StoredArray]) -> str:
    """Name of a source, or a constant with its value."""
    if number < 0:
        constant = lowered.constants[-1 - number]
        return f"constant {spelling.value(constant.value, constant.data_type)}"
    return spelling.place(named[number])


def source_cells_text(lowered: Lowered, row: int, named: dict[int, StoredArray]) -> str:
    """Cells of the source that a placement takes; empty for a constant."""
    placed = lowered.placements
    number = int(placed.source[row])
    if number < 0:
        return ""
    return _keys((placed.first, placed.step, placed.count), placed, row, len(named[number].shape))


def layout_text(lowered: Lowered, row: int) -> str:
    """Layout of a placement; empty for a constant."""
    number = int(lowered.placements.layout[row])
    return spelling.layout(lowered.layouts[number]) if number >= 0 else ""


def window_text(lowered: Lowered, found: Fragments, row: int) -> str:
    """Cells of the chunk that a fragment takes."""
    rank = len(lowered.layouts[int(found.layout[row])].chunk_shape)
    return _keys((found.start, found.step, found.count), found, row, rank)


def chunk_text(lowered: Lowered, found: Fragments, row: int) -> str:
    """Coordinates of the chunk of a fragment."""
    rank = len(lowered.layouts[int(found.layout[row])].chunk_shape)
    return str(tuple(found.chunk[row, :rank].tolist()))


def box_text(of: Placements | Fragments, row: int) -> str:
    """Cells of the view that a row fills."""
    parts: list[str] = []
    for axis in range(of.into_first.shape[1]):
        first, step, count = (int(column[row, axis]) for column in (of.into_first, of.into_step, of.into_count))
        fed = np.flatnonzero(of.axis[row] == axis)
        pool = int(of.pool[row, fed[0]]) if len(fed) else AFFINE
        if pool == AFFINE:
            parts.append(slice_text(first, step, count))
        else:
            parts.append("{" + spelling.numbers(first + step * of.pool_into[pool : pool + count]) + "}")
    return f"[{', '.join(parts)}]"


def _keys(
    progression: tuple[np.ndarray, np.ndarray, np.ndarray], of: Placements | Fragments, row: int, rank: int
) -> str:
    """Cells along each axis; the view axes they run along are named where the order is another."""
    parts: list[str] = []
    feeding: list[int] = []
    for axis in range(rank):
        start, step, count = (int(column[row, axis]) for column in progression)
        pool = int(of.pool[row, axis])
        if of.axis[row, axis] == UNFED:
            parts.append(str(start))
            continue
        feeding.append(int(of.axis[row, axis]))
        if pool == AFFINE:
            parts.append(slice_text(start, step, count))
        else:
            parts.append("{" + spelling.numbers(start + step * of.pool_from[pool : pool + count]) + "}")
    text = f"[{', '.join(parts)}]"
    return text if feeding == sorted(feeding) else f"{text} to axes {tuple(feeding)}"
