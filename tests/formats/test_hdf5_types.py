"""HDF5 datatypes: what each decodes to, and which are refused by name."""

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from lazyzarr.formats.hdf5 import import_array, import_file
from lazyzarr.formats.hdf5_model import Hdf5Array, Hdf5Refused
from lazyzarr.ir.layout import NamedConfig
from tests.formats.hdf5_reading import read, same, url_of


@pytest.fixture
def path(tmp_path):
    return tmp_path / "types ü.h5"


def imported(path, name="x"):
    return import_array(str(path), url_of(path), name, packing="raw")


def create(f, name, tid, data, *, mtype=None, chunk=None, filters=()):
    """Write with a file type that h5py's high level does not make."""
    plist = h5p.create(h5p.DATASET_CREATE)
    if chunk:
        plist.set_chunk(chunk)
    for one in filters:
        plist.set_filter(one, 0, ())
    dsid = h5d.create(f.id, name.encode(), tid, h5s.create_simple(data.shape), plist)
    dsid.write(h5s.ALL, h5s.ALL, data, mtype=mtype)


def test_enumerations_become_their_base_type(path):
    with h5py.File(path, "w") as f:
        colours = h5py.enum_dtype({"RED": 0, "GREEN": 1, "BLUE": -2}, basetype=">i2")
        f.create_dataset("x", data=np.array([0, 1, -2, 1], "i2"), dtype=colours, chunks=(3,))
        f.create_dataset("flag", data=np.array([[True], [False]]), chunks=(1, 1), fillvalue=True)
    item = imported(path)
    assert item.layout.data_type == "int16"
    same(read(item), np.array([0, 1, -2, 1], "i2"))
    flag = imported(path, "flag")
    assert (flag.layout.data_type, flag.layout.fill_value) == ("bool", True)
    same(read(flag), np.array([[True], [False]]))


def test_opaque_and_times(path):
    times = np.array(["2000-01-01", "NaT"], "M8[us]")
    raw = np.array([b"abc", b"d\0e"], "V3")
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=raw, chunks=(2,))
        f.create_dataset("t", data=times.astype(h5py.opaque_dtype(times.dtype)), chunks=(2,))
    assert imported(path).layout.data_type == NamedConfig("raw_bytes", {"length_bytes": 3})
    same(read(imported(path)), raw)
    same(read(imported(path, "t")), times)


def test_fixed_text_ends_where_hdf5_says(path):
    with h5py.File(path, "w") as f:
        for name, pad in (("null", h5t.STR_NULLTERM), ("pad", h5t.STR_NULLPAD), ("space", h5t.STR_SPACEPAD)):
            tid = h5t.C_S1.copy()
            tid.set_size(6)
            tid.set_strpad(pad)
            stored = np.array([b"ab\0cd ", b"x     ", b"      ", b"abcdef", b"\0zzzzz", b""], "S6")
            create(f, name, tid, stored, mtype=tid, chunk=(4,))
            create(f, name + "_flat", tid, stored, mtype=tid)
        f.create_dataset("h5py", data=np.array([b"ab", b"cde"], "S3"), chunks=(2,))
    with h5py.File(path) as f:
        for name in f:
            same(read(imported(path, name)), f[name][()])
    assert [codec.name for codec in imported(path, "h5py").layout.codecs] == ["bytes"]


def test_variable_text_is_held_in_memory(path):
    words = ["", "ä", "long " * 50, "z"]
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=np.array(words, object).reshape(2, 2), dtype=h5py.string_dtype(), chunks=(1, 2))
        f.create_dataset("ascii", data=np.array(words[3:], object), dtype=h5py.string_dtype("ascii"))
        f["scalar"] = "word"
        f.create_dataset("unwritten", (3,), dtype=h5py.string_dtype(), chunks=(2,))
        f.create_dataset("many", (2000,), dtype=h5py.string_dtype(), data=["x" * 1000] * 2000)
        f.create_dataset("packed", data=["q" * 9, "r"], dtype=h5py.string_dtype(), chunks=(2,), compression="gzip")
        f.create_dataset("ragged", (2,), dtype=h5py.vlen_dtype("i4"))
    item = imported(path)
    assert isinstance(item, Hdf5Array)
    assert (item.layout.data_type, item.values.tolist()) == ("string", [["", "ä"], ["long " * 50, "z"]])
    assert imported(path, "packed").values.tolist() == ["q" * 9, "r"]
    assert imported(path, "scalar").values[()] == "word"
    assert imported(path, "ascii").values.tolist() == ["z"]
    assert imported(path, "unwritten").values.tolist() == ["", "", ""]
    for name in ("many", "ragged"):
        refused = imported(path, name)
        assert isinstance(refused, Hdf5Refused)
        assert refused.reason == "source-unsupported"


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("chunks", [None, (2,)])
def test_compounds(path, align, chunks):
    plain = np.dtype([("a", "i1"), ("b ü", "<f8"), ("c", "S3"), ("d", "<u2")], align=align)
    mixed = np.dtype([("a", ">i4"), ("b", "<f4")], align=align)
    nested = np.dtype([("a", "i4"), ("b", np.dtype([("x", "i4"), ("y", "f8")]))])
    rng = np.random.default_rng(1)
    with h5py.File(path, "w") as f:
        for name, dtype in (("plain", plain), ("mixed", mixed), ("nested", nested)):
            data = np.zeros(5, dtype)
            for part in dtype.names[:2]:
                if dtype[part].names is None:
                    data[part] = rng.integers(0, 100, 5)
            f.create_dataset(name, data=data, chunks=chunks, compression="gzip" if chunks else None)
    with h5py.File(path) as f:
        for name in f:
            item = imported(path, name)
            assert isinstance(item, Hdf5Array), item
            found, expected = read(item), f[name][()]
            assert found.dtype.names == expected.dtype.names
            for part in expected.dtype.names:
                assert found[part].tolist() == expected[part].tolist()


