"""Refreshing what is saved: sources looked at anew, stamps renewed, growth taken in.

Owns `refresh` and its report. Nothing is written unless every source of every view is as its view says, or differs in
a way that was accepted; then all that is new is put in place as in saving. Refuses to make a view mean something else:
sources that changed, shrank or are gone have to be dealt with by whoever knows why.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from lazyzarr.access.policy import grant_for
from lazyzarr.access.url import child, shown
from lazyzarr.document.decode import decode, generation_of
from lazyzarr.document.encode import EncodedView
from lazyzarr.document.groups import add_view, encode_member, regrown
from lazyzarr.document.plain_array import Content
from lazyzarr.errors import ProblemList, SaveUnsupported, SourceError
from lazyzarr.examining import Found, arrays_of, examine, growing_end
from lazyzarr.growing import member_of
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json, StoredArray
from lazyzarr.ir.nodes import Node, Tiles
from lazyzarr.ir.origins import all_origins, origin_columns
from lazyzarr.ir.row_values import numbers_of
from lazyzarr.ir.tables import Table
from lazyzarr.ir.tiles import tile_arrays, tile_columns
from lazyzarr.members import disagreements, is_view, lengths_of, members_of
from lazyzarr.places import Place, repeated

Accepted = Literal["metadata", "grown"]
_ALWAYS = ("unchanged", "touched")


class ViewReport(Struct, frozen=True):
    """What became of the sources of one view."""

    name: str
    """Path in the group; empty for a view that was refreshed itself."""
    shape: tuple[int, ...]
    """As it was."""
    now: tuple[int, ...]
    """As it is, or would be."""
    counts: dict[str, int]
    """Stored arrays by status; see `lazyzarr.examining.Found`."""
    sources: tuple[Found, ...]
    """Those that are not unchanged."""


class RefreshReport(Struct, frozen=True):
    """What refreshing found, and whether it wrote."""

    target: str
    views: tuple[ViewReport, ...]
    problems: tuple[str, ...]
    """Why it is refused; empty when it is not."""
    written: bool
    """False also when there is nothing new."""

    @property
    def passed(self) -> bool:
        """Whether nothing is in the way."""
        return not self.problems

    def __str__(self) -> str:
        lines: list[str] = []
        for view in self.views:
            counts = ", ".join(f"{count:,} {status}" for status, count in view.counts.items())
            grown = "" if view.now == view.shape else f"; shape {list(view.shape)} becomes {list(view.now)}"
            lines.append(f"{view.name or self.target}: {counts or 'no stored arrays'}{grown}")
            lines += [f"  {one.status}: {one.location}{': ' * bool(one.detail)}{one.detail}" for one in view.sources]
        lines += [f"refused: {problem}" for problem in self.problems]
        return "\n".join([*lines, "written" if self.written else "nothing was written"])


class RefreshRefused(ProblemList, SourceError):
    """Sources changed in a way that was not accepted; nothing was written; ``.report`` is complete.

    Examples
    --------
    >>> error = RefreshRefused(RefreshReport("v.zarr", (), ("file:///d/a.nc is gone; restore it",), False))
    >>> error.reason, error.report.passed
    ('source-changed', False)
    """

    default_reason = "source-changed"

    def __init__(self, report: RefreshReport) -> None:
        super().__init__("refresh", report.problems)
        self.report = report


class _Refreshed(Struct, frozen=True):
    report: ViewReport
    files: EncodedView | None
    """None: the document is as it was."""


def refresh(
    target: Any,
    *,
    accept: Collection[Accepted] = (),
    dry_run: bool = False,
    allow: Iterable[str | os.PathLike[str]] = (),
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> RefreshReport:
    """Look at all sources of a saved view or group anew, and renew their stamps.

    Parameters
    ----------
    target
        Where the view or the group is saved: a path, a URL, or a Zarr store. Groups: local paths only.
    accept
        Changes to take in: "grown": the last array along the joined axis got longer, and so does the view;
        "metadata": the metadata of a Zarr array are other ones, with the same shape, type, chunks and codecs.
        That a source has a new time and equal content is always taken in.
    dry_run
        Report only.
    allow
        What the document may reference beside locations below its own parent directory.
    storage_options
        ``{prefix: options}`` for remote places; never stored.

    Returns
    -------
    RefreshReport

    Raises
    ------
    RefreshRefused
        Something changed that was not accepted; nothing was written; ``.report`` is complete.
    SourceMissing, SaveConflict, SaveError
        As `lazyzarr.append`.

    Examples
    --------
    >>> import tempfile, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lz.save(lz.full((2,), 7, dtype="int8"), f"{folder}/v.zarr")
    ...     refresh(f"{folder}/v.zarr").passed
    True
    """
    unknown = sorted(set(accept) - {"metadata", "grown"})
    if unknown:
        raise SaveUnsupported(f'refresh accepting {", ".join(unknown)}; accepted can be "grown" and "metadata"')
    place = Place(target, storage_options)
    grant = place.session.add_grant(grant_for(place.url, tuple(allow)))
    place.finish()

    def change(root: bytes) -> RefreshReport:
        if is_view(root):
            texts, missing = {"": root}, []
        else:
            texts, missing = members_of(place, root)
        done = {name: _view(place, name, text, grant, accept) for name, text in texts.items() if is_view(text)}
        new = {name: one.files for name, one in done.items() if one.files is not None}
        problems = [*missing, *_problems(done, accept)]
        before = {name: lengths_of(text) for name, text in texts.items()}
        problems += disagreements(before, before | {name: lengths_of(view.document) for name, view in new.items()})
        report = RefreshReport(
            shown(place.url), tuple(one.report for one in done.values()), tuple(problems), not dry_run and bool(new)
        )
        if dry_run:
            return report
        if problems:
            raise RefreshRefused(msgspec.structs.replace(report, written=False))
        _put(place, root, texts, new)
        return report

    return repeated(place, change)


def _view(place: Place, name: str, text: bytes, grant: str, accept: Collection[str]) -> _Refreshed:
    url = child(place.url, name) if name else place.url
    opened = decode(text, url=url, session=place.session, grant=grant)
    graph = opened.graph
    found = examine(arrays_of(graph), place.session, opened.attributes, growing_end(graph))
    new = {
        old: each.now
        for old, each in found.items()
        if each.now != old and (each.found.status == "touched" or each.found.status in accept)
    }
    counts = Counter(each.found.status for each in found.values())
    report = ViewReport(
        name,
        opened.schema.shape,
        opened.schema.shape,
        dict(sorted(counts.items())),
        tuple(each.found for each in found.values() if each.found.status != "unchanged"),
    )
    if not new:
        return _Refreshed(report, None)
    files = encode_member(member_of(_renewed(graph, new), opened, opened.dims), url)
    return _Refreshed(msgspec.structs.replace(report, now=lengths_of(files.document).shape), files)


def _problems(done: Mapping[str, _Refreshed], accept: Collection[str]) -> list[str]:
    problems: list[str] = []
    for one in done.values():
        refused = [each for each in one.report.sources if each.status not in (*_ALWAYS, *accept)]
        where = f"{one.report.name}: " if one.report.name else ""
        problems += [f"{where}{each.location} is {each.status}: {each.detail}; {_remedy(each)}" for each in refused]
    return problems


def _remedy(found: Found) -> str:
    if found.status in ("grown", "metadata"):
        return f'pass accept=["{found.status}"] to take that in'
    if found.status == "gone":
        return "restore it, or save the view again without it"
    if found.status == "unreachable":
        return "try again, or pass allow= or storage_options="
    return "save the view again from its sources"


def _put(place: Place, root: bytes, texts: Mapping[str, bytes], new: Mapping[str, EncodedView]) -> None:
    if not new:
        return
    if "" in new:
        place.put(new[""], expected=generation_of(root), sweep=False)
        return
    files: dict[str, Content] = {}
    nodes: dict[str, Mapping[str, Json]] = {}
    for name, view in new.items():
        add_view(view, name, files, nodes)
    files["zarr.json"] = regrown(root, nodes)
    expected = {"zarr.json": generation_of(root)}
    expected |= {f"{name}/zarr.json": generation_of(texts[name]) for name in new}
    place.change(files, expected=expected)


def _renewed(graph: Graph, new: Mapping[StoredArray, StoredArray]) -> Graph:
    """The graph with some stored arrays replaced; tables none of whose rows are stay what they are."""
    tables = dict(graph.tables)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(_renewed_tiles(graph, node, new, tables) if isinstance(node, Tiles) else node)
    named = {node.table for node in nodes if isinstance(node, Tiles)}
    for node in graph.nodes:
        if isinstance(node, Tiles) and node.table not in named:
            tables.pop(node.table, None)
    arrays = [
        new.get(array, array) if array.origins is None else _renewed_origins(graph, array, new, tables)
        for array in graph.arrays
    ]
    kept = {array.origins for array in arrays}
    for array in graph.arrays:
        if array.origins is not None and array.origins not in kept:
            tables.pop(array.origins, None)
    return Graph(nodes, layouts=graph.layouts, arrays=arrays, tables=tables)


def _renewed_origins(
    graph: Graph, array: StoredArray, new: Mapping[StoredArray, StoredArray], tables: dict[str, Table]
) -> StoredArray:
    """The array with a table of origins that has the new stamps; nothing else of an origin is ever renewed."""
    assert array.origins is not None
    table = graph.tables[array.origins]
    old = all_origins(graph, array)
    if not any(one in new for one in old):
        return array
    urls = [one.location or "" for one in old]
    stamps = [new.get(one, one).stamp for one in old]
    made = Table(origin_columns(urls, stamps, np.asarray(table["layout"]).tolist(), np.asarray(table["grid"]).tolist()))
    tables[made.name] = made
    return msgspec.structs.replace(array, origins=made.name)


def _renewed_tiles(
    graph: Graph, node: Tiles, new: Mapping[StoredArray, StoredArray], tables: dict[str, Table]
) -> Tiles:
    table = graph.tables[node.table]
    old = tile_arrays(graph, node, np.arange(table.rows))
    if not any(array in new for array in old):
        return node
    arrays = [new.get(array, array) for array in old]
    columns = tile_columns(arrays, np.asarray(table["origin"]), np.asarray(table["layout"])) | numbers_of(table)
    if node.refs is not None:
        columns["refs_first"] = np.asarray(table["refs_first"])
    made = Table(columns)
    tables[made.name] = made
    longer = [sum(n) for n in zip(node.shape, _growth(old, arrays, len(node.shape)), strict=True)]
    return msgspec.structs.replace(node, table=made.name, shape=tuple(longer))


def _growth(old: Iterable[StoredArray], new: Iterable[StoredArray], rank: int) -> list[int]:
    """Cells that one of the arrays has more, for each axis."""
    for one, other in zip(old, new, strict=True):
        if one.shape != other.shape:
            return [m - n for n, m in zip(one.shape, other.shape, strict=True)]
    return [0] * rank
