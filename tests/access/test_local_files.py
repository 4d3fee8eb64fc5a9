"""Local files: exact bytes from regular files inside the grant, or an error; never a wait, never other bytes."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lazyzarr.access.local_errors import failure
from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.stamps import digest
from lazyzarr.access.url import from_user, parent
from lazyzarr.errors import (
    AccessDenied,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceProtocolError,
    SourceUnavailable,
    ViewLimitError,
)
from lazyzarr.ir.layout import Stamp

BYTES = bytes(range(256)) * 40


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "inside" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(BYTES)
    return path


@pytest.fixture
def grant(session: Session, place: Path) -> str:
    return session.add_grant(Grant.below(parent(from_user(place))))


def test_reads_what_is_there(session: Session, place: Path) -> None:
    url = from_user(place)
    assert session.is_local(url)
    assert session.read(url) == BYTES
    assert session.read(url, offset=10, length=20) == BYTES[10:30]
    assert session.read(url, offset=10_000) == BYTES[10_000:]
    assert session.read(url, offset=len(BYTES), length=0) == b""
    assert [bytes(part) for part in session.read_ranges(url, [5, 0], np.array([2, 3]).tolist())] == [
        BYTES[5:7],
        BYTES[:3],
    ]
    assert session.read_ranges(url, [], []) == []
    assert session.list_dir(parent(url)) == ("a.bin",)
    assert session.exists(url)
    assert not session.exists(parent(url))
    assert session.counts.objects == 2


def test_counts(session: Session, place: Path) -> None:
    url = from_user(place)
    session.read(url, offset=0, length=7)
    session.read_ranges(url, [1, 2, 3], [4, 5, 6])
    session.read_into(url, 0, [bytearray(8), bytearray(9)])
    counts = session.counts
    assert (counts.requests, counts.bytes, counts.objects) == (5, 7 + 15 + 17, 1)
    counts.reset()
    assert (counts.requests, counts.bytes, counts.objects) == (0, 0, 0)


def test_read_into_arrays(session: Session, place: Path) -> None:
    table = np.zeros((3, 5), "u1")
    empty = np.zeros((0, 5), "u1")
    big = np.zeros((100, 2), ">u4")
    session.read_into(from_user(place), 3, [table, empty, big[:50], big[50:]])
    assert table.tobytes() + big.tobytes() == BYTES[3 : 3 + 15 + 800]


def test_read_into_more_buffers_than_one_call_takes(session: Session, place: Path) -> None:
    buffers = [bytearray(1 + at % 3) for at in range(5000)]
    session.read_into(from_user(place), 1, buffers)
    assert b"".join(map(bytes, buffers)) == BYTES[1 : 1 + sum(map(len, buffers))]


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, len(BYTES) + 1), (len(BYTES), 1), (len(BYTES) + 1, None), (1 << 63, 1), (0, 1 << 64), (-1, 2), (3, -1)],
)
def test_ranges_beyond_the_end(session: Session, place: Path, grant: str, offset: int, length: int | None) -> None:
    url = from_user(place)
    for name in ("", grant):
        with pytest.raises(SourceProtocolError) as error:
            session.read(url, offset=offset, length=length, grant=name)
        assert (error.value.reason, error.value.where) == ("chunk-length", url)
    if length is not None and 0 < length < 1 << 20:
        with pytest.raises(SourceProtocolError) as error:
            session.read_into(url, offset, [bytearray(length)])
        assert error.value.reason == "chunk-length"


def test_missing_is_an_error_and_none_only_when_asked_for(session: Session, place: Path) -> None:
    for name in ("b.bin", "a.bin/c/0", "none/c"):
        url = from_user(place.parent / name)
        with pytest.raises(SourceMissing) as error:
            session.read(url)
        assert not isinstance(error.value, (FileNotFoundError, KeyError))
        assert session.try_read(url) is None
        assert not session.exists(url)
    with pytest.raises(SourceMissing):
        session.list_dir(from_user(place.parent / "none"))


def test_what_is_not_a_regular_file_is_refused_at_once(session: Session, place: Path, grant: str) -> None:
    folder = place.parent
    os.mkfifo(folder / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    start = time.monotonic()
    for name in ("", grant):
        for path in ("fifo", "socket"):
            url = from_user(folder / path)
            for call in (session.read, session.stat, session.try_read, session.exists):
                with pytest.raises(SourceProtocolError) as error:
                    call(url, grant=name)
                assert error.value.reason == "source-format"
        with pytest.raises(SourceMissing):
            session.read(from_user(folder), grant=name)
    for device in ("/dev/zero", "/dev/null", "/dev/tty"):
        if os.path.exists(device):
            with pytest.raises(SourceError):
                session.read("file://" + device)
    assert time.monotonic() - start < 1
    listener.close()


def test_kernel_files(session: Session) -> None:
    root = session.add_grant(Grant.of(["/"]))
    for path in (
        "/proc/self/environ",
        "/proc/self/mem",
        "/proc/cpuinfo",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ):
        if os.path.exists(path):
            with pytest.raises(AccessDenied):
                session.read("file://" + path, grant=root)
    with pytest.raises(SourceProtocolError) as error:
        session.read("file:///proc/cpuinfo")
    assert error.value.reason == "source-format"


def test_links_stay_inside(session: Session, place: Path, grant: str) -> None:
    folder = place.parent
    (folder.parent / "secret").write_bytes(b"secret")
    (folder / "out").symlink_to("../secret")
    (folder / "up").symlink_to("..")
    (folder / "proc").symlink_to("/proc/self/environ")
    (folder / "in").symlink_to("a.bin")
    (folder / "loop").symlink_to("loop")
    assert session.read(from_user(folder / "in"), grant=grant) == BYTES
    for path in ("out", "up/secret", "proc"):
        url = "file://" + str(folder / path)
        for call in (session.read, session.try_read, session.stat, session.exists, session.read_stamped):
            with pytest.raises(AccessDenied) as error:
                call(url, grant=grant)
            assert error.value.reason == "access-denied"
    with pytest.raises(AccessDenied):
        session.list_dir(from_user(folder / "up"), grant=grant)
    with pytest.raises(SourceProtocolError):
        session.read(from_user(folder / "loop"), grant=grant)
    assert session.read(from_user(folder / "out")) == b"secret"


def test_links_into_another_allowed_place(session: Session, place: Path) -> None:
    archive = place.parent.parent / "archive"
    archive.mkdir()
    (archive / "x").write_bytes(b"x")
    (place.parent / "x").symlink_to(archive / "x")
    both = session.add_grant(Grant.of([place.parent, archive]))
    assert session.read(from_user(place.parent / "x"), grant=both) == b"x"
    one = session.add_grant(Grant.of([place.parent]))
    with pytest.raises(AccessDenied) as error:
        session.read(from_user(place.parent / "x"), grant=one)
    assert f'allow=["{from_user(archive / "x")}"]' in str(error.value)


def test_a_root_that_is_a_link_and_moves(session: Session, tmp_path: Path) -> None:
    for release in ("r1", "r2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "a").write_text(release)
    current = tmp_path / "current"
    current.symlink_to("r1")
    name = session.add_grant(Grant.of([current]))
    assert session.read(from_user(current / "a"), grant=name) == b"r1"
    current.unlink()
    current.symlink_to("r2")
    assert session.read(from_user(current / "a"), grant=name) == b"r2"


def test_nothing_outside_a_grant_is_even_opened(session: Session, place: Path, grant: str) -> None:
    outside = place.parent.parent / "other"
    outside.write_bytes(b"x")
    before = os.stat(outside).st_atime_ns
    for path in ("other", "inside2", "none"):
        with pytest.raises(AccessDenied):
            session.read(from_user(place.parent.parent / path), grant=grant)
    assert os.stat(outside).st_atime_ns == before
    with pytest.raises(AccessDenied):
        session.read(from_user(place), grant="unknown")


def test_a_link_that_is_exchanged_all_the_time_never_leads_out(session: Session, place: Path, grant: str) -> None:
    folder = place.parent
    (folder.parent / "secret").write_bytes(b"secret")
    for name, target in (("good", "a.bin"), ("bad", "../secret")):
        (folder / name).symlink_to(target)
    swapped = folder / "swapped"
    swapped.symlink_to("a.bin")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for target in ("../secret", "a.bin"):
                (folder / "next").symlink_to(target)
                os.replace(folder / "next", swapped)

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = {"read": 0, "denied": 0}
    try:
        end = time.monotonic() + 60  # on a busy machine one thread may have all the turns for long
        while sum(outcomes.values()) < 2000 or (not all(outcomes.values()) and time.monotonic() < end):
            try:
                assert session.read(from_user(swapped), grant=grant, offset=0, length=6) == BYTES[:6]
                outcomes["read"] += 1
            except AccessDenied:
                outcomes["denied"] += 1
    finally:
        stop.set()
        thread.join()
    assert outcomes["read"]
    assert outcomes["denied"]


def test_a_stamp_tells_a_changed_file(session: Session, place: Path) -> None:
    url = from_user(place)
    stamp = session.stat(url)
    info = os.stat(place)
    assert stamp == Stamp(len(BYTES), info.st_mtime_ns, info.st_ino)
    assert session.read(url, offset=1, length=2, stamp=stamp) == BYTES[1:3]

    os.utime(place, ns=(1, 1))
    with pytest.raises(SourceChanged) as error:
        session.read(url, offset=1, length=2, stamp=stamp)
    assert f"mtime_ns was {stamp.mtime_ns}, is 1" in str(error.value)
    assert "size" not in str(error.value).partition("; ")[0]

    place.with_suffix(".new").write_bytes(BYTES)
    os.utime(place.with_suffix(".new"), ns=(info.st_atime_ns, info.st_mtime_ns))
    os.replace(place.with_suffix(".new"), place)
    for call in (
        lambda: session.read(url, stamp=stamp),
        lambda: session.read_ranges(url, [0], [1], stamp=stamp),
        lambda: session.read_into(url, 0, [bytearray(1)], stamp=stamp),
        lambda: session.verify(url, stamp),
    ):
        with pytest.raises(SourceChanged) as error:
            call()
        assert f"inode was {stamp.inode}" in str(error.value)
        assert error.value.where == url

    place.write_bytes(BYTES[:-1])
    with pytest.raises(SourceChanged):
        session.read(url, offset=0, length=1, stamp=Stamp(size=len(BYTES)))
    assert session.read(url, offset=0, length=1, stamp=Stamp(etag='"x"')) == BYTES[:1]


def test_a_truncated_file_fails_exactly_beyond_the_cut(session: Session, place: Path) -> None:
    url = from_user(place)
    os.truncate(place, 1000)
    assert session.read(url, offset=900, length=100) == BYTES[900:1000]
    with pytest.raises(SourceProtocolError):
        session.read(url, offset=901, length=100)
    with pytest.raises(SourceProtocolError):
        session.read_ranges(url, [0, 950], [10, 100])


def test_the_digest_decides_for_copies(session: Session, place: Path, tmp_path: Path) -> None:
    data, stamp = session.read_stamped(from_user(place))
    assert data == BYTES
    assert stamp.digest == digest(BYTES)
    copy = tmp_path / "copy.bin"
    shutil.copy(place, copy)
    os.utime(copy, ns=(5, 5))
    url = from_user(copy)
    session.verify(url, stamp)
    assert session.read(url, stamp=stamp) == BYTES
    assert session.read(url, offset=3, length=4, stamp=stamp) == BYTES[3:7]
    copy.write_bytes(BYTES[::-1])
    for call in (lambda: session.verify(url, stamp), lambda: session.read(url, offset=3, length=4, stamp=stamp)):
        with pytest.raises(SourceChanged) as error:
            call()
        assert "digest was sha256:" in str(error.value)
    session.verify(from_user(place), Stamp(etag='"remote"', digest=digest(BYTES)))
    with pytest.raises(SourceChanged):
        session.verify(from_user(place), Stamp(digest=digest(b"")))


def test_verify_looks_each_time_and_opens_once(session: Session, place: Path, grant: str) -> None:
    url = from_user(place)
    _, stamp = session.read_stamped(url)
    os.utime(place, ns=(7, 7))
    session.verify(url, stamp, grant=grant)
    place.chmod(0)
    try:
        session.verify(url, stamp, grant=grant)  # as accepted: needs no permission to read
    finally:
        place.chmod(0o644)
    place.write_bytes(b"other")
    with pytest.raises(SourceChanged):
        session.verify(url, stamp, grant=grant)
    place.unlink()
    with pytest.raises(SourceMissing):
        session.verify(url, stamp, grant=grant)


def test_stamps_can_be_waived_but_lengths_cannot(place: Path) -> None:
    session = Session(verify_stamps=False)
    url = from_user(place)
    wrong = Stamp(size=1, inode=1, digest="sha256:0")
    assert session.read(url, stamp=wrong) == BYTES
    session.verify(url, wrong)
    with pytest.raises(SourceProtocolError):
        session.read(url, offset=0, length=len(BYTES) + 1, stamp=wrong)


def test_documents_have_a_limit(session: Session, place: Path) -> None:
    with pytest.raises(ViewLimitError) as error:
        session.read_stamped(from_user(place), limit=len(BYTES) - 1)
    assert (error.value.which, error.value.value) == ("document_bytes", len(BYTES))
    assert session.read_stamped(from_user(place), limit=len(BYTES))[0] == BYTES


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(session: Session, place: Path) -> None:
    place.chmod(0)
    with pytest.raises(SourceDenied):
        session.try_read(from_user(place))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOENT, SourceMissing),
        (errno.ENOTDIR, SourceMissing),
        (errno.EACCES, SourceDenied),
        (errno.EPERM, SourceDenied),
        (errno.EMFILE, SourceUnavailable),
        (errno.ENXIO, SourceProtocolError),
        (errno.ELOOP, SourceProtocolError),
        (errno.EIO, SourceUnavailable),
        (errno.ESTALE, SourceUnavailable),
    ],
)
def test_errors_of_the_system(code: int, kind: type[Exception]) -> None:
    assert type(failure("file:///a", OSError(code, os.strerror(code)))) is kind


def test_no_descriptor_left(session: Session, place: Path) -> None:
    held: list[int] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        while True:
            try:
                held.append(os.open(place, os.O_RDONLY))
            except OSError:
                break
        with pytest.raises(SourceUnavailable) as error:
            session.try_read(from_user(place))
        assert "ulimit -n" in str(error.value)
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert session.read(from_user(place)) == BYTES


def test_no_descriptor_stays_open(session: Session, place: Path, grant: str) -> None:
    url = from_user(place)
    os.mkfifo(place.parent / "fifo")
    (place.parent / "out").symlink_to("/etc/hostname")

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for _ in range(20):
        session.read(url, grant=grant)
        session.list_dir(parent(url))
        for bad in ("fifo", "out"):
            with pytest.raises((SourceProtocolError, AccessDenied)):
                session.read(from_user(place.parent / bad), grant=grant)
        with pytest.raises(SourceChanged):
            session.read(url, stamp=Stamp(size=1))
    assert count() == before


def test_many_threads(session: Session, place: Path, grant: str) -> None:
    url, stamp = from_user(place), session.stat(from_user(place))
    session.counts.reset()
    wrong: list[int] = []

    def work(seed: int) -> None:
        for at in range(seed, seed + 300):
            if session.read(url, offset=at, length=16, stamp=stamp, grant=grant) != BYTES[at : at + 16]:
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(0, 800, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert (session.counts.requests, session.counts.bytes, session.counts.objects) == (2400, 2400 * 16, 1)
