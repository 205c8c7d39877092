"""Filters and orderings of reminders, and the inputs of their mutations."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated

import strawberry

from db import models
from db.models import WeekDay
from domain.tasks.schedule import Anchor, Daily, Monthly, Once, Relative, Rule, Weekly
from errors import BadInput, check
from graph.core.enums import ReminderChannel
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
from graph.core.scalars import LocalTime, Seconds, TimeZone
from graph.kit import filtering, ordering
from graph.kit.comparators import (
    DateTimeFilter,
    IDFilter,
    ReminderRuleKindFilter,
    StringFilter,
)

if TYPE_CHECKING:
    from graph.types.projects.project_inputs import ProjectFilter
    from graph.types.tasks.task_inputs import TaskFilter

_ProjectFilter = Annotated["ProjectFilter", strawberry.lazy("graph.types.projects.project_inputs")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


# --- filters and orderings -----------------------------------------------------------------------


@filtering.filter_input("Filter for reminders.")
class ReminderFilter:
    id: IDFilter | None = filtering.by_id(models.Reminder.id, models.Reminder, "The reminder's ID.")
    rule_kind: ReminderRuleKindFilter | None = filtering.by(
        models.Reminder.kind, "The kind of rule."
    )
    is_enabled: bool | None = filtering.by_flag(
        models.Reminder.is_enabled, "Whether the reminder is on."
    )
    message: StringFilter | None = filtering.by(models.Reminder.message, "The text.")
    task: _TaskFilter | None = filtering.by_relation(
        models.Reminder.task,
        "The task that the reminder is about. `isNull: true` selects reminders that are not about "
        "a task.",
    )
    project: _ProjectFilter | None = filtering.by_relation(
        models.Reminder.project,
        "The project that the reminder is about. `isNull: true` selects reminders that are not "
        "about a project.",
    )
    next_run_at: DateTimeFilter | None = filtering.by(
        models.Reminder.next_run_at,
        "When the reminder runs next. `isNull: true` selects reminders without a further run.",
        order="the next run",
    )
    last_run_at: DateTimeFilter | None = filtering.by(
        models.Reminder.last_run_at,
        "When the reminder last ran. `isNull: true` selects reminders that never ran.",
        order="the last run",
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Reminder.created_at, "When the reminder was created.", order="creation time"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.Reminder.updated_at,
        "When the reminder last changed.",
        order="the time of the last change",
    )


@ordering.order_input("Sort key for reminders. Provide exactly one field.", of=ReminderFilter)
class ReminderOrder: ...


# --- rules ---------------------------------------------------------------------------------------

_TIME_OF_DAY = (
    "The time of day. On a day when the clock skips this "
    "time, the reminder runs later by the skipped period; if the time occurs twice, it runs at "
    "the first."
)
_ZONE = "The time zone of `time`. Your profile's time zone by default."


@strawberry.input(description="An offset from a time of the reminder's task.")
class ReminderOffsetInput:
    """See `domain.tasks.schedule.Relative`."""

    offset: Seconds = required(
        "How long after that time; negative for before it. At most one year in either direction."
    )


@strawberry.input(description="A reminder rule that runs once.")
class ReminderOnceInput:
    """See `domain.tasks.schedule.Once`."""

    at: dt.datetime = required("When the reminder runs; must be in the future.")


@strawberry.input(description="A reminder rule that runs every day.")
class ReminderDailyInput:
    """See `domain.tasks.schedule.Daily`."""

    time: LocalTime = required(_TIME_OF_DAY)
    timezone: TimeZone | None = optional(_ZONE)


@strawberry.input(description="A reminder rule that runs on certain days of the week.")
class ReminderWeeklyInput:
    """See `domain.tasks.schedule.Weekly`."""

    days: list[WeekDay] = required("The days of the week, at least one.")
    time: LocalTime = required(_TIME_OF_DAY)
    timezone: TimeZone | None = optional(_ZONE)


@strawberry.input(description="A reminder rule that runs once a month.")
class ReminderMonthlyInput:
    """See `domain.tasks.schedule.Monthly`."""

    day: int | None = optional(
        "The day of the month, 1 to 31; in a shorter month, its last day. Without it, the last "
        "day of every month."
    )
    time: LocalTime = required(_TIME_OF_DAY)
    timezone: TimeZone | None = optional(_ZONE)


@strawberry.input(one_of=True, description="When a reminder runs. Provide exactly one field.")
class ReminderRuleInput:
    """See `domain.tasks.schedule`."""

    due: ReminderOffsetInput | None = optional(
        "Runs relative to the task's due time. A task with an all-day date (`dueOn`) is due at "
        "the end of that day. The reminder follows changes of the due time and runs once for "
        "each value."
    )
    start: ReminderOffsetInput | None = optional(
        "Runs relative to the task's `startAt`. The reminder follows changes of `startAt` and "
        "runs once for each value."
    )
    once: ReminderOnceInput | None = optional("Runs once.")
    daily: ReminderDailyInput | None = optional("Runs every day.")
    weekly: ReminderWeeklyInput | None = optional("Runs on certain days of the week.")
    monthly: ReminderMonthlyInput | None = optional("Runs on one day of every month.")


def rule_from(data: ReminderRuleInput, timezone: str) -> Rule:
    """Convert an input to a rule; `timezone` is the viewer's."""
    if inner := given(data.due):
        return Relative(Anchor.DUE, inner.offset)
    if inner := given(data.start):
        return Relative(Anchor.START, inner.offset)
    if inner := given(data.once):
        return Once(inner.at)
    if inner := given(data.daily):
        return Daily(_time(inner.time, "daily"), given(inner.timezone) or timezone)
    if inner := given(data.weekly):
        days = tuple(day.value for day in inner.days)
        return Weekly(days, _time(inner.time, "weekly"), given(inner.timezone) or timezone)
    if inner := given(data.monthly):
        return Monthly(
            given(inner.day), _time(inner.time, "monthly"), given(inner.timezone) or timezone
        )
    raise BadInput("rule must have exactly one field that is set.", path=("rule",))


