"""Tasks: what can be done with one. Where a task stands among others is `domain.placement`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import literal, select, update

from auth import access
from auth.viewer import ViewerColumn
from db.models import Task, TaskPriority, TaskStatus, User
from domain import placement, rules
from domain.project import demand_editor
from domain.work import Work
from errors import BadInput, NotFound
from events.kinds import EventKind

# Attributes that follow from others; events do not list them.
_FOLLOWING = ("tag_keys", "due_timezone", "root_id", "completed_at")
# How attributes are called in the schema, where it differs.
_SHOWN = {
    "assignee_id": "assignee",
    "project_id": "project",
    "parent_id": "parent",
    "owner_id": "owner",
}

Changes = list[tuple[str, Any, Any]]


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a task is made from."""

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
    estimate_minutes: int | None = None
    tags: Sequence[str] = field(default_factory=tuple)


async def create(work: Work, new: NewTask) -> Task:
    """Make a task in a project, below another task, or a personal one."""
    user_id = work.viewer.require()
    values: dict[str, Any] = {
        name: getattr(new, name)
        for name in ("title", "description", "notes", "priority", "start_at", "estimate_minutes")
    }
    values["tags"] = list(new.tags)
    values["status"] = new.status
    if new.due_at is not None:
        values["due_at"] = new.due_at
    if new.due_on is not None:
        values["due_on"] = new.due_on
    checked = _checked(work, values)
    parent = await placement.parent_for(work, new.parent_id)
    project_id = new.project_id
    if parent is not None:
        if new.project_id is not None and new.project_id != parent.project_id:
            raise BadInput("A subtask belongs to its parent's project.", path=("project_id",))
        project_id = parent.project_id
    elif project_id is not None:
        await demand_editor(work, project_id, ("project_id",))
    if new.id is not None and await work.session.get(Task, new.id) is not None:
        raise rules.taken("id", ("id",))
    if new.assignee_id is not None:
        # The owner of a task may show it to anybody, so no further right is needed here.
        await _assignable(work, new.assignee_id)
    task = Task(
        **checked,
        id=new.id or work.new_id(),
        project_id=project_id,
        number=None if project_id is None else await placement.next_number(work, project_id),
        position=await placement.at_end(work, project_id, user_id),
        owner_id=user_id,
        assignee_id=new.assignee_id,
        parent_id=None if parent is None else parent.id,
        root_id=None if parent is None else parent.root_id or parent.id,
        created_at=work.now,
        updated_at=work.now,
        version=1,
    )
    work.session.add(task)
    _record(work, EventKind.TASK_CREATED, task)
    await work.session.flush()
    return task


async def update_task(
    work: Work, task_id: UUID, changes: Mapping[str, Any], if_version: int | None
) -> Task:
    """Change fields; what is not among `changes` stays."""
    task = await work.editable(Task, task_id)
    values = _checked(work, changes)
    if "assignee_id" in changes:
        values["assignee_id"] = changes["assignee_id"]
    if "parent_id" in changes:
        parent = await placement.parent_for(work, changes["parent_id"], child=task)
        values["parent_id"] = None if parent is None else parent.id
        values["root_id"] = None if parent is None else parent.root_id or parent.id
    await _apply(work, task, values, if_version)
    return task


async def complete(work: Work, task_id: UUID, if_version: int | None) -> Task:
    """Set the status COMPLETED; a task that is completed stays as it is."""
    return await update_task(work, task_id, {"status": TaskStatus.COMPLETED}, if_version)


async def reopen(work: Work, task_id: UUID, if_version: int | None) -> Task:
    """Set the status TODO again where the task is completed or cancelled."""
    task = await work.editable(Task, task_id)
    values = {} if task.status.is_open else _checked(work, {"status": TaskStatus.TODO})
    await _apply(work, task, values, if_version)
    return task


async def assign(
    work: Work, task_id: UUID, assignee_id: UUID | None, if_version: int | None
) -> Task:
    """Give the task to somebody, or to nobody."""
    return await update_task(work, task_id, {"assignee_id": assignee_id}, if_version)


async def delete(work: Work, task_id: UUID, if_version: int | None) -> Task:
    """Put a task and its subtasks into the trash for 30 days."""
    task = await work.deletable(Task, task_id)
    work.check_version(task, if_version, fields=[], ref="task")
    await work.session.execute(
        update(Task)
        .where(Task.id.in_(placement.tree(task.id)), Task.deleted_at.is_(None))
        .values(deleted_at=work.now, deleted_with=task.id)
    )
    await work.session.refresh(task)
    task.version += 1
    task.updated_at = work.now
    _record(work, EventKind.TASK_DELETED, task, [("deleted_at", None, work.now)])
    await work.session.flush()
    return task


