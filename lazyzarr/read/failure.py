"""What a failed chunk says: array, chunk, location and bytes.

Owns the place of chunk errors. Refuses to change what an error means: class and reason stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from lazyzarr.access.url import shown
from lazyzarr.errors import ChunkDecodeError, LazyZarrError
from lazyzarr.ir.layout import StoredArray


def named(
    error: LazyZarrError, array: StoredArray, chunk: Sequence[int], url: str, offset: int, length: int
) -> LazyZarrError:
    """The same error with the place of the chunk it is about; queries of URLs are left out.

    It is raised again ``from error.__cause__``: an error that is its own cause sends those in circles that walk along
    causes, as everything does that pickles errors with their tracebacks.
    """
    extent = "" if length < 0 else f", bytes {offset} to {offset + length}"
    error.where = f"chunk {tuple(chunk)} of {shown(array.location or 'memory')} at {shown(url)}{extent}"
    return error


def not_plain(nbytes: int, cause: LazyZarrError) -> ChunkDecodeError:
    """The error for an object of plain cells of which only a part was asked for, and which has another length."""
    error = ChunkDecodeError(
        f"the object does not have the {nbytes} bytes of a chunk of plain cells; it was not written with this layout, "
        "or is being written to; restore it, or read it with its own codecs",
        reason="chunk-length",
    )
    error.__cause__ = cause
    return error
