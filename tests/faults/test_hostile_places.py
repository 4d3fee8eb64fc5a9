"""Opening what is no array: a typed error, at once and in little memory, and never another exception."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import zarr

import lazyzarr as lz

BIG = 2**62
TEXTS: dict[str, bytes] = {
    "empty": b"",
    "zeros": bytes(1000),
    "random": Random(0).randbytes(100_000),
    "number": b"1",
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "nan": b'{"zarr_format": NaN}',
    "brackets": b"[" * 100_000,
    "closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "digits": b'{"zarr_format":' + b"9" * 100_000 + b"}",
    "one of us": b'"lazyzarr"',
    "deep one of us": b'{"lazyzarr":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "utf-16": "{}".encode("utf-16"),
    "cut": b'{"zarr_format": 3, "node_type": "arr',
}
ARRAY: dict[str, Any] = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [8],
    "data_type": "int8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0,
    "codecs": [{"name": "bytes"}],
    "attributes": {},
}


def grid(*shape: object) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": shape}}


BROKEN: dict[str, dict[str, Any]] = {
    "too many cells": {"shape": [BIG, BIG], "chunk_grid": grid(1, 1)},
    "too long": {"shape": [2**64]},
    "negative": {"shape": [-1]},
    "fraction": {"shape": [1.5]},
    "text": {"shape": "8"},
    "rank of shape and chunks": {"chunk_grid": grid(1, 1)},
    "no chunks": {"chunk_grid": grid()},
    "very many axes": {"shape": [1] * 100_000, "chunk_grid": grid(*[1] * 100_000)},
    "very many codecs": {"codecs": [{"name": "bytes"}, *[{"name": "gzip", "configuration": {"level": 1}}] * 100_000]},
    "unknown type": {"data_type": "python_object"},
    "unknown grid": {"chunk_grid": {"name": "spiral"}},
    "unknown keys": {"chunk_key_encoding": {"name": "evil"}},
    "wrong fill": {"fill_value": "seven"},
    "node": {"node_type": "leaf"},
    "version": {"zarr_format": 4},
}


def node(folder: Path, text: bytes, key: str = "zarr.json") -> Path:
    folder.mkdir()
    (folder / key).write_bytes(text)
    return folder


def refused(place: Path) -> None:
    start = time.process_time()
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(place)
    assert time.process_time() - start < 1
    assert not isinstance(caught.value, lz.AccessDenied)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("key", ["zarr.json", ".zarray", ".zgroup"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_that_is_no_metadata(tmp_path: Path, key: str, name: str) -> None:
    refused(node(tmp_path / "x", TEXTS[name], key))


@pytest.mark.parametrize("name", BROKEN)
def test_metadata_that_is_no_array(tmp_path: Path, name: str) -> None:
    refused(node(tmp_path / "x", json.dumps({**ARRAY, **BROKEN[name]}).encode()))


@pytest.mark.parametrize("kind", ["array", "group"])
def test_attributes_that_are_no_object(tmp_path: Path, kind: str) -> None:
    refused(node(tmp_path / "x", json.dumps({**ARRAY, "node_type": kind, "attributes": [1]}).encode()))


@pytest.mark.parametrize("content", [b"", b"x", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + Random(1).randbytes(5000)])
def test_files_of_no_format(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    refused(tmp_path / "x")
    (tmp_path / "y").write_bytes(Random(2).randbytes(1 << 20))
    refused(tmp_path / "y")


def test_directories_and_names_without_anything(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd" / "zarr.json").mkdir(parents=True)
    (tmp_path / "link").symlink_to("link")
    for name in ("empty", "odd", "none", "link", "none/deeper", "x" * 300, "a\nb"):
        refused(tmp_path / name)
    for odd in ("", "ftp://user:pw@host/x", "s3://", "http://", "file://host/x", "\0"):
        with pytest.raises(lz.LazyZarrError):
            lz.open(odd)
    for odd in (3, None, object(), b"x"):
        with pytest.raises(lz.LazyZarrError):
            lz.open(odd)


def test_documents_over_the_limit_are_not_read(tmp_path: Path) -> None:
    place = node(tmp_path / "x", b"")
    with open(place / "zarr.json", "wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(lz.ViewLimitError) as caught:
        lz.open(place)
    assert caught.value.reason == "limit-exceeded"
    zarr.create_array(tmp_path / "a", data=np.arange(8))
    with pytest.raises(lz.ViewLimitError):
        lz.open(tmp_path / "a", limits=lz.Limits(document_bytes=100))


@pytest.mark.parametrize(
    "codecs", [[], [{"name": "bytes"}, {"name": "run_me"}], [{"name": "gzip"}], [{"name": "bytes"}] * 2]
)
def test_chains_that_decode_nothing_are_refused_when_read(tmp_path: Path, codecs: list[dict[str, Any]]) -> None:
    """Not before: `recode` may give another chain."""
    place = node(tmp_path / "x", json.dumps({**ARRAY, "codecs": codecs}).encode())
    (place / "c").mkdir()
    (place / "c" / "0").write_bytes(b"1234")
    try:
        view = lz.open(place)
    except lz.LazyZarrError:
        return
    for part in (view, view[0], view[::-1], view[7]):
        with pytest.raises(lz.LazyZarrError):
            part.read()
    assert view.recode(codecs=["bytes"])[1].read() == ord("2")


@pytest.mark.parametrize("chunk", [1, 2**20])
def test_a_huge_array_is_only_big_when_it_is_read(tmp_path: Path, chunk: int) -> None:
    place = node(tmp_path / "x", json.dumps({**ARRAY, "shape": [BIG], "chunk_grid": grid(chunk)}).encode())
    start = time.process_time()
    view = lz.open(place)
    assert repr(view)
    assert view.shape == (BIG,)
    assert view[BIG - 3].read() == 0
    assert view[BIG // 2 : BIG // 2 + 5 : 2].read().tolist() == [0, 0, 0]
    assert view[::-1][7].read() == 0
    lz.save(lz.pad(view[:-9], (3, 4), value=1), tmp_path / "view")
    assert lz.open(tmp_path / "view")[1].read() == 1
    assert time.process_time() - start < 1


@pytest.mark.parametrize("chunk", [1, 2**20])
def test_asking_about_a_huge_array_is_refused_and_not_tried(tmp_path: Path, chunk: int) -> None:
    place = node(tmp_path / "x", json.dumps({**ARRAY, "shape": [BIG], "chunk_grid": grid(chunk)}).encode())
    view = lz.open(place)
    for ask in (lambda: view.explain("manifest"), lambda: view.explain("plan"), view.read, lambda: view[::2].read()):
        with pytest.raises(lz.LazyZarrError):
            ask()
    with pytest.raises(lz.ViewLimitError):
        view.flatness  # noqa: B018


SCRIPT = """
import resource, sys
import lazyzarr as lz
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for place in sys.argv[1:]:
    try:
        lz.open(place)
    except lz.LazyZarrError:
        continue
    sys.exit(place)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
sys.exit(f"{grown} KiB" if grown > 256 << 10 else 0)
"""


def test_refusing_takes_little_memory(tmp_path: Path) -> None:
    places = [node(tmp_path / f"t{k}", text) for k, text in enumerate(TEXTS.values())]
    places += [
        node(tmp_path / f"b{k}", json.dumps({**ARRAY, **change}).encode()) for k, change in enumerate(BROKEN.values())
    ]
    subprocess.run([sys.executable, "-c", SCRIPT, *map(str, places)], check=True, timeout=60)
