"""FITS: values and types against astropy; what is refused, and headers that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import lazyzarr as lz

TYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8")


def written(path: Path) -> None:
    rng = np.random.default_rng(0)
    units: list = [fits.PrimaryHDU()]
    units[0].header["OBSERVER"] = "O'Neil"
    for dtype in TYPES:
        units.append(fits.ImageHDU(rng.integers(0, 100, (3, 4, 5)).astype(dtype), name=dtype))
    units.append(fits.ImageHDU(np.arange(2 * 3 * 4 * 5, dtype="f4").reshape(2, 3, 4, 5)))
    units.append(fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])], name="TABLE"))
    units.append(fits.CompImageHDU(np.zeros((16, 16), "i2"), name="COMPRESSED"))
    fits.HDUList(units).writeto(path)


def scaled(path: Path, dtype: str, **cards: float) -> None:
    """An image with scaling keywords over cells as they are."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 100, (6, 7)).astype(dtype)
    fits.PrimaryHDU(values).writeto(path)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as file:
        file[0].header.update(cards)


def test_every_type(tmp_path: Path) -> None:
    written(tmp_path / "a.fits")
    group = lz.open(tmp_path / "a.fits")
    assert group.attrs["OBSERVER"] == "O'Neil"
    with fits.open(tmp_path / "a.fits") as file:
        for dtype in TYPES:
            expected = file[dtype.upper()].data
            view = group[dtype.upper()]
            assert view.dtype == expected.dtype.newbyteorder("=")
            assert np.array_equal(view.read(), expected)
            assert np.array_equal(view[1, ::-1].read(), expected[1, ::-1])
        assert np.array_equal(group["10"].read(), file[10].data)
    assert group["I2"].dims == ("I2_z", "I2_y", "I2_x")
    assert group["10"].dims == ("10_axis0", "10_axis1", "10_axis2", "10_axis3")
    lz.save({name: group[name] for name in ("U2", "F8")}, tmp_path / "v.zarr")
    assert np.array_equal(lz.open(tmp_path / "v.zarr")["U2"].read(), group["U2"].read())


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize(
    "cards",
    [{"BSCALE": 0.1, "BZERO": 7.3}, {"BSCALE": 3.0}, {"BZERO": -5.5}, {"BLANK": 7}, {"BSCALE": 0.3, "BLANK": 7}],
)
def test_scaling_is_that_of_astropy(tmp_path: Path, dtype: str, cards: dict) -> None:
    if dtype[0] == "f" and "BLANK" in cards:
        cards = {name: value for name, value in cards.items() if name != "BLANK"} or {"BSCALE": 0.7}
    scaled(tmp_path / "a.fits", dtype, **cards)
    view = lz.open(tmp_path / "a.fits", "PRIMARY")
    with fits.open(tmp_path / "a.fits") as file:
        expected = file[0].data
    assert view.dtype == expected.dtype.newbyteorder("=")
    assert np.array_equal(view.read(), expected, equal_nan=True)
    assert not set(cards) & set(view.attrs)
    raw = lz.open(tmp_path / "a.fits", "PRIMARY", packing="raw")
    assert raw.dtype == np.dtype(dtype)
    assert {name: raw.attrs[name] for name in cards} == cards


@pytest.mark.parametrize("name", ["TABLE", "COMPRESSED"])
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, name: str) -> None:
    written(tmp_path / "a.fits")
    with pytest.raises(lz.UnsupportedFeature) as caught:
        lz.open(tmp_path / "a.fits", name)
    assert caught.value.reason == "source-unsupported"
    assert caught.value.where == name


def test_unsigned_integers_of_64_bits_are_refused_unless_raw(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.arange(4, dtype="u8")).writeto(tmp_path / "a.fits")
    with pytest.raises(lz.UnsupportedFeature) as caught:
        lz.open(tmp_path / "a.fits", "PRIMARY")
    assert caught.value.reason == "source-unsupported"
    raw = lz.open(tmp_path / "a.fits", "PRIMARY", packing="raw").read()
    assert (raw.view("u8") ^ np.uint64(1 << 63)).tolist() == [0, 1, 2, 3]


def test_a_file_that_is_cut_fails_where_it_is_cut(tmp_path: Path) -> None:
    values = np.arange(1000.0).reshape(10, 100)
    fits.HDUList([fits.PrimaryHDU(values), fits.ImageHDU(values)]).writeto(tmp_path / "a.fits")
    data = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(data[:-5000])
    group = lz.open(tmp_path / "a.fits")
    assert np.array_equal(group["PRIMARY"].read(), values)
    with pytest.raises(lz.SourceProtocolError) as caught:
        group["1"].read()
    assert caught.value.reason == "chunk-length"


def test_headers_that_lie_give_typed_errors(tmp_path: Path) -> None:
    scaled(tmp_path / "a.fits", "i2", BSCALE=0.1)
    data = (tmp_path / "a.fits").read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(120):
        changed = bytearray(data)
        for at in rng.integers(9, 800, rng.integers(1, 4)):
            changed[at] = rng.integers(32, 127)
        (tmp_path / "b.fits").write_bytes(changed)
        try:
            group = lz.open(tmp_path / "b.fits")
            for name in group:
                if group[name].size < 10**6:
                    group[name].read()
        except lz.LazyZarrError:
            continue
