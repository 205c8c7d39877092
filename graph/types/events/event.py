"""Events in the schema: what happened, to whom it matters, and where to go on reading.

A client that shows a list and keeps it current asks for `eventCursor` and the list in one request,
and subscribes from that cursor. For nothing to fall between, the cursor must be older than every
read of the request. Root fields run side by side, so the executor takes it before any of them
begins (`take_event_cursor`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import strawberry
from graphql import OperationType
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
from graph.core.selection import fields_of
from graph.kit.loading import load_objects
from graph.kit.paging import DEFAULT_PAGE, MAX_PAGE, PageInfo
from graph.types.accounts.user import User
from graph.types.events import event_summary
from graph.types.events.event_changes import FieldChange, field_changes, model_named
from graph.types.events.event_filter import GONE, TaskEventFilter, Wanted, wanted_of
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
    strawberry.union(name="EventSubject", description="What an event is about."),
]

# Not a column: the epoch that the event's cursor belongs to.
EXPRESSIONS[models.Event, "epoch"] = lambda _viewer, _event: (
    select(LogEpoch.epoch).where(LogEpoch.id == ROW).scalar_subquery()
)


def _subject_id(event: Any) -> str | None:
    model = model_named(event.subject_type)
    return None if model is None else ids.encode(model, event.subject_id)


def _of_oneself(column: str, shown: Callable[[Any], Any] = str) -> Any:
    """Values of a column that are for whoever did it, and for administrators."""

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
    """The task concerned; of what happens to a task it is that one, whatever project is told."""
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
    """As it was sent to whoever sent it. To all others, after a slash, which is in no id: nobody
    can have an event taken for the echo of somebody else's request.
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
    "Something that happened to a task, a project or its members. The ids are the same in "
    "subscriptions, in `changes` and in webhooks.",
)
class TaskEvent(Node):
    """See `db.models.Event`."""

    id: strawberry.ID = node_id(models.Event)
    cursor: str = derived(
        ("epoch", "xid", "position"),
        cursor_of,
        "Pass it as `after` or `since` to go on from this event.",
    )
    at: dt.datetime = column(models.Event.at, "When it was done.")
    kind: EventKind = column(models.Event.kind, "What happened.", convert=EventKind)
    request_id: str | None = batch(
        _request_ids,
        "The request that did it, as its answer says in `extensions.requestId`, so that you know "
        "the echo of your own changes. Clients choose these ids, so those of other sessions, keys "
        "and people are given with the actor in front (`user_…/…`) and are never equal to yours.",
        requires=("request_id", "actor_id", "session_id", "api_key_id"),
    )
    actor: User | None = _by_key(
        models.User, "actor_id", "Who did it; null if the account was deleted since."
    )
    subject: EventSubject | None = batch(
        _subjects,
        "What it is about, as it is now; null if it is gone, or you may not see it any more.",
        requires=("subject_type", "subject_id"),
    )
    subject_id: strawberry.ID | None = derived(
        ("subject_type", "subject_id"), _subject_id, "The id of what it is about, gone or not."
    )
    task: Task | None = batch(
        _tasks,
        "The task concerned, as it is now; null if there is none to see.",
        requires=("task_id", "subject_type", "subject_id"),
    )
    matches: bool = derived(
        ("kind",),
        lambda event: event.kind not in GONE and getattr(event, "matches", True),
        "False: the task does not match the filter any more, or is gone, so take it off your list.",
    )
    project: Project | None = _by_key(
        models.Project, "project_id", "The project concerned; null if there is none to see."
    )
    summary: str = batch(
        summaries, "What happened, as a sentence in English.", requires=event_summary.NEEDS
    )
    ip: str | None = batch(
        _of_oneself("ip"),
        "The network address of the act. Null unless it is yours, or you are an administrator.",
        requires=("ip", "actor_id"),
    )
    session_id: strawberry.ID | None = batch(
        _of_oneself("session_id", ids.Encoder(models.Session)),
        "The session of the act. Null unless it is yours, or you are an administrator.",
        requires=("session_id", "actor_id"),
    )
    changes: list[FieldChange] = field_changes()


# --- the cursor of the present -------------------------------------------------------------------

_ASKED = "eventCursor"


