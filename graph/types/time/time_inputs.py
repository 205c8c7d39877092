"""Filters, orderings and mutation inputs of time entries."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import BigInteger, and_, func

from auth import access
from auth.viewer import Viewer
from db import models
from db.models.time_entry import ends, seconds
from domain import rules
from domain.time import times
from domain.time.time_entry import overlapped
from graph.core.inputs import (
    MutationInput,
    UpdateInput,
    change,
    defaulted,
    given,
    new_id,
    optional,
    required,
)
from graph.core.scalars import Markdown, Seconds
from graph.kit import filtering, ordering
from graph.kit.comparators import (
    DateFilter,
    DateTimeFilter,
    IDFilter,
    SecondsFilter,
    StringFilter,
)
from graph.kit.ordering import SortOrder
from graph.types.accounts.user import UserFilter, UserOrder

if TYPE_CHECKING:
    from graph.types.projects.project_inputs import ProjectFilter, ProjectOrder
    from graph.types.tasks.task_inputs import TagListFilter, TaskFilter, TaskOrder

_ProjectFilter = Annotated["ProjectFilter", strawberry.lazy("graph.types.projects.project_inputs")]
_ProjectOrder = Annotated["ProjectOrder", strawberry.lazy("graph.types.projects.project_inputs")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]
_TagListFilter = Annotated["TagListFilter", strawberry.lazy("graph.types.tasks.task_inputs")]


def overlaps(viewer: Viewer, entry: Any) -> Any:
    """Whether the entry overlaps another entry of the same user that the viewer can see."""

    def of_the_same(other: Any) -> list[Any]:
        return [
            other.user_id == entry.user_id,
            other.id != entry.id,
            access.read(viewer, other),
        ]

    return and_(entry.day.is_(None), overlapped(entry.started_at, ends(entry), of_the_same))


@filtering.filter_input("Filter for time entries.")
class TimeEntryFilter:
    id: IDFilter | None = filtering.by_id(
        models.TimeEntry.id, models.TimeEntry, "The time entry's ID."
    )
    user: UserFilter | None = filtering.by_relation(
        models.TimeEntry.user, "The user whose time it is."
    )
    project: _ProjectFilter | None = filtering.by_relation(
        models.TimeEntry.project, "The project the time was spent on; use `isNull` for none."
    )
    task: _TaskFilter | None = filtering.by_relation(
        models.TimeEntry.task, "The task the time was spent on; use `isNull` for none."
    )
    description: StringFilter | None = filtering.by(
        models.TimeEntry.description, "The description."
    )
    started_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.started_at, "When the entry started.", order="start"
    )
    ended_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.ended_at,
        "When the entry ended; use `isNull` for running timers.",
        order="end",
    )
    day: DateFilter | None = filtering.by(
        models.TimeEntry.day, "The day of an entry that was given as a day and a duration."
    )
    duration: SecondsFilter | None = filtering.by_expression(
        lambda _, entry: seconds(entry), BigInteger(), "The duration."
    )
    is_running: bool | None = filtering.by_condition(
        lambda _, entry: entry.ended_at.is_(None), "Whether the entry is a running timer."
    )
    is_billable: bool | None = filtering.by_flag(
        models.TimeEntry.is_billable, "Whether the time is billable."
    )
    has_overlap: bool | None = filtering.by_condition(
        overlaps, "Whether the entry overlaps another entry of the same user that you can see."
    )
    tags: _TagListFilter | None = filtering.by_elements(
        models.TimeEntry.tag_keys, rules.tag_key, "The tags."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.created_at, "When the entry was created.", order="creation time"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.updated_at, "When the entry last changed.", order="last change"
    )
    search: str | None = filtering.by_search(
        (models.TimeEntry.description,),
        "Words that all occur in the description; case and accents are ignored.",
    )


@filtering.list_filter("Filter for a list of time entries.", noun="entry")
class TimeEntryListFilter:
    of: TimeEntryFilter


@ordering.order_input("Sort key for time entries. Provide exactly one field.", of=TimeEntryFilter)
class TimeEntryOrder:
    duration: SortOrder | None = ordering.by_expression(
        "duration_seconds",
        lambda _, entry: func.coalesce(seconds(entry), 0),
        BigInteger(),
        "Sorts by duration. A running timer has none yet.",
        nullable=False,
    )
    user: UserOrder | None = ordering.by_relation(
        models.TimeEntry.user, "Sorts by the user whose time it is."
    )
    project: _ProjectOrder | None = ordering.by_relation(
        models.TimeEntry.project, "Sorts by project."
    )
    task: _TaskOrder | None = ordering.by_relation(models.TimeEntry.task, "Sorts by task.")


# --- when time was spent -------------------------------------------------------------------------

_STARTED = "When the time started; fractions of a second are cut off."
_ENDED = "When the time ended; not in the future."
_DURATION = "The duration, up to 24 hours; up to 366 days with `allowOver24Hours`."


@strawberry.input(description="The time between a start and an end.")
class TimeEntryRangeInput:
    """See `domain.time.times.Range`."""

    started_at: dt.datetime = required(_STARTED)
    ended_at: dt.datetime = required(_ENDED)


@strawberry.input(description="A time with a start and a duration.")
class TimeEntryStartInput:
    """See `domain.time.times.Start`."""

    started_at: dt.datetime = required(_STARTED)
    duration: Seconds = required(_DURATION)


@strawberry.input(
    description="Time on a day, without a known start and end. Such an entry counts on this day in "
    "every time zone and overlaps nothing."
)
class TimeEntryDayInput:
    """See `domain.time.times.OnDay`."""

    day: dt.date = required("The day in your time zone; not in the future.")
    duration: Seconds = required(_DURATION)


_RANGE = "The time between a start and an end."
_START = "A start and a duration."
_DAY = "A day and a duration."


@strawberry.input(one_of=True, description="When time was spent. Provide exactly one field.")
class TimeEntryTimeInput:
    """See `domain.time.times`."""

    range: TimeEntryRangeInput | None = optional(_RANGE)
    start: TimeEntryStartInput | None = optional(_START)
    day: TimeEntryDayInput | None = optional(_DAY)


@strawberry.input(
    one_of=True,
    description="A change of when time was spent. Provide exactly one field: all of the new time, "
    "or its start or end alone.",
)
class TimeEntryTimeUpdateInput:
    """See `domain.time.times`."""

    range: TimeEntryRangeInput | None = optional(_RANGE)
    start: TimeEntryStartInput | None = optional(_START)
    day: TimeEntryDayInput | None = optional(_DAY)
    started_at: dt.datetime | None = optional(
        "The new start of an entry that has no day; its end stays the same, and a timer continues "
        "to run."
    )
    ended_at: dt.datetime | None = optional(
        "The new end of an entry that has no day; its start stays the same. Stops a running timer."
    )


def time_of(data: TimeEntryTimeInput | TimeEntryTimeUpdateInput) -> times.TimeChange:
    """The field of the input that is given."""
    if inner := given(data.range):
        return times.Range(inner.started_at, inner.ended_at)
    if inner := given(data.start):
        return times.Start(inner.started_at, inner.duration)
    if inner := given(data.day):
        return times.OnDay(inner.day, inner.duration)
    assert isinstance(data, TimeEntryTimeUpdateInput), "graphql-core checks that one is given"
    if started_at := given(data.started_at):
        return times.NewStart(started_at)
    return times.NewEnd(given(data.ended_at))


# --- inputs of mutations -------------------------------------------------------------------------

_TAGS = "Up to 20 tags of 1 to 50 characters each; duplicates are removed."
_FORCE = "Allows the entry to last more than 24 hours, up to 366 days."


@strawberry.input
class _Work:
    """What the time is spent on."""

    project_id: strawberry.ID | None = optional(
        "The project; you must be able to see it. Defaults to the task's project if there is a "
        "task."
    )
    task_id: strawberry.ID | None = optional("The task; you must be able to see it.")
    description: Markdown | None = optional("What is done, up to 500 characters.")
    is_billable: bool = defaulted(False, "Whether the time is billable.")
    tags: list[str] | None = optional(_TAGS)
    id: strawberry.ID | None = new_id("time_entry")


@strawberry.input
class NewTimeEntryFields(_Work):
    """See `domain.time.time_values.NewTimeEntry`."""

    time: TimeEntryTimeInput = required("When the time was spent.")
    allow_over_24_hours: bool = defaulted(False, _FORCE)


@strawberry.input(description="Input for `timeEntryCreate`.")
class TimeEntryCreateInput(NewTimeEntryFields, MutationInput):
    """See `domain.time.time_entry.create`."""


@strawberry.input
class TimeEntryChanges:
    """The fields of an entry that can change."""

    id: strawberry.ID = required("The time entry to change; one of your own.")
    project_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The new project. If the entry is on a task of a different project, provide `taskId` too."
    )
    task_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The new task; the entry's project changes to the task's. Null removes the task and "
        "keeps the project."
    )
    description: strawberry.Maybe[Markdown | None] = change("What was done, up to 500 characters.")
    time: strawberry.Maybe[TimeEntryTimeUpdateInput | None] = change(
        "When the time was spent. An end stops a running timer."
    )
    is_billable: strawberry.Maybe[bool | None] = change("Whether the time is billable.")
    tags: strawberry.Maybe[list[str] | None] = change("The complete list of tags. " + _TAGS)
    allow_over_24_hours: bool = defaulted(False, _FORCE)


@strawberry.input(
    description="Input for `timeEntryUpdate`. Omitted fields stay unchanged; null clears a field."
)
class TimeEntryUpdateInput(TimeEntryChanges, UpdateInput):
    """See `domain.time.time_entry.update_entry`."""


@strawberry.input(description="Input for `timeEntryDelete`.")
class TimeEntryDeleteInput(UpdateInput):
    """See `domain.time.time_entry.delete`."""

    id: strawberry.ID = required("The time entry to delete; one of your own.")


@strawberry.input(description="Input for `timerStart`.")
class TimerStartInput(_Work, MutationInput):
    """See `domain.time.timer.start`."""


@strawberry.input(description="Input for `timerStop`; no field is required.")
class TimerStopInput(UpdateInput):
    """See `domain.time.timer.stop`."""
