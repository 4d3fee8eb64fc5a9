"""An archive of daily files whose packing, chunks and compression drift: 11 of 14 variables are affected.

Owns the files and the definition, for a test of some and a benchmark of 1,200. The situation is that of public archives
whose producer repacked each file to its own range of values and changed the software over the years.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

PACKED = tuple(f"v{number:02d}" for number in range(11))
PLAIN = ("w00", "w01", "w02")
SHAPE = (1, 24, 36)
FIRST = np.datetime64("2001-01-01")

DEFINITION = """\
lazyzarr: 1
stores: {archive: data}
sources:
  daily:
    store: archive
    format: netcdf
    path: "{day:%Y}/obs_{day:%Y%m%d}.nc"
    tile:
      - concat: time
        name: day
        dates: {from: 2001-01-01, count: COUNT}
        items: 1
arrays:
  "*": {from: daily}
"""


def date(number: int) -> str:
    return str(FIRST + np.timedelta64(number, "D"))


def path(folder: Path, number: int) -> Path:
    year, month, day = date(number).split("-")
    return folder / "data" / year / f"obs_{year}{month}{day}.nc"


def write(folder: Path, number: int) -> None:
    """One daily file, as the producer of that day would write it."""
    rng = np.random.default_rng(number)
    place = path(folder, number)
    place.parent.mkdir(parents=True, exist_ok=True)
    chunks = ((1, 24, 36), (1, 12, 36), (1, 8, 9))[number // 2 % 3]
    filters = (
        {"compression": "gzip", "compression_opts": 1},
        {"compression": "gzip", "compression_opts": 4, "shuffle": True},
        dict(hdf5plugin.Zstd(clevel=3)),
        {},
    )[number % 4]
    with h5py.File(place, "w") as file:
        coordinates = {
            "time": (np.array([0], "int32"), {"units": f"hours since {date(number)}", "calendar": "standard"}),
            "lat": (np.linspace(-60, 60, SHAPE[1]), {"units": "degrees_north"}),
            "lon": (np.arange(SHAPE[2]) * 10.0, {"units": "degrees_east"}),
        }
        for name, (values, attrs) in coordinates.items():
            file[name] = values
            file[name].attrs.update({key: np.bytes_(text) for key, text in attrs.items()})
            file[name].make_scale(name)
        for name in (*PACKED, *PLAIN):
            if name in PACKED:
                low, high = np.sort(rng.normal(280, 20, 2))
                cells = rng.integers(-32000, 32000, SHAPE).astype("int16")
                cells[0, 0, : number % 5] = -32768
                stored = file.create_dataset(name, data=cells, chunks=chunks, **filters)
                stored.attrs["scale_factor"] = np.float32((high - low + 1) / 65000)
                stored.attrs["add_offset"] = np.float32((high + low) / 2)
                stored.attrs["_FillValue"] = np.int16(-32768)
            else:
                cells = rng.normal(0, 1, SHAPE).astype("float32")
                stored = file.create_dataset(name, data=cells, chunks=SHAPE, compression="gzip")
            stored.attrs["units"] = np.bytes_("K")
            for axis, dim in enumerate(coordinates):
                stored.dims[axis].attach_scale(file[dim])


def make(folder: Path, count: int) -> Path:
    """The archive and its definition; the path of the latter."""
    for number in range(count):
        write(folder, number)
    place = folder / "archive.lz.yaml"
    place.write_text(DEFINITION.replace("COUNT", str(count)))
    return place
