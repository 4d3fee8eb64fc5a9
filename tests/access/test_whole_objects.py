"""`Session.read_objects` is `Session.try_read` for each object, whatever the file is and whoever asks."""

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
@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize("name", NAMES)
def test_as_one_by_one(tree, name, size, granted):
    session, twin = Session(), Session()
    url = from_user(tree / name)
    grant = grant_for(from_user(tree / "view.zarr"), ()) if granted else None
    key = "" if grant is None else session.add_grant(grant)
    if grant is not None:
        twin.add_grant(grant)
    buffer = None if size is None else memoryview(np.zeros(size, np.uint8))

    def many():
        (found,) = session.read_objects([url], [buffer], grant=key)
        return None if found is None else bytes(found)

    def one():
        found = twin.try_read(url, grant=key)
        return None if found is None else bytes(found)

    assert outcome(many) == outcome(one)
    assert (session.counts.requests, session.counts.bytes, session.counts.objects) == (
        twin.counts.requests,
        twin.counts.bytes,
        twin.counts.objects,
    )


def test_a_buffer_of_the_length_of_the_object_is_filled(tree):
    session = Session()
    exact, longer = memoryview(np.zeros(8, np.uint8)), memoryview(np.zeros(9, np.uint8))
    urls = [from_user(tree / "a")] * 2
    first, second = session.read_objects(urls, [exact, longer])
    assert first is exact
    assert bytes(exact) == b"12345678"
    assert second is not longer
    assert bytes(longer) == bytes(9)


def test_counts_of_a_read_that_stops(tree):
    session = Session()
    answers = session.read_objects([from_user(tree / "a"), from_user(tree / "pipe")], [None, None])
    assert next(answers) == b"12345678"
    with pytest.raises(LazyZarrError):
        next(answers)
    assert (session.counts.requests, session.counts.bytes) == (1, 8)
