"""Local times, days and offsets of time zones, compared with another reader of the zone files."""

from __future__ import annotations

import datetime as dt
from importlib import resources
from itertools import pairwise

import pytest
from dateutil.tz import datetime_exists, resolve_imaginary, tzfile

from domain import timezones
from domain.timezones import Clock

ZONES = sorted(timezones.accepted())
UTC = dt.UTC


def another(name: str) -> tzfile:
    """The time zone as `python-dateutil` reads it from the same files."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return tzfile(file)


def test_names_that_others_read_differently_are_refused() -> None:
    assert {"localtime", "Factory", "CET", "EET", "MET", "WET", "EST"}.isdisjoint(ZONES)
    assert {"UTC", "Europe/Zurich", "America/Vancouver", "Asia/Kolkata", "Etc/GMT+5"} <= set(ZONES)


def test_zones_follow_the_rules_of_the_pinned_package() -> None:
    """British Columbia keeps summer time from November 2026 on; older data does not have that."""
    moment = timezones.moment_of(
        dt.datetime.fromisoformat("2026-11-20T09:00"), timezones.zone("America/Vancouver")
    )
    assert moment == dt.datetime(2026, 11, 20, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "clock", "moment"),
    [
        ("2026-03-29T01:59", Clock.SHOWN, "2026-03-29T00:59"),
        ("2026-03-29T02:00", Clock.SKIPPED, "2026-03-29T01:00"),
        ("2026-03-29T02:30", Clock.SKIPPED, "2026-03-29T01:30"),
        ("2026-03-29T03:30", Clock.SHOWN, "2026-03-29T01:30"),
        ("2026-10-25T01:59", Clock.SHOWN, "2026-10-24T23:59"),
        ("2026-10-25T02:30", Clock.REPEATED, "2026-10-25T00:30"),
        ("2026-10-25T03:00", Clock.SHOWN, "2026-10-25T02:00"),
    ],
)
def test_local_times_on_days_of_change(local: str, clock: Clock, moment: str) -> None:
    zone = timezones.zone("Europe/Berlin")
    value = dt.datetime.fromisoformat(local)
    assert timezones.clock_at(value, zone) is clock
    assert timezones.moment_of(value, zone) == dt.datetime.fromisoformat(moment + "+00:00")


def mistakes(name: str, first: dt.date, days: int) -> list[tuple[str, dt.date]]:
    """The days whose computed beginning differs from the other library's."""
    zone, theirs = timezones.zone(name), another(name)
    offsets = timezones.day_offsets(name, first, first + dt.timedelta(days))
    found = []
    number = 0
    for day in (first + dt.timedelta(index) for index in range(days)):
        if number + 1 < len(offsets.days) and day >= offsets.days[number + 1]:
            number += 1
        midnight = dt.datetime.combine(day, dt.time(), theirs)
        expected = resolve_imaginary(midnight).astimezone(UTC)
        by_offset = dt.datetime.combine(day, dt.time(), UTC) - dt.timedelta(
            seconds=offsets.seconds[number]
        )
        if timezones.start_of_day(day, zone) != expected or by_offset != expected:
            found.append((name, day))
    assert all(earlier < later for earlier, later in pairwise(offsets.days))
    return found


# All zones that changed their clocks in unusual ways, and some others.
SOME = (
    "UTC", "Europe/Zurich", "America/Vancouver", "America/St_Johns", "America/Boa_Vista",
    "America/Sao_Paulo", "America/Havana", "America/Argentina/Tucuman", "Africa/Cairo",
    "Africa/Casablanca", "Asia/Gaza", "Asia/Beirut", "Asia/Tehran", "Asia/Kolkata",
    "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham", "Antarctica/Troll", "Etc/GMT+12",
)  # fmt: skip


@pytest.mark.parametrize("name", SOME)
def test_days_begin_as_in_another_library(name: str) -> None:
    # Years in which most of these zones changed their rules.
    assert mistakes(name, dt.date(2009, 1, 1), 365 * 4) == []


@pytest.mark.nightly
@pytest.mark.parametrize("name", ZONES)
def test_days_of_every_zone_begin_as_in_another_library(name: str) -> None:
    assert mistakes(name, dt.date(1995, 1, 1), 365 * 42) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.nightly] if place % 4 else [])
        for place, name in enumerate(SOME)
    ],
)
def test_every_offset_of_a_century_is_found(name: str) -> None:
    """Checked day by day, while the offsets are found in steps."""
    zone = timezones.zone(name)
    first, last = dt.date(1900, 1, 1), dt.date(2060, 12, 31)
    offsets = timezones.day_offsets(name, first, last)
    found = dict(zip(offsets.days, offsets.seconds, strict=True))
    current = None
    for index in range((last - first).days + 1):
        day = first + dt.timedelta(index)
        current = found.get(day, current)
        begins = dt.datetime.combine(day, dt.time(), UTC) - dt.timedelta(seconds=current or 0)
        assert timezones.start_of_day(day, zone) == begins, (name, day)


def test_a_time_exists_if_it_does_in_another_library() -> None:
    """Every half hour around each change of the clocks in two years, and one of each other day."""
    for name in SOME:
        zone, theirs = timezones.zone(name), another(name)
        for days in range(2 * 365):
            noon = dt.datetime.fromisoformat("2017-07-01T12:00") + dt.timedelta(days)
            offsets = {theirs.utcoffset(noon + dt.timedelta(hours=hours)) for hours in (-24, 24)}
            for half in range(48) if len(offsets) > 1 else [days % 48]:
                local = noon + dt.timedelta(minutes=30 * half - 720)
                exists = timezones.clock_at(local, zone) is not Clock.SKIPPED
                assert exists == datetime_exists(local, theirs), (name, local)
