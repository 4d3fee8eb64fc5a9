"""Views of arrays, stored as Zarr.

``import lazyzarr as lz`` costs nothing: each public name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazyzarr import extensions, formats
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
    from lazyzarr.clusters.batching import batches
    from lazyzarr.clusters.copying import copy
    from lazyzarr.datasets.opening import open_dataset
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
    from lazyzarr.sealed.writing import seal
    from lazyzarr.serving.running import serve

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
    "batches",
    "block",
    "broadcast_to",
    "concat",
    "copy",
    "extensions",
    "formats",
    "full",
    "interleave",
    "open",
    "open_dataset",
    "overlay",
    "pad",
    "refresh",
    "resolve",
    "save",
    "seal",
    "serve",
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
    "batches": "lazyzarr.clusters.batching",
    "copy": "lazyzarr.clusters.copying",
    "open_dataset": "lazyzarr.datasets.opening",
    "seal": "lazyzarr.sealed.writing",
    "serve": "lazyzarr.serving.running",
}
"""Modules of the names that are no errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lazyzarr' has no attribute {name!r}")
    if name in ("extensions", "formats"):
        return importlib.import_module(f"lazyzarr.{name}")
    value = getattr(importlib.import_module(_HOMES.get(name, "lazyzarr.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
