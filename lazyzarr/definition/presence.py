"""Which paths below a store have something, asked for with few requests.

Owns the three ways: directories and buckets are listed, once for each folder; where there is no listing, every path is
asked for, several at a time. Refuses to open anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.url import child, parse
from lazyzarr.definition.files import location
from lazyzarr.errors import SourceMissing, UnsupportedFeature

THREADS = 16
"""Paths that are asked for at a time where there is no listing."""


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
    folders: dict[str, dict[str, list[int]]] = {}
    asked: dict[int, str] = {}
    for number, path in enumerate(paths):
        url = location(store, path)
        if "?" in url:
            asked[number] = url
            continue
        folder, _, name = url.rstrip("/").rpartition("/")
        folders.setdefault(folder, {}).setdefault(name, []).append(number)
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
