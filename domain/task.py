"""Tasks: what can be done with one. Where a task stands among others is `domain.placement`, how one
is made `domain.task_creation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, update

from auth import access
from db.models import Project, Task, TaskStatus
from domain import placement, sight
from domain.task_creation import assignable, create, create_at_once
from domain.task_values import NewTask, apply, checked, kind_of, record
from domain.work import Work
from errors import BadInput, NotFound
from events.kinds import EventKind

__all__ = [
    "NewTask",
    "assign",
    "complete",
    "create",
    "create_at_once",
    "delete",
    "reopen",
    "restore",
    "update_task",
]


async def update_task(
    work: Work, task_id: UUID, changes: Mapping[str, Any], if_version: int | None
) -> Task:
    """Change fields; what is not among `changes` stays."""
    if "parent_id" in changes:
        await placement.lock_tree(work, task_id)
    task = await work.editable(Task, task_id)
    values = checked(work, changes)
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
    values = {} if task.status.is_open else checked(work, {"status": TaskStatus.TODO})
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
    record(work, EventKind.TASK_DELETED, task, [("deleted_at", None, work.now)])
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
    if await _hangs_on_trash(work, task):
        raise BadInput(
            "Its project or the task above it is in the trash; restore that first.", path=("id",)
        )
    deleted_at = task.deleted_at
    await work.session.execute(
        update(Task).where(Task.deleted_with == task.id).values(deleted_at=None, deleted_with=None)
    )
    await work.session.refresh(task)
    task.version += 1
    task.updated_at = work.now
    record(work, EventKind.TASK_RESTORED, task, [("deleted_at", deleted_at, None)])
    await work.session.flush()
    return task


async def _hangs_on_trash(work: Work, task: Task) -> bool:
    """Whether the task, brought back alone, would hang on something that nobody sees."""
    parent = select(Task.id).where(Task.id == task.parent_id, Task.deleted_at.is_not(None))
    project = select(Project.id).where(
        Project.id == task.project_id, Project.deleted_at.is_not(None)
    )
    return bool(await work.session.scalar(select(or_(parent.exists(), project.exists()))))


async def _apply(work: Work, task: Task, values: dict[str, Any], if_version: int | None) -> None:
    before = task.assignee_id
    reassigned = "assignee_id" in values and values["assignee_id"] != before
    if reassigned and values["assignee_id"] is not None:
        await _demand_assignable(work, task, values["assignee_id"])
    changes = apply(work, task, values, if_version)
    if not changes:
        return
    if "root_id" in values:
        await placement.move_subtree(work, task)
    record(work, kind_of(changes), task, changes)
    await work.session.flush()
    if reassigned and before is not None:
        await sight.tell_of_losses(work, [(task, before)])
        await work.session.flush()


async def _demand_assignable(work: Work, task: Task, user_id: UUID) -> None:
    """To assign somebody who does not yet see the task is to share it."""
    await assignable(work, user_id)
    if not await sight.sees(work, task.id, user_id):
        await work.demand(task, access.share, "show it to others", path=("assignee_id",))
