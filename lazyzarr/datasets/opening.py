"""Data sets of views: `open_dataset`.

Owns the step from what can be opened to a `xarray.Dataset`. Refuses options of its own for storage and trust: they are those
of `lazyzarr.open`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import xarray as xr

from lazyzarr.api import open as open_views
from lazyzarr.datasets import accessor
from lazyzarr.datasets.variables import below, dataset_of, members_of, opened_for, packing_for
from lazyzarr.formats.packing import Packing
from lazyzarr.group import Group
from lazyzarr.view import View

ACCESSORS = (accessor.DatasetAccessor, accessor.DataArrayAccessor)
"""Importing them gives every data set ``.lazyzarr``."""
_DECODING = ("decode_times", "decode_timedelta", "use_cftime", "decode_coords", "concat_characters", "mask_and_scale")


def open_dataset(
    place: Any,
    *,
    name: str | None = None,
    group: str | None = None,
    drop_variables: str | Iterable[str] = (),
    decode_cf: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Open a file, a group or a view as a data set of xarray whose variables hold views.

    What needs no values stays lazy: ``xr.concat``, ``combine_by_coords``, ``isel``, ``sel``, ``transpose``, ``stack``, ``roll``,
    ``pad``, ``shift``, ``reindex``, ``expand_dims``, broadcasting, ``merge``. What needs them computes with NumPy. One-dimensional
    coordinates are read, since xarray keeps them in indexes, and so is text.

    Parameters
    ----------
    place
        What `lazyzarr.open` takes, or a view, a group, or a mapping from names to views.
    name
        Of the variable, where ``place`` is a single view.
    group
        Path of a group in the file.
    drop_variables
        Names that are left out, unopened.
    decode_cf
        False leaves attributes as they are: packed integers, times as numbers.
    options
        Those of `lazyzarr.open`, and ``decode_times``, ``decode_timedelta``, ``use_cftime``, ``decode_coords``,
        ``concat_characters`` and ``mask_and_scale`` as in `xarray.decode_cf`.

    Returns
    -------
    xarray.Dataset
        Types, dimensions and decoded values are those that xarray gives with the netCDF4 engine.

    Raises
    ------
    SourceError, ViewError, AccessDenied, ExtraMissing
        As `lazyzarr.open`.

    Examples
    --------
    >>> import lazyzarr as lz, numpy as np
    >>> v = lz.open(np.arange(6).reshape(2, 3)).rename_dims(["t", "x"])
    >>> ds = lz.open_dataset(v, name="sst")
    >>> isinstance(ds.sst.isel(t=1)[::-1].data, lz.View), ds.sst.isel(t=1)[::-1].values
    (True, array([5, 4, 3]))
    """
    decoding: dict[str, Any] = {key: options.pop(key) for key in _DECODING if key in options}
    if not decode_cf:
        decoding = dict.fromkeys(("decode_times", "decode_coords", "concat_characters", "mask_and_scale"), False)
    packing: Packing | None = options.pop("packing", None)

    def opened(packing: Packing) -> View | Group:
        found = Group.of(place) if isinstance(place, dict) else open_views(place, packing=packing, **options)
        return below(found, group, place)

    members, attrs = members_of(opened_for(decoding, packing, opened), name, drop_variables)
    return dataset_of(members, attrs, unpack=(packing or packing_for(decoding)) == "auto", **decoding)
