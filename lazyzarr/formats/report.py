"""What a writer of a foreign format did: `ExportReport`.

Owns the counts and the list of what the format could not keep. Refuses to judge: a writer that would have to leave
out something a reader needs raises instead.
"""

from __future__ import annotations

from msgspec import Struct

UNEVEN = "readers need zarr's option array.rectilinear_chunks for its chunks of several lengths"
"""What is lost where a grid is rectilinear."""


class ExportReport(Struct, frozen=True):
    """What was written, and what could not be kept.

    Examples
    --------
    >>> print(ExportReport("icechunk", "main", arrays=1, chunks=4, pinned=3, unpinned=1))
    icechunk main: 1 arrays, 4 chunks (3 pinned, 1 not pinned, 0 inline)
    """

    format: str
    target: str
    arrays: int
    chunks: int
    """References and bytes written; missing chunks are not among them."""
    pinned: int = 0
    """References whose object the format will hold to what it was."""
    unpinned: int = 0
    inline: int = 0
    """Chunks whose bytes were written."""
    lost: tuple[str, ...] = ()
    """What the format has no place for, by array."""

    def __str__(self) -> str:
        counts = f"{self.pinned} pinned, {self.unpinned} not pinned, {self.inline} inline"
        lines = [f"{self.format} {self.target}: {self.arrays} arrays, {self.chunks} chunks ({counts})"]
        return "\n  - ".join((*lines, *self.lost))
