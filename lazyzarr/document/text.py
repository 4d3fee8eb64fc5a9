"""The text of a document before it is parsed: what it would cost, and that it has one meaning.

Owns the scan of raw JSON text. Length, depth, number of values and digits of integers are counted block by block
before any parser sees the text; then byte order marks, invalid UTF-8, duplicate members, NaN and Infinity are
refused. Refuses to know members: that is `lazyzarr.document.wire`.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from lazyzarr.document.limits import Limits
from lazyzarr.errors import ViewSyntaxError

_BLOCK = 1 << 20
_DEPTH = np.zeros(256, np.int8)
_DEPTH[[ord("["), ord("{")]] = 1
_DEPTH[[ord("]"), ord("}")]] = -1
_VALUE = np.zeros(256, bool)
_VALUE[[ord(c) for c in "[{,"]] = True
_DIGIT = np.zeros(256, bool)
_DIGIT[[ord(c) for c in "0123456789"]] = True
_QUOTE, _ESCAPE, _POINT = ord('"'), ord("\\"), ord(".")


def check_text(text: bytes, limits: Limits) -> None:
    """Return if a parser may have the text: within the limits, and with one meaning.

    Raises
    ------
    ViewLimitError
        ``document_bytes``, ``json_depth``, ``json_values`` or ``integer_digits``.
    ViewSyntaxError
        ``document-syntax`` for anything else.

    Examples
    --------
    >>> check_text(b'{"a": 1, "a": 2}', Limits())
    Traceback (most recent call last):
    lazyzarr.errors.ViewSyntaxError: $: the member 'a' is there twice; ...
    """
    limits.check("document_bytes", len(text), where="$")
    if text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _syntax("the text begins with a byte order mark; JSON is UTF-8 without one; remove it")
    _scan(text, limits)
    try:
        characters = text.decode()
    except UnicodeDecodeError as error:
        raise _syntax(f"byte {error.start} of the text is not UTF-8; JSON is; write the document again") from None
    try:
        _STRICT.decode(characters)
    except (ValueError, RecursionError) as error:
        raise _syntax(f"the text is not JSON ({error}); write the document again") from None


def parse_error(error: msgspec.DecodeError) -> ViewSyntaxError:
    """Our error for text that msgspec cannot parse."""
    return _syntax(f"the text is not JSON ({error}); write the document again")


def _scan(text: bytes, limits: Limits) -> None:
    """Count depth, values and digits outside strings, one block after the other."""
    whole = np.frombuffer(text, np.uint8)
    inside, escaped, depth, values, digits = False, False, 0, 1, 0
    for start in range(0, len(whole), _BLOCK):
        block = whole[start : start + _BLOCK]
        quotes, escaped = _real_quotes(block, escaped)
        within = np.bitwise_xor.accumulate(quotes.view(np.uint8)).view(bool)
        if inside:
            within = ~within
        inside = bool(within[-1])
        outside = ~within
        steps = _DEPTH[block[outside]]
        steps = steps[steps != 0].astype(np.int64)
        if len(steps):
            levels = depth + np.cumsum(steps)
            limits.check("json_depth", int(levels.max()), where="$")
            depth = int(levels[-1])
        values += int(np.count_nonzero(_VALUE[block] & outside))
        limits.check("json_values", values, where="$")
        digits = _digits(whole, start, _DIGIT[block] & outside, digits, limits)


def _real_quotes(block: np.ndarray[Any, Any], escaped: bool) -> tuple[np.ndarray[Any, Any], bool]:
    """Where quotes are not escaped, and whether the block ends with an escape that is still open.

    Outside a string an escape is no JSON at all, so it does not matter how it is counted there.
    """
    quotes = block == _QUOTE
    slashes = block == _ESCAPE
    if not slashes.any():
        if escaped:
            quotes[0] = False
        return quotes, False
    others = np.flatnonzero(~slashes)
    # A character is escaped when the run of backslashes right before it has odd length.
    run = np.diff(others, prepend=-1) - 1
    if len(others):
        run[0] += escaped
        quotes[others[(run & 1) == 1]] = False
        tail = len(block) - 1 - int(others[-1])
    else:
        tail = len(block) + escaped
    return quotes, bool(tail & 1)


def _digits(whole: np.ndarray[Any, Any], start: int, digit: np.ndarray[Any, Any], carried: int, limits: Limits) -> int:
    """Check runs of digits that are not behind a decimal point; the length of the run at the end of the block."""
    others = np.flatnonzero(~digit)
    if not len(others):
        limits.check("integer_digits", carried + len(digit), where="$")
        return carried + len(digit)
    runs = np.diff(others, prepend=-1) - 1
    runs[0] += carried
    for at in np.flatnonzero(runs > limits.integer_digits).tolist():
        first = start + int(others[at]) - int(runs[at])
        if first == 0 or whole[first - 1] != _POINT:
            limits.check("integer_digits", int(runs[at]), where="$")
    return len(digit) - 1 - int(others[-1])


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object with a member twice; the object itself is not kept."""
    if len(dict(pairs)) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _syntax(f"the member {twice[:64]!r} is there twice; a member has one value; remove one")


def _constant(name: str) -> None:
    raise _syntax(f'the text has {name}; JSON numbers are finite; write "{name}" as text, as Zarr does')


_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_constant)


def _syntax(what: str) -> ViewSyntaxError:
    return ViewSyntaxError(what, where="$")
