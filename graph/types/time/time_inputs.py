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
from domain.time.time_entry import overlapped
from graph.core.inputs import (
    MutationInput,
    UpdateInput,
    change,
    defaulted,
    new_id,
    optional,
    required,
)
from graph.kit import filtering, ordering
from graph.kit.comparators import DateFilter, DateTimeFilter, IDFilter, IntFilter, StringFilter
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
    user_id: IDFilter | None = filtering.by_id(
        models.TimeEntry.user_id, models.User, "The ID of the user whose time it is."
    )
    project: _ProjectFilter | None = filtering.by_relation(
        models.TimeEntry.project, "The project the time was spent on."
    )
    project_id: IDFilter | None = filtering.by_id(
        models.TimeEntry.project_id,
        models.Project,
        "The ID of the project the time was spent on; use `isNull` for none.",
    )
    task: _TaskFilter | None = filtering.by_relation(
        models.TimeEntry.task, "The task the time was spent on."
    )
    task_id: IDFilter | None = filtering.by_id(
        models.TimeEntry.task_id,
        models.Task,
        "The ID of the task the time was spent on; use `isNull` for none.",
    )
    description: StringFilter | None = filtering.by(
        models.TimeEntry.description, "The description."
    )
    started_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.started_at, "When the entry started."
    )
    ended_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.ended_at, "When the entry ended; use `isNull` for running timers."
    )
    day: DateFilter | None = filtering.by(
        models.TimeEntry.day, "The day of an entry that was given as a day and a duration."
    )
    is_running: bool | None = filtering.by_condition(
        lambda _, entry: entry.ended_at.is_(None), "Whether the entry is a running timer."
    )
    duration: IntFilter | None = filtering.by_expression(
        lambda _, entry: seconds(entry), BigInteger(), "The duration in seconds."
    )
    is_billable: bool | None = filtering.by_condition(
        lambda _, entry: entry.is_billable, "Whether the time is billable."
    )
    has_overlap: bool | None = filtering.by_condition(
        overlaps, "Whether the entry overlaps another entry of the same user that you can see."
    )
    tags: _TagListFilter | None = filtering.by_elements(
        models.TimeEntry.tag_keys, rules.tag_key, "The tags."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.created_at, "When the entry was created."
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.updated_at, "When the entry last changed."
    )
    search: str | None = filtering.by_search(
        (models.TimeEntry.description,),
        "Words that all occur in the description; case and accents are ignored.",
    )


@filtering.list_filter("Filter for a list of time entries.", noun="entry")
class TimeEntryListFilter:
    of: TimeEntryFilter


@ordering.order_input("Sort key for time entries. Provide exactly one field.")
class TimeEntryOrder:
    started_at: SortOrder | None = ordering.by(models.TimeEntry.started_at, "Sorts by start.")
    ended_at: SortOrder | None = ordering.by(models.TimeEntry.ended_at, "Sorts by end.")
    duration: SortOrder | None = ordering.by_expression(
        "duration_seconds",
        lambda _, entry: func.coalesce(seconds(entry), 0),
        BigInteger(),
        "Sorts by duration.",
        nullable=False,
    )
    created_at: SortOrder | None = ordering.by(
        models.TimeEntry.created_at, "Sorts by creation time."
    )
    updated_at: SortOrder | None = ordering.by(models.TimeEntry.updated_at, "Sorts by last change.")
    user: UserOrder | None = ordering.by_relation(
        models.TimeEntry.user, "Sorts by the user whose time it is."
    )
    project: _ProjectOrder | None = ordering.by_relation(
        models.TimeEntry.project, "Sorts by project."
    )
    task: _TaskOrder | None = ordering.by_relation(models.TimeEntry.task, "Sorts by task.")


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
    description: str | None = optional("What is done, up to 500 characters.")
    # Without a default: `timerStart` compares what is given with the running timer.
    is_billable: bool | None = optional("Whether the time is billable. A new timer's is not.")
    tags: list[str] | None = optional(_TAGS)
    id: strawberry.ID | None = new_id("time_entry")


@strawberry.input
class NewTimeEntryFields(_Work):
    """See `domain.time.time_values.NewTimeEntry`."""

    is_billable: bool = defaulted(False, "Whether the time is billable.")
    started_at: dt.datetime | None = optional(
        "When the time started; fractions of a second are cut off. Provide `endedAt` or "
        "`durationSeconds` with it."
    )
    ended_at: dt.datetime | None = optional("When the time ended; not in the future.")
    duration_seconds: int | None = optional(
        "The duration in seconds, as an alternative to `endedAt`."
    )
    day: dt.date | None = optional(
        "The day in your time zone, with `durationSeconds`, for time without a known start and "
        "end. Such an entry counts on this day in every time zone and overlaps nothing."
    )
    allow_over_24_hours: bool = defaulted(False, _FORCE)


@strawberry.input(
    description=(
        "Input for `timeEntryCreate`. Provide `startedAt` and `endedAt`, `startedAt` and "
        "`durationSeconds`, or `day` and `durationSeconds`."
    )
)
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
    description: strawberry.Maybe[str | None] = change("What was done, up to 500 characters.")
    started_at: strawberry.Maybe[dt.datetime | None] = change(
        "When the time started; the end stays the same."
    )
    ended_at: strawberry.Maybe[dt.datetime | None] = change(
        "When the time ended. Stops a running timer."
    )
    duration_seconds: strawberry.Maybe[int | None] = change(
        "The duration in seconds, counted from the start, as an alternative to `endedAt`."
    )
    day: strawberry.Maybe[dt.date | None] = change(
        "Turns it into an entry with a day and a duration. Null with `startedAt` turns it into "
        "one with a start and an end."
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
