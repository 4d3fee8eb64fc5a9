"""The text of a document before it is parsed: what it would cost, and that it has one meaning.

Owns the scan of raw JSON text. Length, depth, number of values and digits of integers are counted block by block
before any parser sees the text; then byte order marks, invalid UTF-8, duplicate members, NaN and Infinity are
refused. Refuses to know members by name: that is `lazyzarr.document.wire`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, cast

import msgspec
import numpy as np

from lazyzarr.document.limits import Limits
from lazyzarr.errors import ViewSyntaxError

_BLOCK = 1 << 16
"""Bytes looked at together: what is made of them stays in the processor's cache."""
_MOST_NAMED = 1 << 16
"""Members up to which the duplicate one is looked for, to name it."""
_DEPTH = np.zeros(256, np.int8)
_DEPTH[[ord("["), ord("{")]] = 1
_DEPTH[[ord("]"), ord("}")]] = -1
_VALUE = np.zeros(256, bool)
_VALUE[[ord(c) for c in "[{,"]] = True
_CONTAINERS = (dict, list)
_VALUES = cast("Callable[[dict[str, Any]], Iterable[Any]]", dict.values)
_QUOTE, _ESCAPE, _POINT, _COLON = b'"\\.:'


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
    lazyzarr.errors.ViewSyntaxError: $: the member 'a' is there twice; a member has one value; remove one
    """
    limits.check("document_bytes", len(text), where="$")
    if text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _syntax("the text begins with a byte order mark; JSON is UTF-8 without one; remove it")
    members = scan(text, limits)
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise parse_error(error) from None
    except UnicodeDecodeError as error:
        raise _syntax(f"the text is not UTF-8 ({error.reason}); JSON is; write the document again") from None
    if _members(value) != members:
        raise _syntax(f"the member {_twice(text, members)} is there twice; a member has one value; remove one")


def parse_error(error: msgspec.DecodeError) -> ViewSyntaxError:
    """Our error for text that msgspec cannot parse."""
    return _syntax(f"the text is not JSON ({error}); write the document again")


def scan(text: bytes, limits: Limits) -> int:
    """Check depth, values and digits of a JSON text, one block after the other; the number of members.

    Raises
    ------
    ViewLimitError
        ``json_depth``, ``json_values`` or ``integer_digits``.

    Examples
    --------
    >>> scan(b'{"a": [1, 2]}', Limits())
    1
    """
    whole = np.frombuffer(text, np.uint8)
    inside, escaped, depth, values, digits, members = False, False, 0, 1, 0, 0
    for start in range(0, len(whole), _BLOCK):
        stop = min(start + _BLOCK, len(whole))
        if inside and not escaped and text.find(b'"', start, stop) < 0 and text.find(b"\\", start, stop) < 0:
            digits = 0
            continue
        block = whole[start:stop]
        quotes, escaped = _real_quotes(block, escaped)
        within = np.bitwise_xor.accumulate(quotes.view(np.uint8)).view(bool)
        if inside:
            within = ~within
        inside = bool(within[-1])
        open_air = np.where(within, 0, block)
        steps = _DEPTH[open_air]
        steps = steps[steps != 0].astype(np.int64)
        if len(steps):
            levels = depth + np.cumsum(steps)
            limits.check("json_depth", int(levels.max()), where="$")
            depth = int(levels[-1])
        values += int(np.count_nonzero(_VALUE[open_air]))
        limits.check("json_values", values, where="$")
        members += int(np.count_nonzero(open_air == _COLON))
        digits = _digits(whole, start, (open_air - 48) < 10, digits, limits)
    _check_run(whole, len(whole), digits, limits)
    return members


def _real_quotes(block: np.ndarray[Any, Any], escaped: bool) -> tuple[np.ndarray[Any, Any], bool]:
    """Where quotes are not escaped, and whether the block ends with an escape that is still open.

    Outside a string an escape is no JSON at all, so it does not matter how it is counted there.
    """
    quotes = block == _QUOTE
    raw = block.tobytes()
    if escaped:
        quotes[0] = False
        raw = b"." + raw[1:]
    if _ESCAPE not in raw:
        return quotes, False
    # pairs of backslashes are read from the left; a quote behind one that is left over is escaped
    raw = raw.replace(b"\\\\", b"..").replace(b'\\"', b"..")
    return np.frombuffer(raw, np.uint8) == _QUOTE, raw.endswith(b"\\")


def _digits(whole: np.ndarray[Any, Any], start: int, digit: np.ndarray[Any, Any], carried: int, limits: Limits) -> int:
    """Check runs of digits that are not behind a decimal point; the length of the run at the end of the block."""
    most = limits.integer_digits
    width = most // 2 + 1
    # A run that is too long covers one of the pieces of this width, or reaches over an end of the block.
    pieces = digit[: len(digit) // width * width].reshape(-1, width)
    head, tail = digit[: most + 1], digit[-most - 1 :]
    if not carried and not pieces.all(axis=1).any() and not (digit[0] and head.all()) and not tail.all():
        return len(tail) - 1 - int(np.flatnonzero(~tail)[-1])
    others = np.flatnonzero(~digit)
    if not len(others):
        return carried + len(digit)
    runs = np.diff(others, prepend=-1) - 1
    runs[0] += carried
    for at in np.flatnonzero(runs > most).tolist():
        _check_run(whole, start + int(others[at]), int(runs[at]), limits)
    return len(digit) - 1 - int(others[-1])


def _check_run(whole: np.ndarray[Any, Any], stop: int, length: int, limits: Limits) -> None:
    if stop == length or whole[stop - length - 1] != _POINT:
        limits.check("integer_digits", length, where="$")


def _members(value: Any) -> int:
    """Members of all objects of a parsed value; where a name was there twice, one is missing."""
    count = 0
    level: list[Any] = [value]
    while level:
        objects: list[dict[str, Any]] = [one for one in level if type(one) is dict]
        lists: list[list[Any]] = [one for one in level if type(one) is list]
        count += sum(map(len, objects))
        inner = chain(chain.from_iterable(map(_VALUES, objects)), chain.from_iterable(lists))
        level = [each for each in inner if type(each) in _CONTAINERS]
    return count


def _twice(text: bytes, members: int) -> str:
    """The name that is there twice, where that does not take long to find out."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        found.extend(repr(name[:64]) for name, _ in pairs if name in seen or seen.add(name))

    if members <= _MOST_NAMED:
        json.JSONDecoder(object_pairs_hook=look).decode(text.decode())
    return found[0] if found else "of some object"


def _syntax(what: str) -> ViewSyntaxError:
    return ViewSyntaxError(what, where="$")
