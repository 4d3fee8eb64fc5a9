"""Random views through stock TensorStore: what it reads of their specifications is what they mean."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import tensorstore
from hypothesis import given, settings

import lazyzarr as lz
from lazyzarr.interpret import interpret
from lazyzarr.read import Reader
from lazyzarr.view import View
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS


@settings(deadline=None)
@given(graphs(depth=3))
def test_tensorstore_reads_what_views_mean(drawn: Drawn) -> None:
    view = View(None, graph=drawn.graph, reader=Reader())
    try:
        spec = lz.formats.tensorstore.spec(view)
    except lz.SaveUnsupported:
        GRAPHS["tensorstore: save-unsupported"] += 1
        return
    found = tensorstore.open(json.loads(json.dumps(spec))).result().read().result()
    expected = interpret(drawn.graph, drawn.truth)
    found = np.asarray(found)
    assert found.dtype == expected.dtype
    assert same_cells(found, expected)
    GRAPHS["tensorstore == interpret"] += 1
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "spec.json")
        lz.formats.tensorstore.write(view, place)
        again = lz.open(place, allow=["/"]).read()
        assert same_cells(again, expected)
        GRAPHS["tensorstore, read again == interpret"] += 1
