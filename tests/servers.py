"""A loopback http server with ranges, entity tags, a request log and faults on demand, for every test that needs one.

Owns `RangeServer`. It is a real server on a real socket; nothing in the code under test is replaced. Refuses writes.

Examples
--------
>>> from urllib.request import urlopen
>>> with RangeServer({"/a.bin": b"0123456789"}) as server:
...     body = urlopen(server.url + "/a.bin").read()
>>> body, [request.line for request in server.log]
(b'0123456789', ['GET /a.bin'])
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Literal, Self

Fault = Literal[
    "status",  # answer with the status `value`
    "short",  # declare the full length, send all but `value` bytes, close
    "long",  # send `value` bytes more than was asked for, and say so
    "ignore-range",  # send the whole object with status 200
    "ignore-match",  # do not look at If-Match
    "other-range",  # send the bytes after those asked for, and say so
    "no-length",  # send the body until the connection closes
    "chunked",  # send the body in chunks
    "cut-chunked",  # the same, without the last chunk
    "no-etag",
    "no-head",
    "redirect",  # to the URL `value`
    "encoded",  # say that the body is gzip
    "slow",  # wait `value` seconds first
    "trickle",  # one byte of the body every `value` seconds
    "reset",  # reset the connection without an answer
    "garbage",  # answer with something that is not http
]


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def line(self) -> str:
        """Method and target."""
        return f"{self.method} {self.target}"


@dataclass
class _Planned:
    fault: Fault
    value: object
    times: float


@dataclass
class RangeServer:
    """Serves ``objects`` (path -> content) on a free port of 127.0.0.1 while its ``with`` lasts."""

    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    certificate: tuple[str, str] | None = None
    """Paths of a certificate and its key, to serve https."""
    log: list[Request] = field(default_factory=list[Request])
    handler: ClassVar[type[_Handler] | None] = None
    """What answers; None: `_Handler`."""
    _plans: dict[str, list[_Planned]] = field(default_factory=dict[str, list[_Planned]])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        class Handler(self.handler or _Handler):
            pass

        Handler.server_of = self

        self._http = _Quiet(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._http.server_address[1]

    @property
    def url(self) -> str:
        """Without a final ``/``."""
        return f"{'http' if self.certificate is None else 'https'}://127.0.0.1:{self.port}"

    def plan(self, path: str, fault: Fault, value: object = None, *, times: float = float("inf")) -> None:
        """Let the next ``times`` requests for a path meet a fault; several faults apply together."""
        with self._lock:
            self._plans.setdefault(path, []).append(_Planned(fault, value, times))

    def clear(self) -> None:
        """Forget the log and every fault."""
        with self._lock:
            self.log.clear()
            self._plans.clear()

    def lines(self) -> list[str]:
        """Method and target of every request so far."""
        with self._lock:
            return [request.line for request in self.log]

    def _due(self, request: Request, path: str) -> dict[Fault, object]:
        with self._lock:
            self.log.append(request)
            due = [plan for plan in self._plans.get(path, []) if plan.times > 0]
            for plan in due:
                plan.times -= 1
            return {plan.fault: plan.value for plan in due}


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests; anything else is shown."""
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)  # pyright: ignore[reportArgumentType]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of: RangeServer

    def log_message(self, format: str, *args: object) -> None:
        """The log is `RangeServer.log`."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = re.sub(r"^http://[^/]*", "", self.path).partition("?")[0]
        due = self.server_of._due(Request(self.command, self.path, dict(self.headers)), path)
        if "slow" in due:
            time.sleep(float(str(due["slow"])))
        if "reset" in due:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        if "garbage" in due:
            self.wfile.write(b"220 ready for mail\r\n")
            self.close_connection = True
            return
        if "redirect" in due:
            self._plain(302, {"Location": str(due["redirect"])})
            return
        if "status" in due:
            self._plain(int(str(due["status"])), {})
            return
        if "no-head" in due and self.command == "HEAD":
            self._plain(405, {})
            return
        content = self.server_of.objects.get(path)
        if content is None:
            self._plain(404, {})
            return
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        match = self.headers.get("If-Match")
        if match is not None and match != tag and "ignore-match" not in due:
            self._plain(412, {"ETag": tag})
            return
        self._content(content, {} if "no-etag" in due else {"ETag": tag}, due)

    def _content(self, content: bytes, headers: dict[str, str], due: dict[Fault, object]) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        status, body = 200, content
        headers["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
        if wanted and "ignore-range" not in due:
            first = int(wanted[1]) + ("other-range" in due)
            end = min(int(wanted[2]) + 1 + ("other-range" in due) if wanted[2] else len(content), len(content))
            end = min(end + int(str(due.get("long", 0))), len(content))
            if first >= len(content):
                self._plain(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            status, body = 206, content[first:end]
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(content)}"
        if "encoded" in due:
            headers["Content-Encoding"] = "gzip"
        if "no-length" in due:
            headers["Connection"] = "close"
        elif "chunked" in due or "cut-chunked" in due:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if "short" in due:
            body = body[: len(body) - int(str(due["short"]))]
            self.close_connection = True
        try:
            self._send(body, due)
        except ConnectionError:
            self.close_connection = True  # the client has seen enough

    def _send(self, body: bytes, due: dict[Fault, object]) -> None:
        if "trickle" in due:
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                time.sleep(float(str(due["trickle"])))
        elif "chunked" in due or "cut-chunked" in due:
            for at in range(0, len(body), 1000):
                piece = body[at : at + 1000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if "chunked" in due:
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.close_connection = True
        else:
            self.wfile.write(body)

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        body = b"" if self.command == "HEAD" or status in (204, 304) else b"refused\n"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
