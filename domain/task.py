"""Tasks: what can be done with one. Where a task stands among others is `domain.placement`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, or_, select, update

from auth import access
from db.models import Event, Project, Task, TaskStatus, User
from db.read import Statement
from domain import placement, rules, sight
from domain.project import demand_editor
from domain.task_values import NewTask, apply, checked, checked_new, event_of, kind_of, record
from domain.work import Work
from errors import BadInput, NotFound
from events.kinds import EventKind

__all__ = [
    "NewTask",
    "assign",
    "complete",
    "create",
    "delete",
    "reopen",
    "restore",
    "update_task",
]


async def create(work: Work, new: NewTask) -> Task:
    """Make a task in a project, below another task, or a personal one.

    The task that is returned tells what was written; it is no part of the session.
    """
    user_id = work.viewer.require()
    values = checked_new(work, new)
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
        **{"due_at": None, "due_on": None, "due_timezone": None, **values},
        id=new.id or work.new_id(),
        project_id=project_id,
        number=None,
        position=await placement.at_end(work, project_id, user_id),
        owner_id=user_id,
        assignee_id=new.assignee_id,
        parent_id=None if parent is None else parent.id,
        root_id=None if parent is None else parent.root_id or parent.id,
        created_at=work.now,
        updated_at=work.now,
        deleted_at=None,
        deleted_with=None,
        version=1,
    )
    event = event_of(work, EventKind.TASK_CREATED, task)
    columns = {name: getattr(task, name) for name in _COLUMNS}
    (row,) = await work.fetch(
        _INSERT_PERSONAL if project_id is None else _INSERT_IN_PROJECT,
        {f"task_{name}": value for name, value in columns.items()}
        | {f"event_{name}": value for name, value in event.items()},
    )
    task.number = row.number
    return task


_COLUMNS = tuple(column.key for column in Task.__table__.columns if column.computed is None)
_EVENT_COLUMNS = tuple(
    column.key for column in Event.__table__.columns if column.key not in {"position", "xid"}
)


def _insertion(*, in_project: bool) -> Statement:
    """A task, its number and its event, in one statement.

    Numbering locks the project's row until the commit: no gap, no twin.
    """
    values: dict[str, Any] = {
        name: bindparam(f"task_{name}", type_=Task.__table__.columns[name].type)
        for name in _COLUMNS
    }
    if in_project:
        numbered = (
            update(Project)
            .where(Project.id == values["project_id"])
            .values(last_number=Project.last_number + 1)
            .returning(Project.last_number)
            .cte("numbered")
        )
        values["number"] = select(numbered.c.last_number).scalar_subquery()
    logged = (
        insert(Event)
        .values(
            {
                name: bindparam(f"event_{name}", type_=Event.__table__.columns[name].type)
                for name in _EVENT_COLUMNS
            }
        )
        .cte("logged")
    )
    return Statement(insert(Task).values(values).returning(Task.number).add_cte(logged))


_INSERT_IN_PROJECT = _insertion(in_project=True)
_INSERT_PERSONAL = _insertion(in_project=False)


async def update_task(
    work: Work, task_id: UUID, changes: Mapping[str, Any], if_version: int | None
) -> Task:
    """Change fields; what is not among `changes` stays."""
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


async def _assignable(work: Work, user_id: UUID) -> User:
    user = await work.readable(User, user_id, path=("assignee_id",))
    if not user.is_active:
        raise BadInput("This account is deactivated.", path=("assignee_id",))
    return user


async def _demand_assignable(work: Work, task: Task, user_id: UUID) -> None:
    """To assign somebody who does not yet see the task is to share it."""
    await _assignable(work, user_id)
    if not await sight.sees(work, task.id, user_id):
        await work.demand(task, access.share, "show it to others", path=("assignee_id",))
