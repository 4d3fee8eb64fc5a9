"""What a piece of code touches: files opened, directories listed, connections made.

Owns `watched`, on Python's own audit events, so that nothing under test is replaced. Refuses to count bytes; sessions
and servers do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EVENTS = ("open", "os.listdir", "os.scandir", "socket.connect")
_recorders: list[list[str]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _recorders and event in _EVENTS:
        place = arguments[-1] if event == "socket.connect" else arguments[0]
        for recorder in _recorders:
            recorder.append(f"{event} {os.fsdecode(place) if isinstance(place, bytes) else place}")


sys.addaudithook(_hook)


@contextmanager
def watched(*folders: Path) -> Iterator[list[str]]:
    """Every connection, and every file or directory opened below one of the folders, while the block runs.

    Examples
    --------
    >>> with watched(Path(__file__).parent) as touched:
    ...     _ = Path(__file__).read_bytes()
    >>> len(touched)
    1
    """
    found: list[str] = []
    touched: list[str] = []
    _recorders.append(found)
    try:
        yield touched
    finally:
        _recorders[:] = [recorder for recorder in _recorders if recorder is not found]
        places = tuple(str(folder) for folder in folders)
        touched += [line for line in found if line.startswith("socket") or line.partition(" ")[2].startswith(places)]
