"""Reminders: what their owner does with them. Their runs are in `domain.tasks.reminding`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from db.models import Project, Reminder, ReminderChannel, RuleKind, Task
from domain import locks, rules
from domain.tasks import schedule
from domain.tasks.schedule import Anchor, Monthly, Once, Relative, Rule, Weekly
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, check, collecting, refuse
from events.kinds import EventKind

MAX_REMINDERS = 1_000
# One year in either direction.
# Seconds.
MAX_OFFSET = 366 * 24 * 3600


@dataclass(frozen=True, slots=True)
class NewReminder:
    """The fields of a new reminder. At most one of task and project."""

    rule: Rule
    task_id: UUID | None = None
    project_id: UUID | None = None
    message: str | None = None
    channels: Sequence[ReminderChannel] = (ReminderChannel.IN_APP,)
    is_enabled: bool = True
    id: UUID | None = None


@check()
def _channels(channels: Sequence[ReminderChannel] | None, path: rules.Path) -> list[str]:
    """Each channel once, in the order of the enum."""
    if not rules.not_null(channels, path):
        raise BadInput("channels must have at least one channel.", path=path)
    return [channel.value for channel in ReminderChannel if channel in (channels or ())]


# How each field is checked, apart from the rule, which `checked` checks.
RULES: Mapping[str, rules.Rule] = {
    "message": partial(rules.optional_text, most=500, multiline=True),
    "channels": _channels,
    "is_enabled": rules.not_null,
}
# What an update may name.
CHANGEABLE = frozenset({*RULES, "rule"})

rules.demand_all_used(NewReminder, RULES, ("id", "rule", "task_id", "project_id"))


async def create(work: Work, new: NewReminder) -> Reminder:
    """Create a reminder of a task or project that the viewer can see, or of its message only."""
    user_id = work.viewer.require()
    with collecting():
        rule = checked(new.rule)
        _demand_to_come(work, rule)
        values = rules.checked(RULES, rules.given_by(new, RULES))
    if new.task_id is not None and new.project_id is not None:
        raise BadInput("Provide either taskId or projectId, not both.", path=("project_id",))
    if new.task_id is None and new.project_id is None and values["message"] is None:
        raise BadInput("message is required without a task and a project.", path=("message",))
    if isinstance(rule, Relative) and new.task_id is None:
        raise BadInput(
            "taskId is required for a rule relative to a task's time.", path=("task_id",)
        )
    await _demand_room(work, user_id)
    await work.demand_free(Reminder, new.id)
    task = await _target(work, new.task_id, new.project_id)
    reminder = Reminder(
        id=new.id or work.new_id(),
        user_id=user_id,
        task_id=new.task_id,
        project_id=new.project_id,
        **values,
        kind=rule.kind,
        rule=schedule.to_json(rule),
        next_run_at=schedule.next_run(rule, work.now, anchor_of(rule, task))
        if new.is_enabled
        else None,
        created_at=work.now,
        updated_at=work.now,
        version=1,
    )
    work.session.add(reminder)
    record(work, EventKind.REMINDER_CREATED, reminder)
    await work.session.flush()
    return reminder


async def update(
    work: Work, reminder_id: UUID, changes: Mapping[str, Any], if_version: int | None
) -> Reminder:
    """Change the rule, message, channels or `is_enabled` of the viewer's own reminder.

    To turn it on, its target must be visible. A new rule applies from now on.
    """
    values = _checked_changes(work, changes)
    reminder = await work.editable(Reminder, reminder_id)
    _demand_fitting(reminder, values, changes.get("rule"))
    enabled = values.get("is_enabled", reminder.is_enabled)
    if not enabled:
        values["next_run_at"] = None
    elif "rule" in values or enabled != reminder.is_enabled:
        task = await _target(work, reminder.task_id, reminder.project_id, path=("id",))
        rule = rule_of(reminder) if "rule" not in values else checked(changes["rule"])
        values["next_run_at"] = schedule.next_run(rule, work.now, anchor_of(rule, task))
        values["disabled_reason"] = None
    changed = work.apply(
        reminder,
        values,
        if_version=if_version,
        ref="reminder",
        ignore=("next_run_at", "disabled_reason"),
    )
    if changed:
        record(work, EventKind.REMINDER_UPDATED, reminder, changed)
        await work.session.flush()
    return reminder


async def delete(work: Work, reminder_id: UUID, if_version: int | None) -> Reminder:
    """Delete the viewer's own reminder permanently."""
    reminder = await work.deletable(Reminder, reminder_id)
    work.check_version(reminder, if_version, fields=[], ref="reminder")
    await work.session.delete(reminder)
    record(work, EventKind.REMINDER_DELETED, reminder)
    await work.session.flush()
    return reminder


