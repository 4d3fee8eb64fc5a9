"""Local sources that are cut, replaced, gone or not to be read: a typed error that names the chunk, and never fill."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

import lazyzarr as lz

DATA = np.arange(1, 65, dtype="i4").reshape(8, 8)
CHUNK = Path("a.zarr/c/1/0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sources of several kinds, and views of them that were saved beside them."""
    zarr.create_array(tmp_path / "a.zarr", data=DATA, chunks=(4, 4))
    zarr.create_array(tmp_path / "raw.zarr", data=DATA, chunks=(4, 4), compressors=None)
    zarr.create_array(tmp_path / "s.zarr", data=DATA, chunks=(1, 1), shards=(4, 4))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("d", data=DATA, chunks=(1, 8), compression="gzip")
    for name in ("a", "raw", "s"):
        lz.save(lz.open(tmp_path / f"{name}.zarr"), tmp_path / f"{name}.view")
    lz.save(lz.open(tmp_path / "x.h5", "d"), tmp_path / "x.view")
    return tmp_path


def parts(view: lz.View) -> list[lz.View]:
    """The whole, one column and one cell of the chunk that is broken: each takes another way to the bytes."""
    return [view, view[4:, 1], view[4, 0], lz.concat([view, view])]


def refused(view: lz.View, error: type[lz.LazyZarrError], reason: str) -> None:
    for part in parts(view):
        with pytest.raises(error) as caught:
            part.read()
        assert caught.value.reason == reason
        assert not isinstance(caught.value, (FileNotFoundError, KeyError))
        assert str(caught.value.where).startswith("chunk (")
    np.testing.assert_array_equal(view[:4].read(), DATA[:4])


@pytest.mark.parametrize("name", ["a", "raw", "s"])
@pytest.mark.parametrize("saved", [True, False])
def test_a_chunk_that_is_cut(folder: Path, name: str, saved: bool) -> None:
    chunk = folder / f"{name}.zarr" / "c" / "1" / "0"
    content = chunk.read_bytes()
    view = lz.open(folder / f"{name}.{'view' if saved else 'zarr'}")
    for size in (0, 1, len(content) // 2, len(content) - 1):
        chunk.write_bytes(content[:size])
        for part in (view, view[4:]):
            with pytest.raises((lz.ChunkError, lz.SourceProtocolError)) as caught:
                part.read()
            assert caught.value.reason in ("chunk-decode", "chunk-length", "chunk-checksum")
            assert "chunk (1, 0)" in str(caught.value.where)
    np.testing.assert_array_equal(view[:4].read(), DATA[:4])
    chunk.write_bytes(content + b"\0")
    with pytest.raises((lz.ChunkError, lz.SourceProtocolError)):
        view.read()


def test_a_file_that_is_cut_fails_exactly_the_chunks_beyond_the_cut(folder: Path) -> None:
    path = folder / "x.h5"
    view = lz.open(folder / "x.view", verify=False)
    stored = [line.split() for line in view.explain("located").splitlines()]
    ends = sorted(int(line[-1].partition(":")[2]) for line in stored if ":" in line[-1])
    os.truncate(path, ends[4] - 1)
    np.testing.assert_array_equal(view[:4].read(), DATA[:4])
    for part in (view, view[4], view[5:], view[4, 4]):
        with pytest.raises(lz.SourceProtocolError) as caught:
            part.read()
        assert caught.value.reason == "chunk-length"
    with pytest.raises(lz.SourceChanged):
        lz.open(folder / "x.view")[0].read()


def test_a_missing_chunk_is_fill_only_in_a_zarr_array(folder: Path) -> None:
    (folder / CHUNK).unlink()
    expected = DATA.copy()
    expected[4:, :4] = 0
    np.testing.assert_array_equal(lz.open(folder / "a.view").read(), expected)
    (folder / "x.h5").unlink()
    refused_file = lz.open(folder / "x.view")
    for part in parts(refused_file):
        with pytest.raises(lz.SourceMissing) as caught:
            part.read()
        assert str(caught.value.where).startswith("chunk (")


@pytest.mark.parametrize("name", ["a", "raw", "s"])
@pytest.mark.parametrize("saved", [True, False])
def test_an_array_that_is_gone(folder: Path, name: str, saved: bool) -> None:
    view = lz.open(folder / f"{name}.{'view' if saved else 'zarr'}")
    view.read()
    shutil.rmtree(folder / f"{name}.zarr")
    for part in parts(view):
        with pytest.raises(lz.SourceMissing) as caught:
            part.read()
        assert caught.value.reason == "source-missing"
    # the metadata document alone is what makes a chunk fill
    (folder / f"{name}.zarr").mkdir()
    with pytest.raises(lz.SourceMissing):
        view.read()


def test_an_array_that_is_gone_is_no_fill_when_changes_are_accepted(folder: Path) -> None:
    view = lz.open(folder / "a.view", verify=False)
    shutil.rmtree(folder / "a.zarr")
    with pytest.raises(lz.SourceMissing):
        view.read()


def test_a_replaced_array(folder: Path) -> None:
    view = lz.open(folder / "a.view")
    shutil.rmtree(folder / "a.zarr")
    zarr.create_array(folder / "a.zarr", data=DATA.T.copy(), chunks=(2, 8))
    for part in parts(view):
        with pytest.raises(lz.SourceChanged):
            part.read()
    shutil.rmtree(folder / "a.zarr")
    zarr.create_array(folder / "a.zarr", data=DATA, chunks=(4, 4))
    np.testing.assert_array_equal(view.read(), DATA)


KINDS: dict[str, Callable[[Path], object]] = {"directory": lambda p: p.mkdir(), "fifo": os.mkfifo}


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, k) for n in ("a", "raw", "s") for k in KINDS],
)
@pytest.mark.parametrize("saved", [True, False])
def test_a_chunk_that_is_no_file(folder: Path, kind: str, name: str, saved: bool) -> None:
    chunk = folder / f"{name}.zarr" / "c" / "1" / "0"
    chunk.unlink()
    KINDS[kind](chunk)
    start = time.monotonic()
    refused(lz.open(folder / f"{name}.{'view' if saved else 'zarr'}"), lz.SourceError, "source-format")
    assert time.monotonic() - start < 5


