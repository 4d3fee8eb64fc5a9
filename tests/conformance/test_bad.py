"""Every bad case is refused as the corpus says: class, reason and place, without a request."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

import lazyzarr as lz
from lazyzarr.access.policy import Grant
from lazyzarr.access.session import Session
from lazyzarr.access.url import parent
from lazyzarr.document.decode import decode
from lazyzarr.errors import REASONS
from lazyzarr.ir import extensions
from tests.conformance.corpus import BAD
from tests.extensions.example import KIND, module

PART = re.compile(r'\.([A-Za-z_][A-Za-z0-9_]*)|\[("(?:[^"\\]|\\.)*")\]|\[(\d+)\]')
URL = "https://data.example/views/v.zarr"


@pytest.fixture(autouse=True)
def no_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests of the process have registered."""
    monkeypatch.setattr(extensions, "_registered", {})


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_refused(path: Path) -> None:
    case = json.loads(path.read_text("utf-8"))
    if "document_base64" in case:
        text = base64.b64decode(case["document_base64"])
    else:
        text = json.dumps(case["document"]).encode()
    session = Session()
    grant = session.add_grant(Grant.below(parent(URL)))
    with pytest.raises(lz.LazyZarrError) as caught:
        decode(text, url=URL, session=session, grant=grant, limits=lz.Limits(**case.get("limits", {})))
    error = caught.value
    assert error.reason in REASONS
    assert (type(error).__name__, error.reason) == (case["error"], case["reason"]), str(error)
    assert error.where == case["where"], str(error)
    assert session.counts.requests == 0


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_places_are_json_paths_to_what_is_there(path: Path) -> None:
    case = json.loads(path.read_text("utf-8"))
    for where in (case["where"], case.get("knowing", {}).get("where", "$")):
        assert re.fullmatch(rf"\$({PART.pattern})*", where), where
        found = case.get("document")
        for name, spelled, position in PART.findall(where):
            found = found[int(position)] if position else found[name or json.loads(spelled)]


@pytest.mark.parametrize("path", [path for path in BAD if "knowing" in path.read_text("utf-8")], ids=lambda p: p.stem)
def test_refused_by_readers_that_have_the_kind(path: Path) -> None:
    case = json.loads(path.read_text("utf-8"))
    knowing = case["knowing"]
    assert knowing["kind"] == KIND
    module()
    with pytest.raises(lz.LazyZarrError) as caught:
        decode(json.dumps(case["document"]).encode(), url=URL, session=Session())
    error = caught.value
    found = {"kind": KIND, "error": type(error).__name__, "reason": error.reason, "where": error.where}
    assert found == knowing, str(error)
