"""HDF5 virtual datasets: which box of which file fills which box of the view.

Owns the mappings, the ``%b`` names, and the extent of unlimited mappings, which libhdf5 would find out by opening
files nobody allowed. A source that is not there is reported, not read as fill. Refuses mappings that reach beyond
their source, which libhdf5 also reads as fill.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from h5py import h5d, h5s

from lazyzarr.access.url import shown
from lazyzarr.errors import SourceMissing, UnsupportedFeature
from lazyzarr.formats.hdf5_file import File, opened
from lazyzarr.formats.hdf5_links import MAX_HOPS, resolve
from lazyzarr.formats.hdf5_model import Hdf5Mapping
from lazyzarr.formats.hdf5_places import Place
from lazyzarr.formats.hdf5_selection import MAX_PIECES, Axis, axes_of, pairs

Extents = dict[tuple[str, str], tuple[int, ...] | None]
"""Shape of each source dataset by URL and path; None where it is not there."""


@dataclass
class _Mapping:
    """One mapping of the creation list, with numbers put into its names and unlimited counts cut."""

    url: str
    dataset: str
    source: list[Axis]
    view: list[Axis]


def virtual_shape(file: File, obj: Any, plist: Any) -> tuple[int, ...]:
    """Current extent of a virtual dataset.

    Raises
    ------
    AccessDenied
        The extent depends on a file that may not be used.
    """
    spaces = [plist.get_virtual_vspace(i) for i in range(plist.get_virtual_count())]
    growing = {axis for space in spaces if (axis := _unlimited_axis(axes_of(space))) is not None}
    if not growing:
        return obj.shape
    shape = list(spaces[0].get_simple_extent_dims())
    for axis in growing:
        shape[axis] = 0
    for mapping in _mappings(file, plist, {}):
        for axis in growing:
            if all(one.total for one in mapping.view):
                start, step, count = mapping.view[axis].pieces()[-1]
                shape[axis] = max(shape[axis], start + step * (count - 1) + 1)
    return tuple(shape)


def virtual_source(file: File, plist: Any) -> tuple[tuple[Hdf5Mapping, ...], tuple[str, ...]]:
    """The mappings as pairs of strided boxes, and the sources that are not there.

    Raises
    ------
    AccessDenied
        A source may not be used.
    UnsupportedFeature
        A mapping reaches beyond its source, or is not made of strided boxes.
    """
    found: list[Hdf5Mapping] = []
    extents: Extents = {}
    for one in _mappings(file, plist, extents):
        if any(axis.total == 0 for axis in (*one.source, *one.view)):
            continue
        for source, view, axes in pairs(one.source, one.view):
            found.append(Hdf5Mapping(one.url, one.dataset, tuple(source), tuple(view), axes))
    missing = dict.fromkeys(f"{shown(url)}#{dataset}" for (url, dataset), extent in extents.items() if extent is None)
    return tuple(found), tuple(missing)


def _mappings(file: File, plist: Any, extents: Extents) -> list[_Mapping]:
    """The mappings whose source is there; `extents` gets an entry for each source that was asked for."""
    found: list[_Mapping] = []
    for number in range(plist.get_virtual_count()):
        filename, dataset = plist.get_virtual_filename(number), plist.get_virtual_dsetname(number)
        space = plist.get_virtual_srcspace(number)
        view = axes_of(plist.get_virtual_vspace(number))
        if view is None or space.get_select_type() == h5s.SEL_NONE:
            continue
        growing = _unlimited_axis(view)
        if growing is not None and _unlimited_axis(axes_of(space)) is None:
            found.extend(_numbered(file, filename, dataset, space, view, growing, extents))
            continue
        url, dataset, extent = _source(file, _plain(filename), _plain(dataset), extents)
        if extent is None:
            continue
        source = _selected(space, extent)
        if growing is not None:
            source, view = _grown(source, view, extent)
        _inside(source, extent, f"{dataset} of {shown(url)}")
        found.append(_Mapping(url, dataset, source, view))
    return found


def _selected(space: Any, extent: tuple[int, ...]) -> list[Axis]:
    """A source selection; files keep no extent with the selection of everything."""
    if space.get_select_type() == h5s.SEL_ALL:
        return [Axis(0, 1, 1, n) for n in extent]
    return axes_of(space) or []


def _inside(source: list[Axis], extent: tuple[int, ...], what: str) -> None:
    ends = [axis.pieces()[-1] if axis.total else (0, 1, 1) for axis in source]
    if len(ends) == len(extent) and all(a + (c - 1) * s < max(n, 1) for (a, s, c), n in zip(ends, extent, strict=True)):
        return
    raise UnsupportedFeature(
        f"the virtual dataset reads up to cell {[a + (c - 1) * s for a, s, c in ends]} of {what}, which now has shape"
        f" {extent}; HDF5 would return fill values there; restore the source or write the mapping anew",
        reason="shape-mismatch",
    )


def _grown(source: list[Axis], view: list[Axis], extent: tuple[int, ...]) -> tuple[list[Axis], list[Axis]]:
    """Both sides unlimited: as many indices as the source has now."""
    from_axis, to_axis = _unlimited_axis(source), _unlimited_axis(view)
    if from_axis is None or to_axis is None:
        raise AssertionError("both sides are unlimited")
    taken, filled = _finite(source[from_axis], extent[from_axis]), view[to_axis]
    count = -(-taken.total // filled.block) if filled.block != h5s.UNLIMITED else 1
    block = filled.block if filled.block != h5s.UNLIMITED else taken.total
    source, view = [*source], [*view]
    source[from_axis] = taken
    view[to_axis] = Axis(filled.start, max(filled.stride, 1), count, block).first(taken.total)
    return source, view


def _finite(axis: Axis, length: int) -> Axis:
    """An unlimited selection, cut at the end of its dataset."""
    if axis.block == h5s.UNLIMITED:
        return Axis(axis.start, 1, 1, max(0, length - axis.start))
    blocks = max(0, -(-(length - axis.start) // axis.stride))
    cells = blocks * axis.block
    if blocks:
        cells -= max(0, axis.start + (blocks - 1) * axis.stride + axis.block - length)
    return Axis(axis.start, axis.stride, blocks, axis.block).first(cells)


def _numbered(
    file: File, filename: Any, dataset: Any, space: Any, view: list[Axis], growing: int, extents: Extents
) -> list[_Mapping]:
    """Block ``b`` of the view comes from the source whose name has ``b`` for ``%b``, up to the first that is absent."""
    if _plain(filename, 0) == _plain(filename, 1) and _plain(dataset, 0) == _plain(dataset, 1):
        raise UnsupportedFeature(
            "a mapping of the virtual dataset is unlimited in the view alone and its names hold no %b; its extent is"
            " not defined; write the mapping anew",
            reason="source-unsupported",
        )
    part = view[growing]
    found: list[_Mapping] = []
    for block in range(MAX_PIECES):
        tried: Extents = {}
        url, name, extent = _source(file, _plain(filename, block), _plain(dataset, block), tried)
        if extent is None:  # the end of the series, not a gap
            break
        extents.update(tried)
        box = [*view]
        box[growing] = Axis(part.start + block * part.stride, 1, 1, part.block)
        source = _selected(space, extent)
        _inside(source, extent, f"{name} of {shown(url)}")
        found.append(_Mapping(url, name, source, box))
    return found


def _source(file: File, filename: str, dataset: str, extents: Extents) -> tuple[str, str, tuple[int, ...] | None]:
    """URL, dataset path and current extent of a source."""
    place = file.place if filename == "." else file.beside(filename)
    step = (place.url, dataset)
    if step not in extents:
        extents[step] = _extent(file, place, dataset)
    return place.url, dataset, extents[step]


def _extent(file: File, place: Place, dataset: str) -> tuple[int, ...] | None:
    step = (place.url, dataset)
    if step in file.trail or len(file.trail) >= MAX_HOPS:
        raise UnsupportedFeature(
            f"the virtual dataset leads back to {dataset} of {shown(place.url)}; a cycle has no cells; write the mapping anew",
            reason="source-unsupported",
        )
    with ExitStack() as stack:
        try:
            other = stack.enter_context(opened(place, file.packing, file.allow, trail=(*file.trail, step)))
            obj = resolve(other, dataset)
        except SourceMissing:
            return None
        if not isinstance(obj, h5d.DatasetID):
            raise UnsupportedFeature(
                f"the virtual dataset maps {dataset} of {shown(place.url)}, which is no dataset of that file; name the dataset itself",
                reason="source-unsupported",
            )
        plist = obj.get_create_plist()
        return virtual_shape(other, obj, plist) if plist.get_layout() == h5d.VIRTUAL else obj.shape


def _unlimited_axis(axes: list[Axis] | None) -> int | None:
    for number, axis in enumerate(axes or ()):
        if axis.count == h5s.UNLIMITED or axis.block == h5s.UNLIMITED:
            return number
    return None


def _plain(name: str | bytes, block: int | None = None) -> str:
    """A source name with ``%%`` and, in numbered mappings, ``%b`` replaced."""
    text = os.fsdecode(name) if isinstance(name, bytes) else name
    parts = text.split("%%")
    return "%".join(parts if block is None else (part.replace("%b", str(block)) for part in parts))
