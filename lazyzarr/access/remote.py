"""What every backend that is not the local disk offers, and how often it is asked.

Owns `Backend` (the few questions a session asks), `Answer` and `ask`, the one loop that repeats a request: at most
`TRIES` times, with jitter, within `DEADLINE`, and only for failures that pass by themselves. Refuses to repeat
anything else, and to know any protocol.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Buffer, Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from lazyzarr.access.counts import Counts
from lazyzarr.access.url import shown
from lazyzarr.errors import (
    ExtraMissing,
    LazyZarrError,
    SourceDenied,
    SourceMissing,
    SourceProtocolError,
    SourceUnavailable,
    ViewLimitError,
    ViewSchemaError,
)
from lazyzarr.ir.layout import Stamp

TRIES = 3
"""How often one request is sent at most."""
CONNECT_SECONDS = 5.0
"""Longest wait for a connection [s]."""
IDLE_SECONDS = 15.0
"""Longest wait for the next bytes of an answer [s]."""
DEADLINE_SECONDS = 60.0
"""Longest time for one request with its repetitions [s]."""
_FIRST_PAUSE = 0.1
_MODULE = {"http": "web", "https": "web", "s3": "objects", "gs": "objects", "az": "objects", "store": "zarr_stores"}
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSING_STATUS = frozenset({401, 402, 403, 407, 451})


type Options = Mapping[str, Any]
"""What the reader gave for a prefix of locations; each backend knows its own keys."""


def joined_options(some: Mapping[str, Options], others: Mapping[str, Options]) -> dict[str, Options]:
    """The options of two sessions, prefix by prefix.

    Raises
    ------
    ViewSchemaError
        Both have options for one prefix, and they differ.
    """
    for prefix in some.keys() & others.keys():
        if some[prefix] != others[prefix]:
            raise ViewSchemaError(
                f"two sessions have other options for {shown(prefix)}; open both with the same storage_options",
                where="storage_options",
            )
    return {**some, **others}


class Settings(NamedTuple):
    """What a session gives to its backends."""

    options: Mapping[str, Options]
    """Prefix -> options."""
    stores: Mapping[str, object]
    """Prefix -> Zarr store object that answers there."""
    counts: Counts

    def option_for(self, url: str) -> tuple[str, Options]:
        """The longest prefix of a location that has options, and these; ``("", {})`` where none has."""
        prefix = max((known for known in self.options if url.startswith(known)), key=len, default="")
        return prefix, self.options.get(prefix, {})

    def store_for(self, url: str) -> tuple[str, object]:
        """The longest prefix of a location at which a store object answers, and the store.

        Raises
        ------
        SourceUnavailable
            No store object of this session answers there.
        """
        prefix = max((known for known in self.stores if url.startswith(known)), key=len, default=None)
        if prefix is None:
            # Not SourceMissing: nothing is known about the object.
            raise SourceUnavailable(
                "the location belongs to a store object of another session; it has a meaning only where the object "
                "is; save the data at a real location, or pass the store again",
                where=shown(url),
            )
        return prefix, self.stores[prefix]


def unencrypted(options: Options) -> bool:
    """Whether the reader wrote down a server without encryption; nothing else may lead to one.

    Examples
    --------
    >>> unencrypted({"endpoint": "http://127.0.0.1:9000"}), unencrypted({"base_url": "https://storage.googleapis.com"})
    (True, False)
    """
    return any(str(options.get(name, "")).startswith("http://") for name in ("endpoint", "base_url"))


def backend_module(scheme: str) -> Any:
    """The module that speaks to one kind of location, imported when the first such location is met.

    Raises
    ------
    ExtraMissing
        The client that it needs is not installed.
    """
    name = _MODULE.get(scheme, "filesystems")
    try:
        return import_module(f"lazyzarr.access.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lazyzarr"):
            raise
        raise ExtraMissing(
            f"a {scheme} location was opened; the package {error.name} is not installed; "
            'run pip install "lazyzarr[remote]"',
            where=error.name,
        ) from error


class Span(NamedTuple):
    """The bytes asked for: from ``offset``, ``length`` of them or, if None, to the end of the object."""

    offset: int = 0
    length: int | None = None
    short: bool = False
    """Whether fewer bytes will do where the object ends before; ``offset`` lies inside it."""

    @property
    def whole(self) -> bool:
        """Whether this is the object as a whole."""
        return self.length is None and not self.offset


class Answer(NamedTuple):
    """Exactly the bytes asked for, and what the same response says about the object as a whole.

    Where the span may be ``short`` and fewer bytes came, the object ends there.
    """

    data: Buffer
    stamp: Stamp


class Again(NamedTuple):
    """A failure that may pass: the error to raise when there is no further try."""

    error: LazyZarrError
    after: float = 0.0
    """What the storage asked to wait [s]."""


class Backend(Protocol):
    """One kind of storage.

    Every method raises `SourceMissing` on a clean not-found, `SourceDenied`, `SourceUnavailable` and
    `SourceProtocolError`; ``granted`` says that a document named the location, and a backend that cannot keep such
    a request within its authority raises `AccessDenied`.
    """

    def fetch(self, url: str, span: Span, *, pin: str | None, granted: bool, limit: int | None) -> Answer:
        """Read a span in one request, at most ``limit`` bytes; `SourceChanged` if the tag ``pin`` does not match."""
        ...

    def stat(self, url: str, *, granted: bool) -> Stamp:
        """What identifies the object, without its content."""
        ...

    def list_dir(self, url: str, *, granted: bool) -> tuple[str, ...]:
        """Names directly below a location, sorted."""
        ...


def ask[T](attempt: Callable[[float], T | Again], seconds: float = DEADLINE_SECONDS) -> T:
    """Call ``attempt`` until it returns something other than `Again`, or raise the error of the last one.

    Parameters
    ----------
    attempt
        Sends one request; is given the moment by which it must be done, in the time of ``time.monotonic``.
    seconds
        Longest time for all of it [s].
    """
    deadline = time.monotonic() + seconds
    for tried in range(1, TRIES + 1):
        found = attempt(deadline)
        if not isinstance(found, Again):
            return found
        pause = max(found.after, _FIRST_PAUSE * 2**tried * random.random())
        if tried == TRIES or time.monotonic() + pause > deadline:
            raise found.error
        time.sleep(pause)
    raise AssertionError("the loop above returns or raises")


def by_status(url: str, status: int, span: Span, *, size: int | None = None, after: float = 0.0) -> Again:
    """What an HTTP status other than success means: `Again`, or the error raised.

    Parameters
    ----------
    size
        Length of the object, if the server told it with status 416 [bytes].
    after
        How long the server asked to wait [s].
    """
    if status in (404, 410):
        raise missing(url)
    if status in _REFUSING_STATUS:
        raise refused(url, f"HTTP status {status}")
    if status == 416:
        raise beyond(url, span, size)
    if status in _PASSING_STATUS:
        return Again(unavailable(url, f"HTTP status {status}"), after)
    raise astray(url, f"the server answers with HTTP status {status}")


def headline(error: BaseException) -> str:
    """The first line of what a client says, without query strings, which may hold a signature."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\?\S*", "", line)[:300]


