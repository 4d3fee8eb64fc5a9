"""Members of a saved group, and lengths that they have to agree about.

Owns finding the views and arrays of a saved group, and the one rule between them: where all members of a group have
one length of a dimension, they still have one length of it after a change. Refuses to look inside views.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from lazyzarr.document.wire import ATTRIBUTE
from lazyzarr.errors import SourceMissing
from lazyzarr.places import Place


class Lengths(NamedTuple):
    """What a member of a group is, as far as other members have to agree with it."""

    dims: tuple[str | None, ...]
    shape: tuple[int, ...]


def is_view(text: bytes) -> bool:
    """Whether a metadata document is that of a saved view."""
    return ATTRIBUTE in msgspec.json.decode(text).get("attributes", {})


def members_of(place: Place, root: bytes) -> tuple[dict[str, bytes], list[str]]:
    """Metadata of the views and arrays of a group, by path, and what is missing of them."""
    nodes: dict[str, Any] = msgspec.json.decode(root).get("consolidated_metadata", {}).get("metadata", {})
    views = {name for name, node in nodes.items() if ATTRIBUTE in node.get("attributes", {})}
    arrays = {
        name
        for name, node in nodes.items()
        if node["node_type"] == "array" and not any(name.startswith(f"{view}/") for view in views)
    }
    texts: dict[str, bytes] = {}
    problems: list[str] = []
    for name in sorted(views | arrays):
        try:
            texts[name] = place.document(name)
        except SourceMissing:
            problems.append(f"{name} is in the metadata of the group, but not in its directory; save the group again")
    return texts, problems


def lengths_of(text: bytes) -> Lengths:
    """Dimensions and shape in the metadata of a view or an array."""
    document = msgspec.json.decode(text)
    what = document.get("attributes", {}).get(ATTRIBUTE, {}).get("schema", document)
    shape = tuple(what["shape"])
    return Lengths(tuple(what.get("dimension_names") or (None,) * len(shape)), shape)


def disagreements(before: Mapping[str, Lengths], after: Mapping[str, Lengths]) -> list[str]:
    """Dimensions of which all members of a group had one length, and would have several.

    Examples
    --------
    >>> one, two = Lengths(("t",), (3,)), Lengths(("t",), (4,))
    >>> len(disagreements({"a": one, "b": one}, {"a": two, "b": one}))
    1
    """
    problems: list[str] = []
    changed = [name for name in after if after[name].shape != before[name].shape]
    dims = {(_group(name), dim) for name in changed for dim in after[name].dims if dim is not None}
    for group, dim in sorted(dims):
        inside = [name for name in after if _group(name) == group and dim in after[name].dims]
        new = _along(after, inside, dim)
        if len(set(_along(before, inside, dim).values())) == 1 and len(set(new.values())) > 1:
            lengths = ", ".join(f"{name} {length}" for name, length in sorted(new.items())[:20])
            problems.append(
                f"members that share the dimension {dim!r} would have different lengths of it ({lengths}); change all "
                "of them"
            )
    return problems


def _group(name: str) -> str:
    return name.rpartition("/")[0]


def _along(members: Mapping[str, Lengths], names: Iterable[str], dim: str) -> dict[str, int]:
    return {name: members[name].shape[members[name].dims.index(dim)] for name in names if dim in members[name].dims}
