"""Saving views and groups of views.

Owns what may be saved where. Refuses to half-write: everything is validated before the first byte, and what a
reader sees is the whole old or the whole new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from lazyzarr.access.policy import Grant
from lazyzarr.display.flat import advised_grid
from lazyzarr.document.encode import EncodedView
from lazyzarr.document.groups import ArrayMember, GroupMember, Member, ViewMember, encode_group, encode_member
from lazyzarr.document.plain_array import Content
from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.tables import Table
from lazyzarr.manifests import manifest_graph
from lazyzarr.places import Place
from lazyzarr.view import View

Manifest = bool | Literal["only"]


def save(
    views: View | Mapping[str, Any],
    target: Any,
    *,
    overwrite: bool = False,
    manifest: bool | Literal["only"] = False,
    share: bool = False,
    attrs: Mapping[str, Any] | None = None,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Save a view, or a group of views and NumPy arrays, as Zarr metadata.

    Parameters
    ----------
    views
        A view, or a mapping from names to views, NumPy arrays and further mappings.
    target
        Where the Zarr group will be: a path, a URL, or a Zarr store.
    overwrite
        Replace what lazyzarr saved there before.
    manifest
        Store where every chunk is, too: the lowered manifest, one row for each chunk, in columns of which a reader
        loads what it asks for. "only": that instead of the graph.
    share
        Name tables of other saved views where they are, so that slices of a large view cost nothing: they are read as
        long as that view is there.
    attrs
        Attributes of the group; with a view, instead of the view's own.
    storage_options
        ``{prefix: options}`` for remote targets; never stored.

    Raises
    ------
    SaveConflict
        The target exists and is not to be replaced.
    SaveUnsupported
        Something in the view has no stored form, or with ``manifest`` no place in one; nothing was written.
    SaveError
        The storage failed.

    Examples
    --------
    >>> import tempfile, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(lz.full((2, 3), 7, dtype="int8"), f"{folder}/v.zarr")
    ...     lz.open(f"{folder}/v.zarr").read().tolist()
    [[7, 7, 7], [7, 7, 7]]
    """
    if not isinstance(views, View | Mapping):
        raise SaveUnsupported(
            f"save of a {type(views).__name__}; views and mappings of views and arrays are saved; open or name it first"
        )
    place = Place(target, storage_options)
    if isinstance(views, View):
        files: EncodedView | Mapping[str, Content] = encoded(views, place.url, attrs, manifest, share)
    else:
        group = _group(views, attrs if attrs is not None else getattr(views, "attrs", {}), manifest, share)
        files = encode_group(group, base_url=place.url)
    place.put(files, overwrite=overwrite)


def encoded(
    view: View, url: str, attrs: Mapping[str, Any] | None = None, manifest: Manifest = False, share: bool = False
) -> EncodedView:
    """The files of a view that will be at a location."""
    return encode_member(_view(view, attrs, manifest, share), url)


def _view(
    view: View, attrs: Mapping[str, Any] | None = None, manifest: Manifest = False, share: bool = False
) -> ViewMember:
    if manifest not in (False, True, "only"):
        raise SaveUnsupported(f'save with manifest={manifest!r}; it is True, False or "only"')
    check_savable(view)
    attributes = view.attrs if attrs is None else attrs
    lowered = manifest_graph(view) if manifest else None
    if manifest == "only" and lowered is not None:
        return ViewMember(lowered, view.dims, attributes, advised_grid(lowered))
    return ViewMember(view.ir, view.dims, attributes, advised_grid(view.ir), manifest=lowered, share=share)


def _group(members: Mapping[str, Any], attrs: Mapping[str, Any], manifest: Manifest, share: bool) -> GroupMember:
    return GroupMember({name: _member(name, member, manifest, share) for name, member in members.items()}, attrs)


def _member(name: str, member: Any, manifest: Manifest, share: bool) -> Member:
    if isinstance(member, View):
        return _view(member, manifest=manifest, share=share)
    if isinstance(member, Mapping):
        return _group(member, getattr(member, "attrs", {}), manifest, share)
    if isinstance(member, ArrayMember):
        return member
    if isinstance(member, np.ndarray | np.generic | list | int | float | str):
        return ArrayMember(np.asarray(member))
    raise SaveUnsupported(
        f"save of {name!r}, a {type(member).__name__}; members of a group are views, arrays and mappings; "
        "convert it with np.asarray or lz.open"
    )


def check_savable(view: View) -> None:
    """Return if everything that a view references may be referenced by a document.

    Raises
    ------
    SaveUnsupported
        It references what exists in this process only.
    AccessDenied
        It was opened from a document that references what it may not.
    """
    unsaved = [a.location for a in view.ir.arrays if (a.location or "").startswith(("store://", "memory://"))]
    if unsaved:
        raise SaveUnsupported(
            f"save of a view of {len(unsaved)} arrays that exist in this process only, such as {unsaved[0]}; "
            "a saved view references stored arrays; write them to a directory or an object store and open that"
        )
    for table in view.ir.tables.values():
        grant = view.reader.session.grants.get(table.grant)
        if grant is not None and "url" in table:
            _check_reach(table, grant)


def _check_reach(table: Table, grant: Grant) -> None:
    """Return if a document may reach every location of its table, which is looked at row by row when it is read.

    Saved elsewhere, the rows would be judged by another place; what was out of reach has to stay there.
    """
    for text in table.texts("url", slice(None)):
        url = table.resolve(text) if table.resolve else text
        if not grant.permits(url):
            grant.check(url)
