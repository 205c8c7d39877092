"""Creating, changing and deleting time entries, one or many.

Every change of a user's entries holds an advisory lock on that user's time, so these transactions
run one after the other. So there is never a second running timer, and entries of a project that
forbids overlaps never overlap, even with concurrent requests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Uuid,
    bindparam,
    column,
    func,
    insert,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db.models import Project, Task, TimeEntry
from db.models.time_entry import ends
from domain import locks, rules
from domain.time.time_values import (
    WORDS,
    NewTimeEntry,
    checked_words,
    demand_unlocked,
    record,
)
from domain.time.times import (
    LONGEST,
    NewEnd,
    NewStart,
    Span,
    TimeChange,
    changed_span,
    check_time,
    new_span,
    span_of,
    whole_second,
)
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, NotFound, check, collecting, demand_no_problems
from events.kinds import EventKind

MAX_ITEMS = 200
_IDS = bindparam("ids", type_=ARRAY(Uuid()))

__all__ = ["NewTimeEntry", "Place", "create", "create_many", "delete", "update_entry"]


@dataclass(frozen=True, slots=True)
class Place:
    """What time is spent on. The viewer can see the task without seeing its project."""

    project: Project | None = None
    task: Task | None = None

    @property
    def strict(self) -> bool:
        """Whether entries here must not overlap others of the same user."""
        return self.project is not None and not self.project.is_overlap_allowed

    @property
    def values(self) -> dict[str, Any]:
        """The columns."""
        return {
            "project_id": self.project and self.project.id,
            "task_id": self.task and self.task.id,
        }


@dataclass(frozen=True, slots=True)
class _Draft:
    """An item that is valid by itself. `starts`: the path of what its start comes from."""

    index: int
    starts: rules.Path
    span: Span
    place: Place


# --- creating ------------------------------------------------------------------------------------


async def create(work: Work, new: NewTimeEntry) -> TimeEntry:
    """Create an entry for time that was spent."""
    check_values(work, new)
    demand_no_problems()
    (result,) = await create_many(work, [new], all_or_nothing=True)
    if isinstance(result, Failure):
        raise result
    return result


async def create_many(
    work: Work, items: Sequence[NewTimeEntry | Failure], *, all_or_nothing: bool
) -> list[TimeEntry | Failure]:
    """Create entries with a constant number of statements. Returns a result per item, in order.

    Items that could not be parsed are passed as `Failure`s. With `all_or_nothing`, nothing is
    written if any item fails.
    """
    await lock(work)
    wanted = [item for item in items if isinstance(item, NewTimeEntry)]
    places = await known_places(
        work, {item.project_id for item in wanted}, {item.task_id for item in wanted}
    )
    taken = await _taken(work, {item.id for item in wanted if item.id is not None})
    results: list[TimeEntry | Failure] = []
    drafts: list[_Draft] = []
    for item in items:
        try:
            if isinstance(item, Failure):
                raise item
            with collecting():
                entry, span, place = _drafted(work, item, places, taken)
            draft = _Draft(len(results), item.time.starts, span, place)
            _demand_apart(work, draft, drafts)
        except Failure as failure:
            results.append(failure)
        else:
            taken.add(entry.id)
            drafts.append(draft)
            results.append(entry)
    for clash in await clashes(work, [(draft.span, draft.place.strict) for draft in drafts]):
        results[drafts[clash].index] = overlap(drafts[clash].starts)
    if all_or_nothing and any(isinstance(result, Failure) for result in results):
        return results
    made = [result for result in results if isinstance(result, TimeEntry)]
    if made:
        await work.session.execute(insert(TimeEntry), [_columns(entry) for entry in made])
    for entry in made:
        record(work, EventKind.TIME_ENTRY_CREATED, entry)
    await work.session.flush()
    return results


def check_values(work: Work, new: NewTimeEntry) -> None:
    """Raise for values that no entry can have."""
    checked_words(rules.given_by(new, WORDS))
    new_span(work, new.time, allow_over_24_hours=new.allow_over_24_hours)


def _drafted(
    work: Work, new: NewTimeEntry, places: Places, taken: Collection[UUID]
) -> tuple[TimeEntry, Span, Place]:
    words = checked_words(rules.given_by(new, WORDS))
    span = new_span(work, new.time, allow_over_24_hours=new.allow_over_24_hours)
    place = places.of(new.project_id, new.task_id)
    demand_unlocked(work, place.project, span, place=named(new.task_id), time=new.time.starts)
    if new.id in taken:
        raise rules.taken("id", ("id",))
    entry = TimeEntry(
        **words,
        **span.values,
        **place.values,
        id=new.id or work.new_id(),
        user_id=work.viewer.require(),
        created_at=work.now,
        updated_at=work.now,
        version=1,
    )
    return entry, span, place


def _demand_apart(work: Work, draft: _Draft, earlier: Sequence[_Draft]) -> None:
    """Raise if a draft overlaps an earlier one of the same call, and either of them forbids it."""
    for other in earlier:
        strict = draft.place.strict or other.place.strict
        if strict and draft.span.overlaps(other.span, work.now):
            raise overlap(draft.starts)


# --- changing ------------------------------------------------------------------------------------


async def update_entry(
    work: Work,
    entry_id: UUID,
    changes: Mapping[str, Any],
    if_version: int | None,
    *,
    allow_over_24_hours: bool = False,
) -> TimeEntry:
    """Change one of the viewer's entries. Setting the end of a running one stops the timer."""
    values = checked_words(changes)
    time = checked_time(work, changes, allow_over_24_hours=allow_over_24_hours)
    entry, place = await _own(work, entry_id, "change")
    if time is not None:
        values |= changed_span(work, entry, time, allow_over_24_hours=allow_over_24_hours).values
    if "project_id" in changes or "task_id" in changes:
        place = await _moved(work, entry, changes)
        values |= place.values
    span = Span(
        values.get("started_at", entry.started_at),
        values.get("ended_at", entry.ended_at),
        values.get("day", entry.day),
    )
    cause = cause_of(changes)
    demand_unlocked(work, place.project, span, place=named(changes.get("task_id")), time=cause)
    moved = values.get("project_id", entry.project_id) != entry.project_id
    if (moved or span != span_of(entry)) and await clashes(
        work, [(span, place.strict)], but={entry.id}
    ):
        raise overlap(cause)
    was_running = entry.ended_at is None
    changed = work.apply(
        entry, values, if_version=if_version, ref="time_entry", ignore=("tag_keys",)
    )
    if changed:
        stopped = was_running and entry.ended_at is not None
        kind = EventKind.TIMER_STOPPED if stopped else EventKind.TIME_ENTRY_UPDATED
        record(work, kind, entry, changed)
        await work.session.flush()
    return entry


