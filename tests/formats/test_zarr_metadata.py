"""The metadata of Zarr arrays, against what zarr-python makes of the same documents."""

import base64
import json
import warnings

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.errors import LazyZarrError, SaveUnsupported, SourceProtocolError, UnsupportedFeature
from lazyzarr.formats.zarr import read_array_metadata, write_array_metadata
from lazyzarr.ir import fill
from lazyzarr.ir.chunk_keys import chunk_key, chunk_keys
from lazyzarr.ir.data_type import from_numpy, to_numpy
from lazyzarr.ir.layout import DEFAULT_KEYS, Layout, NamedConfig

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def v2(**changes):
    plain = {"zarr_format": 2, "shape": [4, 6], "chunks": [2, 3], "dtype": "<i2", "fill_value": 0}
    return plain | {"order": "C", "filters": None, "compressor": None} | changes


def v3(**changes):
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 6],
        "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [LITTLE],
    } | changes


def store_of(document: dict) -> MemoryStore:
    name = "zarr.json" if document["zarr_format"] == 3 else ".zarray"
    buffer = default_buffer_prototype().buffer
    return MemoryStore({name: buffer.from_bytes(json.dumps(document).encode())})


def missing_cell(document: dict):
    """What zarr-python reads where there is no chunk, as an array of one cell, in native byte order."""
    found = np.asarray(zarr.open_array(store_of(document), mode="r")[...]).reshape(-1)[:1]
    return found if found.dtype.kind in "TO" else found.astype(found.dtype.newbyteorder("="))


def check_fill(document: dict) -> None:
    layout = read_array_metadata(document).layout
    found, want = fill.full((1,), layout.fill_value, layout.data_type), missing_cell(document)
    if want.dtype.kind in "TO":
        assert found.tolist() == want.tolist()
    else:
        assert (found.dtype, found.tobytes()) == (want.dtype, want.tobytes())


STRUCT = [["a", ">i2"], ["b", ">f4"]]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        *(("<f4", value) for value in (None, 0, 1.5, -0.0, "NaN", "Infinity", "-Infinity", 1)),
        *((">f8", value) for value in (None, 1e300, "NaN")),
        *((dtype, value) for dtype in ("|i1", ">i4", "<u8") for value in (None, 0, 7)),
        *(("|b1", value) for value in (None, True, False)),
        *(("|S4", value) for value in (None, "", base64.b64encode(b"ab").decode(), base64.b64encode(b"abcd").decode())),
        *((dtype, value) for dtype in ("<U3", ">U3") for value in (None, "", "xé")),
        *(("|V3", value) for value in (None, base64.b64encode(b"\1\2\3").decode())),
        *((dtype, value) for dtype in ("<M8[s]", ">M8[ns]", "<m8[D]") for value in (None, 0, 5, -(2**63), "NaT")),
        *(("<c8", value) for value in (None, [1.0, "NaN"])),
        *((STRUCT, value) for value in (None, base64.b64encode(b"\1\2\0\0\x80\x3f").decode())),
    ],
    ids=str,
)
def test_fill_values_of_version_2(dtype, value):
    check_fill(v2(dtype=dtype, fill_value=value))


@pytest.mark.parametrize("value", [None, "", "x", 0])
def test_fill_values_of_version_2_text(value):
    check_fill(v2(dtype="|O", fill_value=value, filters=[{"id": "vlen-utf8"}]))


@pytest.mark.parametrize("value", [None, "", "YWI="])
def test_fill_values_of_version_2_bytes(value):
    check_fill(v2(dtype="|O", fill_value=value, filters=[{"id": "vlen-bytes"}]))


def named(name, **configuration):
    return {"name": name, "configuration": configuration}


