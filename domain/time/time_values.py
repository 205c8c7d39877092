"""Validation of time entries: their description, tags and locks; see `times` for their time.

The same rules apply to single entries, bulks, imports and timers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from db.models import Project, TimeEntry
from domain import rules, timezones
from domain.projects.project import demand_open
from domain.time.times import Span, Time
from domain.timezones import Zone
from domain.work import Work
from errors import ErrorCode, Failure
from events.kinds import EventKind

Changes = list[tuple[str, Any, Any]]


@dataclass(frozen=True, slots=True)
class NewTimeEntry:
    """A new entry."""

    time: Time
    project_id: UUID | None = None
    task_id: UUID | None = None
    description: str | None = None
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
CHANGEABLE = frozenset({*WORDS, *_PLACE, "time"})
# What a timer is started with.
STARTABLE = frozenset({*WORDS, *_PLACE})

rules.demand_all_used(NewTimeEntry, WORDS, (*_PLACE, "time", "id", "allow_over_24_hours"))


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
    time: rules.Path = ("id",),
) -> None:
    """Raise `PROJECT_ARCHIVED` or `TIME_LOCKED` if the project or the period is closed to the
    viewer's changes; `place` and `time` are the paths of these errors.
    """
    if project is None:
        return
    demand_open(project, place)
    before = project.time_locked_before
    if before is not None and is_locked(span, before, work.viewer.timezone):
        raise Failure(
            f"Time before {before.isoformat()} is locked in this project; its owner and admins "
            "can change timeLockedBefore.",
            path=time,
            code=ErrorCode.TIME_LOCKED,
        )


def is_locked(span: Span, before: dt.date, timezone: str) -> bool:
    """Whether an entry starts before the day up to which its project's time is locked, in its
    user's time zone.
    """
    return first_day(span, timezones.zone(timezone)) < before


def first_day(span: Span, zone: Zone) -> dt.date:
    """The day on which an entry starts: its own day, or that of its start in its user's zone."""
    return span.day or span.started_at.astimezone(zone).date()


def record(work: Work, kind: EventKind, entry: TimeEntry, changes: Changes = ()) -> None:  # type: ignore[assignment]  # nothing is added to an empty tuple
    """Record an event about an entry for its user and the owner and admins of its project. Those of
    the project that it left, who can no longer see it, get an event that says so.
    """
    shown = {"project_id": "project", "task_id": "task"}
    for name, old, new in changes:
        if name == "project_id" and old is not None:
            left = [("project", old, new)]
            work.record(EventKind.TIME_ENTRY_UPDATED, entry, left, project_id=old)
    work.record(
        kind,
        entry,
        [(shown.get(name, name), old, new) for name, old, new in changes],
        task_id=entry.task_id,
        project_id=entry.project_id,
        audience=[entry.user_id],
    )
