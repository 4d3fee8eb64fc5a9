"""P6: manifests on disk: bytes per chunk, writing, opening, the first chunk and memory, beside other formats.

Every number is of a fresh process that has imported its libraries and read something else before; times are the best
of some runs, memory is what the process grew by. Then: adding one file to a manifest, and a base with three slices of
it. What is not installed is left out, and said.

Run ``uv run python tests/bench/manifests.py``; 10^4, 10^5 and 10^6 chunks take about four minutes. ``--large`` goes on to
10^7, and with ``--huge`` to 10^8 for lazyzarr (up to 18 GB of memory, its references in memory included);
``--most 100000`` stops earlier, ``--only lazyzarr`` leaves the peers out, ``--kinds append keys`` some of the shapes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from manifest_peers import (
    CELL,
    EACH,
    KINDS,
    PEERS,
    new_array,
    open_lazyzarr,
    references,
    repository,
    set_references,
    write_icechunk,
    write_lazyzarr,
)
from measuring import amount

NEEDS = {
    "lazyzarr": ("lazyzarr", "zarr"),
    "kerchunk JSON": ("fsspec", "zarr"),
    "kerchunk Parquet": ("fsspec", "zarr", "fastparquet", "pandas"),
    "Icechunk": ("icechunk", "zarr"),
}


def size_of(path: Path) -> int:
    """Bytes of a file, or of all below a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


