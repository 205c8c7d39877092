"""The placement of a task: its number and rank, its parent, its project.

Ranks of one list (a project's tasks; a user's tasks without a project) are assigned by one
transaction at a time, under an advisory lock of the list, so that two concurrent moves to one
position get two ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import aliased

from db.models import Event, Project, Task
from db.read import Statement
from domain import locks, rights_change, rules
from domain.projects.project import demand_editor, is_editor
from domain.tasks import ranks
from domain.tasks.task_values import record
from domain.time import time_moves
from domain.time.time_moves import EntriesOfMoved
from domain.work import Work
from errors import BadInput, Conflict, ErrorCode, Failure, Forbidden
from events.kinds import EventKind

MAX_LEVELS = 3

# A list in which tasks have ranks: a project's (its id and None), or a user's personal tasks (None
# and their id).
TaskList = tuple[UUID | None, UUID | None]


async def next_number(work: Work, project_id: UUID) -> int:
    """The next number of a project. Locks the project's row until the commit, so there are no gaps
    and no duplicates.
    """
    number: int | None = await work.session.scalar(
        update(Project)
        .where(Project.id == project_id)
        .values(last_number=Project.last_number + 1)
        .returning(Project.last_number)
        .execution_options(synchronize_session=False)
    )
    assert number is not None, "the project was read in this transaction"
    return number


async def at_end(work: Work, project_id: UUID | None, owner_id: UUID) -> str:
    """A rank after all others of the list."""
    await _lock_list(work, project_id, owner_id)
    if project_id is not None:
        rows = await work.fetch(_LAST_IN_PROJECT, {"project_id": project_id})
    else:
        rows = await work.fetch(_LAST_PERSONAL, {"owner_id": owner_id})
    return ranks.between(rows[0].position if rows else None, None)


async def lock_and_find_ends(work: Work, lists: Sequence[TaskList]) -> dict[TaskList, str]:
    """The last rank of each of these lists, locked.

    Two statements for all lists; a list without tasks is not in the result.
    """
    # Always in one order, so that two transactions with the same lists do not wait for each other.
    names = sorted(f"tasks of {project_id or owner_id}" for project_id, owner_id in lists)
    await work.session.execute(
        text(
            "SELECT pg_advisory_xact_lock(hashtextextended(list, 1)) "
            "FROM unnest(CAST(:lists AS text[])) WITH ORDINALITY AS wanted(list, place) "
            "ORDER BY place"
        ),
        {"lists": names},
    )
    owner_id = case((Task.project_id.is_(None), Task.owner_id))
    found = await work.session.execute(
        select(Task.project_id, owner_id.label("owner_id"), func.max(Task.position).label("last"))
        .where(or_(*(and_(*_in_list(*one)) for one in lists)))
        .group_by(Task.project_id, owner_id)
    )
    return {(row.project_id, row.owner_id): row.last for row in found}


def tree(task_id: UUID) -> Select[UUID]:
    """Ids of a task and everything below it (at most two levels)."""
    task = aliased(Task)
    return select(task.id).where(
        or_(task.id == task_id, task.parent_id == task_id, task.root_id == task_id)
    )


async def parent_for(work: Work, parent_id: UUID | None, child: Task | None = None) -> Task | None:
    """The parent, if the viewer may put `child` (or a new task) below it."""
    if parent_id is None:
        return None
    path = ("parent_id",)
    parent = await work.editable(Task, parent_id, path=path)
    if child is not None:
        if parent.project_id != child.project_id:
            raise BadInput(
                "A subtask must be in its parent's project. Move the task to that project first.",
                path=path,
            )
        if parent.project_id is None and parent.owner_id != child.owner_id:
            raise Forbidden("A personal task's parent must belong to the same owner.", path=path)
        if parent.id == child.id or child.id in {parent.parent_id, parent.root_id}:
            raise BadInput(
                "A task cannot be its own parent or a subtask of its subtasks.", path=path
            )
    height = 1 if child is None else await _height(work, child)
    demand_depth(level_below(parent) + height, path)
    return parent


def demand_depth(levels: int, path: rules.Path) -> None:
    """Raise `LIMIT_EXCEEDED` if tasks would nest this many levels deep."""
    if levels > MAX_LEVELS:
        raise Failure(
            f"Tasks nest at most {MAX_LEVELS} levels deep; this would make {levels}.",
            path=path,
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_LEVELS,
            actual=levels,
        )


def level_below(parent: Task) -> int:
    """The number of tasks above a task that is put below this parent."""
    if parent.parent_id is None:
        return 1
    return 2 if parent.parent_id == parent.root_id else 3


async def _height(work: Work, task: Task) -> int:
    """1 for a task without subtasks. What is below it is locked, so it grows no deeper."""
    child, grandchild = aliased(Task), aliased(Task)
    row = (
        await work.session.execute(
            select(func.count(child.id), func.count(grandchild.id))
            .select_from(child)
            .outerjoin(grandchild, grandchild.parent_id == child.id)
            .where(child.parent_id == task.id)
        )
    ).one()
    return 1 + bool(row[0]) + bool(row[1])


async def move_subtree(work: Work, task: Task) -> None:
    """Set the new root of everything below a task."""
    await work.session.flush()
    await work.session.execute(
        update(Task)
        .where(Task.id.in_(tree(task.id)), Task.id != task.id)
        .values(root_id=task.root_id or task.id)
        .execution_options(synchronize_session=False)
    )


async def move_up(work: Work, tasks: Mapping[UUID, Task], *, without: Mapping[UUID, Task]) -> None:
    """Put the direct subtasks of these tasks, which are locked with their trees, below the next
    task above that stays. `without`: everything that is about to be deleted. Tasks in the trash
    stay where they are.
    """
    children = await work.session.scalars(
        select(Task)
        .where(Task.parent_id.in_(tasks), Task.id.not_in(without), Task.deleted_at.is_(None))
        .order_by(Task.id)
    )
    for child in children.all():
        parent_id = child.parent_id
        while parent_id is not None and parent_id in without:
            parent_id = without[parent_id].parent_id
        # The root is the ancestor that has no parent: the parent itself, or the one above it.
        root_id = None if parent_id is None else child.root_id
        changes = work.apply(
            child, {"parent_id": parent_id, "root_id": root_id}, ignore=("root_id",)
        )
        record(work, EventKind.TASK_UPDATED, child, changes)
        await move_subtree(work, child)
    await work.session.flush()


async def move(
    work: Work,
    task_id: UUID,
    *,
    before_id: UUID | None,
    after_id: UUID | None,
    project_id: UUID | None,
    to_personal: bool,
    if_version: int | None,
    entries: EntriesOfMoved = EntriesOfMoved.MOVE,
) -> Task:
    """Move a task before or after another one, and into another project (or out of any).

    A subtask that changes its project loses its parent; its own subtasks follow. In the new project
    each gets a new number. Time entries follow, unless `entries` says otherwise.
    """
    if before_id is not None and after_id is not None:
        raise BadInput("Provide either beforeId or afterId, not both.", path=("after_id",))
    if before_id is None and after_id is None and project_id is None and not to_personal:
        raise BadInput(
            "Provide a destination: beforeId, afterId or projectId.", path=("before_id",)
        )
    neighbours = (before_id, after_id)
    seen = await work.readable(Task, task_id)
    target = seen.project_id
    if to_personal:
        target = None
    elif project_id is not None:
        target = project_id
    moves = target != seen.project_id
    if not moves:
        task = await work.editable(Task, task_id)
        if task.project_id != target:
            raise Conflict(
                "The task was moved by someone else at the same time. Try again.", path=("id",)
            )
        return await _moved(work, task, target, neighbours, if_version)
    follow = entries is EntriesOfMoved.MOVE
    locked_for = await time_moves.lock(work, task_id) if follow else ()
    await locks.lock_tasks(
        work, [task_id], trees=True, projects=() if target is None else (target,)
    )
    task = await work.editable(Task, task_id)
    if task.project_id == target:
        return await _moved(work, task, target, neighbours, if_version)
    await _demand_movable(work, task, target)
    # Outside a project only its owner gets it, who must be able to share everything that moves
    # along.
    origin = task.project_id
    async with rights_change.guarded(work, [task.id], ("project_id",), by_move=target is not None):
        await _moved(work, task, target, neighbours, if_version)
    if follow:
        await time_moves.take_along(work, task, origin, locked_for)
    await work.session.flush()
    return task


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


async def _moved(
    work: Work,
    task: Task,
    target: UUID | None,
    neighbours: tuple[UUID | None, UUID | None],
    if_version: int | None,
) -> Task:
    """The task at its position in the list of its own or another project, before or after one of
    the neighbours.
    """
    moves = target != task.project_id
    below = await _below(work, task) if moves else []
    position, *others = await _ranks(work, task, target, neighbours, 1 + len(below))
    values: dict[str, Any] = {"position": position}
    if moves:
        values |= {"project_id": target, "number": None, "parent_id": None, "root_id": None}
        if target is not None:
            values["number"] = await next_number(work, target)
    origin = task.project_id
    changes = work.apply(task, values, if_version=if_version, ref="task", ignore=("root_id",))
    await work.session.flush()
    if moves:
        await _take_along(work, task, target, dict(zip(below, others, strict=True)))
    if changes:
        shown = {"project_id": "project", "parent_id": "parent"}
        named = [(shown.get(name, name), old, new) for name, old, new in changes]
        for where in dict.fromkeys((origin, task.project_id)):
            # Both projects get an event; the one it left gets its own, since a reader of that
            # project may no longer see the task.
            if where == task.project_id:
                work.record(EventKind.TASK_MOVED, task, named, task_id=task.id, project_id=where)
            elif where is not None:
                work.record(EventKind.TASK_MOVED, task, named, project_id=where)
        await work.session.flush()
    return task


async def _below(work: Work, task: Task) -> list[Task]:
    """Everything below a task, locked, in its order."""
    below = await work.session.scalars(
        select(Task)
        .where(Task.id.in_(tree(task.id)), Task.id != task.id)
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
        number = None if target is None else await next_number(work, target)
        child.project_id, child.number = target, number
        child.position = position
        child.root_id = task.id
        if target is None:
            # Personal tasks have the owner of their parent.
            child.owner_id = task.owner_id
        child.version += 1
        child.updated_at = work.now
    await work.session.flush()


async def _ranks(
    work: Work,
    task: Task,
    project_id: UUID | None,
    neighbours: tuple[UUID | None, UUID | None],
    count: int,
) -> list[str]:
    """Ranks for a task, and for those that follow it, at a position in a list, which is locked.

    If they would be long, the tasks around them get other ranks first.
    """
    gap = await _gap(work, task, project_id, *neighbours)
    found = ranks.several(*gap, count)
    if max(map(len, found)) < ranks.LONG:
        return found
    await _respace(work, task, project_id, *gap)
    return ranks.several(*await _gap(work, task, project_id, *neighbours), count)


async def _gap(
    work: Work,
    task: Task,
    project_id: UUID | None,
    before_id: UUID | None,
    after_id: UUID | None,
) -> tuple[str | None, str | None]:
    """The ranks between which the task is placed."""
    others = select(Task.position).where(*_in_list(project_id, task.owner_id), Task.id != task.id)
    if before_id is None and after_id is None:
        await _lock_list(work, project_id, task.owner_id)
        last = others.order_by(Task.position.desc()).limit(1)
        return await work.session.scalar(last), None
    name = "before_id" if before_id is not None else "after_id"
    neighbour = await work.readable(Task, before_id or after_id, path=(name,))  # type: ignore[arg-type]
    if neighbour.id == task.id:
        raise BadInput("A task cannot be moved next to itself.", path=(name,))
    await _lock_list(work, project_id, task.owner_id)
    await work.session.refresh(neighbour)
    in_list = neighbour.project_id == project_id and (
        project_id is not None or neighbour.owner_id == task.owner_id
    )
    if not in_list:
        raise BadInput(
            "Both tasks must be in the same list: one project, or personal tasks of one owner.",
            path=(name,),
        )
    if before_id is not None:
        low = others.where(Task.position < neighbour.position).order_by(Task.position.desc())
        return await work.session.scalar(low.limit(1)), neighbour.position
    high = others.where(Task.position > neighbour.position).order_by(Task.position)
    return neighbour.position, await work.session.scalar(high.limit(1))


# How many tasks are respaced on either side of a gap; more, until their ranks are short.
_AROUND = (32, 128, 512, 2_048)


async def _respace(
    work: Work, task: Task, project_id: UUID | None, low: str | None, high: str | None
) -> None:
    """Give the tasks around a gap ranks that are short and far from each other, in their order.

    Each one's `TASK_MOVED` says where it is now. No user changed it, so its version stays. The list
    is locked.
    """
    around = select(Task.id, Task.position, Task.deleted_at).where(
        *_in_list(project_id, task.owner_id), Task.id != task.id
    )
    before = around.where(Task.position <= (low or "")).order_by(Task.position.desc())
    behind = around.where(Task.position >= (high or "~")).order_by(Task.position)
    for size in _AROUND:
        lower = list(await work.session.execute(before.limit(size + 1)))[::-1]
        upper = list(await work.session.execute(behind.limit(size + 1)))
        # The outermost stay where they are, unless the list ends there.
        bottom = lower.pop(0).position if len(lower) > size else None
        top = upper.pop().position if len(upper) > size else None
        rows = lower + upper
        if not rows:
            return
        spread = ranks.spread(bottom, top or ranks.bound_after(rows[-1].position), len(rows))
        if max(map(len, spread)) <= ranks.SPREAD:
            break
    moved = [(row, rank) for row, rank in zip(rows, spread, strict=True) if row.position != rank]
    await work.session.execute(
        update(Task).execution_options(synchronize_session=False),
        [{"id": row.id, "position": rank} for row, rank in moved],
    )
    events = [
        work.event(
            EventKind.TASK_MOVED,
            Task,
            row.id,
            [("position", row.position, rank)],
            task_id=row.id,
            project_id=project_id,
        )
        for row, rank in moved
        if row.deleted_at is None
    ]
    if events:
        await work.session.execute(insert(Event), events)


def _in_list(project_id: Any, owner_id: Any) -> tuple[Any, ...]:
    if project_id is not None:
        return (Task.project_id == project_id,)
    return (Task.project_id.is_(None), Task.owner_id == owner_id)


async def _lock_list(work: Work, project_id: UUID | None, owner_id: UUID) -> None:
    await work.fetch(_LOCK, {"list": f"tasks of {project_id or owner_id}"})


def _last(*in_list: Any) -> Statement:
    return Statement(select(Task.position).where(*in_list).order_by(Task.position.desc()).limit(1))


_LAST_IN_PROJECT = _last(*_in_list(bindparam("project_id", type_=Uuid()), None))
_LAST_PERSONAL = _last(*_in_list(None, bindparam("owner_id", type_=Uuid())))
_LOCK = Statement(
    select(
        func.pg_advisory_xact_lock(func.hashtextextended(bindparam("list", type_=Text()), 1)).label(
            "locked"
        )
    )
)
