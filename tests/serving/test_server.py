"""Statuses, ranges, tags and headers; errors that are no missing chunks and no locations; hostile requests."""

from __future__ import annotations

import http.client
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
import zarr
from click.testing import Result
from typer.testing import CliRunner

import lazyzarr as lz
from lazyzarr.cli.verbs import app
from lazyzarr.serving.keys import WAITING
from lazyzarr.serving.running import Server

CELLS = np.arange(24, dtype="int32").reshape(6, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(2, 4), compressors=None, dimension_names=["y", "x"])
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("d", data=CELLS, chunks=(2, 4))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    keyed, pinned = lz.open(folder / "a.zarr"), lz.open(folder / "b.h5", "d")
    with lz.serve({"keyed": keyed, "pinned": pinned, "mixed": lz.concat([keyed, pinned])[::-1]}) as found:
        yield found


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (in lower case) and body; the path is sent as it is."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


CHUNK = CELLS[:2].tobytes()


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        (None, 200, CHUNK, None),
        ("bytes=0-3", 206, CHUNK[:4], "bytes 0-3/*"),
        ("bytes=4-", 206, CHUNK[4:], "bytes 4-31/*"),
        ("bytes=-5", 206, CHUNK[-5:], "bytes 27-31/*"),
        ("bytes=-500", 206, CHUNK, "bytes 0-31/*"),
        ("bytes=30-99", 206, CHUNK[30:], "bytes 30-31/*"),
        ("bytes=32-", 416, b"", None),
        ("bytes=-0", 416, b"", None),
        ("bytes=5-2", 416, b"", None),
        ("bytes=0-1,4-5", 200, CHUNK, None),
        ("cells=0-1", 200, CHUNK, None),
        ("bytes=99999999999999999999999999-", 416, b"", None),
    ],
)
@pytest.mark.parametrize("name", ["keyed", "pinned"])
def test_ranges(
    server: Server, name: str, asked: str | None, status: int, body: bytes, content_range: str | None
) -> None:
    found = ask(server, f"/{name}/c/0/0", **({} if asked is None else {"Range": asked}))
    assert (found[0], found[2]) == (status, body)
    assert found[1].get("content-range") == content_range


def test_tags(server: Server) -> None:
    for path in ("/zarr.json", "/keyed/zarr.json", "/keyed/c/0/0", "/pinned/c/0/0", "/mixed/c/0/0", "/"):
        status, headers, body = ask(server, path)
        tag = headers["etag"]
        assert (status, tag[:1], len(tag)) == (200, '"', 34)
        assert ask(server, path)[1]["etag"] == tag
        for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            status, headers, rest = ask(server, path, If_None_Match=known)
            assert (status, headers["etag"], rest) == (304, tag, b"")
        assert ask(server, path, If_None_Match='"other"')[::2] == (200, body)
    assert len({ask(server, path)[1]["etag"] for path in ("/pinned/c/0/0", "/pinned/c/1/0", "/keyed/c/0/0")}) == 3


def test_a_range_of_another_state_is_not_given(server: Server) -> None:
    tag = ask(server, "/pinned/c/0/0")[1]["etag"]
    assert ask(server, "/pinned/c/0/0", Range="bytes=0-3", If_Range=tag)[0] == 206
    assert ask(server, "/pinned/c/0/0", Range="bytes=0-3", If_Range='"other"')[::2] == (200, CHUNK)


def test_a_tag_of_a_pinned_file_is_known_without_reading(folder: Path) -> None:
    view = lz.open(folder / "b.h5", "d")
    with lz.serve(view) as server:
        tag = ask(server, "/c/0/0")[1]["etag"]
        before = view.reader.session.counts.requests
        assert ask(server, "/c/0/0", If_None_Match=tag)[0] == 304
        assert view.reader.session.counts.requests == before


def test_heads_and_other_methods(server: Server) -> None:
    status, headers, body = ask(server, "/keyed/c/0/0", "HEAD")
    assert (status, headers["content-length"], body) == (200, "32", b"")
    assert ask(server, "/", "HEAD")[::2] == (200, b"")
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert ask(server, "/keyed/c/0/0", method)[0] == 405
    assert ask(server, "/keyed/c/0/0")[2] == CHUNK


def test_web_pages_may_read(server: Server) -> None:
    headers = ask(server, "/keyed/c/0/0", Origin="https://example.org")[1]
    assert headers["access-control-allow-origin"] == "*"
    assert "ETag" in headers["access-control-expose-headers"]
    asked = {
        "Origin": "https://example.org",
        "Access_Control_Request_Method": "GET",
        "Access_Control_Request_Headers": "range",
    }
    assert ask(server, "/keyed/c/0/0", "OPTIONS", **asked)[0] == 200


def test_origins_can_be_named(folder: Path) -> None:
    with lz.serve(lz.open(folder / "a.zarr"), origins=["https://a.example"]) as server:
        assert "access-control-allow-origin" not in ask(server, "/c/0/0", Origin="https://b.example")[1]
        found = ask(server, "/c/0/0", Origin="https://a.example")[1]
        assert found["access-control-allow-origin"] == "https://a.example"


