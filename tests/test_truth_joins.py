"""Demand rows 2, 3, 4, 8 and 11, trap 2: files that were not made to be joined are joined, lazily and exactly."""

from __future__ import annotations

from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, TransposeCodec, ZstdCodec

import lazyzarr as lz


def cells(*shape: int, start: int = 0, dtype: str = "i4") -> np.ndarray:
    return (np.arange(np.prod(shape)) + start).reshape(shape).astype(dtype)


def write_zarr(path: Path, data: np.ndarray, **settings: object) -> Path:
    target = zarr.create_array(path, shape=data.shape, dtype=data.dtype, **settings)
    target[...] = data
    return path


def test_compression_that_changed_over_the_years(tmp_path: Path) -> None:
    """Row 2: one chain per source; the kind of file may differ, too."""
    parts = [cells(4, 6, start=100 * k) for k in range(6)]
    chains: list[dict[str, object]] = [
        {"compressors": None},
        {"compressors": ZstdCodec()},
        {"compressors": GzipCodec(), "serializer": BytesCodec(endian="big")},
        {"compressors": BloscCodec(), "filters": [TransposeCodec(order=(1, 0))]},
    ]
    paths = [write_zarr(tmp_path / f"{k}.zarr", parts[k], chunks=(2, 3), **chain) for k, chain in enumerate(chains)]
    views = [lz.open(path) for path in paths]
    write_zarr(tmp_path / "4.zarr", parts[4], chunks=(2, 3), zarr_format=2, order="F")
    views.append(lz.open(tmp_path / "4.zarr"))
    with h5py.File(tmp_path / "5.h5", "w") as file:
        file.create_dataset("x", data=parts[5], chunks=(2, 3), compression="gzip", shuffle=True, fletcher32=True)
    views.append(lz.open(tmp_path / "5.h5", variable="x"))
    joined = lz.concat(views, axis=0)
    np.testing.assert_array_equal(joined.read(), np.concatenate(parts), strict=True)
    np.testing.assert_array_equal(joined[::-3, 1::2].read(), np.concatenate(parts)[::-3, 1::2], strict=True)
    assert joined.flatness == "L3"


