"""What a deleted account leaves behind is removed in steps, since it can be millions of rows.

`step` does a limited number of rows of each kind, what others can see first. The deletion itself
takes one, which is all there is of most accounts; a job takes the others, each in a transaction of
its own. Whenever it is killed, another attempt continues with what is left.

From the deletion on, nobody can sign in as the user, and nothing names them: the profile is empty,
and readers of the log leave out what it says of deleted users (`graph.types.events`). What follows
is announced by the same events as if somebody had done it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from auth import access
from db.models import (
    Event,
    Notification,
    Project,
    ProjectMember,
    Role,
    Task,
    TaskShare,
    TimeEntry,
    User,
)
from db.models.event import Xid8
from db.rows import among
from domain import locks, rights_change
from domain.projects import project as projects
from domain.pruning import delete_some
from domain.tasks import assignments
from domain.time import export
from domain.work import Work
from events.kinds import EventKind

JOB: Final = "account.erase"
LIMIT: Final = 1_000
"""Rows of each kind that the deletion itself removes."""
STEP: Final = 200
"""Rows of each kind in a step of the job: readers of events wait while a transaction writes."""
# A project takes several statements.
_PROJECTS: Final = 100

Place = tuple[int, int]
"""Of an event in the log."""


async def begin(work: Work, user_id: UUID, *, first: Collection[UUID]) -> None:
    """Take the first step, and queue the others if there is more. `first`: tasks to begin with."""
    more = await step(work, user_id, limit=LIMIT, first=first)
    place = await clear_events(work, user_id, None, limit=LIMIT)
    if more or place is not None:
        await work.enqueue(JOB, {"user": user_id})


async def step(
    work: Work, user_id: UUID, *, limit: int = STEP, first: Collection[UUID] = ()
) -> bool:
    """Remove up to `limit` rows of each kind. Returns whether there may be more."""
    parts: tuple[Callable[[Work, UUID, int], Awaitable[bool]], ...] = (
        _leave_projects,
        partial(_delete_tasks, first=first),
        _unassign,
        _delete_shares,
        _delete_time,
        _delete_exports,
        _delete_notifications,
    )
    return any([await part(work, user_id, limit) for part in parts])


def personal(user_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """The user's personal tasks that are not in the trash."""
    return Task.project_id.is_(None), Task.owner_id == user_id, Task.deleted_at.is_(None)


async def has_personal(work: Work, user_id: UUID) -> bool:
    """Whether the user has personal tasks."""
    return bool(await work.session.scalar(select(exists().where(*personal(user_id)))))


async def seen_by_others(work: Work, user_id: UUID) -> dict[UUID, list[UUID]]:
    """By task, the other users who can see it: of the user's personal tasks, and of the projects
    that they own.
    """
    owned = select(Project.id).where(Project.owner_id == user_id, Project.deleted_at.is_(None))
    among = or_(
        and_(*personal(user_id)), and_(Task.project_id.in_(owned), Task.deleted_at.is_(None))
    )
    everyone = access.holders(access.TASK_GRANTS, Task, among).subquery("everyone")
    rows = await work.session.execute(
        select(everyone.c.task_id, func.array_agg(everyone.c.person_id).label("people"))
        .where(everyone.c.sees, everyone.c.person_id != user_id)
        .group_by(everyone.c.task_id)
    )
    return {row.task_id: row.people for row in rows}


async def _leave_projects(work: Work, user_id: UUID, limit: int) -> bool:
    """End memberships, and delete projects of which the user is the only member. That of an owner
    stays in the trash, with the project.
    """
    mine = (
        select(ProjectMember.id, ProjectMember.project_id, ProjectMember.role)
        .join(Project, Project.id == ProjectMember.project_id)
        .where(
            ProjectMember.user_id == user_id,
            or_(ProjectMember.role != Role.OWNER, Project.deleted_at.is_(None)),
        )
        .order_by(ProjectMember.project_id)
        .limit(min(limit, _PROJECTS))
    )
    ids = [row.project_id for row in await work.session.execute(mine)]
    await locks.lock_projects(work, ids, alone=True)
    # Once more: what was read before the lock may have changed.
    for row in (await work.session.execute(mine.where(ProjectMember.project_id.in_(ids)))).all():
        if row.role is Role.OWNER:
            await projects.close(work, row.project_id)
        else:
            await projects.leave_for_good(work, row.id)
    await work.session.flush()
    return len(ids) == min(limit, _PROJECTS)


