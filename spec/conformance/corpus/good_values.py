"""Good cases in which stored cells are decoded: casts, unpacking, other layouts, and values of every kind of type."""

from __future__ import annotations

import numpy as np
import zarr
from numpy.typing import ArrayLike

import lazyzarr as lz
from corpus.cases import Case, NamedConfig, ramp
from corpus.expected import cell
from lazyzarr.ir.layout import Layout, StoredArray
from lazyzarr.ir.nodes import Decode
from lazyzarr.ir.tables import Table


def recode_byte_order(case: Case) -> None:
    """Stored bytes read in the other byte order, with another fill value."""
    cells = ramp(4, 3, dtype="uint16")
    stored = np.concatenate([cells[:2], np.zeros((2, 3), "uint16")])
    view = case.zarr("a.zarr", stored, (2, 3), fill_value=0)
    values = np.concatenate([cells[:2].byteswap(), np.full((2, 3), 9, "uint16")])
    case.save(
        view.recode(codecs=[{"name": "bytes", "configuration": {"endian": "big"}}], fill_value=9),
        values,
        fill_value=9,
        flatness="L0",
        chunks=2,
        placements=1,
        about="the bytes of a source are read as big-endian; its missing chunks read as the new fill value",
    )


def recode_data_type(case: Case) -> None:
    """Stored bytes read as another type, between sources that need no change."""
    cells = np.array([1.5, -2.0, 0.0, 7.25], "float32")
    views = [
        case.zarr("a.zarr", cells, (2,), fill_value=0),
        case.zarr("b.zarr", cells[::-1].copy().view("int32"), (2,), fill_value=1).recode(
            data_type="float32", fill_value=0
        ),
    ]
    case.save(
        lz.concat(views, axis=0),
        np.concatenate([cells, cells[::-1]]),
        fill_value=0.0,
        flatness="L0",
        chunks=4,
        placements=2,
        about="a source that was declared int32 and holds float32",
    )


def cast_widening(case: Case) -> None:
    """Types that drifted, joined in the wider one."""
    one, two = ramp(3, dtype="float32"), ramp(3, dtype="float64", start=3) / 7
    views = [case.zarr("a.zarr", one, (3,), fill_value=0), case.zarr("b.zarr", two, (3,), fill_value=0)]
    case.save(
        lz.concat(views, axis=0, promote=True),
        np.concatenate([one.astype("float64"), two]),
        fill_value=0.0,
        flatness="L3",
        chunks=2,
        placements=2,
        about="float32 joined with float64",
    )


def cast_roundings(case: Case) -> None:
    """Halves rounded in all five ways."""
    cells = np.array([-2.5, -1.5, -0.5, 0.4, 0.5, 1.5, 2.6], "float64")
    view = case.zarr("a.zarr", cells, (7,), fill_value=0)
    modes = ("nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away")
    away = np.array([-3, -2, -1, 0, 1, 2, 3])
    values = [np.rint(cells), np.trunc(cells), np.ceil(cells), np.floor(cells), away]
    case.save(
        lz.stack([view.astype("int8", rounding=mode) for mode in modes]),
        np.stack(values).astype("int8"),
        fill_value=0,
        flatness="L3",
        chunks=1,
        placements=5,
        about="one source cast with " + ", ".join(modes),
    )


def cast_out_of_range(case: Case) -> None:
    """Values outside the target, clamped and wrapped."""
    cells = np.array([-200, -129, -128, 0, 127, 128, 300], "int16")
    view = case.zarr("a.zarr", cells, (7,), fill_value=0)
    case.save(
        lz.stack([view.astype("int8", out_of_range=how) for how in ("clamp", "wrap")]),
        np.stack([np.clip(cells, -128, 127).astype("int8"), cells.astype("int8")]),
        fill_value=0,
        flatness="L3",
        chunks=1,
        placements=2,
        about="int16 cast to int8 with out_of_range clamp and wrap",
    )


def unpack_missing(case: Case) -> None:
    """Missing chunks decode as the fill value does; a cut and a transpose lie above."""
    cells = ramp(4, 4)
    cells[:2, 2:] = -1
    cells[3, 3] = -99
    view = case.zarr("a.zarr", cells, (2, 2), fill_value=-1).unpack(
        scale_factor=0.5, add_offset=10, fill_values=[-1, -99], dtype="float32"
    )
    values = np.where((cells == -1) | (cells == -99), np.float32("nan"), cells.astype("float32"))
    case.save(
        view.T[::-1],
        (values * np.float32(0.5) + np.float32(10)).T[::-1],
        fill_value="NaN",
        flatness="L2",
        chunks=4,
        placements=1,
        about="missing chunks and two blank values unpack to NaN, in float32",
    )


