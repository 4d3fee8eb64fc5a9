"""GRIB files: values, what is refused, and messages that lie. gribberish's own agreement with eccodes is not tested here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lazyzarr as lz
from tests.formats.grib_writing import message

VALUES = np.random.default_rng(0).integers(0, 65536, (3, 5, 7))
NAME = "hag/instant/tmp"


def written(path: Path, **options: int) -> None:
    path.write_bytes(b"".join(message(one, hours=6 * k, **options) for k, one in enumerate(VALUES)))


def test_messages_become_an_array(tmp_path: Path) -> None:
    written(tmp_path / "a.grib2")
    group = lz.open(tmp_path / "a.grib2")
    view = group[NAME]
    assert view.dims == ("time", "latitude", "longitude")
    assert view.dtype == "float64"
    assert np.array_equal(view.read(), VALUES)
    assert np.array_equal(view[2, ::-1, 3].read(), VALUES[2, ::-1, 3])
    assert group["hag/instant/latitude"].read().tolist() == [50, 49, 48, 47, 46]
    assert np.diff(group["hag/instant/time"].read()).tolist() == [21600, 21600]
    assert view.sources()[0].stamp is not None
    lz.save(view, tmp_path / "v.zarr")
    assert np.array_equal(lz.open(tmp_path / "v.zarr").read(), VALUES)


def test_bytes_between_messages(tmp_path: Path) -> None:
    pieces = [message(one, hours=k) for k, one in enumerate(VALUES)]
    (tmp_path / "a.grib2").write_bytes(b"\x00" * 9 + b"\x00\x00".join(pieces))
    with pytest.raises(lz.SourceProtocolError):
        lz.open(tmp_path / "a.grib2")  # the signature is not at the start
    (tmp_path / "a.grib2").write_bytes(b"\x00\x00".join(pieces))
    assert np.array_equal(lz.open(tmp_path / "a.grib2", NAME).read(), VALUES)


@pytest.mark.parametrize("options", [{"scanning": 0x20}, {"scanning": 0x60}], ids=["columns", "columns-upward"])
def test_orders_that_would_be_read_wrong_are_refused(tmp_path: Path, options: dict) -> None:
    written(tmp_path / "a.grib2", **options)
    with pytest.raises(lz.UnsupportedFeature) as caught:
        lz.open(tmp_path / "a.grib2", NAME)
    assert caught.value.reason == "source-unsupported"


def test_rows_from_south_to_north_have_their_latitudes(tmp_path: Path) -> None:
    written(tmp_path / "a.grib2", scanning=0x40)
    assert np.array_equal(lz.open(tmp_path / "a.grib2", NAME).read(), VALUES)


def test_messages_that_are_in_no_array_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.grib2").write_bytes(message(VALUES[0]) + message(VALUES[1], template=50))
    group = lz.open(tmp_path / "a.grib2")
    with pytest.raises(lz.UnsupportedFeature) as caught:
        group["unread"]
    assert "1 messages" in str(caught.value)


def test_a_file_that_is_cut(tmp_path: Path) -> None:
    written(tmp_path / "a.grib2")
    data = (tmp_path / "a.grib2").read_bytes()
    for length in (len(data) - 3, len(data) - 200, 40, 4):
        (tmp_path / "a.grib2").write_bytes(data[:length])
        with pytest.raises(lz.SourceProtocolError) as caught:
            lz.open(tmp_path / "a.grib2")
        assert caught.value.reason == "source-format"


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.grib2")
    view = lz.open(tmp_path / "a.grib2", NAME)
    written(tmp_path / "a.grib2", parameter=1)
    with pytest.raises(lz.SourceChanged):
        view.read()


def test_messages_that_lie_give_typed_errors(tmp_path: Path) -> None:
    written(tmp_path / "a.grib2")
    view = lz.open(tmp_path / "a.grib2", NAME, verify=False)
    data = (tmp_path / "a.grib2").read_bytes()
    rng = np.random.default_rng(3)
    for number in range(150):
        changed = bytearray(data)
        for at in rng.integers(8, len(data), rng.integers(1, 4)):
            changed[at] = rng.integers(0, 256)
        (tmp_path / "a.grib2").write_bytes(changed)
        try:
            view.read()
            if number % 5 == 0:
                group = lz.open(tmp_path / "a.grib2")
                for name in group:
                    repr(group[name])
        except lz.LazyZarrError:
            continue
