"""All comparisons in one table, for the README: ``python tests/bench/all.py [--quick]``."""

from __future__ import annotations

import os
import platform
import sys

import access
import flatten
import many
import scan
import serving
from measuring import Row, arguments, table

PARTS = {"scan": scan.rows, "access": access.rows, "many": many.rows, "flatten": flatten.rows, "serving": serving.rows}


def main() -> None:
    """Print the table; progress goes to standard error."""
    parser = arguments(__doc__)
    parser.add_argument("parts", nargs="*", help=f"which of {', '.join(PARTS)}; all by default")
    given = parser.parse_args()
    found: list[Row] = []
    for name in given.parts or PARTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found += PARTS[name](quick=given.quick, rounds=given.rounds)
    print(table(found))
    missed = sum(not row.met for row in found)
    load = os.getloadavg()[0]
    print(
        f"\nBest (median); {os.cpu_count()} processors, load {load:.1f} at the end, Python "
        f"{platform.python_version()}; {missed} of {len(found)} bars missed."
    )


if __name__ == "__main__":
    main()
