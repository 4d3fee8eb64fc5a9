"""NetCDF-4 files with everything that the CF conventions decode: calendars, packing, missing values, text, bounds, spans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

LENGTHS = (4, 5, 6)
"""Of the files along ``t``, which differ in reference dates and scale factors, too."""
CALENDARS = (
    *("360_day", "noleap", "all_leap", "julian", "standard", "proleptic_gregorian", "gregorian", "365_day", "366_day"),
)
NOT_WRITTEN_BY_XARRAY = ("both_", "som_", "misslist_", "time_two", "time_months", "int_scale")
"""Beginnings of names that xarray decodes and cannot write: several missing values, months, whole scale factors."""


class _Writer:
    """One file."""

    def __init__(self, path: Path, number: int, n: int) -> None:
        self.file = netCDF4.Dataset(path, "w")
        self.n, self.number = n, number
        self.rng = np.random.default_rng(number)
        self.units = (
            f"days since {1999 + number}-01-01",
            f"hours since {2000 + number}-03-01 06:00:00",
            f"seconds since {1970 + number}-1-1",
        )[number]
        for name, length in (("t", n), ("x", 3), ("len", 5), ("bnds", 2)):
            self.file.createDimension(name, length)

    def add(
        self,
        name: str,
        kind: Any,
        data: Any = None,
        dims: tuple[str, ...] = ("t", "x"),
        *,
        fill: Any = None,
        endian: Any = "native",
        **attrs: Any,
    ) -> Any:
        variable = self.file.createVariable(name, kind, dims, fill_value=fill, endian=endian)
        variable.set_auto_maskandscale(False)
        variable.set_auto_chartostring(False)
        for key, value in attrs.items():
            variable.setncattr(key, value)
        if data is not None:
            variable[...] = data
        return variable


def write(folder: Path) -> list[Path]:
    """The files."""
    paths: list[Path] = []
    for number, n in enumerate(LENGTHS):
        path = folder / f"{number}.nc"
        writer = _Writer(path, number, n)
        for part in (_times, _spans, _unsigned, _packed, _ranges, _text, _others, _named):
            part(writer)
        writer.file.close()
        paths.append(path)
    return paths


def _times(w: _Writer) -> None:
    n, t = w.n, ("t",)
    count = np.arange(n)
    for name in CALENDARS:
        w.add(f"time_{name}", "f8", count * 1.25 + 40 + n * w.number * 2, t, units=w.units, calendar=name)
        w.add(f"itime_{name}", "i4", count + 40 + n * w.number, t, units=w.units, calendar=name)
    w.add("time_nocal", "i8", count + w.number * n, t, units=w.units)
    w.add("time_fill", "f8", [np.nan, *count[1:]], t, fill=np.nan, units=w.units)
    w.add("itime_fill", "i4", [-9, *count[1:]], t, fill=np.int32(-9), units=w.units, calendar="standard")
    w.add("time_packed", "i2", count, t, units=w.units, calendar="noleap", scale_factor=0.5, add_offset=1.0)
    w.add("time_packed32", "i2", count, t, units=w.units, calendar="standard", scale_factor=np.float32(0.5))
    w.add(
        "time_packedf",
        "i2",
        count,
        t,
        fill=np.int16(2),
        units=w.units,
        calendar="standard",
        scale_factor=np.float32(0.5),
    )
    two = {"missing_value": np.int32(1), "fill": np.int32(2)}
    w.add("time_two", "i4", count, t, units=w.units, calendar="standard", **two)
    # more digits than floating point has
    long = [-1, *(2**60 + 7 * k for k in range(1, n))]
    w.add("time_ns", "i8", long, t, fill=np.int64(-1), units="nanoseconds since 1970-01-01")
    w.add("time2d", "f4", np.arange(3 * n).reshape(n, 3) / 4, units=w.units, calendar="standard")
    w.add("time_months", "f8", count * 1.0, t, units="months since 2000-01-01", calendar="360_day")


def _spans(w: _Writer) -> None:
    n, t = w.n, ("t",)
    for units in ("days", "hours", "s", "milliseconds", "microseconds"):
        w.add(f"delta_{units}", "i4", np.arange(n) * 3, t, units=units)
        w.add(f"fdelta_{units}", "f8", np.arange(n) * 1.5, t, units=units)
    w.add("delta_fill", "i4", [-1, *range(1, n)], t, fill=np.int32(-1), units="days")
    w.add("delta_ns", "i8", [-1, *(2**60 + 7 * k for k in range(1, n))], t, fill=np.int64(-1), units="nanoseconds")
    w.add("delta_u", "i2", [-1] + [2] * (n - 1), t, fill=np.int16(-1), units="days", _Unsigned="true")
    w.add("delta_packed", "i2", [-1] + [2] * (n - 1), t, fill=np.int16(-1), units="days", scale_factor=0.1)
    w.add("delta_dtype", "i8", np.arange(n), t, units="seconds", dtype="timedelta64[s]")


def _unsigned(w: _Writer) -> None:
    shape = (w.n, 3)
    scaled = {"scale_factor": np.float32(0.1), "add_offset": np.float32(2)}
    for kind in ("i1", "i2", "i4", "i8"):
        dtype = np.dtype(kind)
        low = np.iinfo(kind).min
        cells = w.rng.integers(low, -(low + 1), shape, kind, endpoint=True)
        w.add(f"uns_{kind}", kind, cells, _Unsigned="true")
        w.add(f"uns_fill_{kind}", kind, np.full(shape, -1, kind), fill=dtype.type(-1), _Unsigned="true")
        w.add(f"uns_sc_{kind}", kind, cells, fill=dtype.type(-1), _Unsigned="true", **scaled)
        w.add(f"uns_miss_{kind}", kind, np.full(shape, -2, kind), missing_value=dtype.type(-2), _Unsigned="true")
    cells = w.rng.integers(0, 256, shape)
    w.add("sig_u1", "u1", cells, _Unsigned="false")
    w.add("sig_fill_u1", "u1", cells, fill=np.uint8(255), _Unsigned="false")


def _packed(w: _Writer) -> None:
    for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "f4", "f8"):
        of = np.dtype(kind).type
        for float_type in (np.float32, np.float64):
            name = f"{kind}_{np.dtype(float_type).name[5:]}"
            cells = w.rng.integers(0, 100, (w.n, 3)).astype(kind)
            offset = {"add_offset": float_type(273.15)}
            both = {"scale_factor": float_type(0.1), **offset}
            w.add(f"sc_{name}", kind, cells, scale_factor=float_type(0.1 * (w.number + 1)))
            w.add(f"of_{name}", kind, cells, **offset)
            w.add(f"so_{name}", kind, cells, **both)
            w.add(f"sof_{name}", kind, cells, fill=of(7), **both)
            w.add(f"som_{name}", kind, cells, fill=of(7), missing_value=of(9), **both)
    cells = np.arange(3 * w.n).reshape(w.n, 3)
    w.add("int_scale", "i2", cells, scale_factor=np.int32(2), add_offset=np.int16(1))
    w.add("int_scale8", "i2", cells, scale_factor=np.int64(2))
    w.add("mixed_scale", "i2", cells, scale_factor=np.float32(0.1), add_offset=np.float64(0.3))
    w.add("scalar", "f8", 3.0, (), scale_factor=0.5)
    w.add("never_written", "i4", scale_factor=0.5)


def _ranges(w: _Writer) -> None:
    for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "f4", "f8"):
        of = np.dtype(kind).type
        cells = w.rng.integers(0, 100, (w.n, 3)).astype(kind)
        w.add(f"fill_{kind}", kind, cells, fill=of(5))
        w.add(f"miss_{kind}", kind, cells, missing_value=of(5))
        w.add(f"both_{kind}", kind, cells, fill=of(5), missing_value=of(6))
        w.add(f"misslist_{kind}", kind, cells, missing_value=np.array([5, 6], kind))
        w.add(f"range_{kind}", kind, cells, valid_range=np.array([5, 60], kind))
        w.add(f"vmin_{kind}", kind, cells, fill=of(3), valid_min=of(5), valid_max=of(50))
    cells = np.arange(3 * w.n).reshape(w.n, 3)
    w.add("miss_f8_of_i2", "i2", cells, missing_value=np.float64(5))
    w.add("miss_f4_of_i4", "i4", cells, missing_value=np.float32(-999.0))
    w.add("miss_outside", "i1", cells * 0, missing_value=np.int32(-9999))
    w.add("fill_nan", "f4", np.where(w.rng.random((w.n, 3)) > 0.5, np.nan, 1), fill=np.float32(np.nan))
    w.add("miss_f8_of_f4", "f4", np.full((w.n, 3), -9999, "f4"), missing_value=np.float64(-9999.0))


def _text(w: _Writer) -> None:
    n, t, characters = w.n, ("t",), ("t", "len")
    cells = netCDF4.stringtochar(np.array([f"ab{k}" for k in range(n)], "S5"))
    w.add("chars", "S1", cells, characters)
    w.add("uchars", "S1", np.array([[b"\xc3", b"\xa9", b"a", b"", b""]] * n, "S1"), characters, _Encoding="utf-8")
    w.add("chars3", "S1", np.array([[list("abc\0\0")] * 3] * n, "S1"), ("t", "x", "len"))
    w.add("char1", "S1", np.array(list("abcdef")[:n], "S1"), t)
    w.add("char_fill", "S1", cells, characters, fill=b" ")
    # the longest is in the last file
    w.add("vlen", str, np.array(["wört" * (k + w.number) for k in range(n)], object), t)
    w.add("vlen_never_written", str, None)
    w.add("vlen_partly", str, None, t)[0] = "a"
    w.add("vlen_fill", str, None, t, fill="zz")[0] = "a"
    w.add("vlen_missing", str, np.array(list("ababcc")[:n], object), t, missing_value="a")


def _others(w: _Writer) -> None:
    n = w.n
    w.add("bool", "i1", w.rng.integers(0, 2, (n, 3)), dtype="bool")
    kind = w.file.createEnumType("u1", "kinds", {"land": 0, "sea": 1, "none": 255})
    w.add("enum", kind, np.arange(n, dtype="u1") % 2, ("t",))
    w.add("enum_fill", kind, None, ("t",), fill=255)[1:] = np.ones(n - 1, "u1")
    w.add("big", ">i4", np.arange(n), ("t",), endian="big")
    words = {"a": np.int16(1), "b": np.array([1, 2], "u1"), "c": "text", "d": np.float32(0.1), "e": ["a", "b"], "h": ""}
    w.add("attributes", "i4", np.zeros(3), ("x",), **words)
    w.file.setncattr("title", "t")
    w.file.setncattr("numbers", np.array([1, 2, 3], "i2"))


def _named(w: _Writer) -> None:
    n, t = w.n, ("t",)
    w.add("tb", "f8", np.arange(2.0 * n).reshape(n, 2), ("t", "bnds"))
    days = "days since 2000-01-01"
    w.add("time", "f8", np.arange(n) + 0.5 + 10 * w.number, t, units=days, calendar="standard", bounds="tb")
    w.add("season", "i4", np.arange(n), t, units=days, climatology="seasons")
    w.add("seasons", "i4", np.arange(2 * n).reshape(n, 2), ("t", "bnds"))
    w.add("lat", "f4", np.arange(3), ("x",), bounds="lat_b")
    w.add("lat_b", "f4", np.zeros((3, 2)), ("x", "bnds"))
    names = {"grid_mapping": "crs", "cell_measures": "area: cell_area", "ancillary_variables": "fill_i1"}
    w.add("temp", "f4", w.rng.random((n, 3)), coordinates="lat time2d", **names)
    w.add("crs", "i4", 0, (), grid_mapping_name="latitude_longitude", semi_major_axis=6378137.0)
    w.add("cell_area", "f8", np.ones(3), ("x",))
    w.add("x", "i8", [3, 2, 1], ("x",))
    w.file.setncattr("coordinates", "lat")
