"""zlib streams of a known length, inflated in less than half the time where imagecodecs is installed.

Owns the quick twin of zlib, which is libdeflate's, and when it is loaded. It writes into a buffer of just the length that
is declared, and gives up at the first byte beyond. Refuses to have the last word: what it does not inflate to just that
length is left to zlib, whose result or error counts.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from lazyzarr.codecs.stages import Array, Bytes

PACKAGE = "imagecodecs"
LOADED_AFTER = 16 << 20
"""Importing the package takes as long as zlib takes for this much [bytes]."""
_MOST = 1032
"""A stream of zlib is never longer, inflated, than this many times its length."""


class Inflater:
    """Decides when the quick decoder is loaded; one for a process.

    Parameters
    ----------
    loaded_after
        Bytes inflated by zlib after which the package is imported. Where another module has done so it is used at once.

    Examples
    --------
    >>> import zlib
    >>> Inflater(0)(zlib.compress(b"abc"), 3).tobytes()
    b'abc'
    """

    def __init__(self, loaded_after: int = LOADED_AFTER) -> None:
        self._left = loaded_after
        self._decode: Callable[..., Any] | None = None
        self._absent = False

    def __call__(self, data: Bytes, length: int, out: Array | None = None) -> Array | None:
        """Inflate one stream of just so many bytes, into a contiguous array if one is given; None: zlib has to."""
        if self._absent or not 0 < length <= _MOST * len(data):
            return None
        if self._decode is None:
            self._left -= length
            if self._left > 0 and PACKAGE not in sys.modules:
                return None
            self._load()
            return self(data, length, out)
        try:
            found = self._decode(data, out=np.empty(length, np.uint8) if out is None else out)
        except RuntimeError:
            return None
        return found if len(found) == length else None

    def _load(self) -> None:
        try:
            package = importlib.import_module(PACKAGE)
        except ImportError:
            self._absent = True
            return
        if package.DEFLATE.available:
            self._decode = package.deflate_decode
        else:
            self._absent = True


inflate = Inflater()
"""The one of this process."""
