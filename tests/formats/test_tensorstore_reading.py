"""TensorStore specifications opened: the cells are those that TensorStore reads; everything else is a typed error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr

import lazyzarr as lz
from tests.servers import RangeServer


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with two arrays."""
    for name, version in (("a", 3), ("b", 2)):
        values = np.arange(12, dtype="i2").reshape(3, 4) + (100 if version == 2 else 0)
        zarr.create_array(str(tmp_path / f"{name}.zarr"), data=values, chunks=(2, 3), zarr_format=version)
    return tmp_path


def a(place: Path, **more: Any) -> dict[str, Any]:
    """The array of version 3."""
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{place}/a.zarr/"}, **more}


def b(place: Path, **more: Any) -> dict[str, Any]:
    """The array of version 2."""
    return {"driver": "zarr", "kvstore": f"file://{place}/", "path": "b.zarr", **more}


def opened(place: Path, spec: Any, **options: Any) -> Any:
    """What lazyzarr opens."""
    (place / "spec.json").write_text(json.dumps(spec))
    return lz.open(place / "spec.json", **options)


def moved(low: int, stop: int) -> dict[str, Any]:
    """Rows of an array, placed from a row on."""
    output = [{"input_dimension": 0, "offset": -low}, {"input_dimension": 1}]
    return {"input_inclusive_min": [low, 0], "input_exclusive_max": [stop, 4], "output": output}


def box(low: list[int], stop: list[int], *output: dict[str, Any]) -> dict[str, Any]:
    """A transform."""
    return {"input_inclusive_min": low, "input_exclusive_max": stop, "output": list(output)}


TRANSFORMS = (
    box([0, 0], [2, 2], {"offset": 2, "stride": -2, "input_dimension": 1}, {"input_dimension": 0, "offset": 1}),
    box([-5], [-2], {"offset": 5, "input_dimension": 0}, {"offset": 3}),
    box([0, 0, 0], [2, 4, 3], {"input_dimension": 2}, {"input_dimension": 1}),
    box([0, 7], [3, 9], {"index_array": [[2], [0], [2]]}, {"input_dimension": 1, "offset": -6}),
    box([0, 0], [3, 1], {"index_array": [[1], [1], [1]], "stride": 2}, {"index_array": [[3]]}),
    box([], [], {"offset": 1}, {"offset": 2}),
    box([0, 0], [0, 4], {"input_dimension": 0}, {"input_dimension": 1}),
    {"input_shape": [2, 2], "output": [{"input_dimension": 0}, {"input_dimension": 1}]},
    {"input_inclusive_min": [0, 0], "input_inclusive_max": [1, 2]},
    {"input_rank": 2, "output": [{"input_dimension": 1, "offset": 3, "stride": -1}, {"input_dimension": 0}]},
    {"input_inclusive_min": [["-inf"], 1], "input_exclusive_max": [["+inf"], 3]},
    {"input_labels": ["y", "x"]},
)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=range(len(TRANSFORMS)))
def test_transforms(place: Path, transform: dict[str, Any]) -> None:
    for make in (a, b):
        spec = make(place, transform=transform)
        found = opened(place, spec).read()
        assert np.array_equal(found, tensorstore.open(spec).result().read().result())


def test_stacks_casts_and_arrays(place: Path) -> None:
    cells = {"driver": "array", "dtype": "float64", "array": [[1, 2.5, "NaN", "-Infinity"]]}
    cells["transform"] = {**moved(6, 7), "output": [{"input_dimension": 0, "offset": -6}, {"input_dimension": 1}]}
    layers = [
        {"driver": "cast", "dtype": "float64", "base": a(place), "transform": moved(0, 3)},
        {"driver": "cast", "dtype": "float64", "base": b(place), "transform": moved(2, 5)},
        {"driver": "array", "dtype": "float64", "array": -0.5, "transform": box([4, 0], [6, 4])},
        cells,
    ]
    spec = {"driver": "stack", "layers": layers}
    view = opened(place, spec)
    expected = tensorstore.open(spec).result().read().result()
    assert view.shape == (7, 4)
    np.testing.assert_array_equal(view.read(), expected)


