"""The lowered manifest of a view, as a graph of one array: what `lazyzarr.save` stores with ``manifest``.

Owns the step from a flat manifest to one stored array whose chunks come from a table of origins. Refuses what such a
table cannot say: views that are not flat on a regular grid, and chunks that are in memory.
"""

from __future__ import annotations

import msgspec
import numpy as np

from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import Layout, NamedConfig, Stamp, StoredArray
from lazyzarr.ir.nodes import Source
from lazyzarr.ir.origins import FILE, origin_columns
from lazyzarr.ir.tables import Column, Table
from lazyzarr.lower.aligned import INLINE, MISSING, AlignedManifest
from lazyzarr.view import View


def manifest_graph(view: View) -> Graph:
    """A graph that means what the view means, with one row per chunk of its grid.

    Raises
    ------
    NotFlat
        With every reason.
    SaveUnsupported
        A chunk is in memory, or comes from an array of more axes than the view has.
    """
    flat = view.flatten(rectilinear=False)
    if (flat.state == INLINE).any():
        raise SaveUnsupported(
            "save of a manifest with chunks that are in memory; a manifest references stored chunks; write them with "
            "zarr and open that, or save without manifest"
        )
    if any(len(origin.grid) > len(flat.shape) for origin in flat.origins):
        raise SaveUnsupported(
            "save of a manifest with chunks of arrays that have more axes than the view; their keys are not spelled "
            "from it; save without manifest"
        )
    layouts, origins = _origins(view, flat)
    missing = flat.state == MISSING
    columns: dict[str, Column] = {
        "offset": np.where(missing, 0, flat.offset).astype(np.uint64),
        "length": np.where(missing | (flat.length < 0), 0, flat.length).astype(np.uint64),
    }
    if missing.any():
        columns["state"] = (~missing).astype(np.uint8)
    columns["origin"] = np.where(missing, -1, flat.origin).astype(np.int32)
    if any(origin.keys is not None for origin in flat.origins):
        columns["number"] = np.where(missing, 0, flat.number)
    refs = Table(columns, name="chunks")  # names in the document, not identities: the graph is only written
    array = StoredArray(0, flat.shape, refs=refs.name, origins=origins.name, variants=tuple(range(1, len(layouts))))
    return Graph([Source(0)], layouts=layouts, arrays=[array], tables={refs.name: refs, origins.name: origins})


def _origins(view: View, flat: AlignedManifest) -> tuple[list[Layout], Table]:
    """Layouts that say how chunks are keyed, the first being that of the array; and the table of origins."""
    pins: dict[str, tuple[Stamp | None, str]] = {}
    if any(origin.keys is not None for origin in flat.origins):
        layouts = view.ir.layouts
        pins = {one.location or "": (one.stamp, layouts[one.layout].metadata) for one in view.sources()}
    plain = Layout(flat.data_type, flat.fill_value, flat.chunk_shape, flat.codecs)
    found: dict[tuple[NamedConfig, str], int] = {}
    codes: list[int] = []
    stamps: list[Stamp | None] = []
    for origin in flat.origins:
        stamp, metadata = pins.get(origin.location, (None, "zarr.json"))
        if origin.keys is None:
            codes.append(FILE)
            stamps.append(origin.stamp)
        else:
            codes.append(found.setdefault((origin.keys, metadata), len(found)))
            stamps.append(stamp)
    layouts = [msgspec.structs.replace(plain, chunk_keys=keys, metadata=metadata) for keys, metadata in found]
    urls = [origin.location for origin in flat.origins]
    table = Table(origin_columns(urls, stamps, codes, [origin.grid for origin in flat.origins]), name="origins")
    return layouts or [plain], table
