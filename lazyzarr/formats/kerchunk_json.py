"""Reading kerchunk JSON, version 0 and 1: from the text to groups, arrays and their references.

Owns the two forms of the file, metadata as text or as JSON, and what consolidated metadata add. Templates and
generators are expanded only where the caller asks for it (`kerchunk_templates`), and otherwise refused: they turn
names into other names, so what a file refers to cannot be seen in it. Refuses metadata that are references
themselves. Opens nothing; locations stay as the file has them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from lazyzarr.errors import UnsupportedFeature
from lazyzarr.formats.kerchunk_templates import expanded
from lazyzarr.formats.references import METADATA, ReferencedArray, ReferencedGroup, bad, hierarchy, inline_bytes

_CONSOLIDATED = ".zmetadata"


def read_json(text: bytes | str, key: str) -> dict[str, Any]:
    """A JSON object; NaN is accepted, as writers of attributes leave it.

    Raises
    ------
    SourceProtocolError
        The text is no JSON object, or has a member twice: which of both is meant would be a guess.
    """

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(members)
        if len(made) != len(members):
            twice = next(name for name, count in Counter(name for name, _ in members).items() if count > 1)
            raise bad(f"{key[:200]!r} has the member {twice[:200]!r} twice")
        return made

    try:
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise bad(f"{key[:200]!r} is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise bad(f"{key[:200]!r} is a {type(found).__name__}; it is a JSON object")
    return cast("dict[str, Any]", found)


def is_kerchunk(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a file of references.

    Examples
    --------
    >>> is_kerchunk({"version": 1, "refs": {}}), is_kerchunk({".zgroup": "{}"}), is_kerchunk({"a": 1})
    (True, True, False)
    """
    if "version" in document:
        return "refs" in document or "gen" in document
    return any(key.rpartition("/")[2] in METADATA for key in document)


def read_kerchunk(
    document: Mapping[str, Any], *, templates: bool = False, most: int = 4_000_000
) -> tuple[ReferencedGroup, ReferencedArray | None]:
    """The root group of a file, and the root array where there is one.

    Parameters
    ----------
    document
        The parsed JSON.
    templates
        Whether templates and generators are expanded.
    most
        How many references generators may make.

    Raises
    ------
    UnsupportedFeature
        The file has templates or generators and `templates` is false, or another version.
    SourceProtocolError
        The file is not of the form.

    Examples
    --------
    >>> array = '{"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "|u1", "fill_value": 0, "order": "C",'
    >>> array += '"filters": null, "compressor": null}'
    >>> root, _ = read_kerchunk({"x/.zarray": array, "x/0": ["a.bin", 5, 2]})
    >>> root.arrays["x"]().entries.urls
    ('a.bin',)
    """
    entries = _entries(document, templates=templates, most=most)
    held = entries.get(_CONSOLIDATED)
    if held is not None:
        together = _metadata(_CONSOLIDATED, held).get("metadata")
        if not isinstance(together, dict):
            raise bad(f"{_CONSOLIDATED!r} has no metadata")
        entries = {**cast("dict[str, Any]", together), **entries}
    return hierarchy(entries, _metadata)


def _entries(document: Mapping[str, Any], *, templates: bool, most: int) -> dict[str, Any]:
    if "version" not in document:
        return dict(document)
    if document["version"] != 1:
        raise UnsupportedFeature(
            f"references: the version is {str(document['version'])[:40]!r}; 1 and files without version are read; "
            "convert the file",
            reason="source-unsupported",
        )
    refs = document.get("refs", {})
    if not isinstance(refs, dict):
        raise bad("'refs' is no JSON object")
    if not document.get("templates") and not document.get("gen"):
        return dict(cast("dict[str, Any]", refs))
    if not templates:
        raise UnsupportedFeature(
            "references: the file has templates or generators; the locations that it refers to are made when it is "
            "read; if you trust it open it with templates=True, or write the locations out",
            reason="source-unsupported",
        )
    return expanded(document, most=most)


def _metadata(key: str, value: Any) -> dict[str, Any]:
    """A metadata document from its entry: JSON text, base64, or the object itself."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    if isinstance(value, str | bytes):
        return read_json(inline_bytes(value, key), key)
    raise UnsupportedFeature(
        f"references: the metadata {key[:200]!r} are a reference to another object; opening reads nothing but the file "
        "of references; put the metadata into it",
        reason="source-unsupported",
    )
