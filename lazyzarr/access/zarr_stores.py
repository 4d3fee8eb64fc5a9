"""Zarr store objects that a user hands in: where they are, and reading from those that are nowhere else.

Owns `place_of` (a store that stands for a real location becomes that location, and is read like any other) and the
adapter for the rest, on the public interface of ``zarr.abc.store``. Coroutines run on an event loop of our own, in a
thread of its own, so that a caller's running loop, and zarr's, are left alone.

Refuses to write, and to read a document through an http store: such a store follows redirects.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, cast

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SupportsGetSync
from zarr.buffer import cpu
from zarr.storage import FsspecStore, LocalStore, ObjectStore, StorePath, WrapperStore

from lazyzarr.access.remote import (
    DEADLINE_SECONDS,
    Answer,
    Options,
    Settings,
    Span,
    astray,
    beyond,
    headline,
    missing,
    refused,
    unavailable,
    within,
)
from lazyzarr.access.url import child, from_user, key_of, shown
from lazyzarr.errors import LazyZarrError, SourceUnavailable, UnsupportedFeature, ViewSchemaError
from lazyzarr.ir.layout import Stamp


class Place(NamedTuple):
    """Where a store object is."""

    url: str
    store: Store | None = None
    """The store that answers below ``root``; None when the location alone is enough."""
    options: Options | None = None
    """What to remember for ``root`` otherwise."""
    root: str = ""
    """Location of the root of the store, where ``url`` is below it."""


def place_of(given: object) -> Place:
    """The location of a Zarr store, or of a path in one.

    Raises
    ------
    ViewSchemaError
        ``source-format`` when the object is neither.
    """
    if isinstance(given, StorePath):
        place = place_of(given.store)
        return place._replace(url=child(place.url, given.path) if given.path else place.url)
    if not isinstance(given, Store):
        raise ViewSchemaError(
            f"a Zarr store was expected; a {type(given).__name__} is none; pass a store, a path or a URL",
            reason="source-format",
        )
    # Only the classes themselves: what a subclass adds would be lost on the way around it.
    if type(given) is LocalStore:
        return Place(from_user(given.root))
    try:
        if type(given) is ObjectStore:
            place = _of_obstore(cast(Any, given).store)
        else:
            place = _of_fsspec(given) if type(given) is FsspecStore else None
    except ViewSchemaError:
        place = None  # what the store calls its place is no location of ours: it gets a token like any other
    if place is None:
        token = f"store://{secrets.token_hex(8)}/"
        return Place(token, given, root=token)
    return place._replace(root=place.url, store=given if place.store is not None else None)


class ZarrStores:
    """Reads from store objects; raises as `lazyzarr.access.remote.Backend` says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = _Loop()

    def fetch(self, url: str, span: Span, *, pin: str | None, granted: bool, limit: int | None) -> Answer:
        """Read a span with one call of ``Store.get``; store objects have no tags."""
        store, key = self._place(url)
        wanted: ByteRequest | None = None
        if span.length is not None:
            wanted = RangeByteRequest(span.offset, span.offset + span.length)
        elif span.offset:
            wanted = OffsetByteRequest(span.offset)
        if span.length == 0:
            return Answer(b"", Stamp())
        try:
            found = self._asked(url, lambda: self._get(store, key, wanted))
        except SourceUnavailable as error:
            # Some stores fail where a range begins beyond the end.
            size = self._size_if_told(store, key)
            if not span.whole and size is not None and size < span.offset + (span.length or 0):
                raise beyond(url, span, size) from error
            raise
        if found is None:
            raise missing(url)
        data = memoryview(found.as_numpy_array()).cast("B")
        if span.short:
            return self._start(url, span, data)
        if span.length is not None and data.nbytes < span.length:
            raise beyond(url, span, None)
        if span.length is not None and data.nbytes > span.length:
            raise astray(url, f"{data.nbytes} bytes came instead of {span.length}", reason="chunk-length")
        within(url, data.nbytes, limit)
        self._settings.counts.add(url, moved=data.nbytes)
        return Answer(data, Stamp(data.nbytes) if span.whole else Stamp())

    def _start(self, url: str, span: Span, data: memoryview) -> Answer:
        """An answer that may be short: only the size of the object tells whether it ends there."""
        found = self.stat(url, granted=False)
        if found.size is None or data.nbytes != min(span.length or 0, max(found.size - span.offset, 0)):
            raise astray(url, f"{data.nbytes} bytes came of an object of {found.size}", reason="chunk-length")
        self._settings.counts.add(url, moved=data.nbytes)
        return Answer(data, found)

    def stat(self, url: str, *, granted: bool) -> Stamp:
        """The size."""
        store, key = self._place(url)
        return Stamp(self._asked(url, lambda: self._loop.run(store.getsize(key))))

    def list_dir(self, url: str, *, granted: bool) -> tuple[str, ...]:
        """Names directly below a location, sorted; `SourceMissing` where there are none."""
        store, key = self._place(url)
        if not store.supports_listing:
            raise UnsupportedFeature(
                f"the names in a {type(store).__name__} are asked for; it has no listing; name the objects, or use "
                "consolidated metadata",
                reason="source-unsupported",
                where=shown(url),
            )

        async def listed() -> set[str]:
            return {name.strip("/") async for name in store.list_dir(key.rstrip("/"))}

        names = self._asked(url, lambda: self._loop.run(listed()))
        if not names:
            raise missing(url)
        return tuple(sorted(names))

    def _size_if_told(self, store: Store, key: str) -> int | None:
        try:
            return self._loop.run(store.getsize(key))
        except Exception:
            return None  # the failure that made us ask is the one to report

    def _get(self, store: Store, key: str, wanted: ByteRequest | None) -> Any:
        if isinstance(store, SupportsGetSync) and not isinstance(store, WrapperStore):
            return store.get_sync(key, prototype=cpu.buffer_prototype, byte_range=wanted)
        return self._loop.run(store.get(key, cpu.buffer_prototype, wanted))

    def _asked[T](self, url: str, call: Callable[[], T]) -> T:
        self._settings.counts.add(url, requests=1)
        try:
            return call()
        except LazyZarrError:
            raise
        except FileNotFoundError as error:
            raise missing(url) from error
        except PermissionError as error:
            raise refused(url, headline(error)) from error
        except Exception as error:
            # A store raises what its client raises: there is no common class.
            raise unavailable(url, f"{type(error).__name__}: {headline(error)}") from error

    def _place(self, url: str) -> tuple[Store, str]:
        prefix, store = self._settings.store_for(url)
        if not isinstance(store, Store):
            raise ViewSchemaError(
                f"a Zarr store was expected; a {type(store).__name__} is none; pass a zarr.abc.store.Store",
                reason="source-format",
                where=shown(prefix),
            )
        return store, key_of(url)[len(key_of(prefix)) :]


