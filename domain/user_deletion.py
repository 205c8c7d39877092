"""How a person leaves for good.

The row stays, without a name, so that comments and tasks of others keep an author; everything that
says who it was goes: names, address, password, addresses of sessions, and the log's record of the
profile. Nobody else may lose their project by it, so a project with other members has to be handed
over first.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import aliased

from auth.authenticator import Authenticator
from db.models import (
    ApiKey,
    Device,
    Event,
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
    User,
    WeekDay,
)
from domain import credentials, export, integration, timer, webhook
from domain import project as projects
from domain.session import end_sessions, proven, still_holding
from domain.work import Work
from errors import Forbidden
from events.kinds import EventKind


async def delete_oneself(work: Work, auth: Authenticator, *, password: str) -> UUID:
    """Delete the viewer's own account, given their password; the id of the user that was.

    Raises `Forbidden`, with the names, while they own projects that have other members. Projects
    that are theirs alone, and their personal tasks, go to the trash and with it.
    """
    user_id, kept = await proven(work, auth, password, "password")
    user = await still_holding(work, user_id, kept, path="password")
    await _demand_handed_over(work, user)
    await timer.stop_for(work, user.id)
    await export.give_up_all(work, user.id)
    await _leave_projects(work, user)
    await _leave_tasks(work, user)
    work.record(EventKind.USER_DELETED, user, audience=[user.id])
    await end_sessions(work, auth, user.id, "the account was deleted")
    await work.session.flush()
    await _erase(work, user)
    return user.id


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
            .order_by(Project.name)
        )
    )
    if names:
        shown = ", ".join(f"“{name}”" for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise Forbidden(
            f"You own projects with other members: {shown}{more}. Hand them over with "
            "`projectTransfer`, or delete them, before you delete your account."
        )


async def _leave_projects(work: Work, user: User) -> None:
    memberships = await work.session.execute(
        select(ProjectMember.id, ProjectMember.project_id, ProjectMember.role)
        .join(Project, Project.id == ProjectMember.project_id)
        .where(ProjectMember.user_id == user.id, Project.deleted_at.is_(None))
        .order_by(ProjectMember.id)
    )
    for member_id, project_id, role in memberships.all():
        if role is Role.OWNER:
            await projects.delete(work, project_id, None)
        else:
            await projects.remove_member(work, member_id)


async def _leave_tasks(work: Work, user: User) -> None:
    """Personal tasks go to the trash; what others assigned or shared is theirs alone again."""
    tasks = await work.session.scalars(
        select(Task)
        .where(
            Task.deleted_at.is_(None),
            (Task.assignee_id == user.id)
            | (Task.project_id.is_(None) & (Task.owner_id == user.id)),
        )
        .order_by(Task.id)
        .with_for_update()
    )
    for task in tasks:
        if task.project_id is None and task.owner_id == user.id:
            work.apply(task, {"deleted_at": work.now, "deleted_with": user.id})
            watchers = await _watchers(work, task)
            work.record(EventKind.TASK_DELETED, task, task_id=task.id, audience=watchers)
        else:
            work.apply(task, {"assignee_id": None})
            work.record(
                EventKind.TASK_ASSIGNED,
                task,
                [("assignee", user.id, None)],
                task_id=task.id,
                project_id=task.project_id,
            )
    await work.session.execute(delete(TaskShare).where(TaskShare.user_id == user.id))


async def _watchers(work: Work, task: Task) -> list[UUID]:
    """Who saw a personal task beside its owner, and is to be told that it went."""
    shared = await work.session.scalars(
        select(TaskShare.user_id).where(TaskShare.task_id == task.id)
    )
    found = {*shared, task.assignee_id} - {None, task.owner_id}
    return [user_id for user_id in found if user_id is not None]


async def _erase(work: Work, user: User) -> None:
    # A colon is in no username and no address has no @, so nobody can take these names before.
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
    await work.session.execute(update(Event).where(Event.actor_id == user.id).values(ip=None))
    await work.session.execute(
        update(Event)
        .where(Event.subject_id == user.id, Event.subject_type == User.__name__)
        .values(changes=[])
    )
