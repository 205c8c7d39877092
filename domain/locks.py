"""Locks that keep a check on another row true until the change is committed.

What is checked on another row (its project is open, its parent is not deleted, the viewer is an
editor) is locked before it is read, in one order everywhere:

1. projects, by id; 2. the order of a list or of its trees (advisory locks, by name; see
`domain.tasks.placement`); 3. tasks, by id, all that an operation needs in one statement; 4. what
belongs to a task (comments, shares, attachments).

A check takes FOR KEY SHARE, like PostgreSQL's own check of a foreign key: many transactions hold it
at once, and numbering tasks does not conflict with it. A change of what is checked (deleting,
archiving or restoring a project, changing its members, moving or deleting a task) takes FOR UPDATE,
and so waits for all of them and blocks new ones. A bulk update takes FOR NO KEY UPDATE, which
excludes other changes of its tasks, but no new row that refers to them: a worker that writes
notifications of the same tasks in another order would otherwise deadlock with it. The statement
that follows a lock sees what the last holder committed.

`lock_owner` is for limits: only one transaction at a time counts what a user has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Select,
    Text,
    Uuid,
    bindparam,
    func,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import aliased

from db.base import Base
from db.models import Project, Task, User
from db.statements import Statement
from errors import Conflict

if TYPE_CHECKING:
    from domain.work import Work

# How often to look again for the project of a row that was moved in the meantime.
ATTEMPTS: Final = 5

_PLACE: Final = (Task.id, Task.project_id, Task.owner_id)


async def lock_row(work: Work, model: type[Base], id_: UUID) -> None:
    """Lock a row FOR UPDATE, after its project and its task."""
    statement = _row(model)
    for _ in range(ATTEMPTS):
        rows = await work.fetch(statement, {"id": id_})
        if not rows or rows[0].project_id == rows[0].locked_project_id:
            return
    raise Conflict("This was moved by someone else at the same time. Try again.")


async def lock_projects(work: Work, ids: Collection[UUID], *, alone: bool = False) -> None:
    """Keep projects as they are until the commit. `alone`: exclude other transactions that check
    them.
    """
    if ids:
        await work.fetch(_PROJECTS_ALONE if alone else _PROJECTS, {"ids": list(ids)})


async def lock_tasks(
    work: Work,
    ids: Collection[UUID],
    *,
    changing: bool = False,
    trees: bool = False,
    projects: Collection[UUID] = (),
) -> None:
    """Keep tasks where they are, and out of the trash, until the commit: their projects (and other
    `projects`) first.

    `changing`: exclude other changes of them. `trees`: exclude checks of them too, with everything
    above and below them, and one at a time among the changes of a project's structure, or of a
    user's own tasks: two that put two tasks below each other would otherwise each see the other one
    still above.
    """
    if not ids:
        await lock_projects(work, projects)
        return
    params = {"ids": list(ids)}
    for _ in range(ATTEMPTS):
        homes = _homes(await work.fetch(_HOMES, params), ids)
        inside = {project for project, _ in homes if project is not None}
        await lock_projects(work, inside.union(projects))
        if trees:
            names = {f"tree of {project or owner}" for project, owner in homes}
            names |= {f"tree of {project}" for project in projects}
            await work.fetch(_NAMES, {"names": sorted(names)})
            locked = await work.fetch(_TREES, params)
        else:
            locked = await work.fetch(_TASKS_CHANGING if changing else _TASKS, params)
        if _homes(locked, ids) == homes:
            return
    raise Conflict("These tasks were moved by someone else at the same time. Try again.")


def _homes(rows: Iterable[Any], ids: Collection[UUID]) -> set[tuple[UUID | None, UUID]]:
    return {(row.project_id, row.owner_id) for row in rows if row.id in ids}


async def keep_rows(work: Work, model: type[Base], ids: Collection[UUID | None]) -> None:
    """Lock rows that new rows of this transaction refer to, in one order. PostgreSQL locks them
    itself as it checks the foreign keys, but in the order of the new rows, which deadlocks with
    other transactions that lock several of them.
    """
    wanted = [id_ for id_ in ids if id_ is not None]
    if wanted:
        await work.fetch(_kept(model), {"ids": wanted})


async def lock_owner(work: Work) -> None:
    """Only one transaction at a time counts what the viewer has, until the commit."""
    await work.fetch(_OWNER, {"id": work.viewer.require()})


@lru_cache(maxsize=8)
def _kept(model: Any) -> Statement:
    return _by_ids(model)


@lru_cache(maxsize=64)
def _row(model: Any) -> Statement:
    """The row, locked, with its current project, and the project that was locked before it."""
    row: Any = aliased(model)
    id_ = bindparam("id", type_=Uuid())
    query = select(row.id).where(row.id == id_).with_for_update(of=row)
    if hasattr(model, "project_id"):
        read = aliased(model)
        above = _locked(Project, select(read.project_id).where(read.id == id_), "project")
        current = row.project_id
    elif hasattr(model, "task_id"):
        read, task = aliased(model), aliased(Task)
        task_id = select(read.task_id).where(read.id == id_)
        project_id = select(task.project_id).where(task.id == task_id.scalar_subquery())
        project = _locked(Project, project_id, "project")
        above = _locked(Task, task_id, "task", after=project)
        now = aliased(Task)
        current = select(now.project_id).where(now.id == row.task_id).scalar_subquery()
        locked = select(project.c.id).scalar_subquery()
        return Statement(
            query.add_columns(current.label("project_id"), locked.label("locked_project_id")).where(
                _all_of(above)
            )
        )
    else:
        nothing = null().label("project_id"), null().label("locked_project_id")
        return Statement(query.add_columns(*nothing))
    locked = select(above.c.id).scalar_subquery()
    return Statement(
        query.add_columns(current.label("project_id"), locked.label("locked_project_id")).where(
            _all_of(above)
        )
    )


def _locked(model: Any, id_: Select[Any], name: str, *, after: CTE | None = None) -> CTE:
    row = aliased(model)
    query = select(row.id).where(row.id == id_.scalar_subquery())
    if after is not None:
        query = query.where(_all_of(after))
    return query.with_for_update(key_share=True, read=True).cte(name)


def _all_of(locked: CTE) -> ColumnElement[bool]:
    """A condition that is evaluated once, before any row of its query is locked."""
    return select(func.count(locked.c.id)).scalar_subquery() >= 0


def _by_ids(model: Any, *, read: bool = True, key_share: bool = True) -> Statement:
    ids = bindparam("ids", type_=ARRAY(Uuid()))
    columns = _PLACE if model is Task else (model.id,)
    return Statement(
        select(*columns)
        .where(model.id == ids.any_())
        .order_by(model.id)
        .with_for_update(key_share=key_share, read=read)
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
        select(*_PLACE)
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


_PROJECTS = _by_ids(Project)
_PROJECTS_ALONE = _by_ids(Project, read=False, key_share=False)
_TASKS = _by_ids(Task)
_TASKS_CHANGING = _by_ids(Task, read=False)
_TREES = _trees()
_NAMES = _names()
_HOMES = Statement(select(*_PLACE).where(Task.id == bindparam("ids", type_=ARRAY(Uuid())).any_()))
_OWNER = Statement(
    select(User.id).where(User.id == bindparam("id", type_=Uuid())).with_for_update(key_share=True)
)
