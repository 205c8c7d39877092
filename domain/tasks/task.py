"""Tasks: the operations on one task. Its position among others is in `domain.tasks.placement`, its
creation in `domain.tasks.task_creation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import or_, select, update

from auth import access
from db.models import Project, Task, TaskStatus
from domain import locks, rights_change, rules, trash
from domain.tasks import placement, reference_rows, task_values
from domain.tasks.task_creation import assignable, create, create_in_one_statement
from domain.tasks.task_values import (
    Changes,
    NewTask,
    Subtasks,
    apply,
    checked,
    kind_of,
    record,
    record_restored,
)
from domain.work import Work, archived
from errors import BadInput, Forbidden, NotFound
from events.kinds import EventKind

__all__ = [
    "Deleted",
    "NewTask",
    "Subtasks",
    "assign",
    "complete",
    "create",
    "create_in_one_statement",
    "delete",
    "reopen",
    "restore",
    "update_task",
]

# What an update of one task may name.
CHANGEABLE = task_values.CHANGEABLE | {"parent_id"}


async def update_task(
    work: Work, task_id: UUID, changes: Mapping[str, Any], if_version: int | None
) -> Task:
    """Change fields; fields that are not in `changes` stay unchanged."""
    values = checked(work, changes)
    if "parent_id" in changes:
        await _lock_tree(work, task_id, beside=changes["parent_id"])
    task = await work.editable(Task, task_id)
    if "assignee_id" in changes:
        values["assignee_id"] = changes["assignee_id"]
    if "parent_id" in changes:
        parent = await placement.parent_for(
            work, changes["parent_id"], child=task, project_id=task.project_id
        )
        values["parent_id"] = None if parent is None else parent.id
        values["root_id"] = None if parent is None else parent.root_id or parent.id
    await _apply(work, task, values, if_version)
    return task


async def complete(work: Work, task_id: UUID, if_version: int | None) -> Task:
    """Set the status COMPLETED; a task that is already completed stays as it is."""
    return await update_task(work, task_id, {"status": TaskStatus.COMPLETED}, if_version)


async def reopen(work: Work, task_id: UUID, if_version: int | None) -> Task:
    """Set the status of a completed or cancelled task to TODO."""
    task = await work.editable(Task, task_id)
    values = {} if task.status.is_open else checked(work, {"status": TaskStatus.TODO})
    await _apply(work, task, values, if_version)
    return task


async def assign(
    work: Work, task_id: UUID, assignee_id: UUID | None, if_version: int | None
) -> Task:
    """Assign the task to a user, or to nobody."""
    return await update_task(work, task_id, {"assignee_id": assignee_id}, if_version)


class Deleted(NamedTuple):
    """A task that was moved to the trash, and the IDs of all tasks that went: its own, then those
    of its subtasks.
    """

    task: Task
    ids: list[UUID]


async def delete(
    work: Work,
    task_id: UUID,
    if_version: int | None,
    subtasks: Subtasks = Subtasks.DELETE,
) -> Deleted:
    """Move a task to the trash for 30 days: its subtasks go with it, or move up."""
    await _lock_tree(work, task_id)
    task = await work.deletable(Task, task_id)
    work.check_version(task, if_version, fields=[], ref="task")
    gone: list[UUID] = []
    async with rights_change.guarded(work, [task.id], told=gone) as before:
        if subtasks is Subtasks.MOVE_UP:
            await placement.move_up(work, {task.id: task}, without={task.id: task})
        else:
            demand_all_deletable(work, before, task.id)
        went = await work.session.scalars(
            update(Task)
            .where(Task.id.in_(placement.tree(task.id)), Task.deleted_at.is_(None))
            .values(deleted_at=work.now, deleted_with=task.id)
            .returning(Task.id)
            .execution_options(synchronize_session=False)
        )
        gone += [task.id, *sorted({*went} - {task.id})]
        await work.session.refresh(task)
        task.version += 1
        task.updated_at = work.now
        watchers = before.watchers()
        rights_change.record_deleted(
            work, [(one, task.project_id, watchers.get(one, ())) for one in gone]
        )
    await work.session.flush()
    return Deleted(task, gone)


def demand_all_deletable(
    work: Work, before: rights_change.Snapshot, task_id: UUID, path: rules.Path = ("id",)
) -> None:
    """Raise `Forbidden` unless the viewer may delete everything below the task."""
    viewer = work.viewer.require()
    kept = [one for one in before.living_below(task_id) if (one, viewer) not in before.managers]
    if kept:
        what = "1 subtask" if len(kept) == 1 else f"{len(kept)} subtasks"
        raise Forbidden(
            f"You cannot delete {what} of this task. Use `subtasks: MOVE_UP` to keep all "
            "subtasks, one level higher.",
            path=path,
        )


async def restore(work: Work, task_id: UUID) -> Task:
    """Restore a task from the trash, with the subtasks that were deleted with it."""
    await locks.lock_tasks(work, [task_id], trees=True)
    found = (
        await work.session.execute(
            select(Task, access.delete(work.viewer, Task, trashed=True)).where(
                Task.id == task_id, access.delete(work.viewer, Task, trashed=True, archived=True)
            )
        )
    ).first()
    if found is None or trash.is_over(work, found[0].deleted_at):
        raise NotFound("task in the trash", path=("id",))
    task, is_open = found
    if not is_open:
        raise archived()
    if task.deleted_with != task.id:
        raise BadInput(
            "This task was deleted together with its project or parent. Restore that instead.",
            path=("id",),
        )
    if await _hangs_on_trash(work, task):
        raise BadInput(
            "The task's project or parent is in the trash. Restore that first.", path=("id",)
        )
    deleted_at = task.deleted_at
    async with rights_change.guarded(work, [task.id]):
        restored = await work.session.scalars(
            update(Task)
            .where(Task.deleted_with == task.id)
            .values(deleted_at=None, deleted_with=None)
            .returning(Task.id)
            .execution_options(synchronize_session=False)
        )
        below = sorted({*restored} - {task.id})
        await work.session.refresh(task)
        task.version += 1
        task.updated_at = work.now
        record(work, EventKind.TASK_RESTORED, task, [("deleted_at", deleted_at, None)])
        record_restored(work, below, task.project_id, deleted_at)
    return task


async def _lock_tree(work: Work, task_id: UUID, beside: UUID | None = None) -> None:
    """Lock a task that the viewer can see, everything above and below it, and one beside it."""
    await work.readable(Task, task_id)
    ids = [task_id] if beside is None else [task_id, beside]
    await locks.lock_tasks(work, ids, trees=True)


async def _hangs_on_trash(work: Work, task: Task) -> bool:
    """Whether the task, restored alone, would belong to a parent or project in the trash."""
    parent = select(Task.id).where(Task.id == task.parent_id, Task.deleted_at.is_not(None))
    project = select(Project.id).where(
        Project.id == task.project_id, Project.deleted_at.is_not(None)
    )
    return bool(await work.session.scalar(select(or_(parent.exists(), project.exists()))))


async def _apply(work: Work, task: Task, values: dict[str, Any], if_version: int | None) -> None:
    if "external_references" in values:
        await reference_rows.prepare(work, task, values["external_references"])
    nested = "parent_id" in values and values["parent_id"] != task.parent_id
    reassigned = "assignee_id" in values and values["assignee_id"] != task.assignee_id
    if not nested and not reassigned:
        await _record_changes(work, task, apply(work, task, values, if_version))
        await work.session.flush()
        return
    assignee = values["assignee_id"] if reassigned else None
    if assignee is not None:
        await assignable(work, assignee)
    async with rights_change.guarded(
        work,
        [task.id],
        ("parent_id",) if nested else ("assignee_id",),
        assignees=() if assignee is None else (assignee,),
    ):
        changes = apply(work, task, values, if_version)
        if nested:
            await placement.move_subtree(work, task)
        await _record_changes(work, task, changes)
    await work.session.flush()


async def _record_changes(work: Work, task: Task, changes: Changes) -> None:
    if any(name == "external_references" for name, _, _ in changes):
        await reference_rows.write(work, [task])
    if changes:
        record(work, kind_of(changes), task, changes)
