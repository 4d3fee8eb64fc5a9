"""What stands between a view and a plain table of chunks, in words: `Problem`, and the tally that finds examples.

Owns the sentences: what is true, with an example, and the cheapest remedy. Refuses to decide what a problem is: that
is `lazyzarr.lower.alignment`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np

from lazyzarr.algebra.span import slice_text
from lazyzarr.lower import naming
from lazyzarr.lower.fragments import Fragments
from lazyzarr.lower.naming import Naming, Test, listed_nodes


class Problem(msgspec.Struct, frozen=True):
    """One reason why a view is not of class L0."""

    level: str
    """The class this alone would put the view in."""
    what: str
    remedy: str
    count: int
    """Fragments (or axes) that have it."""
    nodes: tuple[str, ...] = ()
    """Nodes that have a part in it, numbered as ``explain("built")`` does."""

    def __str__(self) -> str:
        return f"{self.level}: {self.what}{listed_nodes(self.nodes)}; {self.remedy}"


class Kind(NamedTuple):
    """A way in which fragments are not whole chunks."""

    what: str
    remedy: str
    culprit: Test
    """Of which nodes may be the cause."""


HELD = Kind("one cell of a longer chunk", "keep the axis, store with chunk length 1 on it", naming.holding)
REVERSED = Kind("read backwards", "store with chunk length 1 on that axis, flip after reading", naming.backwards)
STRIDED = Kind("read with a step", "store with chunk length 1 on that axis", naming.stepping)
COMBED = Kind(
    "spread over the view with a step", "interleave sources with chunk length 1 on that axis", naming.spreading
)
CROPPED = Kind("only part of a chunk", "cut at multiples of the chunk length", naming.cutting)
KINDS = (HELD, REVERSED, STRIDED, COMBED, CROPPED)


@dataclass(slots=True)
class Tally:
    """How many fragments have each kind of problem, what they hold, and the first of each kind."""

    total: int = 0
    count: dict[Kind, int] = field(default_factory=dict[Kind, int])
    cells: dict[Kind, int] = field(default_factory=dict[Kind, int])
    example: dict[Kind, str] = field(default_factory=dict[Kind, str])
    source: dict[Kind, int] = field(default_factory=dict[Kind, int])
    """Number of the source of the example."""

    def add(self, kind: Kind, mask: np.ndarray, found: Fragments, lengths: np.ndarray) -> None:
        """Count the fragments of a mask (m,); ``lengths`` (m, q) are those of their chunks."""
        rows = np.flatnonzero(mask)
        if not len(rows):
            return
        self.count[kind] = self.count.get(kind, 0) + len(rows)
        self.cells[kind] = self.cells.get(kind, 0) + int(found.into_count[rows].prod(axis=1).sum())
        if kind not in self.example:
            self.example[kind] = _example(found, int(rows[0]), lengths)
            self.source[kind] = int(found.source[rows[0]])

    def problems(self, itemsize: int, names: Naming) -> list[Problem]:
        """Each kind that occurred, with the nodes of the example; cells are of so many bytes."""
        found: list[Problem] = []
        for kind in KINDS:
            if kind in self.count:
                count = self.count[kind]
                size = _bytes(self.cells[kind] * itemsize)
                found.append(
                    Problem(
                        "L2",
                        f"{count} of {self.total} fragments are {kind.what}, such as {self.example[kind]}",
                        f"{kind.remedy}, or materialize the {many(count, 'boundary chunk')} ({size})",
                        count,
                        names.behind([self.source[kind]], kind.culprit),
                    )
                )
        return found


def layouts_problem(names: Sequence[str], counts: Sequence[int], nodes: tuple[str, ...] = ()) -> Problem:
    """Fragments with several codec chains."""
    shown = sorted(set(names))
    listed = ": " + "; ".join(shown[:3]) + ("; ..." if len(shown) > 3 else "") if len(shown) > 1 else ""
    minority = sum(counts) - max(counts)
    return Problem(
        "L3",
        f"{len(names)} codec chains{listed or ' (same codecs, other settings)'}",
        f"materialize the {many(minority, 'fragment')} of the minority, or read it as a view",
        minority,
        nodes,
    )


def many(count: int, noun: str) -> str:
    """A number of things.

    Examples
    --------
    >>> many(1, "axis"), many(2, "chunk")
    ('1 axis', '2 chunks')
    """
    return f"{count} {noun}" + ("" if count == 1 else "s")


def listed(cuts: np.ndarray) -> str:
    """The first few cells at which an axis is cut."""
    return ", ".join(map(str, cuts[:4].tolist())) + (", ..." if len(cuts) > 4 else "")


def _example(found: Fragments, row: int, lengths: np.ndarray) -> str:
    columns = (found.start[row].tolist(), found.step[row].tolist(), found.count[row].tolist())
    cells = ", ".join(slice_text(*one) for one in zip(*columns, strict=True))
    return f"cells [{cells}] of chunk {tuple(found.chunk[row].tolist())}, which has {tuple(lengths[row].tolist())}"


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
