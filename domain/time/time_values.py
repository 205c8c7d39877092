"""Validation of time entries: their time span, description, tags and overlaps.

The same rules apply to single entries, bulks, imports and timers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from db.models import Project, TimeEntry
from domain import rules, timezones
from domain.projects.project import demand_open
from domain.timezones import Zone
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, check, collecting
from events.kinds import EventKind

LONGEST = dt.timedelta(hours=24)
# The limit with `allowOver24Hours`; longer entries are typing errors.
LONGEST_FORCED = dt.timedelta(days=366)
_MOST_SECONDS = int(LONGEST_FORCED.total_seconds())
# Placeholder for an invalid time until the error is reported.
_ANY = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)

T = TypeVar("T")

Changes = list[tuple[str, Any, Any]]
TIMES = ("started_at", "ended_at", "duration_seconds", "day")


@dataclass(frozen=True, slots=True)
class NewTimeEntry:
    """A new entry: start and end, start and duration, or day and duration."""

    project_id: UUID | None = None
    task_id: UUID | None = None
    description: str | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    duration_seconds: int | None = None
    day: dt.date | None = None
    is_billable: bool = False
    tags: Sequence[str] = field(default_factory=tuple)
    id: UUID | None = None
    allow_over_24_hours: bool = False


# How each of an entry's words is checked.
WORDS: Mapping[str, rules.Rule] = {
    "description": partial(rules.optional_text, most=500),
    "is_billable": rules.not_null,
    "tags": lambda value, path: rules.tags(value or (), path),
}
_PLACE = ("project_id", "task_id")
# What an update may name.
CHANGEABLE = frozenset({*WORDS, *TIMES, *_PLACE})
# What a timer is started with.
STARTABLE = frozenset({*WORDS, *_PLACE})

rules.demand_all_used(NewTimeEntry, WORDS, (*TIMES, *_PLACE, "id", "allow_over_24_hours"))


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


def new_span(work: Work, new: NewTimeEntry) -> Span:
    """The span of a new entry. Single values are checked before their combination."""
    if new.day is not None:
        if new.started_at is not None or new.ended_at is not None:
            raise BadInput("Provide either day or startedAt and endedAt, not both.", path=("day",))
        if new.duration_seconds is None:
            raise BadInput("durationSeconds is required with day.", path=("duration_seconds",))
        return _checked(
            work,
            _on_day(work, new.day, new.duration_seconds),
            allow_over_24_hours=new.allow_over_24_hours,
        )
    if new.started_at is None:
        raise BadInput("Provide startedAt or day.", path=("started_at",))
    if (new.ended_at is None) == (new.duration_seconds is None):
        raise BadInput(
            "Provide either endedAt or durationSeconds; use timerStart for a running entry.",
            path=("ended_at",),
        )
    with collecting():
        started = _moment(new.started_at, "started_at")
        ended = _end(started, new.ended_at, new.duration_seconds)
    return _checked(work, Span(started, ended), allow_over_24_hours=new.allow_over_24_hours)


def demand_good_times(changes: Mapping[str, Any]) -> None:
    """Raise for changes that no entry can have, whatever its current values."""
    for name in ("started_at", "ended_at"):
        if name in changes:
            rules.moment(_not_cleared(changes[name], name), (name,))
    if "duration_seconds" in changes:
        seconds = _not_cleared(changes["duration_seconds"], "duration_seconds")
        rules.whole_number(seconds, ("duration_seconds",), least=0, most=_MOST_SECONDS)
    if changes.get("day") is not None:
        rules.end_of_day(changes["day"], "UTC", ("day",))


@check()
def _not_cleared(value: T | None, name: str) -> T:
    if value is None:
        raise BadInput(
            "The value must not be null; omit the field to keep it unchanged.", path=(name,)
        )
    return value


def changed_span(
    work: Work, entry: TimeEntry, changes: Mapping[str, Any], *, allow_over_24_hours: bool
) -> Span:
    """The span of an entry after changes; omitted values stay unchanged.

    A start alone keeps the end. A day keeps the duration.
    """
    if "ended_at" in changes and "duration_seconds" in changes:
        raise BadInput(
            "Provide either endedAt or durationSeconds, not both.", path=("duration_seconds",)
        )
    kept = None if entry.ended_at is None else entry.ended_at - entry.started_at
    duration = changes.get("duration_seconds")
    day = changes.get("day", entry.day)
    moments = "started_at" in changes or "ended_at" in changes
    if changes.get("day") is not None and moments:
        raise BadInput("Provide either day or startedAt and endedAt, not both.", path=("day",))
    if day is not None and not moments:
        if duration is None and kept is None:
            raise BadInput("durationSeconds is required with day.", path=("duration_seconds",))
        length = duration if duration is not None else int(kept.total_seconds()) if kept else 0
        return _checked(work, _on_day(work, day, length), allow_over_24_hours=allow_over_24_hours)
    if entry.day is not None and "started_at" not in changes:
        raise BadInput(
            "To turn an entry with a day into one with a start and an end, provide startedAt.",
            path=("started_at",),
        )
    started = entry.started_at
    if "started_at" in changes:
        started = _moment(changes["started_at"], "started_at")
    ended = entry.ended_at
    if "ended_at" in changes or duration is not None:
        ended = _end(started, changes.get("ended_at"), duration)
    elif entry.day is not None and kept is not None:
        ended = started + kept
    return _checked(work, Span(started, ended), allow_over_24_hours=allow_over_24_hours)


@check(_ANY)
def _moment(value: dt.datetime, name: str) -> dt.datetime:
    checked = rules.moment(value, (name,))
    assert checked is not None
    return whole_second(checked)


def _end(started: dt.datetime, ended: dt.datetime | None, seconds: int | None) -> dt.datetime:
    if ended is not None:
        return _moment(ended, "ended_at")
    assert seconds is not None
    return started + _duration(seconds)


@check(dt.timedelta())
def _duration(seconds: int) -> dt.timedelta:
    rules.whole_number(seconds, ("duration_seconds",), least=0, most=_MOST_SECONDS)
    return dt.timedelta(seconds=seconds)


def _on_day(work: Work, day: dt.date, seconds: int) -> Span:
    with collecting():
        length = _duration(seconds)
        rules.end_of_day(day, "UTC", ("day",))
    zone = timezones.zone(work.viewer.timezone)
    if day > work.now.astimezone(zone).date():
        raise BadInput("day must not be in the future.", path=("day",))
    started = timezones.start_of_day(day, zone)
    return Span(started, started + length, day)


def _checked(work: Work, span: Span, *, allow_over_24_hours: bool) -> Span:
    end = whole_second(work.now) if span.ended_at is None else span.ended_at
    if end < span.started_at:
        late = span.ended_at is None
        raise BadInput(
            "startedAt must not be in the future."
            if late
            else "The end must not be before the start.",
            path=("started_at" if late else "ended_at",),
        )
    if span.day is None and end > work.now:
        raise BadInput("The end must not be in the future.", path=("ended_at",))
    length = end - span.started_at
    if length > LONGEST_FORCED:
        raise BadInput("An entry can last at most 366 days.", path=("ended_at",))
    # A forgotten timer can run for any length of time, until its user sets the end.
    if length > LONGEST and span.ended_at is not None and not allow_over_24_hours:
        raise BadInput(
            "The entry lasts more than 24 hours; pass `allowOver24Hours: true` if this is "
            "intended.",
            path=("allow_over_24_hours",),
        )
    return span


def checked_words(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The columns for description, is_billable and tags, if given."""
    values = rules.checked(WORDS, changes)
    if "tags" in values:
        values["tag_keys"] = [rules.tag_key(tag) for tag in values["tags"]]
    return values


