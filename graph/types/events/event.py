"""Events in the schema: what happened, what it concerns, and the cursor to continue from.

A client that shows a list and keeps it current asks for `eventCursor` and the list in one request,
and subscribes from that cursor. To miss nothing, the cursor must be older than every read of the
request. Root fields run concurrently, so the executor takes the cursor before any of them begins
(`graph.request.event_cursor`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Union

import strawberry
from sqlalchemy import select
from strawberry.types.lazy_type import LazyType

from auth.viewer import Viewer
from db import models
from db.base import Base
from db.models import LogEpoch
from events.epoch import ROW
from events.log import cursor_of
from graph.core import ids
from graph.core.enums import EventKind, EventSource
from graph.core.fields import BatchInfo, batch, column, derived, root
from graph.core.node import EXPRESSIONS, Node, node_id, node_type
from graph.kit.loading import load_objects, load_unchecked
from graph.kit.ordering import SortOrder
from graph.kit.paging import Page
from graph.request.event_cursor import take_event_cursor
from graph.types.accounts.user import User
from graph.types.events import event_summary
from graph.types.events.event_changes import (
    FieldChange,
    deleted_users,
    field_changes,
    may_show,
    model_named,
)
from graph.types.events.event_connection import EventConnection, event_arguments
from graph.types.events.event_filter import task_of
from graph.types.events.event_list import read_events
from graph.types.events.event_summary import summaries
from graph.types.events.wanted import GONE
from graph.types.projects.project import Project, ProjectMember
from graph.types.tasks.attachment import Attachment
from graph.types.tasks.comment import Comment
from graph.types.tasks.reminder import Reminder
from graph.types.tasks.share import TaskShare
from graph.types.tasks.task import Task
from graph.types.time.time_entry import TimeEntry

if TYPE_CHECKING:
    from graph.types.accounts.api_key import ApiKey
    from graph.types.accounts.session import Session
    from graph.types.integrations.integration import Integration

# --- one event -----------------------------------------------------------------------------------


def _lazy(name: str, module: str) -> Any:
    """A type of a module that imports this one. (In a union Strawberry finds no other form.)"""
    return LazyType(name, f"graph.types.{module}")


_MEMBERS: Any = (
    Task,
    Project,
    ProjectMember,
    User,
    TaskShare,
    Comment,
    TimeEntry,
    Attachment,
    Reminder,
    _lazy("Webhook", "integrations.webhook"),
    _lazy("Integration", "integrations.integration"),
    _lazy("ReportExport", "time.report_export"),
    _lazy("Session", "accounts.session"),
    _lazy("ApiKey", "accounts.api_key"),
    _lazy("Notification", "notifications.notification"),
)
EventSubject = Annotated[
    Union[_MEMBERS],  # noqa: UP007 - made of a tuple
    strawberry.union(
        name="EventSubject", description="What an event is about: the object that changed."
    ),
]

_Session = Annotated["Session", strawberry.lazy("graph.types.accounts.session")]
_ApiKey = Annotated["ApiKey", strawberry.lazy("graph.types.accounts.api_key")]
_Integration = Annotated["Integration", strawberry.lazy("graph.types.integrations.integration")]

# Not a column: the epoch that the event's cursor belongs to.
EXPRESSIONS[models.Event, "epoch"] = lambda _viewer, _event: (
    select(LogEpoch.epoch).where(LogEpoch.id == ROW).scalar_subquery()
)


def _subject_id(event: Any) -> str | None:
    model = model_named(event.subject_type)
    return None if model is None else ids.encode(model, event.subject_id)


def _is_ones_own(viewer: Viewer, event: Any) -> bool:
    """Whether the viewer caused an event, or reads the whole log."""
    own = viewer.signed_in and viewer.user_id
    return viewer.is_admin or event.actor_id == own


async def _ips(parents: Sequence[Any], info: BatchInfo) -> list[str | None]:
    shown = [event for event in parents if event.ip and _is_ones_own(info.viewer, event)]
    actors = [event.actor_id for event in shown if event.actor_id is not None]
    gone = await deleted_users(info, actors)
    own = {event.id: event.ip for event in shown if event.actor_id not in gone}
    return [own.get(event.id) for event in parents]


async def subjects(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    """What events are about, as far as the viewer can see it."""
    found: list[Any] = [None] * len(parents)
    for name in {parent.subject_type for parent in parents}:
        model = model_named(name)
        if model is None or not may_show(info.viewer, model):
            continue
        places = [i for i, one in enumerate(parents) if one.subject_type == name]
        rows = await load_objects(info, model, [parents[i].subject_id for i in places])
        for place, row in zip(places, rows, strict=True):
            found[place] = row
    return found


def _caused_with(model: type[Base], key: str, description: str) -> Any:
    """The session, API key or integration, for the user who acted and for administrators."""

    async def rows(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
        viewer = info.viewer
        if not may_show(viewer, model):
            return [None] * len(parents)
        keys = [getattr(one, key) if _is_ones_own(viewer, one) else None for one in parents]
        return await (load_unchecked if viewer.is_admin else load_objects)(info, model, keys)

    more = "Null unless you caused the event or are an administrator, and if there is none."
    return batch(rows, f"{description} {more}", requires=(key, "actor_id"))


def _via(event: Any) -> EventSource:
    if event.integration_id is not None:
        return EventSource.INTEGRATION
    if event.api_key_id is not None:
        return EventSource.API_KEY
    return EventSource.SYSTEM if event.session_id is None else EventSource.SESSION


async def _tasks(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Task, [task_of(parent) for parent in parents])


def _by_key(model: type[Base], key: str, description: str) -> Any:
    async def rows(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
        return await load_objects(info, model, [getattr(parent, key) for parent in parents])

    return batch(rows, description, requires=(key,), objects=True)


async def _request_ids(parents: Sequence[Any], info: BatchInfo) -> list[str | None]:
    return [_request_id(parent, info.viewer) for parent in parents]


def _request_id(event: Any, viewer: Viewer) -> str | None:
    """The id as it was sent, for the session or key that sent it. Everyone else gets it after the
    actor and a slash, a character that no id contains, so that no event passes for the echo of
    another client's request.
    """
    given: str | None = event.request_id
    if given is None:
        return None
    session = viewer.session_id is not None and event.session_id == viewer.session_id
    key = viewer.api_key_id is not None and event.api_key_id == viewer.api_key_id
    if session or key:
        return given
    actor = "server" if event.actor_id is None else ids.encode(models.User, event.actor_id)
    return f"{actor}/{given}"


@node_type(
    models.Event,
    "Something that happened to a task, a project or its members. An event has the same ID in "
    "subscriptions, in `events` and in webhooks.",
)
class Event(Node):
    id: strawberry.ID = node_id(models.Event)
    cursor: str = derived(
        ("epoch", "xid", "position"),
        cursor_of,
        "The event's cursor. Pass it as `after` to continue from this event.",
    )
    at: dt.datetime = column("When it happened, in UTC.")
    kind: EventKind = column("What happened.", convert=EventKind)
    request_id: str | None = batch(
        _request_ids,
        "The ID of the request that caused the event, as in `extensions.requestId` of its "
        "response, so that you can recognize your own changes. Clients choose these IDs: those "
        "of other sessions, keys and users are returned with the actor in front (`user_…/…`) and "
        "never equal yours.",
        requires=("request_id", "actor_id", "session_id", "api_key_id"),
    )
    actor: User | None = _by_key(
        models.User, "actor_id", "The user who caused the event. Null if the account was deleted."
    )
    subject: EventSubject | None = batch(
        subjects,
        "What the event is about, in its current state. Null if it was deleted or you can no "
        "longer see it.",
        requires=("subject_type", "subject_id"),
        objects=True,
    )
    subject_id: strawberry.ID | None = derived(
        ("subject_type", "subject_id"),
        _subject_id,
        "The ID of what the event is about, even if it was deleted.",
    )
    task: Task | None = batch(
        _tasks,
        "The task concerned, in its current state. Null if there is none or you cannot see it.",
        requires=("task_id", "subject_type", "subject_id"),
        objects=True,
    )
    matches: bool = derived(
        ("kind",),
        lambda event: event.kind not in GONE and getattr(event, "matches", True),
        "False if the task no longer matches the filter or was deleted; remove it from your list.",
    )
    project: Project | None = _by_key(
        models.Project,
        "project_id",
        "The project concerned. Null if there is none or you cannot see it.",
    )
    summary: str = batch(
        summaries, "What happened, as a sentence in English.", requires=event_summary.NEEDS
    )
    ip: str | None = batch(
        _ips,
        "The network address that the event was caused from. Null unless you caused it or are an "
        "administrator.",
        requires=("ip", "actor_id"),
    )
    via: EventSource = derived(
        ("session_id", "api_key_id", "integration_id"), _via, "What it was caused with."
    )
    session: _Session | None = _caused_with(
        models.Session, "session_id", "The session that caused the event."
    )
    api_key: _ApiKey | None = _caused_with(
        models.ApiKey, "api_key_id", "The API key that caused the event."
    )
    integration: _Integration | None = _caused_with(
        models.Integration, "integration_id", "The integration that caused the event by itself."
    )
    changes: list[FieldChange] = field_changes()


# --- the cursor of the present -------------------------------------------------------------------


async def _event_cursor(info: BatchInfo) -> str:
    info.viewer.require()
    if info.context.event_cursor is None:
        await take_event_cursor(info.context)
    assert info.context.event_cursor is not None, "the executor's selection index has this field"
    return info.context.event_cursor


# --- lists ---------------------------------------------------------------------------------------


async def _events(_: Sequence[Any], info: BatchInfo, **options: Any) -> list[Page]:
    return [await read_events(info, **options)]


@strawberry.type
class EventQuery:
    event_cursor: str = root(
        _event_cursor,
        "Returns a cursor for the current end of the event log. Request it together with the "
        "first page of what you show, then subscribe with it as `after`: no event is missed in "
        "between.",
    )
    events: EventConnection = batch(
        _events,
        "Lists the events that `taskEvents` delivers with the same filter, for clients that poll: "
        "oldest first by default, from the last 7 days. Pass the cursor of an event, "
        "`pageInfo.endCursor` or `eventCursor` as `after`; with a cursor that is too old it fails "
        "with `CURSOR_EXPIRED`, and you reload your state.",
        arguments=event_arguments(SortOrder.ASC),
    )


__all__ = ["Event", "EventQuery", "take_event_cursor"]
