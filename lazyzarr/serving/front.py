"""What stands between a client and the keys: the page, tags, and headers.

Owns ``GET /`` for people, entity tags with ``If-None-Match`` and ``If-Range``, and headers that every answer has. Refuses methods that
write, paths that are no keys, and to pass on an error that is not one of ours.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lazyzarr.display.page import policy
from lazyzarr.errors import LazyZarrError
from lazyzarr.serving.keys import LOG, ServedStore, tag_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_HERE = "http://here.invalid"
"""Stands for the URL of the server in the page, which is made once."""
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-cache"))
POLICY = f"{policy()}; frame-ancestors 'none'".encode()
"""What the page may load: nothing but itself."""


class Front:
    """The application that a server runs.

    Parameters
    ----------
    keys
        The application that answers keys.
    store
        Its store.
    page
        Makes the page, of the URL that the client has for this server.
    """

    def __init__(self, keys: Any, store: ServedStore, page: Callable[[str], str]) -> None:
        self._keys = keys
        self._store = store
        self._page = page
        self._made = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._keys(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        tag = None
        if scope["method"] in ("GET", "HEAD"):
            if scope["path"] == "/":
                await self._for_people(scope, headers, send)
                return
            key = scope["path"].lstrip("/")  # servers have decoded it; again, and it would be another key
            try:
                tag = await asyncio.to_thread(self._store.tag, key)
            except LazyZarrError:
                tag = None  # what cannot be opened has no tag; the answer below says what is wrong
            if tag is not None and _matches(headers.get("if-none-match"), tag):
                await _answer(send, 304, b"", [(b"etag", tag.encode())])
                return
            if "range" in headers and "if-range" in headers and headers["if-range"] != tag:
                scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != b"range"]}
        await self._keys(scope, receive, _Marked(send, tag, headers.get("if-none-match"), scope["method"] == "GET"))

    async def _for_people(self, scope: Scope, headers: dict[str, str], send: Send) -> None:
        host = headers.get("host", "localhost")
        try:
            self._made = self._made or await asyncio.to_thread(self._page, _HERE)
        except LazyZarrError as error:
            LOG.warning("/: %s [%s] %s", type(error).__name__, error.reason, error)
            body = f"a source of these views cannot be read: {error.reason}".encode()
            await _answer(send, 502, body, [(b"content-type", b"text/plain")])
            return
        url = f"{scope.get('scheme', 'http')}://{host}{scope.get('root_path', '')}"
        text = self._made.replace(_HERE, html.escape(url)).encode()
        tag = tag_of(text)
        if _matches(headers.get("if-none-match"), tag):
            await _answer(send, 304, b"", [(b"etag", tag.encode())])
            return
        more = [
            (b"etag", tag.encode()),
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", POLICY),
        ]
        await _answer(
            send, 200, b"" if scope["method"] == "HEAD" else text, [*more, (b"content-length", str(len(text)).encode())]
        )


class _Marked:
    """The way back to a client: headers that every answer has, and the tag of a value that is known by its content only."""

    def __init__(self, send: Send, tag: str | None, known: str | None, whole: bool) -> None:
        self._send = send
        self._tag = tag
        self._known = known
        self._whole = whole
        self._start: Any = None

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = {**message, "headers": [*message.get("headers", ()), *_ALWAYS]}
            return
        if self._start is not None:
            start, self._start = self._start, None
            ours = start["status"] in (200, 206)
            if ours:
                start["headers"].append((b"accept-ranges", b"bytes"))
            # the application below sends a value in one piece
            if self._tag is None and self._whole and start["status"] == 200 and not message.get("more_body"):
                self._tag = tag_of(message["body"])
                if _matches(self._known, self._tag):
                    await _answer(self._send, 304, b"", [(b"etag", self._tag.encode())])
                    return
            if ours and self._tag is not None:
                start["headers"].append((b"etag", self._tag.encode()))
            await self._send(start)
        await self._send(message)


def _matches(header: str | None, tag: str) -> bool:
    """Whether a list of tags has one; weak ones count for this question."""
    return header is not None and any(one.strip().removeprefix("W/") == tag for one in header.split(","))


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_ALWAYS]})
    await send({"type": "http.response.body", "body": body})
