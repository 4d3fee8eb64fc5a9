"""Random views: those that are flat are the same cells in every form, for other readers and for ours."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import lazyzarr as lz
from lazyzarr.interpret import interpret
from lazyzarr.read import Reader
from lazyzarr.view import View
from tests.formats.reference_files import foreign_dataset
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS

FORMS = ("refs.json", "refs3.json", "refs.parq", "manifest")


@settings(deadline=None)
@given(graphs(depth=1), st.sampled_from(FORMS))
def test_round_trips_of_flat_views(drawn: Drawn, form: str) -> None:
    view = View(None, graph=drawn.graph, reader=Reader())
    expected = interpret(drawn.graph, drawn.truth)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / form
        try:
            if form == "manifest":
                lz.formats.manifest_json.write({"x": view}, place)
            else:
                lz.formats.kerchunk.write({"x": view}, place, zarr_format=3 if form == "refs3.json" else 2)
        except (lz.NotFlat, lz.SaveUnsupported) as error:
            refusal = error
        else:
            refusal = None
        if refusal is not None:
            assert refusal.reason == ("not-flat" if isinstance(refusal, lz.NotFlat) else "save-unsupported")
            GRAPHS[f"kerchunk: {refusal.reason}"] += 1
            return
        found = lz.open(place, allow=["/"])["x"].read()
        assert found.dtype == expected.dtype
        assert same_cells(found, expected)
        GRAPHS[f"kerchunk: {form} == interpret"] += 1
        if form == "manifest" or expected.dtype.kind not in "biuf":
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            foreign = foreign_dataset(str(place))["x"].values
        assert foreign.dtype == expected.dtype
        np.testing.assert_array_equal(foreign, expected)
        GRAPHS[f"kerchunk: {form}, xarray == interpret"] += 1
