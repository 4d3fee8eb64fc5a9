"""Named selections of a dataset: slices, index files, dropped days, coordinates that are true, shuffles.

Owns how each becomes positions along a dimension, found once, when the definition is resolved; the saved view holds the
positions and no rule. Refuses conditions on arrays of more than one dimension.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from msgspec import Struct

from lazyzarr.definition import attributes, times
from lazyzarr.definition.files import Coordinate
from lazyzarr.definition.problems import Path, Problems, names
from lazyzarr.errors import LazyZarrError
from lazyzarr.view import View

KINDS = ("slice", "index", "drop", "where", "shuffle")
CONDITIONS = ("equals", "in", "above", "below")


class Selected(Struct, frozen=True):
    """A named selection."""

    views: Mapping[str, View]
    coordinates: Mapping[str, Coordinate]
    attrs: Mapping[str, Any]


class Selector:
    """Makes the selections of a definition.

    Parameters
    ----------
    views, coordinates
        Of the dataset.
    load
        The bytes of a file named beside the definition.
    problems
        Gets what cannot be selected.
    """

    def __init__(
        self,
        views: Mapping[str, View],
        coordinates: Mapping[str, Coordinate],
        load: Callable[[str], bytes],
        problems: Problems,
    ) -> None:
        self.views = views
        self.coordinates = coordinates
        self.load = load
        self.problems = problems

    def select(self, name: str, told: Mapping[str, Any]) -> Selected | None:
        """One of them; None where something was reported."""
        path: Path = ("views", name)
        if name in self.views or name in self.coordinates:
            self.problems.add(path, "name", "one that no array has", name)
            return None
        chosen = self.chosen(told, path)
        positions = self.positions(told, chosen, path)
        if self.problems.found:
            return None
        views = {key: cut(view, positions) for key, view in chosen.items()}
        dims = dict.fromkeys(dim for view in views.values() for dim in view.dims or ())
        coordinates = {
            dim: Coordinate(each.values[positions[dim]] if dim in positions else each.values, each.attrs)
            for dim, each in self.coordinates.items()
            if dim in dims
        }
        edits = told.get("attributes", {})
        return Selected(views, coordinates, attributes.edited(edits, {}, {}, (*path, "attributes"), self.problems))

    def positions(self, told: Mapping[str, Any], chosen: Mapping[str, View], path: Path) -> dict[str, np.ndarray]:
        """The selected cells of each dimension; none of those where something was reported."""
        positions: dict[str, np.ndarray] = {}
        for dim, selections in told["select"].items():
            length = next((v.shape[(v.dims or ()).index(dim)] for v in chosen.values() if dim in (v.dims or ())), None)
            if length is None:
                known = dict.fromkeys(d for view in chosen.values() for d in view.dims or ())
                self.problems.add((*path, "select", dim), "dimension", f"one of {names(known)}", dim)
                continue
            found = np.arange(length)
            listed = selections if isinstance(selections, list) else [selections]
            for number, selection in enumerate(listed):
                below: Path = (*path, "select", dim, *([number] if isinstance(selections, list) else []))
                rows = self._positions(dim, selection, found, length, below)
                found = found[:0] if rows is None else rows
            positions[dim] = found
        return positions

    def chosen(self, told: Mapping[str, Any], path: Path) -> dict[str, View]:
        """The arrays that a selection is of."""
        of = told.get("of")
        if of is None:
            wanted = set(told["select"])
            return {key: view for key, view in self.views.items() if wanted & set(view.dims or ())}
        listed = [of] if isinstance(of, str) else of
        for key in listed:
            if key not in self.views:
                self.problems.add((*path, "of"), "array", f"one of {names(self.views)}", key)
        return {key: self.views[key] for key in listed if key in self.views}

    def _positions(
        self, dim: str, told: Mapping[str, Any], now: np.ndarray, length: int, path: Path
    ) -> np.ndarray | None:
        """Which of the cells that are left are selected."""
        kinds = [kind for kind in KINDS if kind in told]
        conditions = [key for key in CONDITIONS if key in told]
        if len(kinds) != 1 or (conditions and kinds != ["where"]):
            self.problems.add(path, "keys", f"one of {names(KINDS)}", names(told))
            return None
        if kinds == ["slice"]:
            return now[slice(*told["slice"])] if 0 not in told["slice"][2:] else self._zero(path)
        if kinds == ["shuffle"]:
            return now[shuffled(len(now), told["shuffle"])]
        if kinds == ["index"]:
            return self._indexed(told["index"], now, path)
        mask = self._dropped(dim, told["drop"], path) if kinds == ["drop"] else self._where(dim, told, length, path)
        return None if mask is None else now[mask[now]]

    def _zero(self, path: Path) -> None:
        self.problems.add((*path, "slice"), "step", "an integer other than 0", "0")

    def _indexed(self, given: Any, now: np.ndarray, path: Path) -> np.ndarray | None:
        path = (*path, "index")
        if isinstance(given, str):
            try:
                text = self.load(given)
                if text[:6] == b"\x93NUMPY":
                    rows = np.load(io.BytesIO(text), allow_pickle=False)
                else:
                    rows = np.array(text.decode("ascii").split(), np.int64)
            except (LazyZarrError, ValueError, OverflowError) as error:
                self.problems.add(path, "index file", "one integer a line, or a .npy file", f"{given}: {error}")
                return None
        else:
            rows = np.array(given, np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            self.problems.add(path, "index", "integers in one row", f"{rows.dtype} {rows.shape}")
            return None
        wrong = rows[(rows < 0) | (rows >= len(now))]
        if len(wrong):
            self.problems.add(path, "index", f"integers from 0 to {len(now) - 1}", names(wrong.tolist(), 6))
            return None
        return now[rows]

    def _dropped(self, dim: str, given: Any, path: Path) -> np.ndarray | None:
        """Where the date is none of those that are dropped."""
        path = (*path, "drop")
        coordinate = self.coordinates.get(dim)
        units = None if coordinate is None else coordinate.attrs.get("units")
        if coordinate is None or not times.is_time(units):
            self.problems.add(path, "coordinate", f"times along {dim}", "none")
            return None
        calendar = str(coordinate.attrs.get("calendar", "standard")).lower()
        try:
            year, month, day = times.dates_of(coordinate.values, str(units), calendar)
        except times.TimeError as error:
            self.problems.add(path, "coordinate", f"times along {dim}", str(error))
            return None
        mask = np.ones(len(coordinate.values), bool)
        for text in [given] if isinstance(given, str) else given:
            parts = text.split("-")
            if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts):
                self.problems.add(path, "date", "a month and day such as 02-29, or a date", text)
                return None
            numbers = [int(part) for part in parts]
            hit = (month == numbers[-2]) & (day == numbers[-1])
            mask &= ~(hit & (year == numbers[0]) if len(numbers) == 3 else hit)
        return mask

    def _where(self, dim: str, told: Mapping[str, Any], length: int, path: Path) -> np.ndarray | None:
        """Where a 1-D array is true, or fulfils the conditions."""
        name = told["where"]
        if name in self.coordinates and name == dim:
            values = self.coordinates[name].values
        elif name in self.views and self.views[name].dims == (dim,):
            values = self.views[name].read()
        else:
            known = [key for key, view in self.views.items() if view.dims == (dim,)]
            known += [dim] if dim in self.coordinates else []
            self.problems.add((*path, "where"), "array", f"one along {dim} alone, of {names(known)}", name)
            return None
        conditions = {key: told[key] for key in CONDITIONS if key in told}
        if not conditions and values.dtype.kind != "b":
            self.problems.add((*path, "where"), "values", f"booleans, or one of {names(CONDITIONS)}", str(values.dtype))
            return None
        mask = np.ones(length, bool) if conditions else values.copy()
        for key, wanted in conditions.items():
            mask &= _fulfilled(key, values, wanted)
        return mask


def _fulfilled(key: str, values: np.ndarray, wanted: Any) -> np.ndarray:
    if key == "equals":
        return values == wanted
    if key == "in":
        return np.isin(values, wanted)
    return values > wanted if key == "above" else values < wanted


def shuffled(count: int, seed: int) -> np.ndarray:
    """A permutation that is the same for ever: the order of the hashes of 0 ... count - 1 (SplitMix64).

    Examples
    --------
    >>> shuffled(6, 1).tolist()
    [5, 4, 2, 3, 1, 0]
    """
    with np.errstate(over="ignore"):
        state = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed % 2**64) * np.uint64(0xD1342543DE82EF95)
        state *= np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(state ^ (state >> np.uint64(31)), kind="stable")


def cut(view: View, positions: Mapping[str, np.ndarray]) -> View:
    """The selected cells of a view."""
    for axis, dim in enumerate(view.dims or ()):
        if dim is None or dim not in positions:
            continue
        rows = positions[dim]
        if np.array_equal(rows, np.arange(view.shape[axis])):
            continue
        steps = np.unique(np.diff(rows))
        if len(rows) and len(steps) <= 1 and (not len(steps) or steps[0] != 0):
            step = int(steps[0]) if len(steps) else 1
            first, last = int(rows[0]), int(rows[-1])
            end = last + (1 if step > 0 else -1)
            view = view[(slice(None),) * axis + (slice(first, None if end < 0 else end, step),)]
        else:
            view = view.take(rows, axis=axis)
    return view
