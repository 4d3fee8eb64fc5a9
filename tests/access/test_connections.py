"""Connections: kept, bounded in time, to looked-at addresses; and servers that answer nonsense."""

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

from lazyzarr.access import remote
from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.errors import (
    AccessDenied,
    LazyZarrError,
    SourceProtocolError,
    SourceUnavailable,
)
from tests.servers import RangeServer

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
                # either end may hang up in the middle of it
                with suppress(OSError):
                    while data := source.recv(1 << 16):
                        target.sendall(data)

            back = threading.Thread(target=copy, args=(there, self.connection), daemon=True)
            back.start()
            copy(self.connection, there)
            with suppress(OSError):  # so that the other direction ends, before the socket is closed under it
                there.shutdown(socket.SHUT_RDWR)
            back.join()


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
