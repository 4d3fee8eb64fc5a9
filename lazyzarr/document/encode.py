"""From a graph to the files of a view: `encode`.

Owns the way out: locations made relative, small tables put inside the document, others beside it, features listed,
attributes made JSON. What comes out is checked by the same rules as what comes in, so that nothing is saved that
could not be opened. Refuses what has no stored form, and to write: that is `lazyzarr.document.publish`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import msgspec
import numpy as np
from msgspec import Struct

from lazyzarr.document.features import MANIFEST, features_of, table_features
from lazyzarr.document.limits import Limits, check_costs, check_shapes
from lazyzarr.document.locations import document_url, stored
from lazyzarr.document.plain_array import Content
from lazyzarr.document.tables import (
    FOLDER,
    INLINE_ROWS,
    TableFiles,
    encode_inline,
    encode_stored,
    group_text,
    is_small,
    shared,
    weight,
    with_stored_locations,
)
from lazyzarr.document.wire import (
    ATTRIBUTE,
    CONVENTION,
    CONVENTIONS,
    VERSION,
    Document,
    MadeBy,
    WireArray,
    WireGraph,
    WireManifest,
    WireSchema,
    WireTable,
    graph_digest,
    is_ours,
)
from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Json, NamedConfig, Place, StoredArray
from lazyzarr.ir.nodes import Source, Tiles
from lazyzarr.ir.validate import validate

_PRETTY_BYTES = 1 << 16
"""Longest document that is indented [bytes]."""


class EncodedView(Struct, frozen=True):
    """A view as files: the ``zarr.json`` of its group, and the folders of its tables."""

    document: bytes
    tables: tuple[TableFiles, ...] = ()
    """Tables that come with it; those that are at the target already do not."""

    def files(self) -> dict[str, Content]:
        """Every file, by its path below the group of the view; the document comes last."""
        found: dict[str, Content] = {}
        if self.tables:
            found[f"{FOLDER}/zarr.json"] = group_text()
        for table in self.tables:
            found.update((f"{FOLDER}/{table.folder}/{path}", content) for path, content in table.files)
        found["zarr.json"] = self.document
        return found


def encode(
    graph: Graph,
    *,
    base_url: str,
    dims: Sequence[str | None] | None = None,
    attributes: Mapping[str, Any] | None = None,
    grid: Sequence[int] | None = None,
    limits: Limits | None = None,
    present: Mapping[str, WireTable] | None = None,
    apart: Collection[str] = (),
    manifest: Graph | None = None,
    share: bool = False,
) -> EncodedView:
    """The files of a view.

    Parameters
    ----------
    graph
        A valid graph.
    base_url
        Location of the group that the view will be; locations are stored relative to it.
    dims
        Names of the dimensions.
    attributes
        The user's own.
    grid
        Chunk shape that readers should align to.
    limits
        What readers accept; by default the default limits.
    present
        Tables of the graph that are at the target already, by name: they are named as they are there, and not read.
    apart
        Names of tables that are child arrays even if they are small.
    manifest
        What the graph reduces to, of arrays whose chunks come from a table of origins.
    share
        Name tables of other saved views where they are.

    Raises
    ------
    ViewError
        The graph is not valid, or over the limits.
    SaveUnsupported
        ``save-unsupported`` or ``inline-limit``: something in the view has no stored form.

    Examples
    --------
    >>> from lazyzarr.ir.nodes import Fill
    >>> view = encode(Graph([Fill((2,), "int8", 0)]), base_url="file:///d/v.zarr", attributes={"units": "K"})
    >>> msgspec.json.decode(view.document)["attributes"]["units"], list(view.files())
    ('K', ['zarr.json'])
    """
    limits = limits or Limits()
    _check_kept(graph, limits)
    check_costs(graph, limits)
    schema = validate(graph, lambda schemas: check_shapes(graph, [schema.shape for schema in schemas], limits))[-1]
    if dims is not None and len(dims) != len(schema.shape):
        raise SaveUnsupported(
            f"save: {len(dims)} dimension names for a view of rank {len(schema.shape)}; name each axis"
        )
    base = document_url(base_url)
    known = dict(present or {})
    if share:
        found = {name: shared(table, base) for name, table in graph.tables.items()}
        known |= {name: table for name, table in found.items() if table is not None}
    wire, folders = _wire_graph(graph, base, known, apart)
    features = set(features_of(graph.nodes, graph.layouts, graph.arrays))
    lowered = None
    if manifest is not None:
        derived, more = _wire_graph(manifest, base, {}, ())
        form = "grid" if isinstance(manifest.root, Source) else "rows"
        lowered = WireManifest(form, graph_digest(msgspec.json.encode(wire)), derived)
        folders |= more
        features |= {MANIFEST, *features_of(manifest.nodes, manifest.layouts, manifest.arrays)}
    graphs = (wire,) if lowered is None else (wire, lowered.graph)
    features.update(table_features(table.columns for one in graphs for table in one.tables.values()))
    document = Document(
        VERSION,
        tuple(sorted(features)),
        WireSchema(schema.shape, schema.data_type, schema.fill_value, None if dims is None else tuple(dims)),
        wire,
        grid=None if grid is None else NamedConfig("regular", {"chunk_shape": [int(n) for n in grid]}),
        made_by=MadeBy("lazyzarr", _software_version()),
        manifest=lowered,
    )
    text = msgspec.json.encode(_group(document, attributes or {}))
    if len(text) <= _PRETTY_BYTES:
        text = msgspec.json.format(text, indent=2)
    limits.check("document_bytes", len(text))
    return EncodedView(text, tuple(folders.values()))


def json_attributes(attributes: Mapping[str, Any]) -> dict[str, Json]:
    """Attributes as JSON values: NumPy scalars and arrays become numbers and lists, NaN becomes ``"NaN"``.

    Raises
    ------
    SaveUnsupported
        An attribute has no JSON form.

    Examples
    --------
    >>> json_attributes({"valid_range": np.array([0, 5], "i2"), "missing_value": np.float32("nan")})
    {'valid_range': [0, 5], 'missing_value': 'NaN'}
    """
    return {str(name): _json(value, str(name)) for name, value in attributes.items()}


def group_document(attributes: Mapping[str, Any]) -> dict[str, Json]:
    """The metadata of an ordinary Zarr group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": json_attributes(attributes)}