@check()
def checked_time(
    work: Work, changes: Mapping[str, Any], *, allow_over_24_hours: bool
) -> TimeChange | None:
    """The time of a change, checked without the entry; None if it was omitted."""
    if "time" not in changes:
        return None
    time: TimeChange = rules.not_null(changes["time"], ("time",))
    if isinstance(time, NewStart | NewEnd):
        check_time(time)
    else:
        new_span(work, time, allow_over_24_hours=allow_over_24_hours)
    return time


def cause_of(changes: Mapping[str, Any]) -> rules.Path:
    """The field that put an entry where it is after a change: its time, if that was given, else the
    one that chose its project.
    """
    time: TimeChange | None = changes.get("time")
    return named(changes.get("task_id")) if time is None else time.starts


async def delete(work: Work, entry_id: UUID, if_version: int | None) -> TimeEntry:
    """Delete one of the viewer's entries permanently; a running timer is discarded."""
    entry, _ = await _own(work, entry_id, "delete")
    work.check_version(entry, if_version, fields=[], ref="time_entry")
    await work.session.delete(entry)
    record(work, EventKind.TIME_ENTRY_DELETED, entry)
    await work.session.flush()
    return entry


async def _own(work: Work, entry_id: UUID, verb: str) -> tuple[TimeEntry, Place]:
    """The viewer's own entry, locked, provided that neither its project nor its period is
    locked.
    """
    await lock(work)
    entry = await work.readable(TimeEntry, entry_id, lock=True)
    project = None
    if entry.project_id is not None:
        project = await work.session.get_one(Project, entry.project_id, populate_existing=True)
    if entry.user_id == work.viewer.user_id:
        demand_unlocked(work, project, span_of(entry))
    right = access.edit if verb == "change" else access.delete
    await work.demand(entry, right, verb)
    return entry, Place(project)


