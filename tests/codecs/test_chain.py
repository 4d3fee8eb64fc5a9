"""Chunks that zarr-python wrote decode to the cells that zarr-python reads."""

import warnings

import numcodecs
import numpy as np
import pytest
import zarr.codecs as zc
import zarr.dtype
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import zstd

from lazyzarr.codecs.chain import codec_from_json, compile_chain
from lazyzarr.codecs.filters import shuffle
from lazyzarr.codecs.stages import Cells, Size
from lazyzarr.errors import ChunkDecodeError, ChunkError, SaveUnsupported, UnsupportedFeature, ViewSchemaError
from lazyzarr.ir.layout import Layout, NamedConfig
from tests.codecs.written import compare, content, same, write, write_codecs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from zarr.codecs import numcodecs as zn

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::RuntimeWarning")

RNG = np.random.default_rng(7)
NUMBERS = RNG.integers(-100, 100, (7, 9))
FLOATS = (NUMBERS * 0.37).astype("f4")
LITTLE = NamedConfig("bytes", {"endian": "little"})

DTYPES = [
    "i1",
    "<i2",
    ">i4",
    "i8",
    "u1",
    ">u2",
    "u4",
    "u8",
    "f2",
    ">f4",
    "f8",
    "c8",
    ">c16",
    "bool",
    "S3",
    "<U4",
    ">U2",
]
DTYPES += ["M8[ns]", ">M8[s]", "m8[10us]", [("a", ">i2"), ("b", ">f8"), ("c", "S3")], "V5"]


def values_of(dtype, shape=(7, 9)):
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, 100, shape)
    if isinstance(dtype, list):
        out = np.zeros(shape, dtype)
        for name in out.dtype.names:
            out[name] = numbers.astype(out.dtype[name])
        return out
    kind = np.dtype(dtype)
    if kind.kind == "V":
        return np.frombuffer(rng.bytes(numbers.size * kind.itemsize), kind).reshape(shape)
    if kind.kind in "SU":
        return numbers.astype(str).astype(kind)
    return numbers.astype("i4").astype(kind) if kind.kind in "Mm" else numbers.astype(kind)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("version", [2, 3])
def test_types(dtype, version):
    for order in ("C", "F") if version == 2 else (None,):
        assert compare(write(values_of(dtype), chunks=(3, 4), zarr_format=version, order=order)) == 9


V3_COMPRESSORS = [
    [zc.GzipCodec()],
    [zc.ZstdCodec()],
    [zc.ZstdCodec(level=3, checksum=True)],
    [zc.BloscCodec(cname="lz4")],
    [zc.BloscCodec(cname="lz4hc", shuffle="noshuffle")],
    [zc.BloscCodec(cname="zstd", shuffle="bitshuffle")],
    [zc.BloscCodec(cname="zlib", shuffle="shuffle", blocksize=64)],
    [zc.BloscCodec(cname="blosclz", clevel=0)],
    [zc.Crc32cCodec()],
    [zc.ZstdCodec(), zc.Crc32cCodec()],
    [zc.Crc32cCodec(), zc.BloscCodec()],
    [zc.GzipCodec(), zc.ZstdCodec()],
    [zc.ZstdCodec(), zc.ZstdCodec()],
    [zn.BZ2(level=1)],
    [zn.LZMA()],
    [zn.LZMA(format=2)],
    [zn.LZMA(preset=9)],
    [zn.LZMA(format=3, filters=[{"id": 33, "dict_size": 65536}])],
    [zn.LZ4()],
    [zn.Zlib()],
    [zn.GZip()],
    [zn.Zstd()],
    [zn.Blosc()],
    [zn.Shuffle(), zn.Zlib()],
    [zn.Shuffle(elementsize=1), zn.LZ4()],
    [zn.CRC32()],
    [zn.CRC32(location="end")],
    [zn.CRC32C()],
    [zn.CRC32C(location="start")],
    [zn.Adler32()],
    [zn.Fletcher32(), zn.Zlib()],
    [zn.JenkinsLookup3()],
]


