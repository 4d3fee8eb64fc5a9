"""The demonstration, end to end, and that it would notice a difference."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("iris_sample_data")
pytest.importorskip("hdf5plugin")

from lazyzarr.cli.verbs import app
from lazyzarr.demo import archive, report, story


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[story.Outcome, list[str]]:
    lines: list[str] = []
    return story.run(tmp_path_factory.mktemp("demo"), lines.append), lines


def test_every_plane_is_identical(outcome: tuple[story.Outcome, list[str]]) -> None:
    found, _ = outcome
    assert found.passed
    assert [c.identical for c in found.comparisons] == [True] * 4
    assert all(c.absent > 0 for c in found.comparisons[:3])
    assert found.values.dtype == np.float32


def test_the_middle_month_is_another_encoding(outcome: tuple[story.Outcome, list[str]]) -> None:
    found, _ = outcome
    assert [m.stored_type for m in found.months] == ["float32", "int16", "float32"]
    assert [m.compression for m in found.months] == ["gzip", "zstd", "gzip"]
    with h5py.File(found.months[1].path) as file:
        assert file[archive.VARIABLE].chunks == archive.CHUNKS


def test_nothing_is_copied(outcome: tuple[story.Outcome, list[str]]) -> None:
    found, lines = outcome
    assert found.document_bytes * 50 < found.view.nbytes
    assert "\nchunk requests so far: 0" in lines
    assert found.took["chunks"] == 11
    assert found.took["read_bytes"] < sum(m.nbytes for m in found.months)


def test_printed_numbers_are_those_of_the_run(outcome: tuple[story.Outcome, list[str]]) -> None:
    found, lines = outcome
    text = "\n".join(lines)
    assert f"{found.document_bytes:,} bytes in 1 file" in text
    assert f"{found.took['read_bytes']:,} bytes" in text
    assert f"class {found.view.flatness}" in text


def test_a_changed_bit_is_noticed(outcome: tuple[story.Outcome, list[str]]) -> None:
    found, _ = outcome
    values = found.values.copy()
    values[0, 1].view(np.uint32)[-1, 0] ^= 1
    assert [c.identical for c in story.compare(found.months, values)] == [True, False, True, True]
    assert not any(c.identical for c in story.compare(found.months, found.values.astype("float64")))


def test_page_is_well_formed_and_self_contained(outcome: tuple[story.Outcome, list[str]]) -> None:
    text = report.text(outcome[0])
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert len(list(root.iter("img"))) == 4
    assert all((img.get("src") or "").startswith("data:") for img in root.iter("img"))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}svg"))) == 3
    assert "<script" not in text


def test_as_a_verb_and_cleaned_up(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    result = CliRunner().invoke(app, ["demo", "--out", str(folder), "--clean"])
    assert result.exit_code == 0, result.output
    assert result.output.count("identical") == 4
    assert not folder.exists()
