"""Locations: the only place where the text of a URL is taken apart or put together.

Owns `parse` and the functions on top of it. A location has one spelling: lower-case scheme and host, no default
port, percent-encoding in upper case and only where it is needed. What was checked is what is sent, because every
function here returns that spelling.

Refuses everything that two programs could read in two ways: user information, backslashes, control and non-ASCII
characters, fragments, dot segments, empty segments, encoded separators, numeric hosts in any but the plain form,
and query strings, except for http(s) where the caller says that the text is its own. Opens nothing and asks no
name server.

Directories end in ``/`` where it matters, as in RFC 3986: `join` resolves against the part of the base up to its
last ``/``, `parent` returns that part, and `child` appends to the whole.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from lazyzarr.errors import ViewLimitError, ViewSchemaError

MAX_CHARACTERS = 2048
"""Longest location accepted from a document [characters]."""

_SAFE = "-._~!$&'()*+,;=:@"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_TEXT = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_LABELS = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_REFUSED = {
    "/": "an encoded separator",
    "\\": "an encoded separator",
    "\x7f": "an encoded control character",
}
_LONGEST_HOST = 259
_DEFAULT_PORT = {"http": 80, "https": 443}
_BUCKETS = frozenset({"s3", "gs", "az", "store"})
_ALIAS = {"gcs": "gs"}
# A path of plain names needs no decoding; no name in it is "." or "..".
_PLAIN_KEY = re.compile(r"(?!\.\.?(?:/|\Z))[A-Za-z0-9_\-.]+(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9_\-.]+)*")
# What matched is not taken back, which nothing here needs.
_PLAIN_FILE = re.compile(r"file://((?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9_\-.~+=,@:]++)++)")
# Lines of the same, but for names that begin with a dot.
_PLAIN_FILES = re.compile(r"(?:file://(?:/[A-Za-z0-9_\-~+=,@:][A-Za-z0-9_\-.~+=,@:]*+)++\n)*+")


class Location(NamedTuple):
    """A location taken apart; `url` puts it together in its one spelling."""

    scheme: str
    authority: str
    """Host with port, bucket or token; empty for ``file`` and ``memory``."""
    path: str
    """Percent-encoded, begins with ``/``."""
    query: str = ""
    """With its ``?``; empty unless the caller's own http(s) text had one."""

    @property
    def url(self) -> str:
        """The text of the location."""
        return f"{self.scheme}://{self.authority}{self.path}{self.query}"


def parse(text: str, *, trusted: bool = False) -> Location:
    """Take the text of a URL apart, or refuse it.

    Parameters
    ----------
    text
        A URL with a scheme and ``//``.
    trusted
        The text is the caller's own, not a document's: a query string is accepted for http(s), and any length.

    Raises
    ------
    ViewSchemaError
        ``url-invalid``, saying what in the text is not acceptable.
    ViewLimitError
        ``limit-exceeded`` when the text of a document is longer than `MAX_CHARACTERS`.

    Examples
    --------
    >>> parse("HTTPS://Example.org:443/a/%7Eb").url
    'https://example.org/a/~b'
    >>> parse("s3://bucket/a/../b")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    lazyzarr.errors.ViewSchemaError: s3://bucket/a/../b: the location has a dot segment; ...
    """
    if not trusted and len(text) > MAX_CHARACTERS:
        raise ViewLimitError("url_characters", len(text), MAX_CHARACTERS)
    if "\\" in text:
        raise _invalid(text, "a backslash")
    if not _TEXT.fullmatch(text):
        raise _invalid(text, "a character that must be percent-encoded")
    match = _SCHEME.match(text)
    if match is None:
        raise _invalid(text, "no scheme followed by //")
    if "#" in text:
        raise _invalid(text, "a fragment")
    scheme = match[1].lower()
    scheme = _ALIAS.get(scheme, scheme)
    rest, mark, query = text[match.end() :].partition("?")
    if mark and not (trusted and scheme in _DEFAULT_PORT):
        raise _invalid(text, "a query string")
    if not _QUERY.fullmatch(query):
        raise _invalid(text, "a query string that is not well formed")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise _invalid(text, "user information before the host")
    if scheme == "memory" and authority:
        # fsspec has one memory for a process, so the first name is part of the path.
        authority, slash, path = "", "/", authority + slash + path
    return Location(
        scheme,
        _authority(scheme, authority, text),
        _path(slash + path, text),
        mark + query,
    )


