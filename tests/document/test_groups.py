"""Groups of views and real arrays, as other readers of Zarr see them: never a number for a view."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from lazyzarr.access.session import Session
from lazyzarr.document.decode import decode
from lazyzarr.document.groups import ArrayMember, GroupMember, ViewMember, encode_group
from lazyzarr.document.publish import publish
from lazyzarr.errors import SaveUnsupported
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.nodes import Fill, Take
from lazyzarr.ir.tables import Table
from tests.document.samples import tiled

TIME = np.arange(1000)


def taken() -> Graph:
    build = GraphBuilder()
    cells = build.node(Fill((2000, 3), "int8", 7))
    return build.build(build.node(Take(cells, 0, build.table(Table({"indices": TIME})))))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    place = tmp_path / "dataset.zarr"
    group = GroupMember(
        {
            "sst": ViewMember(taken(), ("time", "x"), {"units": "K"}),
            "time": ArrayMember(TIME, attributes={"units": "days since 2000-01-01"}),
            "sub": GroupMember(
                {"a": ArrayMember(np.ones((3, 4), "f4"), ("y", "x")), "tiles": ViewMember(tiled(400))}, {"note": "n"}
            ),
        },
        {"title": "t"},
    )
    publish(place, encode_group(group, base_url=f"file://{place}"))
    return place


def test_consolidated_metadata_is_what_zarr_makes_of_the_files(target: Path) -> None:
    mine = json.loads((target / "zarr.json").read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata is not in the Zarr v3 specification yet
        zarr.consolidate_metadata(str(target))
    theirs = json.loads((target / "zarr.json").read_bytes())
    assert sorted(mine["consolidated_metadata"]["metadata"]) == sorted(theirs["consolidated_metadata"]["metadata"])
    for path, document in theirs["consolidated_metadata"]["metadata"].items():
        assert mine["consolidated_metadata"]["metadata"][path] == document, path
    assert mine == theirs


@pytest.mark.parametrize("consolidated", [True, False])
def test_zarr_python_sees_groups_and_arrays(target: Path, consolidated: bool) -> None:
    group = zarr.open_group(str(target), mode="r", use_consolidated=consolidated)
    assert sorted(name for name, _ in group.members()) == ["sst", "sub", "time"]
    assert sorted(name for name, _ in group.arrays()) == ["time"]
    np.testing.assert_array_equal(np.asarray(group["time"]), TIME)  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(group["sub/a"]), np.ones((3, 4)))  # type: ignore[arg-type]
    view = group["sst"]
    assert isinstance(view, zarr.Group)
    assert view.attrs["units"] == "K"
    tables = dict(group["sst/tables"].groups())  # type: ignore[union-attr]
    (table,) = tables.values()
    np.testing.assert_array_equal(np.asarray(table["indices"]), TIME)


def test_xarray_sees_the_real_arrays_and_no_numbers_for_views(target: Path) -> None:
    with xr.open_zarr(target) as found:
        assert set(found.variables) == {"time"}
        assert found.attrs["title"] == "t"
        assert found["time"].values[1] == np.datetime64("2000-01-02")
    with xr.open_datatree(target, engine="zarr") as tree:
        assert set(tree["/sub"].data_vars) == {"a"}
        assert tree["/sub/a"].dims == ("y", "x")
        assert set(tree["/sst"].data_vars) == set()


def test_views_of_a_group_open_from_their_own_document(target: Path) -> None:
    opened = decode((target / "sst" / "zarr.json").read_bytes(), url=f"file://{target}/sst", session=Session())
    assert opened.dims == ("time", "x")
    root = opened.graph.root
    assert isinstance(root, Take)
    np.testing.assert_array_equal(np.asarray(opened.graph.tables[root.indices]["indices"]), TIME)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (1500, 1500)])
@pytest.mark.parametrize("dtype", ["f8", ">i4", "?", "c16", "S3", "U2"])
def test_real_arrays_are_read_by_zarr_python(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = (np.arange(np.prod(shape, dtype=int)) % 7).astype(dtype).reshape(shape)
    target = tmp_path / "g.zarr"
    publish(target, encode_group(GroupMember({"a": ArrayMember(array)}), base_url=f"file://{target}"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of the types have no Zarr v3 specification yet
        found = zarr.open_array(str(target / "a"), mode="r")
        cells = found[...]
    np.testing.assert_array_equal(cells, array)  # type: ignore[arg-type]
    assert np.prod(found.chunks) * found.dtype.itemsize <= max(8 << 20, found.dtype.itemsize)


@pytest.mark.parametrize("name", ["", "a/b", ".", "..", ".hidden", "__x", "zarr.json", "tables", "a\\b"])
def test_names_that_are_no_segment_are_refused(name: str) -> None:
    with pytest.raises(SaveUnsupported):
        encode_group(GroupMember({name: ArrayMember(TIME)}), base_url="file:///d/g.zarr")


@pytest.mark.parametrize(
    "member",
    [ArrayMember(TIME, ("a", "b")), ArrayMember(np.array([1, "a"], object)), ArrayMember(TIME, attributes={"a": 1j})],
)
def test_arrays_without_a_stored_form_are_refused(member: Any) -> None:
    group = GroupMember({"a": member})
    with pytest.raises(SaveUnsupported):
        [content() for content in encode_group(group, base_url="file:///d/g.zarr").values() if callable(content)]
