"""What a failed chunk says: array, chunk, location and bytes.

Owns the place of chunk errors. Refuses to change what an error means: class and reason stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from lazyzarr.access.url import shown
from lazyzarr.errors import LazyZarrError
from lazyzarr.ir.layout import StoredArray


def named(
    error: LazyZarrError, array: StoredArray, chunk: Sequence[int], url: str, offset: int, length: int
) -> LazyZarrError:
    """The same error with the place of the chunk it is about; queries of URLs are left out."""
    extent = "" if length < 0 else f", bytes {offset} to {offset + length}"
    error.where = f"chunk {tuple(chunk)} of {shown(array.location or 'memory')} at {shown(url)}{extent}"
    return error
