"""Many time entries at once: changed or deleted in a number of statements that does not grow.

Every item is checked by the rules of the single mutation, against the entries as they are after the
whole call: two entries can swap their times. Without `all_or_nothing`, the entry of an item that
fails stays where it is, and every other item that would overlap it there fails too.

Items that could not be parsed are passed as `Failure`s. With `all_or_nothing`, nothing is written
if any item fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update

from auth import access
from db.models import Task, TimeEntry
from domain import rules
from domain.time.time_entry import (
    Place,
    Places,
    cause_of,
    checked_time,
    clashes,
    demand_task_follows,
    destination,
    known_places,
    lock,
    named,
    overlap,
)
from domain.time.time_values import Changes, checked_words, demand_unlocked, record
from domain.time.times import Span, changed_span, span_of
from domain.work import Work, demand_right
from errors import BadInput, Failure, NotFound, collecting, demand_no_problems
from events.kinds import EventKind


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes of one entry, as for `domain.time.time_entry.update_entry`."""

    entry_id: UUID
    changes: Mapping[str, Any] = field(default_factory=dict)
    if_version: int | None = None
    allow_over_24_hours: bool = False


@dataclass(frozen=True, slots=True)
class Deletion:
    """An entry to delete, as for `domain.time.time_entry.delete`."""

    entry_id: UUID
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry that the viewer can see, whether they have a right on it, and whether they would
    have it if its project were not archived.
    """

    entry: TimeEntry
    allowed: bool
    held: bool
    # The project of its task.
    task_project_id: UUID | None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the items of a call refer to, and the entries that earlier items were about."""

    entries: Mapping[UUID, _Entry]
    places: Places
    seen: set[UUID] = field(default_factory=set)


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """An item that is valid by itself: where its entry was, and where it will be."""

    index: int
    entry: TimeEntry
    changes: Changes
    was_running: bool
    before: tuple[Span, bool]
    after: tuple[Span, bool]
    # The path of what put it there.
    cause: rules.Path
    # Whether its times or its project changed, so that overlaps are checked.
    moved: bool


def check_values(work: Work, edit: Edit) -> None:
    """Raise for changes that no entry can have."""
    checked_words(edit.changes)
    checked_time(work, edit.changes, allow_over_24_hours=edit.allow_over_24_hours)


# --- changing ------------------------------------------------------------------------------------


async def update_many(
    work: Work, items: Sequence[Edit | Failure], *, all_or_nothing: bool
) -> list[TimeEntry | Failure]:
    """Change entries of the viewer, each by its own changes."""
    edits = [item for item in items if isinstance(item, Edit)]
    known = await _known(work, edits, access.edit)
    results: list[TimeEntry | Failure] = []
    drafts: list[_Draft] = []
    for item in items:
        try:
            with collecting():
                draft = _drafted(work, len(results), item, known)
        except Failure as failure:
            results.append(failure)
        else:
            drafts.append(draft)
            results.append(draft.entry)
    for draft in await _overlapping(work, drafts, all_or_nothing=all_or_nothing):
        results[draft.index] = overlap(draft.cause)
    if all_or_nothing and any(isinstance(result, Failure) for result in results):
        return results
    written = [draft for draft in drafts if draft.changes and results[draft.index] is draft.entry]
    if written:
        await work.session.execute(
            update(TimeEntry).execution_options(synchronize_session=False),
            [_columns(draft.entry) for draft in written],
        )
    for draft in written:
        stopped = draft.was_running and draft.entry.ended_at is not None
        kind = EventKind.TIMER_STOPPED if stopped else EventKind.TIME_ENTRY_UPDATED
        record(work, kind, draft.entry, draft.changes)
    await work.session.flush()
    return results


def _drafted(work: Work, index: int, item: Edit | Failure, known: _Known) -> _Draft:
    if isinstance(item, Failure):
        raise item
    values = checked_words(item.changes)
    time = checked_time(work, item.changes, allow_over_24_hours=item.allow_over_24_hours)
    found = _own(work, item.entry_id, known, "change")
    demand_no_problems()
    entry, changes = found.entry, item.changes
    place = _place_of(entry, known.places)
    before = (span_of(entry), place.strict)
    if time is not None:
        span = changed_span(work, entry, time, allow_over_24_hours=item.allow_over_24_hours)
        values |= span.values
    if "project_id" in changes or "task_id" in changes:
        project_id, task_id = destination(entry, changes)
        known.places.demand_seen(project_id)
        demand_task_follows(entry, changes, found.task_project_id)
        place = known.places.of(project_id, task_id)
        values |= place.values
    span = Span(
        values.get("started_at", entry.started_at),
        values.get("ended_at", entry.ended_at),
        values.get("day", entry.day),
    )
    cause = cause_of(changes)
    demand_unlocked(work, place.project, span, place=named(changes.get("task_id")), time=cause)
    moved = span != before[0] or values.get("project_id", entry.project_id) != entry.project_id
    was_running = entry.ended_at is None
    changed = work.apply(
        entry, values, if_version=item.if_version, ref="time_entry", ignore=("tag_keys",)
    )
    return _Draft(index, entry, changed, was_running, before, (span, place.strict), cause, moved)


