"""HDF5 filters: chunks decoded through the codec chain are what h5py reads with its plugins."""

import h5py
import hdf5plugin
import numpy as np
import pytest

from lazyzarr.formats.hdf5 import import_array, import_file
from lazyzarr.formats.hdf5_filters import Filter, chain
from lazyzarr.formats.hdf5_model import Hdf5Refused
from lazyzarr.formats.hdf5_types import cell_type
from lazyzarr.ir.layout import NamedConfig
from tests.formats.hdf5_reading import read, same, url_of

RNG = np.random.default_rng(7)
B = hdf5plugin
# netCDF4 names its own plugins to every libhdf5 of the process; its blosc does not work with that of h5py, and hdf5plugin
# leaves a filter alone that seems to be there
hdf5plugin.register(force=True)
FILTERS = {
    "gzip": {"compression": "gzip", "compression_opts": 7},
    "gzip shuffle fletcher": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "shuffle": {"shuffle": True},
    "fletcher": {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "lzf shuffle": {"compression": "lzf", "shuffle": True, "fletcher32": True},
    "szip nn": {"compression": "szip", "compression_opts": ("nn", 16)},
    "szip ec": {"compression": "szip", "compression_opts": ("ec", 8)},
    "zstd": B.Zstd(clevel=5),
    "zstd shuffle": {**B.Zstd(), "shuffle": True},
    "blosc": B.Blosc(),
    "blosc zstd bit": B.Blosc(cname="zstd", shuffle=B.Blosc.BITSHUFFLE),
    "blosc zlib none": B.Blosc(cname="zlib", shuffle=B.Blosc.NOSHUFFLE),
    "blosc blosclz": B.Blosc(cname="blosclz"),
    "blosc lz4hc": B.Blosc(cname="lz4hc"),
    "blosc2": B.Blosc2(),
    "blosc2 zstd bit": B.Blosc2(cname="zstd", filters=B.Blosc2.BITSHUFFLE),
    "blosc2 lz4 none": B.Blosc2(cname="lz4", filters=B.Blosc2.NOFILTER),
    "blosc2 delta": B.Blosc2(filters=B.Blosc2.DELTA),
    "lz4": B.LZ4(),
    "lz4 blocks": B.LZ4(nbytes=1000),
    "bitshuffle": B.Bitshuffle(cname="none"),
    "bitshuffle lz4": B.Bitshuffle(cname="lz4"),
    "bitshuffle lz4 small": B.Bitshuffle(nelems=64, cname="lz4"),
    "bitshuffle zstd": B.Bitshuffle(cname="zstd", clevel=9),
    "bzip2": B.BZip2(),
}


def imported(path, name):
    return import_array(str(path), url_of(path), name, packing="raw")


@pytest.mark.parametrize("kwargs", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", "<f4", ">f8"])
def test_lossless(tmp_path, kwargs, dtype):
    smooth = np.add.outer(np.arange(61) ** 2, np.arange(37)) % 251
    cases = {
        "smooth": smooth.astype(dtype),
        "noise": RNG.integers(0, 250, smooth.shape).astype(dtype),
        "zeros": np.zeros(smooth.shape, dtype),
    }
    with h5py.File(tmp_path / "a.h5", "w") as f:
        for name, data in cases.items():
            f.create_dataset(name, data=data, chunks=(20, 16), **kwargs)
            f.create_dataset(name + " odd", data=data, chunks=(13, 11), **kwargs)
    for name, data in cases.items():
        same(read(imported(tmp_path / "a.h5", name)), data.astype(np.dtype(dtype).newbyteorder("=")))
        same(read(imported(tmp_path / "a.h5", name + " odd")), data.astype(np.dtype(dtype).newbyteorder("=")))


def test_blosc2_tiles(tmp_path):
    data = RNG.normal(size=(130, 140, 90)).cumsum(axis=2)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("x", data=data, chunks=(70, 75, 80), **B.Blosc2(cname="lz4"))
        f.create_dataset("y", data=data[0], chunks=(130, 71), **B.Blosc2(cname="zstd"))
    same(read(imported(tmp_path / "a.h5", "x")), data)
    same(read(imported(tmp_path / "a.h5", "y")), data[0])


ZFP = {
    "rate": B.Zfp(rate=9),
    "accuracy": B.Zfp(accuracy=1e-3),
    "precision": B.Zfp(precision=19),
    "reversible": B.Zfp(reversible=True),
    "expert": B.Zfp(minbits=1, maxbits=4171, maxprec=25, minexp=-20),
    "expert minimum": B.Zfp(minbits=600, maxbits=4171, maxprec=25, minexp=-20),
}


@pytest.mark.parametrize("kwargs", ZFP.values(), ids=ZFP)
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i4", "<i8"])
@pytest.mark.parametrize("shape", [(200,), (30, 41), (9, 10, 21), (5, 6, 7, 9)])
def test_zfp_gives_what_its_plugin_gives(tmp_path, kwargs, dtype, shape):
    if dtype[1] == "i" and "accuracy" in str(kwargs):
        pytest.skip("accuracy needs floating point")
    data = (RNG.normal(size=shape).cumsum(axis=-1) * 1000).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("x", data=data, chunks=tuple(n - n // 3 for n in shape), **kwargs)
        expected = f["x"][()]
    same(read(imported(tmp_path / "a.h5", "x")), expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_scale_offset_of_integers(tmp_path, order, kind):
    dtype = np.dtype(order + kind)
    info = np.iinfo(dtype)
    cases = {
        "narrow": RNG.integers(3, 40, (30, 7)),
        "full": np.array([[info.min, info.max, 0, 5]] * 30, dtype=object),
        "constant": np.full((30, 4), 9),
        "negative": RNG.integers(max(info.min, -50), 20, (30, 5)),
    }
    with h5py.File(tmp_path / "a.h5", "w") as f:
        for name, data in cases.items():
            f.create_dataset(name, data=data.astype(dtype), chunks=(8, 3), scaleoffset=0)
            f.create_dataset(name + " filled", data=data.astype(dtype), chunks=(8, 3), scaleoffset=0, fillvalue=9)
            f.create_dataset(name + " bits", data=data.astype(dtype), chunks=(8, 3), scaleoffset=5, shuffle=False)
    with h5py.File(tmp_path / "a.h5") as f:
        for name in f:
            same(read(imported(tmp_path / "a.h5", name)), f[name][()])


@pytest.mark.parametrize("digits", [0, 2, 5, 9])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_scale_offset_of_floats(tmp_path, dtype, digits):
    data = (RNG.normal(size=(40, 9)) * 1000).astype(dtype)
    data[3:9] = -5
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("x", data=data, chunks=(7, 5), scaleoffset=digits, compression="gzip")
        f.create_dataset("filled", data=data, chunks=(7, 5), scaleoffset=digits, fillvalue=-5)
    with h5py.File(tmp_path / "a.h5") as f:
        for name in f:
            same(read(imported(tmp_path / "a.h5", name)), f[name][()])


@pytest.mark.parametrize("dtype", ["<i2", ">u4", "<f4", ">f8"])
def test_nbit_without_bits_to_spare(tmp_path, dtype):
    data = (RNG.normal(size=(30, 9)) * 100).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((7, 5))
        plist.set_filter(h5py.h5z.FILTER_NBIT, 0, ())
        tid = h5py.h5t.py_create(np.dtype(dtype))
        d = h5py.h5d.create(f.id, b"x", tid, h5py.h5s.create_simple(data.shape), plist)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, data)
        del d
    same(read(imported(tmp_path / "a.h5", "x")), data.astype(np.dtype(dtype).newbyteorder("=")))


def test_unknown_filter_names_itself_and_leaves_the_rest(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("lossy", data=RNG.normal(size=(40, 40)), chunks=(20, 20), **B.SZ3(absolute=0.1))
        f.create_dataset("good", data=np.arange(5))
    arrays = import_file(str(tmp_path / "a.h5"), url_of(tmp_path / "a.h5")).arrays
    refused = arrays["lossy"]
    assert isinstance(refused, Hdf5Refused)
    assert refused.reason == "source-unsupported"
    assert "32024" in refused.message
    assert "/lossy" in refused.message
    same(read(arrays["good"]), np.arange(5))


def test_chain_in_encoding_order():
    cell = cell_type(h5py.h5t.STD_I32BE.encode())
    filters = (Filter(2, (4,), "shuffle"), Filter(1, (6,), "deflate"), Filter(3, (), "fletcher32"))
    assert chain(cell, filters) == (
        NamedConfig("bytes", {"endian": "big"}),
        NamedConfig("numcodecs.shuffle", {"elementsize": 4}),
        NamedConfig("numcodecs.zlib", {"level": 6}),
        NamedConfig("numcodecs.fletcher32"),
    )
    assert [codec.name for codec in chain(cell, filters, 0b101)] == ["bytes", "numcodecs.zlib"]
