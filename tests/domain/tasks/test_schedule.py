"""When reminders run: on ordinary days, and on days on which clocks change."""

from __future__ import annotations

import datetime as dt
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import timezones
from domain.tasks.schedule import (
    Anchor,
    Daily,
    Monthly,
    Once,
    Relative,
    Rule,
    Weekly,
    from_json,
    next_run,
    runs,
    to_json,
)

ZONES = (
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Antarctica/Troll",
)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{text}+00:00")


def at(text: str) -> dt.time:
    return dt.time.fromisoformat(text)


def first(rule: Rule, after: str, count: int) -> list[str]:
    """The next runs in UTC, to the minute."""
    return [f"{moment:%Y-%m-%d %H:%M}" for moment in islice(runs(rule, utc(after)), count)]


# --- ordinary days -------------------------------------------------------------------------------


def test_daily_runs_at_a_time_of_day_in_a_zone() -> None:
    rule = Daily(at("09:00"), "Asia/Kolkata")
    assert first(rule, "2026-11-18T03:29", 2) == ["2026-11-18 03:30", "2026-11-19 03:30"]
    # A run at exactly this time is over.
    assert first(rule, "2026-11-18T03:30", 1) == ["2026-11-19 03:30"]


def test_weekly_runs_on_its_days_in_the_calendar_of_the_zone() -> None:
    rule = Weekly((1, 5), at("00:30"), "Pacific/Auckland")
    # Half past midnight on Friday the 20th in Auckland is Thursday elsewhere.
    assert first(rule, "2026-11-18T00:00", 3) == [
        "2026-11-19 11:30",
        "2026-11-22 11:30",
        "2026-11-26 11:30",
    ]


def test_monthly_runs_on_its_day_or_the_last_of_a_shorter_month() -> None:
    assert first(Monthly(31, at("12:00"), "UTC"), "2027-01-30T00:00", 4) == [
        "2027-01-31 12:00",
        "2027-02-28 12:00",
        "2027-03-31 12:00",
        "2027-04-30 12:00",
    ]
    assert first(Monthly(15, at("12:00"), "UTC"), "2027-01-15T12:00", 1) == ["2027-02-15 12:00"]


def test_the_last_day_of_the_month_respects_leap_years() -> None:
    rule = Monthly(None, at("08:00"), "UTC")
    assert first(rule, "2028-02-01T00:00", 2) == ["2028-02-29 08:00", "2028-03-31 08:00"]


def test_once_runs_once() -> None:
    rule = Once(utc("2026-11-18T10:00"))
    assert first(rule, "2026-11-18T09:59", 3) == ["2026-11-18 10:00"]
    assert first(rule, "2026-11-18T10:00", 3) == []


@pytest.mark.parametrize("seconds", [-3_600, 0, 45])
def test_an_offset_from_the_due_date_runs_once_and_only_if_there_is_one(seconds: int) -> None:
    rule = Relative(Anchor.DUE, seconds)
    due = utc("2026-11-18T10:00")
    moment = due + dt.timedelta(seconds=seconds)
    assert next_run(rule, moment - dt.timedelta(seconds=1), due) == moment
    assert next_run(rule, moment, due) is None
    assert next_run(rule, moment, None) is None


@pytest.mark.parametrize(
    ("zone", "last"),
    [
        ("UTC", "9999-12-30 23:00"),
        # The most extreme time zones.
        ("Pacific/Pago_Pago", "9999-12-31 10:00"),
        ("Pacific/Kiritimati", "9999-12-30 09:00"),
    ],
)
def test_a_daily_rule_ends_with_the_second_last_day_of_the_calendar(zone: str, last: str) -> None:
    rule = Daily(at("23:00"), zone)
    moments = list(runs(rule, utc("9999-12-27T12:00")))
    assert f"{moments[-1]:%Y-%m-%d %H:%M}" == last
    assert {later - earlier for earlier, later in pairwise(moments)} == {dt.timedelta(days=1)}
    assert next_run(rule, moments[-1]) is None
    assert next_run(rule, moments[-1] - dt.timedelta(seconds=1)) == moments[-1]


# --- days on which clocks change -----------------------------------------------------------------

# Zone, time of day, the day of the change, and the runs on the day before, that day and the next.
GAPS = [
    ("Europe/Zurich", "02:30", "2027-03-28", "03-27 01:30, 03-28 01:30, 03-29 00:30"),
    ("Europe/Zurich", "02:00", "2027-03-28", "03-27 01:00, 03-28 01:00, 03-29 00:00"),
    ("Europe/Zurich", "03:00", "2027-03-28", "03-27 02:00, 03-28 01:00, 03-29 01:00"),
    ("Europe/Zurich", "09:00", "2027-03-28", "03-27 08:00, 03-28 07:00, 03-29 07:00"),
    ("Europe/London", "01:59", "2027-03-28", "03-27 01:59, 03-28 01:59, 03-29 00:59"),
    ("America/New_York", "02:30", "2027-03-14", "03-13 07:30, 03-14 07:30, 03-15 06:30"),
    # Half an hour only.
    ("Australia/Lord_Howe", "02:15", "2026-10-04", "10-02 15:45, 10-03 15:45, 10-04 15:15"),
    # The day began at one o'clock.
    ("America/Sao_Paulo", "00:30", "2018-11-04", "11-03 03:30, 11-04 03:30, 11-05 02:30"),
    # Two hours, at a station in Antarctica.
    ("Antarctica/Troll", "02:30", "2027-03-28", "03-27 02:30, 03-28 02:30, 03-29 00:30"),
]


