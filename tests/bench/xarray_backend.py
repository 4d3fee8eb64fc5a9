"""P8 and the backend: packed files that drifted, through xarray, beside ``open_mfdataset`` and a plain Zarr read.

1. Files of NetCDF-4, int16 with gzip, each packed with another scale, in chunks of one day (90 x 180 cells) and in chunks of 32
   days (64 x 64): opened and joined, then all of the variable and the series of one place are read, from a data set of views,
   from a saved one, and with ``xarray.open_mfdataset`` (dask). What is read has to be equal, bit by bit.
2. A saved data set of 10^4 Zarr arrays: opening, and ``isel(time=k).values`` beside zarr-python reading the same chunk of the one
   array that has it, both with everything opened before.

``python tests/bench/xarray_backend.py [--quick]``; with ``--quick`` 20 files and 10^3 arrays.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
import zarr
from measuring import Row, alternate, arguments, show, timing

import lazyzarr as lz

JOIN = {"data_vars": "minimal", "coords": "minimal", "compat": "override", "combine_attrs": "override"}


class Layout(NamedTuple):
    """Of the files: days, rows and columns, and days in a chunk."""

    files: int
    shape: tuple[int, int, int]
    days: int

    def __str__(self) -> str:
        return f"{self.files} files, chunks of {self.days} days"


def layouts(*, quick: bool) -> list[Layout]:
    """Many small chunks, and few larger ones."""
    if quick:
        return [Layout(20, (30, 90, 180), 1), Layout(16, (256, 64, 64), 32)]
    return [Layout(60, (30, 90, 180), 1), Layout(64, (256, 64, 64), 32)]


def write(folder: Path, layout: Layout) -> list[Path]:
    """The files, whose packing has a period of seven."""
    rng = np.random.default_rng(0)
    days, *plane = layout.shape
    paths: list[Path] = []
    for number in range(layout.files):
        scale = 0.01 * (1 + number % 7)
        cells = rng.integers(0, 3000, layout.shape) * scale
        time_ = xr.DataArray(np.arange(days) + days * number, dims="time", attrs={"units": "days since 2000-01-01"})
        dataset = xr.Dataset({"t": (("time", "y", "x"), cells)}, coords={"time": time_})
        chunk = {"chunksizes": (layout.days, *plane), "zlib": True}
        paths.append(folder / f"{number:04d}.nc")
        dataset.to_netcdf(paths[-1], encoding={"t": {"dtype": "i2", "scale_factor": scale, "_FillValue": -1, **chunk}})
    return paths


def packed_files(layout: Layout, *, rounds: int) -> list[Row]:
    """P8."""
    with tempfile.TemporaryDirectory() as place:
        paths = write(Path(place), layout)
        saved = Path(place) / "joined.zarr"
        xr.concat([lz.open_dataset(path) for path in paths], "time", **JOIN).lazyzarr.save(saved)

        def theirs() -> xr.Dataset:
            return xr.open_mfdataset(paths, combine="nested", concat_dim="time", **JOIN)

        def ours() -> xr.Dataset:
            return xr.concat([lz.open_dataset(path) for path in paths], "time", **JOIN)

        opened = {"open": alternate({"ours": ours, "saved": lambda: xr.open_dataset(saved), "theirs": theirs}, rounds)}
        mine, kept, other = ours(), xr.open_dataset(saved), theirs()
        np.testing.assert_array_equal(mine.t.values, other.t.values)
        np.testing.assert_array_equal(kept.t.values, other.t.values)

        def again() -> xr.Dataset:
            return xr.open_dataset(saved)

        series = {"y": 40, "x": 50}
        opened["all"] = alternate(
            {
                "ours": lambda: np.asarray(mine.t.data),
                "saved": lambda: again().t.values,
                "theirs": lambda: other.t.values,
            },
            rounds,
        )
        opened["series"] = alternate(
            {
                "ours": lambda: mine.t.isel(series).values,
                "saved": lambda: again().t.isel(series).values,
                "theirs": lambda: other.t.isel(series).values,
            },
            rounds,
        )
        other.close()
    found: list[Row] = []
    for what, times in opened.items():
        for name, label in (("ours", "views"), ("saved", "saved, opened anew")):
            bar = 1.0 if what == "open" else 1 / 3
            found.append(Row(f"{what}, {label}, {layout}", times[name], "open_mfdataset", times["theirs"], bar))
    return found


def many_arrays(*, quick: bool, rounds: int) -> list[Row]:
    """One step of very many."""
    sources = 1_000 if quick else 10_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        first = zarr.create_array(folder / "a00000.zarr", shape=(1, 90, 180), chunks=(1, 90, 180), dtype="f4")
        first[...] = np.random.default_rng(0).random((1, 90, 180))
        texts = [(name, (folder / "a00000.zarr" / name).read_bytes()) for name in ("zarr.json", "c/0/0/0")]
        for number in range(1, sources):
            path = folder / f"a{number:05d}.zarr"
            (path / "c" / "0" / "0").mkdir(parents=True)
            for name, text in texts:
                (path / name).write_bytes(text)
        view = lz.concat([lz.open(folder / f"a{number:05d}.zarr") for number in range(sources)])
        view = view.rename_dims(["time", "y", "x"])
        lz.save({"t": view}, folder / "joined.zarr")
        opening: list[float] = []
        for _ in range(max(rounds, 3)):
            start = time.perf_counter()
            dataset = xr.open_dataset(folder / "joined.zarr", engine="lazyzarr")
            opening.append(time.perf_counter() - start)
        plain = [
            zarr.open_array(folder / f"a{number:05d}.zarr", mode="r") for number in range(0, sources, sources // 100)
        ]
        at = iter(range(10**9))

        def ours() -> None:
            dataset.t.isel(time=next(at) * 7919 % sources).copy(deep=False).values  # noqa: B018

        def theirs() -> None:
            plain[next(at) % len(plain)][0]

        def opened() -> None:
            zarr.open_array(folder / f"a{next(at) * 7919 % sources:05d}.zarr", mode="r")[0]

        times = alternate({"ours": ours, "theirs": theirs, "opened": opened}, rounds, least=0.2)
    size = f"10^{len(str(sources)) - 1} arrays"
    return [
        Row(f"open a saved data set of {size}", timing(opening), "", None, 2.0),
        Row(f"isel(time=k).values of {size}", times["ours"], "zarr-python, array opened before", times["theirs"], 3.0),
        Row(f"isel(time=k).values of {size}", times["ours"], "zarr-python, array opened for it", times["opened"], 3.0),
    ]


def rows(*, quick: bool = False, rounds: int = 0) -> list[Row]:
    """All of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed = [row for layout in layouts(quick=quick) for row in packed_files(layout, rounds=rounds or 3)]
        return packed + many_arrays(quick=quick, rounds=rounds or 5)


def main() -> None:
    """Print the table."""
    given = arguments(__doc__).parse_args()
    show(rows(quick=given.quick, rounds=given.rounds))


if __name__ == "__main__":
    main()
