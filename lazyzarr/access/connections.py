"""Connections to http(s) servers: kept alive, with deadlines, to addresses that were looked at.

Owns `Connections`, a pool on top of the standard library's client. Every wait is bounded: the connection and the
handshake, the next bytes, and one exchange as a whole, so that a server that trickles cannot hold a thread.

Refuses to follow redirects, to decode, to repeat, and to connect on behalf of a document to an address on which
name servers should not have a say: link-local ones (where clouds hand out credentials), and private ones under a
name that was a public one before.
"""

from __future__ import annotations

import io
import ipaddress
import os
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Buffer, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from http.client import BadStatusLine, HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import getproxies, proxy_bypass

from lazyzarr.access.policy import denied
from lazyzarr.access.remote import CONNECT_SECONDS, IDLE_SECONDS, Options
from lazyzarr.access.url import Location, parse
from lazyzarr.errors import ViewSchemaError

_KEYS = frozenset({"headers", "ca", "proxy", "deadline"})
_MOST_IDLE = 16
"""Idle connections kept per server."""
_ALWAYS = {"Accept-Encoding": "identity", "User-Agent": "lazyzarr"}

type _Key = tuple[str, str, bool, str]


class _Patient(io.RawIOBase):
    """Reads a socket, waiting neither longer than `IDLE_SECONDS` nor beyond a deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(min(IDLE_SECONDS, left))
        return self._raw.readinto(buffer)  # pyright: ignore[reportArgumentType]

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, deadline: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Patient(self.fp.detach(), sock, deadline))


class Connections:
    """Exchanges requests for responses; safe to use from several threads and after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[_Key, list[HTTPConnection]] = {}
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._public: set[str] = set()
        self._process = os.getpid()
        weakref.finalize(self, _close, self._idle)

    @contextmanager
    def exchange(
        self,
        place: Location,
        method: str,
        headers: Mapping[str, str],
        *,
        granted: bool,
        options: tuple[str, Options],
        deadline: float,
    ) -> Generator[HTTPResponse]:
        """Send one request; the connection is kept if the body was read to its end.

        Parameters
        ----------
        place
            What to ask for.
        method, headers
            How; the reader's own headers are added.
        granted
            A document named the location: the address is looked at.
        options
            The reader's prefix and options for the location: ``headers``, ``ca`` (path of a file with further
            certificates), ``proxy`` (a URL, or ``""`` for none; by default the environment's) and ``deadline``.
        deadline
            When the last byte must be there, in the time of ``time.monotonic``.

        Raises
        ------
        OSError, http.client.HTTPException
            As the standard library, for whoever knows what to make of it.
        AccessDenied
            The name leads to an address that a document may not reach.
        ViewSchemaError
            ``document-member`` for an unknown option.
        """
        prefix, known = options
        if extra := known.keys() - _KEYS:
            raise ViewSchemaError(
                f"storage_options has {min(extra)!r} for {prefix}; http locations know "
                f"{', '.join(sorted(_KEYS))}; remove it",
                where="storage_options",
            )
        key = (place.scheme, place.authority, granted, prefix)
        proxy = _proxy(place, known)
        send = {**_ALWAYS, **headers, **known.get("headers", {})}
        target = f"{place.path}{place.query}"
        if proxy is not None and place.scheme == "http":
            target = place.url
            send["Host"] = place.authority
        connection = self._take(key)
        response = None
        if connection is not None:
            try:
                response = _request(connection, method, target, send, deadline)
            except (ConnectionError, BadStatusLine):
                # Closed by the server while idle: nothing was answered, so this was no try.
                connection.close()
                self._drop(key)
            except BaseException:
                connection.close()
                raise
        if connection is None or response is None:
            connection = self._open(place, proxy, known)
        try:
            if response is None:
                connection.connect()
                if proxy is None:
                    self._look_at(place, connection, granted=granted)
                response = _request(connection, method, target, send, deadline)
            yield response
        finally:
            # Also after an error: a refusal that was read to its end leaves a good connection.
            if response is not None and response.isclosed() and not (response.will_close or response.length):
                self._give_back(key, connection)
            else:
                if response is not None:
                    response.close()
                connection.close()

    def _open(self, place: Location, proxy: Location | None, options: Options) -> HTTPConnection:
        host, port = _address(place if proxy is None else proxy)
        if place.scheme == "http":
            return HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        ca = options.get("ca")
        context = self._contexts.get(ca)
        if context is None:
            # Reading the certificates of the system costs more than a request.
            context = ssl.create_default_context()
            if ca is not None:
                context.load_verify_locations(ca)
            self._contexts[ca] = context
        connection = HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)
        if proxy is not None:
            connection.set_tunnel(*_address(place))
        return connection

    def _look_at(self, place: Location, connection: HTTPConnection, *, granted: bool) -> None:
        host = _address(place)[0]
        peer = ipaddress.ip_address(connection.sock.getpeername()[0].partition("%")[0])
        address = getattr(peer, "ipv4_mapped", None) or peer
        if granted and not _is_literal(host):
            if address.is_link_local or address.is_multicast or address.is_unspecified:
                raise denied(
                    place.url, because=f"its name leads to {address}, an address of this machine's own network"
                )
            if not address.is_global and host in self._public:
                raise denied(place.url, because=f"its name led to a public address before and now leads to {address}")
        if address.is_global:
            self._public.add(host)

    def _take(self, key: _Key) -> HTTPConnection | None:
        with self._lock:
            if os.getpid() != self._process:
                # The parent goes on using these connections; two processes on one would mix up answers.
                _close(self._idle)
                self._process = os.getpid()
            idle = self._idle.get(key)
            while idle:
                connection = idle.pop()
                if not _readable(connection.sock):
                    return connection
                connection.close()
            return None

    def _give_back(self, key: _Key, connection: HTTPConnection) -> None:
        with self._lock:
            idle = self._idle.setdefault(key, [])
            if len(idle) < _MOST_IDLE:
                idle.append(connection)
                return
        connection.close()

    def _drop(self, key: _Key) -> None:
        with self._lock:
            idle = self._idle.pop(key, [])
        for connection in idle:
            connection.close()


def _readable(sock: socket.socket) -> bool:
    """Whether an idle connection has something to say: its end, or bytes that belong to no answer."""
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return bool(waiting.poll(0))


def _close(idle: dict[_Key, list[HTTPConnection]]) -> None:
    while idle:
        for connection in idle.popitem()[1]:
            connection.close()


def _request(
    connection: HTTPConnection, method: str, target: str, headers: Mapping[str, str], deadline: float
) -> HTTPResponse:
    # Any callable that makes a response will do; the declaration asks for a class.
    setattr(connection, "response_class", partial(_Response, deadline=deadline))  # noqa: B010
    connection.sock.settimeout(IDLE_SECONDS)
    connection.request(method, target, headers=dict(headers))
    return connection.getresponse()


def _proxy(place: Location, options: Options) -> Location | None:
    found = options.get("proxy")
    if found is None:
        found = getproxies().get(place.scheme, "")
        if found and proxy_bypass(place.authority):
            return None
    return parse(found, trusted=True) if found else None


def _address(place: Location) -> tuple[str, int]:
    host, colon, port = place.authority.rpartition(":")
    if not colon or place.authority.endswith("]"):
        return place.authority.strip("[]"), 443 if place.scheme == "https" else 80
    return host.strip("[]"), int(port)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
