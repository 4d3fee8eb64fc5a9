"""Random views: flat ones through Icechunk and zarr-python are what the graph means, others are refused."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import icechunk
import numpy as np
import zarr
from hypothesis import given, settings

import lazyzarr as lz
from lazyzarr.access.session import Session
from lazyzarr.interpret import interpret
from lazyzarr.read import Reader
from tests.strategies.cells import same_cells
from tests.strategies.graphs import Drawn, graphs
from tests.strategies.tally import GRAPHS

ROOT = f"file://{Path(tempfile.gettempdir()).resolve()}/"


def repository() -> icechunk.Repository:
    config = icechunk.RepositoryConfig.default()
    store = icechunk.local_filesystem_store(ROOT.removeprefix("file://"))
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(ROOT, store))
    access = {ROOT: icechunk.credentials.LocalFileSystemAccess}
    return icechunk.Repository.create(icechunk.in_memory_storage(), config, authorize_virtual_chunk_access=access)


REPOSITORY = repository()


def through_icechunk(drawn: Drawn) -> None:
    view = lz.View(None, graph=drawn.graph, reader=Reader(Session()))
    session = REPOSITORY.writable_session("main")
    try:
        lz.formats.icechunk.write(view, session, path="a")
    except lz.NotFlat:
        assert view.flatness not in ("L0", "L1")
        GRAPHS["refused by the Icechunk writer: not flat"] += 1
        return
    except lz.SaveUnsupported as error:
        GRAPHS[f"refused by the Icechunk writer: {error.reason}"] += 1
        return
    with zarr.config.set({"array.rectilinear_chunks": True}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr-python's about types that are not in its specification
        array = zarr.open_array(session.store, path="a", mode="r")
        stored = array[...]
    expected = interpret(drawn.graph, drawn.truth)
    if array.dtype == expected.dtype:
        # of rank 0 zarr-python gives a scalar, whose text is as long as its content
        assert same_cells(np.asarray(stored, array.dtype), expected)
        GRAPHS["Icechunk through zarr-python == interpret"] += 1
    again = lz.open(session, "a") if all(isinstance(n, int) for n in view.flatten().chunk_lengths) else None
    if again is not None:
        assert same_cells(again.read(), expected)
        GRAPHS["Icechunk through lazyzarr == interpret"] += 1


@settings(max_examples=60)
@given(graphs(depth=1))
def test_random_views_through_icechunk(drawn: Drawn) -> None:
    through_icechunk(drawn)
