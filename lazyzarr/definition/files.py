"""Files of a source, each opened once, in threads or by a cluster: what is in them as far as the definition asks.

Owns what is taken out of a file: views of the wanted arrays, values of 1-D coordinates, attributes. Refuses to judge
whether files fit together.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import Any

import numpy as np
from msgspec import Struct

from lazyzarr.access.url import child, from_user, to_path
from lazyzarr.definition.problems import names
from lazyzarr.errors import LazyZarrError, SourceMissing, ViewSchemaError
from lazyzarr.foreign import format_of
from lazyzarr.formats.packing import Packing, packing_of, with_fill_value
from lazyzarr.group import Group, in_both_forms
from lazyzarr.ir.nodes import Source
from lazyzarr.leaves import unpacked
from lazyzarr.opening import Opening
from lazyzarr.view import View

THREADS = 8
BATCH = 64
"""Files that one task of a cluster opens."""
LONGEST_COORDINATE = 10_000_000


class Wanted(Struct, frozen=True):
    """What is looked for in every file of a source."""

    arrays: Mapping[str, tuple[str, ...]]
    """Paths by the name that the array has in the dataset; the first that is there is taken."""
    raw: frozenset[str] = frozenset()
    """Arrays that are left as they are stored, not unpacked."""
    rest: bool = False
    """Whether all other arrays of the file are wanted, too."""
    coordinates: Mapping[str, str | None] = {}
    """Where the coordinate of a dimension is, if not in the array of its name; None where it is not wanted."""
    skipped: frozenset[str] = frozenset()
    """Arrays that are none of the rest."""
    dims: tuple[str, ...] = ()
    """Dimensions that have coordinates beside those that the arrays name."""


class Coordinate(Struct, frozen=True):
    """Values along a dimension."""

    values: np.ndarray
    attrs: Mapping[str, Any]


class Opened(Struct):
    """What a file has."""

    views: dict[str, View]
    coordinates: dict[str, Coordinate]
    attrs: Mapping[str, Any]
    missing: bool = False
    failures: list[tuple[str, str, str, str]] = []
    """(array, property, expected, found); the array is empty for the file."""


def location(store: str, path: str) -> str:
    """The location of a path below a store, or of a location that is below it.

    Raises
    ------
    ViewSchemaError
        It is not below the store.

    Examples
    --------
    >>> location("s3://bucket/data", "2001/a.nc"), location("s3://bucket", "s3://bucket/a.nc")
    ('s3://bucket/data/2001/a.nc', 's3://bucket/a.nc')
    """
    if "://" not in path and not path.startswith("/"):
        return child(store, path)
    url = from_user(path)
    if not url.startswith(store.rstrip("/") + "/"):
        raise ViewSchemaError(f"{path} is not below {store}", reason="url-invalid")
    return url


def opened(
    store: str,
    paths: Sequence[str],
    wanted: Wanted,
    form: str,
    *,
    opening: Opening,
    progress: Callable[[int, int], None] | None = None,
) -> list[Opened]:
    """Open files in threads."""
    found: list[Opened] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for done in pool.map(lambda path: one(store, path, wanted, form, opening), paths):
            found.append(done)
            if progress is not None:
                progress(len(found), len(paths))
    return found


def one(store: str, path: str, wanted: Wanted, form: str, opening: Opening) -> Opened:
    """Open one file."""
    found = Opened({}, {}, {}, failures=[])
    try:
        url = location(store, path)
    except LazyZarrError as error:
        found.failures.append(("", "path", f"a path below the store {store}", f"{path} ({error})"))
        return found
    try:
        kind = form if form == "auto" else _kind(url)
        if form != "auto" and kind not in ("missing", *_FORMATS[form]):
            found.failures.append(("", "format", form, kind))
            return found
        group = _group(url, "auto", opening)
        stored = _stored(group, url, opening) if wanted.raw else group
    except SourceMissing:
        found.missing = True
        return found
    except LazyZarrError as error:
        found.failures.append(("", "file", "a file that can be opened", _line(error)))
        return found
    found.attrs = group.attrs
    paths = dict(wanted.arrays)
    if wanted.rest:
        taken = {path for each in paths.values() for path in each}
        paths |= {name: (name,) for name in group if name not in taken | wanted.skipped | set(paths)}
    for name, each in paths.items():
        _take(found, stored if name in wanted.raw else group, name, each, name in wanted.raw, name in wanted.arrays)
    _coordinates(found, group, wanted)
    return found


def _take(found: Opened, group: Group, name: str, paths: tuple[str, ...], raw: bool, named: bool) -> None:
    path = next((path for path in paths if _holds(group, path)), None)
    if path is None:
        found.failures.append((name, "array", " or ".join(path for path in paths if path), names(group)))
        return
    try:
        view = group[path]
    except LazyZarrError as error:
        found.failures.append((name, "array", "an array that can be opened", _line(error)))
        return
    if not isinstance(view, View):
        if named:
            found.failures.append((name, "array", f"an array {path}", "a group"))
    elif named or view.dims != (name,):
        found.views[name] = view if raw else _unpacked(view)


def _coordinates(found: Opened, group: Group, wanted: Wanted) -> None:
    """The values of the 1-D arrays that are named like the dimensions."""
    dims = dict.fromkeys(dim for view in found.views.values() for dim in view.dims or () if dim is not None)
    for dim in dims | dict.fromkeys(wanted.dims):
        path = wanted.coordinates.get(dim, dim)
        if path is None or not _holds(group, path):
            continue
        try:
            view = group[path]
            if isinstance(view, View) and view.ndim == 1 and view.size <= LONGEST_COORDINATE:
                view = _unpacked(view)
                found.coordinates[dim] = Coordinate(view.read(), dict(view.attrs))
        except LazyZarrError as error:
            found.failures.append(("", f"coordinate {dim}", "values that can be read", _line(error)))


def _stored(group: Group, url: str, opening: Opening) -> Group:
    """The same file with its arrays as they are stored; opened once more only in formats that cannot say both."""
    return _group(url, "raw", opening) if group._stored is None else group._stored()


def _group(url: str, packing: Packing, opening: Opening) -> Group:
    mine = copy.copy(opening)  # shares the session; what it is opening is its own
    mine.packing = packing
    place = to_path(url) if url.startswith("file://") else url
    found = mine.open(place)
    if isinstance(found, Group):
        return found
    # a file that is one array of a Zarr hierarchy is unpacked here and nowhere else
    return in_both_forms(Group.of({"": found}), (lambda: Group.of({"": found})) if _is_stored(found) else None)


def _holds(group: Group, path: str) -> bool:
    """Whether there is an array; one that cannot be opened is there, and says why when it is taken."""
    try:
        group[path]
    except KeyError:
        return False
    except LazyZarrError:
        return True
    return True


def _unpacked(view: View) -> View:
    """A Zarr array with packing attributes, unpacked as xarray does; files are unpacked where they are imported."""
    if not _is_stored(view):
        return view
    attrs = with_fill_value(view.attrs, view.data_type, None)
    decode, rest = packing_of(attrs, view.dtype, "auto")
    return view if decode is None else unpacked(view, decode).with_attrs(rest)


def _is_stored(view: View) -> bool:
    """Whether a view is a Zarr array in chunks of its own."""
    if not isinstance(view._node, Source):
        return False
    array = view._own.arrays[0]
    return array.refs is None and array.values is None


_FORMATS: Mapping[str, tuple[str, ...]] = {
    "zarr": ("zarr",),
    "hdf5": ("hdf5",),
    "netcdf": ("hdf5", "netcdf3"),
    "tiff": ("tiff",),
    "grib": ("grib",),
    "fits": ("fits",),
    "kerchunk": ("kerchunk",),
}


def _kind(url: str) -> str:
    """What a local file is; a remote one is told by what opens it."""
    if not url.startswith("file://"):
        return "zarr" if url.rstrip("/").endswith(".zarr") else "unknown"
    path = to_path(url)
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except IsADirectoryError:
        return "zarr"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    if start == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    return "kerchunk" if start.lstrip()[:1] == b"{" else format_of(start) or "unknown"


def _line(error: LazyZarrError) -> str:
    return f"[{error.reason}] {' '.join(str(error).split())}"


def batches(paths: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Paths in the numbers that one task opens."""
    return batched(paths, BATCH)
