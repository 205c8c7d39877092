"""The effect of a change on everyone's rights: who gains access to a task by it, and who loses it.

A change of structure (parent, project, membership, ownership, shares, assignment, trash) decides
which rules apply to a task. `guarded` reads who has which rights on the affected tasks before and
after such a change, each in one statement, and compares:

- Nobody gains a right on a task unless the user who makes the change can share that task: otherwise
  `FORBIDDEN`. The callers name two exceptions: `by_move` (the editors of both projects decide about
  a move) and `assignees` (a user who can edit a task can assign it to a user who can see it).
- Users who could see a task and no longer can receive `ACCESS_LOST` for it, including the user who
  made the change: their other devices follow the log.

    async with guarded(work, [task.id], ("parent_id",)):
        ...  # change the rows and flush

An archived project removes no rights here: that it is read-only is checked separately.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, bindparam, func, or_, select, text
from sqlalchemy.orm import aliased

from auth import access
from db.models import Task
from db.statements import Statement
from domain.work import Work
from errors import Forbidden
from events.kinds import EventKind

TaskAndPerson = tuple[UUID, UUID]


class Rights(NamedTuple):
    """The rights of one user on one task."""

    sees: bool = False
    edits: bool = False
    manages: bool = False


_NO_RIGHTS = Rights()


@dataclass(slots=True)
class Snapshot:
    """Everyone's rights on some tasks at one moment. Nobody has any on tasks in the trash, but
    `managers` says who would.
    """

    rights: dict[TaskAndPerson, Rights] = field(default_factory=dict)
    managers: set[TaskAndPerson] = field(default_factory=set)
    projects: dict[UUID, UUID | None] = field(default_factory=dict)
    # By task, its parent and its root.
    above: dict[UUID, tuple[UUID | None, UUID | None]] = field(default_factory=dict)
    living: set[UUID] = field(default_factory=set)

    def losses(self, after: Snapshot) -> dict[UUID, list[UUID]]:
        """By task, the users who could see it here and cannot see it in `after`."""
        lost: dict[UUID, list[UUID]] = {}
        for (task_id, person), rights in self.rights.items():
            if rights.sees and not after.sees(task_id, person):
                lost.setdefault(task_id, []).append(person)
        return lost

    def gains(self, after: Snapshot, assignees: Collection[UUID] = ()) -> set[UUID]:
        """The tasks on which someone has a right in `after` that they did not have here; for these
        `assignees` only visibility counts. On a task in the trash, it is the right to restore it.
        """
        gained = {task_id for task_id, _ in after.managers - self.managers}
        for (task_id, person), rights in after.rights.items():
            before = self.rights.get((task_id, person), _NO_RIGHTS)
            more = any(now and not then for now, then in zip(rights, before, strict=True))
            if more and (person not in assignees or not before.sees):
                gained.add(task_id)
        return gained

    def sees(self, task_id: UUID, person: UUID) -> bool:
        """Whether the user can see the task."""
        return self.rights.get((task_id, person), _NO_RIGHTS).sees

    def watchers(self) -> dict[UUID, list[UUID]]:
        """By task, the users who can see it."""
        found: dict[UUID, list[UUID]] = {}
        for (task_id, person), rights in self.rights.items():
            if rights.sees:
                found.setdefault(task_id, []).append(person)
        return found

    def tree(self, task_id: UUID) -> list[UUID]:
        """A task and everything below it."""
        return [one for one, above in self.above.items() if task_id in {one, *above}]

    def living_below(self, task_id: UUID) -> list[UUID]:
        """Everything below a task that is not in the trash."""
        return [one for one in self.tree(task_id) if one != task_id and one in self.living]


@asynccontextmanager
async def guarded(
    work: Work,
    tasks: Collection[UUID],
    path: Sequence[str | int] = ("id",),
    *,
    assignees: Collection[UUID] = (),
    by_move: bool = False,
    told: Collection[UUID] = (),
) -> AsyncIterator[Snapshot]:
    """Compare the rights on these tasks and all below them before and after the block, which
    receives the rights before.

    Raises `Forbidden` at `path` for a gain that the viewer must not give. `told`: tasks whose own
    event (their deletion) announces that they are gone; read after the block, which may fill it.
    """
    before = await snapshot(work, tasks)
    yield before
    await work.session.flush()
    after = await snapshot(work, before.projects)
    if not by_move:
        demand_sharable(work, before, before.gains(after, assignees), path)
    record_lost_access(work, before, after, told=told)


async def snapshot(work: Work, tasks: Iterable[UUID]) -> Snapshot:
    """The current rights on these tasks and all below them."""
    found = Snapshot()
    ids = list(tasks)
    if not ids:
        return found
    for row in await work.fetch(_TREES, {"tasks": ids}):
        found.projects[row.task_id] = row.project_id
        found.above[row.task_id] = (row.parent_id, row.root_id)
        if row.living:
            found.living.add(row.task_id)
        if row.person_id is None:
            continue
        pair = (row.task_id, row.person_id)
        if row.manages:
            found.managers.add(pair)
        if row.living:
            found.rights[pair] = Rights(row.sees, row.edits, row.manages)
    return found


def demand_sharable(
    work: Work, before: Snapshot, gained: Collection[UUID], path: Sequence[str | int]
) -> None:
    """Raise `Forbidden` unless the viewer could share each of these tasks before."""
    viewer = work.viewer.require()
    wrong = [task_id for task_id in gained if (task_id, viewer) not in before.managers]
    if wrong:
        what = "a task" if len(wrong) == 1 else f"{len(wrong)} tasks"
        raise Forbidden(
            f"This would give someone access to {what} that you cannot share. Only a task's "
            "owner, and the owner and admins of its project, can do this.",
            path=path,
        )


def record_lost_access(
    work: Work, before: Snapshot, after: Snapshot, *, told: Collection[UUID] = ()
) -> None:
    """Record `ACCESS_LOST` for every user who could see a task before and cannot see it after."""
    lost = {task: people for task, people in before.losses(after).items() if task not in told}
    record_lost(work, [(task, before.projects[task], who) for task, who in lost.items()])


Seen = Iterable[tuple[UUID, UUID | None, Sequence[UUID]]]
"""Tasks, each with the project where it was seen and the users who could see it."""


def record_lost(work: Work, lost: Seen) -> None:
    """Record `ACCESS_LOST` for tasks, each for the users who could see it."""
    _record_each(work, EventKind.ACCESS_LOST, lost)


def record_deleted(work: Work, deleted: Seen) -> None:
    """Record `TASK_DELETED` for every task that was moved to the trash.

    Everyone who could see a task can read its event, even if the right by which they saw it ends
    while the task is in the trash.
    """
    changes = [("deleted_at", None, work.now)]
    _record_each(work, EventKind.TASK_DELETED, deleted, changes)


def _record_each(
    work: Work, kind: EventKind, tasks: Seen, changes: Sequence[tuple[str, Any, Any]] = ()
) -> None:
    work.events += [
        work.event(
            kind,
            Task,
            task_id,
            changes,
            task_id=task_id,
            project_id=project_id,
            audience=sorted(people),
        )
        for task_id, project_id, people in tasks
    ]


async def seen_in_project(
    work: Work, project_id: UUID, person: UUID | None = None
) -> dict[UUID, list[UUID]]:
    """By task of a project that is not in the trash, the users who can see it, or this one user if
    they can.
    """
    statement = _SEEN if person is None else _SEEN_BY_ONE
    params = {"project": project_id, "person": person}
    return {row.task_id: row.people for row in await work.fetch(statement, params)}


def _trees() -> Statement:
    """Everyone's rights on the tasks and on what is below them; at least one row per task."""
    named = bindparam("tasks", type_=ARRAY(Uuid()))
    any_of = aliased(Task)
    among = select(any_of.id).where(
        or_(
            any_of.id == named.any_(),
            any_of.parent_id == named.any_(),
            any_of.root_id == named.any_(),
        )
    )
    ids = among.cte("trees").prefix_with(text("MATERIALIZED"))
    task = aliased(Task)
    everyone = access.holders(access.TASK_GRANTS, task, task.id.in_(select(ids.c.id))).subquery(
        "everyone"
    )
    shown = aliased(Task)
    return Statement(
        select(
            shown.id.label("task_id"),
            shown.project_id,
            shown.parent_id,
            shown.root_id,
            shown.deleted_at.is_(None).label("living"),
            everyone.c.person_id,
            func.coalesce(everyone.c.sees, False).label("sees"),
            func.coalesce(everyone.c.edits, False).label("edits"),
            func.coalesce(everyone.c.manages, False).label("manages"),
        )
        .select_from(shown)
        .outerjoin(everyone, everyone.c.task_id == shown.id)
        .where(shown.id.in_(select(ids.c.id)))
    )


def _seen(*, by_one: bool) -> Statement:
    task = aliased(Task)
    among = and_(task.project_id == bindparam("project", type_=Uuid()), task.deleted_at.is_(None))
    everyone = access.holders(access.TASK_GRANTS, task, among).subquery("everyone")
    query = (
        select(everyone.c.task_id, func.array_agg(everyone.c.person_id).label("people"))
        .where(everyone.c.sees)
        .group_by(everyone.c.task_id)
    )
    if by_one:
        query = query.where(everyone.c.person_id == bindparam("person", type_=Uuid()))
    return Statement(query)


_TREES = _trees()
_SEEN = _seen(by_one=False)
_SEEN_BY_ONE = _seen(by_one=True)
