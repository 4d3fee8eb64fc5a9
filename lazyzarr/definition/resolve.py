"""From a definition to a saved dataset: `resolve`.

Owns the phases: read and check the text, make the dataset, report every mistake, then save or append. Refuses to write
anything while there is a mistake.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lazyzarr.access.policy import grant_for
from lazyzarr.access.url import from_user, shown
from lazyzarr.definition.dataset import Dataset
from lazyzarr.definition.files import Opened, Wanted, opened
from lazyzarr.definition.forms import WRONG
from lazyzarr.definition.keys import DEFINITION
from lazyzarr.definition.planning import SourcePlan
from lazyzarr.definition.problems import Problems
from lazyzarr.definition.reading import read
from lazyzarr.definition.report import Resolution, array_report, file_report
from lazyzarr.display.flat import advised_grid
from lazyzarr.document.groups import ArrayMember, GroupMember, Member, ViewMember, encode_group
from lazyzarr.opening import Opening
from lazyzarr.places import Place
from lazyzarr.saving import check_savable
from lazyzarr.view import View


def resolve(
    definition: str | os.PathLike[str],
    out: Any,
    *,
    dry_run: bool = False,
    scheduler: Any = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
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
        Replace what lazyzarr saved there before, if it is not this dataset with fewer files.
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
    SaveConflict
        There is something else at ``out``.

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
    where = from_user(definition)
    opening = Opening(storage_options=storage_options)
    problems = Problems(os.path.basename(shown(where)))
    told = _checked(bytes(opening.session.read(where)), problems)
    place = Place(out, storage_options)
    count = 0

    def open_files(plan: SourcePlan, wanted: Wanted, watch: Callable[[int, int], None] | None) -> list[Opened]:
        nonlocal count
        count += plan.rows
        return opened(plan.store, plan.paths.tolist(), wanted, plan.format, opening=opening, progress=watch)

    dataset = Dataset(told, where, open_files=open_files, opening=opening, problems=problems, progress=progress)
    dataset.make()
    attrs = dataset.attributes()
    problems.check()
    members = _members(dataset)
    written = not dry_run
    if written:
        place.put(encode_group(GroupMember(members, attrs), base_url=place.url), overwrite=overwrite)
    return _resolution(dataset, place, written=written, count=count, appended=0, whatever=dry_run)


def _checked(text: bytes, problems: Problems) -> dict[str, Any]:
    """The definition without what is wrong with it."""
    told = DEFINITION.check(read(text, problems), (), problems)
    if told is WRONG:
        problems.check()
    return told


def _members(dataset: Dataset) -> dict[str, Member]:
    members: dict[str, Member] = {}
    for name, each in dataset.coordinates.items():
        members[name] = ArrayMember(each.values, [name], each.attrs)
    for name, view in dataset.views.items():
        members[name] = _member(view)
    return members


def _member(view: View) -> ViewMember:
    check_savable(view)
    return ViewMember(view.ir, view.dims, view.attrs, advised_grid(view.ir))


def _resolution(
    dataset: Dataset, place: Place, *, written: bool, count: int, appended: int, whatever: bool
) -> Resolution:
    files = []
    for name, plan in dataset.plans.items():
        present = np.array([not each.missing for each in dataset.opened[name]], bool)
        own = [key for key, joined in dataset.arrays.items() if joined.plan.name == name]
        lengths: dict[str, np.ndarray] = {}
        for key in own:
            lengths |= dataset.arrays[key].lengths
        placing = next((dataset.placings[key] for key in own if key in dataset.placings), None)
        boxes = None
        if placing is not None and placing.starts is not None and placing.counts is not None:
            boxes = (placing.dims, placing.starts, placing.counts)
        files.append(file_report(plan, present, lengths, boxes))
    grant = grant_for(place.url, ())
    stores = dict.fromkeys(plan.store.rstrip("/") + "/" for plan in dataset.plans.values())
    return Resolution(
        target=shown(place.url),
        written=written,
        opened=count,
        appended=appended,
        files=tuple(files),
        arrays=tuple(array_report(name, view, whatever=whatever) for name, view in dataset.views.items()),
        coordinates={name: len(each.values) for name, each in dataset.coordinates.items()},
        allow=tuple(store for store in stores if not grant.permits(store)),
    )