def connect(settings: Settings) -> ZarrStores:
    """The backend for ``store`` and for locations at which a store object answers."""
    return ZarrStores(settings)


class _Loop:
    """Runs coroutines to their end in a thread of its own, which ends with this object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: tuple[int, asyncio.AbstractEventLoop] | None = None

    def run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._started()).result(DEADLINE_SECONDS)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            # Threads do not survive a fork: the child needs a loop of its own.
            if self._running is None or self._running[0] != os.getpid():
                loop = asyncio.new_event_loop()
                threading.Thread(target=_forever, args=(loop,), name="lazyzarr-stores", daemon=True).start()
                weakref.finalize(self, loop.call_soon_threadsafe, loop.stop)
                self._running = (os.getpid(), loop)
            return self._running[1]


def _forever(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _of_obstore(store: Any) -> Place | None:
    kind = type(store).__name__
    if kind == "LocalStore":
        return Place(from_user(store.prefix or "/"))
    if kind == "HTTPStore" and not store.client_options:
        return Place(from_user(store.url))
    if kind in ("S3Store", "GCSStore"):
        scheme = "s3" if kind == "S3Store" else "gs"
        prefix = str(store.prefix or "").strip("/")
        return Place(from_user(f"{scheme}://{store.config['bucket']}/{prefix}"), options={"store": store})
    return None


def _of_fsspec(given: FsspecStore) -> Place | None:
    # zarr wraps file systems that are not asynchronous.
    system: Any = getattr(given.fs, "sync_fs", given.fs)
    kind = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    if kind in ("file", "local"):
        return Place(from_user(given.path))
    url = from_user(system.unstrip_protocol(given.path))
    if kind == "memory":
        return Place(url)
    if kind in ("http", "https"):
        return None if system.storage_options else Place(url)
    return Place(url, given)
