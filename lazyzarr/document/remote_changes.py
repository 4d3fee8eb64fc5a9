"""Changing several objects of a group in a bucket, where no request changes more than one: all of them, or none.

1. What is new under names made from its content (tables) is put; nobody names it yet.
2. A journal beside the group gets what every other object is to become, and what it has to be before, in one conditional
   request. From here on the change is made, by whoever comes: a writer that was killed leaves it to the next one.
3. Each object is replaced on condition that it is what it was before; the document of the group comes last.
4. Where members of different states would look as if they belonged together, the document of the group says first that
   there is nothing to read, and no reader takes what it finds for a group.
Owns the journal. Refuses to delete: what no document names any more is left. Readers that open members one by one may, for
as long as a change takes, find some that have grown and some that have not.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from lazyzarr.document.decode import generation_of
from lazyzarr.document.plain_array import Content
from lazyzarr.document.tables import FOLDER
from lazyzarr.errors import SaveConflict, SaveUnsupported

JOURNAL = ".lazyzarr-change"
"""Name of the journal below a group."""
NOTHING = b"lazyzarr is changing what is here; read again in a moment\n"
"""What is no metadata of Zarr: stands for a document while members change."""
MOST = 64 << 20
"""Size of what a journal may hold [bytes]."""
_DOCUMENT = "zarr.json"
_ATTEMPTS = 8


class Objects(Protocol):
    """Conditional requests by key, as `lazyzarr.document.remote_publish.Target` has them."""

    def get(self, key: str) -> tuple[bytes, Any] | None:
        """Content and tag of an object, or None."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write an object, whatever is there."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that is not there; False if it is."""
        ...

    def replace(self, key: str, data: bytes, tag: Any) -> bool:
        """Write over the object with this tag; False if it is another one."""
        ...


class _Step(Struct, frozen=True):
    """One object."""

    key: str
    """Below the group."""
    before: bytes | None
    """What it is before the document of the group says nothing; only of that document."""
    old: str | None
    """Generation of what it is before; None: it is not there."""
    new: bytes


class _Journal(Struct, frozen=True):
    token: str
    """Of no other journal: entity tags are made from content, and no two journals may be one."""
    steps: tuple[_Step, ...] = ()
    """The document of the group, which is the last, included; none: nothing is to be done."""
    hides: bool = False
    """Whether the document of the group says nothing meanwhile."""


def change(
    target: Objects,
    prefix: str,
    files: Mapping[str, Content],
    *,
    expected: Mapping[str, str],
    where: str,
    hides: bool = False,
) -> None:
    """Put new files and new content of files of a group in place.

    Parameters
    ----------
    target, prefix
        Where the group is.
    files
        By path below the group; its ``zarr.json`` among them.
    expected
        Path of each document that the change was made from, and its generation.
    hides
        Whether the group cannot be read while it is changed.

    Raises
    ------
    SaveConflict
        A document is another one.
    SaveUnsupported
        There is too much to keep in a journal.
    """
    finish(target, prefix, where)
    key = _key(prefix, JOURNAL)
    there = target.get(key)  # before anything else: whoever changes something after this changes the journal, too
    found = {name: target.get(_key(prefix, name)) for name in expected}
    for name, generation in expected.items():
        held = found[name]
        if held is None or generation_of(held[0]) != generation:
            raise _changed(where)
    tables = {name: content for name, content in files.items() if f"/{FOLDER}/" in f"/{name}"}
    rest = {name: _bytes(content) for name, content in files.items() if name not in tables}
    if (size := sum(map(len, rest.values()))) > MOST:
        raise SaveUnsupported(
            f"change of a group in a bucket by {size:,} bytes that have to change together; at most {MOST:,} are kept in a "
            "journal; save it under a new name",
            where=where,
        )
    steps: list[_Step] = []
    for name, content in sorted(rest.items(), key=lambda item: (item[0] == _DOCUMENT, item[0])):
        held = found[name] if name in found else target.get(_key(prefix, name))
        before = held[0] if hides and name == _DOCUMENT and held is not None else None
        steps.append(_Step(name, before, None if held is None else generation_of(held[0]), content))
    for name, content in tables.items():
        target.put(_key(prefix, name), _bytes(content))
    text = msgspec.json.encode(_Journal(secrets.token_hex(8), tuple(steps), hides))
    if there is not None and _steps(there[0]).steps:
        raise _changed(where)  # somebody else's, who came in between
    done = target.create(key, text) if there is None else target.replace(key, text, there[1])
    if not done and (target.get(key) or (b"",))[0] != text:  # a request that was repeated finds its own work
        raise _changed(where)
    finish(target, prefix, where)


def finish(target: Objects, prefix: str, where: str) -> None:
    """Make the change that a journal tells of, if there is one.

    Raises
    ------
    SaveConflict
        An object was changed by someone who did not look at the journal; what could be changed is.
    """
    key = _key(prefix, JOURNAL)
    found = target.get(key)
    if found is None:
        return
    journal = _steps(found[0])
    if not journal.steps:
        return
    root = journal.steps[-1]
    hidden = journal.hides and root.before is not None
    nothing = generation_of(NOTHING)
    done = True
    if hidden:
        done = _set(target, _key(prefix, root.key), (root.old,), NOTHING, unless=root.new)
    for step in journal.steps[:-1] if done else ():
        done = done and _set(target, _key(prefix, step.key), (step.old,), step.new)
    done = done and _set(target, _key(prefix, root.key), (root.old, nothing) if hidden else (root.old,), root.new)
    now = target.get(key)
    if now is None or now[0] != found[0]:
        return  # somebody else has finished it, and may be further
    if not done and root.before is not None:
        _set(target, _key(prefix, root.key), (nothing,), root.before)
    target.replace(key, msgspec.json.encode(_Journal(secrets.token_hex(8))), now[1])
    if not done:
        raise _changed(where)


def _set(target: Objects, key: str, old: Collection[str | None], new: bytes, *, unless: bytes | None = None) -> bool:
    """Replace an object by another one, if it is one of the old ones; whether it is the new one now, or ``unless``."""
    for _ in range(_ATTEMPTS):
        found = target.get(key)
        if found is not None and found[0] in (new, unless):
            return True
        if (None if found is None else generation_of(found[0])) not in old:
            return False
        if target.create(key, new) if found is None else target.replace(key, new, found[1]):
            return True
    return False


def _steps(text: bytes) -> _Journal:
    return msgspec.json.decode(text, type=_Journal)


def _key(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content()


def _changed(where: str) -> SaveConflict:
    return SaveConflict(
        "save: the group was changed by someone else meanwhile; saving would lose that change; open it again and repeat "
        "yours",
        where=where,
    )
