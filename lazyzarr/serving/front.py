"""What stands between a client and the keys: the page, tags, and headers.

Owns ``GET /`` for people, entity tags with ``If-Match``, ``If-None-Match`` and ``If-Range``, and headers that every answer has. Refuses methods that
write, paths that are no keys, and to pass on an error that is not one of ours.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
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
    origins
        Web pages of which origins may read what is answered here; the application below asks for itself.
    """

    def __init__(
        self, keys: Any, store: ServedStore, page: Callable[[str], str], origins: Sequence[str] = ("*",)
    ) -> None:
        self._keys = keys
        self._store = store
        self._page = page
        self._made = ""
        self._origins = tuple(origins)

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
            status = None if tag is None else _refusal(headers, tag)
            if tag is not None and status is not None:
                await _answer(send, status, b"", [(b"etag", tag.encode()), *self._readable(headers)])
                return
            asked = {"if-match", "if-none-match"} & headers.keys()
            # a part of another state, or of one that has to be read whole before it is known; a HEAD has no parts
            if (
                ("if-range" in headers and headers["if-range"] != tag)
                or (tag is None and asked)
                or scope["method"] == "HEAD"
            ):
                scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != b"range"]}
        await self._keys(scope, receive, _Marked(send, tag, headers, scope["method"] == "GET"))

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
        status = _refusal(headers, tag)
        if status is not None:
            await _answer(send, status, b"", [(b"etag", tag.encode()), *self._readable(headers)])
            return
        more = [
            (b"etag", tag.encode()),
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", POLICY),
        ]
        await _answer(
            send, 200, b"" if scope["method"] == "HEAD" else text, [*more, (b"content-length", str(len(text)).encode())]
        )

    def _readable(self, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        """Headers by which a web page may see an answer."""
        origin = headers.get("origin")
        if origin is None or not {"*", origin} & set(self._origins):
            return []
        allowed = b"*" if "*" in self._origins else origin.encode("latin-1")
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", b"Content-Range, ETag, Accept-Ranges"),
            *([(b"vary", b"Origin")] if allowed != b"*" else []),
        ]


class _Marked:
    """The way back to a client: headers that every answer has, and the tag of a value that is known by its content only."""

    def __init__(self, send: Send, tag: str | None, headers: Mapping[str, str], whole: bool) -> None:
        self._send = send
        self._tag = tag
        self._headers = headers
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
                status = _refusal(self._headers, self._tag)
                if status is not None:
                    cors = [
                        pair
                        for pair in start["headers"]
                        if pair[0].startswith(b"access-control-") or pair[0] == b"vary"
                    ]
                    await _answer(self._send, status, b"", [(b"etag", self._tag.encode()), *cors])
                    return
            if ours and self._tag is not None:
                start["headers"].append((b"etag", self._tag.encode()))
            await self._send(start)
        await self._send(message)


def _refusal(headers: Mapping[str, str], tag: str) -> int | None:
    """The status, where the conditions of a request say that a value with this tag is not wanted.

    Examples
    --------
    >>> _refusal({"if-none-match": 'W/"a", "b"'}, '"a"'), _refusal({"if-match": 'W/"a"'}, '"a"'), _refusal({}, '"a"')
    (304, 412, None)
    """
    wanted, known = headers.get("if-match"), headers.get("if-none-match")
    if wanted is not None and wanted.strip() != "*" and tag not in map(str.strip, wanted.split(",")):
        return 412
    if known is None:
        return None
    # weak tags count for this question
    return (
        304 if known.strip() == "*" or any(one.strip().removeprefix("W/") == tag for one in known.split(",")) else None
    )


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_ALWAYS]})
    await send({"type": "http.response.body", "body": body})
