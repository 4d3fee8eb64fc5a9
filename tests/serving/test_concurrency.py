"""Many clients at once, sources that are slow, ends in the middle of a request; conditions of requests in every mixture."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.access.keyed_files import KeyedFiles
from lazyzarr.serving.running import Server
from tests.serving.test_server import ask

CELLS = np.arange(40 * 4, dtype="int32").reshape(40, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(2, 4), compressors=None)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("d", data=CELLS, chunks=(2, 4))
    return tmp_path


@pytest.fixture(autouse=True)
def by_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every read is one of the session, where gates are."""
    monkeypatch.setattr(KeyedFiles, "below", lambda *asked: None)


class Gate:
    """Holds reads of one object until it is opened."""

    def __init__(self, view: lz.View, ending: str) -> None:
        self.opened = threading.Event()
        self.held = threading.Semaphore(0)
        session: Any = view.reader.session
        inner = session.read

        def read(url: str, **options: Any) -> Any:
            if url.endswith(ending):
                self.held.release()
                assert self.opened.wait(60)
            return inner(url, **options)

        session.read = read


def test_one_slow_chunk_holds_nobody_else(folder: Path) -> None:
    view = lz.open(folder / "a.zarr")
    gate = Gate(view, "/c/0/0")
    with lz.serve(view, most=3) as server, ThreadPoolExecutor(24) as clients:
        slow = [clients.submit(ask, server, "/c/0/0") for _ in range(2)]
        for _ in slow:
            assert gate.held.acquire(timeout=30)
        places = [1 + k % 19 for k in range(200)]
        found = list(clients.map(lambda place: ask(server, f"/c/{place}/0"), places))
        for place, (status, _, body) in zip(places, found, strict=True):
            assert (status, body) == (200, CELLS[2 * place : 2 * place + 2].tobytes())
        assert not any(one.done() for one in slow)
        gate.opened.set()
        assert {one.result()[::2] for one in slow} == {(200, CELLS[:2].tobytes())}


def test_metadata_and_the_page_do_not_wait_for_sources(folder: Path) -> None:
    view = lz.open(folder / "a.zarr")
    gate = Gate(view, "/c/0/0")
    with lz.serve(view, most=8) as server, ThreadPoolExecutor(40) as clients:
        slow = [clients.submit(ask, server, "/c/0/0") for _ in range(30)]
        for _ in range(8):
            assert gate.held.acquire(timeout=30)
        for path in ("/zarr.json", "/", "/nothing", "/c/99/0"):
            status = clients.submit(ask, server, path).result(timeout=30)[0]
            assert status == (404 if path in ("/nothing", "/c/99/0") else 200)
        assert not any(one.done() for one in slow)
        gate.opened.set()
        assert {one.result()[0] for one in slow} == {200}