def test_metadata_that_are_assumed_ask_for_nothing(place: Path) -> None:
    metadata = json.loads((place / "a.zarr/zarr.json").read_bytes())
    chunks = {f"/a.zarr/{p.relative_to(place / 'a.zarr')}": p for p in (place / "a.zarr").rglob("*")}
    with RangeServer({key: p.read_bytes() for key, p in chunks.items() if p.is_file()}) as server:
        kvstore = {"driver": "http", "base_url": server.url, "path": "/a.zarr/"}
        spec = {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata, "assume_metadata": True}
        view = opened(place, spec, allow=[server.url])
        assert not server.log
        assert np.array_equal(view.read(), np.arange(12).reshape(3, 4))


def test_a_specification_reaches_what_it_is_allowed_to(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("other")
    for spec in (a(place), b(place), {"driver": "stack", "layers": [a(place), b(place, transform=moved(3, 6))]}):
        with pytest.raises(lz.AccessDenied):
            opened(elsewhere, spec)
        opened(elsewhere, spec, allow=[place])
    for path in (f"{place}/../x/", "/etc/", f"{place}/../../etc"):
        with pytest.raises(lz.LazyZarrError):
            opened(place, {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}})


REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("source-unsupported", {"driver": "n5"}),
    ("source-unsupported", {"driver": "downsample", "base": {}}),
    ("source-unsupported", {"driver": "zarr3", "kvstore": {"driver": "ocdbt", "base": "file:///x"}}),
    ("source-unsupported", {"driver": "zarr3", "kvstore": "memory://x"}),
    ("source-unsupported", {"driver": "zarr3", "kvstore": "file:///x|zip:a"}),
    ("source-unsupported", {"driver": "zarr3", "kvstore": {"driver": "file", "path": "relative"}}),
    ("source-unsupported", {"driver": "zarr3", "kvstore": {"driver": "s3", "bucket": "b", "endpoint": "http://x"}}),
    ("source-unsupported", {"driver": "zarr3", "kvstore": {"driver": "s3", "bucket": "b", "aws_credentials": {}}}),
    ("source-unsupported", {"driver": "zarr3", "kvstore": {"driver": "http", "base_url": "http://x", "headers": []}}),
    ("source-unsupported", {"driver": "array", "dtype": "string", "array": "x"}),
    ("source-unsupported", {"driver": "array", "dtype": "int8", "array": 1, "context": {"s3_request_retries": {}}}),
    ("source-unsupported", {"driver": "array", "dtype": "int8", "array": 1, "delete_existing": True}),
    ("source-unsupported", {"driver": "array", "dtype": "int8", "array": 1, "fill_missing_data_reads": False}),
    (
        "source-unsupported",
        {"driver": "cast", "dtype": "int8", "base": {"driver": "array", "dtype": "int16", "array": 1}},
    ),
    ("source-format", {"driver": "zarr3", "kvstore": {"driver": "s3", "bucket": "b/c@d?e"}}),
    ("source-format", {"driver": "zarr3", "kvstore": {"driver": "http", "base_url": "http://x?y"}}),
    ("source-format", {"driver": "zarr3"}),
    ("source-format", {"driver": "array", "dtype": "int8", "array": 300}),
    ("source-format", {"driver": "array", "dtype": "int8", "array": 1.5}),
    ("source-format", {"driver": "array", "dtype": "int8", "array": [[1], [1, 2]]}),
    ("source-format", {"driver": "array", "dtype": "float32", "array": "nan"}),
    ("source-format", {"driver": "array", "dtype": "int8", "array": 1, "rank": 1}),
    ("source-format", {"driver": "array", "array": 1}),
    ("source-format", {"driver": "stack", "layers": []}),
    ("source-format", {"driver": "stack", "layers": [1]}),
    ("source-format", {"driver": "stack", "layers": {}}),
    ("source-format", {"driver": "cast", "dtype": "int8"}),
    ("limit-exceeded", {"driver": "array", "dtype": "int64", "array": [0] * 200_000}),
    ("source-format", {"driver": "array", "dtype": "int8", "array": 1, "transform": []}),
    ("source-format", {"driver": "array", "dtype": "int8", "array": 1, "transform": box([0] * 40, [1] * 40)}),
    ("source-format", {"driver": "array", "dtype": "int8", "array": 1, "transform": box([0] * 4, [2**40] * 4)}),
    ("source-format", {"driver": "array", "dtype": "int8", "array": 1, "transform": box([5], [1])}),
    (
        "source-format",
        {"driver": "array", "dtype": "int8", "array": [1], "transform": box([0], [2], {"input_dimension": 0})},
    ),
    (
        "source-format",
        {"driver": "array", "dtype": "int8", "array": [1], "transform": box([0], [1], {"input_dimension": 9})},
    ),
    (
        "source-format",
        {"driver": "array", "dtype": "int8", "array": [1], "transform": box([0], [1], {"offset": 2**63})},
    ),
    (
        "source-format",
        {"driver": "array", "dtype": "int8", "array": [1], "transform": box([0], [1], {"index_array": [7]})},
    ),
    (
        "source-format",
        {"driver": "array", "dtype": "int8", "array": [1], "transform": box([0], [1], {"index_array": ["x"]})},
    ),
    (
        "source-format",
        {"driver": "array", "dtype": "int8", "array": [1], "transform": box([0], [1], {"index_array": [0.5]})},
    ),
)


