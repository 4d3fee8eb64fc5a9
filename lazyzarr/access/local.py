"""Local files, each opened for one call and checked by its descriptor.

Owns reading, listing and stamping of ``file`` locations. An open, a check of the descriptor and a read cost about
6 us, so no descriptor outlives a call but those of `held_files`: nothing to run out of, or to confuse with a file that
took its number.

Refuses everything but regular files (without waiting for the other end of a FIFO), and for a document's locations
everything whose real path is not below its grant, or is below ``/proc`` or ``/sys``. What was checked is the
descriptor that is read, so that exchanging a directory or a link in between gains nothing.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Buffer, Iterable, Sequence
from itertools import groupby
from typing import Self

import numpy as np

from lazyzarr.access.counts import Counts
from lazyzarr.access.local_errors import beyond, failure, not_regular
from lazyzarr.access.policy import Grant, denied
from lazyzarr.access.rooms import page_aligned
from lazyzarr.access.stamps import Whole, changed, compare, digest, needs_content
from lazyzarr.access.url import from_user, plain_path, plain_paths, shown, to_path
from lazyzarr.errors import (
    LazyZarrError,
    SourceProtocolError,
    ViewLimitError,
)
from lazyzarr.ir.layout import Stamp

FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""To open any local file with: no wait for the other end of a FIFO, and nothing for children."""
_MOST_BUFFERS = 1024
"""Buffers that one ``preadv`` takes on every POSIX system."""
_STAGE = 512 << 10
"""The small buffer of each thread [bytes]."""
_own = threading.local()
"""Where each thread keeps that buffer: one for all sessions, of which every view that is opened has one."""
_LONG = 64 << 10
"""Buffers from this length on are filled by way of the small one [bytes]."""
_PSEUDO = ("/proc/", "/sys/")


