"""http(s): exactly the bytes asked for from the object that was referenced, whatever the server does."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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


def test_connections_are_kept_and_replaced(server: RangeServer, session: Session) -> None:
    ports: set[int] = set()
    seen = server._http.process_request

    def note(request: socket.socket, client_address: tuple[str, int]) -> None:
        ports.add(client_address[1])
        seen(request, client_address)

    server._http.process_request = note  # pyright: ignore[reportAttributeAccessIssue]
    url = server.url + PATH
    for at in range(10):
        assert session.read(url, offset=at, length=5) == BYTES[at : at + 5]
    session.try_read(server.url + "/none")
    assert len(ports) == 1
    server.plan(PATH, "reset", times=1)
    assert session.read(url, offset=0, length=5) == BYTES[:5]
    assert len(ports) == 2


def test_a_child_process_opens_its_own_connections(server: RangeServer, session: Session) -> None:
    url = server.url + PATH
    session.read(url)
    if (child := os.fork()) == 0:
        os._exit(0 if session.read(url, offset=1, length=2) == BYTES[1:3] else 1)
    assert session.read(url, offset=3, length=4) == BYTES[3:7]
    assert os.waitpid(child, 0)[1] == 0


def test_deadlines(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lazyzarr.access.connections.IDLE_SECONDS", 0.1)
    session = Session()
    server.plan(PATH, "slow", 0.5)
    start = time.monotonic()
    with pytest.raises(SourceUnavailable):
        session.read(server.url + PATH)
    assert time.monotonic() - start < 0.6

    server.clear()
    server.plan(PATH, "trickle", 0.05)
    session = Session({server.url: {"deadline": 0.3}})
    start = time.monotonic()
    with pytest.raises(SourceUnavailable):
        session.read(server.url + PATH)
    assert time.monotonic() - start < 0.6


def test_nobody_there(session: Session) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(SourceUnavailable):
            session.try_read(f"http://127.0.0.1:{port}/a")
    assert session.counts.requests == 3
    with pytest.raises(SourceUnavailable):
        session.read("http://no-such-host.invalid/a")


def test_names_that_lead_inside(monkeypatch: pytest.MonkeyPatch, server: RangeServer) -> None:
    session = Session()
    url = f"http://localhost:{server.port}{PATH}"
    grant = session.add_grant(Grant.below(f"http://localhost:{server.port}/"))
    assert session.read(url, grant=grant) == BYTES  # the reader named a private host

    from lazyzarr.access.connections import Connections
    from lazyzarr.access.url import parse

    class Peer:
        def __init__(self, address: str) -> None:
            self.sock = self
            self.address = address

        def getpeername(self) -> tuple[str, int]:
            return self.address, 80

    connections = Connections()
    place = parse("http://name.example/a")
    look = connections._look_at
    for address in ("169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0", "0.0.0.0"):
        with pytest.raises(AccessDenied):
            look(place, Peer(address), granted=True)  # pyright: ignore[reportArgumentType]
    look(place, Peer("10.0.0.1"), granted=True)  # pyright: ignore[reportArgumentType]
    look(place, Peer("8.8.8.8"), granted=False)  # pyright: ignore[reportArgumentType]
    for address in ("10.0.0.1", "127.0.0.1", "::1"):
        with pytest.raises(AccessDenied):
            look(place, Peer(address), granted=True)  # pyright: ignore[reportArgumentType]
    look(place, Peer("1.1.1.1"), granted=True)  # pyright: ignore[reportArgumentType]


def test_proxies_are_the_readers(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://data.example/d/a.bin"
    session = Session({"http://data.example": {"proxy": server.url}})
    assert session.read(url, offset=1, length=2) == BYTES[1:3]
    assert server.lines() == [f"GET {url}"]
    assert server.log[0].headers["Host"] == "data.example"
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert Session().read(url, offset=1, length=2) == BYTES[1:3]
    assert Session().read(server.url + PATH, offset=1, length=2) == BYTES[1:3]
    assert server.lines()[1:] == [f"GET {url}", f"GET {PATH}"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lazyzarr test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_certificates(certificate: tuple[str, str]) -> None:
    with RangeServer({PATH: BYTES}, certificate) as server, RangeServer({"/x": b"x"}) as plain:
        with pytest.raises(SourceProtocolError):
            Session().read(server.url + PATH)
        session = Session({server.url: {"ca": certificate[0]}})
        assert session.read(server.url + PATH, offset=1, length=2) == BYTES[1:3]
        assert session.read(server.url + PATH) == BYTES
        server.plan(PATH, "redirect", plain.url + "/x")
        with pytest.raises(SourceProtocolError):
            session.read(server.url + PATH)


class _Tunnel(BaseHTTPRequestHandler):
    """Answers CONNECT by copying bytes both ways."""

    seen: list[str]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.seen.append(self.path)
        host, port = self.path.split(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()

            def copy(source: socket.socket, target: socket.socket) -> None:
                while data := source.recv(1 << 16):
                    target.sendall(data)

            back = threading.Thread(target=copy, args=(there, self.connection), daemon=True)
            back.start()
            copy(self.connection, there)


def test_https_through_a_proxy(certificate: tuple[str, str]) -> None:
    handler = type("Handler", (_Tunnel,), {"seen": []})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with RangeServer({PATH: BYTES}, certificate) as server:
        options = {"ca": certificate[0], "proxy": f"http://127.0.0.1:{proxy.server_address[1]}"}
        session = Session({server.url: options})
        assert session.read(server.url + PATH, offset=4, length=4) == BYTES[4:8]
        assert handler.seen == [f"127.0.0.1:{server.port}"]
    proxy.shutdown()
    proxy.server_close()


ANSWERS = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 64\r\nETag: "x"\r\n\r\n' + BYTES[:64],
    b"HTTP/1.1 206 Part\r\nContent-Length: 10\r\nContent-Range: bytes 5-14/64\r\n\r\n" + BYTES[5:15],
    b"HTTP/1.1 206 Part\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 5-14/64\r\n\r\na\r\n"
    + BYTES[5:15]
    + b"\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[::1/a?b#c\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 416 Range\r\nContent-Range: bytes */64\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + BYTES[:64],
)
INSERTED = (b"9" * 30, b"9" * 5000, b"\r\n", b"-", b"\xb2", b": ", b"\0", b"Content-Length: 7\r\n")


def _mutated(random: Random) -> bytes:
    data = bytearray(random.choice(ANSWERS))
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        at = random.randrange(min(len(data), 120) or 1)
        match random.randrange(4):
            case 0:
                data[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del data[at : at + random.randrange(1, 8)]
            case 2:
                data[at:at] = random.choice(INSERTED)
            case _:
                del data[random.randrange(len(data) or 1) :]
    return bytes(data)


def test_mutated_answers_never_lead_out_of_our_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0)
    random = Random(0)
    answer = b""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):
                if connection.recv(1 << 16) == b"enough":
                    return
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/a"
    session = Session({url: {"deadline": 2}})
    grant = session.add_grant(Grant.below(f"http://127.0.0.1:{port}/"))
    outcomes: dict[str, int] = {}
    for _ in range(400):
        answer = _mutated(random)
        for call in (
            lambda: session.read(url, grant=grant),
            lambda: session.read(url, offset=5, length=10),
            lambda: session.stat(url, grant=grant),
        ):
            try:
                call()
                outcome = "answered"
            except LazyZarrError as error:
                outcome = error.reason
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    with socket.create_connection(("127.0.0.1", port)) as last:
        last.sendall(b"enough")
        thread.join()
    listener.close()
    assert outcomes["answered"] > 50
    assert {"source-protocol", "source-unavailable", "chunk-length", "access-denied"} <= set(outcomes)
