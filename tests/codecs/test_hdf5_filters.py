"""Decoders of HDF5 filters on damaged input: an error of ours, never more than the declared size, never a crash."""

import h5py
import hdf5plugin
import numpy as np
import pytest

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.codecs.hdf5_filters import DECODERS, STORED_NBYTES
from lazyzarr.errors import ChunkError, ChunkTooLarge
from lazyzarr.formats.hdf5 import import_array
from lazyzarr.ir.layout import NamedConfig

RNG = np.random.default_rng(2)
DATA = (RNG.normal(size=(24, 20)).cumsum(axis=1) * 50).astype("f4")
WRITERS = {
    "lazyzarr.hdf5_lzf": {"compression": "lzf"},
    "lazyzarr.hdf5_szip": {"compression": "szip"},
    "lazyzarr.hdf5_scaleoffset": {"scaleoffset": 2},
    "lazyzarr.hdf5_lz4": hdf5plugin.LZ4(nbytes=500),
    "lazyzarr.hdf5_bitshuffle": hdf5plugin.Bitshuffle(nelems=64, cname="lz4"),
    "lazyzarr.hdf5_blosc2": hdf5plugin.Blosc2(cname="zstd"),
    "lazyzarr.hdf5_zfp": hdf5plugin.Zfp(accuracy=1e-2),
}


