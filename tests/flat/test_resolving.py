"""Inner chunks of shards as ranges of their own: the same cells, flat at the borders of inner chunks, indexes only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given

import lazyzarr as lz
from lazyzarr.interpret import interpret
from lazyzarr.ir.validate import validate
from lazyzarr.lower.aligned import MISSING, RANGE
from lazyzarr.view import View
from tests.economics.watching import watched
from tests.flat.reading import read_flat, read_with_zarr
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS

CELLS = np.arange(160, dtype="i4").reshape(20, 8)


def sharded(path: Path, **options: Any) -> lz.View:
    """Shards of 8 x 8 cells in chunks of 2 x 4; the second shard is missing, and so is a chunk of the first."""
    options = {"chunks": (2, 4), "shards": (8, 8), "fill_value": -1, "compressors": None} | options
    array = zarr.create_array(path, shape=CELLS.shape, dtype="i4", **options)
    array[:8] = CELLS[:8]
    array[2:4, 4:] = -1
    array[16:] = CELLS[16:]
    return lz.open(path)


def test_each_inner_chunk_has_its_range(tmp_path: Path) -> None:
    view = sharded(tmp_path / "a")
    assert view.flatten().chunk_lengths == (8, 8)
    resolved = view.resolve_shards()
    validate(resolved.ir)
    manifest = resolved.flatten()
    assert manifest.chunk_lengths == (2, 4)
    assert manifest.state.tolist() == [RANGE] * 3 + [MISSING] + [RANGE] * 4 + [MISSING] * 8 + [RANGE] * 4
    assert set(manifest.length[manifest.state == RANGE].tolist()) == {32}
    np.testing.assert_array_equal(read_flat(manifest), view.read())
    np.testing.assert_array_equal(read_with_zarr(manifest), view.read())
    assert resolved[2:6, 4:].flatness == "L0"
    assert view[2:6, 4:].flatness == "L2"
    assert all(stamp.size for stamp in manifest.stamps() if stamp)
    lz.save(resolved[2:], tmp_path / "v")
    np.testing.assert_array_equal(lz.open(tmp_path / "v").read(), view[2:].read())


def test_indexes_are_read_and_no_chunks(tmp_path: Path) -> None:
    view = sharded(tmp_path / "a", shards=(8, 8), chunks=(4, 4))
    session = view.reader.session
    before, received = session.counts.requests, session.counts.bytes
    with watched(tmp_path) as touched:
        view.resolve_shards()
    assert session.counts.bytes - received == 2 * (4 * 16 + 4)
    assert len(touched) <= 8
    assert session.counts.requests > before
    assert view.reader.counts.decodes == 0


@pytest.mark.parametrize(
    "options",
    [
        {"filters": zarr.codecs.TransposeCodec(order=(1, 0)), "chunks": (4, 4)},
        {"compressors": zarr.codecs.ZstdCodec(level=1)},
        {"chunk_key_encoding": {"name": "v2", "separator": "."}},
    ],
)
def test_chains_around_and_inside_shards(options: dict[str, Any], tmp_path: Path) -> None:
    view = sharded(tmp_path / "a", **options)
    joined = lz.concat([view.T, lz.full((8, 4), -1, dtype="i4")], axis=1)
    manifest = joined.resolve_shards().flatten()
    assert not any(codec.name == "sharding_indexed" for codec in manifest.codecs)
    np.testing.assert_array_equal(read_with_zarr(manifest), joined.read())


def test_what_has_no_shards_stays_what_it_is(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=CELLS, chunks=(2, 4), fill_value=-1)
    view = lz.open(tmp_path / "a")
    assert view.resolve_shards() is view
    mixed = lz.concat([view, sharded(tmp_path / "b", compressors="auto")]).resolve_shards()
    assert mixed.flatness == "L0"
    again = sharded(tmp_path / "c").resolve_shards()
    assert again.resolve_shards() is again


def test_an_array_that_is_gone_is_not_a_fill_value(tmp_path: Path) -> None:
    view = sharded(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(lz.SourceMissing):
        view.resolve_shards()


def test_an_index_that_lies_is_found_out(tmp_path: Path) -> None:
    view = sharded(tmp_path / "a")
    file = tmp_path / "a" / "c" / "0" / "0"
    file.write_bytes(file.read_bytes()[:-5] + b"12345")
    with pytest.raises(lz.ChunkError):
        view.resolve_shards()
    file.write_bytes(b"short")
    with pytest.raises(lz.ChunkError):
        view.resolve_shards()


@given(graphs(depth=2))
def test_resolved_graphs_mean_the_same(drawn: Drawn) -> None:
    view = View(None, graph=drawn.graph)
    resolved = view.resolve_shards()
    assert same_cells(resolved.read(), interpret(drawn.graph, drawn.truth))
    if resolved is not view:
        validate(resolved.ir)
        GRAPHS["shards resolved == interpret"] += 1