FIELDS = [{"name": "a", "data_type": "int16"}, {"name": "b", "data_type": "float32"}]


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        *(("float32", value) for value in (0, 1.5, -0.0, "NaN", "-Infinity", "0x7fc00000", "0x7fc00001", "0xffc00000")),
        *(("float16", value) for value in (1.5, "NaN")),
        *(("float64", value) for value in ("NaN", "0x7ff8000000000001", 1e308)),
        *(("int8", value) for value in (-128, 0)),
        *(("uint64", value) for value in (2**64 - 1, 0)),
        *(("bool", value) for value in (True, False)),
        *(("complex64", value) for value in ([1, "NaN"], [0.0, -0.0])),
        *(("string", value) for value in ("", "é")),
        *(("variable_length_bytes", value) for value in ("", "YWI=")),
        *((named("numpy.datetime64", unit="s", scale_factor=10), value) for value in (0, "NaT", -5)),
        (named("numpy.timedelta64", unit="ns", scale_factor=1), 3),
        (named("null_terminated_bytes", length_bytes=3), "YWI="),
        (named("raw_bytes", length_bytes=2), "AQI="),
        (named("fixed_length_utf32", length_bytes=8), "é"),
        *((named("struct", fields=FIELDS), value) for value in ({"a": 3, "b": "NaN"}, {"b": 1.5})),
        (named("struct", fields=FIELDS), base64.b64encode(b"\1\2\0\0\x80\x3f").decode()),
    ],
    ids=str,
)
def test_fill_values_of_version_3(data_type, value):
    kind = data_type if isinstance(data_type, str) else data_type["name"]
    codec = {"string": "vlen-utf8", "variable_length_bytes": "vlen-bytes"}.get(kind)
    codecs = [{"name": codec}] if codec else [LITTLE]
    document = v3(data_type=data_type, fill_value=value, codecs=codecs)
    check_fill(document)
    layout = read_array_metadata(document).layout
    again = read_array_metadata(write_array_metadata([4, 6], layout))
    assert again.layout == layout
    check_fill(json.loads(write_array_metadata([4, 6], layout)))


def test_names_of_types_are_canonical():
    for document in (v3(data_type="r16", fill_value=[1, 2], codecs=[{"name": "bytes"}]),):
        layout = read_array_metadata(document).layout
        assert layout.data_type == from_numpy(np.dtype("V2"))
        assert layout.fill_value == "AQI="
    fields = [["a", "int16"], ["b", "float32"]]
    layout = read_array_metadata(v3(data_type=named("structured", fields=fields), fill_value={})).layout
    assert layout.data_type == from_numpy(np.dtype([("a", "i2"), ("b", "f4")]))


def test_version_2_in_the_terms_of_version_3():
    info = read_array_metadata(
        v2(
            dtype=">f4",
            order="F",
            filters=[{"id": "delta", "dtype": ">f4"}, {"id": "shuffle", "elementsize": 4}],
            compressor={"id": "zlib", "level": 1},
            dimension_separator="/",
        ),
        b'{"_ARRAY_DIMENSIONS": ["y", "x"], "valid_max": NaN}',
    )
    assert info.dimension_names == ("y", "x")
    assert list(info.attributes) == ["valid_max"]
    assert info.layout.chunk_keys == NamedConfig("v2", {"separator": "/"})
    assert info.layout.codecs == (
        NamedConfig("transpose", {"order": [1, 0]}),
        NamedConfig("bytes", {"endian": "big"}),
        NamedConfig("numcodecs.delta", {"dtype": ">f4"}),
        NamedConfig("numcodecs.shuffle", {"elementsize": 4}),
        NamedConfig("numcodecs.zlib", {"level": 1}),
    )
    assert compile_chain(info.layout).shape == (2, 3)


@pytest.mark.parametrize("names", [["x"], ["x", 1], "xy", None], ids=str)
def test_dimension_names_that_do_not_fit_stay_attributes(names):
    info = read_array_metadata(v2(), {"_ARRAY_DIMENSIONS": names})
    assert info.dimension_names is None
    assert info.attributes == {"_ARRAY_DIMENSIONS": names}


def test_text_bytes_and_objects_are_all_documents():
    for document in (v3(), v2()):
        text = json.dumps(document)
        assert read_array_metadata(text) == read_array_metadata(text.encode()) == read_array_metadata(document)


