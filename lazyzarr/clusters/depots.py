"""Copies to buckets and to Zarr stores, where nothing can be renamed: `Depot`.

1. ``.<name>.copying/`` beside the target holds the record of what is copied and a mark for each region that is done.
2. Chunks are written where they will be; the metadata come last, and that of the root at the very end: until then no reader
   finds a node. What is replaced is removed first, so that no reader meets a mixture; it is gone when the copy fails.
3. A copy that starts with the same record goes on; with another one it is refused.
Owns these steps. Refuses what would take a lock: of two different copies that are started at the same instant with
``resume=False`` the outcome is open.
"""

from __future__ import annotations

from collections.abc import Buffer, Callable
from typing import Any

import msgspec

from lazyzarr.access.session import Session
from lazyzarr.access.url import key_of, parse
from lazyzarr.clusters.workshop import check_replaceable, digest
from lazyzarr.document.ownership import examine_text
from lazyzarr.document.remote_publish import KIND, Bucket, StoreObject
from lazyzarr.errors import SaveConflict, SaveError, SaveUnsupported

_DOCUMENT = "zarr.json"


class Site:
    """Where the chunks of one array are put; goes to the workers of a cluster.

    Parameters
    ----------
    url, options
        Of the target and of its storage, where that is a bucket.
    prefix
        Of the keys of the array.
    store
        The Zarr store of a user, else.
    """

    def __init__(self, url: str, options: dict[str, Any], prefix: str, store: Any = None) -> None:
        self.url, self.options, self.prefix, self.store = url, options, prefix, store
        self._target: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Site, (self.url, self.options, self.prefix, self.store)

    @property
    def target(self) -> Any:
        """The objects, connected to when they are needed."""
        if self._target is None:
            if self.store is not None:
                self._target = StoreObject(self.store)
            else:
                place = parse(self.url, trusted=True)
                self._target = Bucket(place.scheme, place.authority, self.url, Session(self.options))
        return self._target

    def put(self, key: str, data: Buffer) -> None:
        """Write a chunk.

        Raises
        ------
        SaveError
            The storage failed.
        """
        named(self.url, lambda: self.target.put(f"{self.prefix}{key}", bytes(data)))


class Depot:
    """The copy to one target in a bucket or in a Zarr store.

    Parameters
    ----------
    url
        Of the target.
    options
        Of storages, by prefix of their URLs.
    store
        A Zarr store that is at no URL; the target is its root.
    """

    def __init__(self, url: str, options: dict[str, Any], store: Any = None) -> None:
        self.target = url
        if store is None and parse(url, trusted=True).scheme not in KIND:
            raise SaveUnsupported(
                f"copy to {url}; copies are written to local directories, to {', '.join(KIND)} and to Zarr stores; give one"
            )
        if getattr(store, "read_only", False):
            raise SaveUnsupported(f"copy to a {type(store).__name__} that is read only; open it for writing")
        root = "" if store is not None else key_of(url).strip("/")
        above, _, name = root.rpartition("/")
        self._prefix = f"{root}/" if root else ""
        self._workshop = f"{above}/.{name}.copying/" if above else f".{name}.copying/"
        self._own = Site(self.target, options, "", store)
        self._replaces = False

    def check_target(self, kind: str, overwrite: bool) -> None:
        """As of `Workshop`; objects that are no Zarr node are left alone unless a copy of ours put them there."""
        text = self._get(f"{self._prefix}{_DOCUMENT}")
        if text is None:
            if self._get(f"{self._workshop}record") is None and self._keys(self._prefix):
                raise SaveConflict(
                    f"copy: there are objects below the target that are no copy of a Zarr {kind}; they would be mixed with "
                    "it; remove them yourself or choose another name",
                    where=self.target,
                )
            return
        existing = examine_text(text)
        check_replaceable(existing, self.target, kind, overwrite=overwrite)
        self._replaces = True

    def enter(self, record: dict[str, Any], *, resume: bool) -> tuple[dict[str, Any], set[str]]:
        """As of `Workshop`: the record to go by, and the regions that are done.

        Raises
        ------
        SaveConflict
            A copy of something else was stopped there, or began at the same time.
        """
        if not resume:
            self._drop(f"{self._workshop}record")
        text = self._get(f"{self._workshop}record")
        if text is None:
            # the node first: from here on no reader takes what is there for one
            self._drop(f"{self._prefix}{_DOCUMENT}")
            self._remove(self._workshop)
            self._remove(self._prefix)
            mine = msgspec.json.encode(record)
            self._do(lambda target: target.create(f"{self._workshop}record", mine))
            text = self._get(f"{self._workshop}record") or b"{}"
        known: dict[str, Any] = msgspec.json.decode(text)
        if not known or digest(known) != digest(record):
            raise SaveConflict(
                f"copy: {self._workshop} has a part of the copy of another view, or of this one with other sources, chunks or "
                "codecs; the two are never mixed; pass resume=False to start anew, or choose another name",
                where=self.target,
            )
        if self._replaces:
            self._drop(f"{self._prefix}{_DOCUMENT}")
        marks = self._keys(f"{self._workshop}done/")
        return known, {key.rpartition("/")[2].replace("-", " ") for key in marks}

    def site(self, path: str) -> Site:
        """Where the chunks of an array are put."""
        own = self._own
        return Site(own.url, own.options, f"{self._prefix}{path}/" if path else self._prefix, own.store)

    def note(self, region: str) -> None:
        """Remember that a region is done."""
        key = f"{self._workshop}done/{region.replace(' ', '-')}"
        self._do(lambda target: target.put(key, b"1"))

    def publish(self, documents: dict[str, bytes]) -> None:
        """Write the metadata, the root last, and let go of the rest."""
        for name, text in documents.items():
            self._do(lambda target, name=name, text=text: target.put(f"{self._prefix}{name}", text))
        self._remove(self._workshop)

    def leave(self) -> None:
        """Nothing is held."""

    def _get(self, key: str) -> bytes | None:
        found = self._do(lambda target: target.get(key))
        return None if found is None else found[0]

    def _keys(self, prefix: str) -> list[str]:
        """Keys below a prefix; of the root of a store without those of the work."""
        others = self._workshop if not prefix else "\0"
        return self._do(lambda target: [key for key in target.keys(prefix) if not key.startswith(others)])

    def _drop(self, key: str) -> None:
        self._do(lambda target: target.remove([key]))

    def _remove(self, prefix: str) -> None:
        keys = self._keys(prefix)
        self._do(lambda target: target.remove(keys))

    def _do(self, call: Callable[[Any], Any]) -> Any:
        return named(self.target, lambda: call(self._own.target))


def named(where: str, call: Callable[[], Any]) -> Any:
    """Do something, with errors of the storage as errors of the copy."""
    try:
        return call()
    except SaveUnsupported:
        raise
    except SaveError as error:
        cause = error.__cause__ or error
        line = (str(cause).strip().splitlines() or [type(cause).__name__])[0].partition("?")[0]
        raise SaveError(
            f"copy to {where}; the storage failed ({line[:200]}); what is written is kept; check credentials and network, "
            "and run the copy again",
            where=where,
        ) from error
