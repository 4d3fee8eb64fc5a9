"""What a definition resolved to: `Resolution`, which prints as a table of files and a line for each array.

Owns the text. Refuses to resolve anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import Struct

from lazyzarr.definition.planning import SourcePlan
from lazyzarr.display.flat import flatness_of, glance
from lazyzarr.display.tables import columns
from lazyzarr.view import View

MOST_FILES = 40
"""Files that the text shows, half of them at either end."""


class ArrayReport(Struct, frozen=True):
    """One array of the dataset."""

    name: str
    shape: tuple[int, ...]
    dims: tuple[str | None, ...] | None
    data_type: str
    flatness: str | None
    """Class, L0 to L4; None where it is much work to know, unless a dry run was asked for."""
    problems: tuple[str, ...]
    """Why it is no plain array."""


class FileReport(Struct, frozen=True):
    """The files of one source, in columns."""

    source: str
    paths: tuple[str, ...]
    present: tuple[bool, ...]
    boxes: tuple[str, ...]
    """Where the cells of each file are in the dataset."""


class Resolution(Struct, frozen=True):
    """What `lazyzarr.resolve` found and wrote."""

    target: str
    written: bool
    """False after a dry run, and where there was nothing new."""
    opened: int
    """Files that were opened."""
    appended: int
    """Files that were added to what was there; 0 where everything was written."""
    files: tuple[FileReport, ...]
    arrays: tuple[ArrayReport, ...]
    coordinates: Mapping[str, int]
    """Names and lengths."""
    allow: tuple[str, ...]
    """What readers of the dataset have to allow, since it is not below the directory that it lies in."""

    def __str__(self) -> str:
        """The table of files, and a line for each array."""
        lines: list[str] = []
        for source in self.files:
            count = len(source.paths)
            lines.append(f"source {source.source}: {count:,} file{'s' if count != 1 else ''}")
            shown = (
                range(count)
                if count <= MOST_FILES
                else [*range(MOST_FILES // 2), *range(count - MOST_FILES // 2, count)]
            )
            rows = [[source.paths[k], source.boxes[k] if source.present[k] else "not there: fill"] for k in shown]
            texts = list(columns(rows))
            if count > MOST_FILES:
                texts.insert(MOST_FILES // 2, f"... {count - MOST_FILES:,} more")
            lines += [f"  {text}" for text in texts]
        for array in self.arrays:
            dims = ", ".join(
                f"{d} {n}" for d, n in zip(array.dims or (None,) * len(array.shape), array.shape, strict=True)
            )
            lines.append(f"array {array.name}: {array.data_type} ({dims}), class {array.flatness or 'not looked at'}")
            lines += [f"  - {problem}" for problem in array.problems]
        if self.coordinates:
            lines.append("coordinates: " + ", ".join(f"{name} {n:,}" for name, n in self.coordinates.items()))
        if self.allow:
            lines.append("readers have to allow:")
            lines += [f"  {place}" for place in self.allow]
        done = f"written to {self.target}" if self.written else f"nothing was written to {self.target}"
        lines.append(f"{done} ({self.opened:,} files opened, {self.appended:,} appended)")
        return "\n".join(lines)


def array_report(name: str, view: View, *, whatever: bool) -> ArrayReport:
    """Shape, type and class of a view; the class also where it is much work, if ``whatever`` it takes is asked for."""
    found = flatness_of(view.ir) if whatever else glance(view.ir)
    level, problems = (None, ()) if found is None else (found.level, tuple(view.why_not_flat()))
    return ArrayReport(name, view.shape, view.dims, str(view.dtype), level, problems)


def file_report(
    plan: SourcePlan,
    present: np.ndarray,
    lengths: Mapping[str, np.ndarray],
    placed: tuple[tuple[str, ...], np.ndarray, np.ndarray] | None,
) -> FileReport:
    """Paths and boxes of the files of a source.

    Parameters
    ----------
    lengths
        Cells that each value of a joining entry contributes, by dimension.
    placed
        Dimensions of placed boxes, first cells and lengths (rows, dimensions).
    """
    texts = np.full(plan.rows, "", dtype="U1")
    for number, entry in enumerate(plan.entries):
        if entry.dim not in lengths or entry.join == "each":
            continue
        at, counts = plan.at[:, number], lengths[entry.dim]
        if entry.join == "interleave":
            texts = _with(texts, entry.dim, at.astype(str), f"::{entry.size}")
            continue
        ends = np.cumsum(counts)
        texts = _with(texts, entry.dim, (ends - counts)[at].astype(str), np.strings.add(":", ends[at].astype(str)))
    if placed is not None:
        dims, starts, counts = placed
        for k, dim in enumerate(dims):
            stops = np.strings.add(":", (starts[:, k] + counts[:, k]).astype(str))
            texts = _with(texts, dim, starts[:, k].astype(str), stops)
    texts = np.where(texts == "", "whole", texts)
    return FileReport(plan.name, tuple(plan.paths.tolist()), tuple(present.tolist()), tuple(texts.tolist()))


def _with(texts: np.ndarray, dim: str, starts: Any, stops: Any) -> np.ndarray:
    """Texts with the range of one more dimension."""
    texts = np.strings.add(texts, np.where(texts == "", "", ", "))
    return np.strings.add(np.strings.add(texts, f"{dim} "), np.strings.add(starts, stops))
