"""The draft of the registration: its schema accepts what is written and its examples are of the corpus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from lazyzarr.document.wire import CONVENTION
from tests.conformance.corpus import BAD, GOOD

SPEC = Path(__file__).parents[2] / "spec"
FOLDER = SPEC / "registration"
EXAMPLES = {"concat": "concat-codecs", "table": "take-table"}


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def validator() -> jsonschema.Draft202012Validator:
    document = load(SPEC / "schema" / "lazyzarr-1.schema.json")
    registry: Registry[Any] = Registry().with_resource(document["$id"], Resource.from_contents(document))
    schema = load(FOLDER / "schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, registry=registry)


CHECK = validator()


@pytest.mark.parametrize("case", GOOD, ids=lambda path: path.name)
def test_what_is_written_is_accepted(case: Path) -> None:
    CHECK.validate(load(case / "view.zarr" / "zarr.json"))


@pytest.mark.parametrize("name", ["array-instead-of-group", "member-unknown", "zarr-format-2", "schema-missing"])
def test_other_things_are_not(name: str) -> None:
    (path,) = [path for path in BAD if path.stem == name]
    assert not CHECK.is_valid(load(path)["document"])


def test_a_group_without_the_convention_is_not() -> None:
    assert not CHECK.is_valid({"zarr_format": 3, "node_type": "group", "attributes": {"zarr_conventions": []}})


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_of_the_corpus(name: str) -> None:
    found = (FOLDER / "examples" / f"{name}.json").read_bytes()
    assert found == (SPEC / "conformance" / "good" / EXAMPLES[name] / "view.zarr" / "zarr.json").read_bytes()


def test_the_text_names_the_entry_that_is_written() -> None:
    block = re.search(r"```json\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.DOTALL)
    assert block
    assert json.loads(block[1])["zarr_conventions"] == [CONVENTION]
