"""Zarr group metadata, version 3 and 2: attributes and, where consolidated, the names of the members.

Owns the reading of group documents. Refuses to list storage: without consolidated metadata the members are not
known from here.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from lazyzarr.errors import SourceProtocolError


class GroupInfo(Struct, frozen=True):
    """What the metadata of a Zarr node says of it as a group."""

    node_type: str
    attributes: dict[str, Any]
    paths: tuple[str, ...] | None
    """Paths of all nodes below, where consolidated metadata has them."""


def read_group_metadata(
    document: bytes, attributes: bytes | None = None, consolidated: bytes | None = None
) -> GroupInfo:
    """Attributes and members of a group from ``zarr.json``, or from ``.zgroup``, ``.zattrs`` and ``.zmetadata``.

    Raises
    ------
    SourceProtocolError
        ``source-format`` when the text is not the metadata of a Zarr node.

    Examples
    --------
    >>> read_group_metadata(b'{"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}').attributes
    {'a': 1}
    """
    found = _object(document)
    if found.get("zarr_format") == 2:
        members = _object(consolidated).get("metadata") if consolidated else None
        return GroupInfo("group", _object(attributes) if attributes else {}, _v2_paths(members))
    if found.get("zarr_format") != 3 or found.get("node_type") not in ("group", "array"):
        raise SourceProtocolError(
            f"Zarr metadata has zarr_format {found.get('zarr_format')!r} and node_type {found.get('node_type')!r}; "
            "version 3 nodes are groups or arrays; check the location",
            reason="source-format",
        )
    held = found.get("attributes") or {}
    if not isinstance(held, dict):
        raise SourceProtocolError(
            f"Zarr metadata has attributes that are a {type(held).__name__}; attributes are a JSON object; "
            "check the source",
            reason="source-format",
        )
    members = found.get("consolidated_metadata")
    members = members.get("metadata") if isinstance(members, dict) else None
    return GroupInfo(found["node_type"], held, tuple(sorted(members)) if isinstance(members, dict) else None)


def _v2_paths(members: Any) -> tuple[str, ...] | None:
    """Paths of the nodes whose metadata documents are kept together."""
    if not isinstance(members, dict):
        return None
    documents = (path.rpartition("/") for path in members)
    return tuple(sorted(node for node, _, key in documents if node and key in (".zarray", ".zgroup")))


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceProtocolError(
            f"Zarr metadata is not JSON ({error}); the object is damaged or is something else", reason="source-format"
        ) from error
    if not isinstance(found, dict):
        raise SourceProtocolError("Zarr metadata is not a JSON object; check the location", reason="source-format")
    return found
