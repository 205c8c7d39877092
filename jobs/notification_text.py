"""The text of a notification for its recipient, in mail and push alike.

It is read when it is sent, with the recipient's rights and preferences at that time. Left out is
what they can no longer see, have turned off or have read meanwhile, and what is no longer so: a
task that is assigned to somebody else by now, say. Markdown is shown as HTML or plain text
(`quoted`), never as typed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, select

from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db.models import (
    Channel,
    Comment,
    Notification,
    NotificationKind,
    NotificationPreferences,
    Project,
    Task,
    TaskStatus,
    User,
)
from domain import markdown, timezones
from domain.notifications.notification import chosen
from domain.tasks.reminding import DUE_SOON
from domain.work import Work
from graph.core.pages import task_page

_TITLE = 80

_SENTENCES = {
    NotificationKind.TASK_SHARED_WITH_ME: "{who} shared {task} with you.",
    NotificationKind.TASK_ASSIGNED_TO_ME: "{who} assigned {task} to you.",
    NotificationKind.TASK_COMPLETED: "{who} completed {task}.",
    NotificationKind.COMMENT_ON_MY_TASK: "{who} commented on {task}.",
    NotificationKind.MENTIONED: "{who} mentioned you on {task}.",
    NotificationKind.TASK_DUE_SOON: "{task} is due {due}.",
    NotificationKind.REMINDER: "Reminder: {task}.",
}
# Left out for archived projects, which are read-only.
_OF_TIME = {NotificationKind.TASK_DUE_SOON, NotificationKind.REMINDER}


@dataclass(frozen=True, slots=True)
class NotificationText:
    """The text of one notification. `comment` is the comment's Markdown."""

    notification: Notification
    sentence: str
    comment: str | None = None
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """A comment, for mail programs that show HTML and for all others."""

    html: str
    text: str


async def quoted(comment: str | None) -> Quote | None:
    """The rendered comment."""
    if comment is None:
        return None
    shown = await markdown.rendered(comment)
    return Quote(shown.html, shown.text)


def title_of(task: Task) -> str:
    """A task's title within a sentence."""
    return f"“{_cut(task.title, _TITLE)}”"


async def describe(
    work: Work, recipient: User, notifications: Sequence[Notification], channel: Channel
) -> list[NotificationText]:
    """What these notifications say to their recipient now; those that say nothing are left out."""
    if not recipient.is_active:
        return []
    preferences = await work.session.get(NotificationPreferences, recipient.id)
    notifications = [
        one
        for one in notifications
        if one.read_at is None and channel in chosen(preferences, one.kind)
    ]
    viewer = Viewer(user_id=recipient.id, is_admin=False, timezone=recipient.timezone)
    tasks = await _tasks(work, viewer, {one.task_id for one in notifications if one.task_id})
    archived = await _archived(work, tasks.values())
    comments = await _comments(
        work, viewer, {one.comment_id for one in notifications if one.comment_id}
    )
    actors = await _names(work, {one.actor_id for one in notifications if one.actor_id})
    said = []
    for one in notifications:
        task = None if one.task_id is None else tasks.get(one.task_id)
        comment = None if one.comment_id is None else comments.get(one.comment_id)
        if (one.task_id and task is None) or (one.comment_id and comment is None):
            continue
        if one.task_id in archived and one.kind in _OF_TIME:
            continue
        if task is not None and not _is_so(one.kind, task, recipient, work.now):
            continue
        if one.message is not None:
            sentence = one.message
        elif task is not None and one.kind in _SENTENCES:
            sentence = _SENTENCES[one.kind].format(
                who="Somebody" if one.actor_id is None else actors.get(one.actor_id, "Somebody"),
                task=title_of(task),
                due=_due(task, recipient.timezone),
            )
        else:
            continue
        said.append(NotificationText(one, sentence, comment, task))
    return said


def _is_so(kind: NotificationKind, task: Task, recipient: User, now: dt.datetime) -> bool:
    """Whether the sentence of a notification is still true of its task."""
    if kind is NotificationKind.TASK_ASSIGNED_TO_ME:
        return task.assignee_id == recipient.id
    if kind is NotificationKind.TASK_COMPLETED:
        return task.status is TaskStatus.COMPLETED
    if kind is NotificationKind.TASK_DUE_SOON:
        is_near = task.due_at is not None and task.due_at <= now + DUE_SOON
        is_theirs = (task.assignee_id or task.owner_id) == recipient.id
        return is_near and is_theirs and task.status.is_open
    return kind is not NotificationKind.REMINDER or task.status.is_open


def link_to(frontend_url: str, task: Task | None) -> str:
    """The task's page in the web application, or the front page."""
    return frontend_url if task is None else task_page(frontend_url, task.id)


# Building an access rule costs more than running it, so these are built once.
_VIEWER = placeholder_viewer(Viewer(user_id=UUID(int=0)).shape)
_KEYS = bindparam("keys", type_=ARRAY(Uuid()))


@cache
def _readable_tasks() -> Select[Task]:
    return select(Task).where(Task.id == _KEYS.any_(), access.read(_VIEWER, Task))


@cache
def _readable_comments() -> Select[UUID, str]:
    return select(Comment.id, Comment.body).where(
        Comment.id == _KEYS.any_(), Comment.removed_at.is_(None), access.read(_VIEWER, Comment)
    )


async def _tasks(work: Work, viewer: Viewer, keys: set[UUID]) -> dict[UUID, Task]:
    if not keys:
        return {}
    params = {**viewer.params, "keys": list(keys)}
    return {task.id: task for task in await work.session.scalars(_readable_tasks(), params)}


async def _archived(work: Work, tasks: Collection[Task]) -> set[UUID]:
    """The IDs of the tasks whose projects are archived."""
    projects = {task.project_id for task in tasks} - {None}
    query = select(Project.id).where(Project.id.in_(projects), Project.archived_at.is_not(None))
    found = set(await work.session.scalars(query)) if projects else set()
    return {task.id for task in tasks if task.project_id in found}


async def _comments(work: Work, viewer: Viewer, keys: set[UUID]) -> dict[UUID, str]:
    if not keys:
        return {}
    rows = await work.session.execute(_readable_comments(), {**viewer.params, "keys": list(keys)})
    return {id_: body for id_, body in rows}  # noqa: C416 - rows are no pairs


async def _names(work: Work, keys: set[UUID]) -> dict[UUID, str]:
    if not keys:
        return {}
    rows = await work.session.execute(
        select(User.id, User.full_name, User.username).where(
            User.id.in_(keys), User.deleted_at.is_(None)
        )
    )
    return {id_: full_name or username for id_, full_name, username in rows}


def _due(task: Task, timezone: str) -> str:
    if task.due_on is not None:
        return f"on {_day(task.due_on)}"
    if task.due_at is None:
        return "soon"
    moment: dt.datetime = task.due_at.astimezone(timezones.zone(timezone))
    return f"on {_day(moment)} at {moment:%H:%M} ({timezone})"


def _day(day: dt.date) -> str:
    return f"{day:%A}, {day.day} {day:%B %Y}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
