"""Codecs come from a fixed table, and from the reader; never from a document."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from lazyzarr.codecs import registry
from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import ChunkDecodeError, ChunkTooLarge, UnsupportedFeature, ViewSchemaError
from lazyzarr.ir.layout import Layout, NamedConfig

LITTLE = NamedConfig("bytes", {"endian": "little"})
TABLE = [
    *("bytes", "transpose", "gzip", "zstd", "blosc", "crc32c", "sharding_indexed", "vlen-utf8", "vlen-bytes"),
    *("cast_value", "scale_offset", "lazyzarr.unpack", "lazyzarr.hdf5_lzf", "lazyzarr.hdf5_scaleoffset"),
    *(f"numcodecs.{name}" for name in ("zlib", "gzip", "zstd", "blosc", "lz4", "bz2", "lzma", "shuffle", "delta")),
    *(f"numcodecs.{name}" for name in ("bitround", "fixedscaleoffset", "quantize", "packbits", "fletcher32", "astype")),
    *(f"numcodecs.{name}" for name in ("crc32", "crc32c", "adler32")),
]


@pytest.fixture
def forget():
    names = []
    yield names.append
    for name in names:
        registry.unregister(name)


def test_the_table_of_names():
    assert [name for name in TABLE if not registry.is_known(name)] == []


@pytest.mark.parametrize("name", ["pickle", "numcodecs.pickle", "numcodecs.json2", "numcodecs.msgpack2"])
@pytest.mark.parametrize("place", ["front", "middle", "behind"])
def test_unknown(name, place):
    chain = {
        "front": (NamedConfig(name), LITTLE),
        "middle": (NamedConfig(name),),
        "behind": (LITTLE, NamedConfig(name)),
    }
    with pytest.raises(UnsupportedFeature) as caught:
        compile_chain(Layout("int16", 0, (2,), chain[place]))
    assert caught.value.reason == "codec-unknown"


def test_names_that_cannot_be_registered():
    for name in ("pickle", "numcodecs.pickle", "zstd", "sharding_indexed", "lazyzarr.hdf5_lzf"):
        with pytest.raises(UnsupportedFeature):
            registry.register(name, bytes)
    with pytest.raises(UnsupportedFeature):
        registry.register_from_zarr("numcodecs.pickle")
    with pytest.raises(UnsupportedFeature):
        registry.register_from_zarr("no such codec")


def test_own_bytes_to_bytes(forget):
    forget("xor")
    registry.register("xor", lambda data, conf, limit: bytes(b ^ conf["key"] for b in data))
    layout = Layout("uint8", 0, (3,), (NamedConfig("bytes"), NamedConfig("xor", {"key": 1})))
    assert compile_chain(layout).decode(b"\1\2\3").tolist() == [0, 3, 2]
    with pytest.raises(ChunkTooLarge):
        compile_chain(layout).decode(b"\1\2\3\4")
    with pytest.raises(ChunkDecodeError):
        compile_chain(layout).decode(b"\1\2")


def test_own_array_codecs(forget):
    forget("text")
    forget("negate")
    registry.register(
        "text",
        lambda data, conf, shape, dtype: np.array(bytes(data).split(), dtype).reshape(shape),
        place="array_to_bytes",
    )
    registry.register("negate", lambda array, conf, shape, dtype: -array, place="array_to_array")
    layout = Layout("int16", 0, (2,), (NamedConfig("negate"), NamedConfig("text")))
    assert compile_chain(layout).decode(b"1 22").tolist() == [-1, -22]
    registry.unregister("text")
    with pytest.raises(UnsupportedFeature):
        compile_chain(Layout("int16", 0, (3,), (NamedConfig("negate"), NamedConfig("text"))))


def test_a_decoder_of_the_wrong_type(forget):
    forget("wrong")
    registry.register("wrong", lambda data, conf, shape, dtype: np.zeros(shape, "f8"), place="array_to_bytes")
    with pytest.raises(ViewSchemaError):
        compile_chain(Layout("int16", 0, (2,), (NamedConfig("wrong"),))).decode(b"")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "place"), [("numcodecs.zfpy", "serial"), ("numcodecs.pcodec", "serial")], ids=["zfpy", "pcodec"]
)
def test_codecs_of_zarr(forget, name, place):
    package = {"numcodecs.zfpy": "zfpy", "numcodecs.pcodec": "pcodec"}[name]
    forget(name)
    registry.register_from_zarr(name)
    assert registry.is_serializer(name)
    values = np.linspace(0, 1, 12, dtype="f4").reshape(3, 4)
    chain = compile_chain(Layout("float32", 0.0, (3, 4), (NamedConfig(name),)))
    if importlib.util.find_spec(package) is None:
        with pytest.raises(ChunkDecodeError):
            chain.decode(b"not decoded: the package is not installed")
        return
    import numcodecs

    codec = numcodecs.get_codec({"id": name.removeprefix("numcodecs.")})
    assert np.allclose(chain.decode(codec.encode(values)), values)


def test_unprefixed_and_in_the_wrong_place():
    with pytest.raises(ViewSchemaError) as caught:
        compile_chain(Layout("int16", 0, (2,), (NamedConfig("zstd"), LITTLE)))
    assert caught.value.reason == "codec-invalid"


def test_what_is_imported():
    code = (
        "import sys, lazyzarr.codecs.chain; print([m for m in ('zarr', 'imagecodecs', 'networkx') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