@check(dt.time())
def _time(text: str, kind: str) -> dt.time:
    if not _TIME.fullmatch(text):
        raise BadInput(
            "time must be hours and minutes, from 00:00 to 23:59.", path=("rule", kind, "time")
        )
    return dt.time.fromisoformat(text)


# --- mutations -----------------------------------------------------------------------------------

_MESSAGE = "The text of the reminder, up to 500 characters"


@strawberry.input(
    description="Input for `reminderCreate`. A reminder needs at least one of `taskId`, "
    "`projectId` and `message`."
)
class ReminderCreateInput(MutationInput):
    """See `domain.tasks.reminder.create`."""

    id: strawberry.ID | None = new_id("reminder")
    rule: ReminderRuleInput = required("When the reminder runs.")
    task_id: strawberry.ID | None = optional(
        "The ID or identifier of the task that the reminder is about. The reminder does not run "
        "while the task is completed or cancelled."
    )
    project_id: strawberry.ID | None = optional(
        "The ID or key of the project that the reminder is about."
    )
    message: str | None = optional(_MESSAGE + ". Required without a task and a project.")
    channels: list[ReminderChannel] = defaulted(
        [ReminderChannel.IN_APP], "The channels through which the reminder notifies you."
    )
    is_enabled: bool = defaulted(True, "Whether the reminder is on.")


@strawberry.input(description="Input for `reminderUpdate`. Omitted fields stay unchanged.")
class ReminderUpdateInput(UpdateInput):
    """See `domain.tasks.reminder.update`."""

    id: strawberry.ID = required("The reminder's ID.")
    rule: strawberry.Maybe[ReminderRuleInput | None] = change(
        "When the reminder runs from now on. The kind of rule may change."
    )
    message: strawberry.Maybe[str | None] = change(_MESSAGE + ".")
    channels: strawberry.Maybe[list[ReminderChannel] | None] = change(
        "All channels through which the reminder notifies you."
    )
    is_enabled: strawberry.Maybe[bool | None] = change(
        "Whether the reminder is on. To turn it on, you must be able to see its task or project."
    )


@strawberry.input(description="Input for `reminderDelete`.")
class ReminderDeleteInput(UpdateInput):
    """See `domain.tasks.reminder.delete`."""

    id: strawberry.ID = required("The reminder's ID.")