async def take_event_cursor(context: Context) -> None:
    """Take `eventCursor` where the operation asks for it; to be called before anything is read."""
    selection_index = context.selection_index
    if selection_index is None or selection_index.operation.operation is not OperationType.QUERY:
        return
    requested = selection_index.statements.get(_ASKED)
    if requested is None:
        query = selection_index.schema.query_type
        assert query is not None
        nodes = fields_of(selection_index, query, [selection_index.operation.selection_set])
        requested = any(node.name.value == _ASKED for node in nodes)
        selection_index.statements[_ASKED] = requested
    if requested and context.viewer.signed_in:
        context.event_cursor = str((await context.services.live.log.head()).cursor)


async def _event_cursor(info: BatchInfo) -> str:
    info.viewer.require()
    if info.context.event_cursor is None:
        await take_event_cursor(info.context)
    assert info.context.event_cursor is not None, "the executor's outline has this field"
    return info.context.event_cursor


# --- changes since -------------------------------------------------------------------------------

# Stretches of the log that one answer looks through before it hands back a cursor to go on from.
_STRETCHES = 4


@dataclass(slots=True)
class ChangesPage:
    """What `changes` answers from; to `PageInfo` it looks like any page."""

    rows: list[Any]
    next: Cursor
    has_next: bool
    # What comes before a cursor is not looked at.
    has_previous: bool = True

    def cursor(self, row: Any) -> str:
        """The cursor of an event of this page."""
        return cursor_of(row)

    @property
    def end_cursor(self) -> str:
        """Where to go on, also after a page without events."""
        return str(self.next)


@strawberry.type(description="An event and its cursor.")
class EventEdge:
    """An edge is the row itself."""

    node: TaskEvent = derived((), lambda row: row, "The event.")
    cursor: str = derived(("epoch", "xid", "position"), cursor_of, "The event's own cursor.")


@strawberry.type(
    description="Events in the order in which they became visible. A page may hold fewer events "
    "than asked for, none even, and still have a next one. Go on from `pageInfo.endCursor`, which "
    "is never null here: at once while `pageInfo.hasNextPage`, else when you ask again."
)
class EventConnection:
    """A connection without `totalCount`, which would mean to read the whole log."""

    edges: list[EventEdge] = derived((), lambda page: page.rows, "The events with their cursors.")
    nodes: list[TaskEvent] = derived((), lambda page: page.rows, "The events.")
    page_info: PageInfo = derived((), lambda page: page, "Where this page stands in the log.")
    cursor: str = derived(
        (),
        lambda page: str(page.next),
        "The same as `pageInfo.endCursor`: pass it as `after` to ask again, or to go on live. It "
        "moves on even when nothing happened, so keep the newest.",
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


async def _changes_since(
    info: BatchInfo,
    since: Annotated[
        str | None,
        arg("Where to begin: the cursor of an event, or `eventCursor`. Kept for 7 days."),
    ] = None,
    filter: Annotated[TaskEventFilter | None, arg("Only events that match.")] = None,  # noqa: A002
    first: Annotated[
        int | None,
        arg(f"The number of events: {DEFAULT_PAGE} unless given, at most {MAX_PAGE}."),
    ] = None,
    after: Annotated[
        str | None,
        arg(
            "`pageInfo.endCursor` of the page before, which takes the place of `since`; an empty "
            "text is the beginning: `since`, or without it the oldest event that is kept."
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
    since, after = given(since), given(after)
    if since is None and after is None:
        raise BadInput("Give since or after.", path=("since",))
    place, name = (after, "after") if after or since is None else (since, "since")
    start = await context.services.live.log.resume(place or "", context.now, (name,))
    return await _read_changes(context, wanted, start, size)


@strawberry.type
class EventQuery:
    """Root fields."""

    event_cursor: str = root(
        _event_cursor,
        "The present end of the log of events. Ask for it in the same request as the first page "
        "of what you show, and subscribe with it as `after`: nothing falls between.",
    )
    changes: EventConnection = root(
        _changes_since,
        "What happened since a cursor, for those who poll: the same events as `taskEvents`. "
        "`CURSOR_EXPIRED` where the cursor is too old; then read the state afresh.",
    )


__all__ = ["EventConnection", "EventQuery", "TaskEvent", "take_event_cursor"]
