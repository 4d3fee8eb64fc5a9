"""Real servers for the tests of faults; pauses between tries are short, everything else is as users have it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lazyzarr.access import remote
from tests import servers

logging.getLogger("werkzeug").setLevel(logging.ERROR)

Upload = Callable[[Path, str], None]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.001)
    monkeypatch.delenv("LAZYZARR_ALLOW", raising=False)
    # sixteen connections at once must not wait for the kernel to offer them again a second later
    monkeypatch.setattr(servers._Quiet, "request_queue_size", 128)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str) -> Any:
    """A client of an S3 server with one empty bucket, ``bucket``."""
    client = boto3.client(
        "s3", endpoint_url=s3_server, aws_access_key_id="id", aws_secret_access_key="key", region_name="us-east-1"
    )
    client.create_bucket(Bucket="bucket")
    for entry in client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_object(Bucket="bucket", Key=entry["Key"])
    return client


@pytest.fixture
def options(s3_server: str) -> dict[str, dict[str, Any]]:
    """``storage_options`` for the bucket."""
    keys = {"endpoint": s3_server, "access_key_id": "id", "secret_access_key": "key", "region": "us-east-1"}
    return {"s3://bucket/": {**keys, "deadline": 5}}


@pytest.fixture
def upload(s3: Any) -> Upload:
    """Put the files below a folder under a prefix of the bucket."""

    def put(folder: Path, prefix: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                s3.put_object(Bucket="bucket", Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())

    return put
