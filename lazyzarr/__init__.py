"""Views of arrays, stored as Zarr.

``import lazyzarr as lz`` costs nothing: each public name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_API = (
    *("Group", "Limits", "View", "block", "broadcast_to", "concat", "full", "interleave"),
    *("open", "overlay", "pad", "save", "stack"),
)
_ERRORS = (
    *("AccessDenied", "AxisError", "CastError", "ChunkChecksumError", "ChunkDecodeError", "ChunkError"),
    *("ChunkTooLarge", "CombineError", "ExtraMissing", "LazyZarrError", "NotFlat", "ReadCancelled", "SaveConflict"),
    *("SaveError", "SaveUnsupported", "SelectionError", "ShapeError", "SourceChanged", "SourceDenied", "SourceError"),
    *("SourceMissing", "SourceProtocolError", "SourceUnavailable", "UnsupportedFeature", "ViewError"),
    *("ViewLimitError", "ViewSchemaError", "ViewSyntaxError"),
)
_HOME = {**dict.fromkeys(_API, "lazyzarr.api"), **dict.fromkeys(_ERRORS, "lazyzarr.errors")}

__all__ = [*_API, *_ERRORS, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from lazyzarr.api import (
        Group,
        Limits,
        View,
        block,
        broadcast_to,
        concat,
        full,
        interleave,
        open,
        overlay,
        pad,
        save,
        stack,
    )


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'lazyzarr' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
