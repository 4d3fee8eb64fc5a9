"""Saving views and groups of views.

Owns what may be saved where. Refuses to half-write: everything is validated before the first byte, and what a
reader sees is the whole old or the whole new.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.url import from_user, to_path
from lazyzarr.display.flat import advised_grid
from lazyzarr.document.encode import EncodedView, encode
from lazyzarr.document.groups import ArrayMember, GroupMember, Member, ViewMember, encode_group
from lazyzarr.document.plain_array import Content
from lazyzarr.document.publish import publish
from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.tables import Table
from lazyzarr.view import View


def save(
    views: View | Mapping[str, Any],
    target: Any,
    *,
    overwrite: bool = False,
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
    attrs
        Attributes of the group; with a view, instead of the view's own.
    storage_options
        ``{prefix: options}`` for remote targets; never stored.

    Raises
    ------
    SaveConflict
        The target exists and is not to be replaced.
    SaveUnsupported
        Something in the view has no stored form; nothing was written.
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
    session = Session(storage_options)
    store = _zarr_store(target)
    url = from_user(target) if store is None else session.add_store(store).rstrip("/")
    if isinstance(views, View):
        files: EncodedView | Mapping[str, Content] = encoded(views, url, attrs)
    else:
        group = _group(views, attrs if attrs is not None else getattr(views, "attrs", {}))
        files = encode_group(group, base_url=url)
    if url.startswith("store://"):  # a store that is nowhere else
        importlib.import_module("lazyzarr.document.remote_publish").publish_store(store, "", files, overwrite=overwrite)
    elif url.startswith("file://"):
        publish(to_path(url), files, overwrite=overwrite)
    else:
        # object stores need optional packages
        remote = importlib.import_module("lazyzarr.document.remote_publish")
        remote.publish_remote(url, files, session=session, overwrite=overwrite)


def encoded(view: View, url: str, attrs: Mapping[str, Any] | None = None) -> EncodedView:
    """The files of a view that will be at a location."""
    member = _view(view, attrs)
    return encode(member.graph, base_url=url, dims=member.dims, attributes=member.attributes, grid=member.grid)


def _view(view: View, attrs: Mapping[str, Any] | None = None) -> ViewMember:
    _check_savable(view)
    attributes = view.attrs if attrs is None else attrs
    return ViewMember(view.ir, view.dims, attributes, advised_grid(view.ir))


def _group(members: Mapping[str, Any], attrs: Mapping[str, Any]) -> GroupMember:
    return GroupMember({name: _member(name, member) for name, member in members.items()}, attrs)


def _member(name: str, member: Any) -> Member:
    if isinstance(member, View):
        return _view(member)
    if isinstance(member, Mapping):
        return _group(member, getattr(member, "attrs", {}))
    if isinstance(member, np.ndarray | np.generic | list | int | float | str):
        return ArrayMember(np.asarray(member))
    raise SaveUnsupported(
        f"save of {name!r}, a {type(member).__name__}; members of a group are views, arrays and mappings; "
        "convert it with np.asarray or lz.open"
    )


def _zarr_store(target: Any) -> Any:
    """A Zarr store that a user gave as the target, or None for paths and URLs."""
    if isinstance(target, str | os.PathLike):
        return None
    if type(target).__module__.partition(".")[0] == "zarr":
        return target
    raise SaveUnsupported(
        f"save to a {type(target).__name__}; views are saved to paths, URLs and Zarr stores; give one of them"
    )


def _check_savable(view: View) -> None:
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
    blob = np.asarray(table["url"]).tobytes()
    for start, end in pairwise([0, *np.asarray(table["url_end"]).tolist()]):
        text = blob[start:end].decode()
        url = table.resolve(text) if table.resolve else text
        if not grant.permits(url):
            grant.check(url)