def record(
    work: Work,
    kind: EventKind,
    reminder: Reminder,
    changes: Sequence[tuple[str, Any, Any]] = (),
) -> UUID:
    """Append what happened to a reminder to the log, for its owner alone; returns the event's id.

    It names no task or project, since everyone who sees these would see the event.
    """
    return work.record(kind, reminder, changes, audience=[reminder.user_id])


# --- rules and their tasks -----------------------------------------------------------------------


def rule_of(reminder: Any) -> Rule:
    """The rule of a reminder, or of a row of one."""
    return schedule.from_json(RuleKind(reminder.kind), reminder.rule)


def anchor_of(rule: Rule, task: Any | None) -> dt.datetime | None:
    """The time of the task that the rule is relative to, if it is and the task has one."""
    if not isinstance(rule, Relative) or task is None:
        return None
    at: dt.datetime | None = task.due_at if rule.anchor is Anchor.DUE else task.start_at
    return at


def checked(rule: Rule) -> Rule:
    """The rule with each value validated; the paths name those that are invalid."""
    path = ("rule", rule.kind.name.lower())
    if isinstance(rule, Relative):
        rules.whole_number(rule.offset, (*path, "offset"), least=-MAX_OFFSET, most=MAX_OFFSET)
        return rule
    if isinstance(rule, Once):
        at = rules.moment(rule.at, (*path, "at"))
        return rule if at is None else Once(at)
    rules.timezone(rule.timezone, (*path, "timezone"))
    if isinstance(rule, Weekly):
        if not rule.days:
            refuse(BadInput("days must have at least one day.", path=(*path, "days")))
        return dataclasses.replace(rule, days=tuple(sorted(set(rule.days))))
    if isinstance(rule, Monthly):
        rules.whole_number(rule.day, (*path, "day"), least=1, most=31)
    return rule


@check()
def _demand_to_come(work: Work, rule: Rule) -> None:
    if isinstance(rule, Once) and rule.at <= work.now:
        raise BadInput("at must be in the future.", path=("rule", "once", "at"))


def _checked_changes(work: Work, changes: Mapping[str, Any]) -> dict[str, Any]:
    values = rules.checked(RULES, changes)
    if "rule" in changes:
        rule = rules.not_null(changes["rule"], ("rule",))
        if rule is not None:
            rule = checked(rule)
            _demand_to_come(work, rule)
            values |= {"kind": rule.kind, "rule": schedule.to_json(rule)}
    return values


def _demand_fitting(reminder: Reminder, values: Mapping[str, Any], rule: Rule | None) -> None:
    if isinstance(rule, Relative) and reminder.task_id is None:
        raise BadInput(
            "A rule relative to a task's time requires a reminder of a task.", path=("rule",)
        )
    if (
        "message" in values
        and values["message"] is None
        and reminder.task_id is None
        and reminder.project_id is None
    ):
        raise BadInput("message is required without a task and a project.", path=("message",))


async def _target(
    work: Work,
    task_id: UUID | None,
    project_id: UUID | None,
    *,
    path: Sequence[str] | None = None,
) -> Task | None:
    """The task, if the reminder is about one; what cannot be seen raises `NotFound`.

    The task is locked until the commit: a change of its times either comes before, and is read
    here, or after, and then finds this reminder.
    """
    if task_id is not None:
        return await work.readable(Task, task_id, lock=True, path=path or ("task_id",))
    if project_id is not None:
        await locks.lock_projects(work, [project_id])
        await work.readable(Project, project_id, path=path or ("project_id",))
    return None


async def _demand_room(work: Work, user_id: UUID) -> None:
    await locks.lock_owner(work)
    count = await work.session.scalar(select(func.count()).where(Reminder.user_id == user_id))
    if (count or 0) >= MAX_REMINDERS:
        raise Failure(
            f"You can have at most {MAX_REMINDERS:,} reminders. Delete those that you no longer "
            "need.",
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_REMINDERS,
            actual=count,
        )
