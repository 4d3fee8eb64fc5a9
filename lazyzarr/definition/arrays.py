"""One array of the dataset from the views of its files: what has to agree, and how it is joined.

1. Each view is brought to what the definition says: packing, type, names and order of dimensions, trim.
2. Every property is a column over the files; expected is what the definition says, or what most files have.
3. Files that are not there become fill, if the array says so.
4. Views are placed, then joined from the innermost entry of ``tile`` outwards.
Refuses to join anything while a file does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from msgspec import Struct

from lazyzarr.combine import overlay
from lazyzarr.definition.files import Opened
from lazyzarr.definition.joining import joined_cells
from lazyzarr.definition.mosaics import covered, overlaps
from lazyzarr.definition.planning import Entry, SourcePlan
from lazyzarr.definition.problems import Path, Problems, most_common, names
from lazyzarr.errors import CombineError, LazyZarrError
from lazyzarr.fitting import FITS, MEANING
from lazyzarr.formats.packing import packing_of
from lazyzarr.leaves import full, unpacked
from lazyzarr.view import View

MEANT = ("units", "calendar")
PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")

Positions = Callable[[dict[int, View]], tuple[tuple[str, ...], np.ndarray] | None]
"""For the views by row: placed dimensions, and the first cell of each row in them (rows, dimensions)."""


class Joined(Struct, frozen=True):
    """An array of the dataset."""

    view: View
    first: Mapping[str, Any]
    """Attributes of the first file."""
    plan: SourcePlan
    lengths: Mapping[str, np.ndarray]
    """Cells that each value of a joining entry contributes, by dimension."""
    taken: bool = False
    """From the first file alone."""


class Joiner:
    """Joins the views of one array.

    Parameters
    ----------
    name, array
        Of the definition.
    plan, opened
        The files, and what they have.
    dim_lengths
        Lengths that the definition declares.
    positions
        Where views are placed, or None.
    saved
        The array as it was resolved before; what is missing is like that where no file is there.
    problems
        Gets everything that does not fit.
    """

    def __init__(
        self,
        name: str,
        array: Mapping[str, Any],
        plan: SourcePlan,
        opened: Sequence[Opened],
        *,
        path: Path,
        dim_lengths: Mapping[str, int],
        positions: Positions | None,
        saved: View | None,
        problems: Problems,
    ) -> None:
        self.name = name
        self.array = array
        self.plan = plan
        self.opened = opened
        self.path = path
        self.dim_lengths = dim_lengths
        self.positions = positions
        self.saved = saved
        self.problems = problems
        self.failed = False
        self.stacked = [entry.dim for entry in plan.entries if entry.join == "stack"]

    def join(self) -> Joined | None:
        """The array; None where something does not fit, which was reported."""
        views: dict[int, View] = {row: o.views[self.name] for row, o in enumerate(self.opened) if self.name in o.views}
        if not views:
            return self.nothing()
        first = min(views)
        attrs = dict(views[first].attrs)
        views = {row: found for row, view in views.items() if (found := self.prepared(row, view)) is not None}
        if self.failed or not views:
            return None
        dims = self.same("dimensions", {row: view.dims for row, view in views.items()}, names)
        joins = [entry for entry in self.plan.entries if entry.join in ("concat", "interleave")]
        if self.array.get("take") == "first" or (
            self.array.get("optional_take") and not any(entry.dim in (dims or ()) for entry in joins)
        ):
            return self.taken(views, attrs)
        if dims is None:
            self._wrong("dimensions", "names, in the files or as dims", "none")
            return None
        for entry in joins:
            if entry.dim not in dims:
                self._wrong("dimension", f"{entry.dim}, along which files are joined, or take: first", names(dims))
        if self.failed:
            return None
        if not self._agree(views, dims, joins):
            return None
        return self._assembled(views, views[min(views)], attrs)

    def nothing(self) -> Joined | None:
        """The array where none of its files is there: fill, if it is known what they are like."""
        missing = self.array.get("missing", "error") == "fill" and any(each.missing for each in self.opened)
        if missing and self.saved is not None and self.positions is None and not self.array.get("take"):
            stacked = [k for k, dim in enumerate(self.saved.dims or ()) if dim in self.stacked]
            cell = tuple(0 if k in stacked else slice(None) for k in range(self.saved.ndim))
            return self._assembled({}, self.saved[cell], self.saved.attrs)
        if missing or not any(each.failures or each.missing for each in self.opened):
            self._wrong("files", "at least one", "none")
        return None

    def _wrong(self, what: str, expected: str, found: str) -> None:
        self.failed = True
        self.problems.add(self.path, what, expected, found)

    def _misfit(self, row: int, what: str, expected: str, found: str) -> None:
        self.failed = True
        file = f"{self.plan.paths[row]} ({self.name})"
        self.problems.of_file(self.path, file, what, expected, found)

    # -- one view ------------------------------------------------------------------------------------

    def prepared(self, row: int, view: View) -> View | None:
        """A view with the packing, type, dimensions and extent that the definition says."""
        try:
            if self.array.get("dims") is not None:
                wanted = tuple(dim for dim in self.array["dims"] if dim not in self.stacked)
                if len(wanted) != view.ndim:
                    self._misfit(row, "rank", f"{len(wanted)} ({names(wanted)})", f"{view.ndim} {view.shape}")
                    return None
                if view.dims is None or None in view.dims:
                    view = view.rename_dims(wanted)
                elif set(view.dims) == set(wanted):
                    if view.dims != wanted:
                        view = view.transpose(*(view.dims.index(dim) for dim in wanted))
                else:
                    self._misfit(row, "dimensions", names(wanted), names(view.dims))
                    return None
            for dim, cut in self.array.get("trim", {}).items():
                before, after = cut if isinstance(cut, list) else (cut, cut)
                if dim not in (view.dims or ()):
                    self._misfit(row, "trim", f"one of the dimensions {names(view.dims or ())}", dim)
                    return None
                axis = (view.dims or ()).index(dim)
                length = view.shape[axis]
                if before + after >= length:
                    self._misfit(row, "trim", f"less than the length {length} of {dim}", f"{before + after}")
                    return None
                view = view[(slice(None),) * axis + (slice(before, length - after),)]
        except LazyZarrError as error:
            self._misfit(row, "array", "one that can be brought to this form", " ".join(str(error).split()))
            return None
        return view

    def _typed(self, view: View) -> View:
        given = self.array["dtype"]
        if isinstance(given, str):
            return view.astype(given)
        return view.astype(given["name"], rounding=given.get("rounding"), out_of_range=given.get("out_of_range"))

    # -- agreement -----------------------------------------------------------------------------------

    def same(self, what: str, column: Mapping[int, Any], said: Callable[[Any], str] = str, expected: Any = None) -> Any:
        """Expect one value in a column; what is expected."""
        column = {row: tuple(value) if isinstance(value, list) else value for row, value in column.items()}
        distinct = set(column.values())
        wanted = most_common(column) if expected is None else expected
        if distinct != {wanted}:
            for row, value in column.items():
                if value != wanted:
                    self._misfit(row, what, _text(wanted, said), _text(value, said))
        return wanted

    def lengths(self, what: str, rows: np.ndarray, found: np.ndarray, expected: Any) -> None:
        """Expect lengths in a column, of each row or one for all; None: what most rows have, the first of equally many."""
        if expected is None:
            values, first, counts = np.unique(found, return_index=True, return_counts=True)
            expected = values[np.lexsort((first, -counts))[0]]
        wanted = np.broadcast_to(expected, found.shape)
        for number in np.flatnonzero(found != wanted).tolist():
            self._misfit(int(rows[number]), what, str(wanted[number]), str(found[number]))

    def _agree(self, views: dict[int, View], dims: tuple[str | None, ...], joins: Sequence[Entry]) -> bool:
        placed = self.array.get("place") is not None
        along = {entry.dim for entry in joins}
        rows = np.array(list(views))
        shapes = np.array([view.shape for view in views.values()], np.int64).reshape(len(views), len(dims))
        for axis, dim in enumerate(dims):
            if dim not in along and not placed:
                expected = self.dim_lengths.get(str(dim))
                self.lengths(f"length of {dim}", rows, shapes[:, axis], expected)
        for number, entry in enumerate(self.plan.entries):
            if entry.items is not None and entry.dim in dims:
                wanted = entry.items[self.plan.at[rows, number]]
                self.lengths(f"length of {entry.dim}", rows, shapes[:, dims.index(entry.dim)], wanted)
        if self.array.get("packing") == "same":
            for attribute in PACKING:
                self.same(attribute, {row: _value(view.attrs.get(attribute)) for row, view in views.items()})
            if any(attribute in view.attrs for view in views.values() for attribute in FITS):
                self._wrong("packing", "per-source or raw for files of FITS", "same")
        for attribute in MEANT:
            expected = self.array.get("units") if attribute == "units" else None
            self.same(attribute, {row: _value(v.attrs.get(attribute)) for row, v in views.items()}, expected=expected)
        if self.array.get("packing") == "raw":
            for attribute in MEANING[2:]:
                self.same(attribute, {row: _value(view.attrs.get(attribute)) for row, view in views.items()})
        if "dtype" not in self.array:
            self.same("data type", {row: str(view.dtype) for row, view in views.items()})
        return not self.failed

    # -- joining -------------------------------------------------------------------------------------

    def _finished(self, view: View, row: int) -> View | None:
        try:
            if self.array.get("packing") == "same" and any(name in view.attrs for name in PACKING):
                decode, rest = packing_of(view.attrs, view.dtype, "auto")
                view = view if decode is None else unpacked(view, decode).with_attrs(rest)
            return self._typed(view) if "dtype" in self.array else view
        except LazyZarrError as error:
            self._misfit(
                row, "data type", str(self.array.get("dtype", "one to unpack to")), " ".join(str(error).split())
            )
            return None

    def taken(self, views: dict[int, View], attrs: Mapping[str, Any]) -> Joined | None:
        """The array of the first file; the others have equal cells, unless that is not to be looked at."""
        first = min(views)
        if self.array.get("check", "equal") == "equal":
            expected = views[first].read()
            for row, view in views.items():
                if view.shape != expected.shape or view.dtype != expected.dtype:
                    self._misfit(
                        row, "shape and type", f"{expected.dtype} {expected.shape}", f"{view.dtype} {view.shape}"
                    )
                elif not _equal(view.read(), expected):
                    self._misfit(row, "cells", f"those of {self.plan.paths[first]}, or check: none", "others")
        view = self._finished(views[first], first)
        return None if self.failed or view is None else Joined(view, attrs, self.plan, {}, taken=True)

    def _assembled(self, views: dict[int, View], like: View, attrs: Mapping[str, Any]) -> Joined | None:
        finished = {row: done for row, view in views.items() if (done := self._finished(view, row)) is not None}
        if self.failed:
            return None
        like = finished[min(finished)] if finished else like
        dims = like.dims or ()
        joined = self.plan.joined()
        sizes = [self.plan.entries[k].size for k in joined]
        group = np.zeros(self.plan.rows, np.int64)
        if joined:
            group = np.asarray(np.ravel_multi_index(tuple(self.plan.at[:, list(joined)].T), sizes))
        placing = None if self.positions is None else self.positions(finished)
        if self.positions is not None and placing is None:
            return None
        try:
            cells = self.cells(finished, like, group, sizes, placing)
            if cells is None:
                return None
            view, lengths = joined_cells(cells, dims, self.plan, self.array.get("dims", ()))
        except CombineError as error:
            for problem in error.problems:
                self._wrong("join", "files that fit", problem)
            return None
        return Joined(view, attrs, self.plan, lengths)

    def cells(
        self,
        views: dict[int, View],
        like: View,
        group: np.ndarray,
        sizes: Sequence[int],
        placing: tuple[tuple[str, ...], np.ndarray] | None,
    ) -> list[View] | None:
        """One view for each combination of the values of the joining entries; None where one is not there."""
        count = int(np.prod(sizes, dtype=np.int64))
        rows = np.argsort(group, kind="stable")
        bounds = np.searchsorted(group[rows], np.arange(count + 1))
        if placing is not None:
            return self.mosaics(views, like.dims or (), [rows[a:b] for a, b in pairwise(bounds.tolist())], placing)
        twice = np.flatnonzero(np.diff(bounds) > 1)
        for number in twice.tolist():
            files = self.plan.paths[rows[bounds[number] : bounds[number + 1]]]
            self._wrong("files", f"one for {self.said(number, sizes)}, or place", names(files, 4))
        if self.failed:
            return None
        file_of = np.full(count, -1, np.int64)
        file_of[group] = np.arange(len(group))
        found: list[View | None] = [views.get(row) for row in file_of.tolist()]
        for number in [number for number, view in enumerate(found) if view is None]:
            found[number] = self.filled(number, int(file_of[number]), sizes, like)
        whole = [view for view in found if view is not None]
        return whole if len(whole) == count and not self.failed else None

    def said(self, number: int, sizes: Sequence[int]) -> str:
        """A combination of values in words."""
        at = np.unravel_index(number, sizes) if sizes else ()
        return names(
            f"{self.plan.entries[k].name} {int(value)}" for k, value in zip(self.plan.joined(), at, strict=True)
        )

    def filled(self, number: int, row: int, sizes: Sequence[int], template: View) -> View | None:
        """What stands for a file that is not there."""
        if self.array.get("missing", "error") == "error":
            if row < 0:
                self._wrong("files", f"one for {self.said(number, sizes)}, or missing: fill", "none")
            return None  # a row whose file is missing was reported with the files
        shape = list(template.shape)
        at = np.unravel_index(number, sizes)
        for k, value in zip(self.plan.joined(), at, strict=True):
            entry = self.plan.entries[k]
            if entry.join == "stack":
                continue
            if entry.items is None:
                self._wrong("missing", f"items for {entry.dim}, that the length of a missing file is known", "scan")
                return None
            assert template.dims is not None
            shape[template.dims.index(entry.dim)] = int(entry.items[value])
        fill = self._fill(template)
        if fill is None:
            return None
        return full(shape, fill, dtype=template.dtype).rename_dims(template.dims or ()).with_attrs(template.attrs)

    def _fill(self, template: View) -> Any:
        if "fill" in self.array:
            given = self.array["fill"]
            return np.nan if isinstance(given, str) and given.lower() == "nan" else given
        if template.dtype.kind == "f":
            return np.nan
        self._wrong("fill", f"a value for cells of type {template.dtype} that no file has", "none")
        return None

    def mosaics(
        self,
        views: dict[int, View],
        dims: tuple[str | None, ...],
        groups: Sequence[np.ndarray],
        placing: tuple[tuple[str, ...], np.ndarray],
    ) -> list[View] | None:
        """Views placed as boxes, one overlay for each group of rows."""
        placed, origins = placing
        axes = [dims.index(dim) for dim in placed]
        present = np.array(sorted(views))
        shapes = np.array([views[row].shape for row in present.tolist()], np.int64)
        starts = np.zeros_like(shapes)
        starts[:, axes] = origins[present]
        shape = [
            self.dim_lengths.get(str(dim), int(n)) for dim, n in zip(dims, (starts + shapes).max(axis=0), strict=True)
        ]
        outside = (starts < 0) | (starts + shapes > np.array(shape))
        for k, axis in zip(*np.nonzero(outside), strict=True):
            box = f"{starts[k, axis]}:{starts[k, axis] + shapes[k, axis]}"
            self._misfit(int(present[k]), f"box along {dims[axis]}", f"within 0:{shape[axis]}", box)
        if self.failed:
            return None
        where = {row: k for k, row in enumerate(present.tolist())}
        found: list[View] = []
        for rows in groups:
            there = [where[row] for row in rows.tolist() if row in where]
            placed_view = self._mosaic(views, present[there], starts[there], shapes[there], shape)
            if placed_view is not None:
                found.append(placed_view)
        return None if self.failed else found

    def _mosaic(
        self, views: dict[int, View], rows: np.ndarray, starts: np.ndarray, shapes: np.ndarray, shape: list[int]
    ) -> View | None:
        """The boxes of some rows on a common ground."""
        template = views[min(views)]
        fill: Any = template.fill_value
        if not len(rows) or not covered(starts, shapes, shape):
            fill = self._fill(template)
            if fill is None:
                return None
        if not len(rows):
            return full(shape, fill, dtype=template.dtype).rename_dims(template.dims or ()).with_attrs(template.attrs)
        overlap = self.array.get("overlap", "error")
        pairs = overlaps(starts, shapes) if overlap == "error" else []
        for one, other in pairs:
            first, second = (f"{self.plan.paths[rows[k]]} at {tuple(starts[k].tolist())}" for k in (one, other))
            self._misfit(int(rows[other]), "box", f"no overlap with {first}, or overlap: first or last", second)
        if pairs:
            return None
        boxes = [(views[row], start) for row, start in zip(rows.tolist(), starts.tolist(), strict=True)]
        return overlay(shape, boxes, fill_value=fill, overlap=overlap)


def _value(value: Any) -> Any:
    """An attribute value that can be compared and counted."""
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(np.asarray(value).ravel().tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return "NaN" if isinstance(value, float) and value != value else value


def _text(value: Any, said: Callable[[Any], str]) -> str:
    return "none" if value is None else said(value)


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
