"""What a server may answer: keys of views, and errors without a word of where the data are.

Owns the translation of errors into statuses, the bound on work, and the tags of content. An object that is gone is 502 and never 404,
which Zarr clients take for fill values. Refuses to name locations: whoever asks knows the view, not its sources.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Any, NamedTuple

import msgspec
from starlette.exceptions import HTTPException

from lazyzarr.errors import LazyZarrError, SourceUnavailable
from lazyzarr.examining import may_change
from lazyzarr.group import Group
from lazyzarr.view import View
from lazyzarr.view_store import DOCUMENT, ViewStore

LOG = logging.getLogger("lazyzarr.serving")
"""What is not told to clients: class, reason and text of errors."""
WAITING = 64
"""Requests that may wait for each one that is worked on; more are turned away."""


class _Identity(NamedTuple):
    """What a node is, in a word."""

    digest: str
    pinned: bool
    """Whether its chunks cannot change unnoticed."""


class ServedStore(ViewStore):
    """The store of views as a server asks it.

    Parameters
    ----------
    views
        A view or a group.
    most
        Values that are made at the same time.
    """

    def __init__(self, views: View | Group, *, most: int, rectilinear: bool = False) -> None:
        super().__init__(views, rectilinear=rectilinear)
        self._most = most
        self._working = 0
        self._free = asyncio.Semaphore(most)
        self._identities: dict[str, _Identity | None] = {}

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """As of the store, with a status where that raises.

        Raises
        ------
        HTTPException
            502 where a source could not be had, 503 where it did not answer in time or too many requests wait.
        """
        if self._working >= self._most * (1 + WAITING):
            raise HTTPException(503, "too many requests; try again", {"Retry-After": "1"})
        self._working += 1
        try:
            async with self._free:
                return await super().get(key, prototype, byte_range)
        except LazyZarrError as error:
            LOG.warning("%s: %s [%s] %s", key, type(error).__name__, error.reason, error)
            status = 503 if isinstance(error, SourceUnavailable) else 502
            raise HTTPException(status, f"a source of this view cannot be read: {error.reason}") from error
        finally:
            self._working -= 1

    def tag(self, key: str) -> str | None:
        """The entity tag of the value of a key, where nothing has to be read to know it: of metadata, and of pinned files.

        None where only the content tells.
        """
        path, _, name = key.rpartition("/")
        if name != DOCUMENT:
            path = f"/{key}".rpartition("/c/")[0][1:]
        if path not in self._identities:
            self._identities[path] = self._identity(path)
        found = self._identities[path]
        if found is None or (name != DOCUMENT and not found.pinned):
            return None
        return tag_of(f"{found.digest} {key}".encode())

    def _identity(self, path: str) -> _Identity | None:
        node = self._node(path)
        if node is None:
            return None
        document = msgspec.json.encode(self._document(path, node, consolidated=True))
        token = node.token().encode() if isinstance(node, View) else b""
        pinned = isinstance(node, View) and not may_change(node.ir)
        return _Identity(hashlib.sha256(token + document).hexdigest(), pinned)


def tag_of(content: bytes) -> str:
    """The entity tag of some bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
