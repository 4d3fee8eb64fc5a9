"""Kept cases: nodes that no save may replace.

Owns one folder for each, with the `node` that stands where a view would be saved, and ``expected.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from corpus.cases import write_json
from corpus.rules import rules_of


def array(node: Path) -> str:
    """A Zarr array."""
    zarr.create_array(node, data=np.arange(6, dtype="int16"), chunks=(3,), compressors=None)
    return "an array"


def array_of_version_2(node: Path) -> str:
    """A Zarr array of version 2."""
    zarr.create_array(node, data=np.arange(6, dtype="int16"), chunks=(3,), compressors=None, zarr_format=2)
    return "an array of version 2"


def group(node: Path) -> str:
    """A group with an array in it."""
    _group(node, {})
    zarr.create_array(node / "x", data=np.arange(6, dtype="int16"), chunks=(3,), compressors=None)
    return "a group that lists no convention"


def group_of_another_convention(node: Path) -> str:
    """A group that lists somebody else's convention."""
    other = {"uuid": "00000000-0000-4000-8000-000000000000", "name": "other"}
    _group(node, {"zarr_conventions": [other]})
    return "a group of another convention"


def folder(node: Path) -> str:
    """A directory with a file in it."""
    node.mkdir()
    (node / "notes.txt").write_text("not Zarr\n", encoding="utf-8")
    return "a directory that is no Zarr node"


def _group(node: Path, attributes: dict[str, Any]) -> None:
    node.mkdir()
    content = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (node / "zarr.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_kept(cases: Sequence[Callable[[Path], str]], into: Path) -> int:
    """Write one folder for each; the number of them."""
    for case in cases:
        name = case.__name__.replace("_", "-")
        (into / name).mkdir(parents=True)
        about = case(into / name / "node")
        expected = {"about": about, "rules": rules_of(f"kept/{name}"), "reason": "save-conflict"}
        write_json(into / name / "expected.json", expected)
    return len(cases)


CASES = (array, array_of_version_2, group, group_of_another_convention, folder)