def is_plain_below(url: str, prefix: str) -> bool:
    """Whether a location is a prefix in its one spelling with plain names behind it, so that `parse` has nothing to do.

    Examples
    --------
    >>> is_plain_below("file:///d/raw/x.zarr", "file:///d/"), is_plain_below("file:///d/../x", "file:///d/")
    (True, False)
    """
    return len(url) <= MAX_CHARACTERS and url.startswith(prefix) and _PLAIN_KEY.fullmatch(url, len(prefix)) is not None


def from_user(place: str | os.PathLike[str]) -> str:
    """The location a person means by a path or a URL.

    A path is made absolute against the working directory, without following links; ``~`` is an ordinary
    character. In a URL, spaces and non-ASCII characters are percent-encoded, existing escapes are kept.

    Parameters
    ----------
    place
        A path, or a URL with a scheme and ``//``. A final ``/`` is dropped, so that a directory has one spelling.

    Raises
    ------
    ViewSchemaError
        ``url-invalid`` for what `parse` refuses, and for the empty text.

    Examples
    --------
    >>> from_user("/data/sea ice/2004.nc")
    'file:///data/sea%20ice/2004.nc'
    >>> from_user("s3://bucket/é.zarr/")
    's3://bucket/%C3%A9.zarr'
    """
    text = os.fspath(place)
    if not text:
        raise _invalid(text, "nothing in it")
    match = _SCHEME.match(text)
    if match is None:
        path = os.path.abspath(text)
        if path.startswith("//"):
            path = path[1:]
        return parse("file://" + quote(os.fsencode(path), safe="/" + _SAFE), trusted=True).url
    found = parse(match[0] + quote(text[match.end() :], safe="/?#[]%\\" + _SAFE), trusted=True)
    if found.path.endswith("/") and found.path != "/" and not found.query:
        found = found._replace(path=found.path[:-1])
    return found.url


def to_path(url: str) -> str:
    """The local path of a ``file`` location.

    Raises
    ------
    ViewSchemaError
        ``url-invalid`` when the location is not acceptable or not a local file.

    Examples
    --------
    >>> to_path("file:///data/sea%20ice/2004.nc")
    '/data/sea ice/2004.nc'
    """
    if (plain := plain_path(url)) is not None:
        return plain
    found = parse(url, trusted=True)
    if found.scheme != "file":
        raise _invalid(url, "a scheme that is not file")
    return os.fsdecode(unquote_to_bytes(found.path))


def plain_path(url: str) -> str | None:
    """The local path of a ``file`` location in its one spelling, if nothing in it is encoded; None otherwise.

    This is the hot path of every local read: one match instead of `parse`.
    """
    match = _PLAIN_FILE.fullmatch(url)
    return match[1] if match else None


def plain_paths(urls: Sequence[str]) -> list[str] | None:
    """As `plain_path` for each of them with one match for all, if every one has a path and none a hidden name in it.

    Examples
    --------
    >>> plain_paths(["file:///a/b", "file:///a/c.d"]), plain_paths(["file:///a/b", "file:///a/../b"])
    (['/a/b', '/a/c.d'], None)
    """
    lines = "\n".join((*urls, ""))
    if lines.count("\n") != len(urls) or not _PLAIN_FILES.fullmatch(lines):
        return None
    start = len("file://")
    return [url[start:] for url in urls]


