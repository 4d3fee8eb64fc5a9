"""Numbers of configurations, equal keys of a map, and conversions that have no value."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lazyzarr.codecs.casting import cast_value, converted
from lazyzarr.codecs.operands import number
from lazyzarr.codecs.stages import Cells
from lazyzarr.codecs.values import unpack
from lazyzarr.errors import ChunkDecodeError, ViewSchemaError

FLOATS = {2: np.float16, 4: np.float32, 8: np.float64}


@pytest.mark.parametrize(
    ("value", "dtype", "found"),
    [
        (2.0, "i2", 2),
        ("-3", "i2", -3),
        ("3e1", "i2", 30),
        ("9007199254740993", "i8", 2**53 + 1),
        ("2.5", "f4", 2.5),
        ("+Infinity", "f4", np.inf),
        ("-0", "f8", 0.0),
    ],
)
def test_numbers_as_zarr_writes_them(value, dtype, found):
    assert number("scale_offset", "scale", value, np.dtype(dtype), texts=True) == found


@pytest.mark.parametrize("value", [2.5, "2.5", True, None, " 2", "2_0", "0x2", "1e999", "9" * 5000, [2], 2**40])
def test_what_is_no_number_of_the_type(value):
    with pytest.raises(ViewSchemaError) as caught:
        number("scale_offset", "scale", value, np.dtype("i2"), texts=True)
    assert caught.value.reason == "codec-invalid"


@given(st.integers(-(2**15), 2**15 - 1) | st.floats(-1e4, 1e4, width=16))
def test_a_text_is_the_number_that_json_has(value):
    dtype = np.dtype("i2" if isinstance(value, int) else "f2")
    assert number("x", "y", json.dumps(value), dtype, texts=True) == number("x", "y", value, dtype)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 1.0, "2"]), st.integers(-9, 9)), max_size=8))
def test_of_equal_keys_the_first_counts(pairs):
    stage = cast_value(
        {"data_type": "int8", "scalar_map": {"decode": [[*p] for p in pairs]}}, Cells(np.dtype("i4"), (4,))
    )
    want = [next((value for key, value in pairs if int(key) == cell), cell) for cell in range(4)]
    assert stage.decode(np.arange(4, dtype="i1")).tolist() == want


@given(
    st.sampled_from([2, 4, 8]),
    st.sampled_from([2, 4, 8]),
    st.integers(1, 2**52 - 1) | st.integers(1, 40),
    st.booleans(),
)
@example(8, 2, 1, False)
def test_a_nan_keeps_the_front_of_its_payload(source, target, payload, negative):
    have, want = (np.finfo(FLOATS[size]).nmant for size in (source, target))
    payload = payload % (1 << have) or 1
    exponent = {2: 0x7C00, 4: 0x7F800000, 8: 0x7FF << 52}
    sign = int(negative) << 8 * source - 1
    cell = np.array([sign | exponent[source] | payload], f"u{source}").view(FLOATS[source])
    if source == target:
        front = payload
    else:
        front = (payload >> have - want if have > want else payload << want - have) | 1 << want - 1
    expected = int(negative) << 8 * target - 1 | exponent[target] | front
    with np.errstate(all="ignore"):
        found = converted(cell, np.dtype(FLOATS[target]))
    assert int(found.view(f"u{target}")[0]) == expected


@given(
    st.sampled_from(["f2", "f4", "f8"]),
    st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]),
    st.lists(st.floats(-300, 300) | st.floats() | st.sampled_from([2.0**31, -(2.0**63), 2.0**64, -0.5]), max_size=4),
)
def test_unpacked_integers_are_truncated_or_refused(source, target, values):
    with np.errstate(all="ignore"):
        cells = np.array(values, source)
    dtype = np.dtype(target)
    name = f"{'u' if dtype.kind == 'u' else ''}int{8 * dtype.itemsize}"
    conf = {"stored_type": f"float{8 * cells.itemsize}", "data_type": name, "arithmetic": name}
    stage = unpack(conf, Cells(dtype, cells.shape))
    bounds = np.iinfo(dtype)
    if all(np.isfinite(cell) and bounds.min <= int(cell) <= bounds.max for cell in cells):
        assert stage.decode(cells).tolist() == [int(cell) for cell in cells]
    else:
        with pytest.raises(ChunkDecodeError) as caught:
            stage.decode(cells)
        assert caught.value.reason == "chunk-decode"
