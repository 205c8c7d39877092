"""Empty the trash: rows that have been in it for 30 days are deleted permanently.

Tasks go before projects, and those without subtasks before others, some in each transaction; before
them goes what belongs to them (`domain.dependents`). A task that has anything below it, and a
project that has any task, is not deleted: the foreign keys prevent it, so that no mistake here can
delete a task that is in use. The log keeps its events.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import aliased

from db.models import Project, Task, TimeEntry, User
from domain import dependents
from domain.pruning import delete_some
from domain.work import Work

KEPT = dt.timedelta(days=30)
"""How long rows can be restored. After that they are gone, though it may take a while until all of
them are: a project whose tasks are being deleted must not come back without them.
"""
CHUNK_SIZE = 500


class Purged(NamedTuple):
    """The number of rows deleted. `more`: whether there is more that belongs to them."""

    projects: int = 0
    tasks: int = 0
    more: bool = False


def is_over(work: Work, deleted_at: dt.datetime | None) -> bool:
    """Whether the time in the trash of something that was deleted then is over."""
    return deleted_at is not None and deleted_at <= work.now - KEPT


async def purge(work: Work, *, chunk: int = CHUNK_SIZE) -> Purged:
    """Delete up to `chunk` tasks whose time in the trash is over, or up to `chunk` such projects.

    Call it again, in another work, until it finds nothing. A project is deleted once none of the
    tasks that were deleted with it is left.
    """
    over = work.now - KEPT
    below = aliased(Task)
    has_subtasks = select(below.id).where(or_(below.parent_id == Task.id, below.root_id == Task.id))
    tasks = await work.session.scalars(
        select(Task.id)
        .where(Task.deleted_at <= over, ~has_subtasks.exists())
        .order_by(Task.deleted_at)
        .limit(chunk)
        .with_for_update(skip_locked=True)
    )
    if ids := tasks.all():
        if await dependents.remove_some(work, Task, ids):
            return Purged(more=True)
        await _delete(work, Task, ids)
        return Purged(tasks=len(ids))
    projects = await work.session.scalars(
        select(Project.id)
        .where(
            Project.deleted_at <= over,
            ~select(below.id).where(below.project_id == Project.id).exists(),
        )
        .order_by(Project.id)
        .limit(chunk)
        .with_for_update()
    )
    ids = projects.all()
    if not ids:
        return Purged()
    # Time stays with its user. That of deleted users could then be read by nobody.
    of_deleted_users = TimeEntry.user_id.in_(select(User.id).where(User.deleted_at.is_not(None)))
    inside = TimeEntry.project_id.in_(ids)
    if await delete_some(work, TimeEntry, inside & of_deleted_users, most=dependents.MOST):
        return Purged(more=True)
    if await dependents.remove_some(work, Project, ids):
        return Purged(more=True)
    await _delete(work, Project, ids)
    return Purged(projects=len(ids))


async def _delete(work: Work, model: type[Task | Project], ids: Sequence[UUID]) -> None:
    await work.session.execute(
        delete(model).where(model.id.in_(ids)).execution_options(synchronize_session=False)
    )