async def _delete_tasks(
    work: Work, user_id: UUID, limit: int, *, first: Collection[UUID] = ()
) -> bool:
    """Move personal tasks, and those of deleted projects, to the trash."""
    closed = select(Project.id).where(Project.owner_id == user_id, Project.deleted_at.is_not(None))
    inside = and_(Task.project_id.in_(closed), Task.deleted_at.is_(None))
    order: Any = case((among(Task.id, first), 0), else_=1)
    query = select(Task.id).where(or_(and_(*personal(user_id)), inside)).order_by(order, Task.id)
    ids = (await work.session.scalars(query.limit(limit))).all()
    await locks.lock_tasks(work, ids, trees=True)
    watchers = (await rights_change.snapshot(work, ids)).watchers()
    gone = await work.session.execute(
        update(Task)
        .where(Task.id.in_(ids), Task.deleted_at.is_(None))
        .values(deleted_at=work.now, deleted_with=func.coalesce(Task.project_id, user_id))
        .returning(Task.id, Task.project_id)
        .execution_options(synchronize_session=False)
    )
    rights_change.record_deleted(
        work,
        [
            (row.id, row.project_id, [*{*watchers.get(row.id, ())} - {user_id}])
            for row in sorted(gone.all())
        ],
    )
    return len(ids) == limit


async def _unassign(work: Work, user_id: UUID, limit: int) -> bool:
    """End assignments, in the trash too."""
    mine = Task.assignee_id == user_id
    ids = (await work.session.scalars(select(Task.id).where(mine).limit(limit))).all()
    await locks.lock_tasks(work, ids, changing=True)
    await assignments.end(work, user_id, Task.id.in_(ids))
    return len(ids) == limit


async def _delete_shares(work: Work, user_id: UUID, limit: int) -> bool:
    """End what was shared with the user."""
    query = select(TaskShare, Task.project_id, Task.owner_id, Task.deleted_at).join(
        Task, Task.id == TaskShare.task_id
    )
    found = (
        await work.session.execute(
            query.where(TaskShare.user_id == user_id).order_by(TaskShare.id).limit(limit)
        )
    ).all()
    for share, project_id, owner_id, deleted_at in found:
        if deleted_at is None:
            work.record(
                EventKind.TASK_SHARE_DELETED,
                share,
                [("user", user_id, None), ("permission", share.permission, None)],
                task_id=share.task_id,
                project_id=project_id,
            )
            work.touched_users.update((owner_id, share.shared_by_id))
    await work.session.execute(
        delete(TaskShare)
        .where(TaskShare.id.in_([row[0].id for row in found]))
        .execution_options(synchronize_session=False)
    )
    return len(found) == limit


async def _delete_time(work: Work, user_id: UUID, limit: int) -> bool:
    """Delete time outside projects, which nobody else can see."""
    alone = and_(TimeEntry.user_id == user_id, TimeEntry.project_id.is_(None))
    return await delete_some(work, TimeEntry, alone, most=limit) == limit


async def _delete_exports(work: Work, user_id: UUID, limit: int) -> bool:
    return await export.delete_some_of(work, user_id, limit) == limit


async def _delete_notifications(work: Work, user_id: UUID, limit: int) -> bool:
    mine = Notification.recipient_id == user_id
    return await delete_some(work, Notification, mine, most=limit) == limit


async def clear_events(
    work: Work, user_id: UUID, before: Place | None, *, limit: int = STEP
) -> Place | None:
    """Erase what identifies the user from their events before a place, the latest first: addresses,
    and changes of the profile. Returns the place to continue from, None if there are no more.
    """
    await work.write_events()
    place = tuple_(Event.xid, Event.position)
    mine = select(Event.xid, Event.position).where(Event.actor_id == user_id)
    if before is not None:
        xid, position = before
        mine = mine.where(place < tuple_(literal(xid, Xid8()), literal(position, BigInteger())))
    latest = mine.order_by(Event.xid.desc(), Event.position.desc()).limit(limit)
    rows = (await work.session.execute(latest)).all()
    of_profile = and_(Event.subject_id == user_id, Event.subject_type == User.__name__)
    await work.session.execute(
        update(Event)
        .where(Event.position.in_([row.position for row in rows]))
        .where(or_(Event.ip.is_not(None), of_profile))
        .values(ip=None, changes=case((of_profile, literal([], JSONB)), else_=Event.changes))
        .execution_options(synchronize_session=False)
    )
    if before is None:
        # What administrators changed, which is little.
        by_others = and_(of_profile, Event.actor_id.is_distinct_from(user_id))
        await work.session.execute(
            update(Event)
            .where(by_others)
            .values(changes=[])
            .execution_options(synchronize_session=False)
        )
    return None if len(rows) < limit else (rows[-1].xid, rows[-1].position)
