"""What a server may answer: keys of views, and errors without a word of where the data are.

Owns the translation of errors into statuses, the bound on work, and the tags of content. An object that is gone is 502 and never 404,
which Zarr clients take for fill values. Refuses to name locations: whoever asks knows the view, not its sources.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
        # of its own: the threads of the loop answer metadata while sources are slow
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="lazyzarr-serve")
        self._identities: dict[str, _Identity] = {}

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """As of the store, with a status where that raises.

        Raises
        ------
        HTTPException
            502 where a source could not be had, 503 where it did not answer in time or too many requests wait.
        """
        # what needs no source waits for none
        document = key.rpartition("/")[2] == DOCUMENT
        if document or await self._answered(key, asyncio.to_thread(self._chunk_of, key)) is None:
            return await self._answered(key, super().get(key, prototype, byte_range))
        if self._working >= self._most * (1 + WAITING):
            raise HTTPException(503, "too many requests; try again", {"Retry-After": "1"})
        self._working += 1
        try:
            async with self._free:
                read = partial(self.get_sync, key, prototype=prototype, byte_range=byte_range)
                return await self._answered(key, asyncio.get_running_loop().run_in_executor(self._threads, read))
        finally:
            self._working -= 1

    @staticmethod
    async def _answered(key: str, value: Awaitable[Any]) -> Any:
        try:
            return await value
        except LazyZarrError as error:
            LOG.warning("%s: %s [%s] %s", key, type(error).__name__, error.reason, error)
            status = 503 if isinstance(error, SourceUnavailable) else 502
            raise HTTPException(status, f"a source of this view cannot be read: {error.reason}") from error

    def tag(self, key: str) -> str | None:
        """The entity tag of the value of a key, where nothing has to be read to know it: of metadata, and of pinned files.

        None where only the content tells.
        """
        path, _, name = key.rpartition("/")
        if name != DOCUMENT:
            if self._chunk_of(key) is None:
                return None
            path = f"/{key}".rpartition("/c/")[0][1:]
        found = self._identities.get(path) or self._identity(path)
        if found is not None:
            self._identities[path] = found  # not for paths that are nothing: clients can make up any number of them
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
