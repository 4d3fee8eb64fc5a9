"""A line on the terminal that says how far a copy is: `Bar`.

Owns the line. Refuses to write where nobody looks: to a file or a pipe.
"""

from __future__ import annotations

import sys
import time
from typing import Any

_WIDTH = 28
_PAUSE = 0.1
"""Between two changes of the line [s]."""


class Bar:
    """Called with cells done and in all [bytes]; the line is ended by `close`.

    Examples
    --------
    >>> import io
    >>> screen = io.StringIO()
    >>> bar = Bar(screen)
    >>> bar(1 << 20, 4 << 20)
    >>> screen.getvalue().strip().startswith("copy [#######")
    True
    """

    def __init__(self, screen: Any = None) -> None:
        self._screen = sys.stderr if screen is None else screen
        self._start = time.monotonic()
        self._last = 0.0
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        """Draw the line anew, if that is some time ago."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now - self._last < _PAUSE and done < total:
            return
        self._last = now
        share = done / total if total else 1.0
        rate = (done - self._first) / max(now - self._start, 1e-3) / 1e6
        line = f"copy [{'#' * int(share * _WIDTH):<{_WIDTH}}] {share:4.0%}  {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
        self._screen.write(f"\r{line}  {rate:,.0f} MB/s ")
        self._screen.flush()

    def close(self) -> None:
        """End the line, if there is one."""
        if self._last:
            self._screen.write("\n")
            self._screen.flush()