def join(base: str, reference: str) -> str:
    """Resolve a relative reference of a document (RFC 3986, section 5.2), then check the result.

    Only leading ``../`` and one leading ``./`` are understood; other dot segments are refused, as is a reference
    that climbs above the root or that names another authority without a scheme.

    Raises
    ------
    ViewSchemaError, ViewLimitError
        As `parse`.

    Examples
    --------
    >>> join("s3://bucket/views/a.json", "../data/x.nc"), join("s3://bucket/views/", "t.zarr")
    ('s3://bucket/data/x.nc', 's3://bucket/views/t.zarr')
    """
    if _SCHEME.match(reference):
        return parse(reference).url
    found = parse(base, trusted=True)
    if not reference:
        raise _invalid(reference, "nothing in it")
    if reference.startswith("//"):
        raise _invalid(reference, "an authority without a scheme")
    if reference.startswith("/"):
        return parse(f"{found.scheme}://{found.authority}{reference}").url
    if ":" in reference.partition("/")[0]:
        raise _invalid(reference, "a colon in its first segment, which reads as a scheme; begin it with ./")
    above = found.path.split("/")[1:-1]
    rest = reference.removeprefix("./")
    while rest == ".." or rest.startswith("../"):
        if not above:
            raise _invalid(reference, "more ../ than the base has directories")
        above.pop()
        rest = rest[3:]
    path = "".join(f"/{name}" for name in above) + "/" + rest
    return parse(f"{found.scheme}://{found.authority}{path}").url


def relative(base: str, url: str) -> str:
    """The shortest reference that `join` turns back into ``url``: relative where scheme and authority agree.

    Raises
    ------
    ViewSchemaError, ViewLimitError
        As `parse`; ``url`` is read as a document's, so that no query string (a signature) is ever stored.

    Examples
    --------
    >>> relative("file:///d/views/a.json", "file:///d/data/x.nc")
    '../data/x.nc'
    >>> relative("file:///d/a.json", "s3://bucket/x.nc")
    's3://bucket/x.nc'
    """
    start, end = parse(base, trusted=True), parse(url)
    if start[:2] != end[:2]:
        return end.url
    origin, target = start.path.split("/")[1:-1], end.path.split("/")[1:]
    same = 0
    while same < min(len(origin), len(target) - 1) and origin[same] == target[same]:
        same += 1
    text = "../" * (len(origin) - same) + "/".join(target[same:])
    # A colon in the first segment would read as a scheme, and an empty reference as the base itself.
    return f"./{text}" if not text or ":" in text.partition("/")[0] else text


def parent(url: str) -> str:
    """The directory of a location, with its final ``/``; the root is its own parent.

    Raises
    ------
    ViewSchemaError
        As `parse`.

    Examples
    --------
    >>> parent("s3://bucket/a/b.zarr"), parent("s3://bucket/a/"), parent("s3://bucket/")
    ('s3://bucket/a/', 's3://bucket/', 's3://bucket/')
    """
    found = parse(url, trusted=True)
    path = found.path.rstrip("/").rpartition("/")[0] + "/"
    return Location(found.scheme, found.authority, path).url


def child(url: str, key: str) -> str:
    """The object of a directory-like location under a key, such as a chunk of a Zarr array; ``key`` is not encoded.

    Raises
    ------
    ViewSchemaError
        ``url-invalid`` when the key has empty segments, dot segments, backslashes or control characters, or the
        location has a query string.

    Examples
    --------
    >>> child("s3://bucket/t.zarr", "c/0/1"), child("s3://bucket/", "sea ice/zarr.json")
    ('s3://bucket/t.zarr/c/0/1', 's3://bucket/sea%20ice/zarr.json')
    """
    base = url if url.endswith("/") else f"{url}/"
    if _PLAIN_KEY.fullmatch(key) and "?" not in base:
        return base + key
    if not key:
        raise _invalid(key, "nothing in it")
    found = parse(base, trusted=True)
    if found.query:
        raise _invalid(url, "a query string, so nothing can be below it")
    return parse(found.url + quote(key, safe="/" + _SAFE), trusted=True).url