@pytest.mark.parametrize(("zone", "time", "day", "expected"), GAPS)
def test_a_skipped_time_is_moved_forward_by_the_gap(
    zone: str, time: str, day: str, expected: str
) -> None:
    rule = Daily(at(time), zone)
    two_days_before = dt.date.fromisoformat(day) - dt.timedelta(days=2)
    start = timezones.moment_of(
        dt.datetime.combine(two_days_before, at(time)), timezones.zone(zone)
    )
    found = [f"{moment:%m-%d %H:%M}" for moment in islice(runs(rule, start), 3)]
    assert ", ".join(found) == expected


FOLDS = [
    ("Europe/Zurich", "02:30", "2026-10-25", "10-24 00:30, 10-25 00:30, 10-26 01:30"),
    ("Europe/Zurich", "02:00", "2026-10-25", "10-24 00:00, 10-25 00:00, 10-26 01:00"),
    ("Europe/Zurich", "03:00", "2026-10-25", "10-24 01:00, 10-25 02:00, 10-26 02:00"),
    ("America/New_York", "01:30", "2026-11-01", "10-31 05:30, 11-01 05:30, 11-02 06:30"),
    ("Australia/Lord_Howe", "01:45", "2027-04-04", "04-02 14:45, 04-03 14:45, 04-04 15:15"),
    ("America/Sao_Paulo", "23:30", "2018-02-17", "02-17 01:30, 02-18 01:30, 02-19 02:30"),
]


@pytest.mark.parametrize(("zone", "time", "day", "expected"), FOLDS)
def test_a_time_that_occurs_twice_runs_the_first_time(
    zone: str, time: str, day: str, expected: str
) -> None:
    rule = Daily(at(time), zone)
    two_days_before = dt.date.fromisoformat(day) - dt.timedelta(days=2)
    start = timezones.moment_of(
        dt.datetime.combine(two_days_before, at(time)), timezones.zone(zone)
    )
    found = [f"{moment:%m-%d %H:%M}" for moment in islice(runs(rule, start), 3)]
    assert ", ".join(found) == expected


def test_nothing_runs_again_between_the_two_equal_times() -> None:
    rule = Daily(at("02:30"), "Europe/Zurich")
    # 00:45 UTC: the clock has shown 02:30 once and will show it again.
    assert first(rule, "2026-10-25T00:45", 1) == ["2026-10-26 01:30"]


def test_a_gap_that_moves_a_run_past_midnight_loses_none() -> None:
    # Samoa skipped Friday, 30 December 2011.
    rule = Daily(at("09:00"), "Pacific/Apia")
    assert first(rule, "2011-12-29T20:00", 3) == [
        # The runs of Friday, which does not exist, and of Saturday.
        "2011-12-30 19:00",
        "2011-12-31 19:00",
        "2012-01-01 19:00",
    ]
    midnight = Daily(at("00:00"), "Pacific/Apia")
    assert first(midnight, "2011-12-29T20:00", 2) == ["2011-12-30 10:00", "2011-12-31 10:00"]


def test_weekly_and_monthly_rules_follow_the_local_clock() -> None:
    assert first(Weekly((7,), at("02:30"), "Europe/Zurich"), "2027-03-22T00:00", 2) == [
        "2027-03-28 01:30",
        "2027-04-04 00:30",
    ]
    assert first(Monthly(25, at("02:30"), "Europe/Zurich"), "2026-10-01T00:00", 2) == [
        "2026-10-25 00:30",
        "2026-11-25 01:30",
    ]


# --- always --------------------------------------------------------------------------------------

TIMES = st.times().map(lambda time: time.replace(second=0, microsecond=0))
MOMENTS = st.integers(631_152_000, 2_114_380_800).map(
    # From 1990 to 2037.
    lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC)
)
CLOCKWORK = st.one_of(
    st.builds(Daily, TIMES, st.sampled_from(ZONES)),
    st.builds(
        Weekly,
        st.sets(st.integers(1, 7), min_size=1).map(lambda days: tuple(sorted(days))),
        TIMES,
        st.sampled_from(ZONES),
    ),
    st.builds(Monthly, st.none() | st.integers(1, 31), TIMES, st.sampled_from(ZONES)),
)


@given(CLOCKWORK, MOMENTS)
def test_runs_are_increasing_and_do_not_depend_on_the_start(
    rule: Daily | Weekly | Monthly, after: dt.datetime
) -> None:
    found = list(islice(runs(rule, after), 5))
    assert len(found) == 5
    assert found == sorted(set(found))
    assert found[0] > after
    assert [next_run(rule, moment) for moment in found[:4]] == found[1:]
    assert next_run(rule, found[0] - dt.timedelta(microseconds=1)) == found[0]


@given(
    CLOCKWORK
    | st.builds(Once, MOMENTS)
    | st.builds(Relative, st.sampled_from(Anchor), st.integers(-500_000, 500_000))
)
def test_a_rule_is_read_as_it_was_stored(rule: Rule) -> None:
    assert from_json(rule.kind, to_json(rule)) == rule
