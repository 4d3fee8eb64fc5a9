"""Import an HDF5 or NetCDF-4 file: walk it once, describe every variable, decode nothing.

Owns the walk over groups; a cycle ends at the link that closes it. What one variable is, is worked out in
`hdf5_variable`. Refuses one variable at a time: what cannot be represented becomes an `Hdf5Refused` with its
reason, and the rest of the file stays usable.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from h5py import h5d, h5g, h5l, h5o

from lazyzarr.access.ranged_file import RangedFile
from lazyzarr.access.url import shown
from lazyzarr.errors import LazyZarrError, SourceChanged, SourceMissing, UnsupportedFeature
from lazyzarr.formats import hdf5_attributes as attributes
from lazyzarr.formats import hdf5_dimensions as dimensions
from lazyzarr.formats.hdf5_file import DAMAGE, File, Packing, Trail, opened
from lazyzarr.formats.hdf5_headers import header
from lazyzarr.formats.hdf5_links import MAX_HOPS, Elsewhere, links, resolve
from lazyzarr.formats.hdf5_model import Allow, Hdf5Group, Hdf5Item, Hdf5Later, Hdf5Refused
from lazyzarr.formats.hdf5_places import Place, place_of
from lazyzarr.formats.hdf5_variable import describe, describe_later, found
from lazyzarr.formats.hdf5_vds import write_vds

__all__ = ["import_array", "import_file", "write_vds"]
MAX_ALIASES = 64
"""Further names of groups that are followed in one file."""


@dataclass
class _Tree:
    """A group met on the walk, still open."""

    name: str
    obj: Any
    attributes: attributes.Attributes
    scope: dimensions.Scope
    children: dict[str, _Tree] = field(default_factory=dict)
    linked: dict[str, Hdf5Item | Hdf5Later | Hdf5Group] = field(default_factory=dict)
    """What needed no second look: refusals, and what was imported from other files."""


@dataclass
class _Seen:
    """Groups met so far; names beyond the first are few in honest files, and 2^n in others."""

    paths: dict[tuple[int, int], str] = field(default_factory=dict)
    aliases: int = 0

    def check(self, obj: Any, inner: str, above: dict[tuple[int, int], str]) -> None:
        """Refuse a group that holds itself, and further names of groups once there are too many."""
        info = h5o.get_info(obj)
        key = (info.fileno, info.addr)
        if key in above:
            raise UnsupportedFeature(
                f"{inner} leads back to {above[key]}; a cycle has no end; open {above[key]} itself",
                reason="source-unsupported",
            )
        self.aliases += key in self.paths
        if key in self.paths and self.aliases > MAX_ALIASES:
            raise UnsupportedFeature(
                f"{inner} is another name of {self.paths[key]}; more than {MAX_ALIASES} such names are not followed;"
                f" open {self.paths[key]} itself",
                reason="source-unsupported",
            )


def import_file(
    where: str | RangedFile, url: str, *, packing: Packing = "auto", allow_external: Allow | None = None
) -> Hdf5Group:
    """Describe every variable of a file.

    Parameters
    ----------
    where
        Path of the file on this machine, or the remote file. Of a remote file the tree is walked; each variable is
        described when it is asked for.
    url
        Where readers of the result will find it.
    packing
        ``"auto"`` turns the CF packing attributes into `Hdf5Array.decode`; ``"raw"`` leaves them alone.
    allow_external
        Which other files (external links, raw data files, sources of virtual datasets) may be used, by URL; by
        default those below the directory of this file.

    Raises
    ------
    SourceMissing, SourceDenied, SourceError
        The file is not there, not readable, or not HDF5.
    SourceChanged
        The file was written to while it was parsed.
    """
    with opened(place_of(where, url), packing, allow_external) as file:
        return _import_group(file, h5g.open(file.fid, b"/"), "", "/")


def import_array(
    where: str | RangedFile, url: str, name: str, *, packing: Packing = "auto", allow_external: Allow | None = None
) -> Hdf5Item:
    """Describe one variable, named by its path in the file; no other variable's chunk index is read.

    Raises
    ------
    SourceMissing
        The file is not there, or has no such variable.
    """
    with opened(place_of(where, url), packing, allow_external) as file:
        item = _import_object(file, "/" + name.strip("/"))
    if isinstance(item, Hdf5Group):
        raise SourceMissing(f"{name!r} of {shown(url)} is a group, not an array; name an array below it")
    return item


def _import_object(file: File, inner: str) -> Hdf5Item | Hdf5Group:
    obj = resolve(file, inner)
    name = inner.rpartition("/")[2]
    if isinstance(obj, Elsewhere):
        return _import_elsewhere(file, obj, name)
    if isinstance(obj, h5g.GroupID):
        return _import_group(file, obj, name, inner)
    one = found(file, obj, name, inner)
    if one.hidden:  # NetCDF keeps a variable that is no coordinate, but is named like a dimension, under another name
        name = dimensions.RENAMED + name
        inner = f"{inner.rpartition('/')[0]}/{name}"
        one = found(file, resolve(file, inner), name, inner)
    axes = dimensions.declared(one)
    if axes is None:
        root = h5g.open(file.fid, b"/")
        axes = _axes(_walk(file, root, "", "/", {}, _Seen())).get(inner)
    return describe(file, one, axes)


def _import_elsewhere(file: File, link: Elsewhere, name: str) -> Hdf5Item | Hdf5Group:
    place = file.beside(link.filename)
    step = (place.url, link.inner)
    if step in file.trail or len(file.trail) >= MAX_HOPS:
        raise UnsupportedFeature(
            f"external link {name!r} leads back to {link.inner} of {shown(place.url)}; a cycle has no end; open that file itself",
            reason="source-unsupported",
        )
    with opened(place, file.packing, file.allow, trail=(*file.trail, step)) as other:
        return _import_object(other, link.inner)


def _elsewhere_later(file: File, link: Elsewhere, name: str) -> Hdf5Later:
    return Hdf5Later(name, partial(_elsewhere_again, file.place, file.packing, file.allow, file.trail, link, name))


def _elsewhere_again(
    place: Place, packing: Packing, allow: Allow | None, trail: Trail, link: Elsewhere, name: str
) -> Hdf5Item | Hdf5Group:
    with opened(place, packing, allow, trail=trail) as file:
        return _import_elsewhere(file, link, name)


def _import_group(file: File, obj: Any, name: str, path: str) -> Hdf5Group:
    tree = _walk(file, obj, name, path, {}, _Seen())
    return _group(file, tree, _axes(tree))


def _axes(tree: _Tree) -> dict[str, dimensions.Axes]:
    return dimensions.axes(tree.scope, netcdf=b"_NCProperties" in tree.attributes)


def _group(file: File, tree: _Tree, named: dict[str, dimensions.Axes]) -> Hdf5Group:
    step = describe_later if file.place.later else describe
    arrays: dict[str, Hdf5Item | Hdf5Later] = {
        one.variable: step(file, one, named.get(one.path)) for one in tree.scope.datasets if not one.hidden
    }
    groups: dict[str, Hdf5Group] = {}
    for name, child in tree.children.items():
        try:
            groups[name] = _group(file, child, named)
        except DAMAGE as error:
            if isinstance(error, SourceChanged):
                raise
            text = f"group {child.scope.path} of {shown(file.url)} cannot be read; libhdf5 says: {error}; check it with h5dump"
            arrays[name] = Hdf5Refused(name, "source-format", text)
    for name, item in tree.linked.items():
        if isinstance(item, Hdf5Group):
            groups[name] = item
        else:
            arrays[name] = item
    return Hdf5Group(tree.name, attributes.plain(tree.attributes.data()), groups, arrays)


def _attributes(file: File, group: Any, address: int) -> attributes.Attributes:
    head = header(file.headers, address) if file.headers is not None else None
    return attributes.Attributes(group, head.attributes if head is not None else None)


def _walk(file: File, group: Any, name: str, path: str, above: dict[tuple[int, int], str], seen: _Seen) -> _Tree:
    info = h5o.get_info(group)
    tree = _Tree(name, group, _attributes(file, group, info.addr), dimensions.Scope(path))
    above = {**above, (info.fileno, info.addr): path}
    seen.paths.setdefault((info.fileno, info.addr), path)
    for raw, kind, address in links(group):
        child = attributes.text(raw)
        inner = f"{path.rstrip('/')}/{child}"
        try:
            obj = h5o.open(group, raw) if kind == h5l.TYPE_HARD else resolve(file, inner)
            if isinstance(obj, h5d.DatasetID):
                tree.scope.datasets.append(found(file, obj, child, inner, address if kind == h5l.TYPE_HARD else None))
            elif isinstance(obj, h5g.GroupID):
                seen.check(obj, inner, above)
                tree.children[child] = _walk(file, obj, child, inner, above, seen)
                tree.scope.children.append(tree.children[child].scope)
            elif isinstance(obj, Elsewhere):
                step = _elsewhere_later if file.place.later else _import_elsewhere
                tree.linked[child] = step(file, obj, child)
        except SourceChanged:
            raise
        except LazyZarrError as error:
            tree.linked[child] = Hdf5Refused(child, error.reason, str(error))
        except DAMAGE as error:
            text = f"{inner} of {shown(file.url)} cannot be opened; libhdf5 says: {error}; check the file with h5dump"
            tree.linked[child] = Hdf5Refused(child, "source-format", text)
    return tree
