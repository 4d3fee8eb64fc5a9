"""What a web server can do to a read: the right values, or one typed error that names the chunk; never fill."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from tests.faults.trees import objects_of
from tests.servers import Fault, RangeServer

DATA = np.arange(1, 65, dtype="i4").reshape(8, 8)
CHUNK = "/a.zarr/c/1/0"
SHARD = "/s.zarr/c/1/0"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    zarr.create_array(tmp_path / "a.zarr", data=DATA, chunks=(4, 4))
    zarr.create_array(tmp_path / "s.zarr", data=DATA, chunks=(1, 1), shards=(4, 4))
    zarr.create_array(tmp_path / "v2.zarr", data=DATA, chunks=(4, 4), zarr_format=2)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("d", data=DATA, chunks=(1, 8), compression="gzip")
    lz.save(lz.open(tmp_path / "a.zarr"), tmp_path / "a.view")
    lz.save(lz.open(tmp_path / "s.zarr"), tmp_path / "s.view")
    lz.save(lz.open(tmp_path / "x.h5", "d"), tmp_path / "h.view")
    with RangeServer(objects_of(tmp_path)) as found:
        yield found


def opened(server: RangeServer, name: str, deadline: float = 5) -> lz.View:
    return lz.open(f"{server.url}/{name}", storage_options={server.url + "/": {"deadline": deadline}})


@pytest.mark.parametrize("name", ["a.zarr", "s.zarr", "v2.zarr", "a.view", "s.view", "h.view"])
def test_arrays_and_views_are_opened_and_read(server: RangeServer, name: str) -> None:
    view = opened(server, name)
    np.testing.assert_array_equal(view.read(), DATA, strict=True)
    np.testing.assert_array_equal(view[::-3, 1:].T.read(), DATA[::-3, 1:].T, strict=True)
    assert view[5, 6].read() == DATA[5, 6]


FAULTS: list[tuple[Fault, object, type[lz.SourceError], str]] = [
    ("status", 401, lz.SourceDenied, "source-denied"),
    ("status", 403, lz.SourceDenied, "source-denied"),
    ("status", 400, lz.SourceProtocolError, "source-protocol"),
    ("status", 500, lz.SourceUnavailable, "source-unavailable"),
    ("status", 503, lz.SourceUnavailable, "source-unavailable"),
    ("reset", None, lz.SourceUnavailable, "source-unavailable"),
    ("garbage", None, lz.SourceProtocolError, "source-protocol"),
    ("short", 3, lz.SourceProtocolError, "chunk-length"),
    ("cut-chunked", None, lz.SourceProtocolError, "chunk-length"),
    ("encoded", None, lz.SourceProtocolError, "source-protocol"),
]


@pytest.mark.parametrize(("fault", "value", "error", "reason"), FAULTS)
@pytest.mark.parametrize(
    ("name", "path"), [("a.zarr", CHUNK), ("a.view", CHUNK), ("s.view", SHARD), ("h.view", "/x.h5")]
)
def test_a_fault_is_one_error_that_names_the_chunk(
    server: RangeServer, name: str, path: str, fault: Fault, value: object, error: type[lz.SourceError], reason: str
) -> None:
    view = opened(server, name)
    server.plan(path, fault, value)
    for part in (view, view[4:, 0], view[4, 0]):
        with pytest.raises(error) as caught:
            part.read()
        assert type(caught.value) is error
        assert caught.value.reason == reason
        assert not isinstance(caught.value, (FileNotFoundError, KeyError))
        assert re.match(r"chunk \((1|4|0), 0\) of http.* at http", caught.value.where or "")
        assert path in str(caught.value)
    if name != "h.view":
        np.testing.assert_array_equal(view[:4].read(), DATA[:4])
    server.clear()
    np.testing.assert_array_equal(view.read(), DATA)


@pytest.mark.parametrize("fault", ["status", "reset", "short"])
def test_what_passes_is_tried_again(server: RangeServer, fault: Fault) -> None:
    view = opened(server, "a.view")
    server.plan(CHUNK, fault, {"status": 503, "short": 2}.get(fault), times=2)
    np.testing.assert_array_equal(view.read(), DATA)


@pytest.mark.parametrize("name", ["s.zarr", "h.view"])
def test_a_server_that_ignores_ranges_is_understood(server: RangeServer, name: str) -> None:
    for path in ("/x.h5", SHARD):
        server.plan(path, "ignore-range")
    view = opened(server, name)
    np.testing.assert_array_equal(view.read(), DATA)
    assert view[7, 1].read() == DATA[7, 1]


@pytest.mark.parametrize(("fault", "value"), [("other-range", None), ("long", 2)])
@pytest.mark.parametrize(("name", "path"), [("s.zarr", SHARD), ("h.view", "/x.h5")])
def test_another_range_than_asked_for_is_an_error(
    server: RangeServer, name: str, path: str, fault: Fault, value: object
) -> None:
    view = opened(server, name)
    server.plan(path, fault, value)
    with pytest.raises(lz.SourceProtocolError):
        view[4, 0].read()


def test_missing_chunks_are_fill_while_the_array_is_there(server: RangeServer) -> None:
    expected = DATA.copy()
    expected[4:, :4] = 0
    for name, path in (("a.zarr", CHUNK), ("a.view", CHUNK), ("s.view", SHARD)):
        kept = server.objects.pop(path, None)
        view = opened(server, name)
        np.testing.assert_array_equal(view.read(), expected)
        assert view[4, 0].read() == 0
        server.objects[path] = kept or b""
    del server.objects["/x.h5"]
    with pytest.raises(lz.SourceMissing) as caught:
        opened(server, "h.view").read()
    assert "chunk (0, 0)" in (caught.value.where or "")


@pytest.mark.parametrize("name", ["a.zarr", "a.view", "v2.zarr"])
def test_an_array_that_is_gone_is_an_error(server: RangeServer, name: str) -> None:
    view = opened(server, name)
    for path in [path for path in server.objects if path.startswith(("/a.zarr", "/v2.zarr"))]:
        del server.objects[path]
    for part in (view, view[0, 0]):
        with pytest.raises(lz.SourceMissing) as caught:
            part.read()
        assert caught.value.reason == "source-missing"


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("small", [True, False])
def test_an_array_that_goes_between_two_reads_is_an_error(server: RangeServer, verify: bool, small: bool) -> None:
    view = lz.open(f"{server.url}/a.zarr", verify=verify)
    part = view[0, 0] if small else view
    part.read()
    for path in [path for path in server.objects if path.startswith("/a.zarr")]:
        del server.objects[path]
    with pytest.raises(lz.SourceMissing):
        part.read()


def test_a_directory_server_that_refuses_instead_of_not_finding(server: RangeServer) -> None:
    view = opened(server, "a.zarr")
    del server.objects[CHUNK]
    server.plan(CHUNK, "status", 403)
    with pytest.raises(lz.SourceDenied):
        view.read()


def test_redirects(server: RangeServer) -> None:
    """What a person names may be redirected; what a document names may not."""
    server.plan("/a.zarr/zarr.json", "redirect", "/moved/zarr.json")
    server.objects["/moved/zarr.json"] = server.objects["/a.zarr/zarr.json"]
    np.testing.assert_array_equal(opened(server, "a.zarr").read(), DATA)
    server.clear()
    view = opened(server, "a.view")
    server.plan(CHUNK, "redirect", "/a.zarr/c/0/0")
    server.plan("/a.view/zarr.json", "redirect", "/elsewhere/zarr.json")
    server.objects["/elsewhere/zarr.json"] = server.objects["/a.view/zarr.json"]
    for part in (view, view[4, 0], opened(server, "a.view")):
        with pytest.raises(lz.AccessDenied) as caught:
            part.read()
        assert caught.value.reason == "access-denied"


def test_a_document_stays_where_it_was_asked_for(server: RangeServer, tmp_path: Path) -> None:
    """A redirected document is not trusted below the place it was redirected to."""
    with RangeServer(objects_of(tmp_path)) as other:
        server.plan("/a.view/zarr.json", "redirect", f"{other.url}/a.view/zarr.json")
        view = opened(server, "a.view")
        other.clear()
        np.testing.assert_array_equal(view.read(), DATA)
        assert other.lines() == []


@pytest.mark.parametrize("fault", ["slow", "trickle"])
def test_a_slow_server_is_given_up_on(server: RangeServer, fault: Fault) -> None:
    view = opened(server, "a.view", deadline=0.2)
    server.plan(CHUNK, fault, 5 if fault == "slow" else 0.05)
    for part in (view, view[4, 0]):
        start = time.monotonic()
        with pytest.raises(lz.SourceUnavailable) as caught:
            part.read()
        assert time.monotonic() - start < 2
        assert "chunk (1, 0)" in (caught.value.where or "")


def test_a_source_that_changed_on_the_server_is_an_error(server: RangeServer) -> None:
    view = opened(server, "a.zarr")
    view.read()
    server.objects["/a.zarr/zarr.json"] = server.objects["/a.zarr/zarr.json"].replace(
        b'"fill_value": 0', b'"fill_value": 9'
    )
    with pytest.raises(lz.SourceChanged):
        opened(server, "a.view").read()
    server.objects["/x.h5"] += b" "
    with pytest.raises(lz.SourceChanged):
        opened(server, "h.view").read()
    with pytest.raises(lz.SourceChanged):
        opened(server, "h.view")[0, 0].read()
    waived = lz.open(f"{server.url}/h.view", verify=False)
    np.testing.assert_array_equal(waived.read(), DATA)


def test_groups_are_opened_by_consolidated_metadata_and_not_listed(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "g.zarr", attributes={"title": "t"})
    group.create_array("x", data=DATA)
    with pytest.warns():
        zarr.consolidate_metadata(tmp_path / "g.zarr")
    zarr.create_group(tmp_path / "plain.zarr").create_array("x", data=DATA)
    lz.save({"v": lz.open(tmp_path / "g.zarr", "x"), "n": np.arange(3)}, tmp_path / "ours.zarr")
    with RangeServer(objects_of(tmp_path)) as server:
        found = lz.open(f"{server.url}/g.zarr")
        assert server.lines() == ["GET /g.zarr/zarr.json"]
        assert (list(found), dict(found.attrs)) == (["x"], {"title": "t"})
        np.testing.assert_array_equal(found["x"].read(), DATA)
        np.testing.assert_array_equal(lz.open(f"{server.url}/ours.zarr", "v").read(), DATA)
        np.testing.assert_array_equal(lz.open(f"{server.url}/ours.zarr")["n"].read(), np.arange(3))
        with pytest.raises(lz.UnsupportedFeature):
            lz.open(f"{server.url}/plain.zarr")
        with pytest.raises(lz.SourceMissing):
            lz.open(f"{server.url}/none.zarr")
        assert not any(request.target.endswith("/") for request in server.log)


@pytest.mark.parametrize("version", [2, 3])
def test_groups_in_groups_are_opened_by_consolidated_metadata(tmp_path: Path, version: int) -> None:
    group = zarr.create_group(tmp_path / "g.zarr", zarr_format=version)
    group.create_group("deep").create_array("x", data=DATA)
    if version == 3:
        with pytest.warns():
            zarr.consolidate_metadata(tmp_path / "g.zarr")
    else:
        zarr.consolidate_metadata(tmp_path / "g.zarr")
    with RangeServer(objects_of(tmp_path)) as server:
        np.testing.assert_array_equal(lz.open(f"{server.url}/g.zarr")["deep/x"].read(), DATA)
