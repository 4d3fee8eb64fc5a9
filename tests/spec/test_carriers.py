"""The table of carriers in the specification: what each reader does with a view stored in each place of Zarr v3."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import tensorstore
import xarray
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from lazyzarr.document.wire import CONVENTION
from tests.programs import node

SPEC = Path(__file__).parents[2] / "spec"
TEXT = (SPEC / "carrier.md").read_text("utf-8")
SCRIPTS = SPEC / "readers" / "js"
FILL = 7
ARRAY: dict[str, Any] = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [4],
    "data_type": "int16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": FILL,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    "attributes": {},
    "dimension_names": ["x"],
}
VIEW = {"name": "lazyzarr", "configuration": {}}
CARRIERS: dict[str, dict[str, Any]] = {
    "`storage_transformers`": {**ARRAY, "storage_transformers": [VIEW]},
    "a further member with `must_understand: true`": {**ARRAY, "lazyzarr": {**VIEW, "must_understand": True}},
    "a further member with `must_understand: false`": {**ARRAY, "lazyzarr": {**VIEW, "must_understand": False}},
    "`attributes` of an array": {**ARRAY, "attributes": {"lazyzarr": VIEW}},
    "an array-to-bytes codec of its own": {**ARRAY, "codecs": [VIEW]},
    "a chunk grid of its own": {**ARRAY, "chunk_grid": VIEW},
    "a group that lists a convention": {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"zarr_conventions": [{"uuid": CONVENTION["uuid"], "name": "lazyzarr"}], "lazyzarr": VIEW},
    },
}


def _cells(array: Any) -> str:
    assert np.asarray(array).tolist() == [FILL] * 4
    return "**fill values**"


def _array(folder: Path, _: Any) -> str:
    return _cells(zarr.open_array(folder / "view", mode="r")[:])


def _group(folder: Path, _: Any) -> str:
    assert {name for name, _ in zarr.open_group(folder, mode="r").members()} == {"real", "view"}
    return "lists it"


def _xarray(folder: Path, _: Any) -> str:
    with xarray.open_zarr(folder, consolidated=False) as dataset:
        assert dataset["real"].to_numpy().tolist() == [0, 1, 2]
        return _cells(dataset["view"]) if "view" in dataset else "no variable"


def _tensorstore(folder: Path, _: Any) -> str:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder / "view")}}
    return _cells(tensorstore.open(spec).result().read().result())


def _icechunk(_: Path, metadata: dict[str, Any]) -> str:
    session = icechunk.Repository.create(icechunk.in_memory_storage()).writable_session("main")
    zarr.open_group(session.store, mode="w")
    content = default_buffer_prototype().buffer.from_bytes(json.dumps(metadata).encode())
    sync(session.store.set("view/zarr.json", content))
    session.commit("a view")
    return "stores it"


def _zarrita(folder: Path, _: Any) -> str:
    command = [node(SCRIPTS), SCRIPTS / "zarrita_opens.mjs", folder / "view"]
    [found] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert found["either"] == found["version_3"]
    if "error" in found["array"]:
        raise ValueError(found["array"]["error"])
    return _cells(found["array"]["cells"])


READERS: dict[str, tuple[Callable[[Path, Any], str], tuple[type[Exception], ...]]] = {
    "zarr-python, array": (_array, (ValueError, LookupError)),
    "zarr-python, group": (_group, (ValueError, LookupError)),
    "xarray": (_xarray, (ValueError, LookupError)),
    "TensorStore": (_tensorstore, (ValueError,)),
    "Icechunk": (_icechunk, (ValueError,)),
    "zarrita": (_zarrita, (ValueError,)),
}
ROWS = {
    cells[0]: cells[1:]
    for cells in (
        [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line[:1] == "|"
    )
}


def test_the_table_has_every_carrier_and_reader() -> None:
    assert ROWS["carrier"] == list(READERS)
    assert set(ROWS) - {"carrier", "---"} == set(CARRIERS)


@pytest.mark.filterwarnings("ignore")  # readers warn of metadata that they do not know, each in its own way
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_the_table_is_true(carrier: str, reader: str, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "real", data=np.arange(3), dimension_names=["y"])
    (tmp_path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "zarr.json").write_text(json.dumps(CARRIERS[carrier]))
    read, errors = READERS[reader]
    try:
        found = read(tmp_path, CARRIERS[carrier])
    except errors:
        found = "error"
    assert found == ROWS[carrier][list(READERS).index(reader)]
