"""Files opened by the workers of a dask cluster, a batch in each task.

Owns what travels: paths out, graphs back, which become leaves again so that many of them are joined as one table.
Refuses to start a cluster.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from lazyzarr.definition.files import Opened, Wanted, batches, one
from lazyzarr.errors import ExtraMissing
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.nodes import Decode, Source
from lazyzarr.opening import Opening
from lazyzarr.read import Reader
from lazyzarr.view import View


def opened_on(
    scheduler: Any,
    store: str,
    paths: Sequence[str],
    wanted: Wanted,
    form: str,
    *,
    opening: Opening,
    progress: Callable[[int, int], None] | None = None,
) -> list[Opened]:
    """Open files on a cluster, in the order of the paths.

    Parameters
    ----------
    scheduler
        A ``distributed.Client``, or the address of a scheduler.

    Raises
    ------
    ExtraMissing
        distributed is not installed.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("distributed", "dask"):
            raise
        raise ExtraMissing(
            f'resolve with a scheduler; the package {error.name} is not installed; run pip install "lazyzarr[dask]"'
        ) from error
    own = not isinstance(scheduler, distributed.Client)
    client = distributed.Client(scheduler, set_as_default=False) if own else scheduler
    try:
        options = dict(opening.session.options)
        tasks = {
            client.submit(open_batch, store, batch, wanted, form, options, pure=False): number
            for number, batch in enumerate(batches(paths))
        }
        found: dict[int, list[Opened]] = {}
        waiting = distributed.as_completed(list(tasks), with_results=True, loop=client.loop)
        for task, batch in waiting:
            # a result is held here or there, and fetched once
            found[tasks.pop(task)] = [_received(each, opening.reader) for each in batch]
            task.release()
            if progress is not None:
                progress(sum(map(len, found.values())), len(paths))
        return [each for number in sorted(found) for each in found[number]]
    finally:
        if own:
            client.close()


def open_batch(
    store: str, paths: Sequence[str], wanted: Wanted, form: str, options: Mapping[str, Mapping[str, Any]]
) -> list[Opened]:
    """What a task does: open some files, one after the other."""
    opening = Opening(storage_options=options)
    return [one(store, path, wanted, form, opening) for path in paths]


def _received(opened: Opened, reader: Reader) -> Opened:
    return replace(opened, views={name: _leaf(view, reader) for name, view in opened.views.items()})


def _leaf(view: View, reader: Reader) -> View:
    """A view as it was before it travelled: a stored array, perhaps decoded, is a node of its own again."""
    graph, reader = view.ir, Reader.joined([reader, view.reader])
    kinds = tuple(type(node) for node in graph.nodes)
    if kinds not in ((Source,), (Source, Decode)):
        return View(None, graph=graph, reader=reader, dims=view.dims, attrs=view.attrs)
    own = Graph((), layouts=graph.layouts, arrays=graph.arrays, tables=graph.tables)
    leaf = View(graph.nodes[0], own=own, reader=reader, dims=view.dims, attrs=view.attrs)
    if kinds == (Source,):
        return leaf
    return View(graph.nodes[1], (leaf,), own=Graph(()), reader=reader, dims=view.dims, attrs=view.attrs)
