"""Manifests on disk: equal to the graph, refused when they are of another, loaded as far as they are asked for."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import zarr
from hypothesis import assume, given

import lazyzarr as lz
from lazyzarr.errors import LazyZarrError
from lazyzarr.interpret import interpret
from lazyzarr.ir.nodes import Boxes, Source
from lazyzarr.leaves import source
from lazyzarr.lower.flatness import flatness
from lazyzarr.lower.lowering import lower
from lazyzarr.view import View
from tests.economics.watching import watched
from tests.growing.archive import files_of, stored
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS, many


def saved(folder: Path, **options: Any) -> tuple[Path, np.ndarray]:
    data = [stored(folder, number, rows=4) for number in range(3)]
    lz.save(lz.concat([lz.open(folder / f"{number}.zarr") for number in range(3)]), folder / "v.zarr", **options)
    return folder / "v.zarr", np.concatenate(data)


@many()
@given(graphs(depth=2))
def test_what_is_flat_reads_equal_from_its_manifest_alone(drawn: Drawn) -> None:
    assume(flatness(lower(drawn.graph)).level == "L0")
    view = View(None, graph=drawn.graph)
    with tempfile.TemporaryDirectory() as folder, patch("os.fsync"):
        try:
            lz.save(view, f"{folder}/v.zarr", manifest="only")
        except lz.SaveUnsupported:  # cells in memory, or arrays of more axes
            return
        again = lz.open(f"{folder}/v.zarr", allow=["file:///"])
        meant = interpret(drawn.graph, drawn.truth)
        assert same_cells(again.read(), meant)
        key = (*(slice(n // 2, None) for n in meant.shape), ...)
        assert same_cells(again[key].read(), meant[key])
        assert again.flatness == "L0"


@many()
@given(graphs(depth=3))
def test_any_view_reads_equal_from_its_manifest_alone(drawn: Drawn) -> None:
    view = View(None, graph=drawn.graph)
    with tempfile.TemporaryDirectory() as folder, patch("os.fsync"):
        try:
            lz.save(view, f"{folder}/v.zarr", manifest="only")
        except lz.SaveUnsupported as error:
            GRAPHS[f"manifest: {'in memory' if 'memory' in str(error) else 'another refusal'}"] += 1
            return
        again = lz.open(f"{folder}/v.zarr", allow=["file:///"])
        assert {type(node) for node in again.ir.nodes} <= {Source, Boxes}
        assert all(array.origins is not None for array in again.ir.arrays)
        meant = interpret(drawn.graph, drawn.truth)
        assert same_cells(again.read(), meant)
        key = (*(slice(None, None, -2) for _ in meant.shape), ...)
        assert same_cells(again[key].read(), meant[key])
        GRAPHS[f"manifest of class {again.flatness} == interpret"] += 1


@given(graphs(depth=2))
def test_what_is_flat_reads_equal_from_gaps_in_child_arrays(drawn: Drawn) -> None:
    assume(flatness(lower(drawn.graph)).level == "L0")
    view = View(None, graph=drawn.graph)
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("os.fsync"),
        patch("lazyzarr.document.encode.is_small", lambda _: False),
        patch("lazyzarr.document.tables.CHUNK_ROWS", 3),
        patch("lazyzarr.document.gaps.WORTH", -(2**20)),
        patch("lazyzarr.document.gaps.LEAST", -(2**20)),
    ):
        try:
            lz.save(view, f"{folder}/v.zarr", manifest="only")
        except lz.SaveUnsupported:  # cells in memory, or arrays of more axes
            return
        assert list(Path(folder).glob("v.zarr/tables/*/gap"))
        assert not list(Path(folder).glob("v.zarr/tables/*/offset"))
        again = lz.open(f"{folder}/v.zarr", allow=["file:///"])
        meant = interpret(drawn.graph, drawn.truth)
        assert same_cells(again.read(), meant)
        key = (*(slice(n // 2, None) for n in meant.shape), ...)
        assert same_cells(again[key].read(), meant[key])


def test_beside_the_graph(tmp_path: Path) -> None:
    target, expected = saved(tmp_path, manifest=True)
    np.testing.assert_array_equal(lz.open(target).read(), expected, strict=True)
    through = lz.open(target, manifest=True)
    np.testing.assert_array_equal(through.read(), expected, strict=True)
    assert len(lz.open(target).ir.arrays) == 3
    assert (len(through.ir.arrays), through.attrs, through.dims) == (1, {"units": "K"}, ("time", "x"))


def test_of_another_graph(tmp_path: Path) -> None:
    target, _ = saved(tmp_path, manifest=True)
    text = json.loads((target / "zarr.json").read_text())
    text["attributes"]["lazyzarr"]["graph"]["arrays"][0]["stamp"]["size"] = 1
    (target / "zarr.json").write_text(json.dumps(text))
    with pytest.raises(lz.ViewSchemaError) as caught:
        lz.open(target)
    assert (caught.value.reason, caught.value.where) == (
        "document-digest",
        "$.attributes.lazyzarr.manifest.of",
    )


def test_spaces_and_order_are_not_the_graph(tmp_path: Path) -> None:
    target, expected = saved(tmp_path, manifest=True)
    text = json.loads((target / "zarr.json").read_text())
    (target / "zarr.json").write_text(json.dumps(text, sort_keys=True, indent=7))
    np.testing.assert_array_equal(lz.open(target, manifest=True).read(), expected)


@pytest.mark.parametrize("manifest", [True, "only"])
def test_absent_chunks_are_fill_and_absent_arrays_are_not(tmp_path: Path, manifest: Any) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(6, 4), chunks=(2, 4), dtype="i4", fill_value=9)
    array[2:4] = 1
    lz.save(lz.open(tmp_path / "a.zarr"), tmp_path / "v.zarr", manifest=manifest)
    view = lz.open(tmp_path / "v.zarr", manifest=True)
    assert view.read()[:, 0].tolist() == [9, 9, 1, 1, 9, 9]
    array.attrs["x"] = 1
    with pytest.raises(lz.SourceChanged):
        lz.open(tmp_path / "v.zarr", manifest=True).read()
    (tmp_path / "a.zarr").rename(tmp_path / "b.zarr")
    with pytest.raises(lz.SourceMissing):
        lz.open(tmp_path / "v.zarr", manifest=True)[5].read()


def test_memory_and_gathers_have_manifests(tmp_path: Path) -> None:
    for number in range(2):
        stored(tmp_path, number)
    view = lz.open(tmp_path / "0.zarr")
    gathered = lz.concat([view, lz.open(tmp_path / "1.zarr")]).take([5, 0, 3, 1], axis=0)
    mixed = lz.concat([view[1:], lz.open(np.zeros_like(view.read()[:1])).with_attrs(view.attrs)])
    for number, one in enumerate((lz.open(np.arange(4)), mixed, gathered)):
        lz.save(one, tmp_path / f"v{number}.zarr", manifest="only")
        again = lz.open(tmp_path / f"v{number}.zarr")
        np.testing.assert_array_equal(again.read(), one.read(), strict=True)


def test_chunks_in_memory_fill_as_many_tables_as_they_need(tmp_path: Path) -> None:
    parts = [np.random.default_rng(k).integers(0, 99, 90_000) for k in range(4)]
    view = lz.concat([lz.open(part) for part in parts])[5:]
    lz.save(view, tmp_path / "v.zarr", manifest="only")
    again = lz.open(tmp_path / "v.zarr")
    assert len({array.inline for array in again.ir.arrays}) == 4
    np.testing.assert_array_equal(again.read(), np.concatenate(parts)[5:], strict=True)


def test_other_kinds_of_manifests_are_refused(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    view = lz.open(tmp_path / "0.zarr")
    with pytest.raises(lz.SaveUnsupported):
        lz.save(view, tmp_path / "v.zarr", manifest="both")  # type: ignore[arg-type]
    assert not (tmp_path / "v.zarr").exists()


def test_windows_are_rows(tmp_path: Path) -> None:
    cells = np.arange(4000, dtype="i4")
    zarr.create_array(tmp_path / "a.zarr", data=cells, chunks=(10,))
    lz.save(lz.open(tmp_path / "a.zarr")[5::2], tmp_path / "v.zarr", manifest="only")
    view = lz.open(tmp_path / "v.zarr")
    assert [type(node) for node in view.ir.nodes] == [Boxes]
    assert (view.flatness, len(view.manifest())) == ("L2", 400)
    np.testing.assert_array_equal(view.read(), cells[5::2])
    document = json.loads((tmp_path / "v.zarr" / "zarr.json").read_text())["attributes"]["lazyzarr"]
    assert set(document["requires"]) >= {"boxes", "origins"}


def test_objects_that_are_chunks_are_whole(tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 4)):
        np.arange(first, first + 4, dtype="<i2").tofile(tmp_path / f"{name}.bin")
    array = {"zarr_format": 2, "shape": [8], "chunks": [4], "dtype": "<i2", "fill_value": None, "order": "C"}
    refs = {".zgroup": '{"zarr_format": 2}', "x/.zarray": json.dumps({**array, "filters": None, "compressor": None})}
    refs |= {"x/0": ["a.bin"], "x/1": ["b.bin"]}
    (tmp_path / "refs.json").write_text(json.dumps(refs))
    view = lz.open(tmp_path / "refs.json")["x"]
    for name, part in (("whole", view), ("cut", view[1:])):
        lz.save(part, tmp_path / f"{name}.zarr", manifest="only")
        np.testing.assert_array_equal(lz.open(tmp_path / f"{name}.zarr").read(), part.read(), strict=True)


def large(folder: Path, arrays: int, chunks: int) -> View:
    """Joined arrays of which only the first is there."""
    zarr.create_array(folder / "0.zarr", data=np.arange(chunks, dtype="i2"), chunks=(1,))
    first = lz.open(folder / "0.zarr")
    (one,) = first.sources()
    made = [type(one)(0, one.shape, f"{(one.location or '')[:-6]}{k}.zarr", stamp=one.stamp) for k in range(arrays)]
    return lz.concat([source(array, first.ir.layouts, reader=first.reader) for array in made])


def test_a_slab_loads_kilobytes(tmp_path: Path) -> None:
    view = large(tmp_path, 200, 2000)
    lz.save(view, tmp_path / "v.zarr", manifest="only")
    total = sum(size for _, size in files_of(tmp_path / "v.zarr").values())
    assert total < 4 * 200 * 2000
    with watched(tmp_path) as touched:
        again = lz.open(tmp_path / "v.zarr")
        assert again.shape == (400_000,)
    assert touched == [f"open {tmp_path / 'v.zarr' / 'zarr.json'}"]
    again.reader.session.counts.reset()
    np.testing.assert_array_equal(again[100:103].read(), [100, 101, 102])
    assert again.reader.session.counts.bytes < 60_000
    assert again.reader.session.counts.requests < 40


def test_tables_of_the_manifest_are_kept_as_those_of_the_graph(tmp_path: Path) -> None:
    view = large(tmp_path, 20, 50)
    for _ in range(3):
        lz.save(view, tmp_path / "v.zarr", manifest=True, overwrite=True)
        assert lz.open(tmp_path / "v.zarr", manifest=True)[3].read() == 3
    with pytest.raises(LazyZarrError):
        lz.open(tmp_path / "v.zarr", manifest=True)[60].read()


def test_appending_leaves_the_manifest_behind(tmp_path: Path) -> None:
    target, expected = saved(tmp_path, manifest=True)
    lz.append(target, tmp_path / "0.zarr")
    view = lz.open(target, manifest=True)
    np.testing.assert_array_equal(view.read(), np.concatenate([expected, expected[:4]]))


def test_slices_of_a_base_share_its_manifest(tmp_path: Path) -> None:
    lz.save(large(tmp_path, 20, 500), tmp_path / "base.zarr", manifest="only")
    base = lz.open(tmp_path / "base.zarr")
    for number, key in enumerate((slice(400), slice(100, None, 3), slice(None, None, -1))):
        target = tmp_path / "slices" / f"{number}.zarr"
        lz.save(base[key], target, share=True)
        assert list(files_of(target)) == ["zarr.json"]
        view = lz.open(target, allow=[tmp_path])
        assert view.shape == base[key].shape
        assert view[:1].shape == (1,)
        with pytest.raises(lz.AccessDenied):
            lz.open(target)
    again = lz.open(tmp_path / "slices" / "0.zarr", allow=[tmp_path])
    np.testing.assert_array_equal(again[3:9].read(), np.arange(3, 9))
    lz.save(again[5:], tmp_path / "of-a-slice.zarr", share=True)
    np.testing.assert_array_equal(lz.open(tmp_path / "of-a-slice.zarr")[:4].read(), np.arange(5, 9))
    lz.save(again[5:], tmp_path / "whole.zarr")
    shutil.rmtree(tmp_path / "base.zarr")
    np.testing.assert_array_equal(lz.open(tmp_path / "whole.zarr")[:4].read(), np.arange(5, 9))
    with pytest.raises(lz.SourceMissing):
        lz.open(tmp_path / "of-a-slice.zarr")[:4].read()
