"""Random graphs, made flat by writing what is in the way, are what the graphs mean."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.interpret import interpret
from lazyzarr.materializing import BoundaryReport
from lazyzarr.view import View
from tests.flat.reading import read_flat
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS


@given(graphs(), st.booleans(), st.booleans())
def test_boundary_chunks_are_written_and_the_rest_is_referenced(drawn: Drawn, uneven: bool, plain: bool) -> None:
    view = View(None, graph=drawn.graph)
    variable = view.dtype.kind in "TO"
    serial = {"T": "vlen-utf8", "O": "vlen-bytes"}.get(view.dtype.kind, "bytes")
    codecs = [{"name": serial, "configuration": {} if variable else {"endian": "little"}}, "crc32c"] if plain else None
    with tempfile.TemporaryDirectory() as folder:
        report = _report(view, uneven, codecs)
        if isinstance(report, lz.NotFlat):
            assert report.reason == "not-flat"
            assert not plain
            assert any("stored form" in p or "cannot be written" in p or "decodes" in p for p in report.problems)
            GRAPHS["boundary chunks that cannot be written"] += 1
            return
        assert isinstance(report, BoundaryReport)
        manifest = view.flatten(materialize="boundary", into=folder, rectilinear=uneven, codecs=codecs)
        assert manifest.is_regular or uneven
        assert len(manifest) == report.chunks
        assert int((manifest.state > 0).sum()) <= report.referenced + report.written
        assert same_cells(read_flat(manifest), interpret(drawn.graph, drawn.truth))
        again = view.flatten(materialize="boundary", into=folder, rectilinear=uneven, codecs=codecs)
        np.testing.assert_array_equal(again.length, manifest.length)
    GRAPHS["boundary chunks written == interpret"] += 1


def _report(view: View, uneven: bool, codecs: Any) -> BoundaryReport | lz.NotFlat:
    try:
        return view.flatten(materialize="boundary", rectilinear=uneven, codecs=codecs, dry_run=True)
    except lz.NotFlat as error:
        return error
