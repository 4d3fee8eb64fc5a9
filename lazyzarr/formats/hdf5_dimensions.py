"""Dimensions of the variables of a NetCDF-4 file.

Owns the three ways in which NetCDF-4 says which dimension an axis has: the dimension ids in
``_Netcdf4Coordinates``, the references in ``DIMENSION_LIST``, and, where neither exists, the ``phony_dim_N`` that
the NetCDF library invents. A dimension is known by its path, so that equal names in different groups stay apart.
Refuses to name the axes of plain HDF5 files: they have none.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from h5py import h5a, h5r

from lazyzarr.formats.hdf5_attributes import Attributes, text
from lazyzarr.formats.hdf5_facts import Facts

RENAMED = "_nc4_non_coord_"
"""Prefix of variables that are named like a dimension and are not its coordinate."""
_HIDDEN = "This is a netCDF dimension but not a netCDF variable"


@dataclass
class Found:
    """A dataset met on the walk, still open."""

    name: str
    path: str
    obj: Any
    attributes: Attributes
    facts: Facts
    shape: tuple[int, ...] | None
    """None for a dataset without a dataspace."""
    unlimited: tuple[bool, ...]
    """Whether each axis may grow without end."""
    scale: str | None
    """The ``NAME`` attribute of a dimension scale; None for other variables."""
    compact: tuple[int, int] | None = None
    """Where in the file the cells of compact storage are, and how many bytes, as far as the header says."""

    @property
    def hidden(self) -> bool:
        """Whether this only stands for a dimension without coordinate values."""
        return self.scale is not None and self.scale.startswith(_HIDDEN)

    @property
    def variable(self) -> str:
        """Name of the variable as NetCDF shows it."""
        return self.name.removeprefix(RENAMED)


@dataclass
class Scope:
    """The datasets of one group, and its subgroups."""

    path: str = "/"
    datasets: list[Found] = field(default_factory=list)
    children: list[Scope] = field(default_factory=list)


class Axes(NamedTuple):
    """Dimensions of one variable."""

    names: tuple[str, ...]
    lengths: tuple[int, ...]
    """At least the shape of the dataset: an unlimited dimension is as long as its longest variable."""


def scale_name(found: Attributes) -> str | None:
    """The ``NAME`` of a dimension scale (perhaps empty), or None for what is not a scale."""
    if b"CLASS" not in found or found.read(b"CLASS") != "DIMENSION_SCALE":
        return None
    return str(found.read(b"NAME")) if b"NAME" in found else ""


def axes(root: Scope, *, netcdf: bool) -> dict[str, Axes]:
    """Dimensions of each variable of a file by path; empty for a file that is no NetCDF-4."""
    variables = [one for one in _all(root) if one.shape is not None]
    scales = [one for one in variables if one.scale is not None]
    if not scales and not netcdf:
        return {}
    by_id = {
        int(one.attributes.read(b"_Netcdf4Dimid")): one.path for one in scales if b"_Netcdf4Dimid" in one.attributes
    }
    known = {one.path: _declared(one, by_id) for one in variables}
    _invent(root, known, max([*by_id, len(scales) - 1]) + 1)
    longest: dict[str, int] = {}
    for one in variables:
        if any(one.unlimited):
            for dimension, length, grows in zip(known[one.path], one.shape or (), one.unlimited, strict=True):
                if grows and dimension is not None:
                    longest[dimension] = max(longest.get(dimension, 0), length)
    found: dict[str, Axes] = {}
    for one in variables:
        dimensions = [str(dimension) for dimension in known[one.path]]
        lengths = (
            longest[dimension] if grows else length
            for dimension, length, grows in zip(dimensions, one.shape or (), one.unlimited, strict=True)
        )
        found[one.path] = Axes(tuple(name.rpartition("/")[2] for name in dimensions), tuple(lengths))
    return found


def declared(one: Found) -> Axes | None:
    """Dimensions that a variable declares by itself, or None where the whole file has to be asked."""
    if one.shape is None or any(one.unlimited):
        return None
    names = _declared(one, {})
    if any(name is None for name in names):
        return None
    return Axes(tuple(str(name).rpartition("/")[2] for name in names), one.shape)


def _declared(one: Found, by_id: dict[int, str]) -> tuple[str | None, ...]:
    rank = len(one.shape or ())
    if one.scale is not None and rank == 1:
        return (one.path,)
    if b"_Netcdf4Coordinates" in one.attributes and by_id:
        ids = np.atleast_1d(one.attributes.read(b"_Netcdf4Coordinates")).tolist()
        if len(ids) == rank and all(number in by_id for number in ids):
            return tuple(by_id[number] for number in ids)
    if b"DIMENSION_LIST" in one.attributes:
        return _listed(one, rank)
    return (None,) * rank


def _listed(one: Found, rank: int) -> tuple[str | None, ...]:
    aid = h5a.open(one.obj, b"DIMENSION_LIST")
    lists = np.empty(aid.shape, aid.dtype)
    aid.read(lists)
    found: list[str | None] = [None] * rank
    for axis, references in enumerate(lists.ravel()[:rank]):
        path = h5r.get_name(references[0], one.obj) if len(references) and references[0] else None
        found[axis] = text(path) if path else None
    return tuple(found)


def _all(scope: Scope) -> Iterable[Found]:
    for child in scope.children:
        yield from _all(child)
    yield from scope.datasets


def _invent(scope: Scope, known: dict[str, tuple[str | None, ...]], next_id: int) -> int:
    """Name the axes without a name as the NetCDF library does: reuse by length within the group, children first."""
    for child in scope.children:
        next_id = _invent(child, known, next_id)
    sizes = [
        (one.shape[0], one.unlimited[0], one.path)
        for one in scope.datasets
        if one.scale is not None and one.shape is not None and len(one.shape) == 1
    ]
    for one in scope.datasets:
        if one.shape is None or None not in known[one.path]:
            continue
        named = list(known[one.path])
        for axis, size in enumerate(zip(one.shape, one.unlimited, strict=True)):
            if named[axis] is None:
                fits = (path for length, grows, path in sizes if (length, grows) == size)
                found = next((path for path in fits if path not in named[:axis]), None)
                if found is None:
                    found = f"{scope.path.rstrip('/')}/phony_dim_{next_id}"
                    next_id += 1
                    sizes.append((*size, found))
                named[axis] = found
        known[one.path] = tuple(named)
    return next_id
