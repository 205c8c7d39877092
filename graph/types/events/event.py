"""Events in the schema: what happened, what it concerns, and the cursor to continue from.

A client that shows a list and keeps it current asks for `eventCursor` and the list in one request,
and subscribes from that cursor. To miss nothing, the cursor must be older than every read of the
request. Root fields run concurrently, so the executor takes the cursor before any of them begins
(`graph.request.event_cursor`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import strawberry
from sqlalchemy import select

from auth.viewer import Viewer
from db import models
from db.base import Base
from db.models import LogEpoch
from errors import BadInput
from events.cursor import Cursor
from events.epoch import ROW
from events.log import PAGE, cursor_of
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import EventKind
from graph.core.fields import BatchInfo, arg, batch, column, derived, root
from graph.core.inputs import given
from graph.core.node import EXPRESSIONS, Node, model_of, node_id, node_type
from graph.kit.loading import load_objects
from graph.kit.paging import DEFAULT_PAGE, MAX_PAGE, PageInfo
from graph.request.event_cursor import take_event_cursor
from graph.types.accounts.user import User
from graph.types.events import event_summary
from graph.types.events.event_changes import FieldChange, field_changes, model_named
from graph.types.events.event_filter import GONE, EventFilter, Wanted, wanted_of
from graph.types.events.event_summary import summaries
from graph.types.projects.project import Project, ProjectMember
from graph.types.tasks.attachment import Attachment
from graph.types.tasks.comment import Comment
from graph.types.tasks.reminder import Reminder
from graph.types.tasks.share import TaskShare
from graph.types.tasks.task import Task
from graph.types.time.time_entry import TimeEntry

# --- one event -----------------------------------------------------------------------------------

EventSubject = Annotated[
    Task | Project | ProjectMember | User | TaskShare | Comment | TimeEntry | Attachment | Reminder,
    strawberry.union(
        name="EventSubject", description="What an event is about: the object that changed."
    ),
]

# Not a column: the epoch that the event's cursor belongs to.
EXPRESSIONS[models.Event, "epoch"] = lambda _viewer, _event: (
    select(LogEpoch.epoch).where(LogEpoch.id == ROW).scalar_subquery()
)


def _subject_id(event: Any) -> str | None:
    model = model_named(event.subject_type)
    return None if model is None else ids.encode(model, event.subject_id)


def _of_oneself(column: str, shown: Callable[[Any], Any] = str) -> Any:
    """Values of a column that only the actor and administrators can see."""

    async def values(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
        viewer = info.viewer
        own = viewer.signed_in and viewer.user_id
        found = []
        for parent in parents:
            value = getattr(parent, column)
            seen = viewer.is_admin or parent.actor_id == own
            found.append(shown(value) if seen and value is not None else None)
        return found

    return values


async def _subjects(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    found: list[Any] = [None] * len(parents)
    for model in {model_named(parent.subject_type) for parent in parents}:
        if model is None or model not in _SUBJECTS:
            continue
        places = [i for i, one in enumerate(parents) if one.subject_type == model.__name__]
        rows = await load_objects(info, model, [parents[i].subject_id for i in places])
        for place, row in zip(places, rows, strict=True):
            found[place] = row
    return found


_SUBJECTS = [
    model for member in get_args(get_args(EventSubject)[0]) if (model := model_of(member.__name__))
]


def _task_id(event: Any) -> Any:
    """The task concerned. For an event of a task it is that task, even if a project has an event of
    its own.
    """
    return event.subject_id if event.subject_type == models.Task.__name__ else event.task_id


async def _tasks(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Task, [_task_id(parent) for parent in parents])


def _by_key(model: type[Base], key: str, description: str) -> Any:
    async def rows(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
        return await load_objects(info, model, [getattr(parent, key) for parent in parents])

    return batch(rows, description, requires=(key,))


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
        _subjects,
        "What the event is about, in its current state. Null if it was deleted or you can no "
        "longer see it.",
        requires=("subject_type", "subject_id"),
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
        _of_oneself("ip"),
        "The network address that the event was caused from. Null unless you caused it or are an "
        "administrator.",
        requires=("ip", "actor_id"),
    )
    session_id: strawberry.ID | None = batch(
        _of_oneself("session_id", ids.Encoder(models.Session)),
        "The ID of the session that caused the event. Null unless you caused it or are an "
        "administrator.",
        requires=("session_id", "actor_id"),
    )
    changes: list[FieldChange] = field_changes()


# --- the cursor of the present -------------------------------------------------------------------


async def _event_cursor(info: BatchInfo) -> str:
    info.viewer.require()
    if info.context.event_cursor is None:
        await take_event_cursor(info.context)
    assert info.context.event_cursor is not None, "the executor's selection index has this field"
    return info.context.event_cursor


# --- events after -------------------------------------------------------------------------------

# Parts of the log that one answer reads before it returns a cursor to continue from.
_STRETCHES = 4


@dataclass(slots=True)
class ChangesPage:
    """What `events` answers from; `PageInfo` reads it like any page."""

    rows: list[Any]
    next: Cursor
    has_next: bool
    # Events before the cursor are not read, so there may be some.
    has_previous: bool = True

    def cursor(self, row: Any) -> str:
        """The cursor of an event of this page."""
        return cursor_of(row)

    @property
    def end_cursor(self) -> str:
        """Where to continue, also after a page without events."""
        return str(self.next)


@strawberry.type(description="An event in a list, with its cursor.")
class EventEdge:
    """The edge is the row itself."""

    node: Event = derived((), lambda row: row, "The event.")
    cursor: str = derived(("epoch", "xid", "position"), cursor_of, "The event's cursor.")


@strawberry.type(
    description="A page of events, in the order in which they became visible. A page can have "
    "fewer events than requested, or none, and still have a next page. Continue from "
    "`pageInfo.endCursor`, which is never null here: immediately if "
    "`pageInfo.hasNextPage` is true, otherwise with your next request."
)
class EventConnection:
    """A connection without `totalCount`, which would require reading the whole log."""

    edges: list[EventEdge] = derived((), lambda page: page.rows, "The events with their cursors.")
    nodes: list[Event] = derived((), lambda page: page.rows, "The events.")
    page_info: PageInfo = derived((), lambda page: page, "The position of this page in the log.")
    cursor: str = derived(
        (),
        lambda page: str(page.next),
        "Same as `pageInfo.endCursor`: pass it as `after` to ask again or to subscribe. It "
        "advances even if nothing happened, so keep the newest.",
    )


async def _read_changes(context: Context, wanted: Wanted, since: Cursor, first: int) -> ChangesPage:
    log = context.services.live.log
    user_id = context.viewer.require()
    rows: list[Any] = []
    end = since
    for _ in range(_STRETCHES):
        page = await log.read_visible(user_id, end.place, limit=PAGE)
        for row in await wanted.select(page.rows):
            if len(rows) == first:
                last = rows[-1] if rows else None
                end = end if last is None else Cursor(last.epoch, last.xid, last.position)
                return ChangesPage(rows, end, has_next=True)
            rows.append(row)
        end = page.cursor
        if not page.more:
            return ChangesPage(rows, end, has_next=False)
    return ChangesPage(rows, end, has_next=True)


async def _events(
    info: BatchInfo,
    filter: Annotated[  # noqa: A002
        EventFilter | None, arg("Returns only events that match this filter.")
    ] = None,
    first: Annotated[
        int | None,
        arg(f"The number of events to return; {DEFAULT_PAGE} by default, at most {MAX_PAGE}."),
    ] = None,
    after: Annotated[
        str | None,
        arg(
            "The cursor to start after: of an event, `pageInfo.endCursor` of the previous page, "
            "or from `eventCursor`. Cursors are valid for 7 days. An empty string means the "
            "oldest stored event."
        ),
    ] = None,
) -> ChangesPage:
    context = info.context
    context.viewer.require()
    size = given(first)
    size = DEFAULT_PAGE if size is None else size
    if not 0 <= size <= MAX_PAGE:
        raise BadInput(f"first must be from 0 to {MAX_PAGE}; it is {size}.", path=("first",))
    wanted = wanted_of(context, given(filter))
    after = given(after)
    if after is None:
        raise BadInput("Provide after.", path=("after",))
    start = await context.services.live.log.resume(after, context.now, ("after",))
    return await _read_changes(context, wanted, start, size)


@strawberry.type
class EventQuery:
    event_cursor: str = root(
        _event_cursor,
        "Returns a cursor for the current end of the event log. Request it together with the "
        "first page of what you show, then subscribe with it as `after`: no event is missed in "
        "between.",
    )
    events: EventConnection = root(
        _events,
        "Returns the events after a cursor, for clients that poll: the same events as "
        "`taskEvents`. Fails with `CURSOR_EXPIRED` if the cursor is too old; reload your state "
        "in that case.",
    )


__all__ = ["Event", "EventConnection", "EventQuery", "take_event_cursor"]
