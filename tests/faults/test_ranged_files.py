"""Remote objects as files: the same bytes from every kind of storage, in few requests, of one object throughout."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import numpy as np
import pytest
from zarr.buffer import cpu
from zarr.storage import MemoryStore

import lazyzarr as lz
from lazyzarr.access.policy import Grant
from lazyzarr.access.ranged_file import AHEAD, BLOCK, FIRST, KEPT, Cursor, RangedFile
from lazyzarr.access.session import Session
from tests.servers import Fault, RangeServer

CONTENT = np.random.default_rng(3).bytes(FIRST + 40 * BLOCK + 17)

Put = Callable[[bytes], RangedFile]


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer({"/d/a.bin": CONTENT}) as running:
        yield running


@pytest.fixture(params=["http", "s3", "memory", "store"])
def put(request: pytest.FixtureRequest, s3: Any, options: dict[str, Any], server: RangeServer) -> Put:
    """Put an object into one kind of storage and give the file of it."""
    store = MemoryStore()

    def file(content: bytes) -> RangedFile:
        session = Session(options)
        match request.param:
            case "http":
                server.objects["/o"] = content
                return RangedFile(session, f"{server.url}/o")
            case "s3":
                s3.put_object(Bucket="bucket", Key="o", Body=content)
                return RangedFile(session, "s3://bucket/o")
            case "memory":
                fsspec.filesystem("memory").pipe("/ranged/o", content)
                return RangedFile(session, "memory:///ranged/o")
            case _:
                store._store_dict["o"] = cpu.Buffer.from_bytes(content)
                return RangedFile(session, session.add_store(store) + "o")

    return file


@pytest.mark.parametrize("size", [0, 1, BLOCK, FIRST - 1, FIRST, FIRST + 1, FIRST + 3 * BLOCK + 5])
def test_every_storage_gives_the_same_bytes(put: Put, size: int) -> None:
    content = CONTENT[:size]
    file = put(content)
    assert file.stamp.size == size
    for offset, length in ((0, 8), (size - 3, 8), (0, size), (size, 1), (FIRST - 5, 2 * BLOCK), (size + 9, 1), (7, 0)):
        offset = max(offset, 0)
        assert bytes(file.read_at(length, offset)) == content[offset : offset + length]


def ranges(server: RangeServer) -> list[str]:
    return [request.headers["Range"].removeprefix("bytes=") for request in server.log]


def test_blocks_are_fetched_once_and_ahead_where_reading_goes_on(server: RangeServer) -> None:
    file = RangedFile(Session(), f"{server.url}/d/a.bin")
    rng = np.random.default_rng(4)
    for offset in rng.integers(0, FIRST - 9, 50).tolist():
        assert bytes(file.read_at(9, offset)) == CONTENT[offset : offset + 9]
    assert ranges(server) == [f"0-{FIRST - 1}"]
    at = FIRST + 20 * BLOCK + 5
    assert bytes(file.read_at(9, at)) == CONTENT[at : at + 9]
    assert ranges(server)[1:] == [f"{FIRST + 20 * BLOCK}-{FIRST + 21 * BLOCK - 1}"]
    server.clear()
    for at in range(0, len(CONTENT), 1000):
        assert bytes(file.read_at(1000, at)) == CONTENT[at : at + 1000]
    # 2, 4, 8 and 16 blocks, with the block read before between them; never more than the most, never beyond the end
    lengths = [int(b) - int(a) + 1 for a, b in (one.split("-") for one in ranges(server))]
    assert len(lengths) <= 6
    assert max(lengths) <= AHEAD
    assert sum(lengths) <= len(CONTENT) - FIRST + 2 * BLOCK
    server.clear()
    assert bytes(file.read_at(len(CONTENT), 0)) == CONTENT
    assert server.log == []


def test_memory_is_bounded_for_a_family(server: RangeServer) -> None:
    first = RangedFile(Session(), f"{server.url}/d/a.bin")
    count = KEPT // len(CONTENT) + 2
    for number in range(count):
        server.objects[f"/d/{number}.bin"] = CONTENT
        assert bytes(first.sibling(f"{server.url}/d/{number}.bin").read_at(1 << 30, 0)) == CONTENT
    assert len(first._blocks._held) * BLOCK <= KEPT
    server.clear()
    assert bytes(first.sibling(f"{server.url}/d/{count - 1}.bin").read_at(9, FIRST)) == CONTENT[FIRST : FIRST + 9]
    assert server.log == []
    assert bytes(first.sibling(f"{server.url}/d/0.bin").read_at(9, FIRST)) == CONTENT[FIRST : FIRST + 9]
    assert len(server.log) == 1


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("etag", [True, False])
def test_all_answers_are_of_one_object(server: RangeServer, verify: bool, etag: bool) -> None:
    if not etag:
        server.plan("/d/a.bin", "no-etag")
    file = RangedFile(Session(verify_stamps=verify), f"{server.url}/d/a.bin")
    tag = file.stamp.etag
    assert (tag is not None) == etag
    file.read_at(1, FIRST + 8 * BLOCK)
    assert server.log[-1].headers.get("If-Match") == tag
    server.objects["/d/a.bin"] = CONTENT[::-1] if etag else CONTENT + b"more"
    with pytest.raises(lz.SourceChanged) as caught:
        file.read_at(1, FIRST)
    assert caught.value.reason == "source-changed"
    assert bytes(file.read_at(9, FIRST + 8 * BLOCK)) == CONTENT[FIRST + 8 * BLOCK :][:9]


@pytest.mark.parametrize("fault", ["ignore-match", "chunked", "no-head"])
def test_servers_of_few_words_are_understood(server: RangeServer, fault: Fault) -> None:
    server.plan("/d/a.bin", fault)
    file = RangedFile(Session(), f"{server.url}/d/a.bin")
    assert bytes(file.read_at(len(CONTENT), 0)) == CONTENT


@pytest.mark.parametrize("size", [5, FIRST, len(CONTENT)])
def test_a_server_without_ranges_is_understood(server: RangeServer, size: int) -> None:
    server.objects["/d/a.bin"] = CONTENT[:size]
    server.plan("/d/a.bin", "ignore-range")
    for chunked in (False, True):
        if chunked:
            server.plan("/d/a.bin", "chunked")
        file = RangedFile(Session(), f"{server.url}/d/a.bin")
        assert file.stamp.size == size
        assert bytes(file.read_at(size, 0)) == CONTENT[:size]


@pytest.mark.parametrize(
    ("fault", "value", "error", "reason"),
    [
        ("status", 404, lz.SourceMissing, "source-missing"),
        ("status", 403, lz.SourceDenied, "source-denied"),
        ("status", 503, lz.SourceUnavailable, "source-unavailable"),
        ("other-range", None, lz.SourceProtocolError, "source-protocol"),
        ("short", 10, lz.SourceProtocolError, "chunk-length"),
        ("long", 10, lz.SourceProtocolError, "source-protocol"),
        ("reset", None, lz.SourceUnavailable, "source-unavailable"),
        ("encoded", None, lz.SourceProtocolError, "source-protocol"),
    ],
)
def test_wrong_answers_are_refused(
    server: RangeServer, fault: Fault, value: object, error: type[lz.LazyZarrError], reason: str
) -> None:
    server.plan("/d/a.bin", fault, value)
    with pytest.raises(error) as caught:
        RangedFile(Session(), f"{server.url}/d/a.bin").read_at(8, 0)
    assert caught.value.reason == reason
    server.clear()
    file = RangedFile(Session(), f"{server.url}/d/a.bin")
    file.read_at(8, 0)
    server.plan("/d/a.bin", fault, value)
    with pytest.raises(error):
        file.read_at(8, FIRST)


def test_a_cursor_that_failed_goes_on_failing(server: RangeServer) -> None:
    file = RangedFile(Session(), f"{server.url}/d/a.bin")
    cursor = Cursor(file)
    assert cursor.seek(-17, 2) == cursor.tell() == len(CONTENT) - 17
    assert cursor.read() == CONTENT[-17:]
    cursor.seek(FIRST)
    server.plan("/d/a.bin", "status", 403, times=1)
    for _ in range(2):
        with pytest.raises(lz.SourceDenied):
            cursor.read(8)
    assert cursor.failure is not None
    assert Cursor(file).read(8) == CONTENT[:8]


def test_siblings_are_read_under_their_grant(server: RangeServer) -> None:
    session = Session()
    beside = session.add_grant(Grant.below(f"{server.url}/d/"))
    file = RangedFile(session, f"{server.url}/d/a.bin", beside=beside)
    server.objects |= {"/d/b": b"b", "/e/c": b"c"}
    one = file.sibling(f"{server.url}/d/b")
    assert (one.grant, one.beside, one) == (beside, beside, file.sibling(f"{server.url}/d/b"))
    assert one.sibling(file.url) is file
    assert bytes(one.read_at(1, 0)) == b"b"
    server.clear()
    with pytest.raises(lz.AccessDenied):
        file.sibling(f"{server.url}/e/c").read_at(1, 0)
    assert server.log == []
    server.plan("/d/r", "redirect", f"{server.url}/e/c")
    with pytest.raises(lz.AccessDenied):
        file.sibling(f"{server.url}/d/r").read_at(1, 0)
    assert server.lines() == ["GET /d/r"]


def test_threads_share_a_file(server: RangeServer) -> None:
    file = RangedFile(Session(), f"{server.url}/d/a.bin")
    wrong: list[int] = []

    def read(seed: int) -> None:
        for at in np.random.default_rng(seed).integers(0, len(CONTENT), 60).tolist():
            if bytes(file.read_at(3000, at)) != CONTENT[at : at + 3000]:
                wrong.append(at)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
