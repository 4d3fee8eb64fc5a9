"""Which paths below a store have something, asked for with few requests.

Owns the three ways: directories and buckets are listed, once for each folder; where there is no listing, every path is
asked for, several at a time. Refuses to open anything.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.url import child, parse
from lazyzarr.definition.files import location
from lazyzarr.errors import LazyZarrError, SourceMissing, UnsupportedFeature

THREADS = 16
"""Paths that are asked for at a time where there is no listing."""
WORTH = 16
"""From this number of paths in a directory on, it is listed before they are opened."""
WORTH_REMOTE = 1_000
"""The same of a folder of a bucket, which may have very many others."""


def present(session: Session, store: str, paths: Sequence[str]) -> np.ndarray:
    """Whether there is a file, or a directory, at each path.

    Raises
    ------
    LazyZarrError
        The storage fails; a folder that is not there does not.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "a.nc").write_text("")
    ...     present(Session(), pathlib.Path(folder).as_uri(), ["a.nc", "b.nc", "none/c.nc"]).tolist()
    [True, False, False]
    """
    found = np.zeros(len(paths), bool)
    folders, asked = _folders({number: location(store, path) for number, path in enumerate(paths)})
    for folder, names in folders.items():
        listed = _listed(session, folder)
        if listed is None:
            asked |= {number: f"{folder}/{name}" for name, numbers in names.items() for number in numbers}
            continue
        for name in names.keys() & listed:
            found[names[name]] = True
    if asked:
        with ThreadPoolExecutor(THREADS) as pool:
            found[list(asked)] = list(pool.map(lambda url: _is_there(session, url), asked.values()))
    return found


def absent(session: Session, store: str, paths: Sequence[str]) -> np.ndarray:
    """Where there is certainly nothing, so that no file has to be opened to learn that.

    Only folders that many of the paths are in are listed; what cannot be listed is not known to be absent.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "7.nc").write_text("")
    ...     int(absent(Session(), pathlib.Path(folder).as_uri(), [f"{k}.nc" for k in range(20)]).sum())
    19
    """
    nothing = np.zeros(len(paths), bool)
    urls: dict[int, str] = {}
    for number, path in enumerate(paths):
        try:
            urls[number] = location(store, path)
        except LazyZarrError:
            continue  # who opens it says what is wrong with it
    for folder, names in _folders(urls)[0].items():
        if len(names) < (WORTH if folder.startswith("file://") else WORTH_REMOTE):
            continue
        try:
            listed = _listed(session, folder)
        except LazyZarrError:
            continue  # files may be read where folders may not; if not, each says so
        if listed is None:
            continue
        there = {_folded(name) for name in listed}
        nothing[[number for name, numbers in names.items() if _folded(name) not in there for number in numbers]] = True
    return nothing


def _folded(name: str) -> str:
    """A name without what some file systems do not tell apart."""
    return unicodedata.normalize("NFC", unquote(name)).casefold()


def _folders(urls: Mapping[int, str]) -> tuple[dict[str, dict[str, list[int]]], dict[int, str]]:
    """Numbers of locations by folder and name, and locations that are in no folder."""
    folders: dict[str, dict[str, list[int]]] = {}
    others: dict[int, str] = {}
    for number, url in urls.items():
        if "?" in url:
            others[number] = url
            continue
        folder, _, name = url.rstrip("/").rpartition("/")
        folders.setdefault(folder, {}).setdefault(name, []).append(number)
    return folders, others


def _listed(session: Session, folder: str) -> frozenset[str] | None:
    """Names in a folder, as they are in locations; None where there is no listing."""
    if not folder.startswith("file://") and not parse(folder, trusted=True).path:
        return None
    try:
        return frozenset(child(folder, name).rpartition("/")[2] for name in session.list_dir(folder))
    except SourceMissing:
        return frozenset()
    except UnsupportedFeature:
        return None


def _is_there(session: Session, url: str) -> bool:
    return session.exists(url) or ("?" not in url and session.exists(child(url, "zarr.json")))
