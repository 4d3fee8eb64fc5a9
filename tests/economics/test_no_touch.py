"""Everything but reading is free: no chunk is touched, and no source is opened."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from lazyzarr.stages import STAGES
from tests.economics.watching import watched
from tests.faults.trees import objects_of
from tests.servers import RangeServer

DATA = np.arange(48, dtype="i4").reshape(8, 6)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    zarr.create_array(folder / "a.zarr", data=DATA, chunks=(2, 3))
    zarr.create_array(folder / "b.zarr", data=DATA, chunks=(3, 6), zarr_format=2)
    zarr.create_array(folder / "s.zarr", data=DATA, chunks=(1, 3), shards=(4, 6))
    with h5py.File(folder / "h.h5", "w") as file:
        file.create_dataset("d", data=DATA, chunks=(2, 3), compression="gzip")
    return folder


def openings(folder: Path) -> list[lz.View]:
    return [lz.open(folder / name) for name in ("a.zarr", "b.zarr", "s.zarr")] + [lz.open(folder / "h.h5", "d")]


def requests(views: list[lz.View]) -> int:
    return sum(view.reader.session.counts.requests for view in views)


def many(views: list[lz.View]) -> list[lz.View]:
    """One view of every kind of node."""
    a, b, s, h = views
    wide = lz.concat([a, b, s, h])
    return [
        wide,
        wide[3:17, ::-2],
        wide[:, 2],
        wide.T.flip(0),
        wide.oindex[[0, 31, 7, 7], :],
        lz.stack([a, b], axis=1).squeeze().expand_dims(0),
        lz.overlay((20, 20), [(a, (0, 0)), (s, (10, 10))], fill_value=3),
        lz.interleave([a, h]),
        lz.pad(b, ((1, 2), (0, 0)), value=9),
        lz.broadcast_to(a, (3, 8, 6)),
        a.astype("f8").unpack(scale_factor=0.5),
        h.rename_dims(["y", "x"]).with_attrs({"units": "K"}),
        lz.concat([a] * 40),
        np.roll(wide, 3, axis=0),
        lz.concat([wide[::2], lz.full((2, 6), 7, dtype="i4")])[5:-1],
    ]


DESCRIBE: list[Callable[[lz.View], object]] = [
    repr,
    lambda v: v._repr_html_(),
    lambda v: (v.shape, v.dtype, v.fill_value, v.nbytes, v.dims, v.attrs, len(v)),
    lambda v: (v.chunks, v.flatness, v.is_flat, v.why_not_flat()),
    lambda v: v.sources(),
    lambda v: v.graph(),
    lambda v: v.explain("optimized", trace=True),
    lambda v: (hash(v), v.token()),
    lambda v: pickle.loads(pickle.dumps(v)),
    *[lambda v, stage=stage: v.explain(stage) for stage in STAGES],
]


def test_building_saving_opening_and_describing_touch_no_source(archive: Path, tmp_path: Path) -> None:
    sources = openings(archive)
    before = requests(sources)
    target = tmp_path / "views"
    lz.save(sources[0][1:], target / "warm.zarr")
    lz.open(target / "warm.zarr", allow=[archive])
    with watched(archive) as touched:
        built = many(sources)
        for number, view in enumerate(built):
            for describe in DESCRIBE:
                describe(view)
            lz.save(view, target / f"{number}.zarr")
        lz.save({"a": built[0], "g": {"b": built[1]}}, target / "group.zarr")
        opened = [lz.open(target / f"{number}.zarr", allow=[archive]) for number in range(len(built))]
        for view in opened:
            for describe in DESCRIBE:
                describe(view)
        group = lz.open(target / "group.zarr", allow=[archive])
        repr(group), repr(group["g/b"])
    assert touched == []
    assert requests(sources) == before
    assert all(view.reader.counts.decodes == 0 for view in (*built, *opened))
    for view, again in zip(built, opened, strict=True):
        np.testing.assert_array_equal(again.read(), view.read(), strict=True)


def test_the_same_over_http(archive: Path, tmp_path: Path) -> None:
    with RangeServer(objects_of(archive)) as server:
        sources = [lz.open(f"{server.url}/{name}") for name in ("a.zarr", "b.zarr", "s.zarr")]
        sources.append(sources[0])
        server.clear()
        for number, view in enumerate(many(sources)):
            for describe in DESCRIBE:
                describe(view)
            lz.save(view, tmp_path / f"{number}.zarr")
            again = lz.open(tmp_path / f"{number}.zarr", allow=[server.url + "/"])
            for describe in DESCRIBE:
                describe(again)
        assert server.lines() == []


@pytest.mark.parametrize(
    ("name", "documents"),
    [("a.zarr", ["zarr.json"]), ("s.zarr", ["zarr.json"]), ("b.zarr", [".zarray", ".zattrs"])],
)
def test_opening_reads_the_metadata_document_only(archive: Path, name: str, documents: list[str]) -> None:
    lz.open(archive / name)
    with watched(archive) as touched:
        view = lz.open(archive / name)
    tried = ["zarr.json"] if name == "b.zarr" else []
    assert touched == [f"open {archive / name / document}" for document in (*tried, *documents)]
    assert view.reader.session.counts.requests == len(documents)
    with RangeServer(objects_of(archive)) as server:
        lz.open(f"{server.url}/{name}")
        assert server.lines() == [f"GET /{name}/{document}" for document in (*tried, *documents)]


def test_opening_a_saved_view_reads_its_document_only(archive: Path) -> None:
    lz.save(lz.concat([lz.open(archive / "a.zarr")] * 300), archive / "many.zarr")
    assert (archive / "many.zarr" / "tables").is_dir()
    with watched(archive) as touched:
        view = lz.open(archive / "many.zarr")
    assert touched == [f"open {archive / 'many.zarr' / 'zarr.json'}"]
    assert view.reader.session.counts.requests == 1
    with RangeServer(objects_of(archive)) as server:
        repr(lz.open(f"{server.url}/many.zarr"))
        assert server.lines() == ["GET /many.zarr/zarr.json"]


def test_opening_a_group_reads_its_document_only(archive: Path) -> None:
    lz.save({"a": lz.open(archive / "a.zarr"), "n": np.arange(3)}, archive / "group.zarr")
    with watched(archive) as touched:
        group = lz.open(archive / "group.zarr")
        assert list(group) == ["a", "n"]
    assert touched == [f"open {archive / 'group.zarr' / 'zarr.json'}"]
    with watched(archive) as touched:
        assert group["a"].shape == (8, 6)
    assert touched == [f"open {archive / 'group.zarr' / 'a' / 'zarr.json'}"]


def test_a_read_touches_what_it_needs_and_no_more(archive: Path) -> None:
    a, b, s, h = openings(archive)
    wide = lz.concat([a, b, s, h])
    with watched(archive) as touched:
        assert wide[9, 1].read() == DATA[1, 1]
    assert touched == [f"open {archive / 'b.zarr' / '0.0'}"]
    with watched(archive) as touched:
        np.testing.assert_array_equal(wide[25:27].read(), DATA[1:3])
    assert set(touched) == {f"open {archive / 'h.h5'}"}
