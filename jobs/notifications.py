"""From the log to the inbox: who is notified of an event, and why.

Each event yields candidates by the rules below, one function for each kind of event. Users who
cannot see the task at this moment are dropped, and so is the actor;
`domain.notifications.notification` then applies the preferences of the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, and_, bindparam, exists, or_, select

from db.models import Comment, Event, NotificationKind, Task
from db.read import Statement
from domain.notifications.notification import READ_JOB, Notice, mark_some_read, notify
from domain.work import Work
from events.kinds import EventKind
from jobs.consumer import consumer
from jobs.handlers import handler, nothing_to_end
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext

Candidate = tuple[UUID, NotificationKind]
Rule = Callable[[Any, Any], Iterator[Candidate]]


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
    first_assignees = await _first_assignees(work, events, tasks)
    deleted = await _deleted_comments(work, events)
    candidates: list[tuple[Any, Candidate]] = []
    for event in events:
        task = tasks.get(event.task_id)
        if task is None or event.subject_id in deleted:
            continue
        candidates.extend((event, one) for one in _RULES[EventKind(event.kind)](event, task))
        if (assignee := first_assignees.get(event.id)) is not None:
            candidates.append((event, (assignee, NotificationKind.TASK_ASSIGNED_TO_ME)))
    seeing = await context.log.readable(
        Task, {(event.task_id, person) for event, (person, _) in candidates}
    )
    notices = [
        Notice(
            recipient_id=person,
            kind=kind,
            event_id=event.id,
            actor_id=event.actor_id,
            task_id=event.task_id,
            comment_id=event.subject_id if event.subject_type == Comment.__name__ else None,
            at=event.at,
            trace=event.trace,
        )
        for event, (person, kind) in candidates
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


async def _first_assignees(
    work: Work, events: Sequence[Any], tasks: Mapping[UUID, Any]
) -> dict[UUID, UUID]:
    """The assignee of a task when it was created, for each creation event.

    That event names no fields. So it is the current assignee, unless that changed since: then the
    first such change names the previous one.
    """
    made = {
        event.task_id: event
        for event in events
        if event.kind == EventKind.TASK_CREATED.value and event.task_id in tasks
    }
    if not made:
        return {}
    changed = await work.fetch(_REASSIGNED, {"ids": list(made)})
    before: dict[UUID, UUID | None] = {}
    for task_id, changes in map(tuple, changed):
        old = next(change["from"] for change in changes if change["field"] == "assignee")
        before.setdefault(task_id, None if old is None else UUID(old))
    found = {}
    for task_id, event in made.items():
        person = before.get(task_id) if task_id in before else tasks[task_id].assignee_id
        if person is not None:
            found[event.id] = person
    return found


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
    select(Event.task_id, Event.changes)
    .where(
        Event.task_id == _IDS,
        _REASSIGNS,
    )
    .order_by(Event.xid, Event.position)
)


# --- who is notified of what ---------------------------------------------------------------------


def _task_changed(event: Any, task: Any) -> Iterator[Candidate]:
    """Any kind of change can set another assignee and complete the task at once."""
    changes = _changes(event)
    assignee = changes.get("assignee")
    if assignee is not None:
        yield UUID(assignee), NotificationKind.TASK_ASSIGNED_TO_ME
    if event.kind == EventKind.TASK_COMPLETED.value:
        for person in _mine(task):
            yield person, NotificationKind.TASK_COMPLETED


def _shared(event: Any, _task: Any) -> Iterator[Candidate]:
    person = _changes(event).get("user")
    if person is not None:
        yield UUID(person), NotificationKind.TASK_SHARED_WITH_ME


def _commented(event: Any, task: Any) -> Iterator[Candidate]:
    """Mentioned users are notified of the mention only, and not of the comment as well."""
    mentioned = set(_mentioned(event))
    for person in sorted(mentioned):
        yield person, NotificationKind.MENTIONED
    if event.kind == EventKind.COMMENT_CREATED.value:
        for person in _mine(task):
            if person not in mentioned:
                yield person, NotificationKind.COMMENT_ON_MY_TASK


def _nobody(_event: Any, _task: Any) -> Iterator[Candidate]:
    """The assignee of a new task is found by `_first_assignees`."""
    return iter(())


_RULES: Mapping[EventKind, Rule] = {
    EventKind.TASK_CREATED: _nobody,
    EventKind.TASK_UPDATED: _task_changed,
    EventKind.TASK_ASSIGNED: _task_changed,
    EventKind.TASK_COMPLETED: _task_changed,
    EventKind.TASK_REOPENED: _task_changed,
    EventKind.TASK_MOVED: _task_changed,
    EventKind.TASK_SHARE_CREATED: _shared,
    EventKind.COMMENT_CREATED: _commented,
    EventKind.COMMENT_UPDATED: _commented,
}


def _changes(event: Any) -> dict[str, Any]:
    return {change["field"]: change["to"] for change in event.changes}


def _mentioned(event: Any) -> list[UUID]:
    """Users whom this event mentions for the first time in its comment."""
    for change in event.changes:
        if change["field"] == "mentions":
            return [UUID(person) for person in change["to"] if person not in change["from"]]
    return []


def _mine(task: Any) -> list[UUID]:
    """Users for whom it is "my task": its owner and its assignee."""
    people = [task.owner_id, task.assignee_id]
    return sorted({person for person in people if person is not None})
