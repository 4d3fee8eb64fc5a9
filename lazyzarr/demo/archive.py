"""Three monthly NetCDF-4 files as archives keep them: the middle one was packed and compressed anew.

Owns the files of the demonstration, made from the NEMO files of the package ``iris-sample-data``. Refuses to
change anything outside its directory.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin
import iris_sample_data
import numpy as np
import xarray

VARIABLE = "tos"
"""Sea surface temperature."""
SCALE_FACTOR, ADD_OFFSET, FILL_VALUE = np.float32(0.001), np.float32(15.0), np.int16(-32768)
"""Packing of the middle month; float32, so that it decodes to the type that the other months have."""
CHUNKS = (1, 110, 120)


@dataclass(frozen=True, slots=True)
class Month:
    """How one file stores the variable."""

    path: Path
    stored_type: str
    packing: str
    chunks: tuple[int, ...]
    compression: str
    nbytes: int
    """Size of the file [bytes]."""


def make(folder: Path) -> list[Month]:
    """Write the three files into a directory."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = sorted((Path(iris_sample_data.path) / "NEMO").glob("*.nc"))
    files = [folder / original.name for original in originals]
    for number, (original, file) in enumerate(zip(originals, files, strict=True)):
        if number == 1:
            _repack(original, file)
        else:
            shutil.copyfile(original, file)
    return [_described(file) for file in files]


def _repack(original: Path, file: Path) -> None:
    with xarray.open_dataset(original, engine="h5netcdf", decode_times=False) as opened:
        month = opened[[VARIABLE]].load()
    month[VARIABLE].encoding = {}
    zstd = hdf5plugin.Zstd(clevel=9)
    encoding = {
        "dtype": "int16",
        "scale_factor": SCALE_FACTOR,
        "add_offset": ADD_OFFSET,
        "_FillValue": FILL_VALUE,
        "chunksizes": CHUNKS,
        "compression": zstd.filter_id,
        "compression_opts": zstd.filter_options,
    }
    month.to_netcdf(file, engine="h5netcdf", encoding={VARIABLE: encoding})


def _described(file: Path) -> Month:
    with h5py.File(file, "r") as opened:
        stored = opened[VARIABLE]
        assert isinstance(stored, h5py.Dataset)
        attributes = {name: np.ravel(np.asarray(stored.attrs[name]))[0] for name in _PACKING if name in stored.attrs}
        filters = stored.id.get_create_plist()
        names = [filters.get_filter(k) for k in range(filters.get_nfilters())]
        return Month(
            path=file,
            stored_type=str(stored.dtype),
            packing=", ".join(f"{name} {value!s}" for name, value in attributes.items()),
            chunks=stored.chunks or (),
            compression=" + ".join(_name(number, text.decode()) for number, _, _, text in names),
            nbytes=file.stat().st_size,
        )


_PACKING = ("scale_factor", "add_offset", "_FillValue")


def _name(number: int, text: str) -> str:
    """Name of an HDF5 filter by its registered number."""
    return {h5py.h5z.FILTER_DEFLATE: "gzip", hdf5plugin.Zstd.filter_id: "zstd"}.get(number, text or str(number))
