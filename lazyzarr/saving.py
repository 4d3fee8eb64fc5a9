"""Saving views and groups of views.

Owns what may be saved where. Refuses to half-write: everything is validated before the first byte, and what a
reader sees is the whole old or the whole new.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lazyzarr.access.url import from_user, to_path
from lazyzarr.document.encode import EncodedView, encode
from lazyzarr.document.publish import publish
from lazyzarr.errors import SaveUnsupported
from lazyzarr.view import View


def save(
    views: View | Mapping[str, Any],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    attrs: Mapping[str, Any] | None = None,
) -> None:
    """Save a view, or a group of views and NumPy arrays, as Zarr metadata.

    Parameters
    ----------
    views
        A view, or a mapping from names to views, NumPy arrays and further mappings.
    target
        Where the Zarr group will be.
    overwrite
        Replace what lazyzarr saved there before.
    attrs
        Attributes of the group; with a view, instead of the view's own.

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
    url = from_user(target)
    if not isinstance(views, View):
        raise SaveUnsupported("groups")
    publish(to_path(url), encoded(views, url, attrs), overwrite=overwrite)


def encoded(view: View, url: str, attrs: Mapping[str, Any] | None = None) -> EncodedView:
    """The files of a view that will be at a location."""
    _check_savable(view)
    return encode(
        view.ir,
        base_url=url,
        dims=view.dims,
        attributes=view.attrs if attrs is None else attrs,
        grid=view.advised_grid(),
    )


def _check_savable(view: View) -> None:
    unsaved = [a.location for a in view.ir.arrays if (a.location or "").startswith(("store://", "memory://"))]
    if unsaved:
        raise SaveUnsupported(
            f"save of a view of {len(unsaved)} arrays that exist in this process only, such as {unsaved[0]}; "
            "a saved view references stored arrays; write them to a directory or an object store and open that"
        )
