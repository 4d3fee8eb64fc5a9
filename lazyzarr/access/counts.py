"""What a session has asked of storage: requests, bytes, distinct objects.

Owns `Counts`. A request is what travels to storage: remotely one HTTP exchange, retries and redirects included;
locally one range of bytes read, one listing or one `Session.stat`. Refuses to time anything or to know where the
objects are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

MOST_OBJECTS = 1 << 20
"""Distinct objects told apart; beyond it `Counts.objects` is a lower bound (the memory would exceed 100 MB)."""


class Counts:
    """Thread-safe totals.

    Examples
    --------
    >>> counts = Counts()
    >>> counts.add("file:///a", requests=1, moved=10)
    >>> counts.add("file:///a", requests=1, moved=10)
    >>> counts.requests, counts.bytes, counts.objects
    (2, 20, 1)
    """

    __slots__ = ("_bytes", "_lock", "_objects", "_requests")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = 0
        self._bytes = 0
        self._objects: set[int] = set()

    @property
    def requests(self) -> int:
        """Requests sent since the last `reset`."""
        return self._requests

    @property
    def bytes(self) -> int:
        """Content received since the last `reset` [bytes]."""
        return self._bytes

    @property
    def objects(self) -> int:
        """Distinct objects asked for since the last `reset`, told apart by the hash of their location."""
        return len(self._objects)

    def add(self, url: str, *, requests: int = 0, moved: int = 0) -> None:
        """Record requests to one object and the bytes they moved."""
        with self._lock:
            self._requests += requests
            self._bytes += moved
            if len(self._objects) < MOST_OBJECTS:
                self._objects.add(hash(url))

    def add_each(self, urls: Iterable[str], *, requests: int, moved: int) -> None:
        """Record requests to several objects and the bytes they moved in all."""
        with self._lock:
            self._requests += requests
            self._bytes += moved
            if len(self._objects) < MOST_OBJECTS:
                self._objects.update(map(hash, urls))

    def reset(self) -> None:
        """Set every total to zero."""
        with self._lock:
            self._requests = 0
            self._bytes = 0
            self._objects = set()

    def __repr__(self) -> str:
        return f"Counts(requests={self._requests}, bytes={self._bytes}, objects={len(self._objects)})"
