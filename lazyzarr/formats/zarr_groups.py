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
    members: tuple[str, ...] | None
    """Names directly below, where consolidated metadata has them."""


def read_group_metadata(document: bytes, attributes: bytes | None = None) -> GroupInfo:
    """Attributes and members of a group from ``zarr.json``, or from ``.zgroup`` and ``.zattrs``.

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
        return GroupInfo("group", _object(attributes) if attributes else {}, None)
    if found.get("zarr_format") != 3 or found.get("node_type") not in ("group", "array"):
        raise SourceProtocolError(
            f"Zarr metadata has zarr_format {found.get('zarr_format')!r} and node_type {found.get('node_type')!r}; "
            "version 3 nodes are groups or arrays; check the location",
            reason="source-format",
        )
    consolidated = found.get("consolidated_metadata")
    members: tuple[str, ...] | None = None
    if isinstance(consolidated, dict) and isinstance(consolidated.get("metadata"), dict):
        members = tuple(sorted(name for name in consolidated["metadata"] if "/" not in name))
    return GroupInfo(found["node_type"], dict(found.get("attributes") or {}), members)


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
