"""Buckets through obstore: against an S3 server, and against one that misbehaves."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import HTTPStore, LocalStore, S3Store
from zarr.storage import ObjectStore

from lazyzarr.access import remote
from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.stamps import digest
from lazyzarr.access.url import from_user
from lazyzarr.errors import (
    AccessDenied,
    LazyZarrError,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceProtocolError,
    SourceUnavailable,
    ViewLimitError,
    ViewSchemaError,
)
from lazyzarr.ir.layout import Stamp
from tests.servers import Fault, RangeServer

BYTES = b"0123456789" * 100
KEYS = ("plain", "d/e/f", "d/g", "sea ice/ü%#+&.bin")

logging.getLogger("werkzeug").setLevel(logging.ERROR)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.001)


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, Any]]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "endpoint": f"http://{host}:{port}",
        "access_key_id": "id",
        "secret_access_key": "key",
        "region": "us-east-1",
    }
    server.stop()


@pytest.fixture
def client(options: dict[str, Any]) -> Any:
    made = boto3.client(
        "s3",
        endpoint_url=options["endpoint"],
        aws_access_key_id="id",
        aws_secret_access_key="key",
        region_name="us-east-1",
    )
    made.create_bucket(Bucket="bucket")
    for key in KEYS:
        made.put_object(Bucket="bucket", Key=key, Body=BYTES)
    return made


@pytest.fixture
def session(options: dict[str, Any], client: Any) -> Session:
    return Session({"s3://": options})


def test_reads_with_one_request_each(session: Session) -> None:
    for key in KEYS:
        url = from_user(f"s3://bucket/{key.replace('%', '%25').replace('#', '%23')}")
        session.counts.reset()
        assert session.read(url) == BYTES
        assert session.read(url, offset=3, length=4) == b"3456"
        assert session.read(url, offset=995) == b"56789"
        assert (session.counts.requests, session.counts.bytes) == (3, 1009)
        assert [bytes(part) for part in session.read_ranges(url, [0, 11, 22], [2, 2, 2])] == [b"01", b"12", b"23"]
        table = bytearray(5)
        session.read_into(url, 7, [table])
        assert table == b"78901"
        assert session.read(url, offset=3, length=0) == b""
        assert session.counts.requests == 7
    assert session.exists("s3://bucket/plain")
    assert not session.exists("s3://bucket/d")
    assert not session.is_local("s3://bucket/plain")


def test_missing_and_listing(session: Session) -> None:
    with pytest.raises(SourceMissing):
        session.read("s3://bucket/none")
    assert session.try_read("s3://bucket/none", offset=0, length=1) is None
    with pytest.raises(SourceProtocolError):
        session.try_read("s3://no-such-bucket/none")
    assert session.list_dir("s3://bucket/") == ("d", "plain", "sea ice")
    assert session.list_dir("s3://bucket/d") == ("e", "g")
    with pytest.raises(SourceMissing):
        session.list_dir("s3://bucket/none")


@pytest.mark.parametrize(("offset", "length"), [(999, 2), (1000, 1), (2000, 1), (1001, None), (-1, 2)])
def test_ranges_beyond_the_end(session: Session, offset: int, length: int | None) -> None:
    with pytest.raises(SourceProtocolError) as error:
        session.read("s3://bucket/plain", offset=offset, length=length)
    assert error.value.reason == "chunk-length"


def test_stamps(session: Session, client: Any) -> None:
    url = "s3://bucket/plain"
    stamp = session.stat(url)
    data, pinned = session.read_stamped(url)
    assert data == BYTES
    assert pinned == Stamp(1000, etag=stamp.etag, digest=digest(BYTES))
    assert session.read(url, offset=1, length=2, stamp=stamp) == b"12"
    client.put_object(Bucket="bucket", Key="plain", Body=BYTES[::-1])
    for call in (
        lambda: session.read(url, stamp=stamp),
        lambda: session.read(url, offset=1, length=2, stamp=stamp),
        lambda: session.read(url, stamp=pinned),
        lambda: session.verify(url, stamp),
        lambda: session.verify(url, pinned),
    ):
        with pytest.raises(SourceChanged):
            call()
    moved = Stamp(1000, etag='"elsewhere"', digest=digest(BYTES[::-1]))
    session.verify(url, moved)
    session.counts.reset()
    session.verify(url, moved)
    assert session.counts.requests == 0
    with pytest.raises(ViewLimitError):
        session.read_stamped(url, limit=999)


def test_grants(session: Session) -> None:
    grant = session.add_grant(Grant.below("s3://bucket/d/"))
    assert session.read("s3://bucket/d/e/f", grant=grant) == BYTES
    for url in ("s3://bucket/plain", "s3://bucket/d2", "s3://other/d/e/f", "gs://bucket/d/e/f"):
        session.counts.reset()
        with pytest.raises(AccessDenied):
            session.read(url, grant=grant)
        assert session.counts.requests == 0


def test_options_by_longest_prefix(options: dict[str, Any], client: Any) -> None:
    session = Session({"s3://bucket/d": options, "s3://": {**options, "endpoint": "http://127.0.0.1:1"}})
    assert session.read("s3://bucket/d/g") == BYTES
    with pytest.raises(SourceUnavailable):
        session.read("s3://bucket/plain")
    assert session.counts.requests == 4
    for wrong in ({"enpoint": "x"}, {"region": 3}):
        with pytest.raises(ViewSchemaError) as error:
            Session({"s3://": wrong}).read("s3://bucket/d")
        assert error.value.where == "storage_options"


def test_stores_of_obstore_become_locations(options: dict[str, Any], client: Any, tmp_path: Any) -> None:
    store = S3Store("bucket", prefix="d", client_options={"allow_http": True}, **options)
    session = Session()
    assert session.add_store(ObjectStore(store)) == "s3://bucket/d"
    assert session.read("s3://bucket/d/e/f", offset=1, length=2) == b"12"
    assert session.read("s3://bucket/d/e/f", stamp=session.stat("s3://bucket/d/e/f")) == BYTES
    assert session.list_dir("s3://bucket/d") == ("e", "g")
    assert pickle.loads(pickle.dumps(session)).read("s3://bucket/d/g") == BYTES
    assert session.add_store(ObjectStore(LocalStore(tmp_path))) == from_user(tmp_path)
    assert session.add_store(ObjectStore(HTTPStore("https://host/a/"))) == "https://host/a"


OUTCOMES: list[tuple[Fault, object, type[LazyZarrError] | None, type[LazyZarrError] | None, int]] = [
    ("status", 404, SourceMissing, SourceMissing, 1),
    ("status", 401, SourceDenied, SourceDenied, 1),
    ("status", 403, SourceDenied, SourceDenied, 1),
    ("status", 400, SourceProtocolError, SourceProtocolError, 1),
    ("status", 409, SourceProtocolError, SourceProtocolError, 1),
    ("status", 301, SourceProtocolError, SourceProtocolError, 1),
    ("status", 429, SourceUnavailable, SourceUnavailable, 3),
    ("status", 503, SourceUnavailable, SourceUnavailable, 3),
    ("reset", None, SourceUnavailable, SourceUnavailable, 3),
    ("garbage", None, SourceUnavailable, SourceUnavailable, 3),
    ("short", 3, SourceUnavailable, SourceUnavailable, 3),
    ("other-range", None, None, SourceProtocolError, 1),
    ("long", 3, None, SourceProtocolError, 1),
    ("ignore-range", None, None, SourceProtocolError, 1),
    ("no-length", None, SourceProtocolError, SourceProtocolError, 1),
    ("ignore-match", None, None, None, 1),
    ("no-etag", None, None, None, 1),
]


@pytest.mark.parametrize(("fault", "value", "whole", "part", "requests"), OUTCOMES)
def test_every_fault_is_an_error_or_the_right_bytes(
    fault: Fault,
    value: object,
    whole: type[LazyZarrError] | None,
    part: type[LazyZarrError] | None,
    requests: int,
) -> None:
    with RangeServer({"/bucket/k": BYTES}) as server:
        session = Session({"s3://": {"endpoint": server.url, "skip_signature": True, "region": "us-east-1"}})
        server.plan("/bucket/k", fault, value)
        for expected, span in ((whole, (None, None)), (part, (4, 6))):
            session.counts.reset()
            server.log.clear()
            if expected is None:
                found = session.read("s3://bucket/k", offset=span[0], length=span[1])
                assert found == BYTES[span[0] or 0 :][: span[1]]
            else:
                with pytest.raises(expected) as error:
                    session.read("s3://bucket/k", offset=span[0], length=span[1])
                assert type(error.value) is expected
            assert session.counts.requests == requests
            if fault not in ("reset", "garbage"):
                assert len(server.log) == requests


def test_storage_that_does_not_know_if_match() -> None:
    with RangeServer({"/bucket/k": BYTES}) as server:
        session = Session({"s3://": {"endpoint": server.url, "skip_signature": True, "region": "us-east-1"}})
        server.plan("/bucket/k", "ignore-match")
        with pytest.raises(SourceChanged):
            session.read("s3://bucket/k", offset=1, length=2, stamp=Stamp(etag='"x"'))
        server.plan("/bucket/k", "status", 503, times=2)
        assert session.read("s3://bucket/k", offset=1, length=2) == b"12"
        assert session.counts.requests == 4


def test_google_and_azure() -> None:
    with RangeServer({"/bucket/a%2Fk": BYTES, "/account/bucket/a/k": BYTES}) as server:
        account = {
            "gcs_base_url": server.url,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        session = Session(
            {
                "gs://": {"service_account_key": json.dumps(account), "client_options": {"allow_http": True}},
                "az://": {
                    "account_name": "account",
                    "endpoint": f"{server.url}/account",
                    "skip_signature": True,
                },
            }
        )
        assert session.read("gs://bucket/a/k", offset=1, length=3) == b"123"
        assert session.read("az://bucket/a/k", offset=1, length=3) == b"123"
        assert session.try_read("gs://bucket/none") is None
