"""Chunks of plain cells have one length, and their bytes go where they belong, however little of them is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.errors import ChunkError
from lazyzarr.ir.layout import NamedConfig
from lazyzarr.view import View
from tests.review.referenced import PLAIN, SWAPPED, columnar, referenced

Read = Callable[[View], np.ndarray]
READS = pytest.mark.parametrize("read", [View.read, columnar], ids=["scalar", "columnar"])


@READS
@pytest.mark.parametrize("codecs", [PLAIN, SWAPPED], ids=["native", "swapped"])
@pytest.mark.parametrize("length", [16, 24])
def test_a_reference_of_another_length_than_its_cells_is_an_error(
    tmp_path: Path, read: Read, codecs: tuple[NamedConfig, ...], length: int
) -> None:
    """Bytes beside the reference are not the chunk's, even where they would make it complete."""
    file = tmp_path / "cells.bin"
    file.write_bytes(np.arange(64, dtype="i2").tobytes())
    view = referenced(file, [0, 40], [20, length], (20,), (10,), codecs=codecs)
    for key in (slice(None), slice(10, 20), slice(12, 15)):
        with pytest.raises(ChunkError) as raised:
            read(view[key])
        assert raised.value.reason == "chunk-length"
    assert len(read(view[:10])) == 10


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(20,), chunks=(10,), dtype="i2", compressors=None, filters=None, fill_value=7
    )
    array[:10] = np.arange(10)
    return tmp_path / "a.zarr"


@READS
@pytest.mark.parametrize("change", [-2, 4])
def test_an_object_of_another_length_is_an_error_also_for_a_part(stored: Path, read: Read, change: int) -> None:
    chunk = stored / "c" / "0"
    chunk.write_bytes((chunk.read_bytes() + bytes(4))[: 20 + change])
    view = lz.open(stored)
    assert isinstance(view, View)
    for key in (slice(None), slice(2, 5), slice(0, 10)):
        with pytest.raises(ChunkError) as raised:
            read(view[key])
        assert raised.value.reason == "chunk-length"


@READS
def test_a_part_of_an_absent_chunk_is_fill(stored: Path, read: Read) -> None:
    view = lz.open(stored)
    assert isinstance(view, View)
    assert read(view[12:15]).tolist() == [7, 7, 7]
    assert read(view[8:12]).tolist() == [8, 9, 7, 7]


def test_wide_cells_reach_a_strided_buffer(tmp_path: Path) -> None:
    """A cell of a kilobyte and more is a run of bytes by itself."""
    cells = np.array(["a" * 300, "b" * 300, "c"], dtype="U300")
    file = tmp_path / "cells.bin"
    file.write_bytes(cells.tobytes())
    text = NamedConfig("fixed_length_utf32", {"length_bytes": cells.itemsize})
    view = referenced(file, [0], [cells.nbytes], (3,), (3,), data_type=text, fill_value="")
    around = np.full(6, "?", cells.dtype)
    columnar(view, around[::2])
    assert around[::2].tolist() == cells.tolist()
    assert set(around[1::2].tolist()) == {"?"}
