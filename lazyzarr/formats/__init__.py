"""Formats of others: importers, and the writers that are public.

``lazyzarr.formats.icechunk.write`` and the like load their module when they are used, so that optional packages are
needed only then. Refuses every other name.
"""

from __future__ import annotations

import importlib
from typing import Any

from lazyzarr.errors import ExtraMissing

_WRITERS = ("hdf5", "icechunk", "kerchunk", "manifest_json", "ndsel", "ocdbt", "tensorstore", "virtualizarr")


def __getattr__(name: str) -> Any:
    if name not in _WRITERS:
        raise AttributeError(f"module 'lazyzarr.formats' has no attribute {name!r}")
    try:
        return importlib.import_module(f"lazyzarr.formats.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lazyzarr"):
            raise
        raise ExtraMissing(
            f'lazyzarr.formats.{name}; the package {error.name} is not installed; run pip install "lazyzarr[{name}]"'
        ) from error


def __dir__() -> list[str]:
    return sorted((*globals(), *_WRITERS))