async def restore(work: Work, task_id: UUID) -> Task:
    """Take a task out of the trash, with the subtasks that went with it."""
    task = await work.session.scalar(
        select(Task)
        .where(Task.id == task_id, access.delete(work.viewer, Task, trashed=True))
        .with_for_update()
    )
    if task is None:
        raise NotFound("task in the trash", path=("id",))
    if task.deleted_with != task.id:
        raise BadInput(
            "This task went into the trash with its project or parent; restore that.", path=("id",)
        )
    deleted_at = task.deleted_at
    await work.session.execute(
        update(Task).where(Task.deleted_with == task.id).values(deleted_at=None, deleted_with=None)
    )
    await work.session.refresh(task)
    task.version += 1
    task.updated_at = work.now
    _record(work, EventKind.TASK_RESTORED, task, [("deleted_at", deleted_at, None)])
    await work.session.flush()
    return task


def _checked(work: Work, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, each by its rule, and what follows from them."""
    values: dict[str, Any] = {}
    for name in ("title", "status", "priority", "tags"):
        if name in given and given[name] is None:
            raise BadInput(f"{name} must not be null.", path=(name,))
    if "title" in given:
        values["title"] = rules.text(given["title"], ("title",), least=1, most=200)
    if "description" in given:
        values["description"] = rules.optional_text(
            given["description"], ("description",), most=10_000, multiline=True
        )
    if "notes" in given:
        values["notes"] = rules.optional_text(given["notes"], ("notes",), most=500, multiline=True)
    if "priority" in given:
        values["priority"] = given["priority"]
    if "status" in given:
        status: TaskStatus = given["status"]
        values["status"] = status
        values["completed_at"] = work.now if status is TaskStatus.COMPLETED else None
    if "start_at" in given:
        values["start_at"] = rules.moment(given["start_at"], ("start_at",))
    if "estimate_minutes" in given:
        values["estimate_minutes"] = rules.whole_number(
            given["estimate_minutes"], ("estimate_minutes",), least=0, most=1_000_000
        )
    if "tags" in given:
        values["tags"] = rules.tags(given["tags"], ("tags",))
        values["tag_keys"] = [rules.tag_key(tag) for tag in values["tags"]]
    values.update(_due(work, given))
    return values


def _due(work: Work, given: Mapping[str, Any]) -> dict[str, Any]:
    """`due_at` or `due_on`: setting one replaces the other, clearing either clears both."""
    if "due_at" not in given and "due_on" not in given:
        return {}
    due_at, due_on = given.get("due_at"), given.get("due_on")
    if due_at is not None and due_on is not None:
        raise BadInput("Give dueAt or dueOn, not both.", path=("due_on",))
    if due_on is not None:
        zone = work.viewer.timezone
        return {
            "due_at": rules.end_of_day(due_on, zone, ("due_on",)),
            "due_on": due_on,
            "due_timezone": zone,
        }
    return {"due_at": rules.moment(due_at, ("due_at",)), "due_on": None, "due_timezone": None}


async def _apply(work: Work, task: Task, values: dict[str, Any], if_version: int | None) -> None:
    if task.status is values.get("status"):
        # Completing what is completed keeps the moment of the first time.
        values.pop("completed_at", None)
    before = task.assignee_id
    reassigned = "assignee_id" in values and values["assignee_id"] != before
    if reassigned and values["assignee_id"] is not None:
        await _demand_assignable(work, task, values["assignee_id"])
    changes = work.apply(task, values, if_version=if_version, ref="task", ignore=_FOLLOWING)
    if not changes:
        return
    if "root_id" in values:
        await placement.move_subtree(work, task)
    _record(work, _kind_of(changes), task, changes)
    await work.session.flush()
    if reassigned and before is not None:
        await _tell_of_loss(work, task, before)


def _kind_of(changes: Changes) -> EventKind:
    """The most telling kind for what changed."""
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


async def _assignable(work: Work, user_id: UUID) -> User:
    user = await work.readable(User, user_id, path=("assignee_id",))
    if not user.is_active:
        raise BadInput("This account is deactivated.", path=("assignee_id",))
    return user


async def _demand_assignable(work: Work, task: Task, user_id: UUID) -> None:
    """To assign somebody who does not yet see the task is to share it."""
    await _assignable(work, user_id)
    if not await _can_read(work, task.id, user_id):
        await work.demand(task, access.share, "show it to others", path=("assignee_id",))


async def _can_read(work: Work, task_id: UUID, user_id: UUID) -> bool:
    them = ViewerColumn(literal(user_id))
    found = await work.session.scalar(
        select(Task.id).where(Task.id == task_id, access.read(them, Task))
    )
    return found is not None


async def _tell_of_loss(work: Work, task: Task, user_id: UUID) -> None:
    if user_id == work.viewer.user_id or await _can_read(work, task.id, user_id):
        return
    work.record(
        EventKind.ACCESS_LOST,
        task,
        task_id=task.id,
        project_id=task.project_id,
        audience=[user_id],
    )


def _record(
    work: Work, kind: EventKind, task: Task, changes: Sequence[tuple[str, Any, Any]] = ()
) -> None:
    work.record(
        kind,
        task,
        [(_SHOWN.get(name, name), old, new) for name, old, new in changes],
        task_id=task.id,
        project_id=task.project_id,
    )
    work.touched_users.update(
        user for user in (task.owner_id, task.assignee_id) if user is not None
    )
