"""The page of the demonstration: maps, blocks, graph, reasons, numbers.

Owns what is on it. Refuses numbers of its own: all come from the `Outcome`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lazyzarr.demo.story import Outcome
from lazyzarr.display import page, spelling
from lazyzarr.display.blocks import Picture, picture
from lazyzarr.display.diagram import diagram
from lazyzarr.display.flat import flatness_of
from lazyzarr.display.page import Section
from lazyzarr.display.png import colours, png
from lazyzarr.lower.fragments import fragments
from lazyzarr.lower.lowering import lower
from lazyzarr.stages import Stage
from lazyzarr.view import View


def write(found: Outcome, path: Path) -> None:
    """Write the page."""
    path.write_text(text(found), encoding="utf-8")


def text(found: Outcome) -> str:
    """The page as HTML."""
    verdict = "identical" if found.passed else "different"
    figures = {
        "bits against xarray": verdict,
        "the saved view": spelling.size(found.document_bytes),
        "its values": spelling.size(found.view.nbytes),
        "requests to read them": f"{found.took['read_requests']:,}",
        "bytes read": spelling.size(found.took["read_bytes"]),
        "class": found.view.flatness,
    }
    sections = [_maps(found), _files(found), _blocks(found), _graph(found), _flatness(found), _comparison(found)]
    return page.page(
        "Three months, one array, nothing copied",
        "Sea surface temperature of three monthly NetCDF-4 files that disagree in type, packing, compression and "
        "chunks, joined, cut to the Americas, turned north up and stacked with a mask as one lazyzarr view.",
        figures,
        sections,
    )


def _maps(found: Outcome) -> Section:
    planes = found.values[0]
    low, high = float(np.nanmin(planes)), float(np.nanmax(planes))
    units = found.view.attrs["units"]
    maps = [
        page.image(png(colours(plane, low, high)), f"[0, {number}]  {month.path.name}")
        for number, (plane, month) in enumerate(zip(planes, found.months, strict=True))
    ]
    ramp = png(colours(np.linspace(low, high, 220)[None, :], low, high))
    return Section(
        "What was read",
        "The values as a new process read them through the saved view. Land is grey.",
        page.gallery(maps) + page.scale(ramp, f"{low:.2f} {units}", f"{high:.2f} {units}"),
    )


def _files(found: Outcome) -> Section:
    rows = [
        [m.path.name, m.stored_type, m.packing, str(m.chunks), m.compression, f"{m.nbytes:,}"] for m in found.months
    ]
    header = ["file", "stored type", "packing", "chunks", "codec", "bytes"]
    return Section(
        "The files",
        "The first and the last month are as they were published; the middle one was rewritten, as archives do.",
        page.table(header, rows, wraps=[2]),
    )


def _blocks(found: Outcome) -> Section:
    whole = page.framed(_picture(found.view), "the whole view")
    one = page.framed(
        _picture(found.view[0, 1], first_colour=1), "the plane [0, 1]; dashed lines are borders of stored chunks"
    )
    return Section(
        "Where the cells come from",
        "Each box of the view is filled by a box of one file or by a constant. Hover over a box to see which cells.",
        page.side_by_side([whole, one])
        + page.folded("placements as text", page.listing(found.view.explain("placements"))),
    )


def _picture(view: View, *, first_colour: int = 0) -> Picture:
    lowered = lower(view.ir)
    return picture(lowered, fragments(lowered), view.dims, first_colour=first_colour)


def _graph(found: Outcome) -> Section:
    view = found.view
    stages: tuple[tuple[str, Stage], ...] = (
        ("nodes as built", "built"),
        ("optimized, with every rule that fired", "optimized"),
        ("manifest: every fragment of every chunk", "manifest"),
        ("plan: the requests of a read", "plan"),
    )
    texts = [page.listing(view.explain(stage, trace=stage == "optimized")) for _, stage in stages]
    folds = "".join(page.folded(title, text) for (title, _), text in zip(stages, texts, strict=True))
    return Section(
        "The graph",
        f"This is what was saved: {found.document_bytes:,} bytes in {spelling.many(found.document_files, 'file')}.",
        f'<div class="wide">{diagram(view.ir)}</div>{folds}',
    )


def _flatness(found: Outcome) -> Section:
    known = flatness_of(found.view.ir)
    reasons = list(map(str, known.problems))
    return Section(
        f"How flat: {known.level}",
        "L0 is a plain list of whole chunks that any Zarr reader could use. What keeps this view from it:",
        page.items(reasons),
    )


def _comparison(found: Outcome) -> Section:
    rows = [
        [c.plane, c.file, c.data_type, f"{c.cells:,}", f"{c.absent:,}", "identical" if c.identical else "different"]
        for c in found.comparisons
    ]
    header = ["plane", "expected from", "type", "cells", "of them NaN", "bits"]
    took = found.took
    return Section(
        "The proof",
        f"Process {took['process']} opened the view with {spelling.many(took['open_requests'], 'request')} and read it "
        f"with {took['read_requests']:,}, decoding {spelling.many(took['chunks'], 'chunk')}. Its values against those "
        "that xarray decodes from each file, bit by bit:",
        page.table(header, rows),
    )
