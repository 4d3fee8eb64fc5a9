"""Unpacking is bit for bit what xarray's ``mask_and_scale`` gives."""

import itertools
import json
import warnings

import numpy as np
import pytest
import xarray as xr
from xarray.conventions import decode_cf_variable

from lazyzarr.codecs.chain import compile_chain
from lazyzarr.codecs.stages import Cells
from lazyzarr.codecs.values import cf_unpack, decode_values, unpack
from lazyzarr.errors import CastError, ViewSchemaError
from lazyzarr.ir.data_type import from_json, from_numpy, to_numpy
from lazyzarr.ir.layout import Layout, NamedConfig

FACTORS = [None, *(np.dtype(t).type(v) for t in ("f4", "f8") for v in (0.1, 0.01, 0.5, -2.5, 1.0))]
FACTORS += [0.1, 2, 1.0, np.int16(3), np.int64(2), np.float16(0.25)]
OFFSETS = [None, *(np.dtype(t).type(v) for t in ("f4", "f8") for v in (0.1, 273.15, -1000.0, 0.0)), 0.3, 7, np.int32(5)]
UNSIGNED = [None, None, "true", "false"]
COMBINATIONS = 700


def stored_values(name: str) -> np.ndarray:
    dtype = np.dtype(name)
    rng = np.random.default_rng(dtype.num)
    if dtype.kind != "f" and dtype.itemsize <= 2:
        return np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    bits = rng.integers(0, 256, 1500 * dtype.itemsize, np.uint8).view(dtype)
    if dtype.kind == "f":
        special = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e20, 9.96921e36, -999, -999.9, -32767]
        with np.errstate(all="ignore"):
            return np.concatenate([bits, rng.normal(size=500).astype(dtype), np.array(special).astype(dtype)])
    ends = np.iinfo(dtype)
    edge = [ends.min, ends.max, 0, 1, 2**24 - 1, 2**24, 2**24 + 1, 2**31 - 1, 2**31 - 2]
    return np.concatenate([bits, np.array(edge, dtype), np.arange(-500, 500).astype(dtype)])


def fill_values(name: str) -> list:
    dtype = np.dtype(name)
    found = [None, None, dtype.type(0), dtype.type(1), np.float32(-999.9), np.float64(1e20), np.float32(1e20)]
    found += [np.float64(-999.9), np.float32(np.nan), np.float64(np.nan), -999, -32767.0, np.float32(0.5)]
    found += [np.int32(2**31 - 1), np.int32(2**24 + 1)]
    if dtype.kind == "f":
        with np.errstate(all="ignore"):
            return [*found, dtype.type(9.96921e36), dtype.type(-999.9)]
    return [*found, dtype.type(np.iinfo(dtype).min), dtype.type(np.iinfo(dtype).max), np.array([1, 2], dtype)]


def ours(values: np.ndarray, attributes: dict) -> tuple[np.ndarray, dict]:
    conf, rest = cf_unpack(attributes, from_numpy(values.dtype))
    if conf is None:
        return values, rest
    conf = json.loads(json.dumps(conf))  # it is JSON
    cells = Cells(to_numpy(from_json(conf["data_type"])), values.shape)
    stage = unpack(conf, cells)
    found = stage.decode(values.view(stage.encoded.dtype))
    there = np.full(cells.shape, 5, cells.dtype)
    assert stage.into is not None
    stage.into(values.view(stage.encoded.dtype), there)
    assert there.tobytes() == found.tobytes()
    return found, rest


def theirs(values: np.ndarray, attributes: dict) -> tuple[np.ndarray, dict]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = decode_cf_variable("v", xr.Variable(("x",), values.copy(), dict(attributes)), decode_times=False)
        return found.values, found.attrs


