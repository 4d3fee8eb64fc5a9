"""A checked definition as a dataset: plans, files, arrays and coordinates, in this order.

Owns the order of the work and what one step hands to the next. Refuses to write.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, Protocol

import numpy as np

from lazyzarr.access.url import child, from_user, join, parent, to_path
from lazyzarr.definition import attributes
from lazyzarr.definition.arrays import Joined, Joiner
from lazyzarr.definition.coordinates import Coordinates, check_calendars
from lazyzarr.definition.files import Coordinate, Opened, Wanted
from lazyzarr.definition.placing import Placing
from lazyzarr.definition.planning import Planner, SourcePlan
from lazyzarr.definition.presence import present
from lazyzarr.definition.problems import Problems, names
from lazyzarr.errors import LazyZarrError
from lazyzarr.opening import Opening
from lazyzarr.view import View

Progress = Callable[[int, int], None]


class OpenFiles(Protocol):
    """Opens the files of a source: in threads, or on a cluster."""

    def __call__(self, plan: SourcePlan, wanted: Wanted, watch: Progress | None) -> list[Opened]:
        """The files of the plan."""
        ...


class Dataset:
    """What a definition says, as far as it could be made.

    Parameters
    ----------
    definition
        Checked.
    where
        Location of the definition, which its stores and tables are relative to.
    open_files
        Opens files.
    opening
        For what is looked up here: tables, listings.
    problems
        Gets every mistake.
    saved
        The arrays that were resolved before, where only what is new is made.
    """

    def __init__(
        self,
        definition: Mapping[str, Any],
        where: str,
        *,
        open_files: OpenFiles,
        opening: Opening,
        problems: Problems,
        progress: Progress | None = None,
        saved: Mapping[str, View] | None = None,
    ) -> None:
        self.definition = definition
        self.where = where
        self.open_files = open_files
        self.opening = opening
        self.problems = problems
        self.progress = progress
        self.saved = saved or {}
        self.plans: dict[str, SourcePlan] = {}
        self.opened: dict[str, list[Opened]] = {}
        self.arrays: dict[str, Joined] = {}
        self.placings: dict[str, Placing] = {}
        self.views: dict[str, View] = {}
        self.coordinates: dict[str, Coordinate] = {}

    # -- sources -------------------------------------------------------------------------------------

    def plan(self) -> None:
        """The rows of every source that an array needs."""
        stores = self.definition.get("stores", {})
        used = {array["from"] for array in self.definition["arrays"].values()}
        for name, array in self.definition["arrays"].items():
            if array["from"] not in self.definition["sources"]:
                known = names(self.definition["sources"])
                self.problems.add(("arrays", name, "from"), "source", f"one of {known}", array["from"])
        for name, source in self.definition["sources"].items():
            if "store" in source and source["store"] not in stores:
                found = source["store"]
                self.problems.add(("sources", name, "store"), "store", f"one of {names(stores)}", found)
                continue
            store = self.store(stores.get(source.get("store", "")))
            planner = Planner(
                name,
                source,
                store,
                load=self.load,
                present=lambda paths, s=store: present(self.opening.session, s, paths.tolist()),
                problems=self.problems,
            )
            found = planner.plan()
            if found is not None and name in used:
                self.plans[name] = found

    def store(self, root: str | None) -> str:
        """Location of a store; without one, of the directory of the definition."""
        if root is None:
            return parent(self.where).rstrip("/")
        if "://" in root or os.path.isabs(root):
            return from_user(root)
        if not self.where.startswith("file://"):
            return join(self.where, root).rstrip("/")
        return FilePath(os.path.normpath(FilePath(to_path(self.where)).parent / root)).as_uri()

    def load(self, path: str) -> bytes:
        """The bytes of a file named beside the definition."""
        url = from_user(path) if "://" in path or os.path.isabs(path) else child(parent(self.where).rstrip("/"), path)
        return bytes(self.opening.session.read(url))

    # -- files ---------------------------------------------------------------------------------------

    def arrays_of(self, source: str) -> dict[str, Mapping[str, Any]]:
        """The arrays that come from a source."""
        return {name: array for name, array in self.definition["arrays"].items() if array["from"] == source}

    def open(self) -> None:
        """Open the files of every source, and report those that are not there or cannot be opened."""
        dims: Mapping[str, Any] = self.definition.get("dims", {})
        for name, plan in self.plans.items():
            mine = self.arrays_of(name)
            paths = {key: _paths(key, array) for key, array in mine.items() if key != "*"}
            others = {array for array in self.definition["arrays"] if array not in mine}
            raw = frozenset(key for key, array in mine.items() if array.get("packing") in ("raw", "same"))
            wanted = Wanted(
                paths,
                raw,
                rest="*" in mine,
                coordinates={
                    dim: None if told.get("coordinate") == "none" else told["coordinate"]
                    for dim, told in dims.items()
                    if "coordinate" in told
                },
                dims=tuple(dict.fromkeys(entry.dim for entry in plan.entries if entry.join == "concat")),
                skipped=frozenset(others),
            )
            opened = self.open_files(plan, wanted, self.progress)
            self.opened[name] = opened
            filled = all(array.get("missing") == "fill" or array.get("take") for array in mine.values())
            self._report(plan, opened, filled)
            check_calendars(plan, opened, dims, self.problems)

    def _report(self, plan: SourcePlan, opened: list[Opened], filled: bool) -> None:
        rows: dict[tuple[str, str, str, str], list[int]] = {}
        for row, each in enumerate(opened):
            file = str(plan.paths[row])
            if each.missing and not filled:
                self.problems.of_file(("sources", plan.name), file, "file", "a file there, or missing: fill", "nothing")
            for failure in each.failures:
                rows.setdefault(failure, []).append(row)
        for (array, what, expected, found), failed in rows.items():
            at = ("arrays", array) if array in self.definition["arrays"] else ("sources", plan.name)
            files = [str(plan.paths[row]) for row in failed]
            if len(files) > 1 and len(files) == plan.rows - sum(each.missing for each in opened):
                files = [f"every file of {plan.name}"]
            for file in files:
                self.problems.of_file(at, f"{file} ({array})" if array else file, what, expected, found)

    # -- arrays --------------------------------------------------------------------------------------

    def join(self) -> None:
        """All arrays, and their attributes."""
        dims = self.definition.get("dims", {})
        lengths = {dim: told["length"] for dim, told in dims.items() if "length" in told}
        for name, array, path in self.entries():
            plan = self.plans.get(array["from"])
            if plan is None:
                continue
            opened = self.opened[plan.name]
            placing = None
            if "place" in array:
                placing = Placing(name, array, plan, opened, path=path, problems=self.problems)
                self.placings[name] = placing
            joiner = Joiner(
                name,
                array,
                plan,
                opened,
                path=path,
                dim_lengths=lengths,
                positions=placing,
                saved=self.saved.get(name),
                problems=self.problems,
            )
            joined = joiner.join()
            if joined is None:
                continue
            attrs = attributes.edited(
                array.get("attributes", {}), joined.first, joined.view.attrs, (*path, "attributes"), self.problems
            )
            self.arrays[name] = joined
            self.views[name] = joined.view.with_attrs(attrs)
        self.agree(lengths)

    def entries(self) -> list[tuple[str, Mapping[str, Any], tuple[str, ...]]]:
        """The arrays with their definitions, those that * stands for one by one, in the order of the first file."""
        found: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = []
        for name, array in self.definition["arrays"].items():
            if name != "*":
                found.append((name, array, ("arrays", name)))
                continue
            first = next((each for each in self.opened.get(array["from"], []) if not each.missing), None)
            rest = [
                key for key in (self.saved if first is None else first.views) if key not in self.definition["arrays"]
            ]
            found += [(key, {**array, "optional_take": True}, ("arrays", "*")) for key in rest]
        return found

    def agree(self, declared: Mapping[str, int]) -> None:
        """All arrays have one length along each dimension."""
        known: dict[str, tuple[int, str]] = {dim: (length, "dims") for dim, length in declared.items()}
        for name, view in self.views.items():
            for dim, length in zip(view.dims or (), view.shape, strict=False):
                if dim is None:
                    continue
                expected, by = known.setdefault(dim, (length, name))
                if length != expected:
                    where = ("arrays", name) if name in self.definition["arrays"] else ("arrays", "*")
                    self.problems.add(where, f"length of {dim}", f"{expected}, as of {by}", f"{length}, of {name}")
        for dim in self.definition.get("dims", {}):
            if dim not in known and self.views and not self.problems.found:
                self.problems.add(("dims", dim), "dimension", f"one of {names(known)}", dim)

    def coordinate(self) -> None:
        """The coordinates of all dimensions."""
        told = self.definition.get("dims", {})
        done = set(self.views)
        for name, joined in self.arrays.items():
            for dim, length in zip(joined.view.dims or (), joined.view.shape, strict=False):
                if dim is None or dim in done:
                    continue
                array = self.definition["arrays"].get(name, self.definition["arrays"].get("*", {}))
                placing = self.placings.get(name)
                made = Coordinates(
                    dim,
                    told.get(dim, {}),
                    length,
                    joined,
                    array.get("trim", {}).get(dim),
                    self.opened[joined.plan.name],
                    self.problems,
                    placed=placing is not None and dim in placing.dims,
                ).coordinate()
                if joined.taken and made is None and dim in self.coordinates:
                    continue
                if made is not None:
                    done.add(dim)
                    edits = told.get(dim, {}).get("attributes", {})
                    attrs = attributes.edited(edits, made.attrs, made.attrs, ("dims", dim, "attributes"), self.problems)
                    self.coordinates[dim] = Coordinate(made.values, attrs)

    def attributes(self) -> dict[str, Any]:
        """Attributes of the dataset."""
        each = [dict(o.attrs) for opened in self.opened.values() for o in opened if not o.missing and not o.failures]
        edits = self.definition.get("attributes", {})
        first = each[0] if each else {}
        return attributes.edited(edits, first, attributes.shared(each), ("attributes",), self.problems)

    def present_of(self, source: str) -> np.ndarray:
        """Which files of a source are there; all, where they were not looked at."""
        if source not in self.opened:
            return np.ones(self.plans[source].rows, bool)
        return np.array([not each.missing for each in self.opened[source]], bool)

    def lengths_of(self, source: str) -> dict[str, np.ndarray]:
        """Cells that each value of the joining entries of a source contributes, by dimension."""
        found: dict[str, np.ndarray] = {}
        for joined in self.arrays.values():
            if joined.plan.name == source:
                found |= joined.lengths
        return found

    def boxes_of(self, source: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray] | None:
        """Dimensions, first cells and lengths of the boxes of the files of a source, if they are placed."""
        for name, joined in self.arrays.items():
            placing = self.placings.get(name)
            if joined.plan.name == source and placing is not None and placing.starts is not None:
                assert placing.counts is not None
                return placing.dims, placing.starts, placing.counts
        return None

    def make(self) -> None:
        """Everything behind the plans, as far as it goes."""
        self.open()
        try:
            self.join()
        except LazyZarrError as error:
            self.problems.add((), "arrays", "files that fit", " ".join(str(error).split()))
            return
        self.coordinate()


def _paths(name: str, array: Mapping[str, Any]) -> tuple[str, ...]:
    """Where an array may be in a file; a file that is one array has it at its root."""
    given = array.get("path")
    if given is None:
        return (name, "")
    return (given,) if isinstance(given, str) else tuple(given)