def unpack_above_join(case: Case) -> None:
    """One decode above sources that are joined."""
    parts = [ramp(3), ramp(3, start=40)]
    views = [case.zarr(f"{k}.zarr", part, (3,), fill_value=0) for k, part in enumerate(parts)]
    case.save(
        lz.concat(views, axis=0).unpack(scale_factor=0.1, dtype="float64"),
        np.concatenate(parts).astype("float64") * 0.1,
        fill_value=0.0,
        flatness="L0",
        chunks=2,
        placements=2,
        about="one packing for all sources stays flat",
    )


def decode_twice(case: Case) -> None:
    """A cast above an unpacking."""
    cells = ramp(5)
    view = case.zarr("a.zarr", cells, (5,), fill_value=0)
    unpacked = view.unpack(scale_factor=0.3, dtype="float64")
    case.save(
        unpacked.astype("int8", rounding="towards-zero"),
        np.trunc(cells.astype("float64") * 0.3).astype("int8"),
        fill_value=0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="a cast of unpacked values: the codec nearer to the bytes comes last in the chain",
    )


def unpack_wide(case: Case) -> None:
    """Arithmetic in a wider type than the result, rounded back after each step."""
    cells = np.arange(-32000, 32000, 2133, dtype="int16")
    types = {"stored_type": "int16", "data_type": "float32", "arithmetic": "float64"}
    unpack = NamedConfig("lazyzarr.unpack", {"scale_factor": 0.1, "add_offset": 273.15, "fill_values": [], **types})
    view = case.node(Decode(0, (unpack,), "float32", 273.15), [case.zarr("a.zarr", cells, (8,), fill_value=0)])
    scaled = (cells.astype("float32").astype("float64") * 0.1).astype("float32")
    case.save(
        view,
        (scaled.astype("float64") + 273.15).astype("float32"),
        fill_value=float(np.float32(273.15)),
        flatness="L0",
        chunks=4,
        placements=1,
        about="float32 cells multiplied and added to in float64, each result rounded to float32",
    )


