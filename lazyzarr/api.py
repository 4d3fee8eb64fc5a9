"""The functions of the package: what ``import lazyzarr as lz`` offers.

Owns the signatures. Refuses logic of its own: opening, joining, reading and saving are elsewhere.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from lazyzarr import numpy_protocol as _numpy_protocol
from lazyzarr.appending import append
from lazyzarr.combine import block, broadcast_to, concat, interleave, overlay, pad, stack
from lazyzarr.document.decode import DEFAULT_LIMITS
from lazyzarr.document.limits import Limits
from lazyzarr.group import Group
from lazyzarr.leaves import full
from lazyzarr.opening import Opening, Packing
from lazyzarr.refreshing import RefreshRefused, refresh
from lazyzarr.saving import save
from lazyzarr.view import View


def open(
    place: Any,
    variable: str | None = None,
    *,
    packing: Packing = "auto",
    allow: Iterable[str | os.PathLike[str]] = (),
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
    verify: bool = True,
    missing: Literal["error", "fill"] = "error",
    version: str | None = None,
    templates: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    manifest: bool = False,
) -> Any:
    """Open a stored array, a saved view, a file or a group; metadata is read, chunks are not.

    Parameters
    ----------
    place
        A path or URL of a Zarr array, a Zarr group, a saved view, an Icechunk repository, kerchunk references (JSON or
        Parquet), a TensorStore specification, or an HDF5, NetCDF, FITS, TIFF or GRIB file; a ``zarr.Array``, ``zarr.Group`` or Zarr store; a
        repository, session or store of Icechunk; a ``ManifestArray`` or virtual dataset of VirtualiZarr; or a NumPy
        array, which is stored with the view when
        it is saved.
    variable
        Name of the array inside a file or a group.
    packing
        "auto": CF ``scale_factor``, ``add_offset`` and ``_FillValue`` of a file become a decode node, with the
        values and type that xarray decodes to; "raw": stored integers, attributes kept.
    allow
        What a saved view, a file of references or an HDF5 file may reference beside locations below its own parent
        directory.
    storage_options
        ``{prefix: options}`` for remote storage; never read from a document.
    verify
        False accepts sources that changed since they were referenced.
    missing
        What a virtual HDF5 dataset reads where a source file is not there.
    version
        Branch, tag or snapshot id of an Icechunk repository, also as ``"branch:..."``, ``"tag:..."`` or
        ``"snapshot:..."``; by default the branch ``main``.
    templates
        Whether templates and generators of a kerchunk file are expanded; refused otherwise, since they hide what the
        file refers to.
    limits
        What a saved view or a file of references may cost.
    manifest
        Read a saved view through the manifest that is stored with it, if there is one.

    Returns
    -------
    View or Group

    Raises
    ------
    SourceError, ViewError, AccessDenied, ExtraMissing

    Examples
    --------
    >>> import numpy as np
    >>> open(np.arange(4))[::-1].read()
    array([3, 2, 1, 0])
    """
    opening = Opening(
        allow=allow,
        storage_options=storage_options,
        packing=packing,
        verify=verify,
        missing=missing,
        version=version,
        templates=templates,
        limits=limits,
        manifest=manifest,
    )
    return opening.open(place, variable)


def store(views: View | Mapping[str, Any], *, rectilinear: bool = False) -> Any:
    """Views as a read-only Zarr store, which any zarr-python client reads as plain Zarr v3.

    Stored bytes of whole chunks are passed on untouched where they have the chain of most; other chunks are read, and
    encoded with that chain, when they are asked for.

    Parameters
    ----------
    views
        A view, a group, or views and groups by name.
    rectilinear
        Serve views on a rectilinear grid as such, for clients that know it; zarr-python does when its setting
        ``array.rectilinear_chunks`` is on. Otherwise such views are served on a regular grid, chunk by chunk.

    Returns
    -------
    zarr.abc.store.Store
        Raises what reading the views raises, and never takes a source that could not be read for fill.

    Examples
    --------
    >>> import zarr
    >>> zarr.open_array(store(full((2, 3), 7, dtype="int16")), mode="r")[0].tolist()
    [7, 7, 7]
    """
    # zarr costs 0.3 s to import and only this needs it
    served = importlib.import_module("lazyzarr.view_store")
    return served.ViewStore(views if isinstance(views, View) else Group.of(views), rectilinear=rectilinear)


__all__ = [
    "Group",
    "Limits",
    "RefreshRefused",
    "View",
    "append",
    "block",
    "broadcast_to",
    "concat",
    "full",
    "interleave",
    "open",
    "overlay",
    "pad",
    "refresh",
    "save",
    "stack",
    "store",
]
# NumPy's functions know views from here on
assert _numpy_protocol.ARRAY_FUNCTIONS
