"""Deleting an account permanently.

The row stays without a name, so that comments and tasks of others keep an author. Everything that
identifies the user is erased: names, address, password, IP addresses of sessions, and the log's
record of the profile. Others must not lose a project, so projects with other members must be
transferred first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from auth.authenticator import Authenticator
from db.models import (
    ApiKey,
    Device,
    Event,
    Job,
    Notification,
    NotificationPreferences,
    Project,
    ProjectMember,
    RefreshToken,
    Reminder,
    Role,
    Session,
    Task,
    TaskShare,
    TimeEntry,
    User,
    WeekDay,
)
from domain import locks, rights_change
from domain.accounts import credentials
from domain.accounts.session import end_sessions, proven, still_holding
from domain.integrations import integration, webhook
from domain.projects import project as projects
from domain.tasks import placement, ranks, task_values
from domain.time import export, timer
from domain.work import Work
from errors import BadInput, Forbidden
from events.kinds import EventKind


class Deleted(NamedTuple):
    """The deleted user, and how many tasks others can no longer see because of it."""

    user_id: UUID
    lost_tasks: int


async def delete_oneself(
    work: Work, auth: Authenticator, *, password: str, transfer_to: UUID | None = None
) -> Deleted:
    """Delete the viewer's own account, given their password.

    Raises `Forbidden`, with the names, while they own projects that have other members. Projects
    without other members, and their personal tasks with all subtasks, go to the trash.
    `transfer_to`: a user who becomes the owner of those personal tasks that they can see.
    """
    user_id, kept = await proven(work, auth, password, "password")
    user = await still_holding(work, user_id, kept, path="password")
    await _demand_handed_over(work, user)
    heir = None if transfer_to is None else await _heir(work, user, transfer_to)
    await timer.stop_for(work, user.id)
    await export.give_up_all(work, user.id)
    lost = await _leave_projects(work, user)
    lost |= await _leave_tasks(work, user, heir)
    work.record(EventKind.USER_DELETED, user, audience=[user.id])
    await end_sessions(work, auth, user.id, "the account was deleted")
    await work.session.flush()
    await _erase(work, user)
    return Deleted(user.id, len(lost))


async def _heir(work: Work, user: User, heir_id: UUID) -> User:
    path = ("transfer_to_id",)
    heir = await work.readable(User, heir_id, path=path)
    if heir.id == user.id:
        raise BadInput("transferToId must be another user.", path=path)
    if not heir.is_active:
        raise BadInput(
            "transferToId must be an active account; this one is deactivated.", path=path
        )
    return heir


async def _demand_handed_over(work: Work, user: User) -> None:
    other = aliased(ProjectMember)
    names = list(
        await work.session.scalars(
            select(Project.name)
            .where(
                Project.owner_id == user.id,
                Project.deleted_at.is_(None),
                exists().where(other.project_id == Project.id, other.user_id != user.id),
            )
            .order_by(Project.name_key)
        )
    )
    if names:
        shown = ", ".join(f"“{name}”" for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise Forbidden(
            f"You own projects with other members: {shown}{more}. Transfer them with "
            "`projectTransfer` or delete them before you delete your account."
        )


async def _leave_projects(work: Work, user: User) -> set[UUID]:
    """End all memberships, in the trash too. Returns the tasks that others lose."""
    memberships = (
        await work.session.execute(
            select(
                ProjectMember.id,
                ProjectMember.project_id,
                ProjectMember.role,
                Project.deleted_at.is_not(None).label("trashed"),
            )
            .join(Project, Project.id == ProjectMember.project_id)
            .where(ProjectMember.user_id == user.id)
            .order_by(ProjectMember.project_id)
        )
    ).all()
    await locks.lock_projects(work, [one.project_id for one in memberships], alone=True)
    lost: set[UUID] = set()
    for member_id, project_id, role, trashed in memberships:
        if trashed:
            if role is not Role.OWNER:
                await work.session.execute(
                    delete(ProjectMember).where(ProjectMember.id == member_id)
                )
        elif role is Role.OWNER:
            seen = await rights_change.seen_in_project(work, project_id)
            lost.update(task for task, people in seen.items() if set(people) - {user.id})
            await projects.delete(work, project_id, None)
        else:
            await projects.remove_member(work, member_id)
    return lost


async def _leave_tasks(work: Work, user: User, heir: User | None) -> set[UUID]:
    """Move personal tasks to the heir or the trash; end assignments and shares. Returns the tasks
    that others lose.
    """
    personal = and_(Task.project_id.is_(None), Task.owner_id == user.id, Task.deleted_at.is_(None))
    concerned = await work.session.scalars(
        select(Task.id).where(or_(personal, Task.assignee_id == user.id))
    )
    await locks.lock_tasks(work, concerned.all(), trees=True)
    own = {task.id: task for task in await work.session.scalars(select(Task).where(personal))}
    before = await rights_change.snapshot(work, own)
    kept = (
        {}
        if heir is None
        else {task.id: task for task in own.values() if before.sees(task.id, heir.id)}
    )
    if heir is not None and own and not kept:
        raise BadInput(
            "transferToId must be a user who can see your personal tasks; share the tasks first.",
            path=("transfer_to_id",),
        )
    if heir is not None and kept:
        await _hand_over(work, kept, heir)
    gone = [task for task in own.values() if task.id not in kept]
    for task in gone:
        work.apply(task, {"deleted_at": work.now, "deleted_with": user.id})
    watchers = before.watchers()
    rights_change.record_deleted(
        work, [(task.id, None, [*{*watchers[task.id]} - {user.id}]) for task in gone]
    )
    await _unassign(work, user)
    await work.session.execute(delete(TaskShare).where(TaskShare.user_id == user.id))
    await work.session.flush()
    after = await rights_change.snapshot(work, before.projects)
    rights_change.record_lost_access(work, before, after, told=set(own) - set(kept))
    return {task for task, who in before.losses(after).items() if set(who) - {user.id}}


async def _hand_over(work: Work, tasks: Mapping[UUID, Task], heir: User) -> None:
    """Give tasks a new owner; tasks whose parent is not among them become top-level tasks."""
    last = await placement.lock_and_find_ends(work, [(None, heir.id)])
    order = sorted(tasks.values(), key=lambda task: (task.position, task.id))
    new_ranks = ranks.after(last.get((None, heir.id)), len(order))
    for task, rank in zip(order, new_ranks, strict=True):
        values = {"owner_id": heir.id, "position": rank}
        if task.parent_id is not None and task.parent_id not in tasks:
            values |= {"parent_id": None, "root_id": None}
        changes = work.apply(task, values, ignore=("position", "root_id"))
        task_values.record(work, EventKind.TASK_UPDATED, task, changes)
    for task in order:
        if task.parent_id is not None:
            # The parent is a top-level task now, or its root stays the same.
            task.root_id = tasks[task.parent_id].root_id or task.parent_id
    await work.session.flush()
    # Tasks are not shared with their owner.
    await work.session.execute(
        delete(TaskShare).where(TaskShare.task_id.in_(tasks), TaskShare.user_id == heir.id)
    )


async def _unassign(work: Work, user: User) -> None:
    tasks = await work.session.scalars(
        select(Task).where(Task.assignee_id == user.id).order_by(Task.id)
    )
    for task in tasks.all():
        changes = work.apply(task, {"assignee_id": None})
        if task.deleted_at is None:
            task_values.record(work, EventKind.TASK_ASSIGNED, task, changes)


async def _erase_unseen(work: Work, user: User) -> None:
    """Delete what no one else can see: time outside projects, and jobs that name the user."""
    await work.session.execute(
        delete(TimeEntry).where(TimeEntry.user_id == user.id, TimeEntry.project_id.is_(None))
    )
    value = func.jsonb_each_text(Job.payload).table_valued("key", "value", name="part")
    named = (
        select(1)
        .select_from(value)
        .where(func.lower(value.c.value).in_([user.email.lower(), user.id.hex]))
    )
    await work.session.execute(delete(Job).where(named.exists()))


async def _erase(work: Work, user: User) -> None:
    await _erase_unseen(work, user)
    # Usernames have no colon and addresses have an @, so this name cannot exist already.
    nobody = f"deleted:{user.id.hex}"
    work.apply(
        user,
        {
            "username": nobody,
            "email": nobody,
            "full_name": None,
            "avatar_id": None,
            "password_hash": "",
            "timezone": "UTC",
            "week_start": WeekDay.MONDAY,
            "locale": "en",
            "is_active": False,
            "is_admin": False,
            "email_verified_at": None,
            "deleted_at": work.now,
        },
    )
    own_sessions = select(Session.id).where(Session.user_id == user.id)
    await work.session.execute(
        delete(RefreshToken).where(RefreshToken.session_id.in_(own_sessions))
    )
    await work.session.execute(
        update(Session)
        .where(Session.user_id == user.id)
        .values(device_name=None, ip=None, user_agent=None)
    )
    await credentials.forget_pending(work, user.id)
    await work.session.execute(delete(ApiKey).where(ApiKey.user_id == user.id))
    await webhook.delete_all(work, user.id)
    await integration.delete_all(work, user.id)
    await work.session.execute(delete(Reminder).where(Reminder.user_id == user.id))
    await work.session.execute(delete(Device).where(Device.user_id == user.id))
    await work.session.execute(delete(Notification).where(Notification.recipient_id == user.id))
    await work.session.execute(
        delete(NotificationPreferences).where(NotificationPreferences.id == user.id)
    )
    await work.write_events()
    await work.session.execute(update(Event).where(Event.actor_id == user.id).values(ip=None))
    await work.session.execute(
        update(Event)
        .where(Event.subject_id == user.id, Event.subject_type == User.__name__)
        .values(changes=[])
    )
