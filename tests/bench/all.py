"""All comparisons in one table, for the README: ``python tests/bench/all.py [--quick]``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator

import access
import flatten
import many
import scan
import serving
from measuring import Row, arguments, show

PARTS = {"scan": scan.rows, "access": access.rows, "many": many.rows, "flatten": flatten.rows, "serving": serving.rows}


def measured(parts: list[str], *, quick: bool, rounds: int) -> Iterator[Row]:
    """The rows of some parts."""
    for name in parts:
        print(f"{name} ...", file=sys.stderr, flush=True)
        yield from PARTS[name](quick=quick, rounds=rounds)


def main() -> None:
    """Print the table row by row; which part is measured goes to standard error."""
    parser = arguments(__doc__)
    parser.add_argument("parts", nargs="*", help=f"which of {', '.join(PARTS)}; all by default")
    given = parser.parse_args()
    found = show(measured(given.parts or list(PARTS), quick=given.quick, rounds=given.rounds))
    missed = sum(not row.met for row in found)
    load = os.getloadavg()[0]
    print(
        f"\nBest (median); {os.cpu_count()} processors, load {load:.1f} at the end, Python "
        f"{platform.python_version()}; {missed} of {len(found)} bars missed."
    )


if __name__ == "__main__":
    main()