async def _moved(work: Work, entry: TimeEntry, changes: Mapping[str, Any]) -> Place:
    project_id, task_id = destination(entry, changes)
    places = await known_places(work, {project_id}, {task_id})
    places.demand_seen(project_id)
    if entry.task_id is not None and "task_id" not in changes:
        task = await work.session.get_one(Task, entry.task_id)
        demand_task_follows(entry, changes, task.project_id)
    return places.of(project_id, task_id)


def destination(entry: TimeEntry, changes: Mapping[str, Any]) -> tuple[UUID | None, UUID | None]:
    """The project and the task that a changed entry names. If only a task is given, its project is
    used; without either, the entry keeps its project.
    """
    task_id = changes.get("task_id", entry.task_id)
    if "project_id" not in changes and task_id is None:
        return entry.project_id, None
    return changes.get("project_id"), task_id


def demand_task_follows(
    entry: TimeEntry, changes: Mapping[str, Any], task_project_id: UUID | None
) -> None:
    """Raise if only the project changes and the entry's task, which is in `task_project_id`, is not
    in the new one.
    """
    if entry.task_id is None or "project_id" not in changes or "task_id" in changes:
        return
    if changes["project_id"] != task_project_id:
        raise BadInput(
            "The entry's task is in another project; provide taskId too.", path=("task_id",)
        )


# --- shared --------------------------------------------------------------------------------------


async def lock(work: Work) -> None:
    """Hold the lock on the viewer's time until the commit."""
    await work.session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"),
        {"name": f"time of {work.viewer.require()}"},
    )


@dataclass(frozen=True, slots=True)
class Places:
    """The projects and tasks that a call names and the viewer can see."""

    projects: Mapping[UUID, Project]
    visible: Collection[UUID]
    tasks: Mapping[UUID, Task]

    def demand_seen(self, project_id: UUID | None) -> None:
        """Raise `NotFound` for a hidden project, before it is compared with anything."""
        if project_id is not None and project_id not in self.visible:
            raise NotFound("project", path=("project_id",))

    def of(self, project_id: UUID | None, task_id: UUID | None) -> Place:
        """The place that an entry names. Raises `NotFound`, or `BadInput` if project and task
        differ.
        """
        self.demand_seen(project_id)
        if task_id is None:
            return Place(None if project_id is None else self.projects[project_id])
        if task_id not in self.tasks:
            raise NotFound("task", path=("task_id",))
        task = self.tasks[task_id]
        if project_id not in {None, task.project_id}:
            raise BadInput(
                "The task is in another project; omit projectId or choose the task's project.",
                path=("project_id",),
            )
        return Place(None if task.project_id is None else self.projects[task.project_id], task)


async def known_places(
    work: Work, project_ids: Collection[UUID | None], task_ids: Collection[UUID | None]
) -> Places:
    """Read the named projects and tasks, and the tasks' projects.

    All rows are locked against changes, so that a setting that locks a project comes before or
    after.
    """
    viewer, session = placeholder_viewer(work.viewer.shape), work.session
    named = {id_ for id_ in task_ids if id_ is not None}
    await locks.lock_tasks(work, named, projects={id_ for id_ in project_ids if id_ is not None})
    tasks: dict[UUID, Task] = {}
    if named:
        values = {"ids": named, **work.viewer.params}
        tasks = {task.id: task for task in await session.scalars(_seen_tasks(viewer), values)}
    wanted = {*project_ids, *(task.project_id for task in tasks.values())} - {None}
    projects: dict[UUID, Project] = {}
    visible: set[UUID] = set()
    if wanted:
        values = {"ids": wanted, **work.viewer.params}
        for project, seen in await session.execute(_projects(viewer), values):
            projects[project.id] = project
            if seen:
                visible.add(project.id)
    return Places(projects, visible, tasks)


# Building these takes longer than PostgreSQL needs for them, so they are built once.


