"""What time entries are filtered and ordered by, and what their mutations take."""

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
from domain.time.time_entry import MAX_ITEMS, overlapped
from graph.core.inputs import MutationInput, UpdateInput, change, new_id, optional, required
from graph.kit import filtering, ordering
from graph.kit.comparators import DateFilter, DateTimeFilter, IDFilter, IntFilter, StringFilter
from graph.kit.ordering import OrderBy
from graph.types.accounts.user import UserFilter, UserOrder
from graph.types.tasks.task_bulk import BulkOnError

if TYPE_CHECKING:
    from graph.types.projects.project_inputs import ProjectFilter, ProjectOrder
    from graph.types.tasks.task_inputs import TagListFilter, TaskFilter, TaskOrder

_ProjectFilter = Annotated["ProjectFilter", strawberry.lazy("graph.types.projects.project_inputs")]
_ProjectOrder = Annotated["ProjectOrder", strawberry.lazy("graph.types.projects.project_inputs")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]
_TagListFilter = Annotated["TagListFilter", strawberry.lazy("graph.types.tasks.task_inputs")]


def _project_filter() -> Any:
    from graph.types.projects.project_inputs import ProjectFilter

    return ProjectFilter


def _project_order() -> Any:
    from graph.types.projects.project_inputs import ProjectOrder

    return ProjectOrder


def _task_filter() -> Any:
    from graph.types.tasks.task_inputs import TaskFilter

    return TaskFilter


def _task_order() -> Any:
    from graph.types.tasks.task_inputs import TaskOrder

    return TaskOrder


def overlaps(viewer: Viewer, entry: Any) -> Any:
    """Whether another entry of the same person, which the viewer may see, is at the same time."""

    def of_the_same(other: Any) -> list[Any]:
        return [
            other.user_id == entry.user_id,
            other.id != entry.id,
            access.read(viewer, other),
        ]

    return and_(entry.day.is_(None), overlapped(entry.started_at, ends(entry), of_the_same))


@filtering.filter_input("Which time entries.")
class TimeEntryFilter:
    """Criteria over time entries."""

    id: IDFilter | None = filtering.by_id(models.TimeEntry.id, models.TimeEntry, "Id.")
    user: UserFilter | None = filtering.by_relation(
        models.TimeEntry.user, lambda: UserFilter, "Whose time it is."
    )
    user_id: IDFilter | None = filtering.by_id(
        models.TimeEntry.user_id, models.User, "The id of whose time it is."
    )
    project: _ProjectFilter | None = filtering.by_relation(
        models.TimeEntry.project, _project_filter, "The project in which it was spent."
    )
    project_id: IDFilter | None = filtering.by_id(
        models.TimeEntry.project_id,
        models.Project,
        "The id of the project in which it was spent; `isNull` for none.",
    )
    task: _TaskFilter | None = filtering.by_relation(
        models.TimeEntry.task, _task_filter, "The task on which it was spent."
    )
    task_id: IDFilter | None = filtering.by_id(
        models.TimeEntry.task_id,
        models.Task,
        "The id of the task on which it was spent; `isNull` for none.",
    )
    description: StringFilter | None = filtering.by(models.TimeEntry.description, "Description.")
    started_at: DateTimeFilter | None = filtering.by(models.TimeEntry.started_at, "When it began.")
    ended_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.ended_at, "When it ended; `isNull` while it runs."
    )
    day: DateFilter | None = filtering.by(
        models.TimeEntry.day, "The day, of entries that were given as a day and a duration."
    )
    is_running: bool | None = filtering.by_condition(
        lambda _, entry: entry.ended_at.is_(None), "Whether it is a running timer."
    )
    duration_seconds: IntFilter | None = filtering.by_expression(
        lambda _, entry: seconds(entry), BigInteger(), "How long it is, in seconds."
    )
    billable: bool | None = filtering.by_condition(
        lambda _, entry: entry.billable, "Whether it can be billed."
    )
    overlaps: bool | None = filtering.by_condition(
        overlaps, "Whether it overlaps another entry of the same person that you may see."
    )
    tags: _TagListFilter | None = filtering.by_elements(
        models.TimeEntry.tag_keys, rules.tag_key, "Tags."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.created_at, "When it was entered."
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.TimeEntry.updated_at, "When it changed last."
    )
    search: str | None = filtering.by_search(
        (models.TimeEntry.description,),
        "Words that all occur in the description, without regard to case and accents.",
    )


@filtering.list_filter("Quantifies over time entries.")
class TimeEntryListFilter:
    """`some`, `none`, `every`."""

    of: TimeEntryFilter


