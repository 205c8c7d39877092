"""Reminders in the schema. They are their owner's alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import Uuid, bindparam, select

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.models import WeekDay
from db.read import Statement
from domain.tasks import reminder as domain
from domain.tasks import schedule
from domain.tasks.schedule import Anchor, Monthly, Once, Relative, Weekly
from domain.work import Work
from errors import BadInput, NotFound
from graph.core import ids
from graph.core.enums import ReminderChannel, RuleKind
from graph.core.fields import BatchInfo, arg, attribute, batch, column, derived, root
from graph.core.inputs import changes_of, given
from graph.core.node import Node, node_id, node_type
from graph.kit import ordering, paging
from graph.kit.loading import by_id, to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
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


@strawberry.type(description="So long before or after a time of the task.")
class ReminderOffset:
    """Of a rule by a task's time."""

    offset_minutes: int = attribute("Minutes after that time; negative for before it.")


@strawberry.type(description="At one moment.")
class ReminderOnce:
    """Of a rule that runs once."""

    at: dt.datetime = attribute("The moment.")


@strawberry.type(description="Each day at a time of day.")
class ReminderDaily:
    """Of a daily rule."""

    time: str = attribute("Hours and minutes, such as 09:00.")
    timezone: str = attribute("The IANA time zone of that time.")


@strawberry.type(description="On days of the week, at a time of day.")
class ReminderWeekly:
    """Of a weekly rule."""

    days: list[WeekDay] = attribute("The days, Monday first.")
    time: str = attribute("Hours and minutes, such as 09:00.")
    timezone: str = attribute("The IANA time zone of that time.")


@strawberry.type(description="Each month, on one day of it, at a time of day.")
class ReminderMonthly:
    """Of a monthly rule."""

    day: int | None = attribute("The day, or the last one of a shorter month; null: the last one.")
    time: str = attribute("Hours and minutes, such as 09:00.")
    timezone: str = attribute("The IANA time zone of that time.")


@strawberry.type(
    description="When a reminder runs, in the form of `ReminderRuleInput`: one field is not null."
)
class ReminderRule:
    """One of the kinds."""

    due: ReminderOffset | None = attribute("By when its task is due.")
    start: ReminderOffset | None = attribute("By when work on its task may begin.")
    once: ReminderOnce | None = attribute("At one moment.")
    daily: ReminderDaily | None = attribute("Each day.")
    weekly: ReminderWeekly | None = attribute("On days of the week.")
    monthly: ReminderMonthly | None = attribute("On a day of each month.")


def _shown(reminder: Any) -> ReminderRule:
    rule = domain.rule_of(reminder)
    found: dict[str, Any] = dict.fromkeys(kind.name.lower() for kind in RuleKind)
    inner: Any
    if isinstance(rule, Relative):
        inner = ReminderOffset(offset_minutes=rule.offset_minutes)
    elif isinstance(rule, Once):
        inner = ReminderOnce(at=rule.at)
    else:
        clock = {"time": f"{rule.time:%H:%M}", "timezone": rule.timezone}
        if isinstance(rule, Weekly):
            inner = ReminderWeekly(days=[WeekDay(day) for day in rule.days], **clock)
        elif isinstance(rule, Monthly):
            inner = ReminderMonthly(day=rule.day, **clock)
        else:
            inner = ReminderDaily(**clock)
    found[rule.kind.name.lower()] = inner
    return ReminderRule(**found)


# --- one reminder --------------------------------------------------------------------------------


async def _next_runs(
    parents: Sequence[Any],
    info: BatchInfo,
    first: Annotated[
        int | None, arg(f"How many: {DEFAULT_RUNS} unless given, at most {MAX_RUNS}.")
    ] = None,
) -> Sequence[list[dt.datetime]]:
    size = _size(first)
    return [_coming(parent, info.context.now, size) for parent in parents]


def _size(first: Any) -> int:
    size = given(first)
    size = DEFAULT_RUNS if size is None else size
    if not 0 <= size <= MAX_RUNS:
        raise BadInput(f"first must be from 0 to {MAX_RUNS}; it is {size}.", path=("first",))
    return int(size)


def _coming(reminder: Any, now: dt.datetime, size: int) -> list[dt.datetime]:
    """The next run, which may be late, and those that follow."""
    if reminder.next_run_at is None:
        return []
    following = schedule.runs(domain.rule_of(reminder), max(now, reminder.next_run_at))
    return [reminder.next_run_at, *islice(following, max(size - 1, 0))][:size]


