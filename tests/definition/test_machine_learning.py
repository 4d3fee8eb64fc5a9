"""The machine learning example: shards, splits by index files, and a shuffle that is the same for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.definition.selections import shuffled

LENGTHS = (30, 30, 17)
DEFINITION = """
lazyzarr: 1
stores: {shards: shards}
sources:
  shards:
    store: shards
    path: "part-{shard:05d}.zarr"
    tile: [{concat: sample, name: shard, range: {count: 3}, items: [30, 30, 17]}]
arrays:
  image: {from: shards}
  label: {from: shards}
  clean: {from: shards}
views:
  train: {of: [image, label], select: {sample: [{index: train.txt}, {shuffle: 42}]}}
  test: {of: [image, label], select: {sample: {index: test.npy}}}
  good: {select: {sample: {where: clean}}}
  digits: {of: image, select: {sample: {where: label, in: [3, 7]}}}
  corner: {of: image, select: {sample: {slice: [null, null, 10]}, y: {slice: [0, 2]}}}
"""


def make(folder: Path) -> dict[str, np.ndarray]:
    """Three shards of samples, and the index files of two splits."""
    rng = np.random.default_rng(2)
    count = sum(LENGTHS)
    whole = {
        "image": rng.integers(0, 256, (count, 8, 8)).astype("uint8"),
        "label": rng.integers(0, 10, count).astype("int64"),
        "clean": rng.random(count) > 0.2,
    }
    start = 0
    for number, length in enumerate(LENGTHS):
        group = zarr.open_group(folder / "shards" / f"part-{number:05d}.zarr", mode="w", zarr_format=3)
        for name, cells in whole.items():
            dims = ["sample", "y", "x"][: cells.ndim]
            group.create_array(name, data=cells[start : start + length], dimension_names=dims)
        start += length
    order = rng.permutation(count)
    (folder / "train.txt").write_text("\n".join(map(str, order[:60])) + "\n")
    np.save(folder / "test.npy", order[60:])
    return whole


def test_splits_and_shuffle_are_takes(tmp_path: Path) -> None:
    whole = make(tmp_path)
    (tmp_path / "d.lz.yaml").write_text(DEFINITION)
    lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "d.zarr")
    group = lz.open(tmp_path / "d.zarr")
    train = np.loadtxt(tmp_path / "train.txt", dtype=int)[shuffled(60, 42)]
    np.testing.assert_array_equal(group["train"]["image"].read(), whole["image"][train])
    np.testing.assert_array_equal(group["train"]["label"].read(), whole["label"][train])
    np.testing.assert_array_equal(group["test"]["label"].read(), whole["label"][np.load(tmp_path / "test.npy")])
    np.testing.assert_array_equal(group["good"]["image"].read(), whole["image"][whole["clean"]])
    np.testing.assert_array_equal(group["digits"]["image"].read(), whole["image"][np.isin(whole["label"], [3, 7])])
    np.testing.assert_array_equal(group["corner"]["image"].read(), whole["image"][::10, :2])


def test_the_shuffle_is_a_permutation_that_depends_on_the_seed() -> None:
    assert sorted(shuffled(1000, 5).tolist()) == list(range(1000))
    assert shuffled(1000, 5).tolist() != shuffled(1000, 6).tolist()


def test_indices_outside_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train.txt").write_text("0\n77\n")
    (tmp_path / "d.lz.yaml").write_text(DEFINITION)
    with pytest.raises(lz.DefinitionError) as raised:
        lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "d.zarr")
    assert raised.value.mistakes[0].subject == "views.train.select.sample[0].index"
    assert raised.value.mistakes[0].found == "77"
