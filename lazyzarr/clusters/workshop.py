"""The directory beside the target in which a copy is made, kept when the copy is stopped: `Workshop`.

1. ``.<name>.copying`` holds a record of what is being copied, the regions that are done, and the growing node.
2. A copy that starts there with the same record goes on; with another one it is refused, so that two are never mixed.
3. When all regions are done the metadata is written, and the node is moved to the target in one step.
Owns these steps, and what may be replaced. Refuses to share the directory with another process that is at work.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from lazyzarr.document import publish
from lazyzarr.document.exchange import exchange
from lazyzarr.document.ownership import Existing, examine
from lazyzarr.errors import SaveConflict
from lazyzarr.materializing import UNFINISHED, write_whole

_RECORD, _DONE = "record.json", "done"


failures_named = partial(
    publish.failures_named,
    what="copy",
    then="what is written is kept; free space or check the disk, and run the copy again",
)
"""Errors of the storage as errors of the copy."""


def check_replaceable(existing: Existing, target: str, kind: str, *, overwrite: bool) -> None:
    """Return if an array or a group, by ``kind``, may take the place of what is there.

    Raises
    ------
    SaveConflict
        It is not to be replaced, or is something else.
    """
    if not overwrite:
        raise SaveConflict(
            f"copy: the target exists ({existing.what}); nothing is replaced unasked; choose another name or pass "
            "overwrite=True",
            where=target,
        )
    if existing.kind == "foreign" and existing.what != f"a Zarr {kind}":
        raise SaveConflict(
            f"copy: the target is {existing.what}; an {kind} replaces Zarr nodes of its kind and what lazyzarr saved; "
            "remove it yourself or choose another name",
            where=target,
        )


class Workshop:
    """Where the copy to one target is made.

    Parameters
    ----------
    target
        Path of the node that will be there.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        parent, name = os.path.split(target)
        self.path = os.path.join(parent, f".{name}.copying")
        self.node = ""
        """Path of the growing node, once entered; another one for every record, so that workers that were left behind by
        a copy of something else do not write into it."""
        self._lock = -1
        self._done: Any = None

    def check_target(self, kind: str, overwrite: bool) -> None:
        """Whether the target may be written, or replaced by an array or a group.

        Raises
        ------
        SaveConflict
            It exists and is not to be replaced, or is something else.
        """
        if not os.path.lexists(self.target):
            return
        existing = examine(self.target)
        if existing.kind == "empty":
            return
        check_replaceable(existing, self.target, kind, overwrite=overwrite)

    def enter(self, record: dict[str, Any], *, resume: bool) -> tuple[dict[str, Any], set[str]]:
        """Take possession of the directory: the record to go by, and the regions that are done.

        Raises
        ------
        SaveConflict
            Another process is at work there, or it was stopped while it copied something else.
        """
        while not self._locked():
            pass  # a copy that was at its end has removed the directory meanwhile
        if not resume:
            self._clear()
        known = self._known()
        self.node = os.path.join(self.path, f"node-{digest(record)}")
        if known is not None and digest(known) != digest(record):
            raise SaveConflict(
                f"copy: {self.path} has a part of the copy of another view, or of this one with other sources, chunks or "
                "codecs; the two are never mixed; pass resume=False to start anew, or choose another name",
                where=self.target,
            )
        if known is None or not os.path.isdir(self.node):
            self._clear()
            os.makedirs(self.node, exist_ok=True)
            write_whole(os.path.join(self.path, _RECORD), msgspec.json.encode(record))
        self._done = open(os.path.join(self.path, _DONE), "ab+")  # noqa: SIM115  # closed by leave
        return known or record, self._regions()

    def site(self, path: str) -> str:
        """The directory of an array."""
        root = os.path.join(self.node, path) if path else self.node
        with failures_named(root):
            os.makedirs(root, exist_ok=True)
        return root

    def note(self, region: str) -> None:
        """Remember that a region is done."""
        self._done.write(f"{region}\n".encode())
        self._done.flush()

    def publish(self, documents: dict[str, bytes]) -> None:
        """Write the metadata, move the node to the target, and let go of the rest."""
        for name, text in documents.items():
            file = os.path.join(self.node, name)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            write_whole(file, text)
        for folder, _, names in os.walk(self.node, topdown=False):
            for name in names:
                if name.endswith(UNFINISHED):  # of a writer that was killed
                    os.unlink(os.path.join(folder, name))
            sync(folder)
        # from here on the node is no part of a copy that could go on: it may be what was at the target before
        os.unlink(os.path.join(self.path, _RECORD))
        sync(self.path)
        if not os.path.lexists(self.target):
            os.rename(self.node, self.target)
        elif not exchange(self.node, self.target):
            aside = os.path.join(self.path, "before")
            os.rename(self.target, aside)
            try:
                os.rename(self.node, self.target)
            except OSError:
                os.rename(aside, self.target)
                raise
        sync(os.path.dirname(self.target))
        shutil.rmtree(self.path)

    def leave(self) -> None:
        """Let go of the directory; what is in it stays for the next run."""
        if self._done is not None:
            self._done.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _known(self) -> dict[str, Any] | None:
        with suppress(FileNotFoundError), open(os.path.join(self.path, _RECORD), "rb") as file:
            return msgspec.json.decode(file.read())
        return None

    def _locked(self) -> bool:
        os.makedirs(self.path, exist_ok=True)
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.leave()
            raise SaveConflict(
                "copy: another copy to this target is under way; wait for it, or choose another name", where=self.target
            ) from error
        except OSError as error:
            if error.errno not in publish.NO_LOCKS:
                raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._lock), os.stat(self.path)):
                return True
        self.leave()
        return False

    def _regions(self) -> set[str]:
        """Whole lines; a line that was cut off is taken away, so that the next one begins anew."""
        self._done.seek(0)
        text = self._done.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._done.truncate(len(whole))
        return set(whole.decode().split("\n"))

    def _clear(self) -> None:
        for name in os.listdir(self.path):
            place = os.path.join(self.path, name)
            shutil.rmtree(place) if os.path.isdir(place) else os.unlink(place)


def digest(record: dict[str, Any]) -> str:
    """Of what is the same in every run of one copy; how it is divided into regions may differ."""
    text = msgspec.json.encode({**record, "regions": None}, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]


def sync(folder: str) -> None:
    """Make the names in a directory last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
