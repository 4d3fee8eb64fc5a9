"""Copies that pass stored chunks on as they are: which, that nothing is decoded, and that damage is still found."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.storage import MemoryStore

import lazyzarr as lz
from lazyzarr.clusters import regions
from lazyzarr.clusters.plans import array_plan
from tests.clusters.test_remote_copies import Bucket, Stopped, bucket, endpoint, stop_after
from tests.clusters.trees import files_of

__all__ = ["bucket", "endpoint"]
ZSTD: list[Any] = ["bytes", {"name": "zstd", "configuration": {"level": 3, "checksum": False}}]


def stored(folder: Path, name: str, cells: np.ndarray, chunks: Sequence[int] = (3, 5), **given: Any) -> lz.View:
    """An array of a directory, compressed with zstd of level 3 unless said otherwise."""
    options: dict[str, Any] = {"compressors": ZstdCodec(level=3), "dimension_names": ["y", "x"], **given}
    zarr.create_array(folder / name, data=cells, chunks=tuple(chunks), **options)
    return lz.open(folder / name)


def cells(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 1000, (rows, 10)).astype("i4")


def parts(folder: Path) -> tuple[lz.View, np.ndarray]:
    """Three arrays whose chunks are those of their concat, which ends within a chunk."""
    data = [cells(6, 0), cells(9, 1), cells(4, 2)]
    return lz.concat([stored(folder, f"{k}.zarr", one) for k, one in enumerate(data)]), np.concatenate(data)


def chunks_of(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in files_of(folder).items() if not name.endswith("zarr.json")}


def expected_chunks(folder: Path) -> dict[str, bytes]:
    """The chunks of `parts`, by their name in the copy."""
    made: dict[str, bytes] = {}
    for k, first in ((0, 0), (1, 2), (2, 5)):
        for name, data in chunks_of(folder / f"{k}.zarr").items():
            _, row, column = name.split("/")
            made[f"c/{int(row) + first}/{column}"] = data
    return made


def test_whole_chunks_are_passed_on_and_nothing_is_decoded(tmp_path: Path) -> None:
    view, whole = parts(tmp_path)
    lz.copy(view, tmp_path / "c.zarr", chunks=(3, 5), codecs=ZSTD)
    assert view.reader.counts.decodes == 0
    assert chunks_of(tmp_path / "c.zarr") == expected_chunks(tmp_path)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "c.zarr", mode="r")[...], whole)
    assert view.reader.counts.decodes == 0


@pytest.mark.parametrize(
    "given",
    [
        {"chunks": (3, 10), "codecs": ZSTD},  # another grid
        {"chunks": (3, 5), "codecs": ["bytes", "gzip"]},  # another chain
        {"chunks": (3, 5), "codecs": ["bytes", {"name": "zstd", "configuration": {"level": 9, "checksum": False}}]},
        {"chunks": (3, 5), "shards": (6, 10), "codecs": ZSTD},
    ],
)
def test_what_is_asked_for_otherwise_is_made(tmp_path: Path, given: dict[str, Any]) -> None:
    view, whole = parts(tmp_path)
    lz.copy(view, tmp_path / "c.zarr", **given)
    assert view.reader.counts.decodes == 14
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "c.zarr", mode="r")[...], whole)


def test_only_what_does_not_fit_is_decoded(tmp_path: Path) -> None:
    """One source on another grid, one with another chain, one whose absent chunks are another value, one in memory."""
    data = [cells(6, k) for k in range(6)]
    views = [
        stored(tmp_path, "a", data[0]),
        stored(tmp_path, "b", data[1], chunks=(2, 10)),
        stored(tmp_path, "c", data[2]),
        stored(tmp_path, "d", data[3], compressors=GzipCodec(level=1)),
        stored(tmp_path, "e", data[4], fill_value=7),
        lz.open(data[5]).rename_dims(["y", "x"]),
    ]
    (tmp_path / "e/c/0/1").unlink()
    data[4][:3, 5:] = 7
    view = lz.concat(views)
    lz.copy(view, tmp_path / "out", chunks=(3, 5), codecs=ZSTD)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out", mode="r")[...], np.concatenate(data))
    assert view.reader.counts.decodes == 3 + 4 + 3
    found, a, c = (chunks_of(tmp_path / name) for name in ("out", "a", "c"))
    for row in range(2):
        for column in range(2):
            assert found[f"c/{row}/{column}"] == a[f"c/{row}/{column}"]
            assert found[f"c/{row + 4}/{column}"] == c[f"c/{row}/{column}"]


def test_chunks_that_were_never_written_are_not_written(tmp_path: Path) -> None:
    view = stored(tmp_path, "a", cells(6), fill_value=-1)
    (tmp_path / "a/c/1/0").unlink()
    lz.copy(view, tmp_path / "out", chunks=(3, 5), codecs=ZSTD)
    assert view.reader.counts.decodes == 0
    assert chunks_of(tmp_path / "out") == chunks_of(tmp_path / "a")
    (tmp_path / "a/zarr.json").unlink()
    with pytest.raises(lz.SourceMissing):
        lz.copy(view, tmp_path / "again", chunks=(3, 5), codecs=ZSTD)


def test_constants_between_chunks_stay_what_they_are(tmp_path: Path) -> None:
    a = stored(tmp_path, "a", cells(6), fill_value=0)
    for value, written in ((0, 4), (5, 8)):
        gap = lz.full((6, 10), value, dtype="i4").rename_dims(["y", "x"])
        lz.copy(lz.concat([a, gap]), tmp_path / f"{value}", chunks=(3, 5), codecs=ZSTD)
        found = zarr.open_array(tmp_path / f"{value}", mode="r")
        np.testing.assert_array_equal(found[...], np.concatenate([cells(6), np.full((6, 10), value)]))
        assert len(chunks_of(tmp_path / f"{value}")) == written
    assert a.reader.counts.decodes == 0


def test_chains_that_round_pass_nothing_on(tmp_path: Path) -> None:
    chain = [
        {"name": "cast_value", "configuration": {"data_type": "int16"}},
        {"name": "bytes", "configuration": {"endian": "little"}},
    ]
    data = np.arange(30.0).reshape(3, 10)
    lz.copy(lz.open(data), tmp_path / "a", chunks=(3, 5), codecs=chain)
    view = lz.open(tmp_path / "a")
    assert not array_plan(view, chunks=(3, 5), codecs=chain).passes
    lz.copy(view, tmp_path / "b", chunks=(3, 5), codecs=chain)
    assert view.reader.counts.decodes == 2
    np.testing.assert_array_equal(lz.open(tmp_path / "b").read(), data)


def test_turned_and_sharded_chunks(tmp_path: Path) -> None:
    view = stored(tmp_path, "a", cells(12), chunks=(3, 5), shards=(6, 10), compressors=ZstdCodec(level=3))
    codecs = zarr.open_array(tmp_path / "a").metadata.to_dict()["codecs"]
    assert isinstance(codecs, list | tuple)
    lz.copy(view[6:], tmp_path / "out", chunks=(6, 10), codecs=[dict(one) for one in codecs])  # type: ignore[arg-type]
    assert view.reader.counts.decodes == 0
    assert chunks_of(tmp_path / "out") == {"c/0/0": (tmp_path / "a/c/1/0").read_bytes()}
    plain = stored(tmp_path, "b", cells(6))
    turned = [{"name": "transpose", "configuration": {"order": [1, 0]}}, *ZSTD]
    lz.copy(plain.T, tmp_path / "t", chunks=(5, 3), codecs=turned)
    assert plain.reader.counts.decodes == 0
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "t", mode="r")[...], cells(6).T)


def test_byte_ranges_of_a_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", data=cells(6), chunks=(3, 5))
    view = lz.open(tmp_path / "a.h5", "v")
    lz.copy(view, tmp_path / "out", chunks=(3, 5), codecs=["bytes"])
    assert view.reader.counts.decodes == 0
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out", mode="r")[...], cells(6))


# -- damage ------------------------------------------------------------------------------------------


def damaged(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 255
    path.write_bytes(data)


def test_checksums_around_a_chunk_are_checked(tmp_path: Path) -> None:
    view = stored(tmp_path, "a", cells(6), compressors=[ZstdCodec(level=3), Crc32cCodec()])
    codecs = [*ZSTD, "crc32c"]
    lz.copy(view, tmp_path / "good", chunks=(3, 5), codecs=codecs)
    assert chunks_of(tmp_path / "good") == chunks_of(tmp_path / "a")
    damaged(tmp_path / "a/c/1/0", 20)
    with pytest.raises(lz.ChunkChecksumError):
        lz.copy(view, tmp_path / "bad", chunks=(3, 5), codecs=codecs)
    assert view.reader.counts.decodes == 0
    assert not (tmp_path / "bad").exists()


def test_checksums_of_the_index_and_within_shards_are_checked(tmp_path: Path) -> None:
    inner = ShardingCodec(chunk_shape=(3, 5), codecs=[BytesCodec(), Crc32cCodec()])
    for place, at in (("index", -10), ("inner", 5)):
        made = zarr.create_array(
            tmp_path / place, shape=(6, 10), chunks=(6, 10), dtype="i4", serializer=inner, compressors=None
        )
        made[:] = cells(6)
        view = lz.open(tmp_path / place)
        codecs: Any = made.metadata.to_dict()["codecs"]
        damaged(tmp_path / place / "c/0/0", at)
        with pytest.raises(lz.ChunkChecksumError):
            lz.copy(view, tmp_path / f"{place}.copy", chunks=(6, 10), codecs=list(codecs))
        assert view.reader.counts.decodes == 0


@pytest.mark.parametrize(
    ("compressor", "codec"),
    [
        (ZstdCodec(level=3), ZSTD[1]),
        (GzipCodec(level=3), {"name": "gzip", "configuration": {"level": 3}}),
        (
            zarr.codecs.BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=4),
            {
                "name": "blosc",
                "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
            },
        ),
        (None, None),
    ],
)
@pytest.mark.parametrize("harm", ["cut", "other", "empty"])
def test_chunks_that_are_cut_off_are_found(tmp_path: Path, compressor: Any, codec: Any, harm: str) -> None:
    view = stored(tmp_path, "a", cells(6), compressors=compressor)
    codecs = ["bytes", *([] if codec is None else [codec])]
    lz.copy(view, tmp_path / "good", chunks=(3, 5), codecs=codecs)
    assert view.reader.counts.decodes == 0
    chunk = tmp_path / "a/c/1/1"
    chunk.write_bytes({"cut": chunk.read_bytes()[:-3], "other": b"broken", "empty": b""}[harm])
    with pytest.raises(lz.ChunkDecodeError):
        lz.copy(view, tmp_path / "bad", chunks=(3, 5), codecs=codecs)


def test_sources_that_changed_are_refused(tmp_path: Path) -> None:
    view = stored(tmp_path, "a", cells(6))
    document = tmp_path / "a/zarr.json"
    document.write_text(document.read_text().replace('"fill_value": 0', '"fill_value": 1'))
    with pytest.raises(lz.SourceChanged):
        lz.copy(view, tmp_path / "out", chunks=(3, 5), codecs=ZSTD)


# -- everywhere --------------------------------------------------------------------------------------


def test_buckets_and_stores(bucket: Bucket, tmp_path: Path) -> None:
    view, whole = parts(tmp_path)
    given: Any = {"chunks": (3, 5), "codecs": ZSTD}
    lz.copy(view, "s3://copies/one.zarr", storage_options=bucket.options, **given)
    names = [name for name in bucket.names() if name.startswith("one.zarr/c/")]
    assert {name.removeprefix("one.zarr/"): bucket.get(name) for name in names} == expected_chunks(tmp_path)
    remote = lz.open("s3://copies/one.zarr", storage_options=bucket.options)
    assert isinstance(remote, lz.View)
    lz.copy(remote, tmp_path / "back", **given)
    lz.copy(remote, "s3://copies/two.zarr", storage_options=bucket.options, **given)
    store = MemoryStore()
    lz.copy(remote, store, **given)
    assert view.reader.counts.decodes == remote.reader.counts.decodes == 0
    assert chunks_of(tmp_path / "back") == expected_chunks(tmp_path)
    for found in (zarr.open_array(store, mode="r"), lz.open("s3://copies/two.zarr", storage_options=bucket.options)):
        np.testing.assert_array_equal(found[...], whole)


def test_a_copy_that_was_stopped_goes_on(tmp_path: Path) -> None:
    view, _ = parts(tmp_path)
    given: Any = {"chunks": (3, 5), "codecs": ZSTD, "memory": 1}
    with pytest.raises(Stopped):
        lz.copy(view, tmp_path / "c.zarr", progress=stop_after(3), **given)
    assert not (tmp_path / "c.zarr").exists()
    seen: list[int] = []
    lz.copy(view, tmp_path / "c.zarr", progress=lambda done, whole: seen.append(done), **given)
    assert len(seen) - 1 <= 14 - 3
    assert view.reader.counts.decodes == 0
    assert chunks_of(tmp_path / "c.zarr") == expected_chunks(tmp_path)


def test_workers_of_a_cluster(tmp_path: Path) -> None:
    view, whole = parts(tmp_path)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        lz.copy(view, tmp_path / "c.zarr", chunks=(3, 5), codecs=ZSTD, memory=1, scheduler=client)
    assert chunks_of(tmp_path / "c.zarr") == expected_chunks(tmp_path)
    np.testing.assert_array_equal(lz.open(tmp_path / "c.zarr").read(), whole)


@st.composite
def joined(draw: st.DrawFn, folder: Path) -> lz.View:
    """Arrays of chunks of 2 x 3, of any rows, some chunks not there, joined with others and cut somewhere."""
    parts: list[lz.View] = []
    for number in range(draw(st.integers(1, 4))):
        rows = draw(st.sampled_from([2, 4, 4, 6, 3]))
        if draw(st.integers(0, 5)) == 5:
            parts.append(lz.full((rows, 6), draw(st.sampled_from([0, 1])), dtype="i4").rename_dims(["y", "x"]))
            continue
        one = stored(
            folder, f"{number}", cells(rows, number)[:, :6], (2, 3), fill_value=draw(st.sampled_from([0, 0, 1]))
        )
        for row in range(-(-rows // 2)):
            if draw(st.integers(0, 3)) == 3:
                (folder / f"{number}/c/{row}/{draw(st.sampled_from([0, 1]))}").unlink()
        if draw(st.integers(0, 4)) == 4:
            one = one[:, ::-1]
        parts.append(one)
    view = lz.concat(parts)
    first = draw(st.sampled_from([0, 0, 0, 2, 1]))
    view = view[min(first, view.shape[0] - 1) :, draw(st.sampled_from([0, 0, 3, 1])) :]
    if draw(st.integers(0, 4)) == 4:
        view = lz.pad(view, ((0, 0), (draw(st.sampled_from([3, 1])), 0)), value=0)
    return view.T if draw(st.integers(0, 3)) == 3 else view


def test_random_joins_with_the_chunks_of_their_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[int] = []
    passing = regions._passed

    def counted(plan: Any, flat: Any, rows: np.ndarray, first: Any) -> Any:
        passed.append(len(rows))
        return passing(plan, flat, rows, first)

    monkeypatch.setattr(regions, "_passed", counted)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            view = data.draw(joined(Path(folder)))
            turned = view.dims == ("x", "y")
            codecs = [{"name": "transpose", "configuration": {"order": [1, 0]}}, *ZSTD] if turned else ZSTD
            memory = data.draw(st.sampled_from([1, 400, 10**9]))
            lz.copy(view, f"{folder}/c.zarr", chunks=(3, 2) if turned else (2, 3), codecs=codecs, memory=memory)
            found = lz.open(f"{folder}/c.zarr")
            assert isinstance(found, lz.View)
            assert found.schema == view.schema
            np.testing.assert_array_equal(found.read(), view.read())
            np.testing.assert_array_equal(zarr.open_array(f"{folder}/c.zarr", mode="r")[...], view.read())

    check()
    assert sum(passed) > 100
