"""Writing TensorStore specifications: JSON that stock TensorStore opens and reads, without lazyzarr.

1. The view is lowered: every box of a source that fills a box of the view.
2. Each source becomes a driver with its metadata inside, so that opening asks for nothing (`tensorstore_arrays`).
3. Each box becomes an index transform, and all together the layers of a stack (`tensorstore_layers`).
Owns `spec` and `write`. Refuses, with every problem, sources that TensorStore cannot read or would read as other values.
Pins, attributes and access options have no place in a specification; the report says so.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from lazyzarr.access.url import shown
from lazyzarr.errors import SaveUnsupported, ViewLimitError
from lazyzarr.formats.local_output import local_target, write_file
from lazyzarr.formats.report import ExportReport
from lazyzarr.formats.tensorstore_arrays import MAX_CELLS, NoForm, constant_spec, dtype_name, stored_spec
from lazyzarr.formats.tensorstore_layers import layers_of
from lazyzarr.ir import fill
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import StoredArray
from lazyzarr.lower.lowering import Lowered, lower
from lazyzarr.lower.naming import NUMBERED, Naming, decoding, filling, listed_nodes

Json = Any
_MOST_TOLD = 20
"""Problems whose sources are named one by one."""


class Viewed(Protocol):
    """A view, as far as this writer knows it."""

    @property
    def ir(self) -> Graph:
        """What it means."""
        ...

    dims: tuple[str | None, ...] | None
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class _Written:
    spec: dict[str, Json]
    arrays: tuple[StoredArray, ...]
    lost: tuple[str, ...]


def spec(view: Viewed) -> dict[str, Json]:
    """A view as a TensorStore specification.

    Parameters
    ----------
    view
        Any view of arrays that TensorStore can read.

    Returns
    -------
    dict
        What ``tensorstore.open`` takes, and a JSON object. Opening it opens no source.

    Raises
    ------
    SaveUnsupported
        TensorStore cannot read a source, or would read other values; with every problem.
    ViewLimitError
        The specification would be too long.

    Examples
    --------
    >>> import numpy as np, lazyzarr as lz
    >>> lz.formats.tensorstore.spec(lz.open(np.arange(3))[::-1])["transform"]["output"]
    [{'input_dimension': 0, 'offset': 2, 'stride': -1}]
    """
    return _written(view).spec


def write(view: Viewed, target: str | os.PathLike[str], *, overwrite: bool = False) -> ExportReport:
    """Write a view as a TensorStore specification to a local JSON file.

    Parameters
    ----------
    view
        As for `spec`.
    target
        A local path.
    overwrite
        Replace a file.

    Returns
    -------
    ExportReport
        Its ``chunks`` are 0: a specification names arrays.

    Raises
    ------
    SaveUnsupported, ViewLimitError
        As `spec`.
    SaveConflict, SaveError
        The target exists; the storage failed.

    Examples
    --------
    >>> import json, pathlib, tempfile, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = pathlib.Path(folder, "spec.json")
    ...     report = lz.formats.tensorstore.write(lz.full((2, 3), 7, dtype="int16"), place)
    ...     json.loads(place.read_bytes())["array"], report.arrays
    (7, 0)
    """
    path, _ = local_target(target)
    made = _written(view)
    write_file(path, msgspec.json.encode(made.spec), overwrite=overwrite)
    inline = sum(array.values is not None for array in made.arrays)
    return ExportReport("tensorstore", str(path), len(made.arrays), 0, inline=inline, lost=made.lost)


def _written(view: Viewed) -> _Written:
    lowered = lower(view.ir)
    names = Naming(view.ir)
    problems = _Problems()
    drivers, arrays = _drivers(lowered, names, problems)
    problems.check(dtype_name, lowered.schema.data_type, _Where("the view", lambda: (names.view,)))
    problems.raise_any()
    shape = lowered.schema.shape
    placed = lowered.placements
    ranks = [0 if number < 0 else len(arrays[number].shape) for number in placed.source.tolist()]
    found = layers_of(placed, shape, ranks)
    keys = list(zip(placed.source.tolist(), placed.layout.tolist(), strict=True))
    _check_memory([arrays[keys[layer.placement][0]] for layer in found.layers if keys[layer.placement][0] >= 0])
    layers = [{**drivers[keys[layer.placement]], "transform": layer.transform} for layer in found.layers]
    whole: dict[str, Json] = {"input_inclusive_min": [0] * len(shape), "input_exclusive_max": list(shape)}
    labels, lost = _labels(view, len(shape))
    whole |= labels
    if not layers:
        value = fill.zero(lowered.schema.data_type)
        made = {**constant_spec(lowered.schema.data_type, value), "transform": {**whole, "output": []}}
    elif len(layers) == 1 and found.output is None:
        made = {**layers[0], "transform": {**whole, "output": layers[0]["transform"]["output"]}}
    else:
        if found.output is not None:
            whole["output"] = found.output
        made = {"driver": "stack", "dtype": lowered.schema.data_type, "layers": layers, "transform": whole}
    return _Written(made, tuple(arrays.values()), tuple(lost + _lost(view, list(arrays.values()))))


def _check_memory(arrays: Sequence[StoredArray]) -> None:
    """Each layer has the cells of its array again, so they are counted before they are written."""
    cells = sum(math.prod(array.shape) for array in arrays if array.values is not None)
    if cells > MAX_CELLS:
        raise ViewLimitError(
            "cells in memory", cells, MAX_CELLS, remedy="write the arrays to storage and open them from there"
        )


def _drivers(
    lowered: Lowered, names: Naming, problems: _Problems
) -> tuple[dict[tuple[int, int], dict[str, Json]], dict[int, StoredArray]]:
    """The driver of each source and layout that is placed, and the arrays by number."""
    placed = lowered.placements
    pairs = np.unique(np.stack([placed.source, placed.layout.astype(np.int64)], axis=1), axis=0).tolist()
    numbers = np.unique(placed.source[placed.source >= 0])
    arrays = dict(zip(numbers.tolist(), lowered.sources.arrays(numbers), strict=True))
    found: dict[tuple[int, int], dict[str, Json]] = {}
    tables = names.graph.tables
    for number, layout in pairs:
        if number < 0:
            constant = lowered.constants[-1 - number]
            where = _Where("a constant", lambda: names.of_kind(filling))
            made = problems.check(constant_spec, constant.data_type, where, constant.value)
        else:
            array = arrays[number]
            place = "an array in memory" if array.location is None else shown(array.location)
            where = _Where(place, lambda number=number: names.behind([number], decoding))
            made = problems.check(
                lambda it, array=array: stored_spec(array, it, tables), lowered.layouts[layout], where
            )
        found[number, layout] = made or {}
    return found, arrays


class _Where(NamedTuple):
    """Where something is, and which nodes have a part in it; these are looked for only if something is in the way."""

    place: str
    nodes: Callable[[], tuple[str, ...]]


class _Problems:
    """What is in the way, and where; all of it is told at once."""

    def __init__(self) -> None:
        self.places: dict[str, list[_Where]] = {}

    def check(self, make: Any, given: Any, where: _Where, *more: Any) -> Any:
        """What `make` gives, or None with its problems noted."""
        try:
            return make(given, *more)
        except NoForm as error:
            for problem in error.problems:
                self.places.setdefault(problem, []).append(where)
            return None

    def raise_any(self) -> None:
        """Raise if something is in the way."""
        if not self.places:
            return
        lines = [f"specification for TensorStore; {len(self.places)} problems are in the way ({NUMBERED}):"]
        for problem, places in list(self.places.items())[:_MOST_TOLD]:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            lines.append(f"{places[0].place}{more}{listed_nodes(places[0].nodes())}: {problem}")
        raise SaveUnsupported("\n  - ".join(lines), where=next(iter(self.places.values()))[0].place)


def _labels(view: Viewed, rank: int) -> tuple[dict[str, Json], list[str]]:
    names = ["" if name is None else name for name in view.dims or ()]
    if not any(names):
        return {}, []
    if len(set(filter(None, names))) < len(list(filter(None, names))) or len(names) != rank:
        return {}, [f"the dimension names {names}, of which two are the same"]
    return {"input_labels": names}, []


def _lost(view: Viewed, arrays: Sequence[StoredArray]) -> list[str]:
    lost: list[str] = []
    pins = sum(array.stamp is not None for array in arrays)
    if pins:
        lost.append(f"pins of {pins} arrays: nothing in the specification says what they were")
    if view.attrs:
        lost.append(f"attributes: {', '.join(sorted(map(str, view.attrs)))}")
    stored = [array.location for array in arrays if array.location is not None]
    if stored:
        lost.append("missing objects: TensorStore reads the fill value where a source is gone")
    if any(not place.startswith("file://") for place in stored):
        lost.append("endpoints, regions and credentials of remote sources, which are those of the reader")
    return lost
