"""The running timer: an entry without an end, at most one per user.

Starting a timer ends the running one, at the same second and in the same transaction. Starting an
equal timer again changes nothing, so a client that got no answer can retry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from db.models import TimeEntry
from domain.time.time_entry import known_places, lock
from domain.time.time_values import checked_words, demand_unlocked, record
from domain.time.times import Span, whole_second
from domain.work import Work
from errors import ErrorCode, Failure, Forbidden
from events.kinds import EventKind

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Started(NamedTuple):
    """A running timer, and the one that ended for it, if there was one."""

    running: TimeEntry
    stopped: TimeEntry | None


async def start(
    work: Work, given: Mapping[str, Any] = _NOTHING, id_: UUID | None = None
) -> Started:
    """Start a timer, or return the running one if every given value is equal to its own.

    `given`: any of project_id, task_id, description, is_billable and tags.
    """
    words = checked_words({"description": None, "is_billable": False, "tags": (), **given})
    await lock(work)
    project_id, task_id = given.get("project_id"), given.get("task_id")
    place = (await known_places(work, {project_id}, {task_id})).of(project_id, task_id)
    running = await _running(work, work.viewer.require())
    if running is not None and not _is_within(work, running):
        raise Forbidden(
            "Your timer runs outside the projects that this API key is restricted to, so the key "
            "cannot stop it."
        )
    if (
        running is not None
        and id_ in {None, running.id}
        and _is_same(running, {**words, **place.values}, given.keys())
    ):
        return Started(running, None)
    started = whole_second(work.now)
    if running is not None:
        # A request that waited for another start can have an earlier time than that start.
        started = max(started, running.started_at)
        _end(work, running, started)
        await work.session.flush()
    demand_unlocked(
        work,
        place.project,
        Span(started, None),
        place=("project_id",) if task_id is None else ("task_id",),
        time=("project_id",),
    )
    await work.demand_free(TimeEntry, id_)
    entry = TimeEntry(
        **words,
        **place.values,
        id=id_ or work.new_id(),
        user_id=work.viewer.require(),
        started_at=started,
        created_at=work.now,
        updated_at=work.now,
    )
    work.session.add(entry)
    await work.session.flush()
    record(work, EventKind.TIMER_STARTED, entry)
    await work.session.flush()
    return Started(entry, running)


async def stop(work: Work, if_version: int | None) -> TimeEntry:
    """Stop the running timer. This is always possible, in locked periods and archived projects
    too.
    """
    await lock(work)
    running = await _running(work, work.viewer.require())
    # What an API key cannot see is not there for it.
    if running is None or not _is_within(work, running):
        raise Failure("You have no running timer.", code=ErrorCode.NOT_FOUND)
    work.check_version(running, if_version, fields=["ended_at"], ref="time_entry")
    _end(work, running, max(whole_second(work.now), running.started_at))
    await work.session.flush()
    return running


async def stop_for(work: Work, user_id: UUID) -> None:
    """Stop the timer of a user whose account is deleted, if one is running."""
    running = await _running(work, user_id)
    if running is not None:
        _end(work, running, max(whole_second(work.now), running.started_at))
        await work.session.flush()


def _end(work: Work, entry: TimeEntry, at: Any) -> None:
    record(work, EventKind.TIMER_STOPPED, entry, work.apply(entry, {"ended_at": at}))


def _is_same(running: TimeEntry, values: Mapping[str, Any], given: Collection[str]) -> bool:
    return all(
        set(running.tag_keys) == set(values["tag_keys"])
        if name == "tags"
        else getattr(running, name) == values[name]
        for name in given
    )


def _is_within(work: Work, entry: TimeEntry) -> bool:
    """Whether an entry of the viewer is in the projects that their API key is restricted to."""
    projects = work.viewer.projects
    return projects is None or entry.project_id in projects


async def _running(work: Work, user_id: UUID) -> TimeEntry | None:
    entry: TimeEntry | None = await work.session.scalar(
        select(TimeEntry)
        .where(TimeEntry.user_id == user_id, TimeEntry.ended_at.is_(None))
        .with_for_update()
    )
    return entry
