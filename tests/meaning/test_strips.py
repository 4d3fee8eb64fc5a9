"""Chunks that lie side by side are copied in one step; the slow twin copies one after the other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.lower.lowering import lower
from lazyzarr.read.place import Placer


def one_by_one(placer: Placer, fragments: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """No chunk lies beside another."""
    return np.arange(1, len(fragments) + 1)


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of chunks and their shape along one to three axes."""
    rank = draw(st.integers(1, 3))
    numbers, lengths = (tuple(draw(st.integers(1, n)) for _ in range(rank)) for n in (4, 3))
    return numbers, lengths


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    grids(),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=3),
    st.sampled_from([None, "auto"]),
    st.data(),
)
def test_strips_are_their_chunks(
    tmp_path: Path,
    grid: tuple[tuple[int, ...], tuple[int, ...]],
    absent: list[tuple[int, ...]],
    compressors: Any,
    data: st.DataObject,
) -> None:
    """Of joined arrays of which some chunks are not there, cut anywhere, into an output in either order."""
    numbers, lengths = grid
    shape = tuple(n * c for n, c in zip(numbers, lengths, strict=True))
    view_of: list[lz.View] = []
    for number in range(2):
        place = tmp_path / f"{number}.zarr"
        shutil.rmtree(place, ignore_errors=True)
        cells = (np.arange(np.prod(shape)) + 1000 * number).reshape(shape).astype("i4")
        zarr.create_array(place, data=cells, chunks=lengths, compressors=compressors, fill_value=-1)
        for chunk in absent:
            (place / "c" / "/".join(map(str, chunk[: len(numbers)]))).unlink(missing_ok=True)
        view_of.append(lz.open(place))
    axis = data.draw(st.integers(0, len(shape) - 1))
    view = lz.concat(view_of, axis=axis)
    key = tuple(
        slice(low, data.draw(st.integers(low + 1, n)))
        for n in view.shape
        for low in [data.draw(st.integers(0, min(n - 1, 2)))]
    )
    expected = np.concatenate([zarr.open_array(tmp_path / f"{n}.zarr", mode="r")[...] for n in range(2)], axis=axis)
    view, expected = view[key], expected[key]
    out = np.empty(view.shape, "i4", order=data.draw(st.sampled_from("CF")))
    lowered = lower(view.ir)  # not by way of `View.read`, which has another way for few chunks
    found = view.reader.read_lowered(lowered, out=out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Placer, "strips", one_by_one)
        slow = view.reader.read_lowered(lowered)
    assert np.array_equal(found, expected)
    assert np.array_equal(slow, expected)


def test_neighbours_are_copied_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of four chunks is one copy; what is behind it is not beside it."""
    cells = np.arange(64).reshape(8, 8)
    zarr.create_array(tmp_path / "a.zarr", data=cells, chunks=(4, 2), compressors=None)
    copied: list[int] = []
    put_strip = Placer.put_strip

    def noted(placer: Placer, first: int, last: int, chunks: np.ndarray) -> None:
        copied.append(len(chunks))
        put_strip(placer, first, last, chunks)

    monkeypatch.setattr(Placer, "put_strip", noted)
    view = lz.open(tmp_path / "a.zarr")
    assert np.array_equal(view.reader.read_lowered(lower(view.ir)), cells)
    assert copied == [4, 4]
