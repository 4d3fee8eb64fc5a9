"""Forms that values of a definition have, each of which checks a value and writes itself as JSON Schema.

Owns the few kinds of forms; that both come from one object is why they agree. Refuses to stop: a part that is wrong is
reported and left out, so that the rest can be looked at.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lazyzarr.definition.problems import Path, Problems, names

WRONG: Any = object()
"""In the place of a value that is not usable."""


class Form:
    """What a value may be."""

    def __init__(self, said: str, accepts: Callable[[Any], bool], schema: Mapping[str, Any]) -> None:
        self.said = said
        """In words, after "expected"."""
        self.accepts = accepts
        """Whether the kind of value is right; what is inside is looked at by `check`."""
        self._schema = schema

    def check(self, value: Any, path: Path, problems: Problems) -> Any:
        """The value without what is wrong with it, which is reported."""
        if self.accepts(value):
            return value
        problems.add(path, "value", self.said, shown(value))
        return WRONG

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return dict(self._schema)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def text(said: str = "a text", pattern: str | None = None) -> Form:
    """A text that is not empty."""
    compiled = re.compile(pattern or r"[\s\S]+")
    return Form(
        said,
        lambda value: isinstance(value, str) and compiled.search(value) is not None,
        {"type": "string", "pattern": pattern} if pattern else {"type": "string", "minLength": 1},
    )


def whole(least: int | None = None) -> Form:
    """An integer."""
    said = "an integer" if least is None else f"an integer of at least {least}"
    limit = {} if least is None else {"minimum": least}
    return Form(said, lambda v: _is_whole(v) and (least is None or v >= least), {"type": "integer", **limit})


NUMBER = Form("a finite number", _is_number, {"type": "number"})
SCALAR = Form(
    "a text, a number, true, false or null",
    lambda value: value is None or isinstance(value, str | int | float | bool),
    {"type": ["string", "number", "boolean", "null"]},
)
ANYTHING = Form("a value", lambda value: True, {})


def one_of(*choices: Any) -> Form:
    """One of a few values."""
    return Form(
        f"one of {names(choices)}",
        lambda value: any(value == choice and type(value) is type(choice) for choice in choices),
        {"enum": list(choices)},
    )


class ListOf(Form):
    """A list of values of one form."""

    def __init__(self, item: Form, *, least: int = 1, most: int | None = None) -> None:
        limits = {"minItems": least} | ({} if most is None else {"maxItems": most})
        super().__init__(
            f"a list of {item.said}" if most is None else f"a list of {least} to {most} of {item.said}",
            lambda v: isinstance(v, list) and least <= len(v) and (most is None or len(v) <= most),
            {"type": "array", "items": item.schema(), **limits},
        )
        self.item = item

    def check(self, value: Any, path: Path, problems: Problems) -> Any:
        """The list; unusable if an item is."""
        if super().check(value, path, problems) is WRONG:
            return WRONG
        checked = [self.item.check(each, (*path, k), problems) for k, each in enumerate(value)]
        return WRONG if any(each is WRONG for each in checked) else checked


class MapOf(Form):
    """Values of one form by name."""

    def __init__(self, item: Form, *, pattern: str = r"^[^/\\\s]+$", least: int = 0) -> None:
        limits = {"minProperties": least} if least else {}
        super().__init__(
            f"a mapping from names to {item.said}",
            lambda value: isinstance(value, dict) and len(value) >= least,
            {
                "type": "object",
                "additionalProperties": item.schema(),
                "propertyNames": {"pattern": pattern},
                **limits,
            },
        )
        self.item = item
        self.pattern = re.compile(pattern)

    def check(self, value: Any, path: Path, problems: Problems) -> Any:
        """The mapping without the members that are wrong."""
        if super().check(value, path, problems) is WRONG:
            return WRONG
        kept: dict[str, Any] = {}
        for name, each in value.items():
            if not self.pattern.search(name):
                problems.add((*path, name), "name", "a name without slashes and spaces", repr(name))
                continue
            checked = self.item.check(each, (*path, name), problems)
            if checked is not WRONG:
                kept[name] = checked
        return kept


class Record(Form):
    """Named values, each of its own form; other names are mistakes."""

    def __init__(self, said: str, fields: Mapping[str, Form], required: Sequence[str] = (), help: str = "") -> None:
        super().__init__(said, lambda value: isinstance(value, dict), {})
        self.fields = fields
        self.required = tuple(required)
        self.help = help

    def check(self, value: Any, path: Path, problems: Problems) -> Any:
        """The record without unknown and wrong fields; unusable if a required one is not there or wrong."""
        if super().check(value, path, problems) is WRONG:
            return WRONG
        kept: dict[str, Any] = {}
        usable = True
        for name, each in value.items():
            form = self.fields.get(name)
            if form is None:
                near = difflib.get_close_matches(str(name), list(self.fields), 1)
                hint = f"{near[0]} (or one of {names(self.fields)})" if near else f"one of {names(self.fields)}"
                problems.add((*path, name), "key", hint, f"the unknown key {name!r}")
                continue
            checked = form.check(each, (*path, name), problems)
            if checked is WRONG:
                usable = usable and name not in self.required
            else:
                kept[name] = checked
        for name in self.required:
            if name not in value:
                problems.add(path, "key", f"the key {name}", f"only {names(value)}")
                usable = False
        return kept if usable else WRONG

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        found: dict[str, Any] = {"type": "object"}
        if self.help:
            found["description"] = self.help
        found["properties"] = {name: form.schema() for name, form in self.fields.items()}
        if self.required:
            found["required"] = list(self.required)
        return found | {"additionalProperties": False}


class Either(Form):
    """The first of several forms that takes values of this kind."""

    def __init__(self, *forms: Form) -> None:
        said = " or ".join(form.said for form in forms)
        super().__init__(said, lambda value: any(form.accepts(value) for form in forms), {})
        self.forms = forms

    def check(self, value: Any, path: Path, problems: Problems) -> Any:
        """As the form that takes it."""
        for form in self.forms:
            if form.accepts(value):
                return form.check(value, path, problems)
        return super().check(value, path, problems)

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return {"anyOf": [form.schema() for form in self.forms]}


def shown(value: Any) -> str:
    """A value in a message, cut if it is long."""
    text = repr(value)
    kind = {dict: "mapping", list: "list"}.get(type(value))
    if kind is not None:
        return f"the {kind} {text[:80]}{' ...' if len(text) > 80 else ''}"
    return text if len(text) <= 80 else f"{text[:80]} ..."
