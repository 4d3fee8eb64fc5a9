"""The JSON Schema of the specification takes every good document, and none that has a wrong form."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conformance.corpus import BAD, ROOT, SINGLE, document

SCHEMA = ROOT.parent / "schema" / "lazyzarr-1.schema.json"
FORMS = [
    path for path in BAD if path.name.startswith(("member-", "schema-missing", "graph-missing", "version-is-text"))
]


@cache
def _validator() -> Any:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


@pytest.mark.parametrize("case", SINGLE, ids=lambda path: path.name)
def test_good(case: Path) -> None:
    _validator().validate(document(case))


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_bad_forms(path: Path) -> None:
    node = json.loads(path.read_text("utf-8"))["document"]
    assert not _validator().is_valid(node["attributes"]["lazyzarr"])