@lru_cache(maxsize=64)
def _seen_tasks(viewer: Viewer) -> Select[Task]:
    return select(Task).where(Task.id == _IDS.any_(), access.read(viewer, Task))


@lru_cache(maxsize=64)
def _projects(viewer: Viewer) -> Select[Project, bool]:
    """Projects, and whether the viewer can see them."""
    query = select(Project, access.read(viewer, Project)).where(Project.id == _IDS.any_())
    return query.execution_options(populate_existing=True)


async def _taken(work: Work, ids: Collection[UUID]) -> set[UUID]:
    if not ids:
        return set()
    return set(await work.session.scalars(select(TimeEntry.id).where(TimeEntry.id.in_(ids))))


async def clashes(
    work: Work, spans: Sequence[tuple[Span, bool]], *, but: Collection[UUID] = ()
) -> list[int]:
    """Which of these spans overlap the viewer's other entries although one of the places forbids
    it. Each span is paired with whether its place forbids overlaps; `but` are entries to ignore.
    """
    places = [index for index, (span, _) in enumerate(spans) if span.day is None]
    if not places:
        return []
    now = whole_second(work.now)
    values = {
        "user_id": work.viewer.require(),
        "but": list(but),
        "places": places,
        "starts": [spans[i][0].started_at for i in places],
        "ends": [spans[i][0].ended_at or now for i in places],
        "strict": [spans[i][1] for i in places],
    }
    return list(await work.session.scalars(_clashing(), values))


@cache
def _clashing() -> Select[int]:
    wanted = (
        func.unnest(
            bindparam("places", type_=ARRAY(Integer())),
            bindparam("starts", type_=ARRAY(DateTime(True))),
            bindparam("ends", type_=ARRAY(DateTime(True))),
            bindparam("strict", type_=ARRAY(Boolean())),
        )
        .table_valued(
            column("place", Integer()),
            column("starts", DateTime(True)),
            column("ends", DateTime(True)),
            column("strict", Boolean()),
        )
        .render_derived(name="wanted")
    )

    def other(entry: Any) -> list[ColumnElement[bool]]:
        project = aliased(Project)
        forbids = select(project.id).where(
            project.id == entry.project_id, not_(project.is_overlap_allowed)
        )
        return [
            entry.user_id == bindparam("user_id"),
            entry.id != bindparam("but", type_=ARRAY(Uuid())).all_(),
            or_(wanted.c.strict, forbids.exists()),
        ]

    clash = overlapped(wanted.c.starts, wanted.c.ends, other)
    return select(wanted.c.place).where(clash)


def overlapped(
    starts: Any, end: Any, where: Callable[[Any], Sequence[ColumnElement[bool]]]
) -> ColumnElement[bool]:
    """Whether an entry that matches `where(entry)` overlaps a period.

    Searches the entries that started up to a day before, and the few that are still running or last
    longer than a day. These are three subqueries because each has its own index; one combined
    condition would read the user's whole history.
    """

    def exists(of: Callable[[Any], Sequence[ColumnElement[bool]]]) -> ColumnElement[bool]:
        entry = aliased(TimeEntry)
        return (
            select(1)
            .where(*where(entry), entry.day.is_(None), entry.started_at < end, *of(entry))
            .exists()
        )

    return or_(
        exists(lambda entry: [entry.started_at > starts - LONGEST, ends(entry) > starts]),
        exists(lambda entry: [entry.ended_at.is_(None), ends(entry) > starts]),
        exists(
            lambda entry: [
                entry.ended_at - entry.started_at > text("interval '24 hours'"),
                entry.ended_at > starts,
            ]
        ),
    )


def overlap(path: rules.Path) -> Failure:
    """The failure of an entry that overlaps another one."""
    return Failure(
        "The entry overlaps another one of yours, and the project of one of the two does not "
        "allow overlaps. Change its time or its project.",
        path=path,
        code=ErrorCode.TIME_OVERLAP,
    )


def named(task_id: Any) -> rules.Path:
    """The field that chose the project: the task's, if a task is given."""
    return ("project_id",) if task_id is None else ("task_id",)


def _columns(entry: TimeEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in TimeEntry.__mapper__.columns.keys()}  # noqa: SIM118
