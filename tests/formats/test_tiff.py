"""TIFF: values against tifffile over forms, compressions and predictors; what is refused, and tags that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import lazyzarr as lz

SHAPES = ((37, 50), (37, 50, 3))


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd", "lzma", "packbits"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4", "f8"])
def test_values(tmp_path: Path, dtype: str, compression: str | None) -> None:
    rng = np.random.default_rng(0)
    number = 0
    for shape in SHAPES:
        values = (rng.integers(0, 1000, shape) / (7 if dtype[0] == "f" else 1)).astype(dtype)
        for tile in (None, (16, 32)):
            for predictor in (False, True):
                if predictor and compression in (None, "packbits"):
                    continue
                path = tmp_path / f"{number}.tif"
                tifffile.imwrite(
                    path,
                    values,
                    compression=compression,
                    predictor=predictor,
                    tile=tile,
                    byteorder="<>"[number % 2],
                    bigtiff=number % 3 == 0,
                    rowsperstrip=None if tile else 8,
                    photometric="minisblack" if len(shape) == 2 else "rgb",
                )
                view = lz.open(path, "0")
                assert view.dtype == values.dtype
                assert np.array_equal(view.read(), values), (tile, predictor)
                assert np.array_equal(view[30:36, ::3].read(), values[30:36, ::3])
                number += 1


def test_planes_and_pages(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 100, (3, 37, 50)).astype("u2")
    path = tmp_path / "a.tif"
    for tile, rows in (((16, 16), None), (None, 37)):
        tifffile.imwrite(path, values, planarconfig="separate", photometric="rgb", tile=tile, rowsperstrip=rows)
        view = lz.open(path, "0")
        assert view.dims == ("band", "y", "x")
        assert np.array_equal(view.read(), values)
    with tifffile.TiffWriter(path) as file:
        for page in values:
            file.write(page, compression="zlib", predictor=True)
    group = lz.open(path)
    assert list(group) == ["0", "1", "2"]
    joined = lz.stack([group[name] for name in group])
    lz.save(joined, tmp_path / "v.zarr")
    assert np.array_equal(lz.open(tmp_path / "v.zarr").read(), values)


def test_a_tile_that_was_never_written_is_nodata(tmp_path: Path) -> None:
    values = np.ones((32, 32), "i2")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, tile=(16, 16), extratags=[(42113, "s", 0, "-7", True)])
    with tifffile.TiffFile(path) as file:
        offsets, lengths = (file.pages[0].tags[tag] for tag in (324, 325))
    data = bytearray(path.read_bytes())
    for tag in (offsets, lengths):
        width = tag.valuebytecount // 4
        data[tag.valueoffset + width : tag.valueoffset + 2 * width] = bytes(width)
    path.write_bytes(data)
    values[:16, 16:] = -7
    view = lz.open(path, "0")
    assert view.attrs["gdal_nodata"] == "-7"
    assert np.array_equal(view.read(), values)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "jpeg", "dtype": "u1", "photometric": "rgb", "shape": (16, 16, 3)},
        {"dtype": "bool", "shape": (16, 16), "photometric": "minisblack"},
        {"dtype": "c8", "shape": (16, 16), "photometric": "minisblack"},
        {"planarconfig": "separate", "rowsperstrip": 7, "dtype": "u1", "photometric": "rgb", "shape": (3, 16, 16)},
    ],
    ids=["jpeg", "bits", "complex", "planes-with-a-short-strip"],
)
def test_pages_that_need_more_are_refused(tmp_path: Path, options: dict) -> None:
    values = np.zeros(options.pop("shape"), options.pop("dtype"))
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(lz.UnsupportedFeature) as caught:
        lz.open(tmp_path / "a.tif", "0")
    assert caught.value.reason == "source-unsupported"


def test_directories_in_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4), "u1"), byteorder="<")
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * count :][:4] = b""
    at = first + 2 + 12 * count
    data[at : at + 4] = first.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(path)
    assert caught.value.reason == "source-format"


def test_tags_and_pieces_that_lie_give_typed_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for compression, predictor in (("lzw", True), ("zlib", False), ("packbits", False), (None, False)):
        tifffile.imwrite(
            tmp_path / "a.tif",
            rng.integers(0, 4, (20, 30)).astype("u2"),
            rowsperstrip=8,
            compression=compression,
            predictor=predictor,
        )
        data = (tmp_path / "a.tif").read_bytes()
        for _ in range(50):
            changed = bytearray(data)
            for at in rng.integers(4, len(data), rng.integers(1, 4)):
                changed[at] = rng.integers(0, 256)
            (tmp_path / "b.tif").write_bytes(changed)
            try:
                group = lz.open(tmp_path / "b.tif")
                for name in group:
                    if group[name].size < 10**6:
                        group[name].read()
            except lz.LazyZarrError:
                continue