def _group(document: Document, attributes: Mapping[str, Any]) -> dict[str, Json]:
    own = json_attributes(attributes)
    if ATTRIBUTE in own:
        raise SaveUnsupported(f"save: the attribute {ATTRIBUTE!r} is where the view itself is stored; rename yours")
    conventions = own.pop(CONVENTIONS, [])
    if not isinstance(conventions, list):
        raise SaveUnsupported(f"save: the attribute {CONVENTIONS!r} is not a list; correct or remove it")
    others = [entry for entry in cast(list[Any], conventions) if not is_ours(entry)]
    own[CONVENTIONS] = [*others, CONVENTION]
    return {"zarr_format": 3, "node_type": "group", "attributes": {**own, ATTRIBUTE: document}}


def _array(array: StoredArray, base: str) -> WireArray:
    return WireArray(
        array.layout,
        array.shape,
        location=None if array.location is None else stored(array.location, base),
        refs=array.refs,
        refs_first=array.refs_first,
        values=array.values,
        origins=array.origins,
        stamp=array.stamp,
        variants=array.variants,
        places=tuple(Place(stored(place.location, base), place.stamp) for place in array.places),
        inline=array.inline,
    )


def _wire_graph(
    graph: Graph, base: str, present: Mapping[str, WireTable], apart: Collection[str]
) -> tuple[WireGraph, dict[str, TableFiles]]:
    """A graph in its stored form, and the folders of tables that come with it."""
    tables, folders = _tables(graph, base, present, apart)
    return WireGraph(graph.nodes, graph.layouts, tuple(_array(array, base) for array in graph.arrays), tables), folders


def _tables(
    graph: Graph, base: str, present: Mapping[str, WireTable], apart: Collection[str]
) -> tuple[dict[str, WireTable], dict[str, TableFiles]]:
    located = {node.table for node in graph.nodes if isinstance(node, Tiles)}
    located |= {array.origins for array in graph.arrays if array.origins is not None}
    tables: dict[str, WireTable] = {}
    folders: dict[str, TableFiles] = {}
    rest = INLINE_ROWS
    for name in sorted(graph.tables):
        if name in present:
            tables[name] = present[name]
            continue
        table = graph.tables[name]
        if name in located:
            table = with_stored_locations(table, base)
        if name not in apart and is_small(table) and weight(table) <= rest:
            rest -= weight(table)
            tables[name] = encode_inline(table)
        else:
            tables[name], files = encode_stored(table)
            folders[files.folder] = files
    return tables, folders


def _check_kept(graph: Graph, limits: Limits) -> None:
    """In-memory arrays have a limit of their own, with a remedy that a user of the limit needs."""
    total = 0
    kept = {(array.values, "values") for array in graph.arrays if array.values is not None}
    kept |= {(array.inline, "bytes") for array in graph.arrays if array.inline is not None}
    for name, held in kept:
        column = graph.tables[name][held]
        size = math.prod(column.shape) * max(column.dtype.itemsize, 1)
        total += size
        if size > limits.inline_bytes or total > limits.inline_total:
            which = "in-memory array" if size > limits.inline_bytes else "in-memory arrays together"
            raise SaveUnsupported(
                f"save: the {which} of {max(size, total)} bytes would be copied into the view; at most "
                f"{limits.inline_bytes} bytes each and {limits.inline_total} in all are; "
                "write it with zarr and open that",
                reason="inline-limit",
            )


def _json(value: Any, name: str) -> Json:
    if isinstance(value, np.ndarray):
        return _json(cast(Any, value).tolist(), name)
    if isinstance(value, np.bool_ | np.number | np.str_):
        value = cast(Any, value).item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _json(item, f"{name}.{key}") for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_json(item, name) for item in cast(Sequence[Any], value)]
    raise SaveUnsupported(f"save: the attribute {name!r} is {type(value).__name__}; attributes are JSON; convert it")


@cache
def _software_version() -> str | None:
    try:
        return version("lazyzarr")
    except PackageNotFoundError:
        return None
