"""Run a server: `serve`.

Owns the socket and the thread of a server, by way of zarr-http-server and uvicorn. Refuses to serve what cannot be opened, before a
socket is bound.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import zarr_http_server

from lazyzarr.api import open as open_views
from lazyzarr.errors import SaveUnsupported
from lazyzarr.group import Group, for_others
from lazyzarr.serving.front import Front
from lazyzarr.serving.keys import ServedStore
from lazyzarr.serving.landing import landing

MOST = 8
"""Values that are made at the same time."""


class Server:
    """A server that runs in a thread, until it is closed."""

    def __init__(self, running: zarr_http_server.BackgroundServer) -> None:
        self._running = running

    @property
    def url(self) -> str:
        """Where the views are.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> with lz.serve(lz.full((2,), 1, dtype="int8")) as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
        """
        return str(self._running.url)

    def close(self) -> None:
        """Stop; requests that are being answered are finished.

        Examples
        --------
        >>> import lazyzarr as lz
        >>> lz.serve(lz.full((2,), 1, dtype="int8")).close()
        """
        self._running.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    views: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    origins: Iterable[str] = ("*",),
    rectilinear: bool = False,
    most: int = MOST,
    allow: Iterable[str | os.PathLike[str]] = (),
) -> Server:
    """Serve views over HTTP as plain Zarr v3, to any client in any language.

    Parameters
    ----------
    views
        A view, a group, a mapping from names to these, or what `lazyzarr.open` takes.
    host, port
        Where to listen; by default for this machine alone, at a free port.
    origins
        Web pages of which origins may read ("*": all). None of it gives a page the rights of a person.
    rectilinear
        Whether chunks along an axis may have different lengths; most readers know none but regular grids.
    most
        Values that are made at the same time, each in as much memory as a chunk takes.
    allow
        As `lazyzarr.open`, where ``views`` is a location.

    Returns
    -------
    Server
        Running in a thread; a context manager.

    Raises
    ------
    SourceError, ViewError
        As `lazyzarr.open`.
    SaveUnsupported
        There is nothing that could be served.

    Examples
    --------
    >>> import lazyzarr as lz, numpy as np, urllib.request
    >>> with lz.serve(lz.open(np.arange(4, dtype="int8"))) as server:
    ...     list(urllib.request.urlopen(server.url + "/c/0").read())
    [0, 1, 2, 3]
    """
    app = application(views, origins=origins, rectilinear=rectilinear, most=most, allow=allow)
    options: Mapping[str, object] = {"log_level": "warning", "access_log": False}
    return Server(zarr_http_server.serve_background(app, host=host, port=port, uvicorn_options=options))


def application(
    views: Any,
    *,
    origins: Iterable[str] = ("*",),
    rectilinear: bool = False,
    most: int = MOST,
    allow: Iterable[str | os.PathLike[str]] = (),
) -> Any:
    """The ASGI application of `serve`, for servers of one's own.

    Examples
    --------
    >>> import lazyzarr as lz
    >>> callable(application(lz.full((2,), 1, dtype="int8")))
    True
    """
    if most < 1:
        raise SaveUnsupported(f"serve with most={most}; at least one value is made at a time")
    opened = Group.of(views) if isinstance(views, Mapping) else open_views(views, allow=allow)
    if isinstance(opened, Group):
        opened = for_others(opened)
    origins = list(origins)
    store = ServedStore(opened, most=most, rectilinear=rectilinear)
    cors: zarr_http_server.CorsOptions = {
        "allow_origins": origins,
        "allow_methods": ["GET", "HEAD"],
        "allow_headers": ["Range", "If-Match", "If-None-Match", "If-Range"],
        "expose_headers": ["Content-Range", "ETag", "Accept-Ranges"],
    }
    keys = zarr_http_server.store_app(store, cors_options=cors)
    return Front(keys, store, lambda url: landing(opened, url), origins)
