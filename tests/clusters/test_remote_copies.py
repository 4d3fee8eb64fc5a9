"""Copies to buckets and to Zarr stores: whole, continued, refused, and what is there while they are made."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from moto.server import ThreadedMotoServer
from zarr.storage import MemoryStore

import lazyzarr as lz

logging.getLogger("werkzeug").setLevel(logging.ERROR)
CELLS = np.arange(20 * 30, dtype="i4").reshape(20, 30)
URL = "s3://copies/some/real.zarr"


class Bucket:
    """What is in the bucket."""

    def __init__(self, endpoint: str) -> None:
        keys: dict[str, Any] = {"aws_access_key_id": "id", "aws_secret_access_key": "key", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=endpoint, **keys)
        self.options = {
            "s3://copies/": {
                "endpoint": endpoint,
                "access_key_id": "id",
                "secret_access_key": "key",
                "region": "us-east-1",
            }
        }

    def names(self) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket="copies").get("Contents", [])]

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket="copies", Key=key)["Body"].read()

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket="copies", Key=key, Body=body)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str) -> Bucket:
    found = Bucket(endpoint)
    found.client.create_bucket(Bucket="copies")
    for key in found.names():
        found.client.delete_object(Bucket="copies", Key=key)
    return found


@pytest.fixture
def view(tmp_path: Path) -> lz.View:
    zarr.create_array(tmp_path / "a.zarr", data=CELLS, chunks=(5, 10), dimension_names=["y", "x"], fill_value=-1)
    return lz.open(tmp_path / "a.zarr")[::-1]


def read(bucket: Bucket, url: str = URL) -> Any:
    return lz.open(url, storage_options=bucket.options)


class Stopped(Exception):
    """Of a progress that has seen enough."""


def stop_after(pieces: int) -> Any:
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) >= pieces:
            raise Stopped

    return progress


def test_an_array_and_a_group(bucket: Bucket, view: lz.View) -> None:
    lz.copy(view, URL, chunks=(5, 10), storage_options=bucket.options)
    np.testing.assert_array_equal(read(bucket).read(), CELLS[::-1])
    assert read(bucket).dims == ("y", "x")
    assert not [key for key in bucket.names() if ".copying" in key]
    place = "s3://copies/group.zarr"
    lz.copy({"a": view, "inner": {"b": view.T, "c": np.arange(3)}}, place, storage_options=bucket.options)
    group = read(bucket, place)
    np.testing.assert_array_equal(group["inner"]["b"].read(), CELLS[::-1].T)
    assert group["inner"]["c"].read().tolist() == [0, 1, 2]
    document = json.loads(bucket.get("group.zarr/zarr.json"))
    assert set(document["consolidated_metadata"]["metadata"]) == {"a", "inner", "inner/b", "inner/c"}


def test_chunks_of_nothing_but_fill_are_left_out(bucket: Bucket) -> None:
    lz.copy(lz.full((4, 4), 7, dtype="i2"), URL, chunks=(2, 2), storage_options=bucket.options)
    assert bucket.names() == ["some/real.zarr/zarr.json"]
    assert read(bucket).read().tolist() == [[7] * 4] * 4


def test_a_copy_that_was_stopped_goes_on(bucket: Bucket, view: lz.View) -> None:
    given: dict[str, Any] = {"chunks": (5, 10), "memory": 1, "storage_options": bucket.options}
    with pytest.raises(Stopped):
        lz.copy(view, URL, progress=stop_after(5), **given)
    keys = bucket.names()
    assert "some/real.zarr/zarr.json" not in keys, "no reader takes it for an array"
    marks = [key for key in keys if key.startswith("some/.real.zarr.copying/done/")]
    assert 5 <= len(marks) < 12
    before = view.reader.session.counts.requests
    done: list[int] = []
    lz.copy(view, URL, progress=lambda part, whole: done.append(part), **given)
    assert done[-1] == CELLS.nbytes
    assert len(done) - 1 == 12 - len(marks), "only what was not done is read"
    assert view.reader.session.counts.requests > before
    np.testing.assert_array_equal(read(bucket).read(), CELLS[::-1])
    assert not [key for key in bucket.names() if ".copying" in key]


def test_another_copy_is_not_mixed_with_one_that_was_stopped(bucket: Bucket, view: lz.View) -> None:
    given: dict[str, Any] = {"chunks": (5, 10), "memory": 1, "storage_options": bucket.options}
    with pytest.raises(Stopped):
        lz.copy(view, URL, progress=stop_after(3), **given)
    with pytest.raises(lz.SaveConflict, match="resume=False"):
        lz.copy(view[::-1], URL, **given)
    lz.copy(view[::-1][:10], URL, resume=False, **given)
    np.testing.assert_array_equal(read(bucket).read(), CELLS[:10])
    assert sum("/c/" in key for key in bucket.names()) == 6, "nothing of the first is left"


def test_what_is_there_is_not_replaced_unasked(bucket: Bucket, view: lz.View) -> None:
    options = bucket.options
    lz.copy(view, URL, chunks=(5, 10), storage_options=options)
    with pytest.raises(lz.SaveConflict, match="the target exists"):
        lz.copy(view[:5], URL, storage_options=options)
    with pytest.raises(lz.SaveConflict, match="replaces Zarr nodes"):
        lz.copy({"a": view}, URL, overwrite=True, storage_options=options)
    np.testing.assert_array_equal(read(bucket).read(), CELLS[::-1])
    lz.copy(view[:5], URL, chunks=(5, 10), overwrite=True, storage_options=options)
    np.testing.assert_array_equal(read(bucket).read(), CELLS[::-1][:5])
    assert sum("/c/" in key for key in bucket.names()) == 3
    bucket.put("other/file.txt", b"mine")
    with pytest.raises(lz.SaveConflict, match="no copy of a Zarr array"):
        lz.copy(view, "s3://copies/other", overwrite=True, storage_options=options)
    assert bucket.get("other/file.txt") == b"mine"


def test_a_source_is_not_replaced(bucket: Bucket, view: lz.View) -> None:
    lz.copy(view, URL, chunks=(5, 10), storage_options=bucket.options)
    with pytest.raises(lz.SaveConflict, match="would replace what it reads"):
        lz.copy(read(bucket)[::-1], URL, overwrite=True, storage_options=bucket.options)
    with pytest.raises(lz.SaveConflict, match="no copy of a Zarr group"):
        lz.copy({"a": read(bucket)}, "s3://copies/some", overwrite=True, storage_options=bucket.options)


def test_a_storage_that_fails(bucket: Bucket, view: lz.View) -> None:
    with pytest.raises(lz.SaveError, match=r"copy to s3://nowhere/a\.zarr; the storage failed"):
        lz.copy(view, "s3://nowhere/a.zarr", storage_options={"s3://nowhere/": bucket.options["s3://copies/"]})
    with pytest.raises(lz.SaveUnsupported, match="https"):
        lz.copy(view, "https://example.org/a.zarr")


def test_workers_of_a_cluster_write_to_a_bucket(bucket: Bucket, view: lz.View) -> None:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        lz.copy(view, URL, chunks=(5, 10), memory=1, scheduler=client, storage_options=bucket.options)
        with pytest.raises(lz.SaveUnsupported, match="with a scheduler"):
            lz.copy(view, MemoryStore(), scheduler=client)
    np.testing.assert_array_equal(read(bucket).read(), CELLS[::-1])


def test_a_store_of_zarr(view: lz.View, tmp_path: Path) -> None:
    store = MemoryStore()
    given: dict[str, Any] = {"chunks": (5, 10), "memory": 1}
    with pytest.raises(Stopped):
        lz.copy(view, store, progress=stop_after(4), **given)
    assert "zarr.json" not in store._store_dict
    lz.copy(view, store, **given)
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], CELLS[::-1])
    assert not [key for key in store._store_dict if "copying" in key]
    with pytest.raises(lz.SaveConflict):
        lz.copy(view, store)
    lz.copy({"a": view[:5]}, MemoryStore())
    lz.copy(view[:5], store, overwrite=True, **given)
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], CELLS[::-1][:5])
    with pytest.raises(lz.SaveUnsupported, match="read only"):
        lz.copy(view, MemoryStore(read_only=True))
    lz.copy(view, zarr.storage.LocalStore(tmp_path / "local.zarr"))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "local.zarr", mode="r")[...], CELLS[::-1])
