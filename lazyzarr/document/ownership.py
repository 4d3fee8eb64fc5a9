"""What is at a place where something is to be saved: nothing, a view, a group of ours, or someone else's data.

Owns the answer, from the metadata and the names in the directory. Refuses to call anything ours that has a part which
lazyzarr did not write: a group that gained a foreign array is foreign.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import msgspec
from msgspec import Struct

from lazyzarr.document.wire import ATTRIBUTE, CONVENTIONS, is_ours


class Existing(Struct, frozen=True):
    """What is there."""

    kind: Literal["empty", "view", "group", "foreign"]
    what: str
    """In words."""
    text: bytes = b""
    """Of its ``zarr.json``."""
    tables: frozenset[str] = frozenset()
    """Folders of tables that its document names."""


class _Table(Struct, frozen=True):
    folder: str | None = None


class _Graph(Struct, frozen=True):
    tables: dict[str, _Table] = {}


class _Manifest(Struct, frozen=True):
    graph: _Graph = _Graph()


class _View(Struct, frozen=True):
    graph: _Graph = _Graph()
    manifest: _Manifest = _Manifest()


class _Consolidated(Struct, frozen=True):
    metadata: dict[str, Any] = {}


class _Group(Struct, frozen=True):
    zarr_format: int
    node_type: str
    attributes: dict[str, msgspec.Raw] = {}
    consolidated_metadata: _Consolidated | None = None


def examine(path: str) -> Existing:
    """What is at a path; the path exists.

    Raises
    ------
    OSError
        It cannot be read.
    """
    if not os.path.isdir(path):
        return Existing("foreign", "a file")
    names = {name for name in os.listdir(path) if not name.startswith(".")}
    if not names:
        return Existing("empty", "an empty directory")
    if "zarr.json" not in names:
        return Existing("foreign", "a directory of other files")
    with open(os.path.join(path, "zarr.json"), "rb") as file:
        text = file.read()
    return examine_text(text, names)


def examine_text(text: bytes, names: set[str] | None = None) -> Existing:
    """What a node with this ``zarr.json`` and these names in it is; without names, they are not looked at."""
    try:
        group = msgspec.json.decode(text, type=_Group)
        conventions = msgspec.json.decode(group.attributes.get(CONVENTIONS, b"[]"), type=list[Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Existing("foreign", "a node that is no Zarr v3 node")
    if group.node_type != "group" or not any(is_ours(entry) for entry in conventions):
        return Existing("foreign", f"a Zarr {group.node_type}", text)
    raw = group.attributes.get(ATTRIBUTE)
    if raw is not None:
        return Existing("view", "a saved view", text, _folders(raw))
    known = {"zarr.json", *(key.split("/")[0] for key in (group.consolidated_metadata or _Consolidated()).metadata)}
    others = sorted((names or set()) - known)
    if others:
        return Existing("foreign", f"a group that also holds {', '.join(others[:5])}", text)
    return Existing("group", "a saved group", text)


def _folders(raw: msgspec.Raw) -> frozenset[str]:
    """Folders of tables; none are known of a document in a form of another version."""
    try:
        view = msgspec.json.decode(raw, type=_View)
    except msgspec.ValidationError:
        return frozenset()
    tables = (*view.graph.tables.values(), *view.manifest.graph.tables.values())
    return frozenset(table.folder for table in tables if table.folder is not None)