def test_complex_numbers(path):
    data = np.array([1 + 2j, -3j, np.nan], "c16")
    with h5py.File(path, "w") as f:
        f.create_dataset("x", data=data, chunks=(2,), fillvalue=5 - 1j)
        f.create_dataset("big", data=data.astype(">c8"))
        if hasattr(h5t, "COMPLEX_IEEE_F64LE"):
            h5d.create(f.id, b"native", h5t.COMPLEX_IEEE_F64BE, h5s.create_simple((3,))).write(
                h5s.ALL, h5s.ALL, data, mtype=h5t.COMPLEX_IEEE_F64LE
            )
    for name in ("x", "native"):
        same(read(imported(path, name)), data)
    same(read(imported(path, "big")), data.astype("c8"))
    assert imported(path).layout.fill_value == [5.0, -1.0]


def test_partial_precision(path):
    with h5py.File(path, "w") as f:
        for order, base in (("little", h5t.STD_I32LE), ("big", h5t.STD_I32BE)):
            tid = base.copy()
            tid.set_precision(12)
            tid.set_offset(5)
            data = np.array([0, 1, -1, 2047, -2048, 7], "i4")
            create(f, order, tid, data)
            create(f, order + "_nbit", tid, data, chunk=(4,), filters=[h5py.h5z.FILTER_NBIT])
        unsigned = h5t.STD_U16LE.copy()
        unsigned.set_precision(9)
        create(f, "unsigned", unsigned, np.array([0, 511, 3], "u2"), chunk=(2,), filters=[h5py.h5z.FILTER_NBIT])
    with h5py.File(path) as f:
        for name in f:
            same(read(imported(path, name)), f[name][()])


def test_bitfields_are_unsigned(path):
    data = np.array([1, 2, 255], "u1")
    with h5py.File(path, "w") as f:
        create(f, "x", h5t.STD_B8LE, data, mtype=h5t.STD_B8LE, chunk=(2,))
    same(read(imported(path)), data)


def test_array_types_become_axes(path):
    data = np.arange(24, dtype="i2").reshape(4, 2, 3)
    with h5py.File(path, "w") as f:
        f.create_dataset("x", (4,), np.dtype((">i2", (2, 3))), chunks=(3,), compression="gzip", shuffle=True)[...] = (
            data
        )
    item = imported(path)
    assert (item.shape, item.layout.chunk_shape) == ((4, 2, 3), (3, 2, 3))
    same(read(item), data)


def test_refused_by_name_while_the_rest_stays(path):
    with h5py.File(path, "w") as f:
        f["good"] = np.arange(3)
        f.create_dataset("reference", (2,), h5py.ref_dtype)
        f.create_dataset("region", (2,), h5py.regionref_dtype)
        f.create_dataset("long double", (2,), np.longdouble)
        f["empty"] = h5py.Empty("f4")
        f.create_dataset("text inside", (2,), np.dtype([("a", h5py.string_dtype()), ("b", "i4")]))
        f["type"] = np.dtype("i4")
    group = import_file(str(path), url_of(path))
    refused = {name: item.reason for name, item in group.arrays.items() if isinstance(item, Hdf5Refused)}
    assert refused == dict.fromkeys(
        ("reference", "region", "long double", "empty", "text inside"), "source-unsupported"
    )
    assert all(name in group.arrays[name].message for name in refused)
    same(read(group.arrays["good"]), np.arange(3))


def test_attributes(path):
    with h5py.File(path, "w") as f:
        values = {
            "int": np.int16(3), "one": np.array([7], ">i4"), "many": np.arange(3.0), "matrix": np.eye(2, dtype=">f4"),
            "text": "häß", "bytes": np.bytes_(b"ab"), "texts": ["a", "bc"], "nan": np.nan, "flag": True,
            "flags": np.array([True, False]), "empty": h5py.Empty("f4"), "no text": h5py.Empty("S3"), "blank": "",
            "none": np.zeros(0), "complex": 1 + 2j, "struct": np.array((1, 2.5), [("a", "i4"), ("b", "f8")]),
            "fixed": np.array([b"a", b"bc"], "S2"), "latin": np.bytes_("ü".encode("latin-1")),
        }  # fmt: skip
        for name, value in values.items():
            f.attrs[name] = value
        f.attrs["long double"] = np.longdouble(1.5)
        f["target"] = 1
        f.attrs["to"] = f["target"].ref
        for number in range(20):
            f["target"].attrs[f"a{number}"] = number
    group = import_file(str(path), url_of(path))
    nan = group.attributes.pop("nan")
    assert nan != nan
    assert group.attributes == {
        "int": 3, "one": 7, "many": [0.0, 1.0, 2.0], "matrix": [[1.0, 0.0], [0.0, 1.0]], "text": "häß", "bytes": "ab",
        "texts": ["a", "bc"], "flag": True, "flags": [True, False], "empty": [], "no text": "", "blank": "", "none": [],
        "complex": [1.0, 2.0], "struct": {"a": 1, "b": 2.5}, "fixed": ["a", "bc"], "latin": "ü", "to": "/target",
        "long double": 1.5,
    }  # fmt: skip
    assert group.arrays["target"].attributes == {f"a{number}": number for number in range(20)}
    assert {type(value) for value in group.attributes.values()} <= {int, float, str, bool, list, dict}
