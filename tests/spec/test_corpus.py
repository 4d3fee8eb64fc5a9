"""The conformance corpus: every document of every released version, and what a reader has to make of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lazyzarr.access.session import Session
from lazyzarr.document.decode import decode
from lazyzarr.errors import ViewError

CORPUS = Path(__file__).parents[2] / "spec" / "corpus" / "v1"
EXPECTED: dict[str, Any] = msgspec.json.decode((CORPUS / "expected.json").read_bytes())


def test_the_corpus_is_complete() -> None:
    for kind, least in (("valid", 5), ("invalid", 60)):
        files = sorted(path.stem for path in (CORPUS / kind).glob("*.json"))
        assert files == sorted(EXPECTED[kind])
        assert len(files) >= least


@pytest.mark.parametrize("name", EXPECTED["valid"])
def test_valid_documents_open(name: str) -> None:
    session = Session()
    text = (CORPUS / "valid" / f"{name}.json").read_bytes()
    opened = decode(text, url=EXPECTED["url"], session=session)
    expected = EXPECTED["valid"][name]
    assert list(opened.schema.shape) == expected["shape"]
    assert opened.schema.data_type == expected["data_type"]
    assert sorted(array.location for array in opened.graph.arrays if array.location) == expected["sources"]
    assert session.counts.requests == 0


@pytest.mark.parametrize("name", EXPECTED["invalid"])
def test_invalid_documents_are_refused(name: str) -> None:
    expected = EXPECTED["invalid"][name]
    start = time.perf_counter()
    with pytest.raises(ViewError) as error:
        decode((CORPUS / "invalid" / f"{name}.json").read_bytes(), url=EXPECTED["url"], session=Session())
    assert time.perf_counter() - start < 1
    assert (type(error.value).__name__, error.value.reason) == (expected["error"], expected["reason"])
    assert error.value.where == expected["where"]