class _Opened:
    """An open file for the length of a ``with``; errors of the system leave it as ours."""

    __slots__ = ("fd", "info", "url")

    def __init__(self, url: str, fd: int) -> None:
        self.url = url
        self.fd = fd
        self.info = os.fstat(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        os.close(self.fd)
        if isinstance(error, OSError) and not isinstance(error, LazyZarrError):
            raise failure(self.url, error) from error


class LocalFiles:
    """Reads local files; safe to use from several threads.

    Every method takes the ``grant`` of the document that named the location, or None for the caller's own, and
    raises `AccessDenied` (also for links that leave the grant), `SourceMissing` (also for a directory),
    `SourceDenied`, `SourceUnavailable`, `SourceProtocolError` and, where it takes a stamp, `SourceChanged`.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._roots: dict[Grant, tuple[str, ...]] = {}

    def read(
        self,
        url: str,
        grant: Grant | None,
        offset: int | None,
        length: int | None,
        expected: Stamp | None,
    ) -> bytes:
        """The bytes of a range; to the end where ``length`` is None."""
        with self._open(url, grant) as file:
            start = offset or 0
            count = file.info.st_size - start if length is None else length
            data = _exactly(file, start, count)
            if expected is not None:
                _check(file, expected)
        self._counts.add(url, requests=1, moved=count)
        return data

    def read_packed(
        self, urls: Sequence[str], grant: Grant | None, room: memoryview, most: int, *, exact: bool
    ) -> list[int]:
        """Whole files, one after the other, into one buffer, in as few calls of the system as there are.

        Parameters
        ----------
        room
            Writable, at least ``most`` long [bytes].
        most
            Longest file accepted [bytes].
        exact
            Whether every file has to be just as long; then file ``k`` begins at ``k * most`` of the buffer, and
            otherwise where the one before ends.

        Returns
        -------
        list of int
            Lengths of the files that were read [bytes], -1 for those that are not there. It ends early where the
            next file does not fit any more, or is none that can be read like this: `read` it to learn why.
        """
        lengths: list[int] = []
        at = 0
        beyond = bytearray(1)  # filled where a file is longer than it may be
        paths = plain_paths(urls) if grant is None else None
        try:
            for number, url in enumerate(urls):
                if at + most > len(room):
                    break
                path = _permitted_path(url, grant) if paths is None else paths[number]
                got = self._whole(path, url, grant, (room[at : at + most], beyond))
                if got == 0 or got > most or (exact and 0 < got < most):
                    break
                lengths.append(got)
                at += most if exact else max(got, 0)
        finally:
            found = [url for url, length in zip(urls, lengths, strict=False) if length > 0]
            self._counts.add_each(found, requests=len(found), moved=sum(n for n in lengths if n > 0))
        return lengths

    def _whole(self, path: str, url: str, grant: Grant | None, buffers: Sequence[Buffer]) -> int:
        """Fill the buffers from the start of a file; how much there was [bytes], -1 for no file, 0 to ask `read`."""
        try:
            fd = os.open(path, FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return -1
        except OSError:
            return 0
        try:
            if grant is not None:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return 0
                self.confine(fd, path, url, grant)
            return os.preadv(fd, buffers, 0)
        except OSError as error:
            if isinstance(error, LazyZarrError):
                raise
            return 0
        finally:
            os.close(fd)

    def read_ranges(
        self,
        url: str,
        grant: Grant | None,
        offsets: Sequence[int],
        lengths: Sequence[int],
        expected: Stamp | None,
    ) -> list[memoryview]:
        """The bytes of several ranges of one file."""
        with self._open(url, grant) as file:
            out = [
                memoryview(_exactly(file, int(start), int(count)))
                for start, count in zip(offsets, lengths, strict=True)
            ]
            if expected is not None:
                _check(file, expected)
        self._counts.add(url, requests=len(out), moved=sum(map(len, out)))
        return out

    def read_into(
        self,
        url: str,
        grant: Grant | None,
        offset: int,
        buffers: Iterable[Buffer],
        expected: Stamp | None,
        *,
        warm: bool = False,
    ) -> None:
        """Fill the buffers, one after the other, from ``offset`` on."""
        views = [view.cast("B") for view in map(memoryview, buffers) if view.nbytes]
        total = sum(map(len, views))
        with self._open(url, grant) as file:
            _within(file, offset, total)
            (_scatter if warm else self._fill)(file, offset, views)
            if expected is not None:
                _check(file, expected)
        self._counts.add(url, requests=1, moved=total)

    def _fill(self, file: _Opened, offset: int, views: list[memoryview]) -> None:
        """Fill buffers: long ones by way of a small one, which is faster than reading into cold memory."""
        stage: np.ndarray | None = getattr(_own, "stage", None)
        if sum(map(len, views)) < _LONG:
            _scatter(file, offset, views)
            return
        for large, group in groupby(views, lambda view: len(view) >= _LONG):
            together = list(group)
            if not large:
                _scatter(file, offset, together)
                offset += sum(map(len, together))
                continue
            if stage is None:
                stage = _own.stage = page_aligned(_STAGE)
            for view in together:
                cells = np.frombuffer(view, np.uint8)
                for first in range(0, len(cells), _STAGE):
                    piece = cells[first : first + _STAGE]
                    _scatter(file, offset, [memoryview(stage[: len(piece)])])
                    piece[:] = stage[: len(piece)]
                    offset += len(piece)

    def read_stamped(self, url: str, grant: Grant | None, limit: int | None) -> tuple[bytes, Stamp]:
        """The whole file with the stamp of the descriptor it was read from, digest included."""
        with self._open(url, grant) as file:
            if limit is not None and file.info.st_size > limit:
                raise ViewLimitError("document_bytes", file.info.st_size, limit, where=shown(url))
            data = _exactly(file, 0, file.info.st_size)
            found = stamp_of(file.info)
            _check(file, found)
        self._counts.add(url, requests=1, moved=len(data))
        return data, Stamp(found.size, found.mtime_ns, found.inode, digest=digest(data))

    def stat(self, url: str, grant: Grant | None) -> Stamp:
        """Size, time and inode of the file."""
        with self._open(url, grant) as file:
            self._counts.add(url, requests=1)
            return stamp_of(file.info)

    def verify(self, url: str, grant: Grant | None, expected: Stamp, whole: Whole | None = None) -> Stamp:
        """Compare a file with a stamp, by content where only a digest can tell, and return what the file is now."""
        with self._open(url, grant) as file:
            _check(file, expected, whole)
        return stamp_of(file.info)

    def is_still(self, url: str, accepted: Stamp, grant: Grant | None = None) -> bool:
        """Whether a file has the size, time and inode of a stamp, without opening it: links are not looked at."""
        try:
            info = os.stat(_permitted_path(url, grant))
        except OSError:
            return False  # `verify` opens it and says what is wrong
        return info.st_mtime_ns == accepted.mtime_ns and info.st_size == accepted.size and info.st_ino == accepted.inode

    def opened(self, url: str, grant: Grant | None) -> tuple[int, int]:
        """A descriptor of the file, which the caller closes, and its size [bytes]."""
        file = self._open(url, grant)
        return file.fd, file.info.st_size

    def list_dir(self, url: str, grant: Grant | None) -> tuple[str, ...]:
        """The names in a directory, sorted; directories are not marked."""
        with self._open(url, grant, directory=True) as file:
            names = os.listdir(file.fd)
        self._counts.add(url, requests=1)
        return tuple(sorted(names))

    def _open(self, url: str, grant: Grant | None, *, directory: bool = False) -> _Opened:
        path = _permitted_path(url, grant)
        try:
            fd = os.open(path, FLAGS | os.O_DIRECTORY if directory else FLAGS)
        except OSError as error:
            raise failure(url, error) from error
        file = _Opened(url, fd)
        try:
            if not directory and not stat.S_ISREG(file.info.st_mode):
                raise not_regular(url, file.info)
            if grant is not None:
                self.confine(fd, path, url, grant)
        except BaseException as error:
            file.__exit__(type(error), error, None)
            raise
        return file

    def confine(self, fd: int, path: str, url: str, grant: Grant) -> None:
        """Return if what was opened under a path that a grant permits is below the grant after all links, too."""
        real = _real_path(fd, path)
        if real == path and not real.startswith(_PSEUDO):
            return  # no link was followed, and the path is what the grant permitted
        roots = self._roots.get(grant, ())
        if not _below(real, roots):
            # Asked for the first time, or the tree was moved since.
            roots = self._roots[grant] = tuple(_real_root(prefix) for prefix in grant.prefixes if _is_file(prefix))
        if real.startswith(_PSEUDO):
            raise denied(url, because="it leads to the kernel's own files, which are not data")
        if not _below(real, roots):
            raise denied(
                from_user(real),
                because=f"{shown(url)} leads there through a symbolic link",
            )


def stamp_of(info: os.stat_result) -> Stamp:
    """What identifies a local file."""
    return Stamp(info.st_size, info.st_mtime_ns, info.st_ino)


def _permitted_path(url: str, grant: Grant | None) -> str:
    path = plain_path(url)
    if grant is not None:
        if path is None:
            grant.check(url)
        elif not grant.permits(url):
            raise denied(url)
    return to_path(url) if path is None else path


def _within(file: _Opened, offset: int, length: int) -> None:
    if offset < 0 or length < 0 or offset + length > file.info.st_size:
        raise beyond(file.url, offset, length, file.info.st_size)


def _exactly(file: _Opened, offset: int, length: int) -> bytes:
    _within(file, offset, length)
    data = os.pread(file.fd, length, offset)
    if len(data) != length:
        # One call moves at most 2 GiB, and fewer at the end of a file that shrank since it was opened.
        whole = bytearray(length)
        _scatter(file, offset, [memoryview(whole)])
        return bytes(whole)
    if not file.info.st_size and os.pread(file.fd, 1, 0):
        raise SourceProtocolError(
            "the file has content but says its size is 0; its length cannot be checked; copy it to a regular file",
            reason="source-format",
            where=shown(file.url),
        )
    return data


def _scatter(file: _Opened, offset: int, views: list[memoryview]) -> None:
    if len(views) == 1 and os.preadv(file.fd, views, offset) == len(views[0]):
        return
    first = 0
    while first < len(views):
        got = os.preadv(file.fd, views[first : first + _MOST_BUFFERS], offset)
        if not got:
            raise beyond(
                file.url,
                offset,
                sum(map(len, views[first:])),
                os.fstat(file.fd).st_size,
            )
        offset += got
        while got and got >= len(views[first]):
            got -= len(views[first])
            first += 1
        if got:
            views[first] = views[first][got:]


def _check(file: _Opened, expected: Stamp, whole: Whole | None = None) -> None:
    """Compare with the stamp *after* reading, so that a change during the read is seen as well."""
    before, after = file.info, os.fstat(file.fd)
    if after.st_mtime_ns != before.st_mtime_ns or after.st_size != before.st_size:
        raise changed(file.url, ("it was written to while it was read",))
    timed = expected.mtime_ns == after.st_mtime_ns or (expected.mtime_ns is None and expected.digest is None)
    if timed and expected.size == after.st_size and expected.inode in (None, after.st_ino):
        return
    if whole is not None:
        expected = whole() or expected
    found = stamp_of(after)
    if needs_content(expected, found):
        content = _exactly(file, 0, after.st_size)
        found = Stamp(found.size, found.mtime_ns, found.inode, digest=digest(content))
    compare(file.url, expected, found)


def _real_path(fd: int, path: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        pass  # this system has no /proc: resolve the path, and hold it against the descriptor
    real = os.path.realpath(path)
    if not os.path.samestat(os.stat(real), os.fstat(fd)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return real


def _is_file(prefix: str) -> bool:
    return prefix.startswith("file://")


def _real_root(prefix: str) -> str:
    real = os.path.realpath(to_path(prefix))
    return real if real.endswith("/") else f"{real}/"


def _below(real: str, roots: tuple[str, ...]) -> bool:
    return real.startswith(roots) or f"{real}/" in roots
