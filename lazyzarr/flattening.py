"""From a view to a flat manifest: what `View.flatten` does.

Owns the choice of what happens to chunks that are in the way. Refuses conditions of its own
(`lazyzarr.lower.alignment`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazyzarr.lower.aligned import AlignedManifest
from lazyzarr.lower.alignment import align
from lazyzarr.lower.lowering import lower

if TYPE_CHECKING:
    from lazyzarr.view import View


def flattened(view: View, *, rectilinear: bool = True) -> AlignedManifest:
    """The flat manifest of a view."""
    return align(lower(view.ir), rectilinear=rectilinear, dims=view.dims, attrs=view.attrs, reader=view.reader)
