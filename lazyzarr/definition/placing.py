"""Where the boxes of files are in the dataset: cells from columns, in pixels or in physical units.

Owns ``place``: cell = (value * step - origin) / scale, with the position and scale of OME-Zarr metadata where those are
asked for. Refuses positions between cells, unless they are to be snapped within a tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lazyzarr.definition.files import Opened
from lazyzarr.definition.planning import SourcePlan
from lazyzarr.definition.problems import Path, Problems, names
from lazyzarr.view import View

EXACT = 1e-9
"""How far from a whole cell a position is that is only rounded in its last digits [cells]."""

FARTHEST = 1e18
"""Cells that a position is away from the first one, at most."""


class Placing:
    """First cells of the boxes of one array.

    Parameters
    ----------
    name, array
        Of the definition.
    plan, opened
        The files, and what they have.
    problems
        Gets positions that are not acceptable.
    """

    def __init__(
        self,
        name: str,
        array: Mapping[str, Any],
        plan: SourcePlan,
        opened: Sequence[Opened],
        *,
        path: Path,
        problems: Problems,
    ) -> None:
        self.name = name
        self.plan = plan
        self.opened = opened
        self.path: Path = (*path, "place")
        self.problems = problems
        self.given = self.told(array["place"])
        self.dims = tuple(self.given)
        self.starts: np.ndarray | None = None
        self.counts: np.ndarray | None = None
        self.scale: dict[str, float] = {}
        """Size of a cell, by dimension."""
        self.origin: dict[str, float] = {}
        """Position of the first cell."""
        self.units: dict[str, str] = {}

    def told(self, place: Any) -> dict[str, Mapping[str, Any]]:
        """The placing of each dimension."""
        if place == "at":
            return {name[3:]: {"from": name} for name in self.plan.columns if name.startswith("at:")}
        if place == "ome":
            axes = next((axes for each in self.opened if (axes := ome_axes(each.attrs))), {})
            return {dim: {"from": "ome"} for dim, axis in axes.items() if axis["type"] == "space"}
        return {dim: {"from": each} if isinstance(each, str) else each for dim, each in place.items()}

    def __call__(self, views: dict[int, View]) -> tuple[tuple[str, ...], np.ndarray] | None:
        """Placed dimensions and first cells (rows, dimensions); None where something was reported."""
        dims = views[min(views)].dims or ()
        before = len(self.problems.found)
        if not self.dims:
            self.problems.add(self.path, "place", "boxes with at, or files with OME metadata", "none")
        starts = np.zeros((self.plan.rows, len(self.dims)), np.int64)
        counts = np.zeros_like(starts)
        for k, dim in enumerate(self.dims):
            if dim not in dims:
                self.problems.add((*self.path, dim), "dimension", f"one of {names(dims)}", dim)
                continue
            found = self.cells(dim, self.given[dim], views)
            if found is not None:
                starts[:, k] = found
            axis = dims.index(dim)
            for row, view in views.items():
                counts[row, k] = view.shape[axis]
        if len(self.problems.found) > before:
            return None
        self.starts, self.counts = starts, counts
        return self.dims, starts

    def cells(self, dim: str, given: Mapping[str, Any], views: Mapping[int, View]) -> np.ndarray | None:
        """The first cell of each row along a dimension."""
        rows = np.array(sorted(views))
        scale: Any = given.get("scale", 1)
        if given["from"] == "ome":
            told = self.ome(dim, rows)
            if told is None:
                return None
            values, scale = told[0], given.get("scale", told[1])
        else:
            column = self.plan.column(f"at:{dim}" if given["from"] == "at" else given["from"])
            if column is None or column.dtype.kind not in "iuf":
                known = [*self.plan.columns, *(entry.name for entry in self.plan.entries), "ome"]
                self.problems.add((*self.path, dim), "column", f"one of numbers, of {names(known)}", given["from"])
                return None
            values = column
        physical = "scale" in given or given["from"] == "ome"
        positions = values * given.get("step", 1)
        origin = given.get("origin", float(positions[rows].min()) if physical else 0)
        if not scale:
            self.problems.add((*self.path, dim, "scale"), "scale", "a number other than 0", str(scale))
            return None
        self.scale[dim], self.origin[dim] = float(scale), float(origin)
        if "units" in given:
            self.units[dim] = given["units"]
        exact = (positions - origin) / scale
        cells = np.rint(exact)
        away = np.abs(exact - cells)
        tolerance = given.get("tolerance", 0.5 if given.get("snap") == "nearest" else EXACT)
        far = ~(np.abs(cells[rows]) < FARTHEST)
        for row in rows[far].tolist():
            file = f"{self.plan.paths[row]} ({self.name})"
            expected = f"less than {FARTHEST:.0e} cells from the first"
            self.problems.of_file((*self.path, dim), file, f"position along {dim}", expected, f"cell {exact[row]:.6g}")
        if far.any():
            return None
        for row in rows[away[rows] > tolerance].tolist():
            self.problems.of_file(
                (*self.path, dim),
                f"{self.plan.paths[row]} ({self.name})",
                f"position along {dim}",
                f"at most {tolerance:g} cells from a whole one, or snap and tolerance",
                f"cell {exact[row]:.6g}",
            )
        return cells.astype(np.int64)

    def ome(self, dim: str, rows: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Positions of all rows from OME-Zarr metadata, and the size of a cell, which all have alike."""
        values = np.zeros(self.plan.rows, np.float64)
        scales: dict[float, int] = {}
        for row in rows.tolist():
            axis = ome_axes(self.opened[row].attrs).get(dim)
            if axis is None:
                file = f"{self.plan.paths[row]} ({self.name})"
                self.problems.of_file((*self.path, dim), file, "OME metadata", f"a position along {dim}", "none")
                return None
            values[row] = axis["translation"]
            scales.setdefault(axis["scale"], row)
            if axis["unit"]:
                self.units[dim] = axis["unit"]
        if len(scales) > 1:
            first, other = list(scales.items())[:2]
            file = f"{self.plan.paths[other[1]]} ({self.name})"
            expected = f"{first[0]} as in {self.plan.paths[first[1]]}"
            self.problems.of_file((*self.path, dim), file, f"size of a cell along {dim}", expected, str(other[0]))
            return None
        return values, next(iter(scales))


def ome_axes(attrs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Scale, translation, type and unit of each axis of the finest level of an OME-Zarr image; empty for others.

    Examples
    --------
    >>> axis = {"name": "x", "type": "space", "unit": "micrometer"}
    >>> moves = [{"type": "scale", "scale": [0.5]}, {"type": "translation", "translation": [8.0]}]
    >>> image = {"axes": [axis], "datasets": [{"path": "0", "coordinateTransformations": moves}]}
    >>> ome_axes({"ome": {"multiscales": [image]}})["x"]["translation"]
    8.0
    """
    images = attrs.get("ome", attrs)
    images = images.get("multiscales") if isinstance(images, Mapping) else None
    if not images:
        return {}
    image = images[0]
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in image["axes"]]
    scale, translation = np.ones(len(axes)), np.zeros(len(axes))
    levels = image["datasets"][0].get("coordinateTransformations", ())
    for move in (*levels, *image.get("coordinateTransformations", ())):
        if move["type"] == "scale":
            scale, translation = scale * move["scale"], translation * move["scale"]
        elif move["type"] == "translation":
            translation = translation + move["translation"]
    return {
        axis["name"]: {
            "scale": float(scale[k]),
            "translation": float(translation[k]),
            "type": axis.get("type", "space"),
            "unit": axis.get("unit"),
        }
        for k, axis in enumerate(axes)
    }
