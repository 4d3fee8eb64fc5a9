"""The text of a definition as values with places: YAML of few features, or JSON.

Owns the scalars (those of the YAML 1.2 core schema) and the limits of the text. Refuses what makes one text mean
several things: anchors, aliases, tags, more than one document. Of a key that is written twice the first is kept, and
the second is a mistake.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator
from typing import Any

from lazyzarr.definition.problems import Mark, Path, Problems
from lazyzarr.errors import ExtraMissing, ViewLimitError

MOST_BYTES = 4 << 20
MOST_DEPTH = 32

_WHOLE = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}


def read(text: bytes, problems: Problems) -> Any:
    """The values of a text; their places are put into ``problems.marks``.

    Parameters
    ----------
    text
        YAML or JSON in UTF-8.
    problems
        Gets everything that is not accepted.

    Raises
    ------
    ViewLimitError
        The text is too long.
    DefinitionError
        It is not well formed.

    Examples
    --------
    >>> problems = Problems("d.lz.yaml")
    >>> read(b"a: [1, 0x10, 2001-01-01, yes, .5]", problems), problems.marks[("a", 1)]
    ({'a': [1, 16, '2001-01-01', 'yes', 0.5]}, Mark(line=1, column=8))
    """
    if len(text) > MOST_BYTES:
        raise ViewLimitError("definition_bytes", len(text), MOST_BYTES, remedy="put long lists into a table")
    try:
        yaml = importlib.import_module("ruamel.yaml")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "ruamel":
            raise
        raise ExtraMissing(
            f"resolve of {problems.name}; the package ruamel.yaml is not installed; "
            'run pip install "lazyzarr[definitions]"'
        ) from error
    try:
        events = yaml.YAML(typ="safe", pure=True).parse(text.decode("utf-8"))
        return _Events(events, problems).document()
    except UnicodeDecodeError as error:
        problems.add((), "text", "UTF-8", f"{error.reason} at byte {error.start}")
    except yaml.error.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark(1, 1)
        found = " ".join(part for part in (error.problem, error.context) if part)
        problems.add_at(at, (), "text", "YAML or JSON", found)
    except yaml.error.YAMLError as error:
        problems.add((), "text", "YAML or JSON", " ".join(str(error).split()))
    problems.check()
    return None


def scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2.

    Examples
    --------
    >>> [scalar(text) for text in ("1", "1e3", "0o17", "true", "no", "~", "2001-01-01", "1_000", "+.5")]
    [1, 1000.0, 15, True, 'no', None, '2001-01-01', '1_000', 0.5]
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= 40:
        if _WHOLE.fullmatch(text):
            return int(text)
        if _OTHER_BASE.fullmatch(text):
            return int(text, 0)
        if _REAL.fullmatch(text):
            return float(text)
    return text


class _Events:
    """Values from the events of a parser."""

    def __init__(self, events: Iterator[Any], problems: Problems) -> None:
        self.events = events
        self.problems = problems

    def document(self) -> Any:
        """The one document of the stream; an empty stream has none."""
        value: Any = None
        count = 0
        for event in self.events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                count += 1
                first = self.value(next(self.events), (), 0)
                value = first if count == 1 else value
                if count == 2:
                    self.refuse(event, (), "one document", "a second document")
        return value

    def value(self, event: Any, path: Path, depth: int) -> Any:
        kind = type(event).__name__
        self.problems.marks.setdefault(path, _mark(event))
        if depth > MOST_DEPTH:
            raise ViewLimitError("definition_depth", depth, MOST_DEPTH, remedy="nest less")
        if kind == "AliasEvent":
            self.refuse(event, path, "a value", f"the alias *{event.anchor}")
            return None
        if event.anchor is not None:
            self.refuse(event, path, "no anchors", f"the anchor &{event.anchor}")
        if event.tag is not None:
            self.refuse(event, path, "no tags", f"the tag {event.tag}")
        if kind == "ScalarEvent":
            event.value = self._joined(event, path)
            return scalar(event.value) if event.style is None and event.tag is None else event.value
        if kind == "SequenceStartEvent":
            return list(self.items(path, depth + 1))
        return self.mapping(path, depth + 1)

    def items(self, path: Path, depth: int) -> Iterator[Any]:
        number = 0
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            yield self.value(event, (*path, number), depth)
            number += 1

    def mapping(self, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while type(event := next(self.events)).__name__ != "MappingEndEvent":
            if type(event).__name__ != "ScalarEvent":
                self.refuse(event, path, "names as keys", "a key that is a list, a mapping or an alias")
                self.value(event, (*path, "?"), depth)
                self.value(next(self.events), (*path, "?"), depth)
                continue
            if event.anchor is not None or event.tag is not None:
                self.refuse(event, path, "names as keys", f"the key {event.value!r} with an anchor or a tag")
            key = self._joined(event, path)
            below = (*path, key)
            if key in found:
                self.refuse(event, below, "each key once", f"the key {key!r} a second time")
                self.value(next(self.events), (*path, f"{key} (second)"), depth)
                continue
            self.problems.marks[below] = _mark(event)
            found[key] = self.value(next(self.events), below, depth)
        return found

    def _joined(self, event: Any, path: Path) -> str:
        """A text in which the two halves that JSON writes some characters in are one."""
        text: str = event.value
        if not any("\ud800" <= letter <= "\udfff" for letter in text):
            return text
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self.refuse(event, path, "characters", "half of a surrogate pair")
            return ""

    def refuse(self, event: Any, path: Path, expected: str, found: str) -> None:
        self.problems.add_at(_mark(event), path or ("the definition",), "text", expected, found)


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)