def key_of(url: str) -> str:
    """The path of a location below its authority, decoded: the key in a bucket or a store.

    Raises
    ------
    ViewSchemaError
        As `parse`, and when the decoded path is not text.

    Examples
    --------
    >>> key_of("s3://bucket/sea%20ice/zarr.json")
    'sea ice/zarr.json'
    """
    found = parse(url, trusted=True)
    try:
        return unquote_to_bytes(found.path[1:]).decode()
    except UnicodeDecodeError as error:
        raise _invalid(url, "escapes that are not UTF-8") from error


def as_prefix(url: str) -> str:
    """The text with which every location at or below this one begins, once a ``/`` is put after it."""
    return url if url.endswith("/") else f"{url}/"


def shown(url: str) -> str:
    """The location as it may be shown: without its query string, which may hold a signature."""
    return url.partition("?")[0]


def _authority(scheme: str, authority: str, text: str) -> str:
    if len(authority) > _LONGEST_HOST:
        raise _invalid(text, "a host name that is too long")
    if scheme == "file":
        if authority:
            raise _invalid(text, "a host in a file location")
        return ""
    if scheme in _BUCKETS:
        if not _NAME.fullmatch(authority):
            raise _invalid(text, "no plain bucket name")
        return authority
    if not authority and scheme not in _DEFAULT_PORT:
        return ""
    if authority.startswith("["):
        inside, closed, after = authority[1:].partition("]")
        host, colon, port = f"[{_address(inside, text)}]", after[:1], after[1:]
        if not closed or colon not in ("", ":"):
            raise _invalid(text, "an address without its end, or text after it")
    else:
        host, colon, port = authority.partition(":")
        host = _host(host.lower(), text)
    if not colon:
        return host
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        raise _invalid(text, "a port that is not a plain number")
    return host if int(port) == _DEFAULT_PORT.get(scheme) else f"{host}:{port}"


def _address(inside: str, text: str) -> str:
    try:
        if "%" in inside:
            raise _invalid(text, "an address with a zone")
        return ipaddress.IPv6Address(inside).compressed
    except ipaddress.AddressValueError as error:
        raise _invalid(text, "an address that is not IPv6") from error


def _host(host: str, text: str) -> str:
    if not _LABELS.fullmatch(host):
        raise _invalid(text, "a host name that is not plain")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        # Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1; only the plain form has one reading.
        try:
            return str(ipaddress.IPv4Address(host))
        except ipaddress.AddressValueError as error:
            raise _invalid(text, "a numeric host that is not a plain IPv4 address") from error
    return host


def _path(path: str, text: str) -> str:
    names = path.split("/")[1:] or [""]
    out = [_segment(name, text) for name in names]
    if "" in out[:-1]:
        raise _invalid(text, "an empty segment")
    return "/" + "/".join(out)


def _segment(name: str, text: str) -> str:
    if not _SEGMENT.fullmatch(name):
        raise _invalid(text, "a character or an escape that is not allowed in a path")
    if "%" in name:
        name = _ESCAPE.sub(lambda match: _escape(match[1], text), name)
    if name in (".", ".."):
        raise _invalid(text, "a dot segment")
    return name


def _escape(digits: str, text: str) -> str:
    character = chr(int(digits, 16))
    if character < " " or character in _REFUSED:
        raise _invalid(text, _REFUSED.get(character, "an encoded control character"))
    return character if character in _UNRESERVED else f"%{digits.upper()}"


def _invalid(text: str, what: str) -> ViewSchemaError:
    # The message must not carry what it refuses: no user information, no query, no control characters.
    safe = re.sub(r"//[^/]*@", "//***@", ascii(shown(text))[1:-1])[:200]
    return ViewSchemaError(
        f"the location has {what}; locations are plain URLs with one spelling; write it without",
        reason="url-invalid",
        where=safe or "''",
    )
