"""Documents of other programs that lie, member by member: a typed error, or cells that the document really says."""

from __future__ import annotations

import copy
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lazyzarr as lz
from tests.formats.icechunk_writing import repository

NASTY: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2, 7, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**70, -(2**63)),
    *(1.5, float("nan"), float("inf"), 1e300, "", "x", "0", "NaN", "c/0/x", "../a.zarr", "/etc/", "\0", "a" * 3000),
    *("file:///etc/passwd", "http://169.254.169.254/", "memory://x", "s3://other/x"),
    *([], [0], [[0]], [-1], [2**63], [2**64 - 1], [float("nan")], ["x"], [None], [True], [[0, 1], [2]], ["-inf"]),
    *({}, {"a": 1}, {"id": "pickle"}, {"driver": "zarr3"}),
)
_EVERY = 5
"""Of all changes, one in so many is tried; which ones is the same in each run."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, version in (("a", 3), ("b", 2)):
        cells = np.arange(12, dtype="i2").reshape(3, 4)
        zarr.create_array(str(tmp_path / f"{name}.zarr"), data=cells, chunks=(2, 3), zarr_format=version)
    (tmp_path / "data.bin").write_bytes(bytes(100))
    return tmp_path


def metadata(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads((place / "a.zarr/zarr.json").read_text()), json.loads((place / "b.zarr/.zarray").read_text())


def specifications(place: Path) -> list[Any]:
    """Specifications with every member that is read."""
    three, two = metadata(place)
    array = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{place}/a.zarr/"}, "dtype": "int16", "rank": 2}
    plain = {"driver": "zarr", "kvstore": f"file://{place}/", "path": "b.zarr"}
    output = [
        {"offset": 2, "stride": -1, "input_dimension": 0},
        {"index_array": [[1, 3]], "offset": 0, "stride": 1, "index_array_bounds": [0, 3]},
    ]
    box = {"input_inclusive_min": [0, 0], "input_exclusive_max": [2, 2], "input_labels": ["a", "b"], "output": output}
    moved = [{"input_dimension": axis, "offset": -1} for axis in (0, 1)]
    cells = {"driver": "array", "dtype": "int16", "array": [[1, 2]]}
    cells["transform"] = {"input_inclusive_min": [1, 1], "input_exclusive_max": [2, 3], "output": moved}
    return [
        {**array, "metadata": three, "assume_metadata": True, "transform": box},
        {**plain, "metadata": two, "assume_metadata": True},
        {"driver": "stack", "layers": [array, cells], "dtype": "int16", "schema": {"rank": 2}},
        {"driver": "cast", "dtype": "int32", "base": {"driver": "array", "dtype": "int16", "array": [1, 2, 3]}},
    ]


def references(place: Path) -> list[Any]:
    """Files of references in all forms of an entry."""
    three, two = metadata(place)
    entry = ["data.bin", 0, 12]
    made = {"key": "x/{{i}}.0", "url": "{{u}}", "offset": "{{i*2}}", "length": "12"}
    made["dimensions"] = {"i": {"stop": 2, "start": 0, "step": 1}}  # type: ignore[assignment]
    text = json.dumps({**two, "compressor": None})
    chunks = {"x/0.0": entry, "x/0.1": "base64:AAAA", "x/1.0": ["data.bin"]}
    return [
        {"version": 1, "refs": {".zgroup": '{"zarr_format":2}', "x/.zarray": text, "x/.zattrs": "{}", **chunks}},
        {"x/.zarray": {**two, "compressor": None}, "x/0.0": entry},
        {"version": 1, "refs": {"x/zarr.json": {**three, "codecs": three["codecs"][:1]}, "x/c/0/0": entry}},
        {"version": 1, "templates": {"u": "data.bin"}, "gen": [made], "refs": {"x/.zarray": text}},
    ]


def changed(document: Any) -> Iterator[Any]:
    """The document with one member that is something else, or has another name."""

    def below(found: Any, at: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        yield at
        inner = found.items() if isinstance(found, dict) else enumerate(found[:3]) if isinstance(found, list) else ()
        for key, value in inner:
            yield from below(value, (*at, key))

    number = 0
    for at in below(document, ()):
        for nasty in NASTY:
            for renamed in (False, True):
                number += 1
                if number % _EVERY or (renamed and not (at and isinstance(at[-1], str) and isinstance(nasty, str))):
                    continue
                if not at:
                    yield nasty
                    continue
                whole = copy.deepcopy(document)
                parent = whole
                for key in at[:-1]:
                    parent = parent[key]
                if renamed:
                    parent[nasty] = parent.pop(at[-1])
                else:
                    parent[at[-1]] = nasty
                yield whole


def tried(place: Path, document: Any) -> str:
    """The reason of the error; empty if all is read."""
    (place / "document.json").write_text(json.dumps(document))
    try:
        found = lz.open(place / "document.json", templates=True)
        for view in [found] if isinstance(found, lz.View) else [found[name] for name in found]:
            if isinstance(view, lz.View) and np.prod([float(n) for n in view.shape]) < 1e6:
                view.read()
    except lz.LazyZarrError as error:
        return error.reason
    return ""


@pytest.mark.parametrize("kind", ["specifications", "references"])
def test_one_member_that_lies(place: Path, kind: str) -> None:
    reasons: Counter[str] = Counter()
    for document in {"specifications": specifications, "references": references}[kind](place):
        assert tried(place, document) in ("", "chunk-length"), "the honest ones are read"
        for lie in changed(document):
            start = time.process_time()
            reasons[tried(place, lie)] += 1
            assert time.process_time() - start < 1, lie
    assert reasons.total() > 500
    assert reasons["source-format"] > reasons[""], reasons
    assert reasons["access-denied"] > 0


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1, "refs": {"x/.zarray": ARRAY, "x/0.0": ["data.bin", 0, 12], "x/0.0": ["data.bin", 50, 12]}}',
        '{"version": 1, "refs": {"x/.zarray": ARRAY, "x/.zarray": ARRAY}}',
        '{"version": 1, "refs": {}, "refs": {"x/.zarray": ARRAY}}',
        '{"version": 1, "refs": {"x/.zarray": {"shape": [3], "shape": [4]}}}',
        '{"version": 1, "refs": {"x/.zarray": "{\\"shape\\": [3], \\"shape\\": [4]}"}}',
        '{"driver": "array", "dtype": "int8", "array": [1, 2], "array": [3]}',
        '{"driver": "zarr3", "kvstore": {"driver": "file", "path": "/a", "path": "/b"}}',
    ],
)
def test_what_is_said_twice_means_nothing(place: Path, text: str) -> None:
    """Readers of JSON would take the last, people the first."""
    (place / "document.json").write_text(text.replace("ARRAY", json.dumps(metadata(place)[1])))
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(place / "document.json", "x")
    assert caught.value.reason == "source-format"
    assert "twice" in str(caught.value)


def test_nodes_below_an_array_are_no_chunks_of_it(place: Path) -> None:
    three, two = metadata(place)
    for refs in (
        {"x/zarr.json": three, "x/c/0/0/zarr.json": three, "x/c/0/0/c/0/0": ["data.bin", 0, 12]},
        {"x/.zarray": two, "x/0/.zgroup": {"zarr_format": 2}},
        {".zarray": two, "x/.zarray": two},
    ):
        (place / "document.json").write_text(json.dumps({"version": 1, "refs": refs}))
        with pytest.raises(lz.SourceProtocolError) as caught:
            lz.open(place / "document.json")
        assert "below the array" in str(caught.value)


@pytest.mark.parametrize("length", [2**31, 2**40, 2**53, 2**62])
def test_a_length_is_believed_by_nobody_before_the_object_says_so(place: Path, length: int) -> None:
    """A buffer for what a reference says would be a bomb of 16 bytes."""
    refs = {"x/.zarray": {**metadata(place)[1], "compressor": None}, "x/0.0": ["data.bin", 0, length]}
    (place / "document.json").write_text(json.dumps({"version": 1, "refs": refs}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(place / "document.json")["x"].read()
    assert caught.value.reason == "chunk-length"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 18, "kilobytes"


def test_references_to_the_file_of_references_end(place: Path) -> None:
    """Bytes of the file are bytes like others; what is no array there does not become one."""
    two = {**metadata(place)[1], "compressor": None}
    refs = {"x/.zarray": two, "x/0.0": ["document.json", 0, 12], "y/.zarray": ["document.json"]}
    text = json.dumps({"version": 1, "refs": refs})
    (place / "document.json").write_text(text)
    with pytest.raises(lz.UnsupportedFeature):
        lz.open(place / "document.json")
    del refs["y/.zarray"]
    text = json.dumps({"version": 1, "refs": refs})
    (place / "document.json").write_text(text)
    assert lz.open(place / "document.json", packing="raw")["x"][:2, :3].read().tobytes() == text.encode()[:12]
    nested = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{place}/document.json"}}
    (place / "document.json").write_text(json.dumps(nested))
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(place / "document.json").read()
    assert caught.value.reason in ("source-missing", "source-format")


# -- Icechunk: its own writer takes nearly every reference ------------------------------------------------


def lying(folder: Path, url: str, offset: int, length: int) -> Path:
    """A repository with one honest array and one whose second chunk is the lie."""
    (folder / "x.bin").write_bytes(np.arange(8, dtype="i2").tobytes())
    repo = repository(folder / "repo", (folder,))
    session = repo.writable_session("main")
    for name in ("honest", "lie"):
        zarr.create_array(session.store, name=name, shape=(4,), dtype="i2", chunks=(2,), compressors=None, filters=None)
        session.store.set_virtual_ref(f"{name}/c/0", f"file://{folder}/x.bin", offset=0, length=4)
    session.store.set_virtual_ref("honest/c/1", f"file://{folder}/x.bin", offset=4, length=4)
    session.store.set_virtual_ref("lie/c/1", url, offset=offset, length=length, validate_container=False)
    session.commit("x")
    return folder / "repo"


LIES: dict[str, tuple[str, int, int, set[str]]] = {
    "behind the end": ("file://{}/x.bin", 15, 4, {"chunk-length"}),
    "far behind the end": ("file://{}/x.bin", 2**40, 4, {"chunk-length"}),
    "an offset of 2^63": ("file://{}/x.bin", 2**63, 4, {"source-format", "chunk-length", "table-invalid"}),
    "an offset of 2^64 - 1": ("file://{}/x.bin", 2**64 - 1, 4, {"source-format", "chunk-length", "table-invalid"}),
    "a length of 2^62": ("file://{}/x.bin", 0, 2**62, {"chunk-length"}),
    "a length of 2^64 - 4": ("file://{}/x.bin", 8, 2**64 - 4, {"source-format", "chunk-length", "table-invalid"}),
    "too short": ("file://{}/x.bin", 4, 3, {"chunk-length"}),
    "a file that is not there": ("file://{}/gone.bin", 0, 4, {"source-missing"}),
    "a file outside": ("file:///etc/passwd", 0, 4, {"access-denied"}),
    "a way out": ("file://{}/repo/../../../etc/passwd", 0, 4, {"access-denied", "url-invalid", "source-missing"}),
    "a directory": ("file://{}/repo", 0, 4, {"source-format", "source-missing", "access-denied"}),
    "another machine": ("http://169.254.169.254/latest", 0, 4, {"access-denied"}),
    "a bucket": ("s3://other/x", 0, 4, {"access-denied"}),
    "a person": ("http://me:secret@example.org/x", 0, 4, {"access-denied", "url-invalid", "url-userinfo"}),
}


@pytest.mark.parametrize("what", LIES)
def test_a_reference_of_a_repository_that_lies(tmp_path: Path, what: str) -> None:
    url, offset, length, reasons = LIES[what]
    where = lying(tmp_path, url.format(tmp_path), offset, length)
    with pytest.raises(lz.LazyZarrError) as caught:
        lz.open(where, "lie", allow=[tmp_path]).read()
    assert caught.value.reason in reasons, caught.value
    assert "secret" not in str(caught.value)
    assert lz.open(where, "honest", allow=[tmp_path]).read().tolist() == [0, 1, 2, 3]
