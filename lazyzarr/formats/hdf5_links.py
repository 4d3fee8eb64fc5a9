"""Links of HDF5 files, followed by hand.

Owns the way from a path to an object. Soft links are expanded here, because libhdf5 would also cross an external
link on the way without asking. Refuses to cross one: it hands back where it points.
"""

# h5py's low-level modules are compiled and have no stubs
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from h5py import h5, h5g, h5l, h5o, h5p

from lazyzarr.access.url import shown
from lazyzarr.errors import SourceMissing, UnsupportedFeature
from lazyzarr.formats import hdf5_attributes as attributes
from lazyzarr.formats.hdf5_file import File

MAX_HOPS = 16
"""Soft and external links followed for one name, and files crossed, before giving up."""


@dataclass(frozen=True)
class Elsewhere:
    """Where an external link points."""

    filename: str
    inner: str


def links(group: Any) -> list[tuple[bytes, int, int]]:
    """Names, kinds and addresses of links: in order of creation where the group keeps it, by name otherwise."""
    order = group.get_create_plist().get_link_creation_order()
    found_links: list[tuple[bytes, int, int]] = []
    group.links.iterate(
        lambda name, info: found_links.append((name, info.type, info.u)),
        info=True,
        idx_type=h5.INDEX_CRT_ORDER if order & h5p.CRT_ORDER_TRACKED else h5.INDEX_NAME,
    )
    return found_links


def resolve(file: File, inner: str, hops: int = 0) -> Any:
    """The object at a path, or `Elsewhere`; soft links are expanded here and not by libhdf5.

    Raises
    ------
    SourceMissing
        Nothing has that path.
    UnsupportedFeature
        Too many links on the way.
    """
    parts = [part for part in inner.split("/") if part not in ("", ".")]
    obj: Any = h5g.open(file.fid, b"/")
    for position, part in enumerate(parts):
        raw = part.encode()
        if not isinstance(obj, h5g.GroupID) or not obj.links.exists(raw):
            raise SourceMissing(
                f"{inner} of {shown(file.url)} is not there; /{'/'.join(parts[:position])} has no {part!r}"
            )
        kind = obj.links.get_info(raw).type
        if kind == h5l.TYPE_HARD:
            obj = h5o.open(obj, raw)
            continue
        if hops >= MAX_HOPS:
            raise UnsupportedFeature(
                f"{inner} of {shown(file.url)} goes through more than {MAX_HOPS} links; a chain that long is taken for a"
                " cycle; name the target itself",
                reason="source-unsupported",
            )
        rest = "/".join(parts[position + 1 :])
        if kind == h5l.TYPE_EXTERNAL:
            filename, target = obj.links.get_val(raw)
            return Elsewhere(attributes.text(filename), "/" + f"{attributes.text(target)}/{rest}".strip("/"))
        target = attributes.text(obj.links.get_val(raw))
        base = "" if target.startswith("/") else "/".join(parts[:position])
        return resolve(file, f"{base}/{target}/{rest}", hops + 1)
    return obj
