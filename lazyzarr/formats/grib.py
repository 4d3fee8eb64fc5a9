"""GRIB files: fields of one kind become an array with one message for each chunk.

Owns the use of gribberish's parser for VirtualiZarr, which groups messages into arrays, and the check of every
message that an array refers to. Refuses arrays with a message that would not be decoded right; decodes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gribberish.virtualizarr import GribberishParser
from obstore.store import MemoryStore

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.codecs.grib_messages import check
from lazyzarr.errors import LazyZarrError, SourceChanged, ViewLimitError
from lazyzarr.formats.packing import Packing
from lazyzarr.formats.referenced import Member, Referenced, ReferencedGroup, Unreadable, malformed
from lazyzarr.formats.virtual_datasets import import_virtual

_MOST = 4 << 30
"""Longest file that is scanned [bytes]."""
_NAME = "file.grib"


def import_grib(session: Session, url: str, *, packing: Packing = "auto") -> ReferencedGroup:
    """Describe the arrays that the messages of a file make; ``packing`` has no meaning here.

    Raises
    ------
    SourceProtocolError
        ``source-format``: gribberish finds no messages it knows.
    SourceChanged
        The file was written to while it was read.
    """
    stamp = session.stat(url)
    if (stamp.size or 0) > _MOST:
        raise ViewLimitError("file bytes", stamp.size or 0, _MOST, where=shown(url), remedy="split the file")
    data = bytes(session.read(url, stamp=stamp))
    found = _parsed(data, url)
    if session.stat(url) != stamp:
        raise SourceChanged(f"{shown(url)} was written to while it was opened; open it again")
    group = import_virtual(session, found, packing=packing)
    assert isinstance(group, ReferencedGroup)
    left = _messages(data, url) - _used(group)
    group = _checked(group, data, url)
    if not left:
        return group
    what = f"{len(left)} messages, the first at byte {min(left)}, are in no array: gribberish does not know their kind"
    unread = Unreadable("unread", "source-unsupported", f"open of {shown(url)}; {what}; read them with eccodes")
    return ReferencedGroup(group.name, group.attributes, {**group.members, "unread": unread})


def _messages(data: bytes, url: str) -> set[int]:
    """Where each message of the file begins."""
    found: set[int] = set()
    at = data.find(b"GRIB")
    while at >= 0:
        wide = data[at + 7 : at + 8] == b"\x02"
        length = int.from_bytes(data[at + 8 : at + 16] if wide else data[at + 4 : at + 7], "big")
        if length < 16 or at + length > len(data):
            raise malformed("GRIB", shown(url), f"the message at byte {at} has {length} bytes, the file {len(data)}")
        found.add(at)
        at = data.find(b"GRIB", at + length)
    return found


def _used(group: ReferencedGroup) -> set[int]:
    """Where the messages of the arrays of a group begin."""
    found: set[int] = set()
    for one in group.members.values():
        if isinstance(one, ReferencedGroup):
            found |= _used(one)
        elif isinstance(one, Referenced):
            found.update(one.columns["offset"][one.columns["length"] > 0].tolist())
    return found


class _Registry:
    """Leads every location to the one object that was read."""

    def __init__(self, data: bytes) -> None:
        self._store = MemoryStore()
        self._store.put(_NAME, data)

    def resolve(self, url: str) -> tuple[MemoryStore, str]:
        return self._store, _NAME


def _parsed(data: bytes, url: str) -> Any:
    try:
        return GribberishParser()(url, _Registry(data))
    except BaseException as error:
        # a panic of the library is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        text = str(error).partition("\n")[0]
        raise malformed("GRIB", shown(url), f"gribberish says: {text}") from error


def _checked(group: ReferencedGroup, data: bytes, url: str) -> ReferencedGroup:
    members: dict[str, Member] = {}
    for name, one in group.members.items():
        if isinstance(one, ReferencedGroup):
            members[name] = _checked(one, data, url)
        elif isinstance(one, Referenced):
            members[name] = _message(one, data, url)
        elif isinstance(one, Unreadable):
            members[name] = one
    return ReferencedGroup(group.name, group.attributes, members)


def _message(one: Referenced, data: bytes, url: str) -> Referenced | Unreadable:
    chunk = int(np.prod(one.layout.chunk_shape, dtype=np.int64))
    try:
        for offset, length in zip(one.columns["offset"].tolist(), one.columns["length"].tolist(), strict=True):
            if length and check(data[offset : offset + length]) != chunk:
                raise malformed("GRIB", shown(url), f"the message at byte {offset} has another grid than its array")
    except LazyZarrError as error:
        return Unreadable(one.name, "source-unsupported", f"array {one.name!r} of {shown(url)}: {error.args[0]}")
    return one
