"""Templates and generators: refused, unless asked for, and then expanded as far as they are understood."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.formats.kerchunk_templates import expanded
from tests.formats.reference_files import Maker


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    made = Maker(tmp_path)
    made.array("x", np.arange(8, dtype="int16"), chunks=(4,))
    return made


def test_templates_are_refused_unless_asked_for(maker: Maker) -> None:
    for key in ("x/0", "x/1"):
        maker.refs[key][0] = "{{u}}.bin"
    place = maker.json(templates={"u": "data"})
    with pytest.raises(lz.UnsupportedFeature) as caught:
        lz.open(place)
    assert caught.value.reason == "source-unsupported"
    assert "templates=True" in str(caught.value)
    assert lz.open(place, templates=True)["x"].read().tolist() == list(range(8))
    assert lz.open(maker.json(templates={}))["x"].shape == (8,)


def test_generators(maker: Maker) -> None:
    first = maker.refs.pop("x/0")
    maker.refs.pop("x/1")
    generator = {
        "key": "x/{{i}}",
        "url": "{{name(end='bin')}}",
        "offset": f"{{{{ {first[1]} + i * 11 }}}}",
        "length": 8,
        "dimensions": {"i": {"start": 0, "stop": 2}},
    }
    place = maker.json(templates={"name": "data.{{end}}"}, gen=[generator])
    with pytest.raises(lz.UnsupportedFeature):
        lz.open(place)
    assert lz.open(place, templates=True)["x"].read().tolist() == list(range(8))


def test_expanded_templates_stay_under_the_policy(maker: Maker) -> None:
    maker.refs["x/0"][0] = "{{u}}"
    with pytest.raises(lz.AccessDenied):
        lz.open(maker.json(templates={"u": "/etc/hostname"}), templates=True)["x"]


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ u.x }}",
        "{{ u[0] }}",
        "{{ open('/etc/passwd') }}",
        "{{ u('a') }}",
        "{{ u(**v) }}",
        "{{ 2 ** 99 }}",
        "{{ 'a' * 9 }}",
        "{{ 1 / 2 }}",
        "{{ 1.5 }}",
        "{{ nothing }}",
        "{{ u | upper }}",
        "{{ [1] }}",
        "{{ lambda: 1 }}",
        "{{ 1 if 1 else 2 }}",
        "{% if 1 %}",
        "{# x #}",
        "{{ u",
        "{{ }}",
        "{{ " + "(" * 300 + " }}",
        "{{ 1 // 0 }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ 99999999999999999999 - 1 }}",
        "{{ loop }}",
    ],
)
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(lz.LazyZarrError) as caught:
        expanded({"templates": {"u": "v", "loop": "{{loop}}"}, "refs": {"a": [text]}}, most=100)
    assert caught.value.reason in ("source-unsupported", "source-format", "limit-exceeded")


@pytest.mark.parametrize(
    "document",
    [
        {"templates": {f"t{k}": f"{{{{t{k - 1}}}}}" * 400 if k else "" for k in range(8)}, "refs": {"a": ["{{t7}}"]}},
        {
            "templates": {f"t{k}": f"{{{{t{k - 1}}}}}" * 2 if k else "x" * 4000 for k in range(8)},
            "refs": {"a": ["{{t7}}"]},
        },
        {"gen": [{"key": "{{i}}", "url": "a", "dimensions": {"i": {"stop": 10**12}}}]},
        {"gen": [{"key": "{{i}}", "url": "a", "dimensions": {k: {"stop": 2**30} for k in "abcdefgh"}}]},
        {"gen": [{"key": "{{i}}", "url": "a", "dimensions": {"i": {"stop": 99}}}] * 3},
        {"templates": {"a": "x" * 10**6}, "refs": {"a": ["{{a}}"]}},
    ],
)
def test_too_much(document: Any) -> None:
    start = time.process_time()
    with pytest.raises(lz.ViewLimitError):
        expanded(document, most=150)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "document",
    [
        {"templates": []},
        {"templates": {"a": 1}},
        {"gen": {}},
        {"gen": [1]},
        {"gen": [{"key": "a", "url": "b"}]},
        {"gen": [{"key": "a", "dimensions": {}}]},
        {"gen": [{"key": "a", "url": "b", "dimensions": {"i": 3}}]},
        {"gen": [{"key": "a", "url": "b", "dimensions": {"i": {"stop": 3, "step": 0}}}]},
        {"gen": [{"key": "a", "url": "b", "dimensions": {"i": {"stop": "3"}}}]},
        {"gen": [{"key": "a", "url": "b", "offset": 1, "dimensions": {"i": [1]}}]},
        {"gen": [{"key": "a", "url": "b", "offset": "x", "length": 1, "dimensions": {"i": [1]}}]},
    ],
    ids=json.dumps,
)
def test_wrong_forms(document: Any) -> None:
    if document.get("templates") == []:
        document = {"templates": [1]}
    with pytest.raises(lz.SourceProtocolError):
        expanded(document, most=100)