@node_type(models.Reminder, "Reminds you of something at times that you chose. Yours alone.")
class Reminder(Node):
    """See `db.models.Reminder`."""

    id: strawberry.ID = node_id(models.Reminder)
    owner: _User | None = to_one(models.Reminder.owner, "Whom it reminds: you.")
    task: _Task | None = to_one(
        models.Reminder.task,
        "The task that it is about; null for none, or where you do not see it.",
    )
    project: _Project | None = to_one(
        models.Reminder.project,
        "The project that it is about; null for none, or where you do not see it.",
    )
    message: str | None = column(
        models.Reminder.message, "What to be reminded of; where null, the task or project."
    )
    kind: RuleKind = column(models.Reminder.kind, "By what it is set.", convert=RuleKind)
    rule: ReminderRule = derived(
        (models.Reminder.kind, models.Reminder.rule), _shown, "When it runs."
    )
    channels: list[ReminderChannel] = derived(
        (models.Reminder.channels,),
        lambda reminder: [ReminderChannel(name) for name in reminder.channels],
        "The ways by which it reaches you.",
    )
    enabled: bool = column(models.Reminder.enabled, "Whether it is on.")
    disabled_reason: str | None = column(
        models.Reminder.disabled_reason,
        "Why it was turned off for you; null where you did, and while it is on.",
    )
    next_run_at: dt.datetime | None = column(
        models.Reminder.next_run_at,
        "When it runs next; null while it is off, and when nothing is to come. A change of the "
        "task's times is followed within seconds.",
    )
    last_run_at: dt.datetime | None = column(
        models.Reminder.last_run_at, "When it ran last; null for never."
    )
    next_runs: list[dt.datetime] = batch(
        _next_runs,
        "The next runs as things stand; empty while it is off.",
        requires=("kind", "rule", "next_run_at"),
    )
    created_at: dt.datetime = column(models.Reminder.created_at, "When it was made.")
    updated_at: dt.datetime = column(
        models.Reminder.updated_at, "When it was changed last; a run is no change."
    )
    version: int = column(models.Reminder.version, "Goes up with each change; for `ifVersion`.")


@paging.connection_type("A page of reminders.", edge="A reminder in a list.")
class ReminderConnection:
    """Relay connection."""

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
    rule: Annotated[ReminderRuleInput, arg("When it would run.")],
    task_id: Annotated[
        strawberry.ID | None, arg("The task, for a rule by its due or start time.")
    ] = None,
    first: Annotated[
        int | None, arg(f"How many: {DEFAULT_RUNS} unless given, at most {MAX_RUNS}.")
    ] = None,
) -> list[dt.datetime]:
    info.viewer.require()
    size = _size(first)
    wanted = domain.checked(rule_from(rule, info.viewer.timezone))
    anchor = None
    if isinstance(wanted, Relative):
        anchor = await _anchor(info, wanted, given(task_id))
    return list(islice(schedule.runs(wanted, info.context.now, anchor), size))


async def _anchor(info: BatchInfo, rule: Relative, task: str | None) -> dt.datetime | None:
    if task is None:
        raise BadInput("A rule by a task's time needs a task.", path=("task_id",))
    rows = await info.context.services.database.reader.fetch(
        _times(info.viewer.shape),
        {**info.viewer.params, "key": ids.decode(models.Task, task, ("task_id",))},
    )
    if not rows:
        raise NotFound("task", path=("task_id",))
    at: dt.datetime | None = rows[0].due_at if rule.anchor is Anchor.DUE else rows[0].start_at
    return at


@strawberry.type
class ReminderQuery:
    """Root fields."""

    reminder: Reminder | None = by_id(
        models.Reminder,
        "The reminder's id.",
        "One of your reminders by id; null with `NOT_FOUND` if there is none for you.",
    )
    reminders: ReminderConnection = paging.connection(
        models.Reminder,
        "Your reminders, the newest first unless ordered otherwise.",
        filter_type=ReminderFilter,
        order_type=ReminderOrder,
        default_order=(Key(ordering.source(models.Reminder.created_at), descending=True),),
    )
    reminder_preview: list[dt.datetime] = root(
        _preview, "When a reminder of this rule would run, from now on; nothing is made."
    )


# --- payloads ------------------------------------------------------------------------------------


@strawberry.type
class _ReminderPayload(Payload):
    reminder: Reminder | None = ref(models.Reminder, "The reminder; null if nothing was done.")


@payload("The new reminder.")
class ReminderCreatePayload(_ReminderPayload):
    """`reminderCreate`."""


@payload("The changed reminder; with `CONFLICT`, the reminder as it is.")
class ReminderUpdatePayload(_ReminderPayload):
    """`reminderUpdate`."""


@payload("What was deleted.")
class ReminderDeletePayload(Payload):
    """A deleted reminder is gone for good."""

    reminder: Reminder | None = ref(
        models.Reminder, "With `CONFLICT`, the reminder as it is; else null."
    )
    deleted_id: strawberry.ID | None = value("deleted_id", "The id of the reminder that was.")


# --- mutations -----------------------------------------------------------------------------------


def _id(model: Any, text: Any, name: str) -> UUID | None:
    text = given(text)
    return None if text is None else ids.decode(model, text, (name,))


async def _create(work: Work, data: ReminderCreateInput) -> Refs:
    channels, enabled = given(data.channels), given(data.enabled)
    new = domain.NewReminder(
        rule=rule_from(data.rule, work.viewer.timezone),
        task_id=_id(models.Task, data.task_id, "task_id"),
        project_id=_id(models.Project, data.project_id, "project_id"),
        message=given(data.message),
        channels=(ReminderChannel.IN_APP,) if channels is None else channels,
        enabled=enabled is not False,
        id=ids.decode_new(models.Reminder, data.id, ("id",)),
    )
    return {"reminder": (await domain.create(work, new)).id}


async def _update(work: Work, data: ReminderUpdateInput) -> Refs:
    changes = changes_of(data, "rule", "message", "channels", "enabled")
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
    """Root fields."""

    reminder_create: ReminderCreatePayload = mutation(
        _create, ReminderCreateInput, "Have yourself reminded of something."
    )
    reminder_update: ReminderUpdatePayload = mutation(
        _update, ReminderUpdateInput, "Change a reminder of yours, or turn it on or off."
    )
    reminder_delete: ReminderDeletePayload = mutation(
        _delete, ReminderDeleteInput, "Delete a reminder of yours, for good."
    )
