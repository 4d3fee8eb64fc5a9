"""Two files of an archive that drifted: packing, length and calendar start differ; text, flags, bounds and a scalar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

YEARS = {2001: (5, 0.1), 2002: (6, 0.2)}
"""Year to its number of days and its scale factor."""


def write(folder: Path, *, years: dict[int, tuple[int, float]] = YEARS) -> list[Path]:
    """The files, by year."""
    rng = np.random.default_rng(0)
    paths: list[Path] = []
    for year, (days, scale) in years.items():
        time = xr.DataArray(np.arange(days), dims="time", attrs={"units": f"days since {year}-01-01"})
        cells = rng.integers(0, 100, (days, 4, 6)) * scale + 5
        cells[0, 0, 0] = np.nan
        dataset = xr.Dataset(
            {
                "sst": (("time", "lat", "lon"), cells, {"units": "K", "long_name": "temperature"}),
                "bounds": (
                    ("time", "two"),
                    np.arange(2.0 * days).reshape(days, 2),
                    {"units": f"hours since {year}-01-01"},
                ),
                "name": (("lat",), np.array(["a", "bb", "ccc", "ü"], object)),
                "flag": (("time",), rng.integers(0, 3, days).astype("i1")),
                "height": ((), 2.0),
            },
            coords={"time": time, "lat": np.linspace(0, 1, 4), "lon": np.arange(6.0)},
            attrs={"title": str(year)},
        ).set_coords("height")
        packed = {"dtype": "i2", "scale_factor": scale, "add_offset": 5.0, "_FillValue": -99}
        path = folder / f"{year}.nc"
        dataset.to_netcdf(path, engine="netcdf4", encoding={"sst": {**packed, "chunksizes": (2, 4, 6), "zlib": True}})
        paths.append(path)
    return paths


JOIN = {"data_vars": "minimal", "coords": "minimal", "compat": "override", "combine_attrs": "override"}
"""How the variables that have no time are treated: the first is taken."""
