"""Objects on http(s) servers, trusted or named by a document.

Owns the meaning of an answer: statuses, ranges, entity tags, redirects. It speaks through the standard library's
client rather than obstore, because a request on behalf of a document must not follow a redirect and obstore has no
switch for that; and because one client for both kinds of location counts every request and knows every header.

Refuses an answer that is not provably the one to the question: another range, another length, another tag, an
encoded body, a body whose end cannot be told. A server that ignores ranges is understood as long as the range is not
deep inside the object.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import NamedTuple
from urllib.parse import quote, urljoin

from lazyzarr.access.connections import Connections
from lazyzarr.access.remote import (
    DEADLINE_SECONDS,
    Again,
    Answer,
    Settings,
    Span,
    ask,
    astray,
    beyond,
    by_status,
    unavailable,
    within,
)
from lazyzarr.access.stamps import changed
from lazyzarr.access.url import Location, parse, shown
from lazyzarr.errors import AccessDenied, LazyZarrError, UnsupportedFeature
from lazyzarr.ir.layout import Stamp

MOST_SKIPPED = 64 << 20
"""Bytes read and thrown away for one range of a server that ignores ranges."""
_MOST_REDIRECTS = 5
_LONGEST_PAUSE = 10.0
_PIECE = 1 << 20
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_RANGE = re.compile(r"bytes (?:([0-9]{1,19})-([0-9]{1,19})|\*)/([0-9]{1,19}|\*)")
_DIGITS = re.compile(r"[0-9]{1,19}")


class _Moved(NamedTuple):
    """The server sent the reader elsewhere."""

    place: Location


class Web:
    """Reads http(s) objects; raises as `lazyzarr.access.remote.Backend` says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = Connections()

    def fetch(self, url: str, span: Span, *, pin: str | None, granted: bool, limit: int | None) -> Answer:
        """Read a span in one request, with ``If-Match`` where the pin is a strong tag."""
        if span.length == 0:
            return Answer(b"", Stamp())
        headers: dict[str, str] = {}
        if not span.whole:
            last = "" if span.length is None else span.offset + span.length - 1
            headers["Range"] = f"bytes={span.offset}-{last}"
        if pin is not None and not pin.startswith("W/"):
            headers["If-Match"] = pin

        def answer(response: HTTPResponse) -> Answer | Again:
            if failed := _failure(url, response, span, pin):
                return failed
            if response.getheader("Content-Encoding", "identity") != "identity":
                raise astray(url, "the server sent an encoded body although none was accepted")
            found = _partial(url, response, span) if response.status == 206 else _complete(url, response, span, limit)
            if pin is not None and isinstance(found, Answer) and found.stamp.etag not in (None, pin):
                raise changed(url, (f"etag was {pin}, is {found.stamp.etag}",))
            return found

        return self._asked(url, "GET", headers, answer, granted=granted)

    def stat(self, url: str, *, granted: bool) -> Stamp:
        """Size and entity tag, by HEAD, or by reading one byte where the server has no HEAD."""

        def answer(response: HTTPResponse) -> Stamp | Again | None:
            response.read()
            if response.status in (403, 405, 501):
                return None
            if failed := _failure(url, response, Span(), None):
                return failed
            size = response.getheader("Content-Length", "")
            return Stamp(int(size), etag=response.getheader("ETag")) if _DIGITS.fullmatch(size) else None

        found = self._asked(url, "HEAD", {}, answer, granted=granted)
        if found is not None:
            return found

        def first_byte(response: HTTPResponse) -> Stamp | Again:
            place = _RANGE.fullmatch(response.getheader("Content-Range", ""))
            if place and response.status in (206, 416) and place[3] != "*":
                _drain(response)
                return Stamp(int(place[3]), etag=response.getheader("ETag"))
            failed = _failure(url, response, Span(), None)
            size = response.getheader("Content-Length", "")
            return failed or Stamp(int(size) if _DIGITS.fullmatch(size) else None, etag=response.getheader("ETag"))

        return self._asked(url, "GET", {"Range": "bytes=0-0"}, first_byte, granted=granted)

    def list_dir(self, url: str, *, granted: bool) -> tuple[str, ...]:
        """Always refused: http has no listing.

        Raises
        ------
        UnsupportedFeature
            ``source-unsupported``.
        """
        raise UnsupportedFeature(
            "the names below an http location are asked for; http has no listing; name the objects, or use "
            "consolidated metadata",
            reason="source-unsupported",
            where=shown(url),
        )

    def _asked[T](
        self,
        url: str,
        method: str,
        headers: dict[str, str],
        answer: Callable[[HTTPResponse], T | Again],
        *,
        granted: bool,
    ) -> T:
        place = parse(url, trusted=True)
        for _ in range(_MOST_REDIRECTS + 1):
            seconds = self._settings.option_for(place.url)[1].get("deadline", DEADLINE_SECONDS)
            found = ask(self._attempt(place, method, headers, answer, granted=granted), seconds)
            if not isinstance(found, _Moved):
                return found
            if granted:
                raise AccessDenied(
                    f"the server redirects to {shown(found.place.url)}; requests of a document are not redirected; "
                    "reference the final location in the document and allow it",
                    where=shown(url),
                )
            if place.scheme == "https" and found.place.scheme != "https":
                raise astray(url, "the server redirects from https to a location without encryption")
            place = found.place
        raise astray(url, f"the server redirects more than {_MOST_REDIRECTS} times")

    def _attempt[T](
        self,
        place: Location,
        method: str,
        headers: dict[str, str],
        answer: Callable[[HTTPResponse], T | Again],
        *,
        granted: bool,
    ) -> Callable[[float], T | Again | _Moved]:
        url, settings = place.url, self._settings
        options = settings.option_for(url)

        def attempt(deadline: float) -> T | Again | _Moved:
            settings.counts.add(url, requests=1)
            try:
                with self._connections.exchange(
                    place, method, headers, granted=granted, options=options, deadline=deadline
                ) as response:
                    if response.status in _REDIRECT:
                        return _Moved(_target(place, response))
                    found = answer(response)
            except LazyZarrError:
                raise
            except ssl.SSLCertVerificationError as error:
                raise astray(url, f"the certificate of the server is not valid ({error.verify_message})") from error
            except socket.gaierror as error:
                failed = unavailable(url, f"the host name has no address: {error.strerror}")
                if error.errno == socket.EAI_AGAIN:
                    return Again(failed)
                raise failed from error
            except IncompleteRead:
                return Again(astray(url, "the body ends before its length", reason="chunk-length"))
            except OSError as error:
                return Again(unavailable(url, error.strerror or str(error) or type(error).__name__))
            except HTTPException as error:
                return Again(astray(url, f"the server does not speak http: {type(error).__name__}"))
            if isinstance(found, Answer):
                settings.counts.add(url, moved=memoryview(found.data).nbytes)
            return found

        return attempt


