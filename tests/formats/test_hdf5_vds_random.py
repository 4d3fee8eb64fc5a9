"""Random views of HDF5 datasets: what is written is what NumPy has, for h5py and lazyzarr, or is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from tests.strategies.tally import GRAPHS

STORAGES: tuple[dict[str, Any], ...] = (
    {"chunks": (2, 3), "compression": "gzip", "fillvalue": -4},
    {},
    {"chunks": (5, 2), "shuffle": True, "dtype": ">i4"},
    {"external": "raw"},
    {"compact": True},
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for number, storage in enumerate(STORAGES):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            options = {"dtype": "i4", **storage}
            if options.get("external"):
                options["external"] = [(str(folder / "cells.raw"), 0, 5 * 7 * 4)]
            if options.pop("compact", False):
                options["dcpl"] = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                options["dcpl"].set_layout(h5py.h5d.COMPACT)
            made = file.create_dataset("a/x", shape=(5, 7), **options)
            made[3:] = 0 if "external" in options else made.fillvalue
            made = file["a/x"]
            made[:3] = np.arange(21).reshape(3, 7) + 100 * number  # the chunks behind are not written
    return folder


Pair = tuple[Any, np.ndarray]


def leaf(draw: st.DrawFn, archive: Path) -> Pair:
    number = draw(st.integers(0, len(STORAGES) - 1))
    with h5py.File(archive / f"{number}.h5") as file:
        return lz.open(archive / f"{number}.h5", "a/x"), file["a/x"][()].astype("i4")


def span(draw: st.DrawFn, length: int) -> slice | int:
    start = draw(st.integers(0, length - 1))
    if draw(st.integers(0, 5)) == 0:
        return start
    if draw(st.integers(0, 9)) == 0:
        return slice(None, None, -1)
    return slice(start, draw(st.integers(start + 1, length)), draw(st.integers(1, 3)))


def step(draw: st.DrawFn, archive: Path, pair: Pair) -> Pair:
    view, cells = pair
    kind = draw(st.sampled_from(("cut", "cut", "turn", "join", "stack", "take", "place", "axis", "repeat")))
    axis = draw(st.integers(0, max(cells.ndim - 1, 0)))
    if kind == "turn":
        order = draw(st.permutations(range(cells.ndim)))
        return view.transpose(*order), cells.transpose(order)
    if kind == "axis" and cells.ndim < 4:
        return view.expand_dims(axis), np.expand_dims(cells, axis)
    if kind == "stack" and cells.ndim < 4:
        return lz.stack([view, view], axis=axis), np.stack([cells, cells], axis=axis)
    if not cells.ndim or not cells.size:
        return pair
    if kind == "cut":
        key = tuple(span(draw, n) for n in cells.shape)
        return view[key], cells[key]
    if kind == "join":
        other, more = leaf(draw, archive)
        if cells.ndim != 2:
            return lz.concat([view, view], axis=axis), np.concatenate([cells, cells], axis=axis)
        key = tuple(slice(0, min(a, b)) for a, b in zip(cells.shape, more.shape, strict=True))
        parts = [(view[key], other[key]), (cells[key], more[key])]
        return lz.concat(list(parts[0]), axis=axis), np.concatenate(parts[1], axis=axis)
    if kind == "take":
        indices = draw(st.lists(st.integers(0, cells.shape[axis] - 1), min_size=1, max_size=6))
        return view.take(indices, axis=axis), cells.take(indices, axis=axis)
    if kind == "repeat" and cells.ndim < 4:
        shape = (2, *cells.shape)
        return lz.broadcast_to(view, shape), np.broadcast_to(cells, shape)
    value = draw(st.sampled_from((-1, -1, 7)))
    width = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in cells.shape]
    return lz.pad(view, width, value=value), np.pad(cells, width, constant_values=value)


def _run(draw: st.DrawFn, archive: Path) -> Pair:
    pair = leaf(draw, archive)
    for _ in range(draw(st.integers(0, 4))):
        if pair[1].size < 2_000:
            pair = step(draw, archive, pair)
    return pair


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_what_is_written_reads_as_numpy_has_it(archive: Path, data: st.DataObject) -> None:
    view, expected = _run(lambda strategy: data.draw(strategy), archive)
    np.testing.assert_array_equal(view.read(), expected)
    with tempfile.TemporaryDirectory(dir=archive) as folder:
        place = Path(folder) / "v.h5"
        try:
            report = lz.formats.hdf5.write_vds(view, place, name="v")
        except lz.SaveUnsupported:
            GRAPHS["hdf5: refused"] += 1
            return
        assert report.arrays == 1
        with h5py.File(place) as file:
            np.testing.assert_array_equal(file["v"][()], expected)
            assert len(file["v"].virtual_sources() if file["v"].is_virtual else []) == report.chunks
        found = lz.open(place, "v", allow=[archive]).read()
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        GRAPHS["hdf5: virtual dataset == NumPy"] += 1


def test_most_are_written() -> None:
    """Refusing everything would pass the test above."""
    written, refused = GRAPHS["hdf5: virtual dataset == NumPy"], GRAPHS["hdf5: refused"]
    assert not written + refused or written > 40
