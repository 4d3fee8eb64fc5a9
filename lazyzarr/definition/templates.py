"""Templates of paths: ``{name}``, ``{name:05d}`` and ``{date:%Y/%m}``, for whole columns of values.

Owns the language, which is closed: a field is the name of a variable and perhaps a width or a pattern of a date.
Refuses everything else that `str.format` knows: attributes, indices, conversions, nested fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lazyzarr.definition import calendars

_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::(.*))?", re.DOTALL)
_WIDTH = re.compile(r"0([1-9][0-9]?)d|([1-9][0-9]?)?d")
_DATE_PART = re.compile(r"%(.)", re.DOTALL)
_PARTS: Mapping[str, tuple[str, int]] = {
    "Y": ("year", 4),
    "m": ("month", 2),
    "d": ("day", 2),
    "H": ("hour", 2),
    "M": ("minute", 2),
    "S": ("second", 2),
    "y": ("year", 2),
    "j": ("yearday", 3),
}
"""Letters of strftime, what they stand for and how many digits that has."""


class Field(NamedTuple):
    """A part of a template that a variable fills."""

    name: str
    width: int | None
    """Digits of a number, zeros in front; None where the value is written as it is."""
    date: str | None
    """Pattern of a date."""


class TemplateError(ValueError):
    """A template is not in the language."""


class Dates(NamedTuple):
    """A variable whose values are dates."""

    columns: calendars.Columns
    calendar: str


def parsed(text: str) -> tuple[str | Field, ...]:
    """The literal texts and fields of a template.

    Raises
    ------
    TemplateError
        Saying what is not in the language.

    Examples
    --------
    >>> parsed("{year:04d}/t_{date:%m}.nc")[0], parsed("{{x}}")
    (Field(name='year', width=4, date=None), ('{x}',))
    """
    parts: list[str | Field] = []
    literal, at = "", 0
    while at < len(text):
        two = text[at : at + 2]
        if two in ("{{", "}}"):
            literal, at = literal + two[0], at + 2
        elif text[at] == "}":
            raise TemplateError("a } without a {; write }} for the character")
        elif text[at] == "{":
            end = text.find("}", at)
            if end < 0:
                raise TemplateError("a { without a }; write {{ for the character")
            if literal:
                parts.append(literal)
                literal = ""
            parts.append(_field(text[at + 1 : end]))
            at = end + 1
        else:
            literal, at = literal + text[at], at + 1
    return (*parts, literal) if literal else tuple(parts)


def _field(text: str) -> Field:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise TemplateError(f"the field {{{text}}}; a field is {{name}}, {{name:05d}} or {{name:%Y-%m-%d}}")
    name, spec = match[1], match[2]
    if spec is None:
        return Field(name, None, None)
    width = _WIDTH.fullmatch(spec)
    if width is not None:
        return Field(name, int(width[1] or 0), None)
    if "%" not in spec:
        raise TemplateError(f"the format {spec!r} of {name}; a format is a width such as 05d, or one of dates")
    unknown = [letter for letter in _DATE_PART.findall(spec) if letter not in _PARTS and letter != "%"]
    if unknown or "{" in spec or spec.replace("%%", "").endswith("%"):
        raise TemplateError(f"the format {spec!r} of {name}; of dates there are %{', %'.join(_PARTS)} and %%")
    return Field(name, None, spec)


def fields(parts: Sequence[str | Field]) -> list[Field]:
    """The fields of a template."""
    return [part for part in parts if isinstance(part, Field)]


def filled(field: Field, values: Any) -> np.ndarray:
    """The texts of a field for a column of values.

    Raises
    ------
    TemplateError
        The values are of another kind than the field.

    Examples
    --------
    >>> filled(Field("n", 3, None), np.array([1, 20])).tolist()
    ['001', '020']
    """
    if isinstance(values, Dates):
        if field.date is None:
            raise TemplateError(f"{field.name} is a date; write {{{field.name}:%Y%m%d}} or another format of dates")
        return _dated(field.date, values)
    if field.date is not None:
        raise TemplateError(f"{field.name} is no date, and has the format {field.date!r}")
    column = np.asarray(values)
    if field.width is None:
        return column.astype(str)
    if column.dtype.kind not in "iu":
        raise TemplateError(f"{field.name} is no integer, and has the format of one")
    signs = np.where(column < 0, "-", "")
    digits = np.abs(column).astype(str)
    return np.strings.add(signs, np.strings.zfill(digits, np.maximum(field.width - (column < 0), 1)))


def _dated(pattern: str, dates: Dates) -> np.ndarray:
    columns = dict(dates.columns)
    if "%j" in pattern:
        now = calendars.days(dates.calendar, columns["year"], columns["month"], columns["day"])
        columns["yearday"] = now - calendars.days(dates.calendar, columns["year"], 1, 1) + 1
    text = np.full(len(columns["year"]), "", dtype="U1")
    for number, piece in enumerate(_DATE_PART.split(pattern)):
        if number % 2 == 0:
            text = np.strings.add(text, piece)
        elif piece == "%":
            text = np.strings.add(text, "%")
        else:
            part, digits = _PARTS[piece]
            values = columns[part] % 100 if piece == "y" else columns[part]
            text = np.strings.add(text, np.strings.zfill(values.astype(str), digits))
    return text


def rendered(parts: Sequence[str | Field], column: Callable[[Field], np.ndarray], rows: int) -> np.ndarray:
    """The texts of a template, one for each row.

    Parameters
    ----------
    column
        The texts of a field, one for each row.

    Examples
    --------
    >>> rendered(parsed("{n}.nc"), lambda field: np.array(["1", "2"]), 2).tolist()
    ['1.nc', '2.nc']
    """
    text = np.full(rows, "", dtype="U1")
    for part in parts:
        text = np.strings.add(text, column(part) if isinstance(part, Field) else part)
    return text
