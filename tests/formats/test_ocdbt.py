"""OCDBT databases: stock TensorStore reads of them what the views mean, and every key has its value."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.formats import ocdbt_tree
from lazyzarr.formats.ocdbt_tree import Entries, manifest, tree
from lazyzarr.interpret import interpret
from lazyzarr.read import Reader
from lazyzarr.view import View
from tests.servers import RangeServer
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS

CELLS = np.arange(70, dtype="i2").reshape(7, 10)


def read(place: Path, name: str = "data") -> np.ndarray:
    """An array of a database, as TensorStore reads it."""
    return np.asarray(
        tensorstore.open(lz.formats.ocdbt.spec(place, name), open=True, read=True).result().read().result()
    )


@settings(deadline=None)
@given(graphs(depth=1))
def test_tensorstore_reads_flat_views(drawn: Drawn) -> None:
    view = View(None, graph=drawn.graph, reader=Reader())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "db")
        try:
            lz.formats.ocdbt.write(view, place)
        except (lz.NotFlat, lz.SaveUnsupported) as error:
            refused = error.reason
        else:
            refused = None
        if refused is not None:
            assert refused in ("not-flat", "save-unsupported")
            assert not place.exists()
            GRAPHS[f"ocdbt: {refused}"] += 1
            return
        found, expected = read(place), interpret(drawn.graph, drawn.truth)
        assert found.dtype == expected.dtype
        assert same_cells(found, expected)
        GRAPHS["ocdbt, tensorstore == interpret"] += 1


@settings(deadline=None)
@given(
    st.dictionaries(st.binary(min_size=1, max_size=6).map(bytes.hex), st.binary(max_size=9), min_size=1, max_size=40),
    st.integers(1, 5).map(lambda n: n + 1),
    st.data(),
)
def test_every_key_has_its_value(values: dict[str, bytes], most: int, data: Any) -> None:
    before, ocdbt_tree.ENTRIES = ocdbt_tree.ENTRIES, most
    try:
        with tempfile.TemporaryDirectory() as folder:
            keys = sorted(values)
            away = [data.draw(st.integers(-1, 2), key) for key in keys]
            paths = [b"data/x", b"data/xy", b"other"]
            for path, number in zip(paths, range(3), strict=True):
                mine = [values[key] for key, where in zip(keys, away, strict=True) if where == number]
                Path(folder, path.decode()).parent.mkdir(exist_ok=True)
                Path(folder, path.decode()).write_bytes(b"head" + b"".join(mine))
            offsets = [
                4 + sum(len(values[k]) for k, w in zip(keys[:at], away[:at], strict=True) if w == where)
                for at, where in enumerate(away)
            ]
            columns = [
                np.array(away),
                np.array(offsets, np.uint64),
                np.array([len(values[k]) for k in keys], np.uint64),
            ]
            entries = Entries(np.array([key.encode() for key in keys], object), *columns)
            direct = [values[key] for key, where in zip(keys, away, strict=True) if where < 0]
            nodes, root = tree(entries, direct, paths, b"nodes", 3)
            Path(folder, "nodes").write_bytes(b"xyz" + nodes)
            Path(folder, "manifest.ocdbt").write_bytes(manifest(root, b"nodes", bytes(range(16)), 1))
            store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{folder}/"}).result()
            assert sorted(store.list().result()) == [key.encode() for key in keys]
            assert {key: store.read(key).result().value for key in keys} == values
            assert store.read("no such key").result().state == "missing"
            GRAPHS[f"ocdbt: tree of height {min(root.height, 3)}"] += 1
    finally:
        ocdbt_tree.ENTRIES = before


def test_many_keys_make_a_tree_of_nodes(tmp_path: Path) -> None:
    count = 3 * ocdbt_tree.ENTRIES + 5
    (tmp_path / "cells").write_bytes(np.arange(count, dtype="<u4").tobytes())
    keys = np.array(sorted(f"c/{k}".encode() for k in range(count)), object)
    number = np.array([int(key[2:]) for key in keys], np.uint64)
    entries = Entries(keys, np.zeros(count, np.int64), 4 * number, np.full(count, 4, np.uint64))
    nodes, root = tree(entries, [], [b"cells"], b"nodes")
    assert (root.height, root.node[2], root.node[4]) == (1, count, 4 * count)
    (tmp_path / "nodes").write_bytes(nodes)
    (tmp_path / "manifest.ocdbt").write_bytes(manifest(root, b"nodes", bytes(16), 1))
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{tmp_path}/"}).result()
    for k in (0, 9, count // 2, count - 1):
        assert store.read(f"c/{k}").result().value == np.uint32(k).tobytes()
    assert len(store.list().result()) == count


def test_groups_files_and_missing_chunks(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=CELLS, chunks=(7, 5), compression="gzip", fillvalue=9)
        file.create_dataset("gaps", (7, 10), "i4", chunks=(2, 5), fillvalue=-3)[2:4] = 8
    shards = zarr.create_array(
        tmp_path / "s.zarr", shape=(8, 8), chunks=(2, 2), shards=(4, 4), dtype="u2", fill_value=7
    )
    shards[:4] = 5
    views = {
        "x": lz.open(tmp_path / "a.h5", "x").with_attrs({"units": "K"}),
        "inner": {
            "gaps": lz.open(tmp_path / "a.h5", "gaps"),
            "s": lz.open(tmp_path / "s.zarr").T,
            "five": lz.open(CELLS),
        },
    }
    report = lz.formats.ocdbt.write(views, tmp_path / "db")
    assert (report.arrays, report.chunks, report.inline, report.pinned) == (4, 2 + 2 + 2 + 1, 1, 0)
    assert report.unpinned == 6
    gaps = np.full((7, 10), -3, "i4")
    gaps[2:4] = 8
    expected = {"x": CELLS, "inner/gaps": gaps, "inner/s": np.asarray(shards[:]).T, "inner/five": CELLS}
    for name, cells in expected.items():
        np.testing.assert_array_equal(read(tmp_path / "db", name), cells, strict=True)
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    shutil.move(tmp_path, moved)
    for name, cells in expected.items():
        np.testing.assert_array_equal(read(moved / "db", name), cells, strict=True)


def test_what_has_no_place_is_refused(tmp_path: Path) -> None:
    stored = lz.open(zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(2, 5)))
    for view in (stored[1:], stored.unpack(scale_factor=0.5), stored.astype("f8")):
        with pytest.raises((lz.NotFlat, lz.SaveUnsupported)) as caught:
            lz.formats.ocdbt.write({"v": view}, tmp_path / "db")
        assert caught.value.reason in ("not-flat", "save-unsupported")
    objects = {f"/{p.relative_to(tmp_path)}": p.read_bytes() for p in tmp_path.rglob("a.zarr/**/*") if p.is_file()}
    with RangeServer(objects) as server, pytest.raises(lz.SaveUnsupported) as refused:
        lz.formats.ocdbt.write(lz.open(f"{server.url}/a.zarr"), tmp_path / "db")
    assert refused.value.where == "data"
    assert not (tmp_path / "db").exists()
    lz.formats.ocdbt.write(stored, tmp_path / "db")
    with pytest.raises(lz.SaveConflict):
        lz.formats.ocdbt.write(stored, tmp_path / "db")
    for place, name in ((tmp_path / "db", "other"), (tmp_path / "a.zarr", "data"), (tmp_path / "none", "data")):
        with pytest.raises(lz.SourceError) as missing:
            lz.formats.ocdbt.spec(place, name)
        assert missing.value.reason == "source-missing"
