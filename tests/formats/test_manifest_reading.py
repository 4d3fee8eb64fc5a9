"""Arrays with a ``manifest.json``: the draft form, read and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lazyzarr as lz

TRANSFORMERS = [{"name": "chunk-manifest-json", "configuration": {"manifest": "./manifest.json"}}]


def make(folder: Path, values: np.ndarray, manifest: dict[str, Any] | None = None, **options: Any) -> Path:
    """An array of version 3 whose chunks lie in one file beside it, as its manifest says."""
    place = folder / "group" / "x"
    zarr.create_group(folder / "group")
    zarr.create_array(place, shape=values.shape, dtype=values.dtype, compressors=None, **options)[...] = values
    found: dict[str, Any] = {}
    content = b""
    for path in sorted(place.rglob("*")):
        if path.is_file() and path.name != "zarr.json":
            key = ".".join(path.relative_to(place).parts[1:] or "0")
            found[key] = {"path": "../data.bin", "offset": len(content), "length": path.stat().st_size}
            content += path.read_bytes()
            path.unlink()
    (folder / "group" / "data.bin").write_bytes(content)
    metadata = json.loads((place / "zarr.json").read_text())
    (place / "zarr.json").write_text(json.dumps({**metadata, "storage_transformers": TRANSFORMERS}))
    (place / "manifest.json").write_text(json.dumps(found if manifest is None else manifest))
    return place


@pytest.mark.parametrize("shape", [(4, 6), (3,), ()])
def test_a_manifest_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.arange(1, 1 + np.prod(shape, dtype=int), dtype="int32").reshape(shape)
    place = make(tmp_path, values, chunks=tuple(max(n // 2, 1) for n in shape), fill_value=0)
    view = lz.open(tmp_path / "group")["x"]
    np.testing.assert_array_equal(view.read(), values)
    lz.save(view, tmp_path / "v.zarr")
    np.testing.assert_array_equal(lz.open(tmp_path / "v.zarr").read(), values)
    np.testing.assert_array_equal(lz.open(place).read(), values)


def test_missing_chunks_whole_objects_and_spellings(tmp_path: Path) -> None:
    values = np.arange(8, dtype="uint8")
    manifest = {
        "0": {"path": "whole.bin"},
        "1": {"path": str(tmp_path / "group" / "data.bin"), "offset": 2, "length": 2},
        "3": {"path": (tmp_path / "group" / "data.bin").as_uri(), "offset": 6, "length": 2},
    }
    place = make(tmp_path, values, manifest, chunks=(2,), fill_value=9, filters=None)
    (place / "whole.bin").write_bytes(bytes([0, 1]))
    assert lz.open(place).read().tolist() == [0, 1, 2, 3, 9, 9, 6, 7]
    assert lz.open(place)[0:1].read().tolist() == [0]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        [],
        {"path": ""},
        {"path": 5},
        {"path": "../data.bin", "offset": 0},
        {"path": "../data.bin", "offset": -1, "length": 2},
        {"path": "../data.bin", "offset": 0, "length": 2, "data": "x"},
        {"path": "../data.bin", "offset": "0", "length": 2},
    ],
    ids=str,
)
def test_entries_of_a_wrong_form(tmp_path: Path, entry: Any) -> None:
    place = make(tmp_path, np.arange(4, dtype="uint8"), {"0": entry}, chunks=(4,))
    with pytest.raises(lz.SourceProtocolError) as caught:
        lz.open(place)
    assert caught.value.reason == "source-format"


def test_manifests_that_reach_too_far(tmp_path: Path) -> None:
    place = make(tmp_path, np.arange(4, dtype="uint8"), {"0": {"path": "/etc/hostname"}}, chunks=(4,))
    with pytest.raises(lz.AccessDenied):
        lz.open(place)
    metadata = json.loads((place / "zarr.json").read_text())
    for where, error in (
        ("../../../m.json", lz.AccessDenied),
        ("/etc/hostname", lz.AccessDenied),
        (5, lz.SourceProtocolError),
    ):
        metadata["storage_transformers"][0]["configuration"]["manifest"] = where
        (place / "zarr.json").write_text(json.dumps(metadata))
        with pytest.raises(error):
            lz.open(place)


def test_other_storage_transformers_are_refused(tmp_path: Path) -> None:
    place = make(tmp_path, np.arange(4, dtype="uint8"), chunks=(4,))
    metadata = json.loads((place / "zarr.json").read_text())
    for transformers in ([{"name": "other"}], [*TRANSFORMERS, {"name": "other"}]):
        (place / "zarr.json").write_text(json.dumps({**metadata, "storage_transformers": transformers}))
        with pytest.raises(lz.LazyZarrError) as caught:
            lz.open(place)
        assert caught.value.reason in ("source-unsupported", "source-format")
    (place / "zarr.json").write_text(json.dumps({**metadata, "storage_transformers": TRANSFORMERS}))
    (place / "manifest.json").unlink()
    with pytest.raises(lz.SourceMissing):
        lz.open(place)
