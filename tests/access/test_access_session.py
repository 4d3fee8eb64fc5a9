"""A session as a whole: what it imports, what it pickles, what it opens, and how fast it is."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lazyzarr.access.counts import Counts
from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.url import from_user, parent
from lazyzarr.errors import AccessDenied, SourceMissing, ViewSchemaError
from lazyzarr.ir.layout import Stamp


def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    code = f"""
        import json, sys
        from lazyzarr.access.session import Session
        from lazyzarr.access.policy import Grant, grant_for
        Session().read("file://{tmp_path}/a")
        print(json.dumps(sorted(sys.modules)))
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in json.loads(found.stdout)}
    assert not loaded & {"zarr", "networkx", "obstore", "fsspec", "aiohttp", "asyncio", "ssl"}


def test_an_extra_that_is_missing_is_named() -> None:
    code = """
        import sys
        sys.modules["obstore"] = sys.modules["fsspec"] = None
        from lazyzarr.access.session import Session
        from lazyzarr.errors import ExtraMissing
        for url in ("s3://bucket/a", "memory:///a"):
            try:
                Session().read(url)
            except ExtraMissing as error:
                print(error.where, 'pip install "lazyzarr[remote]"' in str(error))
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["obstore", "True", "fsspec", "True"]


def test_a_grant_is_checked_without_touching_anything(tmp_path: Path) -> None:
    opened: list[str] = []
    watching = True

    def watch(event: str, args: tuple[object, ...]) -> None:
        if watching and event in ("open", "os.listdir", "os.scandir", "socket.connect", "socket.getaddrinfo"):
            opened.append(event)

    session = Session()
    sys.addaudithook(watch)
    grant = session.add_grant(Grant.below("s3://bucket/a/") | Grant.of([tmp_path]))
    for url in ("file:///etc/hostname", "https://host/a", "s3://bucket/b", "gs://bucket/a", "memory:///a"):
        with pytest.raises(AccessDenied):
            session.read(url, grant=grant)
        with pytest.raises(AccessDenied):
            session.list_dir(url, grant=grant)
    watching = False
    assert opened == []


def test_pickles_by_configuration(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123")
    session = Session({"https://host/": {"headers": {"X": "1"}}}, verify_stamps=False)
    name = session.add_grant(Grant.below(parent(from_user(path))))
    session.read(from_user(path))
    copy = pickle.loads(pickle.dumps(session))
    assert copy.read(from_user(path), grant=name) == b"0123"
    assert copy.read(from_user(path), stamp=Stamp(size=1)) == b"0123"
    assert copy.options == session.options
    assert copy.grants == session.grants
    assert (copy.counts.requests, session.counts.requests) == (2, 1)


def test_joined_sessions() -> None:
    one = Session({"s3://a": {"region": "x"}}, verify_stamps=False)
    two = Session({"s3://b": {"region": "y"}}, verify_stamps=False)
    first, second = one.add_grant(Grant.of(["s3://a"])), two.add_grant(Grant.of(["s3://b"]))
    both = one.joined(two)
    assert set(both.options) == {"s3://a/", "s3://b/"}
    assert set(both.grants) == {first, second}
    assert not both.verify_stamps
    assert one.joined(Session()).verify_stamps
    assert one.joined(one).options == one.options
    with pytest.raises(ViewSchemaError) as error:
        one.joined(Session({"s3://a/": {"region": "z"}}))
    assert error.value.where == "storage_options"


def test_locations_in_another_spelling(tmp_path: Path) -> None:
    session = Session()
    with pytest.raises(ViewSchemaError):
        session.read("FILE:///etc/hostname")
    with pytest.raises(ViewSchemaError):
        session.read("/etc/hostname")
    (tmp_path / "a b").write_bytes(b"x")
    grant = session.add_grant(Grant.of([tmp_path]))
    assert session.read(f"file://{tmp_path}/%61%20b", grant=grant) == b"x"
    for text in (f"file://{tmp_path}/../x", f"file://{tmp_path}/%2e%2e/x", f"file://{tmp_path}/a%2Fb"):
        with pytest.raises(ViewSchemaError):
            session.read(text, grant=grant)
        with pytest.raises(ViewSchemaError):
            session.read(text)


def test_counts_tell_objects_apart_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lazyzarr.access.counts.MOST_OBJECTS", 3)
    counts = Counts()
    for at in range(10):
        counts.add(f"file:///{at}", requests=1)
    assert (counts.requests, counts.objects) == (10, 3)
    assert repr(counts) == "Counts(requests=10, bytes=0, objects=3)"


def test_verdicts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lazyzarr.access.session._MOST_VERIFIED", 2)
    session = Session()
    for at in range(5):
        path = tmp_path / str(at)
        path.write_bytes(b"x")
        session.verify(from_user(path), session.stat(from_user(path)))
    assert len(session._verified) <= 2
    with pytest.raises(SourceMissing):
        session.verify(from_user(tmp_path / "none"), Stamp(size=1))
