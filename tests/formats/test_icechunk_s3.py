"""An Icechunk repository on S3: opened by its URL, written into, held to entity tags."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import icechunk
import numpy as np
import obstore
import pytest
import zarr
from moto.server import ThreadedMotoServer

import lazyzarr as lz

KEYS = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
VALUES = np.arange(6, dtype="i2")


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    place = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=place, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="data/a.zarr/c/0", Body=VALUES.tobytes())
    client.close()
    yield place
    server.stop()


def test_pins_go_out_and_come_back(endpoint: str) -> None:
    prefix = "s3://bucket/data/"
    store = icechunk.s3_store(region="us-east-1", endpoint_url=endpoint, allow_http=True, force_path_style=True)
    config = icechunk.RepositoryConfig.default()
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
    keys = {"access_key_id": "a", "secret_access_key": "b"}
    access = icechunk.containers_credentials({prefix: icechunk.s3_static_credentials(**keys)})
    storage = icechunk.s3_storage(
        bucket="bucket",
        prefix="repo",
        region="us-east-1",
        endpoint_url=endpoint,
        allow_http=True,
        force_path_style=True,
        **keys,
    )
    repo = icechunk.Repository.create(storage, config, authorize_virtual_chunk_access=access)
    repo.save_config()
    options = {"s3://bucket/": {**KEYS, "endpoint": endpoint, "client_options": {"allow_http": True}}}
    objects = obstore.store.S3Store("bucket", endpoint=endpoint, client_options={"allow_http": True}, **KEYS)
    tag = obstore.head(objects, "data/a.zarr/c/0")["e_tag"]
    session = repo.writable_session("main")
    plain = {"dtype": "i2", "chunks": (6,), "compressors": None, "filters": None}
    zarr.create_array(session.store, name="first", shape=(6,), **plain)
    session.store.set_virtual_ref("first/c/0", f"{prefix}a.zarr/c/0", offset=0, length=12, checksum=tag)
    session.commit("by hand")

    view = lz.open("s3://bucket/repo", "first", storage_options=options)
    assert view.read().tolist() == VALUES.tolist()
    assert view.sources()[0].stamp is not None
    assert view.sources()[0].stamp.etag == tag
    session = repo.writable_session("main")
    report = lz.formats.icechunk.write({"second": view}, session)
    assert (report.pinned, report.unpinned) == (1, 0)
    session.commit("by lazyzarr")
    again = lz.open("s3://bucket/repo", "second", storage_options=options)
    assert again.sources()[0].stamp.etag == tag
    assert zarr.open_array(repo.readonly_session("main").store, path="second", mode="r")[:].tolist() == VALUES.tolist()

    obstore.put(objects, "data/a.zarr/c/0", (VALUES + 1).tobytes())
    with pytest.raises(lz.SourceChanged):
        again.read()
    with pytest.raises(icechunk.IcechunkError):
        zarr.open_array(repo.readonly_session("main").store, path="second", mode="r")[:]
