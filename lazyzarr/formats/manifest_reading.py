"""Reading ``manifest.json``: one array whose ``zarr.json`` has the storage transformer ``chunk-manifest-json``.

Owns the form that zarr-specs issue 287 drafts: an object from chunk keys, coordinates joined by dots, to ``path``,
``offset`` and ``length``. Refuses other storage transformers beside it. Opens nothing; locations stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from lazyzarr.formats.kerchunk_json import read_json
from lazyzarr.formats.references import ReferencedArray, bad, described, entries_of
from lazyzarr.formats.zarr import ZarrArrayInfo
from lazyzarr.ir.layout import NamedConfig

TRANSFORMER = "chunk-manifest-json"
_KEYS = NamedConfig("v2", {"separator": "."})


def manifest_of(metadata: bytes | str) -> str | None:
    """Where the manifest of an array is, relative to the array; None for an array that has none.

    Examples
    --------
    >>> manifest_of('{"node_type": "array", "storage_transformers": [{"name": "chunk-manifest-json"}]}')
    './manifest.json'
    """
    try:
        document = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    transformers = document.get("storage_transformers") if isinstance(document, dict) else None
    if not isinstance(transformers, list) or not transformers:
        return None
    first = cast("list[Any]", transformers)[0]
    if not isinstance(first, dict) or cast("dict[str, Any]", first).get("name") != TRANSFORMER:
        return None
    if len(cast("list[Any]", transformers)) > 1:
        raise bad(f"the array has another storage transformer beside {TRANSFORMER!r}")
    found = cast("dict[str, Any]", first).get("configuration") or {}
    place = found.get("manifest", "./manifest.json") if isinstance(found, dict) else None
    if not isinstance(place, str) or not place:
        raise bad(f"the configuration of {TRANSFORMER!r} does not say where the manifest is")
    return place


def read_manifest(metadata: bytes | str, manifest: bytes | str) -> ReferencedArray:
    """An array and its references.

    Parameters
    ----------
    metadata
        Content of ``zarr.json``.
    manifest
        Content of ``manifest.json``.

    Raises
    ------
    SourceProtocolError
        The manifest is not of the form.
    """
    document = read_json(metadata, "zarr.json")
    plain = {name: value for name, value in document.items() if name != "storage_transformers"}
    info, _ = described(plain, None)
    held = read_json(manifest, "manifest.json")
    keys = [key or "0" for key in held]
    return ReferencedArray(info, None, entries_of(keys, [_entry(k, v) for k, v in held.items()], _dotted(info)))


def _dotted(info: ZarrArrayInfo) -> ZarrArrayInfo:
    """The array with the keys that a manifest has, whatever those of the array are."""
    return msgspec.structs.replace(info, layout=msgspec.structs.replace(info.layout, chunk_keys=_KEYS))


def _entry(key: str, value: Any) -> list[Any]:
    if not isinstance(value, Mapping):
        raise bad(f"the entry {key[:200]!r} is {str(value)[:100]!r}; it has path, offset and length")
    held = cast("Mapping[str, Any]", value)
    if set(held) - {"path", "offset", "length"} or not isinstance(held.get("path"), str) or not held["path"]:
        raise bad(f"the entry {key[:200]!r} has {sorted(held)[:8]}; it has path, offset and length")
    if "offset" not in held and "length" not in held:
        return [held["path"]]
    return [held["path"], held.get("offset"), held.get("length")]
