"""The one chunk of a sealed array, which says where the view is that the array stands for.

Owns the text and its form, and the key of the chunk. Refuses everything that is not exactly it.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from lazyzarr.errors import ViewSchemaError

CODEC = "lazyzarr.sealed"
VERSION = 1
MAX_BYTES = 1 << 14


class Pointer(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the chunk."""

    sealed: int
    """Version of the form."""
    view: str
    """Location of the group of the view, a URL or a reference relative to the ``zarr.json`` of the array."""


def pointer_key(rank: int) -> str:
    """Key of the only chunk.

    Examples
    --------
    >>> pointer_key(2), pointer_key(0)
    ('c/0/0', 'c')
    """
    return "/".join(("c", *("0" for _ in range(rank))))


def pointer_text(view: str) -> bytes:
    """The chunk of a sealed array.

    Examples
    --------
    >>> pointer_text("../view.zarr")
    b'{"sealed":1,"view":"../view.zarr"}'
    """
    return msgspec.json.encode(Pointer(VERSION, view))


def pointer_of(chunk: bytes, where: str) -> Pointer:
    """What the chunk of a sealed array says.

    Raises
    ------
    ViewSchemaError
        ``document-syntax`` or ``document-version``.

    Examples
    --------
    >>> pointer_of(b'{"sealed":1,"view":"../view.zarr"}', "a").view
    '../view.zarr'
    """
    try:
        if len(chunk) > MAX_BYTES:
            raise msgspec.DecodeError(f"it has {len(chunk)} bytes")
        found = msgspec.json.decode(chunk, type=Pointer)
    except msgspec.DecodeError as error:
        raise ViewSchemaError(
            f"the chunk of the sealed array does not say where its view is: {error}; seal the view again",
            reason="document-syntax",
            where=where,
        ) from None
    if found.sealed != VERSION:
        raise ViewSchemaError(
            f"the array was sealed with version {found.sealed}; this reader knows version {VERSION}; update lazyzarr",
            reason="document-version",
            where=where,
        )
    return found
