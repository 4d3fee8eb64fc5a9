"""Good cases of what software that writes leaves behind: grown views, saves that were cut short, kinds written out."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import lazyzarr as lz
from corpus.cases import Case, forget_version, ramp
from lazyzarr.document.wire import graph_digest
from lazyzarr.extensions import apply
from lazyzarr.ir import extensions

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "lazyzarr-reshape" / "lazyzarr_reshape.py"


def grown_beside(case: Case) -> None:
    """A view that names a table of another view, which has grown since."""
    cells = ramp(64)
    rows = np.arange(300) * 37 % 64
    base = case.folder / "base.zarr"
    lz.save(case.zarr("a.zarr", cells, (16,), fill_value=0).take(rows, axis=0), base)
    case.save(
        lz.open(base)[200:20:-10],
        cells[rows][200:20:-10],
        fill_value=0,
        flatness="L2",
        chunks=4,
        about="a table of a view that has been appended to since is what it was",
        share=True,
    )
    lz.append(base, case.zarr("b.zarr", ramp(16, start=900), (16,), fill_value=0))
    forget_version(base / "zarr.json")
    for document in (base / "zarr.json", case.folder / "view.zarr" / "zarr.json"):
        # a stored table is named by where it is, and the corpus may be anywhere
        text = document.read_text("utf-8")
        (name,) = re.findall(r'"tables": \{\s*"(\w+)"', text)
        document.write_text(text.replace(f'"{name}"', '"indices"'), encoding="utf-8")


def save_cut_short(case: Case) -> None:
    """Files of a save that never came to its end, beside the document before it."""
    values = ramp(6, 4)
    case.save(
        case.zarr("a.zarr", values, (3, 2), fill_value=0)[::-1],
        values[::-1],
        fill_value=0,
        flatness="L2",
        chunks=4,
        placements=1,
        about="a half-written document and a half-written folder of a table, under names that begin with a dot",
    )
    view = case.folder / "view.zarr"
    text = (view / "zarr.json").read_bytes()
    (view / ".new-zarr.json").write_bytes(text[: len(text) // 2])
    (view / "tables" / ".new-t0" / "indices").mkdir(parents=True)
    (view / "tables" / ".new-t0" / "indices" / "zarr.json").write_bytes(b'{"zarr_format": 3,')


def extension_written_out(case: Case) -> None:
    """A view of a kind of another package, as the manifest that it reduces to."""
    spec = importlib.util.spec_from_file_location("lazyzarr_reshape", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    extensions.register(module.Reshape)  # the document that is written has no node of it
    values = ramp(4, 6)
    view = apply(module.Reshape(shape=(2, 2, 6)), case.zarr("a.zarr", values, (2, 3), fill_value=0))[:, ::-1]
    case.save(
        view,
        values.reshape(2, 2, 6)[:, ::-1],
        fill_value=0,
        flatness="L2",
        chunks=4,
        about="example.reshape says of each cell which cell of its input it is, so rows of windows say the same",
        manifest="only",
    )


def manifest_spelled(case: Case) -> None:
    """A manifest of a graph whose numbers are spelled as nobody's encoder writes them."""
    values = np.array([1.5, -2.5, 250.0, 250.0], "float32")
    case.save(
        case.zarr("a.zarr", values, (2,), fill_value=250.0),
        values,
        fill_value=250.0,
        flatness="L0",
        chunks=2,
        placements=1,
        about="fill values written 2.5E+2; the digest is of the text of the graph, not of what it means",
        manifest=True,
    )
    document = case.folder / "view.zarr" / "zarr.json"
    text = document.read_text("utf-8").replace('"fill_value": 250.0', '"fill_value": 2.50E+2')
    graph = msgspec.json.decode(text, type=_Group).attributes.lazyzarr.graph
    spelled = re.sub(r'"of": "sha256:\w+"', f'"of": "{graph_digest(graph)}"', text)
    document.write_text(spelled, encoding="utf-8")


class _Document(msgspec.Struct):
    graph: msgspec.Raw


class _Attributes(msgspec.Struct):
    lazyzarr: _Document


class _Group(msgspec.Struct):
    attributes: _Attributes


CASES = (grown_beside, save_cut_short, extension_written_out, manifest_spelled)
