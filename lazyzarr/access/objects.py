"""Objects in s3, gs and az buckets, through obstore.

Owns the stores (one per bucket and set of options, with deadlines) and the meaning of obstore's errors. obstore is
told not to repeat, so that every request is counted and the rule for repeating is everybody's.

The server is the reader's choice (an endpoint in the options, or the cloud's own), never the document's: a document
names a bucket and a key. That is why obstore, which cannot be told not to follow a redirect, may be used for
locations of documents here, and not for http. Refuses options it does not know.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from lazyzarr.access.remote import (
    CONNECT_SECONDS,
    DEADLINE_SECONDS,
    IDLE_SECONDS,
    Again,
    Answer,
    Settings,
    Span,
    ask,
    astray,
    beyond,
    by_status,
    headline,
    missing,
    refused,
    unavailable,
    unencrypted,
    within,
)
from lazyzarr.access.stamps import changed
from lazyzarr.access.url import as_prefix, key_of, parse, shown
from lazyzarr.errors import ViewSchemaError
from lazyzarr.ir.layout import Stamp

_KIND = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
"""How S3 and Google, and Azure, say that it is not the object that is not there."""
_STATUS = re.compile(r"status code: ([0-9]{3})")
_ASTRAY = re.compile(r"non-partial response|Requested .* got|[Hh]eader|LOCATION")
_PASSING = re.compile(r"error sending request|body error|timed? ?out|connection", re.IGNORECASE)


class Objects:
    """Reads objects in buckets; raises as `lazyzarr.access.remote.Backend` says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._stores: dict[tuple[str, str], Any] = {}

    def fetch(self, url: str, span: Span, *, pin: str | None, granted: bool, limit: int | None) -> Answer:
        """Read a span in one request, with ``If-Match`` where there is a pin."""
        if span.length == 0:
            return Answer(b"", Stamp())
        options: dict[str, Any] = {} if pin is None else {"if_match": pin}
        if span.length is not None:
            options["range"] = (span.offset, span.offset + span.length)
        elif span.offset:
            options["range"] = {"offset": span.offset}
        store, key = self._place(url)

        def read() -> Answer:
            result = obstore.get(store, key, options=options)  # pyright: ignore[reportArgumentType]
            size, tag = int(result.meta["size"]), result.meta["e_tag"]
            # Some storage does not know If-Match; its answer says what it is all the same.
            if pin is not None and tag not in (None, pin):
                raise changed(url, (f"etag was {pin}, is {tag}",))
            first, end = result.range
            wanted = size if span.length is None else span.offset + span.length
            if span.short:
                wanted = min(wanted, size)
            if end < wanted and end == size:
                raise beyond(url, span, size)
            if (first, end) != (span.offset, wanted):
                raise astray(url, f"bytes {first} to {end} came although others were asked for")
            if span.whole:
                within(url, size, limit)
            data = memoryview(result.bytes())
            if data.nbytes != end - first:
                raise astray(url, f"{data.nbytes} bytes came instead of {end - first}", reason="chunk-length")
            self._settings.counts.add(url, moved=data.nbytes)
            return Answer(data, Stamp(size, etag=tag))

        return self._asked(url, span, pin, read)

    def stat(self, url: str, *, granted: bool) -> Stamp:
        """Size and entity tag, by HEAD."""
        store, key = self._place(url)

        def head() -> Stamp:
            found = obstore.head(store, key)
            return Stamp(int(found["size"]), etag=found["e_tag"])

        return self._asked(url, Span(), None, head)

    def list_dir(self, url: str, *, granted: bool) -> tuple[str, ...]:
        """Names directly below a location, sorted; `SourceMissing` where there are none."""
        store, key = self._place(as_prefix(url))
        found = self._asked(url, Span(), None, partial(_list, store, key or None))
        paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        names = {path.rstrip("/").rpartition("/")[2] for path in paths}
        if not names:
            raise missing(url)
        return tuple(sorted(names))

    def _asked[T](self, url: str, span: Span, pin: str | None, request: Callable[[], T]) -> T:
        def attempt(deadline: float) -> T | Again:
            self._settings.counts.add(url, requests=1)
            try:
                return request()
            except (BaseError, FileNotFoundError) as error:
                return _failure(url, span, pin, error)

        return ask(attempt, self._settings.option_for(url)[1].get("deadline", DEADLINE_SECONDS))

    def _place(self, url: str) -> tuple[Any, str]:
        prefix, options = self._settings.option_for(url)
        given = options.get("store")
        if given is not None:
            return given, key_of(url)[len(key_of(prefix)) :]
        place = parse(url, trusted=True)
        bucket = (f"{place.scheme}://{place.authority}", prefix)
        store = self._stores.get(bucket)
        if store is None:
            with self._lock:
                store = self._stores[bucket] = _connected(place.scheme, place.authority, prefix, options)
        return store, key_of(url)


def connect(settings: Settings) -> Objects:
    """The backend for ``s3``, ``gs`` and ``az``."""
    return Objects(settings)


def _connected(scheme: str, bucket: str, prefix: str, options: Mapping[str, Any]) -> S3Store | GCSStore | AzureStore:
    known = dict(options)
    client = {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=IDLE_SECONDS),
        "timeout": timedelta(seconds=known.pop("deadline", DEADLINE_SECONDS)),
        "allow_http": unencrypted(known),
        **known.pop("client_options", {}),
    }
    kind: Any = _KIND[scheme]
    try:
        return kind(bucket, client_options=client, retry_config={"max_retries": 0}, **known)
    except (BaseError, TypeError, ValueError) as error:
        raise ViewSchemaError(
            f"storage_options for {prefix or shown(f'{scheme}://{bucket}')} are not accepted ({headline(error)}); "
            "they take what obstore's S3Store, GCSStore and AzureStore take; correct them",
            where="storage_options",
        ) from error


def _list(store: Any, prefix: str | None) -> Mapping[str, Any]:
    return obstore.list_with_delimiter(store, prefix)  # pyright: ignore[reportUnknownMemberType]


def _failure(url: str, span: Span, pin: str | None, error: Exception) -> Again:
    """What an error of obstore means: `Again`, or our error raised."""
    text = headline(error)
    if isinstance(error, FileNotFoundError):
        if any(code in str(error) for code in _NO_BUCKET):
            raise astray(url, "there is no such bucket") from error
        raise missing(url) from error
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        raise refused(url, text) from error
    if isinstance(error, PreconditionError):
        raise changed(url, (f"etag was {pin}, is another",)) from error
    if match := _STATUS.search(text):
        if match[1] == "404":
            # Not the object (that is a FileNotFoundError) but the service that hands out credentials.
            raise refused(url, text) from error
        return by_status(url, int(match[1]), span)
    if isinstance(error, AlreadyExistsError) or _ASTRAY.search(text):
        raise astray(url, text) from error
    if _PASSING.search(text):
        return Again(unavailable(url, text))
    raise unavailable(url, text) from error
