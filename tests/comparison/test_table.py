"""The table of the comparison: what each peer makes of each row is what the page says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.comparison.peers import PEERS, outcome

PAGE = (Path(__file__).parents[2] / "docs" / "comparison.md").read_text("utf-8")
CELL = re.compile(r"\[\*+(\w+)\*+\]\(\.\./tests/comparison/(\w+)\.py\)")
ROWS = {cells[0][1]: [word for word, _ in cells] for cells in map(CELL.findall, PAGE.splitlines()) if cells}
MODULES = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__", "peers", "test_table"}


def test_every_program_is_a_row() -> None:
    assert set(ROWS) == MODULES
    (head,) = [line for line in PAGE.splitlines() if line.startswith("| what is joined")]
    assert [cell.strip() for cell in head.strip("|").split("|")][1:] == list(PEERS)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_cell_is_true(name: str, peer: str) -> None:
    row = importlib.import_module(f"tests.comparison.{name}").ROW
    assert outcome(row, peer) == ROWS[name][list(PEERS).index(peer)]
