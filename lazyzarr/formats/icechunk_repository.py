"""Icechunk repositories: any branch, tag or snapshot as a tree of referenced arrays.

Owns opening a repository at a location, choosing a snapshot, and turning its chunk references into columns: native
chunks are byte ranges below the repository, virtual ones byte ranges elsewhere with the checksums of the repository
as pins, inline ones bytes. A session or a store, which does not say where it is, is read through Icechunk instead.
Refuses checksums that it cannot hold a source to.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import icechunk
import numpy as np
from zarr.buffer import cpu

from lazyzarr.access.session import Session
from lazyzarr.access.stamps import changed
from lazyzarr.access.url import child, from_user, parse, shown, to_path
from lazyzarr.errors import LazyZarrError, SourceMissing, SourceProtocolError, UnsupportedFeature
from lazyzarr.formats.icechunk_manifest import Checksums, checksums
from lazyzarr.formats.referenced import Keyed, Referenced, ReferencedGroup, Unreadable, json_values
from lazyzarr.formats.zarr import ZarrArrayInfo, read_array_metadata
from lazyzarr.formats.zarr_groups import read_group_metadata
from lazyzarr.formats.zarr_references import cf_decode, referenced
from lazyzarr.ir.layout import Stamp

Packing = Literal["auto", "raw"]
_NATIVE, _VIRTUAL, _INLINE = 1, 2, 3
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def open_repository(session: Session, url: str) -> icechunk.Repository:
    """The repository at a location.

    Raises
    ------
    UnsupportedFeature
        Icechunk has no storage of that kind that could be made from the reader's options.
    SourceProtocolError
        Icechunk does not take it for one of its repositories.
    """
    storage = _storage(session, url)
    try:
        return icechunk.Repository.open(storage)
    except icechunk.IcechunkError as error:
        raise SourceProtocolError(
            f"open of the Icechunk repository {shown(url)}; Icechunk says: {headline(error)}; check the repository",
            reason="source-format",
        ) from error


def location(repository: icechunk.Repository) -> str | None:
    """Where a repository is, if it is on local disk; Icechunk tells it in the text of its storage only."""
    told: dict[str, str] = {}
    for line in repr(repository.storage).splitlines():
        name, _, value = line.partition(": ")
        told[name] = value
    return from_user(told["path"]) if told.get("type") == "local filesystem" and "path" in told else None


def snapshot(repository: icechunk.Repository, version: str | None) -> icechunk.Session:
    """A read-only session at a branch, a tag or a snapshot; by default at the branch ``main``.

    Raises
    ------
    SourceMissing
        There is nothing of that name, or both a branch and a tag.
    """
    kind, _, name = (version or "branch:main").rpartition(":")
    found = [
        given
        for given, names in (("branch", repository.list_branches()), ("tag", repository.list_tags()))
        if name in names and kind in ("", given)
    ]
    if len(found) > 1:
        raise SourceMissing(
            f"open of version {name!r} of an Icechunk repository; it has a branch and a tag of that name; "
            f'say version="branch:{name}" or "tag:{name}"',
            reason="source-format",
        )
    try:
        if found == ["branch"]:
            return repository.readonly_session(branch=name)
        if found == ["tag"]:
            return repository.readonly_session(tag=name)
        if kind in ("", "snapshot"):
            return repository.readonly_session(snapshot_id=name)
    except (icechunk.IcechunkError, ValueError) as error:
        raise _no_version(repository, version) from error
    raise _no_version(repository, version)


def _no_version(repository: icechunk.Repository, version: str | None) -> SourceMissing:
    names = ", ".join(
        [f"branch:{n}" for n in sorted(repository.list_branches())]
        + [f"tag:{n}" for n in sorted(repository.list_tags())]
    )
    return SourceMissing(
        f"open of version {version!r} of an Icechunk repository; it has {names}, and no snapshot of that id; name one"
    )


def import_snapshot(
    session: Session, repository: icechunk.Repository, at: icechunk.Session, url: str, *, packing: Packing
) -> Referenced | ReferencedGroup | Unreadable | Keyed:
    """Describe a snapshot of a repository whose location is known; arrays when they are used.

    Raises
    ------
    SourceProtocolError, UnsupportedFeature
        The root of the repository is not a node of Zarr that can be read.
    """
    return _node(_Snapshot(session, repository, at, url, packing), "")


def import_store(session: Session, store: icechunk.IcechunkStore, *, packing: Packing) -> Any:
    """Describe what an Icechunk store has; chunks are read through it, so the result lives in this process only."""
    return _node(_Store(session, store, packing), "")


class _Snapshot:
    """A snapshot with references."""

    def __init__(
        self, session: Session, repository: icechunk.Repository, at: icechunk.Session, url: str, packing: Packing
    ) -> None:
        self.session = session
        self.at = at
        self.store = at.store
        self.url = url
        self.packing: Packing = packing
        self._repository = repository
        self._pins: dict[bytes, list[Checksums]] | None = None

    def array(self, path: str, info: ZarrArrayInfo) -> Referenced:
        grid = info.grid
        count = int(np.prod(grid, dtype=np.int64))
        urls = np.full(count, "", np.dtypes.StringDType())
        offsets, lengths = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
        kinds = np.zeros(count, np.uint8)
        inline: dict[int, bytes] = {}
        for coords, kind, paths, offset, length, inside in _run(self._batches(f"/{path}")):
            rows = _rows(coords, grid)
            urls[rows] = paths
            offsets[rows], lengths[rows], kinds[rows] = offset, length, kind
            inline.update((int(rows[at]), bytes(data)) for at, data in inside.items())
        urls[kinds == _INLINE] = ""
        native = kinds == _NATIVE
        urls[native] = np.strings.add(f"{self.url.rstrip('/')}/chunks/", urls[native])
        spelled: dict[str, str] = {}
        places = [spelled.get(text) or spelled.setdefault(text, _spell(text)) for text in urls.tolist()]
        stamps = self._stamps(path, grid, places, kinds)
        return referenced(
            path.rpartition("/")[2] or "array", info, places, offsets, lengths, inline, stamps, packing=self.packing
        )

    async def _batches(self, path: str) -> list[Any]:
        return [batch async for batch in self.store.array_chunk_iterator(path)]

    def _stamps(self, path: str, grid: tuple[int, ...], places: list[str], kinds: np.ndarray) -> dict[str, Stamp]:
        """What the objects of virtual chunks have to be, by the checksums of the repository."""
        virtual = np.flatnonzero(kinds == _VIRTUAL)
        if not len(virtual):
            return {}
        etags: dict[str, set[str]] = {}
        newest: dict[str, int] = {}
        for found in self._checksums(path):
            rows = _rows(found.coords, grid)
            for row, etag, modified in zip(rows.tolist(), found.etag, found.modified.tolist(), strict=True):
                if etag:
                    etags.setdefault(places[row], set()).add(etag.strip('"'))
                if modified:
                    newest[places[row]] = min(modified, newest.get(places[row], modified))
        return {
            url: stamp
            for url in dict.fromkeys(places[row] for row in virtual.tolist())
            if (stamp := self._stamp(url, etags.get(url, set()), newest.get(url))) is not None
        }

    def _stamp(self, url: str, etags: set[str], newest: int | None) -> Stamp | None:
        if len(etags) > 1:
            raise changed(url, (f"the repository has {len(etags)} entity tags for it, of which one at most is true",))
        if url.startswith("file://"):
            return self._local_stamp(url, etags, newest)
        if newest is not None and not etags:
            raise UnsupportedFeature(
                f"open of references to {shown(url)}; the repository pins it by its time of modification only, which is "
                "not known of remote objects here; pass the session of icechunk, which reads through Icechunk itself",
                reason="source-unsupported",
            )
        return Stamp(etag=_quoted(etags.pop())) if etags else None

    def _local_stamp(self, url: str, etags: set[str], newest: int | None) -> Stamp | None:
        """The stamp of a local file, once it has passed the checksums of the repository."""
        try:
            found = self.session.stat(url)
        except SourceMissing:
            return None  # reading says so
        if not self.session.verify_stamps:
            return found
        if etags and local_etag(found) not in etags:
            raise changed(url, (f"entity tag was {etags.pop()}, is {local_etag(found)}",))
        if newest is not None and (found.mtime_ns or 0) > newest * 10**9:
            raise changed(url, (f"it was written after {newest} seconds of 1970, to which the repository pins it",))
        return found

    def _checksums(self, path: str) -> list[Checksums]:
        if self._pins is None:
            self._pins = {}
            for file in self._repository.list_manifest_files(self.at.snapshot_id):
                data = bytes(self.session.read(child(self.url, f"manifests/{file.id}")))
                for node, found in checksums(data).items():
                    self._pins.setdefault(node, []).append(found)
        return self._pins.get(_node_bytes(self.at.get_node_id(f"/{path}")), [])


class _Store:
    """A store without a place of its own."""

    def __init__(self, session: Session, store: icechunk.IcechunkStore, packing: Packing) -> None:
        self.session = session
        self.store = store
        self.packing: Packing = packing
        self.root = session.add_store(store).rstrip("/")

    def array(self, path: str, info: ZarrArrayInfo) -> Keyed:
        url = child(self.root, path) if path else self.root
        stamp = self.session.read_stamped(child(url, info.layout.metadata))[1]
        decode, attributes = cf_decode(info.attributes, info.layout.data_type, self.packing)
        name = path.rpartition("/")[2] or "array"
        return Keyed(name, info.shape, info.layout, url, stamp, attributes, info.dimension_names, decode, info.lengths)


def _node(tree: _Snapshot | _Store, path: str) -> Referenced | ReferencedGroup | Unreadable | Keyed:
    key = f"{path}/zarr.json".lstrip("/")
    found = _run(_get(tree.store, key))
    if found is None:
        raise SourceMissing(f"open of /{path} of an Icechunk repository; there is no node; name one that is there")
    node = read_group_metadata(found)
    if node.node_type == "group" and "lazyzarr" in node.attributes:
        raise UnsupportedFeature(
            f"open of /{path} of an Icechunk repository; it is a saved view, whose tables are arrays of the store; "
            "open it with lz.open(zarr.storage.StorePath(session.store, path))",
            reason="source-unsupported",
        )
    if node.node_type == "group":
        return _group(tree, path, json_values(node.attributes), _run(_names(tree.store, path)))
    return tree.array(path, read_array_metadata(found, uneven=True))


def _group(tree: _Snapshot | _Store, path: str, attributes: dict[str, Any], names: list[str]) -> ReferencedGroup:
    members = {name: partial(_member, tree, f"{path}/{name}".lstrip("/")) for name in names}
    return ReferencedGroup(f"/{path}", attributes, members, lambda: _group(_raw(tree), path, attributes, names))


def _raw(tree: _Snapshot | _Store) -> _Snapshot | _Store:
    """The same tree with packing left alone."""
    other = copy.copy(tree)
    other.packing = "raw"
    return other


def _member(tree: _Snapshot | _Store, path: str) -> Referenced | ReferencedGroup | Unreadable | Keyed:
    try:
        return _node(tree, path)
    except LazyZarrError as error:
        error.add_note(f"opening /{path} of an Icechunk repository")
        raise
    except icechunk.IcechunkError as error:
        raise SourceProtocolError(
            f"open of /{path} of an Icechunk repository; Icechunk says: {headline(error)}; check the repository",
            reason="source-format",
        ) from error


async def _get(store: icechunk.IcechunkStore, key: str) -> bytes | None:
    found = await store.get(key, cpu.buffer_prototype)
    return None if found is None else found.to_bytes()


async def _names(store: icechunk.IcechunkStore, path: str) -> list[str]:
    return sorted({name.strip("/") async for name in store.list_dir(path)} - {"zarr.json"})


def _rows(coords: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Rows of the grid in C order; coordinates outside it are an error."""
    coords = np.asarray(coords).astype(np.int64).reshape(len(coords), len(grid))
    if (coords >= np.array(grid, np.int64)).any():
        raise SourceProtocolError(
            f"open of an array of an Icechunk repository; it has a chunk at {coords.max(axis=0).tolist()}, its grid is "
            f"{list(grid)}; metadata and manifest disagree; check the repository",
            reason="source-format",
        )
    rows = np.zeros(len(coords), np.int64)
    for axis, length in enumerate(grid):
        rows = rows * length + coords[:, axis]
    return rows


