"""Time entries and timers in the schema."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import BigInteger, cast, func

from auth import access
from db import models
from db.models.time_entry import seconds
from domain.time import time_entry as domain
from domain.time import timer
from domain.work import Work
from graph.core import ids
from graph.core.fields import column, derived
from graph.core.inputs import changes_of, given, is_given
from graph.core.node import Node, expression, node_id, node_type, permission_field
from graph.kit import ordering, paging
from graph.kit.loading import by_id, to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key
from graph.types.time.time_inputs import (
    NewTimeEntryFields,
    TimeEntryCreateInput,
    TimeEntryDeleteInput,
    TimeEntryFilter,
    TimeEntryOrder,
    TimeEntryUpdateInput,
    TimerStartInput,
    TimerStopInput,
    overlaps,
)

if TYPE_CHECKING:
    from graph.types.accounts.user import User
    from graph.types.projects.project import Project
    from graph.types.tasks.task import Task

_User = Annotated["User", strawberry.lazy("graph.types.accounts.user")]
_Project = Annotated["Project", strawberry.lazy("graph.types.projects.project")]
_Task = Annotated["Task", strawberry.lazy("graph.types.tasks.task")]

_NEWEST_FIRST = (Key(ordering.source(models.TimeEntry.started_at), descending=True),)


@node_type(
    models.TimeEntry,
    "A stretch of somebody's time; a running timer while it has no end. Seen by its user, and by "
    "owner and admins of its project.",
)
class TimeEntry(Node):
    """See `db.models.TimeEntry`."""

    id: strawberry.ID = node_id(models.TimeEntry)
    user: _User | None = to_one(
        models.TimeEntry.user, "Whose time it is; null if their account was deleted."
    )
    project: _Project | None = to_one(
        models.TimeEntry.project,
        "The project in which it was spent; a task that is moved later leaves it there. Null for "
        "none, or where you do not see it.",
    )
    task: _Task | None = to_one(
        models.TimeEntry.task, "The task; null for none, or where you do not see it."
    )
    description: str | None = column(
        models.TimeEntry.description, "What was done, up to 500 characters."
    )
    started_at: dt.datetime = column(
        models.TimeEntry.started_at,
        "When it began, to the second; for an entry of a day, that day's midnight for its user.",
    )
    ended_at: dt.datetime | None = column(
        models.TimeEntry.ended_at, "When it ended; null while it runs."
    )
    day: dt.date | None = column(
        models.TimeEntry.day,
        "The day, where the time was given as a day and a duration; null where it has moments.",
    )
    duration_seconds: int = expression(
        models.TimeEntry,
        "duration_seconds",
        lambda _, entry: cast(func.least(seconds(entry), 2**31 - 1), BigInteger),
        "How long it is, in seconds; up to now while it runs.",
    )
    is_running: bool = derived(
        (models.TimeEntry.ended_at,),
        lambda entry: entry.ended_at is None,
        "Whether it is a running timer.",
    )
    billable: bool = column(models.TimeEntry.billable, "Whether it can be billed.")
    tags: list[str] = column(models.TimeEntry.tags, "Tags, in the order in which they were given.")
    overlaps: bool = expression(
        models.TimeEntry,
        "overlaps",
        overlaps,
        "Whether another entry of the same person, one that you may see, is at the same time.",
    )
    viewer_can_edit: bool = permission_field(
        models.TimeEntry,
        "viewer_can_edit",
        access.edit,
        "Whether you may change or delete it, if its time is not closed.",
    )
    created_at: dt.datetime = column(models.TimeEntry.created_at, "When it was entered.")
    updated_at: dt.datetime = column(models.TimeEntry.updated_at, "When it changed last.")
    version: int = column(models.TimeEntry.version, "Goes up with each change; for `ifVersion`.")


@paging.connection_type("A page of time entries.", edge="A time entry in a list.")
class TimeEntryConnection:
    """Relay connection."""

    node: TimeEntry


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class TimeEntryQuery:
    """Root fields."""

    time_entry: TimeEntry | None = by_id(
        models.TimeEntry,
        "The entry's id.",
        "One time entry by id; null with `NOT_FOUND` if there is none for you.",
    )
    time_entries: TimeEntryConnection = paging.connection(
        models.TimeEntry,
        "The time entries that you may see: your own, and everybody's in projects that you own or "
        "administrate. Newest first unless ordered otherwise.",
        filter_type=TimeEntryFilter,
        order_type=TimeEntryOrder,
        default_order=_NEWEST_FIRST,
    )


# --- payloads ------------------------------------------------------------------------------------


@strawberry.type
class _EntryPayload(Payload):
    time_entry: TimeEntry | None = ref(
        models.TimeEntry, "The time entry; null if nothing was done."
    )


@payload("The new time entry.")
class TimeEntryCreatePayload(_EntryPayload):
    """`timeEntryCreate`."""


@payload("The changed time entry; with `CONFLICT`, the entry as it is.")
class TimeEntryUpdatePayload(_EntryPayload):
    """`timeEntryUpdate`."""


@payload("The running timer: the new one, or the one that was running already.")
class TimerStartPayload(_EntryPayload):
    """`timerStart`."""


@payload("The time entry that the timer has made; with `CONFLICT`, the timer that runs.")
class TimerStopPayload(_EntryPayload):
    """`timerStop`."""


@payload("What was deleted.")
class TimeEntryDeletePayload(Payload):
    """A deleted entry is gone for good."""

    time_entry: TimeEntry | None = ref(
        models.TimeEntry, "With `CONFLICT`, the entry as it is; else null."
    )
    deleted_id: strawberry.ID | None = value("deleted_id", "The id of the entry that was.")


# --- mutations -----------------------------------------------------------------------------------


def _id(model: Any, text: Any, name: str) -> UUID | None:
    text = given(text)
    return None if text is None else ids.decode(model, text, (name,))


def new_entry(data: NewTimeEntryFields) -> domain.NewTimeEntry:
    """The domain's words for an input of a new entry."""
    return domain.NewTimeEntry(
        project_id=_id(models.Project, data.project_id, "project_id"),
        task_id=_id(models.Task, data.task_id, "task_id"),
        description=given(data.description),
        started_at=given(data.started_at),
        ended_at=given(data.ended_at),
        duration_seconds=given(data.duration_seconds),
        day=given(data.day),
        billable=bool(given(data.billable)),
        tags=given(data.tags) or (),
        id=ids.decode_new(models.TimeEntry, data.id, ("id",)),
        force=bool(given(data.force)),
    )


