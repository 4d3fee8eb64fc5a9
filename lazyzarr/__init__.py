"""Views of arrays, stored as Zarr.

``import lazyzarr as lz`` costs nothing: each public name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazyzarr import formats
    from lazyzarr.api import (
        Group,
        Limits,
        RefreshRefused,
        View,
        append,
        block,
        broadcast_to,
        concat,
        full,
        interleave,
        open,
        overlay,
        pad,
        refresh,
        save,
        stack,
        store,
    )
    from lazyzarr.definition.problems import DefinitionError
    from lazyzarr.definition.resolve import resolve
    from lazyzarr.errors import (
        AccessDenied,
        AxisError,
        CastError,
        ChunkChecksumError,
        ChunkDecodeError,
        ChunkError,
        ChunkTooLarge,
        CombineError,
        ExtraMissing,
        LazyZarrError,
        NotFlat,
        ReadCancelled,
        SaveConflict,
        SaveError,
        SaveUnsupported,
        SelectionError,
        ShapeError,
        SourceChanged,
        SourceDenied,
        SourceError,
        SourceMissing,
        SourceProtocolError,
        SourceUnavailable,
        UnsupportedFeature,
        ValuesNeeded,
        ViewError,
        ViewLimitError,
        ViewSchemaError,
        ViewSyntaxError,
    )

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "AxisError",
    "CastError",
    "ChunkChecksumError",
    "ChunkDecodeError",
    "ChunkError",
    "ChunkTooLarge",
    "CombineError",
    "DefinitionError",
    "ExtraMissing",
    "Group",
    "LazyZarrError",
    "Limits",
    "NotFlat",
    "ReadCancelled",
    "RefreshRefused",
    "SaveConflict",
    "SaveError",
    "SaveUnsupported",
    "SelectionError",
    "ShapeError",
    "SourceChanged",
    "SourceDenied",
    "SourceError",
    "SourceMissing",
    "SourceProtocolError",
    "SourceUnavailable",
    "UnsupportedFeature",
    "ValuesNeeded",
    "View",
    "ViewError",
    "ViewLimitError",
    "ViewSchemaError",
    "ViewSyntaxError",
    "__version__",
    "append",
    "block",
    "broadcast_to",
    "concat",
    "formats",
    "full",
    "interleave",
    "open",
    "overlay",
    "pad",
    "refresh",
    "resolve",
    "save",
    "stack",
    "store",
]

_HOMES = {
    **dict.fromkeys(
        (
            "Group",
            "Limits",
            "RefreshRefused",
            "View",
            "append",
            "block",
            "broadcast_to",
            "concat",
            "full",
            "interleave",
            "open",
            "overlay",
            "pad",
            "refresh",
            "save",
            "stack",
            "store",
        ),
        "lazyzarr.api",
    ),
    "DefinitionError": "lazyzarr.definition.problems",
    "resolve": "lazyzarr.definition.resolve",
}
"""Modules of the names that are no errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lazyzarr' has no attribute {name!r}")
    if name == "formats":
        return importlib.import_module("lazyzarr.formats")
    value = getattr(importlib.import_module(_HOMES.get(name, "lazyzarr.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