@pytest.mark.parametrize(("reason", "spec"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(tmp_path: Path, reason: str, spec: dict[str, Any]) -> None:
    with pytest.raises(lz.LazyZarrError) as caught:
        opened(tmp_path, spec, allow=["s3://b", "http://x"])
    assert caught.value.reason == reason
    assert "spec.json" in str(caught.value)


def test_stacks_that_have_holes_or_points(place: Path) -> None:
    for spec in (
        {"driver": "stack", "layers": [a(place), b(place, transform=moved(4, 7))]},
        a(place, transform=box([0], [3], {"input_dimension": 0}, {"input_dimension": 0})),
        a(place, transform=box([0, 0], [2, 2], {"index_array": [[0, 1], [1, 0]]}, {"input_dimension": 0})),
    ):
        with pytest.raises(lz.UnsupportedFeature) as caught:
            opened(place, spec)
        assert caught.value.reason == "source-unsupported"


def test_deep_and_long_specifications(place: Path) -> None:
    deep: dict[str, Any] = {"driver": "array", "dtype": "int8", "array": 1}
    for _ in range(200):
        deep = {"driver": "stack", "layers": [deep]}
    with pytest.raises(lz.ViewLimitError):
        opened(place, deep)
    with pytest.raises(lz.ViewLimitError):
        opened(place, {"driver": "stack", "layers": [a(place)] * 9}, limits=lz.Limits(nodes=5))


def test_metadata_that_disagree(place: Path) -> None:
    metadata = json.loads((place / "a.zarr/zarr.json").read_bytes())
    for spec in (
        a(place, metadata={**metadata, "shape": [9, 4]}),
        a(place, metadata={"shape": [3, 4]}, assume_metadata=True),
        b(place, metadata={"shape": [3, 4], "chunks": [2, 2], "dtype": "<i2"}, assume_metadata=True),
        a(place, metadata=[]),
        a(place, dtype="int32"),
    ):
        with pytest.raises(lz.SourceProtocolError) as caught:
            opened(place, spec)
        assert caught.value.reason == "source-format"