def test_a_client_that_leaves_frees_its_place(folder: Path) -> None:
    view = lz.open(folder / "a.zarr")
    gate = Gate(view, "/c/0/0")
    with lz.serve(view, most=1) as server:
        place = urlsplit(server.url)
        with socket.create_connection((str(place.hostname), int(place.port or 0))) as connection:
            connection.sendall(b"GET /c/0/0 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert gate.held.acquire(timeout=30)
        gate.opened.set()
        assert ask(server, "/c/1/0")[::2] == (200, CELLS[2:4].tobytes())


def test_a_request_that_runs_is_finished_when_the_server_closes(folder: Path) -> None:
    view = lz.open(folder / "a.zarr")
    gate = Gate(view, "/c/0/0")
    server = lz.serve(view)
    with ThreadPoolExecutor(2) as both:
        asked = both.submit(ask, server, "/c/0/0")
        assert gate.held.acquire(timeout=30)
        closed = both.submit(server.close)
        time.sleep(0.5)
        assert not asked.done()
        gate.opened.set()
        assert asked.result(timeout=30)[::2] == (200, CELLS[:2].tobytes())
        closed.result(timeout=30)
    with pytest.raises(ConnectionError):
        ask(server, "/zarr.json")
    server.close()


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with lz.serve({"keyed": lz.open(folder / "a.zarr"), "pinned": lz.open(folder / "b.h5", "d")}) as found:
        yield found


WHOLE = CELLS[:2].tobytes()


@pytest.mark.parametrize("name", ["keyed", "pinned"])
@pytest.mark.parametrize(
    ("method", "headers", "status", "body"),
    [
        ("HEAD", {"Range": "bytes=0-3"}, 200, b""),
        ("HEAD", {"If_None_Match": "TAG"}, None, b""),
        ("GET", {"If_None_Match": "*"}, 304, b""),
        ("GET", {"If_None_Match": "W/TAG"}, 304, b""),
        ("GET", {"If_None_Match": "TAG", "Range": "bytes=0-3"}, 304, b""),
        ("GET", {"If_None_Match": "TAG", "Range": "bytes=0-3", "If_Range": "TAG"}, 304, b""),
        ("GET", {"If_None_Match": '"x"', "Range": "bytes=99-"}, None, None),
        ("GET", {"Range": "bytes=0-3", "If_Range": "W/TAG"}, 200, WHOLE),
        ("GET", {"Range": "bytes=0-3", "If_Range": "Thu, 01 Jan 2026 00:00:00 GMT"}, 200, WHOLE),
        ("GET", {"If_Range": "TAG"}, 200, WHOLE),
        ("GET", {"If_Match": "TAG"}, 200, WHOLE),
        ("GET", {"If_Match": '"x", TAG'}, 200, WHOLE),
        ("GET", {"If_Match": "*"}, 200, WHOLE),
        ("GET", {"If_Match": '"x"'}, 412, b""),
        ("GET", {"If_Match": "W/TAG"}, 412, b""),
        ("GET", {"If_Match": '"x"', "If_None_Match": "TAG"}, 412, b""),
        ("GET", {"If_Match": '"x"', "Range": "bytes=0-3"}, 412, b""),
    ],
)
def test_conditions(
    server: Server, name: str, method: str, headers: dict[str, str], status: int | None, body: bytes | None
) -> None:
    path = f"/{name}/c/0/0"
    tag = ask(server, path)[1]["etag"]
    asked = {key: value.replace("TAG", tag) for key, value in headers.items()}
    found = ask(server, path, method, **asked)
    if status is not None:
        assert found[0] == status
    if body is not None:
        assert found[2] == body
    if method == "HEAD" and found[0] == 200:
        assert found[1]["content-length"] == str(len(WHOLE))
    if found[0] in (304, 412):
        assert found[1]["etag"] == tag
        assert found[1]["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["keyed", "pinned"])
def test_ranges_of_unchanged_values(server: Server, name: str) -> None:
    path = f"/{name}/c/0/0"
    tag = ask(server, path)[1]["etag"]
    status, headers, body = ask(server, path, Range="bytes=4-7", If_Range=tag)
    # of what is not pinned only the whole value tells its tag
    assert (status, body) == ((206, WHOLE[4:8]) if name == "pinned" else (200, WHOLE))
    assert headers["etag"] == tag


@pytest.mark.parametrize("path", ["/keyed/c/0/0", "/pinned/c/0/0", "/zarr.json", "/"])
def test_web_pages_may_see_that_nothing_changed(server: Server, path: str) -> None:
    tag = ask(server, path)[1]["etag"]
    status, headers, _ = ask(server, path, If_None_Match=tag, Origin="https://a.example")
    assert (status, headers["access-control-allow-origin"]) == (304, "*")
    assert "ETag" in headers["access-control-expose-headers"]


def test_other_origins_do_not_see_it(folder: Path) -> None:
    with lz.serve(lz.open(folder / "b.h5", "d"), origins=["https://a.example"]) as server:
        tag = ask(server, "/c/0/0")[1]["etag"]
        _, headers, _ = ask(server, "/c/0/0", If_None_Match=tag, Origin="https://a.example")
        assert (headers["access-control-allow-origin"], headers["vary"]) == ("https://a.example", "Origin")
        assert (
            "access-control-allow-origin" not in ask(server, "/c/0/0", If_None_Match=tag, Origin="https://b.example")[1]
        )
