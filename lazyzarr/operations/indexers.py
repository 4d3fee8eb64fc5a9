"""The two other ways to write a key: ``view.oindex[...]`` and ``view.vindex[...]``.

Owns the objects that stand between a view and the brackets. Refuses to resolve keys itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lazyzarr.algebra.selection import orthogonal
from lazyzarr.operations.selecting import selected

if TYPE_CHECKING:
    from lazyzarr.view import View


class Orthogonal:
    """Every array of a key selects along its own axis; the result is a view."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __getitem__(self, key: Any) -> View:
        return selected(self._view, orthogonal(key, self._view.shape))


class Pointwise:
    """Arrays of a key are paired point by point; the result is values, read at once."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._view.reader.read_points(self._view.ir, key)
