"""What the sources of a view are now, against what the view says of them.

1. Each stored array is looked at: the object's size, time, tag; where those differ and the metadata document has a
   digest, the document itself.
2. What differs is named: new stamps of equal content, other metadata that describe the same cells, growth, or a change
   after which the view would not be what it says.
Refuses to call anything unchanged that cannot be compared: byte ranges of a file that was written anew may be elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from lazyzarr.access.session import Session
from lazyzarr.access.stamps import differences, needs_content
from lazyzarr.access.url import child, shown
from lazyzarr.errors import LazyZarrError, SourceChanged, SourceMissing
from lazyzarr.formats.zarr import ZarrArrayInfo, read_array_metadata
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, Stamp, StoredArray
from lazyzarr.ir.nodes import Concat, Decode, Source, Tiles, inputs_of
from lazyzarr.ir.origins import all_origins
from lazyzarr.ir.row_values import row_layouts
from lazyzarr.ir.segments import follow_each_other
from lazyzarr.ir.tiles import tile_arrays

Status = Literal["unchanged", "touched", "metadata", "grown", "changed", "gone", "unreachable"]
_THREADS = 16
_SAME_MEANING = ("units", "calendar")


class Found(Struct, frozen=True):
    """What became of one stored array."""

    location: str
    """Without a query, since that may hold a signature."""
    status: Status
    """Unchanged; touched: a new stamp, the content is equal; metadata: other attributes of the same cells; grown: more
    cells along the joined axis; changed; gone; unreachable."""
    detail: str = ""
    """What differs, in words."""


class Examined(Struct, frozen=True):
    """What became of a stored array, and what the view would say of it now."""

    found: Found
    now: StoredArray


class End(Struct, frozen=True):
    """The array of a view that may grow: the last one along the joined axis."""

    array: StoredArray
    axis: int | None
    """The axis of the array that may grow; None: any one, the view being this array alone."""


class Named(NamedTuple):
    """A stored array that a graph names."""

    array: StoredArray
    layout: Layout
    whole: bool = True
    """Whether shape and layout are those of the array itself; a table of origins keeps only how its chunks are keyed."""


def arrays_of(graph: Graph) -> list[Named]:
    """Every stored array that a graph names, rows of tiles and of origins included, as often as it is named."""
    found: list[Named] = []
    for array in graph.arrays:
        layout = graph.layouts[array.layout]
        if array.origins is None:
            found.append(Named(array, layout))
        else:
            found += [Named(one, graph.layouts[one.layout], whole=False) for one in all_origins(graph, array)]
    for node in graph.nodes:
        if isinstance(node, Tiles):
            rows = np.arange(graph.tables[node.table].rows)
            layouts, which = row_layouts(graph, node, rows)
            arrays = tile_arrays(graph, node, rows)
            found += [Named(array, layouts[number]) for array, number in zip(arrays, which.tolist(), strict=True)]
    return found


def examine(
    arrays: Iterable[Named], session: Session, attributes: Mapping[str, Any], end: End | None
) -> dict[StoredArray, Examined]:
    """What became of each stored array.

    Parameters
    ----------
    arrays
        As `arrays_of`.
    session
        Has the grants of the arrays.
    attributes
        Of the view; units and calendar of an array that changed are compared with them.
    end
        The one array that may grow; not if it is there several times.
    """
    arrays = list(arrays)
    if end is not None and sum(named.array == end.array for named in arrays) > 1:
        end = None

    def one(named: Named) -> Examined:
        try:
            return _one(named, session, attributes, end)
        except SourceMissing as error:
            return _named(named.array, "gone", str(error))
        except LazyZarrError as error:
            return _named(named.array, "changed" if isinstance(error, SourceChanged) else "unreachable", str(error))

    distinct = {named.array: named for named in arrays}
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(distinct, pool.map(one, distinct.values()), strict=True))


def growing_end(graph: Graph) -> End | None:
    """The array of a view that may grow, if there is one.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> growing_end(Graph([Fill((2,), "int8", 0)])) is None
    True
    """
    uses = [0] * len(graph.nodes)
    for node in graph.nodes:
        for input in inputs_of(node):
            uses[input] += 1
    axis: int | None = None
    position = len(graph.nodes) - 1
    while True:
        node = graph.nodes[position]
        if uses[position] > 1 or (isinstance(node, Concat) and axis not in (None, node.axis)):
            return None
        if isinstance(node, Decode):
            position = node.input
        elif isinstance(node, Concat):
            axis, position = node.axis, node.inputs[-1]
        elif isinstance(node, Source):
            return End(graph.arrays[node.array], axis)
        elif isinstance(node, Tiles):
            return _last_tile(graph, node, axis)
        else:
            return None


def _last_tile(graph: Graph, node: Tiles, axis: int | None) -> End | None:
    table = graph.tables[node.table]
    if node.new_axis is not None or not table.rows or sum(_names(other, node.table) for other in graph.nodes) > 1:
        return None
    origin, shape = np.asarray(table["origin"]), np.asarray(table["shape"])
    axes = range(len(node.shape)) if axis is None else (axis,)
    along = [k for k in axes if follow_each_other(node, origin, shape, k)]
    if not along:
        return None
    return End(tile_arrays(graph, node, np.array([table.rows - 1]))[0], along[0])


def _names(node: object, table: str) -> bool:
    return isinstance(node, Tiles) and node.table == table


def _one(named: Named, session: Session, attributes: Mapping[str, Any], end: End | None) -> Examined:
    array, layout, whole = named
    if array.location is None or array.values is not None:
        return Examined(Found("(in the view)", "unchanged"), array)
    if array.refs is not None:
        return _ranges(array, session)
    url = child(array.location, layout.metadata)
    stat = session.stat(url, grant=array.grant)
    stamp = array.stamp
    if stamp is None or not (differences(stamp, stat) or needs_content(stamp, stat)):
        return _named(array, "unchanged", "")
    text, now = session.read_stamped(url, grant=array.grant)
    fresh = msgspec.structs.replace(array, stamp=now)
    if stamp.digest is not None and stamp.digest == now.digest:
        return Examined(_named(array, "touched", ", ".join(differences(stamp, now))).found, fresh)
    if not whole:
        return _named(
            array, "changed", "the metadata are other ones, and a manifest does not keep all of them to compare"
        )
    status, detail, shape = _compared(array, layout, read_array_metadata(bytes(text)), attributes, end)
    return Examined(_named(array, status, detail).found, msgspec.structs.replace(fresh, shape=shape))


def _compared(
    array: StoredArray, layout: Layout, info: ZarrArrayInfo, attributes: Mapping[str, Any], end: End | None
) -> tuple[Status, str, tuple[int, ...]]:
    """What other metadata mean for the view."""
    if info.layout != layout:
        what = "data type, fill value, chunks or codecs are other ones"
        if len(layout.codecs) > len(info.layout.codecs):  # a table keeps the decodes together with the stored type
            what = "the metadata are other ones, and the stored type is not kept to compare"
        return "changed", what, array.shape
    differing = [name for name in _SAME_MEANING if _differ(info.attributes.get(name), attributes.get(name))]
    if differing:
        return "changed", f"{', '.join(differing)} of it and of the view are different", array.shape
    if info.shape == array.shape:
        return "metadata", "attributes or dimension names are other ones", array.shape
    axes = [k for k, (n, m) in enumerate(zip(array.shape, info.shape, strict=False)) if n != m]
    text = f"shape was {list(array.shape)}, is {list(info.shape)}"
    if len(info.shape) != len(array.shape) or len(axes) != 1 or info.shape[axes[0]] < array.shape[axes[0]]:
        return "changed", text, array.shape
    if end is None or end.array != array or end.axis not in (None, axes[0]):
        return "changed", f"{text}, and it is not the last array along the joined axis", array.shape
    return "grown", text, info.shape


def _differ(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one != other


def _ranges(array: StoredArray, session: Session) -> Examined:
    """An array at byte ranges: nothing is known of objects that are not the very same."""
    pinned: Iterable[tuple[str | None, Stamp | None]] = (
        (array.location, array.stamp),
        *((place.location, place.stamp) for place in array.places),
    )
    for location, stamp in pinned:
        if location is None:
            continue
        now = session.stat(location, grant=array.grant)
        if stamp is not None and (found := differences(stamp, now)):
            detail = f"{', '.join(found)}; the byte ranges that the view has may be elsewhere now"
            return _named(array, "changed", detail)
    return _named(array, "unchanged", "")


def may_change(graph: Graph) -> bool:
    """Whether bytes that a graph references could become others unnoticed: no pin, or chunks that are objects of their own.

    The pin of a Zarr array is of its metadata, and a chunk of it may be written again.

    Examples
    --------
    >>> import lazyzarr as lz, numpy as np
    >>> may_change(lz.open(np.arange(3)).ir)
    False
    """
    for array in graph.arrays:
        if array.values is not None:
            continue
        if array.refs is None or array.origins is not None:
            return True
        if array.stamp is None or any(place.stamp is None for place in array.places):
            return True
    return any(isinstance(node, Tiles) for node in graph.nodes)


def _named(array: StoredArray, status: Status, detail: str) -> Examined:
    return Examined(Found(shown(array.location or ""), status, detail), array)
