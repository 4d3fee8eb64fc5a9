"""The short way to whole files of an array says what the session says: bytes, absence, errors and counts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings

import lazyzarr as lz
from lazyzarr.access.keyed_files import KeyedFiles
from lazyzarr.errors import LazyZarrError
from lazyzarr.lower.aligned import OBJECT, AlignedManifest
from lazyzarr.passing import StoredChunks, passable, stored_bytes
from lazyzarr.view import View
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An array of 3 by 3 chunks, of which those of the last column are absent."""
    array = zarr.create_array(tmp_path / "data" / "a.zarr", shape=(6, 9), chunks=(2, 3), dtype="i4", fill_value=3)
    array[:, :6] = np.arange(36).reshape(6, 6)
    return tmp_path / "data" / "a.zarr"


def told(read: Callable[[], Any]) -> Any:
    """What a read says; of an error its kind and its reason."""
    try:
        data = read()
    except LazyZarrError as error:
        return type(error), error.reason, error.where
    return None if data is None else bytes(data)


def both(view: View) -> list[Any]:
    """What either way says of every chunk, which has to be one thing, with the same counts."""
    flat = view.flatten()
    quick = StoredChunks(flat, view.reader.session)
    return [_both(view, flat, quick, row) for row in range(len(flat))]


def _both(view: View, flat: AlignedManifest, quick: StoredChunks, row: int) -> Any:
    session = view.reader.session
    session.counts.reset()
    slow = told(partial(stored_bytes, flat, row, session))
    counted = (session.counts.requests, session.counts.bytes, session.counts.objects)
    session.counts.reset()
    assert told(partial(quick.read, row)) == slow
    assert (session.counts.requests, session.counts.bytes, session.counts.objects) == counted
    return slow


@settings(max_examples=60, deadline=None)
@given(graphs(depth=2))
def test_both_ways_say_the_same(drawn: Drawn) -> None:
    view = View(None, graph=drawn.graph)
    flat, _ = passable(view, rectilinear=False)
    if flat is None:
        return
    session = view.reader.session
    quick = StoredChunks(flat, session)
    for row in range(min(len(flat), 64)):
        found = _both(view, flat, quick, row)
        for part in ((0, 3), (2, None), (-4, None)):
            assert told(partial(quick.read, row, *part)) == told(partial(stored_bytes, flat, row, session, *part))
        if flat.state[row] == OBJECT:
            GRAPHS[f"store: {'no bytes' if found is None else 'bytes'} of a file by both ways"] += 1


def test_the_session_is_not_asked_for_whole_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent chunks neither; a source that is there costs one look at its metadata for each chunk."""
    view = lz.concat([lz.open(place)[2:, 3:], lz.open(place)[:2, 3:]])
    flat, session = view.flatten(), view.reader.session
    quick = StoredChunks(flat, session)
    expected = [told(partial(stored_bytes, flat, row, session)) for row in range(len(flat))]
    quick.read(0)
    looked: list[str] = []
    stat = os.stat

    def counting(path: Any, **options: Any) -> os.stat_result:
        looked.append(str(path))
        return stat(path, **options)

    monkeypatch.setattr("lazyzarr.access.keyed_files.os.stat", counting)
    for name in ("read", "stat", "verify"):
        monkeypatch.setattr(session, name, None)
    assert [told(partial(quick.read, row)) for row in range(len(flat))] == expected
    assert expected[0] == (place / "c" / "1" / "1").read_bytes()
    assert expected[1] is None
    assert looked == [str(place / "zarr.json")] * len(flat)


def test_a_source_that_changes_between_two_chunks_is_refused(place: Path) -> None:
    view = lz.open(place)
    flat, session = view.flatten(), view.reader.session
    quick = StoredChunks(flat, session)
    assert quick.read(0) is not None
    document = place / "zarr.json"
    text = document.read_bytes()
    document.write_bytes(text)  # another time, the same content: looked at once, and accepted
    assert quick.read(1) == quick.read(1) == (place / "c" / "0" / "1").read_bytes()
    document.write_bytes(text.replace(b'"fill_value": 3', b'"fill_value": 4'))
    for row in (0, 2):
        assert told(partial(quick.read, row))[1] == "source-changed"
    document.write_bytes(text)
    assert quick.read(0) == (place / "c" / "0" / "0").read_bytes()


def empty(one: Path) -> None:
    one.write_bytes(b"")


def folder(one: Path) -> None:
    one.unlink()
    one.mkdir()


def fifo(one: Path) -> None:
    one.unlink()
    os.mkfifo(one)


def loop(one: Path) -> None:
    one.unlink()
    one.symlink_to(one)


def away(one: Path) -> None:
    shutil.move(one, one.parents[4] / "outside")
    one.symlink_to(one.parents[4] / "outside")


@pytest.mark.parametrize("harm", [empty, folder, fifo, loop, away, Path.unlink])
@pytest.mark.parametrize("saved", [False, True])
def test_harm_to_a_chunk(place: Path, harm: Callable[[Path], None], saved: bool) -> None:
    """Of a view that was saved, links that leave its directory are refused."""
    view = lz.open(place)
    if saved:
        lz.save(view, place.parent / "v.zarr")
        view = lz.open(place.parent / "v.zarr")
    harm(place / "c" / "1" / "1")
    found = both(view)
    assert [row for row, one in enumerate(found) if one is None] == [2, 5, 8] if harm is not Path.unlink else [2, 4, 5]
    reasons = {empty: None, folder: "source-format", fifo: "source-format", loop: "source-protocol"}
    wanted = reasons.get(harm, "access-denied" if saved and harm is away else None)
    assert wanted is None or found[4][1] == wanted


@pytest.mark.parametrize("verify", [True, False])
def test_harm_to_the_source(place: Path, verify: bool) -> None:
    """Without stamps, nobody knows of an absent chunk that its array is there."""
    view = lz.open(place, verify=verify)
    (place / "zarr.json").unlink()
    found = both(view)
    assert {one[1] for one in (found[2], found[5])} == {"source-missing"}
    assert isinstance(found[0], bytes) is not verify
    shutil.rmtree(place)
    assert {one[1] for one in both(view)} == {"source-missing"}


@pytest.mark.parametrize("name", ["a b.zarr", "ä.zarr", "100%.zarr"])
def test_encoded_names_are_for_the_session(place: Path, name: str) -> None:
    moved = place.rename(place.parent / name)
    view = lz.open(moved)
    origin = view.flatten().origins[0]
    assert KeyedFiles.below(view.reader.session, origin.location, origin.document, origin.stamp, "") is None
    assert both(view)[0] == (moved / "c" / "0" / "0").read_bytes()


def test_a_grant_that_is_not_known_or_does_not_permit(place: Path) -> None:
    lz.save(lz.open(place), place.parent / "v.zarr")
    view = lz.open(place.parent / "v.zarr")
    origin = view.flatten().origins[0]
    assert origin.grant
    asked = (origin.location, origin.document, origin.stamp)
    session = view.reader.session
    assert KeyedFiles.below(session, *asked, origin.grant) is not None
    assert KeyedFiles.below(session, *asked, "another") is None
    elsewhere = tuple(one.replace("/data/", "/other/") for one in asked[:2])
    assert KeyedFiles.below(session, *elsewhere, origin.stamp, origin.grant) is None
