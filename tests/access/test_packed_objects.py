"""`Session.read_packed` is `Session.try_read` for each object, or leaves it to it, whatever the file is and whoever asks."""

import os

import numpy as np
import pytest

from lazyzarr.access.policy import grant_for
from lazyzarr.access.session import Session
from lazyzarr.access.url import from_user
from lazyzarr.errors import LazyZarrError


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    for name, content in (("a", b"12345678"), ("b", b"1234"), ("empty", b""), ("a b", b"spaces!!")):
        (root / name).write_bytes(content)
    (root / "folder").mkdir()
    (root / "inside").symlink_to(root / "a")
    (tmp_path / "secret").write_bytes(b"12345678")
    (root / "outside").symlink_to(tmp_path / "secret")
    os.mkfifo(root / "pipe")
    return root


def outcome(work):
    try:
        return work()
    except LazyZarrError as error:
        return type(error), error.reason


NAMES = ("a", "b", "empty", "a b", "folder", "inside", "outside", "pipe", "absent", "absent/deeper", "a/below")


@pytest.mark.parametrize("granted", [False, True])
@pytest.mark.parametrize(("most", "exact"), [(8, True), (8, False), (9, False), (9, True), (4, False)])
@pytest.mark.parametrize("name", NAMES)
def test_as_one_by_one(tree, name, most, exact, granted):
    session, twin = Session(), Session()
    url = from_user(tree / name)
    grant = grant_for(from_user(tree / "view.zarr"), ()) if granted else None
    key = "" if grant is None else session.add_grant(grant)
    if grant is not None:
        twin.add_grant(grant)
    room = memoryview(np.zeros(20, np.uint8))

    def packed():
        lengths = session.read_packed([url], room, most, exact=exact, grant=key)
        if not lengths:
            return None
        return None if lengths[0] < 0 else bytes(room[: lengths[0]])

    expected = outcome(lambda: twin.try_read(url, grant=key))
    found = outcome(packed)
    fits = isinstance(expected, bytes) and 0 < len(expected) <= most and (len(expected) == most or not exact)
    if fits:
        assert found == expected
        assert session.counts.bytes == twin.counts.bytes
        assert (session.counts.requests, session.counts.objects) == (1, 1)
    else:  # an error of access is raised at once, all else is left to `read`
        assert found is None or found == expected
        assert session.counts.requests == 0
    if expected is None:
        assert session.read_packed([url], room, most, exact=exact, grant=key) == [-1]


@pytest.mark.parametrize("exact", [False, True])
def test_objects_lie_end_to_end(tree, exact):
    session = Session()
    names = ("a", "absent", "inside", "a")
    room = memoryview(np.zeros(40, np.uint8))
    lengths = session.read_packed([from_user(tree / name) for name in names], room, 8, exact=exact)
    assert lengths == [8, -1, 8, 8]
    hole = bytes(8) if exact else b""
    assert bytes(room).rstrip(b"\0") == b"12345678" + hole + b"12345678" * 2
    assert (session.counts.requests, session.counts.bytes, session.counts.objects) == (3, 24, 2)


def test_it_ends_where_the_next_object_may_not_fit(tree):
    session = Session()
    room = memoryview(np.zeros(20, np.uint8))
    assert session.read_packed([from_user(tree / "b")] * 9, room, 8, exact=False) == [4] * 4


@pytest.mark.parametrize("name", ["pipe", "folder", "empty"])
def test_it_ends_before_what_is_no_plain_file(tree, name):
    session = Session()
    room = memoryview(np.zeros(40, np.uint8))
    urls = [from_user(tree / "a"), from_user(tree / name), from_user(tree / "b")]
    assert session.read_packed(urls, room, 8, exact=False) == [8]
    assert (session.counts.requests, session.counts.bytes) == (1, 8)
