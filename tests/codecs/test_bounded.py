"""Bytes that are not what they should be: only our errors come out, and memory stays bounded."""

import bz2
import gzip
import itertools
import lzma
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from numcodecs import blosc, lz4, zstd

from lazyzarr.codecs.bounded import zstd_content
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import ChunkChecksumError, ChunkDecodeError, ChunkError, ChunkTooLarge, ViewSchemaError
from lazyzarr.ir.layout import Layout, NamedConfig
from tests.strategies.profile import often, seed

LITTLE = NamedConfig("bytes", {"endian": "little"})
MUTATIONS = often(250, 4_000)
DICTIONARY = 67 << 20
"""What an lzma decoder may reserve; it is touched only as far as it writes."""
WALK = np.cumsum(np.random.default_rng(1).integers(-3, 4, 1024)).astype("i4").reshape(32, 32)
TEXT = np.array(["x" * (k % 9) + "é" for k in range(50)], np.dtypes.StringDType())


def layout(*codecs, dtype="int32", shape=(32, 32)):
    serial = NamedConfig("vlen-utf8") if dtype == "string" else LITTLE
    named = [NamedConfig(*one) if isinstance(one, tuple) else NamedConfig(one) for one in codecs]
    return Layout(dtype, "" if dtype == "string" else 0, shape, (serial, *named))


def shards(index_codecs):
    inner = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd"}]
    conf = {"chunk_shape": [8, 8], "codecs": inner, "index_codecs": index_codecs}
    return Layout("int32", 0, (32, 32), (NamedConfig("sharding_indexed", conf),))


LAYOUTS = {
    "raw": layout(),
    "gzip": layout("gzip"),
    "zlib": layout("numcodecs.zlib"),
    "zstd": layout("zstd"),
    "zstd-checksum": layout(("zstd", {"checksum": True})),
    "bz2": layout("numcodecs.bz2"),
    "xz": layout("numcodecs.lzma"),
    "lzma": layout(("numcodecs.lzma", {"format": 2})),
    "lz4": layout("numcodecs.lz4"),
    "crc32c": layout("crc32c"),
    "fletcher32": layout("numcodecs.fletcher32"),
    "adler32": layout("numcodecs.adler32"),
    "gzip of zstd": layout("zstd", "gzip"),
    "zstd of gzip": layout("gzip", "zstd"),
    "zstd of zstd": layout("zstd", "zstd"),
    "blosc of lz4": layout("numcodecs.lz4", "blosc"),
    "shuffle": layout(("numcodecs.shuffle", {"elementsize": 4}), "numcodecs.zlib"),
    "delta": layout(("numcodecs.delta", {"dtype": "<i4", "astype": "<i2"}), "numcodecs.lz4"),
    "text": layout(dtype="string", shape=(50,)),
    "text zstd": layout("zstd", dtype="string", shape=(50,)),
    "shards": shards([{"name": "bytes", "configuration": {"endian": "little"}}]),
    "shards crc": shards([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]),
    **{
        f"blosc {name} {shuffle} {level} {block}": layout(
            ("blosc", {"cname": name, "shuffle": shuffle, "clevel": level, "typesize": 4, "blocksize": block})
        )
        for name in ("lz4", "lz4hc", "blosclz", "zlib", "zstd")
        for shuffle, level, block in (("noshuffle", 0, 0), ("shuffle", 5, 256), ("bitshuffle", 5, 0))
    },
}


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    kind = rng.integers(0, 8)
    if kind == 0:
        return bytes(out[: rng.integers(0, len(out) + 1)])
    if kind == 1:
        return data + rng.bytes(int(rng.integers(1, 40)))
    if kind == 2:
        out[rng.integers(0, min(len(out), 40))] = rng.integers(0, 256)
    elif kind == 3:
        for _ in range(rng.integers(1, 20)):
            out[rng.integers(0, len(out))] = rng.integers(0, 256)
    elif kind == 4:
        first = rng.integers(0, len(out))
        del out[first : first + rng.integers(1, 30)]
    elif kind == 5:
        first = rng.integers(0, len(out) - 3)
        out[first : first + 4] = struct.pack("<I", rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 4096, 4097, 65536]))
    elif kind == 6:
        first = rng.integers(0, min(16, len(out) - 3))
        out[first : first + 4] = rng.bytes(4)
    else:
        return data + data
    return bytes(out)


