"""Chunk by chunk: stored bytes of whole chunks with the common chain are passed on, the others are read and encoded."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import GzipCodec, ZstdCodec

import lazyzarr as lz
from lazyzarr.interpret import interpret
from lazyzarr.lower.aligned import MISSING
from lazyzarr.served import ServedArray
from lazyzarr.view import View
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS


def stored(place: Path, cells: np.ndarray, **options: Any) -> Any:
    zarr.create_array(place, data=cells, **options)
    return lz.open(place)


def places(array: ServedArray) -> list[tuple[int, ...]]:
    return list(itertools.product(*map(range, array.grid)))


def passed(array: ServedArray) -> list[tuple[int, ...]]:
    return [place for place in places(array) if array.passes(place)]


def test_a_short_chunk_in_the_middle(tmp_path: Path) -> None:
    """Years of 365 days in chunks of 30: on the uneven grid only the short chunks are made."""
    rng = np.random.default_rng(1)
    days = (365, 366, 365)
    cells = [rng.integers(0, 99, (n, 2)).astype("f4") for n in days]
    views = [stored(tmp_path / str(k), one, chunks=(30, 2)) for k, one in enumerate(cells)]
    view = lz.concat(views)
    array = ServedArray(view, rectilinear=True)
    assert not array.passed_on
    made = [place for place in places(array) if not array.passes(place)]
    assert made == [(12, 0), (25, 0)]
    counts = view.reader.counts
    for place in passed(array):
        year, number = divmod(place[0], 13)
        assert bytes(array.chunk(place)) == (tmp_path / str(year) / "c" / str(number) / "0").read_bytes()
    assert counts.decodes == 0
    with zarr.config.set({"array.rectilinear_chunks": True}):
        found = zarr.open_array(lz.store(view, rectilinear=True), mode="r")[...]
    assert np.array_equal(found, np.concatenate(cells))
    regular = ServedArray(view)
    assert passed(regular) == [(k, 0) for k in range(12)]
    assert np.array_equal(zarr.open_array(lz.store(view), mode="r")[...], np.concatenate(cells))


def test_a_minority_of_other_chains(tmp_path: Path) -> None:
    cells = np.arange(60, dtype="i4").reshape(10, 6)
    chains = ([ZstdCodec()], [ZstdCodec()], [GzipCodec()])
    view = lz.concat([stored(tmp_path / str(k), cells + k, chunks=(5, 3), compressors=c) for k, c in enumerate(chains)])
    array = ServedArray(view)
    assert [codec["name"] for codec in array.metadata["codecs"]] == ["bytes", "zstd"]
    assert passed(array) == [(y, x) for y in range(4) for x in range(2)]
    for y, x in passed(array):
        assert bytes(array.chunk((y, x))) == (tmp_path / str(y // 2) / "c" / str(y % 2) / str(x)).read_bytes()
    decodes = view.reader.counts.decodes
    assert decodes == 0
    assert array.chunk((4, 0)) is not None
    assert view.reader.counts.decodes == 1
    found = zarr.open_array(lz.store(view), mode="r")
    assert np.array_equal(found[...], view.read())
    assert np.array_equal(found[17:23, 2], view.read()[17:23, 2])


def test_an_overlay_touches_only_some_chunks(tmp_path: Path) -> None:
    base = stored(tmp_path / "base", np.ones((8, 8), "i2"), chunks=(2, 2), fill_value=0)
    patch = stored(tmp_path / "patch", np.full((2, 1), 5, "i2"), chunks=(2, 1))
    view = lz.overlay((8, 8), [(base, (0, 0)), (patch, (2, 4))], overlap="last")
    array = ServedArray(view)
    assert set(places(array)) - set(passed(array)) == {(1, 2)}
    assert array.metadata["fill_value"] == 0
    assert np.array_equal(zarr.open_array(lz.store(view), mode="r")[...], view.read())


def test_absent_chunks_of_another_fill_value_are_made(tmp_path: Path) -> None:
    one = zarr.create_array(tmp_path / "one", shape=(4,), chunks=(2,), dtype="i4", fill_value=1)
    two = zarr.create_array(tmp_path / "two", shape=(4,), chunks=(2,), dtype="i4", fill_value=2)
    one[:2] = two[:2] = 9
    view = lz.concat([lz.open(tmp_path / "one"), lz.open(tmp_path / "two")])
    assert zarr.open_array(lz.store(view), mode="r")[...].tolist() == [9, 9, 1, 1, 9, 9, 2, 2]
    array = ServedArray(view)
    assert len(passed(array)) == 2


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, np.ndarray, Path]]:
    """Arrays of one to nine rows, in two chains and two chunk shapes."""
    made = []
    for rows, codec, length in itertools.product((3, 4, 6, 9), (ZstdCodec(), GzipCodec()), (3, 2)):
        place = tmp_path_factory.mktemp("pieces") / "a"
        cells = np.arange(rows * 4, dtype="i4").reshape(rows, 4) + 1
        made.append((stored(place, cells, chunks=(length, 2), compressors=codec), cells, place))
    return made


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_mosaics_pass_what_stays_a_reference(pieces: list[Any], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=5))
    view, expected = lz.concat([one[0] for one in chosen]), np.concatenate([one[1] for one in chosen])
    array = ServedArray(view)
    report = view.flatten(materialize="boundary", dry_run=True, rectilinear=False)
    files = {(one[2] / "c" / str(y) / str(x)).read_bytes() for one in chosen for y in range(5) for x in range(2)
             if (one[2] / "c" / str(y) / str(x)).exists()}  # fmt: skip
    if report.referenced:
        assert len(passed(array)) == report.referenced
        assert len(places(array)) == report.chunks
        assert all(bytes(array.chunk(place)) in files for place in passed(array))
    assert np.array_equal(zarr.open_array(lz.store(view), mode="r")[...], expected)
    kind = "all" if array.passed_on else "some" if passed(array) else "no"
    GRAPHS[f"store: {kind} chunks of a mosaic passed on"] += 1


@settings(max_examples=80, deadline=None)
@given(graphs(depth=2))
def test_what_is_passed_is_what_is_stored(drawn: Drawn) -> None:
    """Random graphs: passed chunks cost no decode and are the stored bytes; all values are those of the oracle."""
    view = View(None, graph=drawn.graph)
    array = ServedArray(view)
    kinds: Counter[str] = Counter()
    for place in places(array)[:64]:
        before = view.reader.counts.decodes
        data = array.chunk(place)
        if array.passes(place):
            assert view.reader.counts.decodes == before
            kinds["passed"] += 1
            flat = array._flat
            assert flat is not None
            row = int(np.ravel_multi_index(place, array.grid)) if place else 0
            if flat.state[row] == MISSING:
                assert data is None
            elif (url := flat.urls(slice(row, row + 1))[0]).startswith("file://") and data is not None:
                whole = Path(url.removeprefix("file://")).read_bytes()
                first, length = int(flat.offset[row]), int(flat.length[row])
                assert bytes(data) == (whole if length < 0 else whole[first : first + length])
        else:
            kinds["made"] += 1
    expected = interpret(drawn.graph, drawn.truth)
    found = np.asarray(zarr.open_array(lz.store(view), mode="r")[...])
    assert same_cells(found.astype(expected.dtype) if expected.dtype.kind in "TOSUV" else found, expected)
    GRAPHS["store: chunks are " + " and ".join(sorted(kinds) or ["none"])] += 1
