"""Arrays, groups and saved views in a bucket, through the public functions, against a real S3 server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from tests.faults.conftest import Upload

DATA = np.arange(64 * 48, dtype="i4").reshape(64, 48)
KINDS: dict[str, dict[str, Any]] = {
    "v3": {"chunks": (16, 16)},
    "v2": {"chunks": (16, 16), "zarr_format": 2},
    "sharded": {"chunks": (8, 8), "shards": (32, 16)},
}
ROOT = "s3://bucket/d"


@pytest.fixture
def archive(tmp_path: Path, upload: Upload) -> Path:
    folder = tmp_path / "d"
    for name, how in KINDS.items():
        zarr.create_array(folder / name, data=DATA, fill_value=-1, **how)
    group = zarr.create_group(folder / "group", attributes={"title": "t"})
    group.create_array("x", data=DATA[0])
    group.create_group("deep").create_array("y", data=DATA[:, 0])
    upload(folder, "d")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_opened_and_read(archive: Path, options: dict[str, Any], kind: str) -> None:
    view = lz.open(f"{ROOT}/{kind}", storage_options=options)
    assert view.reader.session.counts.requests == (3 if kind == "v2" else 1)
    assert (view.shape, view.dtype, view.fill_value) == ((64, 48), np.int32, -1)
    np.testing.assert_array_equal(view.read(), DATA, strict=True)
    np.testing.assert_array_equal(view[5:40:7, ::-3].T.read(), DATA[5:40:7, ::-3].T, strict=True)
    view.reader.session.counts.reset()
    assert view[33, 17].read() == DATA[33, 17]
    assert view.reader.session.counts.requests <= 3


def test_groups_are_listed_or_consolidated(archive: Path, options: dict[str, Any], upload: Upload) -> None:
    for _ in range(2):
        group = lz.open(f"{ROOT}/group", storage_options=options)
        assert (set(group), dict(group.attrs)) == ({"x", "deep"}, {"title": "t"})
        np.testing.assert_array_equal(group["x"].read(), DATA[0])
        np.testing.assert_array_equal(group["deep/y"].read(), DATA[:, 0])
        variable = lz.open(f"{ROOT}/group", "deep/y", storage_options=options)
        assert variable.shape == (64,)
        with pytest.warns():
            zarr.consolidate_metadata(archive / "group")
        upload(archive, "d")


def joined(options: dict[str, Any]) -> lz.View:
    return lz.concat([lz.open(f"{ROOT}/{kind}", storage_options=options) for kind in KINDS])[::-2]


EXPECTED = np.concatenate([DATA] * 3)[::-2]


def test_a_view_is_saved_beside_its_sources_and_opened_again(archive: Path, s3: Any, options: dict[str, Any]) -> None:
    lz.save(joined(options), f"{ROOT}/views/all", storage_options=options)
    document = s3.get_object(Bucket="bucket", Key="d/views/all/zarr.json")["Body"].read()
    assert b"key" not in document.replace(b"chunk_key", b"")
    view = lz.open(f"{ROOT}/views/all", storage_options=options, allow=[ROOT])
    assert view.reader.session.counts.requests == 1
    np.testing.assert_array_equal(view.read(), EXPECTED, strict=True)
    with pytest.raises(lz.AccessDenied):
        lz.open(f"{ROOT}/views/all", storage_options=options)
    lz.save(joined(options), f"{ROOT}/all", storage_options=options)
    np.testing.assert_array_equal(lz.open(f"{ROOT}/all", storage_options=options).read(), EXPECTED, strict=True)


def test_nothing_in_a_bucket_is_replaced_unasked(archive: Path, s3: Any, options: dict[str, Any]) -> None:
    target = f"{ROOT}/view"
    lz.save(joined(options), target, storage_options=options)
    with pytest.raises(lz.SaveConflict) as caught:
        lz.save(joined(options)[:4], target, storage_options=options)
    assert caught.value.reason == "save-conflict"
    assert lz.open(target, storage_options=options).shape == EXPECTED.shape
    lz.save(joined(options)[:4], target, storage_options=options, overwrite=True)
    np.testing.assert_array_equal(lz.open(target, storage_options=options).read(), EXPECTED[:4])
    with pytest.raises(lz.SaveConflict):
        lz.save(joined(options), f"{ROOT}/v3", storage_options=options, overwrite=True)
    np.testing.assert_array_equal(lz.open(f"{ROOT}/v3", storage_options=options).read(), DATA)
    with pytest.raises(lz.SaveError):
        lz.save(joined(options), "s3://no-such-bucket/v", storage_options={"s3://": options["s3://bucket/"]})


def test_a_dataset_of_views(archive: Path, options: dict[str, Any]) -> None:
    view = joined(options)
    content = {"all": view, "n": np.arange(5), "deep": {"turned": view.T}}
    lz.save(content, f"{ROOT}/dataset", storage_options=options)
    group = lz.open(f"{ROOT}/dataset", storage_options=options)
    assert set(group) == {"all", "n", "deep"}
    np.testing.assert_array_equal(group["deep/turned"].read(), EXPECTED.T)
    np.testing.assert_array_equal(group["n"].read(), np.arange(5))


def test_a_view_of_a_file_moves_to_a_bucket_with_it(tmp_path: Path, upload: Upload, options: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("d", data=DATA, chunks=(1, 48))
    lz.save(lz.open(tmp_path / "x.h5", "d"), tmp_path / "view.zarr")
    upload(tmp_path, "moved")
    view = lz.open("s3://bucket/moved/view.zarr", storage_options=options)
    view.reader.session.counts.reset()
    np.testing.assert_array_equal(view.read(), DATA, strict=True)
    assert view.reader.session.counts.requests == 1


def test_a_missing_chunk_is_fill_and_a_missing_array_is_not(archive: Path, s3: Any, options: dict[str, Any]) -> None:
    s3.delete_object(Bucket="bucket", Key="d/v3/c/1/2")
    lz.save(lz.open(f"{ROOT}/v3", storage_options=options), f"{ROOT}/view", storage_options=options)
    expected = DATA.copy()
    expected[16:32, 32:48] = -1
    np.testing.assert_array_equal(lz.open(f"{ROOT}/view", storage_options=options).read(), expected, strict=True)
    for entry in s3.list_objects_v2(Bucket="bucket", Prefix="d/v3/")["Contents"]:
        s3.delete_object(Bucket="bucket", Key=entry["Key"])
    view = lz.open(f"{ROOT}/view", storage_options=options)
    for part in (view, view[0, 0]):
        with pytest.raises(lz.SourceMissing):
            part.read()


def test_a_source_that_was_replaced_is_an_error(
    tmp_path: Path, s3: Any, upload: Upload, options: dict[str, Any]
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("d", data=DATA, chunks=(1, 48))
    zarr.create_array(tmp_path / "a.zarr", data=DATA, chunks=(16, 48))
    lz.save(lz.open(tmp_path / "x.h5", "d"), tmp_path / "h.zarr")
    lz.save(lz.open(tmp_path / "a.zarr"), tmp_path / "z.zarr")
    upload(tmp_path, "r")
    s3.put_object(Bucket="bucket", Key="r/x.h5", Body=(tmp_path / "x.h5").read_bytes() + b"more")
    changed = (tmp_path / "a.zarr" / "zarr.json").read_bytes().replace(b'"fill_value": 0', b'"fill_value": 1')
    s3.put_object(Bucket="bucket", Key="r/a.zarr/zarr.json", Body=changed)
    for name in ("h", "z"):
        for verify in (True, False):
            view = lz.open(f"s3://bucket/r/{name}.zarr", storage_options=options, verify=verify)
            if verify:
                with pytest.raises(lz.SourceChanged):
                    view[3:5].read()
            else:
                np.testing.assert_array_equal(view[3:5].read(), DATA[3:5])


def test_nothing_is_there(options: dict[str, Any], s3: Any) -> None:
    with pytest.raises(lz.SourceMissing):
        lz.open("s3://bucket/none", storage_options=options)
    dead = {"s3://bucket/": {**options["s3://bucket/"], "endpoint": "http://127.0.0.1:9", "deadline": 1}}
    with pytest.raises(lz.SourceUnavailable):
        lz.open("s3://bucket/none", storage_options=dead)
    with pytest.raises(lz.SourceError):
        lz.open("s3://no-such-bucket/none", storage_options={"s3://": options["s3://bucket/"]})