@pytest.mark.parametrize("name", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
def test_as_xarray(name):
    values = stored_values(name)
    fills = fill_values(name)
    all_of_them = list(itertools.product(FACTORS, OFFSETS, fills, fills, UNSIGNED))
    rng = np.random.default_rng(11)
    compared, refused = 0, []
    for k in rng.choice(len(all_of_them), COMBINATIONS, replace=False):
        names = ("scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")
        attributes = {n: v for n, v in zip(names, all_of_them[k], strict=True) if v is not None} | {"units": "K"}
        part = values if len(values) < 3000 else values[rng.integers(0, len(values), 2000)]
        try:
            found, rest = ours(part, attributes)
        except CastError as error:
            refused.append(error.reason)
            continue
        try:
            want, want_rest = theirs(part, attributes)
        except (TypeError, OverflowError, ValueError):
            continue  # xarray stumbles over several fill values with _Unsigned
        compared += 1
        assert found.dtype == want.dtype, attributes
        assert found.tobytes() == want.tobytes(), attributes
        assert rest == want_rest
    assert compared > COMBINATIONS // 2
    assert len(refused) < COMBINATIONS // 3
    assert set(refused) <= {"packing-ambiguous"}


@pytest.mark.parametrize("name", ["i1", "u1", "i2", "u2"])
def test_the_common_packings_for_every_value(name):
    values = stored_values(name)
    fill = values.dtype.type(np.iinfo(values.dtype).min)
    for factor, offset in itertools.product(FACTORS[:11], OFFSETS[:9]):
        pair = {n: v for n, v in (("scale_factor", factor), ("add_offset", offset)) if v is not None}
        for attributes in (pair, pair | {"_FillValue": fill}, pair | {"missing_value": fill, "valid_min": fill}):
            found, rest = ours(values, attributes)
            want, want_rest = theirs(values, attributes)
            assert (found.dtype, found.tobytes(), rest) == (want.dtype, want.tobytes(), want_rest)


def test_arrays_of_one_element_are_scalars():
    conf, rest = cf_unpack({"scale_factor": np.array([0.5], "f4"), "_FillValue": np.array([-1], "i2")}, "int16")
    assert conf == cf_unpack({"scale_factor": np.float32(0.5), "_FillValue": np.int16(-1)}, "int16")[0]
    assert rest == {}


@pytest.mark.parametrize(
    "attributes",
    [
        {"scale_factor": "0.1"},
        {"scale_factor": np.array([0.1, 0.2])},
        {"add_offset": None},
        {"scale_factor": True},
        {"scale_factor": 1j},
        {"_FillValue": "none"},
        {"_FillValue": b"\xff"},
        {"_FillValue": np.int16(-1), "scale_factor": np.int16(2)},
        {"_FillValue": 300, "_Unsigned": "true"},
        {"scale_factor": np.longdouble(1)},
    ],
    ids=str,
)
def test_ambiguous(attributes):
    with pytest.raises(CastError) as caught:
        cf_unpack(attributes, "int8")
    assert caught.value.reason == "packing-ambiguous"


@pytest.mark.parametrize("data_type", ["bool", "string", "complex64", from_numpy(np.dtype("S3"))], ids=str)
def test_types_that_are_not_packed(data_type):
    attributes = {"_FillValue": 1, "scale_factor": 2.0, "units": "m"}
    assert cf_unpack(attributes, data_type) == (None, attributes)


def test_nothing_to_unpack():
    assert cf_unpack({"units": "m", "valid_min": 0}, "int16") == (None, {"units": "m", "valid_min": 0})
    assert cf_unpack({"_FillValue": np.float32("nan")}, "float32") == (None, {})
    assert cf_unpack({"_FillValue": np.float32("nan")}, "int16") == (None, {})


def test_values_do_not_depend_on_the_chunk():
    conf, _ = cf_unpack({"scale_factor": np.float32(0.01), "_FillValue": np.int16(5)}, "int16")
    values = stored_values("i2")
    codec = NamedConfig("lazyzarr.unpack", conf)
    whole = decode_values(values, [codec], "float32")
    for n in (1, 3, 7, 64, 1000):
        parts = [decode_values(values[k : k + n], [codec], "float32") for k in range(0, 2000, n)]
        assert np.concatenate(parts)[:2000].tobytes() == whole[:2000].tobytes()
    square = decode_values(values.reshape(256, 256).T, [codec], "float32")
    assert np.ascontiguousarray(square.T).tobytes() == whole.tobytes()
    assert decode_values(values[7], [codec], "float32").tobytes() == whole[7].tobytes()


def test_in_a_chain():
    conf, _ = cf_unpack({"scale_factor": 0.5, "_FillValue": np.uint8(255), "_Unsigned": "true"}, "int8")
    assert conf["stored_type"] == "uint8"
    chain = compile_chain(Layout("float64", "NaN", (3,), (NamedConfig("lazyzarr.unpack", conf), NamedConfig("bytes"))))
    assert np.array_equal(chain.decode(b"\x00\x80\xff"), [0.0, 64.0, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    "change",
    [
        {"data_type": "float32"},
        {"stored_type": "string"},
        {"arithmetic": "float32"},
        {"scale_factor": "x"},
        {"fill_values": [70000]},
        {"fill_values": 3},
        {"data_type": None},
    ],
    ids=str,
)
def test_refused_configurations(change):
    conf = {"scale_factor": 0.5, "fill_values": [1], "stored_type": "int16"}
    conf |= {"data_type": "float64", "arithmetic": "float64"} | change
    with pytest.raises(ViewSchemaError):
        unpack(conf, Cells(np.dtype("f8"), (2,)))


def test_decode_values_refuses_other_codecs():
    with pytest.raises(ViewSchemaError):
        decode_values(np.zeros(2), [NamedConfig("transpose", {"order": [0]})], "float64")
    with pytest.raises(ViewSchemaError):
        decode_values(np.zeros(2), [NamedConfig("cast_value", {"data_type": "int8"})], "float64")