@pytest.mark.parametrize("name", LAYOUTS)
def test_mutated_chunks(name):
    chain = compile_chain(LAYOUTS[name])
    values = TEXT if chain.dtype.kind == "T" else WALK
    data = chain.encode(values)
    assert (chain.decode(data) == values).all()
    rng = np.random.default_rng(len(name) + seed())
    refused = []
    tracemalloc.start()
    try:
        for _ in range(MUTATIONS):
            bad = mutated(data, rng)
            out = np.empty(chain.shape, chain.dtype)
            try:
                assert chain.decode(bad).shape == chain.shape
                chain.decode_into(bad, out)
            except ChunkError as error:
                refused.append(error.reason)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(refused) > MUTATIONS // 10
    assert set(refused) <= {"chunk-decode", "chunk-length", "chunk-too-large", "chunk-checksum"}
    assert peak < 2 * 4096 + (DICTIONARY if name in ("xz", "lzma") else 1 << 20)


BOMB = bytes(64 << 20)


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        ("gzip", gzip.compress(BOMB)),
        ("gzip", gzip.compress(bytes(4096)) + gzip.compress(BOMB)),
        ("numcodecs.zlib", zlib.compress(BOMB)),
        ("numcodecs.bz2", bz2.compress(BOMB)),
        ("numcodecs.bz2", bz2.compress(bytes(4096)) + bz2.compress(BOMB)),
        ("numcodecs.lzma", lzma.compress(BOMB)),
        ("zstd", zstd.compress(BOMB)),
        ("zstd", zstd.compress(bytes(4096)) + zstd.compress(BOMB)),
        ("blosc", blosc.compress(BOMB, b"zstd", 5)),
        ("numcodecs.lz4", lz4.compress(BOMB)),
    ],
    ids=lambda one: one if isinstance(one, str) else str(len(one)),
)
def test_bombs(codec, data):
    chain = compile_chain(layout(codec))
    tracemalloc.start()
    try:
        with pytest.raises(ChunkTooLarge):
            chain.decode(data)
        if chain.can_decode_into:
            with pytest.raises(ChunkTooLarge):
                chain.decode_into(data, np.empty(chain.shape, chain.dtype))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * 4096 + 8 * len(data) + (DICTIONARY if codec == "numcodecs.lzma" else 1 << 20)


def test_many_empty_streams():
    with pytest.raises(ChunkDecodeError) as caught:
        compile_chain(layout("gzip")).decode(gzip.compress(b"") * 20_000)
    assert caught.value.reason == "chunk-length"


def test_nested_bombs():
    inner = gzip.compress(BOMB)
    for codecs in (("gzip", "gzip"), ("gzip", "zstd")):
        outer = gzip.compress(inner) if codecs[1] == "gzip" else zstd.compress(inner)
        with pytest.raises(ChunkTooLarge):
            compile_chain(layout(*codecs)).decode(outer)
    with pytest.raises(ChunkTooLarge):
        compile_chain(layout("gzip", "gzip")).decode(inner)
    with pytest.raises(ChunkTooLarge):
        compile_chain(layout("zstd", "zstd")).decode(zstd.compress(zstd.compress(BOMB) + bytes(1 << 20)))


@pytest.mark.parametrize("codec", ["gzip", "numcodecs.bz2", "numcodecs.lzma", "zstd"])
def test_several_streams(codec):
    write = {
        "gzip": gzip.compress,
        "numcodecs.bz2": bz2.compress,
        "numcodecs.lzma": lzma.compress,
        "zstd": zstd.compress,
    }
    data = WALK.tobytes()
    chain = compile_chain(layout(codec))
    for cuts in ((0, 100, 4096), (0, 1, 2, 3000, 4096)):
        parts = b"".join(write[codec](data[a:b]) for a, b in itertools.pairwise(cuts))
        assert (chain.decode(parts) == WALK).all()
        if codec == "gzip":
            assert (chain.decode(parts + bytes(7)) == WALK).all()
        with pytest.raises(ChunkError):
            chain.decode(parts + b"\1")
        with pytest.raises(ChunkDecodeError):
            chain.decode(parts[:-1])


def undeclared(frame: bytes) -> bytes:
    """The frame without its content size, as a writer makes it that streams."""
    descriptor = frame[4]
    width = (descriptor >> 5 & 1, 2, 4, 8)[descriptor >> 6]
    at = 6 - (descriptor >> 5 & 1) + width
    return frame[:4] + bytes([descriptor & 0b100, 0x50]) + frame[at:]


