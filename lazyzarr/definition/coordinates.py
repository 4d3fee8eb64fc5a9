"""Coordinates of the dataset: 1-D values along its dimensions, kept with it.

Owns where they come from: the definition, the values of the variables that are stacked, or the files, whose values are
joined as the arrays are. Refuses files whose calendars differ, and moments that other units cannot say exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lazyzarr.definition import times
from lazyzarr.definition.arrays import Joined
from lazyzarr.definition.calendars import canonical
from lazyzarr.definition.files import Coordinate, Opened
from lazyzarr.definition.planning import Entry, SourcePlan
from lazyzarr.definition.problems import Path, Problems, most_common
from lazyzarr.definition.templates import Dates


class Coordinates:
    """The coordinate of one dimension.

    Parameters
    ----------
    dim, told
        Of the definition.
    length
        Cells along the dimension.
    joined, trim
        An array that has it, and how that is trimmed along it.
    opened
        The files of the source of that array.
    problems
        Gets what does not fit.
    """

    def __init__(
        self,
        dim: str,
        told: Mapping[str, Any],
        length: int,
        joined: Joined,
        trim: Any,
        opened: Sequence[Opened],
        problems: Problems,
        *,
        placed: bool = False,
    ) -> None:
        self.dim = dim
        self.told = told
        self.length = length
        self.plan: SourcePlan = joined.plan
        self.joined = joined
        self.trim = trim
        self.opened = opened
        self.problems = problems
        self.placed = placed
        self.path: Path = ("dims", dim) if told else ("sources", joined.plan.name)

    def coordinate(self) -> Coordinate | None:
        """The values; None where the dimension has none, or where something does not fit, which was reported."""
        if "values" in self.told or "start" in self.told:
            return self._declared()
        if self.told.get("coordinate") == "none" or self.placed:
            return None
        number = next((k for k, entry in enumerate(self.plan.entries) if entry.dim == self.dim), None)
        if number is None or self.joined.taken:
            return self.shared()
        entry = self.plan.entries[number]
        found = self.stacked(entry) if entry.join == "stack" else self.along(number, entry)
        if found is not None and len(found.values) != self.length:
            self.problems.add(self.path, "coordinate", f"{self.length} values", str(len(found.values)))
            return None
        return found

    def _declared(self) -> Coordinate | None:
        attrs = {key: self.told[key] for key in ("units", "calendar") if key in self.told}
        if "values" in self.told:
            values = np.array(self.told["values"])
            if len(values) != self.length or values.dtype.kind not in "iufU":
                self.problems.add((*self.path, "values"), "values", f"{self.length} numbers or texts", str(len(values)))
                return None
            return Coordinate(values, attrs)
        return Coordinate(self.told["start"] + self.told.get("step", 1) * np.arange(self.length), attrs)

    def stacked(self, entry: Entry) -> Coordinate | None:
        """The values of the variable."""
        if isinstance(entry.values, Dates):
            return self._dated(entry.values)
        return Coordinate(entry.values, {key: self.told[key] for key in ("units",) if key in self.told})

    def _dated(self, dates: Dates) -> Coordinate | None:
        try:
            values, units = times.numbered(dates, self.told.get("units"))
        except times.TimeError as error:
            self.problems.add(self.path, "units", "units that say every date exactly", str(error))
            return None
        return Coordinate(values, {"units": units, "calendar": canonical(dates.calendar)})

    def _trimmed(self, coordinate: Coordinate) -> Coordinate:
        if self.trim is None:
            return coordinate
        before, after = self.trim if isinstance(self.trim, list) else (self.trim, self.trim)
        return Coordinate(coordinate.values[before : len(coordinate.values) - after], coordinate.attrs)

    def found(self) -> dict[int, Coordinate]:
        """Those of the files, by row."""
        return {
            row: self._trimmed(each.coordinates[self.dim])
            for row, each in enumerate(self.opened)
            if self.dim in each.coordinates
        }

    def shared(self) -> Coordinate | None:
        """One that all files have alike."""
        found = self.found()
        if not found:
            return None
        first = min(found)
        if self.told.get("check", "equal") == "equal" and not self.joined.taken:
            column = {row: each.values.tobytes() for row, each in found.items()}
            expected = most_common(column)
            first = next(row for row, value in column.items() if value == expected)
            for row, value in column.items():
                if value != expected:
                    self._misfit(row, f"those of {self.plan.paths[first]}, or check: none", _said(found[row].values))
        return self._converted(found[first], first)

    def along(self, number: int, entry: Entry) -> Coordinate | None:
        """Those of the files one after the other."""
        found = self.found()
        at = self.plan.at[:, number]
        if not found:
            whole = (self.joined.lengths.get(self.dim, np.zeros(0)) == 1).all()
            return self._dated(entry.values) if isinstance(entry.values, Dates) and whole else None
        firsts = dict.fromkeys(range(entry.size))
        attrs = self.attributes(found)
        if attrs is None:
            return None
        ready: dict[int, Coordinate] = {}
        for row, each in found.items():
            value = int(at[row])
            done = self._in_units(each, row, attrs)
            if done is None:
                return None
            if value in ready and not np.array_equal(ready[value].values, done.values):
                self._misfit(row, "that of the other files of the same step", _said(each.values))
            ready.setdefault(value, done)
        missing = [value for value in firsts if value not in ready]
        if missing and not self.complete(ready, missing, entry, attrs):
            return None
        parts = [ready[value].values for value in range(entry.size)]
        if entry.join == "interleave":
            whole = np.empty(sum(len(part) for part in parts), np.result_type(*parts))
            for value, part in enumerate(parts):
                whole[value :: len(parts)] = part
            return Coordinate(whole, attrs)
        return Coordinate(np.concatenate(parts), attrs)

    def attributes(self, found: Mapping[int, Coordinate]) -> dict[str, Any] | None:
        """Those of the first file, with the units that all values are brought to."""
        if len({canonical(_calendar(each.attrs)) for each in found.values()}) > 1:
            return None  # reported by `check_calendars`
        attrs = dict(found[min(found)].attrs)
        return attrs | ({"units": self.told["units"]} if "units" in self.told else {})

    def _in_units(self, each: Coordinate, row: int, attrs: Mapping[str, Any]) -> Coordinate | None:
        units, target = each.attrs.get("units"), attrs.get("units")
        if units == target:
            return each
        if not (times.is_time(units) and times.is_time(target)):
            self._misfit(row, f"units {target}", f"units {units}")
            return None
        try:
            values = times.converted(each.values, str(units), str(target), _calendar(attrs))
        except times.TimeError as error:
            self._misfit(row, f"moments that {target!r} says exactly", str(error))
            return None
        return Coordinate(values, attrs)

    def _converted(self, each: Coordinate, row: int) -> Coordinate | None:
        if "units" not in self.told:
            return each
        return self._in_units(each, row, {**each.attrs, "units": self.told["units"]})

    def complete(
        self, ready: dict[int, Coordinate], missing: Sequence[int], entry: Entry, attrs: Mapping[str, Any]
    ) -> bool:
        """Values for files that are not there: as far from the dates as those of the other files are, if those agree."""
        if self.problems.found:
            return False  # files that are not there are among them
        if entry.items is None or not isinstance(entry.values, Dates) or not times.is_time(attrs.get("units")):
            self.problems.add(
                self.path, "coordinate", "values, start and step, or coordinate: none", "no file for some steps"
            )
            return False
        starts = self._dated_in(entry.values, str(attrs["units"]))
        if starts is None:
            return False
        offsets = {value: each.values - starts[value] for value, each in ready.items()}
        longest = max(offsets.values(), key=len)
        need = int(entry.items[list(missing)].max())
        if len(longest) < need or any(not np.array_equal(each, longest[: len(each)]) for each in offsets.values()):
            self.problems.add(
                self.path,
                "coordinate",
                "values or start and step",
                "files whose times do not tell those of missing ones",
            )
            return False
        for value in missing:
            ready[value] = Coordinate(starts[value] + longest[: int(entry.items[value])], attrs)
        return True

    def _dated_in(self, dates: Dates, units: str) -> np.ndarray | None:
        try:
            return times.numbered(dates, units)[0]
        except times.TimeError as error:
            self.problems.add(self.path, "units", "units that say every date exactly", str(error))
            return None

    def _misfit(self, row: int, expected: str, found: str) -> None:
        self.problems.of_file(self.path, f"{self.plan.paths[row]} ({self.dim})", "coordinate", expected, found)


def check_calendars(
    plan: SourcePlan, opened: Sequence[Opened], dims: Mapping[str, Mapping[str, Any]], problems: Problems
) -> None:
    """Report files of a source whose times are of another calendar than the definition says, or than most are."""
    for dim in dict.fromkeys(dim for each in opened for dim in each.coordinates):
        column = {
            row: canonical(_calendar(each.coordinates[dim].attrs))
            for row, each in enumerate(opened)
            if dim in each.coordinates and times.is_time(each.coordinates[dim].attrs.get("units"))
        }
        expected = canonical(dims.get(dim, {}).get("calendar") or most_common(column) or "standard")
        path: Path = ("dims", dim) if dim in dims else ("sources", plan.name)
        for row, calendar in column.items():
            if calendar != expected:
                problems.of_file(path, f"{plan.paths[row]} ({dim})", "calendar", expected, calendar)


def _calendar(attrs: Mapping[str, Any]) -> str:
    return str(attrs.get("calendar", "standard")).lower()


def _said(values: np.ndarray) -> str:
    if len(values) > 4:
        return f"{len(values)} values {values[0]} ... {values[-1]}"
    return f"{values.tolist()}"
