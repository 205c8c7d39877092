"""Moving a task: its place in the list, its project, parent, status and assignee in one change.

Each part needs what it would need alone, in this order: the project, the parent, the assignee.
Gains of rights by a part are compared with the rights after the parts before it. Users who lose
sight of a task get `ACCESS_LOST` only for the move as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from db.models import Project, Task
from domain import locks, rights_change
from domain.projects.project import demand_editor, is_editor
from domain.rights_change import Snapshot
from domain.tasks import placement, reference_rows, task_values
from domain.tasks.placement import Place
from domain.tasks.task_creation import assignable
from domain.tasks.task_values import Changes
from domain.time import time_moves
from domain.time.time_moves import EntriesOfMoved
from domain.work import Work
from errors import BadInput, Conflict, Forbidden
from events.kinds import EventKind

# What a move may name, beside the place.
CHANGEABLE = frozenset({"status", "project_id", "parent_id", "assignee_id"})
# These make the change of a task a move.
_PLACED = {"position", "project_id"}
# The more specific kinds, which say more than that it was moved.
_TELLING = {EventKind.TASK_COMPLETED, EventKind.TASK_REOPENED}


async def move(
    work: Work,
    task_id: UUID,
    changes: Mapping[str, Any],
    *,
    place: Place | None,
    if_version: int | None,
    entries: EntriesOfMoved = EntriesOfMoved.MOVE,
) -> Task:
    """Move a task and change what else is given of it, all or nothing: one version, one event.

    In another project it is at the end unless `place` says otherwise, and has no parent unless one
    is given; its subtasks follow, each with a new number. Time entries follow, unless `entries`
    says otherwise.
    """
    if place is None and not changes:
        raise BadInput(
            "Provide at least one of place, status, projectId, parentId and assigneeId.",
            path=("place",),
        )
    task_values.checked(work, _status(changes))
    parent_id = changes.get("parent_id")
    seen = await work.readable(Task, task_id)
    origin = seen.project_id
    target = changes.get("project_id", origin)
    locked_for = None
    if target != origin:
        if entries is EntriesOfMoved.MOVE:
            locked_for = await time_moves.lock(work, task_id)
        involved = () if target is None else (target,)
        await _lock(work, task_id, parent_id, involved)
    elif "parent_id" in changes:
        await _lock(work, task_id, parent_id)
    task = await work.editable(Task, task_id)
    if task.project_id not in {origin, target}:
        raise Conflict(
            "The task was moved by someone else at the same time. Try again.", path=("id",)
        )
    origin = task.project_id
    moves = target != origin
    if moves:
        await _demand_movable(work, task, target)
    elif "project_id" in changes and target is not None:
        # Users who see the task need not see its project, and must not find it by trying IDs.
        await work.readable(Project, target, path=("project_id",))
    below = await _below(work, task) if moves else []
    values, others = await _wanted(work, task, changes, target, place=place, count=1 + len(below))
    different = [name for name, value in values.items() if getattr(task, name) != value]
    shown = [name for name in different if name not in task_values.FOLLOWING]
    work.check_version(task, if_version, fields=shown, ref="task")
    if not different:
        return task
    done = _Parts(work, task)
    if moves:
        await done.move(target, values.pop("position"), dict(zip(below, others, strict=True)))
        if locked_for is not None:
            await time_moves.take_along(work, task, origin, locked_for)
    await done.put_below(values)
    await done.assign(values)
    await done.finish(values, origin)
    return task


async def _wanted(
    work: Work,
    task: Task,
    changes: Mapping[str, Any],
    target: UUID | None,
    *,
    place: Place | None,
    count: int,
) -> tuple[dict[str, Any], list[str]]:
    """The values that the task is to have, and ranks for what follows it."""
    moves = target != task.project_id
    values = task_values.checked(work, _status(changes))
    if values.get("status") is task.status:
        values = {}
    if moves:
        values["project_id"] = target
        await reference_rows.demand_free_there(work, task, target or task.owner_id)
    if moves or "parent_id" in changes:
        parent_id = changes.get("parent_id")
        parent = await placement.parent_for(work, parent_id, child=task, project_id=target)
        values["parent_id"] = None if parent is None else parent.id
        values["root_id"] = None if parent is None else parent.root_id or parent.id
    if "assignee_id" in changes:
        values["assignee_id"] = changes["assignee_id"]
        if values["assignee_id"] not in {None, task.assignee_id}:
            await assignable(work, values["assignee_id"])
    if not moves and place is None:
        return values, []
    values["position"], *others = await placement.ranks_at(
        work, task, target, place or Place(), count
    )
    return values, others


def _status(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if name == "status"}


class _Parts:
    """The parts of a change of a task, which is locked and may be changed so."""

    def __init__(self, work: Work, task: Task) -> None:
        self._work, self._task = work, task
        self._version = task.version
        self._changes: Changes = []
        # The rights before the first part, and after the last one.
        self._first: Snapshot | None = None
        self._last: Snapshot | None = None

    async def move(self, target: UUID | None, position: str, below: Mapping[Task, str]) -> None:
        """Put it and everything below it into another list. Outside a project only its owner gets
        it, who must be able to share everything that moves along; the editors of both projects
        decide about other moves, also if these give rights to others.
        """
        before = await self._rights()
        # Requesting a number writes pending changes, so the project must not change alone.
        number = None if target is None else await placement.next_number(self._work, target)
        self._apply(
            {
                "position": position,
                "project_id": target,
                "number": number,
                "parent_id": None,
                "root_id": None,
            }
        )
        await _take_along(self._work, self._task, target, below)
        after = await self._rights_now()
        if target is None:
            rights_change.demand_sharable(self._work, before, before.gains(after), ("project_id",))

    async def put_below(self, values: dict[str, Any]) -> None:
        """Give it the parent in these values, or none."""
        names = [name for name in ("parent_id", "root_id") if name in values]
        parent: dict[str, Any] = {name: values.pop(name) for name in names}
        if parent and parent["parent_id"] != self._task.parent_id:
            before = await self._rights()
            self._apply(parent)
            await placement.move_subtree(self._work, self._task)
            after = await self._rights_now()
            rights_change.demand_sharable(self._work, before, before.gains(after), ("parent_id",))

    async def assign(self, values: dict[str, Any]) -> None:
        """Assign it to whom these values name, or to nobody."""
        assignee = values.pop("assignee_id", self._task.assignee_id)
        if assignee != self._task.assignee_id:
            before = await self._rights()
            self._apply({"assignee_id": assignee})
            after = await self._rights_now()
            gained = before.gains(after, () if assignee is None else (assignee,))
            rights_change.demand_sharable(self._work, before, gained, ("assignee_id",))

    async def finish(self, values: Mapping[str, Any], origin: UUID | None) -> None:
        """Set the other values, and record everything as one change."""
        work, task = self._work, self._task
        self._changes += task_values.apply(work, task, values, None)
        task.version = self._version + 1
        if self._first is not None and self._last is not None:
            rights_change.record_lost_access(work, self._first, self._last)
        changes = _merged(self._changes)
        kind = task_values.kind_of(changes)
        if kind not in _TELLING and any(name in _PLACED for name, _, _ in changes):
            kind = EventKind.TASK_MOVED
        task_values.record(work, kind, task, changes)
        if origin is not None and origin != task.project_id:
            # The project that it left gets an event of its own, since a reader of that project may
            # no longer see the task.
            shown = [
                (task_values.SHOWN.get(name, name), old, new)
                for name, old, new in changes
                if name in {*_PLACED, "number", "parent_id"}
            ]
            work.record(EventKind.TASK_MOVED, task, shown, project_id=origin)
        await work.session.flush()

    def _apply(self, values: Mapping[str, Any]) -> None:
        self._changes += self._work.apply(self._task, values, ignore=task_values.FOLLOWING)

    async def _rights(self) -> Snapshot:
        if self._last is None:
            self._first = self._last = await rights_change.snapshot(self._work, [self._task.id])
        return self._last

    async def _rights_now(self) -> Snapshot:
        assert self._first is not None
        await self._work.session.flush()
        self._last = await rights_change.snapshot(self._work, self._first.projects)
        return self._last


def _merged(changes: Changes) -> Changes:
    """The changes of several parts as one: of each field the first and the last value."""
    merged: dict[str, tuple[Any, Any]] = {}
    for name, old, new in changes:
        merged[name] = (merged.get(name, (old,))[0], new)
    return [(name, old, new) for name, (old, new) in merged.items() if old != new]


async def _lock(
    work: Work, task_id: UUID, parent_id: UUID | None, projects: Sequence[UUID] = ()
) -> None:
    ids = [task_id] if parent_id is None else [task_id, parent_id]
    await locks.lock_tasks(work, ids, trees=True, projects=projects)


async def _demand_movable(work: Work, task: Task, target: UUID | None) -> None:
    """Raise unless the viewer may move a task from its project (or their own tasks) to another."""
    path = ("project_id",)
    is_owner = task.owner_id == work.viewer.user_id
    if target is not None:
        await demand_editor(work, target, path)
    if task.project_id is not None:
        if not await is_editor(work, task.project_id):
            raise Forbidden(
                "Moving a task to another project requires the role EDITOR or higher in both "
                "projects.",
                path=path,
            )
        if target is None and not is_owner:
            raise Forbidden("Only the task's owner can move it out of its project.", path=path)
    elif not is_owner:
        raise Forbidden("Only the task's owner can move a personal task to a project.", path=path)


async def _below(work: Work, task: Task) -> list[Task]:
    """Everything below a task, locked, in its order."""
    below = await work.session.scalars(
        select(Task)
        .where(Task.id.in_(placement.tree(task.id)), Task.id != task.id)
        .order_by(Task.position, Task.id)
        .with_for_update()
    )
    return list(below)


async def _take_along(
    work: Work, task: Task, target: UUID | None, below: Mapping[Task, str]
) -> None:
    """Move what is below a task to the same list, with these ranks."""
    for child, position in below.items():
        # Requesting a number writes pending changes, so the project must not change alone.
        number = None if target is None else await placement.next_number(work, target)
        child.project_id, child.number = target, number
        child.position = position
        child.root_id = task.id
        if target is None:
            # Personal tasks have the owner of their parent.
            child.owner_id = task.owner_id
        child.version += 1
        child.updated_at = work.now
    await work.session.flush()
