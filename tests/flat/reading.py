"""The plainest reader of a flat manifest: fetch each chunk, decode it by the chain, put it on the grid."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from lazyzarr.access.url import to_path
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.ir import fill
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, AlignedManifest


def stored_bytes(manifest: AlignedManifest, row: int) -> bytes | None:
    """What a plain reader fetches for a chunk of local files; None where there is nothing."""
    state = int(manifest.state[row])
    if state == MISSING:
        return None
    if state == INLINE:
        return manifest.inline(row)
    path = Path(to_path(manifest.urls(slice(row, row + 1))[0]))
    if state == OBJECT:
        return path.read_bytes() if path.exists() else None
    offset, length = int(manifest.offset[row]), int(manifest.length[row])
    data = path.read_bytes()[offset : offset + length]
    assert len(data) == length
    return data


def read_flat(manifest: AlignedManifest) -> np.ndarray:
    """All cells of a manifest."""
    out = fill.full(manifest.shape, manifest.fill_value, manifest.data_type)
    for row in range(len(manifest)):
        data = stored_bytes(manifest, row)
        if data is None:
            continue
        box = tuple(slice(span.start, span.start + span.count) for span in manifest.chunk_box(row))
        cells = compile_chain(manifest.layout(row)).decode(data)
        out[box] = cells[tuple(slice(part.stop - part.start) for part in box)]
    return out


def read_with_zarr(manifest: AlignedManifest) -> np.ndarray:
    """All cells as zarr-python reads them, from its own store of the same bytes under the metadata of the manifest."""
    store: dict[str, Any] = {}
    cpu = default_buffer_prototype().buffer.from_bytes
    store["zarr.json"] = cpu(json.dumps(manifest.zarr_metadata()).encode())
    for row in range(len(manifest)):
        data = stored_bytes(manifest, row)
        if data is not None:
            at = np.unravel_index(row, manifest.grid_shape) if manifest.shape else ()
            store["/".join(["c", *(str(int(k)) for k in at)])] = cpu(data)
    with zarr.config.set({"array.rectilinear_chunks": True}), warnings.catch_warnings():
        warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)  # a transpose in front of a shard costs speed
        array: Any = zarr.open_array(MemoryStore(store), mode="r")
        return np.asarray(array[...])
