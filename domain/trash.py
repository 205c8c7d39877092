"""Empty the trash: rows that have been in it for 30 days are deleted permanently.

Tasks go before projects, the lowest first, so that no single statement deletes a large project's
rows; what belongs to a row (shares, members) follows by its foreign key. A task that has anything
below it, and a project that has any task, is not deleted: the foreign keys prevent it, so that no
mistake here can delete a task that is in use. The log keeps its events.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from sqlalchemy import ColumnElement, case, delete, not_, or_, select
from sqlalchemy.orm import aliased

from db.models import Project, Task, TimeEntry, User
from domain.work import Work

KEPT = dt.timedelta(days=30)
CHUNK_SIZE = 1_000


class Purged(NamedTuple):
    """The number of rows deleted."""

    projects: int
    tasks: int


async def purge(work: Work, *, chunk: int = CHUNK_SIZE) -> Purged:
    """Delete up to `chunk` tasks and `chunk` projects whose time in the trash is over.

    Call it again, in another work, until it finds nothing. A project is deleted once none of the
    tasks that were deleted with it is left.
    """
    over = work.now - KEPT
    below = aliased(Task)
    stays = or_(below.deleted_at.is_(None), below.deleted_at > over)
    holds_another = (
        select(below.id)
        .where(or_(below.parent_id == Task.id, below.root_id == Task.id), stays)
        .exists()
    )
    tasks = await work.session.scalars(
        delete(Task)
        .where(
            Task.id.in_(
                select(Task.id)
                .where(Task.deleted_at <= over, not_(holds_another))
                .order_by(_level().desc(), Task.id)
                .limit(chunk)
                .with_for_update(skip_locked=True)
            )
        )
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    )
    gone = len(tasks.all())
    if gone == chunk:
        return Purged(projects=0, tasks=gone)
    projects = await work.session.scalars(
        select(Project.id)
        .where(
            Project.deleted_at <= over,
            not_(select(below.id).where(below.project_id == Project.id).exists()),
        )
        .order_by(Project.id)
        .limit(chunk)
        .with_for_update()
    )
    ended = projects.all()
    # Time stays with its user. That of deleted users could then be read by nobody.
    deleted_users = select(User.id).where(User.deleted_at.is_not(None))
    of_deleted_users = delete(TimeEntry).where(
        TimeEntry.project_id.in_(ended), TimeEntry.user_id.in_(deleted_users)
    )
    for statement in (of_deleted_users, delete(Project).where(Project.id.in_(ended))):
        await work.session.execute(statement.execution_options(synchronize_session=False))
    return Purged(projects=len(ended), tasks=gone)


def _level() -> ColumnElement[int]:
    """The level of a task: 0 without a parent, at most 2."""
    return case((Task.parent_id.is_(None), 0), (Task.parent_id == Task.root_id, 1), else_=2)
