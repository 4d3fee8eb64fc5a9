"""Every other kind of location (``memory``, ``ftp``, ``hdfs``, ...), through fsspec.

Owns the translation to fsspec's calls and from its errors. Ranges carry no tag: size is asked for once per object and
session. fsspec has no deadline, no switch for redirects and no pin, so a location that a document names is refused
here, whatever its grant says, unless it is in this process's memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import fsspec  # pyright: ignore[reportMissingTypeStubs]

from lazyzarr.access.remote import (
    Again,
    Answer,
    Settings,
    Span,
    ask,
    astray,
    beyond,
    headline,
    missing,
    refused,
    unavailable,
    within,
)
from lazyzarr.access.url import parse, shown
from lazyzarr.errors import AccessDenied, ExtraMissing, LazyZarrError, UnsupportedFeature
from lazyzarr.ir.layout import Stamp

_MOST_SIZES = 1 << 16


class Filesystems:
    """Reads through fsspec; raises as `lazyzarr.access.remote.Backend` says."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: dict[tuple[str, str], Any] = {}
        self._stamps: dict[str, Stamp] = {}

    def fetch(self, url: str, span: Span, *, pin: str | None, granted: bool, limit: int | None) -> Answer:
        """Read a span in one call; a pin is compared by the session if fsspec tells a tag."""
        system, path = self._place(url, granted=granted)
        end = None if span.length is None else span.offset + span.length
        if span.whole and limit is None:
            data = self._asked(url, lambda: bytes(system.cat_file(path)))
            found = Stamp(len(data), etag=self._known(url, system, path).etag if pin is not None else None)
        else:
            found = self._known(url, system, path)
            size = found.size
            if span.short and size is not None and end is not None:
                end = min(end, size)
            if size is not None and (span.offset > size or (end is not None and end > size)):
                raise beyond(url, span, size)
            if span.whole and size is not None:
                within(url, size, limit)
            data = self._asked(url, lambda: bytes(system.cat_file(path, start=span.offset, end=end)))
            wanted = end - span.offset if end is not None else None if size is None else size - span.offset
            if wanted is not None and len(data) != wanted:
                raise astray(url, f"{len(data)} bytes came instead of {wanted}", reason="chunk-length")
        self._settings.counts.add(url, moved=len(data))
        return Answer(data, found)

    def stat(self, url: str, *, granted: bool) -> Stamp:
        """Size, and entity tag where the file system tells one."""
        system, path = self._place(url, granted=granted)
        found = self._stamps[url] = self._info(url, system, path)
        return found

    def list_dir(self, url: str, *, granted: bool) -> tuple[str, ...]:
        """Names directly below a location, sorted; `SourceMissing` where there are none."""
        system, path = self._place(url, granted=granted)
        names = {
            str(name).rstrip("/").rpartition("/")[2] for name in self._asked(url, lambda: system.ls(path, detail=False))
        }
        if not names:
            raise missing(url)
        return tuple(sorted(names))

    def _known(self, url: str, system: Any, path: str) -> Stamp:
        found = self._stamps.get(url)
        if found is None:
            found = self._info(url, system, path)
            if len(self._stamps) >= _MOST_SIZES:
                self._stamps.clear()
            self._stamps[url] = found
        return found

    def _info(self, url: str, system: Any, path: str) -> Stamp:
        info = self._asked(url, lambda: system.info(path))
        if info.get("type") == "directory":
            raise missing(url)
        size, tag = info.get("size"), info.get("ETag") or info.get("etag")
        return Stamp(None if size is None else int(size), etag=None if tag is None else str(tag))

    def _asked[T](self, url: str, call: Callable[[], T]) -> T:
        def attempt(deadline: float) -> T | Again:
            self._settings.counts.add(url, requests=1)
            return _tried(url, call)

        return ask(attempt)

    def _place(self, url: str, *, granted: bool) -> tuple[Any, str]:
        place = parse(url, trusted=True)
        if granted and place.scheme != "memory":
            raise AccessDenied(
                f"a document references {shown(url)}; {place.scheme} locations cannot be kept within a grant, so no "
                "document may name them; open the source yourself and build the view on it",
                where=shown(url),
            )
        prefix, options = self._settings.option_for(url)
        key = (place.scheme if not place.authority else f"{place.scheme}://{place.authority}", prefix)
        text = f"{place.scheme}://{place.authority}{unquote(place.path)}"
        system = self._opened.get(key)
        if system is None:
            system = ask(lambda _: _tried(url, lambda: _opened(place.scheme, text, options)))
            with self._lock:
                self._opened[key] = system
        return system, system._strip_protocol(text)


def connect(settings: Settings) -> Filesystems:
    """The backend for every scheme without one of its own."""
    return Filesystems(settings)


def _tried[T](url: str, call: Callable[[], T]) -> T | Again:
    try:
        return call()
    except LazyZarrError:
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise missing(url) from error
    except PermissionError as error:
        raise refused(url, headline(error)) from error
    except (TimeoutError, ConnectionError) as error:
        return Again(unavailable(url, headline(error)))
    except Exception as error:
        # File systems of fsspec raise what their client raises: there is no common class.
        raise unavailable(url, f"{type(error).__name__}: {headline(error)}") from error


def _opened(scheme: str, text: str, options: Any) -> Any:
    try:
        system: Any = fsspec.core.url_to_fs(text, **options)[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except ImportError as error:
        raise ExtraMissing(
            f"a {scheme} location was opened; fsspec needs another package for it ({error}); install that package",
            where=scheme,
        ) from error
    except ValueError as error:
        raise UnsupportedFeature(
            f"a {scheme} location was opened; neither lazyzarr nor fsspec knows that kind ({error}); correct the "
            "location, or copy the data",
            reason="source-unsupported",
            where=shown(text),
        ) from error
    return system
