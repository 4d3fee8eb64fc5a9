"""Views as virtual datasets of VirtualiZarr: `to_dataset` and `to_manifest_array`.

Owns the step from flat manifests to ``ManifestArray`` objects, from which VirtualiZarr writes kerchunk and Icechunk.
A decode that all chunks share becomes CF attributes where those say exactly the same. VirtualiZarr has no place for
pins. Refuses views that are not flat, grids that are not regular, and codecs that no other reader has.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
import zarr
from virtualizarr.manifests import ChunkManifest, ManifestArray, ManifestGroup
from zarr.buffer import cpu
from zarr.storage import MemoryStore

from lazyzarr.errors import SaveUnsupported
from lazyzarr.formats.flat_arrays import Decode, FlatArray, collected
from lazyzarr.lower.aligned import INLINE

_INLINED = "__inlined__"
"""What VirtualiZarr writes in place of a location for a chunk that is in the manifest."""


def to_manifest_array(view: Any, *, decode: Decode = "exact") -> ManifestArray:
    """A view as a ``ManifestArray``, with its attributes and dimension names in the metadata.

    Parameters
    ----------
    view
        A view.
    decode
        "exact" refuses packing that CF attributes would not say exactly; "attributes" writes them all the same.

    Raises
    ------
    NotFlat
        It is no flat manifest on a regular grid.
    SaveUnsupported
        A codec has no reader outside lazyzarr, or the packing cannot be said exactly.
    """
    return _manifest_array(collected(view, "array", decode, "to_manifest_array", rectilinear=False).arrays["array"])


def to_dataset(views: Any, *, name: str | None = None, decode: Decode = "exact") -> xr.Dataset:
    """A view, or a group of views, as a virtual dataset.

    Parameters
    ----------
    views
        A view, or a mapping from names to views without further mappings.
    name
        Of the variable, for a view.
    decode
        As `to_manifest_array`.

    Raises
    ------
    NotFlat, SaveUnsupported
        As `to_manifest_array`, for all views at once; also where an axis has no name.
    """
    given = collected(views, name or "", decode, "to_dataset", rectilinear=False)
    deep = [
        path for path in (*given.arrays, *given.plain, *given.groups) if "/" in path or (path in given.groups and path)
    ]
    if deep or given.plain:
        what = f"{deep[0]} is in a group of its own" if deep else f"{next(iter(given.plain))} is no view"
        raise SaveUnsupported(
            f"to_dataset: {what}; a dataset has views side by side; convert each group, and open arrays with lz.open"
        )
    unnamed = [path for path, one in given.arrays.items() if one.flat.shape and None in (one.flat.dims or (None,))]
    if unnamed:
        raise SaveUnsupported(
            f"to_dataset: {', '.join(unnamed)} has axes without a name; a dataset names each; call .rename_dims"
        )
    arrays = {path: _manifest_array(one) for path, one in given.arrays.items()}
    return ManifestGroup(arrays=arrays, attributes=given.groups.get("", {})).to_virtual_dataset()


def _manifest_array(one: FlatArray) -> ManifestArray:
    flat = one.flat
    urls: Any = flat.urls()
    inlined: dict[tuple[int, ...], bytes] = {}
    grid = flat.grid_shape
    lengths = np.maximum(one.lengths, 0).astype(np.uint64)
    for row in np.flatnonzero(one.state == INLINE).tolist():
        at = np.unravel_index(row, grid) if grid else ()
        data = inlined[tuple(int(k) for k in at)] = flat.inline(row)
        urls[row], lengths[row] = _INLINED, len(data)
    for row in np.flatnonzero(one.state == 0).tolist():
        urls[row] = ""
    paths: Any = np.array(urls, np.dtypes.StringDType())
    manifest = ChunkManifest.from_arrays(
        paths=paths.reshape(grid),
        offsets=flat.offset.astype(np.uint64).reshape(grid),
        lengths=lengths.reshape(grid),
        validate_paths=False,
        inlined=inlined or None,
    )
    return ManifestArray(metadata=_metadata(one), chunkmanifest=manifest)


def _metadata(one: FlatArray) -> Any:
    """The metadata as zarr-python has them, by way of a store in memory."""
    text = json.dumps(one.metadata, allow_nan=False).encode()
    try:
        return zarr.open_array(MemoryStore({"zarr.json": cpu.Buffer.from_bytes(text)}), mode="r").metadata
    # what zarr-python raises for a type, a codec or a grid that it does not know or has no code for
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise SaveUnsupported(
            f"to_dataset: zarr-python does not read an array as {one.path} is ({error}); copy it with other codecs"
        ) from error
