"""Copies of views as plain Zarr: values, metadata, grids, codecs, refusals, and how they go on."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.clusters import workshop
from lazyzarr.clusters.plans import array_plan
from lazyzarr.clusters.progress import Bar
from lazyzarr.clusters.regions import write_region
from tests.clusters.trees import files_of
from tests.strategies.programs import programs

CELLS = np.arange(20 * 30).reshape(20, 30)


@pytest.fixture
def stored(tmp_path: Path) -> lz.View:
    names = ("y", "x")
    attributes = {"units": "m", "valid_range": [0, 600]}
    zarr.create_array(
        tmp_path / "a.zarr", data=CELLS, chunks=(3, 7), dimension_names=names, attributes=attributes, fill_value=-1
    )
    return lz.open(tmp_path / "a.zarr")


def opened(path: Path | str) -> zarr.Array[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # data types that Zarr has not settled
        return zarr.open_array(path, mode="r")


def same(left: np.ndarray, right: np.ndarray) -> bool:
    if left.dtype.kind in "TO":
        return left.tolist() == right.tolist()
    return left.shape == right.shape and left.tobytes() == right.tobytes()


@settings(max_examples=100)
@given(programs(), st.data())
def test_copies_of_random_views(program: Any, data: st.DataObject) -> None:
    view = program.view
    chunks = data.draw(st.none() | st.tuples(*(st.integers(1, max(n, 1) + 1) for n in view.shape)))
    shards = (
        None if chunks is None else data.draw(st.none() | st.tuples(*(st.sampled_from([c, 2 * c]) for c in chunks)))
    )
    with tempfile.TemporaryDirectory() as folder:
        lz.copy(view, f"{folder}/c.zarr", chunks=chunks, shards=shards, memory=data.draw(st.sampled_from([1, 10**9])))
        assert os.listdir(folder) == ["c.zarr"]
        found = lz.open(f"{folder}/c.zarr")
        assert (found.shape, found.dims, found.attrs) == (view.shape, view.dims, view.attrs)
        assert found.schema == view.schema
        assert same(found.read(), view.read())
        plain = opened(f"{folder}/c.zarr")
        assert plain.shape == view.shape
        assert same(np.asarray(plain[...]).astype(view.dtype, copy=False), view.read())


def test_a_copy_is_plain_zarr_with_all_that_was_said_of_the_view(stored: lz.View, tmp_path: Path) -> None:
    lz.copy(stored[1:].T, tmp_path / "c.zarr", chunks=(7, 3))
    document = json.loads((tmp_path / "c.zarr" / "zarr.json").read_text())
    assert document["attributes"] == {"units": "m", "valid_range": [0, 600]}
    assert document["dimension_names"] == ["x", "y"]
    assert document["fill_value"] == -1
    array = opened(tmp_path / "c.zarr")
    assert array.chunks == (7, 3)
    np.testing.assert_array_equal(array[...], CELLS[1:].T)


def test_chunks_of_nothing_but_fill_are_not_written(tmp_path: Path) -> None:
    cells = np.full((6, 6), np.nan)
    cells[4, 4] = -0.0
    view = lz.overlay((6, 6), [(lz.open(cells[3:, 3:].copy()), (3, 3))], fill_value=np.nan)
    lz.copy(view, tmp_path / "c.zarr", chunks=3)
    assert sorted(files_of(tmp_path / "c.zarr")) == ["c/1/1", "zarr.json"]
    assert same(opened(tmp_path / "c.zarr")[...], cells)


def test_groups_keep_their_tree(stored: lz.View, tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "g.zarr", attributes={"title": "t"})
    zarr.create_group(tmp_path / "g.zarr/deep", attributes={"n": 1})
    zarr.create_array(tmp_path / "g.zarr/deep/b", data=np.arange(5.0), dimension_names=("t",))
    lz.copy(lz.open(tmp_path / "g.zarr"), tmp_path / "c.zarr")
    found = zarr.open_group(tmp_path / "c.zarr", mode="r")
    assert found.attrs.asdict() == {"title": "t"}
    assert found["deep"].attrs.asdict() == {"n": 1}
    np.testing.assert_array_equal(found["deep/b"][:], np.arange(5.0))
    lz.copy({"v": stored, "more": {"t": np.arange(3)}, "empty": {}}, tmp_path / "d.zarr")
    names = sorted(name for name, _ in zarr.open_group(tmp_path / "d.zarr", mode="r").members(max_depth=None))
    assert names == ["empty", "more", "more/t", "v"]


def test_the_grid_and_the_codecs_of_most_cells_are_kept(tmp_path: Path) -> None:
    codecs = zarr.codecs.GzipCodec(level=3)
    cells = np.zeros((400, 300))
    for name, chunks in (("a", (50, 300)), ("b", (40, 150))):
        zarr.create_array(tmp_path / name, data=cells, chunks=chunks, compressors=codecs if name == "a" else None)
    a, b = (lz.open(tmp_path / name) for name in "ab")
    view = lz.concat([a, a, b[:100]])
    layout = array_plan(view).layout
    assert layout.chunk_shape == (50, 300)
    assert [(c.name, c.configuration.get("level")) for c in layout.codecs] == [("bytes", None), ("gzip", 3)]
    assert array_plan(view.T).layout.chunk_shape == (300, 50)
    assert [c.name for c in array_plan(b).layout.codecs] == ["bytes", "zstd"]


def test_tiny_and_huge_chunks_are_not_kept(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "tiny", shape=(10_000, 4), chunks=(1, 4), dtype="f8")
    zarr.create_array(tmp_path / "huge", shape=(60_000, 1000), chunks=(60_000, 1000), dtype="f8")
    assert array_plan(lz.open(tmp_path / "tiny")).layout.chunk_shape == (2048, 4)
    assert array_plan(lz.open(tmp_path / "huge")).layout.chunk_shape == (1048, 1000)


def test_regions_cover_stored_chunks_where_memory_allows(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(1000, 700, 1400), chunks=(1, 700, 1400), dtype="f4")
    view = lz.open(tmp_path / "a")
    plan = array_plan(view, chunks=(1000, 10, 10), budget=64 << 20)
    assert plan.region == (1000, 10, 1400)
    assert array_plan(view, budget=64 << 20).region == (4, 700, 1400)
    assert array_plan(view, chunks=(1000, 10, 10), budget=1).region == (1000, 10, 10)


def test_codecs_by_name_are_completed(stored: lz.View, tmp_path: Path) -> None:
    for number, codecs in enumerate(
        (
            ["zstd"],
            ["bytes", "gzip", "crc32c"],
            ["blosc"],
            [{"name": "transpose", "configuration": {"order": [1, 0]}}],
            [],
        )
    ):
        lz.copy(stored, tmp_path / f"{number}.zarr", codecs=codecs, shards=(21, 35), chunks=(3, 7))
        np.testing.assert_array_equal(opened(tmp_path / f"{number}.zarr")[...], CELLS)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"chunks": (3,)}, lz.ShapeError),
        ({"chunks": 0}, lz.ShapeError),
        ({"chunks": (3, True)}, lz.ShapeError),
        ({"chunks": ((3, 3), 4)}, lz.ShapeError),
        ({"chunks": "auto"}, lz.ShapeError),
        ({"chunks": (2, 4), "shards": (3, 6)}, lz.ShapeError),
        ({"codecs": "zstd"}, lz.SaveUnsupported),
        ({"codecs": ["nonesuch"]}, lz.SaveUnsupported),
        ({"codecs": ["bytes", "bytes"]}, lz.SaveUnsupported),
        ({"codecs": ["lazyzarr.unpack"]}, lz.SaveUnsupported),
        ({"codecs": [{"name": "gzip", "configuration": {"level": "x"}}]}, lz.SaveUnsupported),
        ({"scheduler": "threads"}, lz.SaveUnsupported),
    ],
)
def test_what_is_not_possible_is_found_out_before_reading(
    stored: lz.View, tmp_path: Path, wrong: dict[str, Any], kind: type[lz.LazyZarrError]
) -> None:
    (tmp_path / "a.zarr" / "c" / "0" / "0").write_bytes(b"broken")
    with pytest.raises(kind) as caught:
        lz.copy(stored, tmp_path / "c.zarr", **wrong)
    assert caught.value.reason in ("shape-mismatch", "save-unsupported")
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_other_things_are_not_copied(stored: lz.View, tmp_path: Path) -> None:
    for views, target in (
        (3, "c"),
        ({"a": "text"}, "c"),
        ({"../a": stored}, "c"),
        (stored, "https://example.org/c"),
        (stored, 3),
    ):
        with pytest.raises(lz.SaveUnsupported):
            lz.copy(views, tmp_path / target if target == "c" else target)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_an_existing_target_is_replaced_when_asked(stored: lz.View, tmp_path: Path) -> None:
    target = tmp_path / "c.zarr"
    lz.copy(stored, target)
    with pytest.raises(lz.SaveConflict):
        lz.copy(stored[:5], target)
    lz.copy(stored[:5], target, overwrite=True)
    assert opened(target).shape == (5, 30)
    with pytest.raises(lz.SaveConflict):
        lz.copy({"a": stored}, target, overwrite=True)
    lz.save(stored, tmp_path / "v.zarr")
    lz.copy(stored, tmp_path / "v.zarr", overwrite=True)
    np.testing.assert_array_equal(opened(tmp_path / "v.zarr")[...], CELLS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(lz.SaveConflict):
        lz.copy(stored, tmp_path / "other", overwrite=True)
    assert (tmp_path / "other" / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    lz.copy(stored, tmp_path / "empty")
    assert sorted(os.listdir(tmp_path)) == ["a.zarr", "c.zarr", "empty", "other", "v.zarr"]


def test_where_directories_cannot_be_exchanged(
    stored: lz.View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lz.copy(stored[:5], tmp_path / "c.zarr")
    monkeypatch.setattr(workshop, "exchange", lambda left, right: False)
    lz.copy(stored, tmp_path / "c.zarr", overwrite=True)
    np.testing.assert_array_equal(opened(tmp_path / "c.zarr")[...], CELLS)
    assert sorted(os.listdir(tmp_path)) == ["a.zarr", "c.zarr"]


def test_a_view_is_not_copied_over_what_it_reads(stored: lz.View, tmp_path: Path) -> None:
    for target in (tmp_path / "a.zarr", tmp_path / "a.zarr" / "inside"):
        with pytest.raises(lz.SaveConflict):
            lz.copy(stored[::-1], target, overwrite=True)
    np.testing.assert_array_equal(opened(tmp_path / "a.zarr")[...], CELLS)


def test_failures_of_the_storage_are_named(stored: lz.View, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(lz.SaveError) as caught:
        lz.copy(stored, tmp_path / "file" / "c.zarr")
    assert caught.value.reason == "save-failed"
    with pytest.raises(lz.SaveError) as caught:
        write_region(array_plan(stored), str(tmp_path / "elsewhere"), 0)
    assert "see under one path" in str(caught.value)


def broken(stored: lz.View, tmp_path: Path, **options: Any) -> bytes:
    """A copy that stops at a broken chunk, which is mended then."""
    chunk = tmp_path / "a.zarr" / "c" / "6" / "4"
    good = chunk.read_bytes()
    chunk.write_bytes(b"broken")
    with pytest.raises(lz.ChunkDecodeError) as caught:
        lz.copy(stored, tmp_path / "c.zarr", chunks=(3, 7), memory=1, **options)
    assert caught.value.reason == "chunk-decode"
    chunk.write_bytes(good)
    return good


def test_a_copy_that_failed_goes_on(stored: lz.View, tmp_path: Path) -> None:
    broken(stored, tmp_path)
    assert not (tmp_path / "c.zarr").exists()
    assert not list(tmp_path.rglob(".c.zarr.copying/node-*/zarr.json"))
    decodes = stored.reader.counts.decodes
    lz.copy(stored, tmp_path / "c.zarr", chunks=(3, 7), memory=10**9)
    assert stored.reader.counts.decodes - decodes < 20
    lz.copy(stored, tmp_path / "d.zarr", chunks=(3, 7))
    assert files_of(tmp_path / "c.zarr") == files_of(tmp_path / "d.zarr")


def test_copies_of_two_views_are_never_mixed(stored: lz.View, tmp_path: Path) -> None:
    broken(stored, tmp_path)
    for other, options in ((stored[::-1], {}), (stored, {"codecs": ["gzip"]}), (stored.with_attrs({}), {})):
        with pytest.raises(lz.SaveConflict) as caught:
            lz.copy(other, tmp_path / "c.zarr", chunks=(3, 7), **options)
        assert "resume=False" in str(caught.value)
    lz.copy(stored[::-1], tmp_path / "c.zarr", chunks=(3, 7), resume=False)
    np.testing.assert_array_equal(opened(tmp_path / "c.zarr")[...], CELLS[::-1])


def test_a_source_that_changed_meanwhile_is_another_view(stored: lz.View, tmp_path: Path) -> None:
    broken(stored, tmp_path)
    shutil.rmtree(tmp_path / "a.zarr")
    zarr.create_array(tmp_path / "a.zarr", data=-CELLS, chunks=(3, 7), dimension_names=("y", "x"), fill_value=-1)
    with pytest.raises(lz.SourceChanged):
        lz.copy(stored, tmp_path / "c.zarr", chunks=(3, 7))
    with pytest.raises(lz.SaveConflict):
        lz.copy(lz.open(tmp_path / "a.zarr").with_attrs(stored.attrs), tmp_path / "c.zarr", chunks=(3, 7))


def test_a_line_that_was_cut_off_is_no_region(stored: lz.View, tmp_path: Path) -> None:
    broken(stored, tmp_path)
    done = tmp_path / ".c.zarr.copying" / "done"
    done.write_bytes(done.read_bytes()[:-1])
    lz.copy(stored, tmp_path / "c.zarr", chunks=(3, 7))
    np.testing.assert_array_equal(opened(tmp_path / "c.zarr")[...], CELLS)


def test_the_old_target_is_there_until_the_new_one_is_complete(stored: lz.View, tmp_path: Path) -> None:
    lz.copy(lz.full((2,), 1, dtype="i4"), tmp_path / "c.zarr")
    broken(stored, tmp_path, overwrite=True)
    assert opened(tmp_path / "c.zarr")[...].tolist() == [1, 1]


def test_a_copy_that_is_killed_at_its_very_end(
    stored: lz.View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is left beside the target then nothing is taken for a part of the next copy."""
    lz.copy(stored[::-1], tmp_path / "c.zarr", chunks=(3, 7))
    for name in ("exchange", "shutil.rmtree"):
        with monkeypatch.context() as patch:
            patch.setattr(f"lazyzarr.clusters.workshop.{name}", killed)
            with pytest.raises(KeyboardInterrupt):
                lz.copy(stored, tmp_path / "c.zarr", chunks=(3, 7), overwrite=True)
        expected = CELLS[::-1] if name == "exchange" else CELLS
        np.testing.assert_array_equal(opened(tmp_path / "c.zarr")[...], expected)
        lz.copy(stored, tmp_path / "c.zarr", chunks=(3, 7), overwrite=True)
        np.testing.assert_array_equal(opened(tmp_path / "c.zarr")[...], CELLS)
        assert sorted(os.listdir(tmp_path)) == ["a.zarr", "c.zarr"]


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_progress_is_told(stored: lz.View, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    lz.copy(stored, tmp_path / "c.zarr", chunks=(10, 30), memory=1, progress=lambda *now: told.append(now))
    assert told[-1] == (CELLS.nbytes, CELLS.nbytes)
    assert [done for done, _ in told[:2]] == [CELLS.nbytes // 2, CELLS.nbytes]


def test_a_bar_is_one_line() -> None:
    screen = io.StringIO()
    bar = Bar(screen)
    for done in (0, 50, 100):
        bar(done << 20, 100 << 20)
    bar.close()
    assert screen.getvalue().count("\n") == 1
    assert "100%" in screen.getvalue()


class Screen(io.StringIO):
    """What a terminal shows."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_on_a_terminal_only(stored: lz.View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (screen, progress, shown) in enumerate(
        ((Screen(), None, True), (Screen(), False, False), (io.StringIO(), None, False), (io.StringIO(), True, True))
    ):
        monkeypatch.setattr(sys, "stderr", screen)
        lz.copy(stored, tmp_path / f"{number}.zarr", progress=progress)
        assert ("100%" in screen.getvalue()) == shown


KILLED = """
import sys, lazyzarr as lz
view = lz.open(sys.argv[1])
lz.copy(lz.concat([view, view[::-1]]), sys.argv[2], chunks=(40, 100), memory=1)
"""


def test_a_copy_that_is_killed_goes_on(tmp_path: Path) -> None:
    cells = np.random.default_rng(0).integers(0, 99, (2000, 400), "i4")
    zarr.create_array(tmp_path / "a.zarr", data=cells, chunks=(50, 100))
    target = tmp_path / "c.zarr"
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "a.zarr"), str(target)]
    done = tmp_path / ".c.zarr.copying" / "done"
    kills, lines = 0, 0
    while not target.exists():
        running = subprocess.Popen(arguments)
        if kills < 3:
            while running.poll() is None and (not done.exists() or done.read_bytes().count(b"\n") < lines + 25):
                time.sleep(0.002)
            if running.poll() is None:
                running.send_signal(signal.SIGKILL)
                running.wait()
                assert not target.exists()
                assert not list(tmp_path.rglob(".c.zarr.copying/node-*/zarr.json"))
                lines = done.read_bytes().count(b"\n")
                kills += 1
                continue
        assert running.wait(120) == 0
    assert kills == 3
    view = lz.open(tmp_path / "a.zarr")
    lz.copy(lz.concat([view, view[::-1]]), tmp_path / "d.zarr", chunks=(40, 100))
    assert files_of(target) == files_of(tmp_path / "d.zarr")
    np.testing.assert_array_equal(opened(target)[...], np.concatenate([cells, cells[::-1]]))
    assert sorted(os.listdir(tmp_path)) == ["a.zarr", "c.zarr", "d.zarr"]


def test_two_copies_to_one_target_do_not_meet(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((2000, 400), "i4") + 1, chunks=(50, 100))
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "a.zarr"), str(tmp_path / "c.zarr")]
    first = subprocess.Popen(arguments)
    done = tmp_path / ".c.zarr.copying" / "done"
    while not done.exists():
        time.sleep(0.002)
    with pytest.raises(lz.SaveConflict) as caught:
        lz.copy(lz.open(tmp_path / "a.zarr"), tmp_path / "c.zarr")
    assert "under way" in str(caught.value)
    assert first.wait(120) == 0


MEMORY = """
import resource, sys
import lazyzarr as lz

wide = lz.open(sys.argv[1])
view = lz.concat([wide, lz.full((20000, 1000), 3.0, dtype="f8"), lz.broadcast_to(wide[:1], (20000, 1000)), wide[::-1]])
assert view.nbytes > 3e8
lz.copy(wide[:10], sys.argv[2] + ".first")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
memory = 24 << 20
lz.copy(view, sys.argv[2], chunks=(500, 250), memory=memory)
print(((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before) / memory)
"""


def test_a_large_view_is_copied_in_the_memory_it_is_given(tmp_path: Path) -> None:
    """Over 400 MB of cells in 24 MB."""
    stored = zarr.create_array(tmp_path / "a.zarr", shape=(6_000, 1000), chunks=(500, 500), dtype="f8", fill_value=1.0)
    stored[:1000] = 2.0
    arguments = [sys.executable, "-c", MEMORY, str(tmp_path / "a.zarr"), str(tmp_path / "c.zarr")]
    done = subprocess.run(arguments, check=True, timeout=120, capture_output=True, text=True)
    assert float(done.stdout) < 1.5
    found = opened(tmp_path / "c.zarr")
    assert found[::100, 7].sum() == 2 * (10 * 2.0 + 50) + 3.0 * 200 + 2.0 * 200