async def _create(work: Work, data: TimeEntryCreateInput) -> Refs:
    return {"time_entry": (await domain.create(work, new_entry(data))).id}


async def _update(work: Work, data: TimeEntryUpdateInput) -> Refs:
    changes = changes_of(
        data,
        "project_id",
        "task_id",
        "description",
        "started_at",
        "ended_at",
        "duration_seconds",
        "day",
        "billable",
        "tags",
    )
    for name, model in (("project_id", models.Project), ("task_id", models.Task)):
        if changes.get(name) is not None:
            changes[name] = ids.decode(model, changes[name], (name,))
    entry = await domain.update_entry(
        work,
        ids.decode(models.TimeEntry, data.id, ("id",)),
        changes,
        given(data.if_version),
        force=bool(given(data.force)),
    )
    return {"time_entry": entry.id}


async def _delete(work: Work, data: TimeEntryDeleteInput) -> Refs:
    entry_id = ids.decode(models.TimeEntry, data.id, ("id",))
    await domain.delete(work, entry_id, given(data.if_version))
    return {"deleted_id": ids.encode(models.TimeEntry, entry_id)}


async def _start(work: Work, data: TimerStartInput) -> Refs:
    values = {
        "project_id": _id(models.Project, data.project_id, "project_id"),
        "task_id": _id(models.Task, data.task_id, "task_id"),
        "description": given(data.description),
        "billable": bool(given(data.billable)),
        "tags": given(data.tags) or (),
    }
    requested = {name: value for name, value in values.items() if is_given(getattr(data, name))}
    entry = await timer.start(work, requested, ids.decode_new(models.TimeEntry, data.id, ("id",)))
    return {"time_entry": entry.id}


async def _stop(work: Work, data: TimerStopInput) -> Refs:
    return {"time_entry": (await timer.stop(work, given(data.if_version))).id}


@strawberry.type
class TimeEntryMutation:
    """Root fields."""

    timer_start: TimerStartPayload = mutation(
        _start,
        TimerStartInput,
        "Starts a timer and stops the running one at the same second. If everything given is equal "
        "to the running timer, that one goes on and is returned.",
    )
    timer_stop: TimerStopPayload = mutation(
        _stop, TimerStopInput, "Stop your running timer. `NOT_FOUND` where none runs."
    )
    time_entry_create: TimeEntryCreatePayload = mutation(
        _create, TimeEntryCreateInput, "Enter time that you have spent."
    )
    time_entry_update: TimeEntryUpdatePayload = mutation(
        _update, TimeEntryUpdateInput, "Change a time entry of your own."
    )
    time_entry_delete: TimeEntryDeletePayload = mutation(
        _delete, TimeEntryDeleteInput, "Delete a time entry of your own, for good."
    )
