"""Documents at the limits: time and memory of opening, or refusing, each one in a process of its own.

``python tests/bench/documents.py [words of a name ...]`` prints a table; the documents are those of
`tests/document/heavy.py`. The time is that of `lazyzarr.open` after the imports, of the processor as well as of the
clock, since others may use the machine; the memory is what the peak of the process grew by. The bars are 1 s and
256 MiB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SECONDS, BYTES = 1.0, 256 << 20
ROOT = Path(__file__).parents[2]
MAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.document.heavy import CASES
open(sys.argv[3], "wb").write(CASES[sys.argv[2]][1]())
"""
OPEN = """
import json, resource, sys, time
import lazyzarr as lz
lz.full((1,), 0).read(); lz.open, lz.View
def peak():
    # the peak that getrusage tells may be that of the parent, which the process had before it became another program
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
before, start, used = peak(), time.perf_counter(), time.process_time()
try:
    lz.open(sys.argv[1])
    outcome = "opens"
except lz.LazyZarrError as error:
    outcome = error.reason
took, used = time.perf_counter() - start, time.process_time() - used
print(json.dumps({"outcome": outcome, "clock": took, "processor": used, "bytes": peak() - before}))
"""


def measured(name: str, rounds: int = 1) -> dict[str, Any]:
    """What fresh processes report that open a document: the least time and the most memory."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "v.zarr")
        place.mkdir()
        run = [sys.executable, "-c"]
        subprocess.run([*run, MAKE, str(ROOT), name, str(place / "zarr.json")], check=True)
        found = [
            json.loads(subprocess.run([*run, OPEN, str(place)], check=True, capture_output=True, text=True).stdout)
            for _ in range(rounds)
        ]
    best = min(found, key=lambda one: one["processor"])
    return best | {"bytes": max(one["bytes"] for one in found)}


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(ROOT))
    from tests.document.heavy import CASES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only documents with one of these in the name")
    parser.add_argument("--rounds", type=int, default=1, help="processes per document")
    given = parser.parse_args()
    missed = 0
    print("| document | outcome | processor | clock | memory | within 1 s and 256 MiB |\n|---|---|---|---|---|---|")
    for name, (outcome, _) in CASES.items():
        if given.words and not any(word in name for word in given.words):
            continue
        found = measured(name, given.rounds)
        assert found["outcome"] == outcome, (name, found)
        met = found["processor"] <= SECONDS and found["bytes"] <= BYTES
        missed += not met
        print(
            f"| {name} | {outcome} | {found['processor']:.2f} s | {found['clock']:.2f} s | "
            f"{found['bytes'] / 2**20:.0f} MiB | {'yes' if met else 'no'} |",
            flush=True,
        )
    print(f"\n{missed} bars missed.")


if __name__ == "__main__":
    main()
