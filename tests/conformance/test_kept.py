"""No save replaces a node that is neither a view nor a group of our convention, whatever it is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lazyzarr as lz
from tests.conformance.corpus import KEPT, expected


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("case", KEPT, ids=lambda case: case.name)
def test_what_is_there_stays(case: Path, overwrite: bool, tmp_path: Path) -> None:
    shutil.copytree(case / "node", tmp_path / "node")
    before = _content(tmp_path)
    for what in (lz.full((2,), 1, dtype="int8"), {"a": lz.full((2,), 1, dtype="int8")}):
        with pytest.raises(lz.LazyZarrError) as caught:
            lz.save(what, tmp_path / "node", overwrite=overwrite)
        assert caught.value.reason == expected(case)["reason"]
        assert _content(tmp_path) == before
