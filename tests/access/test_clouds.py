"""Views in Google's and Microsoft's storage: opened, read, saved, changed and refused as in S3, requests counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import obstore
import pytest
import zarr
from obstore.store import AzureStore, GCSStore

import lazyzarr as lz
from lazyzarr.access import remote
from lazyzarr.access.session import Session
from tests.clouds import ACCOUNT, KEY, GcsServer, azurite, container

DATA = np.arange(64 * 48, dtype="i4").reshape(64, 48)
KINDS: dict[str, dict[str, Any]] = {
    "v3": {"chunks": (16, 16)},
    "v2": {"chunks": (16, 16), "zarr_format": 2},
    "sharded": {"chunks": (8, 8), "shards": (32, 16)},
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE", 0.001)


@dataclass
class Cloud:
    """A place in a bucket of a server."""

    root: str
    options: dict[str, Any]
    store: Any
    """obstore's own view of the bucket."""
    google: GcsServer | None = None

    def upload(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                obstore.put(self.store, f"d/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def open(self, name: str, *more: Any, **options: Any) -> Any:
        return lz.open(f"{self.root}/{name}", *more, storage_options=self.options, **options)

    def bytes_at(self, name: str) -> bytes:
        return bytes(obstore.get(self.store, f"d/{name}").bytes())

    def put(self, name: str, data: bytes) -> None:
        obstore.put(self.store, f"d/{name}", data)


@pytest.fixture(scope="session")
def azure_server() -> Iterator[str]:
    with azurite(Path(__file__).parent / "azurite") as address:
        yield address


@pytest.fixture(params=["gs", "az"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if request.param == "gs":
        with GcsServer() as server:
            options = server.options()
            yield Cloud("gs://bucket/d", {"gs://bucket/": options}, GCSStore("bucket", **options), server)
        return
    address = request.getfixturevalue("azure_server")
    name = f"bucket-{abs(hash(request.node.name)):x}"
    container(address, name)
    options = {"account_name": ACCOUNT, "account_key": KEY, "endpoint": address}
    store = AzureStore(name, **options, client_options={"allow_http": True})
    yield Cloud(f"az://{name}/d", {f"az://{name}/": options}, store)


@pytest.fixture
def archive(tmp_path: Path, cloud: Cloud) -> Cloud:
    for name, how in KINDS.items():
        zarr.create_array(tmp_path / "d" / name, data=DATA, fill_value=-1, **how)
    group = zarr.create_group(tmp_path / "d" / "a group ü", attributes={"title": "t"})
    group.create_array("x", data=DATA[0])
    group.create_group("deep").create_array("y", data=DATA[:, 0])
    with h5py.File(tmp_path / "d" / "a.h5", "w") as file:
        file.create_dataset("x", data=DATA, chunks=(16, 48))
    cloud.upload(tmp_path / "d")
    return cloud


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_opened_and_read(archive: Cloud, kind: str) -> None:
    view = archive.open(kind)
    assert view.reader.session.counts.requests == (3 if kind == "v2" else 1)
    assert (view.shape, view.dtype, view.fill_value) == ((64, 48), np.int32, -1)
    np.testing.assert_array_equal(view.read(), DATA, strict=True)
    np.testing.assert_array_equal(view[5:40:7, ::-3].T.read(), DATA[5:40:7, ::-3].T, strict=True)
    view.reader.session.counts.reset()
    if archive.google is not None:
        archive.google.clear()
    assert view[33, 17].read() == DATA[33, 17]
    assert view.reader.session.counts.requests <= 3
    if archive.google is not None:
        assert len(archive.google.log) == view.reader.session.counts.requests, "what is counted is what was sent"


def test_groups_are_listed(archive: Cloud) -> None:
    group = archive.open("a%20group%20%C3%BC")
    assert (set(group), dict(group.attrs)) == ({"x", "deep"}, {"title": "t"})
    np.testing.assert_array_equal(group["x"].read(), DATA[0])
    np.testing.assert_array_equal(group["deep/y"].read(), DATA[:, 0])


def test_hdf5_files_are_read_by_ranges(archive: Cloud) -> None:
    view = archive.open("a.h5", "x")
    np.testing.assert_array_equal(view[16:32].read(), DATA[16:32])
    stamp = view.ir.arrays[0].stamp
    assert stamp is not None
    assert stamp.etag
    assert stamp.size == len(archive.bytes_at("a.h5"))


def test_what_is_absent_is_fill_only_where_an_array_says_so(archive: Cloud) -> None:
    view = archive.open("v3")
    obstore.delete(archive.store, "d/v3/c/1/1")
    expected = DATA.copy()
    expected[16:32, 16:32] = -1
    np.testing.assert_array_equal(view.read(), expected)
    with pytest.raises(lz.SourceMissing):
        archive.open("nothing")
    hdf5 = archive.open("a.h5", "x")
    obstore.delete(archive.store, "d/a.h5")
    # Azure holds a request to its entity tag before it says that there is no such blob
    with pytest.raises(lz.SourceChanged if archive.google is None else lz.SourceMissing):
        hdf5.read()


def test_a_bucket_that_is_not_there_is_no_missing_object(archive: Cloud) -> None:
    session = Session({f"{archive.root[:2]}://": next(iter(archive.options.values()))})
    with pytest.raises(lz.SourceProtocolError) as caught:
        session.read(f"{archive.root[:2]}://bucket-nowhere/d/v3/zarr.json")
    assert "no such bucket" in str(caught.value)


def test_a_changed_source_is_an_error(archive: Cloud) -> None:
    view = archive.open("a.h5", "x")
    text = bytearray(archive.bytes_at("a.h5"))
    text[-1] ^= 1
    archive.put("a.h5", bytes(text))
    with pytest.raises(lz.SourceChanged):
        view.read()


def test_views_are_saved_and_opened_again(archive: Cloud) -> None:
    view = lz.concat([archive.open(kind) for kind in KINDS])[::-2]
    expected = np.concatenate([DATA] * 3)[::-2]
    lz.save(view, f"{archive.root}/views/all", storage_options=archive.options)
    document = archive.bytes_at("views/all/zarr.json")
    assert KEY.encode() not in document
    assert b"disable_oauth" not in document
    found = archive.open("views/all", allow=[archive.root])
    assert found.reader.session.counts.requests == 1
    np.testing.assert_array_equal(found.read(), expected, strict=True)
    with pytest.raises(lz.AccessDenied):
        archive.open("views/all")
    lz.save({"v": view, "t": np.arange(3)}, f"{archive.root}/group", storage_options=archive.options)
    group = archive.open("group")
    np.testing.assert_array_equal(group["v"].read(), expected, strict=True)
    np.testing.assert_array_equal(group["t"].read(), np.arange(3))


def test_what_is_there_is_replaced_when_asked_and_never_lost(archive: Cloud) -> None:
    views = [archive.open("v3")[k:] for k in range(3)]
    place = f"{archive.root}/v"
    lz.save(views[0], place, storage_options=archive.options)
    with pytest.raises(lz.SaveConflict):
        lz.save(views[1], place, storage_options=archive.options)
    lz.save(views[1], place, storage_options=archive.options, overwrite=True)
    assert archive.open("v").shape == (63, 48)
    with pytest.raises(lz.SaveConflict):
        lz.save(views[1], f"{archive.root}/sharded", storage_options=archive.options, overwrite=True)
    assert archive.open("sharded").shape == (64, 48), "what another program wrote is left alone"


def test_two_writers_do_not_lose_each_others_view(archive: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document is replaced between the look at it and the write: the write has to fail."""
    place = f"{archive.root}/v"
    lz.save(archive.open("v3"), place, storage_options=archive.options)
    other = archive.bytes_at("v/zarr.json").replace(b"\n", b" ") + b" "
    put = obstore.put

    def late(store: Any, key: str, *args: Any, **more: Any) -> Any:
        if more.get("mode"):
            archive.put("v/zarr.json", other)
        return put(store, key, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(obstore, "put", late)
        patch.setattr(archive, "put", lambda name, data: put(archive.store, f"d/{name}", data))
        with pytest.raises(lz.SaveConflict):
            lz.save(archive.open("v3")[1:], place, storage_options=archive.options, overwrite=True)
    assert archive.bytes_at("v/zarr.json") == other


def test_views_grow(archive: Cloud) -> None:
    place = f"{archive.root}/v"
    lz.save(archive.open("v3"), place, storage_options=archive.options, manifest="only")
    lz.append(place, archive.open("v3"), storage_options=archive.options)
    np.testing.assert_array_equal(archive.open("v").read(), np.concatenate([DATA, DATA]))


def test_ranges_and_tags(archive: Cloud) -> None:
    session = Session(archive.options)
    url, content = f"{archive.root}/a.h5", archive.bytes_at("a.h5")
    stamp = session.stat(url)
    assert session.read(url, offset=8, length=5, stamp=stamp) == content[8:13]
    assert session.read(url, offset=len(content) - 3) == content[-3:]
    parts = session.read_ranges(url, [0, 100, 200], [3, 4, 5], stamp=stamp)
    assert [bytes(part) for part in parts] == [content[:3], content[100:104], content[200:205]]
    assert "zarr.json" in session.list_dir(f"{archive.root}/v3")
    archive.put("a.h5", content[::-1])
    with pytest.raises(lz.SourceChanged):
        session.read(url, offset=8, length=5, stamp=stamp)


def test_a_wrong_key_is_no_missing_object(archive: Cloud) -> None:
    if archive.google is not None:
        archive.google.plan("/bucket/d/v3/zarr.json", "status", 403)
        with pytest.raises(lz.SourceDenied):
            archive.open("v3")
        return
    ((prefix, options),) = archive.options.items()
    wrong = {prefix: {**options, "account_key": "AAAA"}}
    with pytest.raises(lz.SourceDenied):
        lz.open(f"{archive.root}/v3", storage_options=wrong)


def test_an_address_of_google_may_be_given_alone() -> None:
    with GcsServer({"/bucket/a.bin": b"0123456789"}) as server:
        session = Session({"gs://bucket/": {"base_url": server.url, "skip_signature": True}})
        assert session.read("gs://bucket/a.bin", offset=3, length=4) == b"3456"
        assert session.read("gcs://bucket/a.bin") == b"0123456789"
        assert len(server.log) == 2
