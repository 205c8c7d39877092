"""When a reminder runs: pure functions of a rule and a moment, without database or clock.

A rule describes a wall clock (09:00 every day, in Zurich), and such clocks change twice a year;
`domain.timezones` says what happens to times that are skipped or occur twice. So a daily rule runs
once on each day of the calendar, whatever the clock does on it.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import takewhile
from typing import Any

from db.models.reminder import RuleKind
from domain import timezones

_DAY = dt.timedelta(days=1)
# No rule is computed beyond it: years end at 9999, and zones move a moment by up to a day.
_LAST_DAY = dt.date(9999, 12, 30)


class Anchor(IntEnum):
    """The time of a task that a reminder is relative to."""

    DUE = RuleKind.DUE
    START = RuleKind.START


@dataclass(frozen=True, slots=True)
class Relative:
    """Seconds after a task's due or start time; negative for before it."""

    anchor: Anchor
    offset: int

    @property
    def kind(self) -> RuleKind:
        """The time of the task that it is relative to."""
        return RuleKind(self.anchor.value)


@dataclass(frozen=True, slots=True)
class Once:
    """Once, at a given moment."""

    at: dt.datetime
    kind = RuleKind.ONCE


@dataclass(frozen=True, slots=True)
class Daily:
    """Every day at a time of day, to the minute, in an IANA zone."""

    time: dt.time
    timezone: str
    kind = RuleKind.DAILY

    def on(self, _: dt.date) -> bool:
        """On every day of its zone's calendar."""
        return True


@dataclass(frozen=True, slots=True)
class Weekly:
    """On certain days of the week (ISO: 1 is Monday), at least one."""

    days: tuple[int, ...]
    time: dt.time
    timezone: str
    kind = RuleKind.WEEKLY

    def on(self, day: dt.date) -> bool:
        """Whether it runs on this day of its zone's calendar."""
        return day.isoweekday() in self.days


@dataclass(frozen=True, slots=True)
class Monthly:
    """On a day of the month, 1 to 31, or on the last one (None).

    In a month that is too short for the day, it runs on the last one.
    """

    day: int | None
    time: dt.time
    timezone: str
    kind = RuleKind.MONTHLY

    def on(self, day: dt.date) -> bool:
        """Whether it runs on this day of its zone's calendar."""
        last = calendar.monthrange(day.year, day.month)[1]
        return day.day == min(self.day or last, last)


Clockwork = Daily | Weekly | Monthly
Rule = Relative | Once | Clockwork


# --- when ----------------------------------------------------------------------------------------


def runs(
    rule: Rule, after: dt.datetime, anchor: dt.datetime | None = None
) -> Iterator[dt.datetime]:
    """The moments (UTC) at which a rule runs, all later than `after`, in order.

    `anchor` is the task's due or start time, for a rule that is relative to it; without one it
    never runs. Repeating rules have no end, so take as many as you need.
    """
    if isinstance(rule, Relative):
        moment = moved(anchor, rule)
        return iter([moment] if moment is not None and moment > after else [])
    if isinstance(rule, Once):
        return iter([rule.at] if rule.at > after else [])
    return _repeated(rule, after)


def next_run(
    rule: Rule, after: dt.datetime, anchor: dt.datetime | None = None
) -> dt.datetime | None:
    """The first of `runs`, or None."""
    return next(runs(rule, after, anchor), None)


def moved(anchor: dt.datetime | None, rule: Relative) -> dt.datetime | None:
    """The moment that results from a task's time, past or future."""
    return None if anchor is None else anchor + dt.timedelta(seconds=rule.offset)


def _repeated(rule: Clockwork, after: dt.datetime) -> Iterator[dt.datetime]:
    zone = timezones.zone(rule.timezone)
    # From the day before: a gap can push a run of yesterday past midnight.
    day = after.astimezone(zone).date() - _DAY
    latest = after
    for candidate in takewhile(lambda one: one <= _LAST_DAY, _days(day)):
        if not rule.on(candidate):
            continue
        moment = timezones.moment_of(dt.datetime.combine(candidate, rule.time), zone)
        # Not the same twice: if a zone skips a whole day, two days begin at the same moment.
        if moment > latest:
            latest = moment
            yield moment


def _days(day: dt.date) -> Iterator[dt.date]:
    while True:
        yield day
        day += _DAY


# --- as the database keeps them ------------------------------------------------------------------


def to_json(rule: Rule) -> dict[str, Any]:
    """The content of a rule, beside its kind."""
    if isinstance(rule, Relative):
        return {"offset": rule.offset}
    if isinstance(rule, Once):
        return {"at": rule.at.isoformat()}
    clock = {"time": f"{rule.time:%H:%M}", "timezone": rule.timezone}
    if isinstance(rule, Weekly):
        return {"days": list(rule.days), **clock}
    if isinstance(rule, Monthly):
        return {"day": rule.day, **clock}
    return clock


def from_json(kind: RuleKind, said: Mapping[str, Any]) -> Rule:
    """The rule of a kind with this content."""
    if kind in {RuleKind.DUE, RuleKind.START}:
        return Relative(Anchor(kind.value), said["offset"])
    if kind is RuleKind.ONCE:
        return Once(dt.datetime.fromisoformat(said["at"]))
    time, zone = dt.time.fromisoformat(said["time"]), said["timezone"]
    if kind is RuleKind.WEEKLY:
        return Weekly(tuple(said["days"]), time, zone)
    if kind is RuleKind.MONTHLY:
        return Monthly(said["day"], time, zone)
    return Daily(time, zone)
