"""Shards: geometry, partial reads, and an index that lies."""

import numpy as np
import pytest
import zarr.codecs as zc

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.codecs.sharding import MISSING
from lazyzarr.errors import ChunkChecksumError, ChunkDecodeError, UnsupportedFeature, ViewSchemaError
from lazyzarr.ir.layout import Layout, NamedConfig
from tests.codecs.written import compare, content, same, write_codecs

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
FLOATS = (np.random.default_rng(2).integers(0, 99, (14, 25)) * 0.37).astype("f4")
FLOATS[:4, :3] = 2.5
FLOATS[8:12, 3:9] = 2.5

CODECS = {
    "plain": [zc.ShardingCodec(chunk_shape=(4, 3), codecs=[zc.BytesCodec(), zc.ZstdCodec()])],
    "start": [zc.ShardingCodec(chunk_shape=(4, 3), codecs=[zc.BytesCodec()], index_location="start")],
    "no checksum": [zc.ShardingCodec(chunk_shape=(4, 3), codecs=[zc.BytesCodec()], index_codecs=[zc.BytesCodec()])],
    "big index": [
        zc.ShardingCodec(chunk_shape=(4, 3), codecs=[zc.BytesCodec()], index_codecs=[zc.BytesCodec(endian="big")])
    ],
    "transposed": [
        zc.TransposeCodec(order=(1, 0)),
        zc.ShardingCodec(chunk_shape=(3, 4), codecs=[zc.TransposeCodec(order=(1, 0)), zc.BytesCodec(endian="big")]),
    ],
    "cast": [
        zc.TransposeCodec(order=(1, 0)),
        zc.CastValue(data_type="float64"),
        zc.ShardingCodec(chunk_shape=(3, 4), codecs=[zc.BytesCodec(), zc.GzipCodec()]),
    ],
    "cast that loses the fill": [
        zc.CastValue(data_type="int16", rounding="nearest-even"),
        zc.ShardingCodec(chunk_shape=(4, 3), codecs=[zc.BytesCodec()]),
    ],
    "scaled": [
        zc.ScaleOffset(offset=0.1, scale=0.3),
        zc.ShardingCodec(chunk_shape=(4, 3), codecs=[zc.BytesCodec()]),
    ],
    "nested": [
        zc.ShardingCodec(
            chunk_shape=(6, 6), codecs=[zc.ShardingCodec(chunk_shape=(3, 2), codecs=[zc.BytesCodec(), zc.GzipCodec()])]
        )
    ],
    "compressed": [zc.ShardingCodec(chunk_shape=(4, 3), codecs=[zc.BytesCodec()]), zc.GzipCodec()],
}


@pytest.mark.parametrize("name", CODECS)
def test_as_zarr(name):
    store = write_codecs(FLOATS, (12, 24), CODECS[name], fill_value=2.5)
    assert compare(store) == 4
    info, chunks = content(store)
    chain = compile_chain(info.layout)
    if name == "compressed":
        assert chain.sharding is None
        return
    sharding = chain.sharding
    assert tuple(n * c for n, c in zip(sharding.grid, sharding.chunk_shape, strict=True)) == chain.shape
    for data in chunks.values():
        whole = chain.decode(data)
        at, length = sharding.index_range(len(data))
        index = sharding.parse_index(data[at : at + length], len(data))
        assert index[0].shape == index[1].shape == sharding.grid
        places = np.argwhere(np.ones(sharding.grid, bool))
        offsets, lengths, present = sharding.locate(index, places)
        assert (present == (index[0] != MISSING).reshape(-1)).all()
        for place, offset, length, there in zip(places, offsets, lengths, present, strict=True):
            first = place * sharding.chunk_shape
            window = tuple(slice(a, a + c) for a, c in zip(first, sharding.chunk_shape, strict=True))
            part = sharding.chain.decode(data[int(offset) : int(offset + length)]) if there else sharding.fill
            same(np.broadcast_to(part, sharding.chunk_shape), whole[window])


@pytest.mark.parametrize("name", ["plain", "start", "no checksum", "transposed", "cast", "nested", "compressed"])
def test_round_trip(name):
    info, _ = content(write_codecs(FLOATS, (12, 24), CODECS[name], fill_value=2.5))
    chain = compile_chain(info.layout)
    values = FLOATS[:12, :24]
    same(chain.decode(chain.encode(values)), values)
    empty = np.full((12, 24), 2.5, "f4")
    same(chain.decode(chain.encode(empty)), empty)


