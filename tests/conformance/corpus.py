"""The conformance corpus as Python values, read the way any other implementation would read it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_json, to_numpy

ROOT = Path(__file__).parents[2] / "spec" / "conformance"
GOOD = sorted((ROOT / "good").iterdir())
BAD = sorted((ROOT / "bad").glob("*.json"))
SAVED = sorted((ROOT / "saved").iterdir())
UNREADABLE = sorted((ROOT / "unreadable").iterdir())
KEPT = sorted((ROOT / "kept").iterdir())


def expected(case: Path) -> dict[str, Any]:
    """``expected.json`` of a good case."""
    return json.loads((case / "expected.json").read_text("utf-8"))


def single(case: Path) -> bool:
    """Whether the case is one view, not a group."""
    return "members" not in expected(case)


SINGLE = [case for case in GOOD if single(case)]
GROUPS = [case for case in GOOD if not single(case)]


def document(case: Path) -> dict[str, Any]:
    """The document of the view of a case."""
    return json.loads((case / "view.zarr" / "zarr.json").read_text("utf-8"))["attributes"]["lazyzarr"]


def array_of(member: dict[str, Any]) -> np.ndarray:
    """The expected cells."""
    data_type = from_json(member["data_type"])
    out = np.empty(tuple(member["shape"]), to_numpy(data_type))
    flat = member["values"]
    for _ in range(max(out.ndim - 1, 0)):
        flat = [cell for part in flat for cell in part]
    flat = [flat] if not out.ndim else flat
    for place, cell in zip(np.ndindex(out.shape), flat, strict=True):
        out[place] = fill.from_json(cell, data_type)
    return out


def assert_reads_as(found: np.ndarray, member: dict[str, Any]) -> None:
    """Equal in shape, type and every bit."""
    wanted = array_of(member)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    if wanted.dtype.fields is None:  # NumPy compares no NaN inside of structs; the digest below compares all bits
        np.testing.assert_array_equal(found, wanted)
    assert digest(wanted) == member["digest"]
    assert digest(found) == member["digest"]


def digest(values: np.ndarray) -> str:
    """The digest as the corpus defines it."""
    total = hashlib.sha256()
    if values.dtype.kind in "TO":
        for item in values.reshape(-1):
            raw = item.encode() if isinstance(item, str) else bytes(item)
            total.update(len(raw).to_bytes(8, "little") + raw)
    else:
        total.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes())
    return "sha256:" + total.hexdigest()
