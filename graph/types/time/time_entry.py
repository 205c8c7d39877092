"""Time entries and timers in the schema."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer
from db import models
from db.models.time_entry import seconds
from domain.time import time_entry as domain
from domain.time import timer
from domain.time.time_values import CHANGEABLE, STARTABLE, is_locked
from domain.time.times import Span
from domain.work import Work
from graph.core import ids
from graph.core.fields import BatchInfo, batch, column, derived
from graph.core.inputs import given, is_given
from graph.core.node import EXPRESSIONS, Node, expression, node_id, node_type
from graph.core.scalars import Markdown, Seconds
from graph.kit import ordering, paging
from graph.kit.commands import arguments_of, changes_of
from graph.kit.loading import by_id, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key
from graph.types.time.time_inputs import (
    TimeEntryCreateInput,
    TimeEntryDeleteInput,
    TimeEntryFilter,
    TimeEntryOrder,
    TimeEntryUpdateInput,
    TimerStartInput,
    TimerStopInput,
    overlaps,
    time_of,
)

if TYPE_CHECKING:
    from graph.types.accounts.user import User
    from graph.types.projects.project import Project
    from graph.types.tasks.task import Task

_User = Annotated["User", strawberry.lazy("graph.types.accounts.user")]
_Project = Annotated["Project", strawberry.lazy("graph.types.projects.project")]
_Task = Annotated["Task", strawberry.lazy("graph.types.tasks.task")]

NEWEST_FIRST = (Key(ordering.source(models.TimeEntry.started_at), descending=True),)


def _locked_before(_: Viewer, entry: Any) -> Any:
    project = aliased(models.Project)
    return (
        select(project.time_locked_before).where(project.id == entry.project_id).scalar_subquery()
    )


EXPRESSIONS[models.TimeEntry, "locked_before"] = _locked_before


def _unless_locked(
    label: str, right: Callable[[Viewer, Any], ColumnElement[bool]], description: str
) -> Any:
    """A permission on one's own entries, which a lock of their project's time takes away. The day
    of an entry is found here, since PostgreSQL converts no times by the name of a zone.
    """
    EXPRESSIONS[models.TimeEntry, label] = right

    def holds(entry: Any, timezone: str) -> bool:
        span = Span(entry.started_at, entry.ended_at, entry.day)
        before = entry.locked_before
        return bool(getattr(entry, label)) and not (before and is_locked(span, before, timezone))

    async def allowed(parents: Sequence[Any], info: BatchInfo) -> list[bool]:
        return [holds(entry, info.viewer.timezone) for entry in parents]

    needs = (label, "locked_before", "started_at", "ended_at", "day")
    return batch(allowed, description, requires=needs)


@node_type(
    models.TimeEntry,
    "A span of a user's time; a running timer if it has no end. Visible to its user and to the "
    "owner and admins of its project.",
)
class TimeEntry(Node):
    id: strawberry.ID = node_id(models.TimeEntry)
    user: _User | None = to_one(
        models.TimeEntry.user, "The user whose time it is; null if the account was deleted."
    )
    project: _Project | None = to_one(
        models.TimeEntry.project,
        "The project the time was spent on. It follows the task to another project unless the "
        "task is moved with `timeEntries: KEEP`. Null if there is none or you cannot see it.",
    )
    task: _Task | None = to_one(
        models.TimeEntry.task, "The task; null if there is none or you cannot see it."
    )
    description: Markdown | None = column("What was done, up to 500 characters.")
    started_at: dt.datetime = column(
        "When the entry started, to the second. For an entry with a day, midnight of that day "
        "in its user's time zone."
    )
    ended_at: dt.datetime | None = column("When the entry ended; null while the timer is running.")
    day: dt.date | None = column(
        "The day of an entry that was given as a day and a duration; null if it has a start and "
        "an end."
    )
    duration: Seconds = expression(
        models.TimeEntry,
        "duration_seconds",
        lambda _, entry: seconds(entry),
        "The duration; up to now while the timer is running.",
    )
    is_running: bool = derived(
        (models.TimeEntry.ended_at,),
        lambda entry: entry.ended_at is None,
        "Whether the entry is a running timer.",
    )
    is_billable: bool = column("Whether the time is billable.")
    tags: list[str] = column("The tags, in the order in which they were given.")
    has_overlap: bool = expression(
        models.TimeEntry,
        "overlaps",
        overlaps,
        "Whether the entry overlaps another entry of the same user that you can see.",
    )
    viewer_can_edit: bool = _unless_locked(
        "may_edit",
        access.edit,
        "Whether you can change the entry. False if its period is locked.",
    )
    viewer_can_delete: bool = _unless_locked(
        "may_delete",
        access.delete,
        "Whether you can delete the entry. False if its period is locked.",
    )
    created_at: dt.datetime = column("When the entry was created.")
    updated_at: dt.datetime = column("When the entry last changed.")
    version: int = column("Increases with each change; pass it as `ifVersion`.")


@paging.connection_type("A page of time entries.", edge="A time entry in a list, with its cursor.")
class TimeEntryConnection:
    node: TimeEntry


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class TimeEntryQuery:
    time_entry: TimeEntry | None = by_id(
        models.TimeEntry,
        "The time entry's ID.",
        "A time entry by ID; null with `NOT_FOUND` if it does not exist or you cannot see it.",
    )
    time_entries: TimeEntryConnection = paging.connection(
        models.TimeEntry,
        "The time entries that you can see: your own, and everyone's in projects that you own "
        "or administer. Newest first by default.",
        filter_type=TimeEntryFilter,
        order_type=TimeEntryOrder,
        default_order=NEWEST_FIRST,
    )


# --- payloads ------------------------------------------------------------------------------------


@shared_payload("`timeEntry` is the current entry.")
class _EntryPayload(MutationPayload):
    time_entry: TimeEntry | None = ref(
        models.TimeEntry, "The time entry; null if nothing was changed."
    )


@payload("Payload of `timerStart`, with the new timer, or the running one if it was equal.")
class TimerStartPayload(_EntryPayload):
    """`timerStart`."""

    stopped_time_entry: TimeEntry | None = ref(
        models.TimeEntry, "The timer that was running before and was stopped, if any.", "stopped"
    )


@payload("Payload of `timerStop`. On `CONFLICT`, `timeEntry` is the running timer.")
class TimerStopPayload(_EntryPayload):
    """`timerStop`."""


@payload("Payload of `timeEntryDelete`.")
class TimeEntryDeletePayload(MutationPayload):
    """Deletion is permanent."""

    time_entry: TimeEntry | None = ref(
        models.TimeEntry, "The current entry on `CONFLICT`; otherwise null."
    )
    deleted_id: strawberry.ID | None = value("deleted_id", "The ID of the deleted entry.")
    task: _Task | None = ref(
        models.Task,
        "The task of the deleted entry, with the time that is left. Null if there is none or you "
        "cannot see it.",
        "task",
    )
    project: _Project | None = ref(
        models.Project,
        "The project of the deleted entry, with the time that is left. Null if there is none or "
        "you cannot see it.",
        "project",
    )


# --- mutations -----------------------------------------------------------------------------------


# Whose IDs the fields of a changed, and of a new entry hold.
_PLACE_IDS = {"project_id": models.Project, "task_id": models.Task}
_NEW_IDS = {**_PLACE_IDS, "id": models.TimeEntry}


def new_entry_of(input_type: type[Any]) -> Callable[[Any], domain.NewTimeEntry]:
    """A function that reads a new entry from an input or an item of a bulk."""
    read = arguments_of(input_type, domain.NewTimeEntry, ids=_NEW_IDS)
    return lambda data: domain.NewTimeEntry(**read(data) | {"time": time_of(data.time)})


def entry_changes_of(input_type: type[Any]) -> Callable[[Any], dict[str, Any]]:
    """A function that reads the changes of an entry from an input or an item of a bulk."""
    options = ("allow_over_24_hours",)
    read = changes_of(input_type, CHANGEABLE, ids=_PLACE_IDS, options=options)

    def changes(data: Any) -> dict[str, Any]:
        found = read(data)
        if found.get("time") is not None:
            found["time"] = time_of(found["time"])
        return found

    return changes


_new = new_entry_of(TimeEntryCreateInput)
_changes = entry_changes_of(TimeEntryUpdateInput)
_started = arguments_of(TimerStartInput, domain.NewTimeEntry, ids=_NEW_IDS)


async def _create(work: Work, data: TimeEntryCreateInput) -> Refs:
    return {"time_entry": (await domain.create(work, _new(data))).id}


async def _update(work: Work, data: TimeEntryUpdateInput) -> Refs:
    entry = await domain.update_entry(
        work,
        ids.decode(models.TimeEntry, data.id, ("id",)),
        _changes(data),
        given(data.if_version),
        allow_over_24_hours=data.allow_over_24_hours,
    )
    return {"time_entry": entry.id}


async def _delete(work: Work, data: TimeEntryDeleteInput) -> Refs:
    entry_id = ids.decode(models.TimeEntry, data.id, ("id",))
    entry = await domain.delete(work, entry_id, given(data.if_version))
    return {
        "deleted_id": ids.encode(models.TimeEntry, entry_id),
        "task": entry.task_id,
        "project": entry.project_id,
    }


async def _start(work: Work, data: TimerStartInput) -> Refs:
    new = _started(data)
    requested = {name: new.get(name) for name in STARTABLE if is_given(getattr(data, name))}
    started = await timer.start(work, requested, new.get("id"))
    return {"time_entry": started.running.id, "stopped": started.stopped and started.stopped.id}


async def _stop(work: Work, data: TimerStopInput) -> Refs:
    return {"time_entry": (await timer.stop(work, given(data.if_version))).id}


@strawberry.type
class TimeEntryMutation:
    timer_start: TimerStartPayload = mutation(
        _start,
        TimerStartInput,
        "Starts a timer and stops the running one in the same second. If everything given is "
        "equal to the running timer, that timer continues and is returned.",
    )
    timer_stop: TimerStopPayload = mutation(
        _stop,
        TimerStopInput,
        "Stops your running timer. Fails with `NOT_FOUND` if none is running.",
    )
    time_entry_create: _EntryPayload = mutation(
        _create, TimeEntryCreateInput, "Creates a time entry for time that you have spent."
    )
    time_entry_update: _EntryPayload = mutation(
        _update, TimeEntryUpdateInput, "Changes one of your time entries."
    )
    time_entry_delete: TimeEntryDeletePayload = mutation(
        _delete, TimeEntryDeleteInput, "Deletes one of your time entries permanently."
    )