def missing(url: str) -> SourceMissing:
    """The error for an object that the storage says is not there."""
    return SourceMissing(
        "the object cannot be read because it is not there; a missing source is never read as fill; "
        "restore it, or build the view again without it",
        where=shown(url),
    )


def refused(url: str, what: str) -> SourceDenied:
    """The error for an object that the storage does not give to this reader."""
    return SourceDenied(
        f"the object cannot be read ({what}); the storage does not give it to this reader; "
        "pass credentials for it in storage_options={prefix: {...}}",
        where=shown(url),
    )


def unavailable(url: str, what: str) -> SourceUnavailable:
    """The error for a storage that fails or does not answer in time."""
    return SourceUnavailable(
        f"the object cannot be read ({what}); the storage fails or does not answer in time; try again later",
        where=shown(url),
    )


def astray(url: str, what: str, *, reason: str = "source-protocol") -> SourceProtocolError:
    """The error for an answer that is not one to the question."""
    return SourceProtocolError(
        f"the object cannot be read: {what}; an answer that was not asked for is never used; "
        "check the address and the server",
        reason=reason,
        where=shown(url),
    )


def beyond(url: str, span: Span, size: int | None) -> SourceProtocolError:
    """The error for a range that the object does not have."""
    end = "the end" if span.length is None else span.offset + span.length
    has = "fewer bytes" if size is None else f"{size} bytes"
    return SourceProtocolError(
        f"bytes {span.offset} to {end} were asked for, the object has {has}; it is truncated or the reference is "
        "wrong; restore the object, or build the view again",
        reason="chunk-length",
        where=shown(url),
    )


def within(url: str, size: int, limit: int | None) -> None:
    """Return if an object may be held in memory as a whole.

    Raises
    ------
    ViewLimitError
        ``limit-exceeded`` with ``document_bytes``.
    """
    if limit is not None and size > limit:
        raise ViewLimitError("document_bytes", size, limit, where=shown(url))