@pytest.mark.parametrize("compressors", V3_COMPRESSORS, ids=lambda one: "+".join(type(c).__name__ for c in one))
@pytest.mark.parametrize("dtype", ["f4", ">i8", "i1", "bool"])
def test_v3_compressors(compressors, dtype):
    assert compare(write(values_of(dtype), chunks=(3, 4), zarr_format=3, compressors=compressors)) == 9


INTEGER_FILTERS = [
    [zn.Delta(dtype="<i8")],
    [zn.Delta(dtype="i8", astype="i4")],
    [zn.FixedScaleOffset(scale=2, offset=3, dtype="i8", astype="i4")],
    [zn.AsType(encode_dtype="i4", decode_dtype="i8")],
    [zc.ScaleOffset(offset=3, scale=2)],
    [zc.CastValue(data_type="int16")],
    [zc.TransposeCodec(order=(1, 0)), zc.CastValue(data_type="int16")],
    [zc.CastValue(data_type="int16"), zc.TransposeCodec(order=(1, 0))],
    [zc.TransposeCodec(order=(1, 0)), zc.TransposeCodec(order=(1, 0))],
    [zc.TransposeCodec(order=(1, 0)), zn.Delta(dtype="<i8")],
]
FLOAT_FILTERS = [
    [zn.Quantize(digits=2, dtype="f4")],
    [zn.BitRound(keepbits=5)],
    [zn.FixedScaleOffset(scale=10, offset=1.5, dtype="f4", astype="i2")],
    [zn.FixedScaleOffset(scale=10, offset=-90, dtype="f4", astype="f2")],
    [zc.ScaleOffset(offset=0.3, scale=0.7)],
    [zc.CastValue(data_type="int16", rounding="towards-zero")],
    [zc.CastValue(data_type="float64"), zc.ScaleOffset(offset=1, scale=-3)],
]


@pytest.mark.parametrize("filters", INTEGER_FILTERS)
def test_v3_filters_of_integers(filters):
    assert compare(write(NUMBERS, chunks=(3, 4), zarr_format=3, filters=filters)) == 9


@pytest.mark.parametrize("filters", FLOAT_FILTERS)
def test_v3_filters_of_floats(filters):
    assert compare(write(FLOATS, chunks=(3, 4), zarr_format=3, filters=filters)) == 9


def test_v3_packed_bits():
    assert compare(write(NUMBERS > 0, chunks=(3, 4), zarr_format=3, filters=[zn.PackBits()])) >= 8


@pytest.mark.parametrize("width", [*range(1, 10), 16, 33, 40])
@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_shuffled_as_numcodecs_does(width, count):
    raw = np.random.default_rng(width).integers(0, 256, count * width, np.uint8)
    shuffled = bytes(numcodecs.Shuffle(width).encode(raw)) if count else b""
    stage = shuffle({"elementsize": width}, Size(raw.nbytes, exact=True), Cells(raw.dtype, raw.shape))
    assert bytes(stage.decode(memoryview(shuffled))) == raw.tobytes()
    if stage.into is not None and count:
        out = np.zeros(raw.nbytes + 1, np.uint8)[1:]
        stage.into(memoryview(shuffled), out)
        assert out.tobytes() == raw.tobytes()


V2_COMPRESSORS = [
    None,
    numcodecs.Zlib(),
    numcodecs.GZip(),
    numcodecs.BZ2(),
    numcodecs.LZMA(),
    numcodecs.LZ4(),
    numcodecs.Zstd(),
    numcodecs.Blosc(),
    numcodecs.Blosc(cname="zstd", shuffle=2),
    numcodecs.Blosc(cname="lz4", shuffle=-1),
]


