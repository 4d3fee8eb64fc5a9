"""Storage forms of HDF5: every value read from the byte ranges is the value h5py reads."""

import ctypes
import os
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from lazyzarr.errors import SourceChanged, SourceError, SourceMissing
from lazyzarr.formats import hdf5_variable
from lazyzarr.formats.hdf5 import import_array, import_file
from lazyzarr.formats.hdf5_model import Hdf5Array, Hdf5Refused
from tests.formats.hdf5_reading import read, same, url_of

RNG = np.random.default_rng(5)


def check_all(path):
    """Compare every dataset of the root group; returns the imported group."""
    group = import_file(str(path), url_of(path), packing="raw")
    with h5py.File(path) as f:
        assert set(group.arrays) == set(f)
        for name, item in group.arrays.items():
            assert isinstance(item, Hdf5Array), item
            same(read(item), f[name][()])
            single = import_array(str(path), url_of(path), name, packing="raw")
            assert isinstance(single, Hdf5Array)
            assert (single.layout, single.attributes) == (item.layout, item.attributes)
            same(read(single), f[name][()])
    return group


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("dtype", ["i1", "u2", "<i4", ">i4", "u8", "f2", ">f4", "<f8", "c8", ">c16", "bool"])
def test_plain_types(tmp_path, dtype, libver):
    data = (RNG.normal(size=(13, 17)) * 50).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as f:
        f.create_dataset("contiguous", data=data)
        f.create_dataset("chunked", data=data, chunks=(4, 5))
        f.create_dataset("gzip", data=data, chunks=(4, 5), compression="gzip", shuffle=True, fletcher32=True)
        f.create_dataset("one chunk", data=data, chunks=(13, 17))
        f.create_dataset("growing", data=data, chunks=(4, 5), maxshape=(None, None))
        f.create_dataset("growing_one", data=data, chunks=(4, 5), maxshape=(None, 17))
        f.create_dataset("scalar", data=data[0, 0])
    check_all(tmp_path / "a.h5")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_never_written_chunks_read_as_the_own_fill(tmp_path, libver):
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as f:
        for name, fill in (("default", None), ("user", -7.5), ("nan", np.nan), ("minus zero", -0.0)):
            d = f.create_dataset(name, (10, 11), "f4", chunks=(3, 4), fillvalue=fill)
            d[3:6, 4:8] = 1
            f.create_dataset(name + " empty", (10, 11), "f4", chunks=(3, 4), fillvalue=fill, compression="gzip")
            f.create_dataset(name + " contiguous", (10, 11), "f4", fillvalue=fill)
    group = check_all(tmp_path / "a.h5")
    assert group.arrays["user"].refs()["state"].sum() == 1
    assert group.arrays["user"].layout.fill_value == -7.5
    assert group.arrays["user contiguous"].refs()["state"].sum() == 0


