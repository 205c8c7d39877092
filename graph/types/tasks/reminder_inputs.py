"""What reminders are filtered and ordered by, and what their mutations take."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from db import models
from db.models import WeekDay
from domain.tasks.schedule import Anchor, Daily, Monthly, Once, Relative, Rule, Weekly
from errors import BadInput, check
from graph.core.enums import ReminderChannel, RuleKind
from graph.core.inputs import MutationInput, UpdateInput, change, given, new_id, optional, required
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter, StringFilter
from graph.kit.ordering import OrderBy

if TYPE_CHECKING:
    from graph.types.projects.project_inputs import ProjectFilter
    from graph.types.tasks.task_inputs import TaskFilter

_ProjectFilter = Annotated["ProjectFilter", strawberry.lazy("graph.types.projects.project_inputs")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)


def _project_filter() -> Any:
    from graph.types.projects.project_inputs import ProjectFilter

    return ProjectFilter


def _task_filter() -> Any:
    from graph.types.tasks.task_inputs import TaskFilter

    return TaskFilter


# --- filters and orderings -----------------------------------------------------------------------


@strawberry.input(description="Compares kinds of reminders' rules.")
class ReminderRuleKindFilter:
    """Comparators of `RuleKind`."""

    eq: RuleKind | None = optional("This kind.")
    not_eq: RuleKind | None = optional("Any other kind.")
    in_: list[RuleKind] | None = optional("One of these kinds.", name="in")
    not_in: list[RuleKind] | None = optional("None of these kinds.")


@filtering.filter_input("Which reminders.")
class ReminderFilter:
    """Criteria over one's own reminders."""

    id: IDFilter | None = filtering.by_id(models.Reminder.id, models.Reminder, "Id.")
    kind: ReminderRuleKindFilter | None = filtering.by(
        models.Reminder.kind, "By what they are set."
    )
    enabled: bool | None = filtering.by_condition(
        lambda _, reminder: reminder.enabled, "Whether they are on."
    )
    message: StringFilter | None = filtering.by(models.Reminder.message, "What they say.")
    task: _TaskFilter | None = filtering.by_relation(
        models.Reminder.task, _task_filter, "The task that they are about."
    )
    task_id: IDFilter | None = filtering.by_id(
        models.Reminder.task_id, models.Task, "The task's id; `isNull` for none."
    )
    project: _ProjectFilter | None = filtering.by_relation(
        models.Reminder.project, _project_filter, "The project that they are about."
    )
    project_id: IDFilter | None = filtering.by_id(
        models.Reminder.project_id, models.Project, "The project's id; `isNull` for none."
    )
    next_run_at: DateTimeFilter | None = filtering.by(
        models.Reminder.next_run_at, "When they run next; `isNull` where nothing is to come."
    )
    last_run_at: DateTimeFilter | None = filtering.by(
        models.Reminder.last_run_at, "When they ran last; `isNull` for never."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Reminder.created_at, "When they were made."
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.Reminder.updated_at, "When they were changed last."
    )


@ordering.order_input("One step of an ordering of reminders; give exactly one field.")
class ReminderOrder:
    """Orderings of reminders."""

    created_at: OrderBy | None = ordering.by(models.Reminder.created_at, "By when they were made.")
    updated_at: OrderBy | None = ordering.by(
        models.Reminder.updated_at, "By when they were changed last."
    )
    next_run_at: OrderBy | None = ordering.by(models.Reminder.next_run_at, "By when they run next.")
    last_run_at: OrderBy | None = ordering.by(models.Reminder.last_run_at, "By when they ran last.")


# --- rules ---------------------------------------------------------------------------------------

_TIME_OF_DAY = (
    "Hours and minutes, such as 09:00. A time that a change of clocks skips is moved "
    "forward by the gap; of one that comes twice the first is used."
)
_ZONE = "The IANA time zone of that time, such as Europe/Zurich; yours unless given."


@strawberry.input(description="So long before or after a time of the task.")
class ReminderOffsetInput:
    """See `domain.tasks.schedule.Relative`."""

    offset_minutes: int = required(
        "Minutes after that time; negative for before it. At most a year either way."
    )


