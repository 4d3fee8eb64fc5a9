"""A session: all reading of bytes in one place, with the reader's grants, options and stores.

Owns `Session`: which backend answers for a location, whether the document that named it may reach it, whether the
answer is as long as was asked and is from the object that was referenced, and the counts. A plan above decides what
to read; the backends below know one protocol each.

Refuses to take options, credentials or permissions from anything but its own constructor; to write; to hold open
files (it pickles by its configuration); and to import a remote client before a location needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Buffer, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from lazyzarr.access.counts import Counts
from lazyzarr.access.local import LocalFiles
from lazyzarr.access.policy import Grant
from lazyzarr.access.remote import Answer, Backend, Options, Settings, Span, backend_module, beyond, joined_options
from lazyzarr.access.stamps import Whole, compare, digest, needs_content
from lazyzarr.access.url import as_prefix, from_user, parse, shown
from lazyzarr.errors import AccessDenied, SourceMissing, ViewSchemaError
from lazyzarr.ir.layout import Stamp

_PARALLEL = 8
"""Ranges of one remote object that are asked for at a time."""
_MOST_VERIFIED = 1 << 16
"""Verdicts of `Session.verify` kept."""


class Session:
    """Reads objects by location; safe to use from several threads, picklable by its configuration.

    Parameters
    ----------
    options
        Prefix of locations -> what the backend needs to know there (endpoint, keys, headers); the longest prefix
        counts. ``"s3://"`` stands for a whole scheme.
    grants
        Name -> what documents read under that name may reach; see `add_grant`. The name ``""`` is the caller's own
        and may reach everything.
    stores
        Prefix of locations -> Zarr store object that answers there; see `add_store`.
    verify_stamps
        False accepts sources that changed since they were referenced. Lengths are checked all the same.

    Examples
    --------
    >>> from lazyzarr.access.url import from_user
    >>> session = Session()
    >>> bytes(session.read(from_user(__file__), offset=0, length=3))
    b'\"\"\"'
    >>> session.counts
    Counts(requests=1, bytes=3, objects=1)
    """

    def __init__(
        self,
        options: Mapping[str, Options] | None = None,
        grants: Mapping[str, Grant] | None = None,
        stores: Mapping[str, object] | None = None,
        *,
        verify_stamps: bool = True,
    ) -> None:
        self.verify_stamps = verify_stamps
        self._options = {_option_prefix(prefix): dict(found) for prefix, found in (options or {}).items()}
        self._grants: dict[str, Grant | None] = {**(grants or {}), "": None}
        self._stores = {as_prefix(prefix): store for prefix, store in (stores or {}).items()}
        self._start()

    def _start(self) -> None:
        self.counts = Counts()
        self._lock = threading.Lock()
        self._local = LocalFiles(self.counts)
        self._backends: dict[str, Backend] = {}
        self._verified: dict[tuple[str, str, Stamp], Stamp] = {}

    def __getstate__(self) -> dict[str, object]:
        return {
            "verify_stamps": self.verify_stamps,
            "_options": self._options,
            "_grants": self._grants,
            "_stores": self._stores,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def options(self) -> Mapping[str, Options]:
        """Prefix -> options, as given."""
        return self._options

    @property
    def grants(self) -> Mapping[str, Grant]:
        """Name -> grant, without the caller's own."""
        return {name: grant for name, grant in self._grants.items() if grant is not None}

    @property
    def stores(self) -> Mapping[str, object]:
        """Prefix -> Zarr store object."""
        return self._stores

    def add_grant(self, grant: Grant) -> str:
        """Make a grant known and return its name, the same for equal grants in every session."""
        with self._lock:
            self._grants = {**self._grants, grant.name: grant}
        return grant.name

    def add_store(self, store: object) -> str:
        """Make a Zarr store object known and return the location of its root.

        A ``LocalStore`` gets the location of its directory, an ``ObjectStore`` or ``FsspecStore`` its real location
        where it has one; any other store gets ``store://<token>/``, which has a meaning in this session only.

        Raises
        ------
        ViewSchemaError
            ``source-format`` when the object is not a Zarr store; ``url-invalid`` when its place has no location.
        ExtraMissing
            When a package that the store needs is not installed.
        """
        place = backend_module("store").place_of(store)
        with self._lock:
            for prefix, known in self._stores.items():
                if known is place.store and prefix.startswith("store://"):
                    return prefix + place.url[len(place.root) :]
            if place.options is not None:
                self._options = {**self._options, as_prefix(place.root): place.options}
            if place.store is not None:
                self._stores = {**self._stores, as_prefix(place.root): place.store}
            # The next read connects with the new settings; a read under way keeps the backend that it has.
            self._backends = {}
        return place.url

    def joined(self, other: Session) -> Session:
        """A session that reads what either reads, with its own counts; stamps are verified unless neither does.

        Raises
        ------
        ViewSchemaError
            ``document-member`` when both have options for one prefix and they differ.
        """
        return Session(
            joined_options(self._options, other._options),
            {**self.grants, **other.grants},
            {**self._stores, **other._stores},
            verify_stamps=self.verify_stamps or other.verify_stamps,
        )

    def is_local(self, url: str) -> bool:
        """Whether reading needs no network, so that a planner can choose its threads."""
        return url.startswith(("file://", "memory://"))

    def read(
        self,
        url: str,
        *,
        grant: str = "",
        offset: int | None = None,
        length: int | None = None,
        stamp: Stamp | None = None,
    ) -> Buffer:
        """Read an object, or ``length`` bytes of it from ``offset`` on, in one request.

        Parameters
        ----------
        url
            Location of the object.
        grant
            Name of the grant of the document that named the location; ``""`` for the caller's own.
        offset, length
            What to read [bytes]; None means the start, and as much as there is.
        stamp
            What the object was when it was referenced; compared with this very response.

        Raises
        ------
        AccessDenied
            The grant does not permit the location, or what it leads to.
        ViewSchemaError, ViewLimitError
            The text of the location is not acceptable.
        SourceMissing, SourceDenied, SourceUnavailable
            The object is not there, not for this reader, or not to be had in time.
        SourceChanged
            A field of the stamp differs.
        SourceProtocolError
            ``chunk-length`` when the object does not have these bytes, ``source-format`` when it is no regular
            file, ``source-protocol`` when the storage answers something else than was asked.
        ExtraMissing
            The client for this kind of location is not installed.
        """
        expected = stamp if self.verify_stamps else None
        if url[:7] == "file://":
            return self._local.read(url, self._grant(grant), offset, length, expected)
        return self._fetch(url, grant, Span(offset or 0, length), expected).data

    def try_read(
        self,
        url: str,
        *,
        grant: str = "",
        offset: int | None = None,
        length: int | None = None,
        stamp: Stamp | None = None,
    ) -> Buffer | None:
        """As `read`, but None where the storage says that there is no such object, and only there.

        Raises
        ------
        LazyZarrError
            As `read`; of `SourceMissing` only that for a directory, which has the reason ``source-format``.
        """
        try:
            return self.read(url, grant=grant, offset=offset, length=length, stamp=stamp)
        except SourceMissing as error:
            if error.reason != SourceMissing.default_reason:
                raise
            return None

    def read_packed(
        self, urls: Sequence[str], room: memoryview, most: int, *, exact: bool, grant: str = ""
    ) -> list[int]:
        """Whole local objects into one buffer, as `lazyzarr.access.local.LocalFiles.read_packed`."""
        return self._local.read_packed(urls, self._grant(grant), room, most, exact=exact)

    def read_ranges(
        self,
        url: str,
        offsets: Sequence[int],
        lengths: Sequence[int],
        *,
        grant: str = "",
        stamp: Stamp | None = None,
    ) -> list[memoryview]:
        """Read several ranges of one object, one request each; the caller has joined what is close together.

        Remote ranges after the first are asked for in parallel, and only from the object that gave the first one.
        If one range fails the call fails, as `read`; read the others one by one to have them.
        """
        expected = stamp if self.verify_stamps else None
        if url[:7] == "file://":
            return self._local.read_ranges(url, self._grant(grant), offsets, lengths, expected)
        spans = [Span(int(offset), int(length)) for offset, length in zip(offsets, lengths, strict=True)]
        if not spans:
            return []
        first = self._fetch(url, grant, spans[0], expected)
        if len(spans) == 1:
            return [memoryview(first.data)]
        # Even an object without a pin must be one object: all parts come from the one that gave the first.
        if self.verify_stamps and not (expected and expected.digest):
            expected = first.stamp

        def fetch(span: Span) -> Answer:
            return self._fetch(url, grant, span, expected)

        with ThreadPoolExecutor(min(_PARALLEL, len(spans) - 1)) as pool:
            return [memoryview(answer.data) for answer in (first, *pool.map(fetch, spans[1:]))]

    def read_into(
        self,
        url: str,
        offset: int,
        buffers: Iterable[Buffer],
        *,
        grant: str = "",
        stamp: Stamp | None = None,
        warm: bool = False,
    ) -> None:
        """Fill writable contiguous buffers, one after the other, with the bytes from ``offset`` on.

        The buffers are not to be used if the call fails. Buffers that are not ``warm``, which is to say in a
        processor's cache, are filled by way of a small one that is. Raises as `read`.
        """
        expected = stamp if self.verify_stamps else None
        if url[:7] == "file://":
            self._local.read_into(url, self._grant(grant), offset, buffers, expected, warm=warm)
            return
        views = [view.cast("B") for view in map(memoryview, buffers) if view.nbytes]
        data = memoryview(self._fetch(url, grant, Span(offset, sum(map(len, views))), expected).data)
        at = 0
        for view in views:
            view[:] = data[at : at + len(view)]
            at += len(view)

    def read_stamped(self, url: str, *, grant: str = "", limit: int | None = None) -> tuple[Buffer, Stamp]:
        """Read a metadata document and its stamp, digest included, in one request.

        Parameters
        ----------
        url, grant
            As `read`.
        limit
            Longest document accepted [bytes].

        Raises
        ------
        ViewLimitError
            ``document_bytes`` is over the limit.
        LazyZarrError
            As `read`.
        """
        if url[:7] == "file://":
            return self._local.read_stamped(url, self._grant(grant), limit)
        data, found = self._fetch(url, grant, Span(), None, limit)
        return data, Stamp(found.size, found.mtime_ns, found.inode, found.etag, digest(data))

    def stat(self, url: str, *, grant: str = "") -> Stamp:
        """What identifies an object now: size, and time and inode or entity tag; without its content. Raises as `read`."""
        if url[:7] == "file://":
            return self._local.stat(url, self._grant(grant))
        url, backend, granted = self._route(url, grant)
        return backend.stat(url, granted=granted)

    def exists(self, url: str, *, grant: str = "") -> bool:
        """Whether there is an object (not a directory) at a location.

        Raises
        ------
        LazyZarrError
            As `read`, without `SourceMissing`.
        """
        try:
            self.stat(url, grant=grant)
        except SourceMissing:
            return False
        return True

    def list_dir(self, url: str, *, grant: str = "") -> tuple[str, ...]:
        """Names directly below a location, sorted; directories are not marked.

        Raises
        ------
        UnsupportedFeature
            ``source-unsupported``: this kind of storage has no listing (http).
        LazyZarrError
            As `read`; `SourceMissing` also where remote storage has nothing below the location.
        """
        if url[:7] == "file://":
            return self._local.list_dir(url, self._grant(grant))
        url, backend, granted = self._route(url, grant)
        return backend.list_dir(url, granted=granted)

    def verify(
        self, url: str, stamp: Stamp, *, grant: str = "", whole: Whole | None = None, beside: bool = False
    ) -> Stamp:
        """What an object, such as the metadata document of a Zarr array, is now: the one that was referenced.

        A remote object is asked once per session, a local file each time.

        Parameters
        ----------
        whole
            Where ``stamp`` is without a digest: loads it with the digest, if a local file differs.
        beside
            Objects beside it are read under the same grant next, which finds links; a local file as stamped stays closed.

        Raises
        ------
        SourceChanged
            A field of the stamp differs, and so does the digest if the stamp has one.
        LazyZarrError
            As `read`.
        """
        if not self.verify_stamps:
            return stamp
        local = url[:7] == "file://"
        if local and beside and self._local.is_still(url, stamp, self._grant(grant)):
            return stamp
        key = (url, grant, stamp)
        accepted = self._verified.get(key)
        if accepted is not None and (not local or self._local.is_still(url, accepted)):
            return accepted
        if local:
            found = self._local.verify(url, self._grant(grant), stamp, whole)
        else:
            route, backend, granted = self._route(url, grant)
            # without a tag only the content can tell, so that is asked for at once
            found = Stamp() if stamp.digest and not stamp.etag else backend.stat(route, granted=granted)
            if needs_content(stamp, found):
                self._fetch(url, grant, Span(), stamp)
            else:
                compare(url, stamp, found)
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified.clear()
        self._verified[key] = found
        return found

    def _fetch(self, url: str, grant: str, span: Span, expected: Stamp | None, limit: int | None = None) -> Answer:
        route, backend, granted = self._route(url, grant)
        if span.offset < 0 or (span.length or 0) < 0:
            raise beyond(url, span, None)
        # With a digest the content decides, so the storage must not refuse because of a new tag.
        pin = expected.etag if expected is not None and expected.digest is None else None
        answer = backend.fetch(route, span, pin=pin, granted=granted, limit=limit)
        if expected is None:
            return answer
        found = answer.stamp
        if needs_content(expected, found):
            content = (
                answer.data if span.whole else backend.fetch(route, Span(), pin=None, granted=granted, limit=None).data
            )
            found = Stamp(found.size, found.mtime_ns, found.inode, found.etag, digest(content))
        compare(url, expected, found)
        return answer

    def _grant(self, name: str) -> Grant | None:
        try:
            return self._grants[name]
        except KeyError as error:
            raise AccessDenied(
                f"a location is read under the grant {name!r}; this session has no grant of that name, so nothing is "
                "permitted; register it with add_grant",
                where=name,
            ) from error

    def _route(self, url: str, grant: str) -> tuple[str, Backend, bool]:
        """The checked spelling of a location, who answers for it, and whether a document named it."""
        found = self._grant(grant)
        place = parse(url, trusted=found is None)
        if place.scheme == "file":
            raise ViewSchemaError(
                "the location does not begin with file:// in lower case; a session takes locations in their one "
                "spelling; use from_user or parse to get it",
                reason="url-invalid",
                where=shown(url),
            )
        if found is not None:
            found.check(place.url)
        mounted = place.url.startswith(tuple(self._stores))
        return place.url, self._backend("store" if mounted else place.scheme), found is not None

    def _backend(self, scheme: str) -> Backend:
        backend = self._backends.get(scheme)
        if backend is None:
            with self._lock:
                backend = self._backends.get(scheme) or backend_module(scheme).connect(
                    Settings(self._options, self._stores, self.counts)
                )
                self._backends = {**self._backends, scheme: backend}
        return backend


def _option_prefix(prefix: str) -> str:
    """Options may be for a whole scheme, which is no location."""
    if prefix.endswith("://"):
        return prefix.lower()
    return as_prefix(from_user(prefix))
