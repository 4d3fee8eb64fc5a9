"""The JSON Schema of definitions is the one shipped, and agrees with what the checker accepts."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import lazyzarr
from lazyzarr.definition.forms import WRONG
from lazyzarr.definition.keys import DEFINITION, schema_text
from lazyzarr.definition.problems import Problems
from lazyzarr.definition.reading import read
from tests.definition import drifting, test_climate, test_machine_learning, test_microscopy, test_mistakes

SHIPPED = Path(lazyzarr.__file__).parent / "definition" / "schema.json"
EXAMPLES = (
    test_climate.DEFINITION,
    test_microscopy.DEFINITION,
    test_machine_learning.DEFINITION,
    drifting.DEFINITION.replace("COUNT", "3"),
)
STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    "a/b c",
    [],
    [1],
    {},
    {"x": 1},
    {"column": "c"},
    "none",
    "error",
)


def parsed(text: str) -> Any:
    return read(text.encode(), Problems("d"))


def accepted(told: Any) -> bool:
    problems = Problems("d")
    return DEFINITION.check(copy.deepcopy(told), (), problems) is not WRONG and not problems.found


def test_the_shipped_schema_is_that_of_the_model() -> None:
    assert SHIPPED.read_bytes() == schema_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_are_valid(text: str) -> None:
    told = parsed(text)
    assert accepted(told)
    jsonschema.Draft202012Validator(json.loads(schema_text())).validate(told)


def places(told: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(told, dict | list):
        for key, value in told.items() if isinstance(told, dict) else enumerate(told):
            found += places(value, (*path, key))
    return found


@pytest.mark.parametrize("text", EXAMPLES)
def test_both_accept_and_refuse_the_same(text: str) -> None:
    """Every value of an example replaced by others, and keys added."""
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    rng = random.Random(3)
    whole = parsed(text)
    verdicts = set()
    for path in places(whole)[1:]:
        for strange in rng.sample(STRANGE, 6):
            told = copy.deepcopy(whole)
            holder = told
            for key in path[:-1]:
                holder = holder[key]
            if isinstance(holder, dict) and rng.random() < 0.2:
                holder["unheard"] = strange
            else:
                holder[path[-1]] = strange
            verdict = accepted(told)
            assert verdict == validator.is_valid(told), (path, strange)
            verdicts.add(verdict)
    assert verdicts == {True, False}


def test_json_is_read_as_yaml_is() -> None:
    for text in EXAMPLES:
        told = parsed(text)
        assert parsed(json.dumps(told)) == told
        assert parsed(json.dumps(told, indent="\t")) == told
    assert parsed(json.dumps({"a": "\U0001f600\t/"})) == {"a": "\U0001f600\t/"}
    problems = Problems("d")
    read(b'{"a": "\\ud83d"}', problems)
    assert [problem.found for problem in problems.found] == ["half of a surrogate pair"]


def test_the_planted_mistakes_are_refused() -> None:
    assert not accepted(
        parsed(test_mistakes.DEFINITION.replace("  archive: other\n", "").replace("&a ", "").replace("!!str ", ""))
    )
