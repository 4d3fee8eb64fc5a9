"""Sealing: an array node that stands for a saved view.

Owns the node: metadata with the schema of the view, a grid of one chunk, the codec `lazyzarr.sealed` and nothing
else, and that chunk, which says where the view is. The chunk is always stored, so that nobody takes it for a missing
one. Refuses what is no saved view, and types that Zarr v3 has no metadata for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lazyzarr.document.decode import decode
from lazyzarr.document.encode import json_attributes
from lazyzarr.document.locations import document_url, stored
from lazyzarr.errors import SaveConflict, SaveUnsupported
from lazyzarr.formats.sealed_pointer import CODEC, pointer_key, pointer_text
from lazyzarr.ir.array_metadata import array_metadata, to_text
from lazyzarr.ir.data_type import to_numpy
from lazyzarr.ir.layout import Layout, NamedConfig
from lazyzarr.places import Place


def seal(
    view: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write a Zarr array that reads as a saved view, wherever lazyzarr is installed, and is an error elsewhere.

    Tools that look for arrays find one: ``zarr.open_array``, ``xarray.open_zarr`` of the group around it. Readers
    without lazyzarr do not know the codec and refuse it. What the array says of itself, such as its units, is of the view
    as it is now: after the view was changed, reading the array is an error, until it is removed and sealed again.

    Parameters
    ----------
    view
        Location of a saved view.
    target
        Where the array will be; there must be nothing. Beside the view, both can be moved together.
    storage_options
        ``{prefix: options}`` for remote places; never stored.

    Raises
    ------
    SourceMissing, ViewError
        There is no saved view at that location.
    SaveConflict
        There is something at the target.
    SaveUnsupported
        The target is no local directory, or the view is of text or bytes of any length.

    Examples
    --------
    >>> import tempfile, zarr, lazyzarr as lz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lz.save(lz.full((2, 3), 7, dtype="int8"), f"{folder}/v.zarr")
    ...     seal(f"{folder}/v.zarr", f"{folder}/sealed.zarr")
    ...     zarr.open_array(f"{folder}/sealed.zarr", mode="r")[0].tolist()
    [7, 7, 7]
    """
    source, place = Place(view, storage_options), Place(target, storage_options)
    opened = decode(source.document(), url=source.url, session=source.session)
    schema = opened.schema
    if to_numpy(schema.data_type).kind in "TO":
        raise SaveUnsupported(
            f"seal of {schema.data_type}; zarr-python reads cells of any length with its own codecs only; open the view"
        )
    chunk_shape = tuple(max(n, 1) for n in schema.shape)
    layout = Layout(schema.data_type, schema.fill_value, chunk_shape, (NamedConfig(CODEC),))
    metadata = array_metadata(schema.shape, layout, opened.dims, json_attributes(opened.attributes))
    if not place.is_local:
        raise SaveUnsupported("seal: the target is not a local directory; seal there, and copy what was written")
    if place.session.exists(document_url(place.url)):
        raise SaveConflict(
            f"seal: there is something at {place.url}; only nothing is replaced; remove it, or choose another place"
        )
    pointer = pointer_text(stored(source.url, document_url(place.url)), opened.generation)
    place.put({pointer_key(len(schema.shape)): pointer, "zarr.json": to_text(metadata)})
