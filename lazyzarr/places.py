"""Where views are saved: a directory, a bucket, or a Zarr store of the user.

Owns reading the document that is at such a place and putting a new one there. Refuses to decide what is put.
"""

from __future__ import annotations

import importlib
import os
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from lazyzarr.access.session import Session
from lazyzarr.access.url import child, from_user, to_path
from lazyzarr.document.decode import generation_of
from lazyzarr.document.encode import EncodedView
from lazyzarr.document.plain_array import Content
from lazyzarr.document.publish import publish, publish_changes
from lazyzarr.errors import SaveConflict, SaveUnsupported, SourceMissing

_ATTEMPTS = 60
_LONGEST_PAUSE = 0.2
"""Between two attempts [s]."""


class Place:
    """A place of a user for a Zarr group.

    Parameters
    ----------
    target
        A path, a URL, or a Zarr store.
    storage_options
        ``{prefix: options}`` for remote places; never stored.
    """

    def __init__(self, target: Any, storage_options: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.session = Session(storage_options)
        self._store = _zarr_store(target)
        self.url = from_user(target) if self._store is None else self.session.add_store(self._store).rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether it is a directory."""
        return self.url.startswith("file://")

    def document(self, below: str = "") -> bytes:
        """The ``zarr.json`` of the node there, or of one at a path below.

        Raises
        ------
        SourceMissing
            There is none.
        """
        url = child(self.url, f"{below}/zarr.json" if below else "zarr.json")
        try:
            return bytes(self.session.read(url))
        except SourceMissing as error:
            raise SourceMissing(
                "there is no saved view or group; only what was saved can be changed; check the path, or save it first",
                where=url,
            ) from error

    def put(
        self,
        files: EncodedView | Mapping[str, Content],
        *,
        overwrite: bool = False,
        expected: str | None = None,
        sweep: bool = True,
    ) -> None:
        """Put a view or the files of a group there, as `lazyzarr.document.publish.publish`."""
        if self.is_local:
            publish(to_path(self.url), files, overwrite=overwrite, expected=expected, sweep=sweep)
            return
        # object stores need optional packages
        remote = importlib.import_module("lazyzarr.document.remote_publish")
        if self.url.startswith("store://"):  # a store that is nowhere else
            remote.publish_store(self._store, "", files, overwrite=overwrite, expected=expected)
        else:
            remote.publish_remote(self.url, files, session=self.session, overwrite=overwrite, expected=expected)

    def change(
        self,
        files: Mapping[str, Content],
        *,
        expected: Mapping[str, str],
        gone: Collection[str] = (),
        hides: bool = False,
    ) -> None:
        """Put changed files of the group there in place, all in one step; in a bucket by way of a journal.

        Parameters
        ----------
        files, expected, gone
            As `lazyzarr.document.publish.publish_changes`; in a bucket nothing is let go of.
        hides
            Whether a reader that finds some of it changed could take it for what it is not.
        """
        if self.is_local:
            publish_changes(to_path(self.url), files, expected=expected, gone=gone)
            return
        if self.url.startswith("store://"):
            raise SaveUnsupported(
                "change of a group in a Zarr store; several objects cannot be changed in one step there; change its views "
                "one by one, or give the URL of the group",
                where=self.url,
            )
        remote = importlib.import_module("lazyzarr.document.remote_publish")
        remote.change_remote(self.url, files, session=self.session, expected=expected, hides=hides)

    def finish(self) -> None:
        """Finish a change of a group in a bucket that somebody began and did not end."""
        if not self.is_local and not self.url.startswith("store://"):
            importlib.import_module("lazyzarr.document.remote_publish").finish_remote(self.url, session=self.session)


class Outdated(SaveConflict):
    """What a change was made for is no more, so that making it again would not help."""


def repeated[T](place: Place, change: Callable[[bytes], T]) -> T:
    """Make a change of the document at a place, once more whenever someone else changed it meanwhile.

    Parameters
    ----------
    change
        Called with the text of the document; publishes on condition that this text is still there.

    Raises
    ------
    SaveConflict
        Others changed it again and again, or it cannot be changed at all.
    """
    for attempt in range(_ATTEMPTS):
        text = place.document()
        try:
            return change(text)
        except Outdated:
            raise
        except SaveConflict:
            if attempt == _ATTEMPTS - 1 or generation_of(place.document()) == generation_of(text):
                raise
        time.sleep(random.random() * min(0.002 * 2**attempt, _LONGEST_PAUSE))
    raise AssertionError("the last attempt returns or raises")


def _zarr_store(target: Any) -> Any:
    """A Zarr store that a user gave as the target, or None for paths and URLs."""
    if isinstance(target, str | os.PathLike):
        return None
    if type(target).__module__.partition(".")[0] == "zarr":
        return target
    raise SaveUnsupported(
        f"save to a {type(target).__name__}; views are saved to paths, URLs and Zarr stores; give one of them"
    )
