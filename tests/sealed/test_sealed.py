"""Sealed arrays: zarr-python and xarray read a view where they look for an array, and nobody reads fill values."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import tensorstore
import xarray
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import lazyzarr as lz
from tests.programs import node

SCRIPTS = Path(__file__).parents[2] / "spec" / "readers" / "js"
PIPELINES = ("BatchedCodecPipeline", "FusedCodecPipeline")
CELLS = np.arange(24, dtype="float32").reshape(4, 6)
EXPECTED = CELLS[::-1].T


@pytest.fixture(params=PIPELINES)
def pipeline(request: pytest.FixtureRequest) -> Iterator[None]:
    with zarr.config.set({"codec_pipeline.path": f"zarr.core.codec_pipeline.{request.param}"}):
        yield


def sealed(folder: Path) -> Path:
    """A view of an array turned round, sealed beside it."""
    zarr.create_array(folder / "a.zarr", data=CELLS, chunks=(2, 3), dimension_names=["y", "x"])
    lz.save(lz.open(folder / "a.zarr")[::-1].T.with_attrs({"units": "m"}), folder / "view.zarr")
    lz.seal(folder / "view.zarr", folder / "sealed.zarr")
    return folder / "sealed.zarr"


@pytest.mark.usefixtures("pipeline")
def test_selections_of_every_kind(tmp_path: Path) -> None:
    array = zarr.open_array(sealed(tmp_path), mode="r")
    assert (array.shape, array.dtype, dict(array.attrs)) == (EXPECTED.shape, EXPECTED.dtype, {"units": "m"})
    for key in (..., (slice(1, 4), 0), (2, slice(None, None, 2)), (3, 3), (slice(4, 4), slice(None))):
        np.testing.assert_array_equal(array[key], EXPECTED[key])
    np.testing.assert_array_equal(array.oindex[[5, 0, 3], [1, 2]], EXPECTED[np.ix_([5, 0, 3], [1, 2])])
    np.testing.assert_array_equal(array.oindex[[5, 0, 3], 1:3], EXPECTED[[5, 0, 3]][:, 1:3])
    np.testing.assert_array_equal(array.oindex[2, [3, 0]], EXPECTED[2, [3, 0]])
    np.testing.assert_array_equal(array.vindex[[0, 3, 3], [1, 2, 1]], EXPECTED[[0, 3, 3], [1, 2, 1]])
    mask = EXPECTED % 5 == 0
    np.testing.assert_array_equal(array[mask], EXPECTED[mask])


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_random_selections(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "random-sealed"
    place = folder / "sealed.zarr" if (folder / "sealed.zarr").exists() else sealed(folder)
    keys = [
        data.draw(
            st.slices(n).filter(lambda key: (key.step or 1) > 0)
            | st.lists(st.integers(0, n - 1), min_size=1, max_size=4)
        )
        for n in EXPECTED.shape
    ]
    cells = [
        np.arange(n)[key] if isinstance(key, slice) else np.array(key)
        for n, key in zip(EXPECTED.shape, keys, strict=True)
    ]
    name = data.draw(st.sampled_from(PIPELINES))
    with zarr.config.set({"codec_pipeline.path": f"zarr.core.codec_pipeline.{name}"}):
        found = zarr.open_array(place, mode="r").oindex[tuple(keys)]
    np.testing.assert_array_equal(found, EXPECTED[np.ix_(*cells)])


def test_xarray_sees_a_variable_beside_others(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    group.create_array("x", data=np.arange(6.0), dimension_names=["x"])
    group.create_group("views")
    sealed(tmp_path / "g.zarr" / "views")
    lz.seal(tmp_path / "g.zarr" / "views" / "view.zarr", tmp_path / "g.zarr" / "depth")
    with xarray.open_zarr(tmp_path / "g.zarr", consolidated=False, chunks=None) as dataset:
        np.testing.assert_array_equal(dataset["depth"].sel(x=slice(2, 4)).to_numpy(), EXPECTED[2:5])
        assert dataset["depth"].attrs == {"units": "m"}


def test_what_the_array_may_point_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(tmp_path)
    lz.seal(tmp_path / "view.zarr", tmp_path / "below" / "depth")
    with pytest.raises(lz.AccessDenied, match="LAZYZARR_ALLOW"):
        zarr.open_array(tmp_path / "below" / "depth", mode="r")[0]
    monkeypatch.setenv("LAZYZARR_ALLOW", str(tmp_path))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "below" / "depth", mode="r")[0], EXPECTED[0])


@pytest.mark.parametrize(
    "cells",
    [np.float64(2.5), np.zeros((0, 3), "int16"), np.array(["a", "ü"], "U3"), np.array([1], "M8[s]")],
    ids=["rank 0", "empty", "text", "times"],
)
@pytest.mark.usefixtures("pipeline")
@pytest.mark.filterwarnings("ignore:The data type")  # zarr-python warns of types without a specification
def test_shapes_and_types(cells: Any, tmp_path: Path) -> None:
    lz.save(lz.open(np.asarray(cells)), tmp_path / "view.zarr")
    lz.seal(tmp_path / "view.zarr", tmp_path / "sealed.zarr")
    found = np.asarray(zarr.open_array(tmp_path / "sealed.zarr", mode="r")[...])
    assert (found.shape, found.dtype, found.tolist()) == (cells.shape, cells.dtype, cells.tolist())


def test_opened_as_what_it_stands_for(tmp_path: Path) -> None:
    view = lz.open(sealed(tmp_path))
    np.testing.assert_array_equal(view[1:3].read(), EXPECTED[1:3])
    assert view.sources()[0].location == (tmp_path / "a.zarr").as_uri()
    (tmp_path / "sealed.zarr" / "c" / "0" / "0").write_bytes(b'{"sealed": 1, "view": "file:///etc", "document": ""}')
    with pytest.raises(lz.AccessDenied):
        lz.open(tmp_path / "sealed.zarr")


def test_both_move_together(tmp_path: Path) -> None:
    sealed(tmp_path / "one")
    shutil.move(tmp_path / "one", tmp_path / "two")
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "two" / "sealed.zarr", mode="r")[:], EXPECTED)


def test_a_store_that_is_no_directory(tmp_path: Path) -> None:
    lz.save(lz.open(CELLS)[::-1].T, tmp_path / "view.zarr")
    lz.seal(tmp_path / "view.zarr", tmp_path / "sealed.zarr")
    session = icechunk.Repository.create(icechunk.in_memory_storage()).writable_session("main")
    zarr.open_group(session.store, mode="w")
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = default_buffer_prototype().buffer.from_bytes(path.read_bytes())
        sync(session.store.set(str(path.relative_to(tmp_path)), content))
    session.commit("a view and a sealed array")
    np.testing.assert_array_equal(zarr.open_array(session.store, path="sealed.zarr", mode="r")[1:3], EXPECTED[1:3])


@pytest.mark.usefixtures("pipeline")
def test_what_is_not_there_is_an_error_and_no_fill_value(tmp_path: Path) -> None:
    place = sealed(tmp_path)
    chunk = place / "c" / "0" / "0"
    text = chunk.read_bytes()
    for content, error in (
        (b'{"sealed": 2, "view": "../view.zarr", "document": ""}', lz.ViewSchemaError),
        (b'{"sealed": 1, "view": "../view.zarr", "document": "", "also": 1}', lz.ViewSchemaError),
        (b'{"sealed": 1, "view": "../view.zarr"}', lz.ViewSchemaError),
        (b'{"sealed": 1, "view": "../view.zarr", "document": "sha256:0"}', lz.SourceChanged),
        (b"\x00" * 20_000, lz.ViewSchemaError),
        (b'{"sealed": 1, "view": "../nothing.zarr", "document": ""}', lz.SourceMissing),
        (b'{"sealed": 1, "view": "../a.zarr", "document": ""}', lz.SourceChanged),
        (b'{"sealed": 1, "view": "file:///etc", "document": ""}', lz.AccessDenied),
        (b'{"sealed": 1, "view": "https://example.org/v.zarr", "document": ""}', lz.AccessDenied),
    ):
        chunk.write_bytes(content)
        with pytest.raises(error):
            zarr.open_array(place, mode="r")[0]
    chunk.unlink()
    with pytest.raises(lz.SourceMissing, match="seal the view again"):
        zarr.open_array(place, mode="r")[0]
    chunk.write_bytes(text)
    lz.append(tmp_path / "view.zarr", lz.open(tmp_path / "view.zarr"), axis=0)
    with pytest.raises(lz.SourceChanged, match="seal the view again"):
        zarr.open_array(place, mode="r")[0]


def test_a_view_of_other_units_is_no_longer_what_the_array_says(tmp_path: Path) -> None:
    place = sealed(tmp_path)
    lz.save(lz.open(tmp_path / "view.zarr").with_attrs({"units": "km"}), tmp_path / "view.zarr", overwrite=True)
    with pytest.raises(lz.SourceChanged, match="seal the view again"):
        zarr.open_array(place, mode="r")[0]
    shutil.rmtree(place)
    lz.seal(tmp_path / "view.zarr", place)
    assert zarr.open_array(place, mode="r").attrs["units"] == "km"
    metadata = json.loads((place / "zarr.json").read_text())
    metadata["data_type"] = "float64"
    (place / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(lz.ViewSchemaError, match="seal it again"):
        zarr.open_array(place, mode="r")[0]


@pytest.mark.usefixtures("pipeline")
def test_nothing_is_written(tmp_path: Path) -> None:
    place = sealed(tmp_path)
    before = (place / "c" / "0" / "0").read_bytes()
    for key in (0, ...):
        with pytest.raises(lz.LazyZarrError):
            zarr.open_array(place, mode="r+")[key] = 5
    assert (place / "c" / "0" / "0").read_bytes() == before
    with pytest.raises(lz.SaveConflict):
        lz.seal(tmp_path / "view.zarr", place)
    with pytest.raises(lz.SaveConflict):
        lz.seal(tmp_path / "view.zarr", tmp_path / "a.zarr")
    with pytest.raises(lz.ViewError):
        lz.seal(tmp_path / "a.zarr", tmp_path / "other.zarr")
    lz.save(lz.open(np.array(["a"], np.dtypes.StringDType())), tmp_path / "text.zarr")
    with pytest.raises(lz.SaveUnsupported, match="any length"):
        lz.seal(tmp_path / "text.zarr", tmp_path / "other.zarr")
    with pytest.raises(lz.SaveUnsupported, match="local directory"):
        lz.seal(tmp_path / "view.zarr", "memory://other/sealed.zarr")
    assert not (tmp_path / "other.zarr").exists()


def test_several_chunks_are_refused(tmp_path: Path) -> None:
    place = sealed(tmp_path)
    metadata = json.loads((place / "zarr.json").read_text())
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = [3, 4]
    (place / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(lz.ViewSchemaError, match="it has one"):
        zarr.open_array(place, mode="r")


def test_readers_without_the_codec_fail(tmp_path: Path) -> None:
    place = sealed(tmp_path)
    with pytest.raises(ValueError, match=r"lazyzarr\.sealed"):
        tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(place)}}).result()
    command = [node(SCRIPTS), SCRIPTS / "zarrita_opens.mjs", place]
    [found] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert "error" in found["array"]
    metadata = (place / "zarr.json").read_text().replace("lazyzarr.sealed", "nobody.has.this")
    (place / "zarr.json").write_text(metadata)
    with pytest.raises((ValueError, LookupError)):
        zarr.open_array(place, mode="r")[:]
