"""Clocks and tables of the benchmarks.

Owns how a work is timed (alternating with its peers, so that load from elsewhere falls on all of them) and how a
comparison is printed. Only ratios carry over to other machines.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Work = Callable[[], Any]


class Timing(NamedTuple):
    """Of one work [s]."""

    best: float
    median: float

    def __str__(self) -> str:
        return f"{amount(self.best)} ({amount(self.median)})"


class Row(NamedTuple):
    """One comparison: ours against a peer, or against a fixed bar (no peer)."""

    what: str
    ours: Timing | float
    peer: str
    theirs: Timing | float | None
    bar: float
    """Largest ratio ours/theirs; without a peer the largest value of ours."""
    unit: str = "s"

    @property
    def ratio(self) -> float | None:
        """Ours over theirs, by the best."""
        return None if self.theirs is None else best(self.ours) / best(self.theirs)

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return (best(self.ours) if self.ratio is None else self.ratio) <= self.bar


def best(value: Timing | float) -> float:
    """The number that ratios are made of."""
    return value.best if isinstance(value, Timing) else value


def amount(value: float, unit: str = "s") -> str:
    """A time or a size as people say it."""
    if unit != "s":
        return f"{value:.3g} {unit}"
    for scale, name in ((1, "s"), (1e-3, "ms")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value * 1e6:.3g} us"


def alternate(works: Mapping[str, Work], rounds: int, *, least: float = 0.0) -> dict[str, Timing]:
    """Time each work once a round, in turn.

    Parameters
    ----------
    least
        A work shorter than this is repeated until a sample takes about as long [s].
    """
    repeats = {}
    for name, work in works.items():
        work()
        repeats[name] = 1
        if least:
            start = time.perf_counter()
            work()
            repeats[name] = max(1, round(least / max(time.perf_counter() - start, 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in works}
    gc.disable()
    try:
        for _ in range(rounds):
            for name, work in works.items():
                start = time.perf_counter()
                for _ in range(repeats[name]):
                    work()
                samples[name].append((time.perf_counter() - start) / repeats[name])
            gc.collect()
    finally:
        gc.enable()
    return {name: timing(times) for name, times in samples.items()}


def timing(samples: Iterable[float]) -> Timing:
    """Best and median of samples."""
    found = list(samples)
    return Timing(min(found), statistics.median(found))


def show(rows: Iterable[Row]) -> list[Row]:
    """Print a Markdown table, each row as soon as it is known; times are the best, with the median in brackets."""
    print("| what | lazyzarr | peer | ratio | bar | met |\n|---|---|---|---|---|---|", flush=True)
    shown: list[Row] = []
    for row in rows:
        print(_line(row), flush=True)
        shown.append(row)
    return shown


def _line(row: Row) -> str:
    ours, theirs = (
        str(value) if isinstance(value, Timing) else "" if value is None else amount(value, row.unit)
        for value in (row.ours, row.theirs)
    )
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    bar = f"<= {row.bar:.3g}" if row.ratio is not None else f"<= {amount(row.bar, row.unit)}"
    peer = f"{row.peer}: {theirs}" if theirs else row.peer
    return f"| {row.what} | {ours} | {peer} | {ratio} | {bar} | {'yes' if row.met else 'no'} |"


def arguments(text: str | None) -> argparse.ArgumentParser:
    """A parser with what all benchmarks take."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--quick", action="store_true", help="less data and fewer rounds")
    parser.add_argument("--rounds", type=int, default=0, help="samples per work")
    return parser
