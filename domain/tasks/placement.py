"""The placement of a task: its number, its rank and its parent.

Ranks of one list (a project's tasks; a user's tasks without a project) are assigned by one
transaction at a time, under an advisory lock of the list, so that two concurrent moves to one
position get two ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
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
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import aliased

from db.models import Project, Task
from db.statements import Statement
from domain import rules
from domain.tasks import ranks
from domain.tasks.task_values import record
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, Forbidden
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
    await lock_list(work, project_id, owner_id)
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


async def parent_for(
    work: Work,
    parent_id: UUID | None,
    child: Task | None = None,
    project_id: UUID | None = None,
) -> Task | None:
    """The parent, if the viewer may put `child`, which is in this project then, or a new task below
    it.
    """
    if parent_id is None:
        return None
    path = ("parent_id",)
    parent = await work.editable(Task, parent_id, path=path)
    if child is not None:
        if parent.project_id != project_id:
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


def demand_same_project(parent: Task, project_id: UUID | None) -> None:
    """Raise if a new task below this parent is given another project."""
    if project_id not in {None, parent.project_id}:
        raise BadInput(
            "A subtask must be in its parent's project. Omit projectId.", path=("project_id",)
        )


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


class ListEdge(Enum):
    """An end of a list of tasks."""

    START = "START"
    END = "END"


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a list: directly before or after another task, or at an end."""

    before: UUID | None = None
    after: UUID | None = None
    edge: ListEdge = ListEdge.END


async def ranks_at(
    work: Work, task: Task, project_id: UUID | None, place: Place, count: int
) -> list[str]:
    """Ranks for a task, and for those that follow it, at a position in a list, which is locked. A
    task that is there already keeps its rank.

    If they would be long, the tasks around them get other ranks first.
    """
    low, high = await _gap(work, task, project_id, place)
    if count == 1 and project_id == task.project_id:
        is_there = (low is None or low < task.position) and (high is None or task.position < high)
        if is_there:
            return [task.position]
    found = ranks.several(low, high, count)
    if max(map(len, found)) < ranks.LONG:
        return found
    await _respace(work, task, project_id, low, high)
    return ranks.several(*await _gap(work, task, project_id, place), count)


async def _gap(
    work: Work, task: Task, project_id: UUID | None, place: Place
) -> tuple[str | None, str | None]:
    """The ranks between which the task is placed."""
    others = select(Task.position).where(*_in_list(project_id, task.owner_id), Task.id != task.id)
    last = others.order_by(Task.position.desc()).limit(1)
    first = others.order_by(Task.position).limit(1)
    neighbour_id = place.before or place.after
    if neighbour_id is None:
        await lock_list(work, project_id, task.owner_id)
        if place.edge is ListEdge.START:
            return None, await work.session.scalar(first)
        return await work.session.scalar(last), None
    path = ("place", "before" if place.before is not None else "after")
    neighbour = await work.readable(Task, neighbour_id, path=path)
    if neighbour.id == task.id:
        raise BadInput("A task cannot be moved next to itself.", path=path)
    await lock_list(work, project_id, task.owner_id)
    await work.session.refresh(neighbour)
    in_list = neighbour.project_id == project_id and (
        project_id is not None or neighbour.owner_id == task.owner_id
    )
    if not in_list:
        raise BadInput(
            "Both tasks must be in the same list: one project, or personal tasks of one owner.",
            path=path,
        )
    if place.before is not None:
        low = last.where(Task.position < neighbour.position)
        return await work.session.scalar(low), neighbour.position
    high = first.where(Task.position > neighbour.position)
    return neighbour.position, await work.session.scalar(high)


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
    work.events += [
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


def _in_list(project_id: Any, owner_id: Any) -> tuple[Any, ...]:
    if project_id is not None:
        return (Task.project_id == project_id,)
    return (Task.project_id.is_(None), Task.owner_id == owner_id)


async def lock_list(work: Work, project_id: UUID | None, owner_id: UUID) -> None:
    """Lock the list that a task of this project, or a personal task of this owner, is in."""
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
