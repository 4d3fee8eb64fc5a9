"""Sources as rows: which files there are to be, and where each belongs, in columns.

1. Every entry of ``tile`` becomes the column of values of its variable.
2. The product of the entries, or the rows of a table, are the rows of the plan; ``at`` says which value of each entry
   a row has.
3. Paths are rendered column by column from the template.
Refuses to open a file; only a table is read, and listings are asked where a series has no end.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from msgspec import Struct

from lazyzarr.definition import calendars, tables, templates
from lazyzarr.definition.problems import Path, Problems, names
from lazyzarr.definition.templates import Dates, Field, TemplateError
from lazyzarr.errors import LazyZarrError

MOST_ROWS = 10_000_000
FIRST_OPEN = 256
"""Files looked for at first where a range has no end [files]."""

Present = Callable[[np.ndarray], np.ndarray]
"""Which of some paths below the store of a source have a file."""


class Entry(Struct, frozen=True):
    """One entry of ``tile``."""

    join: str
    dim: str
    name: str
    values: np.ndarray | Dates
    size: int
    items: np.ndarray | None = None
    """Cells that each value contributes; None where the files say it."""
    open: bool = False
    """Whether it goes on as long as there are files."""


class SourcePlan(Struct, frozen=True):
    """The files of a source."""

    name: str
    entries: tuple[Entry, ...]
    at: np.ndarray
    """Which value of each entry a row has (rows, entries)."""
    columns: Mapping[str, np.ndarray]
    """Columns of a table or of boxes."""
    paths: np.ndarray
    """Below the store (rows,)."""
    store: str
    """Location of the store."""
    format: str = "auto"

    @property
    def rows(self) -> int:
        """Number of files."""
        return len(self.paths)

    def column(self, name: str) -> np.ndarray | None:
        """A value for each row: a column, or the values of a variable that are no dates; None where there is none."""
        if name in self.columns:
            return self.columns[name]
        for number, entry in enumerate(self.entries):
            if entry.name == name and not isinstance(entry.values, Dates):
                return entry.values[self.at[:, number]]
        return None

    def joined(self) -> tuple[int, ...]:
        """Numbers of the entries that join files along a dimension."""
        return tuple(number for number, entry in enumerate(self.entries) if entry.join != "each")


class Planner:
    """Makes the plan of one source.

    Parameters
    ----------
    name, source
        Of the definition, checked.
    store
        Location of its store.
    load
        The bytes of a file named beside the definition.
    present
        Which paths have a file.
    problems
        Gets every mistake.
    """

    def __init__(
        self,
        name: str,
        source: Mapping[str, Any],
        store: str,
        *,
        load: Callable[[str], bytes],
        present: Present,
        problems: Problems,
    ) -> None:
        self.name = name
        self.source = source
        self.path: Path = ("sources", name)
        self.store = store
        self.load = load
        self.present = present
        self.problems = problems
        self.failed = False

    def plan(self) -> SourcePlan | None:
        """The rows; None where a mistake was found."""
        kinds = [key for key in ("table", "boxes") if key in self.source]
        if len(kinds) == 2:
            self._wrong(self.path, "keys", "table or boxes", "both")
        if not kinds and "path" not in self.source:
            self._wrong(self.path, "keys", "path, table or boxes", names(self.source))
        columns = {} if not kinds else self._table() if kinds[0] == "table" else self._boxes()
        if columns is None or self.failed:
            return None
        rows = len(next(iter(columns.values()))) if columns else None
        entries = [
            entry for k, tile in enumerate(self.source.get("tile", [])) if (entry := self._entry(k, tile, columns))
        ]
        template = self._template(kinds, columns, entries)
        self._distinct(entries)
        if self.failed or template is None:
            return None
        return (
            self.open_ended(entries, columns, template)
            if rows is None
            else self._tabled(entries, columns, template, rows)
        )

    def _wrong(self, path: Path, what: str, expected: str, found: str) -> None:
        self.failed = True
        self.problems.add(path, what, expected, found)

    # -- columns -------------------------------------------------------------------------------------

    def _table(self) -> dict[str, np.ndarray] | None:
        given = self.source["table"]
        told = {"path": given} if isinstance(given, str) else given
        try:
            text = self.load(told["path"])
            found = tables.columns(told.get("format") or tables.kind_of(told["path"], text), text, told.get("asset"))
        except tables.TableError as error:
            self._wrong((*self.path, "table"), "table", "a table of files", f"{told['path']}: {error}")
            return None
        except (OSError, LazyZarrError) as error:
            self._wrong((*self.path, "table"), "table", "a file", f"{told['path']}: {error}")
            return None
        if not found or not len(next(iter(found.values()))):
            self._wrong((*self.path, "table"), "table", "at least one row", f"none in {told['path']}")
            return None
        return found

    def _boxes(self) -> dict[str, np.ndarray] | None:
        boxes = self.source["boxes"]
        dims = list(boxes[0]["at"])
        for number, box in enumerate(boxes):
            if set(box["at"]) != set(dims):
                self._wrong((*self.path, "boxes", number, "at"), "dimensions", names(dims), names(box["at"]))
        if self.failed:
            return None
        columns = {f"at:{dim}": np.array([box["at"][dim] for box in boxes]) for dim in dims}
        return {"path": np.array([box["path"] for box in boxes], str)} | columns

    def _entry(self, number: int, tile: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> Entry | None:
        path: Path = (*self.path, "tile", number)
        joins = [key for key in ("concat", "stack", "interleave", "each") if key in tile]
        given = [key for key in ("dates", "range", "values") if key in tile]
        if len(joins) != 1:
            return self._wrong(path, "keys", "one of concat, stack, interleave and each", names(joins))
        if len(given) > 1 or not (given or columns):
            return self._wrong(path, "keys", "one of dates, range and values", names(given))
        if "calendar" in tile and given != ["dates"]:
            self._wrong((*path, "calendar"), "keys", "calendar beside dates", names(given))
        dim = tile[joins[0]]
        name = tile.get("name", dim)
        if columns and given and not isinstance(tile.get("values"), dict):
            return self._wrong((*path, given[0]), "keys", "values: {column: ...} in a source with a table", given[0])
        following: Dates | None = None
        unlimited = False
        values: np.ndarray | Dates
        if given == ["dates"]:
            made = self._dates(path, tile)
            if made is None:
                return None
            following, unlimited = made
            size = len(following.columns["year"]) - 1
            values = Dates({part: column[:-1] for part, column in following.columns.items()}, following.calendar)
        elif given == ["range"]:
            found = self._range(path, tile["range"])
            if found is None:
                return None
            values, unlimited = found
            size = len(values)
        elif columns:
            column = tile["values"]["column"] if given else None
            if column is not None and column not in columns:
                return self._wrong((*path, "values"), "column", f"one of {names(columns)}", column)
            values = columns[column] if column is not None else np.arange(len(next(iter(columns.values()))))
            values = values[np.sort(np.unique(values, return_index=True)[1])]
            size = len(values)
        else:
            if isinstance(tile["values"], dict):
                return self._wrong((*path, "values"), "values", "a list, in a source without a table", "a column")
            values = np.array(tile["values"])
            if values.dtype.kind not in "iUf" or any(isinstance(v, bool) for v in tile["values"]):
                return self._wrong((*path, "values"), "values", "texts, or numbers", repr(tile["values"])[:80])
            if len(set(tile["values"])) != len(values):
                return self._wrong((*path, "values"), "values", "each value once", repr(tile["values"])[:80])
            size = len(values)
        if not size:
            return self._wrong((*path, *given), "values", "at least one", "none")
        if unlimited and number:
            return self._wrong((*path, *given), "end", "to or count; only the first entry may go on", "none")
        items = self._items(path, tile, size, following, columns)
        return Entry(joins[0], dim, name, values, size, items, unlimited)

    def _dates(self, path: Path, tile: Mapping[str, Any]) -> tuple[Dates, bool] | None:
        given = tile["dates"]
        calendar = tile.get("calendar", "standard")
        if "to" in given and "count" in given:
            return self._wrong((*path, "dates"), "keys", "to or count", "both")
        ends: dict[str, tuple[int, ...]] = {}
        for key in ("from", "to"):
            if key in given:
                found = calendars.parse(given[key], calendar)
                if isinstance(found, str):
                    self._wrong(
                        (*path, "dates", key), "date", f"a day of the calendar {calendar}", f"{given[key]}: {found}"
                    )
                else:
                    ends[key] = found
        if "from" not in ends or ("to" in given and "to" not in ends):
            return None
        step = calendars.step_of(given.get("step", "1 day"))
        if step[1] in ("month", "year") and ends["from"][2] > 28:
            return self._wrong((*path, "dates", "from"), "day", "at most 28 with a step of months", str(given["from"]))
        unlimited = "to" not in given and "count" not in given
        if given.get("count", 0) > MOST_ROWS:
            return self._wrong((*path, "dates", "count"), "count", f"at most {MOST_ROWS:,}", f"{given['count']:,}")
        last = ends.get("to")
        if unlimited:
            now = datetime.datetime.now(datetime.UTC)
            last = (now.year, now.month, min(now.day, 28 if calendar != "standard" else now.day), now.hour, 0, 0)
        columns = calendars.enumerated(ends["from"], step, calendar, count=given.get("count"), last=last)
        return Dates(columns, calendar), unlimited

    def _range(
        self, path: Path, given: Mapping[str, Any], open_count: int = FIRST_OPEN
    ) -> tuple[np.ndarray, bool] | None:
        if "to" in given and "count" in given:
            return self._wrong((*path, "range"), "keys", "to or count", "both")
        first, step = given.get("from", 0), given.get("step", 1)
        unlimited = "to" not in given and "count" not in given
        count = open_count if unlimited else given.get("count", (given.get("to", first) - first) // step + 1)
        if count > MOST_ROWS:
            return self._wrong((*path, "range"), "count", f"at most {MOST_ROWS:,}", f"{count:,}")
        if max(abs(first), abs(first + step * count)) >= 2**63:
            return self._wrong((*path, "range"), "range", "integers of 64 bits", f"{first} and on")
        return first + step * np.arange(max(count, 0), dtype=np.int64), unlimited

    def _items(
        self, path: Path, tile: Mapping[str, Any], size: int, following: Dates | None, columns: Mapping[str, np.ndarray]
    ) -> np.ndarray | None:
        given = tile.get("items", "scan")
        path = (*path, "items")
        if given == "scan":
            return None
        if "concat" not in tile and "interleave" not in tile:
            return self._wrong(path, "items", "none beside stack and each, where a file is one step", repr(given))
        if given == "days":
            if following is None:
                return self._wrong(path, "items", "dates, whose days are counted", "none")
            parts = following.columns
            return np.diff(calendars.days(following.calendar, parts["year"], parts["month"], parts["day"]))
        if isinstance(given, int):
            return np.full(size, given, np.int64)
        if isinstance(given, dict):
            found = columns.get(given["column"])
            if found is None or found.dtype.kind not in "iu":
                return self._wrong(path, "column", "the name of a column of integers", given["column"])
            if len(found) != size:
                return self._wrong(path, "column", "one row of the table for each value", f"{len(found)} for {size}")
            return found.astype(np.int64)
        if len(given) != size:
            return self._wrong(path, "items", f"{size} numbers, one for each value", f"{len(given)}")
        return np.array(given, np.int64)

    # -- paths ---------------------------------------------------------------------------------------

    def _template(
        self, kinds: list[str], columns: Mapping[str, Any], entries: list[Entry]
    ) -> tuple[str | Field, ...] | None:
        path: Path = (*self.path, "path")
        if kinds == ["boxes"]:
            if "path" in self.source or entries:
                return self._wrong(path, "keys", "no path and no tile beside boxes", "one of them")
            return (Field("path", None, None),)
        text = self.source.get("path")
        if text is None:
            name = next((name for name in ("path", "file", "href") if name in columns), None)
            if name is None:
                return self._wrong(self.path, "keys", "path, or a column path, file or href", names(columns))
            return (Field(name, None, None),)
        try:
            parts = templates.parsed(text)
        except TemplateError as error:
            return self._wrong(path, "template", "text with fields {name}, {name:05d} or {name:%Y}", str(error))
        known = {*columns, *(entry.name for entry in entries)}
        for part in templates.fields(parts):
            if part.name not in known and len(entries) == len(self.source.get("tile", [])):
                self._wrong(path, "template", f"one of the variables {names(sorted(known))}", part.name)
        used = {part.name for part in templates.fields(parts)}
        for number, entry in enumerate(entries):
            if entry.name not in used and not columns:
                self._wrong(path, "template", f"the variable {entry.name} of tile[{number}]", repr(text))
        return parts

    def _distinct(self, entries: list[Entry]) -> None:
        for what in ("name", "dim"):
            listed = [getattr(entry, what) for entry in entries]
            if len(set(listed)) != len(listed):
                self._wrong((*self.path, "tile"), "entries", f"each {what} once", names(listed))

    # -- rows ----------------------------------------------------------------------------------------

    def open_ended(
        self, entries: list[Entry], columns: Mapping[str, np.ndarray], template: tuple[str | Field, ...]
    ) -> SourcePlan | None:
        """The product of the entries; where the first has no end, as far as there are files."""
        made = self._product(entries, columns, template)
        if made is None or not entries or not entries[0].open:
            return made
        while True:
            block = made.rows // made.entries[0].size
            there = self.present(made.paths).reshape(made.entries[0].size, block).any(axis=1)
            last = int(np.flatnonzero(there)[-1]) + 1 if there.any() else 0
            dated = isinstance(made.entries[0].values, Dates)
            if dated or last <= len(there) // 2:
                break
            given = self.source["tile"][0]["range"]
            found = self._range((*self.path, "tile", 0), given, open_count=made.entries[0].size * 4)
            if found is None:
                return None
            grown = Entry(
                entries[0].join,
                entries[0].dim,
                entries[0].name,
                found[0],
                len(found[0]),
                None if entries[0].items is None else np.full(len(found[0]), entries[0].items[0]),
                True,
            )
            made = self._product([grown, *entries[1:]], columns, template)
            if made is None:
                return None
        if not last:
            return self._wrong((*self.path, "tile", 0), "files", "at least one", f"none, such as {made.paths[0]}")
        return head(made, last)

    def _product(
        self, entries: list[Entry], columns: Mapping[str, np.ndarray], template: tuple[str | Field, ...]
    ) -> SourcePlan | None:
        sizes = [entry.size for entry in entries]
        rows = math.prod(sizes)
        if rows > MOST_ROWS:
            return self._wrong((*self.path, "tile"), "files", f"at most {MOST_ROWS:,}", f"{rows:,}")
        grid = np.unravel_index(np.arange(rows), sizes) if sizes else ()
        at = np.stack(grid, axis=1) if sizes else np.zeros((1, 0), np.int64)
        return self._finished(entries, at, columns, template, rows)

    def _tabled(
        self,
        entries: list[Entry],
        columns: Mapping[str, np.ndarray],
        template: tuple[str | Field, ...],
        rows: int,
    ) -> SourcePlan | None:
        at = np.zeros((rows, len(entries)), np.int64)
        for number, (entry, tile) in enumerate(zip(entries, self.source.get("tile", []), strict=True)):
            column = columns[tile["values"]["column"]] if "values" in tile else np.arange(rows)
            assert isinstance(entry.values, np.ndarray)
            order = np.argsort(entry.values)
            at[:, number] = order[np.searchsorted(entry.values[order], column)]
        return self._finished(entries, at, columns, template, rows)

    def _finished(
        self,
        entries: list[Entry],
        at: np.ndarray,
        columns: Mapping[str, np.ndarray],
        template: tuple[str | Field, ...],
        rows: int,
    ) -> SourcePlan | None:
        numbers = {entry.name: number for number, entry in enumerate(entries)}

        def texts(field: Field) -> np.ndarray:
            if field.name in columns:
                return templates.filled(field, columns[field.name])
            number = numbers[field.name]
            return templates.filled(field, entries[number].values)[at[:, number]]

        try:
            paths = templates.rendered(template, texts, rows)
        except TemplateError as error:
            return self._wrong((*self.path, "path"), "template", "fields that fit their values", str(error))
        form = self.source.get("format", "auto")
        return SourcePlan(self.name, tuple(entries), at, columns, paths, self.store, form)


def head(plan: SourcePlan, count: int, first: int = 0) -> SourcePlan:
    """The plan of some values of the outermost entry alone: ``count`` in all, from ``first`` on."""
    entry = plan.entries[0]
    keep = (plan.at[:, 0] >= first) & (plan.at[:, 0] < count)
    at = plan.at[keep]
    at[:, 0] -= first
    values: Any = entry.values
    if isinstance(values, Dates):
        values = Dates({part: column[first:count] for part, column in values.columns.items()}, values.calendar)
    else:
        values = values[first:count]
    items = None if entry.items is None else entry.items[first:count]
    cut = Entry(entry.join, entry.dim, entry.name, values, count - first, items, entry.open)
    columns = {name: column[keep] for name, column in plan.columns.items()}
    return SourcePlan(plan.name, (cut, *plan.entries[1:]), at, columns, plan.paths[keep], plan.store, plan.format)
