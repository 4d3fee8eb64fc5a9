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


# -- below value-wise decodes -----------------------------------------------------------------------------


def codecs_of(array: ServedArray) -> list[str]:
    return [codec["name"] for codec in array.metadata["codecs"]]


def check(view: View) -> ServedArray:
    """zarr-python reads the cells of the view; chunks that are passed on take no decode, the others no wrong value."""
    array, expected = ServedArray(view), view.read()
    found = np.asarray(zarr.open_array(lz.store(view), mode="r")[...])
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()
    for place in places(array):
        before = view.reader.counts.decodes
        array.chunk(place)
        assert not array.passes(place) or view.reader.counts.decodes == before
    return array


RNG = np.random.default_rng(3)


def numbers(place: Path, dtype: str, **options: Any) -> Any:
    """A stored array of 8 cells, as float64."""
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.iinfo("i2")
    cells = RNG.integers(info.min, info.max, 8, endpoint=True).astype(dtype)
    view = stored(place, cells, **{"chunks": (4,), **options})
    return view.astype("float64") if dtype != "float64" else view


def test_stored_bytes_below_a_common_cast_are_passed_on(tmp_path: Path) -> None:
    """Sources of the cast are passed on; one of other codecs, one of a smaller type and one that is cut are packed."""
    parts = [
        *(numbers(tmp_path / str(k), "int16") for k in range(3)),
        numbers(tmp_path / "gzip", "int16", compressors=[GzipCodec()]),
        numbers(tmp_path / "small", "int8"),
        numbers(tmp_path / "cut", "int16")[1:5],
    ]
    view = lz.concat(parts)
    array = check(view)
    assert codecs_of(array) == ["cast_value", "bytes", "zstd"]
    assert passed(array) == [(k,) for k in range(6)]
    counts = view.reader.counts
    counts.reset()
    for (k,) in passed(array):
        assert bytes(array.chunk((k,))) == (tmp_path / str(k // 2) / "c" / str(k % 2)).read_bytes()
    assert counts.decodes == 0
    assert array.chunk((6,)) is not None
    assert counts.decodes == 1
    assert array.chunk((10,)) is not None
    assert counts.decodes == 3, "a chunk that is cut out of two"


def test_missing_chunks_and_constants_below_a_cast(tmp_path: Path) -> None:
    views = [numbers(tmp_path / str(k), "int16", fill_value=7) for k in range(2)]
    (tmp_path / "0" / "c" / "1").unlink()
    array = check(lz.pad(lz.concat(views), ((4, 3),), value=7))
    assert codecs_of(array)[0] == "cast_value"
    padded = check(lz.pad(lz.concat(views), ((4, 3),), value=12))
    assert codecs_of(padded)[0] == "cast_value"
    assert passed(padded) == [(1,), (2,), (3,), (4,)]
    between = check(lz.pad(lz.concat(views), ((4, 3),), value=0.5))
    assert codecs_of(between) == ["bytes"], "no int16 is cast to one half"


@pytest.mark.parametrize("other", ["int32", "uint16", "float64", "float32"])
def test_what_the_cast_cannot_keep_is_never_packed(tmp_path: Path, other: str) -> None:
    parts = [*(numbers(tmp_path / str(k), "int16") for k in range(3)), numbers(tmp_path / "other", other)]
    array = check(lz.concat(parts))
    assert "cast_value" not in codecs_of(array)
    # the plain cells of one source are stored as they are wanted, and the others are encoded like them
    assert passed(array) == ([(6,), (7,)] if other == "float64" else [])


def test_packed_sources_beside_plain_ones(tmp_path: Path) -> None:
    """CF packing has no codec in other readers; what needs none is passed on."""
    packed = [
        stored(tmp_path / str(k), np.arange(8, dtype="i2") + k, chunks=(4,)).unpack(scale_factor=0.5 + k)
        for k in range(2)
    ]
    plain = numbers(tmp_path / "plain", "float64")
    array = check(lz.concat([*packed, plain]))
    assert codecs_of(array) == ["bytes", "zstd"]
    assert passed(array) == [(4,), (5,)]
    assert passed(check(lz.concat(packed))) == []


def test_not_a_number_and_the_sign_of_zero_survive_a_cast_of_floats(tmp_path: Path) -> None:
    bits = np.array([0x7FC00001, 0xFFC12345, 0x80000000, 0x7F800000, 0, 0x00000001, 0x3F800000, 0x7FA00001], "u4")
    parts = [stored(tmp_path / str(k), bits.view("f4"), chunks=(4,)).astype("float64") for k in range(2)]
    array = check(lz.concat([*parts, parts[0][3:7]]))
    assert codecs_of(array)[0] == "cast_value"
    assert len(passed(array)) == 4


@pytest.fixture(scope="module")
def casts(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Views of float64 over arrays of many types and chains."""
    kinds = itertools.product(
        ("int8", "int16", "int32", "uint8", "float32", "float64"), (ZstdCodec(), GzipCodec()), (2, 4)
    )
    return [
        numbers(tmp_path_factory.mktemp("casts") / "a", dtype, compressors=[codec], chunks=(length,), fill_value=length)
        for dtype, codec, length in kinds
    ]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_random_mosaics_of_casts(casts: list[Any], data: st.DataObject) -> None:
    few = data.draw(st.lists(st.sampled_from(casts), min_size=1, max_size=2))
    chosen = data.draw(st.lists(st.sampled_from(few + casts[:4]), min_size=1, max_size=6))
    cuts = [data.draw(st.sampled_from((slice(None), slice(None), slice(0, 4), slice(1, 6)))) for _ in chosen]
    view = lz.concat([one[cut] for one, cut in zip(chosen, cuts, strict=True)])
    if data.draw(st.booleans()):
        view = lz.pad(view, ((data.draw(st.integers(0, 5)), 2),), value=data.draw(st.sampled_from((2, 4, 300, 0.5))))
    array = check(view)
    kind = "all" if array.passed_on else "some" if passed(array) else "no"
    cast = "below a cast" if "cast_value" in codecs_of(array) else "plain"
    GRAPHS[f"store: {kind} chunks of a mosaic of casts passed on, {cast}"] += 1