def test_a_file_that_is_no_file(folder: Path) -> None:
    (folder / "x.h5").unlink()
    os.mkfifo(folder / "x.h5")
    start = time.monotonic()
    for part in parts(lz.open(folder / "x.view")):
        with pytest.raises(lz.SourceProtocolError):
            part.read()
    with pytest.raises(lz.SourceError):
        lz.open(folder / "x.h5")
    assert time.monotonic() - start < 5


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without permission")
def test_a_chunk_without_permission() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        zarr.create_array(place / "a.zarr", data=DATA, chunks=(4, 4))
        (place / CHUNK).chmod(stat.S_IWUSR)
        view = lz.open(place / "a.zarr")
        with as_nobody():
            refused(view, lz.SourceDenied, "source-denied")
        (place / "a.zarr" / "c").chmod(0)
        with as_nobody(), pytest.raises(lz.SourceDenied):
            view.read()
        (place / "a.zarr" / "zarr.json").chmod(0)
        with as_nobody(), pytest.raises(lz.SourceDenied):
            lz.open(place / "a.zarr")


def test_a_file_that_was_written_to_since(folder: Path) -> None:
    with h5py.File(folder / "x.h5", "r+") as file:
        file["d"][0, 0] = -5
    for part in parts(lz.open(folder / "x.view")):
        with pytest.raises(lz.SourceChanged) as caught:
            part.read()
        assert caught.value.reason == "source-changed"
        assert "verify" in str(caught.value)
    os.utime(folder / "a.zarr" / "zarr.json")
    np.testing.assert_array_equal(lz.open(folder / "a.view").read(), DATA)


def test_changes_can_be_accepted(folder: Path) -> None:
    os.utime(folder / "x.h5")
    with pytest.raises(lz.SourceChanged):
        lz.open(folder / "x.view").read()
    waived = lz.open(folder / "x.view", verify=False)
    np.testing.assert_array_equal(waived.read(), DATA)
    # a view that accepts nothing does not accept because it is joined with one that does
    strict = lz.open(folder / "x.view")
    with pytest.raises(lz.SourceChanged):
        lz.concat([waived, strict]).read()


def test_one_broken_chunk_leaves_the_others(folder: Path) -> None:
    (folder / CHUNK).write_bytes(b"not a chunk")
    view = lz.open(folder / "a.view")
    for row in range(2):
        for column in range(2):
            box = (slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
            if (row, column) == (1, 0):
                with pytest.raises(lz.ChunkDecodeError):
                    view[box].read()
            else:
                np.testing.assert_array_equal(view[box].read(), DATA[box])


def test_a_moved_tree_keeps_working(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("moved") / "tree"
    folder.rename(target)
    for name in ("a", "raw", "s", "x"):
        np.testing.assert_array_equal(lz.open(target / f"{name}.view").read(), DATA)


def test_a_copied_tree_has_new_files_and_the_same_metadata(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("copied") / "tree"
    shutil.copytree(folder, target, copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    for name in ("a", "raw", "s"):
        np.testing.assert_array_equal(lz.open(target / f"{name}.view").read(), DATA)
    with pytest.raises(lz.SourceChanged) as caught:
        lz.open(target / "x.view").read()
    assert "verify=False" in str(caught.value)
    np.testing.assert_array_equal(lz.open(target / "x.view", verify=False).read(), DATA)


@pytest.mark.parametrize("compressors", [None, [ZstdCodec()]], ids=["plain", "zstd"])
@pytest.mark.parametrize(
    "key",
    [np.s_[:], np.s_[::2, ::2], np.s_[:, ::-1], np.s_[0, 0], np.s_[0:3, 1:3]],
    ids=["all", "steps", "flipped", "point", "part"],
)
@pytest.mark.parametrize("rows", [4, 64], ids=["one-chunk", "many-chunks"])
def test_text_that_is_none(tmp_path: Path, rows: int, key: Any, compressors: Any):
    """A code point that does not exist would fail later, where the text is used, and not say where it is from."""
    place = tmp_path / "a.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr: fixed-length text has no specification in version 3
        zarr.create_array(place, data=np.full((rows, 4), "ab", "<U3"), chunks=(4, 4), compressors=compressors)
    chunk = place / "c" / "0" / "0"
    text = np.full((4, 4), "ab", "<U3").tobytes()
    bad = np.full(1, 0x7FFFFFFF, "<u4").tobytes() + text[4:]
    chunk.write_bytes(numcodecs.Zstd().encode(bad) if compressors else bad)
    view = lz.open(place)
    with pytest.raises(lz.ChunkDecodeError, match="0x7fffffff") as caught:
        view[key].read()
    assert caught.value.reason == "chunk-decode"
