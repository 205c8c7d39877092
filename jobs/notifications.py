"""From the log to the inbox: who is notified of an event, and why.

Each event yields candidates by the rules below, one function for each kind of event. A task is
"mine" for its owner and for the user to whom it was assigned when the event happened. Users who
cannot see the task at this moment are dropped, and so is the actor;
`domain.notifications.notification` then applies the preferences of the others.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Uuid,
    and_,
    bindparam,
    cast,
    exists,
    literal,
    or_,
    select,
    tuple_,
)

from db.models import Comment, Event, Notification, NotificationKind, Task
from db.models.event import Xid8
from db.statements import Statement
from domain.notifications.notification import READ_JOB, Notice, mark_some_read, notify
from domain.work import Work
from events.kinds import EventKind
from jobs.consumer import consumer
from jobs.handlers import handler, nothing_to_end
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext

Candidate = tuple[UUID, NotificationKind, NotificationKind | None]
"""A user, and the `kind` and `or_else` of their notification; each user once for an event."""

Rule = Callable[[Any, Collection[UUID], UUID | None], Iterator[Candidate]]
"""Takes an event, the users for whom it is "my task", and the assignee."""


def _wants(event: Any) -> bool:
    return event.task_id is not None and EventKind(event.kind) in _RULES


async def _concerning(context: WorkerContext, events: Sequence[Any]) -> Sequence[Any]:
    """All events but those of new tasks that nobody was ever to do."""
    new = [event.task_id for event in events if event.kind == EventKind.TASK_CREATED.value]
    if not new:
        return events
    rows = await context.database.single.fetch(_ASSIGNED, {"ids": new})
    assigned = {row.id for row in rows}
    return [
        event
        for event in events
        if event.kind != EventKind.TASK_CREATED.value or event.task_id in assigned
    ]


@consumer("notifications", _wants, _concerning)
async def notify_people(context: WorkerContext, work: Work, events: Sequence[Any]) -> None:
    """Write the notifications of these events, with their mails and push messages."""
    tasks = await _tasks(work, {event.task_id for event in events})
    # After the tasks: a change in between then names whom they had.
    reassigned = await _reassigned(work, events)
    deleted = await _deleted_comments(work, events)
    mentioned = await _mentioned_before(work, events)
    candidates: list[tuple[Any, Candidate]] = []
    for event in events:
        task = tasks.get(event.task_id)
        if task is None or event.subject_id in deleted:
            continue
        assignee = _assignee_at(event, task, reassigned)
        mine = {task.owner_id, assignee} - {None}
        for candidate in _RULES[EventKind(event.kind)](event, mine, assignee):
            person, kind, _ = candidate
            if kind is NotificationKind.MENTIONED:
                if (event.subject_id, person) in mentioned:
                    continue
                mentioned.add((event.subject_id, person))
            candidates.append((event, candidate))
    seeing = await context.log.readable(
        Task, {(event.task_id, person) for event, (person, _, _) in candidates}
    )
    notices = [
        Notice(
            recipient_id=person,
            kind=kind,
            or_else=or_else,
            event_id=event.id,
            actor_id=event.actor_id,
            task_id=event.task_id,
            comment_id=event.subject_id if event.subject_type == Comment.__name__ else None,
            at=event.at,
            trace=event.trace,
        )
        for event, (person, kind, or_else) in candidates
        if (event.task_id, person) in seeing
    ]
    await notify(
        work, notices, mail_delay=dt.timedelta(seconds=context.settings.mail.delay_seconds)
    )


@handler(READ_JOB, on_given_up=nothing_to_end)
async def mark_rest_read(context: WorkerContext, job: RunningJob) -> None:
    """Mark as read what its mutation has not, if there were very many."""
    mark = partial(
        mark_some_read,
        user_id=UUID(job.payload["user"]),
        until=dt.datetime.fromisoformat(job.payload["until"]),
    )
    while await context.do(job.name, mark):
        pass


async def _tasks(work: Work, ids: set[UUID]) -> dict[UUID, Any]:
    """Those of these tasks that are not deleted."""
    return {row.id: row for row in await work.fetch(_TASKS, {"ids": list(ids)})}


async def _deleted_comments(work: Work, events: Sequence[Any]) -> set[UUID]:
    """Of the comments that these events are about, those that nobody can read any longer."""
    about = {event.subject_id for event in events if event.subject_type == Comment.__name__}
    if not about:
        return about
    there = await work.fetch(_COMMENTS, {"ids": list(about)})
    return about.difference(row.id for row in there)


async def _mentioned_before(work: Work, events: Sequence[Any]) -> set[tuple[UUID, UUID]]:
    """Whom an edited comment has notified of a mention before: to take a name out and put it in
    again mentions nobody anew. Pairs of comment and user.
    """
    edited = {event.subject_id for event in events if event.kind == EventKind.COMMENT_UPDATED.value}
    if not edited:
        return set()
    rows = await work.fetch(_MENTIONED, {"ids": list(edited)})
    return {(row.comment_id, row.recipient_id) for row in rows}


async def _reassigned(work: Work, events: Sequence[Any]) -> Mapping[UUID, Sequence[Any]]:
    """The changes of assignee of each task from the first of these events on, in order."""
    of_mine = [event for event in events if EventKind(event.kind) in _ABOUT_MINE]
    if not of_mine:
        return {}
    first = min(of_mine, key=_place)
    params = {"xid": first.xid, "position": first.position}
    ids = list({event.task_id for event in of_mine})
    found: dict[UUID, list[Any]] = defaultdict(list)
    for row in await work.fetch(_REASSIGNED, {"ids": ids, **params}):
        found[row.task_id].append(row)
    return found


def _assignee_at(event: Any, task: Any, reassigned: Mapping[UUID, Sequence[Any]]) -> UUID | None:
    """The task's assignee just after an event: the first later change names them. Without one, it
    is the current assignee.
    """
    for row in reassigned.get(event.task_id, ()):
        if _place(row) > _place(event):
            old = next(change["from"] for change in row.changes if change["field"] == "assignee")
            return None if old is None else UUID(old)
    found: UUID | None = task.assignee_id
    return found


def _place(event: Any) -> tuple[int, int]:
    return event.xid, event.position


_IDS: ColumnElement[Any] = bindparam("ids", type_=ARRAY(Uuid())).any_()
_REASSIGNS = and_(
    Event.subject_type == Task.__name__, Event.changes.contains([{"field": "assignee"}])
)
_TASKS = Statement(
    select(Task.id, Task.owner_id, Task.assignee_id).where(
        Task.id == _IDS, Task.deleted_at.is_(None)
    )
)
# Those that have an assignee, or had one.
_ASSIGNED = Statement(
    select(Task.id).where(
        Task.id == _IDS,
        or_(Task.assignee_id.is_not(None), exists().where(Event.task_id == Task.id, _REASSIGNS)),
    )
)
_COMMENTS = Statement(select(Comment.id).where(Comment.id == _IDS, Comment.removed_at.is_(None)))
_REASSIGNED = Statement(
    select(Event.task_id, Event.xid, Event.position, Event.changes)
    .where(
        Event.task_id == _IDS,
        _REASSIGNS,
        tuple_(Event.xid, Event.position)
        > tuple_(
            cast(bindparam("xid", type_=Xid8()), Xid8()),
            bindparam("position", type_=BigInteger()),
        ),
    )
    .order_by(Event.xid, Event.position)
)
_MENTIONED = Statement(
    select(Notification.comment_id, Notification.recipient_id).where(
        Notification.comment_id == _IDS,
        Notification.kind == literal(NotificationKind.MENTIONED, Notification.kind.type),
    )
)


# --- who is notified of what ---------------------------------------------------------------------


def _task_created(
    _event: Any, _mine: Collection[UUID], assignee: UUID | None
) -> Iterator[Candidate]:
    if assignee is not None:
        yield assignee, NotificationKind.TASK_ASSIGNED_TO_ME, None


def _task_changed(event: Any, mine: Collection[UUID], _: UUID | None) -> Iterator[Candidate]:
    """Any kind of change can set another assignee and complete the task at once."""
    is_completed = event.kind == EventKind.TASK_COMPLETED.value
    to = _changes(event).get("assignee")
    assignee = None if to is None else UUID(to)
    if assignee is not None:
        also = NotificationKind.TASK_COMPLETED if is_completed else None
        yield assignee, NotificationKind.TASK_ASSIGNED_TO_ME, also
    if is_completed:
        for person in sorted(set(mine) - {assignee}):
            yield person, NotificationKind.TASK_COMPLETED, None


def _shared(event: Any, _mine: Collection[UUID], _: UUID | None) -> Iterator[Candidate]:
    person = _changes(event).get("user")
    if person is not None:
        yield UUID(person), NotificationKind.TASK_SHARED_WITH_ME, None


def _commented(event: Any, mine: Collection[UUID], _: UUID | None) -> Iterator[Candidate]:
    """Mentioned users are notified of the mention, and not of the comment as well."""
    mine = set(mine) if event.kind == EventKind.COMMENT_CREATED.value else set()
    mentioned = set(_mentioned(event))
    for person in sorted(mentioned):
        also = NotificationKind.COMMENT_ON_MY_TASK if person in mine else None
        yield person, NotificationKind.MENTIONED, also
    for person in sorted(mine - mentioned):
        yield person, NotificationKind.COMMENT_ON_MY_TASK, None


_RULES: Mapping[EventKind, Rule] = {
    EventKind.TASK_CREATED: _task_created,
    EventKind.TASK_UPDATED: _task_changed,
    EventKind.TASK_ASSIGNED: _task_changed,
    EventKind.TASK_COMPLETED: _task_changed,
    EventKind.TASK_REOPENED: _task_changed,
    EventKind.TASK_MOVED: _task_changed,
    EventKind.TASK_SHARE_CREATED: _shared,
    EventKind.COMMENT_CREATED: _commented,
    EventKind.COMMENT_UPDATED: _commented,
}

# Events of which users are notified because it is their task.
_ABOUT_MINE = frozenset(
    {EventKind.TASK_CREATED, EventKind.TASK_COMPLETED, EventKind.COMMENT_CREATED}
)


def _changes(event: Any) -> dict[str, Any]:
    return {change["field"]: change["to"] for change in event.changes}


def _mentioned(event: Any) -> list[UUID]:
    """Users whom this event mentions for the first time in its comment."""
    for change in event.changes:
        if change["field"] == "mentions":
            return [UUID(person) for person in change["to"] if person not in change["from"]]
    return []