def scale_offset(case: Case) -> None:
    """The arithmetic of the registry: divided, then added, in the type of the chunk."""
    stored = [np.array([-12, 0, 8, 32], "int16"), np.array([1, 2, 3, 7], "float32")]
    codecs = [{"scale": 4, "offset": 5}, {"scale": 10.0, "offset": 0.5}]
    values = [stored[0] // 4 + 5, stored[1] / np.float32(10) + np.float32(0.5)]
    views: list[lz.View] = []
    for cells, codec in zip(stored, codecs, strict=True):
        name = f"{cells.dtype}.bin"
        case.raw(name, cells.tobytes())
        chain = (NamedConfig("scale_offset", codec), NamedConfig("bytes", {"endian": "little"}))
        refs = Table({"offset": np.zeros(1, "u8"), "length": np.array([cells.nbytes], "u8")}, name=name)
        array = StoredArray(0, (4,), location=case.url(name), refs=name)
        views.append(case.stored(array, [Layout(cells.dtype.name, 0, (4,), chain)], {name: refs}))
    case.save(
        lz.stack([views[0].astype("float32"), views[1]]),
        np.stack([values[0].astype("float32"), values[1]]),
        fill_value=0.0,
        flatness="L3",
        chunks=2,
        placements=2,
        about="whole numbers divided exactly, and float32 divided and added to with one rounding each",
    )


def scale_offset_quotient(case: Case) -> None:
    """A product with the reciprocal is rounded twice: it is another number for 3, 6, 7 and 12."""
    cells = np.arange(1, 13, dtype="float64")
    case.raw("a.bin", cells.tobytes())
    chain = (NamedConfig("scale_offset", {"scale": 10.0}), NamedConfig("bytes", {"endian": "little"}))
    refs = Table({"offset": np.zeros(1, "u8"), "length": np.array([cells.nbytes], "u8")}, name="a.bin")
    array = StoredArray(0, (12,), location=case.url("a.bin"), refs="a.bin")
    case.save(
        case.stored(array, [Layout("float64", 0.0, (12,), chain)], {"a.bin": refs}),
        cells / 10,
        fill_value=0.0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="a quotient, and no product with the reciprocal of the scale",
    )


def cast_large(case: Case) -> None:
    """Integers that a binary64 does not hold, in all five ways."""
    cells = np.array([2**53 + 1, -(2**53) - 1, 2**53 + 3, 2**62 + 2**9, 2**63 - 1], "int64")
    view = case.zarr("a.zarr", cells, (5,), fill_value=0)
    modes = ("nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away")
    low = [2**53, -(2**53) - 2, 2**53 + 2, 2**62, 2**63 - 1024]
    high = [2**53 + 2, -(2**53), 2**53 + 4, 2**62 + 1024, 2**63]
    values = {
        "nearest-even": [low[0], high[1], high[2], low[3], high[4]],
        "towards-zero": [low[0], high[1], low[2], low[3], low[4]],
        "towards-positive": high,
        "towards-negative": low,
        "nearest-away": [high[0], low[1], high[2], high[3], high[4]],
    }
    case.save(
        lz.stack([view.astype("float64", rounding=mode) for mode in modes]),
        np.array([values[mode] for mode in modes], "float64"),
        fill_value=0.0,
        flatness="L3",
        chunks=1,
        placements=5,
        about="int64 cells halfway and not halfway between two values of float64, cast with " + ", ".join(modes),
    )


def _chain(case: Case, cells: np.ndarray, data_type: str, *codecs: NamedConfig) -> lz.View:
    name = f"{data_type}.bin"
    case.raw(name, cells.tobytes())
    refs = Table({"offset": np.zeros(1, "u8"), "length": np.array([cells.nbytes], "u8")}, name=name)
    array = StoredArray(0, cells.shape, location=case.url(name), refs=name)
    layout = Layout(data_type, 0, cells.shape, (*codecs, NamedConfig("bytes", {"endian": "little"})))
    return case.stored(array, [layout], {name: refs})


def cast_mapped(case: Case) -> None:
    """Keys that are equal, and numbers in every form that they may have."""
    cells = np.array([0.0, -0.0, np.nan, 1.0, 2.0, np.inf], "float32")
    pairs = [
        ["0x7fc00abc", "0xffc00001"],
        ["NaN", 1],
        [-0.0, "5"],
        [0.0, 6],
        ["+Infinity", -1],
        ["1e0", "-7.5"],
        [1, 8],
        [2, 9.0],
    ]
    whole = {"data_type": "int8", "scalar_map": {"decode": [[1, 10], [1.0, 20], ["2", 3e1]]}}
    views = [
        _chain(
            case, cells, "float32", NamedConfig("cast_value", {"data_type": "float32", "scalar_map": {"decode": pairs}})
        ),
        _chain(case, np.arange(6, dtype="int8"), "int16", NamedConfig("cast_value", whole)),
    ]
    odd = np.array([0xFFC00001], "uint32").view("float32")
    case.save(
        lz.stack([views[0], views[1].astype("float32")]),
        np.stack([np.array([5, 5, odd[0], -7.5, 9, -1], "float32"), np.array([0, 10, 30, 3, 4, 5], "float32")]),
        fill_value=0.0,
        flatness="L3",
        chunks=2,
        placements=2,
        about="of equal keys the first counts, of which all NaN are one; a value keeps its payload",
    )


def cast_nan(case: Case) -> None:
    """What fits of the payload of a NaN."""
    bits = np.array([0x7FF0000000000001, 0xFFF8040000000000, 0x7FF7FFFFFFFFFFFF, 0xFFF0000000000000], "uint64")
    case.save(
        _chain(case, bits.view("float64"), "float16", NamedConfig("cast_value", {"data_type": "float64"})),
        np.array([0x7E00, 0xFE01, 0x7FFF, 0xFC00], "uint16").view("float16"),
        fill_value=0.0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="a NaN keeps its sign and the front of its payload, and is quiet",
    )


def scale_of_whole_numbers(case: Case) -> None:
    """A scale with a fraction of zero, and an offset that is a text."""
    cells = np.array([-6, 0, 4], "int16")
    case.save(
        _chain(case, cells, "int16", NamedConfig("scale_offset", {"scale": 2.0, "offset": "3"})),
        cells // 2 + 3,
        fill_value=0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="numbers of integers as zarr-python writes what it was given",
    )


def transpose_of_a_draft(case: Case) -> None:
    """Orders that are letters."""
    cells = np.arange(6, dtype="int16").reshape(2, 3)
    case.save(
        _chain(
            case, cells, "int16", NamedConfig("transpose", {"order": "F"}), NamedConfig("transpose", {"order": "C"})
        ),
        cells.reshape(3, 2).T,
        fill_value=0,
        flatness="L0",
        chunks=1,
        placements=1,
        about="F is all axes reversed, C all as they are",
    )


def _plain(case: Case, values: ArrayLike, dtype: object, fill_value: object, stored: object) -> None:
    cells = np.array(values, dtype)
    view = case.zarr("a.zarr", cells, (2,), fill_value=stored)
    chunks = -(-len(cells) // 2)
    case.save(
        view[::-1],
        cells[::-1],
        fill_value=fill_value,
        flatness="L2",
        chunks=chunks,
        placements=1,
        about=f"cells of type {np.dtype(dtype)}, read backwards",
    )


def type_bool(case: Case) -> None:
    """True and false."""
    _plain(case, [True, False, False, False, True], "bool", False, False)


def type_float(case: Case) -> None:
    """NaN, infinities and both zeros; missing chunks read as NaN."""
    _plain(case, [1.5, np.inf, np.nan, np.nan, -np.inf, -0.0, 65504.0], "float16", "NaN", np.nan)


def type_uint64(case: Case) -> None:
    """Integers beyond what a float64 holds."""
    _plain(case, [2**64 - 1, 2**53 + 1, 5, 5, 0], "uint64", 5, 5)


def type_complex(case: Case) -> None:
    """Complex numbers with a fill value of two parts."""
    _plain(case, [1 + 2j, complex("nan-infj"), 3j, 3j, -0.0], "complex64", [0.0, 3.0], 3j)


def type_datetime(case: Case) -> None:
    """Times with a missing one."""
    _plain(case, ["2024-02-29", "NaT", "1969-12-31T23:59:59"], "datetime64[s]", 0, np.datetime64(0, "s"))


def type_string(case: Case) -> None:
    """Text of any length."""
    cells = np.array(["a", "", "Grüße", "日本語", "x" * 40], np.dtypes.StringDType())
    case.save(
        case.zarr("a.zarr", cells, (2,), fill_value="")[::-2],
        cells[::-2],
        fill_value="",
        flatness="L2",
        chunks=3,
        placements=1,
        about="text of variable length",
    )


def type_struct(case: Case) -> None:
    """Structs in both byte orders, one of them inside of another."""
    inner = np.dtype([("row", "int16"), ("at", "datetime64[s]")])
    dtype = np.dtype([("id", "uint8"), ("value", "float32"), ("where", inner), ("name", "U2")])
    rows = [(k, k / 4, (-k, np.datetime64(86_400 * k, "s")), chr(97 + k)) for k in range(6)]
    values = np.array(rows, dtype)
    fill = np.array((255, np.nan, (-1, np.datetime64("NaT")), "-"), dtype)
    parts = [
        case.zarr("little.zarr", values, (4,), fill_value=fill[()]),
        case.zarr("big.zarr", values, (3,), fill_value=fill[()], serializer=zarr.codecs.BytesCodec(endian="big")),
    ]
    for path in case.path("little.zarr").glob("c/1"):
        path.unlink()
    little = values.copy()
    little[4:] = fill
    case.save(
        lz.concat(parts, axis=0)[::-1],
        np.concatenate([little, values])[::-1],
        fill_value=cell(fill[()], dtype),
        flatness="L3",
        chunks=4,
        placements=2,
        about="structs; a chunk that is not there reads as the fill value, whose bytes the document has in base64",
    )


def type_bytes(case: Case) -> None:
    """Bytes of a fixed length, which end where zeros begin."""
    values = np.array([b"ab", b"c", b"", b"def"], "S3")
    case.save(
        lz.stack(
            [
                case.zarr("a.zarr", values, (2,), fill_value=b"x"),
                case.zarr("b.zarr", values[::-1], (3,), fill_value=b"x"),
            ],
            axis=0,
        ),
        np.stack([values, values[::-1]]),
        fill_value="eAAA",
        flatness="L2",
        chunks=4,
        placements=2,
        about="bytes of a fixed length; the fill value has zeros behind it",
    )


def type_variable_bytes(case: Case) -> None:
    """Bytes of any length, of which some are no text."""
    cells = np.empty(5, object)
    cells[:] = [b"a", b"", b"\xff\x00\xfe", b"x" * 40, b"\x00"]
    array = zarr.create_array(
        str(case.path("a.zarr")),
        shape=(5,),
        chunks=(2,),
        dtype=zarr.core.dtype.VariableLengthBytes(),
        fill_value=b"\x80",
        compressors=None,
    )
    array[...] = cells
    case.save(
        case.open("a.zarr")[::-2],
        cells[::-2],
        fill_value="gA==",
        flatness="L2",
        chunks=3,
        placements=1,
        about="bytes of variable length",
    )


def nan_payload(case: Case) -> None:
    """A NaN whose bits are not the usual ones."""
    odd = np.array(0x7FC00ABC, "uint32").view("float32")
    case.save(
        lz.full((3,), odd[()], dtype="float32"),
        np.full((3,), odd),
        fill_value="0x7fc00abc",
        flatness="L0",
        chunks=0,
        placements=0,
        about="the payload of a NaN is kept",
    )


CASES = (
    *(recode_byte_order, recode_data_type, cast_widening, cast_roundings, cast_out_of_range, unpack_missing),
    *(unpack_above_join, decode_twice, type_bool, type_float, type_uint64, type_complex, type_datetime),
    *(
        type_string,
        type_struct,
        type_bytes,
        type_variable_bytes,
        nan_payload,
        unpack_wide,
        scale_offset,
        scale_offset_quotient,
        cast_large,
    ),
    *(cast_mapped, cast_nan, scale_of_whole_numbers, transpose_of_a_draft),
)
