"""The running timer: an entry without an end, at most one for each person.

To start one ends the other, at the same second and in the same transaction. To start what runs
already changes nothing, so that a client that got no answer may ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from db.models import TimeEntry
from domain import rules
from domain.time_entry import Place, known_places, lock
from domain.time_values import checked_words, demand_unlocked, record, whole_second
from domain.work import Work
from errors import ErrorCode, Failure
from events.kinds import EventKind


async def start(
    work: Work,
    *,
    project_id: UUID | None = None,
    task_id: UUID | None = None,
    description: str | None = None,
    billable: bool = False,
    tags: Sequence[str] = (),
    id_: UUID | None = None,
) -> TimeEntry:
    """Start a timer, or answer the one that runs where it is for the same work."""
    await lock(work)
    words = checked_words({"description": description, "billable": billable, "tags": tags})
    place = (await known_places(work, {project_id}, {task_id})).of(project_id, task_id)
    running = await _running(work, work.viewer.require())
    if running is not None and _same(running, place, words) and id_ in {None, running.id}:
        return running
    started = whole_second(work.now)
    if running is not None:
        # Who waited for another start may have asked before that one began.
        started = max(started, running.started_at)
        _end(work, running, started)
        await work.session.flush()
    demand_unlocked(
        place.project,
        started,
        place=("project_id",) if task_id is None else ("task_id",),
        time=("project_id",),
    )
    if id_ is not None and await work.session.get(TimeEntry, id_) is not None:
        raise rules.taken("id", ("id",))
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
    return entry


async def stop(work: Work, if_version: int | None) -> TimeEntry:
    """Stop the running timer. One can always stop, in a closed or archived project too."""
    await lock(work)
    running = await _running(work, work.viewer.require())
    if running is None:
        raise Failure("No timer of yours is running.", code=ErrorCode.NOT_FOUND)
    work.check_version(running, if_version, fields=["ended_at"], ref="time_entry")
    _end(work, running, max(whole_second(work.now), running.started_at))
    await work.session.flush()
    return running


async def stop_for(work: Work, user_id: UUID) -> None:
    """Stop somebody's timer where one runs, because they leave."""
    running = await _running(work, user_id)
    if running is not None:
        _end(work, running, max(whole_second(work.now), running.started_at))
        await work.session.flush()


def _end(work: Work, entry: TimeEntry, at: Any) -> None:
    record(work, EventKind.TIMER_STOPPED, entry, work.apply(entry, {"ended_at": at}))


def _same(running: TimeEntry, place: Place, words: dict[str, Any]) -> bool:
    return bool(
        running.task_id == place.values["task_id"]
        and running.project_id == place.values["project_id"]
        and running.description == words["description"]
    )


async def _running(work: Work, user_id: UUID) -> TimeEntry | None:
    entry: TimeEntry | None = await work.session.scalar(
        select(TimeEntry)
        .where(TimeEntry.user_id == user_id, TimeEntry.ended_at.is_(None))
        .with_for_update()
    )
    return entry
