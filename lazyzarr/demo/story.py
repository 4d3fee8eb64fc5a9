"""The demonstration itself: join, cut, flip, stack, save, reopen elsewhere, compare.

Owns the steps and the lines that are printed; every number in them is computed in the run. Refuses to call
two arrays equal unless type, shape and every bit are.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from lazyzarr import api as lz
from lazyzarr.demo.archive import VARIABLE, Month, make
from lazyzarr.display import spelling
from lazyzarr.display.tables import columns
from lazyzarr.view import View

ROWS, COLUMNS = slice(100, 330), slice(100, 330)
"""The Americas on the model's grid, with the seas on both sides; cuts through chunks on purpose."""
MASK = 26.5
"""Temperature [degree_C] that tropical storms need: the constant plane to mask the others with."""
VALUES = "values.npy"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One plane of the view against what xarray decodes from one file."""

    plane: str
    file: str
    data_type: str
    cells: int
    absent: int
    """Cells that are NaN."""
    identical: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demonstration made and measured."""

    months: list[Month]
    view: View
    saved: Path
    document_files: int
    document_bytes: int
    took: dict[str, Any]
    """As the other process printed it."""
    values: np.ndarray
    """As the other process read them."""
    comparisons: list[Comparison]

    @property
    def passed(self) -> bool:
        """Whether every plane is identical."""
        return all(found.identical for found in self.comparisons)


def run(folder: Path, say: Say) -> Outcome:
    """Run the demonstration in a directory."""
    months = make(folder)
    _tell_files(months, say)

    say("\n2. Join, cut, flip, stack: no value is read\n")
    inputs = [lz.open(month.path, variable=VARIABLE) for month in months]
    joined = lz.concat(inputs, axis=0)
    americas = joined[:, ROWS, COLUMNS]
    north_up = americas.flip(1)
    mask = lz.full(north_up.shape, MASK, dtype=north_up.dtype).with_attrs({"units": north_up.attrs["units"]})
    view = lz.stack([north_up, mask], axis=0).rename_dims(["plane", *(north_up.dims or ())])
    view = view.with_attrs({**view.attrs, "long_name": "sea surface temperature, and the limit to mask it with"})
    say(repr(view))
    say(f"\nchunk requests so far: {view.reader.session.counts.requests}")
    say("\nplacements: which part of which file fills which box of the view\n")
    say(view.explain("placements"))
    say(f"\nclass {view.flatness}, because")
    for problem in view.why_not_flat():
        say(f"  - {problem}")

    say("\n3. Save the view\n")
    saved = folder / "americas.zarr"
    lz.save(view, saved, overwrite=True)
    files = [path for path in saved.rglob("*") if path.is_file()]
    nbytes = sum(path.stat().st_size for path in files)
    say(f"{saved.name}: {nbytes:,} bytes in {spelling.many(len(files), 'file')}; its values are {view.nbytes:,} bytes")

    say("\n4. Reopen and read it in a new process\n")
    values_path = folder / VALUES
    took = _elsewhere(saved, values_path)
    values = np.load(values_path)
    say(f"process {took['process']} opened {tuple(took['shape'])} {took['data_type']}")
    say(f"open: {spelling.many(took['open_requests'], 'request')}, {took['open_bytes']:,} bytes")
    say(
        f"read: {spelling.many(took['read_requests'], 'request')}, {took['read_bytes']:,} bytes, "
        f"{spelling.many(took['chunks'], 'chunk')} decoded"
    )

    say("\n5. Compare with what xarray decodes, file by file\n")
    comparisons = compare(months, values)
    rows = [[c.plane, c.file, c.data_type, f"{c.cells:,}", f"{c.absent:,}", _verdict(c)] for c in comparisons]
    header = ["plane", "expected from", "type", "cells", "NaN", "bits"]
    for line in columns(rows, header=header, right=[3, 4]):
        say(line)
    return Outcome(months, view, saved, len(files), nbytes, took, values, comparisons)


def remove(found: Outcome, page: Path) -> None:
    """Remove what the demonstration wrote, and its directory if nothing else is there."""
    folder = found.saved.parent
    for file in (*(month.path for month in found.months), folder / VALUES, page):
        file.unlink()
    shutil.rmtree(found.saved)
    if not any(folder.iterdir()):
        folder.rmdir()


def compare(months: Sequence[Month], values: np.ndarray) -> list[Comparison]:
    """Each plane of the view's values against the same cells as xarray decodes them."""
    found: list[Comparison] = []
    for number, month in enumerate(months):
        with xarray.open_dataset(month.path, engine="h5netcdf", decode_times=False) as opened:
            decoded = opened[VARIABLE].values[0]
        expected = decoded[ROWS, COLUMNS][::-1]
        found.append(_compared(f"0, {number}", month.path.name, values[0, number], expected))
    constant = np.full(values.shape[1:], MASK, np.float32)
    found.append(_compared("1", f"np.full(..., {MASK})", values[1], constant))
    return found


def _compared(plane: str, file: str, values: np.ndarray, expected: np.ndarray) -> Comparison:
    same = values.dtype == expected.dtype and values.shape == expected.shape and values.tobytes() == expected.tobytes()
    absent = int(np.isnan(expected).sum())
    return Comparison(plane, file, str(expected.dtype), expected.size, absent, same)


def _verdict(found: Comparison) -> str:
    return "identical" if found.identical else "DIFFERENT"


def _elsewhere(saved: Path, values_path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "lazyzarr.demo.reopen", str(saved), str(values_path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def _tell_files(months: Sequence[Month], say: Say) -> None:
    say("1. Three months of an ocean model, as an archive keeps them: the middle one was packed anew\n")
    rows = [[m.path.name, m.stored_type, str(m.chunks), m.compression, f"{m.nbytes:,}", m.packing] for m in months]
    header = ["file", "type", "chunks", "codec", "bytes", "packing"]
    for line in columns(rows, header=header, right=[4]):
        say(line)
