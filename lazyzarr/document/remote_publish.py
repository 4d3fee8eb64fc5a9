"""Putting a view in place in a bucket, or in a Zarr store object of the user.

Owns publication where there are no directories: tables first, under names made from their content, then the document
in one conditional request (``If-None-Match`` for a new one, ``If-Match`` over the one that was looked at). A reader
sees the old document or the new one. Whole groups are changed by way of a journal
(`lazyzarr.document.remote_changes`), which takes conditional requests, too. Refuses stores that cannot put conditionally.

Tables that no document names any more are left; the listing and deleting of others' objects is not ours to decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from lazyzarr.access.remote import unencrypted
from lazyzarr.access.session import Session
from lazyzarr.access.url import child, key_of, parse
from lazyzarr.document.decode import generation_of
from lazyzarr.document.encode import EncodedView
from lazyzarr.document.ownership import examine_text
from lazyzarr.document.plain_array import Content
from lazyzarr.document.remote_changes import NOTHING, change, finish
from lazyzarr.errors import ExtraMissing, LazyZarrError, SaveConflict, SaveError, SaveUnsupported

_DOCUMENT = "zarr.json"
_OLDER = (".zarray", ".zgroup")
"""Documents of nodes of Zarr version 2."""
_RETRIES = 2
KIND = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}


class Target(Protocol):
    """What publication needs of a place: four operations on objects by key."""

    def get(self, key: str) -> tuple[bytes, Any] | None:
        """Content and tag of an object, or None."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write an object, whatever is there."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that is not there; False if it is."""
        ...

    def replace(self, key: str, data: bytes, tag: Any) -> bool:
        """Write over the object with this tag; False if it is another one."""
        ...


def publish_remote(
    url: str,
    view: EncodedView | Mapping[str, Content],
    *,
    session: Session,
    overwrite: bool = False,
    expected: str | None = None,
) -> None:
    """Put a view, or the files of a new group, in place at a location in a bucket.

    Parameters
    ----------
    url
        Location (``s3``, ``gs`` or ``az``) of the group that the view will be.
    view, overwrite, expected
        As `lazyzarr.document.publish.publish`.
    session
        Has the options (credentials, endpoint) for the location.

    Raises
    ------
    SaveConflict, SaveError, SaveUnsupported
        As `lazyzarr.document.publish.publish`; also where the storage has no conditional requests.
    ExtraMissing
        obstore is not installed.
    """
    place = parse(url, trusted=True)
    if place.scheme not in KIND:
        raise SaveUnsupported(
            f"save: {place.scheme} locations are read only here; views are saved to local paths, "
            f"{', '.join(KIND)} and Zarr stores; save to one of them and copy",
            where=url,
        )
    publish_to(Bucket(place.scheme, place.authority, url, session), key_of(url), view, url, overwrite, expected)


def change_remote(
    url: str,
    files: Mapping[str, Content],
    *,
    session: Session,
    expected: Mapping[str, str],
    hides: bool = False,
) -> None:
    """Put changed files of a saved group in a bucket in place; as `lazyzarr.document.remote_changes.change`."""
    place = parse(url, trusted=True)
    target = Bucket(place.scheme, place.authority, url, session)
    change(target, key_of(url), files, expected=expected, where=url, hides=hides)


def finish_remote(url: str, *, session: Session) -> None:
    """Make the change of a group in a bucket that somebody began."""
    place = parse(url, trusted=True)
    if place.scheme in KIND:
        finish(Bucket(place.scheme, place.authority, url, session), key_of(url), url)


def publish_store(
    store: Any,
    path: str,
    view: EncodedView | Mapping[str, Content],
    *,
    overwrite: bool = False,
    expected: str | None = None,
) -> None:
    """Put a view, or the files of a new group, in place in a Zarr store object.

    Zarr stores have no conditional replacement: of two savers over one view at the same instant, one is lost.

    Parameters
    ----------
    store
        A ``zarr.abc.store.Store`` that can be written to.
    path
        Key of the group in the store; ``""`` is its root.
    view, overwrite, expected
        As `publish_remote`.

    Raises
    ------
    SaveConflict, SaveError, SaveUnsupported
        As `publish_remote`.
    """
    if getattr(store, "read_only", False):
        raise SaveUnsupported(f"save: the {type(store).__name__} is read only; open it for writing")
    publish_to(StoreObject(store), path.strip("/"), view, f"{type(store).__name__}:{path}", overwrite, expected)


def publish_to(
    target: Target,
    prefix: str,
    view: EncodedView | Mapping[str, Content],
    where: str,
    overwrite: bool,
    expected: str | None,
) -> None:
    """Put files in place below a prefix: the document last, and on condition."""
    files = view.files() if isinstance(view, EncodedView) else dict(view)
    key = f"{prefix}/{_DOCUMENT}" if prefix else _DOCUMENT
    found = target.get(key)
    if found is not None and found[0] == NOTHING:
        finish(target, prefix, where)
        found = target.get(key)
    if found is None and expected is not None:
        raise _changed(where)
    if found is not None:
        _refuse(found[0], isinstance(view, EncodedView), where, overwrite, expected, isinstance(target, Bucket))
        if examine_text(found[0]).kind == "group":
            change(target, prefix, files, expected={_DOCUMENT: generation_of(found[0])}, where=where, hides=True)
            return
    elif any(target.get(f"{prefix}/{name}" if prefix else name) for name in _OLDER):
        raise SaveConflict(
            "save: the target is a node of Zarr version 2, which lazyzarr did not write; both would be there; remove it "
            "yourself or choose another name",
            where=where,
        )
    document = files.pop(_DOCUMENT)
    for name, content in files.items():
        target.put(f"{prefix}/{name}" if prefix else name, _bytes(content))
    text = _bytes(document)
    if target.create(key, text) if found is None else target.replace(key, text, found[1]):
        return
    # A request that was repeated finds its own work: the answer to the first may have been lost on the way.
    now = target.get(key)
    if now is None or now[0] != text:
        raise _changed(where)


def _refuse(
    text: bytes, is_view: bool, where: str, overwrite: bool, expected: str | None, has_conditions: bool
) -> None:
    existing = examine_text(text)
    if not overwrite and expected is None:
        raise SaveConflict(
            f"save: the target exists ({existing.what}); nothing is replaced unasked; "
            "choose another name or pass overwrite=True",
            where=where,
        )
    if existing.kind == "foreign":
        raise SaveConflict(
            f"save: the target is {existing.what}, which lazyzarr did not write; only views that lazyzarr saved are "
            "replaced; remove it yourself or choose another name",
            where=where,
        )
    if (existing.kind == "view") != is_view:
        raise SaveUnsupported(
            f"save: the target is {existing.what}; in a bucket a view replaces a view and a group a group; choose another "
            "name",
            where=where,
        )
    if not is_view and not has_conditions:
        raise SaveUnsupported(
            "save: a whole group in a Zarr store cannot be replaced in one step; save its views one by one, or the group "
            "under a new name",
            where=where,
        )
    if expected is not None and generation_of(text) != expected:
        raise _changed(where)


def _changed(where: str) -> SaveConflict:
    return SaveConflict(
        "save: the view was changed by someone else since it was opened; saving would lose that change; "
        "open it again and repeat yours",
        where=where,
    )


def _bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content()


class Bucket:
    """Objects of a bucket, by obstore."""

    def __init__(self, scheme: str, bucket: str, url: str, session: Session) -> None:
        try:
            self._obstore: Any = import_module("obstore")
            stores: Any = import_module("obstore.store")
        except ImportError as error:
            raise ExtraMissing(
                "save: buckets are written with obstore, which is not installed; pip install 'lazyzarr[remote]'"
            ) from error
        self._errors: Any = import_module("obstore.exceptions")
        prefixes = [prefix for prefix in session.options if child(url, _DOCUMENT).startswith(prefix)]
        options: dict[str, Any] = dict(session.options[max(prefixes, key=len)]) if prefixes else {}
        options.pop("deadline", None)
        client = {
            "allow_http": unencrypted(options),
            **options.pop("client_options", {}),
        }
        self._where = url
        self._store: Any = options.get("store") or getattr(stores, KIND[scheme])(
            bucket, client_options=client, retry_config={"max_retries": _RETRIES}, **options
        )

    def get(self, key: str) -> tuple[bytes, Any] | None:
        """As of `Target`."""

        def read() -> tuple[bytes, Any] | None:
            try:
                result = self._obstore.get(self._store, key)
            except FileNotFoundError:
                return None
            # Google holds writes to the generation of an object, the others to its entity tag
            tags = {name: result.meta[name] for name in ("e_tag", "version")}
            return bytes(result.bytes()), {name: tag for name, tag in tags.items() if tag is not None}

        return self._done(read)

    def put(self, key: str, data: bytes) -> None:
        """As of `Target`."""
        self._done(lambda: self._obstore.put(self._store, key, data))

    def create(self, key: str, data: bytes) -> bool:
        """As of `Target`."""
        return self._conditional(lambda: self._obstore.put(self._store, key, data, mode="create"))

    def replace(self, key: str, data: bytes, tag: Any) -> bool:
        """As of `Target`."""
        return self._conditional(lambda: self._obstore.put(self._store, key, data, mode=tag))

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with a prefix."""
        return self._done(lambda: [m["path"] for part in self._obstore.list(self._store, prefix) for m in part])

    def remove(self, keys: list[str]) -> None:
        """Take objects away; those that are not there count as gone."""
        for key in keys:
            self._done(lambda key=key: self._gone(key))

    def _gone(self, key: str) -> None:
        with suppress(FileNotFoundError):
            self._obstore.delete(self._store, key)

    def _conditional(self, call: Callable[[], Any]) -> bool:
        def attempt() -> bool:
            try:
                call()
            except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
                return False
            return True

        return self._done(attempt)

    def _done[T](self, call: Callable[[], T]) -> T:
        try:
            return call()
        # obstore has no conditional writes for some storages, and says so in either way
        except (NotImplementedError, self._errors.NotSupportedError) as error:
            raise SaveUnsupported(
                "save: the storage has no conditional requests, so that a view could be lost; save locally and copy",
                where=self._where,
            ) from error
        except (self._errors.BaseError, FileNotFoundError) as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0].partition("?")[0]
            raise SaveError(
                f"save: the storage failed ({line[:200]}); what is there is whole: as it was before, or the new "
                "one; check credentials and network, and save again",
                where=self._where,
            ) from error


