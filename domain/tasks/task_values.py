"""The values of a task's fields, and the events of their changes: the same for one task and many.

Nothing here reads the database. `domain.tasks.task` does one thing to one task,
`domain.tasks.task_bulk` many things in few statements, and both validate and record by these rules.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from db.models import Task, TaskPriority, TaskStatus
from domain import rules
from domain.tasks import external_references
from domain.tasks.external_references import ExternalReference
from domain.work import Work
from events.kinds import EventKind

# Attributes that follow from others; events do not list them.
FOLLOWING = ("tag_keys", "due_timezone", "root_id", "completed_at")
# The names of attributes in the schema, if they differ.
SHOWN = {
    "assignee_id": "assignee",
    "project_id": "project",
    "parent_id": "parent",
    "owner_id": "owner",
}


class Subtasks(Enum):
    """What happens to a task's subtasks when it is deleted."""

    DELETE = "delete"
    MOVE_UP = "move up"


Changes = list[tuple[str, Any, Any]]


@dataclass(frozen=True, slots=True)
class NewTask:
    """The fields of a new task."""

    title: str
    id: UUID | None = None
    project_id: UUID | None = None
    parent_id: UUID | None = None
    assignee_id: UUID | None = None
    description: str | None = None
    notes: str | None = None
    status: TaskStatus = TaskStatus.TODO
    priority: TaskPriority = TaskPriority.NONE
    due_at: dt.datetime | None = None
    due_on: dt.date | None = None
    start_at: dt.datetime | None = None
    estimate: int | None = None
    tags: Sequence[str] = field(default_factory=tuple)
    external_references: Sequence[ExternalReference] = ()


# How a field is checked that depends on no other one and on no other row.
RULES: Mapping[str, rules.Rule] = {
    "title": partial(rules.text, least=1, most=200),
    "description": partial(rules.optional_text, most=10_000, multiline=True),
    "notes": partial(rules.optional_text, most=500, multiline=True),
    "status": rules.not_null,
    "priority": rules.not_null,
    "start_at": rules.moment,
    "estimate": partial(rules.whole_number, least=0, most=60_000_000),
    "tags": rules.tags,
    "external_references": external_references.checked,
}
_DUE = ("due_at", "due_on")
# What changes of one task or of many may name.
CHANGEABLE = frozenset({*RULES, *_DUE, "assignee_id"})

rules.demand_all_used(NewTask, RULES, (*_DUE, "id", "project_id", "parent_id", "assignee_id"))


def checked_new(work: Work, new: NewTask) -> dict[str, Any]:
    """The columns of a new task that its creator sets."""
    values = rules.given_by(new, RULES)
    values |= {name: value for name in _DUE if (value := getattr(new, name)) is not None}
    return checked(work, values)


def checked(work: Work, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, each validated, and what follows from them."""
    values = rules.checked(RULES, given)
    if "status" in values:
        values["completed_at"] = work.now if values["status"] is TaskStatus.COMPLETED else None
    if "tags" in values:
        values["tag_keys"] = [rules.tag_key(tag) for tag in values["tags"]]
    values.update(_due(work, given))
    return values


def _due(work: Work, given: Mapping[str, Any]) -> dict[str, Any]:
    """`due_at` or `due_on`: setting one replaces the other, clearing either clears both."""
    if "due_at" not in given and "due_on" not in given:
        return {}
    due_on = given.get("due_on")
    if due_on is not None:
        zone = work.viewer.timezone
        return {
            "due_at": rules.end_of_day(due_on, zone, ("due", "on")),
            "due_on": due_on,
            "due_timezone": zone,
        }
    due_at = rules.moment(given.get("due_at"), ("due", "at"))
    return {"due_at": due_at, "due_on": None, "due_timezone": None}


def apply(work: Work, task: Task, values: Mapping[str, Any], if_version: int | None) -> Changes:
    """Set validated values; returns what really changed, for `record`. Raises `Conflict`."""
    wanted = dict(values)
    if task.status is wanted.get("status"):
        # Completing a completed task keeps the time of the first completion.
        wanted.pop("completed_at", None)
    return work.apply(task, wanted, if_version=if_version, ref="task", ignore=FOLLOWING)


def kind_of(changes: Changes) -> EventKind:
    """The most specific kind for what changed."""
    by_name = {name: (old, new) for name, old, new in changes}
    if "status" in by_name:
        old, new = by_name["status"]
        if new is TaskStatus.COMPLETED:
            return EventKind.TASK_COMPLETED
        if not old.is_open and new.is_open:
            return EventKind.TASK_REOPENED
    if set(by_name) == {"assignee_id"}:
        return EventKind.TASK_ASSIGNED
    return EventKind.TASK_UPDATED


def record(
    work: Work, kind: EventKind, task: Task, changes: Sequence[tuple[str, Any, Any]] = ()
) -> None:
    """Append what happened to a task to the log; `changes` by the models' names."""
    where = {name: getattr(task, name) for name in ("id", "project_id", "owner_id", "assignee_id")}
    work.events.append(event_of_values(work, kind, where, changes))


def record_restored(
    work: Work, tasks: Sequence[UUID], project_id: UUID | None, deleted_at: dt.datetime | None
) -> None:
    """Record that tasks were restored along with another object: users who see one of them need not
    see that object.
    """
    changes = [("deleted_at", deleted_at, None)]
    work.events += [
        work.event(
            EventKind.TASK_RESTORED, Task, task, changes, task_id=task, project_id=project_id
        )
        for task in tasks
    ]


def event_of_values(
    work: Work,
    kind: EventKind,
    task: Mapping[str, Any],
    changes: Sequence[tuple[str, Any, Any]] = (),
) -> dict[str, Any]:
    """The columns of the event that `record` would append for a task with these columns."""
    work.touched_users.update(
        user for user in (task["owner_id"], task["assignee_id"]) if user is not None
    )
    return work.event(
        kind,
        Task,
        task["id"],
        [_shown(*change) for change in changes],
        task_id=task["id"],
        project_id=task["project_id"],
    )


def _shown(name: str, old: Any, new: Any) -> tuple[str, Any, Any]:
    if name == "external_references":
        return name, [str(one) for one in old], [str(one) for one in new]
    return SHOWN.get(name, name), old, new
