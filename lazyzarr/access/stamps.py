"""Whether an object is still the one that was referenced: the comparison of `Stamp` values.

Owns the rule. Fields that both sides know are compared one by one. Where one differs, or none but the size can be
compared, and the stamp has a digest, the content decides: a copied tree has new times and inodes and the same
metadata documents.
Refuses to fetch anything: whoever has the answer in hand asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Buffer, Callable

from lazyzarr.access.url import shown
from lazyzarr.errors import SourceChanged
from lazyzarr.ir.layout import Stamp

Whole = Callable[[], Stamp | None]
"""Loads a stamp with its digest, which is asked for where one without it differs."""
_FIELDS = ("size", "mtime_ns", "inode", "etag")
_TELLING = ("mtime_ns", "inode", "etag")
"""Fields of which an equal one tells that the content is equal."""


def digest(content: Buffer) -> str:
    """The digest of some content as a `Stamp` holds it.

    Examples
    --------
    >>> digest(b"")[:23]
    'sha256:e3b0c44298fc1c14'
    """
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def differences(expected: Stamp, found: Stamp) -> tuple[str, ...]:
    """Each field that both stamps have and that differs, with the old and the new value.

    Examples
    --------
    >>> differences(Stamp(size=10, inode=7), Stamp(size=12, inode=7, etag="x"))
    ('size was 10, is 12',)
    """
    return tuple(
        f"{name} was {old}, is {new}"
        for name in _FIELDS
        if (old := getattr(expected, name)) is not None and (new := getattr(found, name)) is not None and old != new
    )


def needs_content(expected: Stamp, found: Stamp) -> bool:
    """Whether only the digest of the content can tell that the object is the one that was referenced."""
    if expected.digest is None:
        return False
    # an equal size says little: a tree that was moved to other storage has no other field in common
    shared = any(getattr(expected, name) is not None and getattr(found, name) is not None for name in _TELLING)
    return not shared or bool(differences(expected, found))


def compare(url: str, expected: Stamp, found: Stamp) -> None:
    """Return if no field that both stamps have differs; ``found.digest`` decides alone when both have one.

    Raises
    ------
    SourceChanged
        ``source-changed``, naming each field with the old and the new value.
    """
    if expected.digest is not None and found.digest is not None:
        if expected.digest == found.digest:
            return
        raise changed(
            url,
            (
                f"digest was {expected.digest}, is {found.digest}",
                *differences(expected, found),
            ),
        )
    if found_differences := differences(expected, found):
        raise changed(url, found_differences)


def changed(url: str, what: tuple[str, ...]) -> SourceChanged:
    """The error for an object that is not the one that was referenced."""
    return SourceChanged(
        f"the object is not the one that was referenced: {', '.join(what)}; what it holds now is not what the "
        "view describes; refresh the view, or open with verify=False if you accept the change",
        where=shown(url),
    )
