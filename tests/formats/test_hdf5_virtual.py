"""Virtual datasets: the mappings, painted, are what HDF5 reads through them."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from hypothesis import given, settings
from hypothesis import strategies as st

from lazyzarr.formats.hdf5 import import_array, import_file
from lazyzarr.formats.hdf5_model import Hdf5Refused, Hdf5Virtual
from lazyzarr.formats.hdf5_selection import Axis, pairs
from tests.formats.hdf5_reading import read_virtual, same, url_of

RNG = np.random.default_rng(11)


def imported(path, name="v", **options):
    return import_array(str(path), url_of(path), name, packing="raw", **options)


def check(path, name="v"):
    item = imported(path, name)
    assert isinstance(item, Hdf5Virtual), item
    with h5py.File(path) as f:
        same(read_virtual(item), f[name][()])
    return item


@pytest.fixture
def sources(tmp_path):
    for number in range(4):
        with h5py.File(tmp_path / f"s ü{number}.h5", "w") as f:
            f.create_dataset("x", data=np.arange(100, dtype="i4") + 1000 * number, chunks=(7,), compression="gzip")
            f.create_dataset("g/y", data=RNG.normal(size=(12, 10)))
    return tmp_path


def layout(folder, shape, build, dtype="i4", fill=-1, name="v"):
    made = h5py.VirtualLayout(shape, dtype)
    build(made)
    with h5py.File(folder / "v.h5", "a") as f:
        f.create_virtual_dataset(name, made, fillvalue=fill)
    return folder / "v.h5"


def source(number, name="x", shape=(100,)):
    return h5py.VirtualSource(f"s ü{number}.h5", name, shape=shape)


def test_rows(sources):
    def build(made):
        for number in range(4):
            made[number] = source(number)

    item = check(layout(sources, (4, 100), build))
    assert len(item.mappings) == 4
    assert item.mappings[2].axes == (1,)
    assert item.missing == ()


def test_interleaved_and_strided(sources):
    def build(made):
        for number in range(4):
            made[number::4] = source(number)

    assert len(check(layout(sources, (400,), build)).mappings) == 4

    def strided(made):
        made[2:32:3, ::2] = source(0, "g/y", (12, 10))[1:11, ::2]
        made[0, 1:8] = source(1)[5:61:8]

    check(layout(sources, (40, 10), strided, name="strided"), "strided")


def test_lists_of_indices_and_gaps(sources):
    def build(made):
        made[[1, 2, 5, 9], 0:10] = source(0, "g/y", (12, 10))[[0, 3, 4, 11], :]
        made[12:14] = source(1, "g/y", (12, 10))[3:5]

    check(layout(sources, (14, 10), build, "f8"))


def test_other_shapes_of_the_same_cells(sources):
    def build(made):
        made[0:10, 0:10] = source(0)
        made[10:12, 0:10] = source(1)[0:20]

    check(layout(sources, (12, 10), build))


def test_blocks(sources):
    with h5py.File(sources / "v.h5", "w") as f:
        plist = h5p.create(h5p.DATASET_CREATE)
        view, taken = h5s.create_simple((60,)), h5s.create_simple((100,))
        view.select_hyperslab((1,), (6,), (10,), block=(3,))
        taken.select_hyperslab((0,), (6,), (4,), block=(3,))
        plist.set_virtual(view, "s ü1.h5".encode(), b"x", taken)
        view, taken = h5s.create_simple((60,)), h5s.create_simple((100,))
        view.select_hyperslab((5,), (8,), (5,), block=(2,))
        taken.select_hyperslab((40,), (4,), (8,), block=(4,))
        plist.set_virtual(view, "s ü2.h5".encode(), b"x", taken)
        view, taken = h5s.create_simple((60,)), h5s.create_simple((100,))
        view.select_hyperslab((50,), (1,), (1,), block=(8,))
        taken.select_hyperslab((40,), (4,), (5,), block=(2,))
        plist.set_virtual(view, "s ü3.h5".encode(), b"x", taken)
        h5d.create(f.id, b"v", h5t.STD_I32LE, h5s.create_simple((60,)), plist)
    check(sources / "v.h5")


def test_unlimited_selections(sources):
    unlimited = h5s.UNLIMITED
    for name, total in (("a", 7), ("b", 10)):
        with h5py.File(sources / f"{name}.h5", "w", libver="latest") as f:
            f.create_dataset("x", data=RNG.normal(size=(total, 3)), maxshape=(None, 3), chunks=(2, 3))
    with h5py.File(sources / "v.h5", "w", libver="latest") as f:
        plist = h5p.create(h5p.DATASET_CREATE)
        for number, name in enumerate(("a", "b")):
            view, taken = h5s.create_simple((1, 3), (unlimited, 3)), h5s.create_simple((1, 3), (unlimited, 3))
            view.select_hyperslab((number, 0), (unlimited, 1), (2, 1), block=(1, 3))
            taken.select_hyperslab((0, 0), (unlimited, 1), (1, 1), block=(1, 3))
            plist.set_virtual(view, f"{name}.h5".encode(), b"x", taken)
        plist.set_fill_value(np.array(-3.0))
        h5d.create(f.id, b"v", h5t.IEEE_F64LE, h5s.create_simple((1, 3), (unlimited, 3)), plist)
    item = check(sources / "v.h5")
    assert item.shape == (20, 3)
    with h5py.File(sources / "b.h5", "a") as f:
        f["x"].resize((12, 3))
    assert check(sources / "v.h5").shape == (24, 3)


def test_numbered_names(tmp_path):
    for number in range(3):
        with h5py.File(tmp_path / f"part-{number}%.h5", "w") as f:
            f[f"d{number}"] = np.arange(10) + 100 * number
    with h5py.File(tmp_path / "v.h5", "w", libver="latest") as f:
        plist = h5p.create(h5p.DATASET_CREATE)
        view, taken = h5s.create_simple((10,), (h5s.UNLIMITED,)), h5s.create_simple((10,))
        view.select_hyperslab((2,), (h5s.UNLIMITED,), (12,), block=(10,))
        plist.set_virtual(view, b"part-%b%%.h5", b"d%b", taken)
        h5d.create(f.id, b"v", h5t.STD_I64LE, h5s.create_simple((10,), (h5s.UNLIMITED,)), plist)
    item = check(tmp_path / "v.h5")
    assert (item.shape, len(item.mappings)) == ((36,), 3)


def test_same_file_and_nested_views(sources):
    def build(made):
        made[0:50] = source(0)[50:]

    layout(sources, (60,), build, name="inner")
    made = h5py.VirtualLayout((2, 60), "i4")
    made[0] = h5py.VirtualSource(".", "inner", shape=(60,))
    with h5py.File(sources / "v.h5", "a") as f:
        f.create_virtual_dataset("v", made, fillvalue=8)
    item = check(sources / "v.h5")
    assert item.mappings[0].url == item.location


def test_missing_sources_are_named(sources):
    def build(made):
        made[0] = source(0)
        made[1] = source(9)
        made[2] = source(1, "nothing")
        made[3] = source(8)[0:100:1]

    item = check(layout(sources, (4, 100), build, fill=77))
    names = [entry.rsplit("/", 1)[1] for entry in item.missing]
    assert names == ["s%20%C3%BC9.h5#x", "s%20%C3%BC1.h5#nothing", "s%20%C3%BC8.h5#x"]


def test_a_source_that_shrank_is_refused(sources):
    def build(made):
        made[0:100] = source(0)[0:100]

    path = layout(sources, (100,), build)
    with h5py.File(sources / "s ü0.h5", "w") as f:
        f["x"] = np.arange(60)
    item = imported(path)
    assert isinstance(item, Hdf5Refused)
    assert item.reason == "shape-mismatch"


def test_sources_elsewhere_need_permission(sources):
    (sources / "below").mkdir()
    made = h5py.VirtualLayout((100,), "i4")
    made[:] = h5py.VirtualSource("../s ü0.h5", "x", shape=(100,))
    path = sources / "below" / "v.h5"
    with h5py.File(path, "w") as f:
        f.create_virtual_dataset("v", made)
        f["good"] = 1
    group = import_file(str(path), url_of(path))
    assert group.arrays["v"].reason == "access-denied"
    assert url_of(sources) in group.arrays["v"].message
    allowed = imported(path, allow_external=lambda url: url == url_of(sources / "s ü0.h5"))
    assert isinstance(allowed, Hdf5Virtual)
    same(read_virtual(allowed), np.arange(100, dtype="i4"))


def test_cycles_end(tmp_path):
    unlimited = h5s.UNLIMITED
    for name, other in (("a", "b"), ("b", "a")):
        with h5py.File(tmp_path / f"{name}.h5", "w", libver="latest") as f:
            plist = h5p.create(h5p.DATASET_CREATE)
            view, taken = h5s.create_simple((1,), (unlimited,)), h5s.create_simple((1,), (unlimited,))
            view.select_hyperslab((0,), (unlimited,), (1,), block=(1,))
            taken.select_hyperslab((0,), (unlimited,), (1,), block=(1,))
            plist.set_virtual(view, f"{other}.h5".encode(), b"v", taken)
            h5d.create(f.id, b"v", h5t.STD_I32LE, h5s.create_simple((1,), (unlimited,)), plist)
    item = import_file(str(tmp_path / "a.h5"), url_of(tmp_path / "a.h5")).arrays["v"]
    assert isinstance(item, Hdf5Refused)
    assert item.reason == "source-unsupported"


def test_a_view_without_mappings_is_all_fill(tmp_path):
    layout(tmp_path, (3, 4), lambda made: None, fill=6)
    if isinstance(imported(tmp_path / "v.h5"), Hdf5Virtual):
        check(tmp_path / "v.h5")


def indices(axis):
    return np.concatenate([a + s * np.arange(c) for a, s, c in axis.pieces()])


@st.composite
def selections(draw, total):
    kind = draw(st.sampled_from(["blocks", "runs"]))
    start = draw(st.integers(0, 3))
    if kind == "blocks":
        block = draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0]))
        return Axis(start, block + draw(st.integers(0, 3)), total // block, block)
    cuts = sorted(draw(st.sets(st.integers(1, max(1, total - 1)), max_size=3)) | {total})
    runs, place, before = [], start, 0
    for cut in cuts:
        if cut > before:
            step = draw(st.integers(1, 3)) if cut - before > 1 else 1
            runs.append((place, step, cut - before))
            place += step * (cut - before) + draw(st.integers(0, 2))
            before = cut
    return Axis(0, 1, 0, 0, tuple(runs))


@given(st.data())
@settings(max_examples=200)
def test_pairs_match_cell_by_cell(data):
    totals = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    source, view = ([data.draw(selections(total)) for total in totals] for _ in range(2))
    expected = {
        (tuple(int(i) for i in a), tuple(int(i) for i in b))
        for a, b in zip(
            np.stack(np.meshgrid(*map(indices, source), indexing="ij"), -1).reshape(-1, len(totals)),
            np.stack(np.meshgrid(*map(indices, view), indexing="ij"), -1).reshape(-1, len(totals)),
            strict=True,
        )
    }
    found = set()
    for box, into, _ in pairs(source, view):
        cells = [
            np.stack(np.meshgrid(*(a + s * np.arange(c) for a, s, c in one), indexing="ij"), -1).reshape(-1, len(one))
            for one in (box, into)
        ]
        found |= {(tuple(map(int, a)), tuple(map(int, b))) for a, b in zip(*cells, strict=True)}
    assert found == expected
