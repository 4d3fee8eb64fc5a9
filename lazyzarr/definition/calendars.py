"""Dates of a calendar as columns: year, month, day, hour, minute, second.

Owns counting in five calendars, on whole columns. Refuses dates of the standard calendar before 1582-10-15, where it
was another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

Columns = Mapping[str, Any]
"""The six parts, each an int64 column."""

PARTS = ("year", "month", "day", "hour", "minute", "second")
_ALIAS = {"gregorian": "standard", "365_day": "noleap", "366_day": "all_leap"}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIRST_STANDARD = (1582, 10, 15)


def canonical(calendar: str) -> str:
    """One name for each calendar.

    Examples
    --------
    >>> canonical("365_day"), canonical("gregorian")
    ('noleap', 'standard')
    """
    return _ALIAS.get(calendar, calendar)


def days(calendar: str, year: Any, month: Any, day: Any) -> np.ndarray:
    """Days since a fixed day, for columns of dates that exist.

    Examples
    --------
    >>> int(days("noleap", 2004, 3, 1) - days("noleap", 2004, 2, 28))
    1
    """
    year, month, day = (np.asarray(part, np.int64) for part in (year, month, day))
    kind = canonical(calendar)
    if kind == "360_day":
        return year * 360 + (month - 1) * 30 + day - 1
    if kind in ("noleap", "all_leap"):
        starts = _starts(kind)
        return year * int(starts[-1]) + starts[month - 1] + day - 1
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64) + day - 1


def dates(calendar: str, numbers: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Year, month and day of days counted as `days` does.

    Examples
    --------
    >>> [int(part) for part in dates("360_day", days("360_day", 2001, 2, 30) + 1)]
    [2001, 3, 1]
    """
    numbers = np.asarray(numbers, np.int64)
    kind = canonical(calendar)
    if kind == "360_day":
        return numbers // 360, numbers % 360 // 30 + 1, numbers % 30 + 1
    if kind in ("noleap", "all_leap"):
        starts = _starts(kind)
        year, rest = numbers // int(starts[-1]), numbers % int(starts[-1])
        month = np.searchsorted(starts, rest, side="right")
        return year, month, rest - starts[month - 1] + 1
    found = numbers.astype("datetime64[D]")
    months = found.astype("datetime64[M]")
    count = months.astype(np.int64)
    return count // 12 + 1970, count % 12 + 1, (found - months).astype(np.int64) + 1


def _starts(kind: str) -> np.ndarray:
    lengths = np.array(_LENGTHS, np.int64)
    lengths[1] += kind == "all_leap"
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def parse(value: str | int, calendar: str) -> tuple[int, ...] | str:
    """The six parts of a date; or in words why the calendar has no such date.

    Examples
    --------
    >>> parse("2001-02-03T12", "standard"), parse("2001-02-29", "noleap")
    ((2001, 2, 3, 12, 0, 0), 'no such day in the calendar noleap')
    """
    found = [int(part) for part in re.split(r"[-T :]", f"{value:04d}" if isinstance(value, int) else value)]
    year, month, day, hour, minute, second = (found + [1, 1, 0, 0, 0][len(found) - 1 :])[:6]
    back = (year, month, day)
    if not 1 <= month <= 12 or tuple(int(p) for p in dates(calendar, days(calendar, *back))) != back:
        return f"no such day in the calendar {calendar}"
    if canonical(calendar) == "standard" and back < _FIRST_STANDARD:
        return "a day before 1582-10-15; say proleptic_gregorian"
    if hour > 23 or minute > 59 or second > 59:
        return "no such time of day"
    return year, month, day, hour, minute, second


def step_of(text: str) -> tuple[int, str]:
    """Count and unit of a step.

    Examples
    --------
    >>> step_of("6 hours"), step_of("day")
    ((6, 'hour'), (1, 'day'))
    """
    count, _, unit = text.rpartition(" ")
    return int(count or 1), unit.removesuffix("s")


def enumerated(
    first: tuple[int, ...], step: tuple[int, str], calendar: str, *, count: int | None, last: tuple[int, ...] | None
) -> Columns:
    """Dates from the first on, as many as ``count`` or up to the last, and one more that begins after them.

    Examples
    --------
    >>> found = enumerated((2003, 12, 1, 0, 0, 0), (1, "month"), "noleap", count=2, last=None)
    >>> found["year"].tolist(), found["month"].tolist()
    ([2003, 2004, 2004], [12, 1, 2])
    """
    amount, unit = step
    if unit in ("month", "year"):
        months = amount * (12 if unit == "year" else 1)
        begin = first[0] * 12 + first[1] - 1
        if count is None:
            assert last is not None
            count = max((last[0] * 12 + last[1] - 1 - begin) // months + 1, 0)
            ends = begin + (count - 1) * months == last[0] * 12 + last[1] - 1
            count -= bool(count and ends and first[2:] > last[2:])
        numbers = begin + np.arange(count + 1, dtype=np.int64) * months
        rest = {name: np.full(count + 1, part, np.int64) for name, part in zip(PARTS[2:], first[2:], strict=True)}
        return {"year": numbers // 12, "month": numbers % 12 + 1, **rest}
    seconds = amount * _SECONDS[unit]
    begin = _second(first, calendar)
    if count is None:
        assert last is not None
        count = max((_second(last, calendar) - begin) // seconds + 1, 0)
    moments = begin + np.arange(count + 1, dtype=np.int64) * seconds
    year, month, day = dates(calendar, moments // 86400)
    rest = moments % 86400
    clock = {"hour": rest // 3600, "minute": rest % 3600 // 60, "second": rest % 60}
    return {"year": year, "month": month, "day": day, **clock}


def _second(date: tuple[int, ...], calendar: str) -> int:
    return int(days(calendar, *date[:3])) * 86400 + date[3] * 3600 + date[4] * 60 + date[5]