def layout(index_codecs=(LITTLE,), front=(), fill_value=0, data_type="int32", **changes):
    conf = {"chunk_shape": [2, 2], "codecs": [LITTLE], "index_codecs": list(index_codecs)} | changes
    return Layout(data_type, fill_value, (4, 4), (*front, NamedConfig("sharding_indexed", conf)))


def shard(entries, size=64):
    return bytes(size) + np.array(entries, "<u8").tobytes()


NONE = [2**64 - 1, 2**64 - 1]


def test_an_honest_index():
    found = compile_chain(layout(fill_value=7)).decode(shard([[0, 16], NONE, [16, 16], [32, 16]]))
    assert found.tolist() == [[0, 0, 7, 7], [0, 0, 7, 7], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    "entries",
    [
        [[0, 16], [8, 16], NONE, NONE],
        [[0, 16], [0, 16], NONE, NONE],
        [[0, 65], NONE, NONE, NONE],
        [[56, 16], NONE, NONE, NONE],
        [[64, 16], NONE, NONE, NONE],
        [[2**63, 16], NONE, NONE, NONE],
        [[16, 2**64 - 8], NONE, NONE, NONE],
        [[2**64 - 1, 16], NONE, NONE, NONE],
        [[0, 2**64 - 1], NONE, NONE, NONE],
        [[0, 8], NONE, NONE, NONE],
        [[0, 0], NONE, NONE, NONE],
    ],
    ids=str,
)
def test_a_lying_index(entries):
    with pytest.raises(ChunkDecodeError) as caught:
        compile_chain(layout()).decode(shard(entries))
    assert caught.value.reason in ("chunk-decode", "chunk-length")


def test_an_index_at_the_start_cannot_point_into_itself():
    chain = compile_chain(layout(index_location="start"))
    index = np.array([[0, 16], NONE, NONE, NONE], "<u8").tobytes()
    with pytest.raises(ChunkDecodeError):
        chain.decode(index + bytes(64))
    index = np.array([[64, 16], NONE, NONE, NONE], "<u8").tobytes()
    assert chain.decode(index + bytes(64)).sum() == 0


def test_short_shards_and_bad_checksums():
    chain = compile_chain(layout((LITTLE, {"name": "crc32c"})))
    data = chain.encode(np.arange(16, dtype=np.int32).reshape(4, 4))
    with pytest.raises(ChunkDecodeError) as caught:
        chain.decode(data[:20])
    assert caught.value.reason == "chunk-length"
    with pytest.raises(ChunkChecksumError):
        chain.decode(data[:-1] + bytes([data[-1] ^ 1]))


def test_missing_inner_chunks_under_an_unpack():
    conf = {"scale_factor": 0.5, "fill_values": [-1], "stored_type": "int32"}
    conf |= {"data_type": "float64", "arithmetic": "float64"}
    front = (NamedConfig("lazyzarr.unpack", conf),)
    chain = compile_chain(layout(front=front, fill_value="NaN", data_type="float64"))
    found = chain.decode(shard([[0, 16], NONE, NONE, NONE]))
    assert found[0, 0] == 0
    assert np.isnan(found[3, 3])
    assert np.isnan(chain.sharding.fill)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"chunk_shape": [3, 2]}, ViewSchemaError),
        ({"chunk_shape": [0, 2]}, ViewSchemaError),
        ({"chunk_shape": [2]}, ViewSchemaError),
        ({"codecs": []}, ViewSchemaError),
        ({"index_codecs": [LITTLE, {"name": "zstd"}]}, ViewSchemaError),
        ({"index_location": "middle"}, ViewSchemaError),
        ({"codecs": [LITTLE, {"name": "numcodecs.pickle"}]}, UnsupportedFeature),
        ({"front": (NamedConfig("numcodecs.delta", {"dtype": "<i4"}),)}, ViewSchemaError),
    ],
    ids=str,
)
def test_refused(changes, error):
    with pytest.raises(error) as caught:
        compile_chain(layout(**changes))
    assert caught.value.reason in ("codec-invalid", "codec-unknown")


def test_nesting_has_an_end():
    codecs = [LITTLE]
    for _ in range(40):
        conf = {"chunk_shape": [2, 2], "codecs": codecs, "index_codecs": [LITTLE]}
        codecs = [{"name": "sharding_indexed", "configuration": conf}]
    with pytest.raises(UnsupportedFeature):
        compile_chain(layout(codecs=codecs))
