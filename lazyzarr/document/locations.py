"""Locations in a document: relative to the view where the two move together, absolute otherwise.

Owns both directions for single locations and for columns of a million. Refuses locations that have no meaning for
another process, such as stores that live in memory.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from lazyzarr.access import url as urls
from lazyzarr.errors import SaveUnsupported, ViewSchemaError

_PLAIN = re.compile(r"((?:\.\./)*+)((?:(?!\.\.?(?:/|\Z))[A-Za-z0-9_\-.~+=,]++(?:/|\Z))++)")
"""A relative reference that needs no decoding: steps up, then plain names."""
_NOT_STORED = ("store", "memory")


def document_url(view: str) -> str:
    """Location of the ``zarr.json`` of a view: the base of its relative references.

    Examples
    --------
    >>> document_url("file:///d/view.zarr")
    'file:///d/view.zarr/zarr.json'
    """
    return urls.child(view, "zarr.json")


class Resolver:
    """Makes the references of a document absolute; a callable that pickles and compares by its base.

    Examples
    --------
    >>> Resolver("s3://bucket/views/a.zarr/zarr.json")("../../x.nc")
    's3://bucket/x.nc'
    """

    __slots__ = ("_above", "base")

    def __init__(self, base: str) -> None:
        self.base = base
        found = urls.parse(base, trusted=True)
        names = found.path.split("/")[1:-1]
        root = f"{found.scheme}://{found.authority}"
        self._above = [f"{root}{''.join(f'/{n}' for n in names[: len(names) - up])}/" for up in range(len(names) + 1)]

    def __call__(self, reference: str) -> str:
        """The absolute location; raises as `lazyzarr.access.url.join`."""
        match = _PLAIN.fullmatch(reference)
        if match is None or len(reference) > urls.MAX_CHARACTERS or match.end(1) // 3 >= len(self._above):
            return urls.join(self.base, reference)
        return self._above[match.end(1) // 3] + match[2]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resolver) and self.base == other.base

    def __hash__(self) -> int:
        return hash(self.base)

    def __reduce__(self) -> tuple[object, ...]:
        return Resolver, (self.base,)


def stored(location: str, base: str) -> str:
    """A location as the document at ``base`` has it.

    Relative where scheme and authority agree and, for local files, so does the first directory.

    Raises
    ------
    SaveUnsupported
        The location has a meaning in this process only, or is not acceptable in a document.

    Examples
    --------
    >>> base = "file:///data/views/v.zarr/zarr.json"
    >>> stored("file:///data/raw/x.nc", base), stored("file:///home/x.nc", base)
    ('../../raw/x.nc', 'file:///home/x.nc')
    """
    try:
        found, at = urls.parse(location, trusted=True), urls.parse(base, trusted=True)
        if found.scheme in _NOT_STORED and found[:2] != at[:2]:
            raise SaveUnsupported(
                f"save: the source {urls.shown(location)} is in memory of this process; nobody else can open it; "
                "write it to storage with zarr and open that"
            )
        if found[:2] == at[:2] and (found.scheme != "file" or _top(found.path) == _top(at.path)):
            return urls.relative(base, location)
        return urls.parse(location).url
    except ViewSchemaError as error:
        raise SaveUnsupported(f"save: the source {urls.shown(location)} cannot be stored; {error}") from error


def stored_all(locations: Sequence[str], base: str) -> list[str]:
    """As `stored`, for a column; what all have in common is worked out once.

    Examples
    --------
    >>> stored_all(["s3://b/d/1.nc", "s3://b/d/2.nc"], "s3://b/v/zarr.json")
    ['../d/1.nc', '../d/2.nc']
    """
    if len(locations) < 2:
        return [stored(location, base) for location in locations]
    # The first and the last in order share only what all share.
    pairs = zip(min(locations), max(locations), strict=False)
    same = "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    common = same.rpartition("/")[0] + "/"
    if common.count("/") < 3:
        return [stored(location, base) for location in locations]
    root = stored(f"{common}x", base)[:-1]
    longest = urls.MAX_CHARACTERS - max(len(root), len(common))
    cut = len(common)
    return [
        root + rest
        if len(rest := location[cut:]) < longest and (match := _PLAIN.fullmatch(rest)) and not match[1]
        else stored(location, base)
        for location in locations
    ]


def _top(path: str) -> str:
    return path.split("/")[1]