@pytest.mark.parametrize("compressor", V2_COMPRESSORS, ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">i2", ">f8"])
def test_v2_filters(compressor, order, dtype):
    values = values_of(dtype)
    filters = [
        None,
        [numcodecs.Shuffle(values.dtype.itemsize)],
        [numcodecs.Delta(values.dtype)],
        [numcodecs.FixedScaleOffset(dtype=values.dtype, scale=1, offset=3, astype=">i4")],
        [numcodecs.AsType("<f8", values.dtype)],
        [numcodecs.CRC32()],
        [numcodecs.Fletcher32()],
        [numcodecs.Delta(values.dtype), numcodecs.Shuffle(2)],
    ]
    if values.dtype.kind == "f":
        filters += [[numcodecs.Quantize(2, values.dtype)], [numcodecs.BitRound(3)]]
    for one in filters:
        if one and isinstance(one[0], numcodecs.BitRound) and not values.dtype.isnative:
            continue  # numcodecs cannot encode it
        settings = {"chunks": (3, 4), "zarr_format": 2, "order": order, "compressors": compressor, "filters": one}
        assert compare(write(values, **settings)) == 9


@pytest.mark.parametrize("order", ["C", "F"])
def test_v2_packed_bits(order):
    assert compare(write(NUMBERS > 0, chunks=(3, 4), zarr_format=2, filters=[numcodecs.PackBits()], order=order)) >= 8


TEXT = np.array([["a", "bé", "", "\U0001f30d" * 3] * 3] * 7, np.dtypes.StringDType())


@pytest.mark.parametrize(
    "settings_", [{"zarr_format": 3}, {"zarr_format": 2}, {"zarr_format": 2, "order": "F"}], ids=str
)
def test_strings(settings_):
    assert compare(write(TEXT, chunks=(3, 4), **settings_)) == 9


def test_strings_in_shards_and_transposed():
    assert compare(write(TEXT, chunks=(3, 4), shards=(6, 8))) == 4
    assert compare(write(TEXT, chunks=(3, 4), filters=[zc.TransposeCodec(order=(1, 0))])) == 9


@pytest.mark.parametrize("version", [2, 3])
def test_bytes_of_any_length(version):
    values = np.empty((7, 9), object)
    for i, j in np.ndindex(values.shape):
        values[i, j] = bytes([i]) * j
    assert compare(write(values, dtype=zarr.dtype.VariableLengthBytes(), chunks=(3, 4), zarr_format=version)) == 9


@pytest.mark.parametrize("version", [2, 3])
def test_without_axes(version):
    assert compare(write(np.array(2.5), zarr_format=version)) == 1


@settings(max_examples=150)
@given(st.data())
def test_any_chain_of_zarr_v3(data):
    rank = data.draw(st.integers(1, 3))
    chunks = tuple(data.draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=rank, max_size=rank)))
    dtype = data.draw(
        st.sampled_from(["i1", "<i2", ">i4", "u8", "f2", ">f4", "f8", "c8", "bool", "S3", "<U2", "M8[s]"])
    )
    values = values_of(dtype, shape)
    front = [zc.TransposeCodec(order=p) for p in data.draw(st.lists(st.permutations(range(rank)), max_size=2))]
    drawn = data.draw(st.lists(st.sampled_from(V3_COMPRESSORS), max_size=2))
    drawn = drawn[:1] + [one for one in drawn[1:] if not isinstance(one[0], zn.Shuffle)]  # it needs whole elements
    behind = [codec for one in drawn for codec in one]
    endian = data.draw(st.sampled_from(["little", "big"]))
    inner = [*front, zc.BytesCodec(endian=endian), *behind]
    if data.draw(st.booleans()):
        factors = data.draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
        location = data.draw(st.sampled_from(["start", "end"]))
        inner = [zc.ShardingCodec(chunk_shape=chunks, codecs=inner, index_location=location)]
        chunks = tuple(c * f for c, f in zip(chunks, factors, strict=True))
    fill_value = values.reshape(-1)[0] if data.draw(st.booleans()) else np.zeros((), values.dtype)[()]
    store = write_codecs(values, chunks, inner, fill_value=fill_value)
    compare(store)
    info, _ = content(store)
    chain = compile_chain(info.layout)
    block = values_of(dtype, chunks).astype(chain.dtype)
    same(chain.decode(chain.encode(block)), block)
    if chain.can_decode_into:
        together(chain, [block, block[::-1].copy(), None, block], data.draw(st.booleans()))


