"""What boundary materialization writes, what it leaves alone, and what happens when it is stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.lower.aligned import INLINE, MISSING, OBJECT, RANGE
from lazyzarr.materializing import RECORD
from tests.flat.reading import read_flat, read_with_zarr

DAYS = (365, 365, 365, 366, 365)


def years(root: Path) -> tuple[list[lz.View], np.ndarray]:
    """A file a year, in chunks of 30 days, the last of each short."""
    cells = np.arange(sum(DAYS) * 4, dtype="i4").reshape(-1, 4)
    views, first = [], 0
    for number, days in enumerate(DAYS):
        part = cells[first : first + days]
        zarr.create_array(
            root / f"{number}.zarr", data=part, chunks=(30, 4), compressors=zarr.codecs.ZstdCodec(level=1)
        )
        views.append(lz.open(root / f"{number}.zarr"))
        first += days
    return views, cells


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_leap_years_write_one_chunk_a_year(tmp_path: Path) -> None:
    views, cells = years(tmp_path)
    view = lz.concat(views)
    with pytest.raises(lz.NotFlat, match="materialize the 4 boundary chunks \\(336 B\\)"):
        view.flatten()
    report = view.flatten(materialize="boundary", dry_run=True)
    assert (report.chunks, report.referenced, report.written) == (65, 61, 4)
    assert report.bytes_written == (5 + 5 + 5 + 6) * 4 * 4
    assert report.chunk_lengths[0] == (*((*[30] * 12, 5) * 3), *[30] * 12, 6, *[30] * 13)
    assert not (tmp_path / "new").exists()
    manifest = view.flatten(materialize="boundary", into=tmp_path / "new")
    assert files(tmp_path / "new") == {RECORD, *(f"c/{k}/0" for k in (12, 25, 38, 51))}
    assert manifest.state.tolist().count(OBJECT) == 61
    assert manifest.state.tolist().count(RANGE) == 4
    np.testing.assert_array_equal(read_flat(manifest), cells)
    np.testing.assert_array_equal(read_with_zarr(manifest), cells)
    written = [k for k, url in enumerate(manifest.urls()) if "/new/" in url]
    assert written == [12, 25, 38, 51]
    stamps = manifest.stamps(np.array(written))
    assert [s.size for s in stamps if s] == manifest.length[written].tolist()


def test_on_a_regular_grid_all_behind_the_first_cut_is_written(tmp_path: Path) -> None:
    views, cells = years(tmp_path)
    manifest = lz.concat(views).flatten(materialize="boundary", into=tmp_path / "new", rectilinear=False)
    assert manifest.chunk_lengths == (30, 4)
    assert manifest.state.tolist().count(OBJECT) == 12
    np.testing.assert_array_equal(read_with_zarr(manifest), cells)


def test_the_minority_is_written_with_the_chain_of_most(tmp_path: Path) -> None:
    cells = np.arange(48, dtype="i2").reshape(12, 4)
    for number, level in enumerate((1, 1, 9)):
        part = cells[4 * number : 4 * number + 4]
        codec = zarr.codecs.GzipCodec(level=level)
        zarr.create_array(tmp_path / f"{number}", data=part, chunks=(2, 4), compressors=codec)
    view = lz.concat([lz.open(tmp_path / f"{number}") for number in range(3)])
    with pytest.raises(lz.NotFlat, match="materialize the 2 fragments of the minority"):
        view.flatten()
    manifest = view.flatten(materialize="boundary", into=tmp_path / "new")
    assert manifest.state.tolist() == [OBJECT] * 4 + [RANGE] * 2
    assert manifest.codecs[1].configuration == {"level": 1}
    np.testing.assert_array_equal(read_with_zarr(manifest), cells)


def test_grid_and_chain_can_be_given(tmp_path: Path) -> None:
    views, cells = years(tmp_path)
    view = lz.concat(views)
    chain: list[Any] = [{"name": "bytes", "configuration": {"endian": "big"}}, "crc32c"]
    manifest = view.flatten(materialize="boundary", into=tmp_path / "a", chunks=(100, 2), codecs=chain)
    assert manifest.chunk_lengths == (100, 2)
    assert [codec.name for codec in manifest.codecs] == ["bytes", "crc32c"]
    assert set(manifest.state.tolist()) == {RANGE}
    np.testing.assert_array_equal(read_with_zarr(manifest), cells)
    uneven = view.flatten(materialize="boundary", into=tmp_path / "b", chunks=([360, 5, 1461], 4))
    assert uneven.grid_shape == (3, 1)
    np.testing.assert_array_equal(read_with_zarr(uneven), cells)
    for chunks in ((0, 4), (100,), ([360, 5], 4), ([1826, 30], 4)):
        with pytest.raises(lz.ShapeError):
            view.flatten(materialize="boundary", into=tmp_path / "c", chunks=chunks)
    with pytest.raises(lz.ViewError):
        view.flatten(materialize="boundary", into=tmp_path / "c", codecs=["gzip"])
    assert not (tmp_path / "c").exists()


def test_constants_and_gaps_are_written_only_where_they_differ_from_the_fill(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=np.ones((8, 4), "i2"), chunks=(4, 4), fill_value=7)
    a = lz.open(tmp_path / "a")
    view = lz.concat(
        [lz.full((8, 4), 7, dtype="i2"), a, lz.full((4, 4), 5, dtype="i2"), lz.open(np.full((4, 4), 7, "i2"))]
    )
    manifest = view.flatten(materialize="boundary", into=tmp_path / "new")
    assert manifest.state.tolist() == [MISSING, MISSING, OBJECT, OBJECT, RANGE, MISSING]
    np.testing.assert_array_equal(read_with_zarr(manifest), view.read())


def test_stored_values_are_written_below_common_decodes(tmp_path: Path) -> None:
    cells = np.arange(40, dtype="i2").reshape(10, 4)
    zarr.create_array(tmp_path / "a", data=cells, chunks=(4, 4), fill_value=-9)
    packing: dict[str, Any] = {"scale_factor": 0.1, "add_offset": 20.0, "fill_values": [3, -9]}
    a = lz.open(tmp_path / "a").unpack(**packing)
    view = lz.concat([a, a])
    manifest = view.flatten(materialize="boundary", into=tmp_path / "new")
    assert manifest.decodes[0].name == "lazyzarr.unpack"
    assert manifest.state.tolist().count(RANGE) == 1
    np.testing.assert_array_equal(read_flat(manifest), view.read())
    other = lz.concat([a, lz.open(tmp_path / "a").unpack(scale_factor=0.2)])
    with pytest.raises(lz.NotFlat, match="other value-wise decodes"):
        other.flatten(materialize="boundary", into=tmp_path / "b")
    with pytest.raises(lz.NotFlat, match="no stored form"):
        lz.concat([a, lz.full((1, 4), 2.5)]).flatten(materialize="boundary", into=tmp_path / "b")
    decoded = other.flatten(
        materialize="boundary", into=tmp_path / "c", codecs=[{"name": "bytes", "configuration": {"endian": "little"}}]
    )
    assert decoded.decodes == ()
    np.testing.assert_array_equal(read_with_zarr(decoded), other.read())


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    views, cells = years(tmp_path)
    view = lz.concat(views)

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        view.flatten(materialize="boundary", into=tmp_path / "new", progress=stop)
    before = {name: os.stat(tmp_path / "new" / name).st_mtime_ns for name in files(tmp_path / "new")}
    assert len(before) >= 3
    calls: list[tuple[int, int]] = []
    manifest = view.flatten(materialize="boundary", into=tmp_path / "new", progress=lambda *c: calls.append(c))
    assert calls == [(k, 4) for k in (1, 2, 3, 4)]
    assert all(os.stat(tmp_path / "new" / name).st_mtime_ns == time for name, time in before.items())
    np.testing.assert_array_equal(read_flat(manifest), cells)
    decodes = view.reader.counts.decodes
    view.flatten(materialize="boundary", into=tmp_path / "new")
    assert view.reader.counts.decodes == decodes


def test_a_directory_belongs_to_one_choice(tmp_path: Path) -> None:
    views, _ = years(tmp_path)
    view = lz.concat(views)
    view.flatten(materialize="boundary", into=tmp_path / "new")
    for other in (lz.concat(views[::-1]), view.rename_dims(["t", "x"])[1:]):
        with pytest.raises(lz.SaveConflict):
            other.flatten(materialize="boundary", into=tmp_path / "new")
    with pytest.raises(lz.SaveConflict):
        view.flatten(materialize="boundary", into=tmp_path / "new", rectilinear=False)
    with pytest.raises(lz.SaveConflict):
        view.flatten(materialize="boundary", into=tmp_path)


def test_the_directory_is_not_taken_for_an_array(tmp_path: Path) -> None:
    views, _ = years(tmp_path)
    lz.concat(views).flatten(materialize="boundary", into=tmp_path / "new")
    with pytest.raises(lz.LazyZarrError):
        lz.open(tmp_path / "new")
    with pytest.raises((FileNotFoundError, KeyError, ValueError)):
        zarr.open_array(tmp_path / "new", mode="r")


def test_nothing_is_written_for_a_flat_view(tmp_path: Path) -> None:
    views, _ = years(tmp_path)
    manifest = views[0].flatten(materialize="boundary", into=tmp_path / "new")
    assert manifest.chunk_lengths == (30, 4)
    assert not (tmp_path / "new").exists()
    memory = lz.open(np.arange(4)).flatten(materialize="boundary")
    assert memory.state.tolist() == [INLINE]


def test_options_that_say_nothing_are_refused(tmp_path: Path) -> None:
    view = lz.concat(years(tmp_path)[0])
    with pytest.raises(lz.SelectionError):
        view.flatten(into=tmp_path / "new")
    with pytest.raises(lz.SelectionError):
        view.flatten(materialize="all")  # type: ignore[call-overload]
    with pytest.raises(lz.SaveUnsupported):
        view.flatten(materialize="boundary")
    with pytest.raises(lz.SaveUnsupported):
        view.flatten(materialize="boundary", into="s3://bucket/chunks")


def test_a_source_that_fails_stops_the_run(tmp_path: Path) -> None:
    views, _ = years(tmp_path)
    (tmp_path / "1.zarr" / "c" / "12" / "0").write_bytes(b"not zstd")
    with pytest.raises(lz.ChunkError):
        lz.concat(views).flatten(materialize="boundary", into=tmp_path / "new")
    assert "c/25/0" not in files(tmp_path / "new")


def test_manifest_of_any_view(tmp_path: Path) -> None:
    view = lz.concat(years(tmp_path)[0])[5:40]
    table = view.manifest()
    assert table.flatness == view.flatness == "L2"
    assert len(table) == 2
    assert table.problems
    frame = table.to_dataframe()
    assert frame["count"].tolist() == [(25, 4), (10, 4)]
    assert [url.rpartition("/")[0][-5:] for url in frame["url"]] == ["r/c/0", "r/c/1"]
    assert frame["state"].tolist() == ["object", "object"]


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
@pytest.mark.parametrize(
    "rounding",
    [
        {"name": "numcodecs.bitround", "configuration": {"keepbits": 3}},
        {"name": "numcodecs.quantize", "configuration": {"digits": 1, "dtype": "<f8"}},
        {
            "name": "numcodecs.fixedscaleoffset",
            "configuration": {"offset": 0, "scale": 10, "dtype": "<f8", "astype": "<i2"},
        },
    ],
    ids=lambda one: one["name"],
)
def test_a_codec_that_rounds_is_not_given_other_values(tmp_path: Path, rounding: dict[str, Any]) -> None:
    cells = np.random.default_rng(3).random(50)
    for name, part, filters in (("a", slice(40), [rounding]), ("b", slice(40, None), [])):
        array = zarr.create_array(tmp_path / name, shape=cells[part].shape, chunks=(10,), dtype="f8", filters=filters)
        array[:] = cells[part]
    view = lz.concat([lz.open(tmp_path / "a"), lz.open(tmp_path / "b")])
    np.testing.assert_array_equal(zarr.open_array(lz.store(view), mode="r")[:], view.read())
    with pytest.raises(lz.SaveUnsupported):
        view.flatten(materialize="boundary", into=tmp_path / "c")
    flat = view.flatten(materialize="boundary", into=tmp_path / "d", codecs=["bytes", "zstd"])
    assert [codec.name for codec in flat.codecs] == ["bytes", "zstd"]
