"""Locks by which a check on another row stays true until the change is committed.

What is checked on another row (its project is open, its parent is not deleted, the viewer is an
editor) is locked before it is read, in one order everywhere:

1. projects, by id;
2. the order of a list or of its trees (advisory locks, by name; see `domain.placement`);
3. tasks, by id, all that an operation needs in one statement;
4. what hangs on a task (comments, shares, attachments).

A check takes FOR KEY SHARE, as PostgreSQL itself does for a foreign key: many hold it at once, and
numbering tasks does not conflict with it. What changes the thing that is checked (deleting,
archiving or restoring a project, changing its members) takes FOR UPDATE, and so waits for all of
them and lets none in. The statement that follows a lock sees what the last holder committed.

`lock_owner` is for limits: what is counted for a person is counted by one transaction at a time.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import aliased

from db.base import Base
from db.models import Project, Task, User
from db.read import Statement
from errors import Conflict

if TYPE_CHECKING:
    from domain.work import Work

# How often to look again for the project of a row that was moved meanwhile.
ATTEMPTS: Final = 5

_UNKNOWN: Final = object()


async def lock_above(work: Work, model: type[Base], id_: UUID) -> Any:
    """Lock the project and the task that a row hangs on, before the row itself; for `is_above`."""
    statement = _above(model)
    if statement is None:
        return _UNKNOWN
    rows = await work.fetch(statement, {"id": id_})
    return rows[0].project_id if rows else None


def is_above(row: Base, project_id: Any) -> bool:
    """Whether the project that was locked by `lock_above` still is the row's."""
    return project_id is _UNKNOWN or getattr(row, "project_id", project_id) == project_id


async def lock_projects(work: Work, ids: Collection[UUID], *, alone: bool = False) -> None:
    """Keep projects as they are until the commit. `alone`: nobody else may rely on them."""
    if ids:
        await work.fetch(_PROJECTS_ALONE if alone else _PROJECTS, {"ids": list(ids)})


async def lock_tasks(
    work: Work,
    ids: Collection[UUID],
    *,
    alone: bool = False,
    trees: bool = False,
    projects: Collection[UUID] = (),
) -> None:
    """Keep tasks where they are, and out of the trash, until the commit: their projects (and other
    `projects`) first.

    `alone`: nobody else may rely on the tasks. `trees`: with everything above and below them, and
    one at a time of those who change the structure of a project, or of a person's own tasks: two
    who put two tasks below each other would otherwise each see the other's still above.
    """
    if not ids:
        await lock_projects(work, projects)
        return
    params = {"ids": list(ids)}
    for _ in range(ATTEMPTS):
        homes = {(row.project_id, row.owner_id) for row in await work.fetch(_HOMES, params)}
        inside = {project for project, _ in homes if project is not None}
        await lock_projects(work, inside.union(projects))
        if trees:
            names = {f"tree of {project or owner}" for project, owner in homes}
            names |= {f"tree of {project}" for project in projects}
            await work.fetch(_NAMES, {"names": sorted(names)})
            await work.fetch(_TREES, params)
        else:
            await work.fetch(_TASKS_ALONE if alone else _TASKS, params)
        again = {(row.project_id, row.owner_id) for row in await work.fetch(_HOMES, params)}
        if again == homes:
            return
    raise Conflict("These tasks were moved at the same moment; try again.")


async def lock_owner(work: Work) -> None:
    """Only one transaction at a time counts what the viewer has, until the commit."""
    await work.fetch(_OWNER, {"id": work.viewer.require()})


@lru_cache(maxsize=64)
def _above(model: type[Base]) -> Statement | None:
    row: Any = aliased(model)
    id_ = bindparam("id", type_=Uuid())
    if hasattr(model, "project_id"):
        project_id = select(row.project_id).where(row.id == id_).scalar_subquery()
        project = aliased(Project)
        return Statement(
            select(project.id.label("project_id"))
            .where(project.id == project_id)
            .with_for_update(key_share=True, read=True)
        )
    if not hasattr(model, "task_id"):
        return None
    task_id = select(row.task_id).where(row.id == id_).scalar_subquery()
    of_task, task, project = aliased(Task), aliased(Task), aliased(Project)
    project_id = select(of_task.project_id).where(of_task.id == task_id).scalar_subquery()
    first = (
        select(project.id)
        .where(project.id == project_id)
        .with_for_update(key_share=True, read=True)
        .cte("first")
    )
    # The count is asked for before any row of the outer query is locked.
    return Statement(
        select(task.project_id)
        .where(task.id == task_id, select(func.count(first.c.id)).scalar_subquery() >= 0)
        .with_for_update(key_share=True, read=True)
    )


def _by_ids(model: Any, **mode: bool) -> Statement:
    ids = bindparam("ids", type_=ARRAY(Uuid()))
    return Statement(
        select(model.id).where(model.id == ids.any_()).order_by(model.id).with_for_update(**mode)
    )


def _trees() -> Statement:
    ids = bindparam("ids", type_=ARRAY(Uuid()))
    named = aliased(Task)
    above = (
        select(func.unnest(array([named.parent_id, named.root_id])))
        .where(named.id == ids.any_())
        .scalar_subquery()
    )
    return Statement(
        select(Task.id)
        .where(
            or_(
                Task.id == ids.any_(),
                Task.parent_id == ids.any_(),
                Task.root_id == ids.any_(),
                Task.id.in_(above),
            )
        )
        .order_by(Task.id)
        .with_for_update()
    )


def _names() -> Statement:
    name = (
        func.unnest(bindparam("names", type_=ARRAY(Text())))
        .table_valued("name", with_ordinality="place")
        .render_derived(name="wanted")
    )
    lock = func.pg_advisory_xact_lock(func.hashtextextended(name.c.name, 1))
    return Statement(select(lock.label("locked")).order_by(name.c.place))


_PROJECTS = _by_ids(Project, key_share=True, read=True)
_PROJECTS_ALONE = _by_ids(Project)
_TASKS = _by_ids(Task, key_share=True, read=True)
_TASKS_ALONE = _by_ids(Task)
_TREES = _trees()
_NAMES = _names()
_HOMES = Statement(
    select(Task.project_id, Task.owner_id).where(
        Task.id == bindparam("ids", type_=ARRAY(Uuid())).any_()
    )
)
_OWNER = Statement(
    select(User.id).where(User.id == bindparam("id", type_=Uuid())).with_for_update(key_share=True)
)
