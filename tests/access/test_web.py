"""http(s): exactly the bytes asked for from the object that was referenced, whatever the server does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lazyzarr.access import remote, web
from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.stamps import digest
from lazyzarr.errors import (
    AccessDenied,
    LazyZarrError,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceProtocolError,
    SourceUnavailable,
    UnsupportedFeature,
    ViewLimitError,
    ViewSchemaError,
)
from lazyzarr.ir.layout import Stamp
from tests.servers import Fault, RangeServer

BYTES = bytes(range(256)) * 20
PATH = "/d/a.bin"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.001)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer({PATH: BYTES, "/d/empty": b"", "/other": b"other"}) as found:
        yield found


@pytest.fixture
def session() -> Session:
    return Session()


def test_reads_with_one_request_each(server: RangeServer, session: Session) -> None:
    url = server.url + PATH
    assert session.read(url) == BYTES
    assert session.read(url, offset=10, length=20) == BYTES[10:30]
    assert session.read(url, offset=5000) == BYTES[5000:]
    stamp = session.stat(url)
    assert stamp.size == len(BYTES)
    assert stamp.etag
    assert session.read(url, offset=1, length=2, stamp=stamp) == BYTES[1:3]
    parts = session.read_ranges(url, [0, 100, 200], [3, 4, 5], stamp=stamp)
    assert [bytes(part) for part in parts] == [BYTES[:3], BYTES[100:104], BYTES[200:205]]
    buffers = [bytearray(3), bytearray(4)]
    session.read_into(url, 7, buffers)
    assert b"".join(map(bytes, buffers)) == BYTES[7:14]
    assert server.lines() == [f"GET {PATH}"] * 3 + [f"HEAD {PATH}"] + [f"GET {PATH}"] * 5
    assert session.counts.requests == len(server.log) == 9
    assert session.counts.bytes == len(BYTES) + 20 + 120 + 2 + 12 + 7
    assert session.counts.objects == 1
    assert not session.is_local(url)
    assert "If-Match" not in server.log[1].headers
    assert server.log[4].headers["If-Match"] == stamp.etag
    assert all(request.headers["Accept-Encoding"] == "identity" for request in server.log)


def test_empty_objects_and_ranges(server: RangeServer, session: Session) -> None:
    assert session.read(server.url + "/d/empty") == b""
    assert session.stat(server.url + "/d/empty").size == 0
    server.clear()
    assert session.read(server.url + PATH, offset=3, length=0) == b""
    assert server.log == []


def test_a_document_and_its_stamp_are_one_request(server: RangeServer, session: Session) -> None:
    url = server.url + PATH
    data, stamp = session.read_stamped(url)
    assert data == BYTES
    assert (stamp.size, stamp.digest) == (len(BYTES), digest(BYTES))
    assert len(server.log) == 1
    with pytest.raises(ViewLimitError):
        session.read_stamped(url, limit=100)
    session.verify(url, stamp)
    session.verify(url, stamp)
    assert server.lines()[2:] == [f"HEAD {PATH}"]


OUTCOMES: list[tuple[Fault, object, type[LazyZarrError] | None, type[LazyZarrError] | None, int]] = [
    # fault, value, outcome of a whole read, of a range, requests sent for one read
    ("status", 404, SourceMissing, SourceMissing, 1),
    ("status", 410, SourceMissing, SourceMissing, 1),
    ("status", 401, SourceDenied, SourceDenied, 1),
    ("status", 403, SourceDenied, SourceDenied, 1),
    ("status", 400, SourceProtocolError, SourceProtocolError, 1),
    ("status", 204, SourceProtocolError, SourceProtocolError, 1),
    ("status", 304, SourceProtocolError, SourceProtocolError, 1),
    ("status", 408, SourceUnavailable, SourceUnavailable, 3),
    ("status", 429, SourceUnavailable, SourceUnavailable, 3),
    ("status", 500, SourceUnavailable, SourceUnavailable, 3),
    ("status", 503, SourceUnavailable, SourceUnavailable, 3),
    ("status", 501, SourceProtocolError, SourceProtocolError, 1),
    ("reset", None, SourceUnavailable, SourceUnavailable, 3),
    ("garbage", None, SourceProtocolError, SourceProtocolError, 3),
    ("short", 3, SourceProtocolError, SourceProtocolError, 3),
    ("cut-chunked", None, SourceProtocolError, SourceProtocolError, 3),
    ("encoded", None, SourceProtocolError, SourceProtocolError, 1),
    ("other-range", None, None, SourceProtocolError, 1),
    ("long", 3, None, SourceProtocolError, 1),
    ("no-length", None, SourceProtocolError, None, 1),
    ("chunked", None, None, None, 1),
    ("ignore-range", None, None, None, 1),
    ("no-etag", None, None, None, 1),
]


@pytest.mark.parametrize(("fault", "value", "whole", "part", "requests"), OUTCOMES)
@pytest.mark.parametrize("granted", [False, True])
def test_every_fault_is_an_error_or_the_right_bytes(
    server: RangeServer,
    session: Session,
    granted: bool,
    fault: Fault,
    value: object,
    whole: type[LazyZarrError] | None,
    part: type[LazyZarrError] | None,
    requests: int,
) -> None:
    url = server.url + PATH
    grant = session.add_grant(Grant.below(server.url + "/d/")) if granted else ""
    server.plan(PATH, fault, value)
    for expected, span in ((whole, (None, None)), (part, (4, 6)), (part, (len(BYTES) - 9, 2))):
        server.log.clear()
        session.counts.reset()
        if expected is None:
            found = session.read(url, offset=span[0], length=span[1], grant=grant)
            start = span[0] or 0
            assert found == BYTES[start : start + (span[1] or len(BYTES))]
        else:
            with pytest.raises(expected) as error:
                session.read(url, offset=span[0], length=span[1], grant=grant)
            assert type(error.value) is expected
            assert error.value.where == url
            if fault in ("short", "cut-chunked"):
                assert error.value.reason == "chunk-length"
        if fault != "reset":
            assert len(server.log) == requests
        assert session.counts.requests == requests
    if whole is not SourceMissing and whole is not None:
        with pytest.raises(whole):
            session.try_read(url)
    elif whole is SourceMissing:
        assert session.try_read(url) is None


@pytest.mark.parametrize(("fault", "value"), [("status", 503), ("reset", None), ("short", 1), ("cut-chunked", None)])
def test_what_passes_is_asked_again(server: RangeServer, session: Session, fault: Fault, value: object) -> None:
    server.plan(PATH, fault, value, times=2)
    assert session.read(server.url + PATH, offset=5, length=6) == BYTES[5:11]
    assert session.counts.requests >= 3


@pytest.mark.parametrize(("offset", "length"), [(len(BYTES) - 1, 2), (len(BYTES), 1), (len(BYTES) + 9, None)])
@pytest.mark.parametrize("fault", [None, "ignore-range", "chunked"])
def test_ranges_beyond_the_end(
    server: RangeServer, session: Session, offset: int, length: int | None, fault: Fault | None
) -> None:
    if fault == "chunked":
        server.plan(PATH, "ignore-range")
    if fault:
        server.plan(PATH, fault)
    with pytest.raises(SourceProtocolError) as error:
        session.read(server.url + PATH, offset=offset, length=length)
    assert error.value.reason == "chunk-length"


def test_a_server_without_ranges_is_read_only_so_deep(
    server: RangeServer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan(PATH, "ignore-range")
    monkeypatch.setattr(web, "MOST_SKIPPED", 100)
    assert session.read(server.url + PATH, offset=100, length=9) == BYTES[100:109]
    with pytest.raises(SourceProtocolError):
        session.read(server.url + PATH, offset=101, length=9)


@pytest.mark.parametrize("ignores", [False, True])
def test_a_changed_object_gives_no_bytes(server: RangeServer, session: Session, ignores: bool) -> None:
    url = server.url + PATH
    stamp = session.stat(url)
    server.objects[PATH] = BYTES[::-1]
    if ignores:
        server.plan(PATH, "ignore-match")
    for call in (
        lambda: session.read(url, stamp=stamp),
        lambda: session.read(url, offset=1, length=2, stamp=stamp),
        lambda: session.read_ranges(url, [1, 5], [2, 2], stamp=stamp),
        lambda: session.read_into(url, 0, [bytearray(2)], stamp=stamp),
        lambda: session.verify(url, stamp),
    ):
        with pytest.raises(SourceChanged) as error:
            call()
        assert str(stamp.etag) in str(error.value)
    with pytest.raises(SourceChanged):
        session.read(url, offset=1, length=2, stamp=Stamp(size=3))
    assert Session(verify_stamps=False).read(url, offset=0, length=1, stamp=stamp) == BYTES[-1:]


def test_parts_come_from_one_object_even_without_a_pin(server: RangeServer, session: Session) -> None:
    server.plan(PATH, "slow", 0.01)
    session.read_ranges(server.url + PATH, [0, 10, 20], [1, 1, 1])
    first, *rest = server.log
    assert "If-Match" not in first.headers
    assert {request.headers["If-Match"] for request in rest} == {session.stat(server.url + PATH).etag}


def test_weak_tags_are_compared_but_not_sent(server: RangeServer, session: Session) -> None:
    with pytest.raises(SourceChanged):
        session.read(server.url + PATH, stamp=Stamp(etag='W/"a"'))
    assert "If-Match" not in server.log[0].headers


def test_the_digest_decides_where_the_tag_is_new(server: RangeServer, session: Session) -> None:
    stamp = Stamp(size=1, etag='"old"', digest=digest(BYTES))
    url = server.url + PATH
    assert session.read(url, stamp=stamp) == BYTES
    assert session.read(url, offset=2, length=3, stamp=stamp) == BYTES[2:5]
    session.verify(url, stamp)
    with pytest.raises(SourceChanged):
        session.verify(url, Stamp(etag='"old"', digest=digest(b"")))


@pytest.mark.parametrize("target", ["/d/b.bin", "/other", "http://127.0.0.1:1/x", "file:///etc/hostname"])
def test_documents_are_not_redirected(server: RangeServer, session: Session, target: str) -> None:
    server.objects["/d/b.bin"] = b"moved"
    server.plan(PATH, "redirect", target)
    grant = session.add_grant(Grant.below(server.url + "/d/"))
    for call in (session.read, session.stat, session.try_read, session.exists):
        with pytest.raises(AccessDenied):
            call(server.url + PATH, grant=grant)
    assert {request.target for request in server.log} == {PATH}


def test_the_callers_own_locations_are_redirected(server: RangeServer, session: Session) -> None:
    server.plan(PATH, "redirect", "/other?sig=1")
    assert session.read(server.url + PATH) == b"other"
    assert session.read(server.url + PATH, offset=1, length=2) == b"th"
    assert session.counts.requests == 4
    server.plan("/other", "redirect", "/other")
    with pytest.raises(SourceProtocolError):
        session.read(server.url + PATH)
    server.clear()
    server.plan(PATH, "redirect", "file:///etc/hostname")
    with pytest.raises(LazyZarrError):
        session.read(server.url + PATH)


def test_options_are_for_their_prefix_only(server: RangeServer) -> None:
    session = Session({server.url + "/d": {"headers": {"Authorization": "Bearer secret"}}})
    session.read(server.url + PATH)
    session.read(server.url + "/other")
    server.plan(PATH, "redirect", "/other")
    session.read(server.url + PATH)
    sent = [(request.target, request.headers.get("Authorization")) for request in server.log]
    assert sent == [(PATH, "Bearer secret"), ("/other", None), (PATH, "Bearer secret"), ("/other", None)]
    with pytest.raises(ViewSchemaError) as error:
        Session({server.url: {"heders": {}}}).read(server.url + PATH)
    assert error.value.where == "storage_options"


def test_queries(server: RangeServer, session: Session) -> None:
    url = f"{server.url}{PATH}?signature=secret"
    assert session.read(url, offset=0, length=2) == BYTES[:2]
    assert server.lines() == [f"GET {PATH}?signature=secret"]
    grant = session.add_grant(Grant.below(server.url + "/d/"))
    with pytest.raises(ViewSchemaError):
        session.read(url, grant=grant)
    server.plan(PATH, "status", 403)
    with pytest.raises(SourceDenied) as error:
        session.read(url)
    assert "secret" not in str(error.value)


def test_servers_without_head(server: RangeServer, session: Session) -> None:
    server.plan(PATH, "no-head")
    server.plan("/d/empty", "no-head")
    assert session.stat(server.url + PATH).size == len(BYTES)
    assert session.stat(server.url + "/d/empty").size == 0
    assert server.lines()[:2] == [f"HEAD {PATH}", f"GET {PATH}"]
    with pytest.raises(SourceMissing):
        session.stat(server.url + "/none")
    with pytest.raises(UnsupportedFeature):
        session.list_dir(server.url)
