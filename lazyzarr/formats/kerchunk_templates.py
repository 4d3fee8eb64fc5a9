"""Templates and generators of kerchunk JSON, expanded without any string-formatting engine.

Owns the little language that is understood: ``{{name}}`` for a template or a dimension, ``{{name(a='text', b=1)}}``
for a template with arguments, and whole-number arithmetic (``+ - * // %``, parentheses) in ``{{...}}``. Refuses
everything else (attributes, filters, statements, other calls), and what would be too much text or too many entries
before it is made.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from lazyzarr.errors import UnsupportedFeature, ViewLimitError
from lazyzarr.formats.references import bad

MOST_CHARACTERS = 4096
"""Of one expanded text."""
MOST_DEPTH = 8
"""Templates inside each other."""
MOST_HOLES = 256
"""Holes filled for one text, those of templates inside it included."""
_EXPRESSION = 256
_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
Names = Mapping[str, int | str]


def expanded(document: Mapping[str, Any], *, most: int) -> dict[str, Any]:
    """The references of a version 1 document, with templates and generators written out.

    Raises
    ------
    SourceProtocolError, UnsupportedFeature, ViewLimitError
        Something in the file is not understood here, or is too much.

    Examples
    --------
    >>> expanded({"templates": {"u": "s3://b"}, "refs": {"x/0": ["{{u}}/f", 0, 1]},
    ...           "gen": [{"key": "y/{{i}}", "url": "{{u}}/{{i * 2}}", "dimensions": {"i": {"stop": 2}}}]}, most=9)
    {'x/0': ['s3://b/f', 0, 1], 'y/0': ['s3://b/0'], 'y/1': ['s3://b/2']}
    """
    templates = document.get("templates") or {}
    if not isinstance(templates, dict) or not all(
        isinstance(value, str) for value in cast("dict[str, Any]", templates).values()
    ):
        raise bad("'templates' is not an object of texts")
    fill = _Filler(cast("dict[str, str]", templates))
    out: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", document.get("refs") or {}).items():
        if isinstance(value, list) and value and isinstance(value[0], str):
            value = [fill.text(value[0], {}), *cast("list[Any]", value)[1:]]
        out[key] = value
    generators = document.get("gen", [])
    if not isinstance(generators, list):
        raise bad("'gen' is no list")
    for generator in cast("list[Any]", generators):
        _generate(generator, fill, out, most)
    return out


def _generate(generator: Any, fill: _Filler, out: dict[str, Any], most: int) -> None:
    if not isinstance(generator, dict):
        raise bad("an entry of 'gen' is no object")
    held = cast("dict[str, Any]", generator)
    dimensions = held.get("dimensions")
    texts = [held.get("key"), held.get("url")]
    if not isinstance(dimensions, dict) or not all(isinstance(text, str) for text in texts):
        raise bad("an entry of 'gen' has no key, url or dimensions")
    if ("offset" in held) != ("length" in held):
        raise bad("an entry of 'gen' has only one of offset and length")
    ranges = {name: _range(name, value) for name, value in cast("dict[str, Any]", dimensions).items()}
    count = math.prod(len(one) for one in ranges.values()) + len(out)
    if count > most:
        raise ViewLimitError("references", count, most, remedy="write the references out, to Parquet")
    for values in itertools.product(*ranges.values()):
        names = dict(zip(ranges, values, strict=True))
        entry: list[Any] = [fill.text(held["url"], names)]
        if "offset" in held:
            entry += [fill.number(held["offset"], names), fill.number(held["length"], names)]
        out[fill.text(held["key"], names)] = entry


def _range(name: str, value: Any) -> range | list[int]:
    if isinstance(value, list) and all(type(one) is int for one in cast("list[Any]", value)):
        return cast("list[int]", value)
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value)
        numbers = [held.get("start", 0), held.get("stop"), held.get("step", 1)]
        if all(type(one) is int and abs(one) < 2**61 for one in numbers) and numbers[2] and set(held) <= _RANGE:
            return range(*cast("list[int]", numbers))
    raise bad(f"the dimension {name[:100]!r} is neither a list of whole numbers nor start, stop and step")


_RANGE = {"start", "stop", "step"}


class _Filler:
    """Puts values into the holes of texts."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self.templates = templates
        self._filled = 0

    def text(self, text: str, names: Names) -> str:
        """A text of the file with its holes filled."""
        self._filled = 0
        return self._text(text, names, 0)

    def _text(self, text: str, names: Names, depth: int) -> str:
        for which, value, limit in (
            ("templates inside each other", depth, MOST_DEPTH),
            ("characters of a template", len(text), MOST_CHARACTERS),
        ):
            if value > limit:
                raise ViewLimitError(which, value, limit, remedy="write the locations out")
        pieces: list[str] = []
        at = length = 0
        for hole in _HOLE.finditer(text):
            self._filled += 1
            if self._filled > MOST_HOLES:
                raise ViewLimitError("holes of a text", self._filled, MOST_HOLES, remedy="write the locations out")
            pieces += [text[at : hole.start()], str(self._value(hole[1], names, depth))]
            at = hole.end()
            length += len(pieces[-2]) + len(pieces[-1])
            if length > MOST_CHARACTERS:
                raise ViewLimitError("characters of a text", length, MOST_CHARACTERS, remedy="write the locations out")
        rest = text[at:]
        if "{{" in rest or "{%" in text or "{#" in text:
            raise _refused(text)
        return "".join((*pieces, rest))

    def number(self, value: Any, names: Names) -> int:
        if type(value) is int:
            return value
        found = self.text(value, names) if isinstance(value, str) else ""
        if not re.fullmatch(r"-?[0-9]{1,19}", found.strip()):
            raise bad(f"an offset or a length is {str(value)[:100]!r}; it is a whole number")
        return int(found)

    def _value(self, expression: str, names: Names, depth: int) -> int | str:
        if len(expression) > _EXPRESSION:
            raise _refused(expression)
        try:
            tree = ast.parse(expression.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise _refused(expression) from error
        return self._node(tree, names, depth, expression)

    def _node(self, node: ast.expr, names: Names, depth: int, expression: str) -> int | str:
        if isinstance(node, ast.Constant) and type(node.value) in (int, str):
            return cast("int | str", node.value)
        if isinstance(node, ast.Name):
            if node.id in names:
                return names[node.id]
            if node.id in self.templates:
                return self._text(self.templates[node.id], {}, depth + 1)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.templates:
            if node.args or any(one.arg is None for one in node.keywords):
                raise _refused(expression)
            given = {str(one.arg): self._node(one.value, names, depth + 1, expression) for one in node.keywords}
            return self._text(self.templates[node.func.id], given, depth + 1)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self._whole(node.operand, names, depth, expression)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = (self._whole(side, names, depth, expression) for side in (node.left, node.right))
            if not right and isinstance(node.op, ast.FloorDiv | ast.Mod):
                raise bad(f"the expression {expression[:100]!r} divides by zero")
            found = _OPERATORS[type(node.op)](left, right)
            if abs(found) >= 2**63:
                raise bad(f"the expression {expression[:100]!r} does not fit 64 bits")
            return found
        raise _refused(expression)

    def _whole(self, node: ast.expr, names: Names, depth: int, expression: str) -> int:
        found = self._node(node, names, depth, expression)
        if type(found) is not int or abs(found) >= 2**63:
            raise _refused(expression)
        return found


def _refused(text: str) -> UnsupportedFeature:
    return UnsupportedFeature(
        f"references: the template {text[:100]!r} is not understood; names, calls of templates with named arguments "
        "and whole-number arithmetic are; write the locations out",
        reason="source-unsupported",
    )