def test_lengths_that_are_no_chunk_multiple(tmp_path: Path) -> None:
    """Row 3: months in chunks of ten days; the last chunk of each is stored padded, and its padding is not data."""
    months = [cells(days, 4, start=1000 * k) for k, days in enumerate((31, 28, 31, 30))]
    for number, data in enumerate(months):
        path = write_zarr(tmp_path / f"{number}.zarr", data, chunks=(10, 4), compressors=None, fill_value=-1)
        edge = path / "c" / str((len(data) - 1) // 10) / "0"
        raw = np.frombuffer(edge.read_bytes(), "<i4").reshape(10, 4).copy()
        raw[(len(data) - 1) % 10 + 1 :] = 424242  # what a writer may leave there
        edge.write_bytes(raw.tobytes())
    joined = lz.concat([lz.open(tmp_path / f"{k}.zarr") for k in range(4)], axis=0)
    np.testing.assert_array_equal(joined.read(), np.concatenate(months), strict=True)
    assert joined.flatness == "L2"
    np.testing.assert_array_equal(joined[25:65, 2].read(), np.concatenate(months)[25:65, 2], strict=True)


def test_leap_years_in_netcdf(tmp_path: Path) -> None:
    years = [cells(days, 2, start=1000 * k, dtype="f4") for k, days in enumerate((365, 366, 365))]
    for number, data in enumerate(years):
        with netCDF4.Dataset(tmp_path / f"{number}.nc", "w") as file:
            file.createDimension("time", None)
            file.createDimension("x", 2)
            file.createVariable("t", "f4", ("time", "x"), chunksizes=(73, 2), zlib=True)[...] = data
    joined = lz.concat([lz.open(tmp_path / f"{k}.nc", variable="t") for k in range(3)], axis=0)
    np.testing.assert_array_equal(joined.read(), np.concatenate(years), strict=True)
    assert joined.dims == ("time", "x")


def test_chunk_shapes_that_differ(tmp_path: Path) -> None:
    """Row 4."""
    parts = [cells(6, 6, start=100 * k) for k in range(3)]
    shapes = [(2, 3), (6, 1), (5, 4)]
    views = [
        lz.open(write_zarr(tmp_path / f"{k}", data, chunks=chunks))
        for k, (data, chunks) in enumerate(zip(parts, shapes, strict=True))
    ]
    np.testing.assert_array_equal(lz.concat(views, axis=1).read(), np.concatenate(parts, 1), strict=True)
    np.testing.assert_array_equal(lz.stack(views, axis=1).read(), np.stack(parts, 1), strict=True)


def test_each_source_keeps_its_own_fill_value(tmp_path: Path) -> None:
    """Row 11, trap 2: a missing chunk of source B reads as B's fill; -0.0 and NaN count as they are."""
    fills = [0.0, -0.0, np.nan, -999.0]
    views = []
    for number, value in enumerate(fills):
        target = zarr.create_array(tmp_path / str(number), shape=(4,), chunks=(2,), dtype="f8", fill_value=value)
        target[:2] = number + 1
        views.append(lz.open(tmp_path / str(number)))
    found = lz.concat(views).read().reshape(4, 4)
    expected = np.array([[k + 1, k + 1, value, value] for k, value in enumerate(fills)])
    assert found.tobytes() == expected.tobytes()
    assert lz.stack(views).T[::-1].read().tobytes() == np.ascontiguousarray(expected.T[::-1]).tobytes()


def test_a_missing_chunk_below_a_decode_is_the_decoded_fill(tmp_path: Path) -> None:
    target = zarr.create_array(tmp_path / "packed", shape=(4,), chunks=(2,), dtype="i2", fill_value=-9)
    target[:2] = 10
    view = lz.open(tmp_path / "packed")
    assert view.unpack(scale_factor=0.5).read().tolist() == [5, 5, -4.5, -4.5]
    np.testing.assert_array_equal(view.unpack(fill_values=[-9]).read(), [10, 10, np.nan, np.nan])
    np.testing.assert_array_equal(lz.concat([view.astype("f8"), lz.full(1, 0.5)]).read(), [10, 10, -9, -9, 0.5])


def test_joining_reads_nothing(tmp_path: Path) -> None:
    """Row 8: lazy without dask; a chunk may even be damaged until it is read."""
    path = write_zarr(tmp_path / "a", cells(4, 6), chunks=(2, 3), compressors=None)
    view = lz.open(path)
    view.reader.session.counts.reset()
    joined = lz.concat([view, view.flip(0)], axis=0)
    stacked = np.stack([joined, joined])[:, 1:3, ::2].transpose(2, 0, 1)
    assert stacked.shape == (3, 2, 2)
    assert view.reader.session.counts.requests == 0
    (path / "c" / "0" / "0").write_bytes(b"short")
    assert stacked[2, 0, 0].read() == 10  # not from that chunk
    with pytest.raises((lz.SourceError, lz.ChunkError)) as caught:
        stacked.read()
    assert caught.value.reason == "chunk-length"


def test_a_report_of_everything_that_does_not_fit() -> None:
    """Row 22: one early, complete report."""
    views = [
        lz.full((3, 4), 0, dtype="i4"),
        lz.full((3, 5), 0, dtype="i4"),
        lz.full((3, 4), 0, dtype="f4"),
        lz.full((2, 4, 1), 0, dtype="i4"),
    ]
    with pytest.raises(lz.CombineError) as caught:
        lz.concat(views, axis=0)
    assert caught.value.reason == "combine-mismatch"
    problems = " ".join(caught.value.problems)
    assert len(caught.value.problems) == 3
    assert all(f"input {k}" in problems for k in (1, 2, 3))
