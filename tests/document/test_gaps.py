"""Offsets as gaps: the same offsets by a loop over rows, by the columns as they are read, and by plain zarr-python."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lazyzarr as lz
from lazyzarr.document.gaps import Gaps, gaps_of, offsets_of, with_gaps
from lazyzarr.ir.layout import Layout, NamedConfig, StoredArray
from lazyzarr.ir.tables import Table
from lazyzarr.leaves import source
from lazyzarr.read import Reader
from lazyzarr.view import View

NUMBERS = hnp.arrays(np.uint64, 12, elements=st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1)))
OBJECTS = st.none() | hnp.arrays(np.int32, 12, elements=st.integers(-1, 2))


def by_rows(gap: list[int], length: list[int], whose: list[int], rows: int) -> list[int]:
    """G-045, row by row."""
    offsets: list[int] = []
    ends: dict[int, int] = {}
    for row, (distance, size, one) in enumerate(zip(gap, length, whose, strict=True)):
        if row % rows == 0:
            ends = {}
        offsets.append((ends.get(one, 0) + distance) % 2**64)
        ends[one] = (offsets[-1] + size) % 2**64
    return offsets


@given(NUMBERS, NUMBERS, OBJECTS)
def test_gaps_are_the_offsets(offset: np.ndarray, length: np.ndarray, whose: np.ndarray | None) -> None:
    gap = gaps_of(offset, length, whose)
    assert gap.dtype == np.int64
    np.testing.assert_array_equal(offsets_of(gap, length, whose), offset, strict=True)
    owners = [0] * 12 if whose is None else whose.tolist()
    assert by_rows(gap.tolist(), length.tolist(), owners, 12) == offset.tolist()


@given(NUMBERS, NUMBERS, OBJECTS, st.integers(1, 13))
def test_any_gaps_mean_some_offsets(gap: np.ndarray, length: np.ndarray, whose: np.ndarray | None, rows: int) -> None:
    gap = gap.view(np.int64)
    owners = [0] * 12 if whose is None else whose.tolist()
    found = np.concatenate(
        [
            offsets_of(gap[k : k + rows], length[k : k + rows], None if whose is None else whose[k : k + rows])
            for k in range(0, 12, rows)
        ]
    )
    assert found.tolist() == by_rows(gap.tolist(), length.tolist(), owners, rows)


def test_no_rows() -> None:
    none = np.zeros(0, np.uint64)
    for whose in (None, np.zeros(0, np.int32)):
        assert len(gaps_of(none, none, whose)) == len(offsets_of(none.view(np.int64), none, whose)) == 0
    assert len(Gaps({"offset": none, "length": none}, 3)[:0]) == 0


def test_what_is_smaller_is_stored() -> None:
    random = np.random.default_rng(0)
    length = random.integers(1, 60_000, 1_000).astype(np.uint64)
    following = {"offset": np.cumsum(length) - length, "length": length}
    assert set(with_gaps(dict(following), 400)) == {"gap", "length"}
    anywhere = {"offset": random.integers(0, 2**40, 1_000).astype(np.uint64), "length": length}
    regular = {"offset": np.arange(1_000, dtype=np.uint64) * 80, "length": length * 0 + 77}
    for columns in (anywhere, regular, {"offset": length * 0, "length": length * 0}, {"indices": length}):
        assert with_gaps(columns, 400) is columns


def ranges(folder: Path, *, files: int = 2, rows: int = 500, seed: int = 0) -> tuple[View, np.ndarray]:
    """Files of cells behind each other with holes, side by side, so that rows of files take turns; and the cells."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 2**15, (rows, files)).astype(np.int16)
    layout = Layout("int16", 0, (1, 1), (NamedConfig("bytes", {"endian": "little"}),))
    parts: list[View] = []
    for number in range(files):
        holes = np.where(random.random(rows) < 0.1, random.integers(0, 90, rows), 0)
        offset = np.cumsum(holes + 2) - 2 + random.integers(0, 50)
        raw = np.full(int(offset[-1]) + 2, 255, np.uint8)
        raw[offset[:, None] + np.arange(2)] = values[:, number, None].view(np.uint8).reshape(rows, 2)
        (folder / f"{number}.bin").write_bytes(raw.tobytes())
        table = Table({"offset": offset.astype(np.uint64), "length": np.full(rows, 2, np.uint64)})
        array = StoredArray(0, (rows, 1), (folder / f"{number}.bin").as_uri(), refs=table.name)
        parts.append(source(array, [layout], reader=Reader(), tables={table.name: table}))
    return lz.concat(parts, axis=1), values


