"""What a data set remembers of its files is in its stored group, and nowhere that data are shown."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import xarray as xr

import lazyzarr as lz
from tests.definition.test_climate import DEFINITION, make


def test_it_is_no_data(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "sst.lz.yaml").write_text(DEFINITION)
    place = tmp_path / "sst.zarr"
    lz.resolve(tmp_path / "sst.lz.yaml", place)
    assert "lazyzarr_files" in lz.open(place)
    for dataset in (lz.open_dataset(place), xr.open_dataset(place)):
        assert set(dataset.variables) == {"lat", "lon", "time", "sst"}
        assert set(dataset.dims) == {"lat", "lon", "time"}
    assert xr.open_datatree(place, engine="lazyzarr").groups == ("/",)
    # inside another group, too
    lz.save({"inner": lz.open(place)}, tmp_path / "outer.zarr")
    assert xr.open_datatree(tmp_path / "outer.zarr", engine="lazyzarr").groups == ("/", "/inner")
    assert list(xr.open_groups(place, engine="lazyzarr", group="lazyzarr_files")) == ["/"]


def test_a_server_does_not_tell_the_definition(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "sst.lz.yaml").write_text(DEFINITION)
    lz.resolve(tmp_path / "sst.lz.yaml", tmp_path / "sst.zarr")
    with lz.serve(tmp_path / "sst.zarr") as server:
        found = urlsplit(server.url)
        for path, status in (
            ("/", 200),
            ("/zarr.json", 200),
            ("/lazyzarr_files/zarr.json", 404),
            ("/sst/zarr.json", 200),
        ):
            connection = http.client.HTTPConnection(str(found.hostname), found.port, timeout=30)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            assert answer.status == status, path
            assert b"lazyzarr_files" not in body
            assert b"sst_{" not in body


def test_a_group_of_that_name_that_is_data_is_shown(tmp_path: Path) -> None:
    view = lz.full((2,), 1, dtype="int8")
    lz.save({"a": view, "lazyzarr_files": {"b": view}}, tmp_path / "g.zarr")
    assert xr.open_datatree(tmp_path / "g.zarr", engine="lazyzarr").groups == ("/", "/lazyzarr_files")