OUTSIDE = (
    *(
        "/keyed/c/3/0",
        "/keyed/c/0",
        "/keyed/c/0/0/0",
        "/keyed/c/-1/0",
        "/keyed/c/00/0",
        "/keyed/c/0/0/",
        "/keyed/c/a/0",
    ),
    *(
        "/nothing/zarr.json",
        "/nothing/c/0/0",
        "/keyed/",
        "/keyed",
        "//",
        "/../a.zarr/zarr.json",
        "/%2e%2e/a.zarr/zarr.json",
    ),
    *(
        "/keyed/../../etc/passwd",
        "/keyed/%2e%2e/%2e%2e/etc/passwd",
        "/C:/windows",
        "/keyed\\c\\0\\0",
        "/keyed/c/0/0%00",
    ),
    *("/keyed/c/99999999999999999999/0", "/.zgroup", "/.zattrs", f"/{'a' * 5000}", "/keyed/tables/x", "/%ff%fe"),
)


def test_keys_outside_are_not_found_and_cost_nothing(folder: Path) -> None:
    view = lz.open(folder / "a.zarr")
    with lz.serve({"keyed": view}) as server:
        before = view.reader.session.counts.requests
        for path in OUTSIDE:
            status, _, body = ask(server, path)
            assert (status, body) == (404, b""), path
        assert view.reader.session.counts.requests == before


def test_a_source_that_is_gone_is_no_missing_chunk(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    view = lz.concat([lz.open(folder / "b.h5", "d"), lz.open(folder / "a.zarr")])[1:]
    with lz.serve(view) as server, caplog.at_level(logging.WARNING, "lazyzarr.serving"):
        (folder / "b.h5").unlink()
        shutil.rmtree(folder / "a.zarr")
        status, headers, body = ask(server, "/c/0/0")
        assert (status, body) == (502, b"a source of this view cannot be read: source-missing")
        assert str(folder).encode() not in body + json.dumps(headers).encode()
        with pytest.raises(Exception, match="502"):
            zarr.open_array(server.url, mode="r")[...]
    assert str(folder) in caplog.text, "whoever runs the server is told"


def test_a_changed_source_is_an_error(folder: Path) -> None:
    with lz.serve(lz.open(folder / "b.h5", "d")) as server:
        with h5py.File(folder / "b.h5", "r+") as file:
            file["d"][...] = 0
        assert ask(server, "/c/0/0")[::2] == (502, b"a source of this view cannot be read: source-changed")


def test_answers_do_not_say_where_the_data_are(server: Server, folder: Path) -> None:
    for path in ("/", "/zarr.json", "/keyed/zarr.json", "/mixed/zarr.json"):
        status, headers, body = ask(server, path)
        assert status == 200
        for secret in (str(folder), folder.name, "a.zarr", "b.h5"):
            assert secret.encode() not in body + json.dumps(headers).encode(), (path, secret)


def test_names_are_text_on_the_page(folder: Path) -> None:
    name = "<script>alert(1)</script>"
    view = lz.open(folder / "a.zarr").rename_dims(["<b>", '"x"']).with_attrs({"<i>": "<u>"})
    with lz.serve({name: view}) as server:
        assert b"<script>" not in ask(server, "/", Host='"><script>alert(2)</script>')[2]
        _, headers, body = ask(server, "/", Host="a.example")
    assert b"<script>" not in body
    assert b"zarr3://http://a.example/" in body
    assert body.count(b"<b>") == 2, "of the figures of the page"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"


def test_many_at_once(server: Server) -> None:
    found: list[bool] = []

    def read(number: int) -> None:
        expected = np.concatenate([CELLS, CELLS])[::-1]
        for k in range(10):
            place = (number + k) % 6
            found.append(ask(server, f"/mixed/c/{place}/0")[2] == expected[2 * place : 2 * place + 2].tobytes())

    threads = [threading.Thread(target=read, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert all(found)


def test_too_many_at_once_are_turned_away(folder: Path) -> None:
    view = lz.open(folder / "a.zarr")[::-1]
    gate = threading.Event()
    inner = view.reader.session.read

    def waiting(*arguments: object, **options: object) -> object:
        gate.wait(30)
        return inner(*arguments, **options)

    assert WAITING == 64
    with lz.serve(view, most=1) as server:
        statuses: list[int] = []
        view.reader.session.read = waiting  # type: ignore[method-assign]
        threads = [
            threading.Thread(target=lambda: statuses.append(ask(server, "/c/0/0")[0])) for _ in range(WAITING + 8)
        ]
        for thread in threads:
            thread.start()
        while len(statuses) < 7:
            threading.Event().wait(0.01)
        gate.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200, 503}
    assert 7 <= statuses.count(503) <= 8


def test_what_cannot_be_served_is_said_before_a_socket_is_bound(folder: Path) -> None:
    with pytest.raises(lz.SourceError):
        lz.serve(folder / "nothing.zarr")
    with pytest.raises(lz.SaveUnsupported, match="most=0"):
        lz.serve(lz.open(folder / "a.zarr"), most=0)


def test_the_verb(folder: Path) -> None:
    lz.save(lz.open(folder / "a.zarr")[::-1], folder / "view.zarr")
    done: Result = CliRunner().invoke(
        app, ["serve", str(folder / "view.zarr"), "--port", "0", "--seconds", "0", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["url"].startswith("http://127.0.0.1:")
    failed = CliRunner().invoke(app, ["serve", str(folder / "nothing.zarr")])
    assert failed.exit_code == 2
