"""What reading did, in numbers that tests assert.

Owns the count of decoded chunks; requests, bytes and objects are counted by the session. Refuses timing.
"""

from __future__ import annotations

import threading


class ReadCounts:
    """Chunks decoded so far; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.decodes = 0

    def add(self, decodes: int) -> None:
        """Count decoded chunks."""
        with self._lock:
            self.decodes += decodes

    def reset(self) -> None:
        """Start again at zero."""
        with self._lock:
            self.decodes = 0