@strawberry.input(description="At one moment.")
class ReminderOnceInput:
    """See `domain.tasks.schedule.Once`."""

    at: dt.datetime = required("The moment; it has to be yet to come.")


@strawberry.input(description="Each day at a time of day.")
class ReminderDailyInput:
    """See `domain.tasks.schedule.Daily`."""

    time: str = required(_TIME_OF_DAY)
    timezone: str | None = optional(_ZONE)


@strawberry.input(description="On days of the week, at a time of day.")
class ReminderWeeklyInput:
    """See `domain.tasks.schedule.Weekly`."""

    days: list[WeekDay] = required("The days, at least one.")
    time: str = required(_TIME_OF_DAY)
    timezone: str | None = optional(_ZONE)


@strawberry.input(description="Each month, on one day of it, at a time of day.")
class ReminderMonthlyInput:
    """See `domain.tasks.schedule.Monthly`."""

    day: int | None = optional(
        "The day of the month, 1 to 31; in a shorter month, its last day. The last day of each "
        "month unless given."
    )
    time: str = required(_TIME_OF_DAY)
    timezone: str | None = optional(_ZONE)


@strawberry.input(
    one_of=True, description="When a reminder runs; give exactly one of these fields."
)
class ReminderRuleInput:
    """See `domain.tasks.schedule`."""

    due: ReminderOffsetInput | None = optional(
        "By when its task is due. A day without a time (`dueOn`) is due when it is over. It moves "
        "along when that is changed, and runs once for each time set."
    )
    start: ReminderOffsetInput | None = optional(
        "By when work on its task may begin (`startAt`), in the same way."
    )
    once: ReminderOnceInput | None = optional("At one moment.")
    daily: ReminderDailyInput | None = optional("Each day.")
    weekly: ReminderWeeklyInput | None = optional("On days of the week.")
    monthly: ReminderMonthlyInput | None = optional("On a day of each month.")


def rule_from(data: ReminderRuleInput, timezone: str) -> Rule:
    """The rule that an input says; `timezone` is the viewer's."""
    if inner := given(data.due):
        return Relative(Anchor.DUE, inner.offset_minutes)
    if inner := given(data.start):
        return Relative(Anchor.START, inner.offset_minutes)
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
    raise BadInput("A rule must not be empty.", path=("rule",))


@check(dt.time())
def _time(text: str, kind: str) -> dt.time:
    if not _TIME.fullmatch(text):
        raise BadInput(
            "time must be hours and minutes, from 00:00 to 23:59.", path=("rule", kind, "time")
        )
    return dt.time.fromisoformat(text)


# --- mutations -----------------------------------------------------------------------------------

_MESSAGE = "What to be reminded of, up to 500 characters"


@strawberry.input(
    description="A new reminder, of a task, of a project, or of what its message says."
)
class ReminderCreateInput(MutationInput):
    """See `domain.tasks.reminder.create`."""

    id: strawberry.ID | None = new_id("reminder")
    rule: ReminderRuleInput = required("When it runs.")
    task_id: strawberry.ID | None = optional(
        "The task that it is about. It is not reminded of while it is completed or cancelled."
    )
    project_id: strawberry.ID | None = optional("The project that it is about.")
    message: str | None = optional(_MESSAGE + "; needed where there is no task or project.")
    channels: list[ReminderChannel] | None = optional("The ways; IN_APP where left out.")
    enabled: bool | None = optional("Whether it is on; true where left out.")


@strawberry.input(description="Changes to a reminder; what is left out stays.")
class ReminderUpdateInput(UpdateInput):
    """See `domain.tasks.reminder.update`."""

    id: strawberry.ID = required("The reminder.")
    rule: strawberry.Maybe[ReminderRuleInput | None] = change(
        "When it runs, from now on; another kind of rule if you like."
    )
    message: strawberry.Maybe[str | None] = change(_MESSAGE + ".")
    channels: strawberry.Maybe[list[ReminderChannel] | None] = change("All ways.")
    enabled: strawberry.Maybe[bool | None] = change(
        "Turn it on or off. What it is about must be visible to you to turn it on."
    )


@strawberry.input(description="The reminder to delete for good.")
class ReminderDeleteInput(UpdateInput):
    """See `domain.tasks.reminder.delete`."""

    id: strawberry.ID = required("The reminder.")
