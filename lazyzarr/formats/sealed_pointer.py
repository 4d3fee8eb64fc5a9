"""The one chunk of a sealed array, which says where the view is that the array stands for.

Owns the text and its form, and the key of the chunk. Refuses everything that is not exactly it.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from lazyzarr.errors import SourceChanged, SourceMissing, ViewSchemaError

CODEC = "lazyzarr.sealed"
VERSION = 1
MAX_BYTES = 1 << 14


class Pointer(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the chunk."""

    sealed: int
    """Version of the form."""
    view: str
    """Location of the group of the view, a URL or a reference relative to the ``zarr.json`` of the array."""
    document: str
    """``sha256:<hex>`` of the ``zarr.json`` of the view: what the array says of itself is true of this one."""


def pointer_key(rank: int) -> str:
    """Key of the only chunk.

    Examples
    --------
    >>> pointer_key(2), pointer_key(0)
    ('c/0/0', 'c')
    """
    return "/".join(("c", *("0" for _ in range(rank))))


def pointer_text(view: str, document: str) -> bytes:
    """The chunk of a sealed array.

    Examples
    --------
    >>> pointer_text("../view.zarr", "sha256:00")
    b'{"sealed":1,"view":"../view.zarr","document":"sha256:00"}'
    """
    return msgspec.json.encode(Pointer(VERSION, view, document))


def pointer_of(chunk: bytes, where: str) -> Pointer:
    """What the chunk of a sealed array says.

    Raises
    ------
    ViewSchemaError
        ``document-syntax`` or ``document-version``.

    Examples
    --------
    >>> pointer_of(b'{"sealed":1,"view":"../view.zarr","document":"sha256:00"}', "a").view
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


def check_document(pointer: Pointer, digest: str | None, target: str, where: str) -> None:
    """Return if the document at the target, of some digest, is the one that was sealed.

    Raises
    ------
    SourceMissing, SourceChanged
        There is none, or another one.
    """
    if digest is None:
        raise no_view(target, where)
    if digest != pointer.document:
        raise SourceChanged(
            f"the view at {target} was changed after it was sealed; remove the array and seal the view again",
            where=where,
        )


def no_view(target: str, where: str) -> SourceMissing:
    """The error for an array that points to what is no view."""
    return SourceMissing(
        f"there is no view at {target}, where the sealed array says that it is; seal the view again", where=where
    )
