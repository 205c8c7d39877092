"""Time entries follow their task to another project.

The entries of a task and its subtasks belong to the task's project. When the task moves, all of
them move with it, regardless of their user, unless the caller keeps them where they are. Entries
that an earlier move left in a third project stay there.

Locks are taken in the same order as for all changes of time: first the time of each user, then
projects and tasks, then entries.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import aliased

from db.models import Project, Task, TimeEntry, User
from db.models.time_entry import ends
from domain import timezones
from domain.time.time_entry import overlapped
from domain.time.time_values import first_day, record
from domain.time.times import span_of
from domain.work import Work
from errors import Conflict, ErrorCode, Failure
from events.kinds import EventKind

_PATH = ("project_id",)


class EntriesOfMoved(Enum):
    """What happens to the time entries of a task that moves to another project."""

    MOVE = "MOVE"
    KEEP = "KEEP"


async def lock(work: Work, task_id: UUID) -> Collection[UUID]:
    """Lock the time on a task and its subtasks until the commit. Returns the users whose time it
    is.

    Call it before projects and tasks are locked.
    """
    people = await _people(work, task_id)
    for person in sorted(people):
        await work.session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"),
            {"name": f"time of {person}"},
        )
    return people


async def take_along(
    work: Work, task: Task, origin: UUID | None, locked_for: Collection[UUID]
) -> None:
    """Move the entries of a moved task and its subtasks from `origin` to the task's project.

    `locked_for` is what `lock` returned. Raises `TIME_LOCKED` if an entry is in a locked period of
    either project, and `TIME_OVERLAP` if it would overlap another one of its user and the new
    project does not allow that.
    """
    if not await _people(work, task.id) <= set(locked_for):
        raise Conflict(
            "Someone started to track time on the task in the meantime; try again.", path=("id",)
        )
    rows = await work.session.execute(
        select(TimeEntry, User.timezone)
        .join(User, User.id == TimeEntry.user_id)
        .where(
            TimeEntry.task_id.in_(_tree(task.id)), TimeEntry.project_id.is_not_distinct_from(origin)
        )
        .order_by(TimeEntry.id)
        .with_for_update(of=TimeEntry)
        .execution_options(populate_existing=True)
    )
    entries = [(entry, zone) for entry, zone in rows]
    projects = await work.session.scalars(
        select(Project)
        .where(Project.id.in_({origin, task.project_id} - {None}))
        .execution_options(populate_existing=True)
    )
    for project in projects:
        for entry, zone in entries:
            _demand_unlocked(project, entry, zone)
        if project.id == task.project_id and not project.is_overlap_allowed:
            await _demand_apart(work, [entry.id for entry, _ in entries])
    for entry, _ in entries:
        changes = work.apply(entry, {"project_id": task.project_id})
        record(work, EventKind.TIME_ENTRY_UPDATED, entry, changes)
    await work.session.flush()


def _tree(task_id: UUID) -> Select[UUID]:
    task = aliased(Task)
    return select(task.id).where(
        (task.id == task_id) | (task.parent_id == task_id) | (task.root_id == task_id)
    )


async def _people(work: Work, task_id: UUID) -> set[UUID]:
    """The users who have time on a task or its subtasks."""
    people = select(TimeEntry.user_id).where(TimeEntry.task_id.in_(_tree(task_id))).distinct()
    return set(await work.session.scalars(people))


def _demand_unlocked(project: Project, entry: TimeEntry, zone: str) -> None:
    before = project.time_locked_before
    if before is not None and first_day(span_of(entry), timezones.zone(zone)) < before:
        raise Failure(
            f"Time before {before.isoformat()} is locked in the project “{project.name}”, and "
            "the task has earlier time entries. Pass `timeEntries: KEEP` to leave its entries "
            "where they are.",
            path=_PATH,
            code=ErrorCode.TIME_LOCKED,
        )


async def _demand_apart(work: Work, ids: Collection[UUID]) -> None:
    entry = aliased(TimeEntry)
    clash = overlapped(
        entry.started_at,
        ends(entry),
        lambda other: [other.user_id == entry.user_id, other.id != entry.id],
    )
    found = select(func.count()).where(entry.id.in_(ids), entry.day.is_(None), clash)
    if await work.session.scalar(found):
        raise Failure(
            "A time entry of the task overlaps another one of the same user, which the new "
            "project does not allow. Pass `timeEntries: KEEP` to leave the task's entries where "
            "they are.",
            path=_PATH,
            code=ErrorCode.TIME_OVERLAP,
        )
