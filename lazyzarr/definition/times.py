"""Times in units such as ``days since 2001-01-01``: exact changes of units.

Owns the arithmetic in whole microseconds. Refuses to round, to mix calendars, and units without a fixed length (months,
years).
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np

from lazyzarr.definition import calendars
from lazyzarr.definition.templates import Dates
from lazyzarr.errors import ExtraMissing

_MICROSECONDS = {
    **dict.fromkeys(("microsecond", "microseconds", "microsec", "us"), 1),
    **dict.fromkeys(("millisecond", "milliseconds", "millisec", "msec", "ms"), 1_000),
    **dict.fromkeys(("second", "seconds", "sec", "secs", "s"), 1_000_000),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), 60_000_000),
    **dict.fromkeys(("hour", "hours", "hr", "hrs", "h"), 3_600_000_000),
    **dict.fromkeys(("day", "days", "d"), 86_400_000_000),
}
_UNITS = re.compile(r"\s*(\S+)\s+since\s+(.+?)\s*", re.IGNORECASE)


class TimeError(ValueError):
    """Times cannot be written in the units exactly."""


def is_time(units: Any) -> bool:
    """Whether units count from a moment.

    Examples
    --------
    >>> is_time("days since 2001-01-01"), is_time("degrees_east")
    (True, False)
    """
    return isinstance(units, str) and _UNITS.fullmatch(units) is not None


def converted(values: np.ndarray, units: str, target: str, calendar: str) -> np.ndarray:
    """The same moments in other units.

    Raises
    ------
    TimeError
        Some moment has no exact number.

    Examples
    --------
    >>> converted(np.array([1, 2]), "days since 2001-01-01", "hours since 2001-01-02", "standard").tolist()
    [0, 24]
    """
    if units == target:
        return values
    size, epoch = _parsed(units, calendar)
    new_size, new_epoch = _parsed(target, calendar)
    shift = _microseconds(epoch - new_epoch)
    if values.dtype.kind in "iu":
        numbers, whole = values.astype(object) * size, True
    else:
        if not np.isfinite(values).all():
            raise TimeError(f"{int((~np.isfinite(values)).sum())} moments that are no number")
        scaled = values.astype(np.float64) * size
        if (np.abs(scaled) >= 2**62).any() or (np.rint(scaled) != scaled).any():
            raise TimeError("moments that are no whole microseconds")
        numbers, whole = np.rint(scaled).astype(np.int64).astype(object), False
    numbers = numbers + shift
    rest = np.array([number % new_size for number in numbers], bool) if len(numbers) else np.zeros(0, bool)
    if whole and not rest.any():
        return np.array([number // new_size for number in numbers], np.int64)
    found = np.array([number / new_size for number in numbers], np.float64)
    ratios = [value.as_integer_ratio() for value in found.tolist()]
    if any(above * new_size != number * below for (above, below), number in zip(ratios, numbers, strict=True)):
        raise TimeError(f"moments that have no exact number in {target!r}")
    return found


def numbered(dates: Dates, units: str | None) -> tuple[np.ndarray, str]:
    """Dates as numbers, and their units: by default days since the first, or seconds where days are not enough.

    Examples
    --------
    >>> found = calendars.enumerated((2001, 2, 1, 0, 0, 0), (1, "month"), "noleap", count=2, last=None)
    >>> numbered(Dates(found, "noleap"), None)
    (array([ 0, 28, 59]), 'days since 2001-02-01 00:00:00')
    """
    parts = dates.columns
    day = calendars.days(dates.calendar, parts["year"], parts["month"], parts["day"])
    second = parts["hour"] * 3600 + parts["minute"] * 60 + parts["second"]
    seconds = (day - day[0]) * 86400 + second
    first = "{:04d}-{:02d}-{:02d} 00:00:00".format(*(int(parts[name][0]) for name in ("year", "month", "day")))
    own = f"seconds since {first}" if (seconds % 86400).any() else f"days since {first}"
    numbers = seconds if own.startswith("seconds") else seconds // 86400
    return (numbers, own) if units is None else (converted(numbers, own, units, dates.calendar), units)


def _parsed(units: str, calendar: str) -> tuple[int, Any]:
    """Microseconds of one step, and the moment of 0."""
    match = _UNITS.fullmatch(units)
    size = None if match is None else _MICROSECONDS.get(match[1].lower())
    if size is None or match is None:
        raise TimeError(f"the units {units!r}, which have no fixed length")
    try:
        cftime = importlib.import_module("cftime")
    except ModuleNotFoundError as error:
        if error.name != "cftime":
            raise
        raise ExtraMissing(
            'times in other units; the package cftime is not installed; run pip install "lazyzarr[definitions]"'
        ) from error
    try:
        return size, cftime.num2date(0, f"seconds since {match[2]}", calendar, only_use_cftime_datetimes=True)
    except (ValueError, TypeError) as error:
        raise TimeError(f"the units {units!r} ({error})") from error


def _microseconds(delta: Any) -> int:
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def dates_of(values: np.ndarray, units: str, calendar: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Year, month and day of moments.

    Raises
    ------
    TimeError
        The units have no fixed length, or a moment is no number.

    Examples
    --------
    >>> [part.tolist() for part in dates_of(np.array([58.5, 59]), "days since 2001-01-01", "noleap")]
    [[2001, 2001], [2, 3], [28, 1]]
    """
    size, epoch = _parsed(units, calendar)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise TimeError("moments that are no number")
    clock = ((epoch.hour * 60 + epoch.minute) * 60 + epoch.second) * 1_000_000 + epoch.microsecond
    day = calendars.days(calendar, epoch.year, epoch.month, epoch.day)
    whole = 86_400_000_000
    if values.dtype.kind in "iu":
        elapsed = (values.astype(np.int64) * size + clock) // whole
    else:
        elapsed = np.floor((values * size + clock) / whole).astype(np.int64)
    return calendars.dates(calendar, day + elapsed)
