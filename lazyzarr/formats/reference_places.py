"""Locations in files of references: as they are written there, and what they mean.

Owns both directions. Other software takes them for paths or for URLs that are not percent-encoded (http aside); a path
without a scheme is a local file, absolute or relative. Here a relative one is relative to the file of references, never
to the working directory. Refuses chains of protocols, and all that `lazyzarr.access.url` refuses.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from lazyzarr.access import url as urls

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_SAFE = "/-._~!$&'()*+,;=:@"
_PLAIN = re.compile(r"[a-z0-9]+:///?(?:[A-Za-z0-9_\-][A-Za-z0-9_\-.]*/)*[A-Za-z0-9_\-][A-Za-z0-9_\-.]*")
_ENCODED = ("http", "https")


def resolve(text: str, base: str) -> str:
    """The location that a file of references at `base` means.

    Raises
    ------
    ViewSchemaError, ViewLimitError
        ``url-invalid``, and locations that are too long.

    Examples
    --------
    >>> base = "file:///data/refs.json"
    >>> resolve("sea ice.nc", base), resolve("/a/b.nc", "s3://b/refs.json"), resolve("s3://b/x y", base)
    ('file:///data/sea%20ice.nc', 'file:///a/b.nc', 's3://b/x%20y')
    """
    match = _SCHEME.match(text)
    if match is None:
        if text.startswith("/"):
            return urls.parse("file://" + quote(text, safe=_SAFE)).url
        return urls.join(base, quote(text, safe=_SAFE))
    keep = "?%" if match[1].lower() in _ENCODED else ""
    return urls.parse(match[0] + quote(text[match.end() :], safe=_SAFE + keep)).url


def written(url: str, base: str, *, relative: bool) -> str:
    """A location as a file of references at `base` has it, so that other software reads the same object.

    Examples
    --------
    >>> base = "file:///data/refs.json"
    >>> written("file:///data/sea%20ice.nc", base, relative=True), written("s3://b/x%20y", base, relative=False)
    ('sea ice.nc', 's3://b/x y')
    """
    found = urls.parse(url, trusted=True)
    if found.scheme in _ENCODED:
        return found.url
    if relative and found[:2] == urls.parse(base, trusted=True)[:2]:
        return unquote(urls.relative(base, url))
    text = unquote(found.url)
    return text.removeprefix("file://") if found.scheme == "file" else text
