"""Changes of several objects in a bucket: all or none, wherever a writer is killed, and whoever comes in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lazyzarr as lz
from lazyzarr.document.decode import generation_of
from lazyzarr.document.remote_changes import JOURNAL, NOTHING, change, finish

OLD = {"g/zarr.json": b"root 0", "g/v/zarr.json": b"v 0", "g/t/zarr.json": b"t 0", "g/t/c/0": b"cells 0"}
NEW = {
    "g/zarr.json": b"root 1",
    "g/v/zarr.json": b"v 1",
    "g/t/zarr.json": b"t 1",
    "g/t/c/0": b"cells 1",
    "g/t/c/1": b"more 1",
}
TABLE = "g/v/tables/abc/c/0"


class Killed(Exception):
    """The process is no more."""


class Bucket:
    """Objects, whose content is their tag; something happens before the request of a number."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = dict(objects)
        self.requests = 0
        self.before: dict[int, Callable[[], None]] = {}

    def _count(self) -> None:
        self.requests += 1
        happens = self.before.pop(self.requests, None)
        if happens is not None:
            happens()

    def get(self, key: str) -> tuple[bytes, Any] | None:
        self._count()
        return (self.objects[key], self.objects[key]) if key in self.objects else None

    def put(self, key: str, data: bytes) -> None:
        self._count()
        self.objects[key] = data

    def create(self, key: str, data: bytes) -> bool:
        self._count()
        if key in self.objects:
            return False
        self.objects[key] = data
        return True

    def replace(self, key: str, data: bytes, tag: Any) -> bool:
        self._count()
        if self.objects[key] != tag:
            return False
        self.objects[key] = data
        return True

    def now(self) -> dict[str, bytes]:
        """What is there, but for the journal and tables."""
        return {key: data for key, data in self.objects.items() if not key.endswith(JOURNAL) and key != TABLE}


def apply(bucket: Bucket, number: int = 1, old: dict[str, bytes] = OLD, *, hides: bool = False) -> dict[str, bytes]:
    """Change everything to another number; what is there then."""
    new = {key: data.replace(b"1", str(number).encode()) for key, data in NEW.items()}
    files = {key.removeprefix("g/"): data for key, data in new.items()} | {"v/tables/abc/c/0": b"rows"}
    expected = {name: generation_of(old[f"g/{name}"]) for name in ("zarr.json", "v/zarr.json", "t/zarr.json")}
    change(bucket, "g", files, expected=expected, where="s3://b/g", hides=hides)
    return new


def killed() -> None:
    raise Killed


def requests(*, hides: bool) -> int:
    bucket = Bucket(OLD)
    apply(bucket, hides=hides)
    assert bucket.now() == NEW
    return bucket.requests


@pytest.mark.parametrize("hides", [False, True])
def test_a_writer_that_is_killed_anywhere_leaves_all_or_nothing(*, hides: bool) -> None:
    outcomes: set[bool] = set()
    count = requests(hides=hides)
    assert count > 15
    for number in range(1, count + 1):
        bucket = Bucket(OLD)
        bucket.before[number] = killed
        with pytest.raises(Killed):
            apply(bucket, hides=hides)
        for again in range(1, 40):  # and whoever finishes it may be killed, too
            bucket.before[bucket.requests + again] = killed
            try:
                finish(bucket, "g", "s3://b/g")
            except Killed:
                continue
            break
        bucket.before.clear()
        assert bucket.now() in (OLD, NEW)
        outcomes.add(bucket.now() == NEW)
        if bucket.now() == OLD:
            apply(bucket, hides=hides)
        assert bucket.now() == NEW
    assert outcomes == {True, False}


@pytest.mark.parametrize("hides", [False, True])
def test_one_that_was_slow_undoes_nothing(*, hides: bool) -> None:
    """Somebody else finishes the change, or makes an own one first, and one more, before each of its requests."""
    for number in range(1, requests(hides=hides) + 1):
        bucket = Bucket(OLD)
        seen: list[dict[str, bytes]] = []

        def other(bucket: Bucket = bucket, seen: list[dict[str, bytes]] = seen) -> None:
            finish(bucket, "g", "s3://b/g")
            first = bucket.now()
            if first == OLD:
                first = apply(bucket, 5, hides=hides)
            seen.append(apply(bucket, 7, first, hides=hides))

        bucket.before[number] = other
        try:
            apply(bucket, hides=hides)
        except lz.SaveConflict:
            assert seen
        assert bucket.now() == seen[-1], number
        finish(bucket, "g", "s3://b/g")
        assert bucket.now() == seen[-1], number


def test_nothing_can_be_read_while_members_would_not_belong_together() -> None:
    seen: set[tuple[bytes, ...]] = set()
    for number in range(1, requests(hides=True) + 1):
        bucket = Bucket(OLD)
        bucket.before[number] = killed
        with pytest.raises(Killed):
            apply(bucket, hides=True)
        now = bucket.now()
        members = {data[-1:] for key, data in now.items() if key != "g/zarr.json"}
        assert now["g/zarr.json"] == NOTHING or members == {now["g/zarr.json"][-1:]}
        seen.add(tuple(now.values()))
    assert any(NOTHING in one for one in seen)


@pytest.mark.parametrize("hides", [False, True])
def test_a_member_that_somebody_changed_alone_is_a_conflict(*, hides: bool) -> None:
    conflicts = 0
    for number in range(1, requests(hides=hides) + 1):
        bucket = Bucket(OLD)

        def alone(bucket: Bucket = bucket) -> None:
            bucket.objects["g/v/zarr.json"] += b" and more"

        bucket.before[number] = alone
        try:
            apply(bucket, hides=hides)
        except lz.SaveConflict:
            conflicts += 1
        assert bucket.now()["g/v/zarr.json"].endswith(b" and more")
        assert bucket.now()["g/zarr.json"] != NOTHING
        finish(bucket, "g", "s3://b/g")
    assert conflicts


def test_what_is_too_much_for_a_journal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lazyzarr.document.remote_changes.MOST", 10)
    bucket = Bucket(OLD)
    with pytest.raises(lz.SaveUnsupported, match="journal"):
        apply(bucket)
    assert bucket.now() == OLD