def test_keys_of_the_default_encoding_are_the_default():
    layout = read_array_metadata(v3()).layout
    assert layout.chunk_keys is DEFAULT_KEYS
    assert layout == Layout("int16", 0, (2, 3), (NamedConfig("bytes", {"endian": "little"}),))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shape", [(), (5,), (4, 6, 5)])
@pytest.mark.parametrize("separator", [".", "/"])
def test_chunk_keys_are_those_in_the_store(version, shape, separator):
    for name in ("v2",) if version == 2 else ("v2", "default"):
        store = MemoryStore()
        keys = {"name": name, "separator": separator}
        chunks = tuple(2 for _ in shape)
        zarr.create_array(
            store, shape=shape, chunks=chunks, dtype="i1", zarr_format=version, chunk_key_encoding=keys, fill_value=9
        )[...] = 1
        document = store._store_dict["zarr.json" if version == 3 else ".zarray"].to_bytes()
        layout = read_array_metadata(document).layout
        places = np.array(list(np.ndindex(*(-(-n // 2) for n in shape))))
        found = chunk_keys(layout.chunk_keys, places)
        assert sorted(found) == sorted(
            key for key in store._store_dict if not key.endswith((".zarray", ".json", ".zattrs"))
        )
        assert found == [chunk_key(layout.chunk_keys, place) for place in places]


@pytest.mark.parametrize(
    ("document", "error", "reason"),
    [
        (b"{", SourceProtocolError, "source-format"),
        (b"[1]", SourceProtocolError, "source-format"),
        (b"[" * 100_000, SourceProtocolError, "source-format"),
        (b"\xff\xfe", SourceProtocolError, "source-format"),
        ({}, SourceProtocolError, "source-format"),
        ({"zarr_format": 1}, SourceProtocolError, "source-format"),
        ({"zarr_format": True}, SourceProtocolError, "source-format"),
        ({"zarr_format": 3, "node_type": "group"}, SourceProtocolError, "source-format"),
        ({"zarr_format": 2}, SourceProtocolError, "source-format"),
        (v3(storage_transformers=[{"name": "x"}]), UnsupportedFeature, "source-unsupported"),
        (v3(extra={"must_understand": True}), UnsupportedFeature, "source-unsupported"),
        (v3(extra=1), UnsupportedFeature, "source-unsupported"),
        (v3(chunk_grid=named("hexagonal")), UnsupportedFeature, "source-unsupported"),
        (v3(chunk_grid=named("regular", chunk_shape=[2])), SourceProtocolError, "source-format"),
        (v3(chunk_grid=named("regular", chunk_shape=[2, -1])), SourceProtocolError, "source-format"),
        (v3(chunk_grid=named("regular", chunk_shape=[2, 2.0])), SourceProtocolError, "source-format"),
        (v3(shape=[2**40, 2**40]), SourceProtocolError, "source-format"),
        (v3(shape="ab"), SourceProtocolError, "source-format"),
        (v3(chunk_key_encoding=named("default", separator="-")), UnsupportedFeature, "source-unsupported"),
        (v3(chunk_key_encoding=named("other")), UnsupportedFeature, "source-unsupported"),
        (v3(data_type="float128"), UnsupportedFeature, "source-unsupported"),
        (v3(data_type=named("null_terminated_bytes", length_bytes=0)), UnsupportedFeature, "source-unsupported"),
        (v3(data_type=7), UnsupportedFeature, "source-unsupported"),
        (v3(fill_value=None), SourceProtocolError, "fill-invalid"),
        (v3(fill_value=40000), SourceProtocolError, "fill-invalid"),
        (v3(fill_value=1.5), SourceProtocolError, "fill-invalid"),
        (v3(codecs={"name": "bytes"}), SourceProtocolError, "source-format"),
        (v3(codecs=[{"configuration": {}}]), SourceProtocolError, "source-format"),
        (v3(dimension_names=["x"]), SourceProtocolError, "source-format"),
        (v3(dimension_names=[1, 2]), SourceProtocolError, "source-format"),
        (v3(attributes=[1]), SourceProtocolError, "source-format"),
        (v2(dtype="|O"), UnsupportedFeature, "source-unsupported"),
        (v2(dtype="|O", filters=[{"id": "pickle"}]), UnsupportedFeature, "source-unsupported"),
        (v2(dtype="|O", filters=[{"id": "json2"}]), UnsupportedFeature, "source-unsupported"),
        (v2(dtype="f4,f4"), UnsupportedFeature, "source-unsupported"),
        (v2(dtype="<f16"), UnsupportedFeature, "source-unsupported"),
        (v2(dtype="<M8[parsecs]"), UnsupportedFeature, "source-unsupported"),
        (v2(dtype="|S0"), UnsupportedFeature, "source-unsupported"),
        (v2(dtype="|S999999999"), UnsupportedFeature, "source-unsupported"),
        (v2(dtype=[["a", "<i2"], ["b", ">i2"]]), UnsupportedFeature, "source-unsupported"),
        (v2(dtype=[["a", "<i2", [2]]]), UnsupportedFeature, "source-unsupported"),
        (v2(dtype=[["a", "<i2"], ["a", "<i2"]]), SourceProtocolError, "source-format"),
        (v2(dtype=[["a", "|O"]], filters=[{"id": "vlen-utf8"}]), UnsupportedFeature, "source-unsupported"),
        (v2(filters=[{"id": "vlen-utf8"}]), UnsupportedFeature, "source-unsupported"),
        (v2(filters=[7]), SourceProtocolError, "source-format"),
        (v2(order="A"), SourceProtocolError, "source-format"),
        (v2(dimension_separator="-"), SourceProtocolError, "source-format"),
        (v2(chunks=[2]), SourceProtocolError, "source-format"),
        (v2(fill_value="x"), SourceProtocolError, "fill-invalid"),
        (v2(dtype="|S2", fill_value="!"), SourceProtocolError, "fill-invalid"),
    ],
    ids=lambda one: str(one)[-60:] if isinstance(one, dict | bytes) else getattr(one, "__name__", one),
)
def test_refused(document, error, reason):
    with pytest.raises(error) as caught:
        read_array_metadata(document)
    assert caught.value.reason == reason


def test_extensions_that_need_not_be_understood():
    assert read_array_metadata(v3(extra={"must_understand": False, "x": 1})).shape == (4, 6)


@pytest.mark.parametrize(
    ("shapes", "chunks"),
    [
        ([2, 3], (2, 3)),
        ([[2, 2], 3], (2, 3)),
        ([[[2, 2]], [[3, 2]]], (2, 3)),
        ([[1, 3], 3], None),
        ([[4], [4, 2]], None),
    ],
    ids=str,
)
def test_rectilinear_grids(shapes, chunks):
    document = v3(chunk_grid=named("rectilinear", kind="inline", chunk_shapes=shapes))
    if chunks is None:
        with pytest.raises(UnsupportedFeature) as caught:
            read_array_metadata(document)
        assert caught.value.reason == "source-unsupported"
        return
    layout = read_array_metadata(document).layout
    assert layout.chunk_shape == chunks
    with zarr.config.set({"array.rectilinear_chunks": True}):
        store = store_of(document)
        array = zarr.open_array(store, mode="r+")
        array[...] = np.arange(24).reshape(4, 6)
    for place in np.ndindex(2, 2):
        data = store._store_dict[chunk_key(layout.chunk_keys, place)].to_bytes()
        window = tuple(slice(k * c, (k + 1) * c) for k, c in zip(place, chunks, strict=True))
        assert (compile_chain(layout).decode(data) == np.arange(24).reshape(4, 6)[window]).all()


@pytest.mark.parametrize(("chunks", "want"), [([0, 3], (1, 3)), ([2, False], (2, 1)), ([True, 3], (1, 3))], ids=str)
def test_chunk_sizes_that_old_writers_left(chunks, want):
    assert read_array_metadata(v2(chunks=chunks)).layout.chunk_shape == want
    grid = named("regular", chunk_shape=chunks)
    assert read_array_metadata(v3(chunk_grid=grid)).layout.chunk_shape == want
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert zarr.open_array(store_of(v2(chunks=chunks)), mode="r").chunks == want


def test_value_wise_codecs_come_first():
    codecs = [named("transpose", order=[1, 0]), named("cast_value", data_type="int32"), LITTLE]
    inner = named("sharding_indexed", chunk_shape=[2, 3], codecs=codecs, index_codecs=[LITTLE])
    names = [codec.name for codec in read_array_metadata(v3(codecs=codecs)).layout.codecs]
    assert names == ["cast_value", "transpose", "bytes"]
    sharding = read_array_metadata(v3(codecs=[inner])).layout.codecs[0]
    assert [codec["name"] for codec in sharding.configuration["codecs"]] == names


def test_names_without_prefix():
    layout = read_array_metadata(v3(codecs=[LITTLE, "shuffle", named("zlib", level=1)])).layout
    assert [codec.name for codec in layout.codecs] == ["bytes", "numcodecs.shuffle", "numcodecs.zlib"]
    values = np.arange(6, dtype=np.int16).reshape(2, 3)
    data = numcodecs.Zlib().encode(numcodecs.Shuffle(2).encode(values))
    assert (compile_chain(layout).decode(data) == values).all()


@pytest.mark.parametrize(
    "dtype", ["i2", "f4", "bool", "M8[s]", "S3", "U2", "T", [("a", "i2"), ("b", "f8")], "V3", "c8"]
)
def test_written_metadata_is_read_by_zarr(dtype):
    dtype = np.dtypes.StringDType() if dtype == "T" else np.dtype(dtype)
    data_type = from_numpy(dtype)
    serial = NamedConfig("vlen-utf8") if dtype.kind == "T" else NamedConfig("bytes", {"endian": "little"})
    layout = Layout(
        data_type, fill.zero(data_type), (2, 2), (serial, NamedConfig("zstd", {"level": 3, "checksum": False}))
    )
    text = write_array_metadata((3, 2), layout, ("x", None), {"units": "m"})
    info = read_array_metadata(text)
    assert info.layout == layout
    assert (info.shape, info.dimension_names, info.attributes) == ((3, 2), ("x", None), {"units": "m"})
    store = store_of(json.loads(text))
    chain = compile_chain(layout)
    values = np.zeros((2, 2), to_numpy(data_type))
    values[0, 0] = (1, 2.0) if dtype.names else (b"ab\0" if dtype.kind in "SV" else 1)
    buffer = default_buffer_prototype().buffer
    store._store_dict["c/0/0"] = buffer.from_bytes(chain.encode(values))
    array = zarr.open_array(store, mode="r")
    assert array.metadata.dimension_names == ("x", None)
    assert (array[:2] == values).all()


@pytest.mark.parametrize(
    "codecs",
    [
        (NamedConfig("bytes"), NamedConfig("lazyzarr.hdf5_lzf")),
        (NamedConfig("bytes"), NamedConfig("numcodecs.delta", {"dtype": "i1"})),
    ],
)
def test_what_plain_zarr_cannot_say(codecs):
    with pytest.raises(SaveUnsupported):
        write_array_metadata((2,), Layout("int8", 0, (2,), codecs))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ODD = JSON | st.sampled_from(
    ["int16", "<f8", "bytes", "v2", "regular", [LITTLE], [1], {"name": "x"}, "|O", [["a", "<i4"]]]
)


@settings(max_examples=400)
@given(st.booleans(), st.dictionaries(st.sampled_from([*v2(), *v3(), "x", "dimension_separator"]), ODD, max_size=3))
def test_mutated_documents(old, changes):
    document = (v2() if old else v3()) | changes
    try:
        info = read_array_metadata(document)
        compile_chain(info.layout)
    except LazyZarrError:
        return
    assert len(info.shape) == len(info.layout.chunk_shape)