def together(chain, blocks, all_there):
    """Chunks end to end decode as one by one; the row of one that is not there is left."""
    blocks = [block for block in blocks if block is not None] if all_there else blocks
    stored = [b"" if block is None else chain.encode(block) for block in blocks]
    lengths = [-1 if block is None else len(one) for block, one in zip(blocks, stored, strict=True)]
    hole = bytes(chain.encoded.limit if chain.encoded.exact else 0)
    run = b"".join(one or hole for one in stored)
    out = np.zeros((len(blocks), *chain.shape), chain.dtype)
    chain.decode_each_into(memoryview(run + b"rest"), lengths, out)
    for number, block in enumerate(blocks):
        if block is not None:
            same(out[number], block)


ZSTD = compile_chain(Layout("uint8", 0, (100,), (NamedConfig("bytes"), NamedConfig("zstd"))))
FRAME = ZSTD.encode(np.arange(100, dtype=np.uint8))
HALF = zstd.compress(np.arange(50, dtype=np.uint8).tobytes())
SKIPPED = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
UNSAID = bytes.fromhex("28b52ffd0058210300") + bytes(range(100))  # one raw block, no content size in the header


@pytest.mark.parametrize("chunk", [FRAME, HALF + HALF, SKIPPED + FRAME, FRAME + SKIPPED, UNSAID], ids=len)
def test_zstd_frames_end_to_end(chunk):
    out = np.zeros((3, 100), np.uint8)
    data = FRAME + chunk + FRAME
    ZSTD.decode_each_into(memoryview(data), [len(FRAME), len(chunk), len(FRAME)], out)
    assert (out[[0, 2]] == np.arange(100)).all()
    assert (out[1] == ZSTD.decode(chunk)).all()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (HALF, FRAME + HALF),  # right in all, but each chunk is not
        (FRAME[:-3], FRAME),  # the frame would go on in the bytes of the next chunk
        (FRAME + HALF, HALF),
        (FRAME, b""),
        (FRAME, b"no frame"),
    ],
    ids=["short then long", "cut", "long then short", "nothing", "other bytes"],
)
def test_zstd_chunks_that_lean_on_each_other(first, second):
    with pytest.raises(ChunkError):
        ZSTD.decode_each_into(memoryview(first + second), [len(first), len(second)], np.zeros((2, 100), np.uint8))


def test_raw():
    raw = compile_chain(Layout("int16", 0, (2, 3), (LITTLE,)))
    swapped = compile_chain(Layout("int16", 0, (2, 3), (NamedConfig("bytes", {"endian": "big"}),)))
    packed = compile_chain(Layout("int16", 0, (2, 3), (LITTLE, NamedConfig("zstd"))))
    turned = compile_chain(Layout("int16", 0, (2, 3), (NamedConfig("transpose", {"order": [1, 0]}), LITTLE)))
    assert [(c.raw, c.raw_swapped, c.can_decode_into) for c in (raw, swapped, packed, turned)] == [
        (True, False, True),
        (False, True, True),
        (False, False, True),
        (False, False, False),
    ]
    out = np.zeros((2, 3), np.int16)
    assert swapped.decode_into(np.arange(6, dtype=">i2").tobytes(), out)
    assert out.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not raw.decode_into(bytes(12), out.T)
    assert not raw.decode_into(bytes(12), np.zeros((2, 3), np.int32))
    assert not raw.decode_into(bytes(12), np.zeros((2, 6), np.int16)[:, ::2])


