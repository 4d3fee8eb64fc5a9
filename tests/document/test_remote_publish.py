"""Publication to an S3 server and to Zarr store objects."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import zarr
from moto.server import ThreadedMotoServer
from zarr.storage import LocalStore, MemoryStore

from lazyzarr.access.session import Session
from lazyzarr.document.decode import decode, generation_of
from lazyzarr.document.encode import EncodedView, encode
from lazyzarr.document.groups import ArrayMember, GroupMember, encode_group
from lazyzarr.document.plain_array import Content
from lazyzarr.document.remote_publish import publish_remote, publish_store
from lazyzarr.errors import SaveConflict, SaveError, SaveUnsupported
from lazyzarr.ir.graph import GraphBuilder
from lazyzarr.ir.nodes import Fill, Take
from lazyzarr.ir.tables import Table
from lazyzarr.opening import Opening

logging.getLogger("werkzeug").setLevel(logging.ERROR)
URL = "s3://bucket/some/v.zarr"


def view(url: str, number: int) -> EncodedView:
    build = GraphBuilder()
    table = build.table(Table({"indices": np.full(300, number, np.int64)}))
    graph = build.build(build.node(Take(build.node(Fill((99,), "int8", 0)), 0, table)))
    return encode(graph, base_url=url, attributes={"number": number})


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    found = ThreadedMotoServer(port=0, verbose=False)
    found.start()
    host, port = found.get_host_and_port()
    yield f"http://{host}:{port}"
    found.stop()


@pytest.fixture
def session(server: str) -> Session:
    keys: dict[str, Any] = {"aws_access_key_id": "id", "aws_secret_access_key": "key", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=server, **keys)
    client.create_bucket(Bucket="bucket")
    for entry in client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_object(Bucket="bucket", Key=entry["Key"])
    options = {"endpoint": server, "access_key_id": "id", "secret_access_key": "key", "region": "us-east-1"}
    return Session({"s3://bucket/": options})


def number_at(url: str, session: Session) -> int:
    opened = decode(bytes(session.read(f"{url}/zarr.json")), url=url, session=session)
    number = opened.attributes["number"]
    assert isinstance(opened.graph.root, Take)
    assert np.asarray(opened.graph.tables[opened.graph.root.indices]["indices"])[7] == number
    return number


def test_a_view_in_a_bucket(session: Session) -> None:
    publish_remote(URL, view(URL, 1), session=session)
    assert number_at(URL, session) == 1
    with pytest.raises(SaveConflict):
        publish_remote(URL, view(URL, 2), session=session)
    assert number_at(URL, session) == 1
    publish_remote(URL, view(URL, 2), session=session, overwrite=True)
    assert number_at(URL, session) == 2


def test_a_change_by_someone_else_is_noticed(session: Session) -> None:
    publish_remote(URL, view(URL, 1), session=session)
    mine = generation_of(view(URL, 1).document)
    publish_remote(URL, view(URL, 2), session=session, expected=mine)
    with pytest.raises(SaveConflict):
        publish_remote(URL, view(URL, 3), session=session, expected=mine)
    with pytest.raises(SaveConflict):
        publish_remote(f"{URL}-gone", view(URL, 3), session=session, expected=mine)
    assert number_at(URL, session) == 2


def test_what_is_not_ours_is_not_replaced(session: Session, server: str) -> None:
    client = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="id", aws_secret_access_key="key", region_name="us-east-1"
    )
    client.put_object(Bucket="bucket", Key="some/v.zarr/zarr.json", Body=b'{"zarr_format":3,"node_type":"array"}')
    with pytest.raises(SaveConflict):
        publish_remote(URL, view(URL, 1), session=session, overwrite=True)


def test_a_group_is_created_and_replaced(session: Session) -> None:
    def group(name: str, length: int) -> dict[str, Content]:
        return encode_group(GroupMember({name: ArrayMember(np.arange(length))}), base_url=URL)

    publish_remote(URL, group("a", 3), session=session)
    assert "a" in session.list_dir(URL)
    with pytest.raises(SaveConflict):
        publish_remote(URL, group("a", 4), session=session)
    publish_remote(URL, group("a", 4), session=session, overwrite=True)
    found: Any = Opening(storage_options=session.options).open(URL)
    assert found["a"].read().tolist() == [0, 1, 2, 3]
    publish_remote(URL, group("b", 2), session=session, overwrite=True)
    left: Any = Opening(storage_options=session.options).open(URL)
    assert list(left) == ["b"]
    with pytest.raises(SaveUnsupported, match="a group a group"):
        publish_remote(URL, view(URL, 1), session=session, overwrite=True)


def test_a_group_in_a_zarr_store_is_not_replaced() -> None:
    files = encode_group(GroupMember({"a": ArrayMember(np.arange(3))}), base_url=URL)
    store = MemoryStore()
    publish_store(store, "", files)
    with pytest.raises(SaveUnsupported, match="in one step"):
        publish_store(store, "", files, overwrite=True)


@pytest.mark.parametrize("name", [".zarray", ".zgroup"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_node_of_version_2_is_not_mixed_with_a_view(
    session: Session, server: str, name: str, *, overwrite: bool
) -> None:
    client = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="id", aws_secret_access_key="key", region_name="us-east-1"
    )
    client.put_object(Bucket="bucket", Key=f"some/v.zarr/{name}", Body=b'{"zarr_format":2}')
    with pytest.raises(SaveConflict, match="version 2"):
        publish_remote(URL, view(URL, 1), session=session, overwrite=overwrite)
    store = MemoryStore()
    zarr.create_array(store, shape=(1,), dtype="i1", zarr_format=2)
    with pytest.raises(SaveConflict, match="version 2"):
        publish_store(store, "", view(URL, 1), overwrite=overwrite)


def test_a_bucket_that_is_not_there_is_a_save_error(session: Session) -> None:
    options = session.options["s3://bucket/"]
    other = Session({"s3://": options})
    with pytest.raises(SaveError) as error:
        publish_remote("s3://missing/v.zarr", view(URL, 1), session=other)
    assert error.value.reason == "save-failed"


def test_http_is_not_written(session: Session) -> None:
    with pytest.raises(SaveUnsupported):
        publish_remote("http://example.org/v.zarr", view(URL, 1), session=session)


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("path", ["", "a/v"])
def test_a_view_in_a_zarr_store(tmp_path: Path, kind: str, path: str) -> None:
    store = MemoryStore() if kind == "memory" else LocalStore(tmp_path)
    session = Session()
    root = session.add_store(store).rstrip("/")
    url = f"{root}/{path}" if path else root
    publish_store(store, path, view(url, 1))
    assert number_at(url, session) == 1
    with pytest.raises(SaveConflict):
        publish_store(store, path, view(url, 2))
    publish_store(store, path, view(url, 2), overwrite=True)
    assert number_at(url, session) == 2


def test_a_store_that_is_read_only_is_refused() -> None:
    with pytest.raises(SaveUnsupported):
        publish_store(MemoryStore(read_only=True), "", view("store://x/", 1))
