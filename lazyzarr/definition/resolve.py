"""From a definition to a saved dataset: `resolve`.

Owns the phases: read and check the text, make the dataset, report every mistake, then save or append. Refuses to write
anything while there is a mistake.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from lazyzarr.access.policy import grant_for
from lazyzarr.access.url import from_user, shown
from lazyzarr.appending import append_members
from lazyzarr.definition import ome, steps
from lazyzarr.definition.cluster_files import opened_on
from lazyzarr.definition.dataset import Dataset
from lazyzarr.definition.files import Coordinate, Opened, Wanted, opened
from lazyzarr.definition.forms import WRONG
from lazyzarr.definition.growth import Growth
from lazyzarr.definition.keys import DEFINITION
from lazyzarr.definition.planning import SourcePlan
from lazyzarr.definition.presence import absent, present
from lazyzarr.definition.problems import Problems
from lazyzarr.definition.reading import read
from lazyzarr.definition.report import Resolution, array_report, file_report
from lazyzarr.definition.selections import Selected, Selector
from lazyzarr.display.flat import advised_grid
from lazyzarr.document.groups import ArrayMember, GroupMember, Member, ViewMember, encode_group
from lazyzarr.errors import SourceMissing
from lazyzarr.group import DEFINITION as REMEMBERED
from lazyzarr.group import MEMORY, Group
from lazyzarr.opening import Opening
from lazyzarr.places import Place
from lazyzarr.saving import check_savable
from lazyzarr.view import View

Progress = Callable[[int, int], None]


def resolve(
    definition: str | os.PathLike[str],
    out: Any,
    *,
    dry_run: bool = False,
    scheduler: Any = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Resolution:
    """Make the dataset that a definition describes: list and open its files, check them, save the graph.

    Resolving again, after the first entry of a ``tile`` has become longer, opens the new files alone and appends them.

    Parameters
    ----------
    definition
        Path or URL of a definition in YAML or JSON.
    out
        Where the dataset will be: a path, a URL, or a Zarr store.
    dry_run
        Open and check everything, and write nothing.
    scheduler
        A ``distributed.Client``, or the address of a scheduler, whose workers open the files; they need to see them
        under the same names.
    overwrite
        Resolve all files anew, and replace what lazyzarr saved there before.
    progress
        Called with the number of files that are opened and of all, for each source.
    storage_options
        ``{prefix: options}`` for remote storage; never stored.

    Returns
    -------
    Resolution
        Files with their boxes, arrays with their classes; printed, it is a table.

    Raises
    ------
    DefinitionError
        Listing every mistake of the definition and every file that does not fit.
    CombineError
        New files do not fit what is saved, which is input 0.
    SaveConflict
        There is something else at ``out``, or what was resolved before is not the beginning of what is to be.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, zarr, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for k in range(2):
    ...         _ = zarr.create_array(f"{folder}/data/{k}.zarr", data=np.full(3, k, "int8"), dimension_names=["x"])
    ...     _ = pathlib.Path(folder, "d.lz.yaml").write_text('''
    ... lazyzarr: 1
    ... sources:
    ...   parts:
    ...     path: data/{x}.zarr
    ...     tile: [{concat: x, range: {to: 1}}]
    ... arrays:
    ...   a: {from: parts}
    ... ''')
    ...     done = lz.resolve(f"{folder}/d.lz.yaml", f"{folder}/out.zarr")
    ...     lz.open(f"{folder}/out.zarr")["a"].read().tolist(), done.files[0].boxes
    ([0, 0, 0, 1, 1, 1], ('x 0:3', 'x 3:6'))
    """
    return _Resolving(definition, out, scheduler, progress, storage_options).run(dry_run, overwrite)


class _Resolving:
    """One call."""

    def __init__(
        self,
        definition: str | os.PathLike[str],
        out: Any,
        scheduler: Any,
        progress: Progress | None,
        storage_options: Mapping[str, Mapping[str, Any]] | None,
    ) -> None:
        self.where = from_user(definition)
        self.opening = Opening(storage_options=storage_options)
        self.options = storage_options
        self.problems = Problems(os.path.basename(shown(self.where)))
        self.out = out
        self.place = Place(out, storage_options)
        self.scheduler = scheduler
        self.progress = progress
        self.count = 0

    def run(self, dry_run: bool, overwrite: bool) -> Resolution:
        told = self.checked()
        dataset = self.dataset(told)
        dataset.plan()
        saved = (
            None
            if overwrite or self.problems.found
            else self.saved(told, [plan.store for plan in dataset.plans.values()])
        )
        if saved is not None:
            return self.grown(told, dataset, saved, dry_run)
        dataset.make()
        attrs = dataset.attributes()
        if "ome" in told and not self.problems.found:
            attrs |= ome.metadata(told["ome"], dataset.views, dataset.placings, self.problems)
        selected = self.selected(told, dataset, dataset.views, dataset.coordinates)
        self.problems.check()
        if not dry_run:
            members = _members(dataset.views, dataset.coordinates, selected) | {MEMORY: _memory(told, dataset)}
            self.put(members, attrs, overwrite)
        return self.resolution(dataset, written=not dry_run, appended=0, whatever=dry_run)

    def checked(self) -> dict[str, Any]:
        """The definition without what is wrong with it."""
        told = DEFINITION.check(read(bytes(self.opening.session.read(self.where)), self.problems), (), self.problems)
        if told is WRONG:
            self.problems.check()
        return told

    def dataset(self, told: Mapping[str, Any], saved: Mapping[str, View] | None = None) -> Dataset:
        return Dataset(
            told,
            self.where,
            open_files=self.open_files,
            opening=self.opening,
            problems=self.problems,
            progress=self.progress,
            saved=saved,
        )

    def open_files(self, plan: SourcePlan, wanted: Wanted, watch: Progress | None) -> list[Opened]:
        gone = absent(self.opening.session, plan.store, plan.paths.tolist())
        rows = np.flatnonzero(~gone)
        self.count += len(rows)
        paths = plan.paths[rows].tolist()
        if self.scheduler is None:
            done = opened(plan.store, paths, wanted, plan.format, opening=self.opening, progress=watch)
        else:
            done = opened_on(
                self.scheduler, plan.store, paths, wanted, plan.format, opening=self.opening, progress=watch
            )
        every = [Opened({}, {}, {}, missing=True) for _ in range(plan.rows)]
        for row, each in zip(rows.tolist(), done, strict=True):
            every[row] = each
        return every

    def selected(
        self, told: Mapping[str, Any], dataset: Dataset, views: Mapping[str, View], coords: Mapping[str, Coordinate]
    ) -> dict[str, Selected]:
        """The named selections; none while there is a mistake, which would be reported once more."""
        if self.problems.found:
            return {}
        selector = Selector(views, coords, dataset.load, self.problems)
        made = {name: selector.select(name, view) for name, view in told.get("views", {}).items()}
        return {name: each for name, each in made.items() if each is not None}

    def put(self, members: Mapping[str, Member], attrs: Mapping[str, Any], overwrite: bool) -> None:
        self.place.put(encode_group(GroupMember(members, attrs), base_url=self.place.url), overwrite=overwrite)

    # -- growing -------------------------------------------------------------------------------------

    def saved(self, told: Mapping[str, Any], stores: list[str]) -> Group | None:
        """The dataset that is there, if it was resolved from this definition, which may reach the stores."""
        if self.place.url.startswith("store://"):
            return None
        self.place.finish()
        try:
            memory = msgspec.json.decode(self.place.document(MEMORY))
        except SourceMissing:
            return None
        if memory.get("attributes", {}).get(REMEMBERED) != steps.canonical(told):
            return None
        found = Opening(storage_options=self.options, allow=stores).open(self.place.url)
        return found if isinstance(found, Group) else None

    def grown(self, told: Mapping[str, Any], whole: Dataset, saved: Group, dry_run: bool) -> Resolution:
        """Append what is new to what is there."""
        memory: Any = saved[MEMORY]
        stored = {name: memory[name].read() for name in memory}
        session = self.opening.session
        new = steps.remaining(
            whole.plans,
            stored,
            lambda plan: present(session, plan.store, plan.paths.tolist()),
            shown(self.place.url),
        )
        dim = steps.growth(whole.plans)
        if not new or dim is None:
            return self.resolution(whole, written=False, appended=0, whatever=False)
        grows = {
            name: view
            for name, view in saved.items()
            if isinstance(view, View) and dim in (view.dims or ()) and name != dim
        }
        dataset = self.dataset(_continued(told, dim, saved), grows)
        dataset.plans = new
        dataset.make()
        self.problems.check()
        added: dict[str, Any] = {name: view for name, view in dataset.views.items() if dim in (view.dims or ())}
        times = self.as_saved(dataset.coordinates.get(dim), dim, saved)
        if times is None and dim in saved:
            expected = "values, start and step, or files that have them"
            self.problems.add(("dims", dim), "coordinate", expected, "none for what is new")
        self.problems.check()
        marks = {name: steps.signatures(plan, dataset.present_of(name)) for name, plan in new.items()}
        change = Growth(told, dim, saved, added, times, whole.load, self.problems)
        change.select()
        self.problems.check()
        if not dry_run:
            columns = {f"{MEMORY}/{name}": column for name, column in marks.items()}
            axes: dict[str, int | str] = {**dict.fromkeys(change.appended, dim), **dict.fromkeys(columns, 0)}
            derived = change.derived if change.anew else None
            lengths = {f"{MEMORY}/{name}": len(stored[name]) for name in marks}
            append_members(self.place, change.appended | columns, axes, self.options, derived=derived, lengths=lengths)
        rows = sum(plan.rows for plan in new.values())
        return self.resolution(dataset, written=not dry_run, appended=rows, whatever=dry_run)

    def as_saved(self, coordinate: Coordinate | None, dim: str, saved: Group) -> Coordinate | None:
        """The new part of a coordinate in the type of the part that is there, which has to hold every value."""
        if coordinate is None or dim not in saved:
            return None
        old: Any = saved[dim]
        if coordinate.values.dtype.kind not in "iuf" or old.dtype.kind not in "iuf":
            return coordinate
        with np.errstate(all="ignore"):
            cast = coordinate.values.astype(old.dtype)
        if not np.array_equal(cast, coordinate.values, equal_nan=True):
            expected = f"values that {old.dtype} holds exactly, or overwrite"
            self.problems.add(
                ("dims", dim), "coordinate", expected, f"{coordinate.values.dtype} values that it does not"
            )
        return Coordinate(cast, coordinate.attrs)

    # -- report --------------------------------------------------------------------------------------

    def resolution(self, dataset: Dataset, *, written: bool, appended: int, whatever: bool) -> Resolution:
        grant = grant_for(self.place.url, ())
        stores = dict.fromkeys(plan.store.rstrip("/") + "/" for plan in dataset.plans.values())
        return Resolution(
            target=shown(self.place.url),
            written=written,
            opened=self.count,
            appended=appended,
            files=tuple(
                file_report(plan, dataset.present_of(name), dataset.lengths_of(name), dataset.boxes_of(name))
                for name, plan in dataset.plans.items()
            ),
            arrays=tuple(array_report(name, view, whatever=whatever) for name, view in dataset.views.items()),
            coordinates={name: len(each.values) for name, each in dataset.coordinates.items()},
            allow=tuple(store for store in stores if not grant.permits(store)),
        )


def _continued(told: Mapping[str, Any], dim: str, saved: Group) -> dict[str, Any]:
    """The definition for what is new alone: its coordinate goes on in the units, and after the values, of what is there."""
    made: Any = copy.deepcopy(dict(told))
    if dim not in saved:
        return made
    before: Any = saved[dim]
    mine = made.setdefault("dims", {}).setdefault(dim, {})
    mine.pop("length", None)
    if "values" in mine:
        mine["values"] = mine["values"][before.shape[0] :]
    if "start" in mine:
        mine["start"] += mine.get("step", 1) * before.shape[0]
    if "units" in before.attrs:
        mine["units"] = before.attrs["units"]
    return made


def _members(
    views: Mapping[str, View], coords: Mapping[str, Coordinate], selected: Mapping[str, Selected]
) -> dict[str, Member]:
    members: dict[str, Member] = {name: ArrayMember(each.values, [name], each.attrs) for name, each in coords.items()}
    members |= {name: _member(view) for name, view in views.items()}
    for name, each in selected.items():
        members[name] = GroupMember(_members(each.views, each.coordinates, {}), each.attrs)
    return members


def _member(view: View) -> ViewMember:
    check_savable(view)
    return ViewMember(view.ir, view.dims, view.attrs, advised_grid(view.ir))


def _memory(told: Mapping[str, Any], dataset: Dataset) -> GroupMember:
    return _columns(
        told, {name: steps.signatures(plan, dataset.present_of(name)) for name, plan in dataset.plans.items()}
    )


def _columns(told: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> GroupMember:
    # dimensions of their own: a tree of xarray has one length of each for a group and those below it
    members: dict[str, Member] = {name: ArrayMember(column, [f"{MEMORY}_{name}"]) for name, column in columns.items()}
    return GroupMember(members, {REMEMBERED: steps.canonical(told)})
