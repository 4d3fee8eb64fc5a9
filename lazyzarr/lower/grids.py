"""Along one axis: the one chunk length, or all of them, that make every fragment a whole chunk of a grid.

Owns the conditions on where fragments lie. Refuses to look at fragments again: each block of them leaves behind
where its boxes begin and end, and the stored extent of their chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lazyzarr.errors import ViewLimitError
from lazyzarr.lower.fragments import MAX_FRAGMENTS
from lazyzarr.lower.placements import ranges
from lazyzarr.lower.problems import Problem, listed


@dataclass(slots=True)
class AxisGrid:
    """What all fragments say about one axis of a view."""

    axis: int
    extent: int
    """Cells of the view."""
    length: int | None = None
    """The stored length of the chunks seen so far, as long as they are on one regular grid."""
    regular: bool = True
    fed: bool = False
    """Whether any chunk runs along the axis."""
    triples: list[np.ndarray] = field(default_factory=list[np.ndarray])
    """int64 (k, 3): begin, end and stored extent of boxes, of blocks that are not on the regular grid."""
    begins: list[np.ndarray] = field(default_factory=list[np.ndarray])
    """Begins of boxes of blocks that are on it."""
    ranges: list[np.ndarray] = field(default_factory=list[np.ndarray])
    """int64 (k, 3): first cell, number and distance of the cells over which chunks are repeated."""

    def add(self, first: np.ndarray, count: np.ndarray, extent: np.ndarray, units: np.ndarray, gap: np.ndarray) -> None:
        """Boxes of fragments: begin, cells, and the stored extent of the chunk; all int64 (m,) [cells].

        Where ``units`` is true no axis of the chunk runs along this one: each cell, ``gap`` apart, is a box.
        """
        if not len(first):
            return
        repeats = units & (count > 1)
        self.fed = self.fed or not bool(units.all())
        if self.length is None:
            self.length = int(extent[0])
        begin, cells = first, np.where(units, 1, count)
        if self.regular and bool(
            (
                (extent == self.length)
                & (begin % self.length == 0)
                & ((cells == self.length) | (begin + cells == self.extent))
            ).all()
        ):
            self.begins.append(begin)
        else:
            self.regular = False
            self.triples.append(np.unique(np.stack([begin, begin + cells, extent], axis=1), axis=0))
        if repeats.any():
            self.ranges.append(np.unique(np.stack([begin, count, gap], axis=1)[repeats], axis=0))

    @property
    def chunk(self) -> int:
        """The regular length, where there is one; else the longest."""
        if self.length is None:
            return max(self.extent, 1)
        if self.regular:
            return self.length
        return int(max((part[:, 2].max() for part in self.triples if len(part)), default=self.length))

    @property
    def read_length(self) -> int | None:
        """Chunk length on which each stored chunk is read once, or None; a chunk that is repeated is read for all cells."""
        whole = max(self.extent, 1)
        if self.ranges and not self.fed:
            spans = np.unique(np.concatenate(self.ranges), axis=0)
            starts, stops = spans[:, 0], spans[:, 0] + spans[:, 2] * (spans[:, 1] - 1) + 1
        elif self.regular:
            return min(self.chunk, whole)
        else:
            boxes = np.unique(self.boxes()[:, :2], axis=0)
            starts, stops = boxes.T
        length = int((stops - starts).max())
        even = (starts % length == 0).all() and ((stops - starts == length) | (stops == self.extent)).all()
        return length if even and not (starts[1:] < stops[:-1]).any() else None

    def boxes(self) -> np.ndarray:
        """int64 (k, 3): begin, end and stored extent of all boxes, each once, ascending."""
        parts = list(self.triples)
        if self.begins and self.length is not None:
            first = np.unique(np.concatenate(self.begins))
            stop = np.minimum(first + self.length, self.extent)
            parts.append(np.stack([first, stop, np.full_like(first, self.length)], axis=1))
        if self.ranges:
            cells = repeated_cells(np.unique(np.concatenate(self.ranges), axis=0))
            parts.append(np.stack([cells, cells + 1, np.ones_like(cells)], axis=1))
        return np.unique(np.concatenate(parts), axis=0) if parts else np.zeros((0, 3), np.int64)

    def cuts(self) -> np.ndarray:
        """Cells at which some box begins or ends, inside the axis."""
        boxes = self.boxes()
        found = np.unique(np.r_[boxes[:, 0], boxes[:, 1]])
        return found[(found > 0) & (found < self.extent)]

    def solve(self) -> tuple[int | tuple[int, ...] | None, Problem | None]:
        """The chunk length, or all of them; or None, where boxes lie across each other or end differently.

        The problem that comes with all lengths is that they are uneven.
        """
        if self.regular:
            return self.chunk, None
        boxes = self.boxes()
        starts, stops, extents = boxes.T
        cuts = self.cuts()
        if (starts[1:] < stops[:-1]).any():
            alike = (starts[1:] == starts[:-1]) & (stops[1:] == stops[:-1])
            if (alike | (starts[1:] >= stops[:-1])).all():
                pair = extents[:-1][alike][0], extents[1:][alike][0]
                what = (
                    f"the chunks at the end of axis {self.axis} have {pair[0]} and {pair[1]} cells in storage: one grid "
                    "has one chunk shape for both"
                )
                return None, Problem("L3", what, "materialize one of them, or read it as a view", int(alike.sum()))
            what = f"axis {self.axis} is cut at {listed(cuts)}, by some sources and not by others"
            return None, Problem("L2", what, "materialize on a common grid, or read it as a view", len(cuts))
        edges = np.r_[0, cuts, self.extent]
        lengths = np.diff(edges)
        inside = np.searchsorted(edges, starts)
        lengths[inside] = extents  # only the last may be longer than its box
        what = f"axis {self.axis} of length {self.extent} is cut at {listed(cuts)}: the pieces differ in length"
        problem = Problem("L1", what, "export rectilinear, or materialize on a regular grid", len(cuts))
        return tuple(lengths.tolist()), problem


def repeated_cells(progressions: np.ndarray) -> np.ndarray:
    """All cells of progressions (k, 3) of first cell, number and distance, one after the other.

    Raises
    ------
    ViewLimitError
        A chunk is repeated so often that its cells do not fit into memory one by one.

    Examples
    --------
    >>> repeated_cells(np.array([[0, 2, 1], [5, 2, 3]])).tolist()
    [0, 1, 5, 8]
    """
    total = int(progressions[:, 1].sum())
    if total > MAX_FRAGMENTS:
        raise ViewLimitError("fragments", total, MAX_FRAGMENTS, remedy="take a smaller part of the view")
    row, number = ranges(np.zeros(len(progressions), np.int64), progressions[:, 1])
    return progressions[row, 0] + number * progressions[row, 2]
