"""What readers that do not know lazyzarr make of every good document: a group, and never numbers (R25)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import tensorstore
import xarray
import zarr

from tests.conformance.corpus import GOOD, ROOT, SAVED, SINGLE, UNREADABLE, document
from tests.programs import node

pytestmark = pytest.mark.filterwarnings(r"ignore:Object at (\.new-zarr\.json|tables) is:zarr.errors.ZarrUserWarning")
"""Half a document and a folder without its metadata, which a save that was cut short has left."""
every = pytest.mark.parametrize("case", [*GOOD, *SAVED], ids=lambda path: path.name)
one_view = pytest.mark.parametrize("case", SINGLE, ids=lambda path: path.name)


def _tables(case: Path) -> set[str]:
    """Paths of the arrays that hold tables."""
    tables = document(case)["graph"].get("tables", {}).values()
    return {
        f"tables/{t['folder']}/{name}" for t in tables if "folder" in t and "beside" not in t for name in t["columns"]
    }


@one_view
def test_zarr_opens_a_group_of_tables(case: Path) -> None:
    group = zarr.open_group(case / "view.zarr", mode="r")
    arrays = {path for path, node in group.members(max_depth=None) if isinstance(node, zarr.Array)}
    assert arrays == _tables(case)
    assert group.attrs["lazyzarr"]["version"] == 1
    assert [entry["name"] for entry in group.attrs["zarr_conventions"]] == ["lazyzarr"]


@every
def test_zarr_opens_no_array(case: Path) -> None:
    with pytest.raises(zarr.errors.NodeTypeValidationError):
        zarr.open_array(case / "view.zarr", mode="r")


@every
def test_xarray_finds_no_variable_of_the_view(case: Path) -> None:
    with xarray.open_zarr(case / "view.zarr", consolidated=False) as dataset:
        assert set(dataset.variables) <= {"time"}


@every
def test_xarray_opens_the_tree(case: Path) -> None:
    with xarray.open_datatree(case / "view.zarr", engine="zarr", consolidated=False) as tree:
        names = {
            f"{node.path}/{name}".strip("/")
            for node in tree.subtree
            for name in node.to_dataset(inherit=False).variables
        }
    assert names == (_tables(case) if case in (*SINGLE, *SAVED) else {"time"})


@every
def test_tensorstore_refuses(case: Path) -> None:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(case / "view.zarr")}}
    with pytest.raises(ValueError, match="node_type"):
        tensorstore.open(spec).result()


def test_zarrita_finds_groups_and_no_numbers() -> None:
    scripts = ROOT.parent / "readers" / "js"
    views = [case / "view.zarr" for case in (*GOOD, *SAVED, *UNREADABLE)]
    command = [node(scripts), scripts / "zarrita_opens.mjs", *views]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert len(found) == len(views)
    for opened in found:
        assert opened == {
            "array": {"error": "NotFoundError"},
            "group": {"kind": "group"},
            "either": {"kind": "group"},
            "version_3": {"kind": "group"},
        }


@pytest.mark.parametrize("name", ["joined", "inner/flipped"])
def test_views_in_a_group_are_groups(name: str) -> None:
    case = next(case for case in GOOD if case not in SINGLE)
    group = zarr.open_group(case / "view.zarr", mode="r")
    assert isinstance(group[name], zarr.Group)
    assert not list(group[name].arrays())
    consolidated = zarr.open_consolidated(case / "view.zarr")
    assert isinstance(consolidated[name], zarr.Group)
    with xarray.open_zarr(case / "view.zarr") as dataset:
        assert set(dataset.variables) == {"time"}