def connect(settings: Settings) -> Web:
    """The backend for ``http`` and ``https``."""
    return Web(settings)


def _failure(url: str, response: HTTPResponse, span: Span, pin: str | None) -> Again | None:
    """What a status other than success means: `Again`, or the error raised; None for success."""
    if response.status in (200, 206):
        return None
    place = _RANGE.fullmatch(response.getheader("Content-Range", ""))
    wait = response.getheader("Retry-After", "")
    _drain(response)
    if response.status == 412:
        raise changed(url, (f"etag was {pin}, is {response.getheader('ETag', 'another')}",))
    return by_status(
        url,
        response.status,
        span,
        size=int(place[3]) if place and place[3] != "*" else None,
        after=min(float(wait), _LONGEST_PAUSE) if _DIGITS.fullmatch(wait) else 0.0,
    )


def _partial(url: str, response: HTTPResponse, span: Span) -> Answer | Again:
    place = _RANGE.fullmatch(response.getheader("Content-Range", ""))
    if span.whole or place is None or place[1] is None:
        raise astray(url, "the server sent a part without saying which, or where none was asked for")
    first, last, size = int(place[1]), int(place[2]), None if place[3] == "*" else int(place[3])
    wanted = last + 1 - first if span.length is None else span.length
    if span.short and size is not None and size == last + 1:
        wanted = min(wanted, size - first)
    if first != span.offset or last + 1 - first > wanted or (span.length is None and size != last + 1):
        raise astray(url, f"bytes {first} to {last + 1} came although others were asked for")
    if last + 1 - first < wanted:
        raise beyond(url, span, size)
    if response.length is not None and response.length != wanted:
        raise astray(url, f"the part has {response.length} bytes by one header and {wanted} by another")
    return _exactly(url, response, wanted, Stamp(size, etag=response.getheader("ETag")))


