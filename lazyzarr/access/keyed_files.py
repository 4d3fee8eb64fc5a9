"""Whole files of one array that is kept under chunk keys: the shortest way to the bytes of a chunk.

Owns `KeyedFiles`, the quick twin of `Session.verify` and `Session.read`: location and grant are looked at once for the
array, since a key adds nothing but plain names to them. What may change is looked at for each chunk, as ever: the
metadata document of the array, and the file itself by its descriptor. Refuses to say what is wrong with a file: whoever
is not told of a chunk asks the session.
"""

from __future__ import annotations

import os
import stat
from typing import Self

from lazyzarr.access.local import FLAGS, LocalFiles
from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.url import plain_path, to_path
from lazyzarr.errors import LazyZarrError
from lazyzarr.ir.layout import Stamp

_NOT_TOLD = (False, None)


class KeyedFiles:
    """Reads whole chunks of a local array; made by `below`, safe to use from several threads."""

    __slots__ = ("_above", "_accepted", "_document", "_files", "_grant", "_name", "_path", "_session", "_stamp")

    def __init__(
        self, session: Session, location: str, document: str, stamp: Stamp | None, name: str, grant: Grant | None
    ) -> None:
        self._session = session
        self._files = LocalFiles(session.counts)
        self._above = f"{location}/"
        self._document = document
        self._path = to_path(document)
        self._stamp = stamp
        self._name = name
        self._grant = grant
        self._accepted: tuple[int | None, int | None, int | None] = (None, None, None)

    @classmethod
    def below(cls, session: Session, location: str, document: str, stamp: Stamp | None, grant: str) -> Self | None:
        """The files of an array; None where only the session knows how to read them, or that they may not be read.

        Parameters
        ----------
        location
            Of the array.
        document
            Location of its metadata document.
        stamp
            What the document was when the array was referenced.
        grant
            Name of the grant of the document that named the location.

        Examples
        --------
        >>> from lazyzarr.access.url import from_user, parent
        >>> folder, name = from_user(__file__).rsplit("/", 1)
        >>> files = KeyedFiles.below(Session(), folder, f"{folder}/{name}", Session().stat(f"{folder}/{name}"), "")
        >>> told, data = files.read(name)
        >>> told, data[:3], files.read("c/0")
        (True, b'\"\"\"', (True, None))
        >>> KeyedFiles.below(Session(), "s3://bucket/a.zarr", "s3://bucket/a.zarr/zarr.json", None, "") is None
        True
        """
        found = session.grants.get(grant) if grant else None
        if grant and (found is None or not found.permits(f"{location}/")):
            return None
        if plain_path(f"{location}/0") is None or plain_path(document) is None:
            return None
        return cls(session, location, document, stamp, grant, found)

    def read(self, key: str) -> tuple[bool, bytes | None]:
        """Whether this is all there is to say about a chunk, and its bytes; None where it is absent.

        Parameters
        ----------
        key
            Numbers and ``c``, with ``/`` or ``.`` between them.

        Raises
        ------
        LazyZarrError
            As `Session.verify` for the metadata document, and `AccessDenied` for a link that leaves the grant.
        """
        stamp = self._stamp if self._session.verify_stamps else None
        if stamp is not None:
            self._assert_same(stamp)
        url = self._above + key
        path = url[7:]  # plain, so nothing in it is encoded
        try:
            fd = os.open(path, FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return stamp is not None, None  # of an array that was not looked for just now, the session says more
        except OSError:
            return _NOT_TOLD
        try:
            info = os.fstat(fd)
            if not (info.st_size and stat.S_ISREG(info.st_mode)):
                return _NOT_TOLD
            if self._grant is not None:
                self._files.confine(fd, path, url, self._grant)
            data = os.pread(fd, info.st_size, 0)
        except OSError as error:
            if isinstance(error, LazyZarrError):
                raise
            return _NOT_TOLD
        finally:
            os.close(fd)
        if len(data) != info.st_size:
            return _NOT_TOLD
        self._session.counts.add(url, requests=1, moved=info.st_size)
        return True, data

    def _assert_same(self, stamp: Stamp) -> None:
        """Return if the metadata document is the very one that the session accepted, or it accepts it now."""
        try:
            info = os.stat(self._path)
        except OSError:
            pass  # the session opens it and says what is wrong
        else:
            if (info.st_size, info.st_mtime_ns, info.st_ino) == self._accepted:
                return
        now = self._session.verify(self._document, stamp, grant=self._name)
        self._accepted = (now.size, now.mtime_ns, now.inode)
