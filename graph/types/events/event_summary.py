"""Events as sentences, such as "Ada Lovelace completed “Fit the brakes”".

Names are the current ones, read in one statement per type of object, through the access rules: what
the viewer cannot see, or an API key may not read, is "a task" or "a project"; a deleted user is
"somebody".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, bindparam, func, select

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.base import Base
from db.statements import Statement
from events.kinds import EventKind
from graph.core.fields import BatchInfo
from graph.core.node import TYPE_NAMES
from graph.request.scopes import may, scopes_of_type

# The columns that a summary is made from.
NEEDS = ("actor_id", "changes", "kind", "project_id", "task_id")

# {who} acts, {task} and {project} are concerned, {person} is the user acted upon.
SENTENCES: dict[EventKind, str] = {
    EventKind.PROJECT_CREATED: "{who} created the project {project}",
    EventKind.PROJECT_UPDATED: "{who} changed {fields} of {project}",
    EventKind.PROJECT_ARCHIVED: "{who} archived {project}",
    EventKind.PROJECT_UNARCHIVED: "{who} unarchived {project}",
    EventKind.PROJECT_DELETED: "{who} deleted {project}",
    EventKind.PROJECT_RESTORED: "{who} restored {project}",
    EventKind.PROJECT_TRANSFERRED: "{who} transferred {project} to {person}",
    EventKind.PROJECT_MEMBER_ADDED: "{who} added {person} to {project}",
    EventKind.PROJECT_MEMBER_UPDATED: "{who} changed a member's role in {project}",
    EventKind.PROJECT_MEMBER_REMOVED: "{who} removed {person} from {project}",
    EventKind.TASK_CREATED: "{who} created {task}",
    EventKind.TASK_UPDATED: "{who} changed {fields} of {task}",
    EventKind.TASK_COMPLETED: "{who} completed {task}",
    EventKind.TASK_REOPENED: "{who} reopened {task}",
    EventKind.TASK_ASSIGNED: "{who} assigned {task} to {person}",
    EventKind.TASK_MOVED: "{who} moved {task}",
    EventKind.TASK_DELETED: "{who} deleted {task}",
    EventKind.TASK_RESTORED: "{who} restored {task}",
    EventKind.TASK_SHARE_CREATED: "{who} shared {task} with {person}",
    EventKind.TASK_SHARE_UPDATED: "{who} changed a share of {task}",
    EventKind.TASK_SHARE_DELETED: "{who} ended a share of {task}",
    EventKind.COMMENT_CREATED: "{who} commented on {task}",
    EventKind.COMMENT_UPDATED: "{who} edited a comment on {task}",
    EventKind.COMMENT_DELETED: "{who} deleted a comment on {task}",
    EventKind.ATTACHMENT_CREATED: "{who} attached a file to {task}",
    EventKind.ATTACHMENT_DELETED: "{who} removed a file from {task}",
    EventKind.NOTIFICATION_CREATED: "You received a notification",
    EventKind.REMINDER_CREATED: "{who} created a reminder",
    EventKind.REMINDER_UPDATED: "{who} changed {fields} of a reminder",
    EventKind.REMINDER_DELETED: "{who} deleted a reminder",
    EventKind.REMINDER_DUE: "A reminder was due",
    EventKind.TIME_ENTRY_CREATED: "{who} created a time entry",
    EventKind.TIME_ENTRY_UPDATED: "{who} changed {fields} of a time entry",
    EventKind.TIME_ENTRY_DELETED: "{who} deleted a time entry",
    EventKind.TIMER_STARTED: "{who} started a timer",
    EventKind.TIMER_STOPPED: "{who} stopped a timer",
    EventKind.WEBHOOK_CREATED: "{who} created a webhook",
    EventKind.WEBHOOK_UPDATED: "{who} changed {fields} of a webhook",
    EventKind.WEBHOOK_DELETED: "{who} deleted a webhook",
    EventKind.WEBHOOK_TESTED: "{who} tested a webhook",
    EventKind.REPORT_EXPORT_UPDATED: "An export of a report was updated",
    EventKind.INTEGRATION_CREATED: "{who} connected a project to another service",
    EventKind.INTEGRATION_UPDATED: "{who} changed {fields} of an integration",
    EventKind.INTEGRATION_DELETED: "{who} disconnected an integration",
    EventKind.ACCESS_LOST: "{who} removed your access",
    EventKind.USER_CREATED: "{who} registered",
    EventKind.USER_UPDATED: "{who} changed {fields} of a profile",
    EventKind.USER_ACTIVATED: "{who} activated an account",
    EventKind.USER_DEACTIVATED: "{who} deactivated an account",
    EventKind.USER_DELETED: "{who} deleted their account",
    EventKind.SESSION_CREATED: "{who} signed in",
    EventKind.SESSION_UPDATED: "{who} renamed a session",
    EventKind.SESSION_REVOKED: "{who} ended a session",
    EventKind.API_KEY_CREATED: "{who} created an API key",
    EventKind.API_KEY_REVOKED: "{who} revoked an API key",
    EventKind.PASSWORD_CHANGED: "{who} changed their password",
}
_SILENT = [kind.name for kind in EventKind if kind not in SENTENCES]
if _SILENT:
    raise TypeError(f"{', '.join(_SILENT)}: no sentence in graph/types/events/event_summary.py.")

# Of a member who removed themselves.
_LEFT = "{who} left {project}"
# Fields whose names differ from the everyday words. A word shared by several fields appears once.
_WORDS = {
    "due_at": "due date",
    "due_on": "due date",
    "start_at": "start",
    "started_at": "start",
    "ended_at": "end",
    "full_name": "name",
    "is_billable": "billable",
    "is_enabled": "enabled",
    "is_overlap_allowed": "rule about overlaps",
    "time_locked_before": "end of the locked time",
}
# Changes that name a user.
_PEOPLE = {"assignee", "owner", "user"}
_NAMES: dict[type[Base], Any] = {
    models.User: lambda user: func.coalesce(user.full_name, user.username),
    models.Task: lambda task: task.title,
    models.Project: lambda project: project.name,
}
_SHOWN = 60


async def summaries(parents: Sequence[Any], info: BatchInfo) -> list[str]:
    """The sentence of each event."""
    actors = {event.actor_id for event in parents} | {
        key for event in parents for key in _people(event)
    }
    users = await _names(info, models.User, actors)
    tasks = await _names(info, models.Task, {event.task_id for event in parents})
    projects = await _names(info, models.Project, {event.project_id for event in parents})
    return [_sentence(event, users, tasks, projects) for event in parents]


def _sentence(
    event: Any,
    users: Mapping[UUID, str],
    tasks: Mapping[UUID, str],
    projects: Mapping[UUID, str],
) -> str:
    kind = EventKind(event.kind)
    people = _people(event)
    sentence = SENTENCES[kind]
    if kind is EventKind.PROJECT_MEMBER_REMOVED and event.actor_id in people:
        sentence = _LEFT
    # A sentence begins with a capital letter, but a name stays as its owner writes it.
    person = users.get(people[-1], "somebody") if people else "somebody"
    if kind is EventKind.TASK_ASSIGNED and not _assigned(event):
        person = "nobody"
    return sentence.format(
        who=users.get(event.actor_id, "Somebody"),
        person=person,
        task=_quoted(tasks.get(event.task_id), "a task"),
        project=_quoted(projects.get(event.project_id), "a project"),
        fields=_fields(event),
    )


def _people(event: Any) -> list[UUID]:
    """Users named by changes: the first former one first, the last new one last."""
    return [
        UUID(value)
        for change in event.changes
        if change["field"] in _PEOPLE
        for value in (change["from"], change["to"])
        if isinstance(value, str)
    ]


def _assigned(event: Any) -> bool:
    return any(change["field"] == "assignee" and change["to"] for change in event.changes)


def _fields(event: Any) -> str:
    fields = [change["field"] for change in event.changes]
    words = list(dict.fromkeys(_WORDS.get(name, name.replace("_", " ")) for name in fields))
    if not words:
        return "something"
    listed = f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
    return f"the {listed}"


def _quoted(name: str | None, otherwise: str) -> str:
    if name is None:
        return otherwise
    return f"“{name if len(name) <= _SHOWN else name[: _SHOWN - 1] + '…'}”"


@lru_cache(maxsize=24)
def _names_statement(model: type[Base], shape: ViewerShape) -> Statement:
    keys = bindparam("keys", None, ARRAY(Uuid()))
    identity: ColumnElement[UUID] = model.id  # type: ignore[attr-defined]
    # Rows in the trash keep their names in the log of users who could see them.
    visible = access.read(placeholder_viewer(shape), model, trashed=None)
    return Statement(
        select(identity, _NAMES[model](model).label("name")).where(identity == keys.any_(), visible)
    )


async def _names(
    info: BatchInfo, model: type[Base], keys: Iterable[UUID | None]
) -> dict[UUID, str]:
    wanted = [key for key in set(keys) if key is not None]
    # Users' names are public.
    free = model is models.User or may(info.viewer, *(scopes_of_type(TYPE_NAMES[model]) or ()))
    if not wanted or not free:
        return {}
    rows = await info.context.services.database.reader.fetch(
        _names_statement(model, info.viewer.shape), {**info.viewer.params, "keys": wanted}
    )
    return {row.id: row.name for row in rows}