def columns_of(target: Path) -> dict[str, np.ndarray]:
    """The columns with gaps, by plain zarr-python."""
    group = zarr.open_group(target, mode="r")
    found = [
        {path.rpartition("/")[2]: array for path, array in table.arrays()} for _, table in group["tables"].groups()
    ]
    (one,) = [columns for columns in found if "gap" in columns]
    return {name: array[...] for name, array in one.items()}


def test_plain_readers_find_the_offsets(tmp_path: Path) -> None:
    view, values = ranges(tmp_path)
    with patch("lazyzarr.document.tables.CHUNK_ROWS", 300), patch("lazyzarr.document.gaps.LEAST", 0):
        lz.save(view, tmp_path / "v.zarr", manifest="only")
    columns = columns_of(tmp_path / "v.zarr")
    assert set(columns) == {"gap", "length", "origin"}
    assert "gaps" in json.loads((tmp_path / "v.zarr" / "zarr.json").read_text())["attributes"]["lazyzarr"]["requires"]
    held = [columns[name].tolist() for name in ("gap", "length", "origin")]
    assert by_rows(*held, 300) == view.flatten().offset.tolist()
    again = lz.open(tmp_path / "v.zarr")
    np.testing.assert_array_equal(again.read(), values, strict=True)
    (refs,) = [table for table in again.ir.tables.values() if "offset" in table]
    assert set(refs.columns) == {"offset", "length", "origin"}
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(refs))["offset"][:], view.flatten().offset)
    lz.save(again, tmp_path / "copy.zarr")
    np.testing.assert_array_equal(columns_of(tmp_path / "copy.zarr")["length"], columns["length"])
    np.testing.assert_array_equal(lz.open(tmp_path / "copy.zarr").read(), values)


def test_a_chunk_of_offsets_needs_that_chunk_only(tmp_path: Path) -> None:
    view, values = ranges(tmp_path, rows=2_000)
    with patch("lazyzarr.document.tables.CHUNK_ROWS", 100), patch("lazyzarr.document.gaps.LEAST", -100):
        lz.save(view, tmp_path / "v.zarr", manifest="only")
    assert set(columns_of(tmp_path / "v.zarr")) == {"gap", "length", "origin"}
    for folder in (tmp_path / "v.zarr" / "tables").iterdir():
        for column in ("gap", "length", "origin"):
            for chunk in (folder / column / "c").glob("*") if (folder / column).exists() else ():
                if chunk.name != "7":
                    chunk.unlink()
    again = lz.open(tmp_path / "v.zarr")
    np.testing.assert_array_equal(again[355:395].read(), values[355:395])
    with pytest.raises(lz.SourceMissing):
        again[:3].read()


def test_views_share_a_table_of_gaps(tmp_path: Path) -> None:
    view, values = ranges(tmp_path)
    lz.save(view, tmp_path / "base.zarr", manifest="only")
    assert "gap" in columns_of(tmp_path / "base.zarr")
    lz.save(lz.open(tmp_path / "base.zarr")[100:300, ::-1], tmp_path / "part.zarr", share=True)
    assert [path.name for path in (tmp_path / "part.zarr").iterdir()] == ["zarr.json"]
    np.testing.assert_array_equal(lz.open(tmp_path / "part.zarr", allow=[tmp_path]).read(), values[100:300, ::-1])
    lz.append(tmp_path / "base.zarr", view)
    np.testing.assert_array_equal(lz.open(tmp_path / "base.zarr").read(), np.concatenate([values, values]))
