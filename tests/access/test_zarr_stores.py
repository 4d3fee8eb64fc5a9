"""Zarr store objects, and file systems of fsspec: where they are, and the same exact bytes."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from obstore.store import MemoryStore as ObstoreMemory
from zarr.buffer import cpu
from zarr.storage import (
    FsspecStore,
    LocalStore,
    LoggingStore,
    MemoryStore,
    ObjectStore,
    StorePath,
    WrapperStore,
    ZipStore,
)

from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.stamps import digest
from lazyzarr.access.url import child, from_user
from lazyzarr.errors import (
    AccessDenied,
    ExtraMissing,
    LazyZarrError,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceProtocolError,
    SourceUnavailable,
    UnsupportedFeature,
    ViewSchemaError,
)
from lazyzarr.ir.layout import Stamp

VALUES = np.arange(10, dtype="<i4")

MADE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "memory": (lambda path: MemoryStore(), "store://"),
    "local": (lambda path: LocalStore(path), "file://"),
    "zip": (lambda path: ZipStore(path / "a.zip", mode="w"), "store://"),
    "fsspec memory": (lambda path: FsspecStore.from_url(f"memory://{path.name}/x"), "memory:///"),
    "fsspec local": (lambda path: FsspecStore.from_url(f"file://{path}", {"auto_mkdir": True}), "file://"),
    "wrapper": (lambda path: WrapperStore(MemoryStore()), "store://"),
    "logging": (lambda path: LoggingStore(MemoryStore(), log_level="ERROR"), "store://"),
    "wrapped local": (lambda path: WrapperStore(LocalStore(path)), "store://"),
    "obstore memory": (lambda path: ObjectStore(ObstoreMemory()), "store://"),
}


@pytest.mark.parametrize("kind", MADE)
def test_every_store_reads_the_same(kind: str, tmp_path: Path) -> None:
    make, scheme = MADE[kind]
    store = make(tmp_path)
    array = zarr.create_array(store, name="a", shape=(10,), chunks=(5,), dtype="<i4", compressors=None)
    array[:] = VALUES
    session = Session()
    root = session.add_store(store)
    assert root.startswith(scheme)
    assert session.add_store(store) == root
    assert session.add_store(array.store_path) == session.add_store(StorePath(store, "a")) == child(root, "a")
    chunk = child(root, "a/c/1")
    raw = VALUES[5:].tobytes()
    assert session.read(chunk) == raw
    assert bytes(session.read(chunk, offset=4, length=8)) == raw[4:12]
    assert bytes(session.read(chunk, offset=16)) == raw[16:]
    assert bytes(session.read(chunk, offset=4, length=0)) == b""
    assert [bytes(part) for part in session.read_ranges(chunk, [0, 8], [4, 4])] == [raw[:4], raw[8:12]]
    table = np.zeros(3, "<i4")
    session.read_into(chunk, 8, [table])
    assert table.tolist() == [7, 8, 9]
    for offset, length in ((18, 4), (20, 1), (-1, 2)):
        with pytest.raises(SourceProtocolError) as error:
            session.read(chunk, offset=offset, length=length)
        assert error.value.reason == "chunk-length"
    assert session.try_read(child(root, "a/c/7")) is None
    with pytest.raises(SourceMissing):
        session.read(child(root, "a/c/7"), offset=0, length=4)
    assert session.list_dir(child(root, "a")) == ("c", "zarr.json")
    with pytest.raises(SourceMissing):
        session.list_dir(child(root, "none"))
    assert session.stat(chunk).size == 20
    assert session.exists(chunk)
    assert not session.exists(child(root, "a/c"))
    data, stamp = session.read_stamped(child(root, "a/zarr.json"))
    assert stamp.digest == digest(data)
    session.verify(child(root, "a/zarr.json"), stamp)
    with pytest.raises(SourceChanged):
        session.read(chunk, stamp=Stamp(size=19))
    with pytest.raises(SourceChanged):
        session.verify(child(root, "a/zarr.json"), Stamp(digest=digest(b"")))


def test_counts_of_a_store() -> None:
    store = MemoryStore()
    array = zarr.create_array(store, shape=(10,), chunks=(5,), dtype="<i4", compressors=None)
    array[:] = VALUES
    session = Session()
    root = session.add_store(store)
    for part in ("c/0", "c/1", "c/1"):
        session.read(child(root, part))
    session.try_read(child(root, "c/2"))
    assert (session.counts.requests, session.counts.bytes, session.counts.objects) == (4, 60, 3)


def test_stores_travel_with_their_session_and_grants_hold() -> None:
    store = MemoryStore()
    zarr.create_array(store, name="a/b", shape=(1,), dtype="i1")
    session = Session()
    root = session.add_store(store)
    name = session.add_grant(Grant.below(child(root, "a")))
    session.read(child(root, "a/b/zarr.json"), grant=name)
    with pytest.raises(AccessDenied):
        session.read(child(root, "zarr.json"), grant=name)
    copy = pickle.loads(pickle.dumps(session))
    assert copy.read(child(root, "a/b/zarr.json"), grant=name) == session.read(child(root, "a/b/zarr.json"))
    other = Session()
    with pytest.raises(SourceUnavailable):
        other.try_read(child(root, "zarr.json"))
    assert other.joined(session).exists(child(root, "zarr.json"))


def test_only_stores() -> None:
    for thing in ({}, None, object(), "path"):
        with pytest.raises(ViewSchemaError) as error:
            Session().add_store(thing)
        assert error.value.reason == "source-format"


class _Broken(MemoryStore):
    """Answers as told."""

    answer: Any = None

    def get_sync(self, key: str, **kwargs: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (RuntimeError("broken"), SourceUnavailable),
        (KeyError("key"), SourceUnavailable),
        (TimeoutError(), SourceUnavailable),
        (PermissionError("no"), SourceDenied),
        (FileNotFoundError("gone"), SourceMissing),
        (SourceChanged("ours"), SourceChanged),
        (None, SourceMissing),
        (cpu.Buffer.from_bytes(b"too long"), SourceProtocolError),
        (cpu.Buffer.from_bytes(b"x"), SourceProtocolError),
    ],
)
def test_what_a_store_may_do_wrong(answer: Any, kind: type[LazyZarrError]) -> None:
    store = _Broken()
    store.answer = answer
    session = Session()
    url = child(session.add_store(store), "a")
    assert url.startswith("store://")
    with pytest.raises(kind) as error:
        session.read(url, offset=1, length=2)
    assert type(error.value) is kind


class _Slow(WrapperStore[MemoryStore]):
    """Really asynchronous."""

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.05)
        return await super().get(*args, **kwargs)


def test_an_asynchronous_store_from_threads_and_from_a_running_loop() -> None:
    def loops() -> int:
        return sum(thread.name == "lazyzarr-stores" for thread in threading.enumerate())

    before = loops()
    inner = MemoryStore()
    array = zarr.create_array(inner, shape=(10,), chunks=(5,), dtype="<i4", compressors=None)
    array[:] = VALUES
    session = Session()
    root = session.add_store(_Slow(inner))

    async def inside(session: Session) -> Any:
        return session.read(child(root, "c/0"))

    assert asyncio.run(inside(session)) == VALUES[:5].tobytes()
    start = time.monotonic()
    parts = session.read_ranges(child(root, "c/1"), list(range(0, 20, 2)), [2] * 10)
    assert b"".join(map(bytes, parts)) == VALUES[5:].tobytes()
    assert time.monotonic() - start < 0.4
    del session
    gc.collect()
    for _ in range(100):
        if loops() <= before:
            break
        time.sleep(0.01)
    assert loops() <= before


def test_fsspec_locations(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/fs/sea ice/a%b", b"0123456789")
    url = from_user("memory://fs/sea ice/a%25b")
    session = Session()
    assert session.is_local(url)
    assert session.read(url) == b"0123456789"
    assert session.read(url, offset=2, length=3) == b"234"
    assert session.stat(url) == Stamp(10)
    assert session.list_dir("memory:///fs") == ("sea ice",)
    assert session.try_read("memory:///fs/none") is None
    assert not session.exists("memory:///fs/sea%20ice")
    grant = session.add_grant(Grant.below("memory:///fs/"))
    assert session.read(url, grant=grant, offset=9) == b"9"
    with pytest.raises(AccessDenied):
        session.read("memory:///other/x", grant=grant)


def test_fsspec_is_not_for_documents() -> None:
    session = Session()
    grant = session.add_grant(Grant.below("ftp://127.0.0.1:1/"))
    with pytest.raises(AccessDenied):
        session.read("ftp://127.0.0.1:1/a", grant=grant)
    with pytest.raises(SourceUnavailable):
        session.read("ftp://127.0.0.1:1/a")
    with pytest.raises(UnsupportedFeature):
        session.read("nothing://host/a")
    with pytest.raises(ExtraMissing):
        session.read("abfs://container/a")
