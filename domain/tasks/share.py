"""Sharing a task with a user who cannot see it through a project."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from auth import access
from db.models import Permission, Project, Task, TaskShare, User
from domain import locks, rights_change, rules
from domain.projects.project import demand_open, is_member
from domain.tasks import placement, visibility
from domain.work import Work
from errors import AlreadyExists, BadInput, ErrorCode, Failure, check
from events.kinds import EventKind

END_JOB = "share.end"
RULES: Mapping[str, rules.Rule] = {"permission": rules.not_null}
# What an update may name.
CHANGEABLE = frozenset({*RULES, "expires_at"})


async def create(
    work: Work,
    task_id: UUID,
    *,
    user_id: UUID,
    permission: Permission = Permission.VIEW,
    expires_at: dt.datetime | None = None,
) -> TaskShare:
    """Share a task and its subtasks with a user. An expired share is replaced."""
    path = ("task_id",)
    expires_at = _future(work, expires_at)
    await locks.lock_tasks(work, [task_id], trees=True)
    task = await work.shareable(Task, task_id, path=path)
    user = await work.readable(User, user_id, path=("user_id",))
    await _demand_sharable_with(work, task, user, ("user_id",))
    share = TaskShare(
        id=work.new_id(),
        task_id=task.id,
        user_id=user.id,
        permission=permission,
        shared_by_id=work.viewer.require(),
        expires_at=expires_at,
        created_at=work.now,
        updated_at=work.now,
    )
    async with rights_change.guarded(work, [task.id], path):
        work.session.add(share)
    changes = [("user", None, user.id), ("permission", None, permission)]
    await _end_in_time(work, share)
    if share.expires_at is not None:
        changes.append(("expires_at", None, share.expires_at))
    _record(work, EventKind.TASK_SHARE_CREATED, share, task, changes)
    await work.session.flush()
    return share


async def update(
    work: Work, share_id: UUID, changes: Mapping[str, Any], if_version: int | None
) -> TaskShare:
    """Change permission or expiry (null: it does not expire)."""
    values = rules.checked(RULES, changes)
    if "expires_at" in changes:
        values["expires_at"] = _future(work, changes["expires_at"])
    share, task = await _locked(work, share_id)
    await work.demand(share, access.edit, "change")
    async with rights_change.guarded(work, [task.id]):
        changed = work.apply(share, values, if_version=if_version, ref="share")
    if changed:
        await _end_in_time(work, share)
        _record(work, EventKind.TASK_SHARE_UPDATED, share, task, changed)
        await work.session.flush()
    return share


async def delete(work: Work, share_id: UUID, if_version: int | None = None) -> Task:
    """Delete a share, one's own or one that the viewer gave. Users who lose access are notified."""
    share, task = await _locked(work, share_id)
    await work.demand(share, access.delete, "delete")
    work.check_version(share, if_version, fields=[], ref="share")
    async with rights_change.guarded(work, [task.id]):
        await work.session.delete(share)
        changes = [("user", share.user_id, None), ("permission", share.permission, None)]
        _record(work, EventKind.TASK_SHARE_DELETED, share, task, changes)
    return task


async def end(work: Work, share_id: UUID) -> None:
    """Notify the recipient of an expired share of what they can no longer see. Safe to repeat."""
    share = await work.session.get(TaskShare, share_id)
    if share is None or share.expires_at is None or share.expires_at > work.now:
        return
    below = await work.session.execute(
        select(Task.id, Task.project_id)
        .where(Task.id.in_(placement.tree(share.task_id)), Task.deleted_at.is_(None))
        .order_by(Task.id)
    )
    tasks = below.all()
    still = await visibility.seen(work, [(task.id, share.user_id) for task in tasks])
    rights_change.record_lost(
        work,
        [
            (task.id, task.project_id, [share.user_id])
            for task in tasks
            if (task.id, share.user_id) not in still
        ],
    )


async def _locked(work: Work, share_id: UUID) -> tuple[TaskShare, Task]:
    """A share that the viewer can see, and its task, which they need not see, locked."""
    seen = await work.readable(TaskShare, share_id)
    await locks.lock_tasks(work, [seen.task_id], trees=True)
    share = await work.readable(TaskShare, share_id, lock=True)
    return share, await work.session.get_one(Task, share.task_id)


async def _end_in_time(work: Work, share: TaskShare) -> None:
    if share.expires_at is not None:
        await work.enqueue(END_JOB, {"share_id": share.id}, run_at=share.expires_at)


async def demand_open_task(work: Work, task: Task, path: rules.Path) -> None:
    """Raise `PROJECT_ARCHIVED` if the task's project is read-only."""
    if task.project_id is not None:
        demand_open(await work.session.get_one(Project, task.project_id), path)


async def _demand_sharable_with(work: Work, task: Task, user: User, path: rules.Path) -> None:
    is_viewer = user.id == work.viewer.user_id
    # An owner who is no longer a member of the project has no rights, and may be given some.
    is_owner = user.id == task.owner_id and (
        task.project_id is None or await is_member(work, task.project_id, user.id)
    )
    if is_viewer or is_owner:
        who = "yourself" if is_viewer else "its owner"
        raise Failure(f"You cannot share a task with {who}.", path=path, code=ErrorCode.SELF_SHARE)
    if not user.is_active:
        raise BadInput("This account is deactivated. Choose an active user.", path=path)
    existing = await work.session.scalar(
        select(TaskShare).where(TaskShare.task_id == task.id, TaskShare.user_id == user.id)
    )
    if existing is None:
        return
    if existing.expires_at is None or existing.expires_at > work.now:
        raise AlreadyExists(
            f"The task is already shared with {user.username}. Use taskShareUpdate to change that "
            "share.",
            path=path,
        )
    await work.session.delete(existing)
    await work.session.flush()


@check()
def _future(work: Work, moment: dt.datetime | None) -> dt.datetime | None:
    expires = rules.moment(moment, ("expires_at",))
    if expires is not None and expires <= work.now:
        raise BadInput("expiresAt must be in the future.", path=("expires_at",))
    return expires


def _record(
    work: Work, kind: EventKind, share: TaskShare, task: Task, changes: list[tuple[str, Any, Any]]
) -> None:
    work.record(
        kind,
        share,
        changes,
        task_id=task.id,
        project_id=task.project_id,
        # The recipient may know of their own share even if they can no longer see the task.
        audience=[share.user_id],
    )
    work.touched_users.update((task.owner_id, share.shared_by_id))
