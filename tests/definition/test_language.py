"""Templates, dates of calendars, times and scalars, each against another program that knows them."""

from __future__ import annotations

import datetime

import cftime
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.definition import calendars, templates, times
from lazyzarr.definition.reading import scalar
from lazyzarr.definition.templates import Dates, Field, TemplateError

KINDS = ("standard", "proleptic_gregorian", "noleap", "all_leap", "360_day")


@given(st.integers(1900, 2100), st.integers(0, 800), st.sampled_from(KINDS))
def test_days_are_those_of_cftime(year: int, more: int, calendar: str) -> None:
    day = cftime.datetime(year, 1, 1, calendar=calendar) + datetime.timedelta(days=more)
    number = calendars.days(calendar, day.year, day.month, day.day)
    assert int(number - calendars.days(calendar, year, 1, 1)) == more
    assert tuple(int(part) for part in calendars.dates(calendar, number)) == (day.year, day.month, day.day)


@given(
    st.lists(st.integers(-(10**5), 10**5), min_size=1, max_size=5),
    st.sampled_from(["hours", "minutes", "seconds", "days"]),
    st.sampled_from(["hours", "minutes", "seconds"]),
    st.sampled_from(KINDS),
)
def test_times_in_other_units_are_the_same_moments(values: list[int], old: str, new: str, calendar: str) -> None:
    units, target = f"{old} since 2001-02-03 04:00", f"{new} since 1999-12-30"
    try:
        found = times.converted(np.array(values), units, target, calendar)
    except times.TimeError:
        return  # no exact number; that these are refused is tested below
    before = cftime.num2date(np.array(values), units, calendar, only_use_cftime_datetimes=True)
    after = cftime.num2date(found, target, calendar, only_use_cftime_datetimes=True)
    assert before.tolist() == after.tolist()


def test_times_that_are_not_exact_are_refused() -> None:
    with pytest.raises(times.TimeError):
        times.converted(np.array([1]), "hours since 2001-01-01", "months since 2001-01-01", "standard")
    with pytest.raises(times.TimeError):
        times.converted(np.array([np.nan]), "hours since 2001-01-01", "days since 2001-01-01", "standard")
    with pytest.raises(times.TimeError):
        times.converted(np.array([1]), "seconds since 2001-01-01", "days since 2001-01-01", "standard")
    assert times.converted(np.array([6]), "hours since 2001-01-01", "days since 2001-01-01", "standard").tolist() == [
        0.25
    ]


@pytest.mark.parametrize("pattern", ["%Y/%m/%d", "%y%j", "%Y%m%dT%H%M%S", "100%%_%d"])
def test_dates_are_written_as_strftime_does(pattern: str) -> None:
    found = calendars.enumerated((2003, 12, 30, 22, 30, 0), (7, "hour"), "standard", count=40, last=None)
    moments = [datetime.datetime(2003, 12, 30, 22, 30) + datetime.timedelta(hours=7 * k) for k in range(41)]
    texts = templates.filled(Field("t", None, pattern), Dates(found, "standard"))
    assert texts.tolist() == [moment.strftime(pattern) for moment in moments]


@pytest.mark.parametrize(
    ("first", "last", "step", "count"),
    [
        ((2004, 2, 27, 0, 0, 0), (2004, 3, 1, 0, 0, 0), (1, "day"), 4),
        ((2004, 1, 15, 0, 0, 0), (2004, 12, 1, 0, 0, 0), (1, "month"), 11),
        ((2004, 1, 1, 0, 0, 0), (2007, 12, 31, 0, 0, 0), (1, "year"), 4),
        ((2004, 1, 1, 0, 0, 0), (2004, 1, 1, 23, 59, 59), (6, "hour"), 4),
    ],
)
def test_the_last_date_is_included(
    first: tuple[int, ...], last: tuple[int, ...], step: tuple[int, str], count: int
) -> None:
    found = calendars.enumerated(first, step, "standard", count=None, last=last)
    assert len(found["year"]) == count + 1


@pytest.mark.parametrize(
    "text",
    [
        "{a.b}",
        "{a[0]}",
        "{a!r}",
        "{}",
        "{0}",
        "{a:{b}}",
        "{a:>5}",
        "{a:x}",
        "{a:%Q}",
        "{a:%}",
        "{",
        "}",
        "{a",
        "{a:05.2f}",
    ],
)
def test_templates_know_nothing_else(text: str) -> None:
    with pytest.raises(TemplateError):
        templates.parsed(text)


def test_numbers_have_widths() -> None:
    column = np.array([7, -7, 12345])
    assert templates.filled(Field("n", 4, None), column).tolist() == [f"{n:04d}" for n in (7, -7, 12345)]
    assert templates.filled(Field("n", None, None), column).tolist() == ["7", "-7", "12345"]
    with pytest.raises(TemplateError):
        templates.filled(Field("n", 4, None), np.array(["a"]))


def test_scalars_are_those_of_the_core_schema() -> None:
    texts = ["no", "on", "y", "0b1", "1:30", "1_0", "012", "0o14", "0xfF", "1.", "-.5e3", ".inf", "~", "TRUE", "tRue"]
    expected = ["no", "on", "y", "0b1", "1:30", "1_0", 12, 12, 255, 1.0, -500.0, float("inf"), None, True, "tRue"]
    assert [scalar(text) for text in texts] == expected