@pytest.mark.parametrize("codecs", [(LITTLE,), (LITTLE, NamedConfig("crc32c")), (LITTLE, NamedConfig("zstd"))], ids=str)
def test_wrong_length(codecs):
    layout = Layout("int16", 0, (2, 3), codecs)
    chain = compile_chain(layout)
    for n in (2, 4):
        data = compile_chain(Layout("int16", 0, (2, n), codecs)).encode(np.ones((2, n), np.int16))
        for decode in (chain.decode, lambda d: chain.decode_into(d, np.zeros((2, 3), np.int16))):
            with pytest.raises((ChunkDecodeError, ValueError)) as caught:
                decode(data)
            assert caught.value.reason in ("chunk-length", "chunk-too-large")


def test_legacy_orders():
    for text, order in (("C", [0, 1]), ("F", [1, 0])):
        a = compile_chain(Layout("int16", 0, (2, 3), (NamedConfig("transpose", {"order": text}), LITTLE)))
        b = compile_chain(Layout("int16", 0, (2, 3), (NamedConfig("transpose", {"order": order}), LITTLE)))
        values = np.arange(6, dtype=np.int16).reshape(2, 3)
        assert a.encode(values) == b.encode(values)


@pytest.mark.parametrize(
    ("codecs", "reason"),
    [
        ([], "codec-invalid"),
        (["bytes", "bytes"], "codec-invalid"),
        ([{"name": "bytes", "configuration": {"endian": "middle"}}], "codec-invalid"),
        (["bytes"], "codec-invalid"),
        (["gzip", {"name": "bytes", "configuration": {"endian": "little"}}], "codec-invalid"),
        ([{"name": "bytes", "configuration": {"endian": "little"}}, "transpose"], "codec-invalid"),
        ([{"name": "transpose", "configuration": {"order": [0, 0]}}, "bytes"], "codec-invalid"),
        ([{"name": "bytes", "configuration": {"endian": "little"}}, "numcodecs.pickle"], "codec-unknown"),
        ([{"name": "bytes", "configuration": {"endian": "little"}}, "numcodecs.json2"], "codec-unknown"),
        (["numcodecs.pcodec"], "codec-unknown"),
        (["vlen-utf8"], "codec-invalid"),
        ([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip", "configuration": {"level": "x"}}],)
        * 1
        + ("codec-invalid",),
        ([{"name": "lazyzarr.unpack", "configuration": {"data_type": "string"}}, "bytes"], "codec-invalid"),
        ([{"name": "cast_value", "configuration": {"data_type": "string"}}, "bytes"], "codec-invalid"),
        ([{"name": "numcodecs.delta", "configuration": {"dtype": "O"}}, "bytes"], "codec-invalid"),
    ],
    ids=str,
)
def test_refused_chains(codecs, reason):
    with pytest.raises((ViewSchemaError, UnsupportedFeature)) as caught:
        compile_chain(Layout("int16", 0, (2, 3), tuple(codec_from_json(one) for one in codecs)))
    assert caught.value.reason == reason


def test_encoding_one_way():
    conf = {"scale_factor": 0.5, "stored_type": "int16", "data_type": "float32", "arithmetic": "float32"}
    chain = compile_chain(Layout("float32", 0.0, (2,), (NamedConfig("lazyzarr.unpack", conf), LITTLE)))
    assert chain.decode(np.array([1, 2], "<i2").tobytes()).tolist() == [0.5, 1.0]
    with pytest.raises(SaveUnsupported):
        chain.encode(np.ones(2, np.float32))


def test_code_points_that_do_not_exist():
    layout = Layout(NamedConfig("fixed_length_utf32", {"length_bytes": 8}), "", (2,), (LITTLE,))
    assert compile_chain(layout).decode(np.array(["ab", "c"]).tobytes()).tolist() == ["ab", "c"]
    with pytest.raises(ChunkDecodeError) as caught:
        compile_chain(layout).decode(b"\xff" * 16)
    assert caught.value.reason == "chunk-decode"


def test_equal_layouts_share_a_chain():
    one, two = (Layout("int16", 0, (5, 3), (NamedConfig("bytes", {"endian": "little"}),)) for _ in range(2))
    assert one is not two
    assert compile_chain(one) is compile_chain(two)
