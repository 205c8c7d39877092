"""When time was spent, in the forms in which clients give it, and the span that each makes.

Each form says which of its fields its start and its end come from, so that an error names a field
that the client wrote.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, ClassVar

from db.models import TimeEntry
from domain import rules, timezones
from domain.work import Work
from errors import BadInput, check, collecting

LONGEST = dt.timedelta(hours=24)
# The limit with `allowOver24Hours`; longer entries are typing errors.
LONGEST_FORCED = dt.timedelta(days=366)
_MOST_SECONDS = int(LONGEST_FORCED.total_seconds())
# Placeholder for an invalid time until the error is reported.
_ANY = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A validated time span; `day` is set if it is a day and a duration."""

    started_at: dt.datetime
    ended_at: dt.datetime | None
    day: dt.date | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The columns."""
        return {"started_at": self.started_at, "ended_at": self.ended_at, "day": self.day}

    def overlaps(self, other: Span, now: dt.datetime) -> bool:
        """Whether the two overlap; running ones last until now."""
        if self.day is not None or other.day is not None:
            return False
        return self.started_at < (other.ended_at or now) and other.started_at < (
            self.ended_at or now
        )


def span_of(entry: TimeEntry) -> Span:
    """The span of an existing entry."""
    return Span(entry.started_at, entry.ended_at, entry.day)


def whole_second(moment: dt.datetime) -> dt.datetime:
    """A time without fractions of a second, which entries do not have."""
    return moment.replace(microsecond=0)


# --- forms ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Range:
    """A start and an end."""

    starts: ClassVar[rules.Path] = ("time", "range", "started_at")
    ends: ClassVar[rules.Path] = ("time", "range", "ended_at")
    started_at: dt.datetime
    ended_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Start:
    """A start and a duration in seconds."""

    starts: ClassVar[rules.Path] = ("time", "start", "started_at")
    ends: ClassVar[rules.Path] = ("time", "start", "duration")
    started_at: dt.datetime
    duration: int


@dataclass(frozen=True, slots=True)
class OnDay:
    """A day in the user's time zone and a duration in seconds."""

    starts: ClassVar[rules.Path] = ("time", "day", "day")
    ends: ClassVar[rules.Path] = ("time", "day", "duration")
    day: dt.date
    duration: int


@dataclass(frozen=True, slots=True)
class NewStart:
    """Another start of an entry, whose end stays."""

    starts: ClassVar[rules.Path] = ("time", "started_at")
    ends: ClassVar[rules.Path] = starts
    started_at: dt.datetime


@dataclass(frozen=True, slots=True)
class NewEnd:
    """Another end of an entry, whose start stays."""

    starts: ClassVar[rules.Path] = ("time", "ended_at")
    ends: ClassVar[rules.Path] = starts
    ended_at: dt.datetime


Time = Range | Start | OnDay
TimeChange = Time | NewStart | NewEnd


# --- checks --------------------------------------------------------------------------------------


def check_time(time: TimeChange) -> None:
    """Refuse values that no entry can have, each by itself."""
    if isinstance(time, Range | Start | NewStart):
        _moment(time.started_at, time.starts)
    if isinstance(time, Range | NewEnd):
        _moment(time.ended_at, time.ends)
    if isinstance(time, OnDay):
        rules.end_of_day(time.day, "UTC", time.starts)
    if isinstance(time, Start | OnDay):
        _duration(time.duration, time.ends)


def new_span(work: Work, time: Time, *, allow_over_24_hours: bool) -> Span:
    """The span of a whole time. Single values are checked before their combination."""
    with collecting():
        check_time(time)
    span = _whole(work, time)
    return _checked(work, span, time, allow_over_24_hours=allow_over_24_hours)


def changed_span(
    work: Work, entry: TimeEntry, time: TimeChange, *, allow_over_24_hours: bool
) -> Span:
    """The span of an entry with another time, the values of which were checked."""
    if isinstance(time, NewStart | NewEnd):
        if entry.day is not None:
            raise BadInput(
                "The entry has a day, not a start and an end. Use `range`, `start` or `day`.",
                path=time.starts,
            )
        span = span_of(entry)
        if isinstance(time, NewStart):
            span = Span(_moment(time.started_at, time.starts), span.ended_at)
        else:
            span = Span(span.started_at, _moment(time.ended_at, time.ends))
    else:
        span = _whole(work, time)
    return _checked(work, span, time, allow_over_24_hours=allow_over_24_hours)


def _whole(work: Work, time: Time) -> Span:
    if isinstance(time, Range):
        return Span(_moment(time.started_at, time.starts), _moment(time.ended_at, time.ends))
    length = _duration(time.duration, time.ends)
    if isinstance(time, Start):
        started = _moment(time.started_at, time.starts)
        return Span(started, started + length)
    zone = timezones.zone(work.viewer.timezone)
    if time.day > work.now.astimezone(zone).date():
        raise BadInput("day must not be in the future.", path=time.starts)
    started = timezones.start_of_day(time.day, zone)
    return Span(started, started + length, time.day)


def _checked(work: Work, span: Span, time: TimeChange, *, allow_over_24_hours: bool) -> Span:
    end = whole_second(work.now) if span.ended_at is None else span.ended_at
    if end < span.started_at:
        late = span.ended_at is None
        raise BadInput(
            "startedAt must not be in the future."
            if late
            else "The end must not be before the start.",
            path=time.starts if late else time.ends,
        )
    if span.day is None and end > work.now:
        raise BadInput("The end must not be in the future.", path=time.ends)
    length = end - span.started_at
    if length > LONGEST_FORCED:
        raise BadInput("An entry can last at most 366 days.", path=time.ends)
    # A forgotten timer can run for any length of time, until its user sets the end.
    if length > LONGEST and span.ended_at is not None and not allow_over_24_hours:
        raise BadInput(
            "The entry lasts more than 24 hours; pass `allowOver24Hours: true` if this is "
            "intended.",
            path=("allow_over_24_hours",),
        )
    return span


@check(_ANY)
def _moment(value: dt.datetime, path: rules.Path) -> dt.datetime:
    checked = rules.moment(value, path)
    assert checked is not None
    return whole_second(checked)


@check(dt.timedelta())
def _duration(seconds: int, path: rules.Path) -> dt.timedelta:
    rules.whole_number(seconds, path, least=0, most=_MOST_SECONDS)
    return dt.timedelta(seconds=seconds)
