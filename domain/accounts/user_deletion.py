"""Deleting an account permanently.

The row stays without a name, so that comments and tasks of others keep an author. Everything that
identifies the user is erased: names, address, password, IP addresses of sessions, and the log's
record of the profile. What others cannot see is removed in steps (`domain.accounts.erasure`).
Others must not lose a project, so projects with other members must be transferred first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.orm import aliased

from auth.authenticator import Authenticator
from db.models import (
    ApiKey,
    Device,
    Job,
    NotificationPreferences,
    Project,
    ProjectMember,
    RefreshToken,
    Reminder,
    Session,
    Task,
    TaskShare,
    User,
    WeekDay,
)
from db.rows import among
from domain import locks, rights_change
from domain.accounts import credentials, erasure
from domain.accounts.session import end_sessions, proven, still_holding
from domain.integrations import integration, webhook
from domain.tasks import placement, ranks, task_values
from domain.time import timer
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
    lost = await _leave_tasks(work, user, heir)
    work.record(EventKind.USER_DELETED, user, audience=[user.id])
    await end_sessions(work, auth, user.id, "the account was deleted")
    await work.session.flush()
    await _erase(work, user)
    await erasure.begin(work, user.id, first=lost)
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
    # Neither members nor owners change until the commit.
    mine = select(ProjectMember.project_id).where(ProjectMember.user_id == user.id)
    await locks.lock_projects(work, (await work.session.scalars(mine)).all(), alone=True)
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


async def _leave_tasks(work: Work, user: User, heir: User | None) -> set[UUID]:
    """Move to the heir what they can see of the personal tasks. Returns the tasks that others lose:
    of those that stay, and of projects that have no other members.
    """
    seen = await erasure.seen_by_others(work, user.id)
    if heir is None:
        return set(seen)
    kept = [task for task, people in seen.items() if heir.id in people]
    await locks.lock_tasks(work, kept, trees=True)
    tasks = {
        task.id: task
        for task in await work.session.scalars(
            select(Task).where(among(Task.id, kept), *erasure.personal(user.id))
        )
    }
    if not tasks and await erasure.has_personal(work, user.id):
        raise BadInput(
            "transferToId must be a user who can see your personal tasks; share the tasks first.",
            path=("transfer_to_id",),
        )
    before = await rights_change.snapshot(work, tasks)
    await _hand_over(work, tasks, heir)
    after = await rights_change.snapshot(work, before.projects)
    rights_change.record_lost_access(work, before, after)
    losing = before.losses(after).items()
    return (set(seen) - set(tasks)) | {task for task, who in losing if set(who) - {user.id}}


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
        delete(TaskShare).where(among(TaskShare.task_id, tasks), TaskShare.user_id == heir.id)
    )


async def _delete_mails(work: Work, user: User) -> None:
    """Delete the jobs, waiting or done, whose mails name the account or its address."""
    value = func.jsonb_each_text(Job.payload).table_valued("key", "value", name="part")
    named = (
        select(1)
        .select_from(value)
        .where(func.lower(value.c.value).in_([user.email.lower(), user.id.hex]))
    )
    await work.session.execute(delete(Job).where(Job.name.startswith("mail."), named.exists()))


async def _erase(work: Work, user: User) -> None:
    await _delete_mails(work, user)
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
    await webhook.delete_all(work, user.id)
    await integration.delete_all(work, user.id)
    await work.session.execute(delete(ApiKey).where(ApiKey.user_id == user.id))
    await work.session.execute(delete(Reminder).where(Reminder.user_id == user.id))
    await work.session.execute(delete(Device).where(Device.user_id == user.id))
    await work.session.execute(
        delete(NotificationPreferences).where(NotificationPreferences.id == user.id)
    )
