"""Views that earlier versions saved read as they did, and stay as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.interpret import interpret
from tests.conformance.corpus import SAVED, assert_reads_as, document, expected
from tests.conformance.whole_arrays import WholeArrays

DOCUMENTS = {
    "manifest": "e238f85ad152a191236c911d518bfa8318a4d3722a3d8fe2b4ad3ca92aafcbdc",
    "manifest-boxes": "ed7230f487a5831b0dacce1ad4f5f30cab0d0190f9a2340e6512ff10ec3ad258",
    "manifest-windows": "1daf93417b20a7415e99a9ee8e42dfe7d9f1affb63102fa6e3e1d5f6b2345050",
    "row-values-columns": "72932dd8cc9d0be8b14811be95904a1b6bc66c6b13d98d7ddd2b612ad085d506",
    "tiles-columns": "65b9eabde3933de2ccd9e57ce01c38d15e41b275149ea5d59de6bb058256e45f",
}
"""Digests of the documents; one that is written anew is no saved one."""

each = pytest.mark.parametrize("case", SAVED, ids=lambda path: path.name)


def test_none_is_gone() -> None:
    assert {case.name for case in SAVED} >= set(DOCUMENTS)


@each
def test_the_document_is_the_one_that_was_saved(case: Path) -> None:
    text = (case / "view.zarr" / "zarr.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == DOCUMENTS[case.name]


@each
def test_it_reads_as_it_did(case: Path) -> None:
    view = lz.open(case / "view.zarr")
    assert_reads_as(view.read(), expected(case))
    assert_reads_as(np.asarray(interpret(view.ir, WholeArrays(view.ir))), expected(case))


@each
def test_it_is_saved_anew_with_the_same_cells(case: Path, tmp_path: Path) -> None:
    lz.save(lz.open(case / "view.zarr"), tmp_path / "again.zarr")
    again = lz.open(tmp_path / "again.zarr", allow=[case.as_uri()])
    assert_reads_as(again.read(), expected(case))


def test_the_forms_that_are_written_no_more_are_there() -> None:
    graphs = {case.name: document(case) for case in SAVED}
    assert len(graphs["manifest-boxes"]["graph"]["nodes"]) == 8
    assert graphs["manifest-windows"]["manifest"]["form"] == "boxes"
    assert len(graphs["manifest-windows"]["manifest"]["graph"]["nodes"]) == 2
