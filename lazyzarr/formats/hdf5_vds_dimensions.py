"""Names of dimensions in HDF5 files that are written: dimension scales, as netCDF-4 has them.

Owns which dataset is the scale of a dimension: the variable of that name along it alone, or one without cells that only
stands for the dimension. Refuses to write half of the names of a dataset: netCDF readers would invent the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_HIDDEN = "This is a netCDF dimension but not a netCDF variable.{:10d}"


def attach(file: Any, dims: Mapping[str, Sequence[str | None] | None]) -> list[str]:
    """Attach scales to datasets of an `h5py.File`, by path; which datasets have no names of dimensions, although the views do.

    Each group has dimensions of its own.
    """
    lost: list[str] = []
    lengths: dict[str, int] = {}
    named: dict[str, list[str]] = {}
    for path, names in dims.items():
        if names is None or not any(names):
            continue
        own = [f"{path.rpartition('/')[0]}/{name}".lstrip("/") for name in names if name]
        shape = file[path].shape
        why = _why_not(path, names, own, shape, lengths, dims)
        if why:
            lost.append(f"{path}: names of dimensions, {why}")
            continue
        lengths.update(zip(own, shape, strict=True))
        named[path] = own
    for scale, length in lengths.items():
        if scale in named:
            file[scale].make_scale(scale.rpartition("/")[2])
        else:
            made = file.create_dataset(scale, (length,), np.dtype(">f4"))
            made.make_scale(_HIDDEN.format(length))
    for path, own in named.items():
        if own == [path]:
            continue
        for axis, scale in enumerate(own):
            file[path].dims[axis].attach_scale(file[scale])
    return lost


def _why_not(
    path: str,
    names: Sequence[str | None],
    own: Sequence[str],
    shape: Sequence[int],
    lengths: Mapping[str, int],
    dims: Mapping[str, Sequence[str | None] | None],
) -> str:
    if len(own) != len(names) or len(set(own)) != len(own):
        return "of which some are missing or the same"
    for scale, length in zip(own, shape, strict=True):
        if lengths.get(scale, length) != length:
            return f"of which {scale} has {length} cells here and {lengths[scale]} elsewhere"
        leaf = scale.rpartition("/")[2]
        if scale in dims and (len(dims[scale] or ()) != 1 or list(dims[scale] or ()) != [leaf]):
            return f"of which {scale} is also a variable along other dimensions"
        if "/" in leaf or leaf in (".", ".."):
            return f"of which {leaf!r} cannot be the name of a dataset"
    return ""
