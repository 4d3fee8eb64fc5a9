"""`packing: raw` and `packing: same` beside unpacked arrays: the metadata of each file is read once."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.io.fits
import h5py
import icechunk
import numpy as np
import pytest
import zarr
from scipy.io import netcdf_file

import lazyzarr as lz
from lazyzarr import hdf5_views, kerchunk_views, opening
from lazyzarr.formats import fits as formats_fits
from lazyzarr.formats import icechunk_repository, netcdf3

DEFINITION = """
lazyzarr: 1
sources:
  parts:
    path: "{t}.FORM"
    tile: [{concat: t, range: {to: 2}, items: 1}]
arrays:
  packed: {from: parts, path: v, packing: raw}
  alike: {from: parts, path: w, packing: same}
  plain: {from: parts, path: v}
dims: {t: {coordinate: none}}
"""
SCALE = np.float32(0.5)


def hdf5(path: Path, cells: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name in "vw":
            file[name] = cells
            file[name].attrs.update(scale_factor=SCALE, _FillValue=np.int16(-1))


def classic(path: Path, cells: np.ndarray) -> None:
    with netcdf_file(path, "w") as file:
        file.createDimension("t", 1)
        file.createDimension("x", 2)
        for name in "vw":
            made = file.createVariable(name, "i2", ("t", "x"))
            made[:] = cells
            made.scale_factor, made._FillValue = SCALE, np.int16(-1)


def zarrs(path: Path, cells: np.ndarray) -> None:
    group = zarr.open_group(path, mode="w")
    for name in "vw":
        group.create_array(
            name,
            data=cells,
            dimension_names=["t", "x"],
            attributes={"scale_factor": float(SCALE), "_FillValue": -1},
        )


def fits(path: Path, cells: np.ndarray) -> None:
    units = [astropy.io.fits.PrimaryHDU()]
    for name in "vw":
        unit = astropy.io.fits.ImageHDU(cells, name=name)
        units.append(unit)
    astropy.io.fits.HDUList(units).writeto(path)
    with astropy.io.fits.open(path, mode="update", do_not_scale_image_data=True) as file:
        for unit in file[1:]:
            unit.header.update(BSCALE=float(SCALE), BLANK=-1)


def icechunks(path: Path, cells: np.ndarray) -> None:
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(path)))
    session = repository.writable_session("main")
    group = zarr.create_group(session.store)
    for name in "vw":
        attributes = {"scale_factor": float(SCALE), "_FillValue": -1}
        group.create_array(name, data=cells, dimension_names=["t", "x"], attributes=attributes)
    session.commit("packed")


def kerchunks(path: Path, cells: np.ndarray) -> None:
    refs: dict[str, str] = {".zgroup": '{"zarr_format": 2}'}
    for name in "vw":
        refs[f"{name}/.zarray"] = json.dumps(
            {
                "zarr_format": 2,
                "shape": cells.shape,
                "chunks": cells.shape,
                "dtype": "<i2",
                "fill_value": -1,
                "order": "C",
                "compressor": None,
                "filters": None,
            }
        )
        refs[f"{name}/.zattrs"] = json.dumps({"scale_factor": float(SCALE), "_ARRAY_DIMENSIONS": ["t", "x"]})
        refs[f"{name}/0.0"] = "base64:" + base64.b64encode(cells.astype("<i2").tobytes()).decode()
    path.write_text(json.dumps({"version": 1, "refs": refs}))


@pytest.mark.parametrize(
    ("form", "write", "module", "function"),
    [
        ("h5", hdf5, hdf5_views, "import_file"),
        ("nc", classic, netcdf3, "import_netcdf3"),
        ("zarr", zarrs, opening.Opening, "_from_url"),
        ("fits", fits, formats_fits, "import_fits"),
        ("ice", icechunks, icechunk_repository, "open_repository"),
        ("json", kerchunks, kerchunk_views, "read_kerchunk"),
    ],
)
def test_metadata_are_read_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    write: Callable[[Path, np.ndarray], None],
    module: Any,
    function: str,
) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.{form}", np.array([[number, -1]], "int16"))
    text = DEFINITION.replace("FORM", form)
    if form in ("h5", "fits"):
        text = text.replace("from: parts,", "from: parts, dims: [t, x],")
    if form == "fits":
        lines = [line for line in text.splitlines() if "alike" not in line]
        text = "\n".join(lines).replace("path: v", "path: V").replace("dims: [t, x],", "")
        text = text.replace("concat: t,", "concat: V_y, name: t,").replace("dims: {t:", "dims: {V_y:")
    (tmp_path / "d.lz.yaml").write_text(text)
    calls: list[str] = []
    real = getattr(module, function)

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(function)
        return real(*args, **options)

    monkeypatch.setattr(module, function, counted)
    lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "o.zarr")
    assert len(calls) == 3
    group = lz.open(tmp_path / "o.zarr")
    assert group["packed"].read().tolist() == [[0, -1], [1, -1], [2, -1]]
    assert group["packed"].dtype == "int16"
    assert group["packed"].attrs["BSCALE" if form == "fits" else "scale_factor"] == 0.5
    expected = np.array([[0, np.nan], [0.5, np.nan], [1, np.nan]])
    for name in ("alike", "plain") if form != "fits" else ("plain",):
        assert not {"scale_factor", "BSCALE"} & set(group[name].attrs)
        np.testing.assert_array_equal(group[name].read(), expected)


def test_packing_that_is_ambiguous_can_still_be_left_alone(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "0.h5", "w") as file:
        file["v"] = np.array([[3]], "int16")
        file["v"].attrs["scale_factor"] = "half"
    text = (
        DEFINITION.replace("FORM", "h5")
        .replace("{to: 2}", "{to: 0}")
        .replace("from: parts,", "from: parts, dims: [t, x],")
    )
    lines = [line for line in text.splitlines() if "alike" not in line and "plain" not in line]
    (tmp_path / "d.lz.yaml").write_text("\n".join(lines))
    lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "o.zarr")
    assert lz.open(tmp_path / "o.zarr")["packed"].read().tolist() == [[3]]
    with pytest.raises(lz.LazyZarrError, match="scale_factor"):
        lz.open(tmp_path / "0.h5")["v"]


def test_scaling_of_fits_that_differs_is_not_joined(tmp_path: Path) -> None:
    for number, scale in enumerate((0.5, 0.25)):
        fits(tmp_path / f"{number}.fits", np.array([[number, -1]], "int16"))
        with astropy.io.fits.open(tmp_path / f"{number}.fits", mode="update", do_not_scale_image_data=True) as file:
            file[1].header["BSCALE"] = scale
    views = [lz.open(tmp_path / f"{number}.fits", "V", packing="raw") for number in range(2)]
    with pytest.raises(lz.CombineError, match="BSCALE"):
        lz.concat(views)
    for packing, what in (("raw", "BSCALE"), ("same", "packing")):
        (tmp_path / "d.lz.yaml").write_text(
            DEFINITION.split("arrays:")[0]
            .replace("FORM", "fits")
            .replace("to: 2", "to: 1")
            .replace("concat: t,", "concat: V_y, name: t,")
            + f"arrays: {{a: {{from: parts, path: V, packing: {packing}}}}}\n"
        )
        with pytest.raises(lz.DefinitionError) as raised:
            lz.resolve(tmp_path / "d.lz.yaml", tmp_path / "o.zarr")
        assert {mistake.property for mistake in raised.value.mistakes} == {what}
