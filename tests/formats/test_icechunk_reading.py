"""Icechunk repositories: every kind of chunk, any version, pins from checksums, policy, repositories that lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import icechunk
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.formats.icechunk_manifest import checksums
from tests.formats.icechunk_writing import WHOLE, after, etag, filled, repository


def same(group: lz.Group, expected: dict[str, np.ndarray]) -> None:
    for name, values in expected.items():
        assert np.array_equal(group[name].read(), values, equal_nan=True), name
        assert group[name].dtype == values.dtype, name


def test_every_kind_of_chunk_however_it_is_opened(tmp_path: Path) -> None:
    repo, expected = filled(tmp_path)
    session = repo.readonly_session("main")
    for place in (tmp_path / "repo", repo, session, session.store):
        group = lz.open(place)
        assert set(group) == {"scalar", "inline", "virtual", "mixed", "sub"}
        assert group.attrs == {"title": "T"}
        same(group, expected)
        assert group["mixed"].dims == ("x",)
        assert group["mixed"].attrs == {"units": "m"}
        assert lz.open(place, "mixed", packing="raw").read().tolist() == [0, 1, 3, 3, 9, 9]


def test_what_is_opened_by_location_can_be_saved(tmp_path: Path) -> None:
    repo, expected = filled(tmp_path)
    lz.save(lz.open(tmp_path / "repo"), tmp_path / "saved.zarr")
    same(lz.open(tmp_path / "saved.zarr"), expected)
    with pytest.raises(lz.SaveUnsupported):
        lz.save(lz.open(repo.readonly_session("main")), tmp_path / "other.zarr")


def test_branches_tags_and_snapshots(tmp_path: Path) -> None:
    repo, _ = filled(tmp_path)
    first = repo.lookup_tag("v1")
    session = repo.writable_session("main")
    zarr.open_group(session.store)["sub/native"][0, 0] = 99
    session.commit("second")
    repo.create_branch("old", first)
    for version in ("v1", "tag:v1", "old", "branch:old", first, f"snapshot:{first}"):
        for place in (tmp_path / "repo", repo):
            assert lz.open(place, "sub/native", version=version).read()[0, 0] == 0
    for version in (None, "main", "branch:main"):
        assert lz.open(tmp_path / "repo", "sub/native", version=version).read()[0, 0] == 99
    for wrong in ("nope", "branch:v1", "tag:main", "snapshot:main"):
        with pytest.raises(lz.SourceMissing):
            lz.open(repo, version=wrong)
    repo.create_branch("v1", first)
    with pytest.raises(lz.SourceMissing) as caught:
        lz.open(repo, version="v1")
    assert caught.value.reason == "source-format"


def test_only_repositories_have_versions(tmp_path: Path) -> None:
    repo, _ = filled(tmp_path)
    lz.save(lz.full((2,), 1), tmp_path / "v.zarr")
    for place in (tmp_path / "v.zarr", np.zeros(2), repo.readonly_session("main")):
        with pytest.raises(lz.ViewSchemaError) as caught:
            lz.open(place, version="main")
        assert caught.value.reason == "source-format"


def test_checksums_become_pins(tmp_path: Path) -> None:
    filled(tmp_path)
    view = lz.open(tmp_path / "repo", "virtual")
    found = (tmp_path / "x.bin").stat()
    stamp = view.sources()[0].stamp
    assert stamp is not None
    assert (stamp.size, stamp.mtime_ns, stamp.inode) == (found.st_size, found.st_mtime_ns, found.st_ino)
    lz.save(view, tmp_path / "v.zarr")
    os.utime(tmp_path / "x.bin", (9e8, 9e8))
    for opened in (view, lz.open(tmp_path / "v.zarr")):
        with pytest.raises(lz.SourceChanged):
            opened.read()
    with pytest.raises(lz.SourceChanged):
        lz.open(tmp_path / "repo", "virtual")
    assert lz.open(tmp_path / "repo", "virtual", verify=False).read()[:4].tolist() == [0, 1, 2, 3]


def test_a_time_of_modification_is_held(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", (tmp_path,))
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(4))
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="v", shape=(2,), dtype="i2", chunks=(2,), compressors=None, filters=None)
    session.store.set_virtual_ref("v/c/0", f"file://{path}", offset=0, length=4, checksum=after(path))
    session.commit("x")
    assert lz.open(tmp_path / "repo", "v").read().tolist() == [0, 0]
    os.utime(path, (path.stat().st_mtime + 5,) * 2)
    with pytest.raises(lz.SourceChanged):
        lz.open(tmp_path / "repo", "v")
    with pytest.raises(lz.SourceError):  # and so does Icechunk
        lz.open(repo.readonly_session("main"), "v").read()


def test_checksums_of_a_manifest_are_those_that_were_set(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo", (tmp_path,))
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(400))
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="v", shape=(60, 2), dtype="i1", chunks=(1, 1), compressors=None, filters=None)
    wanted: dict[tuple[int, int], str | int] = {}
    for row in range(0, 60, 2):
        tag = None if row % 3 == 0 else etag(path) if row % 3 == 1 else after(path)
        session.store.set_virtual_ref(f"v/c/{row}/1", f"file://{path}", offset=row, length=1, checksum=tag)
        wanted[row, 1] = "" if tag is None else tag if isinstance(tag, str) else int(tag.timestamp())
    session.commit("x")
    found: dict[tuple[int, int], str | int] = {}
    for file in (tmp_path / "repo" / "manifests").iterdir():
        for one in checksums(file.read_bytes()).values():
            for index, tag, modified in zip(one.coords.tolist(), one.etag, one.modified.tolist(), strict=True):
                found[tuple(index)] = tag or modified or ""
    assert found == wanted


def test_virtual_chunks_stay_within_what_the_reader_allows(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    repo = repository(tmp_path / "inside" / "repo", (tmp_path,))
    (tmp_path / "x.bin").write_bytes(np.arange(2, dtype="i2").tobytes())
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="v", shape=(2,), dtype="i2", chunks=(2,), compressors=None, filters=None)
    session.store.set_virtual_ref("v/c/0", f"file://{tmp_path}/x.bin", offset=0, length=4)
    session.commit("x")
    group = lz.open(tmp_path / "inside" / "repo")
    with pytest.raises(lz.AccessDenied) as caught:
        group["v"]
    assert "x.bin" in str(caught.value)
    assert lz.open(tmp_path / "inside" / "repo", "v", allow=[tmp_path]).read().tolist() == [0, 1]
    assert lz.open(repo, "v").read().tolist() == [0, 1]  # authorized in Python


def test_a_missing_file_is_no_fill(tmp_path: Path) -> None:
    repo, _ = filled(tmp_path)
    (tmp_path / "x.bin").unlink()
    with pytest.raises(lz.SourceMissing):
        lz.open(tmp_path / "repo", "mixed")[:2].read()
    with pytest.raises(lz.SourceError):
        lz.open(repo.readonly_session("main"), "mixed")[:2].read()
    assert lz.open(tmp_path / "repo", "mixed")[4:].read().tolist() == [4.5, 4.5]


def test_native_chunks_that_are_gone_or_cut(tmp_path: Path) -> None:
    filled(tmp_path)
    view = lz.open(tmp_path / "repo", "sub/native")
    files = sorted((tmp_path / "repo" / "chunks").iterdir())
    for file in files:
        file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(lz.SourceProtocolError) as caught:
        view.read()
    assert caught.value.reason == "chunk-length"
    for file in files:
        file.unlink()
    with pytest.raises(lz.SourceMissing):
        view.read()


def test_damaged_manifests_give_typed_errors(tmp_path: Path) -> None:
    filled(tmp_path)
    rng = np.random.default_rng(0)
    shutil.copytree(tmp_path / "repo", tmp_path / "copy")
    for _ in range(60):
        for file in (tmp_path / "copy" / "manifests").iterdir():
            data = bytearray(file.read_bytes())
            for at in rng.integers(0, len(data), 3):
                data[at] = rng.integers(0, 256)
            (tmp_path / "repo" / "manifests" / file.name).write_bytes(data)
        try:
            group = lz.open(tmp_path / "repo")
            for name in ("scalar", "inline", "virtual", "mixed", "sub/native"):
                group[name].read()
        except lz.LazyZarrError:
            continue


def test_a_damaged_manifest_never_reads_outside(tmp_path: Path) -> None:
    filled(tmp_path)
    rng = np.random.default_rng(1)
    for file in (tmp_path / "repo" / "manifests").iterdir():
        data = file.read_bytes()
        header, body = bytearray(data[:39]), bytearray(__import__("numcodecs").Zstd().decode(data[39:]))
        header[38] = 0
        for _ in range(300):
            changed = bytearray(body)
            for at in rng.integers(0, len(body), rng.integers(1, 5)):
                changed[at] = rng.integers(0, 256)
            try:
                checksums(bytes(header + changed))
            except lz.LazyZarrError:
                continue


def test_a_saved_view_in_a_store_is_named(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    session = repo.writable_session("main")
    zarr.group(session.store).create_group("view", attributes={"lazyzarr": {"version": 1}})
    session.commit("x")
    with pytest.raises(lz.UnsupportedFeature):
        lz.open(repo, "view")


def test_a_directory_that_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    with pytest.raises(lz.SourceMissing):
        lz.open(tmp_path)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "repo").write_bytes(b"ICE\xf0\x9f\xa7\x8aCHUNK and no more")
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(tmp_path / "fake")
    assert caught.value.reason == "source-format"


def test_in_memory_repositories_are_read_through_icechunk() -> None:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", data=WHOLE, chunks=(2, 2))
    session.commit("x")
    assert np.array_equal(lz.open(repo, "a")[1:3].read(), WHOLE[1:3])
