"""Files that stay open: what is read is what was checked, and there are never many of them."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lazyzarr as lz
from lazyzarr.access import held_files
from lazyzarr.access.held_files import MOST, HeldFile
from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.url import from_user


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def open_file(path: Path, session: Session | None = None, grant: str = "") -> HeldFile:
    found = HeldFile.open(session or Session(), from_user(path), grant)
    assert found is not None
    return found


def test_what_was_opened_is_read_whatever_is_under_the_name(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"first")
    file = open_file(path)
    (tmp_path / "y").write_bytes(b"other")
    (tmp_path / "y").replace(path)
    assert file.read(0, 5) == b"first"
    path.unlink()
    assert file.read(1, 2) == b"ir"
    assert open_file_fails(path) == "source-missing"


def open_file_fails(path: Path, session: Session | None = None, grant: str = "") -> str:
    with pytest.raises(lz.LazyZarrError) as caught:
        open_file(path, session, grant)
    return caught.value.reason


@pytest.mark.parametrize(("offset", "length"), [(0, 6), (5, 1), (-1, 2), (6, 0), (2, 2**40)])
def test_ranges_beyond_the_file(tmp_path: Path, offset: int, length: int) -> None:
    (tmp_path / "x").write_bytes(b"01234")
    file = open_file(tmp_path / "x")
    with pytest.raises(lz.LazyZarrError) as caught:
        file.read(offset, length)
    assert caught.value.reason == "chunk-length"


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"01234")
    file = open_file(tmp_path / "x")
    os.truncate(tmp_path / "x", 3)
    assert file.read(0, 3) == b"012"
    with pytest.raises(lz.LazyZarrError) as caught:
        file.read(0, 5)
    assert caught.value.reason == "chunk-length"


def test_grants_are_looked_at_when_a_file_is_opened(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "x").write_bytes(b"01234")
    (inside / "link").symlink_to(outside / "x")
    (inside / "folder").mkdir()
    session = Session()
    grant = session.add_grant(Grant.below(from_user(inside)))
    assert open_file(inside / "x", session, grant).read(0, 1) == b"0"
    for path, reason in (("out/x", "access-denied"), ("in/link", "access-denied"), ("in/folder", "source-format")):
        assert open_file_fails(tmp_path / path, session, grant) == reason
    assert HeldFile.open(session, from_user(inside / "x"), "not known") is None
    assert HeldFile.open(session, "memory://x", "") is None


def test_there_are_never_many_and_threads_never_read_another_file(tmp_path: Path) -> None:
    """Numbers of descriptors are used again at once, so one that was closed too early would be another file."""
    paths = [tmp_path / f"{number:03}" for number in range(2 * MOST)]
    for path in paths:
        path.write_bytes(path.name.encode() * 100)
    before = descriptors()
    session = Session()

    def read(number: int) -> bool:
        path = paths[number * 37 % len(paths)]
        file = open_file(path, session)
        return all(file.read(3 * k, 3) == path.name.encode() for k in range(100))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(20 * MOST)))
    assert descriptors() <= before + MOST
    held_files._kept.clear()
    assert descriptors() <= before
    assert session.counts.requests == 20 * MOST * 100