def stored(tmp_path, kwargs):
    """One chunk as a file holds it, its codec, and what it decodes to."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as f:
        data = np.round(DATA / 50) if "compression" in kwargs else DATA
        f.create_dataset("x", data=data, chunks=DATA.shape, **kwargs)
        expected = f["x"][()]
        mask, raw = f["x"].id.read_direct_chunk((0, 0))
    assert mask == 0
    item = import_array(str(path), "file:///a.h5", "x")
    assert compile_chain(item.layout).decode(raw).tobytes() == expected.tobytes()
    return raw, item.layout.codecs[-1], expected.tobytes()


def attempt(codec, raw, limit):
    try:
        out = DECODERS[codec.name](raw, codec.configuration, limit)
    except ChunkError as error:
        return error
    assert memoryview(out).nbytes <= limit
    return None


@pytest.mark.parametrize("kwargs", WRITERS.values(), ids=WRITERS)
def test_damaged_chunks(tmp_path, kwargs):
    raw, codec, expected = stored(tmp_path, kwargs)
    assert bytes(DECODERS[codec.name](memoryview(raw), codec.configuration, len(expected))) == expected
    for length in (0, 1, 3, 4, 12, 13, 20, 31, len(raw) // 2, len(raw) - 1):
        attempt(codec, raw[:length], len(expected))
    for _ in range(300):
        damaged = bytearray(raw)
        for _ in range(RNG.integers(1, 6)):
            place = RNG.integers(0, min(len(raw), 64) if RNG.random() < 0.5 else len(raw))
            damaged[place] = RNG.integers(0, 256)
        attempt(codec, bytes(damaged), len(expected))


@pytest.mark.parametrize("kwargs", WRITERS.values(), ids=WRITERS)
def test_nothing_beyond_the_declared_size(tmp_path, kwargs):
    raw, codec, expected = stored(tmp_path, kwargs)
    error = attempt(codec, raw, len(expected) // 2)
    assert isinstance(error, ChunkError)


def test_bombs_are_refused_before_anything_is_allocated():
    huge = (1 << 50).to_bytes(8, "big") + (1 << 20).to_bytes(4, "big")
    for name, conf in (
        ("lazyzarr.hdf5_lz4", {}),
        ("lazyzarr.hdf5_bitshuffle", {"elementsize": 4, "blocksize": 0, "compressor": "lz4"}),
    ):
        with pytest.raises(ChunkTooLarge):
            DECODERS[name](huge + bytes(100), conf, 1000)
    for name, conf in (
        ("nbit", {"parameters": [8, 0, 1 << 40, 1, 4, 0, 12, 0]}),
        ("scaleoffset", {"parameters": [2, 0, 1 << 40, 0, 4, 0, 0, 0] + [0] * 12}),
        ("szip", {"options_mask": 4, "pixels_per_block": 8, "bits_per_pixel": 8, "pixels_per_scanline": 32}),
    ):
        with pytest.raises(ChunkTooLarge):
            DECODERS[f"lazyzarr.hdf5_{name}"](b"\xff" * 40, conf, 1000)


@pytest.mark.parametrize("parameters", [
    [], [0], [0, 0, 1], [0, 0, 1, 1, 4], [0, 0, 1, 1, 4, 0, 99, 0], [0, 0, 1, 9, 4], [0, 0, 1, 2, 1 << 30, 4, 1],
    [0, 0, 1, 3, 8, 1 << 20, 0, 1], [0, 0, 1, 1, 0, 0, 8, 0], [0, 0, 1, 3, 4, 1, 8, 1, 4, 0, 8, 0],
])  # fmt: skip
def test_nbit_parameters_that_describe_no_type(parameters):
    with pytest.raises(ChunkError):
        DECODERS["lazyzarr.hdf5_nbit"](bytes(100), {"parameters": parameters}, 4)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("configuration", [
    {}, {"parameters": "text"}, {"parameters": [None] * 20}, {"elementsize": 0, "end": "null"}, {"elementsize": -4},
    {"elementsize": "x", "precision": 4}, {"header": 5}, {"header": "!!"}, {"fields": [[0, "O"]], "itemsize": 8},
    {"fields": [], "itemsize": 0}, {"elementsize": 4, "compressor": "pickle"}, {"fields": [[-8, "<f8"]], "itemsize": 8},
    {"parameters": [0, 0, 1, *[2, 4] * 5000, 1, 4, 0, 8, 0]},
])  # fmt: skip
def test_configurations_of_strangers(name, configuration):
    error = attempt(NamedConfig(name, configuration), bytes(range(64)), 64)
    assert error is None or isinstance(error, ChunkError)


def test_nbit_of_compounds_and_arrays():
    members = np.array([(5, [1, 2, 3]), (-3, [7, 0, 1])], [("a", "<i4"), ("b", ">u2", 3)])
    bits = "".join(f"{int(a) & 0xFFF:012b}" + "".join(f"{int(one):05b}" for one in b) for a, b in members)
    packed = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    parameters = [0, 0, 2, 3, 10, 2, 0, 1, 4, 0, 12, 0, 4, 2, 6, 1, 2, 1, 5, 0]
    out = np.frombuffer(DECODERS["lazyzarr.hdf5_nbit"](packed, {"parameters": parameters}, 20), members.dtype)
    assert (out["a"] & 0xFFF).tolist() == [5, -3 & 0xFFF]
    assert out["b"].tolist() == members["b"].tolist()


def test_repairs_have_known_sizes():
    compound = {"itemsize": 16, "fields": [[0, "|i1"], [8, ">f8"]]}
    assert STORED_NBYTES["lazyzarr.hdf5_compound"](compound, 90) == 160
    assert STORED_NBYTES["lazyzarr.hdf5_string"]({"elementsize": 3, "end": "null"}, 90) == 90
    cells = np.zeros(3, np.dtype({"names": ["a", "b"], "formats": ["i1", ">f8"], "offsets": [0, 8], "itemsize": 16}))
    cells["a"], cells["b"] = [1, 2, 3], [0.5, -1, 4]
    out = np.frombuffer(DECODERS["lazyzarr.hdf5_compound"](cells.tobytes(), compound, 27), [("a", "i1"), ("b", "<f8")])
    assert out.tolist() == [(1, 0.5), (2, -1.0), (3, 4.0)]
    for name, conf in (("compound", compound), ("string", {"elementsize": 3, "end": "null"})):
        with pytest.raises(ChunkError):
            DECODERS[f"lazyzarr.hdf5_{name}"](bytes(47), conf, 27)