def demand_unlocked(
    work: Work,
    project: Project | None,
    span: Span,
    *,
    place: rules.Path = ("id",),
    time: rules.Path = (),
) -> None:
    """Raise `PROJECT_ARCHIVED` or `TIME_LOCKED` if the project or the period is closed to the
    viewer's changes.

    `place`, `time`: the paths of these errors; `time` defaults to the field with the entry's start.
    """
    if project is None:
        return
    demand_open(project, place)
    before = project.time_locked_before
    if before is not None and first_day(span, timezones.zone(work.viewer.timezone)) < before:
        raise Failure(
            f"Time before {before.isoformat()} is locked in this project; its owner and admins "
            "can change timeLockedBefore.",
            path=time or ("day" if span.day else "started_at",),
            code=ErrorCode.TIME_LOCKED,
        )


def first_day(span: Span, zone: Zone) -> dt.date:
    """The day on which an entry starts: its own day, or that of its start in its user's zone."""
    return span.day or span.started_at.astimezone(zone).date()


def record(work: Work, kind: EventKind, entry: TimeEntry, changes: Changes = ()) -> None:  # type: ignore[assignment]  # nothing is added to an empty tuple
    """Record an event about an entry for its user and the owner and admins of its project."""
    shown = {"project_id": "project", "task_id": "task"}
    work.record(
        kind,
        entry,
        [(shown.get(name, name), old, new) for name, old, new in changes],
        task_id=entry.task_id,
        project_id=entry.project_id,
        audience=[entry.user_id],
    )
