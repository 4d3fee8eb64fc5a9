"""What is to be written: views by path, flattened, with the chunks that are really there.

Owns the walk over a group (anything that maps names to views and groups), and the question whether objects under chunk
keys exist: a plain format has no "perhaps", so each is asked for once. Refuses what is neither a view nor a mapping,
names with slashes, and objects that live in this process only.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.graph import Graph
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, AlignedManifest
from lazyzarr.lower.naming import NUMBERED, Naming, listed_nodes

_THREADS = 16
_HERE_ONLY = ("store://", "memory://")


@runtime_checkable
class Flattens(Protocol):
    """A view, or the manifest of one, as far as writers know it."""

    def flatten(self, *, rectilinear: bool = True) -> AlignedManifest:
        """Its flat manifest."""
        ...


@dataclasses.dataclass(frozen=True)
class Source:
    """One node to be written: a group, or an array."""

    path: str
    attributes: Mapping[str, Any]
    array: Flattens | None


@contextmanager
def with_nodes(array: Any) -> Generator[None]:
    """A refusal inside tells which nodes of the view decide how its bytes are stored, too.

    A manifest that was made before has no nodes any more.
    """
    try:
        yield
    except SaveUnsupported as error:
        graph = getattr(array, "ir", None)
        if isinstance(graph, Graph):
            nodes = listed_nodes(Naming(graph).of_storage()).strip()
            error.args = (f"{error.args[0]}; it is made of {nodes}; {NUMBERED}",)
        raise


def sources(given: Any, name: str) -> Iterator[Source]:
    """The nodes of a view or group, groups before their members; a view alone becomes the array `name`.

    Raises
    ------
    SaveUnsupported
        Something is neither a view nor a mapping, or its name cannot be one.
    """
    if isinstance(given, Flattens):
        yield Source("", {}, None)
        yield Source(_name(name), {}, given)
        return
    if not isinstance(given, Mapping):
        raise SaveUnsupported(
            f"write of a {type(given).__name__}; views and groups of views are written; open it first"
        )
    yield from _group("", cast("Mapping[Any, Any]", given))


def _group(path: str, members: Mapping[Any, Any]) -> Iterator[Source]:
    yield Source(path, getattr(members, "attrs", {}), None)
    for key in members:
        below = f"{path}/{_name(key)}".lstrip("/")
        member = members[key]
        if isinstance(member, Flattens):
            yield Source(below, {}, member)
        elif isinstance(member, Mapping):
            yield from _group(below, cast("Mapping[Any, Any]", member))
        else:
            raise SaveUnsupported(
                f"write of {below!r}, a {type(member).__name__}; members are views and groups; open it with lz.open",
                where=below,
            )


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name or "/" in name or name in (".", "..") or name.startswith(".z"):
        raise SaveUnsupported(f"write of a member with the name {name!r}; names are texts without slashes; rename it")
    return name


def flat_of(source: Source, *, rectilinear: bool = False) -> AlignedManifest:
    """The flat manifest of an array, with the chunks that are there.

    Raises
    ------
    NotFlat
        With every problem.
    SaveUnsupported
        Chunks are in this process only.
    """
    assert source.array is not None
    flat = present(source.array.flatten(rectilinear=rectilinear))
    for origin in flat.origins:
        if origin.location.startswith(_HERE_ONLY):
            raise SaveUnsupported(
                f"write of {source.path!r}; its source {shown(origin.location)} is in this process only and nobody else "
                "can open it; write it to storage and open that",
                where=source.path,
            )
    return flat


def present(flat: AlignedManifest) -> AlignedManifest:
    """The manifest with chunks under keys that storage does not have as missing; one request for each such chunk."""
    keyed = np.array([origin.keys is not None for origin in flat.origins], bool)
    if not keyed.any():
        return flat
    rows = np.flatnonzero(flat.state == OBJECT)
    rows = rows[keyed[flat.origin[rows]]]
    session = cast(Session, flat.reader.session)
    places = list(zip(flat.urls(rows), flat.grants(rows), strict=True))
    with ThreadPoolExecutor(_THREADS) as pool:
        there = np.array(list(pool.map(lambda place: session.exists(place[0], grant=place[1]), places)), bool)
    gone = rows[~there]
    state, length, origin = flat.state.copy(), flat.length.copy(), flat.origin.copy()
    state[gone], length[gone], origin[gone] = MISSING, 0, -1
    return dataclasses.replace(flat, state=state, length=length, origin=origin)


def lengths_of(flat: AlignedManifest, rows: np.ndarray, what: str) -> list[int]:
    """Lengths of whole objects: from their pins, or asked for [bytes].

    Raises
    ------
    SaveUnsupported
        The storage does not say, and `what` needs them.
    """
    found: list[int] = []
    session = cast(Session, getattr(flat.reader, "session", None))
    for url, stamp, grant in zip(flat.urls(rows), flat.stamps(rows), flat.grants(rows), strict=True):
        size = stamp.size if stamp is not None else None
        if size is None:
            size = session.stat(url, grant=grant).size
        if size is None:
            raise SaveUnsupported(
                f"write of {what}; the storage does not say how long {url.partition('?')[0]} is; write kerchunk "
                "references, which name whole objects"
            )
        found.append(size)
    return found


def counts(flat: AlignedManifest) -> tuple[int, int, int]:
    """References, those of them that have a pin, and chunks in memory."""
    inline = int((flat.state == INLINE).sum())
    stored = np.flatnonzero((flat.state != MISSING) & (flat.state != INLINE))
    pinned = np.array([origin.stamp is not None for origin in flat.origins], bool)
    return len(stored), int(pinned[flat.origin[stored]].sum()) if len(pinned) else 0, inline


def json_attributes(attributes: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Attributes as JSON values; NumPy scalars and arrays become numbers and lists.

    Raises
    ------
    SaveUnsupported
        An attribute has no JSON form.

    Examples
    --------
    >>> json_attributes({"valid_range": np.array([0, 5], "i2")}, "x")
    {'valid_range': [0, 5]}
    """
    out: dict[str, Any] = {}
    for name, value in attributes.items():
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        try:
            json.dumps(plain)
        except (TypeError, ValueError) as error:
            raise SaveUnsupported(
                f"write of {path!r}; the attribute {name!r} is a {type(value).__name__}, which is not JSON; convert it",
                where=path,
            ) from error
        out[str(name)] = plain
    return out