def _complete(url: str, response: HTTPResponse, span: Span, limit: int | None) -> Answer | Again:
    """The whole object came: because it was asked for, or because the server ignores ranges."""
    size, etag = response.length, response.getheader("ETag")
    if size is None and not response.chunked:
        raise astray(url, "the server does not say how long the object is, so a cut could not be told")
    if span.whole:
        if size is not None:
            within(url, size, limit)
        return _to_the_end(url, response, limit, etag)
    if size is None or span.length is None:
        found = _to_the_end(url, response, MOST_SKIPPED, etag)
        if isinstance(found, Again):
            return found
        data, size = memoryview(found.data), found.stamp.size or 0
        end = size if span.length is None else _end(span, size)
        if span.offset > size or end > size:
            raise beyond(url, span, size)
        return Answer(data[span.offset : end], found.stamp)
    end = _end(span, size)
    if end > size or span.offset > size:
        raise beyond(url, span, size)
    if span.offset > MOST_SKIPPED:
        raise astray(url, f"the server ignores ranges, and byte {span.offset} is too deep to read up to it")
    skipped = _exactly(url, response, span.offset, Stamp())
    return skipped if isinstance(skipped, Again) else _exactly(url, response, end - span.offset, Stamp(size, etag=etag))


def _end(span: Span, size: int) -> int:
    """Where a span of known length ends in an object of known size."""
    end = span.offset + (span.length or 0)
    return min(end, size) if span.short else end


def _exactly(url: str, response: HTTPResponse, length: int, stamp: Stamp) -> Answer | Again:
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        got = response.readinto(rest)
        if not got:
            return Again(astray(url, f"the body ends {len(rest)} bytes early", reason="chunk-length"))
        rest = rest[got:]
    if response.chunked:
        if response.read(1):
            raise astray(url, "the body is longer than it says", reason="chunk-length")
    elif response.length == 0:
        response.close()
    return Answer(data, stamp)


def _to_the_end(url: str, response: HTTPResponse, limit: int | None, etag: str | None) -> Answer | Again:
    size, got, pieces = response.length, 0, list[bytes]()
    while piece := response.read(_PIECE):
        got += len(piece)
        within(url, got, limit)
        pieces.append(piece)
    if size is not None and got != size:
        return Again(astray(url, f"the body ends {size - got} bytes early", reason="chunk-length"))
    return Answer(b"".join(pieces), Stamp(got, etag=etag))


def _drain(response: HTTPResponse) -> None:
    """Read a short body that nobody wants, so that the connection can be used again."""
    if not response.isclosed() and (response.chunked or (response.length or 0) <= _PIECE):
        response.read(_PIECE)
        if response.length == 0:
            response.close()


def _target(place: Location, response: HTTPResponse) -> Location:
    given = response.getheader("Location", "").partition("#")[0]
    try:
        return parse(quote(urljoin(place.url, given), safe="/?[]%\\-._~!$&'()*+,;=:@"), trusted=True)
    except ValueError as error:
        raise astray(place.url, "the server redirects to something that is no location") from error