def resident() -> float:
    """The most memory that this process has had [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(name: str, kind: str, count: int, folder: Path) -> dict[str, float]:
    """One manifest."""
    work = PEERS[name].write(references(kind, count, folder / "data"), folder / target(name))
    before, begin = resident(), time.perf_counter()
    work()
    return {"write": time.perf_counter() - begin, "write memory": resident() - before}


def read(name: str, kind: str, count: int, folder: Path) -> dict[str, float]:
    """Open it and read one chunk, after the same of a small one, so that nothing is imported or compiled on the way."""
    del kind, count
    PEERS[name].open(folder / "small" / target(name))()
    before, begin = resident(), time.perf_counter()
    first = PEERS[name].open(folder / target(name))
    opened = time.perf_counter()
    assert first() == CELL
    return {"open": opened - begin, "first": time.perf_counter() - opened, "memory": resident() - before}


def target(name: str) -> str:
    """Where a form is below the folder."""
    return {"kerchunk JSON": "v.json", "kerchunk Parquet": "v.parq"}.get(name, "v.zarr")


def growth(name: str, kind: str, count: int, folder: Path) -> dict[str, float]:
    """One more file of `EACH` chunks, and then three slices that are 2.3 bases long."""
    base, more = references(kind, count, folder / "data"), references(kind, EACH, folder / "data", first=count // EACH)
    where = folder / target(name)
    slices = (slice(None, count * 9 // 10), slice(count // 10, None), slice(None, None, 2))
    if name == "lazyzarr":
        lz: Any = import_module("lazyzarr")
        write_lazyzarr(base, where)()
        alone = size_of(where)
        write_lazyzarr(more, folder / "more.zarr")()
        added = lz.open(folder / "more.zarr", allow=["file:///"])
        begin = time.perf_counter()
        lz.append(where, added)
        took, grew = time.perf_counter() - begin, size_of(where) - alone
        assert open_lazyzarr(where)() == CELL
        kept = lz.open(where, allow=["file:///"]).flatten()
        assert kind == "keys" or np.array_equal(kept.offset, np.concatenate([base.offset, more.offset]))
        again = lz.open(where, allow=["file:///"])[:count]
        for number, key in enumerate(slices):
            lz.save(again[key], folder / f"{number}.zarr", share=True)
        total = alone + sum(size_of(folder / f"{number}.zarr") for number in range(3))
        return {"append": took, "append bytes": grew, "slices": total / alone}
    write_icechunk(base, where, split=10_000)()
    alone = size_of(where)
    repo = repository(where, base.folder, new=False, split=10_000)
    begin = time.perf_counter()
    session = repo.writable_session("main")
    import_module("zarr").open_array(session.store, path="x").resize((count + EACH,))
    set_references(session, more, first=count)
    session.commit("more")
    took, grew = time.perf_counter() - begin, size_of(where) - alone
    session = repo.writable_session("main")
    for number, key in enumerate(slices):
        rows = len(range(*key.indices(count)))
        new_array(session, rows, f"s{number}")
        set_references(session, base, f"s{number}", key)
    session.commit("slices")
    return {"append": took, "append bytes": grew, "slices": (size_of(where) - grew) / alone}


CHILDREN = {"write": write, "read": read, "growth": growth}


def child(what: str, name: str, kind: str, count: int, folder: Path) -> dict[str, float]:
    """The figures of one work in a process of its own."""
    run = [sys.executable, __file__, "--child", what, name, kind, str(count), str(folder)]
    return json.loads(subprocess.check_output(run, text=True, env={**os.environ, "ICECHUNK_LOG": "error"}))


def measured(name: str, kind: str, count: int, rounds: int) -> dict[str, float]:
    """All figures of one row of the table."""
    best: dict[str, float] = {}
    for number in range(1 if count > 10**6 else 2):
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            found = child("write", name, kind, count, folder)
            found["bytes"] = size_of(folder / target(name)) / count
            if number == 0:
                (folder / "small").mkdir()
                child("write", name, kind, EACH, folder / "small")
                for _ in range(rounds):
                    for key, value in child("read", name, kind, count, folder).items():
                        found[key] = min(value, found.get(key, value))
        best = {key: min(value, best.get(key, value)) for key, value in {**best, **found}.items()}
    return best


def main(given: argparse.Namespace) -> None:
    """Print the tables; progress goes to standard error."""
    names = [name for name in PEERS if not given.only or name in given.only]
    absent = [name for name in names if any(find_spec(module) is None for module in NEEDS[name])]
    names = [name for name in names if name not in absent]
    print(
        "| chunks of | chunks | format | bytes per chunk | write | open | first chunk | memory, write | memory, read |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    counts = [count for count in (10**4, 10**5, 10**6, 10**7, 10**8) if count <= given.most]
    for kind in given.kinds:
        for count in counts:
            for name in names:
                if count > PEERS[name].most:
                    continue
                print(f"{kind} {count:,} {name} ...", file=sys.stderr, flush=True)
                one = measured(name, kind, count, given.rounds)
                times = " | ".join(amount(one[key]) for key in ("write", "open", "first"))
                memory = " | ".join(f"{one[key]:.0f} MB" for key in ("write memory", "memory"))
                print(f"| {kind} | {count:,} | {name} | {one['bytes']:.2f} | {times} | {memory} |", flush=True)
    print("\n| base | format | adding one file of 1,000 chunks | written for it | base and three slices |")
    print("|---|---|---|---|---|")
    count = min(given.most, 10**6)
    for kind in given.kinds:
        for name in [name for name in names if name in ("lazyzarr", "Icechunk")]:
            found: list[dict[str, float]] = []
            for _ in range(2):
                with tempfile.TemporaryDirectory() as made:
                    found.append(child("growth", name, kind, count, Path(made)))
            took, one = min(each["append"] for each in found), found[-1]
            what = f"{one['append bytes'] / 1000:.1f} kB | {one['slices']:.2f} bases"
            print(f"| {count:,}, {kind} | {name} | {amount(took)} | {what} |", flush=True)
    if absent:
        print(f"\nNot installed: {', '.join(absent)}.")
    print(
        f"\nBest of {given.rounds}; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, NumPy {np.__version__}."
    )


def arguments(text: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10**6)
    parser.add_argument("--large", action="store_const", dest="most", const=10**7)
    parser.add_argument("--huge", action="store_const", dest="most", const=10**8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    return parser.parse_args(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        what, name, kind, count, folder = sys.argv[2:]
        print(json.dumps(CHILDREN[what](name, kind, int(count), Path(folder))))
    else:
        main(arguments(sys.argv[1:]))
