"""Files of references that lie, and files that reach too far: typed errors, and nothing read that was not allowed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lazyzarr as lz
from tests.formats.reference_files import Maker, base64_text


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    made = Maker(tmp_path)
    made.array("x", np.arange(8, dtype="int16"), chunks=(4,))
    return made


def _refused(maker: Maker, reason: str, kind: type[lz.LazyZarrError] = lz.LazyZarrError, **options: Any) -> None:
    with pytest.raises(kind) as caught:
        lz.open(maker.json(), **options)["x"]
    assert caught.value.reason == reason
    assert "x" in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    [
        ["data.bin", -1, 8],
        ["data.bin", 0, -8],
        ["data.bin", 2**63, 8],
        ["data.bin", 2**62, 2**62],
        ["data.bin", 1.0, 8],
        ["data.bin", "0", 8],
        ["data.bin", True, 8],
        ["data.bin", None, None],
        ["data.bin", 0],
        ["data.bin", 0, 8, 9],
        [["data.bin"], 0, 8],
        [7, 0, 8],
        [],
        {"url": "data.bin"},
        17,
        None,
        "base64:????",
        "base64:AAA",
    ],
    ids=str,
)
def test_entries_of_a_wrong_form(maker: Maker, entry: Any) -> None:
    maker.refs["x/1"] = entry
    _refused(maker, "source-format", lz.SourceProtocolError)


def test_an_entry_without_a_location(maker: Maker) -> None:
    maker.refs["x/1"] = [None, 0, 8]
    _refused(maker, "source-unsupported", lz.UnsupportedFeature)


@pytest.mark.parametrize("key", ["x/1.0", "x/01", "x/-1", "x/1/0", "x/one", "x/c/1", "x/1 ", "x/99999999999999999999"])
def test_keys_that_are_no_chunk_keys(maker: Maker, key: str) -> None:
    maker.refs[key] = maker.refs["x/1"]
    _refused(maker, "source-format", lz.SourceProtocolError)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shape": [10**15]}, "limit-exceeded"),
        ({"shape": [2**62], "chunks": [1]}, "limit-exceeded"),
        ({"shape": [-4]}, "source-format"),
        ({"shape": "many"}, "source-format"),
        ({"chunks": [2**40], "shape": [2**40]}, "limit-exceeded"),
        ({"chunks": [2, 2]}, "source-format"),
        ({"dtype": "|O"}, "source-unsupported"),
        ({"compressor": {"id": "pickle"}}, "codec-unknown"),
        ({"filters": [{"id": "pickle"}]}, "codec-unknown"),
        ({"order": "Z"}, "source-format"),
        ({"fill_value": "x"}, "fill-invalid"),
        ({"zarr_format": 4}, "source-format"),
    ],
    ids=str,
)
def test_metadata_that_are_absurd(maker: Maker, change: dict[str, Any], reason: str) -> None:
    maker.refs["x/.zarray"] = json.dumps({**json.loads(maker.refs["x/.zarray"]), **change})
    start = time.process_time()
    _refused(maker, reason)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("metadata", ["", "no JSON", "[1]", "base64:!", ["data.bin", 0, 3], 5])
def test_metadata_of_a_wrong_form(maker: Maker, metadata: Any) -> None:
    maker.refs["x/.zarray"] = metadata
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(maker.json())
    assert caught.value.reason in ("source-format", "source-unsupported")


def test_the_rest_of_the_file_stays_usable(maker: Maker) -> None:
    values = maker.array("y", np.arange(3, dtype="uint8"), chunks=(3,))
    maker.refs["x/0"] = "base64:?"
    group = lz.open(maker.json())
    assert group["y"].read().tolist() == values.tolist()
    assert "cannot be opened [source-format]" in repr(group)


def test_chunks_beyond_the_object(maker: Maker) -> None:
    maker.refs["x/1"] = ["data.bin", 10**6, 8]
    view = lz.open(maker.json())["x"]
    assert view[:4].read().tolist() == [0, 1, 2, 3]
    with pytest.raises(lz.SourceProtocolError) as caught:
        view.read()
    assert caught.value.reason == "chunk-length"


@pytest.mark.parametrize("length", [0, 7, 9])
def test_chunks_of_a_wrong_length(maker: Maker, length: int) -> None:
    maker.refs["x/0"][2] = length
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(maker.json())["x"].read()
    assert caught.value.reason == "chunk-length"


@pytest.mark.parametrize("entry", [["gone.bin"], ["gone.bin", 0, 8]], ids=["whole", "part"])
def test_a_missing_object_is_never_fill(maker: Maker, entry: list[Any]) -> None:
    maker.refs["x/1"] = entry
    view = lz.open(maker.json())["x"]
    for part in (view, view[4:], view[5:6]):
        with pytest.raises(lz.SourceMissing):
            part.read()
    lz.save(view, maker.folder / "v.zarr")
    with pytest.raises(lz.SourceMissing):
        lz.open(maker.folder / "v.zarr").read()


def test_a_whole_object_has_to_be_as_long_as_a_chunk(maker: Maker) -> None:
    (maker.folder / "long.bin").write_bytes(bytes(12))
    maker.refs["x/1"] = ["long.bin"]
    view = lz.open(maker.json())["x"]
    for part in (view, view[5:6], view.oindex[[5, 7]]):
        with pytest.raises(lz.LazyZarrError) as caught:
            part.read()
        assert caught.value.reason == "chunk-length"


@pytest.mark.parametrize(
    "url",
    ["../outside.bin", "/etc/hostname", "file:///etc/hostname", "s3://bucket/x", "http://169.254.169.254/latest"],
)
def test_locations_outside_the_folder(maker: Maker, url: str) -> None:
    folder = maker.folder / "inside"
    folder.mkdir()
    (maker.folder / "outside.bin").write_bytes(bytes(8))
    maker.refs["x/1"] = [url, 0, 8]
    maker.refs["x/0"] = ["in.bin", 0, 8]
    (folder / "refs.json").write_text(json.dumps({"version": 1, "refs": maker.refs}))
    group = lz.open(folder / "refs.json")
    with pytest.raises(lz.AccessDenied):
        group["x"]
    if url == "../outside.bin":
        allowed = lz.open(folder / "refs.json", allow=[maker.folder])["x"]
        assert allowed[4:].read().tolist() == [0] * 4
        lz.save(allowed, maker.folder / "v.zarr")
        assert lz.open(maker.folder / "v.zarr")[4:].read().tolist() == [0] * 4


def test_a_link_out_of_the_folder(maker: Maker) -> None:
    (maker.folder / "in").mkdir()
    os.symlink("/etc/hostname", maker.folder / "in" / "link.bin")
    maker.refs["x/0"] = maker.refs["x/1"] = ["link.bin", 0, 1]
    (maker.folder / "in" / "refs.json").write_text(json.dumps(maker.refs))
    with pytest.raises(lz.AccessDenied):
        lz.open(maker.folder / "in" / "refs.json")["x"].read()


@pytest.mark.parametrize(
    "url", ["a//b", "a/../b", "simplecache::s3://b/x", "x\\y", "http://u:p@h/x", "s3://b/" + "x" * 3000]
)
def test_locations_that_are_none(maker: Maker, url: str) -> None:
    maker.refs["x/1"] = [url, 0, 8]
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(maker.json())["x"]
    assert caught.value.reason in ("url-invalid", "limit-exceeded", "access-denied")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"version": 2, "refs": {}}',
        '{"version": 1, "refs": []}',
        '{"a": 1}',
        "{" * 10**5,
        "{" + '"a":[' * 99,
    ],
)
def test_files_that_are_something_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "refs.json").write_text(text)
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(tmp_path / "refs.json")
    assert caught.value.reason in ("source-format", "source-unsupported", "limit-exceeded")


def test_a_file_over_the_limit(maker: Maker) -> None:
    with pytest.raises(lz.ViewLimitError):
        lz.open(maker.json(), limits=lz.Limits(document_bytes=100))
    with pytest.raises(lz.ViewLimitError):
        lz.open(maker.json(), limits=lz.Limits(json_values=3))


def test_much_inside_the_file_is_read_and_not_saved(maker: Maker) -> None:
    values = np.random.default_rng(1).integers(0, 99, 3 << 18, dtype="int16")
    maker.array("big", values, chunks=(1 << 18,), chunk=lambda raw, _: base64_text(raw))
    view = lz.open(maker.json())["big"]
    assert np.array_equal(view.read(), values)
    with pytest.raises(lz.SaveUnsupported) as caught:
        lz.save(view, maker.folder / "v.zarr")
    assert caught.value.reason == "inline-limit"


@pytest.mark.parametrize("path", ["../x", "a/../x", "a//x"])
def test_paths_of_arrays_stay_inside(maker: Maker, path: str) -> None:
    maker.refs[f"{path}/.zarray"] = maker.refs["x/.zarray"]
    with pytest.raises(lz.SourceProtocolError):
        lz.open(maker.json())
