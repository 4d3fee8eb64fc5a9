"""Copies of views as real data: `copy`.

1. Every array gets a plan (`lazyzarr.clusters.plans`); what cannot be written is found out before anything is read.
2. Regions are read, encoded and written by threads or by workers of a cluster (`lazyzarr.clusters.regions`), a few at a
   time, in a directory beside the target (`lazyzarr.clusters.workshop`), or where they will be (`lazyzarr.clusters.depots`).
3. The metadata come last, and the target appears in one step.
Owns the order of these steps. Refuses to keep more in memory than it was given, as far as single chunks allow, and to
replace what a view that is copied reads from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from lazyzarr.access.url import to_path
from lazyzarr.clusters.depots import Depot
from lazyzarr.clusters.plans import ArrayPlan, Codec, array_plan
from lazyzarr.clusters.progress import Bar
from lazyzarr.clusters.regions import write_region
from lazyzarr.clusters.running import Crew, crew, run
from lazyzarr.clusters.workshop import Workshop, failures_named
from lazyzarr.document.encode import group_document
from lazyzarr.document.groups import check_name, consolidated
from lazyzarr.errors import SaveConflict, SaveUnsupported
from lazyzarr.ir.array_metadata import to_text
from lazyzarr.ir.layout import Json
from lazyzarr.opening import Opening
from lazyzarr.places import Place
from lazyzarr.view import View

Progress = Callable[[int, int], None]
MEMORY = 512 << 20
_FORMAT = 1


def copy(
    views: View | Mapping[str, Any],
    target: Any,
    *,
    chunks: int | Sequence[int] | None = None,
    shards: int | Sequence[int] | None = None,
    codecs: Sequence[Codec] | None = None,
    scheduler: Any = None,
    overwrite: bool = False,
    resume: bool = True,
    memory: int = MEMORY,
    progress: Progress | bool | None = None,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write the cells of a view, or of a group of views, as plain Zarr v3 arrays that need no other file.

    Cells are read, encoded and written piece by piece. A copy that was stopped, even killed, goes on when it is started
    again; until it is complete nothing is at the target, or what was there before. In a bucket or a Zarr store there are
    no renames: chunks are written in place and the metadata last, so that there is no node before; with
    ``overwrite=True`` what was there is removed first.

    Parameters
    ----------
    views
        A view, or a mapping from names to views, NumPy arrays and further mappings.
    target
        Path of the directory that will be the Zarr array or group; the URL of one in a bucket (``s3``, ``gs``, ``az``); or a
        Zarr store, whose root it will be.
    chunks
        Cells per chunk along each axis, -1 for the whole axis, or one number for all. By default those of the stored
        array that most cells come from, made larger where they are tiny.
    shards
        Cells per shard, multiples of the chunks: a file has all chunks of a shard.
    codecs
        Codecs as Zarr v3 has them, or their names; the codec that turns cells into bytes may be left out. By default
        those that compress most of the stored chunks, where every reader has them, else zstd.
    scheduler
        None: threads. A ``distributed.Client``: its workers read and write; they have to see the target.
    overwrite
        Replace a Zarr array by an array, a Zarr group by a group, and what lazyzarr saved there.
    resume
        Go on where an earlier copy of the same view to this target was stopped. False: start anew.
    memory
        Cells that are held at a time, by all workers together, as far as single chunks allow [bytes].
    progress
        Called with cells done and in all [bytes]; True: a bar on standard error; None: a bar if that is a terminal.
    storage_options
        Of the storage of the target, as in `lazyzarr.open`; never stored.

    Raises
    ------
    SaveConflict
        The target exists and is not to be replaced; a copy of something else was stopped there, or one is under way.
    ShapeError, SaveUnsupported
        Chunks, shards, codecs or the scheduler are not possible; nothing was read.
    SaveError
        The storage failed; the copy can be continued.

    Examples
    --------
    >>> import tempfile, zarr, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     copy(lz.full((4, 6), 7, dtype="int16")[:, ::2], f"{folder}/real.zarr", chunks=(2, 3))
    ...     array = zarr.open_array(f"{folder}/real.zarr", mode="r")
    ...     array.shape, array.chunks, int(array[3, 2])
    ((4, 3), (2, 3), 7)
    """
    workshop = _workshop(target, storage_options or {}, scheduler)
    path = workshop.target
    workshop.check_target("array" if isinstance(views, View) else "group", overwrite)
    with crew(scheduler) as workers:
        groups, members = _tree(views)
        budget = max(memory // (3 * workers.width), 1)  # cells, what they are encoded from, and what they become
        plans = [
            array_plan(view, name, chunks=chunks, shards=shards, codecs=codecs, budget=budget) for name, view in members
        ]
        for plan in plans:
            _refuse_source(plan.view, path)
        record = _record(plans, groups)
        try:
            with failures_named(path):
                known, done = workshop.enter(record, resume=resume)
            plans = [
                msgspec.structs.replace(plan, region=tuple(region))
                for plan, region in zip(plans, known["regions"], strict=True)
            ]
            _narrow(workers, plans, memory)
            bar = Bar() if progress is True or (progress is None and sys.stderr.isatty()) else None
            try:
                _write(plans, workshop, workers, done, bar or progress or _silent)
            finally:
                if bar is not None:
                    bar.close()
            with failures_named(path):
                workshop.publish(_documents(plans, groups))
        finally:
            workshop.leave()


def _write(plans: list[ArrayPlan], workshop: Workshop | Depot, workers: Crew, done: set[str], progress: Any) -> None:
    total = sum(plan.view.nbytes for plan in plans)
    written = 0

    def tasks() -> Iterator[tuple[tuple[str, int], tuple[Any, ...]]]:
        nonlocal written
        for number, plan in enumerate(plans):
            root = workshop.site(plan.path)
            shared = None
            for region in range(int(np.prod(plan.grid, dtype=np.int64))):
                name = f"{number} {region}"
                if name in done:
                    written += _nbytes(plan, region)
                    continue
                shared = workers.share(plan) if shared is None else shared
                yield (name, _nbytes(plan, region)), (shared, root, region)

    def finished(name: tuple[str, int], _: int) -> None:
        nonlocal written
        with failures_named(workshop.target):
            workshop.note(name[0])
        written += name[1]
        progress(written, total)

    run(workers, write_region, tasks(), finished)
    progress(total, total)


def _nbytes(plan: ArrayPlan, region: int) -> int:
    cells = 1
    for one in plan.box(region):
        cells *= one.stop - one.start
    return cells * plan.view.dtype.itemsize


def _narrow(workers: Crew, plans: list[ArrayPlan], memory: int) -> None:
    """Fewer at a time where single chunks are large."""
    largest = max((plan.region_bytes for plan in plans), default=1)
    most = max(memory // (3 * largest), 1)
    if most < workers.width:
        workers.width = workers.handed = most


def _tree(views: View | Mapping[str, Any]) -> tuple[dict[str, Mapping[str, Any]], list[tuple[str, View]]]:
    """Attributes of all groups, and all views, by path."""
    groups: dict[str, Mapping[str, Any]] = {}
    members: list[tuple[str, View]] = []
    waiting: list[tuple[str, object]] = [("", views)]
    while waiting:
        path, member = waiting.pop()
        if isinstance(member, View):
            members.append((path, member))
        elif isinstance(member, Mapping):
            group: Mapping[str, object] = member
            groups[path] = getattr(member, "attrs", {})
            for name in reversed(list(group)):
                check_name(name)
                waiting.append((f"{path}/{name}" if path else name, group[name]))
        elif path and isinstance(member, np.ndarray | np.generic | list | int | float):
            opened: Any = Opening().open(np.asarray(member))
            members.append((path, opened))
        else:
            raise SaveUnsupported(
                f"copy of {path or 'views'}, a {type(member).__name__}; views and mappings of views and arrays are copied; "
                "open or name it first"
            )
    return groups, members


def _workshop(target: Any, options: Mapping[str, Mapping[str, Any]], scheduler: Any) -> Workshop | Depot:
    place = Place(target, options)
    if place.is_local:
        return Workshop(os.path.realpath(to_path(place.url)))
    if not place.url.startswith("store://"):
        return Depot(place.url, dict(place.session.options))
    if scheduler is not None:
        raise SaveUnsupported(
            f"copy to a {type(target).__name__} with a scheduler; workers may be elsewhere; give the URL of the target"
        )
    return Depot(place.url, {}, target)


def _refuse_source(view: View, path: str) -> None:
    for array in view.ir.arrays:
        location = array.location or ""
        if "://" in path:
            if f"{location}/".startswith(f"{path}/") or f"{path}/".startswith(f"{location}/"):
                raise _replaces(path, location)
            continue
        if not location.startswith("file://"):
            continue
        source = os.path.realpath(to_path(location))
        if os.path.commonpath([source, path]) in (source, path):
            raise _replaces(path, source)


def _replaces(path: str, source: str) -> SaveConflict:
    return SaveConflict(
        f"copy to {path} of a view that reads from {source}; the copy would replace what it reads; choose another "
        "name, and move it when it is complete",
        where=path,
    )


def _record(plans: list[ArrayPlan], groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What makes this copy another one than that of another view."""
    return {
        "lazyzarr_copy": _FORMAT,
        "groups": {path: group_document(attrs) for path, attrs in groups.items()},
        "arrays": {plan.path: {"view": plan.view.token(), "metadata": plan.metadata} for plan in plans},
        "regions": [plan.region for plan in plans],
    }


def _documents(plans: list[ArrayPlan], groups: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Every ``zarr.json``, the one at the root last."""
    nodes: dict[str, dict[str, Json]] = {path: group_document(attrs) for path, attrs in groups.items()}
    nodes.update((plan.path, plan.metadata) for plan in plans)
    texts = {f"{path}/zarr.json": to_text(node) for path, node in nodes.items() if path}
    root = nodes.pop("")
    if root["node_type"] == "group":
        for node in nodes.values():
            if node["node_type"] == "group":
                node["consolidated_metadata"] = consolidated({})
        root["consolidated_metadata"] = consolidated({path: nodes[path] for path in sorted(nodes)})
    return {**texts, "zarr.json": to_text(root)}


def _silent(done: int, total: int) -> None:
    """No progress is told."""
