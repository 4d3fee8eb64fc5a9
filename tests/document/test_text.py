"""The scan of raw JSON text against a parser written the slow way, and every refusal."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.document import text as scanning
from lazyzarr.document.limits import Limits
from lazyzarr.document.text import check_text
from lazyzarr.errors import ViewLimitError, ViewSyntaxError

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**25), 10**25), st.text('a"\\[{,:9é\U0001f600', max_size=40)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text('a"\\:{[1', max_size=3), inner)),
    max_leaves=30,
)


def slow_costs(value: Any) -> tuple[int, int, int]:
    """(depth, members, digits of the longest integer) of a value, by recursion."""
    if isinstance(value, dict):
        below = [slow_costs(v) for v in value.values()]
        own = len(value)
    elif isinstance(value, list):
        below, own = [slow_costs(v) for v in value], 0
    else:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return 0, 0, len(str(abs(value))) if is_integer else 0
    depth = 1 + max((b[0] for b in below), default=0)
    return depth, own + sum(b[1] for b in below), max((b[2] for b in below), default=0)


def accepted(text: bytes, **limits: int) -> bool:
    try:
        check_text(text, Limits(**limits))
    except ViewLimitError:
        return False
    return True


@given(VALUES, st.sampled_from([1, 2, 3, 7, 64]), st.booleans())
def test_the_scan_agrees_with_the_slow_one_at_every_block_size(value: Any, block: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    depth, members, digits = slow_costs(value)
    before = scanning._BLOCK
    scanning._BLOCK = block
    try:
        assert scanning.scan(text, Limits(integer_digits=1000)) == members
        assert accepted(text, json_depth=depth, integer_digits=max(digits, 1))
        assert not depth or not accepted(text, json_depth=depth - 1, integer_digits=1000)
        assert digits < 2 or not accepted(text, integer_digits=digits - 1)
    finally:
        scanning._BLOCK = before


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": [{"c": 1, "c": 2}]}}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}',
        b'{"a": 1} {}',
        b'{"a": 1,}',
        b'{"a": 01}',
        b"{'a': 1}",
        b'{"a": "\n"}',
        b"",
        b" ",
        b"{",
        b'{"a',
        b'\\"',
    ],
)
def test_text_with_another_meaning_or_none_is_refused(text: bytes) -> None:
    with pytest.raises(ViewSyntaxError) as error:
        check_text(text, Limits())
    assert error.value.reason == "document-syntax"
    assert error.value.where == "$"


def test_a_duplicate_member_is_named() -> None:
    with pytest.raises(ViewSyntaxError, match="'wanted'"):
        check_text(b'{"x": {"wanted": 1, "other": 2, "wanted": 3}}', Limits())


@pytest.mark.parametrize(
    ("text", "which", "limits"),
    [
        (b"[" * 100_000, "json_depth", {}),
        (b'{"a":' * 100_000, "json_depth", {}),
        (b"[" + b"9" * 1_000_000 + b"]", "integer_digits", {}),
        (b"[-" + b"1" * 21 + b"]", "integer_digits", {}),
        (b"[1e" + b"1" * 21 + b"]", "integer_digits", {}),
        (b"[" + b"0," * 100 + b"0]", "json_values", {"json_values": 50}),
        (b" " * 101, "document_bytes", {"document_bytes": 100}),
    ],
)
def test_costs_over_a_limit_are_refused_before_parsing(text: bytes, which: str, limits: dict[str, int]) -> None:
    with pytest.raises(ViewLimitError) as error:
        check_text(text, Limits(**limits))
    assert error.value.which == which
    assert error.value.value > error.value.limit
    assert which in str(error.value)


@pytest.mark.parametrize("text", [b'["' + b"9" * 500 + b'"]', b"[0." + b"3" * 200 + b"]", b"[" + b"1" * 20 + b"]"])
def test_digits_of_text_and_fractions_are_not_integers(text: bytes) -> None:
    check_text(text, Limits())


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"12345678901234567890," * (3 << 19) + b"1]",
        b'["' + b"x" * (31 << 20) + b'"]',
        b"[" * (32 << 20),
        b" " * (32 << 20),
    ],
    ids=["numbers", "string", "brackets", "spaces"],
)
def test_the_longest_text_is_scanned_in_well_under_a_second(text: bytes) -> None:
    start = time.process_time()
    with suppress(ViewLimitError):
        scanning.scan(text, Limits())
    assert time.process_time() - start < 2.0  # 0.0 to 0.3 s on an idle machine