def test_zstd_without_content_size():
    frame = undeclared(zstd.compress(WALK, 3))
    assert zstd.decompress(frame) == WALK.tobytes()
    content, declared = zstd_content(frame)
    assert not declared
    assert content >= WALK.nbytes
    chain = compile_chain(layout("zstd"))
    assert (chain.decode(frame) == WALK).all()
    out = np.empty_like(WALK)
    assert chain.decode_into(frame, out)
    assert (out == WALK).all()
    for count in (1023, 1025):
        with pytest.raises(ChunkDecodeError):
            chain.decode(undeclared(zstd.compress(np.ones(count, "i4"), 3)))
    with pytest.raises(ChunkError):
        chain.decode(undeclared(zstd.compress(BOMB, 3)))
    nested = compile_chain(layout("gzip", "zstd"))
    assert (nested.decode(undeclared(zstd.compress(gzip.compress(WALK)))) == WALK).all()
    with pytest.raises(ChunkTooLarge):
        nested.decode(undeclared(zstd.compress(bytes(256 << 20), 1)))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65535, 65792, 65791, 70000, 300_000])
@pytest.mark.parametrize("checksum", [False, True])
def test_zstd_content(size, checksum):
    data = np.random.default_rng(size).integers(0, 4, size, np.uint8)
    frame = zstd.compress(data, 3, checksum)
    skippable = struct.pack("<II", 0x184D2A53, 5) + b"hello"
    assert zstd_content(frame) == (size, True)
    assert zstd_content(skippable + frame + frame) == (2 * size, True)
    for end in range(0, len(frame), max(1, len(frame) // 50)):
        if end:
            with pytest.raises((ValueError, IndexError, struct.error)):
                zstd_content(frame[:end])


def test_blosc_headers():
    chain = compile_chain(layout("blosc"))
    data = bytearray(blosc.compress(WALK, b"lz4", 5))
    assert (chain.decode(bytes(data)) == WALK).all()
    for at, value in ((4, 4095), (4, 4097), (8, 0), (8, 2**31), (12, 8), (12, len(data) + 1), (12, 2**32 - 1)):
        bad = bytearray(data)
        bad[at : at + 4] = struct.pack("<I", value)
        with pytest.raises(ChunkError):
            chain.decode(bytes(bad))
    data[3] = 0
    with pytest.raises(ChunkDecodeError):
        chain.decode(bytes(data))


@pytest.mark.parametrize("codec", ["crc32c", "numcodecs.crc32", "numcodecs.adler32", "numcodecs.fletcher32"])
def test_checksums(codec):
    chain = compile_chain(layout(codec))
    data = bytearray(chain.encode(WALK))
    data[100] ^= 1
    with pytest.raises(ChunkChecksumError) as caught:
        chain.decode(bytes(data))
    assert caught.value.reason == "chunk-checksum"
    with pytest.raises(ChunkDecodeError):
        chain.decode(b"abc")


def test_text_counts():
    chain = compile_chain(layout(dtype="string", shape=(3,)))
    good = struct.pack("<I", 3) + b"".join(struct.pack("<I", 1) + b"a" for _ in range(3))
    assert chain.decode(good).tolist() == ["a"] * 3
    wrong = {
        struct.pack("<I", 2**32 - 1) + good[4:]: "chunk-too-large",
        struct.pack("<I", 4) + good[4:]: "chunk-too-large",
        struct.pack("<I", 2) + good[4:]: "chunk-length",
        good[:4] + struct.pack("<I", 2**32 - 1) + good[8:]: "chunk-decode",
        good + b"x": "chunk-decode",
        good[:-1]: "chunk-decode",
        good[:-1] + b"\xff": "chunk-decode",
        good[:4]: "chunk-decode",
        b"": "chunk-length",
        b"\3\0\0": "chunk-length",
    }
    for bad, reason in wrong.items():
        with pytest.raises(ChunkError) as caught:
            chain.decode(bad)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "conf",
    [
        {"format": 9},
        {"format": 3},
        {"format": 3, "filters": [{"id": 33, "dict_size": 1 << 30}]},
        {"format": 3, "filters": [{"id": 77}]},
        {"format": True},
    ],
    ids=str,
)
def test_lzma_configuration(conf):
    with pytest.raises(ViewSchemaError) as caught:
        compile_chain(layout(("numcodecs.lzma", conf)))
    assert caught.value.reason == "codec-invalid"


def test_lzma_dictionary_of_a_hostile_header():
    chain = compile_chain(layout(("numcodecs.lzma", {"format": 2})))
    data = bytearray(chain.encode(WALK))
    data[1:5] = struct.pack("<I", 1 << 31)
    with pytest.raises(ChunkDecodeError):
        chain.decode(bytes(data))
