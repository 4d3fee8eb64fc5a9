"""Write the conformance corpus: ``uv run python spec/conformance/generate.py [DIRECTORY]``.

Owns the order of work: all parts of the corpus are written anew into a directory, by default this one. The output
is the same on every run and in every directory, so a change of the corpus is a change of a case. Refuses to delete
anything but the folders ``good``, ``bad`` and ``unreadable`` of the directory.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from corpus import (
    bad_access,
    bad_forms,
    bad_graphs,
    bad_limits,
    bad_manifests,
    bad_parts,
    bad_rows,
    good_axes,
    good_joins,
    good_rows,
    good_sources,
    good_tables,
    good_values,
    good_writing,
    kept,
    unreadable,
)
from corpus.cases import write_good
from corpus.documents import write_bad
from corpus.kept import write_kept

GOOD = (good_axes, good_joins, good_values, good_sources, good_tables, good_rows, good_writing)
BAD = (bad_forms, bad_access, bad_parts, bad_graphs, bad_limits, bad_manifests, bad_rows)


def main(into: Path) -> None:
    """Write ``good``, ``bad``, ``unreadable`` and ``kept`` below a directory."""
    for name in ("good", "bad", "unreadable", "kept"):
        shutil.rmtree(into / name, ignore_errors=True)
    good = sum(write_good(module.CASES, into / "good") for module in GOOD)
    bad = sum(write_bad(module.CASES, into / "bad") for module in BAD)
    broken = write_good(unreadable.CASES, into / "unreadable")
    nodes = write_kept(kept.CASES, into / "kept")
    print(f"{good} good, {bad} bad, {broken} unreadable and {nodes} kept cases in {into}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