async def _overlapping(
    work: Work, drafts: Sequence[_Draft], *, all_or_nothing: bool
) -> list[_Draft]:
    """The drafts that overlap an entry although one of the two places forbids it."""
    moved = [draft for draft in drafts if draft.moved]
    elsewhere = {
        moved[index]
        for index in await clashes(
            work, [draft.after for draft in moved], but={draft.entry.id for draft in drafts}
        )
    }
    # Of two that overlap each other, the later one fails; or the one that moved.
    kept: list[_Draft] = [draft for draft in drafts if not draft.moved]
    failed: list[_Draft] = []
    for draft in moved:
        if draft in elsewhere or any(_meet(work, draft.after, other.after) for other in kept):
            failed.append(draft)
        else:
            kept.append(draft)
    if not all_or_nothing:
        # What failed stays where it was, and others may have moved there. These join the list.
        for stayed in failed:
            blocked = [
                draft for draft in kept if draft.moved and _meet(work, draft.after, stayed.before)
            ]
            kept = [draft for draft in kept if draft not in blocked]
            failed += blocked
    return failed


def _meet(work: Work, one: tuple[Span, bool], other: tuple[Span, bool]) -> bool:
    return (one[1] or other[1]) and one[0].overlaps(other[0], work.now)


# --- deleting ------------------------------------------------------------------------------------


async def delete_many(
    work: Work, items: Sequence[Deletion | Failure], *, all_or_nothing: bool
) -> list[TimeEntry | Failure]:
    """Delete entries of the viewer permanently; a running timer is discarded."""
    deletions = [item for item in items if isinstance(item, Deletion)]
    known = await _known(work, deletions, access.delete)
    results: list[TimeEntry | Failure] = []
    for item in items:
        try:
            if isinstance(item, Failure):
                raise item
            entry = _own(work, item.entry_id, known, "delete").entry
            work.check_version(entry, item.if_version, fields=[], ref="time_entry")
            results.append(entry)
        except Failure as failure:
            results.append(failure)
    if all_or_nothing and any(isinstance(result, Failure) for result in results):
        return results
    entries = [result for result in results if isinstance(result, TimeEntry)]
    if entries:
        await work.session.execute(
            delete(TimeEntry)
            .where(TimeEntry.id.in_([entry.id for entry in entries]))
            .execution_options(synchronize_session=False)
        )
    for entry in entries:
        record(work, EventKind.TIME_ENTRY_DELETED, entry)
    await work.session.flush()
    return results


# --- common --------------------------------------------------------------------------------------


async def _known(work: Work, items: Sequence[Edit | Deletion], right: Any) -> _Known:
    """What the items refer to, as far as the viewer can see it. Their time, and the projects and
    tasks that the entries are or will be on, are locked.
    """
    await lock(work)
    ids = {item.entry_id for item in items}
    project_ids: set[UUID | None] = set()
    task_ids: set[UUID | None] = set()
    for item in items:
        if isinstance(item, Edit):
            project_ids.add(item.changes.get("project_id"))
            task_ids.add(item.changes.get("task_id"))
    # Nobody changes the viewer's entries while their time is locked.
    own = await work.session.execute(
        select(TimeEntry.project_id, TimeEntry.task_id).where(
            TimeEntry.id.in_(ids), TimeEntry.user_id == work.viewer.require()
        )
    )
    for project_id, task_id in own:
        project_ids.add(project_id)
        task_ids.add(task_id)
    places = await known_places(work, project_ids, task_ids)
    rows = await work.session.execute(
        select(
            TimeEntry,
            right(work.viewer, TimeEntry),
            right(work.viewer, TimeEntry, archived=True),
            Task.project_id,
        )
        .outerjoin(Task, Task.id == TimeEntry.task_id)
        .where(TimeEntry.id.in_(ids), access.read(work.viewer, TimeEntry))
        .execution_options(populate_existing=True)
    )
    entries = {
        entry.id: _Entry(entry, bool(allowed), bool(held), above)
        for entry, allowed, held, above in rows
    }
    for found in entries.values():
        # Written in one statement, instead of one by one by the session.
        work.session.expunge(found.entry)
    return _Known(entries, places)


def _own(work: Work, entry_id: UUID, known: _Known, verb: str) -> _Entry:
    """The viewer's own entry, provided that neither its project nor its period is locked."""
    if entry_id in known.seen:
        raise BadInput("This time entry is already in an earlier item.", path=("id",))
    known.seen.add(entry_id)
    if entry_id not in known.entries:
        raise NotFound(access.rule_of(TimeEntry).noun, path=("id",))
    found = known.entries[entry_id]
    if found.entry.user_id == work.viewer.user_id:
        project = _place_of(found.entry, known.places).project
        demand_unlocked(work, project, span_of(found.entry))
    demand_right(TimeEntry, verb, allowed=found.allowed, held=found.held, path=("id",))
    return found


def _place_of(entry: TimeEntry, places: Places) -> Place:
    return Place(None if entry.project_id is None else places.projects.get(entry.project_id))


def _columns(entry: TimeEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in TimeEntry.__mapper__.columns.keys()}  # noqa: SIM118
