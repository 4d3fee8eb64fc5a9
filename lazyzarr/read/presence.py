"""What an absent chunk means: a fill value, while the array itself is there.

Owns the question whether an array kept as one object per chunk still exists. Refuses to take the absence of a
whole array for the absence of its chunks.
"""

from __future__ import annotations

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.errors import SourceMissing
from lazyzarr.ir.layout import Layout, Stamp, StoredArray


def metadata_url(array: StoredArray, layout: Layout) -> str:
    """Location of the metadata document of an array under chunk keys."""
    return f"{array.location}/{layout.metadata}"


def assert_there(session: Session, document: str, stamp: Stamp | None, *, grant: str, opened: bool = True) -> None:
    """Return if the array of an absent chunk is there; a local one whose stamp was verified for this read is.

    Remote stamps are verified once per session, and the array may have gone since.

    Parameters
    ----------
    document
        Location of the metadata document of the array.
    stamp
        What the document was when the array was referenced.
    opened
        Whether it was opened when it was verified, which is where a link out of the grant shows.

    Raises
    ------
    SourceMissing
        There is no array any more.
    """
    verified = stamp is not None and session.verify_stamps and session.is_local(document)
    if verified and (opened or not grant):
        return
    if not session.exists(document, grant=grant):
        raise SourceMissing(
            "a chunk is absent, and so is the metadata of its array; a missing array is never read as fill; "
            "restore it, or build the view without it",
            where=shown(document),
        )