def _spell(text: str) -> str:
    """A location in its one spelling; what a repository has is not trusted to be acceptable."""
    return parse(text).url if text else ""


def _node_bytes(text: str) -> bytes:
    """The 8 bytes of a node id, which Icechunk shows in base 32."""
    bits = 0
    for letter in text:
        bits = bits << 5 | _CROCKFORD.index(letter)
    return (bits >> (5 * len(text) - 64)).to_bytes(8, "big")


def _quoted(etag: str) -> str:
    """A tag as servers send it; Icechunk keeps what it was given, with quotes or without."""
    return etag if etag.startswith("W/") else f'"{etag}"'


def local_etag(stamp: Stamp) -> str:
    """The entity tag that Icechunk's storage gives a local file: inode, time [us] and size."""
    return f"{stamp.inode or 0:x}-{(stamp.mtime_ns or 0) // 1000:x}-{stamp.size or 0:x}"


def _storage(session: Session, url: str) -> icechunk.Storage:
    place = parse(url, trusted=True)
    if place.scheme == "file":
        return icechunk.local_filesystem_storage(to_path(url))
    given = max((p for p in session.options if url.startswith(p)), key=len, default="")
    options: Mapping[str, Any] = session.options.get(given, {})
    prefix = place.path.strip("/") or None
    if place.scheme == "s3" and "store" not in options:
        client = options.get("client_options") or {}
        names = ("region", "access_key_id", "secret_access_key", "session_token")
        return icechunk.s3_storage(
            bucket=place.authority,
            prefix=prefix,
            endpoint_url=options.get("endpoint"),
            allow_http=bool(client.get("allow_http", options.get("allow_http", False))),
            anonymous=True if options.get("skip_signature") else None,
            force_path_style=bool(options.get("endpoint")),
            **{name: options[name] for name in names if name in options},
        )
    if place.scheme in ("http", "https") and not options:
        return icechunk.http_storage(url)
    raise UnsupportedFeature(
        f"open of the Icechunk repository {shown(url)}; there is no storage for {place.scheme} with these options here; "
        "open it with icechunk and pass the repository or its session",
        reason="source-unsupported",
    )


def headline(error: Exception) -> str:
    """What an error of Icechunk says, without its report."""
    return str(error).strip().partition("\n")[0]


def _run[T](call: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, on a loop of its own: the caller's may be running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, call).result()