class StoreObject:
    """Keys of a Zarr store object; its coroutines run on an event loop of their own."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._buffer: Any = import_module("zarr.buffer").cpu

    def get(self, key: str) -> tuple[bytes, Any] | None:
        """As of `Target`."""
        found = self._run(lambda: self._store.get(key, self._buffer.buffer_prototype))
        return None if found is None else (found.to_bytes(), None)

    def put(self, key: str, data: bytes) -> None:
        """As of `Target`."""
        self._run(lambda: self._store.set(key, self._buffer.Buffer.from_bytes(data)))

    def create(self, key: str, data: bytes) -> bool:
        """As of `Target`."""
        self._run(lambda: self._store.set_if_not_exists(key, self._buffer.Buffer.from_bytes(data)))
        return False  # the store does not say; whoever asks looks at what is there

    def replace(self, key: str, data: bytes, tag: Any) -> bool:
        """As of `Target`."""
        self.put(key, data)
        return True

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with a prefix."""

        async def listed() -> list[str]:
            return [key async for key in self._store.list_prefix(prefix)]

        return self._run(listed)

    def remove(self, keys: list[str]) -> None:
        """Take keys away."""

        async def removed() -> None:
            for key in keys:
                await self._store.delete(key)

        self._run(removed)

    def _run(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def awaited() -> Any:
            return await call()

        try:
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(asyncio.run, awaited()).result()
        except LazyZarrError:
            raise
        except Exception as error:
            # A store raises what its client raises: there is no common class.
            raise SaveError(
                f"save: the {type(self._store).__name__} failed ({type(error).__name__}: {error}); what is there is "
                "whole; check the store, and save again"
            ) from error
