"""The two readers compute the same value-wise codecs, bit by bit, or refuse them for the same reason.

Cells are random bits of every type of numbers; each document is a table of cells in the document, decoded once.
"""

from __future__ import annotations

import json
import random
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import lazyzarr as lz
from lazyzarr.errors import LazyZarrError
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_json
from tests.conformance.corpus import ROOT, digest
from tests.programs import node

READER = ROOT.parent / "readers" / "js"
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
ROUNDINGS = ("nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away")


def _cells(name: str, rng: random.Random) -> list[Any]:
    """Random bits, small numbers, halves and the ends of ranges, in the JSON form of fill values."""
    dtype = np.dtype(name)
    bits = np.array([rng.getrandbits(8 * dtype.itemsize) for _ in range(12)], f"u{dtype.itemsize}").view(dtype)
    if dtype.kind == "f":
        ends = [np.finfo(dtype).max, np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal, np.inf, np.nan, -0.0]
        small = [rng.randint(-300, 300) / 2 for _ in range(8)]
    else:
        ends = [np.iinfo(dtype).max, np.iinfo(dtype).min]
        small = [rng.randint(0, 100) for _ in range(8)]
    cells = [*bits, *np.array(small, dtype), *np.array(ends, dtype)]
    return [fill.to_json(cell, from_json(name)) for cell in cells]


def _document(name: str, cells: list[Any], codec: str, configuration: dict[str, Any], decoded: str) -> dict[str, Any]:
    """A view of a table of cells, decoded with one codec."""
    shape = [len(cells)]
    column = {"data_type": name, "shape": shape, "data": cells}
    inner = {
        "version": 1,
        "requires": ["decode", *([codec] if codec.startswith("lazyzarr.") else [])],
        "schema": {"shape": shape, "data_type": decoded, "fill_value": 0},
        "graph": {
            "nodes": [
                {"op": "source", "array": 0},
                {
                    "op": "decode",
                    "input": 0,
                    "codecs": [{"name": codec, "configuration": configuration}],
                    "data_type": decoded,
                    "fill_value": 0,
                },
            ],
            "layouts": [
                {
                    "data_type": name,
                    "fill_value": 0,
                    "chunk_shape": shape,
                    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                }
            ],
            "arrays": [{"layout": 0, "shape": shape, "values": "v"}],
            "tables": {"v": {"columns": {"values": column}}},
        },
    }
    conventions = [{"uuid": "6f1c2b0e-7a54-4d0f-9b1e-2f4f0c6a8d53", "name": "lazyzarr"}]
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"zarr_conventions": conventions, "lazyzarr": inner},
    }


def _documents() -> dict[str, dict[str, Any]]:
    """Name -> document: all pairs of types for casts, with and without rules for what is out of range."""
    rng = random.Random(5)
    made: dict[str, dict[str, Any]] = {}
    for stored, decoded, rounding in product((*INTEGERS, *FLOATS), (*INTEGERS, *FLOATS), ROUNDINGS):
        for rule in ("clamp",) if decoded in FLOATS else ("clamp", "wrap"):
            cells = _cells(stored, rng)
            if stored in FLOATS and decoded in INTEGERS:  # others are refused, which has documents of its own
                cells = [cell for cell in cells if not isinstance(cell, str)]
            configuration = {"data_type": stored, "rounding": rounding, "out_of_range": rule}
            name = f"{stored} to {decoded} {rounding} {rule}"
            made[name] = _document(stored, cells, "cast_value", configuration, decoded)
        few = [1, 2, rng.randint(100, 127) if stored in INTEGERS else rng.randint(0, 60000) + 0.5]
        configuration = {"data_type": stored, "rounding": rounding}
        made[f"{stored} to {decoded} {rounding}"] = _document(
            stored, few[: rng.randint(1, 3)], "cast_value", configuration, decoded
        )
    for name in FLOATS:
        for scale, offset in ((10.0, 0.5), (3.0, -0.25), (0.125, 100.0)):
            configuration = {"scale": scale, "offset": offset}
            made[f"scale {name} {scale}"] = _document(name, _cells(name, rng), "scale_offset", configuration, name)
    for stored, (decoded, arithmetic) in product(
        (*INTEGERS, *FLOATS),
        (("float32", "float32"), ("float32", "float64"), ("float64", "float64"), ("float16", "float16")),
    ):
        for factor, offset in ((0.1, 273.15), (None, -4.5), (0.02, None), (None, None)):
            configuration = {
                "stored_type": stored,
                "data_type": decoded,
                "arithmetic": arithmetic,
                "scale_factor": factor,
                "add_offset": offset,
                "fill_values": [7, 1],
            }
            name = f"unpack {stored} {decoded} {arithmetic} {factor} {offset}"
            made[name] = _document(stored, _cells(stored, rng), "lazyzarr.unpack", configuration, decoded)
    return made


def _in_python(folder: Path) -> str:
    try:
        return digest(lz.open(folder).read())
    except LazyZarrError as error:
        return str(error.reason)


def test_both_readers_compute_the_same(tmp_path: Path) -> None:
    documents = _documents()
    for number, document in enumerate(documents.values()):
        folder = tmp_path / f"{number}.zarr"
        folder.mkdir()
        (folder / "zarr.json").write_text(json.dumps(document))
    folders = [tmp_path / f"{number}.zarr" for number in range(len(documents))]
    command = [node(READER), READER / "read_digests.mjs", tmp_path, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [text if text.startswith("sha256:") else text.split(":")[0] for text in json.loads(done.stdout)]
    wanted = [_in_python(folder) for folder in folders]
    differing = {name: pair for name, *pair in zip(documents, found, wanted, strict=True) if pair[0] != pair[1]}
    assert differing == {}
    assert sum(text.startswith("sha256:") for text in wanted) > 1000
    assert {text for text in wanted if not text.startswith("sha256:")} == {"chunk-decode"}
