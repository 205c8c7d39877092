"""The only time zone database: that of the pinned package `tzdata`.

Python's `zoneinfo` prefers the data of the system, and PostgreSQL has its own data; if these
differ, one entry would be on two days. So the system's data is not read, and PostgreSQL never
converts by a zone's name: it is given offsets (`DayOffsets`).

A local time that the clock skips is moved forward by the gap (02:30 becomes 03:30); a local time
that occurs twice means the first, unless an offset says otherwise.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import chain
from typing import TypeAlias

Zone: TypeAlias = zoneinfo.ZoneInfo

zoneinfo.reset_tzpath(to=())
Zone.clear_cache()

# Rejected names: a placeholder, and abbreviations, which others (including PostgreSQL) read as a
# fixed offset.
_REFUSED = {"Factory", "localtime", "CET", "EET", "MET", "WET", "EST", "MST", "HST"}
_DAY = dt.timedelta(days=1)
# No two changes of a zone's clock are closer than this (tests/domain/test_timezones.py).
_STEP = dt.timedelta(days=5)


@lru_cache(maxsize=1)
def accepted() -> frozenset[str]:
    """The names of the zones that clients may use."""
    return frozenset(zoneinfo.available_timezones()) - _REFUSED


def zone(name: str) -> Zone:
    """The zone of an accepted name."""
    return Zone(name)


class Clock(Enum):
    """Whether a zone's clock shows a local time once, twice or never."""

    SHOWN = "shown once"
    SKIPPED = "skipped"
    REPEATED = "shown twice"


def moment_of(local: dt.datetime, place: Zone) -> dt.datetime:
    """The moment (UTC) of a local time without an offset; see the module for gaps and overlaps."""
    return local.replace(tzinfo=place, fold=0).astimezone(dt.UTC)


def clock_at(local: dt.datetime, place: Zone) -> Clock:
    """Whether a local time without an offset exists, and whether it occurs twice."""
    first = moment_of(local, place)
    if first.astimezone(place).replace(tzinfo=None) != local.replace(fold=0):
        return Clock.SKIPPED
    second = local.replace(tzinfo=place, fold=1).astimezone(dt.UTC)
    return Clock.SHOWN if second == first else Clock.REPEATED


def start_of_day(day: dt.date, place: Zone) -> dt.datetime:
    """The moment (UTC) at which a day begins; most days have 24 hours, some 23, 25 or others."""
    return moment_of(dt.datetime.combine(day, dt.time()), place)


@dataclass(frozen=True, slots=True)
class DayOffsets:
    """The offsets of a zone's days: how many seconds each begins before its midnight in UTC.

    `seconds[i]` applies from day `days[i]` until the day before `days[i + 1]`.
    """

    days: list[dt.date]
    seconds: list[int]


def day_offsets(name: str, first: dt.date, last: dt.date) -> DayOffsets:
    """The offsets of all days from `first` to `last`."""
    place = zone(name)
    days, seconds = [first], [_offset(first, place)]
    years = range(first.year, last.year + 1)
    for day, offset in chain.from_iterable(_changes(name, year) for year in years):
        if first < day <= last:
            days.append(day)
            seconds.append(offset)
    return DayOffsets(days, seconds)


@lru_cache(maxsize=10_000)
def _changes(name: str, year: int) -> tuple[tuple[dt.date, int], ...]:
    """The days of a year that begin with another offset than the day before, and their offsets."""
    place = zone(name)
    found = []
    day = dt.date(year, 1, 1) - _DAY
    end = dt.date(year, 12, 31)
    offset = _offset(day, place)
    while day < end:
        following = min(day + _STEP, end)
        if _offset(following, place) == offset:
            day = following
            continue
        while (new := _offset(day + _DAY, place)) == offset:
            day += _DAY
        day += _DAY
        found.append((day, offset := new))
    return tuple(found)


def _offset(day: dt.date, place: Zone) -> int:
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    return int((midnight - start_of_day(day, place)).total_seconds())
