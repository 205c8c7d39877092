"""Reminders in the schema. Only their owner can see them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Uuid, bindparam, select

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.models import WeekDay
from db.statements import Statement
from domain.tasks import reminder as domain
from domain.tasks import schedule
from domain.tasks.schedule import Anchor, Monthly, Once, Relative, Weekly
from domain.work import Work
from errors import BadInput, NotFound, collecting, refuse
from graph.core import ids
from graph.core.enums import ReminderChannel
from graph.core.fields import BatchInfo, arg, attribute, batch, column, derived, root
from graph.core.inputs import given
from graph.core.node import Node, node_id, node_type
from graph.core.scalars import LocalTime, Seconds, TimeZone
from graph.kit import ordering, paging, references
from graph.kit.commands import arguments_of, changes_of
from graph.kit.loading import by_id, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key
from graph.types.tasks.reminder_inputs import (
    ReminderCreateInput,
    ReminderDeleteInput,
    ReminderFilter,
    ReminderOrder,
    ReminderRuleInput,
    ReminderUpdateInput,
    rule_from,
)

if TYPE_CHECKING:
    from graph.types.accounts.user import User
    from graph.types.projects.project import Project
    from graph.types.tasks.task import Task

_User = Annotated["User", strawberry.lazy("graph.types.accounts.user")]
_Project = Annotated["Project", strawberry.lazy("graph.types.projects.project")]
_Task = Annotated["Task", strawberry.lazy("graph.types.tasks.task")]

MAX_RUNS = 100
DEFAULT_RUNS = 5

# --- rules ---------------------------------------------------------------------------------------


_OFFSET = "How long after that time; negative for before it."
_TIME = "The time of day."
_ZONE = "The time zone of `time`."


@strawberry.type(description="A reminder rule relative to the task's due time.")
class ReminderDue:
    offset: Seconds = attribute(_OFFSET)


@strawberry.type(description="A reminder rule relative to the task's `startAt`.")
class ReminderStart:
    offset: Seconds = attribute(_OFFSET)


@strawberry.type(description="A reminder rule that runs once.")
class ReminderOnce:
    at: dt.datetime = attribute("When the reminder runs, in UTC.")


@strawberry.type(description="A reminder rule that runs every day.")
class ReminderDaily:
    time: LocalTime = attribute(_TIME)
    timezone: TimeZone = attribute(_ZONE)


@strawberry.type(description="A reminder rule that runs on certain days of the week.")
class ReminderWeekly:
    days: list[WeekDay] = attribute("The days of the week, Monday first.")
    time: LocalTime = attribute(_TIME)
    timezone: TimeZone = attribute(_ZONE)


@strawberry.type(description="A reminder rule that runs once a month.")
class ReminderMonthly:
    day: int | None = attribute(
        "The day of the month; in a shorter month, its last day. Null "
        "for the last day of every month."
    )
    time: LocalTime = attribute(_TIME)
    timezone: TimeZone = attribute(_ZONE)


ReminderRule = Annotated[
    ReminderDue | ReminderStart | ReminderOnce | ReminderDaily | ReminderWeekly | ReminderMonthly,
    strawberry.union(
        name="ReminderRule",
        description="When a reminder runs: one type for each field of `ReminderRuleInput`. More "
        "types may be added.",
    ),
]


def _shown(reminder: Any) -> Any:
    rule = domain.rule_of(reminder)
    if isinstance(rule, Relative):
        relative = ReminderDue if rule.anchor is Anchor.DUE else ReminderStart
        return relative(offset=Seconds(rule.offset))
    if isinstance(rule, Once):
        return ReminderOnce(at=rule.at)
    clock: dict[str, Any] = {"time": f"{rule.time:%H:%M}", "timezone": rule.timezone}
    if isinstance(rule, Weekly):
        return ReminderWeekly(days=[WeekDay(day) for day in rule.days], **clock)
    if isinstance(rule, Monthly):
        return ReminderMonthly(day=rule.day, **clock)
    return ReminderDaily(**clock)


# --- one reminder --------------------------------------------------------------------------------


async def _next_runs(
    parents: Sequence[Any],
    info: BatchInfo,
    first: Annotated[int, arg(f"The number of runs to return, at most {MAX_RUNS}.")] = DEFAULT_RUNS,
) -> Sequence[list[dt.datetime]]:
    _check_number(first)
    return [_coming(parent, info.context.now, first) for parent in parents]


def _check_number(first: int) -> None:
    if not 0 <= first <= MAX_RUNS:
        raise BadInput(f"first must be from 0 to {MAX_RUNS}; it is {first}.", path=("first",))


def _coming(reminder: Any, now: dt.datetime, size: int) -> list[dt.datetime]:
    """The next run, which may be overdue, and those that follow."""
    if reminder.next_run_at is None:
        return []
    following = schedule.runs(domain.rule_of(reminder), max(now, reminder.next_run_at))
    return [reminder.next_run_at, *islice(following, max(size - 1, 0))][:size]


@node_type(
    models.Reminder, "A reminder that notifies you at times that you choose. Only you can see it."
)
class Reminder(Node):
    id: strawberry.ID = node_id(models.Reminder)
    owner: _User | None = to_one(models.Reminder.owner, "The user whom the reminder notifies: you.")
    task: _Task | None = to_one(
        models.Reminder.task,
        "The task that the reminder is about. Null if there is none or you cannot see it.",
    )
    project: _Project | None = to_one(
        models.Reminder.project,
        "The project that the reminder is about. Null if there is none or you cannot see it.",
    )
    message: str | None = column("The text of the reminder. Null if the task or project is enough.")
    rule: ReminderRule = derived(
        (models.Reminder.kind, models.Reminder.rule), _shown, "When the reminder runs."
    )
    channels: list[ReminderChannel] = derived(
        (models.Reminder.channels,),
        lambda reminder: [ReminderChannel(name) for name in reminder.channels],
        "The channels through which the reminder notifies you.",
    )
    is_enabled: bool = column("Whether the reminder is on.")
    disabled_reason: str | None = column(
        "Why the server turned the reminder off. Null if it is on or you turned it off."
    )
    next_run_at: dt.datetime | None = column(
        "When the reminder runs next, in UTC. Null if it is off or has no further run. Follows a "
        "change of the task's times within seconds."
    )
    last_run_at: dt.datetime | None = column(
        "When the reminder last ran, in UTC. Null if it never ran."
    )
    next_runs: list[dt.datetime] = batch(
        _next_runs,
        "The next runs, in UTC, by the current rule and task. Empty if the reminder is off.",
        requires=("kind", "rule", "next_run_at"),
        may_fail=True,
    )
    created_at: dt.datetime = column("When the reminder was created, in UTC.")
    updated_at: dt.datetime = column(
        "When the reminder last changed, in UTC. A run is not a change."
    )
    version: int = column("Increases with each change. Send it as `ifVersion` to detect conflicts.")


@paging.connection_type("A page of reminders.", edge="A reminder in a list, with its cursor.")
class ReminderConnection:
    node: Reminder


# --- queries -------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _times(shape: ViewerShape) -> Statement:
    key = bindparam("key", type_=Uuid())
    return Statement(
        select(models.Task.due_at, models.Task.start_at).where(
            models.Task.id == key, access.read(placeholder_viewer(shape), models.Task)
        )
    )


async def _preview(
    info: BatchInfo,
    rule: Annotated[ReminderRuleInput, arg("The rule to preview.")],
    task_id: Annotated[
        strawberry.ID | None,
        arg("The task's ID or identifier. Required for a rule relative to its due or start time."),
    ] = None,
    first: Annotated[int, arg(f"The number of runs to return, at most {MAX_RUNS}.")] = DEFAULT_RUNS,
) -> list[dt.datetime]:
    info.viewer.require()
    task = given(task_id)
    with collecting():
        wanted = domain.checked(rule_from(rule, info.viewer.timezone))
        if isinstance(wanted, Relative) and task is None:
            refuse(
                BadInput(
                    "taskId is required for a rule relative to a task's time.", path=("task_id",)
                )
            )
        _check_number(first)
    anchor = None
    if isinstance(wanted, Relative) and task is not None:
        anchor = await _anchor(info, wanted, task)
    return list(islice(schedule.runs(wanted, info.context.now, anchor), first))


async def _anchor(info: BatchInfo, rule: Relative, task: str) -> dt.datetime | None:
    key = await references.decoded(info.context, models.Task, task, ("task_id",))
    rows = await info.context.services.database.reader.fetch(
        _times(info.viewer.shape), {**info.viewer.params, "key": key}
    )
    if not rows:
        raise NotFound("task", path=("task_id",))
    at: dt.datetime | None = rows[0].due_at if rule.anchor is Anchor.DUE else rows[0].start_at
    return at


def reminders() -> Any:
    """The field `Viewer.reminders`."""
    return paging.connection(
        models.Reminder,
        "Your reminders, newest first by default.",
        filter_type=ReminderFilter,
        order_type=ReminderOrder,
        default_order=(Key(ordering.source(models.Reminder.created_at), descending=True),),
    )


@strawberry.type
class ReminderQuery:
    reminder: Reminder | None = by_id(
        models.Reminder,
        "The reminder's ID.",
        "Returns one of your reminders by ID. Null with `NOT_FOUND` if it does not exist.",
    )
    reminder_preview: list[dt.datetime] = root(
        _preview,
        "Returns the times at which a reminder with this rule would run from now on. "
        "Creates nothing.",
    )


# --- payloads ------------------------------------------------------------------------------------


@shared_payload("`reminder` is the current reminder.")
class _ReminderPayload(MutationPayload):
    reminder: Reminder | None = ref(models.Reminder, "The reminder. Null if the mutation failed.")


@payload("Payload of `reminderDelete`.")
class ReminderDeletePayload(MutationPayload):
    """A deleted reminder cannot be restored."""

    reminder: Reminder | None = ref(
        models.Reminder, "The current reminder on `CONFLICT`, otherwise null."
    )
    deleted_id: strawberry.ID | None = value("deleted_id", "The deleted reminder's ID.")


# --- mutations -----------------------------------------------------------------------------------


_new = arguments_of(
    ReminderCreateInput,
    domain.NewReminder,
    ids={"id": models.Reminder, "task_id": models.Task, "project_id": models.Project},
)
_changes = changes_of(ReminderUpdateInput, domain.CHANGEABLE)


async def _create(work: Work, data: ReminderCreateInput) -> Refs:
    rule = rule_from(data.rule, work.viewer.timezone)
    new = domain.NewReminder(**_new(data) | {"rule": rule})
    return {"reminder": (await domain.create(work, new)).id}


async def _update(work: Work, data: ReminderUpdateInput) -> Refs:
    changes = _changes(data)
    if changes.get("rule") is not None:
        changes["rule"] = rule_from(changes["rule"], work.viewer.timezone)
    reminder = await domain.update(
        work, ids.decode(models.Reminder, data.id, ("id",)), changes, given(data.if_version)
    )
    return {"reminder": reminder.id}


async def _delete(work: Work, data: ReminderDeleteInput) -> Refs:
    reminder_id = ids.decode(models.Reminder, data.id, ("id",))
    await domain.delete(work, reminder_id, given(data.if_version))
    return {"deleted_id": ids.encode(models.Reminder, reminder_id)}


@strawberry.type
class ReminderMutation:
    reminder_create: _ReminderPayload = mutation(
        _create, ReminderCreateInput, "Creates a reminder for yourself."
    )
    reminder_update: _ReminderPayload = mutation(
        _update, ReminderUpdateInput, "Updates one of your reminders, or turns it on or off."
    )
    reminder_delete: ReminderDeletePayload = mutation(
        _delete, ReminderDeleteInput, "Deletes one of your reminders permanently."
    )
