"""kerchunk Parquet, as kerchunk writes it: read lazily, and typed errors for folders that lie."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from fsspec.implementations.reference import LazyReferenceMapper
from pyarrow import parquet

import lazyzarr as lz
from tests.formats.reference_files import Maker, absolute, base64_text


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def write(maker: Maker, record_size: int = 4, name: str = "refs.parq") -> Path:
    """The references as kerchunk's own writer puts them into Parquet."""
    place = maker.folder / name
    out = LazyReferenceMapper.create(
        str(place), fs=fsspec.filesystem("file"), record_size=record_size, engine="pyarrow"
    )
    for key, value in sorted(absolute(maker.refs, maker.folder).items()):
        if isinstance(value, str) and value.startswith("base64:"):
            value = base64.b64decode(value[7:])
        out[key] = value
    out.flush()
    return place


@pytest.mark.parametrize("record_size", [1, 4, 100])
def test_grids(maker: Maker, record_size: int) -> None:
    values = maker.array("x", np.arange(35, dtype="int32").reshape(5, 7), chunks=(2, 3), order="F")
    scalar = maker.array("deep/s", np.array(2**60 + 1), chunks=())
    group = lz.open(write(maker, record_size))
    np.testing.assert_array_equal(group["x"].read(), values)
    np.testing.assert_array_equal(group["x"][::-1, 3], values[::-1, 3])
    assert group["deep/s"].read() == scalar
    assert lz.open(maker.folder / "refs.parq", "x").shape == (5, 7)


def test_kinds_of_references(maker: Maker) -> None:
    def chunk(content: bytes, number: int) -> Any:
        kinds = [maker.part, maker.whole, base64_text, lambda raw: maker.part(raw, "other.bin"), lambda _: None]
        return kinds[number % 5](content)

    values = maker.array("x", np.arange(40, dtype="int16"), chunks=(2,), chunk=chunk, fill_value=-7)
    expected = values.copy().reshape(4, 5, 2)
    expected[:, 4] = -7
    view = lz.open(write(maker), packing="raw")["x"]
    assert view.read().tolist() == expected.reshape(-1).tolist()
    lz.save(view, maker.folder / "v.zarr")
    assert lz.open(maker.folder / "v.zarr").read().tolist() == expected.reshape(-1).tolist()


def test_files_of_references_are_read_for_their_array_only(maker: Maker) -> None:
    for name in ("x", "y"):
        maker.array(name, np.arange(12, dtype="int16"), chunks=(1,))
    maker.array("none", np.arange(12, dtype="int16"), chunks=(1,), chunk=lambda raw, _: None)
    group = lz.open(write(maker))
    view = group["x"]
    counts = view.reader.session.counts
    first = counts.requests
    group["y"]
    assert counts.requests == first + 3
    assert group["none"].read().tolist() == [0] * 12


def _broken(maker: Maker, **columns: Any) -> None:
    place = write(maker)
    parquet.write_table(pa.table(columns), place / "x" / "refs.0.parq")
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(place)["x"]
    assert caught.value.reason in ("source-format", "limit-exceeded")


@pytest.mark.parametrize(
    "columns",
    [
        {"path": ["data.bin"] * 9, "offset": [0] * 9, "size": [4] * 9},
        {"path": ["data.bin"], "offset": [-1], "size": [4]},
        {"path": ["data.bin"], "offset": [1], "size": [-4]},
        {"path": ["data.bin"], "offset": [2**62], "size": [2**62]},
        {"path": ["data.bin"], "offset": ["x"], "size": [4]},
        {"path": [[1]], "offset": [1], "size": [4]},
        {"path": [1.5], "offset": [1.5], "size": [4]},
        {"raw": ["base64:?"]},
    ],
    ids=str,
)
def test_columns_that_lie(maker: Maker, columns: dict[str, Any]) -> None:
    maker.array("x", np.arange(8, dtype="int16"), chunks=(2,))
    _broken(maker, **columns)


def test_files_that_are_no_parquet(maker: Maker) -> None:
    maker.array("x", np.arange(8, dtype="int16"), chunks=(2,))
    place = write(maker)
    whole = (place / "x" / "refs.0.parq").read_bytes()
    for content in (b"", b"PAR1", whole[:-9], whole[:40] + bytes(len(whole) - 80) + whole[-40:]):
        (place / "x" / "refs.0.parq").write_bytes(content)
        with pytest.raises(lz.SourceProtocolError) as caught:
            lz.open(place)["x"]
        assert caught.value.reason == "source-format"


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"metadata": {}, "record_size": 0}', '{"metadata": [], "record_size": 9}']
)
def test_a_wrong_zmetadata(tmp_path: Path, text: str) -> None:
    (tmp_path / "refs.parq").mkdir()
    (tmp_path / "refs.parq" / ".zmetadata").write_text(text)
    with pytest.raises(lz.SourceProtocolError):
        lz.open(tmp_path / "refs.parq")


def test_the_policy_holds(maker: Maker) -> None:
    maker.array("x", np.arange(8, dtype="int16"), chunks=(2,), chunk=lambda raw, _: ["/etc/hostname", 0, 4])
    with pytest.raises(lz.AccessDenied):
        lz.open(write(maker))["x"]


def test_nan_in_attributes(maker: Maker) -> None:
    maker.array("x", np.arange(8, dtype="int16"), chunks=(2,))
    place = write(maker)
    document = json.loads((place / ".zmetadata").read_text())
    document["metadata"]["x/.zattrs"] = {"valid_max": float("nan"), "big": 2**62 + 1}
    (place / ".zmetadata").write_text(json.dumps(document))
    view = lz.open(place)["x"]
    assert view.attrs["big"] == 2**62 + 1
    lz.save(view, maker.folder / "v.zarr")