def test_undefined_fill_is_zero(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(f.id, b"x", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((10,)), plist)
    item = import_array(str(tmp_path / "a.h5"), "file:///a.h5", "x")
    assert (item.layout.fill_value, item.refs()["state"].tolist()) == (0, [0, 0, 0])


def test_filter_masks_get_their_own_layouts(tmp_path):
    data = np.arange(40, dtype="i4").reshape(4, 10)

    with h5py.File(tmp_path / "a.h5", "w") as f:
        d = f.create_dataset("x", (4, 10), "i4", chunks=(1, 10), compression="gzip", shuffle=True, fillvalue=3)
        shuffled = data[1].view("u1").reshape(10, 4).T.tobytes()
        d.id.write_direct_chunk((0, 0), data[0].tobytes(), 0b11)
        d.id.write_direct_chunk((1, 0), shuffled, 0b10)
        d.id.write_direct_chunk((2, 0), zlib.compress(data[2].tobytes()), 0b01)
    item = check_all(tmp_path / "a.h5").arrays["x"]
    assert len(item.layouts) == 4
    assert item.refs()["layout"].tolist()[:3] == [3, 2, 1]
    assert item.refs()["state"].tolist() == [1, 1, 1, 0]


def test_extent_and_chunk_disagree(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("oversized", data=np.arange(780.0), chunks=(524288,), maxshape=(None,), compression="gzip")
        f.create_dataset("edge", data=RNG.normal(size=(7, 9)), chunks=(4, 4))
        d = f.create_dataset("shrunk", data=RNG.normal(size=(40, 9)), chunks=(4, 4), maxshape=(None, 9))
        d.resize((6, 9))
        g = f.create_dataset("regrown", data=RNG.normal(size=(40, 9)), chunks=(4, 4), maxshape=(None, 9), fillvalue=2)
        g.resize((6, 9))
        g.resize((30, 9))
        f.create_dataset("empty axis", (0, 5), "f4", chunks=(4, 5), maxshape=(None, 5))
        f.create_dataset("empty contiguous", (3, 0), "f4")
    group = check_all(tmp_path / "a.h5")
    assert group.arrays["oversized"].layout.chunk_shape == (524288,)


@pytest.mark.parametrize("options", [{}, {"libver": "latest"}, {"userblock_size": 1024}])
def test_cells_of_compact_storage_are_byte_ranges(tmp_path, options, monkeypatch):
    path = tmp_path / "a.h5"
    kinds = {"i": ">i4", "f": "<f8", "b": "?", "c": "c8", "s": "S5", "none": "i2"}
    with h5py.File(path, "w", **options) as f:
        for name, dtype in kinds.items():
            cells = RNG.integers(0, 2, (0, 4) if name == "none" else (3, 4)).astype(dtype)
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            space, kind = h5py.h5s.create_simple(cells.shape), h5py.h5t.py_create(cells.dtype, logical=True)
            made = h5py.h5d.create(f.id, name.encode(), kind, space, plist)
            made.write(h5py.h5s.ALL, h5py.h5s.ALL, cells)
            for number in range(8):  # messages in front of and behind the cells, and in blocks that continue
                h5py.Dataset(made).attrs[f"a{number}"] = np.arange(number)
    group = check_all(path)
    assert all(array.values is None for array in group.arrays.values())
    columns = group.arrays["i"].refs()
    with h5py.File(path) as f:
        data = path.read_bytes()[int(columns["offset"][0]) :][: int(columns["length"][0])]
        assert data == f["i"][()].tobytes()
    with monkeypatch.context() as patch:
        patch.setattr("lazyzarr.formats.hdf5_file.reader", lambda handle: None)
        assert all(array.values is not None for array in check_all(path).arrays.values())


def test_compact_and_contiguous_cut(tmp_path, monkeypatch):
    from lazyzarr.formats import hdf5_chunks

    monkeypatch.setattr(hdf5_chunks, "CONTIGUOUS_CHUNK", 1000)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        d = h5py.h5d.create(f.id, b"compact", h5py.h5t.STD_I32BE, h5py.h5s.create_simple((3, 4)), plist)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(12, dtype="i4").reshape(3, 4))
        f["big"] = RNG.normal(size=(60, 7))
        f["prime"] = RNG.normal(size=(61, 7))
    group = check_all(tmp_path / "a.h5")
    assert group.arrays["compact"].layout.chunk_shape == (3, 4)
    assert group.arrays["big"].layout.chunk_shape == (15, 7)
    assert group.arrays["prime"].layout.chunk_shape == (1, 7)


def test_user_block_and_paged_files(tmp_path):
    data = RNG.normal(size=(30, 7))
    with h5py.File(tmp_path / "block.h5", "w", userblock_size=1024) as f:
        f["contiguous"] = data
        f.create_dataset("chunked", data=data, chunks=(7, 7), compression="gzip")
    with h5py.File(tmp_path / "paged.h5", "w", fs_strategy="page", fs_page_size=4096) as f:
        f["contiguous"] = data
        f.create_dataset("chunked", data=data, chunks=(7, 7), compression="gzip")
    check_all(tmp_path / "block.h5")
    check_all(tmp_path / "paged.h5")


@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("filters", ["shuffle", "deflate", "both", "none"])
def test_edge_chunks_stored_without_filters(tmp_path, filters, userblock):
    libraries = list(Path(h5py.__file__).parent.parent.glob("h5py.libs/libhdf5-*"))
    if not libraries:
        pytest.skip("h5py is not from a wheel that brings its libhdf5; h5py itself cannot set this option")
    set_chunk_opts = ctypes.CDLL(str(libraries[0])).H5Pset_chunk_opts
    set_chunk_opts.argtypes = [ctypes.c_int64, ctypes.c_uint]
    data = RNG.integers(0, 99, (6, 9)).astype("i4")
    with h5py.File(tmp_path / "a.h5", "w", libver="latest", userblock_size=userblock) as f:
        for name, shape, limits in (("fixed", (6, 9), (6, 9)), ("growing", (6, 9), (None, None))):
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((4, 4))
            if filters in ("shuffle", "both"):
                plist.set_shuffle()
            if filters in ("deflate", "both"):
                plist.set_deflate(4)
            assert set_chunk_opts(plist.id, 2) == 0
            space = h5py.h5s.create_simple(shape, tuple(n or h5py.h5s.UNLIMITED for n in limits))
            d = h5py.h5d.create(f.id, name.encode(), h5py.h5t.NATIVE_INT32, space, plist)
            d.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
            del d
    check_all(tmp_path / "a.h5")


def test_headers_read_directly_say_what_libhdf5_says(tmp_path, monkeypatch):
    for name, options in (("a", {}), ("b", {"libver": "latest"}), ("c", {"userblock_size": 2048})):
        with h5py.File(tmp_path / name, "w", **options) as f:
            f.attrs["many"] = np.arange(300.0)
            d = f.create_dataset(
                "x", data=np.arange(20), chunks=(6,), compression="gzip", maxshape=(None,), fillvalue=3
            )
            for number in range(40 if name == "b" else 6):
                d.attrs[f"attribute {number}"] = np.arange(number, dtype=">i4")
                d.attrs[f"text {number}"] = np.bytes_("ab" * number)
                f["x"].attrs[f"vlen {number}"] = "word" * number
            f.create_dataset("y", data=np.arange(20.0)).attrs["a"] = 1
        path = str(tmp_path / name)
        direct = import_file(path, "file:///f")
        with h5py.File(path) as f:
            assert {n: d.shape for n, d in f.items()} == {n: a.shape for n, a in direct.arrays.items()}
        with monkeypatch.context() as patch:
            patch.setattr("lazyzarr.formats.hdf5_file.reader", lambda handle: None)
            asked = import_file(path, "file:///f")
        assert direct == asked
        for item in direct.arrays:
            assert direct.arrays[item].layouts == asked.arrays[item].layouts


def test_external_segments(tmp_path):
    data = np.arange(24, dtype="<i4").reshape(6, 4)
    raw = data.tobytes()
    (tmp_path / "one.raw").write_bytes(b"####" + raw[:32])
    (tmp_path / "two ü.raw").write_bytes(raw[32:80] + b"!!" + raw[80:])
    with h5py.File(tmp_path / "a.h5", "w") as f:
        segments = [("one.raw", 4, 32), ("two ü.raw", 0, 48), ("two ü.raw", 50, h5py.h5f.UNLIMITED)]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        for name, offset, size in segments:
            plist.set_external(name.encode(), offset, size)
        h5py.h5d.create(f.id, b"x", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((6, 4)), plist)
    item = import_array(str(tmp_path / "a.h5"), url_of(tmp_path / "a.h5"), "x")
    assert item.layout.chunk_shape == (1, 4)
    assert [url.rsplit("/", 1)[1] for url in item.urls] == ["one.raw", "two%20%C3%BC.raw"]
    assert item.url_stamps[0].size == 36
    same(read(item), data)


def test_external_is_refused_outside_and_where_a_cell_is_cut(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "raw").write_bytes(bytes(100))
    (tmp_path / "in" / "raw").write_bytes(bytes(100))
    with h5py.File(tmp_path / "in" / "a.h5", "w") as f:
        f.create_dataset("out", (5,), "i4", external=[("../raw", 0, 20)])
        f.create_dataset("cut", (5,), "i4", external=[("raw", 0, 6), ("raw", 30, 14)])
        f.create_dataset("short", (5,), "i4", external=[("raw", 0, 20)])
        f["good"] = 1
    path = tmp_path / "in" / "a.h5"
    arrays = import_file(str(path), url_of(path)).arrays
    reasons = {name: item.reason for name, item in arrays.items() if isinstance(item, Hdf5Refused)}
    assert reasons == {"out": "access-denied", "cut": "source-unsupported"}
    allowed = import_array(str(path), url_of(path), "out", allow_external=lambda url: url.endswith("/raw"))
    assert allowed.urls == (url_of(tmp_path / "raw"),)
    denied = import_array(str(path), url_of(path), "short", allow_external=lambda url: False)
    assert denied.reason == "access-denied"


def test_large_index_is_read_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_variable, "EAGER_CHUNKS", 3)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=np.arange(100), chunks=(7,), compression="gzip")
    first, second = (import_array(str(path), url_of(path), "x") for _ in range(2))
    same(read(first), np.arange(100))
    with h5py.File(path, "a") as f:
        f["x"][:] = 0
    with pytest.raises(SourceChanged):
        second.refs()


def test_stamp_and_missing_file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as f:
        f["x"] = 1
    status = os.stat(path)
    stamp = import_file(str(path), url_of(path)).arrays["x"].stamp
    assert (stamp.size, stamp.mtime_ns, stamp.inode) == (status.st_size, status.st_mtime_ns, status.st_ino)
    with pytest.raises(SourceMissing):
        import_file(str(tmp_path / "b.h5"), "file:///b.h5")
    with pytest.raises(SourceMissing):
        import_array(str(path), url_of(path), "group/y")
    with pytest.raises(SourceError) as caught:
        import_file(str(tmp_path), "file:///d")
    assert caught.value.reason == "source-format"
    (tmp_path / "text").write_text("not HDF5")
    with pytest.raises(SourceError) as caught:
        import_file(str(tmp_path / "text"), "file:///text")
    assert caught.value.reason == "source-format"


def test_changed_while_parsed(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as f:
        f["x"] = 1
    real = hdf5_variable.describe

    def slow(file, one, axes):
        os.utime(path, ns=(1, 1))
        return real(file, one, axes)

    monkeypatch.setattr("lazyzarr.formats.hdf5.describe", slow)
    with pytest.raises(SourceChanged):
        import_file(str(path), url_of(path))