@ordering.order_input("How to order time entries; give one field.")
class TimeEntryOrder:
    """Keys of time entries."""

    started_at: OrderBy | None = ordering.by(models.TimeEntry.started_at, "By when they began.")
    ended_at: OrderBy | None = ordering.by(models.TimeEntry.ended_at, "By when they ended.")
    duration_seconds: OrderBy | None = ordering.by_expression(
        "duration_seconds",
        lambda _, entry: func.coalesce(seconds(entry), 0),
        BigInteger(),
        "By how long they are.",
        nullable=False,
    )
    created_at: OrderBy | None = ordering.by(models.TimeEntry.created_at, "By time of entering.")
    updated_at: OrderBy | None = ordering.by(models.TimeEntry.updated_at, "By last change.")
    user: UserOrder | None = ordering.by_relation(
        models.TimeEntry.user, lambda: UserOrder, "By whose time it is."
    )
    project: _ProjectOrder | None = ordering.by_relation(
        models.TimeEntry.project, _project_order, "By project."
    )
    task: _TaskOrder | None = ordering.by_relation(models.TimeEntry.task, _task_order, "By task.")


# --- inputs of mutations -------------------------------------------------------------------------

_TAGS = "Up to 20 of 1 to 50 characters; equal ones are kept once."
_FORCE = "True: let it last more than 24 hours, up to 366 days."


@strawberry.input
class _Work:
    """What time is spent on."""

    project_id: strawberry.ID | None = optional(
        "The project, one that you see; follows from the task where one is given."
    )
    task_id: strawberry.ID | None = optional("The task, one that you see.")
    description: str | None = optional("Up to 500 characters.")
    billable: bool | None = optional("Whether it can be billed; false where left out.")
    tags: list[str] | None = optional(_TAGS)
    id: strawberry.ID | None = new_id("time_entry")


@strawberry.input
class NewTimeEntryFields(_Work):
    """See `domain.time.time_values.NewTimeEntry`."""

    started_at: dt.datetime | None = optional(
        "When it began; parts of a second are cut off. With `endedAt` or `durationSeconds`."
    )
    ended_at: dt.datetime | None = optional("When it ended, not in the future.")
    duration_seconds: int | None = optional("How long it was, in place of `endedAt`.")
    day: dt.date | None = optional(
        "The day in your time zone, with `durationSeconds`, where nobody noted the hours. Such an "
        "entry counts on this day in every zone, and overlaps nothing."
    )
    force: bool | None = optional(_FORCE)


@strawberry.input(
    description="Time that was spent: `startedAt` and `endedAt`, `startedAt` and "
    "`durationSeconds`, or `day` and `durationSeconds`."
)
class TimeEntryCreateInput(NewTimeEntryFields, MutationInput):
    """See `domain.time.time_entry.create`."""


@strawberry.input(description="A new time entry in a bulk; as `TimeEntryCreateInput`.")
class TimeEntryBulkCreateItem(NewTimeEntryFields):
    """See `domain.time.time_entry.create_many`."""


@strawberry.input(description="New time entries.")
class TimeEntryBulkCreateInput(MutationInput):
    """See `domain.time.time_entry.create_many`."""

    items: list[TimeEntryBulkCreateItem] = required(f"1 to {MAX_ITEMS} entries.")
    on_error: BulkOnError = strawberry.field(
        default=BulkOnError.ROLLBACK, description="What is done where an item fails."
    )
    dry_run: bool = strawberry.field(
        default=False,
        description="Only try it: everything is checked and written, and then rolled back.",
    )


@strawberry.input(description="Changes to a time entry; what is left out stays, null clears.")
class TimeEntryUpdateInput(UpdateInput):
    """See `domain.time.time_entry.update_entry`."""

    id: strawberry.ID = required("The entry; one of your own.")
    project_id: strawberry.Maybe[strawberry.ID | None] = change(
        "Another project. An entry on a task of another one needs `taskId` too."
    )
    task_id: strawberry.Maybe[strawberry.ID | None] = change(
        "Another task; its project comes with it. Null leaves the project."
    )
    description: strawberry.Maybe[str | None] = change("Up to 500 characters.")
    started_at: strawberry.Maybe[dt.datetime | None] = change("When it began; the end stays.")
    ended_at: strawberry.Maybe[dt.datetime | None] = change(
        "When it ended; stops the timer of a running one."
    )
    duration_seconds: strawberry.Maybe[int | None] = change(
        "How long it was, from its start; in place of `endedAt`."
    )
    day: strawberry.Maybe[dt.date | None] = change(
        "Makes it an entry of a day and a duration. Null, with `startedAt`: one with moments."
    )
    billable: strawberry.Maybe[bool | None] = change("Whether it can be billed.")
    tags: strawberry.Maybe[list[str] | None] = change("All tags. " + _TAGS)
    force: bool | None = optional(_FORCE)


@strawberry.input(description="The time entry to delete for good; one of your own.")
class TimeEntryDeleteInput(UpdateInput):
    """See `domain.time.time_entry.delete`."""

    id: strawberry.ID = required("The entry.")


@strawberry.input(description="What you are working on from now on.")
class TimerStartInput(_Work, MutationInput):
    """See `domain.time.timer.start`."""


@strawberry.input(description="Stop your running timer.")
class TimerStopInput(UpdateInput):
    """See `domain.time.timer.stop`."""
